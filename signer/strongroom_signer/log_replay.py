"""An exported log replayed into an empty database: every entry and certificate in it is judged again.

The file is believed only as far as it is proven: its founding by the fingerprint and its newest entries by a head, both
of which the operator compared with others; everything between by certificates.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from strongroom.ledger import codec
from strongroom.ledger.certificate_messages import Certificate
from strongroom.ledger.certification import BadCertificate, final_size, verify_certificate
from strongroom.ledger.codec import NotCanonical
from strongroom.ledger.electorate import Electorate
from strongroom.ledger.founding import NotFounding, founded_charter, founded_log_id, read_founding
from strongroom.ledger.reasons import Refused
from strongroom.ledger.recovery import recovery_hash
from strongroom.ledger.replica import MAX_UNCERTIFIED_BYTES, Batch, Preview, Replica, bytes_kept
from strongroom.ledger.state import State
from strongroom.model.errors import Kind, StrongroomError
from strongroom.model.heads import PinnedHead, read_head
from strongroom.model.ids import LogId
from strongroom.protocol import voter
from strongroom.protocol.electorates import Electorates
from strongroom.protocol.voter_state import initial_state
from strongroom.wire.log_export import MAX_CERTIFICATE_BYTES, ExportedBatch, LogExportReader
from strongroom_signer.log_copy import View
from strongroom_signer.recovery import RecoveryBook
from strongroom_signer.store import Store

__all__ = ["RecoveryRefused", "Replayed", "parse_head", "replay_export"]

_BATCHES_AT_ONCE: Final = 32
_BYTES_AT_ONCE: Final = 4 << 20


class RecoveryRefused(StrongroomError):
    """The words, the exported log and what the operator typed do not belong together; nothing was recovered."""

    reason = "RECOVERY_REFUSED"
    kind = Kind.FAILED_PRECONDITION


def parse_head(text: str) -> PinnedHead:
    """Read `SIZE:ROOT` as `status` shows it; spaces and capitals are taken.

    Raises:
        RecoveryRefused: it is not of that form.
    """
    head = read_head(text)
    if head is None:
        raise RecoveryRefused("a head is SIZE:ROOT, as another signer's `status` shows it, the root with 64 hex digits")
    return head


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """An exported log in a new database.

    Attributes:
        replica: The log, replayed.
        charter: The charter that it is founded on, canonical bytes.
        certificate: Of its last head; None of a log that was just founded anew.
    """

    replica: Replica
    charter: bytes
    certificate: Certificate | None

    def stand(self, store: Store, name: str, vote_key: bytes) -> None:
        """Let the signer begin where the file ends, in the term of its last certificate.

        A leader that opened that term long ago shows its base again, which lies below what is final here: to one that
        held nothing of the term it would look like a contradiction.
        """
        now = self.replica.state()
        state = initial_state(now.log_id, name, vote_key, founded_size=now.founded_size)
        if self.certificate is not None:
            electorates = Electorates.of(now, final_size=self.replica.folded_size)
            state, _ = voter.take_certificate(state, self.certificate, View(self.replica), electorates=electorates)
        with store.commit() as write:
            write.set_voter(codec.encode(state))


def replay_export(store: Store, reader: LogExportReader, head: PinnedHead) -> Replayed:
    """Replay an exported log into a new database, and keep the recovery data of current epochs.

    Raises:
        RecoveryRefused: the file does not hold the head, or an entry or certificate of it does not hold.
        LogExportInvalid: the file is no whole exported log.
    """
    replay = _Replay(store, reader.log_id)
    bodies, certificate = replay.take_all(reader)
    replay.require_head(head)
    _keep_recovery_data(store, replay.replica.state(), bodies)
    replica = replay.replica
    return Replayed(replica=replica, charter=_founding_charter(store, replica.state()), certificate=certificate)


class _Replay:
    """Judges every entry anew and stores it; what certificates make final is folded."""

    def __init__(self, store: Store, log_id: LogId) -> None:
        self._store = store
        self._log_id = log_id
        self.replica = Replica(store, log_id=log_id)
        self._founded = 0
        self._waiting: list[tuple[ExportedBatch, Preview, Certificate | None]] = []
        self._newest: Certificate | None = None
        self._final = 0
        self._uncertified = 0

    def take_all(self, reader: LogExportReader) -> tuple[list[bytes], Certificate | None]:
        """Replay the whole file; returns the recovery data in it, and the certificate of its last head.

        A file whose last entry founds the log anew has none: the compared fingerprint vouches for that entry.

        Raises:
            LogExportInvalid, RecoveryRefused: it is not a whole log that certificates vouch for.
        """
        bodies: list[bytes] = []
        wanted: frozenset[bytes] | None = None
        for part in reader:
            if isinstance(part, ExportedBatch):
                self._take(part)
                continue
            if wanted is None:
                # It stands after all batches, so by now the state says what there has to be. Whatever else a stream
                # holds, which may have no end, is not kept.
                wanted = frozenset(RecoveryBook(self._store).lacking(self.replica.state()))
            if recovery_hash(part.data) in wanted:
                bodies.append(part.data)
        self._flush()
        self._require_founded()
        newest = self._newest
        certified = self._founded if newest is None else newest.head.size
        if not certified or certified != self.replica.size:
            raise RecoveryRefused(
                f"the file's last {self.replica.size - certified} entries stand under no certificate: it is not "
                "what `export-log` writes"
            )
        return bodies, newest

    def require_head(self, head: PinnedHead) -> None:
        """Hold the log against the head that the operator compared.

        Raises:
            RecoveryRefused: the file is too old, or another history.
        """
        if head.size > self.replica.size:
            raise RecoveryRefused(
                f"the file ends after {self.replica.size} entries, before the head at {head.size} that you compared: "
                "it is an old one; have the log exported again"
            )
        if self.replica.root_at(head.size) != head.root:
            raise RecoveryRefused(
                f"the file holds another history: its first {head.size} entries do not give the root that you compared"
            )

    def _require_founded(self) -> None:
        try:
            self.replica.require_founded()
        except Refused as error:
            raise RecoveryRefused(f"the file does not lead to the log that it names: {error.message}") from error

    def _take(self, batch: ExportedBatch) -> None:
        self._uncertified += bytes_kept(batch.entries)
        if self._uncertified > MAX_UNCERTIFIED_BYTES:
            raise RecoveryRefused(
                f"the entries before {batch.first_index} go on for too long without a certificate: no log does"
            )
        try:
            if not self.replica.size:
                # Whatever it began with: only the pinned founding makes it this log.
                genesis_id = founded_log_id(read_founding(batch.entries[0]))
                self.replica = Replica(self._store, log_id=self._log_id, genesis_id=genesis_id)
            preview = self.replica.preview(Batch(first_index=batch.first_index, entries=batch.entries))
        except (NotCanonical, NotFounding, Refused) as error:
            entry = error.facts.get("entry", str(batch.first_index))
            raise RecoveryRefused(f"entry {entry} of the file is none that this log takes: {error.message}") from error
        self.replica.push(preview)
        founded = self.replica.state().founded_size
        if founded > self._founded:
            # Every certificate before is of another log id; the compared fingerprint makes this final.
            self._founded, self._newest = founded, None
            self._uncertified = 0
            self._final = founded
        certificate = self._verified(batch, preview) if batch.certificate else None
        if certificate is not None:
            self._newest = certificate
            self._uncertified = 0
            self._final = max(self._final, final_size(certificate))
        self._waiting.append((batch, preview, certificate))
        waiting_bytes = sum(len(entry) for one, _, _ in self._waiting for entry in one.entries)
        if len(self._waiting) >= _BATCHES_AT_ONCE or waiting_bytes >= _BYTES_AT_ONCE:
            self._flush()

    def _verified(self, batch: ExportedBatch, preview: Preview) -> Certificate:
        try:
            certificate = codec.decode(Certificate, batch.certificate, max_size=MAX_CERTIFICATE_BYTES)
            # Who certifies a head follows from the state at it, handovers between witness sets included.
            state = self.replica.state()
            verify_certificate(certificate, log_id=state.log_id, electorate=Electorate.of(state.witnesses))
        except (NotCanonical, BadCertificate) as error:
            raise RecoveryRefused(f"the certificate at {batch.size} does not hold: {error.message}") from error
        head = certificate.head
        if (head.size, head.root, head.state_digest) != (preview.size, preview.root, preview.state_digest):
            raise RecoveryRefused(f"the certificate at {batch.size} is for another log than the file's entries")
        return certificate

    def _flush(self) -> None:
        """One commit of what is waiting, folded as far as certificates make it final."""
        border = self.replica.border_up_to(self._final)
        final = self.replica.folded_size if border is None else border
        folded = self.replica.fold(final) if final > self.replica.folded_size else {}
        with self._store.commit() as write:
            for batch, preview, certificate in self._waiting:
                write.add_batch(batch.first_index, batch.entries, preview.root, preview.state_digest)
                if certificate is not None:
                    write.put_certificate(preview.size, certificate.head.term, batch.certificate)
            if folded:
                write.put_state(folded)
        if folded:
            self.replica.folded(final)
        self._waiting.clear()


def _founding_charter(store: Store, state: State) -> bytes:
    """The charter of the entry that the log is founded on, which the replay has held against the fingerprint."""
    index = max(0, state.founded_size - 1)
    (data,) = store.entries(index, index + 1)
    return founded_charter(read_founding(data))[0]


def _keep_recovery_data(store: Store, state: State, bodies: list[bytes]) -> None:
    book = RecoveryBook(store)
    wanted = book.lacking(state)
    found = book.checked(wanted, bodies)
    with store.commit() as write:
        book.add(write, found)
