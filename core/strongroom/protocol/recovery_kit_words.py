"""A holder's words in both rounds of a sweep: signed with its host key, the one key that the words on paper give.

The signature is BIP-340 over SHA-256 of the pre-authentication encoding, as on a signer's card.

Spec: docs/protocol/recovery-kit.md.
"""

from __future__ import annotations

import hashlib
from typing import Any, Final, TypeVar

from strongroom.crypto import bip340
from strongroom.crypto.secret import SecretScalar
from strongroom.ledger import codec
from strongroom.ledger.codec import NotCanonical
from strongroom.ledger.pae import pae
from strongroom.model.errors import Kind, StrongroomError
from strongroom.protocol.recovery_kit_records import SweepCommitments, SweepShares
from strongroom.protocol.signed import MAX_BODY_BYTES, SignedBody

__all__ = ["COMMITMENTS", "SHARES", "BadWord", "open_word", "sign_word", "word_hash"]

COMMITMENTS: Final = "sweep-commitments"
SHARES: Final = "sweep-shares"

W = TypeVar("W", SweepCommitments, SweepShares)


class BadWord(StrongroomError):
    """Bytes that are not what a holder signed for this sweep: swapped, damaged, or of another. Nobody is to blame.

    Anybody can put a file under any name: ask its author for it again.
    """

    reason = "SWEEP_WORD_INVALID"
    kind = Kind.INVALID_ARGUMENT


def sign_word(kind: str, word: SweepCommitments | SweepShares, host: SecretScalar, aux32: bytes) -> SignedBody:
    """Sign a holder's word with its host key.

    Args:
        kind: COMMITMENTS or SHARES.
        word: What it says.
        host: The host secret key; stays the caller's.
        aux32: 32 fresh random bytes.
    """
    body = codec.encode(word)
    return SignedBody(body=body, signature=bip340.sign(host, word_hash(kind, body), aux32))


def open_word(kind: str, cls: type[W], signed: SignedBody, *, host_key: bytes) -> W:
    """Verify a holder's word under its host key (33 bytes) and decode it strictly.

    Raises:
        BadWord: it is too long, not signed by this key, or not canonical.
    """
    if not bip340.verify(host_key[1:], word_hash(kind, signed.body), signed.signature):
        raise BadWord("it is not signed by the words of the holder under whose name it lies here")
    try:
        opened: Any = codec.decode(cls, signed.body, max_size=MAX_BODY_BYTES)
    except NotCanonical as error:
        raise BadWord(f"it is signed but not canonical: {error.message}") from error
    word: W = opened
    return word


def word_hash(kind: str, body: bytes) -> bytes:
    """What a holder's signature covers, 32 bytes."""
    return hashlib.sha256(pae(kind, body)).digest()
