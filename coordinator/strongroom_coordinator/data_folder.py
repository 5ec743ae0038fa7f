"""The files of a data folder: the genesis, the TLS identity, and a lock against a second daemon."""

from __future__ import annotations

import fcntl
import os
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from strongroom.ledger import codec
from strongroom.ledger.charter import Charter, decode_charter, log_id_of
from strongroom.ledger.entry_messages import Genesis, Restart
from strongroom.model.errors import StrongroomError
from strongroom.model.ids import LogId
from strongroom.wire.restart_file import MAX_FILE_BYTES, decode_restart_file
from strongroom.wire.x509_faults import MALFORMED
from strongroom_coordinator.config import CoordinatorConfig
from strongroom_coordinator.errors import BadConfig, DataFolderBusy
from strongroom_coordinator.identity import identity_of_certificate

__all__ = [
    "FolderLock",
    "GenesisFile",
    "TlsFiles",
    "load_genesis",
    "load_restart",
    "load_tls",
    "storage_url",
    "write_private",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class GenesisFile:
    """The genesis as the first entry will hold it, and what follows from it."""

    genesis: Genesis
    charter: Charter
    log_id: LogId


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsFiles:
    """PEM contents. The key is the coordinator's TLS key: it grants calls, it can move nothing."""

    certificate: bytes
    key: bytes
    certificate_authority: bytes

    def __repr__(self) -> str:
        """Name the type only: the key must not be printed."""
        return "TlsFiles(...)"


def load_genesis(path: Path) -> GenesisFile:
    """Read a genesis file. Its adoptions are judged when it becomes the first entry.

    Raises:
        BadConfig: missing, or no canonical genesis.
    """
    try:
        genesis = codec.decode(Genesis, path.read_bytes())
        charter = decode_charter(genesis.charter)
    except OSError as error:
        raise BadConfig(str(path), [f"cannot be read: {error.strerror}"]) from None
    except StrongroomError as error:
        raise BadConfig(str(path), [f"is no genesis: {error.message}"]) from None
    return GenesisFile(genesis=genesis, charter=charter, log_id=log_id_of(genesis.charter))


def load_restart(path: Path) -> Restart:
    """Read a restart file; nothing in it is judged.

    Raises:
        BadConfig: missing, or no restart file.
    """
    try:
        with path.open("rb") as file:
            return decode_restart_file(file.read(MAX_FILE_BYTES + 1))
    except OSError as error:
        raise BadConfig(str(path), [f"cannot be read: {error.strerror}"]) from None
    except StrongroomError as error:
        raise BadConfig(str(path), [error.message]) from None


def load_tls(folder: Path, config: CoordinatorConfig, *, organisation: str) -> TlsFiles:
    """Read certificate, key and authority, and check that they belong together and to this role.

    Raises:
        BadConfig: every problem at once, each with the path of its file.
    """
    files = {
        "server.certificate": folder / config.certificate,
        "server.key": folder / config.key,
        "server.ca": folder / config.certificate_authority,
    }
    problems: list[str] = []
    contents: dict[str, bytes] = {}
    for setting, path in files.items():
        try:
            contents[setting] = path.read_bytes()
        except OSError as error:
            problems.append(f"{setting}: {path} cannot be read: {error.strerror}")
    if not problems:
        named = {setting: f"{setting}: {path}" for setting, path in files.items()}
        problems = _tls_problems(named, contents, organisation)
    if problems:
        raise BadConfig(str(folder), problems)
    return TlsFiles(
        certificate=contents["server.certificate"],
        key=contents["server.key"],
        certificate_authority=contents["server.ca"],
    )


def _tls_problems(named: dict[str, str], contents: dict[str, bytes], organisation: str) -> list[str]:
    """What is wrong with each file, by its setting and its path: a file that cannot be read accuses no other."""
    problems = []
    certified = belongs_to = None
    try:
        certified = _raw(x509.load_pem_x509_certificate(contents["server.certificate"]).public_key())
        identity = identity_of_certificate(contents["server.certificate"])
        if identity.role != "coordinator" or identity.organisation != organisation:
            problems.append(
                f"{named['server.certificate']} is for {identity.role} of {identity.organisation}, "
                f"not for the coordinator of {organisation}"
            )
    except MALFORMED:
        problems.append(f"{named['server.certificate']} is no X.509 certificate in PEM")
    except StrongroomError as error:
        problems.append(f"{named['server.certificate']}: {error.message}")
    try:
        x509.load_pem_x509_certificates(contents["server.ca"])
    except MALFORMED:
        problems.append(f"{named['server.ca']} holds no PEM certificate")
    try:
        belongs_to = _raw(load_pem_private_key(contents["server.key"], password=None).public_key())
    except MALFORMED:
        # The parser's words are left out on purpose: nothing about a key belongs in a message.
        problems.append(f"{named['server.key']} is no unencrypted PEM private key")
    if certified and belongs_to and certified != belongs_to:
        problems.append(f"{named['server.key']} does not belong to server.certificate")
    return problems


def _raw(key: PublicKeyTypes) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def storage_url(folder: Path, config: CoordinatorConfig) -> str:
    """The database URL, with a relative SQLite path taken from the data folder."""
    prefix = "sqlite:///"
    url = config.storage_url
    if url.startswith(prefix) and not url.startswith(prefix + "/"):
        return prefix + str((folder / url.removeprefix(prefix)).resolve())
    return url


def write_private(path: Path, content: bytes) -> None:
    """Write a new file that only its owner can read.

    Raises:
        BadConfig: it exists, or cannot be written.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError:
        raise BadConfig(
            str(path), ["exists already, of a coordinator or of an `init` that was cut off: choose a new folder"]
        ) from None
    except OSError as error:
        raise BadConfig(str(path), [f"cannot be written: {error.strerror}"]) from None


class FolderLock:
    """Held while a daemon runs on a data folder; the system releases it whatever happens to the process."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "lock"
        self._file: IO[bytes] | None = None

    def __enter__(self) -> FolderLock:
        try:
            self._file = self._path.open("ab")
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.__exit__()
            raise DataFolderBusy(f"another coordinator runs on {self._path.parent}: stop it first") from None
        except OSError as error:
            self.__exit__()
            raise BadConfig(str(self._path), [f"cannot be locked: {error.strerror}"]) from None
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
