"""What the log that is led here is founded on, and how a restart of it is taken over.

The operator hands the restart in by a command, with the daemon stopped; nothing that a signer or a client says can do
it. One transaction drops what lies beyond the head that the administrators named, takes the founding entry, and notes
the new log id. A database that lacks entries below that head only notes it, and the daemon fetches them from signers.

Spec: docs/protocol/restart.md.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

from sqlalchemy import Connection

from strongroom.ledger import codec
from strongroom.ledger.certificate_messages import Certificate, Head
from strongroom.ledger.charter import Charter, decode_charter
from strongroom.ledger.entry_messages import MAX_ENTRY_BYTES, Restart
from strongroom.ledger.founding import restart_entry, restart_log_id, statement_of
from strongroom.ledger.reasons import Refused
from strongroom.ledger.replica import Batch, Preview, Replica
from strongroom.model.errors import Kind, StrongroomError
from strongroom.model.ids import LogId
from strongroom_coordinator.data_folder import GenesisFile
from strongroom_coordinator.errors import DAMAGED, StorageFailed
from strongroom_coordinator.storage import events, plans
from strongroom_coordinator.storage import ledger as rows
from strongroom_coordinator.storage.engine import Storage

__all__ = ["Founding", "RestartNotTaken", "Taken", "founding_batch", "load_founding", "take_restart"]

LOG_ID: Final = "log_id"
FINAL_CERTIFICATE: Final = "final_certificate"
_FOUNDING: Final = "founding"
_CLOCK_MARGIN_MS: Final = 60_000


class RestartNotTaken(StrongroomError):
    """The restart does not follow from what this coordinator holds; nothing was changed."""

    reason = "RESTART_NOT_TAKEN"
    kind = Kind.FAILED_PRECONDITION


@dataclass(frozen=True, slots=True, kw_only=True)
class Founding:
    """What the log is founded on.

    Attributes:
        genesis: Its first entry, which stays that whatever came later.
        restart: By which it was founded anew; None for a log that stands on its genesis.
        log_id: The log id in force.
        charter: The one that the founding puts in force.
    """

    genesis: GenesisFile
    restart: Restart | None
    log_id: LogId
    charter: Charter

    @classmethod
    def of(cls, genesis: GenesisFile, restart: Restart | None = None) -> Founding:
        """What follows from the two."""
        if restart is None:
            return cls(genesis=genesis, restart=None, log_id=genesis.log_id, charter=genesis.charter)
        charter = decode_charter(statement_of(restart).charter)
        return cls(genesis=genesis, restart=restart, log_id=restart_log_id(restart), charter=charter)

    @property
    def size(self) -> int:
        """Size of the log with the entry that founded it anew; 0 without one. Up to here no term drops anything."""
        return 0 if self.restart is None else statement_of(self.restart).head.size + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What taking a restart did.

    Attributes:
        log_id: The new log id.
        size: Entries in the database, the founding entry among them when it is there.
        dropped: Entries beyond the named head that are gone.
        is_whole: Whether every entry is here; otherwise the daemon fetches the rest.
    """

    log_id: LogId
    size: int
    dropped: int
    is_whole: bool


def load_founding(storage: Storage, genesis: GenesisFile) -> Founding:
    """What the database says the log is founded on.

    Raises:
        StorageFailed: it cannot be read.
    """
    data = storage.run_sync(lambda connection: rows.read_meta(connection, _FOUNDING))
    if data is None:
        return Founding.of(genesis)
    try:
        return Founding.of(genesis, codec.decode(Restart, data, max_size=MAX_ENTRY_BYTES))
    except StrongroomError as error:
        raise StorageFailed(f"the restart in the database is malformed: {error.message}; {DAMAGED}") from error


def founding_batch(founding: Founding) -> Batch | None:
    """The batch that founds the log anew; None for a log that stands on its genesis."""
    if founding.restart is None:
        return None
    return Batch(first_index=founding.size - 1, entries=(codec.encode(restart_entry(founding.restart)),))


def take_restart(storage: Storage, genesis: GenesisFile, restart: Restart, *, now_ms: int) -> Taken:
    """Make this database one of the restarted log. Taken again, the same restart changes nothing.

    Args:
        storage: The database, which no daemon uses.
        genesis: The log's first entry.
        restart: Complete.
        now_ms: The wall clock.

    Raises:
        RestartNotTaken: the database contradicts it, or shows that it gives something up.
        StorageFailed: the database cannot be read or written.
    """
    known, made = load_founding(storage, genesis), Founding.of(genesis, restart)
    if made.charter.organisation != genesis.charter.organisation:
        raise RestartNotTaken(f"the restart is of {made.charter.organisation}, not of {genesis.charter.organisation}")
    if statement_of(restart).made_ms > now_ms + _CLOCK_MARGIN_MS:
        raise RestartNotTaken("the restart was made in the future, as this machine's clock says: look at the clock")
    replica = _replayed(storage, made)
    before = replica.size
    if known.log_id == made.log_id:
        return Taken(log_id=made.log_id, size=before, dropped=0, is_whole=before >= made.size)
    found = _founded(storage, replica, made) if before else None
    note = partial(_note, log_id=made.log_id, restart=codec.encode(restart))
    work = note if found is None else partial(_take, found, replica.fold(found.size), note)
    storage.run_sync(work)
    storage.key_value().forget()
    kept = made.size - 1 if found is not None else before
    return Taken(
        log_id=made.log_id,
        size=before if found is None else found.size,
        dropped=max(0, before - kept),
        is_whole=found is not None,
    )


def _replayed(storage: Storage, made: Founding) -> Replica:
    """What the database holds, as a log that leads to this founding."""
    replica = Replica(storage.key_value(), log_id=made.log_id, genesis_id=made.genesis.log_id)
    try:
        for stored in storage.run_sync(lambda connection: list(rows.all_batches(connection, replica.folded_size))):
            replica.push(replica.preview(Batch(first_index=stored.first_index, entries=stored.entries)))
    except StorageFailed:
        raise
    except StrongroomError as error:
        raise StorageFailed(f"what the database holds does not replay: {error.message}; {DAMAGED}") from error
    return replica


def _founded(storage: Storage, replica: Replica, made: Founding) -> Preview | None:
    """The founding entry tried on the own log, cut to the head that it names; None when the own log ends before it."""
    head = _head_of(made)
    mine = replica.state().log_id
    if mine != head.log_id:
        raise RestartNotTaken(
            f"the database holds log {mine.hex()}, and the restart goes on from {head.log_id.hex()}: take it "
            "with an empty database"
        )
    _require_nothing_lost(storage, replica, head)
    if replica.size < head.size:
        return None
    if not replica.is_border(head.size) or replica.head(head.size) != (head.root, head.state_digest):
        raise RestartNotTaken(
            f"the first {head.size} entries here are not those of the restart: find out with the operators of the "
            "signers which log is true; to believe theirs, take it with an empty database"
        )
    replica.truncate(head.size)
    batch = founding_batch(made)
    if batch is None:
        return None
    try:
        preview = replica.preview(batch)
    except Refused as refusal:
        raise RestartNotTaken(f"the restart does not hold: {refusal.message} ({refusal.reason})") from refusal
    replica.push(preview)
    return preview


def _require_nothing_lost(storage: Storage, replica: Replica, head: Head) -> None:
    """Whether the restart goes on from the highest certificate that is known here, or from a higher one."""
    data = storage.run_sync(rows.newest_certificate)
    newest = None if data is None else codec.decode(Certificate, data).head
    advice = "give the administrators what `strongroom audit export` writes, for a new statement"
    if newest is not None and newest.log_id == head.log_id:
        mine, named = (newest.term, newest.size), (head.term, head.size)
        if mine > named or (mine == named and newest != head):
            raise RestartNotTaken(
                f"the certificate of term {newest.term} for {newest.size} entries is known here, and the restart goes "
                f"on from term {head.term} and {head.size} entries: {advice}"
            )
    if replica.folded_size > head.size:
        raise RestartNotTaken(f"{replica.folded_size} entries are final here, the restart keeps {head.size}: {advice}")


def _head_of(made: Founding) -> Head:
    if made.restart is None:
        raise RestartNotTaken("there is no restart to take")
    return statement_of(made.restart).head


def _note(connection: Connection, *, log_id: LogId, restart: bytes) -> None:
    rows.write_meta(connection, LOG_ID, log_id)
    rows.write_meta(connection, _FOUNDING, restart)
    rows.drop_meta(connection, FINAL_CERTIFICATE)


def _take(
    found: Preview, folded: dict[bytes, bytes], note: Callable[[Connection], None], connection: Connection
) -> None:
    """Drop what lies beyond the named head, and store the founding entry as final."""
    start = found.batch.first_index
    rows.drop_from(connection, start)
    plans.drop_from(connection, start)
    rows.save_batch(connection, first_index=start, entries=found.batch.entries, subjects={})
    rows.save_folded(connection, folded)
    # Every order that the entry ends is told to watchers again, with all that follows.
    events.note_logged_size(connection, min(events.logged_size(connection), start))
    events.note_final_size(connection, min(events.final_size(connection), start))
    note(connection)
