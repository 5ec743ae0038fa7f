"""The first schema."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_CURSOR = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create every table."""
    _create_ledger()
    _create_plans_and_chain()


def _create_ledger() -> None:
    op.create_table(
        "ledger_entry",
        sa.Column("entry_index", _CURSOR, primary_key=True, autoincrement=False),
        sa.Column("entry", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "ledger_batch",
        sa.Column("first_index", _CURSOR, primary_key=True, autoincrement=False),
        sa.Column("size", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "ledger_certificate",
        sa.Column("size", _CURSOR, primary_key=True, autoincrement=False),
        sa.Column("term", sa.BigInteger, nullable=False),
        sa.Column("certificate", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "ledger_subject",
        sa.Column("subject", sa.LargeBinary, primary_key=True),
        sa.Column("entry_index", sa.BigInteger, nullable=False, index=True),
    )
    op.create_table(
        "ledger_state",
        sa.Column("key", sa.LargeBinary, primary_key=True),
        sa.Column("value", sa.LargeBinary, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "ledger_meta",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("value", sa.LargeBinary, nullable=False),
    )


def _create_plans_and_chain() -> None:
    op.create_table(
        "plan_progress",
        sa.Column("plan_hash", sa.LargeBinary, primary_key=True),
        sa.Column("txid", sa.LargeBinary, nullable=False, unique=True),
        sa.Column("entry_index", sa.BigInteger, nullable=False),
        sa.Column("vault", sa.Text, nullable=False),
        sa.Column("stage", sa.Text, nullable=False, index=True),
        sa.Column("raw_transaction", sa.LargeBinary),
        sa.Column("refusals", sa.Text, nullable=False),
        sa.Column("created_ms", sa.BigInteger, nullable=False),
        sa.Column("updated_ms", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "plan_outcome",
        sa.Column("plan_hash", sa.LargeBinary, primary_key=True),
        sa.Column("height", sa.BigInteger, nullable=False, index=True),
        sa.Column("txid", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "chain_block",
        sa.Column("height", _CURSOR, primary_key=True, autoincrement=False),
        sa.Column("hash", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "chain_coin",
        sa.Column("txid", sa.LargeBinary, primary_key=True),
        sa.Column("vout", sa.BigInteger, primary_key=True),
        sa.Column("vault", sa.Text, nullable=False),
        sa.Column("branch", sa.BigInteger, nullable=False),
        sa.Column("address_index", sa.BigInteger, nullable=False),
        sa.Column("amount_sat", sa.BigInteger, nullable=False),
        sa.Column("height", sa.BigInteger),
        sa.Column("coinbase", sa.Boolean, nullable=False),
        sa.Column("spent_by", sa.LargeBinary),
        sa.Column("spent_height", sa.BigInteger),
    )
    op.create_index("chain_coin_vault", "chain_coin", ["vault", "spent_height"])
    op.create_index("chain_coin_height", "chain_coin", ["height"])
    op.create_table(
        "deposit_feed",
        sa.Column("cursor", _CURSOR, primary_key=True, autoincrement=True),
        sa.Column("vault", sa.Text, nullable=False),
        sa.Column("address_index", sa.BigInteger, nullable=False),
        sa.Column("address", sa.Text, nullable=False),
        sa.Column("amount_sat", sa.BigInteger, nullable=False),
        sa.Column("txid", sa.LargeBinary, nullable=False),
        sa.Column("vout", sa.BigInteger, nullable=False),
        sa.Column("height", sa.BigInteger),
        sa.Column("removed", sa.Boolean, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("deposit_feed_vault", "deposit_feed", ["vault", "cursor"])
    op.create_index("deposit_feed_coin", "deposit_feed", ["txid", "vout", "cursor"])
    op.create_table(
        "watched_index",
        sa.Column("vault", sa.Text, primary_key=True),
        sa.Column("branch", sa.BigInteger, primary_key=True),
        sa.Column("highest", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "order_event",
        sa.Column("cursor", _CURSOR, primary_key=True, autoincrement=True),
        sa.Column("order_hash", sa.LargeBinary, nullable=False, index=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("time_ms", sa.BigInteger, nullable=False),
        sqlite_autoincrement=True,
    )
