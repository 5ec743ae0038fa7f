"""The public side of a vault's key: what is computed from it, the same by everyone who reads the log."""

from __future__ import annotations

from hashlib import sha256

from strongroom.crypto import bip340
from strongroom.crypto.curve import INFINITY, Point
from strongroom.crypto.errors import InvalidPoint
from strongroom.ledger import codec
from strongroom.ledger.reasons import refused
from strongroom.ledger.signed_messages import KeyMaterial

__all__ = ["key_hash", "public_shares", "trial_message"]


def key_hash(key: KeyMaterial) -> bytes:
    """SHA-256 of the canonical key material, 32 bytes: what holders state that they have a share of."""
    return sha256(codec.encode(key)).digest()


def public_shares(key: KeyMaterial) -> tuple[bytes, ...]:
    """Return the public share of each holder, 33 bytes, in participant order.

    Raises:
        Refused: VAULT_KEY, there are not as many commitments as the threshold says, one is no point, or a share of the
            key would be zero; whoever made the key material is at fault.
    """
    if len(key.commitments) != key.threshold or not key.threshold <= len(key.host_keys):
        raise refused(
            "VAULT_KEY",
            f"{len(key.commitments)} commitments and {len(key.host_keys)} holders do not fit a threshold of "
            f"{key.threshold}",
        )
    try:
        coefficients = [Point.parse(commitment) for commitment in key.commitments]
    except InvalidPoint as error:
        raise refused("VAULT_KEY", f"a commitment of the key is no point: {error.message}") from error
    shares = tuple(_value_at(coefficients, holder + 1) for holder in range(len(key.host_keys)))
    if any(share.is_infinity for share in shares):
        raise refused("VAULT_KEY", "the share of a holder would be zero")
    return tuple(share.serialise() for share in shares)


def _value_at(coefficients: list[Point], x: int) -> Point:
    value = INFINITY
    for coefficient in reversed(coefficients):
        value = value * x + coefficient
    return value


def trial_message(log_id: bytes, order_hash: bytes, recovery_hash: bytes, identifiers: tuple[int, ...]) -> bytes:
    """Return the 32 bytes that a subset of holders signs to try a new key, or the new shares of one.

    They follow from the own log, the recovery data and the subset alone, so no holder can be led to sign anything else
    this way. Of all that a log shows of a vault, only this signature cannot be made without its shares: what it names
    is what keeps a vault from being shown in a log of somebody else's.

    Args:
        log_id: The log to which the key belongs, 32 bytes.
        order_hash: The order that asked for it, 32 bytes.
        recovery_hash: SHA-256 of the epoch's recovery data, 32 bytes.
        identifiers: BIP-445 identifiers of the subset, ascending.
    """
    subset = b"".join(identifier.to_bytes(4, "big") for identifier in identifiers)
    return bip340.tagged_hash("strongroom/trial", log_id, order_hash, recovery_hash, subset)
