"""Records, their proofs against the state digest, and the table of reasons."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest

import charter_builder as builder
from handover_world import HandoverWorld
from ledger_world import BTC, World
from strongroom.ledger import codec, reasons, schedule, windows
from strongroom.ledger import state as state_module
from strongroom.ledger.key_material import public_shares
from strongroom.ledger.merkle import ProofInvalid
from strongroom.ledger.mutable_state import MutableState
from strongroom.ledger.reasons import REASONS, Refused, StateDamaged, refused
from strongroom.ledger.record_proof import state_digest, verify_record_proof
from strongroom.ledger.records import TABLES, CharterRecord, FreezeRecord, OrderRecord, PlanRecord, VaultRecord
from strongroom.ledger.replica import Replica
from strongroom.ledger.signed_messages import KeyMaterial, Verb
from strongroom.ledger.state import State
from strongroom.ledger.view import MemoryStore, Overlay

VAULT = "customer-1"


@pytest.fixture(scope="module")
def world() -> World:
    world = World.started()
    for name in (VAULT, "customer-2", "customer-3"):
        world.make_vault(name)
    order = world.pay(VAULT, 100_000)
    world.log_plan([order], [world.coin(200_000)])
    world.log(world.signer_freeze())
    return world


def test_a_record_is_proven_in_the_digest_that_signers_vote_for(world: World) -> None:
    state, digest = world.state, world.replica.head()[1]
    order = state.order_at(state.orders_count - 1)
    cases = {
        CharterRecord: state.record_proof(b"charter", b""),
        VaultRecord: state.record_proof(b"vaults", b"customer-2"),
        OrderRecord: state.record_proof(b"orders", order.hash),
        PlanRecord: state.record_proof(b"plans", order.plans[0]),
        FreezeRecord: state.record_proof(b"freezes", state.freezes()[0].id),
    }
    for cls, proof in cases.items():
        verify_record_proof(proof, digest)
        codec.decode(cls, proof.record)


def test_a_record_that_was_altered_or_moved_is_not_proven(world: World) -> None:
    digest = world.replica.head()[1]
    proof = world.state.record_proof(b"vaults", b"customer-2")
    other = world.state.record_proof(b"vaults", b"customer-3")
    wrong = [
        replace(proof, record=proof.record + b"\0"),
        replace(proof, record=other.record),
        replace(proof, sequence=proof.sequence + 1),
        replace(proof, path=other.path[:-1]),
        replace(proof, table=b"orders"),
        replace(proof, table=b"nothing"),
        replace(proof, time_ms=proof.time_ms + 1),
        replace(proof, rule_set=2),
        replace(proof, table_roots=proof.table_roots[::-1]),
        replace(proof, table_roots=proof.table_roots[:-1]),
        replace(proof, time_ms=2**64),
    ]
    for one in wrong:
        with pytest.raises(ProofInvalid):
            verify_record_proof(one, digest)
    with pytest.raises(ProofInvalid):
        verify_record_proof(proof, bytes(32))


def test_the_digest_is_the_hash_the_format_says(world: World) -> None:
    state = world.state
    roots = state.table_roots()
    assert len(roots) == len(TABLES) == 8
    tables = b"".join(table.count.to_bytes(8, "big") + table.root for table in roots)
    data = b"strongroom/state/v1" + (1).to_bytes(4, "big") + world.time_ms.to_bytes(8, "big") + tables
    assert hashlib.sha256(data).digest() == state.digest() == state_digest(1, world.time_ms, roots)


def test_proving_what_is_not_there_is_an_error(world: World) -> None:
    with pytest.raises(StateDamaged):
        world.state.record_proof(b"vaults", b"nowhere")


def test_a_store_that_lost_a_record_is_found_out(world: World) -> None:
    store = MemoryStore()
    for key, value in world.replica.fold(world.replica.size).items():
        if not key.startswith(b"r/vaults/"):
            store.put(key, value)
    with pytest.raises(StateDamaged):
        State(store, world.log_id).vault(VAULT)


def test_every_reason_is_a_class_of_its_own_with_meaning_and_remedy() -> None:
    for code, reason in REASONS.items():
        refusal = refused(code, "why", entry="1")
        assert isinstance(refusal, Refused)
        assert (type(refusal).reason, refusal.kind, refusal.facts) == (code, reason.kind, {"entry": "1"})
        assert reason.meaning.endswith(".")
        assert reason.remedy.endswith(".")
    assert len({type(refused(code, "")) for code in REASONS}) == len(REASONS)
    assert reasons.Refused.reason not in REASONS


def test_attack_large_records_do_not_fill_the_memory_of_decoded_ones() -> None:
    """What the coordinator can make large is remembered by bytes, not only by number."""
    memo = state_module._Memo()
    large = [number.to_bytes(4, "big") * 250_000 for number in range(40)]
    for data in large:
        memo.note(OrderRecord, data, object())
        kept = sum(map(len, memo._known[OrderRecord]))
        assert len(data) <= kept <= state_module._MEMO_BYTES
    assert memo.decode(OrderRecord, large[-1]) is memo._known[OrderRecord][large[-1]]


def test_an_empty_log_has_neither_witnesses_nor_records_to_prove(world: World) -> None:
    empty = Replica(MemoryStore(), log_id=world.log_id).state()
    with pytest.raises(Refused, match="no genesis"):
        _ = empty.witnesses
    with pytest.raises(StateDamaged, match="has no record"):
        empty.record_proof(b"charter", b"")


def test_a_plan_that_a_record_names_and_that_is_not_there_is_damage(world: World) -> None:
    with pytest.raises(StateDamaged, match="has no record"):
        world.state.known_plan(bytes(32))


def test_an_electorate_that_is_counted_and_not_there_is_damage(world: World) -> None:
    class Holed:
        """The state's own keys and values, without any electorate."""

        def get(self, key: bytes) -> bytes | None:
            return None if key.startswith(state_module.ELECTORATE_PREFIX) else world.state._view.get(key)

    with pytest.raises(StateDamaged, match="electorate 0 is missing"):
        State(Holed(), world.log_id).electorates()


def test_a_window_holds_the_payments_of_the_vaults_that_the_rule_names(world: World) -> None:
    totals = {
        globs: world.state.window_total(globs, BTC, 0, world.time_ms)
        for globs in (("*",), (VAULT,), ("customer-2", VAULT), ("customer-2",), ("treasury-*",), ())
    }
    paid = 100_000
    assert list(totals.values()) == [paid, paid, paid, 0, 0, 0]


def test_a_record_that_is_not_there_cannot_be_changed(world: World) -> None:
    order = world.state.order_at(0)
    empty = MutableState(Overlay(MemoryStore()), world.log_id)
    with pytest.raises(StateDamaged, match="not indexed"):
        empty.change_order(order)


def test_key_material_has_as_many_commitments_as_its_threshold_and_no_fewer_holders() -> None:
    hosts = tuple(builder.signer(name).host_key for name in ("s1", "s2", "s3"))
    key = KeyMaterial(threshold=2, commitments=hosts[:2], host_keys=hosts, chain_code=bytes(32))
    assert len(public_shares(key)) == 3
    for wrong in (replace(key, threshold=3), replace(key, commitments=hosts), replace(key, host_keys=hosts[:1])):
        with pytest.raises(Refused, match="do not fit a threshold"):
            public_shares(wrong)


@pytest.mark.parametrize("left", [b"", bytes(8), bytes(200)])
def test_a_sum_of_a_window_that_is_gone_or_of_another_length_is_damage(left: bytes) -> None:
    """Else a maximum would be held against less than was paid."""
    store, series = MemoryStore(), windows.payment_series("rule", BTC)
    windows.add(store, series, 1_000, 5)
    assert windows.total(store, series, 0, 1_000) == 5
    store.put(windows._key(series, 0), left)
    holed = MemoryStore()
    holed.update({key: value for key, value in store.items() if key != windows._key(series, 0)})
    for damaged in (store, holed):
        with pytest.raises(StateDamaged, match="sum 0 of window"):
            windows.total(damaged, series, 0, 1_000)


def test_an_order_that_is_given_another_time_is_due_once() -> None:
    view = Overlay(MemoryStore())
    for sequence, due_ms in ((7, 50), (8, 40), (7, 30)):
        schedule.put(view, sequence, due_ms)
    assert (schedule.scheduled(view), schedule.next_due_ms(view)) == (((30, 7), (40, 8)), 30)
    schedule.remove(view, 7)
    assert schedule.scheduled(view) == ((40, 8),)


def test_what_waits_is_open_or_scheduled_or_hands_over() -> None:
    """Whatever is neither has ended, or waits for a plan's transaction only."""
    handing_over = HandoverWorld()
    world = handing_over.world
    world.make_vault(VAULT)
    ended, planned, waits = (world.pay(VAULT, amount) for amount in (100_000, 100_001, 100_002))
    world.reject(ended, "carol")
    world.log_plan([planned], [world.coin(200_000)])
    scheduled = world.amend(loosening_delay_ms=world.charter.loosening_delay_ms - 1)
    assert waiting(world) == {waits, scheduled}
    world.log(world.endorse("carol", Verb.REJECT, scheduled))
    signers = (builder.signer(name) for name in ("s1", "s2", "s4"))
    handover = handing_over.want(handing_over.next_charter(*signers, quorum=2))
    assert world.state.witnesses.amendment == handover
    assert waiting(world) == {waits, handover}


def waiting(world: World) -> set[bytes]:
    return {world.state.order_at(number).hash for number in world.state.waiting_numbers()}
