"""The door: submissions are tried at once, wait in the draft of the next batch, and survive an abandoned one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from ledger_world import START_MS, World
from strongroom.ledger import codec
from strongroom.ledger.entry_messages import Entry, Plan, Tick
from strongroom.ledger.reasons import Refused
from strongroom.ledger.signed_messages import Verb
from strongroom.ledger.state import State
from strongroom_coordinator import door as module
from strongroom_coordinator.door import Door, Overloaded, Pending
from strongroom_coordinator.errors import NotReady


class HandClock:
    """Moved by hand."""

    def __init__(self) -> None:
        self.now_ms = START_MS + 1_000

    def wall_ms(self) -> int:
        return self.now_ms

    def monotonic(self) -> float:
        return self.now_ms / 1000


class Scene:
    """A log with its genesis, and a door on it."""

    def __init__(self) -> None:
        self.world = World.started()
        self.clock = HandClock()
        self.door = Door(lambda: self.world.replica, clock=self.clock, random=self.world.fresh)
        self.door.open()

    def vault_order(self, name: str, *, number: int = 0) -> Pending:
        order = self.world.order(self.world.creation(name), note=f"{number}" if number else "")
        return Pending(self.world.order_entry(order, "carol"), name.encode())

    def enter(self, *names: str) -> list[Pending]:
        entered = [self.vault_order(name) for name in names]
        for pending in entered:
            self.door.enter(pending)
        return entered


async def test_accepted_submissions_make_one_batch_of_one_time() -> None:
    scene = Scene()
    first, second = scene.enter("a", "b")
    batch = scene.door.take(plans=None)
    assert batch is not None
    assert batch.pending == (first, second)
    assert (first.index, second.index) == (1, 2)
    assert batch.preview.batch.entries == (first.entry, second.entry)
    entries = [codec.decode(Entry, entry) for entry in batch.preview.batch.entries]
    assert {entry.time_ms for entry in entries} == {scene.clock.now_ms}
    assert len({entry.salt for entry in entries}) == 2
    assert scene.door.take(plans=None) is None


async def test_refusal_is_raised_at_once_and_leaves_no_trace() -> None:
    scene = Scene()
    scene.enter("a")
    with pytest.raises(Refused):
        scene.door.enter(Pending(scene.world.endorse("alice", Verb.APPROVE, bytes(32)), b"x"))
    batch = scene.door.take(plans=None)
    assert batch is not None
    assert len(batch.preview.batch.entries) == 1


async def test_submission_is_tried_on_what_waits_before_it() -> None:
    scene = Scene()
    scene.enter("a")
    twin = scene.vault_order("a")
    order = scene.world.order(scene.world.creation("b"))
    entry = scene.world.order_entry(order, "carol")
    scene.door.enter(Pending(entry, b"b"))
    with pytest.raises(Refused) as caught:
        scene.door.enter(Pending(entry, b"b"))
    assert caught.value.reason == "ALREADY_KNOWN"
    assert twin.index == -1


async def test_log_time_never_falls_behind_the_log() -> None:
    scene = Scene()
    scene.clock.now_ms = START_MS - 60_000
    batch = scene.door.take(plans=None, forced=(Tick(),))
    assert batch is not None
    assert batch.preview.time_ms == START_MS


async def test_old_draft_is_stamped_again() -> None:
    scene = Scene()
    (pending,) = scene.enter("a")
    scene.clock.now_ms += module.MAX_DRAFT_AGE_MS + 1
    batch = scene.door.take(plans=None)
    assert batch is not None
    assert batch.preview.time_ms == scene.clock.now_ms
    assert batch.pending == (pending,)


async def test_what_waits_is_tried_when_the_door_opens_and_each_is_answered_alone() -> None:
    scene = Scene()
    scene.door.close()
    good, bad = scene.vault_order("a"), Pending(scene.world.endorse("alice", Verb.APPROVE, bytes(32)), b"x")
    scene.door.enter(good)
    scene.door.enter(bad)
    scene.door.open()
    batch = scene.door.take(plans=None)
    assert batch is not None
    assert batch.pending == (good,)
    assert isinstance(bad.future.exception(), Refused)


async def test_abandoned_batch_waits_again_before_later_submissions() -> None:
    scene = Scene()
    (early,) = scene.enter("a")
    batch = scene.door.take(plans=None)
    assert batch is not None
    late = scene.vault_order("b")
    scene.world.replica.push(batch.preview)
    scene.door.enter(late)
    scene.door.put_back(batch)
    scene.door.close()
    scene.world.replica.truncate(1)
    scene.door.open()
    again = scene.door.take(plans=None)
    assert again is not None
    assert again.pending == (early, late)
    assert (early.index, late.index) == (1, 2)


async def test_what_a_term_change_dropped_is_taken_though_too_much_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_WAITING", 1)
    scene = Scene()
    scene.door.close()
    scene.enter("a")
    with pytest.raises(Overloaded):
        scene.door.enter(scene.vault_order("b"))
    dropped = scene.vault_order("c")
    scene.door.enter(dropped, bounded=False)
    scene.door.open()
    batch = scene.door.take(plans=None)
    assert batch is not None
    assert dropped in batch.pending


async def test_tick_alone_has_no_substance() -> None:
    scene = Scene()
    tick = scene.door.take(plans=None, forced=(Tick(),))
    assert tick is not None
    assert not tick.has_substance
    scene.enter("a")
    both = scene.door.take(plans=None, forced=(Tick(),))
    assert both is not None
    assert both.has_substance
    assert isinstance(codec.decode(Entry, both.preview.batch.entries[0]).body, Tick)


async def test_last_approval_and_its_plan_share_a_batch() -> None:
    scene = Scene()
    scene.world.make_vault("customer-1")
    order = scene.world.order(scene.world.withdrawal("customer-1", 10_000))
    scene.door.enter(Pending(scene.world.order_entry(order, "shop", "alice", "bob"), b"x"))
    asked: list[int] = []

    def plans(state: State, time_ms: int) -> Sequence[Plan]:
        asked.append(time_ms)
        orders = [record.hash for record in state.open_orders()]
        return [scene.world.plan(orders, [scene.world.coin(20_000)])] if orders else []

    # The plan source builds on the state that holds the order; the world's own replica does not hold it yet.
    scene.world.amount_of = lambda order_hash: 10_000  # type: ignore[method-assign]
    batch = scene.door.take(plans=plans)
    assert batch is not None
    assert asked == [scene.clock.now_ms]
    assert [index for index, _ in batch.plans] == [batch.preview.size - 1]


async def test_plan_that_the_ledger_refuses_is_left_out() -> None:
    scene = Scene()
    scene.world.make_vault("customer-1")
    unapproved = scene.world.submit(scene.world.withdrawal("customer-1", 10_000), "shop")
    (pending,) = scene.enter("a")
    plan = scene.world.plan([unapproved], [scene.world.coin(20_000)])
    batch = scene.door.take(plans=lambda _state, _time: [plan])
    assert batch is not None
    assert (batch.plans, batch.pending, batch.is_full) == ((), (pending,), False)


async def test_more_than_fits_waits_for_the_next_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_DRAFT_ENTRIES", 2)
    monkeypatch.setattr(module, "MAX_WAITING", 1)
    scene = Scene()
    first, second, third = scene.enter("a", "b", "c")
    with pytest.raises(Overloaded):
        scene.enter("d")
    batch = scene.door.take(plans=None)
    assert batch is not None
    assert batch.pending == (first, second)
    scene.world.replica.push(batch.preview)
    rest = scene.door.take(plans=None)
    assert rest is not None
    assert rest.pending == (third,)


async def test_stopping_answers_everybody() -> None:
    scene = Scene()
    (drafted,) = scene.enter("a")
    scene.door.close()
    waiting = scene.vault_order("b")
    scene.door.enter(waiting)
    scene.door.drain(NotReady("stopping"))
    assert all(isinstance(pending.future.exception(), NotReady) for pending in (drafted, waiting))
    assert scene.door.take(plans=None) is None


def test_batch_can_be_copied_with_other_waiters() -> None:
    scene = Scene()
    batch = scene.door.take(plans=None, forced=(Tick(),))
    assert batch is not None
    assert replace(batch, pending=()).preview is batch.preview
