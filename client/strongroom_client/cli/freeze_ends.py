"""Orders that would end a freeze and are not over: who looks at the freezes must see them coming."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from strongroom.ledger.judge import rejected_by
from strongroom.ledger.order_messages import Unfreeze
from strongroom.ledger.records import OrderState
from strongroom_client.answers import OrderStatus
from strongroom_client.cli.shared import Session, now_ms
from strongroom_client.display import judged_here

__all__ = ["PendingUnfreeze", "pending_unfreezes"]

_ORDERS_LOOKED_AT: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingUnfreeze:
    """A proven order that can still end a freeze.

    Attributes:
        status: The order.
        freeze: Id of the freeze that it ends.
        waits_for: What it lacks, a line each, judged here.
    """

    status: OrderStatus
    freeze: bytes
    waits_for: tuple[str, ...]

    def line(self) -> str:
        """For people."""
        waits = "; ".join(self.waits_for) or "the log to take it up"
        return f"unfreeze {self.status.hash.hex()[:16]} of freeze {self.freeze.hex()[:16]} waits for {waits}"

    def data(self) -> dict[str, Any]:
        """For programs."""
        record = self.status.proven.record
        return {
            "order": self.status.hash.hex(),
            "freeze": self.freeze.hex(),
            "state": record.state.name.lower(),
            "acts_ms": record.due_ms or None,
            "waits_for": list(self.waits_for),
        }


async def pending_unfreezes(opened: Session) -> list[PendingUnfreeze]:
    """Those among the open orders; each is proven, that there are no others is the coordinator's word.

    Whoever has one to hide can log any number of newer orders, which end, while it waits out its delay.
    """
    trust, now, found = await opened.client.trust(), now_ms(), []
    async for status in opened.orders(statuses=("open",), most=_ORDERS_LOOKED_AT):
        record, action = status.proven.record, status.order.action
        if not isinstance(action, Unfreeze) or rejected_by(record) is not None:
            continue
        may_come = record.state is OrderState.OPEN and status.order.expires_ms > now
        if may_come or record.state is OrderState.SCHEDULED:
            waits = judged_here(trust, status, now).missing
            found.append(PendingUnfreeze(status=status, freeze=action.freeze, waits_for=waits))
    return found
