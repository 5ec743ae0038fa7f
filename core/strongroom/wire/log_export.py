"""The exported log: one file from which a stranger can replay everything and holders can recover their shares.

Version 1. Integers are big-endian. The file begins with the line `strongroom log export v1` and a newline, and the 32
bytes of the log id. Frames follow, each with one byte of kind, four bytes of length, and its body:

    1  batch        index of the first entry (8 bytes), then each entry: length (4 bytes) and canonical bytes
    2  certificate  canonical certificate of the head that the batch just before it ends at
    3  recovery     recovery data of a vault's current epoch; after all batches, by ascending SHA-256
    0  end          number of entries (8 bytes), SHA-256 of every byte of the file before this frame (32 bytes)

Batches follow each other without a gap from entry 0. Nothing follows the end. The hash at the end is against broken
disks and cut copies only: what a file says is believed for its certificates, and for the head that a person pins.

Both directions work frame by frame, so that a log larger than memory passes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from strongroom.ledger.entry_messages import MAX_BATCH_BYTES, MAX_BATCH_ENTRIES, MAX_ENTRY_BYTES, MAX_RECOVERY_BYTES
from strongroom.model.errors import Kind, StrongroomError
from strongroom.model.ids import LogId

__all__ = ["ExportedBatch", "ExportedRecovery", "LogExportInvalid", "LogExportReader", "LogExportWriter"]

FIRST_LINE: Final = b"strongroom log export v1\n"
MAX_CERTIFICATE_BYTES: Final = 65_535
_END: Final = 0
_BATCH: Final = 1
_CERTIFICATE: Final = 2
_RECOVERY: Final = 3
_LIMITS: Final = {
    _END: 40,
    _BATCH: 8 + MAX_BATCH_BYTES + 4 * MAX_BATCH_ENTRIES,
    _CERTIFICATE: MAX_CERTIFICATE_BYTES,
    _RECOVERY: MAX_RECOVERY_BYTES,
}


class LogExportInvalid(StrongroomError):
    """The file is not a whole exported log: cut, changed, or written by something else. Export the log again."""

    reason = "LOG_EXPORT_INVALID"
    kind = Kind.INVALID_ARGUMENT
    remedy = "export the log again, and copy the whole file"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportedBatch:
    """One batch.

    Attributes:
        first_index: Index of its first entry.
        entries: Canonical bytes of each.
        certificate: Canonical bytes of the certificate of the head after it; empty when the file has none.
    """

    first_index: int
    entries: tuple[bytes, ...]
    certificate: bytes = b""

    @property
    def size(self) -> int:
        """Size of the log with this batch."""
        return self.first_index + len(self.entries)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportedRecovery:
    """Recovery data of the current epoch of some vault; the state of the log names its SHA-256."""

    data: bytes


class LogExportWriter:
    """Makes the file, piece by piece: `begin`, `batch` for each batch, `recovery` for all data at once, `end`."""

    def __init__(self, log_id: LogId) -> None:
        self._log_id = log_id
        self._hash = hashlib.sha256()
        self._size = 0

    def begin(self) -> bytes:
        """The beginning of the file."""
        return self._noted(FIRST_LINE + self._log_id)

    def batch(self, first_index: int, entries: Sequence[bytes], certificate: bytes = b"") -> bytes:
        """One batch, and the certificate of the head after it if there is one."""
        body = first_index.to_bytes(8, "big") + b"".join(len(entry).to_bytes(4, "big") + entry for entry in entries)
        self._size = first_index + len(entries)
        return self._noted(_frame(_BATCH, body) + (_frame(_CERTIFICATE, certificate) if certificate else b""))

    def recovery(self, data: Sequence[bytes]) -> Iterator[bytes]:
        """The recovery data of all vaults, each once."""
        for _, one in sorted({hashlib.sha256(one).digest(): one for one in data}.items()):
            yield self._noted(_frame(_RECOVERY, one))

    def end(self) -> bytes:
        """The end of the file."""
        return _frame(_END, self._size.to_bytes(8, "big") + self._hash.digest())

    def _noted(self, data: bytes) -> bytes:
        self._hash.update(data)
        return data


class LogExportReader:
    """Reads a file strictly; what it yields is well formed, and nothing more is known of it.

    Args:
        read: Gives at most that many bytes, and none at the end of the file.

    Attributes:
        log_id: The log that the file says it holds.

    Raises:
        LogExportInvalid: the file does not begin as an exported log.
    """

    def __init__(self, read: Callable[[int], bytes]) -> None:
        self._read = read
        self._hash = hashlib.sha256()
        self._at = 0
        if self._exactly(len(FIRST_LINE), "its first line") != FIRST_LINE:
            raise LogExportInvalid("the file does not begin with `strongroom log export v1`: it is no exported log")
        self.log_id = LogId(self._exactly(32, "the log id"))

    def __iter__(self) -> Iterator[ExportedBatch | ExportedRecovery]:
        """Every batch in order, then the recovery data. Only a loop that ends has read a whole file.

        Raises:
            LogExportInvalid: the first thing that is wrong.
        """
        size, waiting, last_hash = 0, None, b""
        while True:
            before = self._hash.digest()
            kind, body = self._frame()
            if kind == _CERTIFICATE:
                if waiting is None or not body:
                    raise self._wrong("a certificate stands behind no batch")
                yield ExportedBatch(first_index=waiting.first_index, entries=waiting.entries, certificate=body)
                waiting = None
                continue
            if waiting is not None:
                yield waiting
                waiting = None
            if kind == _BATCH:
                waiting = self._batch(body)
                if waiting.first_index != size or last_hash:
                    raise self._wrong(f"a batch begins at entry {waiting.first_index}, where entry {size} was due")
                size = waiting.size
            elif kind == _RECOVERY:
                digest = hashlib.sha256(body).digest()
                if digest <= last_hash or not body:
                    raise self._wrong("recovery data does not ascend by its SHA-256")
                last_hash = digest
                yield ExportedRecovery(data=body)
            else:
                return self._check_end(body, size, before)

    def _check_end(self, body: bytes, size: int, digest: bytes) -> None:
        if body != size.to_bytes(8, "big") + digest:
            raise self._wrong("what stands before the end is not what was written: the file was changed or damaged")
        if self._read(1):
            raise self._wrong("the file goes on after its end")

    def _frame(self) -> tuple[int, bytes]:
        head = self._exactly(5, "its end")
        kind, length = head[0], int.from_bytes(head[1:], "big")
        limit = _LIMITS.get(kind)
        if limit is None:
            raise self._wrong(f"frames of kind {kind} are not known in version 1")
        if length > limit:
            raise self._wrong(f"a frame of kind {kind} has {length} bytes, where at most {limit} are allowed")
        return kind, self._exactly(length, "a frame's end")

    def _batch(self, body: bytes) -> ExportedBatch:
        if len(body) < 8:
            raise self._wrong("a batch ends before its first index does")
        entries: list[bytes] = []
        at, total = 8, 0
        while at < len(body):
            length = int.from_bytes(body[at : at + 4], "big")
            entry = body[at + 4 : at + 4 + length]
            if at + 4 > len(body) or len(entry) != length or not 1 <= length <= MAX_ENTRY_BYTES:
                raise self._wrong(f"entry {len(entries)} of a batch has no sound length")
            entries.append(entry)
            at, total = at + 4 + length, total + length
        if not 1 <= len(entries) <= MAX_BATCH_ENTRIES or total > MAX_BATCH_BYTES:
            raise self._wrong(f"a batch has {len(entries)} entries of {total} bytes")
        return ExportedBatch(first_index=int.from_bytes(body[:8], "big"), entries=tuple(entries))

    def _exactly(self, count: int, where: str) -> bytes:
        parts: list[bytes] = []
        left = count
        while left:
            part = self._read(left)
            if not part:
                raise LogExportInvalid(
                    f"the file ends at byte {self._at}, before {where}: it was cut short", at=str(self._at)
                )
            parts.append(part)
            self._at += len(part)
            left -= len(part)
        data = b"".join(parts)
        self._hash.update(data)
        return data

    def _wrong(self, what: str) -> LogExportInvalid:
        return LogExportInvalid(f"{what} (before byte {self._at})", at=str(self._at))


def _frame(kind: int, body: bytes) -> bytes:
    return bytes((kind,)) + len(body).to_bytes(4, "big") + body
