"""At the border: who may call what, how long a call may take, and errors as gRPC statuses with a stable reason."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

import grpc
import structlog
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc import error_details_pb2, status_pb2

from strongroom.model.errors import StrongroomError
from strongroom_coordinator.identity import PeerIdentity, peer_identity
from strongroom_coordinator.rpc.errors import CallTooSlow, InternalError, RoleNotAllowed

__all__ = ["DOMAIN", "INTEGRATION", "TREASURY", "Border"]

log = structlog.get_logger()

DOMAIN: Final = "strongroom"
TREASURY: Final = "strongroom.api.treasury.v1.TreasuryService"
INTEGRATION: Final = "strongroom.api.integration.v1.IntegrationService"
MAX_CALL_S: Final = 60.0
"""A unary call takes no longer, whatever deadline its caller set."""
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


@dataclass(frozen=True, slots=True)
class _Call:
    """One call: what it is and who makes it."""

    service: str
    method: str
    peer: PeerIdentity


class Border(grpc.aio.ServerInterceptor):
    """Guards the treasury and integration services; others (signers' links, health, reflection) pass untouched.

    Args:
        organisation: The organisation that certificates must name.
        max_call_s: Longest unary call.
    """

    def __init__(self, organisation: str, *, max_call_s: float = MAX_CALL_S) -> None:
        self._organisation = organisation
        self._max_call_s = max_call_s

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        """Wrap the handler of a guarded service."""
        handler = await continuation(handler_call_details)
        service, _, method = str(handler_call_details.method).lstrip("/").partition("/")
        if handler is None or service not in (TREASURY, INTEGRATION):
            return handler
        codecs = {
            "request_deserializer": handler.request_deserializer,
            "response_serializer": handler.response_serializer,
        }
        if handler.response_streaming:
            return grpc.unary_stream_rpc_method_handler(self._stream(handler.unary_stream, service, method), **codecs)
        return grpc.unary_unary_rpc_method_handler(self._unary(handler.unary_unary, service, method), **codecs)

    def _unary(self, handle: Callable[[Any, Any], Awaitable[Any]], service: str, method: str) -> Any:
        async def call(request: Any, context: Any) -> Any:
            try:
                self._authorise(service, method, context)
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

    def _stream(self, handle: Callable[[Any, Any], AsyncIterator[Any]], service: str, method: str) -> Any:
        async def call(request: Any, context: Any) -> AsyncIterator[Any]:
            try:
                self._authorise(service, method, context)
                async for response in handle(request, context):
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
        peer = peer_identity(context)
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(peer=f"{peer.role}/{peer.name}", method=method)
        if peer.organisation != self._organisation or not may_call(peer.role, service, method):
            raise RoleNotAllowed(
                f"{peer.role} {peer.name} of {peer.organisation} may not call {method} of {service}",
                role=peer.role,
                method=method,
            )


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
