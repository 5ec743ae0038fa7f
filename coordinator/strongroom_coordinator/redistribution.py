"""New shares: for each final and approved order, redistributions over the links until every vault has its epoch.

The coordinator relays and can neither read nor split what the holders send each other. Signers keep nothing, so what
they said is kept here and a restart goes on from it; not all have to be there in the same moment. The result of one
vault enters the log as an Epoch entry, and then its rows are deleted: they hold what the recovery data holds. A start
deletes those that a kill left behind.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from collections.abc import Set as AbstractSet
from contextlib import suppress
from functools import partial
from typing import Any, Final

import structlog

from strongroom.api.signer.v1 import signer_link_service_pb2 as pb
from strongroom.ledger import codec
from strongroom.ledger.certificate_messages import Certificate
from strongroom.ledger.entry_messages import Epoch, OrderEntry
from strongroom.ledger.judge import judge_by_both, judge_order
from strongroom.ledger.records import OrderRecord, OrderState
from strongroom.ledger.replica import Batch
from strongroom.ledger.state import State, decode_order
from strongroom.model.errors import StrongroomError
from strongroom.protocol import redistribution_coordinator as machine
from strongroom.protocol import redistribution_events as events
from strongroom.protocol.certificates import held_of
from strongroom.protocol.redistribution_orders import key_change_of, redistribution_terms, waiting_vaults
from strongroom.protocol.redistribution_snapshot import SnapshotUnusable, resume, snapshot
from strongroom.protocol.redistribution_state import RedistributionState
from strongroom.protocol.redistribution_terms import RedistributionTerms
from strongroom.protocol.signed import SignedBody
from strongroom_coordinator.clock import Clock
from strongroom_coordinator.errors import LinkBroken
from strongroom_coordinator.evidence_book import EvidenceBook
from strongroom_coordinator.ledger_copy import LedgerCopy
from strongroom_coordinator.link import SignerLink
from strongroom_coordinator.link_frames import signed_of, signed_pb
from strongroom_coordinator.redistribution_words import line_of
from strongroom_coordinator.sequencer import Sequencer
from strongroom_coordinator.storage import redistributions as rows
from strongroom_coordinator.storage.engine import Storage
from strongroom_coordinator.subjects import decode_entry, subjects_of
from strongroom_coordinator.terms import Terms

__all__ = ["Redistributions"]

log = structlog.get_logger()

TICK_S: Final = 1.0
"""How often the machine is told that time passed, and how often orders that wait for a delay are looked at."""


class Redistributions:
    """Watches the log for approved orders for new shares, and runs them, one task per order."""

    def __init__(
        self,
        *,
        ledger: LedgerCopy,
        terms: Terms,
        sequencer: Sequencer,
        storage: Storage,
        evidence: EvidenceBook,
        clock: Clock,
        timeout_ms: int,
        retry_ms: int,
    ) -> None:
        self._ledger = ledger
        self._terms = terms
        self._sequencer = sequencer
        self._storage = storage
        self._evidence = evidence
        self._clock = clock
        self._timeout_s = timeout_ms / 1000
        self._retry_s = retry_ms / 1000
        self._open: set[bytes] | None = None
        self._running: dict[bytes, asyncio.Task[None]] = {}
        self._ceremonies: dict[bytes, _Ceremony] = {}
        self._phases: dict[bytes, str] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._tidying: asyncio.Task[None] | None = None
        sequencer.on_certified(self._note_orders)
        sequencer.on_final(self._look)
        terms.on_ready(self._signer_ready)

    # --- which orders ------------------------------------------------------------------------------------------------

    def _note_orders(self, batch: Batch, _certificate: Certificate) -> None:
        """Remember new orders for new shares, so that open orders need not be searched again and again.

        What people ended meanwhile is stopped at once.
        """
        if self._open is None:
            return
        self._stop_ended()
        for entry in batch.entries:
            body = decode_entry(entry).body
            if isinstance(body, OrderEntry):
                name = subjects_of(body)[0]
                record = self._ledger.replica.state().order(name)
                if record is not None and key_change_of(record) is not None:
                    self._open.add(name)

    def _stop_ended(self) -> None:
        """Ask nobody any more for an order that was rejected or has lapsed, and forget what was said for it."""
        state = self._ledger.replica.state()
        for order_hash, task in tuple(self._running.items()):
            record = state.order(order_hash)
            if record is not None and record.state not in (OrderState.OPEN, OrderState.DONE):
                task.cancel()
                log.info("epoch.ended", order=order_hash.hex(), state=record.state.name)
                self._tidying = asyncio.create_task(self._forget_after(task, self._tidying))

    async def _forget_after(self, *ended: asyncio.Task[None] | None) -> None:
        await asyncio.gather(*(task for task in ended if task is not None), return_exceptions=True)
        await self._forget_ended(self._waiting())

    def _waiting(self) -> frozenset[tuple[bytes, str]]:
        """Open orders for new shares, and the vaults on which they have not acted."""
        newest = self._ledger.replica.state()
        changes = [record for record in newest.open_orders() if key_change_of(record) is not None]
        return frozenset((record.hash, vault.name) for record in changes for vault in waiting_vaults(newest, record))

    def _look(self, final_size: int) -> None:
        """Begin for every order that passes by now; a loosening one waits for time alone, so look again soon.

        Its signers go by the time of the final log as well as by their clocks, and a quiet log's time stands still: so
        time itself is logged when the delay is over.
        """
        state = self._ledger.replica.state(final_size)
        if self._open is None:
            newest = self._ledger.replica.state()
            changes = [record for record in newest.open_orders() if key_change_of(record) is not None]
            self._open = {record.hash for record in changes}
            self._tidying = asyncio.create_task(self._forget_ended(self._waiting()))
        for order_hash in tuple(self._open):
            record = state.order(order_hash)
            if record is None or order_hash in self._running:
                continue
            if record.state is not OrderState.OPEN or self._clock.wall_ms() >= decode_order(record.order).expires_ms:
                self._open.discard(order_hash)
            elif self._passes(state, record):
                task = asyncio.create_task(self._run(order_hash))
                self._running[order_hash] = task
                task.add_done_callback(partial(self._done, order_hash))
            elif judge_order(state, record, self._clock.wall_ms()).allowed:
                self._sequencer.log_time()
        if self._open and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(TICK_S, self._look_again)

    async def _forget_ended(self, waiting: AbstractSet[tuple[bytes, str]]) -> None:
        """Delete what a kill left of vaults that have their epoch, and of orders that ended meanwhile."""
        try:
            gone = await self._storage.run(lambda connection: rows.forget_others(connection, waiting))
        except StrongroomError as error:
            log.error("epoch.not_forgotten", reason=error.reason, message=error.message)
            return
        if gone:
            log.info("epoch.forgotten", rows=gone)

    def _look_again(self) -> None:
        self._timer = None
        self._look(self._ledger.final_size)

    def _passes(self, state: State, record: OrderRecord) -> bool:
        return judge_by_both(state, record, self._clock.wall_ms()).allowed

    def _signer_ready(self, link: SignerLink) -> None:
        for ceremony in self._ceremonies.values():
            ceremony.signer_ready(link.signer)

    def progress(self, order_hash: bytes) -> str:
        """How far an order for new shares is, in a line for people; empty when nothing is under way."""
        ceremony = self._ceremonies.get(order_hash)
        return ceremony.line if ceremony is not None else self._phases.get(order_hash, "")

    def _done(self, order_hash: bytes, task: asyncio.Task[None]) -> None:
        self._running.pop(order_hash, None)
        self._phases.pop(order_hash, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            reason = error.reason if isinstance(error, StrongroomError) else type(error).__name__
            log.error("epoch.stopped", order=order_hash.hex(), reason=reason, message=str(error))

    async def stop(self) -> None:
        """Cancel what is under way; it goes on from its rows after a restart."""
        if self._timer is not None:
            self._timer.cancel()
        tasks = (*self._running.values(), *([self._tidying] if self._tidying is not None else []))
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # --- one order ---------------------------------------------------------------------------------------------------

    async def _run(self, order_hash: bytes) -> None:
        while (vault := self._next_vault(order_hash)) is not None:
            await self._change(order_hash, vault)

    def _next_vault(self, order_hash: bytes) -> str | None:
        """The first vault on which the order has not acted, as long as it passes."""
        state = self._ledger.replica.state()
        record = state.order(order_hash)
        if record is None or record.state is not OrderState.OPEN or not self._passes(state, record):
            return None
        waiting = waiting_vaults(state, record)
        return waiting[0].name if waiting else None

    async def _change(self, order_hash: bytes, vault: str) -> None:
        """Run attempts until the vault's new epoch is logged, or the order asks for it no more."""
        pause = self._retry_s
        stored = await self._storage.run(lambda connection: rows.find(connection, order_hash, vault))
        # Rising over restarts too: what was dealt in one attempt must not serve in another.
        attempt = self._fresh_attempt(0) if stored is None else stored.attempt
        while self._next_vault(order_hash) == vault:
            ceremony = self._begun(order_hash, vault, attempt, b"" if stored is None else stored.snapshot)
            self._ceremonies[order_hash] = ceremony
            try:
                outcome = await ceremony.outcome()
            finally:
                self._ceremonies.pop(order_hash, None)
                await ceremony.stop()
            if isinstance(outcome, events.Completed):
                await self._log(order_hash, vault, outcome)
                await self._storage.run(lambda connection: rows.forget(connection, order_hash, vault))
                return
            log.error("epoch.failed", order=order_hash.hex(), vault=vault, attempt=attempt, message=outcome.failure)
            self._phases[order_hash] = f"new shares of {vault}: attempt {attempt} failed: {outcome.failure}"
            await self._storage.run(lambda connection: rows.forget(connection, order_hash, vault))
            stored, attempt = None, self._fresh_attempt(attempt)
            await asyncio.sleep(pause)
            pause = min(pause * 2, 60.0)

    def _fresh_attempt(self, last: int) -> int:
        return max(last + 1, self._clock.wall_ms() // 1000 % 2**32)

    def _begun(self, order_hash: bytes, vault: str, attempt: int, stored: bytes) -> _Ceremony:
        """A new attempt, or a stored one where it still fits the charter in force."""
        state = self._ledger.replica.state(self._ledger.final_size)
        record = state.order(order_hash)
        if record is None:
            raise LinkBroken(f"order {order_hash.hex()} is not final here")
        terms = redistribution_terms(state, record, vault, attempt)
        vote_keys = {signer.name: signer.vote_key for signer in state.charter.signers}
        begun = machine.begin(terms, vote_keys=vote_keys)
        if stored:
            try:
                begun = resume(terms, stored, vote_keys=vote_keys, now_ms=self._now())
            except SnapshotUnusable as error:
                log.warning("epoch.begun_again", order=order_hash.hex(), vault=vault, message=error.message)
        log.info("epoch.started", order=order_hash.hex(), vault=vault, epoch=terms.epoch, attempt=attempt)
        keep = partial(self._keep, order_hash, vault, attempt)
        return _Ceremony(
            *begun,
            ledger=self._ledger,
            terms=self._terms,
            now=self._now,
            timeout_s=self._timeout_s,
            keep=keep,
            blame=self._evidence.bad_dealing,
        )

    async def _keep(self, order_hash: bytes, vault: str, attempt: int, data: bytes) -> None:
        row = rows.StoredRedistribution(order_hash=order_hash, vault=vault, attempt=attempt, snapshot=data)
        await self._storage.run(lambda connection: rows.save(connection, row))

    async def _log(self, order_hash: bytes, vault: str, done: events.Completed) -> None:
        self._phases[order_hash] = f"new shares of {vault}: they are made, and are being logged"
        entry = Epoch(
            order_hash=order_hash,
            vault=vault,
            key=done.made.key,
            recovery_hash=done.made.recovery_hash,
            statements=done.statements,
            trials=done.trials,
        )
        name = self._ledger.recovery.offer(done.made.recovery)
        try:
            await self._sequencer.submit(entry)
        finally:
            self._ledger.recovery.settle(name)
        log.info("epoch.logged", order=order_hash.hex(), vault=vault)

    def _now(self) -> int:
        return int(self._clock.monotonic() * 1000)


class _Ceremony:
    """One attempt for one vault: carries commands of the machine to the holders and their answers back."""

    def __init__(
        self,
        state: RedistributionState,
        commands: tuple[events.Command, ...],
        *,
        ledger: LedgerCopy,
        terms: Terms,
        now: Callable[[], int],
        timeout_s: float,
        keep: Callable[[bytes], Awaitable[None]],
        blame: Callable[[str, RedistributionTerms, SignedBody], None],
    ) -> None:
        self._state = state
        self._commands = commands
        self._ledger = ledger
        self._terms = terms
        self._now = now
        self._timeout_s = timeout_s
        self._keep = keep
        self._blame = blame
        self._events: asyncio.Queue[events.Event] = asyncio.Queue()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def _about(self) -> RedistributionTerms:
        return self._state.terms

    @property
    def line(self) -> str:
        """How far it is, for people."""
        return line_of(self._about, machine.progress(self._state))

    def signer_ready(self, signer: str) -> None:
        """A signer's link came up."""
        self._events.put_nowait(events.HolderReady(signer=signer, now_ms=self._now()))

    async def outcome(self) -> events.Completed | events.Failed:
        """Run to the end, and keep every step that counts."""
        kept = b""
        while True:
            if (data := snapshot(self._state)) != kept:
                await self._keep(data)
                kept = data
            for command in self._commands:
                if isinstance(command, events.Completed | events.Failed):
                    return command
                self._perform(command)
            event: events.Event = events.DeadlinePassed(now_ms=self._now())
            with suppress(TimeoutError):
                async with asyncio.timeout(TICK_S):
                    event = await self._events.get()
            self._state, self._commands = machine.step(self._state, event)

    async def stop(self) -> None:
        """Cancel what is still asked."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _perform(self, command: events.Command) -> None:
        match command:
            case events.Blame():
                self._blame(command.dealer, self._about, command.dealing)
            case events.AskDealing():
                for name in command.signers:
                    self._spawn(name, self._deal(name))
            case events.SendDealings():
                for name in command.signers:
                    self._spawn(name, self._receive(command.dealings, name))
            case events.AskTrialNonces():
                for name in command.signers:
                    self._spawn(name, self._trial_nonce(command.subset, name))
            case events.AskTrialShares():
                for name in command.signers:
                    self._spawn(name, self._trial_share(command.subset, command.nonces, name))

    def _spawn(self, name: str, work: Coroutine[Any, Any, events.Event]) -> None:
        async def carry() -> None:
            try:
                event = await work
            except StrongroomError as error:
                event = events.HolderFailed(signer=name, failure=error.message, now_ms=self._now())
            self._events.put_nowait(event)

        task = asyncio.create_task(carry())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _ask(self, name: str, body: Any) -> pb.LinkRequest:
        link = self._terms.ready.get(name)
        if link is None:
            raise LinkBroken(f"{name} is away", signer=name)
        # The holder must know that the order is final; it takes it only from certificates.
        certificate = self._ledger.certificate
        if certificate is not None and link.given < held_of(certificate).rank:
            await link.request(pb.Certify(certificate=codec.encode(certificate)), timeout_s=self._timeout_s)
            link.given = max(link.given, held_of(certificate).rank)
        return await link.request(body, timeout_s=self._timeout_s)

    def _place(self) -> dict[str, Any]:
        about = self._about
        return {"order_hash": about.order_hash, "vault": about.vault, "attempt": about.attempt}

    async def _deal(self, name: str) -> events.Event:
        reply = await self._ask(name, pb.Deal(**self._place()))
        return events.DealingArrived(signer=name, dealing=signed_of(reply.dealt.dealing), now_ms=self._now())

    async def _receive(self, dealings: tuple[SignedBody, ...], name: str) -> events.Event:
        reply = await self._ask(name, pb.Receive(**self._place(), dealings=[signed_pb(one) for one in dealings]))
        if reply.WhichOneof("body") == "dealings_disputed":
            dealers = tuple(reply.dealings_disputed.dealers[: len(self._about.holders)])
            log.warning("epoch.dealings_disputed", signer=name, vault=self._about.vault, dealers=list(dealers))
            return events.Disputed(signer=name, dealers=dealers, now_ms=self._now())
        stated = reply.stated
        return events.StatementArrived(
            signer=name,
            recovery_hash=stated.recovery_hash,
            key_hash=stated.key_hash,
            signature=stated.signature,
            now_ms=self._now(),
        )

    async def _trial_nonce(self, subset: tuple[int, ...], name: str) -> events.Event:
        reply = await self._ask(name, pb.EpochTrialCommit(**self._place(), signers=subset))
        nonce = reply.trial_commit.nonce
        return events.TrialNonceArrived(signer=name, subset=subset, nonce=nonce, now_ms=self._now())

    async def _trial_share(self, subset: tuple[int, ...], nonces: tuple[bytes, ...], name: str) -> events.Event:
        reply = await self._ask(name, pb.EpochTrialSign(**self._place(), signers=subset, nonces=nonces))
        share = reply.trial_sign.share
        return events.TrialShareArrived(signer=name, subset=subset, share=share, now_ms=self._now())
