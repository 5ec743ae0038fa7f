"""What the planner moves when the glass is broken, and what it leaves."""

from __future__ import annotations

from dataclasses import replace

import pytest

import charter_builder as builder
from ledger_world import HOUR_MS, World
from planner_chain import PlannerChain
from strongroom.ledger.entry_messages import Plan, Recovery
from strongroom.ledger.plans import spend_of
from strongroom.ledger.records import OrderRecord, OrderState
from strongroom_coordinator.planner import sweeps
from strongroom_coordinator.planner.waiting import LATER_MS

VAULT = "customer-1"
DELAY_MS, BOX_MS = HOUR_MS, 6 * HOUR_MS
FEES = builder.charter().fees


def started(rate: int = 5, **parts: object) -> tuple[World, PlannerChain]:
    world = World.started(**builder.recovery_parts(rules=(builder.rule(), builder.book_rule()), **parts))
    world.make_vault(VAULT)
    return world, PlannerChain(world, rate=rate)


def opened(world: World, *, max_fee: int = 50_000) -> bytes:
    order = world.submit(world.recovery(max_fee=max_fee), "dave", "alice", "bob", "carol")
    world.later(DELAY_MS)
    return order


def record_of(world: World, order: bytes) -> OrderRecord:
    record = world.state.order(order)
    assert record is not None
    return record


def moved(plan: Plan) -> int:
    [output] = plan.outputs
    assert isinstance(output.target, Recovery)
    return output.target.amount_sat


def test_all_coins_go_in_one_transaction_while_everything_is_frozen() -> None:
    world, chain = started()
    coins = [chain.deposit(VAULT, amount) for amount in (900_000, 50_000, 4_000_000)]
    world.freeze("dave")
    order = opened(world)
    [plan] = chain.plan()
    assert plan.order_hashes == (order,)
    assert {(item.txid, item.vout) for item in plan.inputs} == {coin.outpoint for coin in coins}
    spend = spend_of(world.state, plan)
    assert moved(plan) == 4_950_000 - spend.fee_sat
    assert spend.fee_rate in (5, 6)


def test_nothing_moves_before_the_box_opens_or_after_it_closes() -> None:
    world, chain = started()
    chain.deposit(VAULT, 900_000)
    world.break_glass()
    assert chain.plan() == []
    world.later(DELAY_MS + BOX_MS)
    assert chain.plan() == []


def test_what_arrives_later_is_moved_as_well() -> None:
    world, chain = started()
    chain.deposit(VAULT, 900_000)
    order = opened(world)
    [first] = chain.plan()
    assert chain.plan() == []
    assert chain.planner.reason(order).startswith("nothing: the vault has no coin")
    chain.confirm(chain.tracked(first))
    late = chain.deposit(VAULT, 70_000)
    [second] = chain.plan()
    assert [(item.txid, item.vout) for item in second.inputs] == [late.outpoint]
    assert len(record_of(world, order).plans) == 2
    assert record_of(world, order).state is OrderState.OPEN


def test_coins_that_wait_for_signatures_are_taken_and_those_that_are_signed_are_left() -> None:
    world, chain = started()
    chain.deposit(VAULT, 500_000)
    world.pay(VAULT, 100_000)
    [waiting] = chain.plan(signed=False)
    chain.deposit(VAULT, 600_000)
    world.pay(VAULT, 550_000)
    [signed] = chain.plan()
    opened(world)
    [plan] = chain.plan()
    taken = {(item.txid, item.vout) for item in plan.inputs}
    assert taken == {(item.txid, item.vout) for item in waiting.inputs}
    assert taken.isdisjoint((item.txid, item.vout) for item in signed.inputs)


def test_many_coins_go_in_several_transactions(monkeypatch: pytest.MonkeyPatch) -> None:
    world, chain = started()
    for amount in range(100_000, 107_000, 1_000):
        chain.deposit(VAULT, amount)
    order = opened(world)
    monkeypatch.setattr(sweeps, "MAX_INPUTS", 3)
    plans = chain.plan()
    assert [len(plan.inputs) for plan in plans] == [3, 3, 1]
    spent = [(item.txid, item.vout) for plan in plans for item in plan.inputs]
    assert len(set(spent)) == 7
    assert all(plan.order_hashes == (order,) for plan in plans)


def test_a_transaction_takes_fewer_coins_where_its_fee_cap_asks_for_it() -> None:
    world, chain = started(rate=10)
    for amount in range(500_000, 504_000, 1_000):
        chain.deposit(VAULT, amount)
    opened(world, max_fee=1_800)
    plans = chain.plan()
    assert [len(plan.inputs) for plan in plans] == [2, 2]
    assert all(spend_of(world.state, plan).fee_sat <= 1_800 for plan in plans)


def test_a_cap_below_the_market_lowers_the_rate() -> None:
    world, chain = started(rate=50)
    chain.deposit(VAULT, 500_000)
    opened(world, max_fee=1_000)
    [plan] = chain.plan()
    assert spend_of(world.state, plan).fee_sat <= 1_000


def test_a_used_up_fee_window_stops_what_does_not_fit_and_keeps_what_does() -> None:
    fees = replace(FEES, per_vault=1_500)
    world, chain = started(rate=10, fees=fees)
    for amount in range(500_000, 504_000, 1_000):
        chain.deposit(VAULT, amount)
    order = opened(world, max_fee=1_000)
    plans = chain.plan()
    assert sum(spend_of(world.state, plan).fee_sat for plan in plans) <= 1_500
    assert plans
    world.later(LATER_MS)
    assert chain.plan() == []
    assert "fee" in chain.planner.reason(order)


def test_coins_that_cost_more_to_move_than_they_are_worth_stay() -> None:
    world, chain = started(rate=50)
    chain.deposit(VAULT, 2_000)
    order = opened(world)
    assert chain.plan() == []
    assert chain.planner.reason(order).startswith("nothing")
    large = chain.deposit(VAULT, 800_000)
    [plan] = chain.plan()
    assert [(item.txid, item.vout) for item in plan.inputs] == [large.outpoint]


def test_too_little_for_an_output_is_not_planned() -> None:
    world, chain = started(rate=5)
    chain.deposit(VAULT, 700)
    order = opened(world)
    assert chain.plan() == []
    assert "too little" in chain.planner.reason(order)


def test_a_stuck_transaction_is_made_again_at_the_markets_rate_with_the_same_coins() -> None:
    world, chain = started(rate=5)
    chain.deposit(VAULT, 800_000)
    opened(world)
    [first] = chain.plan()
    chain.stuck_plans = [chain.tracked(first)]
    world.later(LATER_MS)
    assert chain.plan() == []
    chain.fee_rate_sat_per_vb = 20
    chain.version += 1
    [second] = chain.plan()
    assert second.inputs == first.inputs
    assert spend_of(world.state, second).fee_sat > 3 * spend_of(world.state, first).fee_sat
    assert second.bumps == b""


def test_a_stuck_transaction_waits_on_where_more_fee_is_not_allowed() -> None:
    world, chain = started(rate=5)
    chain.deposit(VAULT, 800_000)
    opened(world, max_fee=1_000)
    [first] = chain.plan()
    chain.stuck_plans = [chain.tracked(first)]
    chain.fee_rate_sat_per_vb = 20
    chain.version += 1
    world.later(LATER_MS)
    assert chain.plan() == []


def test_other_vaults_and_their_withdrawals_go_on() -> None:
    world, chain = started()
    world.make_vault("customer-2")
    chain.deposit(VAULT, 800_000)
    chain.deposit("customer-2", 900_000)
    paid = world.pay("customer-2", 100_000)
    order = opened(world)
    assert {plan.order_hashes for plan in chain.plan()} == {(order,), (paid,)}
