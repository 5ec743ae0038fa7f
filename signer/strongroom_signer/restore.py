"""`recover`: the words on paper and an exported log make a signer's shares again, on an empty machine.

The host key comes from the words, everything about the log from the file, and both are believed only as far as they are
proven: the file by replaying every entry, by its certificates, and by a head that the operator compared with others.
Vote, witness, storage and TLS keys are new. A vote key that came back from a backup could vote a second time; this one
counts for nothing until an order admits it.

Order of the files: whatever an interrupted `recover` leaves behind is refused, never completed. The pin comes last.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from strongroom.crypto.sealed import Cost
from strongroom.crypto.secret import SecretBytes, SecretScalar
from strongroom.ledger.state import State
from strongroom.model.fingerprints import Compared, is_fingerprint
from strongroom.model.heads import PinnedHead
from strongroom.protocol.backup import recovered_share
from strongroom.wire.log_export import LogExportReader
from strongroom_signer.config import Seal
from strongroom_signer.enrolment import CARD_FILE, CONFIG_FILE, DATABASE_FILE, note_seal, require_empty, require_name
from strongroom_signer.keys import SEALED_FILE, SignerKeys, create_keys
from strongroom_signer.log_replay import RecoveryRefused, replay_export
from strongroom_signer.process import FolderLock, write_private
from strongroom_signer.shares import Shares
from strongroom_signer.store import Pin, Store
from strongroom_signer.tls import KEY_FILE, create_tls_key

__all__ = ["Recovered", "recover"]


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


def recover(
    folder: Path,
    name: str,
    *,
    ask_host: Callable[[], AbstractContextManager[SecretScalar]],
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
        ask_host: Gives the host secret from the words, and wipes it. It is called when the log has been replayed and
            holds what the operator compared, so that no secret waits for a stranger's stream.
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
    with FolderLock(folder):
        require_empty(folder)
        reader = LogExportReader(exported.read)
        if not is_fingerprint(fingerprint, Compared.CHARTER, reader.log_id):
            raise RecoveryRefused(
                f"the file holds the log {reader.log_id.hex()}, not the one whose fingerprint you typed: compare again"
            )

        def make_keys(store: Store, host: SecretScalar) -> SignerKeys:
            return create_keys(folder, store, name, passphrase, host=host, cost=cost, random=random)

        with _leaving_nothing(folder):
            note_seal(folder, seal or Seal())
            return _made(
                folder,
                name,
                ask_host=ask_host,
                reader=reader,
                head=head,
                make_keys=make_keys,
                now_ms=now_ms,
                random=random,
            )


@contextmanager
def _leaving_nothing(folder: Path) -> Iterator[None]:
    """Remove what was made when it fails; a kill in between leaves files, which the next `recover` refuses."""
    try:
        yield
    except BaseException:
        database = (DATABASE_FILE + end for end in ("", "-wal", "-shm"))
        for file in (SEALED_FILE, CARD_FILE, KEY_FILE, CONFIG_FILE, *database):
            (folder / file).unlink(missing_ok=True)
        raise


def _made(
    folder: Path,
    name: str,
    *,
    ask_host: Callable[[], AbstractContextManager[SecretScalar]],
    reader: LogExportReader,
    head: PinnedHead,
    make_keys: Callable[[Store, SecretScalar], SignerKeys],
    now_ms: int,
    random: Callable[[int], bytes],
) -> Recovered:
    store = Store.create(folder / DATABASE_FILE)
    try:
        replayed = replay_export(store, reader, head)
        replica = replayed.replica
        with ask_host() as host:
            _require_own_words(replica.state(), name, host)
            request = create_tls_key(folder, name)
            keys = make_keys(store, host)
            try:
                replayed.stand(store, name, keys.vote.public)
                shares, without = _put_shares(store, keys, replica.state(replica.folded_size), name, random)
                card = keys.card(name, request, random)
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
