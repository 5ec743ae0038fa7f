"""Rows of `signer_evidence`: proven faults of signers, and what settles them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, func, select, update

from strongroom_coordinator.storage.schema import signer_evidence

__all__ = ["EvidenceRow", "add", "data_of", "page", "set_order", "set_statement", "unsettled"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceRow:
    """One record without its bytes.

    Attributes:
        number: Its place in the order of finding; 0 for one that is not stored yet.
        hash: Its name, 32 bytes.
        size: Bytes of the record.
        orders_before: Orders that the log had when it was found; what settles it comes later.
        operator_cleared: Whether the signer's operator has said that it is mended.
        order_hash: The order that reinstates the signer, once it has acted; empty before.
    """

    number: int
    hash: bytes
    signer: str
    fault: str
    term: int
    plan_hash: bytes
    detail: str
    size: int
    found_ms: int
    orders_before: int
    operator_cleared: bool = False
    order_hash: bytes = b""

    @property
    def is_settled(self) -> bool:
        """Whether both the operator and the organisation have cleared the signer of it."""
        return self.operator_cleared and bool(self.order_hash)


_COLUMNS: tuple[Any, ...] = (
    signer_evidence.c.number,
    signer_evidence.c.hash,
    signer_evidence.c.signer,
    signer_evidence.c.fault,
    signer_evidence.c.term,
    signer_evidence.c.plan_hash,
    signer_evidence.c.detail,
    func.length(signer_evidence.c.evidence),
    signer_evidence.c.found_ms,
    signer_evidence.c.orders_before,
    signer_evidence.c.statement.is_not(None),
    signer_evidence.c.order_hash,
)


def _row(row: Any) -> EvidenceRow:
    return EvidenceRow(
        number=row[0],
        hash=row[1],
        signer=row[2],
        fault=row[3],
        term=row[4],
        plan_hash=row[5],
        detail=row[6],
        size=row[7],
        found_ms=row[8],
        orders_before=row[9],
        operator_cleared=bool(row[10]),
        order_hash=row[11] or b"",
    )


def add(connection: Connection, row: EvidenceRow, data: bytes) -> None:
    """Store a record; one that is stored already stays as it is."""
    known = select(signer_evidence.c.number).where(signer_evidence.c.hash == row.hash)
    if connection.execute(known).first() is not None:
        return
    connection.execute(
        signer_evidence.insert().values(
            hash=row.hash,
            signer=row.signer,
            fault=row.fault,
            term=row.term,
            plan_hash=row.plan_hash,
            detail=row.detail,
            evidence=data,
            found_ms=row.found_ms,
            orders_before=row.orders_before,
        )
    )


def data_of(connection: Connection, name: bytes) -> bytes | None:
    """The bytes of a record."""
    found: bytes | None = connection.execute(
        select(signer_evidence.c.evidence).where(signer_evidence.c.hash == name)
    ).scalar_one_or_none()
    return found


def page(connection: Connection, *, below: int | None, limit: int) -> list[EvidenceRow]:
    """Records found before the one with this number, newest first."""
    query = select(*_COLUMNS).order_by(signer_evidence.c.number.desc()).limit(limit)
    if below is not None:
        query = query.where(signer_evidence.c.number < below)
    return [_row(row) for row in connection.execute(query)]


def unsettled(connection: Connection) -> list[EvidenceRow]:
    """Every record that keeps its signer out of signing sets, oldest first."""
    open_ones = signer_evidence.c.statement.is_(None) | signer_evidence.c.order_hash.is_(None)
    query = select(*_COLUMNS).where(open_ones).order_by(signer_evidence.c.number)
    return [_row(row) for row in connection.execute(query)]


def set_statement(connection: Connection, name: bytes, *, body: bytes, signature: bytes) -> None:
    """Keep what the operator signed."""
    connection.execute(
        update(signer_evidence)
        .where(signer_evidence.c.hash == name)
        .values(statement=body, statement_signature=signature)
    )


def set_order(connection: Connection, name: bytes, order_hash: bytes) -> None:
    """Note which order settled it."""
    connection.execute(update(signer_evidence).where(signer_evidence.c.hash == name).values(order_hash=order_hash))
