"""What holders say in a signing session, held against the evidence: whose words are taken, and which prove a fault."""

from __future__ import annotations

from dataclasses import replace

from strongroom.ledger.entry_messages import Plan
from strongroom.model.ids import SignerName
from strongroom.protocol import signing
from strongroom.protocol.release import ShareEvidence
from strongroom.protocol.signed import SignedBody
from strongroom.protocol.signing_events import CommitmentsArrived, SharesArrived, SignerReturned
from strongroom.protocol.signing_task import BadContribution
from strongroom_coordinator.evidence_book import EvidenceBook

__all__ = ["SigningWords"]


class SigningWords:
    """The words of one session.

    Attributes:
        takes_all: Whether quarantined holders are asked too: a wrong share can only delay, and nobody else is left.
    """

    def __init__(self, evidence: EvidenceBook, plan: Plan, *, takes_all: bool) -> None:
        self._evidence = evidence
        self._plan = plan
        self._committed: dict[str, SignedBody] = {}
        self.takes_all = takes_all

    def admitted(self, event: signing.Event) -> signing.Event | None:
        """The event, without what would bring a quarantined holder into the session."""
        if self.takes_all or not isinstance(event, CommitmentsArrived | SharesArrived | SignerReturned):
            return event
        if self._evidence.quarantined(event.signer) is None:
            return event
        return replace(event, next_commitments=None) if isinstance(event, SharesArrived) else None

    def blamed(self, said: ShareEvidence) -> None:
        """The session found a wrong share."""
        self._evidence.wrong_share(self._plan, said)

    def heard(self, event: signing.Event, before: signing.SigningState, after: signing.SigningState) -> None:
        """See whether what a holder was left out for is proven by its own signature; most of it proves nothing."""
        if isinstance(event, CommitmentsArrived):
            self._committed[event.signer] = event.signed
        elif isinstance(event, SharesArrived) and event.next_commitments is not None:
            self._committed[event.signer] = event.next_commitments
        for name, reason in after.out.items():
            if name in before.out or reason != BadContribution.reason:
                continue
            if name in self._committed:
                self._evidence.bad_commitments(name, self._plan, self._committed[name])
            if isinstance(event, SharesArrived) and event.signer == name:
                self._shares_out_of_form(SignerName(name), event.signed, before)

    def _shares_out_of_form(self, signer: SignerName, shares: SignedBody, before: signing.SigningState) -> None:
        for item in before.sets:
            if item.waits_for(signer):
                commitments = tuple(each.signed for each in item.chosen.commitments)
                said = ShareEvidence(signer=signer, shares=shares, commitments=commitments)
                self._evidence.wrong_share(self._plan, said, is_certain=False)
