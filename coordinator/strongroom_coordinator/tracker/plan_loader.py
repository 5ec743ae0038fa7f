"""Brings logged plans into the tracker's book: from each certified batch at once, and from the database at start."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import structlog
from sqlalchemy import Connection

from strongroom.ledger import codec
from strongroom.ledger.entry_messages import Plan
from strongroom.ledger.plans import plan_hash
from strongroom.ledger.replica import Batch
from strongroom_coordinator.clock import Clock
from strongroom_coordinator.reading import LogReader
from strongroom_coordinator.storage import chain as rows
from strongroom_coordinator.storage import events
from strongroom_coordinator.storage import ledger as ledger_rows
from strongroom_coordinator.storage import plans as plan_rows
from strongroom_coordinator.storage.chain import OutcomeRow
from strongroom_coordinator.storage.engine import Storage
from strongroom_coordinator.subjects import decode_entry
from strongroom_coordinator.tracker.plan_book import Outpoint, TrackedPlan

if TYPE_CHECKING:
    from strongroom_coordinator.tracker.tracker import Tracker

__all__ = ["PlanLoader"]

log = structlog.get_logger()


class PlanLoader:
    """Fills the plan book of a tracker."""

    def __init__(self, tracker: Tracker, storage: Storage, reader: LogReader, clock: Clock) -> None:
        self._tracker = tracker
        self._storage = storage
        self._reader = reader
        self._clock = clock
        self._doubtful: set[bytes] = set()
        """Plans that came with a coin that was gone already."""

    def take(self, batch: Batch) -> bool:
        """Track the plans of a certified batch; True if there was one."""
        found = False
        for data in batch.entries:
            plan = _plan_in(data)
            if plan is not None:
                found = self._add(plan, raw=None, is_broadcast=False, since_ms=self._clock.wall_ms()) or found
        return found

    def _add(self, plan: Plan, *, raw: bytes | None, is_broadcast: bool, since_ms: int) -> bool:
        record = self._reader.newest_state().plan(plan_hash(codec.encode(plan)))
        if record is None:
            return False
        tracked = TrackedPlan(
            record=record, plan=plan, raw_transaction=raw, is_broadcast=is_broadcast, since_ms=since_ms
        )
        self._tracker.plans.add(tracked)
        self._tracker.claims.look(tracked)
        if not all(self._is_there(outpoint) for outpoint in tracked.outpoints):
            self._doubtful.add(tracked.hash)
        return True

    def _is_there(self, outpoint: Outpoint) -> bool:
        """Whether a coin is unspent in the chain, or change of a plan that no block is known or likely to hold."""
        tracker = self._tracker
        parent = tracker.plans.by_txid(outpoint[0])
        # Blocks that were read before either plan was known may hold both.
        return outpoint in tracker.coins_known or (parent is not None and parent.hash not in self._doubtful)

    async def load_settled(self) -> None:
        """Load which plans a block excludes, and find the orders that this leaves without any other plan."""
        for row in await self._storage.run(rows.outcomes):
            self._tracker.plans.conflicted[row.plan_hash] = row.txid
        state = self._reader.newest_state()
        conflicted = self._tracker.plans.conflicted
        for name in conflicted:
            for order_hash in self._tracker.orders_of(name):
                record = state.order(order_hash)
                if record is not None and all(plan in conflicted for plan in record.plans):
                    self._tracker.displaced.add(order_hash)

    async def sync(self) -> None:
        """Make the book agree with the database: after a start, a term change, or a rebuild from the signers."""
        await self._reader.source.stored()
        stored = await self._storage.run(rows.unsettled_plans)
        book, state = self._tracker.plans, self._reader.newest_state()
        gone = [plan for plan in book if plan.hash not in stored and state.plan(plan.hash) is None]
        for plan in gone:
            book.remove(plan.hash)
        missing = {name: index for name, index in stored.items() if book.get(name) is None}
        if missing:
            await self._load(missing)
        # Between the making of a plan and its certificate a block may have taken a coin of it.
        doubtful, self._doubtful = self._doubtful, set()
        await self._settle_late(doubtful)
        if gone or missing or doubtful:
            self._tracker.changed()

    async def _load(self, missing: dict[bytes, int]) -> None:
        found = await self._storage.run(partial(_read_plans, wanted=missing))
        for data, row in found:
            plan = _plan_in(data)
            if plan is None or plan_hash(codec.encode(plan)) != row.plan_hash:
                continue
            is_broadcast = row.stage == "broadcast"
            self._add(plan, raw=row.raw_transaction, is_broadcast=is_broadcast, since_ms=row.updated_ms)

    async def _settle_late(self, names: Iterable[bytes]) -> None:
        """Settle plans whose coins were spent, or whose parents were excluded, before the plan was known here."""
        book = self._tracker.plans
        plans = [plan for name in names if (plan := book.get(name)) is not None]
        outcomes: dict[bytes, OutcomeRow] = {}
        own: set[bytes] = set()
        for plan, parent in await self._excluded_parents(plans):
            for one in (plan, *book.descendants(plan).values()):
                outcomes[one.hash] = replace(parent, plan_hash=one.hash)
        spent = {point for plan in plans for point in plan.outpoints}
        for spend in await self._storage.run(partial(rows.spenders_of, outpoints=spent)):
            for plan in book.spending(spend.outpoint):
                is_own = plan.txid == spend.by_txid
                affected = (plan,) if is_own else (plan, *book.descendants(plan).values())
                for one in affected:
                    outcomes[one.hash] = OutcomeRow(plan_hash=one.hash, height=spend.height, txid=spend.by_txid)
                own |= {plan.hash} if is_own else set()
        if outcomes:
            await self._settle(outcomes, own)

    async def _excluded_parents(self, plans: Sequence[TrackedPlan]) -> list[tuple[TrackedPlan, OutcomeRow]]:
        """Plans that spend change of a plan that a block excludes, each with what excludes it."""
        state, conflicted = self._reader.newest_state(), self._tracker.plans.conflicted
        found = []
        for plan in plans:
            for txid in sorted({txid for txid, _ in plan.outpoints}):
                parent = state.plan_by_txid(txid)
                if parent is not None and parent.hash in conflicted:
                    found.append((plan, parent.hash))
        outcomes = await self._storage.run(partial(rows.outcomes_of, plan_hashes={parent for _, parent in found}))
        return [(plan, outcomes[parent]) for plan, parent in found if parent in outcomes]

    async def _settle(self, outcomes: dict[bytes, OutcomeRow], own: set[bytes]) -> None:
        tracker, now_ms = self._tracker, self._clock.wall_ms()
        orders = {name: tracker.orders_of(name) for name in outcomes}

        def work(connection: Connection) -> None:
            rows.add_outcomes(connection, list(outcomes.values()), own=own, now_ms=now_ms)
            for kind, names in (("confirmed", own), ("excluded", outcomes.keys() - own)):
                about = sorted({order for name in names for order in orders[name]})
                events.append(connection, about, kind=kind, time_ms=now_ms)

        await self._storage.run(work)
        for name, row in outcomes.items():
            settled = tracker.plans.get(name)
            tracker.plans.remove(name)
            tracker.note_settled(row.height, orders[name])
            if settled is not None and name in own:
                tracker.displaced.difference_update(settled.record.order_hashes)
                log.info("plan.confirmed", plan=name.hex(), height=row.height)
            elif settled is not None:
                tracker.plans.conflicted[name] = row.txid
                tracker.displaced.update(settled.record.order_hashes)
                log.warning("plan.excluded", plan=name.hex(), height=row.height)
        tracker.order_bell.ring()


def _plan_in(entry: bytes) -> Plan | None:
    body = decode_entry(entry).body
    return body if isinstance(body, Plan) else None


def _read_plans(connection: Connection, *, wanted: dict[bytes, int]) -> list[tuple[bytes, plan_rows.PlanRow]]:
    found = []
    for name, index in sorted(wanted.items(), key=lambda item: item[1]):
        row = plan_rows.by_hash(connection, name)
        data = ledger_rows.entries(connection, index, index + 1)
        if row is not None and data:
            found.append((data[0], row))
    return found
