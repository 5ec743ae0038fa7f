"""A replica that is pushed, truncated and folded in any order equals a replay from the first entry."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from ledger_world import Coin, World
from strongroom.ledger.messages import Tick, Verb
from strongroom.ledger.reasons import Refused
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

    @rule(amount=st.integers(1_000, 300_000_000), approvers=st.sets(st.sampled_from(PEOPLE), max_size=3))
    def order(self, amount: int, approvers: set[str]) -> None:
        order = self.world.order(self.world.withdrawal(VAULT, amount))
        self.try_to_log(self.world.order_entry(order, "shop", *sorted(approvers)))
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
        coins = data.draw(st.lists(st.sampled_from(self.coins), min_size=count, max_size=count, unique=True))
        if sum(coin.amount_sat for coin in coins) > sum(map(self.world.amount_of, orders)) + fee:
            self.try_to_log(self.world.plan(orders, coins, fee_sat=fee), Tick())

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
