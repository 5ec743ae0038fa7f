"""`restart`: the operator pins the entry by which the administrators founded the log anew.

Too many vote states were lost, so nobody can vote the log on. This signer then follows only what its operator typed
after comparing it with others, never a vote and never a coordinator. It refuses to forget: a certificate above the one
that the statement names, or anything that is final here, must be in the statement first.

Everything is one commit: before it the signer belongs to the log as it was, after it to the one that begins there, with
nothing promised and nothing held. What people handed in against a payment that is still possible stays in force here.

Spec: docs/protocol/restart.md.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, Final, Self

from strongroom.ledger import codec
from strongroom.ledger.codec import NotCanonical
from strongroom.ledger.entry_messages import Restart
from strongroom.ledger.founding import restart_entry, restart_log_id, statement_of
from strongroom.ledger.reasons import Refused
from strongroom.ledger.recovery import recovery_hash
from strongroom.ledger.replica import Batch, Preview, Replica
from strongroom.ledger.signed_messages import FreezeStatement, RestartApproval
from strongroom.ledger.state import State
from strongroom.model.errors import Kind, StrongroomError
from strongroom.model.fingerprints import Compared, is_fingerprint
from strongroom.model.ids import LogId
from strongroom.protocol.restart import Founding, require_complete, require_nothing_lost
from strongroom.protocol.voter_state import Alarm, VoterState, initial_state, stored_state
from strongroom.wire.log_export import ExportedBatch, ExportedRecovery, LogExportReader
from strongroom.wire.restart_file import decode_restart_file
from strongroom_signer.alarms import MAX_BATCH_SKEW_MS
from strongroom_signer.dropped import Dropped, dropped_by
from strongroom_signer.enrolment import DATABASE_FILE
from strongroom_signer.kept_words import kept_words, revoked_in
from strongroom_signer.log_copy import rebuild
from strongroom_signer.offline_freeze import UNSIGNED
from strongroom_signer.process import FolderLock
from strongroom_signer.recovery import RecoveryBook
from strongroom_signer.store import Identity, LocalFreeze, Pin, Store

__all__ = ["LogTooShort", "NotThisLog", "RestartRefused", "Restarted", "VotesLost", "restart"]

_BATCHES_AT_ONCE: Final = 64
"""Batches of an exported log that are held as changes, before they are folded into one."""


class RestartRefused(StrongroomError):
    """The restart file, this signer and what its operator typed do not belong together; nothing changed."""

    reason = "RESTART_REFUSED"
    kind = Kind.FAILED_PRECONDITION


class NotThisLog(StrongroomError):
    """The restart is of another log than the one that this signer belongs to; nothing changed."""

    reason = "RESTART_OF_ANOTHER_LOG"
    kind = Kind.FAILED_PRECONDITION


class LogTooShort(StrongroomError):
    """This signer does not hold the entries that stay: give it a log that another signer exported. Nothing changed."""

    reason = "RESTART_LOG_TOO_SHORT"
    kind = Kind.FAILED_PRECONDITION


class VotesLost(StrongroomError):
    """This signer's vote key must never vote again: its database is not the only one. Nothing changed."""

    reason = "RESTART_VOTES_LOST"
    kind = Kind.FAILED_PRECONDITION


@dataclass(frozen=True, slots=True, kw_only=True)
class Restarted:
    """What was pinned.

    Attributes:
        name: The signer's name.
        founding: What the statement says; None when this restart was pinned here before.
        log_id: The log id in force from here on, 32 bytes.
        size: Entries of the log, the founding one included.
        dropped: What this signer held beyond the entries that stay; None when there is no founding.
        alarm: Why the signer had stopped, which ends here; empty when it had not.
    """

    name: str
    founding: Founding | None
    log_id: LogId
    size: int
    dropped: Dropped | None
    alarm: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    """The entries that stay, replayed.

    Attributes:
        replica: Up to the named head; it has pinned the restart.
        border: Up to here the stored batches stay as they are.
        batches: What is stored anew from there on.
        folded: Writes that the replica's base holds and the store does not.
        recovery: Recovery data that came with them.
    """

    replica: Replica
    border: int
    batches: tuple[_Batch, ...]
    folded: dict[bytes, bytes]
    recovery: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class _Batch:
    """What is stored of a batch that was replayed; not its changes, of which a long log has many."""

    first_index: int
    entries: tuple[bytes, ...]
    root: bytes
    state_digest: bytes

    @classmethod
    def of(cls, preview: Preview) -> Self:
        return cls(preview.batch.first_index, preview.batch.entries, preview.root, preview.state_digest)


class _Ahead:
    """The store with what was folded since. The root that was signed vouches for all of it, so none is ever undone."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.writes: dict[bytes, bytes] = {}

    def get(self, key: bytes, /) -> bytes | None:
        value = self.writes.get(key)
        return self._store.get(key) if value is None else value

    def fold(self, replica: Replica) -> None:
        """Take up everything that the replica holds."""
        self.writes.update(replica.fold(replica.size))
        replica.folded(replica.size)


def restart(
    folder: Path,
    *,
    file: bytes,
    exported: BinaryIO | None,
    typed: Callable[[str, Founding, LogId], str],
    now_ms: int,
) -> Restarted:
    """Pin a restart in the folder of a stopped signer; again it changes nothing.

    Args:
        folder: The data folder.
        file: The restart file.
        exported: An exported log that holds the entries which stay; None when this signer holds them.
        typed: Shows the signer's name, the founding and the new log id, and gives the fingerprint as the operator
            compared and typed it.
        now_ms: The own clock, Unix milliseconds.

    Raises:
        RestartFileInvalid: it is no restart file.
        NotThisLog: it is of another log.
        VotesLost: this signer stopped because its vote key was used elsewhere.
        RestartLosesCertificate: this signer knows a higher certificate, or more is final here.
        LogTooShort: the entries that stay are not here, and no file holds them.
        RestartRefused: the card, the clock, the exported log or the fingerprint does not fit.
        Refused: the statement does not hold.
    """
    wanted = decode_restart_file(file)
    with FolderLock(folder):
        store = Store.open(folder / DATABASE_FILE)
        try:
            return _Pinning(folder, store, wanted, now_ms).pinned(exported, typed)
        finally:
            store.close()


@dataclass(frozen=True, slots=True)
class _Pinning:
    folder: Path
    store: Store
    wanted: Restart
    now_ms: int

    def pinned(self, exported: BinaryIO | None, typed: Callable[[str, Founding, LogId], str]) -> Restarted:
        store, wanted = self.store, self.wanted
        identity, pin, head = store.identity(), store.pin(), statement_of(wanted).head
        if pin is None:
            raise RestartRefused("this signer belongs to no log yet: `enrol`, `recover` or `join` it first")
        if pin.log_id == restart_log_id(wanted):
            return Restarted(
                name=identity.name, founding=None, log_id=LogId(pin.log_id), size=store.size(), dropped=None, alarm=""
            )
        if pin.log_id != head.log_id:
            raise NotThisLog(
                f"the statement founds log {head.log_id.hex()} anew, and this signer belongs to {pin.log_id.hex()}"
            )
        voter = _voter(store, identity, pin)
        _require_votes(identity, voter)
        require_nothing_lost(wanted, voter, final_size=State(store, LogId(pin.log_id)).size)
        kept = _kept(store, wanted, exported)
        founding, log_id = require_complete(kept.replica.state(), wanted)
        self._require_card(identity, founding)
        self._require_time(founding)
        dropped = dropped_by(store, LogId(pin.log_id), kept.replica.state(), now_ms=self.now_ms)
        self._require_no_revoked_key(dropped)
        if not is_fingerprint(typed(identity.name, founding, log_id), Compared.CHARTER, log_id):
            raise RestartRefused(
                f"the restart's fingerprint is {log_id.hex()}, not the one typed in: compare it again with the "
                "administrators and the other operators before you go on"
            )
        _take_over(store, identity, wanted, kept, dropped=dropped, now_ms=self.now_ms)
        return Restarted(
            name=identity.name,
            founding=founding,
            log_id=log_id,
            size=head.size + 1,
            dropped=dropped,
            alarm=voter.alarm,
        )

    def _require_card(self, identity: Identity, founding: Founding) -> None:
        """Whether the new charter has this very signer: else it would go on as a machine whose word counts not."""
        mine = next((one for one in founding.charter.signers if one.name == identity.name), None)
        if mine is None:
            raise RestartRefused(f"the statement's charter has no signer {identity.name}: it is not meant for this one")
        if (mine.vote_key, mine.witness_key) != (identity.vote_key, identity.witness_key):
            raise RestartRefused(
                f"the statement's charter has other keys for {identity.name}: give the administrators this signer's "
                "card.json, and let them make the statement again"
            )

    def _require_time(self, founding: Founding) -> None:
        """Whether the log would begin in the future, where delays end early."""
        if founding.made_ms > self.now_ms + MAX_BATCH_SKEW_MS:
            raise RestartRefused(
                "the statement's time is more than 60 seconds ahead of this signer's clock: compare both clocks with "
                "a time server; if the statement's was wrong, it must be made again"
            )

    def _require_no_revoked_key(self, dropped: Dropped) -> None:
        """Whether nobody approved by a key that the administrators took, in a word handed in or in a dropped entry."""
        revoked = revoked_in(item for item in (*self.store.inbox(), dropped.revocation) if item is not None)
        said = [codec.decode(RestartApproval, one.body) for one in self.wanted.approvals]
        persons = sorted(one.person for one in said if one.key in revoked)
        if persons:
            raise RestartRefused(
                f"the administrators revoked the key by which {', '.join(persons)} approves: others must approve"
            )


def _require_votes(identity: Identity, voter: VoterState) -> None:
    """Whether this database holds all that the vote key signed: else the key could vote twice in the new log as well.

    The alarm would end with the log before, and with it all that keeps the other holder of the key from being seen.
    """
    if voter.alarm in (Alarm.OWN_VOTE_UNKNOWN.name, Alarm.OWN_STATEMENT_UNKNOWN.name):
        raise VotesLost(
            f"{identity.name} stopped with {voter.alarm}: its vote key was used where this folder does not know of it. "
            "Set this machine up anew from its words (`recover`), and give the administrators the new card.json"
        )


def _voter(store: Store, identity: Identity, pin: Pin) -> VoterState:
    stored = store.voter()
    if stored is None:
        return initial_state(LogId(pin.log_id), identity.name, identity.vote_key)
    return stored_state(stored)


# --- the entries that stay -------------------------------------------------------------------------------------------


def _kept(store: Store, wanted: Restart, exported: BinaryIO | None) -> _Kept:
    if exported is not None:
        return _from_export(store, wanted, LogExportReader(exported.read))
    head = statement_of(wanted).head
    if store.size() < head.size:
        raise LogTooShort(
            f"the statement keeps {head.size} entries, and this signer holds {store.size()}: give --log a log that "
            "another signer exported"
        )
    replica = rebuild(store, store, restart_log_id(wanted), head.size)
    border = replica.size
    # The leader of a lost term may have cut its batches otherwise.
    cut = store.entries(border, head.size)
    batches = (_Batch.of(_pushed(replica, border, cut)),) if cut else ()
    if replica.root_at(head.size) != head.root:
        raise LogTooShort(
            f"this signer went another way than the {head.size} entries that the statement keeps: give --log a log "
            "that another signer exported"
        )
    return _Kept(replica=replica, border=border, batches=batches, folded={}, recovery=())


def _from_export(store: Store, wanted: Restart, reader: LogExportReader) -> _Kept:
    """The final log of this signer, continued as the file does. The root that was signed vouches for every entry."""
    head, log_id = statement_of(wanted).head, restart_log_id(wanted)
    if reader.log_id not in (head.log_id, log_id):
        raise RestartRefused(f"the exported log is of {reader.log_id.hex()}, not of {head.log_id.hex()}")
    # Where nothing is final yet, the log id so far is that of the genesis.
    ahead = _Ahead(store)
    replica = Replica(ahead, log_id=log_id, genesis_id=LogId(head.log_id))
    border = replica.size
    batches: list[_Batch] = []
    bodies: list[bytes] = []
    for part in reader:
        if isinstance(part, ExportedRecovery):
            bodies.append(part.data)
        elif replica.size < head.size and part.size > replica.size:
            batches.append(_Batch.of(_continued(replica, part, head.size)))
            if len(batches) % _BATCHES_AT_ONCE == 0:
                ahead.fold(replica)
    if replica.size < head.size:
        raise LogTooShort(f"the exported log ends after {replica.size} entries, and the statement keeps {head.size}")
    if replica.root_at(head.size) != head.root:
        raise RestartRefused(
            "what is final here and the exported log together give another history than the statement names: compare "
            "the head with the other operators"
        )
    return _Kept(replica=replica, border=border, batches=tuple(batches), folded=ahead.writes, recovery=tuple(bodies))


def _continued(replica: Replica, part: ExportedBatch, end: int) -> Preview:
    """The part of an exported batch that is not here yet and stays."""
    begin = replica.size - part.first_index
    return _pushed(replica, replica.size, part.entries[begin : end - part.first_index])


def _pushed(replica: Replica, first: int, entries: tuple[bytes, ...]) -> Preview:
    try:
        preview = replica.preview(Batch(first_index=first, entries=entries))
    except (NotCanonical, Refused) as error:
        entry = error.facts.get("entry", str(first))
        raise RestartRefused(f"entry {entry} is none that this log takes: {error.message}") from error
    replica.push(preview)
    return preview


# --- the commit ------------------------------------------------------------------------------------------------------


def _take_over(
    store: Store, identity: Identity, wanted: Restart, kept: _Kept, *, dropped: Dropped, now_ms: int
) -> None:
    statement, log_id, replica = statement_of(wanted), restart_log_id(wanted), kept.replica
    size = statement.head.size
    founding = _pushed(replica, size, (codec.encode(restart_entry(wanted)),))
    state = replica.state()
    words = kept_words(store.inbox(), dropped, state, now_ms=now_ms)
    freezes = store.local_freezes()
    book = RecoveryBook(store)
    given = {recovery_hash(data) for data in kept.recovery}
    recovery = book.checked([one for one in book.lacking(state) if one in given], kept.recovery)
    voter = initial_state(log_id, identity.name, identity.vote_key, founded_size=founding.size)
    with store.commit() as write:
        write.truncate(kept.border)
        for batch in (*kept.batches, _Batch.of(founding)):
            write.add_batch(batch.first_index, batch.entries, batch.root, batch.state_digest)
        if wanted.certificate is not None:
            write.put_certificate(size, statement.head.term, codec.encode(wanted.certificate))
        write.put_state({**kept.folded, **replica.fold(founding.size)})
        book.add(write, recovery)
        write.remove_inbox(words.forgotten)
        for word in words.salvaged:
            write.add_inbox(word)
        for freeze in freezes:
            write.remove_local_freeze(freeze.id)
            write.add_local_freeze(_again(freeze, log_id))
        write.set_voter(codec.encode(voter))
        write.change_pin(Pin(log_id=log_id, charter=statement.charter, since_ms=now_ms))


def _again(freeze: LocalFreeze, log_id: LogId) -> LocalFreeze:
    """The operator's own freeze, for the log that begins; the daemon signs it when it starts."""
    body = codec.encode(replace(codec.decode(FreezeStatement, freeze.body), log_id=log_id))
    return replace(freeze, id=hashlib.sha256(body).digest(), body=body, signature=UNSIGNED)
