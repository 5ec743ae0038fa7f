"""Batches tried, taken, dropped and folded."""

from __future__ import annotations

import hashlib

import pytest

from ledger_world import World
from strongroom.ledger import charter_check_bounds, merkle, replica
from strongroom.ledger.charter import LogQuotas
from strongroom.ledger.codec import NotCanonical
from strongroom.ledger.entry_messages import Tick
from strongroom.ledger.reasons import Refused, StateDamaged
from strongroom.ledger.replica import Batch, Replica, ReplicaRange
from strongroom.ledger.signed_messages import Verb
from strongroom.ledger.state import record_key
from strongroom.ledger.view import MemoryStore, Overlay


@pytest.fixture
def world() -> World:
    world = World.started()
    for size in (3, 1, 4):
        world.later(1_000)
        world.log(*[Tick()] * size)
    return world  # borders 1, 4, 5, 9


def fold(world: World, size: int) -> None:
    world.base.update(world.replica.fold(size))
    world.replica.folded(size)


def test_a_preview_changes_nothing(world: World) -> None:
    before = world.replica.head()
    preview = world.replica.preview(world.batch(Tick(), Tick()))
    assert world.replica.head() == before
    assert preview.size == 11
    world.replica.push(preview)
    assert world.replica.head() == (preview.root, preview.state_digest)
    assert world.replica.state().time_ms == preview.time_ms


def test_the_root_is_that_of_all_entries(world: World) -> None:
    leaves = [merkle.leaf_hash(entry) for batch in world.batches for entry in batch.entries]
    assert world.replica.head()[0] == merkle.root_of(leaves)
    for size in range(10):
        assert world.replica.root_at(size) == merkle.root_of(leaves[:size])
    assert world.replica.root_at(10) is None
    assert world.replica.entry_hash(8) == leaves[8]
    with pytest.raises(ReplicaRange):
        world.replica.entry_hash(9)


def test_proofs_hold_at_every_size(world: World) -> None:
    replica = world.replica
    fold(world, 5)
    for size in range(1, 10):
        root = replica.root_at(size)
        assert root is not None
        for index in range(size):
            merkle.verify_inclusion(replica.entry_hash(index), index, size, replica.inclusion_path(index, size), root)
        newest = replica.head()[0]
        merkle.verify_consistency(size, root, 9, newest, replica.consistency_path(size, 9))
    with pytest.raises(ReplicaRange):
        replica.inclusion_path(0, 10)


def test_truncating_goes_back_to_the_end_of_a_batch(world: World) -> None:
    previews = world.previews
    world.replica.truncate(4)
    assert world.replica.batch_borders() == (0, 1, 4)
    assert world.replica.head() == (previews[1].root, previews[1].state_digest)
    for size in (2, 5, 9):
        with pytest.raises(ReplicaRange):
            world.replica.truncate(size)
    world.later(5_000)
    world.log(Tick())
    assert world.replica.size == 5
    assert world.replica.root_at(5) != previews[2].root


def test_folding_moves_the_base_and_keeps_every_answer(world: World) -> None:
    heads = {size: world.replica.head(size) for size in (4, 5, 9)}
    fold(world, 5)
    assert world.replica.batch_borders() == (5, 9)
    assert {size: world.replica.head(size) for size in (5, 9)} == {size: heads[size] for size in (5, 9)}
    for size in (4, 1):
        with pytest.raises(ReplicaRange):
            world.replica.truncate(size)
        with pytest.raises(ReplicaRange):
            world.replica.state(size)
    again = Replica(world.base, log_id=world.log_id)
    assert (again.size, again.head()) == (5, heads[5])


def test_folded_wants_the_writes_stored_first(world: World) -> None:
    world.replica.fold(5)
    with pytest.raises(ReplicaRange):
        world.replica.folded(5)


def test_a_preview_of_another_head_is_not_taken(world: World) -> None:
    stale = world.replica.preview(world.batch(Tick()))
    world.log(Tick())
    with pytest.raises(ReplicaRange):
        world.replica.push(stale)
    world.replica.truncate(9)
    world.later(1)
    world.log(Tick())
    fresh = world.replica.preview(world.batch(Tick()))
    world.replica.truncate(9)
    world.later(1)
    world.log(Tick())
    with pytest.raises(ReplicaRange):
        world.replica.push(fresh)  # same size, another history


def test_a_preview_made_before_a_fold_is_taken_after_it(world: World) -> None:
    preview = world.replica.preview(world.batch(Tick()))
    fold(world, 9)
    world.replica.push(preview)
    assert world.replica.head() == (preview.root, preview.state_digest)


def test_batches_are_bounded(world: World) -> None:
    size = world.replica.size
    for batch in (
        Batch(first_index=size, entries=()),
        Batch(first_index=size - 1, entries=world.batch(Tick()).entries),
        Batch(first_index=size, entries=world.batch(Tick()).entries * 4_097),
        Batch(first_index=size, entries=(bytes(65_000),) * 130),
    ):
        with pytest.raises(Refused) as caught:
            world.replica.preview(batch)
        assert caught.value.reason == "BATCH_MALFORMED"
    with pytest.raises(NotCanonical):
        world.replica.preview(Batch(first_index=size, entries=(bytes(65_536),)))


def test_a_draft_is_full_at_the_bound_of_a_batch(world: World) -> None:
    draft = world.replica.draft()
    for entry in world.batch(*[Tick()] * 4_096).entries:
        draft.add(entry)
    with pytest.raises(Refused) as caught:
        draft.add(world.entry(Tick()))
    assert caught.value.reason == "BATCH_FULL"
    assert draft.finish().size == 9 + 4_096


def test_a_draft_is_full_at_as_many_bytes_as_a_batch_has(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = world.entry(Tick())
    monkeypatch.setattr(replica, "MAX_BATCH_BYTES", 2 * len(entry) - 1)
    draft = world.replica.draft()
    draft.add(entry)
    with pytest.raises(Refused, match="the batch has 1 entries"):
        draft.add(entry)


def test_what_ends_no_batch_is_not_folded_and_what_is_not_there_not_proven(world: World) -> None:
    world.log(Tick(), Tick())
    end = world.replica.size
    with pytest.raises(ReplicaRange):
        world.replica.fold(end - 1)
    with pytest.raises(ReplicaRange):
        world.replica.consistency_path(end - 1, end + 1)


def test_an_empty_draft_is_no_batch(world: World) -> None:
    with pytest.raises(Refused) as caught:
        world.replica.draft().finish()
    assert caught.value.reason == "BATCH_MALFORMED"


def test_a_refused_entry_leaves_no_trace_in_a_draft(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(charter_check_bounds, "LEAST_PERSON_BYTES", 1)
    world = World.started(log=LogQuotas(coordinator_bytes_per_day=10**9, person_bytes_per_day=10))
    clean, tried = world.replica.draft(), world.replica.draft()
    # The order is written before its author's quota is found used up.
    entry, refused = world.entry(Tick()), world.entry(world.order_entry(world.order(world.creation("new")), "carol"))
    for draft in (clean, tried):
        draft.add(entry)
    with pytest.raises(Refused) as caught:
        tried.add(refused)
    assert (caught.value.reason, caught.value.facts["entry"]) == ("LOG_QUOTA", "2")
    assert not list(tried.state.open_orders())
    assert tried.finish().state_digest == clean.finish().state_digest


def test_a_damaged_store_stops_the_entry_and_leaves_no_trace_either(world: World) -> None:
    order_hash = world.submit(world.creation("new"), "carol")
    fold(world, world.replica.size)
    world.base.put(record_key(b"orders", 0), b"")
    world.log(Tick())
    draft = world.replica.draft()
    with pytest.raises(StateDamaged):
        draft.add(world.entry(world.endorse("alice", Verb.APPROVE, order_hash)))
    draft.add(world.entry(Tick()))
    assert draft.finish().size == world.replica.size + 1


def test_what_is_folded_is_kept_alive_by_no_later_batch(world: World) -> None:
    last = world.previews[-1]
    early = world.replica.preview(world.batch(Tick()))
    fold(world, 5)
    assert last.overlay.parent is world.base
    fold(world, 9)
    world.replica.push(early)
    assert early.overlay.parent is world.base


def steps_down(replica: Replica) -> int:
    """How many copies are looked at for a key that was never written."""
    view, steps = replica.state()._view, 0
    while isinstance(view, Overlay):
        view, steps = view.parent, steps + 1
    return steps


def test_thousands_of_batches_that_are_not_final_are_read_in_few_steps_and_fold_at_once() -> None:
    world = World.started()
    order = world.submit(world.creation("new"), "carol")
    fold(world, world.replica.size)
    most = 0
    for _ in range(3_000):
        world.log(Tick())
        most = max(most, steps_down(world.replica))
    # Three powers of sixteen, and the base.
    assert most <= 3 * 15 + 1
    assert world.state.order(order) is not None
    newest = world.replica.head()
    assert newest == (world.previews[-1].root, world.previews[-1].state_digest)
    fold(world, world.replica.size)
    assert (world.replica.head(), world.replica.batch_borders()) == (newest, (world.replica.size,))
    assert Replica(world.base, log_id=world.log_id).head() == newest


def test_merged_layers_are_cut_and_folded_at_every_border(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("strongroom.ledger.replica._MERGED", 2)
    origin = World.started()
    for number in range(11):
        origin.later(1_000)
        entry = origin.order_entry(origin.order(origin.creation(f"new-{number}")), "carol")
        origin.log(entry if number % 3 == 0 else Tick())
    heads = {preview.size: (preview.root, preview.state_digest) for preview in origin.previews}
    for cut in range(1, 13):
        for folded in range(1, cut + 1):
            base = MemoryStore()
            replica = Replica(base, log_id=origin.log_id)
            for batch in origin.batches:
                replica.push(replica.preview(batch))
            replica.truncate(cut)
            base.update(replica.fold(folded))
            replica.folded(folded)
            held = {id(layer.overlay) for layer in replica._layers}
            for size in range(folded, cut + 1):
                assert replica.head(size) == heads[size]
                assert replica.state(size).size == size
                view = replica.state(size)._view
                while isinstance(view, Overlay):
                    assert id(view) in held
                    view = view.parent
                assert view is base
            for batch in origin.batches[cut:]:
                replica.push(replica.preview(batch))
            assert replica.head() == heads[12]


def test_the_border_up_to_a_size_is_the_last_that_can_be_read(world: World) -> None:
    fold(world, 4)
    found = {size: world.replica.border_up_to(size) for size in range(3, 12)}
    assert found == {3: None, 4: 4, 5: 5, 6: 5, 7: 5, 8: 5, 9: 9, 10: 9, 11: 9}
    assert [size for size in range(12) if world.replica.is_border(size)] == [4, 5, 9]


def test_how_entries_are_cut_into_batches_does_not_matter(world: World) -> None:
    entries = [entry for batch in world.batches for entry in batch.entries]
    other = Replica(MemoryStore(), log_id=world.log_id)
    for index, entry in enumerate(entries):
        other.push(other.preview(Batch(first_index=index, entries=(entry,))))
    assert other.head() == world.replica.head()


def test_an_empty_log_has_a_root_and_no_digest() -> None:
    replica = World().replica
    assert replica.head() == (hashlib.sha256(b"").digest(), b"")
    assert (replica.size, replica.batch_borders()) == (0, (0,))
    assert replica.state().charter_record is None
    with pytest.raises(Refused):
        _ = replica.state().charter


def test_an_overlay_takes_one_entry_at_a_time() -> None:
    overlay = Overlay(MemoryStore())
    overlay.put(b"a", b"1")
    overlay.begin()
    overlay.put(b"a", b"2")
    assert overlay.get(b"a") == b"2"
    with pytest.raises(RuntimeError):
        overlay.begin()
    overlay.rollback()
    assert overlay.get(b"a") == b"1"
