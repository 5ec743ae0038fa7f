"""Writes down which orders each certified batch changed, so that watchers miss nothing, restarts included."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterable
from functools import partial
from heapq import heappop, heappush
from typing import Final

from sqlalchemy import Connection

from strongroom.ledger import codec
from strongroom.ledger.entry_messages import Endorse, Epoch, Handover, OrderEntry, Plan, Restart, Vault
from strongroom.ledger.judge import rejected_by
from strongroom.ledger.order_messages import CancelWithdraw
from strongroom.ledger.records import OrderRecord, OrderState
from strongroom.ledger.signed_messages import Endorsement
from strongroom.ledger.state import State, decode_order
from strongroom_coordinator.clock import Clock
from strongroom_coordinator.reading import LogReader
from strongroom_coordinator.storage import events
from strongroom_coordinator.storage import ledger as ledger_rows
from strongroom_coordinator.storage.engine import Storage
from strongroom_coordinator.subjects import decode_entry
from strongroom_coordinator.tracker.feed import Bell

__all__ = ["OrderJournal"]

ENTRIES_AT_ONCE: Final = 1_000


class OrderJournal:
    """Follows the stored log with events per order: an entry about it is certified, or its end or expiry is final.

    How far it got stands in the database beside the events, in the same commit. After a term change it begins again at
    the final head, because entries beyond may have been replaced; an event told twice does no harm.
    """

    def __init__(self, storage: Storage, reader: LogReader, clock: Clock, bell: Bell) -> None:
        self._storage = storage
        self._reader = reader
        self._clock = clock
        self._bell = bell
        self._wanted = asyncio.Event()
        self._term = 0
        self._expiries: list[tuple[int, bytes]] = []
        """A heap of open orders, the one that expires first at the front."""
        self._awaited: set[bytes] = set()
        self._is_begun = False

    def certified(self) -> None:
        """Say that the log grew."""
        self._wanted.set()

    async def run(self) -> None:
        """Follow until cancelled."""
        while True:
            await self.catch_up()
            await self._wanted.wait()
            self._wanted.clear()

    async def catch_up(self) -> None:
        """Write the events of everything certified so far."""
        certificate = self._reader.source.certificate
        if certificate is None:
            return
        await self._reader.source.stored()
        if not self._is_begun:
            self._is_begun = True
            self._await_expiry(self._reader.newest_state().open_orders())
        end = certificate.head.size
        start = min(await self._storage.run(events.logged_size), end)
        if certificate.head.term != self._term:
            start = min(start, self._reader.final_size())
            self._term = certificate.head.term
        await self._tell(start, end, kind="logged", ended_only=False)
        final = self._reader.final_size()
        told = min(await self._storage.run(events.final_size), final)
        await self._tell(told, final, kind="final", ended_only=True)
        await self._tell_expired()

    def _await_expiry(self, records: Iterable[OrderRecord]) -> None:
        for record in records:
            if record.state is OrderState.OPEN and record.hash not in self._awaited:
                self._awaited.add(record.hash)
                heappush(self._expiries, (decode_order(record.order).expires_ms, record.hash))

    async def _tell_expired(self) -> None:
        """Tell of open orders that expired by the log time of the final head: nothing else would."""
        final = await self._reader.final()
        if final.final_certificate is None:
            return
        expired = []
        while self._expiries and self._expiries[0][0] <= final.state.time_ms:
            name = heappop(self._expiries)[1]
            self._awaited.discard(name)
            record = final.state.order(name)
            if record is not None and record.state is OrderState.OPEN:
                expired.append(name)
        if expired:
            now_ms = self._clock.wall_ms()
            await self._storage.run(partial(events.append, order_hashes=expired, kind="expired", time_ms=now_ms))
            self._bell.ring()

    async def _tell(self, start: int, end: int, *, kind: str, ended_only: bool) -> None:
        while start < end:
            until = min(start + ENTRIES_AT_ONCE, end)
            entries = await self._storage.run(partial(ledger_rows.entries, start=start, end=until))
            state = self._reader.newest_state()
            touched = _orders_in(entries, start, state)
            self._await_expiry(record for name in touched if (record := state.order(name)) is not None)
            if ended_only:
                touched = [name for name in touched if _has_ended(state, name)]
            now_ms = self._clock.wall_ms()
            await self._storage.run(partial(_write, orders=touched, kind=kind, size=until, now_ms=now_ms))
            start = until
            if touched:
                self._bell.ring()


def _write(connection: Connection, *, orders: list[bytes], kind: str, size: int, now_ms: int) -> None:
    events.append(connection, orders, kind=kind, time_ms=now_ms)
    note = events.note_final_size if kind == "final" else events.note_logged_size
    note(connection, size)


def _has_ended(state: State, order_hash: bytes) -> bool:
    record = state.order(order_hash)
    ended = (OrderState.REJECTED, OrderState.CANCELLED, OrderState.EXCLUDING, OrderState.LAPSED)
    return record is not None and (record.state in ended or rejected_by(record) is not None)


def _orders_in(entries: tuple[bytes, ...], start: int, state: State) -> list[bytes]:
    """Every order that these entries from `start` on change, each once, in log order."""
    touched: dict[bytes, None] = {}
    time_ms = 0
    for index, data in enumerate(entries, start):
        entry = decode_entry(data)
        body = entry.body
        if entry.time_ms != time_ms or isinstance(body, Handover | Restart):
            # Nobody speaks of an order when it acts, or ends, by time alone, by who takes over, or by a restart.
            touched.update(dict.fromkeys(record.hash for record in state.acted_at(index)))
            time_ms = entry.time_ms
        match body:
            case OrderEntry():
                action = decode_order(body.order).action
                found = [hashlib.sha256(body.order).digest()]
                found += [action.order_hash] if isinstance(action, CancelWithdraw) else []
            case Endorse():
                found = [codec.decode(Endorsement, body.endorsement.body).order_hash]
            case Vault() | Epoch():
                found = [body.order_hash]
            case Plan():
                found = list(body.order_hashes)
            case _:
                found = []
        touched.update(dict.fromkeys(found))
    return list(touched)
