"""Every table of the coordinator, in SQL that SQLite and PostgreSQL both take.

All rows are public or organisational data: no table holds a secret. The ledger tables can be rebuilt from the signers,
the chain tables from a chain node. Hashes and transaction ids are raw bytes, times are Unix milliseconds.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, LargeBinary, MetaData, Table, Text

__all__ = [
    "REVISION",
    "chain_block",
    "chain_coin",
    "deposit_feed",
    "ledger_batch",
    "ledger_certificate",
    "ledger_entry",
    "ledger_meta",
    "ledger_recovery",
    "ledger_state",
    "ledger_subject",
    "metadata",
    "order_event",
    "plan_outcome",
    "plan_progress",
    "redistribution",
    "signer_evidence",
    "watched_index",
]

metadata = MetaData()

REVISION: Final = "0004"
"""The newest step of `migrations`."""

# SQLite gives rising rowids only to a plain INTEGER primary key.
_CURSOR = BigInteger().with_variant(Integer(), "sqlite")

ledger_entry = Table(
    "ledger_entry",
    metadata,
    Column("entry_index", _CURSOR, primary_key=True, autoincrement=False),
    Column("entry", LargeBinary, nullable=False),
)
"""Canonical entry bytes by position in the log; certified entries only."""

ledger_batch = Table(
    "ledger_batch",
    metadata,
    Column("first_index", _CURSOR, primary_key=True, autoincrement=False),
    Column("size", BigInteger, nullable=False),
)
"""Where batches begin, and the size of the log after each."""

ledger_certificate = Table(
    "ledger_certificate",
    metadata,
    Column("size", _CURSOR, primary_key=True, autoincrement=False),
    Column("term", BigInteger, nullable=False),
    Column("certificate", LargeBinary, nullable=False),
)
"""The certificate of the highest term known for each certified size."""

ledger_subject = Table(
    "ledger_subject",
    metadata,
    Column("subject", LargeBinary, primary_key=True),
    Column("entry_index", BigInteger, nullable=False, index=True),
)
"""Which entry holds an order, an endorsement, a freeze statement or a vault: answers a repeated request."""

ledger_state = Table(
    "ledger_state",
    metadata,
    Column("key", LargeBinary, primary_key=True),
    Column("value", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)
"""The replayed state, folded up to the newest final head."""

ledger_meta = Table(
    "ledger_meta",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", LargeBinary, nullable=False),
)
"""Single values: log id, highest term seen, newest final certificate."""

ledger_recovery = Table(
    "ledger_recovery",
    metadata,
    Column("hash", LargeBinary, primary_key=True),
    Column("data", LargeBinary, nullable=False),
)
"""Recovery data of the vaults' current epochs by its SHA-256."""

plan_progress = Table(
    "plan_progress",
    metadata,
    Column("plan_hash", LargeBinary, primary_key=True),
    Column("txid", LargeBinary, nullable=False, unique=True),
    Column("entry_index", BigInteger, nullable=False),
    Column("vault", Text, nullable=False),
    Column("stage", Text, nullable=False, index=True),
    Column("raw_transaction", LargeBinary),
    Column("refusals", Text, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("updated_ms", BigInteger, nullable=False),
)
"""How far each plan got: its stage, its final transaction, and the last refusals as a JSON list of lines."""

redistribution = Table(
    "redistribution",
    metadata,
    Column("order_hash", LargeBinary, primary_key=True),
    Column("vault", Text, primary_key=True),
    Column("attempt", BigInteger, nullable=False),
    Column("snapshot", LargeBinary, nullable=False),
)
"""New shares under way: what signers said so far, encrypted as they sent it; deleted when the epoch is logged."""

plan_outcome = Table(
    "plan_outcome",
    metadata,
    Column("plan_hash", LargeBinary, primary_key=True),
    Column("height", BigInteger, nullable=False, index=True),
    Column("txid", LargeBinary, nullable=False),
)
"""The block that settled a plan, and the transaction in it: the plan's own, or one that excludes it."""

chain_block = Table(
    "chain_block",
    metadata,
    Column("height", _CURSOR, primary_key=True, autoincrement=False),
    Column("hash", LargeBinary, nullable=False),
)
"""The chain as followed so far, to notice a reorganisation."""

chain_coin = Table(
    "chain_coin",
    metadata,
    Column("txid", LargeBinary, primary_key=True),
    Column("vout", BigInteger, primary_key=True),
    Column("vault", Text, nullable=False),
    Column("branch", BigInteger, nullable=False),
    Column("address_index", BigInteger, nullable=False),
    Column("amount_sat", BigInteger, nullable=False),
    Column("height", BigInteger),
    Column("coinbase", Boolean, nullable=False),
    Column("spent_by", LargeBinary),
    Column("spent_height", BigInteger),
    Index("chain_coin_vault", "vault", "spent_height"),
    Index("chain_coin_height", "height"),
)
"""Coins of the vaults. `height` is absent while unconfirmed, `spent_height` while no confirmed spend is known."""

deposit_feed = Table(
    "deposit_feed",
    metadata,
    Column("cursor", _CURSOR, primary_key=True, autoincrement=True),
    Column("vault", Text, nullable=False),
    Column("address_index", BigInteger, nullable=False),
    Column("address", Text, nullable=False),
    Column("amount_sat", BigInteger, nullable=False),
    Column("txid", LargeBinary, nullable=False),
    Column("vout", BigInteger, nullable=False),
    Column("height", BigInteger),
    Column("removed", Boolean, nullable=False),
    Index("deposit_feed_vault", "vault", "cursor"),
    Index("deposit_feed_coin", "txid", "vout", "cursor"),
    sqlite_autoincrement=True,
)
"""Deposits as they appeared, were confirmed, or were taken out by a reorganisation; watchers resume by cursor."""

watched_index = Table(
    "watched_index",
    metadata,
    Column("vault", Text, primary_key=True),
    Column("branch", BigInteger, primary_key=True),
    Column("highest", BigInteger, nullable=False),
)
"""Highest address index ever asked for or seen, per vault and branch."""

order_event = Table(
    "order_event",
    metadata,
    Column("cursor", _CURSOR, primary_key=True, autoincrement=True),
    Column("order_hash", LargeBinary, nullable=False, index=True),
    Column("kind", Text, nullable=False),
    Column("time_ms", BigInteger, nullable=False),
    sqlite_autoincrement=True,
)
"""Something about an order changed; watchers resume by cursor."""

signer_evidence = Table(
    "signer_evidence",
    metadata,
    Column("number", _CURSOR, primary_key=True, autoincrement=True),
    Column("hash", LargeBinary, nullable=False, unique=True),
    Column("signer", Text, nullable=False),
    Column("fault", Text, nullable=False),
    Column("term", BigInteger, nullable=False),
    Column("plan_hash", LargeBinary, nullable=False),
    Column("detail", Text, nullable=False),
    Column("evidence", LargeBinary, nullable=False),
    Column("found_ms", BigInteger, nullable=False),
    Column("orders_before", BigInteger, nullable=False),
    Column("statement", LargeBinary),
    Column("statement_signature", LargeBinary),
    Column("order_hash", LargeBinary),
    sqlite_autoincrement=True,
)
"""Faults of signers with their proofs, and what has been said to settle each: the operator's statement, and the order.
Orders that settle one come after the first `orders_before` orders of the log."""
