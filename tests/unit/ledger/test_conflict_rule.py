"""What a planner asks, and what the rule says, of plans that must exclude each other."""

from __future__ import annotations

import pytest

from ledger_world import Coin, World
from strongroom.ledger.conflict import must_spend
from strongroom.ledger.reasons import Refused

VAULT = "customer-1"


@pytest.fixture
def world() -> World:
    world = World.started()
    world.make_vault(VAULT)
    return world


def test_an_order_without_plans_may_spend_anything(world: World) -> None:
    assert must_spend(world.state, world.pay(VAULT, 100_000)) == ()


def test_a_planned_order_must_spend_a_coin_of_each_plan(world: World) -> None:
    order, first, second = world.pay(VAULT, 100_000), world.coin(200_000), world.coin(200_000)
    world.log_plan([order], [first, second])
    world.log_plan([order], [first])
    wanted = must_spend(world.state, order)
    assert [one.outpoints for one in wanted] == [{(first.txid, 0), (second.txid, 0)}, {(first.txid, 0)}]
    assert [one.met_by([(second.txid, 0)]) for one in wanted] == [True, False]


def test_the_outputs_of_a_plan_in_between_will_do(world: World) -> None:
    order, other, coin = world.pay(VAULT, 50_000), world.pay(VAULT, 60_000), world.coin(200_000)
    world.log_plan([order], [coin])
    between = world.planned([other], [coin])
    (wanted,) = must_spend(world.state, order)
    assert wanted.transactions == {between.txid}
    assert wanted.met_by([(between.txid, 1)])
    world.log_plan([order], [Coin(between.txid, 1, 139_000, branch=1)], change_index=1)


def test_a_cancellations_plan_is_in_between_for_the_other_orders(world: World) -> None:
    orders, coin = [world.pay(VAULT, 50_000), world.pay(VAULT, 60_000)], world.coin(200_000)
    world.log_plan(orders, [coin])
    cancel = world.cancel(orders[0])
    between = world.planned([cancel], [coin], fee_sat=2_000)
    (wanted,) = must_spend(world.state, orders[1])
    assert wanted.transactions == {between.txid}
    # For the cancelled order it is in between as well: its own plan could only follow the cancellation's.
    assert must_spend(world.state, orders[0])[0].transactions == {between.txid}


def test_the_outputs_of_a_plan_that_pays_the_order_itself_will_not_do(world: World) -> None:
    """Both would confirm, one after the other, and pay it twice."""
    order, coin = world.pay(VAULT, 50_000), world.coin(200_000)
    first = world.planned([order], [coin])
    again = world.planned([order], [coin], fee_sat=2_000)
    for plan in (first, again):
        change = Coin(plan.txid, 1, 148_000, branch=1)
        with pytest.raises(Refused) as caught:
            world.log_plan([order], [change], change_index=1)
        assert (caught.value.reason, caught.value.facts["order"]) == ("PLAN_CONFLICT", order.hex())
