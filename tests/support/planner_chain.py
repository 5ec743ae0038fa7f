"""A chain that tests decide about: coins, blocks and plans for the planner, without a node."""

from __future__ import annotations

from ledger_world import World
from strongroom.ledger import codec
from strongroom.ledger.entry_messages import Plan
from strongroom.ledger.plans import plan_hash, spend_of
from strongroom_coordinator.coins import Coin
from strongroom_coordinator.planner import Planner
from strongroom_coordinator.tracker.plan_book import Claims, Outpoint, PlanBook, TrackedPlan

SIGNED_WITNESS = (bytes(64),)


class PlannerChain:
    """What the planner asks of the chain; every plan is logged through the real ledger first."""

    def __init__(self, world: World, *, rate: int = 5, max_orders: int = 500) -> None:
        self.world = world
        self.version = 0
        self.fee_rate_sat_per_vb = rate
        self.plans = PlanBook()
        self.displaced: set[bytes] = set()
        self.stuck_plans: list[TrackedPlan] = []
        self.confirmed: dict[bytes, TrackedPlan] = {}
        self._coins: dict[Outpoint, tuple[str, Coin]] = {}
        self.refusals: dict[bytes, list[str]] = {}
        self.planner = Planner(self, max_orders=max_orders, refusals=lambda plan: self.refusals.get(plan, []))

    # --- what the planner asks -------------------------------------------------------------------------------------

    def coins(self, vault: str) -> list[Coin]:
        free = [
            coin for owner, coin in self._coins.values() if owner == vault and not self.plans.is_reserved(coin.outpoint)
        ]
        return free + [coin for owner, coin in self.plans.spendable_change() if owner == vault]

    def coin(self, vault: str, outpoint: Outpoint) -> Coin | None:
        if outpoint in self._coins:
            owner, coin = self._coins[outpoint]
            return coin if owner == vault else None
        return next((coin for coin in self.plans.change_of(vault, outpoint[0]) if coin.outpoint == outpoint), None)

    def outputs_of(self, vault: str, txid: bytes) -> list[Coin]:
        if self.plans.by_txid(txid) is not None:
            return self.plans.change_of(vault, txid)
        return [coin for owner, coin in self._coins.values() if owner == vault and coin.txid == txid]

    def stuck(self) -> list[TrackedPlan]:
        return self.stuck_plans

    # --- what happens ----------------------------------------------------------------------------------------------

    def deposit(self, vault: str, amount_sat: int, index: int = 0) -> Coin:
        coin = Coin(txid=self.world.fresh(32), vout=0, amount_sat=amount_sat, branch=0, index=index, is_confirmed=True)
        self._coins[coin.outpoint] = (vault, coin)
        self.version += 1
        return coin

    def lose_coin(self, outpoint: Outpoint) -> None:
        """A transaction that no plan made spends a coin."""
        del self._coins[outpoint]
        self.version += 1

    def plan(self, *, signed: bool = True) -> list[Plan]:
        """Plan and log, as a batch does.

        Raises:
            Refused: the ledger does not take what was planned.
        """
        plans = list(self.planner.plans(self.world.replica.draft().state, self.world.time_ms))
        if plans:
            self.world.log(*plans)
        for plan in plans:
            record = self.world.state.plan(plan_hash(codec.encode(plan)))
            assert record is not None
            raw = spend_of(self.world.state, plan).unsigned_transaction().serialise() if signed else None
            self.plans.add(TrackedPlan(record=record, plan=plan, raw_transaction=raw, is_broadcast=signed))
            self.version += 1
        return plans

    def dishonest(self, plan: Plan, **claims: frozenset[Outpoint]) -> TrackedPlan:
        """A dishonest coordinator's plan was logged and signed; what the chain shows of its claims."""
        self.world.log(plan)
        record = self.world.state.plan(plan_hash(codec.encode(plan)))
        assert record is not None
        raw = spend_of(self.world.state, plan).unsigned_transaction().serialise()
        tracked = TrackedPlan(record=record, plan=plan, raw_transaction=raw, claims=Claims(**claims))
        self.plans.add(tracked)
        self.version += 1
        return tracked

    def tracked(self, plan: Plan) -> TrackedPlan:
        found = self.plans.get(plan_hash(codec.encode(plan)))
        assert found is not None
        return found

    def can_confirm(self, plan: TrackedPlan) -> bool:
        """Whether all its coins are in the chain and unspent, and it has signatures."""
        return plan.raw_transaction is not None and all(point in self._coins for point in plan.outpoints)

    def confirm(self, plan: TrackedPlan) -> None:
        """Put a plan's transaction into a block."""
        assert self.can_confirm(plan)
        excluded: dict[bytes, TrackedPlan] = {}
        for point in plan.outpoints:
            for other in self.plans.spending(point):
                if other is not plan:
                    excluded[other.hash] = other
                    excluded.update(self.plans.descendants(other))
        self.plans.remove(plan.hash)
        for other in excluded.values():
            self.plans.remove(other.hash)
            self.plans.conflicted[other.hash] = plan.txid
            self.displaced.update(other.record.order_hashes)
        self.displaced.difference_update(plan.record.order_hashes)
        for point in plan.outpoints:
            del self._coins[point]
        for coin in plan.change:
            settled = Coin(
                txid=coin.txid,
                vout=coin.vout,
                amount_sat=coin.amount_sat,
                branch=coin.branch,
                index=coin.index,
                is_confirmed=True,
            )
            self._coins[coin.outpoint] = (plan.record.vault, settled)
        self.confirmed[plan.hash] = plan
        self.version += 1
