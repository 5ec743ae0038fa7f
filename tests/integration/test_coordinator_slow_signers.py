"""Signers that fall silent, lag or come back: what the coordinator asks of them, and that payments go on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from coordinator_world import Site, started
from strongroom.api.signer.v1 import signer_link_service_pb2 as pb
from strongroom.ledger.signed_messages import Refusal
from strongroom.protocol.signed import sign_body
from strongroom_coordinator import rounds
from strongroom_coordinator.link_frames import signed_pb
from strongroom_signer import link_session, requests

pytestmark = pytest.mark.slow


def silence(monkeypatch: pytest.MonkeyPatch, site: Site, name: str, *kinds: type[Any]) -> None:
    """Requests of these kinds get no answer from a signer."""
    session: Any = link_session.LinkSession
    honest, service = session._answer, site.signers[name].signer.service

    async def answer(self: Any, item: Any) -> None:
        if self._service is not service or not isinstance(item.request, kinds):
            await honest(self, item)

    monkeypatch.setattr(session, "_answer", answer)


async def test_a_signer_that_answers_nothing_for_long_is_dropped_and_starts_without_arrears(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rounds, "SILENT_MOST_S", 0.5)
    async with started(tmp_path) as site:
        await site.make_vault("customer-1")
        with monkeypatch.context() as silent:
            silence(silent, site, "s3", requests.Append, requests.Commit, requests.Release, requests.Certify)
            with capture_logs() as events:
                while not any(event["event"] == "link.silent" for event in events):
                    await site.signed(await site.pay("customer-1", 50_000))
            assert {event["signer"] for event in events if event["event"] == "link.silent"} == {"s3"}
            # It is asked for nothing about plans that it was never sent.
            assert not [event for event in events if event["event"] == "signing.refused"]
        behind = site.signers["s3"].signer
        await site.until(lambda: behind.copy.size == site.side.sequencer.replica.size)
        await site.signed(await site.pay("customer-1", 50_000))


async def test_a_holder_that_lags_is_asked_again_and_not_left_out(tmp_path: Path) -> None:
    """One of three holders is away, and one has not got the plan yet when it is asked for it."""
    async with started(tmp_path) as site:
        await site.make_vault("customer-1")
        await site.stop_signer("s1")
        lagging = site.signers["s3"].signer
        handlers = lagging.service._handlers
        votes, commits = handlers[requests.Append], handlers[requests.Commit]
        refused: list[int] = []

        def refuse_once(results: Any, term: int) -> None:
            """The first time that it is asked for a plan, whether with the batch or by itself, it knows of none."""
            for result in results:
                if result.entry_index in refused:
                    continue
                refusal = Refusal(
                    log_id=site.world.log_id,
                    term=term,
                    entry_index=result.entry_index,
                    subject=bytes(32),
                    reason="NO_PLAN_AT_INDEX",
                    detail="",
                    signer="s3",
                )
                result.refusal.CopyFrom(signed_pb(sign_body("refusal", refusal, lagging.keys.vote)))
                refused.append(result.entry_index)

        def behind(asked: requests.Append) -> Any:
            voted = votes(asked)
            refuse_once(voted.commitments if isinstance(voted, pb.Voted) else (), asked.term)
            return voted

        def behind_alone(asked: requests.Commit) -> Any:
            committed = commits(asked)
            refuse_once(committed.results, asked.term)
            return committed

        handlers[requests.Append], handlers[requests.Commit] = behind, behind_alone
        with capture_logs() as events:
            await site.signed(await site.pay("customer-1", 50_000))
        assert refused
        assert not [event for event in events if event["event"] == "plan.not_signed"]
