"""Rows of `order_event`: what changed about which order; the cursors survive restarts, and watchers resume by them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from strongroom_coordinator.storage.ledger import read_meta, write_meta
from strongroom_coordinator.storage.schema import order_event

__all__ = [
    "OrderEvent",
    "after",
    "append",
    "final_size",
    "latest",
    "logged_size",
    "newest_time",
    "note_final_size",
    "note_logged_size",
]

_LOGGED_SIZE = "order_events_size"
_FINAL_SIZE = "order_events_final_size"


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderEvent:
    """Something about one order changed."""

    cursor: int
    order_hash: bytes
    kind: str
    time_ms: int


def append(connection: Connection, order_hashes: Iterable[bytes], *, kind: str, time_ms: int) -> None:
    """Add one event for each order."""
    rows = [{"order_hash": order_hash, "kind": kind, "time_ms": time_ms} for order_hash in order_hashes]
    if rows:
        connection.execute(order_event.insert(), rows)


def after(connection: Connection, cursor: int, *, limit: int) -> list[OrderEvent]:
    """Events beyond a cursor, oldest first."""
    columns = (order_event.c.cursor, order_event.c.order_hash, order_event.c.kind, order_event.c.time_ms)
    query = select(*columns).where(order_event.c.cursor > cursor).order_by(order_event.c.cursor).limit(limit)
    return [
        OrderEvent(cursor=row[0], order_hash=row[1], kind=row[2], time_ms=row[3]) for row in connection.execute(query)
    ]


def latest(connection: Connection) -> int:
    """The newest cursor; 0 before the first event."""
    return connection.execute(select(func.max(order_event.c.cursor))).scalar_one() or 0


def newest_time(connection: Connection, order_hashes: Iterable[bytes]) -> dict[bytes, int]:
    """When each of these orders changed last, Unix milliseconds."""
    query = (
        select(order_event.c.order_hash, func.max(order_event.c.time_ms))
        .where(order_event.c.order_hash.in_(list(order_hashes)))
        .group_by(order_event.c.order_hash)
    )
    return {row[0]: row[1] for row in connection.execute(query)}


def logged_size(connection: Connection) -> int:
    """Size of the log up to which the events of certified entries were written."""
    return _size(connection, _LOGGED_SIZE)


def note_logged_size(connection: Connection, size: int) -> None:
    """Say that the events of all certified entries below `size` are written."""
    write_meta(connection, _LOGGED_SIZE, size.to_bytes(8, "big"))


def final_size(connection: Connection) -> int:
    """Size of the log up to which the events of final entries were written."""
    return _size(connection, _FINAL_SIZE)


def note_final_size(connection: Connection, size: int) -> None:
    """Say that the events of all final entries below `size` are written."""
    write_meta(connection, _FINAL_SIZE, size.to_bytes(8, "big"))


def _size(connection: Connection, name: str) -> int:
    stored = read_meta(connection, name)
    return 0 if stored is None else int.from_bytes(stored, "big")
