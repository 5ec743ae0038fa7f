"""`doctor`: everything about a signer's machine that an operator can mend before it matters.

It reads, and changes nothing. The daemon may run or not: what only the daemon knows, as its clock against that of the
coordinator, is asked of it; what lies in the folder is looked at here. Nothing of a secret is shown.
"""

from __future__ import annotations

import argparse
import os
import socket
import stat
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cryptography import x509

from strongroom.api.operator.v1 import operator_service_pb2 as pb
from strongroom.crypto import sealed
from strongroom.ledger.charter import decode_charter
from strongroom.ledger.state import State
from strongroom.model.errors import StrongroomError
from strongroom.model.ids import LogId
from strongroom.model.quantities import duration_text
from strongroom_signer.clock import Clock
from strongroom_signer.config import SealKind, SignerConfig, load_config, load_seal
from strongroom_signer.doctor_voting import alarm_of, handed_in_of, quarantine_of, stored_alarms, stored_words
from strongroom_signer.enrolment import CONFIG_FILE, DATABASE_FILE
from strongroom_signer.findings import Finding, Level, exit_code, facts_of, failed, ok, text_of
from strongroom_signer.keys import SEALED_FILE
from strongroom_signer.link_session import LinkReplaced
from strongroom_signer.operator_commands import DaemonNotRunning, DaemonRefused, operator_stub
from strongroom_signer.process import FolderInUse, FolderLock
from strongroom_signer.retirement import has_left
from strongroom_signer.store import Store
from strongroom_signer.tls import KEY_FILE, check_certificate
from strongroom_signer.unseal import unlock

__all__ = ["Finding", "Level", "add", "examine", "exit_code", "facts_of", "permissions", "text_of"]

ASK_S: Final = 10.0
REACH_S: Final = 5.0
REPLACED_FAILS_S: Final = 600
"""Two daemons with one TLS key take the link from each other within seconds; a copy this long unseen has stopped."""
CLOCK_WARNS_MS: Final = 5_000
CLOCK_FAILS_MS: Final = 60_000
"""Further off, the signer refuses every batch."""
EXPIRY_WARNS_DAYS: Final = 30


def add(command: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    command(
        "doctor",
        "check this machine: 0 all well, 5 warnings, 1 something must be mended; changes nothing",
        passphrase=True,
    )


def examine(
    folder: Path, *, clock: Clock, passphrase_file: Path | None, random: Callable[[int], bytes]
) -> tuple[Finding, ...]:
    """Look at everything once.

    Args:
        folder: The data folder.
        clock: This machine's time.
        passphrase_file: Tries the seal of a signer that has a passphrase, or a token's PIN; None leaves that out.
        random: As `unlock` takes it; nothing is made.
    """
    try:
        config = load_config(folder)
    except StrongroomError as error:
        return (failed("config", error, "run `enrol`, or mend signer.toml: `check-config` shows every problem"),)
    found = [ok("config", f"{folder / CONFIG_FILE} is right; coordinator {config.coordinator}")]
    found += permissions(folder)
    found.append(_seal(folder, passphrase_file, random))
    found += _of_daemon(folder, config, clock)
    found.append(_disk(folder, config))
    return tuple(found)


# --- the folder ------------------------------------------------------------------------------------------------------


def permissions(folder: Path) -> Iterator[Finding]:
    """Whether this user alone can enter the folder and read what is secret in it."""
    open_to_others = []
    for path in (folder, *(folder / name for name in (SEALED_FILE, DATABASE_FILE, KEY_FILE)), *_key_file(folder)):
        try:
            found = path.stat()
        except OSError as error:
            yield Finding(
                check="permissions",
                level=Level.FAILED,
                detail=f"{path}: {error.strerror}",
                do="put the file back as `init` made it; never an old copy of the database",
            )
            return
        mode = stat.S_IMODE(found.st_mode)
        if mode & 0o077:
            open_to_others.append(f"{path} ({mode:03o})")
        elif found.st_uid not in (os.geteuid(), 0):
            open_to_others.append(f"{path} (it belongs to user {found.st_uid})")
    if open_to_others:
        yield Finding(
            check="permissions",
            level=Level.FAILED,
            detail=f"others may read or enter {', '.join(open_to_others)}",
            do="chmod 700 the folder and 600 the files, and find out who could read them",
        )
    else:
        yield ok("permissions", "only this user can enter the folder and read its secrets")


def _key_file(folder: Path) -> tuple[Path, ...]:
    """The file that opens the seal, if one does: who can read it has the share."""
    seal = load_seal(folder)
    path = folder / seal.key_file
    return (path,) if seal.kind is SealKind.KEY_FILE and path.exists() else ()


def _seal(folder: Path, passphrase_file: Path | None, random: Callable[[int], bytes]) -> Finding:
    try:
        data, kind = (folder / SEALED_FILE).read_bytes(), load_seal(folder).kind
        name = sealed.parse(data).public.get("name", "")
        if passphrase_file is None and kind in (SealKind.PASSPHRASE, SealKind.PKCS11):
            return Finding(
                check="seal",
                level=Level.UNKNOWN,
                detail=f"sealed by a {kind.value}, which was not tried",
                do="give --passphrase-file to try it",
            )
        with unlock(load_seal(folder), folder, passphrase_file, new=False, random=random) as secret:
            sealed.open_sealed(data, secret, kind=sealed.parse(data).kind).wipe()
    except StrongroomError as error:
        return failed("seal", error, "put back what opens this signer before the daemon has to start again")
    except OSError as error:
        return Finding(check="seal", level=Level.FAILED, detail=f"{folder / SEALED_FILE}: {error.strerror}")
    return ok("seal", f"the {kind.value} opens signer {name}")


def _disk(folder: Path, config: SignerConfig) -> Finding:
    status = _free_bytes(folder)
    text = f"{status // (1 << 20)} MiB free, the signer stops voting below {config.free_disk_floor_bytes // (1 << 20)}"
    if status < config.free_disk_floor_bytes:
        return Finding(check="disk", level=Level.FAILED, detail=text, do="free space: this signer does not vote")
    level = Level.WARNING if status < 2 * config.free_disk_floor_bytes else Level.OK
    return Finding(check="disk", level=level, detail=text, do="free space soon" if level is Level.WARNING else "")


def _free_bytes(folder: Path) -> int:
    status = os.statvfs(folder)
    return status.f_bavail * status.f_frsize


# --- the daemon, or the database in its place -------------------------------------------------------------------------


def _of_daemon(folder: Path, config: SignerConfig, clock: Clock) -> list[Finding]:
    try:
        lock = FolderLock(folder)
    except FolderInUse:
        return _running(folder, config, clock)
    with lock:
        return _stopped(folder, config, clock)


def _running(folder: Path, config: SignerConfig, clock: Clock) -> list[Finding]:
    try:
        with operator_stub(folder / config.operator_socket) as stub:
            status = stub.GetStatus(pb.GetStatusRequest(), timeout=ASK_S)
    except (DaemonNotRunning, DaemonRefused) as error:
        return [failed("daemon", error, "it holds the folder and does not answer: read its log, restart it")]
    found = [alarm_of(status), ok("database", "open in the daemon, which checked it when it started")]
    organisation = decode_charter(status.charter).organisation if status.charter else None
    found += _certificates(folder, config, status.signer, organisation, clock)
    found += [_reach(status), _clock(status), _freezes(_told_freezes(status))]
    found += [quarantine_of(status), handed_in_of(status)]
    held = [one for one in status.vaults if one.is_holder]
    return [*found, *_vaults([(one.name, one.epoch, one.has_share, one.backup_verified) for one in held])]


def _reach(status: pb.GetStatusResponse) -> Finding:
    if status.HasField("replaced_ago_s") and status.replaced_ago_s < REPLACED_FAILS_S:
        return Finding(
            check="coordinator",
            level=Level.FAILED,
            detail=f"{LinkReplaced.reason}: another daemon used this signer's TLS key {status.replaced_ago_s} s ago, "
            "and took the link",
            do="find the copy and stop it: it has this signer's vote key too",
        )
    if status.connected:
        return ok("coordinator", f"connected to {status.coordinator}")
    why = status.last_error or "no answer yet"
    do = "check its address, its certificate and the network; the daemon goes on trying"
    return Finding(
        check="coordinator", level=Level.FAILED, detail=f"not connected to {status.coordinator}: {why}", do=do
    )


def _clock(status: pb.GetStatusResponse) -> Finding:
    if not status.HasField("clock_ahead_ms"):
        detail = "not compared: the daemon is not connected, or the coordinator does not say its time"
        return Finding(check="clock", level=Level.UNKNOWN, detail=detail)
    ahead = status.clock_ahead_ms
    detail = f"{duration_text(abs(ahead))} {'ahead of' if ahead >= 0 else 'behind'} the coordinator's"
    if abs(ahead) < CLOCK_WARNS_MS:
        return ok("clock", detail)
    level = Level.FAILED if abs(ahead) >= CLOCK_FAILS_MS else Level.WARNING
    do = "find out which clock is wrong; further off than a minute this signer refuses to vote"
    return Finding(check="clock", level=level, detail=detail, do=do)


def _told_freezes(status: pb.GetStatusResponse) -> list[tuple[str, str, str]]:
    own = [(one.vault, "this signer's operator", one.why) for one in status.local_freezes]
    return [*own, *((one.vault, one.by, one.why) for one in status.ledger_freezes)]


def _standing(store: Store, state: State, clock: Clock) -> list[tuple[str, str, str]]:
    own = [(one.vault, "this signer's operator", one.why) for one in store.local_freezes()]
    logged = state.standing_freezes(max(clock.wall_ms(), state.time_ms)) if state.size else ()
    return [*own, *((one.vault, one.person or f"signer {one.signer}", one.why) for one in logged)]


def _freezes(standing: Sequence[tuple[str, str, str]]) -> Finding:
    """Freezes of this signer's operator and of the ledger: vault, by whom, and why. It gives no share against one."""
    if not standing:
        return ok("freezes", "none of this signer's operator and none in the ledger")
    told = "; ".join(f"{vault or 'all vaults'} by {by}: {why}" for vault, by, why in standing)
    return Finding(
        check="freezes",
        level=Level.WARNING,
        detail=f"this signer gives no share for {told}",
        do="when the reason is gone: `thaw` your own; the ledger's needs the unfreeze quorum, or lapses",
    )


def _stopped(folder: Path, config: SignerConfig, clock: Clock) -> list[Finding]:
    found = [Finding(check="daemon", level=Level.WARNING, detail="it does not run", do="start it: `run`")]
    try:
        store = Store.open(folder / DATABASE_FILE)
    except StrongroomError as error:
        return [*found, failed("database", error, "do not restore an old copy: see the operators' guide")]
    try:
        return found + _in_database(folder, config, store, clock)
    except StrongroomError as error:
        return [*found, failed("database", error, "do not restore an old copy: see the operators' guide")]
    finally:
        store.close()


def _in_database(folder: Path, config: SignerConfig, store: Store, clock: Clock) -> list[Finding]:
    identity, pin = store.identity(), store.pin()
    found = [ok("database", f"whole: {store.size()} entries, {store.certified_size()} certified")]
    if pin is None:
        return [*found, Finding(check="log", level=Level.FAILED, detail="no log is pinned", do="run `enrol`")]
    found += stored_alarms(store)
    found += _certificates(folder, config, identity.name, decode_charter(pin.charter).organisation, clock)
    found += [_dialled(config), Finding(check="clock", level=Level.UNKNOWN, detail="compared while the daemon runs")]
    state = State(store, LogId(pin.log_id))
    found += [_freezes(_standing(store, state, clock)), *stored_words(store)]
    if not state.size:
        return found
    if has_left(state, identity.name, identity.vote_key):
        found.append(Finding(check="witness", level=Level.WARNING, detail="this signer left the witness set for good"))
    shares, noted = set(store.share_names()), store.backups()
    held = [vault for vault in state.vaults() if identity.name in vault.signers]
    shown = [(one.name, one.epoch, (one.name, one.epoch) in shares, noted.get(one.name) == one.epoch) for one in held]
    return [*found, *_vaults(shown)]


def _dialled(config: SignerConfig) -> Finding:
    host, _, port = config.coordinator.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=REACH_S).close()
    except OSError as error:
        detail = f"{config.coordinator} does not answer: {error.strerror or type(error).__name__}"
        return Finding(check="coordinator", level=Level.FAILED, detail=detail, do="check its address and the network")
    return ok("coordinator", f"{config.coordinator} answers; the certificates are tried when the daemon runs")


def _vaults(held: Sequence[tuple[str, int, bool, bool]]) -> Iterator[Finding]:
    """Shares of current epochs, and whether the words on paper are proven to give them."""
    lacking = [f"{name} (epoch {epoch})" for name, epoch, has_share, _ in held if not has_share]
    stale = [f"{name} (epoch {epoch})" for name, epoch, has_share, proven in held if has_share and not proven]
    count = sum(has_share for _, _, has_share, _ in held)
    if lacking:
        do = "the daemon recovers it from its words' key and the log; else have the vault refreshed"
        yield Finding(check="epochs", level=Level.WARNING, detail=f"no share of {', '.join(lacking)}", do=do)
    else:
        yield ok("epochs", f"{count} share{'' if count == 1 else 's'}, each of its vault's current epoch")
    if stale:
        do = "run `backup verify` with the words"
        yield Finding(check="backup", level=Level.WARNING, detail=f"not proven for {', '.join(stale)}", do=do)
    else:
        yield ok("backup", "the words are proven to give every share that is here")


def _certificates(
    folder: Path, config: SignerConfig, name: str, organisation: str | None, clock: Clock
) -> Iterator[Finding]:
    now = datetime.fromtimestamp(clock.wall_ms() / 1000, UTC)
    for check, path in (("certificate", config.certificate), ("authority", config.certificate_authority)):
        try:
            ends = x509.load_pem_x509_certificate((folder / path).read_bytes()).not_valid_after_utc
        except (OSError, ValueError) as error:
            detail = f"{folder / path} cannot be read ({type(error).__name__})"
            yield Finding(check=check, level=Level.FAILED, detail=detail, do="run `enrol` again with the right file")
            continue
        days = (ends - now).days
        detail = f"{path} is valid until {ends:%Y-%m-%d %H:%M} UTC"
        do = "have it renewed, then run `enrol` again with the new file and restart"
        if ends <= now:
            yield Finding(check=check, level=Level.FAILED, detail=detail, do=do)
        elif days < EXPIRY_WARNS_DAYS:
            yield Finding(check=check, level=Level.WARNING, detail=f"{detail}, {days} days", do=do)
        else:
            yield ok(check, detail)
    if organisation is not None:
        yield from _identity(folder, config, name, organisation, clock)


def _identity(folder: Path, config: SignerConfig, name: str, organisation: str, clock: Clock) -> Iterator[Finding]:
    try:
        check_certificate(
            folder,
            certificate=(folder / config.certificate).read_bytes(),
            authority=(folder / config.certificate_authority).read_bytes(),
            organisation=organisation,
            name=name,
            now_ms=clock.wall_ms(),
        )
    except (StrongroomError, OSError) as error:
        message = error.message if isinstance(error, StrongroomError) else str(error.strerror)
        yield Finding(check="identity", level=Level.FAILED, detail=message, do="run `enrol` with the right certificate")
    else:
        yield ok("identity", f"the certificate is that of {name} in {organisation}")
