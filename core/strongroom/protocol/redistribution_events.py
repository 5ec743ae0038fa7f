"""What happens to a redistribution, and what it wants done: see `redistribution_coordinator`.

Every command names who is asked. Each of them answers with one event: what it was asked for, or `HolderFailed`.
"""

from __future__ import annotations

from dataclasses import dataclass

from strongroom.ledger.entry_messages import Trial, VaultSignature
from strongroom.protocol.keygen import MadeKey
from strongroom.protocol.signed import SignedBody
from strongroom.protocol.trials import Subset

__all__ = [
    "AskDealing",
    "AskTrialNonces",
    "AskTrialShares",
    "Blame",
    "Command",
    "Completed",
    "DeadlinePassed",
    "DealingArrived",
    "Disputed",
    "Event",
    "Failed",
    "HolderEvent",
    "HolderFailed",
    "HolderReady",
    "SendDealings",
    "StatementArrived",
    "TrialNonceArrived",
    "TrialShareArrived",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class DealingArrived:
    """An old holder dealt: a signed body of kind `dealing`, at most 131,072 bytes."""

    signer: str
    dealing: SignedBody
    now_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementArrived:
    """A new holder has its share: its signature under its EpochStatement (64 bytes), and what that is about."""

    signer: str
    recovery_hash: bytes
    key_hash: bytes
    signature: bytes
    now_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Disputed:
    """A new holder found these dealers' dealings to be wrong."""

    signer: str
    dealers: tuple[str, ...]
    now_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialNonceArrived:
    """A holder's public nonce for the trial of one subset, 66 bytes."""

    signer: str
    subset: Subset
    nonce: bytes
    now_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialShareArrived:
    """A holder's share of one trial signature, 32 bytes."""

    signer: str
    subset: Subset
    share: bytes
    now_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HolderFailed:
    """A holder refused what it was asked last, was silent for too long, or its link is gone."""

    signer: str
    failure: str
    now_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HolderReady:
    """A holder's link is up: what it failed to do is asked again at once."""

    signer: str
    now_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadlinePassed:
    """Time passed."""

    now_ms: int


HolderEvent = (
    DealingArrived | StatementArrived | Disputed | TrialNonceArrived | TrialShareArrived | HolderFailed | HolderReady
)
Event = HolderEvent | DeadlinePassed


@dataclass(frozen=True, slots=True, kw_only=True)
class AskDealing:
    """Ask these old holders to deal."""

    signers: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SendDealings:
    """Send these new holders all the dealings that count; they state, or dispute."""

    signers: tuple[str, ...]
    dealings: tuple[SignedBody, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AskTrialNonces:
    """Ask the members of a subset, named in participant order, for nonces."""

    subset: Subset
    signers: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AskTrialShares:
    """Ask the members of a subset for shares under these nonces, in the same order."""

    subset: Subset
    signers: tuple[str, ...]
    nonces: tuple[bytes, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Blame:
    """A dealer signed a dealing that everybody sees to be malformed: it convicts its key; its dealing is left out.

    Attributes:
        dealer: Its name.
        dealing: The signed body.
    """

    dealer: str
    dealing: SignedBody


@dataclass(frozen=True, slots=True, kw_only=True)
class Completed:
    """Done: everything that the epoch's entry holds, and the recovery data that belongs to it."""

    made: MadeKey
    statements: tuple[VaultSignature, ...]
    """Of all new holders that had to state, in participant order."""
    trials: tuple[Trial, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """The attempt cannot end any more; the next has a higher number.

    Attributes:
        failure: What happened.
        suspects: The holders that are named; nothing is proven to anybody else than who found it.
    """

    failure: str
    suspects: tuple[str, ...]


Command = AskDealing | SendDealings | AskTrialNonces | AskTrialShares | Blame | Completed | Failed
