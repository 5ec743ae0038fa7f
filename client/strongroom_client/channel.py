"""The mutual-TLS channel to a coordinator, and calls that raise our errors instead of gRPC's."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import grpc
import grpc.aio
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

from strongroom_client.errors import NotProven, ProfileProblem, RemoteError, remote_error

__all__ = ["Endpoint", "call", "open_channel", "watch"]

DEFAULT_TIMEOUT_S: Final = 30.0
MAX_MESSAGE_BYTES: Final = 16 * 1024 * 1024
_DETAILS: Final = "grpc-status-details-bin"

R = TypeVar("R")


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where the coordinator is, and the files that authenticate the connection to it."""

    address: str
    ca_file: Path
    cert_file: Path
    key_file: Path


def open_channel(endpoint: Endpoint) -> grpc.aio.Channel:
    """Open a channel; it connects at the first call.

    Raises:
        ProfileProblem: a file cannot be read.
    """
    try:
        credentials = grpc.ssl_channel_credentials(
            root_certificates=endpoint.ca_file.read_bytes(),
            private_key=endpoint.key_file.read_bytes(),
            certificate_chain=endpoint.cert_file.read_bytes(),
        )
    except OSError as error:
        raise ProfileProblem(f"cannot read {error.filename}: {error.strerror}", file=str(error.filename)) from error
    options = [
        ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
        ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
        ("grpc.keepalive_time_ms", 30_000),
        ("grpc.keepalive_timeout_ms", 10_000),
    ]
    return grpc.aio.secure_channel(endpoint.address, credentials, options=options)


async def call(method: Any, request: Any, *, timeout_s: float = DEFAULT_TIMEOUT_S) -> Any:
    """Make a unary call.

    Raises:
        RemoteError: the subclass for the status code, with the coordinator's stable reason.
        NotProven: the answer is no message of the kind that was asked for.
    """
    try:
        return _parsed(await method(request, timeout=timeout_s))
    except grpc.aio.AioRpcError as error:
        raise _translated(error) from None


async def watch(method: Any, request: Any, *, timeout_s: float | None = None) -> AsyncIterator[Any]:
    """Iterate over a server stream; ends when the server ends it.

    Raises:
        RemoteError, NotProven: as `call`.
    """
    stream = method(request, timeout=timeout_s)
    try:
        async for item in stream:
            yield _parsed(item)
    except grpc.aio.AioRpcError as error:
        raise _translated(error) from None
    finally:
        stream.cancel()


def _parsed(answer: Any) -> Any:
    if answer is None:
        # grpc hands on None for bytes that do not parse.
        raise NotProven("the coordinator sent bytes that are no answer")
    return answer


def _translated(error: grpc.aio.AioRpcError) -> RemoteError:
    """Rebuild the error from `google.rpc.ErrorInfo`, or from the bare status when there is none."""
    code, message = error.code().name, error.details() or error.code().name
    for key, value in error.trailing_metadata() or ():
        if key != _DETAILS or not isinstance(value, bytes):
            continue
        try:
            for detail in status_pb2.Status.FromString(value).details:
                info = error_details_pb2.ErrorInfo()
                if detail.Is(info.DESCRIPTOR) and detail.Unpack(info):
                    return remote_error(code, message, info.reason, dict(info.metadata))
        except DecodeError:
            break
    if code == "UNAVAILABLE":
        message = f"the coordinator cannot be reached, or does not accept this certificate ({message})"
    elif code == "DEADLINE_EXCEEDED":
        message = (
            "the coordinator did not answer in time, as when too few signers are connected to it: what was sent may "
            "still take effect; see `strongroom status`, then try again"
        )
    return remote_error(code, message, "", {})
