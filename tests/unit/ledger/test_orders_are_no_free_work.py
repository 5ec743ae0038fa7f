"""What an order makes everybody compute is bounded, and begins with a signature by somebody whom the charter knows."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

import charter_builder as builder
from ledger_world import World
from refusals import refusal_of
from strongroom.ledger import charter_check_recovery, charter_check_rules
from strongroom.ledger.charter import AnyDestination, Deny, Quorum, encode_charter
from strongroom.ledger.charter_check import check_charter, first_error
from strongroom.ledger.charter_check_rules import globs_may_meet
from strongroom.ledger.matching import Quota, seat
from strongroom.ledger.order_messages import AmendCharter
from strongroom.ledger.signed_messages import Verb

PATTERNS = st.text(alphabet="ab*", max_size=7)


@pytest.mark.attack(
    line="coordinator",
    title="an order that nobody signed, and that takes minutes to look at",
    origin="on paper: unsigned bytes that keep every signer busy",
)
@pytest.mark.parametrize("verb", [Verb.INITIATE, Verb.APPROVE])
def test_an_order_is_looked_at_only_when_all_its_signatures_verify(verb: Verb) -> None:
    world = World.started()
    invalid = replace(world.state.charter, version=2, admin=Quorum(group="nobody", count=1))
    order = world.order(AmendCharter(charter=encode_charter(invalid), handover_expires_ms=0))
    entry = world.order_entry(order, "dave", "alice")
    assert refusal_of(world, entry) == "CHARTER_INVALID"
    position = 0 if verb is Verb.INITIATE else 1
    said = list(entry.endorsements)
    said[position] = replace(said[position], signature=bytes(64))
    assert refusal_of(world, replace(entry, endorsements=tuple(said))) == "BAD_SIGNATURE"


@pytest.mark.attack(
    line="person",
    title="a charter whose globs, compared each with each, stop the log for minutes",
    origin="on paper: work that grows with the square of what one person signs",
)
def test_the_ledger_compares_no_globs_to_find_what_forbids_a_charter(monkeypatch: pytest.MonkeyPatch) -> None:
    book = builder.charter(
        **builder.recovery_parts(), denies=(Deny(name="no", vaults=("*a*",), to=AnyDestination(), assets=()),)
    )
    assert check_charter(book).ok
    for module in (charter_check_rules, charter_check_recovery):
        monkeypatch.setattr(module, "globs_may_meet", _forbidden)
    monkeypatch.setattr(charter_check_rules, "check_shadowed_rules", _forbidden)
    assert first_error(book) is None
    with pytest.raises(AssertionError):
        check_charter(book)


def _forbidden(*_: Any) -> bool:
    raise AssertionError("compared")


def _walk(one: str, other: str) -> bool:
    """The plain way: walk both at once, a star standing for any run."""
    reached, frontier = {(0, 0)}, [(0, 0)]
    while frontier:
        i, j = frontier.pop()
        star, star_too = one[i : i + 1] == "*", other[j : j + 1] == "*"
        steps = [(i + 1, j)] * (star or (star_too and i < len(one)))
        steps += [(i, j + 1)] * (star_too or (star and j < len(other)))
        steps += [(i + 1, j + 1)] * (i < len(one) and j < len(other) and one[i] == other[j])
        for step in steps:
            if step not in reached:
                reached.add(step)
                frontier.append(step)
    return (len(one), len(other)) in reached


@given(PATTERNS, PATTERNS)
def test_globs_meet_exactly_where_a_walk_over_both_finds_a_name(one: str, other: str) -> None:
    assert globs_may_meet(one, other) == _walk(one, other)


def test_many_globs_are_told_and_not_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    book = builder.charter(denies=(Deny(name="no", vaults=("old-*",) * 64, to=AnyDestination(), assets=()),) * 8)
    monkeypatch.setattr(charter_check_rules, "globs_may_meet", _forbidden)
    assert any("globs" in finding.what for finding in check_charter(book).errors)


# --- the places of quorums --------------------------------------------------------------------------------------------


PEOPLE = ("a", "b", "c", "d")
QUOTAS = st.lists(
    st.builds(Quota, count=st.integers(0, 3), members=st.frozensets(st.sampled_from(PEOPLE))), min_size=1, max_size=3
)


@given(QUOTAS, st.frozensets(st.sampled_from(PEOPLE)), st.frozensets(st.sampled_from((*PEOPLE, "z"))))
def test_places_can_be_taken_exactly_when_some_initiator_leaves_enough_people(
    quotas: list[Quota], approvers: frozenset[str], initiators: frozenset[str]
) -> None:
    expected = _enough(quotas, approvers) and (
        not initiators or any(_enough(quotas, approvers - {who}) for who in initiators)
    )
    assert charter_check_rules._can_be_met(quotas, approvers, initiators) == expected


def _enough(quotas: list[Quota], people: frozenset[str]) -> bool:
    """Hall's condition: any places together have as many people who may take one."""
    places = [frozenset(quota.members) & people for quota in quotas for _ in range(quota.count)]
    return all(
        len(frozenset().union(*some)) >= size
        for size in range(1, len(places) + 1)
        for some in combinations(places, size)
    )


def test_looking_at_a_rule_seats_its_approvers_twice_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    seated: list[int] = []

    def counting(people: list[str], quotas: list[Quota]) -> Any:
        seated.append(len(people))
        return seat(people, quotas)

    monkeypatch.setattr(charter_check_rules, "seat", counting)
    everyone = frozenset(f"p{number}" for number in range(30))
    assert charter_check_rules._can_be_met([Quota(count=29, members=everyone)], everyone, everyone)
    assert len(seated) == 2


class _Watched(frozenset[str]):
    """Members of a quota that count how often they are looked at."""

    looks = 0

    def __contains__(self, person: object) -> bool:
        _Watched.looks += 1
        return frozenset.__contains__(self, person)


def test_nobody_is_looked_for_once_all_places_are_taken() -> None:
    people = [f"p{number}" for number in range(100)]
    seating = seat(people, [Quota(count=2, members=_Watched(people))])
    assert (seating.complete, seating.last_needed, _Watched.looks) == (True, 1, 2)
