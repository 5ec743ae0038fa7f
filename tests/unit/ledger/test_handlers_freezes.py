"""Freezes and their end."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest

from ledger_world import HOUR_MS, World, sign
from refusals import refusal_of
from strongroom.ledger import codec
from strongroom.ledger.entry_messages import OrderEntry, SignerFreeze, Tick
from strongroom.ledger.order_messages import Freeze, Scope, Unfreeze
from strongroom.ledger.records import OrderState
from strongroom.ledger.signed_messages import FreezeStatement, Verb

VAULT = "customer-1"
LAPSE_MS = 24 * HOUR_MS


@pytest.fixture
def world() -> World:
    world = World.started()
    world.make_vault(VAULT)
    return world


def frozen(world: World, vault: str = VAULT) -> bool:
    return world.state.active_freeze(vault, world.time_ms) is not None


def test_any_one_officer_freezes_everything_at_once(world: World) -> None:
    order_hash = world.pay(VAULT, 100_000)
    freeze_id = world.freeze("dave")
    record = world.state.freeze(freeze_id)
    assert record is not None
    assert (record.person, record.scope, record.lapses_ms) == ("dave", Scope.ALL, world.time_ms + LAPSE_MS)
    assert refusal_of(world, world.plan([order_hash], [world.coin(200_000)])) == "FROZEN"


def test_a_freeze_of_one_vault_stops_only_that(world: World) -> None:
    world.make_vault("customer-2")
    first, second = world.pay(VAULT, 100_000), world.pay("customer-2", 100_000)
    world.freeze("dave", vault=VAULT)
    assert refusal_of(world, world.plan([first], [world.coin(200_000)])) == "FROZEN"
    world.log_plan([second], [world.coin(200_000)], vault="customer-2")


def test_who_is_no_officer_does_not_freeze(world: World) -> None:
    order = world.order(Freeze(scope=Scope.ALL, vault="", why="x"))
    assert refusal_of(world, world.order_entry(order, "shop")) == "INITIATOR_NOT_ALLOWED"


def test_a_freeze_by_one_lapses(world: World) -> None:
    world.freeze("dave")
    world.later(LAPSE_MS - 1)
    assert frozen(world)
    world.later(1)
    assert not frozen(world)


def test_a_freeze_that_the_quorum_approves_does_not_lapse(world: World) -> None:
    freeze_id = world.freeze("dave")
    world.approve(freeze_id, "alice")
    assert refusal_of(world, world.endorse("dave", Verb.APPROVE, freeze_id)) == "INITIATOR_CANNOT_APPROVE"
    world.approve(freeze_id, "bob")
    world.later(LAPSE_MS)
    assert frozen(world)
    assert refusal_of(world, world.endorse("carol", Verb.APPROVE, freeze_id)) == "ORDER_ENDED"


def test_who_is_not_of_the_unfreeze_quorum_makes_no_freeze_last(world: World) -> None:
    freeze_id = world.freeze("alice")
    assert refusal_of(world, world.endorse("dave", Verb.APPROVE, freeze_id)) == "NOT_AN_APPROVER"


def test_a_freeze_is_by_whoever_initiated_it_wherever_that_word_stands(world: World) -> None:
    order = world.order(Freeze(scope=Scope.ALL, vault="", why="x"))
    said = (world.endorsement("alice", Verb.APPROVE, order), world.endorsement("dave", Verb.INITIATE, order))
    world.log(OrderEntry(order=order, endorsements=said))
    (freeze,) = world.state.freezes()
    assert freeze.person == "dave"


def test_a_lapsed_freeze_is_not_revived(world: World) -> None:
    freeze_id = world.freeze("dave")
    world.approve(freeze_id, "alice")
    world.later(LAPSE_MS)
    assert refusal_of(world, world.endorse("bob", Verb.APPROVE, freeze_id)) == "ORDER_ENDED"


def test_nobody_rejects_a_freeze(world: World) -> None:
    freeze_id = world.freeze("dave")
    assert refusal_of(world, world.endorse("alice", Verb.REJECT, freeze_id)) == "ORDER_ENDED"


def test_the_quorum_lifts_a_freeze(world: World) -> None:
    freeze_id = world.freeze("dave")
    lifting = world.submit(Unfreeze(freeze=freeze_id), "dave", "alice")
    assert frozen(world)
    world.approve(lifting, "bob")
    assert not frozen(world)
    record = world.state.order(lifting)
    assert record is not None
    assert record.state is OrderState.DONE
    again = world.order(Unfreeze(freeze=freeze_id))
    assert refusal_of(world, world.order_entry(again, "dave")) == "FREEZE_OVER"


def test_a_freeze_is_lifted_in_the_entry_that_brings_the_quorum(world: World) -> None:
    world.submit(Unfreeze(freeze=world.freeze("dave")), "carol", "alice", "bob")
    assert not frozen(world)


def test_one_freeze_lifted_leaves_the_others(world: World) -> None:
    first, _ = world.freeze("dave"), world.freeze("alice")
    world.submit(Unfreeze(freeze=first), "carol", "alice", "bob")
    assert frozen(world)


def test_a_member_of_the_quorum_ends_an_attempt_to_lift(world: World) -> None:
    lifting = world.submit(Unfreeze(freeze=world.freeze("dave")), "dave", "alice")
    world.reject(lifting, "bob")
    assert refusal_of(world, world.endorse("carol", Verb.APPROVE, lifting)) == "ORDER_ENDED"
    assert frozen(world)


def test_an_operator_freezes_with_the_signers_vote_key(world: World) -> None:
    body = world.signer_freeze("s2", vault=VAULT)
    world.log(body)
    record = world.state.freeze(hashlib.sha256(body.statement.body).digest())
    assert record is not None
    assert (record.signer, record.vault) == ("s2", VAULT)
    assert refusal_of(world, body) == "ALREADY_KNOWN"


def test_a_signers_freeze_must_be_its_own_word_in_this_log(world: World) -> None:
    true = codec.decode(FreezeStatement, world.signer_freeze("s1").statement.body)
    cases = {
        "WRONG_LOG": sign("freeze", replace(true, log_id=bytes(32)), "s1 vote"),
        "KEY_UNKNOWN": sign("freeze", replace(true, signer="s9"), "s1 vote"),
        "BAD_SIGNATURE": sign("freeze", true, "s2 vote"),
        "FREEZE_SCOPE": sign("freeze", replace(true, scope=Scope.VAULT), "s1 vote"),
        "VAULT_UNKNOWN": sign("freeze", replace(true, scope=Scope.VAULT, vault="nowhere"), "s1 vote"),
    }
    for code, statement in cases.items():
        assert refusal_of(world, SignerFreeze(statement=statement)) == code


def test_one_author_has_a_bounded_number_of_freezes_in_force(world: World) -> None:
    for _ in range(8):
        world.log(world.signer_freeze("s1"))
    assert refusal_of(world, world.signer_freeze("s1")) == "FREEZES_FULL"
    world.log(world.signer_freeze("s2"))
    world.later(LAPSE_MS)
    world.log(world.signer_freeze("s1"))


# --- the delay of an unfreeze ----------------------------------------------------------------------------------------

UNFREEZE_DELAY_MS = 2 * HOUR_MS


@pytest.fixture
def slow() -> World:
    """A world whose charter lets two hours pass between an approved unfreeze and its effect."""
    world = World.started(unfreeze_delay_ms=UNFREEZE_DELAY_MS)
    world.make_vault(VAULT)
    return world


def state_of(world: World, order: bytes) -> OrderState:
    record = world.state.order(order)
    assert record is not None
    return record.state


def test_an_approved_unfreeze_acts_when_its_delay_is_over(slow: World) -> None:
    freeze = slow.freeze("dave")
    lifting = slow.submit(Unfreeze(freeze=freeze), "dave", "alice", "bob")
    assert state_of(slow, lifting) is OrderState.SCHEDULED
    slow.later(UNFREEZE_DELAY_MS - 1)
    slow.log(Tick())
    assert frozen(slow)
    slow.later(1)
    slow.log(Tick())
    assert not frozen(slow)
    assert state_of(slow, lifting) is OrderState.DONE


def test_a_member_of_the_quorum_stops_an_unfreeze_that_waits(slow: World) -> None:
    lifting = slow.submit(Unfreeze(freeze=slow.freeze("dave")), "dave", "alice", "bob")
    slow.reject(lifting, "carol")
    slow.later(UNFREEZE_DELAY_MS)
    slow.log(Tick())
    assert frozen(slow)
    assert state_of(slow, lifting) is OrderState.REJECTED


def test_an_unfreeze_whose_freeze_lapsed_meanwhile_lapses_too(slow: World) -> None:
    freeze = slow.freeze("dave")
    slow.later(LAPSE_MS - 1)
    lifting = slow.submit(Unfreeze(freeze=freeze), "dave", "alice", "bob")
    slow.later(UNFREEZE_DELAY_MS)
    slow.log(Tick())
    assert state_of(slow, lifting) is OrderState.LAPSED


def test_a_new_freeze_is_not_lifted_by_an_unfreeze_of_an_older_one(slow: World) -> None:
    slow.submit(Unfreeze(freeze=slow.freeze("dave")), "dave", "alice", "bob")
    slow.freeze("carol", vault=VAULT)
    slow.later(UNFREEZE_DELAY_MS)
    slow.log(Tick())
    assert frozen(slow)
