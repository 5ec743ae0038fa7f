"""At most once: any two plans of one order exclude each other on chain.

For every earlier plan p of the order, a new plan spends an outpoint that p spends, or an output of a logged plan that
itself spends an outpoint of p and does not pay the order. In the first case both spend one coin; in the second the new
plan needs a transaction confirmed that keeps p from ever confirming. No rule rests on anybody's word that something
confirmed or failed. Depth is exactly one: a longer chain of plans would be sound as well, but harder to check by eye.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Self

from strongroom.ledger.records import PlanRecord
from strongroom.ledger.state import State

__all__ = ["MustSpend", "Outpoint", "Planned", "excludes", "must_spend"]

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


def excludes(
    order_hash: bytes,
    spent: frozenset[Outpoint],
    earlier: Planned,
    plan_of: Callable[[bytes], Planned | None],
) -> bool:
    """Whether a new plan that spends `spent` can never confirm beside `earlier`, a plan of this order.

    Args:
        order_hash: the order both plans are about.
        spent: the coins of the new plan.
        earlier: the earlier plan.
        plan_of: returns the logged plan with this transaction id, if there is one.
    """
    if not spent.isdisjoint(earlier.outpoints):
        return True
    for txid in {txid for txid, _ in spent}:
        between = plan_of(txid)
        if between is None or order_hash in between.orders:
            continue
        if not between.outpoints.isdisjoint(earlier.outpoints):
            return True
    return False


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


def first_not_excluded(
    state: State, order_hash: bytes, spent: frozenset[Outpoint], earlier: Sequence[bytes]
) -> bytes | None:
    """Return the first of the earlier plans (by hash) that the new plan could confirm beside."""

    def plan_of(txid: bytes) -> Planned | None:
        record = state.plan_by_txid(txid)
        return None if record is None else Planned.of(record)

    for plan_hash in earlier:
        if not excludes(order_hash, spent, Planned.of(state.known_plan(plan_hash)), plan_of):
            return plan_hash
    return None
