"""From a signer's fault to its return: evidence, quarantine across restarts, and who must clear it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from structlog.testing import capture_logs

from coordinator_world import Site, started
from strongroom.api.signer.v1 import signer_link_service_pb2 as pb
from strongroom.chains.bitcoin.transaction import parse
from strongroom.ledger import codec
from strongroom.ledger.order_messages import ReinstateSigner
from strongroom.ledger.signed_messages import Commitments, ReinstateStatement, Shares, Vote
from strongroom.protocol.certificates import NO_CERTIFICATE, sign_vote
from strongroom.protocol.evidence import Fault, Proven, verify_evidence
from strongroom.protocol.evidence_file import read_evidence_file
from strongroom.protocol.signed import MAX_BODY_BYTES, SignedBody, sign_body
from strongroom_coordinator import sessions
from strongroom_coordinator.storage.evidence import EvidenceRow
from strongroom_signer import link_session, requests
from strongroom_signer.assembly import Signer

pytestmark = pytest.mark.slow

Answer = Callable[[Any, Any], Any]


def intercept(signer: Signer, request: type[Any], answer: Answer) -> None:
    """Let the honest handler of a signer answer first, then let a liar change the answer."""
    handlers: dict[Any, Any] = signer.service._handlers
    honest = handlers[request]
    handlers[request] = lambda asked: answer(asked, honest(asked))


def resign(signer: Signer, kind: str, cls: type[Any], word: Any, change: Callable[[Any], dict[str, Any]]) -> None:
    """Change fields of a signed word in place, signed anew by the same vote key."""
    message: Any = codec.decode(cls, word.body, max_size=MAX_BODY_BYTES)
    signed = sign_body(kind, replace(message, **change(message)), signer.keys.vote)
    word.body, word.signature = signed.body, signed.signature


def wrong_shares(signer: Signer) -> Answer:
    def answer(_: Any, released: Any) -> Any:
        for result in released.results:
            if result.WhichOneof("outcome") == "shares":
                resign(signer, "shares", Shares, result.shares, lambda said: {"shares": (bytes(31) + b"\x02",)})
        return released

    return answer


def too_few_shares(signer: Signer) -> Answer:
    def answer(_: Any, released: Any) -> Any:
        for result in released.results:
            if result.WhichOneof("outcome") == "shares":
                resign(signer, "shares", Shares, result.shares, lambda said: {"shares": said.shares * 2})
        return released

    return answer


def bad_points(signer: Signer) -> Answer:
    def answer(_: Any, voted: Any) -> Any:
        for result in voted.commitments:
            if result.WhichOneof("outcome") == "commitments":
                resign(signer, "commitments", Commitments, result.commitments, lambda said: {"nonces": (bytes(66),)})
        return voted

    return answer


def forgotten_votes(signer: Signer) -> Answer:
    """For another history the first time, and for the true one when asked again at the same place."""
    given: set[int] = set()

    def answer(asked: Any, voted: Any) -> Any:
        if asked.first_index not in given:
            given.add(asked.first_index)
            resign(signer, "vote", Vote, voted.vote, lambda _said: {"root": bytes(32)})
        return voted

    return answer


def said(log: Sequence[Mapping[str, Any]], event: str) -> list[Mapping[str, Any]]:
    return [line for line in log if line["event"] == event]


def second_commitments(signer: Signer) -> Answer:
    def answer(_: Any, voted: Any) -> Any:
        for result in voted.commitments:
            if result.WhichOneof("outcome") == "commitments":
                resign(
                    signer,
                    "commitments",
                    Commitments,
                    result.commitments,
                    lambda said: {"nonces": said.nonces * 2},
                )
        return voted

    return answer


def liar_in(site: Site, name: str, request: type[Any], lie: Callable[[Signer], Answer]) -> Signer:
    signer = site.signers[name].signer
    intercept(signer, request, lie(signer))
    return signer


async def convicted(site: Site, name: str) -> EvidenceRow:
    """Pay until the evidence against a signer is found and kept."""
    site.ask_first(name)
    await site.pay_until("customer-1", lambda: site.side.evidence.quarantined(name))
    site.ask_in_turn()
    row = site.side.evidence.quarantined(name)
    assert row is not None
    path = site.side.evidence._files.path(row.hash)
    await site.until(path.is_file)
    return row


def proven_in(site: Site, row: EvidenceRow) -> Proven:
    content = site.side.evidence._files.path(row.hash).read_bytes()
    return verify_evidence(read_evidence_file(content), log_id=site.world.log_id)


def used_in(site: Site) -> list[set[str]]:
    """The signer sets of all sessions from here on."""
    sets: list[set[str]] = []
    outbox: Any = site.side.sessions._outbox
    honest = outbox.ask_shares

    def ask_shares(signers: Any, index: int, commitments: Any) -> None:
        sets.append(set(signers))
        honest(signers, index, commitments)

    outbox.ask_shares = ask_shares
    return sets


@pytest.mark.parametrize(
    ("request_kind", "lie", "fault"),
    [
        pytest.param(
            requests.Release,
            wrong_shares,
            Fault.WRONG_SHARE,
            marks=pytest.mark.attack(
                line="holders",
                title="a wrong share, signed with its context",
                origin="ROAST (2022): one bad share stops a plain FROST session",
            ),
        ),
        (requests.Release, too_few_shares, Fault.WRONG_SHARE),
        pytest.param(
            requests.Append,
            bad_points,
            Fault.MALFORMED_COMMITMENTS,
            marks=pytest.mark.attack(
                line="holders",
                title="commitments that are no points, signed by their sender",
                origin="on paper: a malformed commitment stops the set it is in",
            ),
        ),
        (requests.Append, second_commitments, Fault.MALFORMED_COMMITMENTS),
    ],
)
async def test_a_fault_is_proven_and_its_signer_left_out(
    tmp_path: Path, request_kind: type[Any], lie: Callable[[Signer], Answer], fault: Fault
) -> None:
    async with started(tmp_path) as site:
        await site.make_vault("customer-1")
        liar_in(site, "s1", request_kind, lie)
        row = await convicted(site, "s1")
        proven = proven_in(site, row)
        assert (proven.signer, proven.fault, proven.hash) == ("s1", fault, row.hash)
        sets = used_in(site)
        for _ in range(3):
            assert parse(await site.signed(await site.pay("customer-1", 50_000)))
        assert sets
        assert all(chosen == {"s2", "s3"} for chosen in sets)
        await site.until(lambda: "s1" in site.side.terms.ready)


async def test_a_quarantined_signer_still_votes_and_returns_by_its_operator_and_an_order(tmp_path: Path) -> None:
    async with started(tmp_path) as site:
        await site.make_vault("customer-1")
        liar = liar_in(site, "s1", requests.Release, wrong_shares)
        row = await convicted(site, "s1")
        await site.until(lambda: liar.quarantine.notice is not None)

        # A restart of the coordinator changes nothing, and neither does an order alone.
        port = site.coordinator.port
        await site.stop_coordinator()
        await site.start_coordinator(port=port)
        assert site.side.evidence.quarantined("s1") == replace(row, number=1)
        await site.submit(ReinstateSigner(signer="s1", evidence_hash=row.hash), "carol", "alice", "bob")
        await site.until(lambda: (site.side.evidence.quarantined("s1") or row).order_hash != b"")
        assert site.side.evidence.quarantined("s1") is not None

        # It votes all the same: with s3 away, every certificate needs it.
        await site.stop_signer("s3")
        await site.submit(site.world.withdrawal("customer-1", 10_000), "shop", "alice", "bob")
        await site.start_signers("s3", port=port)

        # The operator of the mended signer says so: it is asked again.
        await site.stop_signer("s1")
        mended = site.start_signer("s1", port=port)
        mended.quarantine.reinstate(row.hash)
        await site.until(lambda: site.side.evidence.quarantined("s1") is None)
        await site.until(lambda: mended.quarantine.notice is None and "s1" in site.side.terms.ready)
        sets = used_in(site)
        await site.pay_until("customer-1", lambda: any("s1" in chosen for chosen in sets))

        # And it stays so: the settled record is kept, and convicts nobody at the next start.
        await site.stop_coordinator()
        await site.start_coordinator(port=port)
        assert site.side.evidence.quarantined("s1") is None
        (settled,) = await site.side.evidence.page(below=None, limit=10)
        assert settled.is_settled


async def test_orders_about_evidence_that_nobody_has_are_not_remembered(tmp_path: Path) -> None:
    async with started(tmp_path) as site:
        await site.make_vault("customer-1")
        liar_in(site, "s1", requests.Release, wrong_shares)
        row = await convicted(site, "s1")
        for number in range(3):
            await site.submit(ReinstateSigner(signer="s1", evidence_hash=bytes([number]) * 32), "carol")
        await site.submit(ReinstateSigner(signer="s1", evidence_hash=row.hash), "carol", "alice", "bob")
        await site.until(lambda: (site.side.evidence.quarantined("s1") or row).order_hash != b"")
        assert {order.evidence_hash for order in site.side.evidence._orders.values()} == {row.hash}


async def test_a_plan_that_nobody_else_can_sign_is_offered_to_a_quarantined_holder(tmp_path: Path) -> None:
    async with started(tmp_path) as site:
        await site.make_vault("customer-1")
        liar = liar_in(site, "s1", requests.Release, wrong_shares)
        await convicted(site, "s1")
        port = site.coordinator.port
        await site.stop_signer("s1")
        site.start_signer("s1", port=port)  # honest from here on, and not cleared by anybody
        await site.stop_signer("s3")
        await site.until(lambda: set(site.side.terms.ready) == {"s1", "s2"})
        assert parse(await site.signed(await site.pay("customer-1", 50_000)))
        assert liar.name == "s1"
        assert site.side.evidence.quarantined("s1") is not None


async def test_a_quarantined_holder_is_asked_when_the_others_do_not_finish(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "LAST_RESORT_S", 0.3)
    async with started(tmp_path) as site:
        await site.make_vault("customer-1")
        liar_in(site, "s1", requests.Release, wrong_shares)
        await convicted(site, "s1")
        port = site.coordinator.port
        await site.stop_signer("s1")
        site.start_signer("s1", port=port)
        await site.until(lambda: site.side.terms.ready.get("s1") is site.side.links.links.get("s1") is not None)
        intercept(site.signers["s3"].signer, requests.Release, lambda _asked, _honest: pb.Released())
        with capture_logs() as events:
            assert parse(await site.signed(await site.pay("customer-1", 50_000)))
        assert [event["event"] for event in events].count("signing.last_resort") == 1


async def test_a_quarantined_holder_that_joins_under_way_is_the_last_resort_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "LAST_RESORT_S", 0.3)
    async with started(tmp_path) as site:
        await site.make_vault("customer-1")
        liar_in(site, "s1", requests.Release, wrong_shares)
        await convicted(site, "s1")
        port = site.coordinator.port
        await site.stop_signer("s1")
        await site.until(lambda: set(site.side.terms.ready) == {"s2", "s3"})
        intercept(site.signers["s3"].signer, requests.Release, lambda _asked, _honest: pb.Released())
        order = await site.pay("customer-1", 50_000)
        site.start_signer("s1", port=port)
        assert parse(await site.signed(order))


async def test_what_one_of_database_and_file_lacks_is_put_back_at_the_start(tmp_path: Path) -> None:
    async with started(tmp_path) as site:
        await site.make_vault("customer-1")
        liar_in(site, "s1", requests.Release, wrong_shares)
        row = await convicted(site, "s1")
        path = site.side.evidence._files.path(row.hash)
        port = site.coordinator.port
        await site.stop_coordinator()
        content = path.read_bytes()
        path.unlink()
        path.with_suffix(".new").write_bytes(content[:10])  # a kill in the middle of the write
        await site.start_coordinator(port=port)
        assert path.read_bytes() == content
        assert proven_in(site, row).signer == "s1"


async def test_the_same_fault_again_adds_no_record(tmp_path: Path) -> None:
    async with started(tmp_path) as site:
        await site.make_vault("customer-1")
        certificate = site.side.sequencer.certificate
        assert certificate is not None
        key, head = site.signers["s3"].signer.keys.vote, certificate.head
        votes = [sign_vote(key, replace(head, root=bytes((n,)) * 32), NO_CERTIFICATE) for n in range(4)]
        for first, second in pairwise(votes):
            site.side.evidence.two_votes("s3", first, second)
        await site.until(lambda: not site.side.evidence._background._tasks)
        assert len(await site.side.evidence.page(below=None, limit=10)) == 1


async def test_evidence_comes_back_from_its_file_when_the_database_is_lost(tmp_path: Path) -> None:
    async with started(tmp_path) as site:
        await site.make_vault("customer-1")
        liar_in(site, "s1", requests.Release, wrong_shares)
        row = await convicted(site, "s1")
        port = site.coordinator.port
        await site.stop_coordinator()
        for name in os.listdir(tmp_path / "coordinator"):
            if name.startswith("coordinator.db"):
                (tmp_path / "coordinator" / name).unlink()
        (tmp_path / "coordinator" / "evidence" / "other.json").write_text("{}")
        await site.start_coordinator(port=port)
        found = site.side.evidence.quarantined("s1")
        assert found is not None
        assert (found.hash, found.fault) == (row.hash, "wrong-share")


async def test_what_was_settled_settles_itself_again_when_the_database_is_lost(tmp_path: Path) -> None:
    async with started(tmp_path) as site:
        await site.make_vault("customer-1")
        liar_in(site, "s1", requests.Release, wrong_shares)
        row = await convicted(site, "s1")
        port = site.coordinator.port
        await site.stop_signer("s1")
        mended = site.start_signer("s1", port=port)
        mended.quarantine.reinstate(row.hash)
        await site.submit(ReinstateSigner(signer="s1", evidence_hash=row.hash), "carol", "alice", "bob")
        await site.until(lambda: site.side.evidence.quarantined("s1") is None)

        await site.stop_coordinator()
        for name in os.listdir(tmp_path / "coordinator"):
            if name.startswith("coordinator.db"):
                (tmp_path / "coordinator" / name).unlink()
        await site.start_coordinator(port=port)
        assert site.side.evidence.quarantined("s1") is not None
        await site.submit(site.world.withdrawal("customer-1", 10_000), "shop", "alice", "bob")
        await site.until(lambda: site.side.evidence.quarantined("s1") is None)


@pytest.mark.attack(
    line="holders",
    title="another signer's operator clears a convicted signer",
    origin="on paper: a helper of the liar speaks for it",
)
async def test_only_the_convicted_signers_own_key_can_clear_it(tmp_path: Path) -> None:
    async with started(tmp_path) as site:
        await site.make_vault("customer-1")
        liar_in(site, "s1", requests.Release, wrong_shares)
        row = await convicted(site, "s1")
        other = site.signers["s2"].signer
        for named, link in (("s1", "s1"), ("s1", "s2"), ("s2", "s2")):
            said = ReinstateStatement(log_id=site.world.log_id, signer=named, evidence_hash=row.hash)
            await site.side.evidence.operator_says(link, [sign_body("reinstate", said, other.keys.vote)])
        found = site.side.evidence.quarantined("s1")
        assert found is not None
        assert not found.operator_cleared


def said_mended(site: Site, row: EvidenceRow) -> SignedBody:
    """What the convicted signer's operator says: it is mended."""
    said = ReinstateStatement(log_id=site.world.log_id, signer=row.signer, evidence_hash=row.hash)
    return sign_body("reinstate", said, site.signers[row.signer].signer.keys.vote)


async def ordered_back(site: Site, row: EvidenceRow) -> None:
    """An order that reinstates the convicted signer has acted."""
    await site.submit(ReinstateSigner(signer=row.signer, evidence_hash=row.hash), "carol", "alice", "bob")
    await site.until(lambda: (site.side.evidence.quarantined(row.signer) or row).order_hash != b"")


async def test_an_operators_word_that_comes_twice_at_once_settles_the_evidence_once(tmp_path: Path) -> None:
    async with started(tmp_path) as site:
        await site.make_vault("customer-1")
        liar_in(site, "s1", requests.Release, wrong_shares)
        row = await convicted(site, "s1")
        await ordered_back(site, row)
        word = said_mended(site, row)
        await asyncio.gather(*(site.side.evidence.operator_says("s1", [word]) for _ in range(2)))
        assert site.side.evidence.quarantined("s1") is None


async def test_an_order_that_acts_while_the_operators_word_is_stored_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with started(tmp_path) as site:
        await site.make_vault("customer-1")
        liar_in(site, "s1", requests.Release, wrong_shares)
        row = await convicted(site, "s1")
        evidence = site.side.evidence
        run = evidence._storage.run

        async def slowly(work: Any) -> Any:
            await ordered_back(site, row)
            return await run(work)

        monkeypatch.setattr(evidence, "_storage", SimpleNamespace(run=slowly))
        await evidence.operator_says("s1", [said_mended(site, row)])
        assert evidence.quarantined("s1") is None
        monkeypatch.undo()


async def test_two_votes_convict(tmp_path: Path) -> None:
    async with started(tmp_path) as site:
        await site.make_vault("customer-1")
        certificate = site.side.sequencer.certificate
        assert certificate is not None
        key = site.signers["s3"].signer.keys.vote
        head = certificate.head
        first, second = (sign_vote(key, replace(head, root=root), NO_CERTIFICATE) for root in (head.root, bytes(32)))
        site.side.evidence.two_votes("s3", first, second)
        await site.until(lambda: site.side.evidence.quarantined("s3") is not None)
        row = site.side.evidence.quarantined("s3")
        assert row is not None
        assert row.fault == "two-votes"


async def test_a_second_vote_at_one_place_is_noticed_and_convicts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine that lost its first vote gives another when its new link is asked again; the first is held still."""
    # The round must not end before the link is back.
    async with started(tmp_path, vote_timeout_ms=60_000) as site:
        await site.make_vault("customer-1")
        await site.until(lambda: len(site.side.terms.ready) == 3)
        honest, others = link_session.LinkSession._answer, [site.signers[name].signer.service for name in ("s1", "s2")]

        async def wait_with_votes(session: Any, item: Any) -> None:
            """The batch stays undecided, so that who is there anew is asked for a vote."""
            if session._service not in others or not isinstance(item.request, requests.Append):
                await honest(session, item)

        monkeypatch.setattr(link_session.LinkSession, "_answer", wait_with_votes)
        liar_in(site, "s3", requests.Append, forgotten_votes)
        with capture_logs() as log:
            submitted = asyncio.create_task(site.submit(site.world.withdrawal("customer-1", 50_000), "shop"))
            await site.until(lambda: said(log, "vote.other_head"))
            assert not said(log, "vote.double")
            site.side.terms.ready["s3"].close("the machine is gone")
            await site.until(lambda: said(log, "vote.double"))
            await site.until(lambda: site.side.evidence.quarantined("s3") is not None)
        submitted.cancel()
        assert {line["signer"] for line in said(log, "vote.double")} == {"s3"}
        row = site.side.evidence.quarantined("s3")
        assert row is not None
        await site.until(site.side.evidence._files.path(row.hash).exists)
        found = proven_in(site, row)
        assert (found.signer, found.fault) == ("s3", Fault.TWO_VOTES)


async def test_a_silent_or_refusing_signer_is_never_quarantined(tmp_path: Path) -> None:
    async with started(tmp_path) as site:
        await site.make_vault("customer-1")
        intercept(site.signers["s1"].signer, requests.Release, lambda _asked, _honest: pb.Released())
        for _ in range(4):
            await site.signed(await site.pay("customer-1", 50_000))
        assert not site.side.evidence._open
        assert not (tmp_path / "coordinator" / "evidence").exists()
