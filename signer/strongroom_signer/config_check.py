"""`check-config`: every mistake in configuration, folder and certificate, found without starting the daemon.

It may run: then it tells what its database holds, and the files are checked as they would be at its next start.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from strongroom.api.operator.v1 import operator_service_pb2 as pb
from strongroom.ledger.charter import Charter, decode_charter
from strongroom.model.errors import Kind, StrongroomError
from strongroom_signer.assembly import NotEnrolled, check_limits
from strongroom_signer.clock import Clock
from strongroom_signer.config import BadConfig, SignerConfig
from strongroom_signer.doctor import ASK_S, permissions
from strongroom_signer.enrolment import DATABASE_FILE
from strongroom_signer.findings import Level
from strongroom_signer.operator_commands import DaemonNotRunning, operator_stub
from strongroom_signer.process import FolderInUse, FolderLock
from strongroom_signer.store import Store
from strongroom_signer.tls import check_certificate, load_tls

__all__ = ["Checked", "FolderExposed", "check_everything"]


class FolderExposed(StrongroomError):
    """Others can read or enter the data folder, or a file of it is not there. The operator is at fault."""

    reason = "FOLDER_EXPOSED"
    kind = Kind.INVALID_ARGUMENT


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """Whose configuration is right: the signer's name, and the log it is enrolled in (32 bytes)."""

    name: str
    log_id: bytes


def check_everything(folder: Path, config: SignerConfig, *, clock: Clock) -> Checked:
    """Check all that can be wrong, and name all that is.

    Args:
        folder: The data folder.
        config: Its configuration, which is well formed.
        clock: Now, for the certificate.

    Raises:
        BadConfig: there are several problems; each is in the message.
        FolderExposed, BadCertificateFile: there is this one alone; BadConfig too, when it is a maximum.
        NotEnrolled: there is no log to check against.
        FolderInUse: a process holds the folder and does not answer its operator.
    """
    who, charter = _pinned(folder, config)
    checks: tuple[Callable[[], None], ...] = (
        partial(_require_private, folder),
        partial(check_limits, config, charter),
        partial(_check_tls, folder, config, charter.organisation, who.name, clock),
    )
    found = []
    for check in checks:
        try:
            check()
        except StrongroomError as error:
            found.append(error)
    if len(found) == 1:
        raise found[0]
    if found:
        raise BadConfig("; ".join(f"{error.reason}: {error.message}" for error in found))
    return who


def _pinned(folder: Path, config: SignerConfig) -> tuple[Checked, Charter]:
    try:
        lock = FolderLock(folder)
    except FolderInUse:
        return _told(folder, config)
    with lock:
        store = Store.open(folder / DATABASE_FILE)
        try:
            pin, identity = store.pin(), store.identity()
        finally:
            store.close()
    if pin is None:
        raise NotEnrolled(f"the signer in {folder} belongs to no log yet: run `enrol`")
    return Checked(name=identity.name, log_id=pin.log_id), decode_charter(pin.charter)


def _told(folder: Path, config: SignerConfig) -> tuple[Checked, Charter]:
    """What the running daemon says; it alone may open its database."""
    try:
        with operator_stub(folder / config.operator_socket) as stub:
            status = stub.GetStatus(pb.GetStatusRequest(), timeout=ASK_S)
    except DaemonNotRunning:
        raise FolderInUse(
            f"another strongroom-signer works in {folder} and does not answer on {config.operator_socket}: check again "
            "when it does, or when it has stopped"
        ) from None
    return Checked(name=status.signer, log_id=status.log_id), decode_charter(status.charter)


def _require_private(folder: Path) -> None:
    for finding in permissions(folder):
        if finding.level is Level.FAILED:
            raise FolderExposed(f"{finding.detail}: {finding.do}")


def _check_tls(folder: Path, config: SignerConfig, organisation: str, name: str, clock: Clock) -> None:
    files = load_tls(folder, certificate=config.certificate, authority=config.certificate_authority)
    check_certificate(
        folder,
        certificate=files.certificate,
        authority=files.authority,
        organisation=organisation,
        name=name,
        now_ms=clock.wall_ms(),
    )
