"""Making a vault's key: one attempt of ChillDKG, the holders' statements, and trial signatures.

All holders take part, and all must answer: a failure, or 30 s of silence, ends the attempt, and the next one has a
higher number and fresh randomness. Nothing of an attempt is stored. When the vault's entry is final, every holder
computes its share again from its host key and the public recovery data beside the log, so that a kill at any step is
harmless.

The trial signature is the only signature a holder gives without a plan. Its message follows from the own log, the
transcript and the subset alone, and the signer computes it itself.

This module holds what both sides share; `keygen_participant` and `keygen_coordinator` are the two machines.

Spec: ChillDKG; design, "Keys".
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final, Protocol

from strongroom.crypto import frost
from strongroom.crypto.chilldkg import DKGOutput, SessionParams
from strongroom.ledger.key_material import key_hash, public_shares, trial_message
from strongroom.ledger.recovery import key_of_generation, recovery_hash, recovery_of_generation
from strongroom.ledger.signed_messages import KeyMaterial, VaultStatement
from strongroom.model.errors import Kind, StrongroomError
from strongroom.model.ids import LogId, OrderHash

__all__ = [
    "SILENCE_MS",
    "Fault",
    "KeyOrder",
    "KeygenRefused",
    "KeygenTerms",
    "MadeKey",
    "proven",
    "session_id",
    "trial_of",
    "trial_session",
]

SILENCE_MS: Final = 30_000
"""How long either side waits for the other before the attempt is over."""


class KeygenRefused(StrongroomError):
    """A message does not fit the attempt it came for: stale, out of order, or malformed. Start a new attempt."""

    reason = "KEYGEN_REFUSED"
    kind = Kind.FAILED_PRECONDITION


class Fault(Enum):
    """How far it is proven who ended an attempt. Whatever is proven, it is proven to one party only."""

    UNPROVEN = "unproven"
    """Silence, a refusal, a broken link: nobody is proven anything."""
    HOLDER = "holder"
    """The coordinator got something wrong from a holder over its authenticated link."""
    HOLDER_OR_COORDINATOR = "holder or coordinator"
    """A holder got something wrong that another one made, unless the coordinator changed it on the way."""
    COORDINATOR = "coordinator"
    """A holder got values from the coordinator that contradict each other."""
    OWN_MACHINE = "own machine"
    """A holder found that it computes wrongly itself."""


def proven(fault: Fault, suspects: Sequence[str], found_by: str) -> str:
    """What is proven, and to whom, in one sentence for people.

    Args:
        fault: How far.
        suspects: The holders that are named.
        found_by: The holder that found it; empty when the coordinator did.
    """
    named = ", ".join(suspects) or "somebody"
    match fault:
        case Fault.UNPROVEN:
            return "nothing is proven"
        case Fault.HOLDER:
            return f"proven to the coordinator alone: {named} is at fault"
        case Fault.HOLDER_OR_COORDINATOR:
            return (
                f"proven to {found_by} alone: {named} is at fault, or the coordinator; "
                f"the coordinator can tell no more than that {named} is, or {found_by}"
            )
        case Fault.COORDINATOR:
            return (
                f"proven to {found_by} alone: the coordinator is at fault; "
                f"if it is not, the coordinator knows that {found_by} is"
            )
        case Fault.OWN_MACHINE:
            return f"proven to {found_by} alone: its own machine computes wrongly"


class KeyOrder(Protocol):
    """What a key or an epoch is made for: the terms of a key generation, or those of a redistribution."""

    @property
    def log_id(self) -> LogId:
        """The log, 32 bytes."""

    @property
    def order_hash(self) -> OrderHash:
        """The order, 32 bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeygenTerms:
    """What an attempt generates: taken by each side from its own log and charter, never from a request.

    Attributes:
        log_id: The log.
        order_hash: The final and approved CreateVault order.
        attempt: 1 and rising.
        signers: Holders in participant order.
        host_keys: Host public key of each, 33 bytes, as the charter has it.
        threshold: How many of them sign.
    """

    log_id: LogId
    order_hash: OrderHash
    attempt: int
    signers: tuple[str, ...]
    host_keys: tuple[bytes, ...]
    threshold: int

    @property
    def params(self) -> SessionParams:
        """ChillDKG's session parameters."""
        return SessionParams(hostpubkeys=self.host_keys, t=self.threshold)

    def statement(self, signer: str, made: MadeKey) -> VaultStatement:
        """The statement of one holder about the generated key."""
        return VaultStatement(
            log_id=self.log_id,
            order_hash=self.order_hash,
            recovery_hash=made.recovery_hash,
            key_hash=key_hash(made.key),
            signer=signer,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeKey:
    """What a key generation gave, without anybody's share.

    Attributes:
        key: The public side of the key.
        recovery: The recovery data, as it lies beside the log.
    """

    key: KeyMaterial
    recovery: bytes

    @classmethod
    def of(cls, output: DKGOutput, params: SessionParams, data: bytes) -> MadeKey:
        """From what ChillDKG gives; `data` is its recovery data.

        Raises:
            RecoveryDataError: the recovery data is not certified.
        """
        return cls(key=key_of_generation(output, params, data), recovery=recovery_of_generation(data))

    @property
    def recovery_hash(self) -> bytes:
        """SHA-256 of the recovery data, 32 bytes: what statements and trials are about."""
        return recovery_hash(self.recovery)


def session_id(terms: KeygenTerms) -> bytes:
    """SHA-256 over log id, order hash and attempt number (4 bytes big-endian); names an attempt, 32 bytes."""
    return hashlib.sha256(terms.log_id + terms.order_hash + terms.attempt.to_bytes(4, "big")).digest()


def trial_of(terms: KeyOrder, made: MadeKey, subset: tuple[int, ...]) -> bytes:
    """The 32 bytes that a subset signs to try a key that was made under these terms."""
    return trial_message(terms.log_id, terms.order_hash, made.recovery_hash, subset)


def trial_session(
    terms: KeyOrder,
    made: MadeKey,
    subset: tuple[int, ...],
    nonces: Sequence[bytes],
) -> frost.Session:
    """The signing session of one trial: the untweaked group key, and the message of `trial_of`.

    Raises:
        InvalidInput: the number of nonces is not that of the subset.
        InvalidContribution: the nonce at `signer_index` is no pair of points.
    """
    shares = public_shares(made.key)
    context = frost.SignersContext(
        n=len(shares),
        t=made.key.threshold,
        ids=subset,
        pubshares=tuple(shares[identifier] for identifier in subset),
        thresh_pk=made.key.commitments[0],
    )
    return frost.Session.from_public_nonces(nonces, context, (), trial_of(terms, made, subset))
