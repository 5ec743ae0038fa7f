"""One stream to the coordinator, from Hello to its end: numbered frames, each request answered in the order it came.

One that must wait for entries to be fetched steps aside, so that a new term is never held up by an old catch-up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import grpc

from strongroom.api.signer.v1 import signer_link_service_pb2 as pb
from strongroom.ledger.certificate_messages import Certificate
from strongroom.ledger.reasons import StateDamaged
from strongroom.model.errors import Kind, StrongroomError
from strongroom.protocol.electorates import BadStep
from strongroom_signer import requests
from strongroom_signer.catch_up import CatchUp, Source
from strongroom_signer.coordinator_check import CoordinatorRefused
from strongroom_signer.frames import BadFrame, batches_of, notice_of, recovery_of, request_of, steps_of
from strongroom_signer.logs import Log
from strongroom_signer.refusals import printable
from strongroom_signer.service import Service
from strongroom_signer.store import StoreFailed
from strongroom_signer.voting import EntriesMissing

__all__ = ["LinkFailed", "LinkMisused", "LinkReplaced", "LinkSession", "ended"]

WELCOME_S: Final = 10.0
FETCH_S: Final = 30.0
RAISE_EVERY_S: Final = 20.0
MAX_WAITING: Final = 64
MAX_WAITING_BYTES: Final = 64 * 1024 * 1024
"""Of frames that wait for their answer, so that a coordinator that never waits cannot fill this machine's memory."""
MAX_BAD_FRAMES: Final = 64
"""In one session: malformed requests, each a line in the log, and proofs of handovers that prove nothing new."""
MAX_TRIES: Final = 4


class LinkFailed(StrongroomError):
    """The link broke, or none came about; the signer dials again."""

    reason = "LINK_FAILED"
    kind = Kind.UNAVAILABLE
    remedy = "check the coordinator's address and the network; it dials again by itself"


class LinkMisused(LinkFailed):
    """The coordinator broke a rule of the link; the signer ends it, and dials again after a pause that grows."""

    reason = "LINK_MISUSED"
    kind = Kind.INVALID_ARGUMENT


class LinkReplaced(LinkFailed):
    """The coordinator gave the link to a newer connection with this signer's TLS key: another daemon uses it.

    The signer did not dial twice: of a connection that it gave up itself it would not hear this. Its operator finds the
    other daemon, most likely a copy of the folder, and stops it; until then each takes the link from the other, after
    pauses that grow.
    """

    reason = "LINK_REPLACED"
    kind = Kind.ABORTED


@dataclass(slots=True)
class _Waiting:
    """A request that is answered once entries have been fetched."""

    seq: int
    request: requests.Request
    size: int
    """Bytes of its frame."""
    tries: int = 0


class LinkSession:
    """One stream, from Hello to its end."""

    def __init__(self, call: Any, service: Service, catch_up: Callable[[Source], CatchUp], log: Log) -> None:
        self._call = call
        self._service = service
        self._catch_up = catch_up(self)
        self._log = log
        self._sent = 0
        self._received = 0
        self._bad_frames = 0
        self._sending = asyncio.Lock()
        self._requests: asyncio.Queue[_Waiting] = asyncio.Queue(MAX_WAITING)
        self._answers: dict[int, asyncio.Future[pb.LinkResponse]] = {}
        self._aside: list[_Waiting] = []
        self._waiting_bytes = 0
        self._target: Certificate | None = None
        self._missing = asyncio.Event()
        self.raise_soon = asyncio.Event()
        self._refusal: CoordinatorRefused | None = None
        self._refused = asyncio.Event()
        self.leader = b""
        self._log_id = b""
        self._welcomed = (0, 0.0)
        """The coordinator's clock in its Welcome, and when that came, in seconds of the event loop."""

    async def greet(self, hello: pb.Hello) -> None:
        """Say who this is and wait for the Welcome.

        Raises:
            LinkFailed: it does not come, or is for another log.
        """
        self._log_id = hello.log_id
        await self._send(hello)
        try:
            async with asyncio.timeout(WELCOME_S):
                frame = await self._read()
        except TimeoutError:
            raise LinkFailed(f"the coordinator sent no Welcome within {WELCOME_S:g} s") from None
        if frame is None or frame.WhichOneof("body") != "welcome" or frame.reply_to != 0:
            raise LinkMisused("the coordinator did not begin with Welcome")
        if frame.welcome.log_id != self._log_id or len(frame.welcome.leader) != 16:
            raise LinkFailed(
                f"the coordinator leads log {frame.welcome.log_id.hex()}, this signer belongs to another: if its "
                "administrators founded the log anew, pin that with `strongroom-signer restart`; did this signer do so "
                "before, its folder was put back: never restart it, but set it up anew from its words"
            )
        self.leader = frame.welcome.leader
        self._welcomed = (frame.welcome.time_ms, asyncio.get_running_loop().time())
        self._service.noted(None)

    @property
    def coordinator_ms(self) -> int | None:
        """The coordinator's clock by now, by its own word; None when it did not say."""
        time_ms, came_s = self._welcomed
        return time_ms + int((asyncio.get_running_loop().time() - came_s) * 1000) if time_ms else None

    async def serve(self) -> None:
        """Read and answer until the stream ends.

        Raises:
            LinkFailed, BadFrame: how it ended, if not cleanly.
            StoreFailed: the database failed.
        """
        parts: tuple[Callable[[], Awaitable[None]], ...] = (
            self._read_all,
            self._answer_all,
            self._fetch_missing,
            self._raise_words,
            self._until_refused,
        )
        tasks = [asyncio.ensure_future(part()) for part in parts]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
            # The stream may end in the very moment in which the database fails; what counts is the database.
            for error in ended:
                if isinstance(error, StoreFailed):
                    raise error

    def refuse(self, error: CoordinatorRefused) -> None:
        """End the session with this error."""
        self._refusal = error
        self._refused.set()

    async def _until_refused(self) -> None:
        await self._refused.wait()
        if self._refusal is not None:
            raise self._refusal

    async def close(self) -> None:
        """End the stream; answers that are still awaited fail."""
        self._call.cancel()
        for future in self._answers.values():
            future.cancel()
        self._answers.clear()

    # --- frames ------------------------------------------------------------------------------------------------------

    async def _send(self, body: Any, reply_to: int = 0) -> int:
        async with self._sending:
            self._sent += 1
            frame = pb.LinkRequest(seq=self._sent, reply_to=reply_to)
            getattr(frame, _FIELD_OF[type(body)]).CopyFrom(body)
            await self._write(frame)
            return self._sent

    async def _write(self, frame: pb.LinkRequest) -> None:
        try:
            await self._call.write(frame)
        except grpc.aio.AioRpcError as error:
            raise ended(error.details()) from None
        except asyncio.InvalidStateError:
            # How grpc says that the stream ended before the write began; the daemon must outlive that too.
            raise ended(await self._call.details()) from None

    async def _read(self) -> pb.LinkResponse | None:
        received: Any = await self._call.read()
        if received is grpc.aio.EOF:
            return None
        if not isinstance(received, pb.LinkResponse):
            # grpc hands on None for bytes that do not parse.
            raise LinkMisused("the coordinator sent bytes that are no frame")
        frame = received
        self._received += 1
        if frame.seq != self._received:
            raise LinkMisused(f"frame {self._received} of the coordinator has number {frame.seq}")
        if frame.reply_to > self._sent:
            raise LinkMisused(f"frame {frame.seq} of the coordinator answers frame {frame.reply_to}, never sent")
        return frame

    async def _read_all(self) -> None:
        while (frame := await self._read()) is not None:
            if frame.reply_to:
                self._resolve(frame)
                continue
            try:
                if frame.WhichOneof("body") == "quarantined":
                    self._note(frame.quarantined)
                    continue
                if frame.WhichOneof("body") == "witnesses":
                    self._learn(frame.witnesses)
                    continue
                request = request_of(frame)
            except BadFrame as error:
                self._log.warning("frame.refused", reason=error.reason, message=error.message)
                self._count_bad_frame()
                await self._send(pb.Failed(reason=error.reason, message=error.message[:400]), frame.seq)
                continue
            size = frame.ByteSize()
            self._waiting_bytes += size
            if self._waiting_bytes > MAX_WAITING_BYTES:
                raise LinkMisused(f"the coordinator sent more than {MAX_WAITING_BYTES} bytes without waiting")
            try:
                self._requests.put_nowait(_Waiting(frame.seq, request, size))
            except asyncio.QueueFull:
                raise LinkMisused(f"the coordinator sent more than {MAX_WAITING} requests without waiting") from None
        raise ended(await self._call.details())

    def _note(self, told: pb.Quarantined) -> None:
        notice = notice_of(told)
        if not self._service.noted(notice):
            return
        if notice is None:
            self._log.info("quarantine.ended")
        else:
            self._log.warning(
                "quarantine.told", evidence=notice.evidence_hash, fault=notice.fault, detail=notice.detail
            )
        self.raise_soon.set()

    def _learn(self, told: pb.Witnesses) -> None:
        """Take proofs of handovers; such a frame waits in no queue, and to check one costs thousands of signatures."""
        try:
            if self._service.learn(steps_of(told)):
                return
        except BadStep as error:
            self._log.warning("witnesses.refused", reason=error.reason, message=error.message)
        self._count_bad_frame()

    def _count_bad_frame(self) -> None:
        self._bad_frames += 1
        if self._bad_frames >= MAX_BAD_FRAMES:
            raise LinkMisused(f"the coordinator sent {MAX_BAD_FRAMES} frames that are malformed or say nothing new")

    def _resolve(self, frame: pb.LinkResponse) -> None:
        future = self._answers.pop(frame.reply_to, None)
        if future is not None and not future.done():
            future.set_result(frame)

    # --- answering ---------------------------------------------------------------------------------------------------

    async def _answer_all(self) -> None:
        while True:
            item = await self._requests.get()
            tries = item.tries
            await self._answer(item)
            if item.tries == tries:
                self._waiting_bytes -= item.size

    async def _answer(self, item: _Waiting) -> None:
        kind = type(item.request).__name__
        try:
            body = self._service.answer(item.request, self.leader)
        except EntriesMissing as error:
            if item.tries < MAX_TRIES and len(self._aside) < MAX_WAITING:
                await self._step_aside(item, error)
                return
            self._log.warning("request.refused", request=kind, reason=error.reason, message=error.message)
            body = pb.Failed(reason=error.reason, message=error.message[:400])
        except (StoreFailed, StateDamaged):
            raise
        except StrongroomError as error:
            self._log.warning("request.refused", request=kind, reason=error.reason, message=error.message)
            body = pb.Failed(reason=error.reason, message=error.message[:400])
        except Exception as error:
            # A defect, and what is in memory may be half changed: the daemon stops, and the operator is told over what.
            self._log.error("request.broken", request=kind, error=type(error).__name__)
            raise
        else:
            self._log.debug("request.answered", request=kind)
            if isinstance(item.request, requests.OpenTerm):
                # Words in what the base dropped are kept here, and the log must take them up again.
                self.raise_soon.set()
        await self._send(body, item.seq)

    async def _step_aside(self, item: _Waiting, error: EntriesMissing) -> None:
        if isinstance(item.request, requests.OpenTerm) and item.tries == 0:
            opened = self._service.term_opened()
            # A size that happens to be the base's would say that the base is adopted.
            if opened.size != error.target.size:
                await self._send(opened, item.seq)
        item.tries += 1
        self._aside.append(item)
        self._target = error.certificate
        self._missing.set()

    async def _fetch_missing(self) -> None:
        """Fetch what the newest certificate seen asks for, then answer again what stepped aside."""
        while True:
            await self._missing.wait()
            self._missing.clear()
            target = self._target
            if target is not None:
                self._log.info("catch_up.started", size=target.head.size)
                try:
                    await self._catch_up.run(target)
                    self._log.info("catch_up.finished", size=target.head.size)
                except (StoreFailed, StateDamaged):
                    raise
                except StrongroomError as error:
                    # A request is tried a few times within milliseconds: its operator reads of the first failure only.
                    first = any(item.tries == 1 for item in self._aside)
                    log = self._log.warning if first else self._log.debug
                    log("catch_up.failed", reason=error.reason, message=error.message)
            waiting, self._aside = self._aside, []
            for item in waiting:
                await self._requests.put(item)

    async def batches(self, first: int, end: int) -> tuple[requests.LogBatch, ...]:
        """Ask the coordinator for batches.

        Raises:
            LinkFailed: it does not answer, or has none.
            BadFrame: its answer is malformed.
        """
        answer = await self._fetch(pb.FetchBatches(first_index=first, end_index=end), "batches")
        return batches_of(answer.batches)

    async def recovery(self, hashes: Sequence[bytes]) -> tuple[bytes, ...]:
        """Ask the coordinator for recovery data.

        Raises:
            LinkFailed: it does not answer, or fails.
            BadFrame: its answer is malformed.
        """
        answer = await self._fetch(pb.FetchRecovery(hashes=hashes), "recovery_data")
        return recovery_of(answer.recovery_data)

    async def _fetch(self, wanted: pb.FetchBatches | pb.FetchRecovery, kind: str) -> pb.LinkResponse:
        future: asyncio.Future[pb.LinkResponse] = asyncio.get_running_loop().create_future()
        # The answer is read by another task, which may run before this one after the write: register first.
        async with self._sending:
            self._sent += 1
            seq = self._sent
            self._answers[seq] = future
            frame = pb.LinkRequest(seq=seq)
            getattr(frame, _FIELD_OF[type(wanted)]).CopyFrom(wanted)
            await self._write(frame)
        try:
            async with asyncio.timeout(FETCH_S):
                answer = await future
        except TimeoutError:
            name = type(wanted).__name__
            raise LinkFailed(f"the coordinator did not answer {name} within {FETCH_S:g} s") from None
        finally:
            self._answers.pop(seq, None)
        if answer.WhichOneof("body") != kind:
            raise LinkFailed(f"the coordinator gave no {kind}: {answer.failed.reason[:64]}")
        return answer

    # --- words handed in ---------------------------------------------------------------------------------------------

    async def _raise_words(self) -> None:
        """Ask the coordinator to log what was handed in: at once, on anything new, and again from time to time."""
        while True:
            self.raise_soon.clear()
            words = self._service.raised()
            if words is not None:
                self._log.info("words.raised", freezes=len(words.freezes), endorsements=len(words.endorsements))
                await self._send(words)
            try:
                async with asyncio.timeout(RAISE_EVERY_S):
                    await self.raise_soon.wait()
            except TimeoutError:
                continue


_FIELD_OF: Final = {
    pb.Hello: "hello",
    pb.Promised: "promised",
    pb.TermOpened: "term_opened",
    pb.Voted: "voted",
    pb.BatchRefused: "batch_refused",
    pb.Committed: "committed",
    pb.Released: "released",
    pb.Certified: "certified",
    pb.KeygenRound1Reply: "keygen_round1",
    pb.KeygenRound2Reply: "keygen_round2",
    pb.KeygenComplaint: "keygen_complaint",
    pb.KeygenFinding: "keygen_finding",
    pb.KeygenFinishReply: "keygen_finish",
    pb.TrialCommitReply: "trial_commit",
    pb.TrialSignReply: "trial_sign",
    pb.ExplainReply: "explain",
    pb.Batches: "batches",
    pb.FetchBatches: "fetch_batches",
    pb.FetchRecovery: "fetch_recovery",
    pb.RecoveryData: "recovery_data",
    pb.Raised: "raised",
    pb.Dealt: "dealt",
    pb.Stated: "stated",
    pb.DealingsDisputed: "dealings_disputed",
    pb.Failed: "failed",
}


def ended(details: str | None) -> LinkFailed:
    """Why a call ended. The details are the coordinator's own words, or gRPC's when no connection came about."""
    if details is not None and details.startswith(f"{LinkReplaced.reason}:"):
        return LinkReplaced(
            "the coordinator says that another daemon uses this signer's TLS key: find the copy and stop it"
        )
    return LinkFailed(f"the link ended: {printable(details or 'without a reason')}")
