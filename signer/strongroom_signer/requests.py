"""What the coordinator asks of a signer, as frozen values. `frames` makes them and checks every length."""

from __future__ import annotations

from dataclasses import dataclass

from strongroom.ledger.certificate_messages import Certificate
from strongroom.protocol.signed import SignedBody

__all__ = [
    "Append",
    "Certify",
    "Commit",
    "Deal",
    "EpochTrialCommit",
    "EpochTrialSign",
    "Explain",
    "FetchBatches",
    "FetchRecovery",
    "KeygenFinish",
    "KeygenInvestigate",
    "KeygenRound1",
    "KeygenRound2",
    "LogBatch",
    "OfEpoch",
    "OpenTerm",
    "Promise",
    "Receive",
    "Release",
    "Request",
    "SigningSet",
    "TrialCommit",
    "TrialSign",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class LogBatch:
    """One batch of the log; `certificate` is canonical bytes, empty when only a later head was certified."""

    first_index: int
    entries: tuple[bytes, ...]
    certificate: bytes

    @property
    def size(self) -> int:
        """Entries of the log after it."""
        return self.first_index + len(self.entries)


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """Asks for a NEWTERM statement."""

    term: int
    leader: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenTerm:
    """Opens a term with w statements and the highest certificate among them."""

    term: int
    statements: tuple[SignedBody, ...]
    base_certificate: Certificate | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Append:
    """Round 1: a batch to store and vote for, and plans to commit nonces for."""

    term: int
    first_index: int
    entries: tuple[bytes, ...]
    root: bytes
    certificate: Certificate | None
    commit_for: tuple[int, ...]
    recovery_data: tuple[bytes, ...] = ()

    @property
    def size(self) -> int:
        """Entries of the log after the batch."""
        return self.first_index + len(self.entries)


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """Asks for nonce commitments to plans that are in the log."""

    term: int
    entry_indexes: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningSet:
    """One plan, by its place in the log, and the signed commitments of everyone who is to sign it."""

    entry_index: int
    commitments: tuple[SignedBody, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """Round 2: a certificate, and the plans to give signature shares for."""

    certificate: Certificate | None
    sets: tuple[SigningSet, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Certify:
    """Hands over a certificate."""

    certificate: Certificate


@dataclass(frozen=True, slots=True, kw_only=True)
class KeygenRound1:
    """Opens an attempt at the key generation that a final order asks for."""

    order_hash: bytes
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class KeygenRound2:
    """ChillDKG's first coordinator message."""

    order_hash: bytes
    attempt: int
    message: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class KeygenInvestigate:
    """ChillDKG's investigation message for this signer."""

    order_hash: bytes
    attempt: int
    message: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class KeygenFinish:
    """ChillDKG's certificate."""

    order_hash: bytes
    attempt: int
    message: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialCommit:
    """Asks for a nonce for the trial signature of one subset."""

    order_hash: bytes
    attempt: int
    signers: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialSign:
    """Asks for a share of the trial signature of one subset; nonces are 66 bytes each, in the order of the signers."""

    order_hash: bytes
    attempt: int
    signers: tuple[int, ...]
    nonces: tuple[bytes, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Explain:
    """Asks for this signer's own view of an order."""

    order_hash: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchBatches:
    """Asks for batches of the log: entries `first_index` to `end_index - 1`."""

    first_index: int
    end_index: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchRecovery:
    """Asks for recovery data by its SHA-256."""

    hashes: tuple[bytes, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class OfEpoch:
    """What every request about new shares names: the order, the vault, and the attempt."""

    order_hash: bytes
    vault: str
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Deal(OfEpoch):
    """Asks an old holder to share its share among the new ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Receive(OfEpoch):
    """Gives a new holder what was dealt, each signed by its dealer."""

    dealings: tuple[SignedBody, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochTrialCommit(OfEpoch):
    """Asks a new holder for a nonce for the trial of one subset."""

    signers: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochTrialSign(OfEpoch):
    """Asks a new holder for its share of one trial; nonces are 66 bytes each, in the order of the signers."""

    signers: tuple[int, ...]
    nonces: tuple[bytes, ...]


Request = (
    Promise
    | OpenTerm
    | Append
    | Commit
    | Release
    | Certify
    | KeygenRound1
    | KeygenRound2
    | KeygenInvestigate
    | KeygenFinish
    | TrialCommit
    | TrialSign
    | Explain
    | FetchBatches
    | FetchRecovery
    | Deal
    | Receive
    | EpochTrialCommit
    | EpochTrialSign
)
