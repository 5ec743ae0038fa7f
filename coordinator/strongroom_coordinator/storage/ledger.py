"""Rows of the ledger tables: batches, certificates, folded state, and the few single values beside them.

Every function takes the connection of the transaction it is part of.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

from sqlalchemy import Connection, delete, select

from strongroom.model.row_check import verified, with_check
from strongroom_coordinator.errors import DAMAGED, StorageFailed
from strongroom_coordinator.storage.engine import upsert
from strongroom_coordinator.storage.schema import (
    ledger_batch,
    ledger_certificate,
    ledger_entry,
    ledger_meta,
    ledger_recovery,
    ledger_state,
    ledger_subject,
)

__all__ = [
    "StoredBatch",
    "all_recovery",
    "batches",
    "border_before",
    "certificate_at",
    "drop_from",
    "drop_meta",
    "drop_recovery",
    "entries",
    "entry_of_subject",
    "newest_certificate",
    "read_meta",
    "save_batch",
    "save_certificate",
    "save_folded",
    "save_recovery",
    "write_meta",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredBatch:
    """One certified batch as it is stored; `certificate` is absent when only a later head was certified."""

    first_index: int
    entries: tuple[bytes, ...]
    certificate: bytes | None


def save_batch(
    connection: Connection, *, first_index: int, entries: Sequence[bytes], subjects: Mapping[bytes, int]
) -> None:
    """Store a batch that follows what is stored; `subjects` say which entry answers which request."""
    rows = [
        {"entry_index": index, "entry": with_check(_place(index), entry)}
        for index, entry in enumerate(entries, start=first_index)
    ]
    connection.execute(ledger_entry.insert(), rows)
    connection.execute(ledger_batch.insert(), {"first_index": first_index, "size": first_index + len(entries)})
    upsert(connection, ledger_subject, [{"subject": key, "entry_index": value} for key, value in subjects.items()])


def save_certificate(connection: Connection, *, size: int, term: int, certificate: bytes) -> None:
    """Store the certificate of a stored head; the caller stores only rising terms for one size."""
    upsert(connection, ledger_certificate, [{"size": size, "term": term, "certificate": certificate}])


def save_folded(connection: Connection, writes: Mapping[bytes, bytes]) -> None:
    """Write state that became final."""
    rows = [{"key": key, "value": with_check(b"state/" + key, value)} for key, value in writes.items()]
    upsert(connection, ledger_state, rows)


def save_recovery(connection: Connection, recovery: Mapping[bytes, bytes]) -> None:
    """Store recovery data by its SHA-256."""
    upsert(connection, ledger_recovery, [{"hash": key, "data": data} for key, data in recovery.items()])


def drop_recovery(connection: Connection, hashes: Sequence[bytes]) -> None:
    """Forget recovery data that nothing needs any more."""
    for one in hashes:
        connection.execute(delete(ledger_recovery).where(ledger_recovery.c.hash == one))


def all_recovery(connection: Connection) -> dict[bytes, bytes]:
    """All recovery data by its SHA-256.

    Raises:
        StorageFailed: one piece is not what was written.
    """
    found: dict[bytes, bytes] = {}
    for key, data in connection.execute(select(ledger_recovery.c.hash, ledger_recovery.c.data)):
        if sha256(data).digest() != key:
            raise StorageFailed(f"recovery data {key.hex()} in the database is not what was written; {DAMAGED}")
        found[key] = data
    return found


def drop_from(connection: Connection, size: int) -> None:
    """Forget every entry at or beyond `size`, which a term change left behind; `size` is a batch border."""
    connection.execute(delete(ledger_entry).where(ledger_entry.c.entry_index >= size))
    connection.execute(delete(ledger_batch).where(ledger_batch.c.first_index >= size))
    connection.execute(delete(ledger_certificate).where(ledger_certificate.c.size > size))
    connection.execute(delete(ledger_subject).where(ledger_subject.c.entry_index >= size))


def batches(connection: Connection, first_index: int, end_index: int, *, max_bytes: int) -> list[StoredBatch]:
    """Stored batches from a border on, up to `end_index`: at most `max_bytes` of entries, but at least one batch."""
    borders = connection.execute(
        select(ledger_batch.c.first_index, ledger_batch.c.size, ledger_certificate.c.certificate)
        .outerjoin(ledger_certificate, ledger_certificate.c.size == ledger_batch.c.size)
        .where(ledger_batch.c.first_index >= first_index, ledger_batch.c.size <= end_index)
        .order_by(ledger_batch.c.first_index)
        .limit(1_000)
    ).all()
    found: list[StoredBatch] = []
    total = 0
    for start, size, certificate in borders:
        held = entries(connection, start, size)
        total += sum(map(len, held))
        if found and total > max_bytes:
            break
        found.append(StoredBatch(first_index=start, entries=held, certificate=certificate))
    return found


def border_before(connection: Connection, index: int) -> int:
    """Where the batch begins that holds an entry; `index` itself beyond the last."""
    column = ledger_batch.c.first_index
    query = select(column).where(column <= index, ledger_batch.c.size > index)
    found = connection.execute(query).scalar_one_or_none()
    return index if found is None else found


def all_batches(connection: Connection, first_index: int) -> Iterator[StoredBatch]:
    """Every stored batch from a batch border on, in order."""
    while chunk := batches(connection, first_index, 2**62, max_bytes=1 << 20):
        yield from chunk
        first_index = chunk[-1].first_index + len(chunk[-1].entries)


def entries(connection: Connection, start: int, end: int) -> tuple[bytes, ...]:
    """Entries with `start` <= index < `end`.

    Raises:
        StorageFailed: one is not what was written.
    """
    column = ledger_entry.c.entry_index
    query = select(column, ledger_entry.c.entry).where(column >= start, column < end).order_by(column)
    return tuple(_sound(index, stored) for index, stored in connection.execute(query))


def _place(index: int) -> bytes:
    return b"entry/%d" % index


def _sound(index: int, stored: bytes) -> bytes:
    entry = verified(_place(index), stored)
    if entry is None:
        raise StorageFailed(f"entry {index} in the database is not what was written; {DAMAGED}")
    return entry


def entry_of_subject(connection: Connection, subject: bytes) -> tuple[int, bytes] | None:
    """Index and bytes of the entry that holds this order, endorsement, statement or vault."""
    row = connection.execute(
        select(ledger_entry.c.entry_index, ledger_entry.c.entry)
        .join(ledger_subject, ledger_subject.c.entry_index == ledger_entry.c.entry_index)
        .where(ledger_subject.c.subject == subject)
    ).one_or_none()
    return None if row is None else (row[0], _sound(row[0], row[1]))


def newest_certificate(connection: Connection) -> bytes | None:
    """The certificate of the largest certified head that is stored."""
    query = select(ledger_certificate.c.certificate).order_by(ledger_certificate.c.size.desc()).limit(1)
    return connection.execute(query).scalar_one_or_none()


def certificate_at(connection: Connection, size: int) -> bytes | None:
    """The certificate of the head of exactly this size."""
    query = select(ledger_certificate.c.certificate).where(ledger_certificate.c.size == size)
    return connection.execute(query).scalar_one_or_none()


def read_meta(connection: Connection, name: str) -> bytes | None:
    """One single value."""
    return connection.execute(select(ledger_meta.c.value).where(ledger_meta.c.name == name)).scalar_one_or_none()


def write_meta(connection: Connection, name: str, value: bytes) -> None:
    """Set one single value."""
    upsert(connection, ledger_meta, [{"name": name, "value": value}])


def drop_meta(connection: Connection, name: str) -> None:
    """Forget one single value."""
    connection.execute(delete(ledger_meta).where(ledger_meta.c.name == name))
