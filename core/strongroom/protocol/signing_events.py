"""What happens to a signing session, and what the session wants done: see `signing`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from strongroom.model.ids import SignerName
from strongroom.protocol.release import ShareEvidence
from strongroom.protocol.signed import SignedBody

__all__ = [
    "AskCommitments",
    "AskShares",
    "Blame",
    "Command",
    "CommitmentsArrived",
    "DeadlinePassed",
    "Demote",
    "Event",
    "Failed",
    "PlanCertified",
    "RefusalArrived",
    "SharesArrived",
    "Signed",
    "SignerGone",
    "SignerReturned",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitmentsArrived:
    """A holder committed, asked or not."""

    signer: str
    signed: SignedBody
    now_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SharesArrived:
    """A holder gave shares, and its next commitments unless it had a reason not to."""

    signer: str
    signed: SignedBody
    next_commitments: SignedBody | None
    now_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusalArrived:
    """A holder refused commitments or shares; it is not asked again in this session."""

    signer: str
    refusal: str
    now_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SignerGone:
    """The link to a holder broke: its nonces are gone."""

    signer: str
    now_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SignerReturned:
    """A holder has a link again."""

    signer: str
    now_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanCertified:
    """A certificate covers the plan: signers give shares for it from now on. `busy` as in DeadlinePassed."""

    now_ms: int
    busy: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadlinePassed:
    """Time passed.

    Attributes:
        busy: Holders that are at work on what they were asked before, in turn; they are waited for longer.
    """

    now_ms: int
    busy: frozenset[str] = frozenset()


Event = (
    CommitmentsArrived | SharesArrived | RefusalArrived | SignerGone | SignerReturned | PlanCertified | DeadlinePassed
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AskCommitments:
    """Ask these holders for commitments to the plan, and step with `DeadlinePassed` when the hedge is over."""

    signers: tuple[SignerName, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AskShares:
    """Send the members of the set all its commitments, and step with `DeadlinePassed` when the hedge is over."""

    signers: tuple[SignerName, ...]
    commitments: tuple[SignedBody, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Demote:
    """Ask others first for the next plans: these were late, left, refused or misbehaved. It blames nobody."""

    signers: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Blame:
    """Keep this: it proves a wrong share."""

    evidence: ShareEvidence


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """Done: one verified BIP340 signature (64 bytes) per input, and whose shares made them."""

    signatures: tuple[bytes, ...]
    signers: tuple[SignerName, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """Done: fewer than t holders are left that did not refuse or misbehave. Reasons by holder."""

    reasons: Mapping[str, str]


Command = AskCommitments | AskShares | Demote | Blame | Signed | Failed
