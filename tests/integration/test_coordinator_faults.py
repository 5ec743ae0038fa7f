"""Signers that lie, refuse, stay silent or leave: who is blamed, and that the rest goes on."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

import charter_builder as builder
from coordinator_world import Site, started
from strongroom.api.signer.v1 import signer_link_service_pb2 as pb
from strongroom.chains.bitcoin.transaction import parse
from strongroom.ledger import codec
from strongroom.ledger.signed_messages import Commitments, Shares, Vote
from strongroom.model.errors import StrongroomError
from strongroom.protocol.evidence import Fault, verify_evidence
from strongroom.protocol.evidence_file import read_evidence_file
from strongroom.protocol.signed import MAX_BODY_BYTES, SignedBody, sign_body
from strongroom.protocol.voter_state import VoterRefused
from strongroom_coordinator.errors import SignerFailed
from strongroom_coordinator.link import SignerLink
from strongroom_signer import requests

pytestmark = pytest.mark.slow


def intercept(signer: Any, request: type[Any], answer: Any) -> None:
    """Let `answer(request, honest handler)` answer these requests of a real signer."""
    honest = signer.service._handlers[request]
    signer.service._handlers[request] = lambda asked: answer(asked, honest)


def wrong_shares(signer: Any) -> Any:
    """Shares with one bit turned, signed all the same."""

    def answer(asked: requests.Release, honest: Any) -> pb.Released:
        released: pb.Released = honest(asked)
        for result in released.results:
            if result.WhichOneof("outcome") == "shares":
                shares = codec.decode(Shares, result.shares.body, max_size=MAX_BODY_BYTES)
                bad = bytes([*shares.shares[0][:-1], shares.shares[0][-1] ^ 1])
                signed = resigned(signer, "shares", shares, shares=(bad, *shares.shares[1:]))
                result.shares.body, result.shares.signature = signed.body, signed.signature
        return released

    return answer


def resigned(signer: Any, kind: str, message: Any, **changes: Any) -> SignedBody:
    fields = {name: getattr(message, name) for name in message.__dataclass_fields__}
    return sign_body(kind, type(message)(**{**fields, **changes}), signer.keys.vote)


async def test_wrong_share_names_its_sender_with_evidence_and_others_sign(tmp_path: Path) -> None:
    async with started(tmp_path) as site:
        await site.make_vault("customer-1")
        liar = site.signers["s1"].signer
        intercept(liar, requests.Release, wrong_shares(liar))
        site.ask_first("s1")
        with capture_logs() as events:
            for _ in range(3):
                assert parse(await site.signed(await site.pay("customer-1", 50_000)))
            await site.pay_until("customer-1", lambda: any(event["event"] == "share.wrong" for event in events))
        blamed = [event for event in events if event["event"] == "share.wrong"]
        assert {event["signer"] for event in blamed} == {"s1"}
        await site.until(lambda: list((tmp_path / "coordinator" / "evidence").glob("*.json")))
        (file,) = (tmp_path / "coordinator" / "evidence").glob("*.json")
        proven = verify_evidence(read_evidence_file(file.read_bytes()), log_id=site.world.log_id)
        assert (proven.signer, proven.fault) == ("s1", Fault.WRONG_SHARE)


async def test_holder_that_stays_silent_in_round_two_is_passed_over(tmp_path: Path) -> None:
    async with started(tmp_path) as site:
        await site.make_vault("customer-1")
        for silent in ("s1", "s2"):
            signer = site.signers[silent].signer
            intercept(signer, requests.Release, lambda _asked, _honest: pb.Released())
            await site.signed(await site.pay("customer-1", 50_000))
            signer.service._handlers[requests.Release] = signer.service._release


async def test_holder_that_leaves_in_round_two_is_passed_over(tmp_path: Path) -> None:
    async with started(tmp_path) as site:
        await site.make_vault("customer-1")
        left = asyncio.Event()

        def leave(name: str) -> Any:
            def answer(_asked: Any, _honest: Any) -> pb.Released:
                left.set()
                site.signers[name].task.cancel()
                return pb.Released()

            return answer

        intercept(site.signers["s1"].signer, requests.Release, leave("s1"))
        site.ask_first("s1")
        orders = [await site.pay("customer-1", 50_000) for _ in range(3)]
        for order in orders:
            await site.signed(order)
        await site.pay_until("customer-1", left.is_set)


async def test_commitments_for_another_plan_leave_their_sender_out(tmp_path: Path) -> None:
    async with started(tmp_path) as site:
        await site.make_vault("customer-1")
        liar = site.signers["s2"].signer

        def answer(asked: requests.Append, honest: Any) -> Any:
            voted = honest(asked)
            for result in voted.commitments if isinstance(voted, pb.Voted) else ():
                message = codec.decode(Commitments, result.commitments.body, max_size=MAX_BODY_BYTES)
                signed = resigned(liar, "commitments", message, plan_hash=bytes(32))
                result.commitments.body, result.commitments.signature = signed.body, signed.signature
            return voted

        intercept(liar, requests.Append, answer)
        for _ in range(3):
            await site.signed(await site.pay("customer-1", 50_000))


async def test_of_many_answers_about_one_plan_only_the_first_is_heard(tmp_path: Path) -> None:
    async with started(tmp_path) as site:
        await site.make_vault("customer-1")

        def answer(asked: requests.Append, honest: Any) -> Any:
            voted = honest(asked)
            if isinstance(voted, pb.Voted) and voted.commitments:
                refusal = pb.CommitmentResult(entry_index=voted.commitments[0].entry_index)
                refusal.refusal.SetInParent()
                del voted.commitments[:]
                voted.commitments.extend([refusal] * 500)
            return voted

        intercept(site.signers["s2"].signer, requests.Append, answer)
        with capture_logs() as events:
            for _ in range(3):
                await site.signed(await site.pay("customer-1", 50_000))
            await site.pay_until("customer-1", lambda: any(event["event"] == "signing.refused" for event in events))
        refused = [event["plan"] for event in events if event["event"] == "signing.refused"]
        assert len(refused) == len(set(refused))


async def test_request_that_fails_as_a_whole_does_not_stop_the_others(tmp_path: Path) -> None:
    async with started(tmp_path) as site:
        await site.make_vault("customer-1")

        def fail(_asked: Any, _honest: Any) -> Any:
            raise SignerFailed("not now", code="NOT_NOW")

        intercept(site.signers["s3"].signer, requests.Release, fail)
        for _ in range(3):
            await site.signed(await site.pay("customer-1", 50_000))


async def test_vote_for_another_state_is_an_alarm_and_does_not_count(tmp_path: Path) -> None:
    async with started(tmp_path) as site:
        await site.genesis_logged()
        liar = site.signers["s1"].signer

        def answer(asked: requests.Append, honest: Any) -> Any:
            voted = honest(asked)
            if isinstance(voted, pb.Voted):
                signed = resigned(liar, "vote", codec.decode(Vote, voted.vote.body), state_digest=bytes(32))
                voted.vote.body, voted.vote.signature = signed.body, signed.signature
            return voted

        intercept(liar, requests.Append, answer)
        with capture_logs() as events:
            logged = await site.submit(site.world.creation("customer-1"), "carol")
            await site.until(lambda: any(event["event"] == "vote.other_head" for event in events))
        assert [vote.signer for vote in logged.certificate.votes] == ["s2", "s3"]


async def test_failed_key_generation_is_tried_again_until_the_vault_stands(tmp_path: Path) -> None:
    async with started(tmp_path) as site:
        await site.genesis_logged()
        signer = site.signers["s3"].signer
        failures = 0

        def fail_first(asked: requests.KeygenRound2, honest: Any) -> Any:
            nonlocal failures
            failures += 1
            if failures < 3:
                raise SignerFailed("the disk of my share store is away", code="STORE_FAILED")
            return honest(asked)

        intercept(signer, requests.KeygenRound2, fail_first)
        with capture_logs() as events:
            await site.make_vault("customer-1")
        attempts = [event["attempt"] for event in events if event["event"] == "keygen.started"]
        # More, if a holder had not got the order yet when it was asked.
        assert failures >= 3
        assert len(attempts) >= 3
        assert attempts == sorted(set(attempts))


async def test_key_generation_waits_for_a_holder_that_is_away(tmp_path: Path) -> None:
    async with Site(tmp_path) as site:
        await site.start_coordinator()
        await site.start_signers("s1", "s2")
        with capture_logs() as events:
            await site.submit(site.world.creation("customer-1"), "carol", "alice", "bob")
            await site.until(lambda: any(event["event"] == "keygen.waiting" for event in events))
            site.start_signer("s3")
            await site.until(lambda: site.side.sequencer.replica.state().vault("customer-1"))


async def test_key_generation_goes_on_after_a_restart(tmp_path: Path) -> None:
    async with Site(tmp_path) as site:
        await site.start_coordinator()
        await site.start_signers("s1", "s2")
        logged = await site.submit(site.world.creation("customer-1"), "carol", "alice", "bob")
        await site.until(lambda: site.side.sequencer.final_size > logged.index)
        port = site.coordinator.port
        await site.stop_coordinator()
        await site.start_coordinator(port=port)
        site.start_signer("s3", port=port)
        await site.until(lambda: site.side.sequencer.replica.state().vault("customer-1"))


async def test_boasted_term_does_not_keep_honest_signers_from_promising(tmp_path: Path) -> None:
    """A signer that claims an absurd term must not make the coordinator ask for one that the others refuse."""

    def boast(hello: pb.Hello) -> pb.Hello:
        hello.term = 2**63
        return hello

    async with Site(tmp_path) as site:
        await site.start_coordinator()
        site.boasts["s1"] = boast
        site.start_signer("s1")
        await site.until(lambda: "s1" in site.side.links.links)
        await site.start_signers("s2", "s3")
        await site.genesis_logged()
        assert site.side.links.links["s1"].hello.term == 2**63
        assert site.side.sequencer.term <= 2**22


async def test_base_whose_bytes_nobody_gives_is_left_out(tmp_path: Path) -> None:
    """One signer alone holds the highest certificate, and nobody who is there gives the entries below it."""
    async with started(tmp_path, tick_ms=60_000) as site:
        await site.genesis_logged()
        await site.until(lambda: len(site.side.terms.ready) == len(site.signers))
        rounds: Any = site.side.rounds
        rounds.hand_out = lambda certificate: None
        logged = await site.submit(site.world.creation("customer-1"), "carol")
        await site.until(lambda: all(item.signer.copy.size == logged.size for item in site.signers.values()))
        certificate = codec.encode(logged.certificate)
        await site.side.links.links["s1"].request(pb.Certify(certificate=certificate), timeout_s=20)
        port = site.coordinator.port
        await site.stop_coordinator()
        await site.stop_signer("s2")

        def refuse(_asked: Any, _honest: Any) -> Any:
            raise KeptBack("ask somebody else")

        for name in ("s1", "s3"):
            intercept(site.signers[name].signer, requests.FetchBatches, refuse)
        # The two that are there can open no term: one of their statements is no use.
        with capture_logs() as events:
            await site.start_coordinator("emptied", port=port)
            await site.until(lambda: [e for e in events if e["event"] == "term.not_opened" and e["unreachable"]])
            assert [e for e in events if e["event"] == "catch_up.failed" and e["signer"] == "s1"]
            assert site.side.sequencer.term == 0
            # With one that gives them, whichever base comes of it, the log goes on.
            site.start_signer("s2")
            await site.until(lambda: site.side.sequencer.term > 0)
        await site.submit(site.world.creation("customer-2"), "carol")


class KeptBack(StrongroomError):
    """A signer's refusal to give entries."""

    reason = "KEPT_BACK"


async def test_charter_of_three_of_five_goes_on_with_two_liars(tmp_path: Path) -> None:
    names = ("s1", "s2", "s3", "s4", "s5")
    signers = tuple(builder.signer(name) for name in names)
    async with Site(tmp_path, signers=signers, witness_quorum=3) as site:
        await site.start_coordinator()
        await site.start_signers(*names)
        await site.make_vault("customer-1", names, threshold=3)
        for name in ("s2", "s4"):
            liar = site.signers[name].signer
            intercept(liar, requests.Release, wrong_shares(liar))
        for _ in range(3):
            await site.signed(await site.pay("customer-1", 50_000))


async def test_signer_that_could_not_adopt_a_base_is_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Site(tmp_path) as site:
        await site.start_coordinator()
        signer = site.start_signer("s1")
        adopt, refusals = signer.voting.open_term, iter([VoterRefused("an alarm is on")])

        def open_term(request: Any, leader: bytes) -> None:
            for refusal in refusals:
                raise refusal
            adopt(request, leader)

        monkeypatch.setattr(signer.voting, "open_term", open_term)
        await site.start_signers("s2", "s3")
        await site.genesis_logged()
        term = site.side.sequencer.term
        await site.until(lambda: "s1" in site.side.terms.ready)
        assert site.side.sequencer.term == term


async def test_signer_that_joins_while_a_term_opens_counts_at_once(tmp_path: Path) -> None:
    async with Site(tmp_path) as site:
        await site.start_coordinator()
        site.start_signer("s1")
        asked = asyncio.Event()
        terms: Any = site.side.terms
        request = SignerLink.request

        async def hang(link: SignerLink, body: Any, **options: Any) -> Any:
            if link.signer == "s1" and isinstance(body, pb.OpenTerm):
                asked.set()
                await asyncio.Event().wait()
            return await request(link, body, **options)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(SignerLink, "request", hang)
            site.start_signer("s2")
            await asyncio.wait_for(asked.wait(), 20)
            assert terms.term == 1
            site.start_signer("s3")
            await site.until(lambda: site.side.sequencer.term == 1)
        assert set(terms.ready) == {"s2", "s3"}
