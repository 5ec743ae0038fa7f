"""Watches: feeds that resume from a cursor. Every event is read from the database, so none is lost over a restart."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import Final

from strongroom.ledger.order_messages import Withdraw
from strongroom.ledger.records import OrderState
from strongroom.ledger.state import State, decode_order
from strongroom_coordinator.errors import NotReady
from strongroom_coordinator.rpc.errors import CursorUnknown
from strongroom_coordinator.rpc.parts import Parts
from strongroom_coordinator.storage import chain as chain_rows
from strongroom_coordinator.storage import events
from strongroom_coordinator.storage.chain import DepositRow
from strongroom_coordinator.storage.events import OrderEvent
from strongroom_coordinator.tracker.feed import Bell
from strongroom_coordinator.views import OrderOverview

__all__ = ["Watches"]

EVENTS_AT_ONCE: Final = 200


class Watches:
    """Serves the feeds."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def orders(
        self, cursor: int, only: frozenset[bytes], *, withdrawals_only: bool = False
    ) -> AsyncIterator[tuple[int, OrderOverview]]:
        """Changes of orders beyond a cursor, with their cursors; from 0, the present state of open orders first.

        Raises:
            CursorUnknown: the cursor is beyond the feed.
            NotReady: the coordinator is stopping.
        """
        latest = await self._parts.storage.run(events.latest)
        _check_cursor(cursor, latest)
        if cursor == 0:
            async for item in self._present(only, latest, withdrawals_only):
                yield item
            cursor = latest
        bell = self._parts.tracker.order_bell
        while True:
            waiter = bell.waiter()
            found = await self._parts.storage.run(partial(events.after, cursor=cursor, limit=EVENTS_AT_ONCE))
            if not found:
                await _rung(bell, waiter)
                continue
            cursor = found[-1].cursor
            async for item in self._changed(found, only):
                if not withdrawals_only or isinstance(item[1].order.action, Withdraw):
                    yield item

    async def _present(
        self, only: frozenset[bytes], latest: int, withdrawals_only: bool
    ) -> AsyncIterator[tuple[int, OrderOverview]]:
        """Orders that are not settled. Only the last carries the cursor: who breaks off before it begins again."""
        state = self._parts.reader.certified().state
        hashes = _unsettled(state, only, self._parts)
        if withdrawals_only:
            hashes = [name for name in hashes if _is_withdrawal(state, name)]
        for start in range(0, len(hashes), EVENTS_AT_ONCE):
            chunk = await self._parts.views.orders(hashes[start : start + EVENTS_AT_ONCE])
            for offset, view in enumerate(chunk):
                is_last = start + offset == len(hashes) - 1
                yield latest if is_last else 0, view

    async def _changed(
        self, found: Sequence[OrderEvent], only: frozenset[bytes]
    ) -> AsyncIterator[tuple[int, OrderOverview]]:
        """The orders of some events, each once, at its newest cursor."""
        newest = {event.order_hash: event.cursor for event in found if not only or event.order_hash in only}
        for view in await self._parts.views.orders(sorted(newest, key=lambda name: newest[name])):
            yield newest[view.record.hash], view

    async def deposits(self, cursor: int, vault: str) -> AsyncIterator[DepositRow]:
        """Deposit events beyond a cursor.

        Raises:
            CursorUnknown: the cursor is beyond the feed.
            NotReady: the coordinator is stopping.
        """
        _check_cursor(cursor, await self._parts.storage.run(chain_rows.latest_deposit))
        bell = self._parts.tracker.deposit_bell
        while True:
            waiter = bell.waiter()
            read = partial(chain_rows.deposits_after, cursor=cursor, vault=vault, limit=EVENTS_AT_ONCE)
            found = await self._parts.storage.run(read)
            if not found:
                await _rung(bell, waiter)
                continue
            cursor = found[-1].cursor
            for row in found:
                yield row


def _unsettled(state: State, only: frozenset[bytes], parts: Parts) -> list[bytes]:
    if only:
        return [name for name in sorted(only) if state.order(name) is not None]
    hashes = {record.hash: None for record in state.open_orders()}
    for plan in parts.tracker.plans:
        hashes.update(dict.fromkeys(plan.record.order_hashes))
    for name in sorted(parts.tracker.displaced):
        record = state.order(name)
        if record is not None and record.state is OrderState.PLANNED:
            hashes[name] = None
    return [name for name in hashes if state.order(name) is not None]


def _is_withdrawal(state: State, order_hash: bytes) -> bool:
    record = state.order(order_hash)
    return record is not None and isinstance(decode_order(record.order).action, Withdraw)


def _check_cursor(cursor: int, latest: int) -> None:
    if cursor > latest:
        raise CursorUnknown(
            f"cursor {cursor} is beyond the feed, which ends at {latest}: the coordinator was rebuilt; start from 0",
            latest=str(latest),
        )


async def _rung(bell: Bell, waiter: asyncio.Event) -> None:
    if bell.is_closed:
        raise NotReady("the coordinator is stopping: resume the watch with the last cursor")
    await waiter.wait()
