"""The operator's interface of a running signer: gRPC over a Unix socket that only the daemon's own user can open."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import grpc

from strongroom.api.operator.v1 import operator_service_pb2 as pb
from strongroom.api.operator.v1 import operator_service_pb2_grpc as pb_grpc
from strongroom.ledger import codec
from strongroom.ledger.order_messages import MAX_ORDER_BYTES
from strongroom.model.errors import Kind, StrongroomError
from strongroom.model.ids import LogId
from strongroom.protocol.signed import SignedBody
from strongroom_signer.backups import Backups
from strongroom_signer.inbox import Inbox
from strongroom_signer.log_export import export
from strongroom_signer.logs import Log
from strongroom_signer.quarantine import Quarantine
from strongroom_signer.store import Store

__all__ = ["OperatorServer", "prepare_socket", "remove_socket", "socket_address"]

MAX_SOCKET_PATH: Final = 100
MAX_ENDORSEMENTS: Final = 64
PIECE_BYTES: Final = 1 << 20


class BadRequest(StrongroomError):
    """A field of the operator's request is out of its range."""

    reason = "BAD_REQUEST"
    kind = Kind.INVALID_ARGUMENT


def socket_address(path: Path) -> tuple[str, int | None]:
    """How gRPC names a Unix socket, and a folder descriptor to close when done.

    The kernel takes at most 107 bytes of path; a longer one goes through a descriptor of its folder.
    """
    if len(str(path).encode()) <= MAX_SOCKET_PATH:
        return f"unix:{path}", None
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    return f"unix:/proc/self/fd/{folder}/{path.name}", folder


def prepare_socket(path: Path) -> None:
    """Remove a socket that nobody listens on any more."""
    path.unlink(missing_ok=True)


def remove_socket(path: Path) -> None:
    """Remove the socket at the end; where the disk takes no writes any more it stays, and the next start removes it."""
    with suppress(OSError):
        path.unlink(missing_ok=True)


def _restrict(path: Path) -> None:
    path.chmod(0o600)


class OperatorServer(pb_grpc.OperatorServiceServicer):
    """Serves one operator."""

    def __init__(
        self,
        inbox: Inbox,
        quarantine: Quarantine,
        *,
        backups: Backups,
        store: Store,
        log_id: LogId,
        status: Callable[[], pb.GetStatusResponse],
        accept: Callable[[bytes], str],
        raise_words: Callable[[], None],
        log: Log,
    ) -> None:
        self._inbox = inbox
        self._quarantine = quarantine
        self._backups = backups
        self._store = store
        self._log_id = log_id
        self._status = status
        self._accept = accept
        self._raise_words = raise_words
        self._log = log
        self._server: grpc.aio.Server | None = None
        self._folder: int | None = None

    async def start(self, path: Path) -> None:
        """Listen on the socket, mode 0600."""
        address, self._folder = socket_address(path)
        self._server = grpc.aio.server()
        pb_grpc.add_OperatorServiceServicer_to_server(self, self._server)
        self._server.add_insecure_port(address)
        await self._server.start()
        _restrict(path)

    async def stop(self) -> None:
        """Stop listening."""
        if self._server is not None:
            await self._server.stop(grace=1)
        if self._folder is not None:
            os.close(self._folder)

    async def GetStatus(self, request: pb.GetStatusRequest, context: Any) -> pb.GetStatusResponse:
        """Everything an operator looks at first."""
        return self._status()

    async def Freeze(self, request: pb.FreezeRequest, context: Any) -> pb.FreezeResponse:
        """Freeze here at once, then tell the coordinator."""
        try:
            identifier = self._inbox.freeze(request.vault, request.why)
        except StrongroomError as error:
            await _abort(context, error)
        self._log.warning("freeze.placed", vault=request.vault or "all", id=identifier)
        self._raise_words()
        return pb.FreezeResponse(freeze_id=identifier)

    async def Thaw(self, request: pb.ThawRequest, context: Any) -> pb.ThawResponse:
        """End the operator's own freeze here."""
        try:
            self._inbox.thaw(request.freeze_id)
        except StrongroomError as error:
            await _abort(context, error)
        self._log.warning("freeze.lifted", id=request.freeze_id)
        return pb.ThawResponse()

    async def Reinstate(self, request: pb.ReinstateRequest, context: Any) -> pb.ReinstateResponse:
        """Keep the operator's word that what this evidence shows is mended, then tell the coordinator."""
        try:
            if len(request.evidence_hash) != 32:
                raise BadRequest("the hash of the evidence is 32 bytes")
            self._quarantine.reinstate(request.evidence_hash)
        except StrongroomError as error:
            await _abort(context, error)
        self._log.warning("reinstatement.stated", evidence=request.evidence_hash)
        self._raise_words()
        return pb.ReinstateResponse()

    async def Accept(self, request: pb.AcceptRequest, context: Any) -> pb.AcceptResponse:
        """Keep the operator's word that this signer may deal for an order."""
        try:
            if len(request.order_hash) != 32:
                raise BadRequest("the hash of the order is 32 bytes")
            effect = self._accept(request.order_hash)
        except StrongroomError as error:
            await _abort(context, error)
        self._log.warning("order.accepted", order=request.order_hash)
        return pb.AcceptResponse(effect=effect)

    async def HandIn(self, request: pb.HandInRequest, context: Any) -> pb.HandInResponse:
        """Take a person's rejection or freeze, or an approved revocation; it acts here at once."""
        try:
            if len(request.order) > MAX_ORDER_BYTES or len(request.endorsements) > MAX_ENDORSEMENTS:
                raise BadRequest("the file holds more than one word")
            endorsements = [SignedBody(body=one.body, signature=one.signature) for one in request.endorsements]
            effect = self._inbox.hand_in(request.order, endorsements)
        except StrongroomError as error:
            await _abort(context, error)
        self._log.warning("word.handed_in", effect=effect)
        self._raise_words()
        return pb.HandInResponse(effect=effect)

    async def ExportLog(self, request: pb.ExportLogRequest, context: Any) -> AsyncIterator[pb.ExportLogResponse]:
        """Stream the exported log; between two pieces the daemon goes on with its work."""
        try:
            for piece in export(self._store, self._log_id):
                for at in range(0, len(piece), PIECE_BYTES):
                    yield pb.ExportLogResponse(data=piece[at : at + PIECE_BYTES])
                await asyncio.sleep(0)
        except StrongroomError as error:
            await _abort(context, error)
        self._log.info("log.exported")

    async def ListRecoveryData(
        self, request: pb.ListRecoveryDataRequest, context: Any
    ) -> AsyncIterator[pb.ListRecoveryDataResponse]:
        """Stream what `backup verify` needs; the words stay with that command."""
        for vault, data in self._backups.with_recovery_data():
            yield pb.ListRecoveryDataResponse(vault=codec.encode(vault), recovery=data)

    async def NoteBackup(self, request: pb.NoteBackupRequest, context: Any) -> pb.NoteBackupResponse:
        """Note what `backup verify` has proven."""
        try:
            self._backups.note([(note.vault, note.epoch) for note in request.notes])
        except StrongroomError as error:
            await _abort(context, error)
        self._log.info("backup.verified", vaults=[note.vault for note in request.notes])
        return pb.NoteBackupResponse()


async def _abort(context: Any, error: StrongroomError) -> None:
    await context.abort(grpc.StatusCode[error.kind.name], f"{error.reason}: {error.message}")
