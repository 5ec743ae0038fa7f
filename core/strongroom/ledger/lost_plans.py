"""Plans that were lost when the log was founded anew: what excludes them, and which orders they may pay.

A plan in an entry that was lost may have been signed, and its transaction may confirm at any time. Of an order without
plans nobody can exclude it, so such an order lapses at the founding. A new plan of an order with plans from before the
founding spends *all* outpoints of at least one of these. Let p be that one, and l a lost plan of the order. The log
before took l, and held p, so l spends an outpoint of p, or an output of a plan q that does and does not pay the order.
In the first case l and the new plan spend one coin. In the second q and the new plan do, and l needs q; they are two
transactions, because the locktime of the new plan is one that neither the log before nor its lost entries used.

Over several foundings it holds as well: what is kept of the order at a later one either stood in the log at an earlier
one, or itself spends all outpoints of such a plan. An order without plans from before the founding either lapsed by it,
or had ended, or came after it: no lost plan pays the last two.

Spec: docs/protocol/restart.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from strongroom.ledger.conflict import Outpoint, Planned
from strongroom.ledger.order_messages import Withdraw
from strongroom.ledger.records import OrderRecord, OrderState
from strongroom.ledger.signed_messages import Verb
from strongroom.ledger.state import State, decode_order

__all__ = ["LOST_PAYMENT", "excludes_lost", "lost_exclude", "lost_may_pay", "new_plan_excludes_lost"]

LOST_PAYMENT: Final = (
    "the log was founded anew: a transaction that was lost may pay it. Look at the chain; until no such transaction "
    "can confirm any more, a new order for the same payment may pay it twice"
)
"""What people read of a payment that this log cannot exclude."""


def lost_exclude(state: State, order_hash: bytes) -> tuple[frozenset[Outpoint], ...]:
    """Return what lost plans of the order exclude: the outpoints of each of its plans from before the founding.

    A new plan of this order, or of its cancellation, must spend all of at least one of these. Empty for an order
    without such plans.
    """
    founded = state.founded_size
    return tuple(Planned.of(one).outpoints for one in state.plans_of(order_hash) if one.entry_index < founded)


def excludes_lost(kept: Sequence[frozenset[Outpoint]], spent: frozenset[Outpoint]) -> bool:
    """Whether a plan of this log that spends these coins never confirms beside a lost one.

    Args:
        kept: what `lost_exclude` gives of the order.
        spent: all coins of the plan, which entered the log after the founding.
    """
    return not kept or any(outpoints <= spent for outpoints in kept)


def new_plan_excludes_lost(state: State, order_hash: bytes) -> bool:
    """Whether a plan from after the founding, of whatever orders, excludes what lost plans of this one pay."""
    return any(
        excludes_lost((outpoints,), Planned.of(plan).outpoints)
        for outpoints in lost_exclude(state, order_hash)
        for plan in state.plans_spending(*next(iter(outpoints)))
        if plan.entry_index >= state.founded_size
    )


def lost_may_pay(state: State, record: OrderRecord, confirmed: Iterable[bytes]) -> bool:
    """Whether a lost plan may still pay a withdrawal.

    Args:
        state: the log as it is.
        record: the order.
        confirmed: ids of transactions, deep enough in the chain, that exclude plans of the order.
    """
    if not isinstance(decode_order(record.order).action, Withdraw):
        return False
    if record.state is OrderState.LAPSED:
        return True
    kept = lost_exclude(state, record.hash)
    if not kept or _had_ended(state, record):
        return False
    return not any(_excludes(state, txid, kept) for txid in confirmed)


def _had_ended(state: State, record: OrderRecord) -> bool:
    """Whether the order took no further plan when its log ended, but bumps, which spend all that they bump spends."""
    order = decode_order(record.order)
    ended_ms = state.kept_until_ms(order.log_id)
    if order.expires_ms <= ended_ms:
        return True
    if any(one.verb is Verb.REJECT and one.time_ms < ended_ms for one in record.endorsements):
        return True
    cancellation = state.order(record.cancelled_by) if record.cancelled_by else None
    return cancellation is not None and decode_order(cancellation.order).log_id == order.log_id


def _excludes(state: State, txid: bytes, kept: Sequence[frozenset[Outpoint]]) -> bool:
    by = state.plan_by_txid(txid)
    return by is not None and by.entry_index >= state.founded_size and excludes_lost(kept, Planned.of(by).outpoints)
