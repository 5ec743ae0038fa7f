"""Where `recover` and `join` take the log from: a file, or a coordinator that streams the very same bytes.

The machine has no certificate of its own at that point, so a person of the organisation lends one for the download. It
grants the call and nothing else: what comes is believed as far as a file would be, for its certificates and for what
the operator compared and typed.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Final

import grpc

from strongroom.api.treasury.v1 import treasury_service_pb2 as pb
from strongroom.api.treasury.v1.treasury_service_pb2_grpc import TreasuryServiceStub
from strongroom.model.errors import Kind, StrongroomError
from strongroom_signer.config import BadConfig
from strongroom_signer.refusals import printable

__all__ = ["DownloadFailed", "add_source", "log_source"]

DOWNLOAD_MOST_S: Final = 6 * 3_600.0
MAX_PEM_BYTES: Final = 65_536
_OPTIONS: Final = (
    ("grpc.max_receive_message_length", 4 << 20),
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 20_000),
)


class DownloadFailed(StrongroomError):
    """The coordinator could not be reached, does not serve the log to this certificate, or stopped half-way."""

    reason = "LOG_DOWNLOAD_FAILED"
    kind = Kind.UNAVAILABLE


def add_source(command: argparse.ArgumentParser) -> None:
    """Give a command the options that say where the log comes from."""
    source = command.add_mutually_exclusive_group(required=True)
    source.add_argument("--log", type=Path, help="what another signer's `export-log` wrote")
    source.add_argument("--coordinator", metavar="HOST:PORT", help="stream it from the coordinator instead of a file")
    command.add_argument("--ca", type=Path, help="with --coordinator: the organisation's certificate authority, PEM")
    command.add_argument("--client-cert", type=Path, help="with --coordinator: the TLS certificate of a person, PEM")
    command.add_argument("--client-key", type=Path, help="with --coordinator: its key, PEM; it is not kept here")


@contextmanager
def log_source(options: argparse.Namespace) -> Iterator[BinaryIO]:
    """The exported log, opened for reading.

    Raises:
        BadConfig: the options do not go together.
        DownloadFailed: the coordinator does not serve it; raised while reading.
        OSError: a file cannot be read.
    """
    files = {name: getattr(options, name.replace("-", "_")) for name in ("ca", "client-cert", "client-key")}
    if options.log is not None:
        given = [f"--{name}" for name, file in files.items() if file is not None]
        if given:
            raise BadConfig(f"{', '.join(given)} go with --coordinator; a file needs no certificate")
        with options.log.open("rb") as file:
            yield file
        return
    missing = [f"--{name}" for name, file in files.items() if file is None]
    if missing:
        raise BadConfig(f"--coordinator needs {', '.join(missing)} as well: the link is mutual TLS")
    credentials = grpc.ssl_channel_credentials(
        root_certificates=_pem(files["ca"]),
        private_key=_pem(files["client-key"]),
        certificate_chain=_pem(files["client-cert"]),
    )
    with grpc.secure_channel(options.coordinator, credentials, options=_OPTIONS) as channel:
        call = TreasuryServiceStub(channel).ExportLog(pb.ExportLogRequest(), timeout=DOWNLOAD_MOST_S)
        try:
            yield io.BufferedReader(_Stream(call, options.coordinator))
        finally:
            call.cancel()


def _pem(file: Path) -> bytes:
    with file.open("rb") as stream:
        data = stream.read(MAX_PEM_BYTES + 1)
    if len(data) > MAX_PEM_BYTES:
        raise BadConfig(f"{file} is larger than {MAX_PEM_BYTES} bytes: it is no PEM file of a certificate or key")
    return data


class _Stream(io.RawIOBase):
    """The chunks of a call as one file."""

    def __init__(self, call: Any, address: str) -> None:
        self._call = call
        self._address = address
        self._left = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer as far as one chunk goes; 0 at the end.

        Raises:
            DownloadFailed: the call ended with an error.
        """
        try:
            while not self._left:
                self._left = next(self._call).chunk
        except StopIteration:
            return 0
        except grpc.RpcError as error:
            details = printable(error.details() or "no answer")[:300]
            raise DownloadFailed(
                f"{self._address} does not serve the log ({error.code().name}: {details}): check the address and that "
                "the certificate is a person's, or use a file of `export-log`"
            ) from None
        taken = min(len(buffer), len(self._left))
        buffer[:taken] = self._left[:taken]
        self._left = self._left[taken:]
        return taken
