"""What happens to a key generation attempt, and what it wants done: see `keygen_coordinator`."""

from __future__ import annotations

from dataclasses import dataclass

from strongroom.ledger.entry_messages import Vault
from strongroom.protocol.keygen import Fault

__all__ = [
    "AskRound1",
    "AskTrialNonces",
    "AskTrialShares",
    "AttemptFailed",
    "Command",
    "ComplaintArrived",
    "DeadlinePassed",
    "Event",
    "Generated",
    "HolderEvent",
    "HolderFailed",
    "Investigate",
    "Round1Arrived",
    "Round2Arrived",
    "SendFinish",
    "SendRound2",
    "StatementArrived",
    "Subset",
    "TrialNonceArrived",
    "TrialShareArrived",
    "VerdictArrived",
]

Subset = tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Round1Arrived:
    """ChillDKG's first message of a holder, 33t + 32n + 97 bytes."""

    signer: str
    message: bytes
    now_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Round2Arrived:
    """A holder's signature over the transcript, 64 bytes."""

    signer: str
    message: bytes
    now_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ComplaintArrived:
    """The share that a holder was dealt does not match the commitments, as it saw both.

    Attributes:
        encrypted_share: The sum of encrypted shares that it was sent, 32 bytes.
        pubshare: The public share that the commitments it was sent give it, 33 bytes.
    """

    signer: str
    encrypted_share: bytes
    pubshare: bytes
    now_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictArrived:
    """What a holder found in its investigation; `suspect` is the participant it names, if it names one."""

    signer: str
    fault: Fault
    suspect: int | None
    now_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementArrived:
    """A holder's signature under its VaultStatement, 64 bytes, and the hash of the recovery data it computed."""

    signer: str
    signature: bytes
    recovery_hash: bytes
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
    """A holder refused or broke off, or its link is gone."""

    signer: str
    failure: str
    now_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadlinePassed:
    """Time passed."""

    now_ms: int


HolderEvent = (
    Round1Arrived
    | Round2Arrived
    | ComplaintArrived
    | VerdictArrived
    | StatementArrived
    | TrialNonceArrived
    | TrialShareArrived
    | HolderFailed
)
Event = HolderEvent | DeadlinePassed


@dataclass(frozen=True, slots=True, kw_only=True)
class AskRound1:
    """Ask every holder for its first message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SendRound2:
    """Send every holder the coordinator's first message, 162n + 33(t - 1) bytes."""

    message: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Investigate:
    """Send a holder that complained its investigation message, 65n bytes; it is not confidential."""

    signer: str
    message: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class SendFinish:
    """Send every holder the certificate, 64n bytes."""

    message: bytes


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
class Generated:
    """Done: the body of the vault's entry, and the recovery data that belongs to it."""

    vault: Vault
    recovery: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptFailed:
    """The attempt is over; the next has a higher number.

    Attributes:
        failure: What happened.
        suspects: The holders that are named. In front of others this proves nothing.
        fault: How far it is proven, and to whom.
        found_by: The holder that found it; empty when the coordinator did.
    """

    failure: str
    suspects: tuple[str, ...]
    fault: Fault = Fault.UNPROVEN
    found_by: str = ""


Command = (
    AskRound1 | SendRound2 | Investigate | SendFinish | AskTrialNonces | AskTrialShares | Generated | AttemptFailed
)
