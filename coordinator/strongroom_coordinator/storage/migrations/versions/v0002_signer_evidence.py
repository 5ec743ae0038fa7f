"""A table for evidence against signers."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_CURSOR = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create the table; nothing that is there changes."""
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
