"""signer.db: everything this signer must not forget, in SQLite with full durability.

One process holds it, one writer writes it. Whatever must be true together is written in one commit; a reader never has
to guess between "absent" and "unreadable": the second raises.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, Self

from strongroom.model.errors import Kind, StrongroomError
from strongroom.model.row_check import verified
from strongroom_signer.rows import Alarm, Identity, InboxItem, LocalFreeze, Pin
from strongroom_signer.schema import APPLICATION_ID, SCHEMA, VERSION
from strongroom_signer.write_ahead import FIRST_FRAME_BYTES, problem_of_wal
from strongroom_signer.writer import KNOWN_VALUE_BYTES, Writer

__all__ = ["Alarm", "DiskFull", "Identity", "InboxItem", "LocalFreeze", "Pin", "Store", "StoreFailed", "Writer"]

_LOG_FOLLOWS: Final = "log_follows"
"""1 in the database file, and 0 in the write-ahead file: without the latter, the former says that it is missing."""
_LOG_BYTES: Final = 4 << 20
"""From this size on the write-ahead file is moved into the database."""
_REBUILD: Final = (
    "this signer may have forgotten votes, so do not run on it and restore no old copy; the organisation goes on "
    "without it"
)
_KNOWN_ROWS: Final = 1 << 16
"""Rows of the folded state kept in memory: some 20 MiB as they are usually, none longer than `KNOWN_VALUE_BYTES`."""
_ALONE: Final = ("BEGIN IMMEDIATE", "COMMIT", "ROLLBACK")
_JOINED: Final = ("SAVEPOINT part", "RELEASE part", "ROLLBACK TO part")


class StoreFailed(StrongroomError):
    """The database cannot be read or written, or does not hold what it must. The daemon stops."""

    reason = "STORE_FAILED"
    kind = Kind.DATA_LOSS


class DiskFull(StrongroomError):
    """Nothing was written, because the disk is full."""

    reason = "DISK_FULL"
    kind = Kind.RESOURCE_EXHAUSTED


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
            raise DiskFull(f"the disk that holds {path} is full: free space; nothing was voted or signed") from error
        if getattr(error, "sqlite_errorcode", None) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise StoreFailed(f"{path} is open in another process: stop it first") from error
        raise StoreFailed(f"{path} cannot be used ({error}): check the disk; do not restore an old copy") from error


def _put_back(undoing: list[Callable[[], None]]) -> None:
    """Undo changes in memory, the newest first."""
    while undoing:
        undoing.pop()()


class Store:
    """The open database. All methods raise StoreFailed or DiskFull, and change nothing when they do."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._log = _log_of(path)
        self._db = connection
        self._closed = False
        self._joined = False
        self._undoing: list[Callable[[], None]] = []
        self._known: dict[bytes, bytes | None] = {}
        # What a process that was killed had deleted may still lie in the write-ahead file.
        self._must_scrub = True

    # --- life ---------------------------------------------------------------------------------------------------------

    @classmethod
    def create(cls, path: Path) -> Self:
        """Make a new database file, mode 0600.

        Raises:
            FileExistsError: there is one already.
        """
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        with _translated(path):
            store = cls(path, _connect(path))
            store._db.executescript(
                f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {VERSION}; BEGIN; {SCHEMA} COMMIT;"
            )
        return store

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open the database; its structure is checked first, and that its newest commits are there.

        Raises:
            StoreFailed: missing, damaged, of another version, or open in another process.
        """
        if not path.is_file():
            raise StoreFailed(f"there is no {path}: run `strongroom-signer init` first, or give the right --data")
        if path.stat().st_size == 0:
            raise StoreFailed(f"{path} is empty: {_REBUILD}")
        log = _log_of(path)
        log_size = log.stat().st_size if log.is_file() else 0
        problem = problem_of_wal(log) if log_size else ""
        if problem:
            raise StoreFailed(f"{log} is damaged, {problem}, and newest commits with it: {_REBUILD}")
        with _translated(path):
            store = cls(path, _connect(path))
            try:
                store._check(log, log_size)
            except BaseException:
                store._db.close()
                raise
        return store

    def _check(self, log: Path, log_size: int) -> None:
        kind = self._value("PRAGMA application_id")
        version = self._value("PRAGMA user_version")
        if kind != APPLICATION_ID or version != VERSION:
            raise StoreFailed(f"{self.path} has schema {kind:#x}/{version}; this program knows {VERSION}: upgrade it")
        problem = self._value("PRAGMA quick_check(1)")
        if problem != "ok":
            raise StoreFailed(f"{self.path} is damaged ({' '.join(problem.split())}): {_REBUILD}")
        # Nor does a file that ends before its first frame hold the note that takes this one back.
        holds_none = log_size < FIRST_FRAME_BYTES + self._value("PRAGMA page_size")
        if holds_none and self.counter(_LOG_FOLLOWS):
            raise StoreFailed(
                f"{log} is missing or empty, and newest commits with it: if it was moved, put it back beside "
                f"the database; else {_REBUILD}"
            )
        self._move_log()

    def _move_log(self) -> None:
        """Move the write-ahead file into the database, which says from then on that another one follows."""
        self._note_log(follows=True)
        self._db.execute("PRAGMA wal_checkpoint(FULL)")
        # This note lies in the write-ahead file alone: without that file, the database says that one is missing.
        self._note_log(follows=False)

    def _note_log(self, *, follows: bool) -> None:
        note = "INSERT OR REPLACE INTO counter (name, value) VALUES (?, ?)"
        self._db.execute(note, (_LOG_FOLLOWS, int(follows)))

    def _make_room(self) -> None:
        """Keep the write-ahead file short; done before a commit, so that a failure is one to begin it."""
        try:
            size = self._log.stat().st_size
        except FileNotFoundError:
            raise StoreFailed(f"{self._log} was removed under the running signer, with newest commits: stop") from None
        if size >= _LOG_BYTES:
            self._move_log()

    def close(self) -> None:
        """Close; the write-ahead file is moved into the database. Closing twice is harmless."""
        if not self._closed:
            self._closed = True
            with _translated(self.path):
                self._note_log(follows=False)
                self._db.close()

    def scrub(self) -> None:
        """Leave no copy of what was deleted in the write-ahead file, if anything secret or superseded was."""
        if not self._must_scrub or self._joined:
            return
        with _translated(self.path):
            # A crash anywhere in here finds every commit in the database, and a note that no file is missing.
            self._note_log(follows=False)
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            self._move_log()
        self._must_scrub = False

    def free_bytes(self) -> int:
        """Bytes that this process may still write on the disk of the database."""
        status = os.statvfs(self.path.parent)
        return status.f_bavail * status.f_frsize

    @contextmanager
    def commit(self) -> Iterator[Writer]:
        """One durable commit: everything written inside the block is on disk when it ends, or nothing is.

        Raises:
            DiskFull: nothing was written.
            StoreFailed: nothing was written.
        """
        begin, end, undo = _JOINED if self._joined else _ALONE
        with _translated(self.path):
            if not self._joined:
                self._make_room()
            self._db.execute(begin)
            writer = Writer(self._db, self._known)
            try:
                yield writer
                self._db.execute(end)
                self._must_scrub = self._must_scrub or writer.has_deleted
            except BaseException:
                self._known.clear()
                _put_back(writer.undoing)
                if self._db.in_transaction:
                    self._db.execute(undo)
                raise
            if self._joined:
                self._undoing += writer.undoing

    @contextmanager
    def one_commit(self) -> Iterator[None]:
        """Let every `commit` inside the block become durable together, when the block ends.

        What the block decides from memory is ahead of the disk until then, so nothing may leave the process inside it,
        and a failure to write is fatal: the process must stop and read its state again.

        Raises:
            StoreFailed: nothing was written; stop.
        """
        with _translated(self.path):
            self._make_room()
            self._db.execute("BEGIN IMMEDIATE")
        self._joined = True
        self._undoing = []
        try:
            yield
        except (StoreFailed, DiskFull) as error:
            self._undo()
            raise StoreFailed(f"{error.message}; stopping, because memory is ahead of the disk") from error
        except StrongroomError:
            # A refusal half-way: what was decided before it holds.
            self._finish()
            raise
        except BaseException:
            self._undo()
            raise
        else:
            self._finish()

    def _finish(self) -> None:
        self._joined = False
        try:
            with _translated(self.path):
                self._db.execute("COMMIT")
        except (StoreFailed, DiskFull) as error:
            self._undo()
            raise StoreFailed(f"{error.message}; stopping, because memory is ahead of the disk") from error

    def _undo(self) -> None:
        self._joined = False
        self._known.clear()
        _put_back(self._undoing)
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")

    # --- reading ------------------------------------------------------------------------------------------------------

    def _row(self, sql: str, *values: Any) -> Any:
        with _translated(self.path):
            return self._db.execute(sql, values).fetchone()

    def _rows(self, sql: str, *values: Any) -> list[Any]:
        with _translated(self.path):
            return self._db.execute(sql, values).fetchall()

    def _value(self, sql: str, *values: Any) -> Any:
        row = self._row(sql, *values)
        return None if row is None else row[0]

    def _sound(self, place: bytes, stored: bytes | None) -> bytes | None:
        """What a row holds, which must be what was written there."""
        if stored is None:
            return None
        data = verified(place, stored)
        if data is None:
            table = place.split(b"/", 1)[0].decode("ascii")
            raise StoreFailed(f"{self.path} is damaged (a row of {table} is not what was written): {_REBUILD}")
        return data

    def get(self, key: bytes) -> bytes | None:
        """A value of the folded state (the `KeyValue` port of the replica)."""
        if key in self._known:
            return self._known[key]
        value = self._sound(b"state/" + key, self._value("SELECT value FROM state WHERE key = ?", key))
        if value is not None and len(value) > KNOWN_VALUE_BYTES:
            return value
        if len(self._known) >= _KNOWN_ROWS:
            self._known.clear()
        self._known[key] = value
        return value

    def identity(self) -> Identity:
        """Who this signer is."""
        row = self._row("SELECT name, host_key, vote_key, witness_key FROM identity")
        if row is None:
            raise StoreFailed(f"{self.path} has no identity: `init` did not finish; remove the folder and run it again")
        return Identity(name=row[0], host_key=row[1], vote_key=row[2], witness_key=row[3])

    def secret(self, name: str) -> bytes:
        """A sealed secret."""
        sealed: bytes | None = self._value("SELECT sealed FROM secret WHERE name = ?", name)
        if sealed is None:
            raise StoreFailed(f"{self.path} holds no {name} key: `init` did not finish")
        return sealed

    def pin(self) -> Pin | None:
        """The pinned log, None before `enrol`."""
        row = self._row("SELECT log_id, charter, since_ms FROM pin")
        if row is None:
            return None
        charter = self._sound(b"pin/" + row[0], row[1])
        return None if charter is None else Pin(log_id=row[0], charter=charter, since_ms=row[2])

    def voter(self) -> bytes | None:
        """The encoded voter state, None before the first promise."""
        return self._sound(b"voter", self._value("SELECT state FROM voter"))

    def size(self) -> int:
        """Entries stored."""
        size: int = self._value("SELECT COALESCE(MAX(size), 0) FROM batch")
        return size

    def entry(self, index: int) -> bytes | None:
        """The canonical bytes of one entry."""
        return self._sound(b"entry/%d" % index, self._value("SELECT data FROM entry WHERE idx = ?", index))

    def entries(self, first: int, end: int) -> tuple[bytes, ...]:
        """Entries `first` to `end - 1`, all of them.

        Raises:
            StoreFailed: one is missing.
        """
        rows = self._rows("SELECT data FROM entry WHERE idx >= ? AND idx < ? ORDER BY idx", first, end)
        if len(rows) != end - first:
            raise StoreFailed(f"{self.path} lacks entries between {first} and {end}: the database is damaged")
        found = (self._sound(b"entry/%d" % index, row[0]) for index, row in enumerate(rows, start=first))
        return tuple(data for data in found if data is not None)

    def batches(self, first: int, end: int) -> Iterator[tuple[int, int, bytes, bytes]]:
        """(first index, size, root, state digest) of the batches that begin at `first` or later and end by `end`."""
        yield from self._rows(
            "SELECT first_index, size, root, state_digest FROM batch"
            " WHERE first_index >= ? AND size <= ? ORDER BY size",
            first,
            end,
        )

    def batch_at(self, index: int) -> tuple[int, int] | None:
        """(first index, size) of the batch that holds the entry."""
        row = self._row(
            "SELECT first_index, size FROM batch WHERE first_index <= ? ORDER BY first_index DESC LIMIT 1", index
        )
        return None if row is None or row[1] <= index else (row[0], row[1])

    def certificate(self, size: int) -> bytes | None:
        """The stored certificate of the head of this size."""
        return self._sound(b"certificate/%d" % size, self._value("SELECT data FROM certificate WHERE size = ?", size))

    def share(self, vault: str, epoch: int) -> bytes | None:
        """A sealed share."""
        sealed: bytes | None = self._value("SELECT sealed FROM share WHERE vault = ? AND epoch = ?", vault, epoch)
        return sealed

    def recovery(self, recovery_hash: bytes) -> bytes | None:
        """Recovery data by its SHA-256.

        Raises:
            StoreFailed: what is stored has another hash.
        """
        data: bytes | None = self._value("SELECT data FROM recovery WHERE hash = ?", recovery_hash)
        if data is not None and sha256(data).digest() != recovery_hash:
            raise StoreFailed(f"{self.path} is damaged (a row of recovery is not what was written): {_REBUILD}")
        return data

    def recovery_hashes(self) -> frozenset[bytes]:
        """Hashes of all recovery data that is stored."""
        return frozenset(row[0] for row in self._rows("SELECT hash FROM recovery"))

    def backups(self) -> dict[str, int]:
        """The newest epoch of each vault for which the words on paper were proven good."""
        return {row[0]: row[1] for row in self._rows("SELECT vault, epoch FROM backup")}

    def certified_size(self) -> int:
        """The largest size at which a batch ends and a certificate is stored."""
        size: int = self._value("SELECT COALESCE(MAX(size), 0) FROM certificate JOIN batch USING (size)")
        return size

    def share_names(self) -> tuple[tuple[str, int], ...]:
        """Vault and epoch of every stored share."""
        return tuple((row[0], row[1]) for row in self._rows("SELECT vault, epoch FROM share"))

    def is_accepted(self, terms_hash: bytes) -> bool:
        """Whether the operator has accepted an order with exactly this effect."""
        return self._row("SELECT 1 FROM accepted WHERE terms_hash = ?", terms_hash) is not None

    def nonce_is_marked(self, session: bytes) -> bool:
        """Whether a share was already made with this nonce session."""
        return self._row("SELECT 1 FROM nonce_mark WHERE session = ?", session) is not None

    def paid_since(self, asset: str, since_ms: int, *, without: Iterable[bytes]) -> int:
        """What this signer helped to pay of one asset after `since_ms`, orders in `without` left out."""
        skip = frozenset(without)
        rows = self._rows("SELECT order_hash, amount FROM payment WHERE time_ms > ? AND asset = ?", since_ms, asset)
        return sum(int(amount) for order_hash, amount in rows if order_hash not in skip)

    def inbox(self) -> tuple[InboxItem, ...]:
        """People's words that are not final in the log yet, oldest first."""
        rows = self._rows("SELECT id, kind, body, since_ms, salvaged FROM inbox ORDER BY since_ms, id")
        return tuple(
            InboxItem(id=row[0], kind=row[1], body=body, since_ms=row[3], salvaged=bool(row[4]))
            for row in rows
            if (body := self._sound(b"inbox/" + row[0], row[2])) is not None
        )

    def local_freezes(self) -> tuple[LocalFreeze, ...]:
        """The operator's freezes, oldest first."""
        rows = self._rows("SELECT id, vault, why, body, signature, since_ms FROM local_freeze ORDER BY since_ms, id")
        return tuple(
            LocalFreeze(id=row[0], vault=row[1], why=row[2], body=body, signature=row[4], since_ms=row[5])
            for row in rows
            if (body := self._sound(b"freeze/" + row[0] + row[1].encode(), row[3])) is not None
        )

    def reinstatements(self) -> frozenset[bytes]:
        """Hashes of the evidence that the operator has said to be settled."""
        return frozenset(row[0] for row in self._rows("SELECT evidence_hash FROM reinstatement"))

    def alarms(self) -> tuple[Alarm, ...]:
        """Alarms that outlive a restart, oldest first."""
        rows = self._rows("SELECT reason, message, evidence, since_ms FROM alarm ORDER BY since_ms, reason")
        return tuple(Alarm(reason=row[0], message=row[1], evidence=row[2], since_ms=row[3]) for row in rows)

    def counter(self, name: str) -> int:
        """A counter, 0 when it was never written."""
        value: int | None = self._value("SELECT value FROM counter WHERE name = ?", name)
        return value or 0


def _log_of(path: Path) -> Path:
    return path.with_name(path.name + "-wal")


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, timeout=0)
    connection.execute("PRAGMA locking_mode = EXCLUSIVE")
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA cell_size_check = ON")
    mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    if mode != "wal":
        connection.close()
        raise StoreFailed(f"{path} lies on a file system without write-ahead logging ({mode}): use a local disk")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    # What is deleted is overwritten: sealed shares and recovery data of an epoch that is over.
    connection.execute("PRAGMA secure_delete = ON")
    return connection
