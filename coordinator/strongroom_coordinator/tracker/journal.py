"""Writes down which orders each certified batch changed, so that watchers miss nothing, restarts included."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Final

from sqlalchemy import Connection

from strongroom.ledger import codec
from strongroom.ledger.judge import rejected_by
from strongroom.ledger.messages import CancelWithdraw, Endorse, Endorsement, OrderEntry, Plan, Vault
from strongroom.ledger.records import OrderState
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
    """Follows the stored log with events per order: when an entry about it is certified, and when its end is final.

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
        end = certificate.head.size
        start = min(await self._storage.run(events.logged_size), end)
        if certificate.head.term != self._term:
            start = min(start, self._reader.final_size())
            self._term = certificate.head.term
        await self._tell(start, end, kind="logged", ended_only=False)
        final = self._reader.final_size()
        told = min(await self._storage.run(events.final_size), final)
        await self._tell(told, final, kind="final", ended_only=True)

    async def _tell(self, start: int, end: int, *, kind: str, ended_only: bool) -> None:
        while start < end:
            until = min(start + ENTRIES_AT_ONCE, end)
            entries = await self._storage.run(partial(ledger_rows.entries, start=start, end=until))
            state = self._reader.newest_state()
            touched = _orders_in(entries, state)
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
    ended = (OrderState.REJECTED, OrderState.CANCELLED, OrderState.EXCLUDING)
    return record is not None and (record.state in ended or rejected_by(record) is not None)


def _orders_in(entries: tuple[bytes, ...], state: State) -> list[bytes]:
    """Every order that these entries change, each once, in log order."""
    touched: dict[bytes, None] = {}
    for data in entries:
        body = decode_entry(data).body
        match body:
            case OrderEntry():
                action = decode_order(body.order).action
                record = state.order_by_id(decode_order(body.order).id)
                found = [] if record is None else [record.hash]
                found += [action.order_hash] if isinstance(action, CancelWithdraw) else []
            case Endorse():
                found = [codec.decode(Endorsement, body.endorsement.body).order_hash]
            case Vault():
                found = [body.order_hash]
            case Plan():
                found = list(body.order_hashes)
            case _:
                found = []
        touched.update(dict.fromkeys(found))
    return list(touched)
