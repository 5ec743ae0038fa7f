"""Words of the inbox as they are read back, and when the log has taken one up."""

from __future__ import annotations

import hashlib

import pytest

from ledger_world import World
from strongroom.ledger import codec
from strongroom.ledger.entry_messages import OrderEntry
from strongroom.ledger.order_messages import Freeze, Scope
from strongroom.ledger.signed_messages import Signed, Verb
from strongroom_signer.store import InboxItem, StoreFailed
from strongroom_signer.word_life import handed_freeze
from strongroom_signer.words import holds, salvaged_from


@pytest.fixture
def world() -> World:
    made = World.started()
    made.make_vault("customer-1")
    return made


def kept(order: bytes, *said: Signed) -> InboxItem:
    body = codec.encode(OrderEntry(order=order, endorsements=said))
    return InboxItem(id=hashlib.sha256(order).digest(), kind="freeze", body=body, since_ms=0)


def test_a_freeze_is_of_who_initiates_it_and_nothing_else_is_one(world: World) -> None:
    freeze = world.order(Freeze(scope=Scope.ALL, vault="", why="I saw something"))
    payment = world.order(world.withdrawal("customer-1", 100_000))
    approval, initiation = (
        world.endorsement(name, verb, freeze) for name, verb in (("alice", Verb.APPROVE), ("carol", Verb.INITIATE))
    )
    assert handed_freeze(kept(freeze, approval, initiation)).person == "carol"
    for item in (kept(freeze, approval), kept(payment, world.endorsement("shop", Verb.INITIATE, payment))):
        with pytest.raises(StoreFailed, match="is none"):
            handed_freeze(item)


def test_of_dropped_endorsements_a_rejection_alone_is_salvaged(world: World) -> None:
    order = world.submit(world.withdrawal("customer-1", 100_000), "shop")
    assert salvaged_from(world.endorse("alice", Verb.APPROVE, order), 0) is None
    item = salvaged_from(world.endorse("alice", Verb.REJECT, order), 0)
    assert item is not None
    assert (item.kind, item.salvaged) == ("rejection", True)


def test_the_log_holds_a_rejection_when_that_very_person_rejected(world: World) -> None:
    order = world.submit(world.withdrawal("customer-1", 100_000), "shop", "alice")
    item = salvaged_from(world.endorse("alice", Verb.REJECT, order), 0)
    assert item is not None
    # An approval by the same person, and a rejection by another, are other words.
    assert not holds(world.state, item)
    world.reject(order, "bob")
    assert not holds(world.state, item)
    other = world.submit(world.withdrawal("customer-1", 90_000), "shop")
    item = salvaged_from(world.endorse("alice", Verb.REJECT, other), 0)
    assert item is not None
    assert not holds(world.state, item)
    world.reject(other, "alice")
    assert holds(world.state, item)
