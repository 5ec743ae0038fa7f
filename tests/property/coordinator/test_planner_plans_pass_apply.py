"""Whatever coins, orders, blocks, cancellations and rejections come, the ledger takes every plan, and pays once."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import charter_builder as builder
from ledger_world import World
from planner_chain import PlannerChain
from strongroom.ledger.charter import AssetAmount, Fees, Limit
from strongroom.ledger.order_messages import Withdraw
from strongroom.ledger.records import OrderState
from strongroom.ledger.signed_messages import Verb
from strongroom.ledger.state import decode_order

pytestmark = pytest.mark.slow

VAULTS = ("customer-1", "customer-2")

amounts = st.one_of(st.integers(546, 5_000), st.integers(5_000, 2_000_000), st.integers(2_000_000, 200_000_000))
steps = st.lists(
    st.one_of(
        st.tuples(st.just("deposit"), st.integers(0, 1), amounts),
        st.tuples(st.just("pay"), st.integers(0, 1), amounts, st.sampled_from([300, 2_000, 20_000])),
        st.tuples(st.just("pay"), st.integers(0, 1), amounts, st.just(20_000)),
        st.tuples(st.just("confirm"), st.sampled_from([-1, -1, 0, 1, 2])),
        st.tuples(st.just("settle"), st.sampled_from(["cancel", "reject", "stick"]), st.integers(0, 30)),
        st.tuples(st.just("cancel"), st.integers(0, 30)),
        st.tuples(st.just("reject"), st.integers(0, 30)),
        st.tuples(st.just("stick"), st.integers(0, 30)),
        st.tuples(st.just("refuse"), st.integers(0, 30), st.sampled_from(["LOCAL_LIMIT", "ORDER_NOT_ALLOWED"])),
        st.tuples(st.just("rate"), st.sampled_from([1, 2, 9, 40, 300])),
        st.tuples(st.just("wait"), st.sampled_from([1_000, 60_000, 3_600_000])),
        st.tuples(st.just("plan"), st.booleans()),
        st.tuples(st.just("plan"), st.just(True)),
        st.tuples(st.just("plan"), st.just(True)),
    ),
    min_size=15,
    max_size=60,
)


def world() -> World:
    rules = (
        builder.rule(
            name="small",
            maximum=(AssetAmount(asset=builder.BTC, amount=1_000_000),),
            limits=(Limit(window_ms=3_600_000, amounts=(AssetAmount(asset=builder.BTC, amount=5_000_000),)),),
        ),
        builder.rule(name="large"),
    )
    made = World.started(rules=rules, fees=Fees(per_vbyte=50, per_plan=60_000, window_ms=3_600_000, per_vault=200_000))
    for vault in VAULTS:
        made.make_vault(vault)
    return made


class Story:
    """Plays steps; every plan goes through the real ledger."""

    def __init__(self) -> None:
        self.world = world()
        self.chain = PlannerChain(self.world, max_orders=7)
        self.orders: list[bytes] = []

    def play(self, step: tuple[object, ...]) -> None:
        getattr(self, f"do_{step[0]}")(*step[1:])

    def do_deposit(self, vault: int, amount: int) -> None:
        self.chain.deposit(VAULTS[vault], amount)

    def do_pay(self, vault: int, amount: int, max_fee: int) -> None:
        self.orders.append(self.world.pay(VAULTS[vault], amount, max_fee=max_fee))

    def do_confirm(self, pick: int) -> None:
        ready = [plan for plan in self.chain.plans if self.chain.can_confirm(plan)]
        if ready:
            self.chain.confirm(ready[pick % len(ready)])

    def do_settle(self, what: str, pick: int) -> None:
        """Several orders in one plan, then something about one of them, a plan that answers, and a block with it."""
        for _ in range(3):
            self.do_pay(0, 100_000, 20_000)
        self.do_deposit(0, 1_000_000)
        self.do_plan(what != "reject")
        self.play((what, pick if what == "stick" else -1))
        self.do_rate(20)
        self.do_plan(True)
        self.do_confirm(-1)
        self.do_plan(True)

    def do_cancel(self, pick: int) -> None:
        live = [
            name
            for name in self.orders
            if (record := self.world.state.order(name)) is not None
            and record.state in (OrderState.OPEN, OrderState.PLANNED)
        ]
        if live:
            self.world.cancel(live[pick % len(live)])

    def do_reject(self, pick: int) -> None:
        live = [
            name
            for name in self.orders
            if (record := self.world.state.order(name)) is not None
            and record.state in (OrderState.OPEN, OrderState.PLANNED)
            and all(one.verb is not Verb.REJECT for one in record.endorsements)
        ]
        if live:
            self.world.reject(live[pick % len(live)], "carol")

    def do_refuse(self, pick: int, reason: str) -> None:
        """Holders refuse an unsigned plan, what remains of it is planned, and later they sign it after all or not."""
        for _ in range(3):
            self.do_pay(0, 100_000 + pick, 20_000)
        self.do_deposit(0, 1_000_000)
        self.do_plan(False)
        unsigned = [plan for plan in self.chain.plans if plan.raw_transaction is None]
        if unsigned:
            self.chain.refusals[unsigned[pick % len(unsigned)].hash] = [f"s1: {reason}"]
            self.do_plan(True)
            self.do_confirm(-1)
            self.do_plan(True)

    def do_stick(self, pick: int) -> None:
        waiting = list(self.chain.plans)
        if waiting:
            self.chain.stuck_plans = [waiting[pick % len(waiting)]]

    def do_rate(self, rate: int) -> None:
        self.chain.fee_rate_sat_per_vb = rate
        self.chain.version += 1

    def do_wait(self, milliseconds: int) -> None:
        self.world.later(milliseconds)

    def do_plan(self, signed: bool) -> None:
        self.chain.plan(signed=signed)
        self.chain.stuck_plans = []

    def check(self) -> None:
        paid = Counter(order for plan in self.chain.confirmed.values() for order in plan.record.order_hashes)
        assert all(times == 1 for times in paid.values())


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps)
def test_every_plan_is_accepted_and_no_order_is_paid_twice(story: list[tuple[object, ...]]) -> None:
    play = Story()
    for step in story:
        play.play(step)
    play.do_plan(True)
    play.check()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.integers(10_000, 900_000), min_size=1, max_size=25), st.integers(1, 8))
def test_with_enough_coins_every_approved_order_is_planned(amounts_: list[int], coins: int) -> None:
    made = World.started()
    made.make_vault("customer-1")
    chain = PlannerChain(made, max_orders=10)
    for _ in range(coins):
        chain.deposit("customer-1", sum(amounts_) + 5_000_000)
    orders = [made.pay("customer-1", amount) for amount in amounts_]
    while chain.plan():
        for plan in list(chain.plans):
            if chain.can_confirm(plan):
                chain.confirm(plan)
    for order_hash in orders:
        record = made.state.order(order_hash)
        assert record is not None
        assert record.state is OrderState.PLANNED
        assert isinstance(decode_order(record.order).action, Withdraw)
