"""Rows of `plan_progress`: how far each logged plan got. The coordinator's own word, never a ground for a rule.

Stages: `logged` (to be signed), `refused` (holders refused, retried later), `signed`, then what the chain says:
`broadcast`, `confirmed`, `conflicted`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Row, delete, select, update

from strongroom_coordinator.storage.engine import upsert
from strongroom_coordinator.storage.schema import plan_progress

__all__ = [
    "UNSIGNED",
    "NewPlan",
    "PlanRow",
    "add",
    "by_hash",
    "drop_from",
    "mark_refused",
    "mark_signed",
    "set_stage",
    "unsigned",
]

LOGGED, REFUSED, SIGNED = "logged", "refused", "signed"
UNSIGNED = (LOGGED, REFUSED)
"""Stages of plans that wait for signatures; one that a block excludes does not any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewPlan:
    """A plan that was just logged."""

    plan_hash: bytes
    txid: bytes
    entry_index: int
    vault: str
    time_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanRow:
    """One plan and how far it got."""

    plan_hash: bytes
    txid: bytes
    entry_index: int
    vault: str
    stage: str
    raw_transaction: bytes | None
    refusals: tuple[str, ...]
    created_ms: int
    updated_ms: int


def add(connection: Connection, plans: Sequence[NewPlan]) -> None:
    """Begin the progress of new plans; what is known of a plan under the same hash starts anew."""
    upsert(
        connection,
        plan_progress,
        [
            {
                "plan_hash": plan.plan_hash,
                "txid": plan.txid,
                "entry_index": plan.entry_index,
                "vault": plan.vault,
                "stage": LOGGED,
                "raw_transaction": None,
                "refusals": "[]",
                "created_ms": plan.time_ms,
                "updated_ms": plan.time_ms,
            }
            for plan in plans
        ],
    )


def mark_signed(connection: Connection, plan_hash: bytes, raw_transaction: bytes, now_ms: int) -> None:
    """Keep the final transaction."""
    _set(connection, plan_hash, stage=SIGNED, raw_transaction=raw_transaction, updated_ms=now_ms)


def mark_refused(connection: Connection, plan_hash: bytes, refusals: Sequence[str], now_ms: int) -> None:
    """Keep why too few holders signed, of a plan that still waits for signatures."""
    values = {"stage": REFUSED, "refusals": json.dumps(list(refusals)), "updated_ms": now_ms}
    waits = (plan_progress.c.plan_hash == plan_hash) & plan_progress.c.stage.in_(UNSIGNED)
    connection.execute(update(plan_progress).where(waits).values(**values))


def set_stage(connection: Connection, plan_hash: bytes, stage: str, now_ms: int) -> None:
    """Note what the chain says."""
    _set(connection, plan_hash, stage=stage, updated_ms=now_ms)


def by_hash(connection: Connection, plan_hash: bytes) -> PlanRow | None:
    """One plan's progress."""
    row = connection.execute(select(plan_progress).where(plan_progress.c.plan_hash == plan_hash)).one_or_none()
    return None if row is None else _plan_row(row)


def unsigned(connection: Connection, *, below: int, limit: int) -> list[PlanRow]:
    """Plans under a certificate without a final transaction, newest first."""
    query = (
        select(plan_progress)
        .where(plan_progress.c.stage.in_(UNSIGNED), plan_progress.c.entry_index < below)
        .order_by(plan_progress.c.entry_index.desc())
        .limit(limit)
    )
    return [_plan_row(row) for row in connection.execute(query)]


def drop_from(connection: Connection, size: int) -> None:
    """Forget plans whose entries a term change left behind."""
    connection.execute(delete(plan_progress).where(plan_progress.c.entry_index >= size))


def _set(connection: Connection, plan_hash: bytes, **values: object) -> None:
    connection.execute(update(plan_progress).where(plan_progress.c.plan_hash == plan_hash).values(**values))


def _plan_row(row: Row[tuple[object, ...]]) -> PlanRow:
    values = dict(row._mapping)
    values["refusals"] = tuple(json.loads(values["refusals"]))
    return PlanRow(**values)
