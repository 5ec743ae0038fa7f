"""Finding the orders that may be open or payable without looking at all that ended, which are most of a log."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from strongroom.ledger.order_messages import Withdraw
from strongroom.ledger.records import OrderState
from strongroom.ledger.state import State, decode_order
from strongroom_coordinator.rpc.parts import Parts
from strongroom_coordinator.storage import chain as chain_rows
from strongroom_coordinator.views import Status

__all__ = ["LIVE", "LiveOrders"]

LIVE: Final = frozenset({Status.OPEN, Status.PAYABLE})
_READ_AT_ONCE: Final = 100


@dataclass(slots=True)
class _Lapsed:
    """Payments that foundings of the log ended, among the first `read` orders."""

    read: int = 0
    numbers: list[int] = field(default_factory=list)


class LiveOrders:
    """Names orders of which `Views` may say that they are open or payable: those, and a few more.

    These wait in the ledger, or did so at the newest final head, since an end counts once it is final; or have a plan
    whose transaction is not deep in the chain, nor that of another plan that pays the same in its place; or are
    payments that a restart of the log ended.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._lapsed: dict[int, _Lapsed] = {}
        """By the size of the log that was founded last."""
        self._paid_by: set[tuple[bytes, bytes]] = set()
        """Plans, each with another one that pays all its orders: looked up once, since bumps only become more."""

    async def numbers(self, state: State, below: int) -> Sequence[int]:
        """Their numbers below a number, the newest first.

        Args:
            state: The newest certified one.
            below: At most its count of orders.

        Raises:
            NotReady: nothing is certified yet.
        """
        final = await self._parts.reader.final()
        if final.final_certificate is None:
            # No end counts yet, and the ledger keeps no list of what ended: look at every order.
            return range(below - 1, -1, -1)
        await self._parts.reader.source.stored()
        deep = self._parts.tracker.height - self._parts.tracker.confirmations + 1
        plans = await self._parts.storage.run(partial(chain_rows.unburied_plans, height=deep))
        found = set(range(final.state.orders_count, below))
        found.update(state.waiting_numbers(), final.state.waiting_numbers(), await self._ended_by_restart(state))
        for position, (plan, winner) in enumerate(plans):
            if position % _READ_AT_ONCE == 0:
                await asyncio.sleep(0)
            if winner is None or not self._are_paid_by(state, plan, winner):
                found.update(_numbers_of(state, plan))
        return sorted((number for number in found if number < below), reverse=True)

    def _are_paid_by(self, state: State, plan: bytes, winner: bytes) -> bool:
        """Whether another plan pays all that this one does, as a bump does. A hash names one plan for ever."""
        if (plan, winner) not in self._paid_by:
            record, other = state.plan(plan), state.plan(winner)
            if record is None or other is None or not set(record.order_hashes) <= set(other.order_hashes):
                return False
            self._paid_by.add((plan, winner))
        return True

    async def _ended_by_restart(self, state: State) -> list[int]:
        """Payments that lapsed. Nothing but a founding lets one lapse, so each order is read once after it."""
        known = self._lapsed.setdefault(state.founded_size, _Lapsed())
        count = state.orders_count if state.foundings else 0
        while known.read < count:
            end = min(known.read + _READ_AT_ONCE, count)
            for number in range(known.read, end):
                record = state.order_at(number)
                if record.state is OrderState.LAPSED and isinstance(decode_order(record.order).action, Withdraw):
                    known.numbers.append(number)
            known.read = end
            await asyncio.sleep(0)
        return known.numbers


def _numbers_of(state: State, plan: bytes) -> list[int]:
    """The numbers of a plan's orders; none of a plan that the state does not hold."""
    record = state.plan(plan)
    names = () if record is None else record.order_hashes
    return [number for name in names if (number := state.order_number(name)) is not None]
