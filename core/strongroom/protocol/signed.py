"""A signed body: canonical message bytes and an Ed25519 signature over their pre-authentication encoding.

The bytes travel and are stored exactly as they were signed; they are decoded, never encoded again. Every body starts
with the log id, so no word for one log is a word for another.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, TypeVar

from strongroom.crypto import ed25519
from strongroom.crypto.ed25519 import SigningKey
from strongroom.ledger import codec
from strongroom.ledger.pae import pae
from strongroom.ledger.signed_messages import Signed
from strongroom.model.errors import Kind, StrongroomError
from strongroom.model.ids import LogId

__all__ = ["MAX_BODY_BYTES", "BadSignedBody", "SignedBody", "decode_claimed", "open_body", "sign_body"]

MAX_BODY_BYTES: Final = 131_072
"""Room for the commitments of the largest plan: 1,700 nonces of 66 bytes."""

M = TypeVar("M")


class BadSignedBody(StrongroomError):
    """A signed body does not decode, is for another log, or its signature does not verify.

    Nothing follows about the named author: anyone can send bytes under any name.
    """

    reason = "SIGNED_BODY_INVALID"
    kind = Kind.INVALID_ARGUMENT


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedBody:
    """Canonical body (at most 131,072 bytes) and its 64-byte signature. Kind and author are known from the context."""

    body: bytes
    signature: bytes

    @classmethod
    def of(cls, signed: Signed) -> SignedBody:
        """The same bytes, taken from the ledger message that stores them."""
        return cls(body=signed.body, signature=signed.signature)

    def stored(self) -> Signed:
        """The same bytes as a ledger message; for bodies of at most 4,096 bytes.

        Raises:
            NotCanonical: the body is larger; a defect of the caller.
        """
        return Signed(body=self.body, signature=self.signature)


def sign_body(kind: str, message: Any, key: SigningKey) -> SignedBody:
    """Encode a ledger message and sign it with a vote key (or a person's).

    Raises:
        UnknownKind: `kind` names no signed message; a defect of the caller.
    """
    body = codec.encode(message)
    return SignedBody(body=body, signature=key.sign(pae(kind, body)))


def open_body(kind: str, cls: type[M], signed: SignedBody, *, log_id: LogId, public_key: bytes) -> M:
    """Verify a signed body under `public_key` (32 bytes), decode it strictly, and check that it is for this log.

    Raises:
        BadSignedBody: the signature, the encoding or the log id is wrong; whoever sent it is at fault.
    """
    if len(signed.body) > MAX_BODY_BYTES:
        raise BadSignedBody(f"a {kind} of {len(signed.body)} bytes is above {MAX_BODY_BYTES}", signed_kind=kind)
    if not ed25519.verify(public_key, pae(kind, signed.body), signed.signature):
        raise BadSignedBody(f"the signature of this {kind} does not verify under its author's key", signed_kind=kind)
    try:
        message: Any = codec.decode(cls, signed.body, max_size=MAX_BODY_BYTES)
    except codec.NotCanonical as error:
        raise BadSignedBody(f"this {kind} is signed but not canonical: {error.message}", signed_kind=kind) from error
    if message.log_id != log_id:
        raise BadSignedBody(
            f"this {kind} is for another log", signed_kind=kind, log_id=message.log_id.hex(), expected=log_id.hex()
        )
    opened: M = message
    return opened


def decode_claimed(cls: type[M], kind: str, signed: SignedBody) -> M:
    """Decode a body that nobody has verified yet, to learn which author it claims; `open_body` must follow.

    Raises:
        BadSignedBody: it is not canonical; whoever sent it is at fault.
    """
    try:
        return codec.decode(cls, signed.body, max_size=MAX_BODY_BYTES)
    except codec.NotCanonical as error:
        raise BadSignedBody(f"this {kind} is not canonical: {error.message}", signed_kind=kind) from error
