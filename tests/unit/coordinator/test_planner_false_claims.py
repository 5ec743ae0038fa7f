"""Plans whose coins are not what they claim: their orders are planned again, and lock up nothing."""

from __future__ import annotations

from dataclasses import replace

from ledger_world import Coin as Claimed
from ledger_world import World
from planner_chain import PlannerChain
from strongroom.ledger.entry_messages import Plan
from strongroom_coordinator.coins import Coin
from strongroom_coordinator.tracker.plan_book import Outpoint

VAULT, OTHER = "customer-1", "customer-2"


def started() -> tuple[World, PlannerChain]:
    world = World.started()
    world.make_vault(VAULT)
    world.make_vault(OTHER)
    return world, PlannerChain(world)


def claimed(coin: Coin, **parts: int) -> Claimed:
    """A coin as a plan names it, truly or not."""
    true = Claimed(txid=coin.txid, vout=coin.vout, amount_sat=coin.amount_sat, branch=coin.branch, index=coin.index)
    return replace(true, **parts)


def invented(world: World, amount_sat: int = 5_000_000) -> Claimed:
    return Claimed(txid=world.fresh(32), vout=0, amount_sat=amount_sat)


def point(coin: Coin | Claimed) -> Outpoint:
    return coin.txid, coin.vout


def points(*coins: Coin | Claimed) -> frozenset[Outpoint]:
    return frozenset(map(point, coins))


def amounts(plan: Plan) -> dict[Outpoint, int]:
    return {(item.txid, item.vout): item.amount_sat for item in plan.inputs}


def test_an_order_on_a_false_amount_is_planned_again_with_the_right_one() -> None:
    world, chain = started()
    coin = chain.deposit(VAULT, 9_000_000)
    orders = [world.pay(VAULT, 100_000), world.pay(VAULT, 200_000)]
    chain.dishonest(world.plan(orders, [claimed(coin, amount_sat=400_000)]), false=points(coin))
    [again] = chain.plan()
    assert sorted(again.order_hashes) == sorted(orders)
    assert amounts(again)[point(coin)] == 9_000_000
    assert chain.plan() == []
    chain.confirm(chain.tracked(again))
    assert chain.plan() == []


def test_an_order_on_a_false_address_index_is_planned_again_with_the_right_one() -> None:
    world, chain = started()
    coin = chain.deposit(VAULT, 9_000_000, index=4)
    order = world.pay(VAULT, 100_000)
    chain.dishonest(world.plan([order], [claimed(coin, index=5)]), false=points(coin))
    [again] = chain.plan()
    assert [(item.txid, item.index) for item in again.inputs] == [(coin.txid, 4)]


def test_a_plan_with_several_coins_some_false_and_some_missing_is_replaced_on_any_real_one() -> None:
    world, chain = started()
    true, false = chain.deposit(VAULT, 1_000_000), chain.deposit(VAULT, 2_000_000)
    missing = invented(world)
    order = world.pay(VAULT, 6_500_000)
    plan = world.plan([order], [claimed(true), claimed(false, amount_sat=7_000_000), missing])
    chain.dishonest(plan, false=points(false), missing=points(missing))
    assert chain.plan() == []  # all that the vault has does not cover it yet
    chain.deposit(VAULT, 9_000_000)
    [again] = chain.plan()
    assert amounts(again).keys() & points(true, false)
    assert amounts(again).get(point(false), 2_000_000) == 2_000_000
    assert point(missing) not in amounts(again)


def test_coins_beside_one_that_does_not_exist_pay_others_too() -> None:
    world, chain = started()
    real, missing = chain.deposit(VAULT, 9_000_000), invented(world)
    expired = world.submit(world.withdrawal(VAULT, 100_000), "shop", "alice", "bob", expires_ms=world.time_ms + 60_000)
    chain.dishonest(world.plan([expired], [claimed(real), missing]), missing=points(missing))
    world.later(60_000)
    other = world.pay(VAULT, 200_000)
    [plan] = chain.plan()
    assert plan.order_hashes == (other,)
    assert amounts(plan) == {point(real): 9_000_000}


def test_an_order_on_coins_that_do_not_exist_says_that_nothing_can_be_done() -> None:
    world, chain = started()
    chain.deposit(VAULT, 9_000_000)
    missing = invented(world)
    order = world.pay(VAULT, 100_000)
    chain.dishonest(world.plan([order], [missing]), missing=points(missing))
    other = world.pay(VAULT, 200_000)
    assert [plan.order_hashes for plan in chain.plan()] == [(other,)]
    assert f"{missing.txid[::-1].hex()}:0 does not exist" in chain.planner.reason(order)
    assert "would then be paid as well" in chain.planner.reason(order)


def test_an_order_on_another_vaults_coin_is_not_planned_on_it_again() -> None:
    world, chain = started()
    chain.deposit(VAULT, 9_000_000)
    foreign = chain.deposit(OTHER, 5_000_000)
    order = world.pay(VAULT, 100_000)
    chain.dishonest(world.plan([order], [claimed(foreign)]), false=points(foreign))
    assert chain.plan() == []
    assert "reject the order and make a new one" in chain.planner.reason(order)
    paid = world.pay(OTHER, 100_000)
    [plan] = chain.plan()
    assert plan.order_hashes == (paid,)
    assert amounts(plan) == {point(foreign): 5_000_000}


def test_a_transaction_that_the_node_calls_invalid_is_replaced() -> None:
    world, chain = started()
    coin = chain.deposit(VAULT, 9_000_000)
    order = world.pay(VAULT, 100_000)
    plan = chain.dishonest(world.plan([order], [claimed(coin, amount_sat=8_000_000)]))
    assert chain.plan() == []
    plan.is_invalid = True
    chain.version += 1
    [again] = chain.plan()
    assert amounts(again) == {point(coin): 9_000_000}


def test_change_of_a_plan_whose_coins_do_not_exist_is_never_spent() -> None:
    world, chain = started()
    for claims in ("doubtful", "missing", "false"):
        coin = invented(world)
        plan = world.plan([world.pay(VAULT, 100_000)], [coin], change_index=chain.world.time_ms % 7)
        tracked = chain.dishonest(plan, **{claims: points(coin)})
        assert list(chain.plans.spendable_change()) == []
        assert bool(chain.plans.change_of(VAULT, tracked.txid)) is (claims == "doubtful")


def test_a_cancellation_on_a_false_amount_is_planned_again() -> None:
    world, chain = started()
    coin = chain.deposit(VAULT, 9_000_000)
    order = world.pay(VAULT, 100_000)
    assert len(chain.plan(signed=False)) == 1
    cancel = world.cancel(order)
    false = claimed(coin, amount_sat=7_000_000)
    chain.dishonest(world.plan([cancel], [false], fee_sat=2_000, change_index=9), false=points(coin))
    [again] = chain.plan()
    assert again.order_hashes == (cancel,)
    assert amounts(again)[point(coin)] == 9_000_000
    chain.confirm(chain.tracked(again))
    assert chain.plan() == []


def test_an_order_whose_plans_are_as_many_as_the_ledger_takes_is_left_alone() -> None:
    world, chain = started()
    coin = chain.deposit(VAULT, 9_000_000)
    order = world.pay(VAULT, 10_000, max_fee=200_000)
    for number in range(64):
        plan = world.plan([order], [claimed(coin, amount_sat=50_000 + number)])
        chain.dishonest(plan, false=points(coin))
    assert chain.plan() == []
    other = world.pay(VAULT, 20_000)
    assert [plan.order_hashes for plan in chain.plan()] == [(other,)]
