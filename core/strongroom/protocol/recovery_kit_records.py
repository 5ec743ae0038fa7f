"""What the parties of a sweep by the recovery kit say to each other: the plan, and both rounds of signing.

Canonical bytes like those of the ledger, documented for other languages in
proto/strongroom/ledger/v1/recovery_kit.proto.

Spec: docs/protocol/recovery-kit.md.
"""

from __future__ import annotations

import hashlib
from typing import Final

from strongroom.ledger import codec
from strongroom.ledger.codec import message
from strongroom.ledger.entry_messages import PlanInput
from strongroom.ledger.order_messages import MAX_HOLDERS
from strongroom.ledger.signed_messages import MAX_INPUTS_PER_PLAN, KeyMaterial
from strongroom.model.ids import PlanHash

__all__ = ["MAX_SWEEP_PLAN_BYTES", "SweepCommitments", "SweepPlan", "SweepShares", "sweep_plan_hash"]

MAX_SWEEP_PLAN_BYTES: Final = 131_072
"""Room for 1,700 inputs and 100 holders."""


@message
class SweepPlan:
    """An unsigned transaction that moves coins of a vault to the address of an order, and who signs it.

    It carries the public side of the key, so that whoever combines the shares needs nothing else.
    """

    log_id: bytes = codec.fixed(1, 32)
    order_hash: bytes = codec.fixed(2, 32)
    vault: str = codec.name(3)
    chain: str = codec.text(4, max_length=64)
    """CAIP-2 chain id."""
    epoch: int = codec.u64(5)
    holders: tuple[str, ...] = codec.repeated_name(6, minimum=1, maximum=MAX_HOLDERS)
    """Of this epoch, in participant order: the position is the BIP-445 identifier."""
    key: KeyMaterial = codec.embedded(7, KeyMaterial)
    signers: tuple[int, ...] = codec.repeated_u64(8, minimum=1, maximum=MAX_HOLDERS)
    """BIP-445 identifiers of those who sign, ascending, as many as the threshold."""
    inputs: tuple[PlanInput, ...] = codec.repeated(9, PlanInput, minimum=1, maximum=MAX_INPUTS_PER_PLAN)
    destination: str = codec.text(10, max_length=128)
    amount_sat: int = codec.u64(11)
    """Of the one output: everything but the fee."""


@message
class SweepCommitments:
    """Kind `sweep-commitments`: nonce commitments of one holder for one plan, 66 bytes for each input (BIP-445)."""

    log_id: bytes = codec.fixed(1, 32)
    plan_hash: bytes = codec.fixed(2, 32)
    session: bytes = codec.fixed(3, 16)
    """Random: names this set of nonces, which signs once."""
    nonces: tuple[bytes, ...] = codec.repeated_fixed(4, 66, minimum=1, maximum=MAX_INPUTS_PER_PLAN)
    signer: str = codec.name(5)


@message
class SweepShares:
    """Kind `sweep-shares`: signature shares of one holder, one per input (32 bytes each), over their context."""

    log_id: bytes = codec.fixed(1, 32)
    plan_hash: bytes = codec.fixed(2, 32)
    session: bytes = codec.fixed(3, 16)
    """Of the own commitments."""
    commitments_hashes: tuple[bytes, ...] = codec.repeated_fixed(4, 32, minimum=1, maximum=MAX_HOLDERS)
    """SHA-256 of the commitments' body of each who signs, in participant order: all that the shares are bound to, and
    one by one, so that words of two holders who were shown different ones say whose were different."""
    shares: tuple[bytes, ...] = codec.repeated_fixed(5, 32, minimum=1, maximum=MAX_INPUTS_PER_PLAN)
    signer: str = codec.name(6)


def sweep_plan_hash(data: bytes) -> PlanHash:
    """The hash that names a plan: SHA-256 of its canonical bytes (32 bytes)."""
    return PlanHash(hashlib.sha256(data).digest())
