"""A table for evidence against signers, and a check at the end of every entry and row of the state."""

from collections.abc import Callable, Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op

from strongroom.model.row_check import verified, with_check

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_CURSOR = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_ROWS_AT_ONCE = 1_000
_ENTRIES = sa.table("ledger_entry", sa.column("entry_index", _CURSOR), sa.column("entry", sa.LargeBinary))
_STATE = sa.table("ledger_state", sa.column("key", sa.LargeBinary), sa.column("value", sa.LargeBinary))


def upgrade() -> None:
    """Create the table, and add the checks, without which this release takes a row for damaged."""
    _add_checks(_ENTRIES, lambda index: b"entry/%d" % index)
    _add_checks(_STATE, lambda key: b"state/" + key)
    op.create_table(
        "signer_evidence",
        sa.Column("number", _CURSOR, primary_key=True, autoincrement=True),
        sa.Column("hash", sa.LargeBinary, nullable=False, unique=True),
        sa.Column("signer", sa.Text, nullable=False),
        sa.Column("fault", sa.Text, nullable=False),
        sa.Column("term", sa.BigInteger, nullable=False),
        sa.Column("plan_hash", sa.LargeBinary, nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("evidence", sa.LargeBinary, nullable=False),
        sa.Column("found_ms", sa.BigInteger, nullable=False),
        sa.Column("orders_before", sa.BigInteger, nullable=False),
        sa.Column("statement", sa.LargeBinary),
        sa.Column("statement_signature", sa.LargeBinary),
        sa.Column("order_hash", sa.LargeBinary),
        sqlite_autoincrement=True,
    )


def _add_checks(table: sa.TableClause, place_of: Callable[..., bytes]) -> None:
    connection, (key, data) = op.get_bind(), tuple(table.c)
    update = sa.update(table).where(key == sa.bindparam("row_key")).values({data.name: sa.bindparam("row_data")})
    after: list[sa.ColumnElement[bool]] = []
    while found := connection.execute(sa.select(key, data).where(*after).order_by(key).limit(_ROWS_AT_ONCE)).all():
        if lacking := _lacking(found, place_of):
            connection.execute(update, lacking)
        after = [key > found[-1][0]]


def _lacking(rows: Sequence[Any], place_of: Callable[..., bytes]) -> list[dict[str, object]]:
    """What to write; programs between the two schemas wrote checks already."""
    places = ((row[0], place_of(row[0]), row[1]) for row in rows)
    return [
        {"row_key": key, "row_data": with_check(place, data)}
        for key, place, data in places
        if verified(place, data) is None
    ]
