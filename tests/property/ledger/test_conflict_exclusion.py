"""The conflict rule against every set of plans that a chain could confirm.

Plans are drawn freely over a few coins and over each other's outputs; those that the rule takes are kept. Then every
set of kept plans that could stand on a chain together - no two spend one coin, and whoever spends a plan's output comes
with that plan - is looked at: none pays an order twice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strongroom.ledger.conflict import NewPlan, Outpoint, Planned

COINS: list[Outpoint] = [(bytes([255]) * 32, vout) for vout in range(4)]
ORDERS = [bytes([number]) * 32 for number in range(3)]


@dataclass(frozen=True)
class Drawn:
    coins: frozenset[int]
    parents: frozenset[int]
    orders: frozenset[int]


DRAWN = st.builds(
    Drawn,
    coins=st.frozensets(st.integers(0, 3), max_size=2),
    parents=st.frozensets(st.integers(0, 7), max_size=2),
    orders=st.frozensets(st.integers(0, 2), max_size=2),
)


def meets(plan: Planned, order: bytes, earlier: Planned, logged: list[Planned]) -> bool:
    """The rule as it is written, for one order and one earlier plan, with nothing remembered."""
    between = [old for old in logged if order not in old.orders and any(txid == old.txid for txid, _ in plan.outpoints)]
    return any(one.outpoints & earlier.outpoints for one in [plan, *between])


def excludes(
    order: bytes, spent: frozenset[Outpoint], earlier: Planned, plan_of: Callable[[bytes], Planned | None]
) -> bool:
    logged: dict[bytes, Planned] = {}
    return NewPlan(spent, by_txid=plan_of, by_hash=logged.__getitem__).excludes(order, earlier)


def take_by_the_rule(drawn: list[Drawn]) -> list[Planned]:
    kept: list[Planned] = []

    def plan_of(txid: bytes) -> Planned | None:
        return next((plan for plan in kept if plan.txid == txid), None)

    for number, one in enumerate(drawn):
        outpoints = {COINS[coin] for coin in one.coins}
        outpoints |= {(kept[parent].txid, number % 2) for parent in one.parents if parent < len(kept)}
        if not outpoints:
            continue
        orders = frozenset(ORDERS[order] for order in one.orders)
        plan = Planned(txid=bytes([number + 10]) * 32, outpoints=frozenset(outpoints), orders=orders)
        earlier = [(order, old) for order in sorted(orders) for old in kept if order in old.orders]
        by_hash = {old.txid: old for old in kept}
        new = NewPlan(plan.outpoints, by_txid=plan_of, by_hash=by_hash.__getitem__)
        beside = {
            order: new.first_not_excluded(order, [old.txid for old in kept if order in old.orders])
            for order in sorted(orders)
        }
        assert beside == {
            order: next((old.txid for one, old in earlier if one == order and not meets(plan, order, old, kept)), None)
            for order in orders
        }
        if not any(beside.values()):
            kept.append(plan)
    return kept


def can_stand_together(plans: tuple[Planned, ...], kept: list[Planned]) -> bool:
    spent = [outpoint for plan in plans for outpoint in plan.outpoints]
    if len(set(spent)) != len(spent):
        return False
    made = {plan.txid for plan in plans}
    known = {plan.txid for plan in kept}
    return all(txid in made for txid, _ in spent if txid in known)


@pytest.mark.attack(
    line="coordinator",
    title="any two plans of an order that confirm together",
    origin="on paper: plans that do not exclude each other",
)
@settings(max_examples=400, deadline=None)
@given(st.lists(DRAWN, min_size=2, max_size=8))
def test_no_two_plans_of_an_order_confirm_together(drawn: list[Drawn]) -> None:
    kept = take_by_the_rule(drawn)
    for count in range(2, len(kept) + 1):
        for plans in combinations(kept, count):
            if not can_stand_together(plans, kept):
                continue
            paid = [order for plan in plans for order in plan.orders]
            assert len(set(paid)) == len(paid), plans


def test_the_search_finds_double_payments_where_the_rule_is_left_out() -> None:
    """The check above would notice: two plans of one order on two coins stand together."""
    first = Planned(txid=b"1" * 32, outpoints=frozenset(COINS[:1]), orders=frozenset(ORDERS[:1]))
    second = Planned(txid=b"2" * 32, outpoints=frozenset(COINS[1:2]), orders=frozenset(ORDERS[:1]))
    assert can_stand_together((first, second), [first, second])
    assert not excludes(ORDERS[0], second.outpoints, first, lambda txid: None)


def test_a_plan_in_between_that_pays_the_order_does_not_count() -> None:
    """Its output exists only where the order was paid already."""
    first = Planned(txid=b"1" * 32, outpoints=frozenset(COINS[:1]), orders=frozenset(ORDERS[:1]))
    paying = Planned(txid=b"2" * 32, outpoints=frozenset(COINS[:1]), orders=frozenset(ORDERS[:1]))
    other = Planned(txid=b"2" * 32, outpoints=frozenset(COINS[:1]), orders=frozenset(ORDERS[1:2]))
    spent = frozenset({(b"2" * 32, 0)})
    assert not excludes(ORDERS[0], spent, first, {paying.txid: paying}.get)
    assert excludes(ORDERS[0], spent, first, {other.txid: other}.get)


def test_attack_many_orders_with_many_plans_cost_one_look_at_each_plan() -> None:
    """A coordinator chooses how many orders a plan has, how many plans each has had, and how many coins it spends."""
    orders = [bytes([number]) * 32 for number in range(50)]
    coins: list[Outpoint] = [(bytes([200]) * 32, vout) for vout in range(100)]
    old = {
        bytes([number]) * 32: Planned(
            txid=bytes([number]) * 32, outpoints=frozenset({coins[number - 100]}), orders=frozenset(orders)
        )
        for number in range(100, 120)
    }
    parents = {
        bytes([number]) * 32: Planned(
            txid=bytes([number]) * 32, outpoints=frozenset(coins), orders=frozenset(orders[: number % 2])
        )
        for number in range(120, 180)
    }
    asked: list[bytes] = []

    def by_txid(txid: bytes) -> Planned | None:
        asked.append(txid)
        return parents.get(txid)

    def by_hash(name: bytes) -> Planned:
        asked.append(name)
        return old[name]

    new = NewPlan(frozenset((txid, 0) for txid in parents), by_txid=by_txid, by_hash=by_hash)
    assert all(new.first_not_excluded(order, old) is None for order in orders)
    assert sorted(asked) == sorted([*old, *parents])
