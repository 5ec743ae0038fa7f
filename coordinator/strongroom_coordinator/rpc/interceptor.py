"""At the border: who may call what, how long a call may take, and errors as gRPC statuses with a stable reason."""

from __future__ import annotations

import asyncio
import inspect
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final

import grpc
import structlog
from cryptography import x509
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

from strongroom.model.errors import StrongroomError
from strongroom_coordinator.identity import identity_of, peer_certificate
from strongroom_coordinator.revocations import Revocations
from strongroom_coordinator.rpc.errors import CallTooSlow, InternalError, InvalidRequest, RoleNotAllowed

__all__ = ["DOMAIN", "INTEGRATION", "LINK", "TREASURY", "Border"]

log = structlog.get_logger()

DOMAIN: Final = "strongroom"
TREASURY: Final = "strongroom.api.treasury.v1.TreasuryService"
INTEGRATION: Final = "strongroom.api.integration.v1.IntegrationService"
LINK: Final = "strongroom.api.signer.v1.SignerLinkService"
SAY_AGAIN_S: Final = 60.0
MAX_REMEMBERED: Final = 4_096
MAX_CALL_S: Final = 60.0
"""A unary call takes no longer, whatever deadline its caller set."""
_UNREADABLE: Final = object()
_DETAILS: Final = "grpc-status-details-bin"
_MAX_TEXT: Final = 1_000
_MAX_FACT: Final = 200

_READING: Final = frozenset(
    {
        "GetLedger",
        "GetOrder",
        "ListOrders",
        "WatchOrders",
        "ExplainOrder",
        "ListVaults",
        "GetBalance",
        "ListFreezes",
        "ListDestinations",
        "ListBreakGlass",
        "ReadLog",
        "GetStatus",
        "ListEvidence",
        "GetEvidence",
    }
)


def may_call(role: str, service: str, method: str) -> bool:
    """Whether a role may make a call of one of the guarded services."""
    if service == TREASURY:
        return role == "person" or (role == "auditor" and method in _READING)
    return service == INTEGRATION and role == "integrator"


class Border(grpc.aio.ServerInterceptor):
    """Guards the treasury and integration services by role, and every service by revocation.

    Health and reflection are for whoever has a certificate that is not revoked; signers' links guard themselves.

    Args:
        organisation: The organisation that certificates must name.
        revocations: Says whose certificates are revoked.
        max_call_s: Longest unary call.
    """

    def __init__(self, organisation: str, revocations: Revocations, *, max_call_s: float = MAX_CALL_S) -> None:
        self._organisation = organisation
        self._revocations = revocations
        self._max_call_s = max_call_s
        self._refused = _RefusedCallers()

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        """Wrap the handler of a guarded service."""
        handler = await continuation(handler_call_details)
        service, _, method = str(handler_call_details.method).lstrip("/").partition("/")
        if handler is None or service == LINK:
            return handler
        codecs = {
            "request_deserializer": _lenient(handler.request_deserializer),
            "response_serializer": handler.response_serializer,
        }
        if handler.request_streaming:
            codecs["request_deserializer"] = handler.request_deserializer
            return grpc.stream_stream_rpc_method_handler(self._stream(handler.stream_stream, service, method), **codecs)
        if handler.response_streaming:
            # Health's Watch writes its answers itself instead of yielding them.
            wrap = self._stream if inspect.isasyncgenfunction(handler.unary_stream) else self._unary_unbounded
            return grpc.unary_stream_rpc_method_handler(wrap(handler.unary_stream, service, method), **codecs)
        return grpc.unary_unary_rpc_method_handler(self._unary(handler.unary_unary, service, method), **codecs)

    def _unary(self, handle: Callable[[Any, Any], Awaitable[Any]], service: str, method: str) -> Any:
        async def call(request: Any, context: Any) -> Any:
            try:
                self._authorise(service, method, context)
                _require_readable(request)
                left = context.time_remaining()
                limit = self._max_call_s if left is None else min(left, self._max_call_s)
                async with asyncio.timeout(limit):
                    return await handle(request, context)
            except TimeoutError:
                await _abort(context, CallTooSlow("no answer in time; submits and endorsements may be repeated"))
            except StrongroomError as error:
                await _abort(context, error)
            except grpc.aio.AbortError:
                raise
            except Exception as error:
                # A defect of ours: the caller learns an incident id and nothing else, and the log has the rest.
                await _abort(context, _incident(error, service, method))

        return call

    def _unary_unbounded(self, handle: Callable[[Any, Any], Awaitable[Any]], service: str, method: str) -> Any:
        async def call(request: Any, context: Any) -> Any:
            try:
                self._authorise(service, method, context)
                _require_readable(request)
            except StrongroomError as error:
                await _abort(context, error)
            return await handle(request, context)

        return call

    def _stream(self, handle: Callable[[Any, Any], AsyncIterator[Any]], service: str, method: str) -> Any:
        async def call(request: Any, context: Any) -> AsyncIterator[Any]:
            try:
                self._authorise(service, method, context)
                _require_readable(request)
                async for response in handle(request, context):
                    # A stream outlives many a certificate.
                    self._require_not_revoked(peer_certificate(context))
                    yield response
            except StrongroomError as error:
                await _abort(context, error)
            except grpc.aio.AbortError:
                raise
            except Exception as error:
                # A defect of ours: the caller learns an incident id and nothing else, and the log has the rest.
                await _abort(context, _incident(error, service, method))

        return call

    def _authorise(self, service: str, method: str, context: Any) -> None:
        certificate = peer_certificate(context)
        structlog.contextvars.clear_contextvars()
        try:
            self._require_not_revoked(certificate)
            if service not in (TREASURY, INTEGRATION):
                return
            peer = identity_of(certificate)
            structlog.contextvars.bind_contextvars(peer=f"{peer.role}/{peer.name}", method=method)
            if peer.organisation != self._organisation or not may_call(peer.role, service, method):
                raise RoleNotAllowed(
                    f"{peer.role} {peer.name} of {peer.organisation} may not call {method} of {service}",
                    role=peer.role,
                    method=method,
                )
        except StrongroomError as error:
            self._refused.note(certificate, method, error)
            raise

    def _require_not_revoked(self, certificate: x509.Certificate) -> None:
        self._revocations.check(certificate)


class _RefusedCallers:
    """Logs whom the door refused: each certificate once a minute at most, so that none can fill the disk."""

    def __init__(self) -> None:
        self._said: dict[tuple[int, str], float] = {}

    def note(self, certificate: x509.Certificate, method: str, error: StrongroomError) -> None:
        now = asyncio.get_running_loop().time()
        key = (certificate.serial_number, error.reason)
        if now - self._said.get(key, -SAY_AGAIN_S) < SAY_AGAIN_S:
            return
        if len(self._said) >= MAX_REMEMBERED:
            self._said.clear()
        self._said[key] = now
        serial = f"{certificate.serial_number:x}"
        log.warning("rpc.refused", reason=error.reason, message=error.message, method=method, serial=serial)


def _lenient(deserialize: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    """Read a request, or nothing: gRPC would log every unreadable one with its stack, and so fill the disk."""

    def read(data: bytes) -> Any:
        try:
            return deserialize(data)
        except DecodeError:
            return _UNREADABLE

    return read


def _require_readable(request: Any) -> None:
    if request is _UNREADABLE:
        raise InvalidRequest("request", "is no message of this method")


def _incident(error: Exception, service: str, method: str) -> InternalError:
    """Log a defect under a random name, which is all that its caller learns."""
    incident = secrets.token_hex(8)
    log.error("rpc.incident", incident=incident, service=service, method=method, exc_info=error)
    return InternalError(
        f"a defect of the coordinator: its operator finds incident {incident} in the log", incident=incident
    )


async def _abort(context: Any, error: StrongroomError) -> None:
    """End the call with the error's status, and `google.rpc.ErrorInfo` in the details."""
    code = grpc.StatusCode[error.kind.name]
    text = error.message[:_MAX_TEXT]
    facts = {key: str(value)[:_MAX_FACT] for key, value in error.facts.items()}
    detail = AnyMessage()
    detail.Pack(error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=facts))
    status = status_pb2.Status(code=code.value[0], message=text, details=[detail])
    await context.abort(code, text, trailing_metadata=((_DETAILS, status.SerializeToString()),))
