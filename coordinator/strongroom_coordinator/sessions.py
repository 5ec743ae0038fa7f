"""Round 2: signing sessions, one per plan, from the holders' commitments to the final transaction.

The pure machine of `strongroom.protocol.signing` decides; this shell sends what it asks for. Shares are asked for only
under a certificate of the current term that covers the plan. What many sessions ask of one signer in one moment goes in
one frame. When a term ends all its sessions end: nonces die with it, and the plans are signed anew in the next.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import structlog

from strongroom.api.signer.v1 import signer_link_service_pb2 as pb
from strongroom.chains.bitcoin.spend import Spend
from strongroom.ledger import codec
from strongroom.ledger.messages import Certificate, Entry, Plan, Refusal
from strongroom.ledger.plans import spend_of
from strongroom.ledger.state import State
from strongroom.model.errors import StrongroomError
from strongroom.protocol import signing
from strongroom.protocol.release import SharesDoNotSign
from strongroom.protocol.signing_events import (
    AskCommitments,
    AskShares,
    Blame,
    CommitmentsArrived,
    DeadlinePassed,
    Demote,
    Failed,
    PlanCertified,
    RefusalArrived,
    SharesArrived,
    Signed,
    SignerGone,
    SignerReturned,
)
from strongroom.protocol.signing_task import Group, task_of
from strongroom_coordinator.clock import Clock
from strongroom_coordinator.errors import LinkBroken
from strongroom_coordinator.evidence_book import EvidenceBook
from strongroom_coordinator.ledger_copy import LedgerCopy
from strongroom_coordinator.link import LinkServer, SignerLink
from strongroom_coordinator.link_frames import first_of_each, signed_of
from strongroom_coordinator.signing_outbox import SigningOutbox
from strongroom_coordinator.signing_words import SigningWords
from strongroom_coordinator.standing import Standing
from strongroom_coordinator.storage import ledger as rows
from strongroom_coordinator.storage import plans as plan_rows
from strongroom_coordinator.storage.engine import Storage
from strongroom_coordinator.subjects import subjects_of
from strongroom_coordinator.terms import Terms
from strongroom_coordinator.voters import Voters

__all__ = ["SigningSessions"]

log = structlog.get_logger()

MAX_RESUMED: Final = 256
"""Unsigned plans of earlier terms that are taken up at once; the rest follow as these end."""
RETRY_FIRST_S: Final = 1.0
RETRY_MOST_S: Final = 300.0
RETURN_AFTER_S: Final = 1.0
"""A holder whose request failed is asked again after this."""
LAST_RESORT_S: Final = 5.0
"""A plan that the others have not signed by then is offered to quarantined holders too."""
NOT_YET: Final = frozenset({"NO_PLAN_AT_INDEX", "NOT_CERTIFIED", "TOO_MANY_OPEN_NONCES"})
"""Refusals of a signer that lags or is busy: it is asked again, not left out."""
INCOMPLETE: Final = "ANSWER_INCOMPLETE it answered without what was asked"

OnSigned = Callable[[bytes, bytes, bytes], None]


@dataclass(slots=True, eq=False)
class _Session:
    """One plan being signed."""

    index: int
    plan_hash: bytes
    orders: int
    spend: Spend
    state: signing.SigningState
    begun: float
    words: SigningWords
    vault: str
    late: set[str] = field(default_factory=set)
    """Holders that it passed over; what they give it later is no sign that they are prompt again."""


class SigningSessions:
    """All signing sessions of the current term."""

    def __init__(
        self,
        *,
        ledger: LedgerCopy,
        terms: Terms,
        links: LinkServer,
        voters: Voters,
        storage: Storage,
        clock: Clock,
        evidence: EvidenceBook,
    ) -> None:
        self._ledger = ledger
        self._terms = terms
        self._voters = voters
        self._storage = storage
        self._clock = clock
        self._evidence = evidence
        self._term = 0
        self._standing = Standing(clock)
        self._lagging: set[str] = set()
        """Signers that get no batches until they have answered earlier ones."""
        self._sessions: dict[int, _Session] = {}
        self._refusals: dict[bytes, tuple[str, ...]] = {}
        self._tries: dict[bytes, int] = {}
        self._outbox = SigningOutbox(terms, commitments=self._commitments_answered, shares=self._shares_answered)
        self._timers: set[asyncio.TimerHandle] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._on_signed: list[OnSigned] = []
        self._on_refused: list[Callable[[], None]] = []
        self._resumed = False
        self._rest_below = 0
        """Unsigned plans below this index were not taken up yet; 0 when none is left."""
        links.on_change(self._link_changed)
        terms.on_ready(self._signer_ready)
        evidence.on_change(self._evidence_changed)

    # --- what others use -------------------------------------------------------------------------------------------

    def on_signed(self, callback: OnSigned) -> None:
        """Call back with plan hash, transaction id and raw transaction of each plan that got its signatures."""
        self._on_signed.append(callback)

    def on_refused(self, callback: Callable[[], None]) -> None:
        """Call back when a plan got too few signatures: its orders may be better planned otherwise."""
        self._on_refused.append(callback)

    def refusals(self, plan_hash: bytes) -> list[str]:
        """Why holders last refused to sign this plan: one line each, `signer: REASON detail`."""
        return list(self._refusals.get(plan_hash, ()))

    def retry(self, plan_hash: bytes) -> None:
        """Try to sign a plan again now, if it is under a certificate and not signed."""
        self._spawn(self._resume_one(plan_hash))

    # --- the term --------------------------------------------------------------------------------------------------

    def begin_term(self, term: int) -> None:
        """A term began: what is unsigned is taken up once its first batch is certified."""
        self._term = term
        self._resumed = False
        self._rest_below = 0

    def end_term(self) -> None:
        """The term is over: every session ends."""
        self._term = 0
        self._sessions.clear()
        self._outbox.clear()
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()

    def certified(self, certificate: Certificate) -> None:
        """A batch of the term was certified: what it covers may be signed."""
        self._outbox.certificate = certificate
        size = certificate.head.size
        for session in tuple(self._sessions.values()):
            if session.index < size and not session.state.certified:
                self._step(session, PlanCertified(now_ms=self._now(), busy=self._busy(session)))
        self._outbox.flush()
        if not self._resumed:
            self._resumed = True
            self._spawn(self._resume(size))

    def became_final(self, size: int) -> None:
        """A head became final: what is being signed with shares of an epoch that is over begins again."""
        final = self._ledger.replica.state(size)
        for session in tuple(self._sessions.values()):
            vault = final.vault(session.vault)
            if vault is not None and vault.epoch > session.state.task.vault_epoch:
                self._sessions.pop(session.index, None)
                self.retry(session.plan_hash)

    async def stop(self) -> None:
        """Cancel what is under way."""
        self.end_term()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # --- beginning -------------------------------------------------------------------------------------------------

    def prepare(self, planned: Sequence[tuple[int, Plan]], state: State) -> dict[str, list[int]]:
        """Begin the sessions of a batch's plans.

        Returns:
            Entry indexes that each signer is to commit for with its vote.
        """
        for index, plan in planned:
            self._begin(index, plan, state)
        return self._outbox.take_asks()

    def _begin(self, index: int, plan: Plan, state: State) -> None:
        vault = state.vault(plan.vault)
        if vault is None:
            return
        group = Group(
            signers=vault.signers,
            threshold=vault.threshold,
            public_shares=vault.public_shares,
            group_key=vault.group_key,
        )
        plan_hash = subjects_of(plan)[0]
        spend = spend_of(state, plan)
        task = task_of(
            spend,
            log_id=self._voters.log_id,
            term=self._term,
            entry_index=index,
            plan_hash=plan_hash,
            vault_epoch=vault.epoch,
            group=group,
        )
        present = [name for name in vault.signers if name in self._terms.ready and name not in self._lagging]
        trusted = self._evidence.without(present)
        takes_all = len(trusted) < vault.threshold
        machine, commands = signing.begin(
            task,
            vote_keys=self._voters.vote_keys,
            preference=self._standing.order(trusted, index),
            now_ms=self._now(),
            hedge_ms=self._standing.hedge_ms(vault.signers, vault.threshold),
            busy_ms=self._standing.busy_ms(vault.signers, vault.threshold),
            certified=self._outbox.covers(index),
            absent=frozenset(vault.signers) - frozenset(present if takes_all else trusted),
        )
        session = _Session(
            index=index,
            plan_hash=plan_hash,
            orders=len(plan.order_hashes),
            spend=spend,
            state=machine,
            begun=self._clock.monotonic(),
            words=SigningWords(self._evidence, plan, takes_all=takes_all),
            vault=plan.vault,
        )
        self._sessions[index] = session
        if not takes_all and len(self._evidence.without(vault.signers)) < len(vault.signers):
            self._later(LAST_RESORT_S, self._take_all, session)
        self._perform(session, commands)

    async def _resume(self, below: int) -> None:
        """Take up plans of earlier terms that have no final transaction, the newest below this entry index first."""
        await self._ledger.stored()
        term = self._term
        found = await self._storage.run(
            lambda connection: plan_rows.unsigned(connection, below=below, limit=MAX_RESUMED)
        )
        for row in found:
            await self._resume_row(row, term)
        if found:
            log.info("signing.resumed", plans=len(found), term=term)
        if term == self._term and len(found) == MAX_RESUMED:
            self._rest_below = found[-1].entry_index
            self._resume_rest()

    def _resume_rest(self) -> None:
        """Take up further plans once there is room for them."""
        if self._rest_below and len(self._sessions) <= MAX_RESUMED // 2:
            below, self._rest_below = self._rest_below, 0
            self._spawn(self._resume(below))

    async def _resume_one(self, plan_hash: bytes) -> None:
        await self._ledger.stored()
        row = await self._storage.run(lambda connection: plan_rows.by_hash(connection, plan_hash))
        if row is not None and row.stage in plan_rows.UNSIGNED:
            await self._resume_row(row, self._term)
        elif row is not None and row.raw_transaction is None:
            # A block excludes it now; a reorganisation may take that back.
            self._later(RETRY_MOST_S, self.retry, plan_hash)

    async def _resume_row(self, row: plan_rows.PlanRow, term: int) -> None:
        index = row.entry_index
        entries = await self._storage.run(lambda connection: rows.entries(connection, index, index + 1))
        current = term != 0 and term == self._term and self._outbox.covers(index)
        if not current or index in self._sessions or not entries:
            return
        plan = codec.decode(Entry, entries[0]).body
        if isinstance(plan, Plan) and subjects_of(plan)[0] == row.plan_hash:
            self._begin(index, plan, self._ledger.replica.state())
            self._outbox.flush_soon()

    # --- what signers answer ---------------------------------------------------------------------------------------

    def committed(self, signer: str, asked: Iterable[int], results: Iterable[pb.CommitmentResult]) -> None:
        """Take the commitments, or refusals, that came from a signer; it was asked for those of these plans."""
        asked = dict.fromkeys(asked)
        answered: set[int] = set()
        for result in first_of_each(results, asked):
            session = self._sessions.get(result.entry_index)
            if session is None:
                continue
            answered.add(result.entry_index)
            if result.WhichOneof("outcome") == "commitments":
                signed = signed_of(result.commitments)
                self._step(session, CommitmentsArrived(signer=signer, signed=signed, now_ms=self._now()))
            elif result.WhichOneof("outcome") == "refusal":
                self._refused(session, signer, result.refusal)
        self._left_unanswered(signer, asked, answered)

    def _left_unanswered(self, signer: str, asked: Iterable[int], answered: set[int]) -> None:
        """An answer came without what was asked for some plans: nobody waits for it."""
        for index in asked:
            if index not in answered and (session := self._sessions.get(index)) is not None:
                log.warning("signing.answer_incomplete", signer=signer, plan=session.plan_hash.hex())
                self._step(session, RefusalArrived(signer=signer, refusal=INCOMPLETE, now_ms=self._now()))

    def passed_over(self, link: SignerLink, asked: Iterable[int]) -> None:
        """No answer about these plans will come to what was asked; the signer is asked again a moment later."""
        lacking = [session for index in asked if (session := self._sessions.get(index)) is not None]
        for session in lacking:
            self._step(session, SignerGone(signer=link.signer, now_ms=self._now()))
        if lacking:
            self._later(RETURN_AFTER_S, self._signer_returned, link)

    def lags(self, link: SignerLink, asked: Iterable[int]) -> None:
        """A signer was not sent a batch, because it owes answers to earlier ones: it lacks what plans are new."""
        self._lagging.add(link.signer)
        for index in asked:
            if (session := self._sessions.get(index)) is not None:
                self._step(session, SignerGone(signer=link.signer, now_ms=self._now()))

    def caught_up(self, link: SignerLink) -> None:
        """A signer owes no answers any more."""
        if link.signer in self._lagging:
            self._lagging.discard(link.signer)
            self._signer_returned(link)

    def _shares_answered(
        self, link: SignerLink, asked: tuple[int, ...], future: asyncio.Future[pb.LinkRequest]
    ) -> None:
        if future.cancelled():
            return
        try:
            results = future.result().released.results
        except LinkBroken:
            return
        except StrongroomError as error:
            self._request_failed(link, asked, error)
            return
        answered: set[int] = set()
        for result in first_of_each(results, dict.fromkeys(asked)):
            session = self._sessions.get(result.entry_index)
            if session is None:
                continue
            answered.add(result.entry_index)
            if result.WhichOneof("outcome") == "shares":
                more = signed_of(result.next_commitments) if result.HasField("next_commitments") else None
                self._step(
                    session,
                    SharesArrived(
                        signer=link.signer,
                        signed=signed_of(result.shares),
                        next_commitments=more,
                        now_ms=self._now(),
                    ),
                )
            elif result.WhichOneof("outcome") == "refusal":
                self._refused(session, link.signer, result.refusal)
        self._left_unanswered(link.signer, asked, answered)

    def _commitments_answered(
        self, link: SignerLink, asked: tuple[int, ...], future: asyncio.Future[pb.LinkRequest]
    ) -> None:
        if future.cancelled():
            return
        try:
            self.committed(link.signer, asked, future.result().committed.results)
        except LinkBroken:
            return
        except StrongroomError as error:
            self._request_failed(link, asked, error)

    def _request_failed(self, link: SignerLink, asked: tuple[int, ...], error: StrongroomError) -> None:
        """A whole request failed: the holder is passed over, and asked again a moment later."""
        log.warning("signing.request_failed", signer=link.signer, reason=error.reason, message=error.message)
        link.given = (0, 0)
        self.passed_over(link, asked)

    def _refused(self, session: _Session, signer: str, message: Any) -> None:
        try:
            refusal = self._voters.open_word("refusal", Refusal, signed_of(message), signer)
            line = f"{refusal.reason} {refusal.detail}".strip()
            if refusal.signer != signer:
                line = f"REFUSAL_INVALID it is in the name of {refusal.signer}"
        except StrongroomError as error:
            line = f"REFUSAL_INVALID {error.message}"
        log.warning("signing.refused", signer=signer, plan=session.plan_hash.hex(), refusal=line)
        link = self._terms.ready.get(signer)
        if link is not None and line.split(" ", 1)[0] in NOT_YET:
            self.passed_over(link, [session.index])
            return
        self._step(session, RefusalArrived(signer=signer, refusal=line, now_ms=self._now()))

    def _link_changed(self, link: SignerLink, connected: bool) -> None:
        if not connected:
            self._lagging.discard(link.signer)
            for session in tuple(self._sessions.values()):
                self._step(session, SignerGone(signer=link.signer, now_ms=self._now()))

    def _signer_returned(self, link: SignerLink) -> None:
        # One that lags lacks the plans; `caught_up` brings it back.
        if self._terms.ready.get(link.signer) is link and link.signer not in self._lagging:
            self._signer_ready(link)

    def _signer_ready(self, link: SignerLink) -> None:
        for session in tuple(self._sessions.values()):
            self._step(session, SignerReturned(signer=link.signer, now_ms=self._now()))

    # --- quarantine --------------------------------------------------------------------------------------------------

    def _evidence_changed(self, signer: str) -> None:
        """A signer was convicted, or reinstated, in the middle of sessions."""
        convicted = self._evidence.quarantined(signer) is not None
        for session in tuple(self._sessions.values()):
            if session.words.takes_all:
                continue
            if not convicted and signer in self._terms.ready:
                self._step(session, SignerReturned(signer=signer, now_ms=self._now()))
            elif convicted:
                self._step(session, SignerGone(signer=signer, now_ms=self._now()))
                self._later(LAST_RESORT_S, self._take_all, session)

    def _take_all(self, session: _Session) -> None:
        """Ask quarantined holders too: too few others have signed."""
        if session.words.takes_all or self._sessions.get(session.index) is not session:
            return
        session.words.takes_all = True
        log.warning("signing.last_resort", plan=session.plan_hash.hex())
        for name in session.state.task.group.signers:
            if name in self._terms.ready and self._evidence.quarantined(name) is not None:
                self._step(session, SignerReturned(signer=name, now_ms=self._now()))

    # --- driving the machine ---------------------------------------------------------------------------------------

    def _step(self, session: _Session, happened: signing.Event) -> None:
        event = session.words.admitted(happened)
        if event is None or self._sessions.get(session.index) is not session:
            return
        if isinstance(event, CommitmentsArrived | SharesArrived):
            since_ms = signing.awaited(session.state).get(event.signer)
            if since_ms is not None:
                self._standing.answered(event.signer, event.now_ms - since_ms)
        before, (session.state, commands) = session.state, signing.step(session.state, event)
        session.words.heard(event, before, session.state)
        self._note_left_out(session, event, before)
        self._perform(session, commands)

    def _note_left_out(self, session: _Session, event: signing.Event, before: signing.SigningState) -> None:
        """Say who is left out of a plan for what it sent; who refused or gave a wrong share is said elsewhere."""
        if isinstance(event, RefusalArrived):
            return
        for name, reason in session.state.out.items():
            if name not in before.out and reason != SharesDoNotSign.reason:
                log.warning("signing.left_out", signer=name, plan=session.plan_hash.hex(), reason=reason)

    def _perform(self, session: _Session, commands: Iterable[signing.Command]) -> None:
        for command in commands:
            match command:
                case AskCommitments():
                    self._outbox.ask_commitments(command.signers, session.index)
                    self._expect(session)
                case AskShares():
                    self._outbox.ask_shares(command.signers, session.index, command.commitments)
                    self._expect(session)
                case Demote():
                    self._demote(session, command.signers)
                case Blame():
                    self._blame(session, command)
                case Signed():
                    self._finish(session, command)
                case Failed():
                    self._give_up(session, command.reasons)
        if commands:
            self._outbox.flush_soon()

    def _expect(self, session: _Session) -> None:
        """Wake the machine when its patience with who was just asked is over."""
        if not session.state.hedged:
            self._later(session.state.hedge_ms / 1000 + 0.002, self._deadline, session)

    def _deadline(self, session: _Session) -> None:
        busy = self._busy(session)
        self._step(session, DeadlinePassed(now_ms=self._now(), busy=busy))
        if busy and self._sessions.get(session.index) is session:
            self._expect(session)

    def _busy(self, session: _Session) -> frozenset[str]:
        """Holders that owe this session an answer and are at work on what they were asked before."""
        ready, within_s = self._terms.ready, session.state.hedge_ms / 1000
        owing = signing.awaited(session.state)
        return frozenset(name for name in owing if name in ready and ready[name].is_working(within_s))

    def _demote(self, session: _Session, signers: Iterable[str]) -> None:
        signers = tuple(signers)
        session.late.update(signers)
        names = [name for name in signers if self._standing.missed(name)]
        if names:
            plan, hedge_ms = session.plan_hash.hex(), session.state.hedge_ms
            log.info("signing.passed_over", plan=plan, signers=names, hedge_ms=hedge_ms)

    # --- ending ----------------------------------------------------------------------------------------------------

    def _finish(self, session: _Session, signed: Signed) -> None:
        del self._sessions[session.index]
        plan_hash, txid = session.plan_hash, session.spend.txid
        raw = session.spend.finalise(signed.signatures)
        self._standing.signed(name for name in signed.signers if name not in session.late)
        owing = signing.awaited(session.state).items()
        late = [name for name, since_ms in owing if self._now() - since_ms >= session.state.hedge_ms]
        if late:
            self._demote(session, late)
        self._refusals.pop(plan_hash, None)
        self._tries.pop(plan_hash, None)
        took_ms = round((self._clock.monotonic() - session.begun) * 1000, 1)
        log.info(
            "plan.signed",
            plan=plan_hash.hex(),
            txid=txid[::-1].hex(),
            orders=session.orders,
            inputs=len(signed.signatures),
            took_ms=took_ms,
        )
        now_ms = self._clock.wall_ms()
        self._store(lambda connection: plan_rows.mark_signed(connection, plan_hash, raw, now_ms))
        for callback in self._on_signed:
            callback(plan_hash, txid, raw)
        self._resume_rest()

    def _give_up(self, session: _Session, reasons: Mapping[str, str]) -> None:
        self._sessions.pop(session.index, None)
        plan_hash = session.plan_hash
        lines = tuple(f"{name}: {reason}" for name, reason in sorted(reasons.items()))
        self._refusals[plan_hash] = lines
        tries = self._tries.get(plan_hash, 0)
        self._tries[plan_hash] = tries + 1
        log.warning("plan.not_signed", plan=plan_hash.hex(), refusals=lines)
        now_ms = self._clock.wall_ms()
        self._store(lambda connection: plan_rows.mark_refused(connection, plan_hash, lines, now_ms))
        # A freeze may be lifted, a local limit's day may end: the ledger still wants this plan paid.
        self._later(min(RETRY_FIRST_S * 2.0 ** min(tries, 10), RETRY_MOST_S), self.retry, plan_hash)
        for callback in self._on_refused:
            callback()
        self._resume_rest()

    def _blame(self, session: _Session, blame: Blame) -> None:
        log.error("share.wrong", signer=blame.evidence.signer, plan=session.plan_hash.hex())
        session.words.blamed(blame.evidence)

    # --- tasks and timers ------------------------------------------------------------------------------------------

    def _now(self) -> int:
        """Milliseconds that never go back; only differences count."""
        return int(self._clock.monotonic() * 1000)

    def _later(self, delay_s: float, call: Callable[..., None], *arguments: Any) -> None:
        def fire() -> None:
            self._timers.discard(handle)
            call(*arguments)

        handle = asyncio.get_running_loop().call_later(delay_s, fire)
        self._timers.add(handle)

    def _store(self, work: Callable[[Any], None]) -> None:
        self._ledger.enqueue(work)

    def _spawn(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._task_done)

    def _task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            reason = error.reason if isinstance(error, StrongroomError) else type(error).__name__
            log.error("signing.resume_failed", reason=reason, message=str(error))
