"""The signer's own copy of the log: stored entries, and the replayed state over them.

What is final is folded into the database; each later batch is an overlay in memory, rebuilt at start from its entries.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from strongroom.ledger.founding import founded_log_id, read_founding
from strongroom.ledger.replica import Batch, Preview, Replica
from strongroom.ledger.state import State
from strongroom.ledger.view import KeyValue
from strongroom.model.errors import Kind, StrongroomError
from strongroom.model.ids import LogId
from strongroom_signer.recovery import RecoveryBook
from strongroom_signer.store import Store, StoreFailed

__all__ = ["CannotJudge", "LogCopy", "View", "judged", "rebuild"]


@dataclass(frozen=True, slots=True)
class View:
    """What the voter sees: the copy, and perhaps one batch more that was replayed but not stored yet."""

    replica: Replica
    preview: Preview | None = None

    @property
    def size(self) -> int:
        """Entries stored, the batch included."""
        return self.replica.size if self.preview is None else self.preview.size

    @property
    def final_size(self) -> int:
        """Entries that can never be dropped."""
        return self.replica.folded_size

    def root_at(self, size: int) -> bytes | None:
        """Merkle root over the first `size` entries."""
        if self.preview is not None and size == self.preview.size:
            return self.preview.root
        return self.replica.root_at(size)

    def digest_at(self, size: int) -> bytes | None:
        """Own state digest after the batch that ends at `size`."""
        if self.preview is not None and size == self.preview.size:
            return self.preview.state_digest
        return self.replica.head(size)[1] if self.replica.is_border(size) else None


class CannotJudge(StrongroomError):
    """The signer's own program failed over entries that were sent to it: a defect, or a machine that lacks a part."""

    reason = "ENTRIES_NOT_JUDGED"
    kind = Kind.INTERNAL


class LogCopy:
    """Store and replica together."""

    def __init__(self, store: Store, log_id: LogId) -> None:
        """Replay what is stored beyond the folded state.

        Raises:
            StoreFailed: a stored batch replays to another head than the one that was voted for.
        """
        self.store = store
        self.log_id = log_id
        self.replica = rebuild(store, store, log_id, store.size())
        if self.replica.size and self.replica.state().log_id != log_id:
            raise StoreFailed(f"the log in {store.path} is not the one that is pinned there: the database is damaged")
        self.recovery = RecoveryBook(store)
        self._is_complete = False

    @property
    def size(self) -> int:
        """Entries stored."""
        return self.replica.size

    @property
    def final_size(self) -> int:
        """Entries whose effect is folded into the database."""
        return self.replica.folded_size

    def view(self, preview: Preview | None = None) -> View:
        """What the voter sees."""
        return View(self.replica, preview)

    def newest(self) -> State:
        """The state after everything stored."""
        return self.replica.state()

    def final(self) -> State:
        """The state after everything final."""
        return self.replica.state(self.replica.folded_size)

    def lacking(self, size: int | None = None) -> tuple[bytes, ...]:
        """Hashes of the recovery data that the state at `size`, by default the newest, needs and is not stored here."""
        if size is not None and size != self.size:
            return self.recovery.lacking(self.replica.state(size))
        if not self._is_complete:
            missing = self.recovery.lacking(self.newest())
            self._is_complete = not missing
            return missing
        return ()

    def changed(self) -> None:
        """Entries were stored, or dropped, without a look at the recovery data that they name."""
        self._is_complete = False

    def preview(self, first_index: int, entries: Sequence[bytes]) -> Preview:
        """Replay a batch without taking it.

        Raises:
            NotCanonical, Refused: an entry is not accepted at its place.
            CannotJudge: this program failed over it.
        """
        return judged(self.replica, Batch(first_index=first_index, entries=tuple(entries)))

    def border_up_to(self, size: int) -> int:
        """The largest batch border at or below `size` that can still be folded to."""
        border = self.replica.border_up_to(size)
        return self.final_size if border is None else border


def judged(replica: Replica, batch: Batch) -> Preview:
    """Replay a batch that somebody sent, without taking it.

    Raises:
        NotCanonical, Refused: an entry is not accepted at its place.
        CannotJudge: this program failed over it; nothing changed.
    """
    try:
        return replica.preview(batch)
    except StrongroomError:
        raise
    except Exception as error:
        # Nothing is changed by a look at a batch. Bytes that a stranger chose must not end the daemon, again after each
        # start, when all it takes is not to vote for them.
        raise CannotJudge(
            f"this program failed ({type(error).__name__}) over the entries from {batch.first_index} on: it votes for "
            "none of them; report this defect"
        ) from error


def rebuild(store: Store, base: KeyValue, log_id: LogId, size: int) -> Replica:
    """A replica of the stored log up to the last batch border that is not above `size`.

    The stored log begins with a genesis whose hash is the pinned id, or leads to the pinned id by a restart.

    Raises:
        StoreFailed: a stored batch replays to another head than the one that was voted for.
    """
    begun_with = store.entry(0)
    genesis_id = None if begun_with is None else founded_log_id(read_founding(begun_with))
    replica = Replica(base, log_id=log_id, genesis_id=genesis_id)
    for first, end, root, digest in store.batches(replica.folded_size, size):
        preview = replica.preview(Batch(first_index=first, entries=store.entries(first, end)))
        if (preview.root, preview.state_digest) != (root, digest):
            raise StoreFailed(
                f"entries {first} to {end} of {store.path} replay to another head than the one voted for: the database "
                "is damaged, or this program judges differently from the one that voted; go back to that version"
            )
        replica.push(preview)
    return replica
