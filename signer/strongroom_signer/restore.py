"""`recover`: the words on paper and an exported log make a signer's shares again, on an empty machine.

The host key comes from the words, everything about the log from the file, and both are believed only as far as they are
proven: the file by replaying every entry, by its certificates, and by a head that the operator compared with others.
Vote, witness, storage and TLS keys are new. A vote key that came back from a backup could vote a second time; this one
counts for nothing until an order admits it.

Order of the files: whatever an interrupted `recover` leaves behind is refused, never completed. The pin comes last.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from strongroom.crypto.sealed import Cost
from strongroom.crypto.secret import SecretBytes, SecretScalar
from strongroom.ledger import codec
from strongroom.ledger.certificate_messages import Certificate
from strongroom.ledger.certification import BadCertificate, final_size, verify_certificate
from strongroom.ledger.codec import NotCanonical
from strongroom.ledger.electorate import Electorate
from strongroom.ledger.founding import NotFounding, founded_charter, founded_log_id, read_founding
from strongroom.ledger.reasons import Refused
from strongroom.ledger.replica import Batch, Preview, Replica
from strongroom.ledger.state import State
from strongroom.model.errors import Kind, StrongroomError
from strongroom.model.fingerprints import Compared, is_fingerprint
from strongroom.model.ids import LogId
from strongroom.protocol import voter
from strongroom.protocol.backup import recovered_share
from strongroom.protocol.electorates import Electorates
from strongroom.protocol.voter_state import initial_state
from strongroom.wire import cards
from strongroom.wire.log_export import MAX_CERTIFICATE_BYTES, ExportedBatch, LogExportReader
from strongroom_signer.config import Seal
from strongroom_signer.enrolment import CARD_FILE, CONFIG_FILE, DATABASE_FILE, note_seal, require_empty, require_name
from strongroom_signer.keys import SEALED_FILE, SignerKeys, create_keys
from strongroom_signer.log_copy import View
from strongroom_signer.process import FolderLock, write_private
from strongroom_signer.recovery import RecoveryBook
from strongroom_signer.shares import Shares
from strongroom_signer.store import Pin, Store
from strongroom_signer.tls import KEY_FILE, create_tls_key

__all__ = ["PinnedHead", "Recovered", "RecoveryRefused", "parse_head", "recover", "replay_export"]

_HEAD: Final = re.compile(r"([1-9][0-9]{0,15}):([0-9a-f]{64})")
_BATCHES_AT_ONCE: Final = 32
_BYTES_AT_ONCE: Final = 4 << 20


class RecoveryRefused(StrongroomError):
    """The words, the exported log and what the operator typed do not belong together; nothing was recovered."""

    reason = "RECOVERY_REFUSED"
    kind = Kind.FAILED_PRECONDITION


@dataclass(frozen=True, slots=True, kw_only=True)
class PinnedHead:
    """A head that the operator compared with other operators: the log must hold it. The root is 32 bytes."""

    size: int
    root: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovered:
    """What came back.

    Attributes:
        name: The signer's name.
        card: Path of the new card.
        size: Entries of the replayed log.
        final_size: How many of them are final.
        shares: Vault and epoch of each share that is here again.
        without: Vaults that count this signer among their holders, but under another host key: another sheet's.
    """

    name: str
    card: Path
    size: int
    final_size: int
    shares: tuple[tuple[str, int], ...]
    without: tuple[str, ...]


def parse_head(text: str) -> PinnedHead:
    """Read `SIZE:ROOT` as `status` shows it; spaces and capitals are taken.

    Raises:
        RecoveryRefused: it is not of that form.
    """
    match = _HEAD.fullmatch(re.sub(r"\s", "", text).lower())
    if match is None:
        raise RecoveryRefused("a head is SIZE:ROOT, as another signer's `status` shows it, the root with 64 hex digits")
    return PinnedHead(size=int(match.group(1)), root=bytes.fromhex(match.group(2)))


def recover(
    folder: Path,
    name: str,
    *,
    host: SecretScalar,
    exported: BinaryIO,
    fingerprint: str,
    head: PinnedHead,
    passphrase: SecretBytes,
    cost: Cost,
    now_ms: int,
    random: Callable[[int], bytes],
    seal: Seal | None = None,
) -> Recovered:
    """Make the signer again in an empty folder.

    Args:
        folder: The new data folder.
        name: The signer's name.
        host: The host secret from the words; wiped at the end.
        exported: The exported log, opened for reading.
        fingerprint: The charter's, as the operator compared and typed it.
        head: A recent head as the operator compared it.
        passphrase: Opens the new `signer.sealed`.
        cost: What one guess of the passphrase costs.
        now_ms: The time of the pin.
        random: Keys and salts.
        seal: What gives the passphrase, noted in signer.toml.

    Raises:
        RecoveryRefused: words, file, fingerprint and head do not belong together.
        LogExportInvalid: the file is no whole exported log.
        ShareNotRecovered: the recovery data does not give a share that the log says this host key has.
        BadName, AlreadyInitialised: as for `init`.
    """
    require_name(name)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with FolderLock(folder), host:
        require_empty(folder)
        reader = LogExportReader(exported.read)
        if not is_fingerprint(fingerprint, Compared.CHARTER, reader.log_id):
            raise RecoveryRefused(
                f"the file holds the log {reader.log_id.hex()}, not the one whose fingerprint you typed: compare again"
            )

        def make_keys(store: Store) -> SignerKeys:
            return create_keys(folder, store, name, passphrase, host=host, cost=cost, random=random)

        note_seal(folder, seal or Seal())
        try:
            return _made(
                folder,
                name,
                host=host,
                reader=reader,
                head=head,
                make_keys=make_keys,
                now_ms=now_ms,
                random=random,
            )
        except BaseException:
            # Nothing of a signer was here before. A kill in between leaves files, which the next `recover` refuses.
            for file in (
                SEALED_FILE,
                CARD_FILE,
                KEY_FILE,
                CONFIG_FILE,
                *(DATABASE_FILE + end for end in ("", "-wal", "-shm")),
            ):
                (folder / file).unlink(missing_ok=True)
            raise


def _made(
    folder: Path,
    name: str,
    *,
    host: SecretScalar,
    reader: LogExportReader,
    head: PinnedHead,
    make_keys: Callable[[Store], SignerKeys],
    now_ms: int,
    random: Callable[[int], bytes],
) -> Recovered:
    store = Store.create(folder / DATABASE_FILE)
    try:
        replayed = replay_export(store, reader, head)
        replica = replayed.replica
        _require_own_words(replica.state(), name, host)
        request = create_tls_key(folder, name)
        keys = make_keys(store)
        try:
            replayed.stand(store, name, keys.vote.public)
            shares, without = _put_shares(store, keys, replica.state(replica.folded_size), name, random)
            card = cards.make_signer_card(
                name,
                host=keys.host,
                vote=keys.vote,
                witness=keys.witness,
                certificate_request=request,
                aux32=random(32),
            )
        finally:
            keys.wipe()
        write_private(folder / CARD_FILE, card.encode("utf-8"), mode=0o644)
        _pin(store, Pin(log_id=reader.log_id, charter=replayed.charter, since_ms=now_ms))
    finally:
        store.close()
    return Recovered(
        name=name,
        card=folder / CARD_FILE,
        size=replica.size,
        final_size=replica.folded_size,
        shares=shares,
        without=without,
    )


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

    def take_all(self, reader: LogExportReader) -> tuple[list[bytes], Certificate | None]:
        """Replay the whole file; returns the recovery data in it, and the certificate of its last head.

        A file whose last entry founds the log anew has none: the compared fingerprint vouches for that entry.

        Raises:
            LogExportInvalid, RecoveryRefused: it is not a whole log that certificates vouch for.
        """
        bodies: list[bytes] = []
        for part in reader:
            if isinstance(part, ExportedBatch):
                self._take(part)
            else:
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
            self._final = founded
        certificate = self._verified(batch, preview) if batch.certificate else None
        if certificate is not None:
            self._newest = certificate
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
        borders = [border for border in self.replica.batch_borders() if border <= self._final]
        final = max(borders, default=self.replica.folded_size)
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


def _require_own_words(state: State, name: str, host: SecretScalar) -> None:
    """Whether the words are this signer's, of now or of a vault that still counts on them.

    Raises:
        RecoveryRefused: they are another's, or of a time that is over.
    """
    public = host.public()
    owners = {signer.name for signer in state.charter.signers if signer.host_key == public}
    for vault in state.vaults():
        owners |= {holder for holder, key in zip(vault.signers, vault.host_keys, strict=True) if key == public}
    if name in owners:
        return
    if owners:
        raise RecoveryRefused(
            f"these are the words of signer {', '.join(sorted(owners))}, not of {name}: take its sheet"
        )
    raise RecoveryRefused(
        f"no signer of this log has these words: they are of another organisation, or {name} has newer ones since "
        "its words were replaced"
    )


def _pin(store: Store, pin: Pin) -> None:
    """The last thing that is written: without it the folder holds no signer that runs."""
    with store.commit() as write:
        write.set_pin(pin)


def _keep_recovery_data(store: Store, state: State, bodies: list[bytes]) -> None:
    book = RecoveryBook(store)
    wanted = book.lacking(state)
    found = book.checked(wanted, bodies)
    with store.commit() as write:
        book.add(write, found)


def _put_shares(
    store: Store, keys: SignerKeys, state: State, name: str, random: Callable[[int], bytes]
) -> tuple[tuple[tuple[str, int], ...], tuple[str, ...]]:
    """Recover and seal the share of every final vault; the others' come when they are final."""
    shares = Shares(store, keys.storage, random=random)
    found: list[tuple[str, int]] = []
    without: list[str] = []
    with store.commit() as write:
        for vault in state.vaults():
            if name not in vault.signers:
                continue
            data = store.recovery(vault.recovery_hash)
            if keys.host.public() not in vault.host_keys or data is None:
                without.append(vault.name)
                continue
            with recovered_share(keys.host, vault, data) as share:
                shares.put(write, vault.name, vault.epoch, share)
            found.append((vault.name, vault.epoch))
    return tuple(found), tuple(without)
