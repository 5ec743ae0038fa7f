"""A table for redistributions under way."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "redistribution",
        sa.Column("order_hash", sa.LargeBinary, primary_key=True),
        sa.Column("vault", sa.Text, primary_key=True),
        sa.Column("attempt", sa.BigInteger, nullable=False),
        sa.Column("snapshot", sa.LargeBinary, nullable=False),
    )
