"""One plan while it is being signed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from strongroom.chains.bitcoin.spend import Spend
from strongroom.protocol import signing
from strongroom_coordinator.link import SignerLink
from strongroom_coordinator.signing_words import SigningWords

__all__ = ["OpenSessions", "SigningSession"]


@dataclass(slots=True, eq=False)
class SigningSession:
    """The session of one plan."""

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


class OpenSessions(Protocol):
    """The sessions of a term, as those see them who read what signers answer."""

    def find(self, index: int) -> SigningSession | None:
        """The open session of the plan at this entry index."""
        ...

    def step(self, session: SigningSession, happened: signing.Event) -> None:
        """Let something happen to a session; nothing does to one that has ended."""
        ...

    def passed_over(self, link: SignerLink, asked: list[int]) -> None:
        """No answer about these plans will come to what was asked; the signer is asked again a moment later."""
        ...
