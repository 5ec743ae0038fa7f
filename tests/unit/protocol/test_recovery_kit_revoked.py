"""Which keys a revocation in a file takes at the recovery kit: as at a signer, and never a key that came later."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

import charter_builder as builder
from kit_world import Kit
from ledger_world import World
from strongroom.ledger import codec
from strongroom.ledger.charter import Group
from strongroom.ledger.entry_messages import OrderEntry, Tick
from strongroom.ledger.signed_messages import Signed, Verb
from strongroom.ledger.state import decode_order
from strongroom.model.ids import LogId
from strongroom.protocol.recovery_kit_revoked import RevocationRefused, revoked_by_hand


@pytest.fixture
def world() -> World:
    return Kit.started().world


def key(label: str) -> bytes:
    return builder.signing_key(label).public


def wait(world: World) -> None:
    world.later(world.state.charter.loosening_delay_ms)
    world.log(Tick())


def rekeyed(world: World, name: str, label: str) -> dict[str, Any]:
    people = world.state.charter.people
    return {
        "people": tuple(
            replace(one, keys=(replace(one.keys[0], public=key(label)),)) if one.name == name else one for one in people
        )
    }


def without(world: World, name: str) -> dict[str, Any]:
    charter = world.state.charter
    groups = tuple(
        Group(name=one.name, members=tuple(who for who in one.members if who != name)) for one in charter.groups
    )
    return {"people": tuple(one for one in charter.people if one.name != name), "groups": groups}


def said(world: World, order: bytes, *names: str) -> list[Signed]:
    return [
        world.endorsement("dave", Verb.INITIATE, order),
        *(world.endorsement(one, Verb.APPROVE, order) for one in names),
    ]


def test_approvals_of_the_log_and_of_the_file_count_together(world: World) -> None:
    order = world.order(world.amendment(**without(world, "carol")))
    first, second, third = said(world, order, "alice", "bob")
    with pytest.raises(RevocationRefused, match="have not approved it"):
        revoked_by_hand(world.state, order, [third])
    world.log(OrderEntry(order=order, endorsements=(first, second)))
    assert revoked_by_hand(world.state, order, [third]) == {key("carol")}
    with pytest.raises(RevocationRefused, match="have not approved it"):
        revoked_by_hand(world.state, order, [])


def test_an_amendment_takes_no_key_that_came_after_it(world: World) -> None:
    longer = world.state.charter.loosening_delay_ms + 3_600_000
    founded = (world.state.charter,)
    logged = world.order(world.amendment(loosening_delay_ms=longer))
    never = world.order(world.amendment(**without(world, "dave")))
    words = said(world, logged, "alice", "bob")
    world.log(OrderEntry(order=logged, endorsements=tuple(words)))
    wait(world)
    handed = said(world, never, "alice", "bob")
    world.amend("alice", "bob", **rekeyed(world, "carol", "carol 2"))
    wait(world)
    assert world.state.charter.version == 3
    assert revoked_by_hand(world.state, logged, words, founded=founded) == frozenset()
    assert revoked_by_hand(world.state, never, handed, founded=founded) == {key("dave")}
    with pytest.raises(RevocationRefused, match="no charter of version 1"):
        revoked_by_hand(world.state, never, handed)


def test_the_charter_before_is_found_among_those_amended_since(world: World) -> None:
    world.amend("alice", "bob", **rekeyed(world, "carol", "carol 2"))
    wait(world)
    order = world.order(world.amendment(**without(world, "carol")))
    world.amend("alice", "bob", **rekeyed(world, "dave", "dave 2"))
    wait(world)
    handed = said(world, order, "alice", "bob")
    assert revoked_by_hand(world.state, order, handed[1:]) == {key("carol 2")}


def test_an_amendment_in_force_takes_nothing_more(world: World) -> None:
    order = world.order(world.amendment(**without(world, "carol")))
    words = said(world, order, "alice", "bob")
    world.log(OrderEntry(order=order, endorsements=tuple(words)))
    assert world.state.charter.version == 2
    assert revoked_by_hand(world.state, order, words) == frozenset()


def test_a_key_that_was_revoked_before_approves_no_revocation(world: World) -> None:
    order = world.order(world.amendment(**without(world, "carol")))
    words = said(world, order, "alice", "bob")
    with pytest.raises(RevocationRefused, match="have not approved it"):
        revoked_by_hand(world.state, order, words, revoked={key("bob")})
    assert revoked_by_hand(world.state, order, words, revoked={key("dave")}) == {key("carol")}


def test_a_revocation_of_another_log_is_none_but_of_an_id_before(world: World) -> None:
    other = LogId(b"o" * 32)
    order = replace_log(world, other)
    with pytest.raises(RevocationRefused, match="does not amend the charter of this log"):
        revoked_by_hand(world.state, order, [])
    with pytest.raises(RevocationRefused, match="have not approved it"):
        revoked_by_hand(world.state, order, [], log_ids={other})


def replace_log(world: World, log_id: LogId) -> bytes:
    order = decode_order(world.order(world.amendment(**without(world, "carol"))))
    return codec.encode(replace(order, log_id=log_id))
