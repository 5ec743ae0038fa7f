"""What the money path hands on from step to step, and its answers."""

from __future__ import annotations

from dataclasses import dataclass

from strongroom.crypto.secret import SecretScalar
from strongroom.ledger.order_messages import Withdraw
from strongroom.ledger.records import PlanRecord, VaultRecord
from strongroom.protocol.release import SigningSet
from strongroom.protocol.signed import SignedBody
from strongroom.protocol.signing_task import SigningTask
from strongroom_signer.nonces import OpenNonces

__all__ = ["Approved", "Committed", "Ready", "Released"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Committed:
    """Commitments for one plan, or a signed refusal."""

    entry_index: int
    commitments: SignedBody | None = None
    refusal: SignedBody | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Released:
    """Shares for one plan with the next commitments for a retry, or a signed refusal."""

    entry_index: int
    shares: SignedBody | None = None
    next_commitments: SignedBody | None = None
    refusal: SignedBody | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Approved:
    """A plan that passed everything that is judged before nonces are looked at."""

    entry_index: int
    plan: PlanRecord
    vault: VaultRecord
    task: SigningTask
    payments: tuple[tuple[bytes, Withdraw], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """A plan whose share may leave once the mark is on disk."""

    approved: Approved
    chosen: SigningSet
    nonces: OpenNonces
    share: SecretScalar
