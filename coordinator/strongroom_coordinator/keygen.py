"""Key generation: for each final and approved CreateVault order, attempts over the links until a key stands.

The coordinator relays and can neither read nor split what the holders send each other. An attempt needs every holder;
one that fails is repeated with a higher number and fresh randomness. The result enters the log as a Vault entry.

A holder that was dealt a wrong share is given what it needs to find out whose fault that is. Who is named, and what is
proven of it, is logged, and shown as the order's progress.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from functools import partial
from typing import Any, Final

import structlog

from strongroom.api.signer.v1 import signer_link_service_pb2 as pb
from strongroom.ledger import codec
from strongroom.ledger.certificate_messages import Certificate
from strongroom.ledger.entry_messages import OrderEntry
from strongroom.ledger.judge import judge_order
from strongroom.ledger.order_messages import CreateVault
from strongroom.ledger.records import OrderRecord, OrderState
from strongroom.ledger.replica import Batch
from strongroom.ledger.state import State, decode_order
from strongroom.model.errors import Kind, StrongroomError
from strongroom.model.ids import OrderHash
from strongroom.protocol import keygen_coordinator as machine
from strongroom.protocol.certificates import held_of
from strongroom.protocol.keygen import Fault, KeygenTerms, proven
from strongroom_coordinator.clock import Clock
from strongroom_coordinator.errors import LinkBroken
from strongroom_coordinator.ledger_copy import LedgerCopy
from strongroom_coordinator.link import SignerLink
from strongroom_coordinator.sequencer import Sequencer
from strongroom_coordinator.subjects import decode_entry, subjects_of
from strongroom_coordinator.terms import Terms
from strongroom_coordinator.voters import Voters

__all__ = ["AttemptOver", "KeyGeneration"]

log = structlog.get_logger()

MAX_PAUSE_S: Final = 60.0


_FAULTS: Final = {
    pb.KeygenFinding.FAULT_HOLDER_OR_COORDINATOR: Fault.HOLDER_OR_COORDINATOR,
    pb.KeygenFinding.FAULT_COORDINATOR: Fault.COORDINATOR,
    pb.KeygenFinding.FAULT_OWN_MACHINE: Fault.OWN_MACHINE,
}


class AttemptOver(StrongroomError):
    """One attempt ended without a key; the next one has a higher number. The named holders failed or were silent.

    Attributes:
        failed: What the attempt found; None when its time was over.
    """

    reason = "KEY_GENERATION_FAILED"
    kind = Kind.ABORTED

    def __init__(self, message: str, failed: machine.AttemptFailed | None = None) -> None:
        super().__init__(message)
        self.failed = failed or machine.AttemptFailed(failure=message, suspects=())


class KeyGeneration:
    """Watches the log for approved CreateVault orders and generates their keys, one task per order."""

    def __init__(
        self,
        *,
        ledger: LedgerCopy,
        terms: Terms,
        sequencer: Sequencer,
        voters: Voters,
        clock: Clock,
        timeout_ms: int,
        retry_ms: int,
    ) -> None:
        self._ledger = ledger
        self._terms = terms
        self._sequencer = sequencer
        self._voters = voters
        self._clock = clock
        self._timeout_s = timeout_ms / 1000
        self._retry_s = retry_ms / 1000
        self._running: dict[bytes, asyncio.Task[None]] = {}
        self._phases: dict[bytes, str] = {}
        self._failures: dict[bytes, str] = {}
        self._open: set[bytes] | None = None
        self._someone_ready = asyncio.Event()
        sequencer.on_certified(self._note_orders)
        sequencer.on_final(self._look)
        terms.on_ready(lambda _: self._someone_ready.set())

    def _look(self, final_size: int) -> None:
        """A head became final: begin for every CreateVault order that is approved in it."""
        state = self._ledger.replica.state(final_size)
        if self._open is None:
            newest = self._ledger.replica.state()
            self._open = {record.hash for record in newest.open_orders() if _is_create_vault(record)}
        for order_hash in tuple(self._open):
            record = state.order(order_hash)
            if record is not None and record.state is not OrderState.OPEN:
                self._open.discard(order_hash)
            elif record is not None and order_hash not in self._running and self._is_approved(state, record):
                task = asyncio.create_task(self._generate(record))
                self._running[order_hash] = task
                task.add_done_callback(partial(self._done, order_hash))

    def _note_orders(self, batch: Batch, _certificate: Certificate) -> None:
        """Remember new CreateVault orders, so that open orders need not be searched again and again.

        What people ended meanwhile is stopped at once.
        """
        if self._open is None:
            return
        state = self._ledger.replica.state()
        for order_hash, task in tuple(self._running.items()):
            record = state.order(order_hash)
            if record is not None and record.state not in (OrderState.OPEN, OrderState.DONE):
                task.cancel()
                log.info("keygen.ended", order=order_hash.hex(), state=record.state.name)
        for entry in batch.entries:
            body = decode_entry(entry).body
            if isinstance(body, OrderEntry) and isinstance(decode_order(body.order).action, CreateVault):
                self._open.add(subjects_of(body)[0])

    def _is_approved(self, state: State, record: OrderRecord) -> bool:
        now_ms = max(state.time_ms, self._clock.wall_ms())
        return record.state is OrderState.OPEN and judge_order(state, record, now_ms).allowed

    def progress(self, order_hash: bytes) -> str:
        """How far the key of a CreateVault order is, in a line for people; empty when nothing is under way."""
        phase, failure = self._phases.get(order_hash, ""), self._failures.get(order_hash, "")
        return f"its key: {phase}{'; ' if failure else ''}{failure}" if phase else ""

    def _done(self, order_hash: bytes, task: asyncio.Task[None]) -> None:
        self._running.pop(order_hash, None)
        self._phases.pop(order_hash, None)
        self._failures.pop(order_hash, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            reason = error.reason if isinstance(error, StrongroomError) else type(error).__name__
            log.error("keygen.stopped", order=order_hash.hex(), reason=reason, message=str(error))

    async def stop(self) -> None:
        """Cancel what is under way; a key generation that is cut off leaves nothing behind."""
        tasks = tuple(self._running.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _generate(self, record: OrderRecord) -> None:
        create = decode_order(record.order).action
        if not isinstance(create, CreateVault):
            return
        pause = self._retry_s
        attempt = 0
        while self._still_wanted(record.hash):
            await self._all_ready(record.hash, create.signers)
            # Rising over restarts too: signers refuse a number that they have seen.
            attempt = max(attempt + 1, self._clock.wall_ms() // 1000 % 2**32)
            log.info("keygen.started", order=record.hash.hex(), vault=create.name, attempt=attempt)
            self._phases[record.hash] = f"attempt {attempt} is under way"
            try:
                made = await self._attempt(self._terms_of(record, create, attempt))
            except AttemptOver as error:
                self._note_failure(record.hash, attempt, error)
                await asyncio.sleep(pause)
                pause = min(pause * 2, MAX_PAUSE_S)
                continue
            name = self._ledger.recovery.offer(made.recovery)
            try:
                await self._sequencer.submit(made.vault)
            finally:
                self._ledger.recovery.settle(name)
            log.info("keygen.done", order=record.hash.hex(), vault=create.name, attempt=attempt)
            return

    def _note_failure(self, order_hash: bytes, attempt: int, error: AttemptOver) -> None:
        failed = error.failed
        words = proven(failed.fault, failed.suspects, failed.found_by)
        # A fault that somebody found is worth a person's attention; silence mostly ends by itself.
        write = log.warning if failed.fault is Fault.UNPROVEN else log.error
        write(
            "keygen.failed",
            order=order_hash.hex(),
            attempt=attempt,
            message=error.message,
            suspects=list(failed.suspects),
            fault=failed.fault.value,
            found_by=failed.found_by or None,
            proven=words,
        )
        self._phases[order_hash] = "the next attempt follows"
        self._failures[order_hash] = f"attempt {attempt} failed: {error.message} ({words})"

    def _still_wanted(self, order_hash: bytes) -> bool:
        state = self._ledger.replica.state()
        record = state.order(order_hash)
        return record is not None and self._is_approved(state, record)

    async def _all_ready(self, order_hash: bytes, signers: Iterable[str]) -> None:
        while missing := [name for name in signers if name not in self._terms.ready]:
            log.info("keygen.waiting", missing=missing)
            self._phases[order_hash] = f"all holders must take part, and {', '.join(missing)} is away"
            self._someone_ready.clear()
            await self._someone_ready.wait()

    def _terms_of(self, record: OrderRecord, create: CreateVault, attempt: int) -> KeygenTerms:
        keys = {signer.name: signer.host_key for signer in self._ledger.replica.state().charter.signers}
        return KeygenTerms(
            log_id=self._voters.log_id,
            order_hash=OrderHash(record.hash),
            attempt=attempt,
            signers=create.signers,
            host_keys=tuple(keys[name] for name in create.signers),
            threshold=create.threshold,
        )

    async def _attempt(self, terms: KeygenTerms) -> machine.Generated:
        run = _Attempt(terms, dict(self._terms.ready), self._ledger, self._voters, self._clock)
        try:
            async with asyncio.timeout(self._timeout_s):
                return await run.generated()
        except TimeoutError:
            late = ", ".join(run.awaited)
            raise AttemptOver(f"no key within {self._timeout_s:g} s, waiting for {late or 'nobody'}") from None
        finally:
            await run.stop()


class _Attempt:
    """One attempt: carries commands of the machine to the holders and their answers back."""

    def __init__(
        self,
        terms: KeygenTerms,
        links: dict[str, SignerLink],
        ledger: LedgerCopy,
        voters: Voters,
        clock: Clock,
    ) -> None:
        self._terms = terms
        self._links = links
        self._ledger = ledger
        self._voters = voters
        self._clock = clock
        self._events: asyncio.Queue[machine.Event] = asyncio.Queue()
        self._tasks: set[asyncio.Task[None]] = set()
        self._state: machine.KeygenState | None = None

    @property
    def awaited(self) -> tuple[str, ...]:
        """Who has not answered what was asked last."""
        return () if self._state is None else machine.awaited(self._state)

    async def generated(self) -> machine.Generated:
        """Run to the end.

        Raises:
            AttemptOver: no key came of it.
        """
        try:
            self._state, commands = machine.begin(self._terms, vote_keys=self._voters.vote_keys, now_ms=self._now())
        except StrongroomError as error:
            raise AttemptOver(error.message) from error
        while True:
            for command in commands:
                if isinstance(command, machine.Generated):
                    return command
                if isinstance(command, machine.AttemptFailed):
                    raise AttemptOver(f"{', '.join(command.suspects) or 'somebody'}: {command.failure}", command)
                self._perform(command)
            self._state, commands = machine.step(self._state, await self._events.get())

    async def stop(self) -> None:
        """Cancel what is still asked."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _now(self) -> int:
        return int(self._clock.monotonic() * 1000)

    def _perform(self, command: machine.Command) -> None:
        match command:
            case machine.AskRound1():
                self._ask_everyone(self._round1)
            case machine.SendRound2():
                self._ask_everyone(partial(self._round2, command.message))
            case machine.Investigate():
                self._spawn(command.signer, self._investigate(command.message, command.signer))
            case machine.SendFinish():
                self._ask_everyone(partial(self._finish, command.message))
            case machine.AskTrialNonces():
                for name in command.signers:
                    self._spawn(name, self._trial_nonce(command.subset, name))
            case machine.AskTrialShares():
                for name in command.signers:
                    self._spawn(name, self._trial_share(command.subset, command.nonces, name))

    def _ask_everyone(self, ask: Callable[[str], Coroutine[Any, Any, machine.Event]]) -> None:
        for name in self._terms.signers:
            self._spawn(name, ask(name))

    def _spawn(self, name: str, work: Coroutine[Any, Any, machine.Event]) -> None:
        async def carry() -> None:
            try:
                event = await work
            except StrongroomError as error:
                event = machine.HolderFailed(signer=name, failure=error.message, now_ms=self._now())
            self._events.put_nowait(event)

        task = asyncio.create_task(carry())
        # An attempt that ends at once cancels tasks that have not begun.
        task.add_done_callback(lambda _: work.close())
        self._tasks.add(task)

    async def _ask(self, name: str, body: Any) -> pb.LinkRequest:
        link = self._links.get(name)
        if link is None:
            raise LinkBroken(f"{name} is not connected")
        return await link.post(body)

    async def _round1(self, name: str) -> machine.Event:
        # The holder must know that the order is final; it takes it only from certificates.
        certificate = self._ledger.certificate
        link = self._links.get(name)
        if link is not None and certificate is not None and link.given < held_of(certificate).rank:
            await self._ask(name, pb.Certify(certificate=codec.encode(certificate)))
            link.given = max(link.given, held_of(certificate).rank)
        body = pb.KeygenRound1(order_hash=self._terms.order_hash, attempt=self._terms.attempt)
        reply = await self._ask(name, body)
        return machine.Round1Arrived(signer=name, message=reply.keygen_round1.message, now_ms=self._now())

    async def _round2(self, message: bytes, name: str) -> machine.Event:
        body = pb.KeygenRound2(order_hash=self._terms.order_hash, attempt=self._terms.attempt, message=message)
        reply = await self._ask(name, body)
        if reply.WhichOneof("body") == "keygen_complaint":
            complaint = reply.keygen_complaint
            log.warning("keygen.share_disputed", signer=name, attempt=self._terms.attempt)
            return machine.ComplaintArrived(
                signer=name,
                encrypted_share=complaint.encrypted_share,
                pubshare=complaint.pubshare,
                now_ms=self._now(),
            )
        return machine.Round2Arrived(signer=name, message=reply.keygen_round2.message, now_ms=self._now())

    async def _investigate(self, message: bytes, name: str) -> machine.Event:
        body = pb.KeygenInvestigate(order_hash=self._terms.order_hash, attempt=self._terms.attempt, message=message)
        finding = (await self._ask(name, body)).keygen_finding
        return machine.VerdictArrived(
            signer=name,
            fault=_FAULTS.get(finding.fault, Fault.UNPROVEN),
            suspect=finding.suspect,
            now_ms=self._now(),
        )

    async def _finish(self, message: bytes, name: str) -> machine.Event:
        body = pb.KeygenFinish(order_hash=self._terms.order_hash, attempt=self._terms.attempt, message=message)
        reply = (await self._ask(name, body)).keygen_finish
        return machine.StatementArrived(
            signer=name,
            signature=reply.statement_signature,
            recovery_hash=reply.recovery_hash,
            now_ms=self._now(),
        )

    async def _trial_nonce(self, subset: machine.Subset, name: str) -> machine.Event:
        body = pb.TrialCommit(order_hash=self._terms.order_hash, attempt=self._terms.attempt, signers=subset)
        reply = await self._ask(name, body)
        return machine.TrialNonceArrived(signer=name, subset=subset, nonce=reply.trial_commit.nonce, now_ms=self._now())

    async def _trial_share(self, subset: machine.Subset, nonces: tuple[bytes, ...], name: str) -> machine.Event:
        body = pb.TrialSign(
            order_hash=self._terms.order_hash, attempt=self._terms.attempt, signers=subset, nonces=nonces
        )
        reply = await self._ask(name, body)
        return machine.TrialShareArrived(signer=name, subset=subset, share=reply.trial_sign.share, now_ms=self._now())


def _is_create_vault(record: OrderRecord) -> bool:
    return isinstance(decode_order(record.order).action, CreateVault)
