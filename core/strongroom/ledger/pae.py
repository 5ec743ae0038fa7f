"""What every signature over a ledger message covers: the DSSE pre-authentication encoding of its type and bytes.

The type says what the bytes mean, so a signature over one kind of message is never one over another kind.

Spec: DSSE v1.0.2, protocol, "Signature Definition".
"""

from __future__ import annotations

from typing import Final

from strongroom.model.errors import Kind, StrongroomError

__all__ = ["KINDS", "UnknownKind", "media_type", "pae"]

KINDS: Final = frozenset(
    {
        "adopt",
        "card",
        "commitments",
        "dealing",
        "endorsement",
        "epoch",
        "freeze",
        "newterm",
        "refusal",
        "reinstate",
        "restart",
        "shares",
        "sweep-commitments",
        "sweep-shares",
        "vault",
        "view",
        "vote",
    }
)


class UnknownKind(StrongroomError):
    """A signature was asked over a kind of message that nobody signs: a defect of the caller."""

    reason = "SIGNED_KIND_UNKNOWN"
    kind = Kind.INTERNAL


def media_type(kind: str) -> str:
    """Return the DSSE payload type of a kind of signed message.

    Raises:
        UnknownKind: `kind` is not in `KINDS`.
    """
    if kind not in KINDS:
        raise UnknownKind(f"{kind!r} is no kind of signed message; known are {', '.join(sorted(KINDS))}")
    return f"application/vnd.strongroom.{kind}.v1+proto"


def pae(kind: str, body: bytes) -> bytes:
    """Return the bytes that a signature over the message `body` of this kind covers.

    Raises:
        UnknownKind: `kind` is not in `KINDS`.
    """
    payload_type = media_type(kind).encode("ascii")
    return b"DSSEv1 %d %b %d %b" % (len(payload_type), payload_type, len(body), body)
