"""Properties of judging: matching is a maximum one, approvals only help, a rejection always ends."""

from __future__ import annotations

from itertools import permutations, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charter_builder import ADDRESS, BTC, COIN, charter, paying_only, person, rule, signing_key
from strongroom.ledger.charter import Charter, Deny, Group, Quorum
from strongroom.ledger.charter_check import check_charter
from strongroom.ledger.matching import Quota, seat
from strongroom.ledger.rules import Code, Endorsed, Withdrawal, glob_match, judge_withdrawal
from strongroom.ledger.signed_messages import Verb
from strongroom.model.quantities import decimal_text, duration_text, parse_decimal, parse_duration

pytestmark = pytest.mark.slow

PEOPLE = ("alice", "bob", "carol", "dave", "erin")
KEYS = {name: signing_key(name).public for name in (*PEOPLE, "shop")}
PAYMENT = Withdrawal(vault="customer-1", asset=BTC, amount=COIN, destination=ADDRESS)
members = st.lists(st.sampled_from(PEOPLE), min_size=1, max_size=5, unique=True).map(tuple)


def most_seats(people: tuple[str, ...], quotas: list[Quota]) -> int:
    """Brute force: try every order of people over the list of places."""
    places = [quota.members for quota in quotas for _ in range(quota.count)]
    best = 0
    padded: tuple[str | None, ...] = people + (None,) * len(places)
    for order in set(permutations(padded, len(places))):
        best = max(best, sum(who is not None and who in place for who, place in zip(order, places, strict=True)))
    return best


@given(
    people=st.lists(st.sampled_from(PEOPLE), max_size=4, unique=True),
    groups=st.lists(st.tuples(members, st.integers(1, 2)), min_size=1, max_size=2),
)
@settings(max_examples=80, deadline=None)
def test_seating_equals_brute_force_for_every_prefix(
    people: list[str], groups: list[tuple[tuple[str, ...], int]]
) -> None:
    quotas = [Quota(count=count, members=frozenset(who)) for who, count in groups]
    wanted = sum(quota.count for quota in quotas)
    for length in range(len(people) + 1):
        seating = seat(people[:length], quotas)
        assert wanted - sum(seating.open_places) == most_seats(tuple(people[:length]), quotas)
        if seating.complete and seating.last_needed is not None:
            assert not seat(people[: seating.last_needed], quotas).complete


@st.composite
def charters(draw: st.DrawFn) -> Charter:
    groups = tuple(Group(name=f"g{i}", members=draw(members)) for i in range(3))
    rules = []
    for i in range(draw(st.integers(1, 3))):
        quorums = draw(
            st.lists(st.tuples(st.sampled_from(["g0", "g1", "g2"]), st.integers(1, 3)), min_size=1, max_size=3)
        )
        rules.append(
            rule(
                name=f"rule {i}",
                approvals=tuple(Quorum(group=group, count=count) for group, count in quorums),
                initiated=("person:shop", "group:g0"),
                delay_ms=draw(st.sampled_from([0, 5])),
            )
        )
    people = (*(person(name) for name in PEOPLE), person("shop", machine=True))
    return charter(people=people, groups=groups, rules=tuple(rules), officers="g0")


approvals = st.builds(
    lambda who, at, lasting: Endorsed(
        person=who, key=KEYS[who], verb=Verb.APPROVE, expires_ms=at + lasting, time_ms=at
    ),
    st.sampled_from(PEOPLE),
    st.integers(0, 20),
    st.integers(1, 40),
)
initiations = st.sampled_from(("shop", "alice")).map(
    lambda who: Endorsed(person=who, key=KEYS[who], verb=Verb.INITIATE, expires_ms=100, time_ms=0)
)


@given(book=charters(), start=initiations, said=st.lists(approvals, max_size=6), more=approvals, at=st.integers(0, 30))
@settings(max_examples=300, deadline=None)
def test_one_more_approval_never_makes_an_allowed_order_denied(
    book: Charter, start: Endorsed, said: list[Endorsed], more: Endorsed, at: int
) -> None:
    def judge(*endorsements: Endorsed) -> bool:
        return judge_withdrawal(book, PAYMENT, endorsements, at_ms=at, window_total=lambda *_: 0).allowed

    if judge(start, *said):
        assert judge(start, *said, more)
        assert judge(more, *reversed(said), start)


@given(book=charters(), start=initiations, said=st.lists(approvals, max_size=6), at=st.integers(0, 200), data=st.data())
@settings(max_examples=150, deadline=None)
def test_a_rejection_by_a_named_approver_always_ends(
    book: Charter, start: Endorsed, said: list[Endorsed], at: int, data: st.DataObject
) -> None:
    named = {
        who for r in book.rules for q in r.approvals for g in book.groups if g.name == q.group for who in g.members
    }
    rejecter = data.draw(st.sampled_from(sorted(named)))
    no = Endorsed(person=rejecter, key=KEYS[rejecter], verb=Verb.REJECT, expires_ms=1, time_ms=0)
    endorsements = data.draw(st.permutations([start, *said, no]))
    judgement = judge_withdrawal(book, PAYMENT, endorsements, at_ms=at, window_total=lambda *_: 0)
    assert judgement.code is Code.REJECTED


@given(pattern=st.text(alphabet="ab*", max_size=7), name=st.text(alphabet="ab", max_size=7))
def test_globs_match_as_their_definition_says(pattern: str, name: str) -> None:
    def matches(p: str, n: str) -> bool:
        if not p:
            return not n
        if p[0] == "*":
            return any(matches(p[1:], n[i:]) for i in range(len(n) + 1))
        return bool(n) and p[0] == n[0] and matches(p[1:], n[1:])

    assert glob_match(pattern, name) is matches(pattern, name)


@given(one=st.text(alphabet="ab*", min_size=1, max_size=4), other=st.text(alphabet="ab*", min_size=1, max_size=4))
@settings(max_examples=200, deadline=None)
def test_a_prohibition_is_called_idle_only_if_no_vault_name_matches_it_and_a_rule(one: str, other: str) -> None:
    names = ("".join(letters) for length in range(9) for letters in product("ab", repeat=length))
    meet = any(glob_match(one, name) and glob_match(other, name) for name in names)
    book = charter(
        rules=(rule(vaults=(other,)),),
        denies=(Deny(name="no", vaults=(one,), to=paying_only(ADDRESS), assets=()),),
    )
    idle = any("meets no rule" in finding.what for finding in check_charter(book).findings)
    assert idle is not meet


@given(amount=st.integers(1, 2**256 - 1), decimals=st.integers(0, 18), ms=st.integers(0, 2**64 - 1))
def test_amounts_and_durations_come_back_from_their_text(amount: int, decimals: int, ms: int) -> None:
    assert parse_decimal(decimal_text(amount, decimals), decimals) == amount
    assert parse_duration(duration_text(ms)) == ms
