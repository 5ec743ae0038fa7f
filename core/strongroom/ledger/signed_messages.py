"""What people and signers sign, each under its own kind.

As all messages of the ledger these are canonical bytes, documented for other languages in proto/strongroom/ledger/v1.
Whoever signs, signs the encoded body under DSSE pre-authentication encoding (`pae.pae(kind, body)`), and the first
field of every signed body is the 32-byte log id. Amounts are positive integers in the asset's smallest unit, times
are unsigned Unix milliseconds, hashes are SHA-256.
"""

from __future__ import annotations

from enum import IntEnum

from strongroom.ledger import codec
from strongroom.ledger.codec import message
from strongroom.ledger.order_messages import MAX_HOLDERS, Scope

__all__ = [
    "MAX_INPUTS_PER_PLAN",
    "Adopt",
    "Commitments",
    "Dealing",
    "DealingTerms",
    "Endorsement",
    "EpochStatement",
    "FreezeStatement",
    "KeyMaterial",
    "KeyType",
    "NewTerm",
    "Refusal",
    "ReinstateStatement",
    "RestartApproval",
    "Shares",
    "Signed",
    "VaultStatement",
    "Verb",
    "Verdict",
    "View",
    "Vote",
]

MAX_INPUTS_PER_PLAN = 1_700


class Verb(IntEnum):
    """What a person says of an order."""

    INITIATE = 1
    APPROVE = 2
    REJECT = 3


class KeyType(IntEnum):
    """Kinds of person keys. Numbers 2 and up are kept for P-256 (WebAuthn, PIV)."""

    ED25519 = 1


@message
class Adopt:
    """Kind `adopt`: an administrator adopts the genesis charter, whose hash is the log id."""

    log_id: bytes = codec.fixed(1, 32)
    person: str = codec.name(2)
    key: bytes = codec.fixed(3, 32)


@message
class RestartApproval:
    """Kind `restart`: an administrator founds the log anew as a statement says."""

    log_id: bytes = codec.fixed(1, 32)
    """In force before."""
    statement_hash: bytes = codec.fixed(2, 32)
    """SHA-256 of the canonical RestartStatement."""
    person: str = codec.name(3)
    key: bytes = codec.fixed(4, 32)


@message
class Endorsement:
    """Kind `endorsement`: a person initiates, approves or rejects one order."""

    log_id: bytes = codec.fixed(1, 32)
    verb: Verb = codec.enum(2, Verb)
    order_hash: bytes = codec.fixed(3, 32)
    head_size: int = codec.u64(4)
    """Newest final head its author saw: size (at least 1) and Merkle root of the log at that size."""
    head_root: bytes = codec.fixed(5, 32)
    expires_ms: int = codec.u64(6)
    """At most 7 days after the log time at which it is accepted."""
    person: str = codec.name(7)
    key: bytes = codec.fixed(8, 32)


@message
class Signed:
    """One signed body. The kind and the author are known from the place it stands in and from the body itself."""

    body: bytes = codec.data(1, max_length=4_096)
    signature: bytes = codec.fixed(2, 64)


@message
class Vote:
    """Kind `vote`: this head follows, in this term, from what its author holds. The signer is named beside it."""

    log_id: bytes = codec.fixed(1, 32)
    term: int = codec.u64(2)
    size: int = codec.u64(3)
    root: bytes = codec.fixed(4, 32)
    state_digest: bytes = codec.fixed(5, 32)
    held_term: int = codec.u64(6)
    """Highest certificate its author holds: term, size and head hash; 0, 0 and absent when there is none."""
    held_size: int = codec.u64(7)
    held_head: bytes = codec.fixed(8, 32, optional=True)


@message
class NewTerm:
    """Kind `newterm`: its author will never again vote, or accept a certificate, in a term below this one."""

    log_id: bytes = codec.fixed(1, 32)
    term: int = codec.u64(2)
    leader: bytes = codec.fixed(3, 16)
    """Random, one per coordinator process."""
    boot_id: bytes = codec.fixed(4, 16)
    held_term: int = codec.u64(5)
    held_size: int = codec.u64(6)
    held_head: bytes = codec.fixed(7, 32, optional=True)
    signer: str = codec.name(8)


@message
class Commitments:
    """Kind `commitments`: nonce commitments of one holder for one plan, one per input (66 bytes each, BIP-445)."""

    log_id: bytes = codec.fixed(1, 32)
    term: int = codec.u64(2)
    entry_index: int = codec.u64(3)
    plan_hash: bytes = codec.fixed(4, 32)
    vault_epoch: int = codec.u64(5)
    boot_id: bytes = codec.fixed(6, 16)
    session: bytes = codec.fixed(7, 16)
    """Random, chosen by the signer: names this set of nonces."""
    nonces: tuple[bytes, ...] = codec.repeated_fixed(8, 66, minimum=1, maximum=MAX_INPUTS_PER_PLAN)
    signer: str = codec.name(9)


@message
class Shares:
    """Kind `shares`: signature shares of one holder for one plan, one per input (32 bytes each), over their context."""

    log_id: bytes = codec.fixed(1, 32)
    term: int = codec.u64(2)
    certified_size: int = codec.u64(3)
    entry_index: int = codec.u64(4)
    plan_hash: bytes = codec.fixed(5, 32)
    vault_epoch: int = codec.u64(6)
    signers: tuple[str, ...] = codec.repeated_name(7, minimum=1, maximum=100)
    """The signer set, in participant order."""
    commitments_hash: bytes = codec.fixed(8, 32)
    """SHA-256 over the commitment bodies of the set, in the same order, each with an 8-byte length before it."""
    shares: tuple[bytes, ...] = codec.repeated_fixed(9, 32, minimum=1, maximum=MAX_INPUTS_PER_PLAN)
    signer: str = codec.name(10)


@message
class KeyMaterial:
    """The public side of a vault's key in one epoch. The public shares follow from the commitments."""

    threshold: int = codec.u64(1)
    commitments: tuple[bytes, ...] = codec.repeated_fixed(2, 33, minimum=1, maximum=MAX_HOLDERS)
    """To the coefficients of the group polynomial in effect, as many as the threshold; the first is the group key."""
    host_keys: tuple[bytes, ...] = codec.repeated_fixed(3, 33, minimum=1, maximum=MAX_HOLDERS)
    """Of the holders, in participant order: the keys with which the recovery data gives their shares back."""
    chain_code: bytes = codec.fixed(4, 32)


@message
class VaultStatement:
    """Kind `vault`: its author holds a share of the key that was generated for this order, and can recover it."""

    log_id: bytes = codec.fixed(1, 32)
    order_hash: bytes = codec.fixed(2, 32)
    recovery_hash: bytes = codec.fixed(3, 32)
    """SHA-256 of the recovery data, as it lies beside the log."""
    key_hash: bytes = codec.fixed(4, 32)
    """SHA-256 of the canonical KeyMaterial."""
    signer: str = codec.name(5)


@message
class Dealing:
    """Kind `dealing`: one old holder shares its share among the new holders of an epoch; relayed, never logged."""

    log_id: bytes = codec.fixed(1, 32)
    order_hash: bytes = codec.fixed(2, 32)
    vault: str = codec.name(3)
    attempt: int = codec.u64(4)
    epoch: int = codec.u64(5)
    """The epoch that is to begin."""
    terms_hash: bytes = codec.fixed(6, 32)
    """Tagged hash of a DealingTerms: what is handed on, from which key, to whom."""
    commitments: tuple[bytes, ...] = codec.repeated_fixed(7, 33, minimum=0, maximum=99)
    """To all coefficients but the constant one, which is the dealer's public share."""
    pubnonce: bytes = codec.fixed(8, 33)
    encrypted_shares: tuple[bytes, ...] = codec.repeated_fixed(9, 32, minimum=1, maximum=100)
    """One for each new holder, in participant order."""
    signer: str = codec.name(10)


@message
class EpochStatement:
    """Kind `epoch`: its author holds a share of this vault's key in this epoch, and can recover it from this data."""

    log_id: bytes = codec.fixed(1, 32)
    order_hash: bytes = codec.fixed(2, 32)
    vault: str = codec.name(3)
    epoch: int = codec.u64(4)
    recovery_hash: bytes = codec.fixed(5, 32)
    """SHA-256 of the recovery data, as it lies beside the log."""
    key_hash: bytes = codec.fixed(6, 32)
    """SHA-256 of the canonical KeyMaterial."""
    signer: str = codec.name(7)


@message
class DealingTerms:
    """What a dealing is for; only its hash travels, since every party has all of it in its own log and charter."""

    log_id: bytes = codec.fixed(1, 32)
    order_hash: bytes = codec.fixed(2, 32)
    vault: str = codec.name(3)
    attempt: int = codec.u64(4)
    epoch: int = codec.u64(5)
    key_hash: bytes = codec.fixed(6, 32)
    """SHA-256 of the canonical KeyMaterial of the epoch before."""
    holders: tuple[str, ...] = codec.repeated_name(7, minimum=1, maximum=100)
    """Of the epoch before, in participant order."""
    threshold: int = codec.u64(8)
    """Of the epoch that is to begin, like the rest."""
    signers: tuple[str, ...] = codec.repeated_name(9, minimum=1, maximum=100)
    host_keys: tuple[bytes, ...] = codec.repeated_fixed(10, 33, minimum=1, maximum=100)


@message
class FreezeStatement:
    """Kind `freeze`: an operator's freeze, by the vote key of the operator's signer."""

    log_id: bytes = codec.fixed(1, 32)
    signer: str = codec.name(2)
    id: bytes = codec.fixed(3, 16)
    scope: Scope = codec.enum(4, Scope)
    vault: str = codec.name(5, optional=True)
    why: str = codec.text(6, max_length=200)


@message
class ReinstateStatement:
    """Kind `reinstate`: an operator says that what the evidence shows of its signer is mended; never logged."""

    log_id: bytes = codec.fixed(1, 32)
    signer: str = codec.name(2)
    evidence_hash: bytes = codec.fixed(3, 32)


@message
class Refusal:
    """Kind `refusal`: a signer says why it did not vote for a batch, or gave no commitment or share for a plan."""

    log_id: bytes = codec.fixed(1, 32)
    term: int = codec.u64(2)
    entry_index: int = codec.u64(3)
    subject: bytes = codec.fixed(4, 32)
    """SHA-256 of the refused entry's bytes, or the plan hash."""
    reason: str = codec.text(5, max_length=64)
    detail: str = codec.text(6, max_length=400, optional=True)
    signer: str = codec.name(7)


class Verdict(IntEnum):
    """How one signer sees an order now."""

    WOULD_SIGN = 1
    WAITING = 2
    WOULD_REFUSE = 3
    UNKNOWN_ORDER = 4


@message
class View:
    """Kind `view`: one signer's own judgement of one order at one head; relayed to who asks, never logged."""

    log_id: bytes = codec.fixed(1, 32)
    order_hash: bytes = codec.fixed(2, 32)
    head_size: int = codec.u64(3)
    head_root: bytes = codec.fixed(4, 32, optional=True)
    verdict: Verdict = codec.enum(5, Verdict)
    reasons: tuple[str, ...] = codec.repeated_text(6, max_length=200, minimum=0, maximum=20)
    signer: str = codec.name(7)
    time_ms: int = codec.u64(8)
