"""Which words count: those in date when the quorum was complete, by keys that stand, and by people."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from charter_builder import person
from ledger_world import DAY_MS, HOUR_MS, World
from refusals import refusal_of
from strongroom.ledger.entry_messages import Tick
from strongroom.ledger.order_messages import Freeze, Scope, Unfreeze
from strongroom.ledger.records import OrderState
from strongroom.ledger.rules import officers_of
from strongroom.ledger.signed_messages import Verb


def without(world: World, name: str) -> dict[str, Any]:
    """The parts of an amendment that takes a person out."""
    now = world.state.charter
    groups = (replace(group, members=tuple(one for one in group.members if one != name)) for group in now.groups)
    return {"people": tuple(one for one in now.people if one.name != name), "groups": tuple(groups)}


def state_of(world: World, order: bytes) -> OrderState:
    record = world.state.order(order)
    assert record is not None
    return record.state


@pytest.mark.attack(
    line="approval-quorum",
    title="an approval that had run out counts again when a waiting order acts",
    origin="on paper: expiry was forgiven for every word, whenever it had come",
)
def test_an_approval_that_expired_before_the_quorum_was_there_is_never_revived() -> None:
    world = World.started(unfreeze_delay_ms=20 * HOUR_MS, freeze_lapse_ms=30 * DAY_MS)
    freeze = world.freeze("dave")
    order = world.submit(Unfreeze(freeze=freeze), "dave")
    world.log(world.endorse("alice", Verb.APPROVE, order, expires_ms=world.time_ms + HOUR_MS))
    world.later(2 * HOUR_MS)
    world.approve(order, "bob")
    assert state_of(world, order) is OrderState.OPEN
    world.approve(order, "carol")
    assert state_of(world, order) is OrderState.SCHEDULED
    world.amend("alice", "bob", **without(world, "carol"))
    world.later(20 * HOUR_MS)
    world.log(Tick())
    assert state_of(world, order) is OrderState.LAPSED
    record = world.state.freeze(freeze)
    assert record is not None
    assert not record.lifted


def test_a_freeze_is_confirmed_though_the_key_that_asked_for_it_was_revoked() -> None:
    """My key was stolen: freeze everything, revoke me. What I froze must not lapse for it."""
    world = World.started()
    freeze = world.freeze("dave")
    world.amend("alice", "bob", initiator="carol", **without(world, "dave"))
    world.approve(freeze, "alice", "bob")
    record = world.state.freeze(freeze)
    assert record is not None
    assert record.lapses_ms == 0


def test_who_has_a_new_key_says_again_what_the_revoked_one_said() -> None:
    world = World.started(loosening_delay_ms=HOUR_MS)
    order = world.submit(world.creation("customer-1"), "dave", expires_ms=world.time_ms + 20 * DAY_MS)
    world.approve(order, "alice")
    assert refusal_of(world, world.endorse("alice", Verb.APPROVE, order)) == "ALREADY_KNOWN"
    people = world.state.charter.people
    world.amend(
        "bob",
        "carol",
        people=tuple(replace(one, keys=person("alice-2").keys) if one.name == "alice" else one for one in people),
    )
    world.later(HOUR_MS)
    world.log(Tick())
    world.log(world.endorse("alice", Verb.APPROVE, order, label="alice-2"))
    assert refusal_of(world, world.endorse("alice", Verb.APPROVE, order, label="alice-2")) == "ALREADY_KNOWN"


def test_a_machine_in_the_officers_group_is_no_officer() -> None:
    world = World.started()
    group = next(one for one in world.state.charter.groups if one.name == world.state.charter.officers)
    groups = tuple(
        replace(one, members=(*one.members, "shop")) if one == group else one for one in world.state.charter.groups
    )
    mixed = World.started(groups=groups)
    assert "shop" not in officers_of(mixed.state.charter)
    assert "dave" in officers_of(mixed.state.charter)
    order = mixed.order(Freeze(scope=Scope.ALL, vault="", why="x"))
    assert refusal_of(mixed, mixed.order_entry(order, "shop")) == "INITIATOR_NOT_ALLOWED"
