"""Round 1: one batch goes to every signer of the term, and w votes for its head are the certificate."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import structlog

from strongroom.api.signer.v1 import signer_link_service_pb2 as pb
from strongroom.ledger import codec
from strongroom.ledger.certificate_messages import Certificate, Head
from strongroom.ledger.signed_messages import Refusal
from strongroom.model.errors import Kind, StrongroomError
from strongroom.protocol.certificates import Held, VerifiedVote, held_of
from strongroom.protocol.leader import DoubleVote, VoteCollection
from strongroom_coordinator.cosignatures import Cosignatures
from strongroom_coordinator.door import TakenBatch
from strongroom_coordinator.errors import LinkBroken, SignerFailed, SignerMisbehaved
from strongroom_coordinator.evidence_book import EvidenceBook
from strongroom_coordinator.handovers import Handovers
from strongroom_coordinator.ledger_copy import LedgerCopy
from strongroom_coordinator.link import SignerLink
from strongroom_coordinator.link_frames import signed_of
from strongroom_coordinator.sessions import SigningSessions
from strongroom_coordinator.terms import STALE_TERM, Terms
from strongroom_coordinator.voters import Voters

__all__ = ["BatchLost", "VotingRounds"]

log = structlog.get_logger()

MAX_UNANSWERED: Final = 4
"""A signer that lags by so many batches gets no more until it has answered; it then catches up."""
REMEMBERED: Final = 4_096
"""So many certificates are remembered, to hold against them what votes name. A signer votes on a batch when it has
answered all but `MAX_UNANSWERED` before it, and is given the newest certificate with it."""
SILENT_MOST_S: Final = 60.0
"""Such a signer that sent nothing at all for so long is dropped: when it dials again, it starts without arrears."""


class BatchLost(StrongroomError):
    """A batch cannot get its certificate in this term.

    Attributes:
        reasons: what signers gave as reasons.
        entry_index: the entry that most of them refused, if they named one.
    """

    reason = "BATCH_NOT_CERTIFIED"
    kind = Kind.ABORTED

    def __init__(self, message: str, *, reasons: frozenset[str] = frozenset(), entry_index: int | None = None) -> None:
        super().__init__(message)
        self.reasons = reasons
        self.entry_index = entry_index


@dataclass(slots=True, eq=False)
class _Round:
    batch: TakenBatch
    votes: VoteCollection
    commit_for: dict[str, list[int]]
    done: asyncio.Future[Certificate]
    refusals: dict[str, Refusal] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    asked: set[str] = field(default_factory=set)

    def lost(self) -> set[str]:
        """Signers from whom no vote for this head will come."""
        return {*self.refusals, *self.failures, *self.votes.dissent}


class VotingRounds:
    """Sends batches, collects votes, and hands certificates out."""

    def __init__(
        self,
        *,
        ledger: LedgerCopy,
        terms: Terms,
        sessions: SigningSessions,
        voters: Voters,
        cosignatures: Cosignatures,
        evidence: EvidenceBook,
        handovers: Handovers,
        timeout_ms: int,
    ) -> None:
        self._ledger = ledger
        self._terms = terms
        self._sessions = sessions
        self._voters = voters
        self._cosignatures = cosignatures
        self._evidence = evidence
        self._handovers = handovers
        self._timeout_s = timeout_ms / 1000
        self._round: _Round | None = None
        self._made: dict[Held, None] = {}
        """The newest certificates made here, oldest first: no signer can hold another one of their term."""
        self._unanswered: dict[SignerLink, int] = {}
        self._on_both: list[Callable[[], None]] = []
        terms.on_ready(self._signer_ready)

    def on_both(self, callback: Callable[[], None]) -> None:
        """Call back when the set in force and the wanted one have both voted for a head."""
        self._on_both.append(callback)

    async def certify(self, batch: TakenBatch, term: int) -> Certificate:
        """Get the certificate of a batch. The batch becomes the newest of the copy before the first await.

        Raises:
            BatchLost: w votes did not come, or cannot come any more.
        """
        preview = batch.preview
        self._ledger.append(preview)
        head = Head(
            log_id=self._voters.log_id,
            term=term,
            size=preview.size,
            root=preview.root,
            state_digest=preview.state_digest,
        )
        current = _Round(
            batch=batch,
            votes=VoteCollection(
                head=head, electorate=self._voters.now, both=self._voters.wanted, certified=self._made.__contains__
            ),
            commit_for=self._sessions.prepare(batch.plans, self._ledger.replica.state()),
            done=asyncio.get_running_loop().create_future(),
        )
        self._round = current
        for link in tuple(self._terms.ready.values()):
            self._send(link, current)
        try:
            async with asyncio.timeout(self._timeout_s):
                return await current.done
        except TimeoutError:
            message = f"no quorum of votes within {self._timeout_s:g} s"
            raise self._failure(current, message) from None
        finally:
            self._round = None

    def end(self) -> None:
        """Forget the round under way: its term is over."""
        self._round = None

    def hand_out(self, certificate: Certificate | None) -> None:
        """Give the newest certificate to every signer that lacks it and is not busy with a batch."""
        if certificate is None:
            return
        for link in tuple(self._terms.ready.values()):
            if not self._unanswered.get(link) and link.given < held_of(certificate).rank:
                self._give(link, certificate)

    async def handed_out(self, certificate: Certificate | None) -> None:
        """Give the newest certificate to every signer and wait for their answers, so that it outlives this process."""
        if certificate is None:
            return
        frame = pb.Certify(certificate=codec.encode(certificate))
        answers = [link.post(frame) for link in self._terms.ready.values()]
        if answers:
            await asyncio.wait(answers)

    def _give(self, link: SignerLink, certificate: Certificate) -> None:
        link.given = held_of(certificate).rank
        future = link.post(pb.Certify(certificate=codec.encode(certificate)))
        future.add_done_callback(partial(self._certificate_answered, link))

    # --- asking ----------------------------------------------------------------------------------------------------

    def _signer_ready(self, link: SignerLink) -> None:
        """A signer joined the term late: it votes on what is in flight, else it takes the newest certificate."""
        if self._round is not None:
            self._send(link, self._round)
        else:
            self.hand_out(self._ledger.certificate)

    def _send(self, link: SignerLink, current: _Round) -> None:
        if link.signer not in self._voters.voting:
            return  # it was removed, and learns of that from certificates
        commit_for = current.commit_for.get(link.signer, [])
        if self._unanswered.get(link, 0) >= MAX_UNANSWERED:
            self._sessions.lags(link, commit_for)
            if link.silent_s > SILENT_MOST_S:
                log.warning("link.silent", signer=link.signer, unanswered=self._unanswered[link])
                link.close(f"it answered nothing for {SILENT_MOST_S:g} s")
            return
        certificate = self._ledger.certificate
        rank = held_of(certificate).rank
        carried = b"" if certificate is None or link.given >= rank else codec.encode(certificate)
        link.given = max(link.given, rank)
        batch = current.batch.preview.batch
        frame = pb.Append(
            term=current.votes.head.term,
            first_index=batch.first_index,
            entries=batch.entries,
            size=batch.size,
            root=current.votes.head.root,
            certificate=carried,
            commit_for=commit_for,
            recovery_data=self._ledger.recovery.of_batch(current.batch.preview),
        )
        current.asked.add(link.signer)
        self._unanswered[link] = self._unanswered.get(link, 0) + 1
        link.post(frame).add_done_callback(partial(self._answered, link, current))

    # --- answers ---------------------------------------------------------------------------------------------------

    def _answered(self, link: SignerLink, current: _Round, future: asyncio.Future[pb.LinkRequest]) -> None:
        left = self._unanswered.pop(link, 1) - 1
        if left:
            self._unanswered[link] = left
        else:
            self._sessions.caught_up(link)
        if future.cancelled():
            return
        try:
            self._take(link, current, future.result())
        except LinkBroken:
            current.asked.discard(link.signer)
        except StrongroomError as error:
            self._note_failure(link, current, error)
        if current is self._round:
            self._decide(current)
        elif not left:
            self.hand_out(self._ledger.certificate)

    def _take(self, link: SignerLink, current: _Round, reply: pb.LinkRequest) -> None:
        signer, commit_for = link.signer, current.commit_for.get(link.signer, [])
        if reply.WhichOneof("body") == "batch_refused":
            signed = signed_of(reply.batch_refused.refusal)
            refusal = self._voters.open_word("refusal", Refusal, signed, signer)
            if refusal.signer != signer:
                raise SignerMisbehaved(f"{signer} refuses a batch in the name of {refusal.signer}", signer=signer)
            current.refusals[signer] = refusal
            log.warning(
                "batch.refused",
                signer=signer,
                entry=refusal.entry_index,
                reason=refusal.reason,
                detail=refusal.detail,
                evidence=signed.body.hex(),
                signature=signed.signature.hex(),
            )
            self._sessions.passed_over(link, commit_for)
            return
        voted = reply.voted
        current.votes = current.votes.add(signer, signed_of(voted.vote))
        if signer in current.votes.dissent:
            self._tell_dissent(current.votes.dissent[signer], current.votes.head)
        # A vote counts here after the round is over too: the wanted set need not be the faster one.
        both = current.votes.handover()
        if both is not None and (self._handovers.both is None or self._handovers.both.head != both.head):
            self._note_made(held_of(both))
            self._handovers.both = both
            for callback in self._on_both:
                callback()
        self._sessions.committed(signer, commit_for, voted.commitments)
        # After the certificate, which clients wait for.
        asyncio.get_running_loop().call_soon(self._cosignatures.add, signer, voted.cosignature)

    def _tell_dissent(self, vote: VerifiedVote, head: Head) -> None:
        """Say what is wrong with a vote that does not count; a signed lie about a certificate, with its proof."""
        if vote.head != head:
            log.error("vote.other_head", signer=vote.signer, size=head.size)
            return
        log.error(
            "vote.false_claim",
            signer=vote.signer,
            size=head.size,
            claimed=vote.held.size,
            evidence=vote.signed.body.hex(),
            signature=vote.signed.signature.hex(),
        )

    def _note_failure(self, link: SignerLink, current: _Round, error: StrongroomError) -> None:
        link.given = (0, 0)
        self._sessions.passed_over(link, current.commit_for.get(link.signer, []))
        current.failures[link.signer] = error.reason
        if isinstance(error, SignerFailed):
            current.failures[link.signer] = error.code
            if error.code in STALE_TERM:
                self._terms.overtaken()
        if isinstance(error, DoubleVote):
            log.error("vote.double", signer=link.signer)
            self._evidence.two_votes(link.signer, error.first, error.second)
        self._handovers.told_in_vain(link, error)
        log.warning("vote.missing", signer=link.signer, reason=error.reason, message=error.message)

    def _decide(self, current: _Round) -> None:
        if current.done.done():
            return
        certificate = current.votes.certificate()
        if certificate is not None:
            self._note_made(held_of(certificate))
            current.done.set_result(certificate)
            return
        lost = current.lost()
        waiting = current.asked - lost - set(current.votes.votes)
        votes = current.votes
        impossible = not votes.could_certify(lost)
        if impossible or (lost and not votes.electorate.could_be_quorum({*waiting, *votes.votes})):
            current.done.set_exception(self._failure(current, "too few signers vote for the batch"))

    def _note_made(self, made: Held) -> None:
        self._made[made] = None
        while len(self._made) > REMEMBERED:
            del self._made[next(iter(self._made))]

    def _failure(self, current: _Round, message: str) -> BatchLost:
        named = [item.entry_index for item in current.refusals.values()]
        reasons = frozenset([*(item.reason for item in current.refusals.values()), *current.failures.values()])
        details = "; ".join(f"{name}: {item.reason} {item.detail}" for name, item in sorted(current.refusals.items()))
        return BatchLost(
            f"{message} ({details or ', '.join(sorted(reasons)) or 'silence'})",
            reasons=reasons,
            entry_index=max(set(named), key=named.count) if named else None,
        )

    def _certificate_answered(self, link: SignerLink, future: asyncio.Future[pb.LinkRequest]) -> None:
        if future.cancelled():
            return
        try:
            self._cosignatures.add(link.signer, future.result().certified.cosignature)
        except LinkBroken:
            return
        except StrongroomError as error:
            # It is given again with the next batch.
            link.given = (0, 0)
            self._handovers.told_in_vain(link, error)
            log.warning("certificate.not_taken", signer=link.signer, reason=error.reason, message=error.message)
