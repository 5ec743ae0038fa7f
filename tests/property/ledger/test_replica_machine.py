"""A replica that is pushed, truncated and folded in any order equals a replay from the first entry, and pays once."""

from __future__ import annotations

import hashlib
from itertools import combinations
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition
from hypothesis.stateful import rule as step

from charter_builder import BTC, HOUR_MS, rule
from ledger_world import Coin, World
from limits_oracle import LimitsOracle
from strongroom.ledger.charter import AssetAmount, Fees, Limit, Quorum
from strongroom.ledger.entry_messages import Tick
from strongroom.ledger.order_messages import CancelWithdraw
from strongroom.ledger.reasons import Refused
from strongroom.ledger.records import PlanRecord
from strongroom.ledger.replica import Batch, Replica
from strongroom.ledger.signed_messages import Verb
from strongroom.ledger.view import MemoryStore

pytestmark = pytest.mark.slow

VAULT = "customer-1"
COIN_SAT = 5_000_000
PEOPLE = ("alice", "bob", "carol", "dave", "shop")
APPROVERS = st.sampled_from([("alice", "bob"), ("carol", "dave"), ("alice", "bob", "dave"), ("alice",)])


TIERS = (
    rule(
        name="small ones",
        maximum=(AssetAmount(asset=BTC, amount=600_000),),
        limits=(Limit(window_ms=24 * HOUR_MS, amounts=(AssetAmount(asset=BTC, amount=900_000),)),),
        approvals=(Quorum(group="treasury", count=1),),
    ),
    rule(
        name="large ones",
        maximum=(AssetAmount(asset=BTC, amount=1_500_000),),
        limits=(
            Limit(window_ms=24 * HOUR_MS, amounts=(AssetAmount(asset=BTC, amount=2_500_000),)),
            Limit(window_ms=72 * HOUR_MS, amounts=(AssetAmount(asset=BTC, amount=4_000_000),)),
        ),
    ),
)
"""One approval lets little pass, two let more; both windows are soon full."""
FEES = Fees(per_vbyte=200, per_plan=1_000_000, window_ms=24 * HOUR_MS, per_vault=12_000)


class ReplicaMachine(RuleBasedStateMachine):
    """Entries of all kinds, many of them refused, with batches dropped and folded in between."""

    @initialize()
    def start(self) -> None:
        self.world = World.started(rules=TIERS, fees=FEES)
        self.world.make_vault(VAULT)
        self.batches: list[Batch] = self.world.batches
        self.fold_to(self.world.replica.size)
        self.orders: list[bytes] = []
        self.coins = [Coin(bytes([number]) * 32, 0, COIN_SAT) for number in range(1, 3)]

    def try_to_log(self, *bodies: Any) -> None:
        before = self.world.replica.head()
        self.world.later(1_000)
        try:
            preview = self.world.log(*bodies)
        except Refused:
            assert self.world.replica.head() == before
        else:
            self.batches = [*self.batches, preview.batch]

    def known_orders(self) -> list[bytes]:
        return [order for order in self.orders if self.world.state.order(order) is not None]

    def plans(self) -> list[PlanRecord]:
        state = self.world.state
        return [state.known_plan(name) for number in range(state.orders_count) for name in state.order_at(number).plans]

    def draw_plan(self, data: st.DataObject, orders: list[bytes]) -> None:
        """Plan orders on any coins: the same few again and again, or what earlier plans left."""
        made = [Coin(plan.txid, vout, COIN_SAT, branch=1) for plan in self.plans() for vout in (0, 1)]
        coins = data.draw(st.lists(st.sampled_from(self.coins + made), min_size=1, max_size=2, unique=True))
        fee = data.draw(st.integers(300, 3_000))
        if sum(coin.amount_sat for coin in coins) > sum(map(self.world.amount_of, orders)) + fee:
            self.try_to_log(self.world.plan(orders, coins, fee_sat=fee), Tick())

    @step(data=st.data(), amount=st.integers(1_000, 2_000_000), approvers=APPROVERS)
    def pay(self, data: st.DataObject, amount: int, approvers: tuple[str, ...]) -> None:
        order = self.world.order(self.world.withdrawal(VAULT, amount))
        self.try_to_log(self.world.order_entry(order, "shop", *approvers))
        self.orders.append(hashlib.sha256(order).digest())
        if self.world.state.order(self.orders[-1]) is not None:
            self.draw_plan(data, self.orders[-1:])

    @precondition(lambda self: self.plans())
    @step(data=st.data())
    def plan_again(self, data: st.DataObject) -> None:
        orders = st.lists(st.sampled_from(self.known_orders()), min_size=1, max_size=2, unique=True)
        self.draw_plan(data, data.draw(orders))

    @precondition(lambda self: self.plans())
    @step(data=st.data())
    def bump(self, data: st.DataObject) -> None:
        plan = data.draw(st.sampled_from(self.plans()))
        coins = [Coin(one.txid, one.vout, COIN_SAT) for one in plan.outpoints]
        self.try_to_log(self.world.plan(plan.order_hashes, coins, fee_sat=plan.fee_sat + 500, bumps=plan.hash))

    @precondition(lambda self: self.known_orders())
    @step(data=st.data(), person=st.sampled_from(PEOPLE), verb=st.sampled_from([Verb.APPROVE, Verb.REJECT]))
    def endorse(self, data: st.DataObject, person: str, verb: Verb) -> None:
        self.try_to_log(self.world.endorse(person, verb, data.draw(st.sampled_from(self.known_orders()))))

    @precondition(lambda self: self.plans())
    @step(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        target = data.draw(st.sampled_from(self.known_orders()))
        order = self.world.order(CancelWithdraw(order_hash=target, max_fee=20_000))
        self.try_to_log(self.world.order_entry(order, "shop"))
        self.orders.append(hashlib.sha256(order).digest())

    @precondition(lambda self: len(self.known_orders()) > 4)
    @step(hours=st.sampled_from([1, 25]), signer=st.sampled_from(["s1", "s2"]))
    def freeze_and_wait(self, hours: int, signer: str) -> None:
        self.try_to_log(self.world.signer_freeze(signer, vault=VAULT))
        self.world.later(hours * 3_600_000)

    @precondition(lambda self: len(self.world.replica.batch_borders()) > 5)
    @step(data=st.data())
    def truncate(self, data: st.DataObject) -> None:
        size = data.draw(st.sampled_from(self.world.replica.batch_borders()))
        self.world.replica.truncate(size)
        self.batches = [batch for batch in self.batches if batch.size <= size]
        prefix = Replica(MemoryStore(), log_id=self.world.log_id)
        for batch in self.batches:
            prefix.push(prefix.preview(batch))
        assert prefix.head() == self.world.replica.head()

    @precondition(lambda self: len(self.world.replica.batch_borders()) > 2)
    @step(data=st.data())
    def fold(self, data: st.DataObject) -> None:
        self.fold_to(data.draw(st.sampled_from(self.world.replica.batch_borders())))

    def fold_to(self, size: int) -> None:
        self.world.base.update(self.world.replica.fold(size))
        self.world.replica.folded(size)

    @invariant()
    def no_two_plans_of_an_order_stand_together(self) -> None:
        """Two plans with everything they need confirmed first: somewhere among them two spend one coin."""
        by_txid = {plan.txid: plan for plan in self.plans()}

        def needed(plan: PlanRecord) -> dict[bytes, PlanRecord]:
            found = {plan.txid: plan}
            for outpoint in plan.outpoints:
                if outpoint.txid in by_txid:
                    found |= needed(by_txid[outpoint.txid])
            return found

        for number in range(self.world.state.orders_count):
            plans = self.world.state.plans_of(self.world.state.order_at(number).hash)
            for first, second in combinations(plans, 2):
                together = (needed(first) | needed(second)).values()
                spent = [(outpoint.txid, outpoint.vout) for plan in together for outpoint in plan.outpoints]
                assert len(set(spent)) < len(spent)

    @invariant()
    def no_limit_is_exceeded(self) -> None:
        """Every accepted plan added up again, from the first entry on, by an oracle of its own."""
        entries = [entry for batch in self.batches for entry in batch.entries]
        LimitsOracle(self.world.charter).read(entries)

    def teardown(self) -> None:
        """A replay from the first entry, and a restart from what was folded, come to the same head."""
        replayed = Replica(MemoryStore(), log_id=self.world.log_id)
        restarted = Replica(self.world.base, log_id=self.world.log_id)
        for replica in (replayed, restarted):
            for batch in self.batches:
                if batch.first_index >= replica.folded_size:
                    replica.push(replica.preview(batch))
            assert replica.head() == self.world.replica.head()


ReplicaMachine.TestCase.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
TestReplicaMachine = ReplicaMachine.TestCase
