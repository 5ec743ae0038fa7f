"""What one commit of signer.db may write. `Store.commit` makes it durable as a whole."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from strongroom.model.row_check import with_check
from strongroom_signer.rows import Alarm, Identity, InboxItem, LocalFreeze, Pin

__all__ = ["KNOWN_VALUE_BYTES", "Writer"]

KNOWN_VALUE_BYTES: Final = 4_096
"""A longer row of the folded state is read from disk each time: a coordinator decides how many such rows there are."""


class Writer:
    """What one commit may write. Lives only inside `Store.commit`."""

    def __init__(self, connection: sqlite3.Connection, known: dict[bytes, bytes | None] | None = None) -> None:
        self._db = connection
        self._known = {} if known is None else known
        self.has_deleted = False
        """Whether something was deleted of which no copy may stay in any file."""
        self.undoing: list[Callable[[], None]] = []
        """What puts memory back if nothing of this is written."""

    def undo_with(self, put_back: Callable[[], None]) -> None:
        """Say how to put back what was changed in memory, in case the commit fails."""
        self.undoing.append(put_back)

    def set_identity(self, identity: Identity) -> None:
        """Write who this signer is; once."""
        self._db.execute(
            "INSERT INTO identity (id, name, host_key, vote_key, witness_key) VALUES (1, ?, ?, ?, ?)",
            (identity.name, identity.host_key, identity.vote_key, identity.witness_key),
        )

    def change_host_key(self, host_key: bytes) -> None:
        """Write that this signer has newer words, and no others."""
        self._db.execute("UPDATE identity SET host_key = ?", (host_key,))

    def add_secret(self, name: str, sealed: bytes) -> None:
        """Write a sealed secret; once."""
        self._db.execute("INSERT INTO secret (name, sealed) VALUES (?, ?)", (name, sealed))

    def remove_secret(self, name: str) -> None:
        """Overwrite and forget a sealed secret."""
        self._db.execute("DELETE FROM secret WHERE name = ?", (name,))
        self.has_deleted = True

    def set_pin(self, pin: Pin) -> None:
        """Pin the log; once."""
        self._db.execute(
            "INSERT INTO pin (id, log_id, charter, since_ms) VALUES (1, ?, ?, ?)",
            (pin.log_id, with_check(b"pin/" + pin.log_id, pin.charter), pin.since_ms),
        )

    def change_pin(self, pin: Pin) -> None:
        """Pin the same log as its administrators founded it anew."""
        self._db.execute("DELETE FROM pin")
        self.set_pin(pin)

    def add_batch(self, first_index: int, entries: Iterable[bytes], root: bytes, state_digest: bytes) -> None:
        """Append one batch with its entries and the head after it."""
        rows = [(index, with_check(b"entry/%d" % index, data)) for index, data in enumerate(entries, start=first_index)]
        self._db.executemany("INSERT INTO entry (idx, data) VALUES (?, ?)", rows)
        self._db.execute(
            "INSERT INTO batch (size, first_index, root, state_digest) VALUES (?, ?, ?, ?)",
            (first_index + len(rows), first_index, root, state_digest),
        )

    def truncate(self, size: int) -> None:
        """Drop every batch, entry and certificate beyond `size`."""
        self._db.execute("DELETE FROM entry WHERE idx >= ?", (size,))
        self._db.execute("DELETE FROM batch WHERE size > ?", (size,))
        self._db.execute("DELETE FROM certificate WHERE size > ?", (size,))

    def put_certificate(self, size: int, term: int, data: bytes) -> None:
        """Store a certificate; one of an older term gives way."""
        self._db.execute(
            "INSERT INTO certificate (size, term, data) VALUES (?, ?, ?) ON CONFLICT (size) DO UPDATE"
            " SET term = excluded.term, data = excluded.data WHERE excluded.term >= certificate.term",
            (size, term, with_check(b"certificate/%d" % size, data)),
        )

    def set_voter(self, state: bytes) -> None:
        """Write the voter state."""
        self._db.execute("INSERT OR REPLACE INTO voter (id, state) VALUES (1, ?)", (with_check(b"voter", state),))

    def put_state(self, writes: Mapping[bytes, bytes]) -> None:
        """Fold writes into the stored state."""
        rows = [(key, with_check(b"state/" + key, value)) for key, value in writes.items()]
        self._db.executemany("INSERT OR REPLACE INTO state (key, value) VALUES (?, ?)", rows)
        # What is undone takes everything remembered with it.
        for key, value in writes.items():
            if len(value) <= KNOWN_VALUE_BYTES:
                self._known[key] = value
            else:
                self._known.pop(key, None)

    def add_share(self, vault: str, epoch: int, sealed: bytes) -> None:
        """Store a sealed share; one that is there is never overwritten."""
        self._db.execute("INSERT INTO share (vault, epoch, sealed) VALUES (?, ?, ?)", (vault, epoch, sealed))

    def add_recovery(self, recovery: Mapping[bytes, bytes]) -> None:
        """Keep recovery data under its SHA-256; what is there already stays."""
        self._db.executemany("INSERT OR IGNORE INTO recovery (hash, data) VALUES (?, ?)", list(recovery.items()))

    def remove_recovery(self, hashes: Iterable[bytes]) -> None:
        """Overwrite and forget recovery data."""
        self._db.executemany("DELETE FROM recovery WHERE hash = ?", [(one,) for one in hashes])
        self.has_deleted = True

    def remove_share(self, vault: str, epoch: int) -> None:
        """Overwrite and forget a share."""
        self._db.execute("DELETE FROM share WHERE vault = ? AND epoch = ?", (vault, epoch))
        self.has_deleted = True

    def add_accepted(self, terms_hash: bytes, order_hash: bytes, since_ms: int) -> None:
        """Keep what the operator accepted of an order; again changes nothing."""
        self._db.execute(
            "INSERT OR IGNORE INTO accepted (terms_hash, order_hash, since_ms) VALUES (?, ?, ?)",
            (terms_hash, order_hash, since_ms),
        )

    def note_backup(self, vault: str, epoch: int, since_ms: int) -> None:
        """Note that the words on paper give this signer's share of an epoch; an earlier note gives way."""
        self._db.execute(
            "INSERT OR REPLACE INTO backup (vault, epoch, since_ms) VALUES (?, ?, ?)", (vault, epoch, since_ms)
        )

    def mark_nonce(
        self, session: bytes, *, boot_id: bytes, term: int, entry_index: int, plan_hash: bytes, time_ms: int
    ) -> None:
        """Mark a nonce session as spent; a second mark fails the whole commit."""
        self._db.execute(
            "INSERT INTO nonce_mark (session, boot_id, term, entry_index, plan_hash, time_ms)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (session, boot_id, term, entry_index, plan_hash, time_ms),
        )

    def add_payment(self, order_hash: bytes, asset: str, amount: int, time_ms: int) -> None:
        """Count an order towards the operator's maximum a day; once."""
        self._db.execute(
            "INSERT OR IGNORE INTO payment (order_hash, asset, amount, time_ms) VALUES (?, ?, ?, ?)",
            (order_hash, asset, str(amount), time_ms),
        )

    def add_inbox(self, item: InboxItem) -> None:
        """Keep a person's word; one that is there keeps its age, and is handed in once anybody has handed it in."""
        self._db.execute(
            "INSERT INTO inbox (id, kind, body, since_ms, salvaged) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT (id) DO UPDATE SET salvaged = 0 WHERE excluded.salvaged = 0",
            (item.id, item.kind, with_check(b"inbox/" + item.id, item.body), item.since_ms, int(item.salvaged)),
        )

    def remove_inbox(self, identifiers: Iterable[bytes]) -> None:
        """Forget words that are final in the log."""
        self._db.executemany("DELETE FROM inbox WHERE id = ?", [(identifier,) for identifier in identifiers])

    def add_local_freeze(self, freeze: LocalFreeze) -> None:
        """Keep an operator's freeze."""
        self._db.execute(
            "INSERT INTO local_freeze (id, vault, why, body, signature, since_ms) VALUES (?, ?, ?, ?, ?, ?)",
            (
                freeze.id,
                freeze.vault,
                freeze.why,
                with_check(b"freeze/" + freeze.id + freeze.vault.encode(), freeze.body),
                freeze.signature,
                freeze.since_ms,
            ),
        )

    def remove_local_freeze(self, identifier: bytes) -> None:
        """Forget an operator's freeze."""
        self._db.execute("DELETE FROM local_freeze WHERE id = ?", (identifier,))

    def add_reinstatement(self, evidence_hash: bytes, since_ms: int) -> None:
        """Keep that the operator has settled this evidence; again changes nothing."""
        self._db.execute(
            "INSERT OR IGNORE INTO reinstatement (evidence_hash, since_ms) VALUES (?, ?)", (evidence_hash, since_ms)
        )

    def add_alarm(self, alarm: Alarm) -> None:
        """Keep an alarm; one that is there keeps its age and evidence."""
        self._db.execute(
            "INSERT OR IGNORE INTO alarm (reason, message, evidence, since_ms) VALUES (?, ?, ?, ?)",
            (alarm.reason, alarm.message, alarm.evidence, alarm.since_ms),
        )

    def remove_alarm(self, reason: str) -> None:
        """Forget an alarm."""
        self._db.execute("DELETE FROM alarm WHERE reason = ?", (reason,))

    def set_counter(self, name: str, value: int) -> None:
        """Write a counter."""
        self._db.execute("INSERT OR REPLACE INTO counter (name, value) VALUES (?, ?)", (name, value))
