"""The charter that an amendment replaced, out of what is proven: only against it can its changes be told."""

from __future__ import annotations

from typing import Final

from strongroom.ledger.charter import Charter, decode_charter
from strongroom.ledger.codec import NotCanonical
from strongroom.ledger.order_messages import AmendCharter
from strongroom.ledger.records import OrderState
from strongroom_client.answers import OrderStatus
from strongroom_client.cli.shared import Session
from strongroom_client.trust import Trust

__all__ = ["replaced_charter"]

_ORDERS_LOOKED_AT: Final = 2_000


async def replaced_charter(opened: Session, trust: Trust, status: OrderStatus) -> Charter | None:
    """The version before that of an amendment which has acted; None where it is not proven here.

    An amendment acts only on the version before its own, so of each version at most one was ever in force: the charter
    that the log is founded on, or that of the one amendment to it which is proven to have acted.
    """
    wanted = _acted(status)
    if wanted is None:
        return None
    founded = Trust.from_founding_entry((await opened.client.ledger()).founding_entry, pinned=trust.log_id).charter
    if founded.version == wanted.version - 1:
        return founded
    async for other in opened.orders(most=_ORDERS_LOOKED_AT):
        found = _acted(other)
        if found is not None and found.version == wanted.version - 1:
            return found
    return None


def _acted(status: OrderStatus) -> Charter | None:
    """The charter that an order brought into force; None if it brought none."""
    action = status.order.action
    if not isinstance(action, AmendCharter) or status.proven.record.state is not OrderState.DONE:
        return None
    try:
        return decode_charter(action.charter)
    except NotCanonical:
        return None
