"""What the signer's own state holds out of the ordinary: freezes that stand, and boxes of break-glass."""

from __future__ import annotations

from collections.abc import Iterator

from strongroom.api.operator.v1 import operator_service_pb2 as pb
from strongroom.ledger.break_glass import box_of
from strongroom.ledger.order_messages import BreakGlass
from strongroom.ledger.state import State, decode_order

__all__ = ["boxes_pb", "freezes_pb"]


def freezes_pb(state: State, now_ms: int) -> Iterator[pb.LedgerFreeze]:
    """Freezes neither lifted nor lapsed, whatever vault they stop."""
    for freeze in state.standing_freezes(now_ms):
        yield pb.LedgerFreeze(
            id=freeze.id,
            vault=freeze.vault,
            by=freeze.person or f"signer {freeze.signer}",
            why=freeze.why,
            lapses_ms=freeze.lapses_ms,
        )


def boxes_pb(state: State, now_ms: int) -> Iterator[pb.BreakGlassBox]:
    """Boxes that are open or will open."""
    for record in state.break_glass_orders():
        order = decode_order(record.order)
        box = box_of(state.charter, record, at_ms=now_ms)
        if isinstance(order.action, BreakGlass) and box is not None and now_ms < min(box.closes_ms, order.expires_ms):
            yield pb.BreakGlassBox(
                order_hash=record.hash,
                vault=order.action.vault,
                destination=order.action.destination,
                opens_ms=box.opens_ms,
                closes_ms=box.closes_ms,
            )
