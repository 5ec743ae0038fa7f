"""What signers claimed in their votes to have held, where an auditor's own replay shows that it never was."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any

from strongroom.ledger.certificate_messages import CertificateVote

__all__ = ["FalseClaim", "FalseClaims", "claim_words", "claims_data"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FalseClaim:
    """One signer's votes that name certificates which are not of this history.

    Whoever used its vote key lied, or the signer is defective; about the log they show nothing.

    Attributes:
        signer: Its name at the time.
        votes: How many.
        size: The head that the first of them is for.
        claimed_size: Where the certificate would be that it names.
    """

    signer: str
    votes: int
    size: int
    claimed_size: int


class FalseClaims:
    """Counts them, by signer: there may be one in every certificate of a log."""

    def __init__(self) -> None:
        self._found: dict[str, FalseClaim] = {}

    def add(self, size: int, votes: Iterable[CertificateVote]) -> None:
        """Count the false votes of one certificate, for a head of `size` entries."""
        for vote in votes:
            first = FalseClaim(signer=vote.signer, votes=0, size=size, claimed_size=vote.held_size)
            counted = self._found.get(vote.signer, first)
            self._found[vote.signer] = replace(counted, votes=counted.votes + 1)

    def all(self) -> tuple[FalseClaim, ...]:
        """What was found, by name."""
        return tuple(self._found[name] for name in sorted(self._found))


def claim_words(claims: Iterable[FalseClaim]) -> list[str]:
    """The same for people."""
    return [
        f"FALSE: the vote of {one.signer} for size {one.size} names a certificate of size {one.claimed_size} that is "
        "not of this history"
        + (f", and so do {one.votes - 1} later ones of it" if one.votes > 1 else "")
        + ". Its machine or its key is not to be trusted; what the log holds is not touched by it."
        for one in claims
    ]


def claims_data(claims: Iterable[FalseClaim]) -> list[dict[str, Any]]:
    """The same for programs."""
    return [asdict(one) for one in claims]
