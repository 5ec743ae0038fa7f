"""What signers answer in round 2, read frame by frame and told to the sessions it is about."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, Final

import structlog

from strongroom.api.signer.v1 import signer_link_service_pb2 as pb
from strongroom.ledger.signed_messages import Refusal
from strongroom.model.errors import StrongroomError
from strongroom.protocol.signing_events import CommitmentsArrived, RefusalArrived, SharesArrived
from strongroom_coordinator.errors import LinkBroken
from strongroom_coordinator.link import SignerLink
from strongroom_coordinator.link_frames import first_of_each, signed_of
from strongroom_coordinator.signing_session import OpenSessions, SigningSession
from strongroom_coordinator.terms import Terms
from strongroom_coordinator.voters import Voters

__all__ = ["SigningAnswers"]

log = structlog.get_logger()

NOT_YET: Final = frozenset({"NO_PLAN_AT_INDEX", "NOT_CERTIFIED", "TOO_MANY_OPEN_NONCES"})
"""Refusals of a signer that lags or is busy: it is asked again, not left out."""
INCOMPLETE: Final = "ANSWER_INCOMPLETE it answered without what was asked"


class SigningAnswers:
    """Turns answers into events of sessions.

    Args:
        sessions: The open ones.
        terms: Who is ready.
        voters: Under which key a word is a signer's.
        now_ms: Milliseconds that never go back.
    """

    def __init__(self, sessions: OpenSessions, *, terms: Terms, voters: Voters, now_ms: Callable[[], int]) -> None:
        self._sessions = sessions
        self._terms = terms
        self._voters = voters
        self._now_ms = now_ms

    def committed(self, signer: str, asked: Iterable[int], results: Iterable[pb.CommitmentResult]) -> None:
        """Take the commitments, or refusals, that came from a signer; it was asked for those of these plans."""
        asked = dict.fromkeys(asked)
        answered: set[int] = set()
        for result in first_of_each(results, asked):
            session = self._sessions.find(result.entry_index)
            if session is None:
                continue
            answered.add(result.entry_index)
            if result.WhichOneof("outcome") == "commitments":
                signed = signed_of(result.commitments)
                arrived = CommitmentsArrived(signer=signer, signed=signed, now_ms=self._now_ms())
                self._sessions.step(session, arrived)
            elif result.WhichOneof("outcome") == "refusal":
                self._refused(session, signer, result.refusal)
        self._left_unanswered(signer, asked, answered)

    def commitments_answered(
        self, link: SignerLink, asked: tuple[int, ...], future: asyncio.Future[pb.LinkRequest]
    ) -> None:
        """Take the answer to a request for commitments."""
        answer = self._answer(link, asked, future)
        if answer is not None:
            self.committed(link.signer, asked, answer.committed.results)

    def shares_answered(self, link: SignerLink, asked: tuple[int, ...], future: asyncio.Future[pb.LinkRequest]) -> None:
        """Take the answer to a request for shares."""
        answer = self._answer(link, asked, future)
        if answer is None:
            return
        answered: set[int] = set()
        for result in first_of_each(answer.released.results, dict.fromkeys(asked)):
            session = self._sessions.find(result.entry_index)
            if session is None:
                continue
            answered.add(result.entry_index)
            if result.WhichOneof("outcome") == "shares":
                self._sessions.step(session, self._shares(link.signer, result))
            elif result.WhichOneof("outcome") == "refusal":
                self._refused(session, link.signer, result.refusal)
        self._left_unanswered(link.signer, asked, answered)

    def _shares(self, signer: str, result: pb.ShareResult) -> SharesArrived:
        more = signed_of(result.next_commitments) if result.HasField("next_commitments") else None
        signed = signed_of(result.shares)
        return SharesArrived(signer=signer, signed=signed, next_commitments=more, now_ms=self._now_ms())

    def _answer(
        self, link: SignerLink, asked: tuple[int, ...], future: asyncio.Future[pb.LinkRequest]
    ) -> pb.LinkRequest | None:
        """The frame that came; when the whole request failed, the holder is passed over."""
        if future.cancelled():
            return None
        try:
            return future.result()
        except LinkBroken:
            return None
        except StrongroomError as error:
            log.warning("signing.request_failed", signer=link.signer, reason=error.reason, message=error.message)
            link.given = (0, 0)
            self._sessions.passed_over(link, list(asked))
            return None

    def _left_unanswered(self, signer: str, asked: Iterable[int], answered: set[int]) -> None:
        """An answer came without what was asked for some plans: nobody waits for it."""
        for index in asked:
            if index not in answered and (session := self._sessions.find(index)) is not None:
                log.warning("signing.answer_incomplete", signer=signer, plan=session.plan_hash.hex())
                lacking = RefusalArrived(signer=signer, refusal=INCOMPLETE, now_ms=self._now_ms())
                self._sessions.step(session, lacking)

    def _refused(self, session: SigningSession, signer: str, message: Any) -> None:
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
            self._sessions.passed_over(link, [session.index])
            return
        self._sessions.step(session, RefusalArrived(signer=signer, refusal=line, now_ms=self._now_ms()))
