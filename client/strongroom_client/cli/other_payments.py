"""Finding the orders that may pay what an order pays: nobody is to order or approve one payment twice unwarned."""

from __future__ import annotations

from typing import Final

from strongroom.ledger.order_messages import Order, Withdraw
from strongroom_client.answers import OrderStatus
from strongroom_client.cli.shared import Session

__all__ = ["others_of"]

_LIVE_LOOKED_AT: Final = 10_000
_OWN_LOOKED_AT: Final = 2_000
_OWN_PAGES: Final = 10
_RECENT_LOOKED_AT: Final = 500
_RECENT_PAGES: Final = 5
_NOT_ALL_SEEN: Final = (
    "there are more orders than were looked at: one of the others may have the same amount and address and still be "
    "paid, and both would pay; ask whoever could have ordered this payment before"
)


async def others_of(opened: Session, order: Order) -> tuple[list[OrderStatus], tuple[str, ...]]:
    """Orders among which one with the same payment is looked for, and what to say if these were not all.

    Those that can still be paid are of any vault, since each can pay it, and stand behind however many newer orders:
    one waits out a delay, and one that a restart ended stays payable for ever. The newest of the vault itself, and
    fewer of all vaults, are looked at as well, for one that was paid already; that older ones were is no danger, and is
    not said.
    """
    if not isinstance(order.action, Withdraw):
        return [], ()
    live = opened.orders(statuses=("payable", "open"), most=_LIVE_LOOKED_AT)
    own = opened.orders(vault=order.action.vault, most=_OWN_LOOKED_AT, pages=_OWN_PAGES)
    recent = opened.orders(most=_RECENT_LOOKED_AT, pages=_RECENT_PAGES)
    found: dict[bytes, OrderStatus] = {}
    for listed in live, own, recent:
        async for other in listed:
            found.setdefault(other.hash, other)
    return list(found.values()), () if live.is_whole else (_NOT_ALL_SEEN,)
