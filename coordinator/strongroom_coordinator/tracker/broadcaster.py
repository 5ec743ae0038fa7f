"""Hands final transactions to the node until a block holds them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

import structlog
from sqlalchemy import Connection

from strongroom_coordinator.chain.node import BitcoinNode, NodeRefused
from strongroom_coordinator.clock import Clock
from strongroom_coordinator.storage import events
from strongroom_coordinator.storage import plans as plan_rows
from strongroom_coordinator.storage.engine import Storage
from strongroom_coordinator.tracker.plan_book import TrackedPlan

if TYPE_CHECKING:
    from strongroom_coordinator.tracker.tracker import Tracker

__all__ = ["Broadcaster"]

log = structlog.get_logger()

RETRY_S: Final = 2.0
"""A transaction that the node refused is handed over again after this, then after twice as long each time."""
CHECK_S: Final = 60.0
"""A waiting transaction is handed over again this often: a node forgets its mempool when it restarts."""


class Broadcaster:
    """Broadcasts for a tracker."""

    def __init__(self, tracker: Tracker, node: BitcoinNode, storage: Storage, clock: Clock) -> None:
        self._tracker = tracker
        self._node = node
        self._storage = storage
        self._clock = clock
        self._next: dict[bytes, float] = {}
        self._refused: dict[bytes, int] = {}
        """How often in a row the node refused each."""
        self._height = -1

    def check_all(self) -> None:
        """Hand every transaction over again: the node may have lost them."""
        self._next.clear()
        self._refused.clear()

    async def announce(self) -> None:
        """Hand over what is due, parents before children.

        Raises:
            NodeUnavailable: the node is down; what it took before that is noted.
            NodeReplyInvalid: it does not speak as a node does.
        """
        now = self._clock.monotonic()
        book = self._tracker.plans
        self._next = {name: at for name, at in self._next.items() if book.get(name) is not None}
        self._refused = {name: times for name, times in self._refused.items() if book.get(name) is not None}
        if self._height != self._tracker.height:
            # A block may be what a refused transaction waited for.
            self._next = {name: at for name, at in self._next.items() if name not in self._refused}
            self._height = self._tracker.height
        due = [plan for plan in book if plan.raw_transaction is not None and self._next.get(plan.hash, 0.0) <= now]
        due.sort(key=lambda plan: plan.record.entry_index)
        changed: list[TrackedPlan] = []
        try:
            for plan in due:
                if await self._hand_over(plan):
                    changed.append(plan)
        finally:
            if changed:
                await self._note(changed)

    async def _hand_over(self, plan: TrackedPlan) -> bool:
        """Broadcast one; True if that is news."""
        before = (plan.is_broadcast, plan.problem, plan.is_invalid)
        try:
            await self._node.broadcast(plan.raw_transaction or b"")
        except NodeRefused as refusal:
            times = self._refused.get(plan.hash, 0)
            self._refused[plan.hash] = times + 1
            self._next[plan.hash] = self._clock.monotonic() + min(RETRY_S * 2.0 ** min(times, 10), CHECK_S)
            if not refusal.already_confirmed:
                plan.is_broadcast, plan.problem = False, refusal.text[:200]
                plan.is_invalid = refusal.invalid
            if before != (plan.is_broadcast, plan.problem, plan.is_invalid):
                log.warning("plan.not_relayed", plan=plan.hash.hex(), code=refusal.code, text=refusal.text[:200])
        else:
            self._next[plan.hash] = self._clock.monotonic() + CHECK_S
            self._refused.pop(plan.hash, None)
            plan.is_broadcast, plan.problem, plan.is_invalid = True, "", False
            if not before[0]:
                plan.since_ms = self._clock.wall_ms()
                log.info("plan.broadcast", plan=plan.hash.hex(), txid=plan.txid[::-1].hex())
        return before != (plan.is_broadcast, plan.problem, plan.is_invalid)

    async def _note(self, changed: list[TrackedPlan]) -> None:
        now_ms = self._clock.wall_ms()
        taken = [plan.hash for plan in changed if plan.is_broadcast]
        orders = sorted({order for plan in changed for order in self._tracker.orders_of(plan.hash)})
        await self._tracker.log_stored()
        await self._storage.run(partial(_write, taken=taken, orders=orders, now_ms=now_ms))
        self._tracker.changed()
        self._tracker.order_bell.ring()


def _write(connection: Connection, *, taken: list[bytes], orders: list[bytes], now_ms: int) -> None:
    for name in taken:
        plan_rows.set_stage(connection, name, "broadcast", now_ms)
    events.append(connection, orders, kind="broadcast", time_ms=now_ms)
