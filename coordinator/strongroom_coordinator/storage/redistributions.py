"""Rows of redistributions under way: what signers said in each, so that a restart goes on from there."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from sqlalchemy import Connection, delete, select

from strongroom_coordinator.storage.engine import upsert
from strongroom_coordinator.storage.schema import redistribution

__all__ = ["StoredRedistribution", "find", "forget", "forget_others", "save"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRedistribution:
    """One attempt at the new shares of one vault; the snapshot is at most 1 MiB and verified when it is read."""

    order_hash: bytes
    vault: str
    attempt: int
    snapshot: bytes


def save(connection: Connection, row: StoredRedistribution) -> None:
    """Store how far an attempt is, in place of what was stored for the same order and vault."""
    values = {
        "order_hash": row.order_hash,
        "vault": row.vault,
        "attempt": row.attempt,
        "snapshot": row.snapshot,
    }
    upsert(connection, redistribution, [values])


def find(connection: Connection, order_hash: bytes, vault: str) -> StoredRedistribution | None:
    """The stored attempt for an order and vault."""
    columns = redistribution.c
    query = select(columns.attempt, columns.snapshot).where(columns.order_hash == order_hash, columns.vault == vault)
    row = connection.execute(query).one_or_none()
    if row is None:
        return None
    return StoredRedistribution(order_hash=order_hash, vault=vault, attempt=row[0], snapshot=row[1])


def forget(connection: Connection, order_hash: bytes, vault: str) -> None:
    """Delete what was stored for an order and vault."""
    columns = redistribution.c
    connection.execute(delete(redistribution).where(columns.order_hash == order_hash, columns.vault == vault))


def forget_others(connection: Connection, places: AbstractSet[tuple[bytes, str]]) -> int:
    """Delete what was stored for any other order and vault than these; return how many rows went."""
    columns = redistribution.c
    stored = connection.execute(select(columns.order_hash, columns.vault)).all()
    ended = [(order_hash, vault) for order_hash, vault in stored if (order_hash, vault) not in places]
    for order_hash, vault in ended:
        forget(connection, order_hash, vault)
    return len(ended)
