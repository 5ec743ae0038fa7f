"""Which keys a revocation in a file takes at the recovery kit: as at a signer, and never a key that came later."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

import pytest

import charter_builder as builder
from kit_world import VAULT, Kit
from ledger_world import DAY_MS, World
from restart_world import RestartWorld
from strongroom.ledger import codec
from strongroom.ledger.charter import Group, decode_charter
from strongroom.ledger.entry_messages import OrderEntry, Tick
from strongroom.ledger.signed_messages import Signed, Verb
from strongroom.ledger.state import decode_order
from strongroom.model.ids import LogId
from strongroom.protocol.recovery_kit_files import SweepOrderFile
from strongroom.protocol.recovery_kit_revoked import (
    CharterInForce,
    PersonsKey,
    RevocationRefused,
    RevokedByHand,
    charters_in_force,
    revoked_by_files,
    revoked_by_hand,
)


@pytest.fixture
def world() -> World:
    return Kit.started().world


def key(label: str) -> bytes:
    return builder.signing_key(label).public


def history(world: World) -> tuple[CharterInForce, ...]:
    """Every charter of a log that was never founded anew."""
    genesis = CharterInForce(log_id=world.log_id, charter=decode_charter(world.charter_bytes))
    return charters_in_force(world.state, [genesis])


def taken(world: World, order: bytes, words: Sequence[Signed], *, revoked: Collection[bytes] = ()) -> RevokedByHand:
    """What an amendment takes."""
    return revoked_by_hand(world.state, order, words, charters=history(world), revoked=revoked)


def taken_by(world: World, files: Sequence[SweepOrderFile]) -> tuple[RevokedByHand, ...]:
    return revoked_by_files(world.state, files, charters=history(world))


def keys(world: World, order: bytes, words: Sequence[Signed], *, revoked: Collection[bytes] = ()) -> frozenset[bytes]:
    """The public keys that an amendment takes."""
    return taken(world, order, words, revoked=revoked).keys


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
        taken(world, order, [third])
    world.log(OrderEntry(order=order, endorsements=(first, second)))
    assert keys(world, order, [third]) == {key("carol")}
    with pytest.raises(RevocationRefused, match="have not approved it"):
        taken(world, order, [])


def test_an_amendment_takes_no_key_that_came_after_it(world: World) -> None:
    longer = world.state.charter.loosening_delay_ms + 3_600_000
    logged = world.order(world.amendment(loosening_delay_ms=longer))
    never = world.order(world.amendment(**without(world, "dave")))
    words = said(world, logged, "alice", "bob")
    world.log(OrderEntry(order=logged, endorsements=tuple(words)))
    wait(world)
    handed = said(world, never, "alice", "bob")
    world.amend("alice", "bob", **rekeyed(world, "carol", "carol 2"))
    wait(world)
    assert world.state.charter.version == 3
    assert keys(world, logged, words) == frozenset()
    assert keys(world, never, handed) == {key("dave")}
    with pytest.raises(RevocationRefused, match="no charter before version 2"):
        revoked_by_hand(world.state, never, handed, charters=history(world)[1:])


def test_the_charter_before_is_found_among_those_amended_since(world: World) -> None:
    world.amend("alice", "bob", **rekeyed(world, "carol", "carol 2"))
    wait(world)
    order = world.order(world.amendment(**without(world, "carol")))
    world.amend("alice", "bob", **rekeyed(world, "dave", "dave 2"))
    wait(world)
    handed = said(world, order, "alice", "bob")
    assert keys(world, order, handed[1:]) == {key("carol 2")}


def test_an_amendment_that_never_came_into_force_is_not_the_charter_before(world: World) -> None:
    proposed = world.order(world.amendment(**rekeyed(world, "carol", "carol 2")))
    world.log(OrderEntry(order=proposed, endorsements=(world.endorsement("dave", Verb.INITIATE, proposed),)))
    order = world.order(world.amendment(version=3, **without(world, "carol")))
    assert keys(world, order, said(world, order, "alice", "bob")) == {key("carol")}


def test_an_amendment_in_force_takes_nothing_more(world: World) -> None:
    order = world.order(world.amendment(**without(world, "carol")))
    words = said(world, order, "alice", "bob")
    world.log(OrderEntry(order=order, endorsements=tuple(words)))
    assert world.state.charter.version == 2
    assert keys(world, order, words) == frozenset()


def test_a_key_that_was_revoked_before_approves_no_revocation(world: World) -> None:
    order = world.order(world.amendment(**without(world, "carol")))
    words = said(world, order, "alice", "bob")
    with pytest.raises(RevocationRefused, match="have not approved it"):
        taken(world, order, words, revoked={key("bob")})
    assert keys(world, order, words, revoked={key("dave")}) == {key("carol")}


def test_a_revocation_of_another_log_is_none_but_of_an_id_before(world: World) -> None:
    other = LogId(b"o" * 32)
    order = replace_log(world, other)
    with pytest.raises(RevocationRefused, match="does not amend the charter of this log"):
        taken(world, order, [])
    before = CharterInForce(log_id=other, charter=world.state.charter)
    with pytest.raises(RevocationRefused, match="have not approved it"):
        revoked_by_hand(world.state, order, [], charters=(before, *history(world)))


def test_an_order_that_takes_no_key_is_no_revocation(world: World) -> None:
    longer = world.state.charter.loosening_delay_ms + 1
    for action, why in (
        (world.amendment(loosening_delay_ms=longer), "takes no key"),
        (world.withdrawal(VAULT, 50_000), "does not amend the charter"),
    ):
        order = world.order(action)
        with pytest.raises(RevocationRefused, match=why):
            taken(world, order, said(world, order, "alice", "bob"))


@pytest.mark.parametrize("verb", [Verb.INITIATE, Verb.APPROVE])
def test_what_is_said_in_someones_name_by_another_key_takes_no_approval_away(world: World, verb: Verb) -> None:
    """Were alice its initiator, her approval would not count."""
    order = world.order(world.amendment(**without(world, "dave")))
    forged = world.endorsement("alice", verb, order, label="mallory")
    assert keys(world, order, [forged, *said(world, order, "alice", "bob")]) == {key("dave")}
    with pytest.raises(RevocationRefused, match="1 more approval from group admins"):
        taken(world, order, [forged, *said(world, order, "bob")])


def test_nothing_but_words_for_the_amendment_lies_beside_it(world: World) -> None:
    order, other = (world.order(world.amendment(**without(world, "dave"))) for _ in range(2))
    with pytest.raises(RevocationRefused, match="something else by bob than its approval"):
        taken(world, order, [*said(world, order, "alice"), world.endorsement("bob", Verb.APPROVE, other)])
    with pytest.raises(RevocationRefused, match="something else by dave than its approval"):
        taken(world, order, [*said(world, order, "alice", "bob"), world.endorsement("dave", Verb.REJECT, order)])


def replace_log(world: World, log_id: LogId) -> bytes:
    order = decode_order(world.order(world.amendment(**without(world, "carol"))))
    return codec.encode(replace(order, log_id=log_id))


# --- words that were never alive together ----------------------------------------------------------------------------


def revoking(world: World, name: str, *approvers: str, **parts: Any) -> SweepOrderFile:
    """A file with an amendment that takes a person away, approved by these."""
    order = world.order(world.amendment(**without(world, name)), **parts)
    words = tuple(world.endorsement(one, Verb.APPROVE, order) for one in approvers)
    return SweepOrderFile(order=order, approvals=words)


def test_an_approval_that_ran_out_years_ago_counts_with_none_of_today(world: World) -> None:
    order = world.order(world.amendment(**without(world, "carol")))
    initiated, stale, _ = said(world, order, "alice", "bob")
    world.log(OrderEntry(order=order, endorsements=(initiated, stale)))
    world.later(900 * DAY_MS)
    world.log(Tick())
    today = world.endorsement("bob", Verb.APPROVE, order)
    with pytest.raises(RevocationRefused, match="all within a week"):
        taken(world, order, [today])
    # The same words from the file alone are no better.
    with pytest.raises(RevocationRefused, match="all within a week"):
        taken(world, order, [stale, today])


@pytest.mark.parametrize(("apart_ms", "holds"), [(7 * DAY_MS - 1, True), (7 * DAY_MS, False)])
def test_approvals_count_together_that_can_have_been_alive_together(world: World, apart_ms: int, holds: bool) -> None:
    order = world.order(world.amendment(**without(world, "carol")), expires_ms=world.time_ms + 30 * DAY_MS)
    first = world.endorsement("alice", Verb.APPROVE, order)
    world.later(apart_ms)
    words = [first, world.endorsement("bob", Verb.APPROVE, order)]
    if holds:
        approved = tuple(PersonsKey(person=name, key=key(name)) for name in ("alice", "bob"))
        assert taken(world, order, words).approvers == approved
    else:
        with pytest.raises(RevocationRefused, match="1 more approval from group admins"):
            taken(world, order, words)


def test_a_word_that_came_late_takes_nothing_from_those_before_it(world: World) -> None:
    order = world.order(world.amendment(**without(world, "dave")))
    words = [world.endorsement(name, Verb.APPROVE, order) for name in ("alice", "bob")]
    world.later(400 * DAY_MS)
    words.append(world.endorsement("carol", Verb.APPROVE, order))
    found = taken(world, order, words)
    assert (found.keys, [one.person for one in found.approvers]) == ({key("dave")}, ["alice", "bob"])


def test_who_approves_again_counts_although_the_first_word_lies_in_the_log(world: World) -> None:
    order = world.order(world.amendment(**without(world, "dave")), expires_ms=world.time_ms + 30 * DAY_MS)
    initiated, first = said(world, order, "alice")
    world.log(OrderEntry(order=order, endorsements=(initiated, first)))
    world.later(20 * DAY_MS)
    again = [world.endorsement(name, Verb.APPROVE, order) for name in ("alice", "bob")]
    assert keys(world, order, again) == {key("dave")}


def test_an_amendment_that_was_approved_after_it_expired_takes_nothing(world: World) -> None:
    file = revoking(world, "dave", expires_ms=world.time_ms + DAY_MS)
    world.later(8 * DAY_MS)
    late = [world.endorsement(name, Verb.APPROVE, file.order, expires_ms=world.time_ms) for name in ("alice", "bob")]
    assert decode_order(file.order).expires_ms == world.time_ms - 7 * DAY_MS
    with pytest.raises(RevocationRefused, match="its order had expired by then"):
        taken(world, file.order, late)
    in_time = [
        world.endorsement(name, Verb.APPROVE, file.order, expires_ms=world.time_ms - 1) for name in ("alice", "bob")
    ]
    assert keys(world, file.order, in_time) == {key("dave")}


def test_who_initiated_an_amendment_is_no_approver_of_it_however_long_ago(world: World) -> None:
    order = world.order(world.amendment(**without(world, "dave")), expires_ms=world.time_ms + 30 * DAY_MS)
    initiated = world.endorsement("alice", Verb.INITIATE, order)
    world.later(20 * DAY_MS)
    words = [world.endorsement(name, Verb.APPROVE, order) for name in ("alice", "bob", "carol")]
    with pytest.raises(RevocationRefused, match="1 more approval from group admins"):
        taken(world, order, [initiated, *words[:2]])
    assert [one.person for one in taken(world, order, [initiated, *words]).approvers] == ["bob", "carol"]


def test_what_is_missing_is_told_beside_the_newest_approval_whenever_it_was_initiated(world: World) -> None:
    order = world.order(world.amendment(**without(world, "dave")), expires_ms=world.time_ms + 30 * DAY_MS)
    approved = world.endorsement("alice", Verb.APPROVE, order)
    world.later(20 * DAY_MS)
    with pytest.raises(RevocationRefused, match="1 more approval from group admins"):
        taken(world, order, [approved, world.endorsement("dave", Verb.INITIATE, order)])


# --- a log that was founded anew -------------------------------------------------------------------------------------


@pytest.fixture
def dropped(world: World) -> tuple[RestartWorld, bytes, list[Signed], tuple[CharterInForce, ...]]:
    """A log founded anew below two amendments, of which a revocation follows the second."""
    first = CharterInForce(log_id=world.log_id, charter=world.state.charter)
    kept = world.replica.size
    for name in ("carol", "dave"):
        world.amend("alice", "bob", **rekeyed(world, name, f"{name} 2"))
        wait(world)
    order = world.order(world.amendment(**without(world, "carol")))
    words = [world.endorsement(name, Verb.APPROVE, order) for name in ("alice", "bob")]
    assert world.state.charter.version == 3
    restarted = RestartWorld(world)
    restarted.lose(kept)
    restarted.found(restarted.restart())
    again = CharterInForce(log_id=world.log_id, charter=world.state.charter)
    return restarted, order, words, (first, again)


def test_a_revocation_that_follows_dropped_amendments_takes_what_all_of_them_took(
    dropped: tuple[RestartWorld, bytes, list[Signed], tuple[CharterInForce, ...]],
) -> None:
    restarted, order, words, founded = dropped
    state = restarted.world.state
    assert (state.charter.version, state.charter.people) == (2, founded[0].charter.people)
    found = revoked_by_hand(state, order, words, charters=charters_in_force(state, founded))
    assert [one.person for one in found.taken] == ["carol", "dave"]
    assert found.keys == {key("carol"), key("dave")}


def test_a_revocation_from_before_a_restart_takes_no_key_that_came_after_it(
    dropped: tuple[RestartWorld, bytes, list[Signed], tuple[CharterInForce, ...]],
) -> None:
    """Though the log has charters again with the versions of those that were dropped."""
    restarted, order, words, founded = dropped
    world = restarted.world
    for name in ("carol", "dave"):
        world.amend("alice", "bob", **rekeyed(world, name, f"{name} 3"))
        wait(world)
    charters = charters_in_force(world.state, founded)
    assert [(one.log_id == world.log_id, one.charter.version) for one in charters] == [
        (False, 1), (True, 2), (True, 3), (True, 4)
    ]  # fmt: skip
    found = revoked_by_hand(world.state, order, words, charters=charters)
    assert found.keys == {key("carol"), key("dave")}


# --- several files ---------------------------------------------------------------------------------------------------


def test_it_is_said_whose_keys_are_taken_and_who_approved_it(world: World) -> None:
    file = revoking(world, "carol", "bob", "alice")
    assert taken_by(world, [file]) == (
        RevokedByHand(
            order_hash=hashlib.sha256(file.order).digest(),
            taken=(PersonsKey(person="carol", key=key("carol")),),
            approvers=tuple(PersonsKey(person=name, key=key(name)) for name in ("alice", "bob")),
        ),
    )


def test_those_whose_word_counted_for_nothing_are_no_approvers(world: World) -> None:
    """Carol initiated it, dave is no administrator, and alice's key in the log counts no more."""
    order = world.order(world.amendment(**without(world, "dave")))
    initiated = world.endorsement("carol", Verb.INITIATE, order)
    world.log(OrderEntry(order=order, endorsements=(initiated, world.endorsement("alice", Verb.APPROVE, order))))
    words = [world.endorsement(name, Verb.APPROVE, order) for name in ("bob", "carol", "dave")]
    assert [one.person for one in taken(world, order, words).approvers] == ["alice", "bob"]
    with pytest.raises(RevocationRefused, match="have not approved it"):
        taken(world, order, words, revoked={key("alice")})
    again = world.order(world.amendment(**without(world, "dave")))
    world.log(OrderEntry(order=again, endorsements=tuple(said(world, again, "alice"))))
    words = [world.endorsement(name, Verb.APPROVE, again) for name in ("bob", "carol")]
    found = taken(world, again, words, revoked={key("alice")})
    assert [one.person for one in found.approvers] == ["bob", "carol"]


@pytest.mark.parametrize("first", [0, 1])
def test_two_files_that_take_keys_of_each_others_approvers_are_both_refused(world: World, first: int) -> None:
    """The thief of bob's key and a deceived alice take carol; alice and carol take bob."""
    files = [revoking(world, "carol", "alice", "bob"), revoking(world, "bob", "alice", "carol")]
    with pytest.raises(RevocationRefused, match="one may be the work of a stolen key"):
        taken_by(world, [files[first], files[1 - first]])


def test_what_one_file_takes_approves_no_later_one(world: World) -> None:
    taking_bob, by_bob = revoking(world, "bob", "alice", "carol"), revoking(world, "dave", "alice", "bob")
    with pytest.raises(RevocationRefused, match="takes a key of bob"):
        taken_by(world, [taking_bob, by_bob])
    both = taken_by(world, [by_bob, taking_bob])
    assert [one.keys for one in both] == [{key("dave")}, {key("bob")}]


def test_a_file_that_is_given_twice_is_as_good_as_once(world: World) -> None:
    """Its amendment takes the key of one who approved it, as who changes a key of their own does."""
    file = revoking(world, "bob", "alice", "bob")
    assert [one.keys for one in taken_by(world, [file, file])] == [{key("bob")}] * 2
