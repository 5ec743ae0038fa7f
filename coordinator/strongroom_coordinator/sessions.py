"""Round 2: signing sessions, one per plan, from the holders' commitments to the final transaction.

The pure machine of `strongroom.protocol.signing` decides; this shell sends what it asks for. Shares are asked for only
under a certificate of the current term that covers the plan. What many sessions ask of one signer in one moment goes in
one frame. When a term ends all its sessions end: nonces die with it, and the plans are signed anew in the next.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

import structlog

from strongroom.api.signer.v1 import signer_link_service_pb2 as pb
from strongroom.ledger.certificate_messages import Certificate
from strongroom.ledger.entry_messages import Plan
from strongroom.ledger.plans import spend_of
from strongroom.ledger.state import State
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
from strongroom_coordinator.background import Background
from strongroom_coordinator.clock import Clock
from strongroom_coordinator.evidence_book import EvidenceBook
from strongroom_coordinator.ledger_copy import LedgerCopy
from strongroom_coordinator.link import LinkServer, SignerLink
from strongroom_coordinator.signing_answers import SigningAnswers
from strongroom_coordinator.signing_outbox import SigningOutbox
from strongroom_coordinator.signing_session import SigningSession
from strongroom_coordinator.signing_words import SigningWords
from strongroom_coordinator.standing import Standing
from strongroom_coordinator.storage.engine import Storage
from strongroom_coordinator.subjects import subjects_of
from strongroom_coordinator.terms import Terms
from strongroom_coordinator.unsigned_plans import UnsignedPlans
from strongroom_coordinator.voters import Voters

__all__ = ["SigningSessions"]

log = structlog.get_logger()

RETURN_AFTER_S: Final = 1.0
"""A holder whose request failed is asked again after this."""
LAST_RESORT_S: Final = 5.0
"""A plan that the others have not signed by then is offered to quarantined holders too."""

OnSigned = Callable[[bytes, bytes, bytes], None]


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
        self._clock = clock
        self._evidence = evidence
        self._term = 0
        self._standing = Standing(clock)
        self._lagging: set[str] = set()
        """Signers that get no batches until they have answered earlier ones."""
        self._sessions: dict[int, SigningSession] = {}
        self._answers = SigningAnswers(self, terms=terms, voters=voters, now_ms=self._now)
        self._outbox = SigningOutbox(
            terms, commitments=self._answers.commitments_answered, shares=self._answers.shares_answered
        )
        self._background = Background("signing.resume_failed")
        self._unsigned = UnsignedPlans(self, ledger=ledger, storage=storage, clock=clock, background=self._background)
        self._on_signed: list[OnSigned] = []
        self._on_refused: list[Callable[[], None]] = []
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
        return self._unsigned.refusals(plan_hash)

    # --- the term --------------------------------------------------------------------------------------------------

    def begin_term(self, term: int) -> None:
        """A term began: what is unsigned is taken up once its first batch is certified."""
        self._term = term
        self._unsigned.begin_term(term)

    def end_term(self) -> None:
        """The term is over: every session ends."""
        self._term = 0
        self._sessions.clear()
        self._outbox.clear()
        self._unsigned.end_term()
        self._background.cancel_timers()

    def certified(self, certificate: Certificate) -> None:
        """A batch of the term was certified: what it covers may be signed."""
        self._outbox.certificate = certificate
        size = certificate.head.size
        for session in tuple(self._sessions.values()):
            if session.index < size and not session.state.certified:
                self.step(session, PlanCertified(now_ms=self._now(), busy=self._busy(session)))
        self._outbox.flush()
        self._unsigned.certified(size)

    def became_final(self, size: int) -> None:
        """A head became final: what is being signed with shares of an epoch that is over begins again."""
        final = self._ledger.replica.state(size)
        for session in tuple(self._sessions.values()):
            vault = final.vault(session.vault)
            if vault is not None and vault.epoch > session.state.task.vault_epoch:
                self._sessions.pop(session.index, None)
                self._unsigned.retry(session.plan_hash)

    async def stop(self) -> None:
        """Cancel what is under way."""
        self.end_term()
        await self._background.stop()

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
        session = SigningSession(
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
            self._background.later(LAST_RESORT_S, self._take_all, session)
        self._perform(session, commands)

    # --- taking up what is unsigned --------------------------------------------------------------------------------

    def covers(self, index: int) -> bool:
        """Whether a certificate of the current term covers this entry."""
        return self._outbox.covers(index)

    def is_open(self, index: int) -> bool:
        """Whether the plan at this entry index is being signed."""
        return index in self._sessions

    def open_count(self) -> int:
        """How many plans are being signed."""
        return len(self._sessions)

    def sign(self, index: int, plan: Plan) -> None:
        """Begin to sign a plan of an earlier term."""
        self._begin(index, plan, self._ledger.replica.state())
        self._outbox.flush_soon()

    # --- what signers answer ---------------------------------------------------------------------------------------

    def find(self, index: int) -> SigningSession | None:
        """The open session of the plan at this entry index."""
        return self._sessions.get(index)

    def committed(self, signer: str, asked: Iterable[int], results: Iterable[pb.CommitmentResult]) -> None:
        """Take the commitments, or refusals, that came with a vote; the signer was asked for those of these plans."""
        self._answers.committed(signer, asked, results)

    def passed_over(self, link: SignerLink, asked: Iterable[int]) -> None:
        """No answer about these plans will come to what was asked; the signer is asked again a moment later."""
        lacking = [session for index in asked if (session := self._sessions.get(index)) is not None]
        for session in lacking:
            self.step(session, SignerGone(signer=link.signer, now_ms=self._now()))
        if lacking:
            self._background.later(RETURN_AFTER_S, self._signer_returned, link)

    def lags(self, link: SignerLink, asked: Iterable[int]) -> None:
        """A signer was not sent a batch, because it owes answers to earlier ones: it lacks what plans are new."""
        self._lagging.add(link.signer)
        for index in asked:
            if (session := self._sessions.get(index)) is not None:
                self.step(session, SignerGone(signer=link.signer, now_ms=self._now()))

    def caught_up(self, link: SignerLink) -> None:
        """A signer owes no answers any more."""
        if link.signer in self._lagging:
            self._lagging.discard(link.signer)
            self._signer_returned(link)

    def _link_changed(self, link: SignerLink, connected: bool) -> None:
        if not connected:
            self._lagging.discard(link.signer)
            for session in tuple(self._sessions.values()):
                self.step(session, SignerGone(signer=link.signer, now_ms=self._now()))

    def _signer_returned(self, link: SignerLink) -> None:
        # One that lags lacks the plans; `caught_up` brings it back.
        if self._terms.ready.get(link.signer) is link and link.signer not in self._lagging:
            self._signer_ready(link)

    def _signer_ready(self, link: SignerLink) -> None:
        for session in tuple(self._sessions.values()):
            self.step(session, SignerReturned(signer=link.signer, now_ms=self._now()))

    # --- quarantine --------------------------------------------------------------------------------------------------

    def _evidence_changed(self, signer: str) -> None:
        """A signer was convicted, or reinstated, in the middle of sessions."""
        convicted = self._evidence.quarantined(signer) is not None
        for session in tuple(self._sessions.values()):
            if session.words.takes_all:
                continue
            if not convicted and signer in self._terms.ready:
                self.step(session, SignerReturned(signer=signer, now_ms=self._now()))
            elif convicted:
                self.step(session, SignerGone(signer=signer, now_ms=self._now()))
                self._background.later(LAST_RESORT_S, self._take_all, session)

    def _take_all(self, session: SigningSession) -> None:
        """Ask quarantined holders too: too few others have signed."""
        if session.words.takes_all or self._sessions.get(session.index) is not session:
            return
        session.words.takes_all = True
        log.warning("signing.last_resort", plan=session.plan_hash.hex())
        for name in session.state.task.group.signers:
            if name in self._terms.ready and self._evidence.quarantined(name) is not None:
                self.step(session, SignerReturned(signer=name, now_ms=self._now()))

    # --- driving the machine ---------------------------------------------------------------------------------------

    def step(self, session: SigningSession, happened: signing.Event) -> None:
        """Let something happen to a session; nothing does to one that has ended."""
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

    def _note_left_out(self, session: SigningSession, event: signing.Event, before: signing.SigningState) -> None:
        """Say who is left out of a plan for what it sent; who refused or gave a wrong share is said elsewhere."""
        if isinstance(event, RefusalArrived):
            return
        for name, reason in session.state.out.items():
            if name not in before.out and reason != SharesDoNotSign.reason:
                log.warning("signing.left_out", signer=name, plan=session.plan_hash.hex(), reason=reason)

    def _perform(self, session: SigningSession, commands: Iterable[signing.Command]) -> None:
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

    def _expect(self, session: SigningSession) -> None:
        """Wake the machine when its patience with who was just asked is over."""
        if not session.state.hedged:
            self._background.later(session.state.hedge_ms / 1000 + 0.002, self._deadline, session)

    def _deadline(self, session: SigningSession) -> None:
        busy = self._busy(session)
        self.step(session, DeadlinePassed(now_ms=self._now(), busy=busy))
        if busy and self._sessions.get(session.index) is session:
            self._expect(session)

    def _busy(self, session: SigningSession) -> frozenset[str]:
        """Holders that owe this session an answer and are at work on what they were asked before."""
        ready, within_s = self._terms.ready, session.state.hedge_ms / 1000
        owing = signing.awaited(session.state)
        return frozenset(name for name in owing if name in ready and ready[name].is_working(within_s))

    def _demote(self, session: SigningSession, signers: Iterable[str]) -> None:
        signers = tuple(signers)
        session.late.update(signers)
        names = [name for name in signers if self._standing.missed(name)]
        if names:
            plan, hedge_ms = session.plan_hash.hex(), session.state.hedge_ms
            log.info("signing.passed_over", plan=plan, signers=names, hedge_ms=hedge_ms)

    # --- ending ----------------------------------------------------------------------------------------------------

    def _finish(self, session: SigningSession, signed: Signed) -> None:
        del self._sessions[session.index]
        plan_hash, txid = session.plan_hash, session.spend.txid
        raw = session.spend.finalise(signed.signatures)
        self._standing.signed(name for name in signed.signers if name not in session.late)
        owing = signing.awaited(session.state).items()
        late = [name for name, since_ms in owing if self._now() - since_ms >= session.state.hedge_ms]
        if late:
            self._demote(session, late)
        took_ms = round((self._clock.monotonic() - session.begun) * 1000, 1)
        log.info(
            "plan.signed",
            plan=plan_hash.hex(),
            txid=txid[::-1].hex(),
            orders=session.orders,
            inputs=len(signed.signatures),
            took_ms=took_ms,
        )
        self._unsigned.signed(plan_hash, raw)
        for callback in self._on_signed:
            callback(plan_hash, txid, raw)

    def _give_up(self, session: SigningSession, reasons: Mapping[str, str]) -> None:
        self._sessions.pop(session.index, None)
        self._unsigned.refused(session.plan_hash, reasons)
        for callback in self._on_refused:
            callback()

    def _blame(self, session: SigningSession, blame: Blame) -> None:
        log.error("share.wrong", signer=blame.evidence.signer, plan=session.plan_hash.hex())
        session.words.blamed(blame.evidence)

    def _now(self) -> int:
        """Milliseconds that never go back; only differences count."""
        return int(self._clock.monotonic() * 1000)
