"""Plans that a restart lost, and those made since: of one order no two can ever confirm together."""

from __future__ import annotations

from itertools import product

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize
from hypothesis.stateful import rule as step

from ledger_world import Coin
from restart_world import RestartWorld
from strongroom.ledger.order_messages import CancelWithdraw, Unfreeze
from strongroom.ledger.reasons import Refused
from strongroom.ledger.records import OrderRecord, PlanRecord
from strongroom.ledger.state import decode_order

VAULT = "customer-1"
Outpoint = tuple[bytes, int]


class LostPlansMachine(RuleBasedStateMachine):
    """A coordinator that chooses coins as it likes, and logs that are founded anew at any size since the last time."""

    @initialize()
    def start(self) -> None:
        self.world = RestartWorld()
        self.world.world.make_vault(VAULT)
        self.coins = [self.world.world.coin(400_000) for _ in range(4)]
        self.foundings = 0
        self.base = self.world.state.size
        self.spent: dict[bytes, frozenset[Outpoint]] = {}
        """What each transaction that any log accepted spends."""
        self.lost: dict[bytes, set[bytes]] = {}
        """Transactions of lost plans by the order that they pay."""
        self.made: dict[bytes, set[bytes]] = {}
        """Transactions by the order that they pay, or whose payment they exclude, in the log as it is."""
        self.orders: list[bytes] = []

    @step()
    def pay(self) -> None:
        self.orders.append(self.world.world.pay(VAULT, 50_000))

    @step(place=st.integers(0, 5))
    def cancel(self, place: int) -> None:
        if self.orders:
            try:
                self.orders.append(self.world.world.cancel(self.orders[place % len(self.orders)]))
            except Refused:
                return

    @step(
        places=st.lists(st.integers(0, 7), min_size=1, max_size=2, unique=True),
        coins=st.sets(st.integers(0, 9), min_size=1, max_size=3),
        fee=st.integers(1, 15),
        bumps=st.booleans(),
    )
    def plan(self, places: list[int], coins: set[int], fee: int, bumps: bool) -> None:
        state = self.world.state
        orders = list(dict.fromkeys(self.orders[place % len(self.orders)] for place in places if self.orders))
        if not orders:
            return
        earlier = state.plans_of(orders[0])
        chosen = [self.coins[place % len(self.coins)] for place in sorted(coins)]
        inputs = {(coin.txid, coin.vout): coin for coin in chosen}
        try:
            record = self.world.world.planned(
                orders,
                list(inputs.values()),
                fee_sat=1_000 * fee,
                bumps=earlier[-1].hash if bumps and earlier else b"",
            )
        except Refused:
            return
        self._note(record)
        rest = sum(coin.amount_sat for coin in inputs.values()) - 1_000 * fee
        rest -= sum(self.world.world.amount_of(order) for order in orders)
        self.coins.append(Coin(record.txid, len(orders) - record.is_cancel, rest, branch=1))

    @step(at=st.integers(0, 30))
    def lose(self, at: int) -> None:
        """The log goes on from any batch since it was founded last; what came after is lost, and was signed."""
        sizes = [preview.size for preview in self.world.world.previews if preview.size >= self.base]
        size = sizes[at % len(sizes)]
        for order in self.orders:
            record = self.world.state.order(order)
            for one in () if record is None else self._paying(record):
                if one.entry_index >= size:
                    self.lost.setdefault(order, set()).add(one.txid)
        self.world.lose(size)
        self.orders = [order for order in self.orders if self.world.state.order(order) is not None]
        last = f"s2:s2-k{self.foundings}" if self.foundings else "s2"
        self.foundings += 1
        charter = self.world.new_charter(key=f"k{self.foundings}")
        self.world.found(self.world.restart(charter, voters=("s1", last)))
        self.base = self.world.state.size
        self.world.world.submit(Unfreeze(freeze=self.world.world.log_id), "dave", "alice", "carol")
        self.made = {}
        for order in self.orders:
            kept = self.world.state.order(order)
            for one in () if kept is None else self.world.state.plans_of(order):
                self._note(one)

    def _note(self, plan: PlanRecord) -> None:
        self.spent[plan.txid] = frozenset((one.txid, one.vout) for one in plan.outpoints)
        for name in plan.order_hashes:
            order = self.world.state.order(name)
            action = None if order is None else decode_order(order.order).action
            about = action.order_hash if isinstance(action, CancelWithdraw) else name
            self.made.setdefault(about, set()).add(plan.txid)

    def _paying(self, record: OrderRecord) -> tuple[PlanRecord, ...]:
        return tuple(one for one in self.world.state.plans_of(record.hash) if not one.is_cancel)

    def _needs(self, txid: bytes) -> dict[Outpoint, bytes]:
        """Every coin that is spent where this transaction is confirmed, and by which one."""
        found = dict.fromkeys(self.spent[txid], txid)
        for parent, _ in self.spent[txid]:
            if parent in self.spent:
                found |= self._needs(parent)
        return found

    def teardown(self) -> None:
        """A lost plan and one of the log as it is never confirm together: they need one coin for two transactions."""
        for order, gone in self.lost.items():
            for lost, made in product(gone, self.made.get(order, ())):
                one, other = self._needs(lost), self._needs(made)
                assert any(other.get(point, by) != by for point, by in one.items())


LostPlansMachine.TestCase.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
TestLostPlansMachine = LostPlansMachine.TestCase
