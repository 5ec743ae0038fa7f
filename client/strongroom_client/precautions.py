"""What stands out of the ordinary now, for everything that shows vaults or payments: freezes, and boxes of break-glass.

Freezes are proven to be all there are. Each box is proven; that there are no others is the coordinator's word.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from strongroom.ledger.break_glass import box_of
from strongroom.ledger.charter import Charter
from strongroom.ledger.order_messages import BreakGlass, Scope
from strongroom.ledger.records import FreezeRecord, OrderState
from strongroom.model.quantities import time_text
from strongroom_client.answers import OrderStatus, frozen_by
from strongroom_client.display_recovery import box_line
from strongroom_client.treasury import TreasuryClient

__all__ = ["Precautions", "precautions_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Precautions:
    """Freezes in force and orders whose box runs, as of `now_ms`."""

    charter: Charter
    freezes: tuple[FreezeRecord, ...]
    boxes: tuple[OrderStatus, ...]
    now_ms: int

    def lines(self, vault: str = "") -> Iterator[str]:
        """Everything, or what concerns one vault: a line each, for people."""
        for freeze in self.freezes:
            if not vault or freeze.scope is Scope.ALL or freeze.vault == vault:
                yield _freeze_line(freeze)
        for status in self.boxes:
            action = status.order.action
            if isinstance(action, BreakGlass) and vault in ("", action.vault):
                box = box_line(self.charter, status.proven.record, self.now_ms)
                yield f"break-glass of vault {action.vault}: {box} (order {status.hash.hex()[:16]})"

    def stopped(self, vault: str) -> bool:
        """Whether a freeze stops this vault."""
        return any(freeze.scope is Scope.ALL or freeze.vault == vault for freeze in self.freezes)

    def data(self) -> dict[str, Any]:
        """The same for programs."""
        return {
            "freezes": [
                {
                    "freeze": freeze.id.hex(),
                    "vault": freeze.vault or None,
                    "by": frozen_by(freeze),
                    "lapses_ms": freeze.lapses_ms or None,
                    "why": freeze.why,
                }
                for freeze in self.freezes
            ],
            "break_glass": [
                {
                    "order": status.hash.hex(),
                    "vault": action.vault,
                    "destination": action.destination,
                    "opens_ms": box.opens_ms,
                    "closes_ms": box.closes_ms,
                    "open": box.is_open(self.now_ms),
                }
                for status in self.boxes
                if isinstance(action := status.order.action, BreakGlass)
                and (box := box_of(self.charter, status.proven.record, at_ms=self.now_ms)) is not None
            ],
        }


async def precautions_of(client: TreasuryClient, now_ms: int) -> Precautions:
    """Ask for all of them."""
    charter = (await client.trust()).charter
    freezes = tuple(
        freeze
        for freeze in await client.freezes()
        if not freeze.lifted and (freeze.lapses_ms == 0 or now_ms < freeze.lapses_ms)
    )
    boxes = tuple(status for status in await client.break_glass() if _runs(charter, status, now_ms))
    return Precautions(charter=charter, freezes=freezes, boxes=boxes, now_ms=now_ms)


def _runs(charter: Charter, status: OrderStatus, now_ms: int) -> bool:
    """Whether its box opens some time, or is open."""
    record = status.proven.record
    box = box_of(charter, record, at_ms=now_ms) if record.state is OrderState.OPEN else None
    return box is not None and now_ms < min(box.closes_ms, status.order.expires_ms)


def _freeze_line(freeze: FreezeRecord) -> str:
    stops = "all vaults" if freeze.scope is Scope.ALL else f"vault {freeze.vault}"
    holds = f"until {time_text(freeze.lapses_ms)}" if freeze.lapses_ms else "until it is lifted"
    return f"frozen: {stops}, by {frozen_by(freeze)}, {holds}: {freeze.why}"
