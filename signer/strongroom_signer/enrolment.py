"""`init` and `enrol`: a signer gets its keys, and its operator pins the log it belongs to.

Order of the files: whatever a half-finished `init` leaves behind is refused, never completed; `enrol` pins last.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from strongroom.crypto.chilldkg_params import SessionParams, params_hash
from strongroom.crypto.sealed import Cost
from strongroom.crypto.secret import SecretBytes, SecretScalar
from strongroom.ledger.charter import Charter, CharterSigner, decode_charter, log_id_of
from strongroom.ledger.codec import NotCanonical
from strongroom.ledger.founding import restart_log_id, statement_of
from strongroom.model.errors import Kind, StrongroomError
from strongroom.model.fingerprints import Compared, is_fingerprint
from strongroom.model.ids import LogId
from strongroom.wire.restart_file import decode_restart_file, is_restart_file
from strongroom_signer.clock import Clock
from strongroom_signer.config import Seal, SignerConfig, load_seal, render_config, render_seal
from strongroom_signer.keys import SEALED_FILE, create_keys
from strongroom_signer.process import LOCK_FILE, FolderLock, write_private
from strongroom_signer.store import Identity, Pin, Store
from strongroom_signer.tls import check_certificate, create_tls_key

__all__ = [
    "CARD_FILE",
    "DATABASE_FILE",
    "AlreadyEnrolled",
    "AlreadyInitialised",
    "Enrolled",
    "WrongCharter",
    "enrol",
    "initialise",
    "note_seal",
    "require_empty",
    "require_name",
]

DATABASE_FILE: Final = "signer.db"
CARD_FILE: Final = "card.json"
CONFIG_FILE: Final = "signer.toml"
_NAME: Final = re.compile(r"[a-z0-9-]{1,40}")


class AlreadyInitialised(StrongroomError):
    """The folder already holds a signer, or what an interrupted `init` or `recover` left."""

    reason = "ALREADY_INITIALISED"
    kind = Kind.ALREADY_EXISTS
    remedy = "leave the folder alone, and name another one"


class AlreadyEnrolled(StrongroomError):
    """The signer is pinned to another log; a signer belongs to one log for ever."""

    reason = "ALREADY_ENROLLED"
    kind = Kind.ALREADY_EXISTS
    remedy = "make another signer in a new folder for the other log"


class WrongCharter(StrongroomError):
    """The charter is not the one whose fingerprint was compared, or does not name this signer's keys."""

    reason = "WRONG_CHARTER"
    kind = Kind.PERMISSION_DENIED
    remedy = "compare the log id with the other operators, and get the charter's file again"


class BadName(StrongroomError):
    """A signer's name is not in the form that the charter takes."""

    reason = "BAD_NAME"
    kind = Kind.INVALID_ARGUMENT
    remedy = "choose a name in the form that the message shows"


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolled:
    """What `enrol` shows the operator to compare with the others on a second channel."""

    name: str
    organisation: str
    log_id: bytes
    signers: tuple[str, ...]
    witness_quorum: int
    params_hashes: dict[int, bytes]
    """ChillDKG's params hash for a vault of all signers, by threshold."""


def initialise(
    folder: Path,
    name: str,
    passphrase: SecretBytes,
    *,
    confirm: Callable[[SecretScalar], None],
    cost: Cost,
    random: Callable[[int], bytes],
    seal: Seal | None = None,
) -> Path:
    """Make a new signer in `folder` and return the path of its card, which the operator hands to the administrators.

    Args:
        folder: The data folder, made when it is not there.
        name: The signer's name, for ever.
        passphrase: Opens `signer.sealed` from then on.
        confirm: Shows the host secret as words and raises unless its operator has them on paper. Until it returns,
            nothing is written, and a folder made for it is removed again: no signer is ever without a backup.
        cost: What one guess of the passphrase costs.
        random: Keys and salts.
        seal: What gives the passphrase, noted in signer.toml.

    Raises:
        BadName: the name is not `[a-z0-9-]{1,40}`.
        AlreadyInitialised: the folder is not empty of a signer.
    """
    require_name(name)
    made = [one for one in (folder, *folder.parents) if not one.exists()]
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with FolderLock(folder):
        require_empty(folder)
        host = SecretScalar.generate(random)
        try:
            confirm(host)
        except BaseException:
            # However its operator declined, a key break included: nothing is in there yet, so nothing stays of it.
            _unmake(made)
            raise
        note_seal(folder, seal or Seal())
        store = Store.create(folder / DATABASE_FILE)
        try:
            request = create_tls_key(folder, name)
            keys = create_keys(folder, store, name, passphrase, host=host, cost=cost, random=random)
            try:
                card = keys.card(name, request, random)
            finally:
                keys.wipe()
        finally:
            store.close()
        write_private(folder / CARD_FILE, card.encode("utf-8"), mode=0o644)
    return folder / CARD_FILE


def _unmake(made: Sequence[Path]) -> None:
    """Remove folders that were made for a signer that is not to be, deepest first; the lock of the first is held."""
    if made and [one.name for one in made[0].iterdir()] == [LOCK_FILE]:
        (made[0] / LOCK_FILE).unlink()
    for one in made:
        try:
            one.rmdir()
        except OSError:
            return  # Somebody put something else there meanwhile, and it is theirs.


def note_seal(folder: Path, seal: Seal) -> None:
    """Write the choice into signer.toml, which `enrol` completes; a passphrase needs no note."""
    if seal != Seal():
        write_private(folder / CONFIG_FILE, render_seal(seal).encode("utf-8"), replace=True)


def require_name(name: str) -> None:
    """Check a signer's name.

    Raises:
        BadName: it is not `[a-z0-9-]{1,40}`.
    """
    if _NAME.fullmatch(name) is None:
        raise BadName(f"{name!r} is no signer name: use 1 to 40 of a-z, 0-9 and '-'")


def require_empty(folder: Path) -> None:
    """Check that a folder holds nothing of a signer.

    Raises:
        AlreadyInitialised: it does, even if only what was interrupted.
    """
    for file in (SEALED_FILE, DATABASE_FILE, "tls.key", CARD_FILE):
        if (folder / file).exists():
            raise AlreadyInitialised(
                f"{folder / file} exists: this folder holds a signer, or what an interrupted `init` or `recover` left; "
                "choose a new folder"
            )


def enrol(
    folder: Path,
    *,
    charter: bytes,
    fingerprint: str,
    certificate: bytes,
    authority: bytes,
    coordinator: str,
    clock: Clock,
) -> Enrolled:
    """Pin the log. Running it again with the same charter renews the TLS files only.

    Args:
        folder: The signer's data folder.
        charter: Canonical bytes of the genesis charter; of a log that was founded anew, to renew the TLS files of a
            signer that has pinned it, the restart file.
        fingerprint: The log id as the operator compared it on a second channel: all its hex digits, or all the digits
            that are read aloud.
        certificate: The signer's TLS certificate, PEM.
        authority: The organisation's certificate authority, PEM.
        coordinator: HOST:PORT.
        clock: For the certificate's validity and the time of the pin.

    Raises:
        WrongCharter: the fingerprint differs, or the charter does not name this signer with its keys.
        BadCertificateFile: the TLS certificate is not this signer's.
        AlreadyEnrolled: it is pinned to another log.
    """
    log_id, decoded = _founding(charter)
    if not is_fingerprint(fingerprint, Compared.CHARTER, log_id):
        raise WrongCharter(
            f"the charter's fingerprint is {log_id.hex()}, not the one typed in: compare it again with the other "
            "operators before you go on"
        )
    with FolderLock(folder):
        store = Store.open(folder / DATABASE_FILE)
        try:
            identity, pin = store.identity(), store.pin()
            if pin is None and is_restart_file(charter):
                raise WrongCharter("the log was founded anew, so a new signer takes it over with `join`")
            # A pinned signer was named when it was pinned, or was recovered: then an order admits it, not the genesis.
            if pin is None:
                _check_named(decoded, identity)
            check_certificate(
                folder,
                certificate=certificate,
                authority=authority,
                organisation=decoded.organisation,
                name=identity.name,
                now_ms=clock.wall_ms(),
            )
            if pin is not None and pin.log_id != log_id:
                raise AlreadyEnrolled(
                    f"{identity.name} is pinned to log {pin.log_id.hex()}: a new log needs a new signer"
                )
            write_private(folder / "cert.pem", certificate, replace=True)
            write_private(folder / "ca.pem", authority, replace=True)
            if pin is None or not _is_configured(folder):
                text = render_config(SignerConfig(coordinator=coordinator, seal=load_seal(folder)))
                write_private(folder / CONFIG_FILE, text.encode("utf-8"), replace=True)
            if pin is None:
                with store.commit() as write:
                    write.set_pin(Pin(log_id=log_id, charter=charter, since_ms=clock.wall_ms()))
        finally:
            store.close()
    return _enrolled(decoded, identity, log_id)


def _is_configured(folder: Path) -> bool:
    """Whether `enrol` wrote the configuration, and not `recover` the seal alone."""
    file = folder / CONFIG_FILE
    return file.exists() and "[coordinator]" in file.read_text(encoding="utf-8", errors="replace")


def _founding(data: bytes) -> tuple[LogId, Charter]:
    """The log id and the charter that a genesis charter or a restart file says a log is founded on."""
    try:
        if is_restart_file(data):
            restart = decode_restart_file(data)
            return restart_log_id(restart), decode_charter(statement_of(restart).charter)
        return log_id_of(data), decode_charter(data)
    except NotCanonical as error:
        raise WrongCharter(f"the charter file is not a canonical charter: {error.message}") from None


def _check_named(charter: Charter, identity: Identity) -> None:
    mine = CharterSigner(
        name=identity.name,
        host_key=identity.host_key,
        vote_key=identity.vote_key,
        witness_key=identity.witness_key,
    )
    if mine not in charter.signers:
        names = ", ".join(signer.name for signer in charter.signers)
        raise WrongCharter(
            f"the charter does not list {identity.name} with this folder's keys (it lists {names}): "
            "give the administrators this signer's card.json"
        )


def _enrolled(charter: Charter, identity: Identity, log_id: bytes) -> Enrolled:
    host_keys = tuple(signer.host_key for signer in charter.signers)
    thresholds = range(min(2, len(host_keys)), len(host_keys) + 1)
    return Enrolled(
        name=identity.name,
        organisation=charter.organisation,
        log_id=log_id,
        signers=tuple(signer.name for signer in charter.signers),
        witness_quorum=charter.witness_quorum,
        params_hashes={t: params_hash(SessionParams(hostpubkeys=host_keys, t=t)) for t in thresholds},
    )
