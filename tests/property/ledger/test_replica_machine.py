"""A replica that is pushed, truncated and folded in any order equals a replay from the first entry."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from ledger_world import Coin, World
from strongroom.ledger.messages import Tick, Verb
from strongroom.ledger.reasons import Refused
from strongroom.ledger.records import PlanRecord
from strongroom.ledger.replica import Batch, Replica
from strongroom.ledger.view import MemoryStore

VAULT = "customer-1"
PEOPLE = ("alice", "bob", "carol", "dave", "shop")


class ReplicaMachine(RuleBasedStateMachine):
    """Entries of all kinds, some of them refused, with batches dropped and folded in between."""

    @initialize()
    def start(self) -> None:
        self.world = World.started()
        self.world.make_vault(VAULT)
        self.batches: list[Batch] = self.world.batches
        self.orders: list[bytes] = []
        self.coins = [Coin(bytes([number]) * 32, 0, 10_000_000) for number in range(1, 4)]

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

    @rule(
        amount=st.integers(1_000, 4_000_000),
        approvers=st.sampled_from([(), ("alice",), ("alice", "bob"), ("alice", "bob", "dave")]),
    )
    def order(self, amount: int, approvers: tuple[str, ...]) -> None:
        order = self.world.order(self.world.withdrawal(VAULT, amount))
        self.try_to_log(self.world.order_entry(order, "shop", *approvers))
        self.orders.extend(record.hash for record in self.world.state.open_orders() if record.hash not in self.orders)

    @precondition(lambda self: self.known_orders())
    @rule(data=st.data(), person=st.sampled_from(PEOPLE), verb=st.sampled_from([Verb.APPROVE, Verb.REJECT]))
    def endorse(self, data: st.DataObject, person: str, verb: Verb) -> None:
        order = data.draw(st.sampled_from(self.known_orders()))
        self.try_to_log(self.world.endorse(person, verb, order))

    @precondition(lambda self: self.known_orders())
    @rule(data=st.data(), fee=st.integers(200, 3_000), count=st.integers(1, 2))
    def plan(self, data: st.DataObject, fee: int, count: int) -> None:
        orders = data.draw(st.lists(st.sampled_from(self.known_orders()), min_size=1, max_size=3, unique=True))
        made = [Coin(plan.txid, vout, 5_000_000, branch=1) for plan in self.plans() for vout in (0, 1)]
        coins = data.draw(st.lists(st.sampled_from(self.coins + made), min_size=count, max_size=count, unique=True))
        if sum(coin.amount_sat for coin in coins) > sum(map(self.world.amount_of, orders)) + fee:
            self.try_to_log(self.world.plan(orders, coins, fee_sat=fee), Tick())

    def plans(self) -> list[PlanRecord]:
        state = self.world.state
        return [state.known_plan(name) for number in range(state.orders_count) for name in state.order_at(number).plans]

    @precondition(lambda self: self.known_orders())
    @rule(data=st.data())
    def freeze(self, data: st.DataObject) -> None:
        self.try_to_log(self.world.signer_freeze(data.draw(st.sampled_from(["s1", "s2"])), vault=VAULT))

    @rule(hours=st.integers(0, 30))
    def wait(self, hours: int) -> None:
        self.world.later(hours * 3_600_000)
        self.try_to_log(Tick())

    @rule(data=st.data())
    def truncate(self, data: st.DataObject) -> None:
        size = data.draw(st.sampled_from(self.world.replica.batch_borders()))
        self.world.replica.truncate(size)
        self.batches = [batch for batch in self.batches if batch.size <= size]

    @rule(data=st.data())
    def fold(self, data: st.DataObject) -> None:
        size = data.draw(st.sampled_from(self.world.replica.batch_borders()))
        self.world.base.update(self.world.replica.fold(size))
        self.world.replica.folded(size)

    @invariant()
    def equals_a_replay(self) -> None:
        again = Replica(MemoryStore(), log_id=self.world.log_id)
        for batch in self.batches:
            again.push(again.preview(batch))
        assert again.head() == self.world.replica.head()

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

    def teardown(self) -> None:
        """After a restart from what was folded, and the later batches again, nothing has changed either."""
        restarted = Replica(self.world.base, log_id=self.world.log_id)
        for batch in self.batches:
            if batch.first_index >= restarted.folded_size:
                restarted.push(restarted.preview(batch))
        assert restarted.head() == self.world.replica.head()
        everything = [record.hash for record in map(restarted.state().order_at, range(restarted.state().orders_count))]
        assert all(restarted.state().order(order) is not None for order in everything)


ReplicaMachine.TestCase.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)
TestReplicaMachine = ReplicaMachine.TestCase
