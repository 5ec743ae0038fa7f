"""Nonce commitments: fresh for one task, signed with their whole context, used once.

Spec: BIP-445, NonceGen; design, "The ledger", round 1.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from strongroom.crypto import frost
from strongroom.crypto.ed25519 import SigningKey
from strongroom.crypto.frost import SecretNonce
from strongroom.crypto.secret import SecretScalar
from strongroom.ledger.signed_messages import Commitments
from strongroom.model.ids import BootId, SignerName
from strongroom.protocol.signed import SignedBody, decode_claimed, open_body, sign_body
from strongroom.protocol.signing_task import BadContribution, SigningTask, key_of

__all__ = ["NonceSet", "VerifiedCommitments", "commitments_hash", "make_commitments", "verify_commitments"]

_SESSION_BYTES: Final = 16


class NonceSet:
    """The secret nonces of one commitments message, one per input. They sign once and live in memory only."""

    __slots__ = ("_nonces", "signed")

    def __init__(self, nonces: Sequence[SecretNonce], signed: SignedBody) -> None:
        self._nonces: tuple[SecretNonce, ...] = tuple(nonces)
        self.signed = signed
        """The commitments message as it was signed and sent."""

    def take(self) -> tuple[SecretNonce, ...]:
        """Hand the nonces out, once.

        Raises:
            NonceAlreadyUsed: they were taken or wiped before.
        """
        nonces, self._nonces = self._nonces, ()
        if not nonces:
            raise frost.NonceAlreadyUsed("these nonces were used before: commit again for a new session")
        return nonces

    def wipe(self) -> None:
        """Destroy the nonces unused; again is harmless."""
        for nonce in self._nonces:
            nonce.wipe()
        self._nonces = ()

    def __repr__(self) -> str:
        return "<NonceSet redacted>"


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedCommitments:
    """Commitments whose signature and context were checked. The points are checked when a set is opened."""

    signer: SignerName
    message: Commitments
    signed: SignedBody


def make_commitments(
    task: SigningTask,
    *,
    signer: str,
    share: SecretScalar,
    key: SigningKey,
    boot_id: BootId,
    random: Callable[[int], bytes],
) -> NonceSet:
    """Make fresh nonces for every input of a task, and sign their public halves with the vote key.

    Args:
        task: What will be signed; all of it goes into the nonces, against a weak random source.
        signer: The own name.
        share: The own secret share, untweaked; stays the caller's.
        key: The own vote key.
        boot_id: 16 bytes, random per start of this daemon.
        random: Returns as many fresh random bytes as asked for.

    Raises:
        BadContribution: the own signer holds no share of this vault; a defect of the caller.
        InvalidInput: the random source failed.
    """
    session = random(_SESSION_BYTES)
    pubshare = task.group.public_shares[task.group.position(signer)]
    context = b"".join(
        (
            task.log_id,
            task.term.to_bytes(8, "big"),
            task.entry_index.to_bytes(8, "big"),
            task.plan_hash,
            task.vault_epoch.to_bytes(8, "big"),
            boot_id,
            session,
        )
    )
    made = [
        frost.nonce_gen(
            random(32),
            secshare=share,
            pubshare=pubshare,
            thresh_pk_xonly=frost.tweaked_key(task.group.group_key, tweaks).point.xonly(),
            message=digest,
            extra=context + position.to_bytes(4, "big"),
        )
        for position, (digest, tweaks) in enumerate(zip(task.digests, task.tweaks, strict=True))
    ]
    message = Commitments(
        log_id=task.log_id,
        term=task.term,
        entry_index=task.entry_index,
        plan_hash=task.plan_hash,
        vault_epoch=task.vault_epoch,
        boot_id=boot_id,
        session=session,
        nonces=tuple(public for _, public in made),
        signer=signer,
    )
    return NonceSet([secret for secret, _ in made], sign_body("commitments", message, key))


def verify_commitments(signed: SignedBody, *, task: SigningTask, vote_keys: Mapping[str, bytes]) -> VerifiedCommitments:
    """Check that commitments are signed by a holder of the vault and are for exactly this task.

    Raises:
        BadSignedBody: not canonical, or not signed by the signer it names: nobody can be blamed.
        BadContribution: signed for another task; its signer is at fault, or who passed it on.
    """
    claimed = decode_claimed(Commitments, "commitments", signed)
    message = open_body(
        "commitments", Commitments, signed, log_id=task.log_id, public_key=key_of(claimed.signer, task.group, vote_keys)
    )
    if (message.term, message.entry_index, message.plan_hash, message.vault_epoch) != task.place:
        raise BadContribution(message.signer, "the commitments are for another term, entry, plan or epoch")
    if len(message.nonces) != len(task.digests):
        raise BadContribution(message.signer, f"{len(message.nonces)} commitments for {len(task.digests)} inputs")
    return VerifiedCommitments(signer=SignerName(message.signer), message=message, signed=signed)


def commitments_hash(commitments: Sequence[SignedBody]) -> bytes:
    """SHA-256 over the commitment bodies of a set, in participant order, each with an 8-byte length before it."""
    digest = hashlib.sha256()
    for item in commitments:
        digest.update(len(item.body).to_bytes(8, "big"))
        digest.update(item.body)
    return digest.digest()
