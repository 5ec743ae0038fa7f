"""The first entry."""

from __future__ import annotations

from dataclasses import replace

import pytest

import charter_builder as builder
from ledger_world import Body, World, sign
from refusals import refusal_of
from strongroom.ledger.charter import Quorum, log_id_of
from strongroom.ledger.entry_messages import Endorse, Genesis, OrderEntry, SignerFreeze, Tick
from strongroom.ledger.replica import Replica
from strongroom.ledger.signed_messages import Adopt, Signed
from strongroom.ledger.view import MemoryStore


def test_genesis_puts_the_charter_in_force() -> None:
    world = World()
    world.log(world.genesis("alice", "carol"))
    record = world.state.charter_record
    assert record is not None
    assert record.charter == world.charter_bytes
    assert record.since_ms == world.time_ms
    assert world.state.charter == world.charter


@pytest.mark.parametrize(
    "body",
    [
        Tick(),
        OrderEntry(order=b"no order", endorsements=(Signed(body=b"no word", signature=bytes(64)),)),
        Endorse(endorsement=Signed(body=b"no word", signature=bytes(64))),
        SignerFreeze(statement=Signed(body=b"no word", signature=bytes(64))),
    ],
    ids=lambda body: type(body).__name__,
)
def test_nothing_comes_before_the_genesis(body: Body) -> None:
    """Whatever it is, and whatever else is wrong with it."""
    assert refusal_of(World(), body) == "GENESIS_MISSING"


def test_a_second_genesis_is_refused() -> None:
    world = World.started()
    assert refusal_of(world, world.genesis()) == "GENESIS_MISPLACED"


def test_a_genesis_of_another_log_is_refused() -> None:
    world, other = World(), World(charter=builder.charter(salt=bytes(32)))
    assert refusal_of(world, other.genesis()) == "WRONG_LOG"


def test_attack_another_charter_under_adoptions_of_this_one() -> None:
    world, other = World(), World(charter=builder.charter(salt=bytes(32)))
    swapped = replace(world.genesis(), charter=other.charter_bytes)
    assert refusal_of(world, swapped) == "WRONG_LOG"


@pytest.mark.attack(
    line="coordinator",
    title="a charter of the coordinator's choosing",
    origin="limits from a central interface, downgraded",
)
def test_an_adoption_of_another_charter_is_refused() -> None:
    world, other = World(), World(charter=builder.charter(salt=bytes(32)))
    mixed = replace(world.genesis(), adoptions=(world.adoption("alice"), other.adoption("bob")))
    assert refusal_of(world, mixed) == "WRONG_LOG"


@pytest.mark.parametrize(
    ("adopters", "code"),
    [
        (("alice",), "ADOPTION_QUORUM"),
        (("alice", "alice"), "ADOPTION_INVALID"),
        (("alice", "dave"), "ADOPTION_INVALID"),
    ],
    ids=["too few", "one person twice", "no administrator"],
)
def test_the_quorum_of_administrators_must_adopt(adopters: tuple[str, ...], code: str) -> None:
    world = World()
    assert refusal_of(world, world.genesis(*adopters)) == code


def test_an_adoption_by_another_key_is_refused() -> None:
    world = World()
    adoption = Adopt(log_id=world.log_id, person="bob", key=builder.signing_key("dave").public)
    forged = Genesis(charter=world.charter_bytes, adoptions=(world.adoption("alice"), sign("adopt", adoption, "dave")))
    assert refusal_of(world, forged) == "KEY_UNKNOWN"


def test_an_adoption_with_a_false_signature_is_refused() -> None:
    world = World()
    adoption = Adopt(log_id=world.log_id, person="bob", key=builder.signing_key("bob").public)
    forged = Genesis(charter=world.charter_bytes, adoptions=(world.adoption("alice"), sign("adopt", adoption, "dave")))
    assert refusal_of(world, forged) == "BAD_SIGNATURE"


def test_a_charter_with_an_error_is_refused() -> None:
    world = World(charter=builder.charter(admin=Quorum(group="nobody", count=2)))
    assert refusal_of(world, world.genesis()) == "CHARTER_INVALID"


def test_an_unknown_rule_set_is_refused() -> None:
    world = World(charter=builder.charter(rule_set=2))
    assert refusal_of(world, world.genesis()) == "RULE_SET_UNKNOWN"


def test_charter_bytes_that_are_not_canonical_are_refused() -> None:
    world = World()
    world.charter_bytes += b"\0"
    world.log_id = log_id_of(world.charter_bytes)
    world.replica = Replica(MemoryStore(), log_id=world.log_id)
    assert refusal_of(world, world.genesis()) == "ENTRY_MALFORMED"


@pytest.mark.parametrize("version", [2, 7])
def test_a_log_begins_with_the_first_version_of_its_charter(version: int) -> None:
    world = World(charter=builder.charter(version=version))
    assert refusal_of(world, world.genesis()) == "CHARTER_INVALID"
