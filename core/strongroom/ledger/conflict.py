"""At most once: any two plans of one order exclude each other on chain.

For every earlier plan p of the order, a new plan spends an outpoint that p spends, or an output of a logged plan that
itself spends an outpoint of p and does not pay the order. In the first case both spend one coin; in the second the new
plan needs a transaction confirmed that keeps p from ever confirming. No rule rests on anybody's word that something
confirmed or failed. Depth is exactly one: a longer chain of plans would be sound as well, but harder to check by eye.

Of a log that was founded anew that is not enough, because lost plans cannot be asked for their coins: see
`strongroom.ledger.lost_plans`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Self

from strongroom.ledger.records import PlanRecord
from strongroom.ledger.state import State

__all__ = ["MustSpend", "NewPlan", "Outpoint", "Planned", "must_spend"]

Outpoint = tuple[bytes, int]
"""Transaction id (32 bytes, internal order) and output index."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """What the rule needs of a logged plan.

    Attributes:
        txid: id of its transaction.
        outpoints: the coins it spends.
        orders: hashes of the orders it pays.
    """

    txid: bytes
    outpoints: frozenset[Outpoint]
    orders: frozenset[bytes]

    @classmethod
    def of(cls, record: PlanRecord) -> Self:
        """Return it from a plan's record. A cancellation's plan pays nothing, and names its own order only."""
        outpoints = frozenset((outpoint.txid, outpoint.vout) for outpoint in record.outpoints)
        return cls(txid=record.txid, outpoints=outpoints, orders=frozenset(record.order_hashes))


@dataclass(frozen=True, slots=True, kw_only=True)
class MustSpend:
    """One earlier plan, and what a new plan of the order may spend to exclude it: any one of these.

    Attributes:
        plan_hash: the earlier plan.
        outpoints: coins the earlier plan spends.
        transactions: ids of logged plans' transactions, any output of which will do.
    """

    plan_hash: bytes
    outpoints: frozenset[Outpoint]
    transactions: frozenset[bytes]

    def met_by(self, spent: Iterable[Outpoint]) -> bool:
        """Whether a plan that spends these coins excludes the earlier plan."""
        return any(outpoint in self.outpoints or outpoint[0] in self.transactions for outpoint in spent)


class NewPlan:
    """A plan that is to be logged, against the earlier plans of its orders.

    Orders share earlier plans, and all of them the coins of the new one: each logged plan is looked up once. Make one
    of these for each plan that is checked, and keep it no longer.
    """

    def __init__(
        self,
        spent: frozenset[Outpoint],
        *,
        by_txid: Callable[[bytes], Planned | None],
        by_hash: Callable[[bytes], Planned],
    ) -> None:
        """Prepare for a plan.

        Args:
            spent: the coins it spends.
            by_txid: returns the logged plan with this transaction id, if there is one.
            by_hash: returns the logged plan of this hash.
        """
        self._spent = spent
        self._by_txid = by_txid
        self._by_hash = by_hash
        self._earlier: dict[bytes, Planned] = {}
        self._parents: tuple[Planned, ...] | None = None
        self._between: dict[bytes, frozenset[Outpoint]] = {}
        self._unions: dict[tuple[bytes, ...], frozenset[Outpoint]] = {}

    @classmethod
    def of(cls, state: State, spent: frozenset[Outpoint]) -> Self:
        """Return it for the plans that this state holds."""

        def by_txid(txid: bytes) -> Planned | None:
            record = state.plan_by_txid(txid)
            return None if record is None else Planned.of(record)

        return cls(spent, by_txid=by_txid, by_hash=lambda plan_hash: Planned.of(state.known_plan(plan_hash)))

    def first_not_excluded(self, order_hash: bytes, earlier: Iterable[bytes]) -> bytes | None:
        """Return the first of the order's earlier plans (by hash) that the new plan could confirm beside."""
        for plan_hash in earlier:
            if plan_hash not in self._earlier:
                self._earlier[plan_hash] = self._by_hash(plan_hash)
            if not self.excludes(order_hash, self._earlier[plan_hash]):
                return plan_hash
        return None

    def excludes(self, order_hash: bytes, earlier: Planned) -> bool:
        """Whether the new plan can never confirm beside `earlier`, a plan of this order."""
        if not self._spent.isdisjoint(earlier.outpoints):
            return True
        return not self._spent_between(order_hash).isdisjoint(earlier.outpoints)

    def _spent_between(self, order_hash: bytes) -> frozenset[Outpoint]:
        """Coins of the logged plans whose outputs the new one spends, without those plans that pay the order."""
        if order_hash not in self._between:
            if self._parents is None:
                found = (self._by_txid(txid) for txid in {txid for txid, _ in self._spent})
                self._parents = tuple(plan for plan in found if plan is not None)
            others = [plan for plan in self._parents if order_hash not in plan.orders]
            # Most orders are paid by none of them, so most share one union.
            key = tuple(plan.txid for plan in others)
            if key not in self._unions:
                self._unions[key] = frozenset(outpoint for plan in others for outpoint in plan.outpoints)
            self._between[order_hash] = self._unions[key]
        return self._between[order_hash]


def must_spend(state: State, order_hash: bytes) -> tuple[MustSpend, ...]:
    """Return what a new plan of this order, or of its cancellation, must spend: something of each.

    Empty for an order without plans.
    """
    return tuple(_requirement(state, order_hash, record) for record in state.plans_of(order_hash))


def _requirement(state: State, order_hash: bytes, earlier: PlanRecord) -> MustSpend:
    outpoints = Planned.of(earlier).outpoints
    between: set[bytes] = set()
    for txid, vout in outpoints:
        for record in state.plans_spending(txid, vout):
            if order_hash not in record.order_hashes:
                between.add(record.txid)
    return MustSpend(plan_hash=earlier.hash, outpoints=outpoints, transactions=frozenset(between))
