"""The tables of signer.db. Times are Unix milliseconds; hashes and keys are raw bytes; amounts are decimal text.

Entries, certificates, voter state, folded state, the charter, and handed-in words end with a check of 8 bytes.
"""

from __future__ import annotations

from typing import Final

__all__ = ["APPLICATION_ID", "SCHEMA", "VERSION"]

APPLICATION_ID: Final = 0x53524D53
VERSION: Final = 8

SCHEMA: Final = """
-- Who this signer is. Made by `init`, never changed.
CREATE TABLE identity (
  id          INTEGER PRIMARY KEY CHECK (id = 1),
  name        TEXT NOT NULL,
  host_key    BLOB NOT NULL CHECK (length(host_key) = 33),
  vote_key    BLOB NOT NULL CHECK (length(vote_key) = 32),
  witness_key BLOB NOT NULL CHECK (length(witness_key) = 32)
) STRICT;

-- Secrets sealed under the storage key; the name is their associated data.
CREATE TABLE secret (
  name   TEXT PRIMARY KEY,
  sealed BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- The log this signer belongs to, pinned by its operator at `enrol`.
CREATE TABLE pin (
  id         INTEGER PRIMARY KEY CHECK (id = 1),
  log_id     BLOB NOT NULL CHECK (length(log_id) = 32),
  charter    BLOB NOT NULL,
  since_ms   INTEGER NOT NULL
) STRICT;

-- The log itself: canonical entry bytes, exactly as voted for.
CREATE TABLE entry (
  idx  INTEGER PRIMARY KEY CHECK (idx >= 0),
  data BLOB NOT NULL
) STRICT;

-- One row per batch: where it ends, and the head after it as computed here.
CREATE TABLE batch (
  size         INTEGER PRIMARY KEY CHECK (size > first_index),
  first_index  INTEGER NOT NULL UNIQUE CHECK (first_index >= 0),
  root         BLOB NOT NULL CHECK (length(root) = 32),
  state_digest BLOB NOT NULL CHECK (length(state_digest) = 32)
) STRICT;

-- Certificates of stored heads; the newest term's for each size.
CREATE TABLE certificate (
  size INTEGER PRIMARY KEY,
  term INTEGER NOT NULL,
  data BLOB NOT NULL
) STRICT;

-- What this signer promised, adopted, voted and holds: one row, written before any word of it leaves.
CREATE TABLE voter (
  id    INTEGER PRIMARY KEY CHECK (id = 1),
  state BLOB NOT NULL
) STRICT;

-- The replayed state, folded up to the newest final head.
CREATE TABLE state (
  key   BLOB PRIMARY KEY,
  value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- Key shares, sealed under the storage key.
CREATE TABLE share (
  vault  TEXT NOT NULL,
  epoch  INTEGER NOT NULL,
  sealed BLOB NOT NULL,
  PRIMARY KEY (vault, epoch)
) STRICT, WITHOUT ROWID;

-- Recovery data of current epochs, by its SHA-256; that of an epoch that is over is deleted.
CREATE TABLE recovery (
  hash BLOB PRIMARY KEY CHECK (length(hash) = 32),
  data BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- The newest epoch of each vault for which the words on paper were proven to give this signer's share.
CREATE TABLE backup (
  vault    TEXT PRIMARY KEY,
  epoch    INTEGER NOT NULL,
  since_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Nonces that were spent, written before their share was computed.
CREATE TABLE nonce_mark (
  session     BLOB PRIMARY KEY CHECK (length(session) = 16),
  boot_id     BLOB NOT NULL,
  term        INTEGER NOT NULL,
  entry_index INTEGER NOT NULL,
  plan_hash   BLOB NOT NULL,
  time_ms     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What this signer helped to pay, for the operator's maximum a day; an order counts once, at its first share.
CREATE TABLE payment (
  order_hash BLOB PRIMARY KEY CHECK (length(order_hash) = 32),
  asset      TEXT NOT NULL,
  amount     TEXT NOT NULL,
  time_ms    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX payment_by_time ON payment (time_ms);

-- People's rejections, freezes and revocations that are not final in the log yet; they act here meanwhile. Salvaged
-- ones were in entries that a term dropped.
CREATE TABLE inbox (
  id       BLOB PRIMARY KEY CHECK (length(id) = 32),
  kind     TEXT NOT NULL CHECK (kind IN ('rejection', 'freeze', 'revocation')),
  body     BLOB NOT NULL,
  since_ms INTEGER NOT NULL,
  salvaged INTEGER NOT NULL CHECK (salvaged IN (0, 1))
) STRICT, WITHOUT ROWID;

-- The operator's own freezes, until the operator thaws them.
CREATE TABLE local_freeze (
  id        BLOB PRIMARY KEY CHECK (length(id) = 32),
  vault     TEXT NOT NULL,
  why       TEXT NOT NULL,
  body      BLOB NOT NULL,
  signature BLOB NOT NULL CHECK (length(signature) = 64),
  since_ms  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What the operator has accepted of orders for new shares: the hash covers the vault, its holders' host keys, the
-- threshold and who is absent.
CREATE TABLE accepted (
  terms_hash BLOB PRIMARY KEY CHECK (length(terms_hash) = 32),
  order_hash BLOB NOT NULL CHECK (length(order_hash) = 32),
  since_ms   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Evidence against this signer that its operator has said to be settled.
CREATE TABLE reinstatement (
  evidence_hash BLOB PRIMARY KEY CHECK (length(evidence_hash) = 32),
  since_ms      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Alarms that outlive a restart.
CREATE TABLE alarm (
  reason   TEXT PRIMARY KEY,
  message  TEXT NOT NULL,
  evidence BLOB NOT NULL,
  since_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE counter (
  name  TEXT PRIMARY KEY,
  value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
"""
