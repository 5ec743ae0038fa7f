"""The sequencer: puts what is submitted into batches, gets w votes for each, and goes on.

One task leads: it opens a term, then makes one batch after another until a batch cannot be certified; then it opens the
next term and what was in the batch waits again. One batch is in flight at a time, and grows while the one before it is
being voted on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final

import structlog

from strongroom.ledger.certificate_messages import Certificate
from strongroom.ledger.entry_messages import Genesis, Plan, Tick
from strongroom.ledger.reasons import Refused
from strongroom.ledger.replica import Batch, Replica
from strongroom.ledger.state import State
from strongroom.model.errors import StrongroomError
from strongroom_coordinator.clock import Clock
from strongroom_coordinator.door import Door, Logged, Pending, TakenBatch
from strongroom_coordinator.due import next_due_ms
from strongroom_coordinator.errors import Abandoned, NotReady
from strongroom_coordinator.handovers import TICK_S as HANDOVER_TICK_S
from strongroom_coordinator.handovers import Handovers
from strongroom_coordinator.ledger_copy import LedgerCopy
from strongroom_coordinator.link import SignerLink
from strongroom_coordinator.rounds import BatchLost, VotingRounds
from strongroom_coordinator.sessions import SigningSessions
from strongroom_coordinator.subjects import subjects_of
from strongroom_coordinator.terms import Terms

__all__ = ["Logged", "Sequencer"]

log = structlog.get_logger()

PlanSource = Callable[[State, int], Sequence[Plan]]

TICK_AGAIN_S: Final = 10.0
"""A tick that the log does not take is tried again after this."""
REFUSED_PLAN_S: Final = 60.0
"""A plan that signers refused is not put before them again for so long."""
_TIME_REASONS: Final = frozenset({"BATCH_TIME_OFF", "CLOCK_DRIFT", "DISK_LOW", "WORDS_WITHHELD"})
"""Refusals that are about the signer or the moment, not about the entry they stand beside."""


class Sequencer:
    """The one writer of the log.

    Attributes:
        plan_source: Asked for plans whenever a batch is made, on the state that holds the rest of the batch.
    """

    def __init__(
        self,
        *,
        ledger: LedgerCopy,
        terms: Terms,
        rounds: VotingRounds,
        sessions: SigningSessions,
        handovers: Handovers,
        genesis: Genesis,
        clock: Clock,
        random: Callable[[int], bytes],
        tick_ms: int,
    ) -> None:
        self._ledger = ledger
        self._terms = terms
        self._rounds = rounds
        self._sessions = sessions
        self._handovers = handovers
        self._handover_tick_at = 0.0
        self._opened_by = handovers.number
        """Number of the witness set by which the current term was opened."""
        self._genesis = genesis
        self._clock = clock
        self._tick_s = tick_ms / 1000
        self._door = Door(lambda: ledger.replica, clock=clock, random=random)
        self._by_subject: dict[bytes, Pending] = {}
        self._woken = asyncio.Event()
        self._plans_wanted = False
        self._substance = ledger.certified_size
        self._has_led = False
        self._term = 0
        self._refused_plans: set[bytes] = set()
        """Plans that signers just refused; made again from the same coins, they would be the very same."""
        self._due_again_s = 0.0
        self._stamped: tuple[int, float] | None = None
        self._certified: list[Callable[[Batch, Certificate], None]] = []
        self._final: list[Callable[[int], None]] = []
        self.plan_source: PlanSource | None = None
        self.is_stopping = False
        rounds.on_both(self._woken.set)
        handovers.on_told(self._woken.set)
        terms.on_ready(self._signer_ready)

    def _signer_ready(self, _: SignerLink) -> None:
        """A signer joined: it may be the one whose vote a handover waits for."""
        self._handover_tick_at = 0.0
        self._woken.set()

    # --- what others see -------------------------------------------------------------------------------------------

    @property
    def replica(self) -> Replica:
        """The replayed log; its newest batch may not be certified yet: read at `certificate.head.size`."""
        return self._ledger.replica

    @property
    def certificate(self) -> Certificate | None:
        """Of the newest certified head."""
        return self._ledger.certificate

    @property
    def final_certificate(self) -> Certificate | None:
        """The newest certificate whose votes made a head final."""
        return self._ledger.final_certificate

    @property
    def final_size(self) -> int:
        """Entries that no term can drop."""
        return self._ledger.decided_final_size

    @property
    def term(self) -> int:
        """The term this coordinator leads; 0 while it leads none."""
        return self._term

    @property
    def log_now_ms(self) -> int | None:
        """What log time must have reached by now; None before the first batch of this process was certified.

        From the time that w signers let pass last, and the monotonic clock since: a wall clock that is set wrong
        meanwhile changes nothing.
        """
        if self._stamped is None:
            return None
        time_ms, at = self._stamped
        return time_ms + int((self._clock.monotonic() - at) * 1000)

    @property
    def queued(self) -> int:
        """Submissions that wait for their certificate."""
        return len(self._by_subject)

    @property
    def ledger(self) -> LedgerCopy:
        """The copy of the log, for reading stored entries."""
        return self._ledger

    def on_certified(self, callback: Callable[[Batch, Certificate], None]) -> None:
        """Call back after each batch that got its certificate."""
        self._certified.append(callback)

    def on_final(self, callback: Callable[[int], None]) -> None:
        """Call back with the new final size each time it rises."""
        self._final.append(callback)

    def wake(self) -> None:
        """Say that something may be plannable now: new coins, or a delay is over."""
        self._plans_wanted = True
        self._woken.set()

    def log_time(self) -> None:
        """Let log time rise to now and be final: something waits for it that nobody scheduled."""
        if self._ledger.decided_final_size >= self._substance:
            self._substance = self._ledger.certified_size + 1
            self._woken.set()

    # --- submitting ------------------------------------------------------------------------------------------------

    async def submit(self, body: Any) -> Logged:
        """Log one entry body (an order, endorsement, freeze or vault) and wait for its certificate.

        The same request again answers with what the first one gave, `already_known`.

        Raises:
            Refused: the ledger does not take it; raised at once when it is clear at the door.
            Abandoned: the signers would not vote for it.
            NotReady: the coordinator is starting or stopping.
            Overloaded: too much is waiting.
        """
        subject = subjects_of(body)[0]
        pending = self._by_subject.get(subject)
        if pending is not None:
            return replace(await asyncio.shield(pending.future), already_known=True)
        if self.is_stopping or not self._has_led:
            raise NotReady("the coordinator does not lead the log at this moment: try again soon")
        pending = Pending(body, subject)
        try:
            self._enter(pending)
        except Refused as refusal:
            known = await self._logged_before(subject)
            if known is None:
                raise refusal from None
            return known
        try:
            return await asyncio.shield(pending.future)
        except Refused:
            # It waited untried while a term was opened, and was in the log already.
            known = await self._logged_before(subject)
            if known is None:
                raise
            return known

    def _enter(self, pending: Pending, *, bounded: bool = True) -> None:
        self._door.enter(pending, bounded=bounded)
        self._by_subject[pending.subject] = pending
        pending.future.add_done_callback(lambda _: self._by_subject.pop(pending.subject, None))
        self._plans_wanted = True
        self._woken.set()

    async def submit_many(self, bodies: Sequence[Any]) -> list[Logged | StrongroomError]:
        """Log many entry bodies; each has its own outcome, in the same order."""
        results = await asyncio.gather(*(self.submit(body) for body in bodies), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException) and not isinstance(result, StrongroomError):
                raise result
        return [result for result in results if isinstance(result, Logged | StrongroomError)]

    async def _logged_before(self, subject: bytes) -> Logged | None:
        found = await self._ledger.entry_of_subject(subject)
        certificate = self._ledger.certificate
        if found is None or certificate is None:
            return None
        return self._logged(found[0], found[1], certificate, already_known=True)

    def _logged(self, index: int, entry: bytes, certificate: Certificate, *, already_known: bool = False) -> Logged:
        size = certificate.head.size
        path = self._ledger.replica.inclusion_path(index, size)
        return Logged(
            index=index, entry=entry, size=size, certificate=certificate, path=path, already_known=already_known
        )

    async def drained(self) -> None:
        """Take nothing new; wait until what was taken in has its certificate or error, and signers hold the newest."""
        self.is_stopping = True
        waiting = [pending.future for pending in self._by_subject.values()]
        if waiting:
            await asyncio.wait(waiting)
        await self._rounds.handed_out(self._ledger.certificate)

    # --- leading ---------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Lead until cancelled.

        Raises:
            FinalContradicted: the signers' logs contradict what was final here.
            StorageFailed: the state cannot be read.
        """
        lost_in_a_row = 0
        try:
            while True:
                size = self._ledger.certified_size
                await self._open_term()
                try:
                    await self._lead()
                except BatchLost as lost:
                    log.warning("term.ended", term=self.term, reason=lost.reason, message=lost.message)
                    lost_in_a_row = 0 if self._ledger.certified_size > size + 1 else lost_in_a_row + 1
                self._end_term()
                # The first time at once; a fault that stays is not met with a storm of terms.
                await asyncio.sleep(min(0.05 * (2 ** min(lost_in_a_row, 8) - 2), 5.0) if lost_in_a_row else 0)
        finally:
            self._end_term()
            self._door.drain(NotReady("the coordinator is stopping"))
            # What is certified and was not stored here: it is in the log all the same, and asking again says so.
            for pending in tuple(self._by_subject.values()):
                pending.fail(NotReady("the coordinator stops before it could answer: ask again when it is back"))

    def _end_term(self) -> None:
        self._term = 0
        self._door.close()
        self._sessions.end_term()
        self._rounds.end()
        self._ledger.abandon()

    async def _open_term(self) -> None:
        final = self._ledger.decided_final_size
        opening = await self._terms.open()
        self._term = opening.term
        self._opened_by = self._handovers.number
        self._sessions.begin_term(opening.term)
        # What lies beyond the final head is brought to be final in this term as well.
        self._substance = self._ledger.certified_size
        if self._ledger.final_certificate is None and not self._is_new_log():
            # Just founded anew: no certificate shows clients yet that anything is final.
            self._substance += 1
        self._has_led = True
        self._plans_wanted = True
        for body in self._ledger.take_dropped():
            self._log_again(body)
        self._door.open()
        self._tell_final(final)

    def _log_again(self, body: Any) -> None:
        """A certificate vanished with this term: what it covered must not vanish with it."""
        subject = subjects_of(body)[0]
        if subject not in self._by_subject:
            self._enter(Pending(body, subject), bounded=False)

    async def _lead(self) -> None:
        """Make batches until one is lost, or until the witnesses who opened the term were finally replaced.

        The base of such a term stands on words that nobody may take any more: signers that come to it anew could not
        join. So the set that took over opens a term of its own.
        """
        first = True
        while (batch := await self._next_batch(first)) is not None:
            first = False
            try:
                certificate = await self._rounds.certify(batch, self.term)
            except BatchLost as lost:
                self._put_back(batch, lost)
                raise
            self._take_certificate(batch, certificate)
        log.info("term.handed_over", term=self.term, witnesses=self._handovers.number)

    async def _next_batch(self, first: bool) -> TakenBatch | None:
        """Wait until there is something to log, or until time itself must be logged; None when the term is over."""
        loop = asyncio.get_running_loop()
        waits = False
        tick_at = loop.time() if first else None
        while True:
            if not waits and self._ledger.decided_final_size < self._substance:
                waits = True
                soon = loop.time() + self._tick_s
                tick_at = soon if tick_at is None else min(tick_at, soon)
            self._woken.clear()
            if self._handovers.number != self._opened_by:
                return None
            batch = self._take_batch()
            if tick_at is None and self._handovers.waits():
                tick_at = max(loop.time() + self._tick_s, self._handover_tick_at)
            if batch is None and tick_at is not None and loop.time() >= tick_at:
                batch = self._tick()
                tick_at = loop.time() + TICK_AGAIN_S
                if not waits:
                    self._handover_tick_at = loop.time() + HANDOVER_TICK_S
            if batch is not None:
                self._plans_wanted = self._plans_wanted or batch.is_full
                return batch
            if tick_at is None:
                self._rounds.hand_out(self._ledger.certificate)
            due_s = self._due_in_s()
            wake_at = [
                at for at in (tick_at, None if due_s is None else loop.time() + max(due_s, 0.0)) if at is not None
            ]
            await self._wait(min(wake_at) - loop.time() if wake_at else None)

    def _take_batch(self) -> TakenBatch | None:
        """A batch of what waits, of the plans that it makes possible, and of what takes a handover on.

        A tick is in it when a scheduled order is due, or a change of the witness set has had its time.
        """
        plans = self._plans if self._plans_wanted and not self._is_new_log() else None
        self._plans_wanted = False
        forced = (self._genesis,) if self._is_new_log() else ()
        handover = self._handovers.due()
        if handover is not None:
            try:
                return self._door.take(plans=plans, forced=(handover,))
            except Refused as refusal:
                log.error("handover.refused", reason=refusal.reason, message=refusal.message)
                self._handovers.refused(handover)
        due_s = self._due_in_s()
        if due_s is not None and due_s <= 0:
            try:
                # The order acts with the tick, so that plans after it are already made by what it changed.
                return self._door.take(plans=self._plans, forced=(Tick(),))
            except Refused as refusal:
                # It then acts with the next entry of somebody else's, or when this may be tried again.
                log.warning("tick.refused", reason=refusal.reason, message=refusal.message)
                self._due_again_s = asyncio.get_running_loop().time() + TICK_AGAIN_S
        return self._door.take(plans=plans, forced=forced)

    def _due_in_s(self) -> float | None:
        """Seconds until a tick is due with which something acts or lapses; None if nothing is to."""
        state = self._ledger.replica.state()
        due_ms = next_due_ms(state)
        if due_ms is None:
            return None
        at_once = (due_ms - max(self._clock.wall_ms(), state.time_ms)) / 1000
        return max(at_once, self._due_again_s - asyncio.get_running_loop().time())

    def _tick(self) -> TakenBatch | None:
        """A batch of a tick alone; None when the coordinator's bytes of the day are used up.

        Nobody's words may wait for that: rejections and freezes are logged as before, only what is final stands still.
        """
        try:
            return self._door.take(plans=None, forced=(Tick(),))
        except Refused as refusal:
            log.warning("tick.refused", reason=refusal.reason, message=refusal.message)
            self._rounds.hand_out(self._ledger.certificate)
            return None

    async def _wait(self, at_most_s: float | None) -> None:
        try:
            async with asyncio.timeout(at_most_s):
                await self._woken.wait()
        except TimeoutError:
            return

    def _is_new_log(self) -> bool:
        return self._ledger.replica.size == 0

    def _plans(self, state: State, time_ms: int) -> Sequence[Plan]:
        if self.plan_source is None:
            return ()
        return [plan for plan in self.plan_source(state, time_ms) if subjects_of(plan)[0] not in self._refused_plans]

    def _take_certificate(self, batch: TakenBatch, certificate: Certificate) -> None:
        self._sessions.certified(certificate)
        self._stamped = (batch.preview.time_ms, self._clock.monotonic())
        final = self._ledger.decided_final_size
        if batch.has_substance:
            self._substance = certificate.head.size
        receipts = [
            (pending, self._logged(pending.index, pending.entry, certificate))
            for pending in batch.pending
            if not pending.future.done()
        ]
        # A receipt leaves when the certificate is durable here: until then a kill of this process could lose it, and
        # with it what it covers. Signing does not wait for that.
        risen = self._ledger.certify(certificate, partial(_hand_out, receipts)) > final
        for callback in self._certified:
            callback(batch.preview.batch, certificate)
        if risen:
            self._tell_final(final)
        log.debug("batch.certified", size=certificate.head.size, entries=len(batch.preview.batch.entries))

    def _tell_final(self, before: int) -> None:
        size = self._ledger.decided_final_size
        if size > before:
            for callback in self._final:
                callback(size)

    def _put_back(self, batch: TakenBatch, lost: BatchLost) -> None:
        """Answer for the entry that signers refused; everything else waits for the next term."""
        offender = None if lost.reasons & _TIME_REASONS else lost.entry_index
        kept = []
        for pending in batch.pending:
            if pending.index == offender:
                pending.fail(Abandoned(f"the signers refused the entry: {lost.message}", entry=str(offender)))
            else:
                kept.append(pending)
        for index, plan in batch.plans:
            if index == offender:
                self._pass_over(subjects_of(plan)[0])
        self._door.put_back(replace(batch, pending=tuple(kept)))

    def _pass_over(self, plan_hash: bytes) -> None:
        """Do without a plan for a while, not for ever: who refused it may have been wrong, or lying."""

        def allow() -> None:
            self._refused_plans.discard(plan_hash)
            self.wake()

        self._refused_plans.add(plan_hash)
        asyncio.get_running_loop().call_later(REFUSED_PLAN_S, allow)


def _hand_out(receipts: Sequence[tuple[Pending, Logged]]) -> None:
    for pending, logged in receipts:
        if not pending.future.done():
            pending.future.set_result(logged)
