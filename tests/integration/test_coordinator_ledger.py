"""The coordinator's ledger half against real signers over mutual TLS: terms, batches, signing, and what goes wrong."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path
from typing import Any

import pytest

from coordinator_world import Site, started
from strongroom.api.signer.v1 import signer_link_service_pb2 as pb
from strongroom.chains.bitcoin.transaction import parse
from strongroom.ledger import charter_check_bounds, codec
from strongroom.ledger.charter import LogQuotas
from strongroom.ledger.entry_messages import Entry, Plan, Tick
from strongroom.ledger.merkle import leaf_hash, verify_inclusion
from strongroom.ledger.reasons import Refused, refused
from strongroom.ledger.replica import Batch
from strongroom.ledger.signed_messages import Verb
from strongroom_coordinator import sequencer, unsigned_plans
from strongroom_coordinator.catch_up import serve_batches
from strongroom_coordinator.clock import SystemClock
from strongroom_coordinator.errors import Abandoned
from strongroom_coordinator.subjects import subjects_of
from strongroom_coordinator.terms import Terms
from strongroom_signer import requests


class ShiftedClock(SystemClock):
    """A coordinator's clock that is wrong until it is set right."""

    def __init__(self, shift_ms: int) -> None:
        self.shift_ms = shift_ms

    def wall_ms(self) -> int:
        return super().wall_ms() + self.shift_ms


async def test_approved_withdrawal_is_planned_certified_and_signed(tmp_path: Path) -> None:
    async with started(tmp_path) as site:
        await site.make_vault("customer-1")
        order = await site.pay("customer-1", 100_000)
        transaction = parse(await site.signed(order))
        assert [output.amount_sat for output in transaction.outputs] == [100_000]
        assert len(transaction.inputs[0].witness[0]) == 64


async def test_submission_answers_with_a_proof_under_its_certificate(tmp_path: Path) -> None:
    async with started(tmp_path) as site:
        logged = await site.submit(site.world.creation("customer-1"), "carol")
        head = logged.certificate.head
        assert logged.size == head.size
        verify_inclusion(leaf_hash(logged.entry), logged.index, head.size, logged.path, head.root)
        site.side.voters.verify(logged.certificate)
        assert not logged.already_known


async def test_same_request_again_changes_nothing(tmp_path: Path) -> None:
    async with started(tmp_path) as site:
        await site.genesis_logged()
        order = site.order(site.world.creation("customer-1"))
        entry = site.order_entry(order, "carol")
        first, twin = await asyncio.gather(site.side.sequencer.submit(entry), site.side.sequencer.submit(entry))
        later = await site.side.sequencer.submit(entry)
        assert (first.already_known, twin.already_known, later.already_known) == (False, True, True)
        assert first.index == twin.index == later.index
        assert first.entry == later.entry
        verify_inclusion(leaf_hash(later.entry), later.index, later.size, later.path, later.certificate.head.root)


async def test_refused_submission_is_answered_at_the_door(tmp_path: Path) -> None:
    async with started(tmp_path) as site:
        await site.genesis_logged()
        # A tick follows the genesis, so that it becomes final; then the log rests.
        await site.until(lambda: site.side.sequencer.final_size > 0)
        size = site.side.sequencer.replica.size
        with pytest.raises(Refused) as caught:
            await site.side.sequencer.submit(site.endorse("alice", Verb.APPROVE, bytes(32)))
        assert caught.value.reason == "ORDER_UNKNOWN"
        assert site.side.sequencer.replica.size == size


async def test_each_item_of_a_bulk_submission_has_its_own_outcome(tmp_path: Path) -> None:
    async with started(tmp_path) as site:
        await site.genesis_logged()
        good = [site.order_entry(site.order(site.world.creation(f"customer-{n}")), "carol") for n in range(20)]
        bad = site.endorse("alice", Verb.APPROVE, bytes(32))
        outcomes = await site.side.sequencer.submit_many([*good[:10], bad, *good[10:]])
        assert [isinstance(outcome, Refused) for outcome in outcomes] == [False] * 10 + [True] + [False] * 10


async def test_waiting_head_becomes_final_without_further_orders(tmp_path: Path) -> None:
    async with started(tmp_path) as site:
        logged = await site.submit(site.world.creation("customer-1"), "carol")
        await site.until(lambda: site.side.sequencer.final_size > logged.index)
        size = site.side.sequencer.replica.size
        await asyncio.sleep(0.3)
        # A log in which all that counts is final stays as it is.
        assert site.side.sequencer.replica.size == size
        await site.until(lambda: all(item.signer.voting.final_size > logged.index for item in site.signers.values()))
        await site.until(lambda: site.side.cosignatures.checkpoint().count("—") >= 2)


async def test_withdrawals_go_on_with_one_signer_down_and_it_catches_up(tmp_path: Path) -> None:
    async with started(tmp_path) as site:
        await site.make_vault("customer-1")
        await site.stop_signer("s3")
        for _ in range(3):
            await site.signed(await site.pay("customer-1", 50_000))
        signer = site.start_signer("s3")
        await site.until(lambda: signer.copy.size == site.side.ledger.certified_size)
        await site.stop_signer("s1")
        await site.signed(await site.pay("customer-1", 50_000))


async def test_holder_that_refuses_is_passed_over_and_its_reason_kept(tmp_path: Path) -> None:
    async with started(tmp_path) as site:
        await site.make_vault("customer-1")
        asked = [site.signers[name].signer for name in ("s1", "s2")]
        for signer in asked:
            freeze_locally(signer)
        order = await site.pay("customer-1", 50_000)
        plan = await plan_of(site, order)
        await site.until(lambda: site.side.sessions.refusals(plan))
        assert all("LOCAL_FREEZE" in line for line in site.side.sessions.refusals(plan))
        assert not site.coordinator.signed


async def test_plan_left_unsigned_is_signed_after_a_restart(tmp_path: Path) -> None:
    async with started(tmp_path) as site:
        await site.make_vault("customer-1")
        port = site.coordinator.port
        silent: Any = site.side.sessions
        # The coordinator dies between the two rounds: the plan is certified, no share was asked for.
        silent._outbox.flush = lambda: None
        order = await site.pay("customer-1", 50_000)
        plan = await plan_of(site, order)
        await site.side.ledger.stored()
        await site.stop_coordinator()
        await site.start_coordinator(port=port)
        raw = await site.signed(order)
        assert parse(raw).outputs[0].amount_sat == 50_000
        assert plan in site.coordinator.signed


async def test_more_unsigned_plans_than_are_taken_up_at_once_are_all_signed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unsigned_plans, "MAX_RESUMED", 2)
    async with started(tmp_path) as site:
        await site.make_vault("customer-1")
        port = site.coordinator.port
        silent: Any = site.side.sessions
        silent._outbox.flush = lambda: None
        orders = [await site.pay("customer-1", 50_000 + number) for number in range(5)]
        await site.side.ledger.stored()
        await site.stop_coordinator()
        await site.start_coordinator(port=port)
        for order in orders:
            await site.signed(order)


async def test_emptied_database_is_rebuilt_from_the_signers(tmp_path: Path) -> None:
    async with started(tmp_path) as site:
        await site.make_vault("customer-1")
        order = await site.pay("customer-1", 50_000)
        await site.signed(order)
        # A certificate that no signer was given yet is gone with the database.
        await site.until(lambda: site.side.sequencer.final_size + 1 >= site.side.ledger.certified_size)
        await all_hold_the_newest_certificate(site)
        certified = site.side.ledger.certified_size
        root = site.side.sequencer.replica.root_at(certified)
        port = site.coordinator.port
        await site.stop_coordinator()
        await site.start_coordinator("emptied", port=port)
        await site.until(lambda: site.side.ledger.certified_size > certified)
        assert site.side.sequencer.replica.root_at(certified) == root
        assert site.side.sequencer.replica.state().order(order) is not None
        stored = await site.side.ledger.batches(0, certified, max_bytes=1 << 20)
        assert sum(len(batch.entries) for batch in stored) == certified
        await site.signed(await site.pay("customer-1", 60_000))


async def test_restarted_coordinator_answers_a_repeated_request_with_the_first_receipt(tmp_path: Path) -> None:
    async with started(tmp_path) as site:
        await site.genesis_logged()
        entry = site.order_entry(site.order(site.world.creation("customer-1")), "carol")
        first = await site.side.sequencer.submit(entry)
        await site.side.ledger.stored()
        port = site.coordinator.port
        await site.stop_coordinator()
        await site.start_coordinator(port=port)
        await site.until(lambda: site.side.sequencer.term > 1)
        again = await site.side.sequencer.submit(entry)
        assert (again.index, again.entry, again.already_known) == (first.index, first.entry, True)


async def test_second_leader_fences_the_first_and_the_log_goes_on(tmp_path: Path) -> None:
    async with started(tmp_path) as site:
        await site.make_vault("customer-1")
        first = site.coordinator
        late = site.order_entry(site.order(site.world.creation("late")), "carol")
        second = await site.start_coordinator("second")
        for name in ("s2", "s3"):
            await site.stop_signer(name)
            site.start_signer(name, port=second.port)
        await site.until(lambda: second.side.sequencer.term > first.side.sequencer.term)
        await site.signed(await site.pay("customer-1", 50_000))
        # The fenced one cannot get w votes, whatever it still has to log.
        waiting = asyncio.create_task(first.side.sequencer.submit(late))
        await asyncio.sleep(0.3)
        assert not waiting.done()
        # A signer that voted for its batch meanwhile comes over and drops it.
        await site.stop_signer("s1")
        signer = site.start_signer("s1", port=second.port)
        await site.until(lambda: signer.copy.size == second.side.ledger.certified_size)
        assert signer.copy.replica.root_at(signer.copy.size) == second.side.sequencer.replica.root_at(signer.copy.size)
        waiting.cancel()


async def test_what_a_vanished_certificate_covered_is_logged_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The coordinator held the only copy of a certificate, and no signer takes it from it any more."""
    async with started(tmp_path, tick_ms=60_000) as site:
        await site.genesis_logged()
        rounds: Any = site.side.rounds
        rounds.hand_out = lambda certificate: None
        logged = await site.submit(site.world.creation("customer-1"), "carol")
        await site.side.ledger.stored()
        port = site.coordinator.port
        await site.stop_coordinator()
        monkeypatch.setattr(Terms, "_show_certificate", lambda _terms, _link: None)
        await site.start_coordinator(port=port)
        await site.until(lambda: site.side.sequencer.term > 1)
        order = subjects_of(codec.decode(Entry, logged.entry).body)[0]
        side = site.side
        await site.until(lambda: side.sequencer.replica.state(side.ledger.certified_size).order(order) is not None)
        again = await site.side.ledger.entry_of_subject(order)
        assert again is not None
        assert again[1] != logged.entry


async def test_people_are_heard_when_the_coordinators_bytes_of_the_day_are_used_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(charter_check_bounds, "LEAST_COORDINATOR_BYTES", 1)
    quotas = LogQuotas(coordinator_bytes_per_day=1, person_bytes_per_day=1_000_000)
    async with Site(tmp_path, log=quotas) as site:
        await site.start_coordinator()
        await site.start_signers()
        first = await site.submit(site.world.creation("customer-1"), "carol")
        await site.side.ledger.stored()
        port = site.coordinator.port
        await site.stop_coordinator()
        await site.start_coordinator(port=port)
        second = await site.submit(site.world.creation("customer-2"), "carol")
        assert second.index == first.index + 1


async def test_split_heads_are_healed_by_the_next_term(tmp_path: Path) -> None:
    """A leader that showed every signer another batch leaves nothing stuck."""
    async with started(tmp_path) as site:
        await site.make_vault("customer-1")
        await site.until(lambda: site.side.sequencer.final_size + 1 >= site.side.ledger.certified_size)
        await all_hold_the_newest_certificate(site)
        split = site.side.ledger.certified_size
        term = site.side.sequencer.term
        for number, item in enumerate(site.signers.values()):
            vote_for_own_batch(site, item.signer, bytes([number]) * 16)
        assert len({item.signer.copy.replica.root_at(split + 1) for item in site.signers.values()}) == 3
        order = await site.pay("customer-1", 50_000)
        await site.signed(order)
        assert site.side.sequencer.term > term
        await site.until(
            lambda: len({item.signer.copy.replica.root_at(split + 1) for item in site.signers.values()}) == 1
        )


async def test_batch_with_a_wrong_time_is_stamped_again_in_a_new_term(tmp_path: Path) -> None:
    async with Site(tmp_path) as site:
        clock = ShiftedClock(-120_000)
        await site.start_coordinator(clock=clock)
        await site.start_signers()
        await site.until(lambda: site.side.sequencer.term >= 2)
        assert site.side.sequencer.certificate is None
        clock.shift_ms = 0
        await site.make_vault("customer-1")
        await site.signed(await site.pay("customer-1", 50_000))


async def test_entry_that_signers_refuse_is_answered_and_the_rest_goes_on(tmp_path: Path) -> None:
    """Signers of another build refuse what this coordinator's build accepts: only its submitter is affected."""
    async with started(tmp_path) as site:
        await site.genesis_logged()
        await site.submit(site.world.creation("customer-0"), "carol")
        orders = [site.order(site.world.creation(f"customer-{number}")) for number in range(1, 4)]
        victim = hashlib.sha256(orders[1]).digest()
        for item in site.signers.values():
            refuse_order(item.signer, victim)
        term = site.side.sequencer.term
        outcomes = await site.side.sequencer.submit_many([site.order_entry(order, "carol") for order in orders])
        assert [type(outcome).__name__ for outcome in outcomes] == ["Logged", "Abandoned", "Logged"]
        assert isinstance(outcomes[1], Abandoned)
        assert "ORDER_UNKNOWN" in outcomes[1].message
        assert site.side.sequencer.term > term


async def test_plan_that_signers_refused_is_put_before_them_again_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sequencer, "REFUSED_PLAN_S", 0.3)
    async with started(tmp_path) as site:
        await site.make_vault("customer-1")
        judges = [(item.signer, item.signer.copy.preview) for item in site.signers.values()]
        for signer, accept in judges:
            refuse_plans(signer, accept)
        order = await site.pay("customer-1", 50_000)
        await site.until(lambda: site.side.sequencer._refused_plans)
        for signer, accept in judges:
            signer.copy.preview = accept  # type: ignore[method-assign]
        await site.signed(order)


async def test_entries_beyond_what_a_database_counts_to_are_not_fetched(tmp_path: Path) -> None:
    async with started(tmp_path) as site:
        await site.genesis_logged()
        request = pb.FetchBatches(first_index=2**63, end_index=2**63 + 1)
        answer = await serve_batches(site.side.ledger, request)
        assert isinstance(answer, pb.Failed)
        assert answer.reason == "FETCH_RANGE"


async def test_freeze_from_a_signers_operator_enters_the_log(tmp_path: Path) -> None:
    async with started(tmp_path) as site:
        await site.genesis_logged()
        freeze_locally(site.signers["s2"].signer)
        await site.stop_signer("s2")
        site.start_signer("s2")
        await site.until(lambda: list(site.side.sequencer.replica.state().freezes()))


async def all_hold_the_newest_certificate(site: Site) -> None:
    """Wait until every signer has the newest certificate, of which a quorum is all that anybody waits for."""

    def hold_it() -> bool:
        newest = site.side.ledger.certificate
        return all(item.signer.voting.state.held == newest for item in site.signers.values())

    await site.until(lambda: len(site.side.terms.ready) == len(site.signers) and hold_it())


async def plan_of(site: Site, order: bytes) -> bytes:
    """Hash of the order's plan, once it is certified."""

    def plan() -> Any:
        record = site.side.sequencer.replica.state().order(order)
        return record.plans[0] if record is not None and record.plans else None

    await site.until(plan)
    found: bytes = plan()
    return found


def vote_for_own_batch(site: Site, signer: Any, salt: bytes) -> None:
    """Let one signer vote for a batch that no other gets."""
    entry = codec.encode(Entry(salt=salt, time_ms=site.clock.wall_ms(), body=Tick()))
    size = signer.copy.size
    preview = signer.copy.replica.preview(Batch(first_index=size, entries=(entry,)))
    signer.voting.append(
        requests.Append(
            term=site.side.sequencer.term,
            first_index=size,
            entries=(entry,),
            root=preview.root,
            certificate=None,
            commit_for=(),
        )
    )


def refuse_order(signer: Any, order_hash: bytes) -> None:
    """Make a signer judge one order otherwise, as another build would."""
    accept = signer.copy.preview

    def judge(first_index: int, entries: Any) -> Any:
        for offset, data in enumerate(entries):
            body = codec.decode(Entry, data).body
            if hashlib.sha256(getattr(body, "order", b"")).digest() == order_hash:
                raise refused("ORDER_UNKNOWN", "another build says so", entry=str(first_index + offset))
        return accept(first_index, entries)

    signer.copy.preview = judge


def refuse_plans(signer: Any, accept: Any) -> None:
    """Make a signer refuse every plan."""

    def judge(first_index: int, entries: Any) -> Any:
        for offset, data in enumerate(entries):
            if isinstance(codec.decode(Entry, data).body, Plan):
                raise refused("PLAN_CONFLICT", "it says so", entry=str(first_index + offset))
        return accept(first_index, entries)

    signer.copy.preview = judge


def freeze_locally(signer: Any) -> None:
    """What `strongroom-signer freeze` does."""
    signer.inbox.freeze("", "drill")
