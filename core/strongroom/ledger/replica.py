"""A replayed copy of the log: the folded final state, and one overlay for each batch that is not final yet.

A batch is tried with `preview`, taken with `push`, undone with `truncate` when a term begins on an earlier base, and
made part of the base with `fold` once it is final. State, log tree and digests share one key space, so each of these
moves all of them at once. The bytes of entries are stored by the owner.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from strongroom.ledger import codec, log_tree, merkle
from strongroom.ledger.apply import apply
from strongroom.ledger.codec import NotCanonical
from strongroom.ledger.entry_messages import MAX_BATCH_BYTES, MAX_BATCH_ENTRIES, MAX_ENTRY_BYTES, Entry, Restart
from strongroom.ledger.mutable_state import MutableState
from strongroom.ledger.reasons import refused
from strongroom.ledger.state import State
from strongroom.ledger.view import KeyValue, Overlay
from strongroom.model.errors import Kind, StrongroomError
from strongroom.model.ids import LogId

__all__ = ["MAX_UNCERTIFIED_BYTES", "Batch", "Draft", "Preview", "Replica", "ReplicaRange", "bytes_kept"]

MAX_UNCERTIFIED_BYTES: Final = 64 * 1024 * 1024
"""Most that is taken from a stranger, counted by `bytes_kept`, before a certificate covers it."""
_LAYER_BYTES: Final = 4_096


def bytes_kept(entries: Iterable[bytes]) -> int:
    """About how much memory a batch takes that was replayed and is not final: its entries, and what they changed.

    Even an empty entry changes size, time, tree and digest, so many small batches are no cheaper than one large.
    """
    return _LAYER_BYTES + sum(map(len, entries))


class ReplicaRange(StrongroomError):
    """The replica cannot go to this size, or the preview does not follow its newest head; the caller's fault."""

    reason = "REPLICA_RANGE"
    kind = Kind.FAILED_PRECONDITION


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Entries that follow the log's first `first_index` ones; each as its canonical bytes."""

    first_index: int
    entries: tuple[bytes, ...]

    @property
    def size(self) -> int:
        """Size of the log with this batch."""
        return self.first_index + len(self.entries)


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """A batch tried: what the log's root and the state digest will be, and the changes.

    Attributes:
        batch: the batch.
        previous_root: root of the log it was tried on, at `batch.first_index`.
        root: root of the log with it.
        state_digest: digest of the state with it.
        time_ms: its log time.
        overlay: its changes.
    """

    batch: Batch
    previous_root: bytes
    root: bytes
    state_digest: bytes
    time_ms: int
    overlay: Overlay

    @property
    def size(self) -> int:
        """Size of the log with the batch."""
        return self.batch.size


class Draft:
    """A batch in the making on a replica's newest state; what it refuses leaves no trace.

    Attributes:
        state: the state with all entries added so far. It has no digest until `finish`.
    """

    def __init__(self, parent: KeyValue, log_id: LogId, *, genesis_id: LogId | None = None) -> None:
        before = State(parent, log_id)
        self._first_index = before.size
        self._previous_root = before.log_root(self._first_index)
        self._entries: list[bytes] = []
        self._bytes = 0
        self._time_ms: int | None = None
        self._overlay = Overlay(parent)
        self._mutable = MutableState(self._overlay, log_id, genesis_id=genesis_id)
        self._is_founding = False
        self.state: State = self._mutable

    @property
    def entries(self) -> tuple[bytes, ...]:
        """The entries added so far."""
        return tuple(self._entries)

    def add(self, entry_bytes: bytes) -> None:
        """Apply one more entry.

        Raises:
            NotCanonical: the bytes are no canonical entry; `facts["entry"]` is its index.
            Refused: the ledger does not take it, its time is not that of the batch, or the batch is full.
        """
        index = self._first_index + len(self._entries)
        if len(self._entries) >= MAX_BATCH_ENTRIES or self._bytes + len(entry_bytes) > MAX_BATCH_BYTES:
            raise refused("BATCH_FULL", f"the batch has {len(self._entries)} entries of {self._bytes} bytes")
        try:
            entry = codec.decode(Entry, entry_bytes, max_size=MAX_ENTRY_BYTES)
        except NotCanonical as error:
            error.facts["entry"] = str(index)
            raise
        if self._time_ms is not None and entry.time_ms != self._time_ms:
            raise refused("BATCH_MALFORMED", f"entry {index} has another time than the batch", entry=str(index))
        is_restart = isinstance(entry.body, Restart)
        if self._entries and (is_restart or self._is_founding):
            # The head that a restart names is the one that the batch before it ended at.
            raise refused("BATCH_MALFORMED", "an entry that founds the log anew is alone in its batch")
        apply(self._mutable, entry, entry_bytes, index)
        self._is_founding = is_restart
        self._time_ms = entry.time_ms
        self._entries.append(entry_bytes)
        self._bytes += len(entry_bytes)

    def finish(self) -> Preview:
        """Compute root and digest. The draft takes no entries after that.

        Raises:
            Refused: BATCH_MALFORMED, the batch is empty.
        """
        if self._time_ms is None:
            raise refused("BATCH_MALFORMED", "a batch has at least one entry")
        root, digest = self._mutable.finish_batch()
        return Preview(
            batch=Batch(first_index=self._first_index, entries=tuple(self._entries)),
            previous_root=self._previous_root,
            root=root,
            state_digest=digest,
            time_ms=self._time_ms,
            overlay=self._overlay,
        )


@dataclass(frozen=True, slots=True)
class _Layer:
    """One batch on top of what is below it; layers are numbered one by one upwards."""

    number: int
    size: int
    overlay: Overlay


_EMPTY_DIGEST: Final = b""
_MERGED: Final = 16
"""A layer whose number is a multiple of this, of its square or cube and so on, answers for as many layers."""


def _span(number: int) -> int:
    """How many layers the one of this number answers for: from each, few steps lead down to the base."""
    span = 1
    while number % (span * _MERGED) == 0:
        span *= _MERGED
    return span


class Replica:
    """The log and its replayed state, from a base that is final up to the newest batch.

    Args:
        base: the owner's store with everything folded so far; empty for a new log.
        log_id: the pinned log id: that of the entry which the log is founded on.
        genesis_id: SHA-256 of the genesis charter, when a log that was founded anew is replayed from its beginning; by
            default the pinned one. Whoever replays so must ask `require_founded` at the end.
    """

    def __init__(self, base: KeyValue, *, log_id: LogId, genesis_id: LogId | None = None) -> None:
        self._base = base
        self._log_id = log_id
        self._genesis_id = genesis_id
        self._folded_size = State(base, log_id).size
        self._layers: list[_Layer] = []

    @property
    def log_id(self) -> LogId:
        """The pinned log id."""
        return self._log_id

    def require_founded(self) -> None:
        """Check that the log which was replayed is the pinned one.

        Raises:
            Refused: WRONG_LOG, the entry that founds the log with the pinned id anew is not in it.
        """
        found = self.state().log_id
        if found != self._log_id:
            raise refused("WRONG_LOG", f"these entries are of log {found.hex()}, not of {self._log_id.hex()}")

    @property
    def size(self) -> int:
        """Size of the log with the newest batch."""
        return self._layers[-1].size if self._layers else self._folded_size

    @property
    def folded_size(self) -> int:
        """Size up to which the base holds everything."""
        return self._folded_size

    def batch_borders(self) -> tuple[int, ...]:
        """Sizes at which a state can be read: the base's, and that of each batch since."""
        return (self._folded_size, *(layer.size for layer in self._layers))

    def is_border(self, size: int) -> bool:
        """Whether a state can be read at this size."""
        return self.border_up_to(size) == size

    def border_up_to(self, size: int) -> int | None:
        """The largest size up to this one at which a state can be read; None when what is folded is beyond it."""
        position = bisect_right(self._layers, size, key=lambda layer: layer.size)
        if position:
            return self._layers[position - 1].size
        return self._folded_size if self._folded_size <= size else None

    def draft(self) -> Draft:
        """Begin a batch on the newest state."""
        return Draft(self._newest(), self._log_id, genesis_id=self._genesis_id)

    def preview(self, batch: Batch) -> Preview:
        """Try a batch without taking it.

        Raises:
            NotCanonical: an entry is not canonical.
            Refused: an entry is refused (`facts["entry"]` is its index), or the batch is malformed.
        """
        if batch.first_index != self.size:
            raise refused(
                "BATCH_MALFORMED", f"the batch begins at {batch.first_index}, the log has {self.size} entries"
            )
        if not 1 <= len(batch.entries) <= MAX_BATCH_ENTRIES:
            raise refused("BATCH_MALFORMED", f"a batch has 1 to {MAX_BATCH_ENTRIES} entries, not {len(batch.entries)}")
        size = sum(len(entry) for entry in batch.entries)
        if size > MAX_BATCH_BYTES:
            raise refused("BATCH_MALFORMED", f"a batch has at most {MAX_BATCH_BYTES} bytes, not {size}")
        draft = self.draft()
        for entry in batch.entries:
            draft.add(entry)
        return draft.finish()

    def push(self, preview: Preview) -> None:
        """Take a tried batch as the newest.

        Raises:
            ReplicaRange: it was tried on another head.
        """
        first_index = preview.batch.first_index
        if first_index != self.size or preview.previous_root != self.root_at(self.size):
            raise ReplicaRange(f"the batch was tried on another head of size {first_index}, the newest has {self.size}")
        number = self._layers[-1].number + 1 if self._layers else 1
        span = _span(number)
        overlay = preview.overlay
        overlay.parent = self._newest()
        overlay.merge(self._base if span > len(self._layers) else self._layers[-span].overlay)
        self._layers.append(_Layer(number, preview.size, overlay))

    def truncate(self, size: int) -> None:
        """Drop every batch beyond `size`, the end of a batch.

        Raises:
            ReplicaRange: the size is below what is folded, or no batch ends there.
        """
        self._check_border(size)
        while self._layers and self._layers[-1].size > size:
            self._layers.pop()

    def fold(self, size: int) -> dict[bytes, bytes]:
        """Return the writes that bring the base to `size`, the end of a batch. Store them durably, then call `folded`.

        Raises:
            ReplicaRange: the size is below what is folded, or no batch ends there.
        """
        self._check_border(size)
        writes: dict[bytes, bytes] = {}
        for layer in self._layers:
            if layer.size <= size:
                writes.update(layer.overlay.writes)
        return writes

    def folded(self, size: int) -> None:
        """Say that the base now holds what `fold(size)` returned.

        Raises:
            ReplicaRange: it does not.
        """
        self._check_border(size)
        if State(self._base, self._log_id).size != size:
            raise ReplicaRange(f"the base does not hold the state at {size}: store what fold returned first")
        self._layers = [layer for layer in self._layers if layer.size > size]
        kept = {id(layer.overlay) for layer in self._layers}
        for layer in self._layers:
            # What a merged copy holds of folded layers is what the base holds now, or newer.
            if id(layer.overlay.parent) not in kept:
                layer.overlay.parent = self._base
        self._folded_size = size

    def state(self, size: int | None = None) -> State:
        """Return the newest state, or that at the end of a batch which is not folded beyond.

        Raises:
            ReplicaRange: no batch that can still be read ends there.
        """
        return State(self._view(size), self._log_id)

    def head(self, size: int | None = None) -> tuple[bytes, bytes]:
        """Return the log's root and the state digest (32 bytes each) there; the digest of an empty log is empty."""
        state = self.state(size)
        return state.log_root(state.size), state.stored_digest() or _EMPTY_DIGEST

    def root_at(self, size: int) -> bytes | None:
        """Return the log's root over the first `size` entries; None if the log is shorter."""
        return log_tree.root_at(self._newest(), size) if 0 <= size <= self.size else None

    def entry_hash(self, index: int) -> bytes:
        """Return the leaf hash of an entry, 32 bytes.

        Raises:
            ReplicaRange: the log has no such entry.
        """
        if not 0 <= index < self.size:
            raise ReplicaRange(f"the log has no entry {index}, its size is {self.size}")
        return log_tree.leaf(self._newest(), index)

    def inclusion_path(self, index: int, size: int) -> tuple[bytes, ...]:
        """Return the proof that entry `index` is in the log of `size` entries.

        Raises:
            ReplicaRange: the log is shorter.
            TreeRangeInvalid: there is no such entry below `size`.
        """
        self._check_size(size)
        return merkle.inclusion_proof(log_tree.node_source(self._newest()), index, size)

    def consistency_path(self, old: int, new: int) -> tuple[bytes, ...]:
        """Return the proof that the log of `new` entries extends the log of `old` entries.

        Raises:
            ReplicaRange: the log is shorter.
            TreeRangeInvalid: the sizes fall.
        """
        self._check_size(new)
        return merkle.consistency_proof(log_tree.node_source(self._newest()), old, new)

    def _newest(self) -> KeyValue:
        return self._layers[-1].overlay if self._layers else self._base

    def _view(self, size: int | None) -> KeyValue:
        if size is None:
            return self._newest()
        self._check_border(size)
        position = bisect_right(self._layers, size, key=lambda layer: layer.size)
        return self._layers[position - 1].overlay if position else self._base

    def _check_border(self, size: int) -> None:
        if not self.is_border(size):
            raise ReplicaRange(
                f"no batch ends at {size}; {len(self._layers)} end between {self._folded_size} and {self.size}"
            )

    def _check_size(self, size: int) -> None:
        if not 0 <= size <= self.size:
            raise ReplicaRange(f"the log has {self.size} entries, not {size}")
