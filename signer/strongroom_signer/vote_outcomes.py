"""What can come of a batch or a certificate: a vote, a signed refusal, or something to fetch first."""

from __future__ import annotations

from dataclasses import dataclass

from strongroom.ledger.certificate_messages import Certificate, Head
from strongroom.model.errors import Kind, StrongroomError
from strongroom.protocol.signed import SignedBody

__all__ = ["BatchRefused", "EntriesMissing", "NotOurBatch", "Voted"]


class EntriesMissing(StrongroomError):
    """The signer must fetch entries below a certified head before it can answer."""

    reason = "BEHIND"
    kind = Kind.FAILED_PRECONDITION

    def __init__(self, certificate: Certificate) -> None:
        super().__init__(f"entries below {certificate.head.size} are not stored here yet: they are being fetched")
        self.certificate = certificate

    @property
    def target(self) -> Head:
        """The head whose entries are lacking."""
        return self.certificate.head


class NotOurBatch(StrongroomError):
    """The batch does not follow what this signer stores, or has not the root that the coordinator says."""

    reason = "BATCH_DOES_NOT_FOLLOW"
    kind = Kind.FAILED_PRECONDITION


class BatchRefused(StrongroomError):
    """The signer does not vote for a batch, and signs why."""

    reason = "BATCH_REFUSED"
    kind = Kind.FAILED_PRECONDITION

    def __init__(self, refusal: SignedBody, code: str, message: str) -> None:
        super().__init__(message)
        self.refusal = refusal
        self.code = code


@dataclass(frozen=True, slots=True, kw_only=True)
class Voted:
    """A vote, and the cosignature of a newer final head if there is one."""

    vote: SignedBody
    cosignature: str
