"""The signer link: one bidirectional stream per signer, dialled out by the signer, over mutual TLS.

Either side sends requests in numbered frames; a reply names the frame it answers. Nothing a signer sends is believed
for its connection's sake: words that count are signed, and whoever uses them verifies them.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import grpc
import structlog
from cryptography import x509
from google.protobuf.message import DecodeError

from strongroom.api.signer.v1 import signer_link_service_pb2 as pb
from strongroom.api.signer.v1 import signer_link_service_pb2_grpc as pb_grpc
from strongroom.ledger.certification import held_of
from strongroom.model.errors import StrongroomError
from strongroom.model.log_allowance import LogAllowance
from strongroom.wire.revocation import CertificateRevoked, RevocationListExpired
from strongroom_coordinator.clock import Clock, SystemClock
from strongroom_coordinator.errors import LinkBroken, SignerFailed, SignerMisbehaved, SignerSilent
from strongroom_coordinator.identity import NotIdentified, PeerIdentity, identity_of, peer_certificate
from strongroom_coordinator.link_frames import ANSWERS, SIGNER_REQUESTS, SignerHello, hello_of, response
from strongroom_coordinator.revocations import Revocations

__all__ = ["LinkServer", "SignerLink", "SignerRequestHandler"]

log = structlog.get_logger()

MAX_QUEUED_BYTES: Final = 64 * 1024 * 1024
MAX_OPEN_REQUESTS: Final = 1_024
MAX_SIGNER_REQUESTS: Final = 8
HELLO_S: Final = 10.0
MAX_REMEMBERED: Final = 4_096
"""Callers whose refusals are counted, so that none of them can fill the log."""

LINK_REPLACED: Final = "LINK_REPLACED"
"""By this word before the colon a signer knows why its link ended."""

SignerRequestHandler = Callable[["SignerLink", pb.LinkRequest], Awaitable[Any | None]]
"""Serves a request of a signer; returns the body of the reply, or None when there is none."""


@dataclass(slots=True)
class _Open:
    """A request that waits for its answer."""

    kind: str
    future: asyncio.Future[pb.LinkRequest]
    is_last: Callable[[pb.LinkRequest], bool]


class SignerLink:
    """One connected signer. Every method belongs to the event loop's thread."""

    def __init__(
        self,
        hello: SignerHello,
        certificate: x509.Certificate | None = None,
        allowance: LogAllowance | None = None,
    ) -> None:
        self.signer = hello.signer
        self._allowance = allowance or LogAllowance()
        self.certificate = certificate
        self.hello = hello
        self.given: tuple[int, int] = (0, 0)
        """Term and size of the highest certificate that this signer has, as far as we know."""
        self._heard = asyncio.get_running_loop().time()
        self._answered_at = 0.0
        self._answered = 0
        """The highest frame of ours that was answered."""
        self._sent = 0
        self._received = 1
        self._queue: deque[pb.LinkResponse] = deque()
        self._queued_bytes = 0
        self._something_queued = asyncio.Event()
        self._open: dict[int, _Open] = {}
        self._serving: set[asyncio.Task[None]] = set()
        self._closed: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    @property
    def held(self) -> tuple[int, int]:
        """Term and size of the highest certificate that this signer has: what it said when it came, or was given."""
        said = self.hello.certificate
        return max(self.given, (0, 0) if said is None else held_of(said).rank)

    @property
    def is_open(self) -> bool:
        """Whether frames can still be sent."""
        return not self._closed.done()

    def post(
        self, body: Any, *, is_last: Callable[[pb.LinkRequest], bool] | None = None
    ) -> asyncio.Future[pb.LinkRequest]:
        """Send a request; the future holds the frame that answers it.

        Args:
            body: A request of the coordinator, for instance `pb.Append`.
            is_last: Says of each answer whether it is the last one; by default the first is.

        The future fails with LinkBroken when the link ends first, and with SignerFailed when the signer says so.
        """
        future: asyncio.Future[pb.LinkRequest] = asyncio.get_running_loop().create_future()
        # Whoever posted may have lost interest; a failure is then no unhandled one.
        future.add_done_callback(lambda done: done.cancelled() or done.exception())
        if not self.is_open:
            future.set_exception(LinkBroken(f"the link to {self.signer} is closed", signer=self.signer))
            return future
        if len(self._open) >= MAX_OPEN_REQUESTS:
            self.close("too many requests without an answer")
            future.set_exception(LinkBroken(f"{self.signer} answers too slowly", signer=self.signer))
            return future
        frame = self._enqueue(body, reply_to=0)
        kind = frame.WhichOneof("body") or ""
        self._open[frame.seq] = _Open(kind=kind, future=future, is_last=is_last or (lambda _: True))
        return future

    async def request(
        self, body: Any, *, timeout_s: float, is_last: Callable[[pb.LinkRequest], bool] | None = None
    ) -> pb.LinkRequest:
        """Send a request and wait for its answer.

        Raises:
            SignerSilent: no answer within `timeout_s`.
            SignerFailed: the signer says that it failed.
            LinkBroken: the link ended.
        """
        future = self.post(body, is_last=is_last)
        try:
            async with asyncio.timeout(timeout_s):
                return await future
        except TimeoutError:
            kind = type(body).__name__
            raise SignerSilent(f"{self.signer} did not answer {kind} in {timeout_s:g} s", signer=self.signer) from None

    def tell(self, body: Any) -> None:
        """Send a frame that answers none and asks nothing."""
        self._enqueue(body, reply_to=0)

    @property
    def silent_s(self) -> float:
        """Seconds since any frame came from this signer."""
        return asyncio.get_running_loop().time() - self._heard

    def is_working(self, within_s: float) -> bool:
        """Whether this signer answered something within this time, and has skipped nothing it was asked before.

        A signer answers in the order in which it was asked; one that leaves a request unanswered and answers later
        ones is not busy with it.
        """
        oldest = next(iter(self._open), self._sent + 1)
        return oldest > self._answered and asyncio.get_running_loop().time() - self._answered_at < within_s

    def close(self, why: str) -> None:
        """End the link; open requests fail."""
        if self._closed.done():
            return
        self._closed.set_result(why)
        self._something_queued.set()
        for item in self._open.values():
            if not item.future.done():
                item.future.set_exception(LinkBroken(f"the link to {self.signer} ended: {why}", signer=self.signer))
        self._open.clear()

    async def outgoing(self) -> AsyncIterator[pb.LinkResponse]:
        """Frames to send, in order, until the link is closed."""
        while self.is_open:
            while self._queue and self.is_open:
                frame = self._queue.popleft()
                self._queued_bytes -= frame.ByteSize()
                yield frame
            self._something_queued.clear()
            if not self._queue and self.is_open:
                await self._something_queued.wait()

    async def closed(self) -> str:
        """Wait for the end of the link, and say why it ended."""
        return await asyncio.shield(self._closed)

    def receive(self, frame: pb.LinkRequest, serve: SignerRequestHandler) -> None:
        """Take one frame from the signer.

        Raises:
            SignerMisbehaved: the frame breaks a rule of the link, which must end.
        """
        self._received += 1
        self._heard = asyncio.get_running_loop().time()
        kind = frame.WhichOneof("body")
        if frame.seq != self._received or kind is None:
            raise SignerMisbehaved(f"frame {self._received} has seq {frame.seq} and body {kind}", signer=self.signer)
        if frame.reply_to == 0:
            self._serve(frame, kind, serve)
        else:
            self._answer(frame, kind)

    def _answer(self, frame: pb.LinkRequest, kind: str) -> None:
        if frame.reply_to > self._sent:
            raise SignerMisbehaved(f"frame {frame.seq} answers frame {frame.reply_to}, never sent", signer=self.signer)
        waiting = self._open.get(frame.reply_to)
        if waiting is not None:
            self._answered_at = asyncio.get_running_loop().time()
            self._answered = max(self._answered, frame.reply_to)
        if waiting is None:
            if self.may_log():
                log.info("link.late_reply_dropped", signer=self.signer, kind=kind)
            return
        if kind == "failed":
            del self._open[frame.reply_to]
            if not waiting.future.done():
                waiting.future.set_exception(_failure(self.signer, waiting.kind, frame.failed))
            return
        if kind not in ANSWERS.get(waiting.kind, frozenset()):
            raise SignerMisbehaved(f"{kind} is no answer to {waiting.kind}", signer=self.signer)
        if not waiting.is_last(frame):
            return
        del self._open[frame.reply_to]
        if not waiting.future.done():
            waiting.future.set_result(frame)

    def _serve(self, frame: pb.LinkRequest, kind: str, serve: SignerRequestHandler) -> None:
        if kind not in SIGNER_REQUESTS:
            raise SignerMisbehaved(f"{kind} answers nothing", signer=self.signer)
        if len(self._serving) >= MAX_SIGNER_REQUESTS:
            raise SignerMisbehaved("too many requests at once", signer=self.signer)
        task = asyncio.create_task(self._serve_one(frame, serve))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve_one(self, frame: pb.LinkRequest, serve: SignerRequestHandler) -> None:
        try:
            reply = await serve(self, frame)
        except StrongroomError as error:
            if self.may_log():
                log.warning("link.request_failed", signer=self.signer, reason=error.reason, message=error.message)
            reply = pb.Failed(reason=error.reason, message=error.message[:400])
        except Exception as error:
            # A defect here; the signer is told at once instead of waiting for an answer that will not come.
            log.error("link.defect", signer=self.signer, exc_info=error)
            reply = pb.Failed(reason="INTERNAL_ERROR", message="a defect of the coordinator; its log says more")
        if reply is not None and self.is_open:
            self._enqueue(reply, reply_to=frame.seq)

    def may_log(self) -> bool:
        """Whether what this signer did unasked may be another line of the log."""
        return _may_log(self._allowance, signer=self.signer)

    def _enqueue(self, body: Any, *, reply_to: int) -> pb.LinkResponse:
        self._sent += 1
        frame = response(body, seq=self._sent, reply_to=reply_to)
        self._queue.append(frame)
        self._queued_bytes += frame.ByteSize()
        self._something_queued.set()
        if self._queued_bytes > MAX_QUEUED_BYTES:
            self.close("the signer reads too slowly")
        return frame

    async def stop_serving(self) -> None:
        """Cancel what is still being served, when the link is over."""
        for task in tuple(self._serving):
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)


def _may_log(allowance: LogAllowance, **who: str) -> bool:
    left = allowance.take(asyncio.get_running_loop().time())
    if left == 0:
        log.warning("link.muted", for_s=allowance.window_s, **who)
    return left > 0


def _failure(signer: str, request: str, failed: pb.Failed) -> StrongroomError:
    message = f"{signer} failed {request}: {failed.reason[:64]} {failed.message[:400]}"
    return SignerFailed(message, code=failed.reason[:64], signer=signer, request=request)


def _reading_ended(link: SignerLink, reader: asyncio.Task[None]) -> None:
    if not reader.cancelled() and (error := reader.exception()) is not None:
        log.error("link.defect", signer=link.signer, exc_info=error)
    link.close("the stream ended")


class LinkServer(pb_grpc.SignerLinkServiceServicer):
    """Serves the links of all signers of the charter and keeps the newest connection of each.

    Args:
        log_id: The log all of them must be enrolled in.
        organisation: The organisation their certificates must name.
        leader: 16 bytes, random per coordinator process.
        version: Ours, for the signers' logs.
        signers: Says whether a name is a signer of the charter in force.
        clock: What signers are told the time by, for their operators.
    """

    def __init__(
        self,
        *,
        log_id: bytes,
        organisation: str,
        leader: bytes,
        version: str,
        signers: Callable[[], frozenset[str]],
        clock: Clock | None = None,
    ) -> None:
        self._log_id = log_id
        self._organisation = organisation
        self._leader = leader
        self._version = version
        self._signers = signers
        self._revocations: Revocations | None = None
        self._links: dict[str, SignerLink] = {}
        self._allowances: dict[str, LogAllowance] = {}
        """Of signers by name: a new connection brings no new allowance."""
        self._refused: dict[int, LogAllowance] = {}
        """Of refused callers by the serial number of their certificates."""
        self._handler: SignerRequestHandler | None = None
        self._watchers: list[Callable[[SignerLink, bool], None]] = []
        self._stopping = False
        self._changed = asyncio.Event()
        self._clock = clock or SystemClock()
        self.term: Callable[[], int] = lambda: 0

    async def until(self, suffices: Callable[[Collection[str]], bool]) -> None:
        """Wait until enough signers are connected; one with an alarm counts, because alarms end without a word."""
        while not suffices(self._links.keys()):
            self._changed.clear()
            await self._changed.wait()

    @property
    def links(self) -> dict[str, SignerLink]:
        """The connected signers by name; do not change it."""
        return self._links

    def guard(self, revocations: Revocations) -> None:
        """Refuse signers whose certificates are revoked, and end their links when they are."""
        self._revocations = revocations
        revocations.on_change(self._close_revoked)

    def serve_requests(self, handler: SignerRequestHandler) -> None:
        """Set who serves what signers ask."""
        self._handler = handler

    def on_change(self, callback: Callable[[SignerLink, bool], None]) -> None:
        """Call back for every link that begins (True) or ends (False)."""
        self._watchers.append(callback)

    def stop(self) -> None:
        """Take no new links and close all."""
        self._stopping = True
        for link in tuple(self._links.values()):
            link.close("the coordinator is stopping")

    async def Link(self, request_iterator: AsyncIterator[pb.LinkRequest], context: Any) -> AsyncIterator[Any]:
        """Serve one link until it ends."""
        link = await self._accept(request_iterator, context)
        reader = asyncio.create_task(self._read(link, request_iterator))
        reader.add_done_callback(partial(_reading_ended, link))
        try:
            async for frame in link.outgoing():
                yield frame
            why = await link.closed()
        finally:
            self._leave(link)
            reader.cancel()
            await asyncio.gather(reader, link.stop_serving(), return_exceptions=True)
        await context.abort(grpc.StatusCode.UNAVAILABLE, why)

    async def _accept(self, frames: AsyncIterator[pb.LinkRequest], context: Any) -> SignerLink:
        # The first frame is read even from a caller that is refused: a refusal that meets a write still under way
        # can reach the caller as a broken stream, without its reason.
        try:
            async with asyncio.timeout(HELLO_S):
                first = await anext(aiter(frames))
        except (TimeoutError, StopAsyncIteration):
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "no Hello came")
        except DecodeError:
            # Unread here, gRPC would log each with its stack, whoever sent it.
            self._note_refused(context, SignerMisbehaved("the first frame is no message of this service"))
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "no Hello came")
        try:
            certificate = peer_certificate(context)
            peer = self._require_signer(identity_of(certificate))
            self._require_not_revoked(certificate)
            hello = hello_of(first, log_id=self._log_id)
            if hello.signer != peer.name:
                raise SignerMisbehaved(f"the certificate is {peer.name}'s, Hello says {hello.signer}")
        except NotIdentified as error:
            self._note_refused(context, error)
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, error.message)
        except (CertificateRevoked, RevocationListExpired) as error:
            self._note_refused(context, error, signer=peer.name, **error.facts)
            await context.abort(grpc.StatusCode[error.kind.name], f"{error.reason}: {error.message}")
        except SignerMisbehaved as error:
            self._note_refused(context, error, signer=peer.name)
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, error.message)
        if self._stopping:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "the coordinator is stopping")
        allowance = self._allowances.setdefault(hello.signer, LogAllowance())
        return self._join(SignerLink(hello, certificate, allowance))

    def _note_refused(self, context: Any, error: StrongroomError, **facts: Any) -> None:
        try:
            serial = peer_certificate(context).serial_number
        except NotIdentified:
            serial = 0
        if len(self._refused) >= MAX_REMEMBERED:
            self._refused.clear()
        if _may_log(self._refused.setdefault(serial, LogAllowance(lines=30)), serial=f"{serial:x}"):
            log.warning("link.refused", reason=error.reason, message=error.message, **facts)

    def _require_not_revoked(self, certificate: x509.Certificate | None) -> None:
        if self._revocations is not None and certificate is not None:
            self._revocations.check(certificate)

    def _close_revoked(self) -> None:
        """End the links of signers whose certificates have been revoked since they connected."""
        for link in tuple(self._links.values()):
            try:
                self._require_not_revoked(link.certificate)
            except (CertificateRevoked, RevocationListExpired) as error:
                log.warning("link.refused", signer=link.signer, reason=error.reason, message=error.message)
                link.close(f"{error.reason}: {error.message}")

    def _require_signer(self, peer: PeerIdentity) -> PeerIdentity:
        if peer.role != "signer" or peer.organisation != self._organisation or peer.name not in self._signers():
            raise NotIdentified(f"{peer.role} {peer.name} of {peer.organisation} is no signer of this charter")
        return peer

    def _join(self, link: SignerLink) -> SignerLink:
        older = self._links.get(link.signer)
        if older is not None:
            # The signer dials anew when it noticed a broken connection that this side has not noticed yet. One that
            # still hears why this one ends did not: then two daemons use one key, and it tells its operator.
            if link.may_log():
                log.warning("link.replaced", signer=link.signer, silent_s=round(older.silent_s, 1))
            older.close(f"{LINK_REPLACED}: a newer connection of the same signer came")
            self._leave(older)
        self._links[link.signer] = link
        link.tell(
            pb.Welcome(
                log_id=self._log_id,
                leader=self._leader,
                version=self._version,
                term=self.term(),
                time_ms=self._clock.wall_ms(),
            )
        )
        hello = link.hello
        log.info("link.opened", signer=link.signer, term=hello.term, size=hello.size, alarm=hello.alarm or None)
        self._changed.set()
        for watcher in self._watchers:
            watcher(link, True)
        return link

    def _leave(self, link: SignerLink) -> None:
        link.close("the connection ended")
        if self._links.get(link.signer) is link:
            del self._links[link.signer]
            log.info("link.closed", signer=link.signer)
            for watcher in self._watchers:
                watcher(link, False)

    async def _read(self, link: SignerLink, frames: AsyncIterator[pb.LinkRequest]) -> None:
        try:
            async for frame in frames:
                link.receive(frame, self._dispatch)
        except SignerMisbehaved as error:
            log.error("link.misbehaviour", signer=link.signer, message=error.message)
            link.close(error.message)
        except DecodeError:
            log.error("link.misbehaviour", signer=link.signer, message="it sent bytes that are no frame")
            link.close("bytes came that are no frame")
        except grpc.RpcError as error:
            link.close(f"the stream broke: {type(error).__name__}")

    async def _dispatch(self, link: SignerLink, frame: pb.LinkRequest) -> Any | None:
        if self._handler is None:
            return pb.Failed(reason="NOT_READY", message="the coordinator is starting")
        return await self._handler(link, frame)
