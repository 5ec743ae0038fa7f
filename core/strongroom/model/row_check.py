"""A short check beside what a database row holds, so that a damaged disk cannot change what a daemon believes.

Databases find damage to the structure of their files, not to what rows hold. This is against faults, not against an
attacker on the machine, who can compute the checks as well.
"""

from __future__ import annotations

import hashlib
from typing import Final

__all__ = ["CHECK_SIZE", "verified", "with_check"]

CHECK_SIZE: Final = 8
"""Bytes of the check at the end of a row: a fault passes it once in 2^64."""


def with_check(place: bytes, data: bytes) -> bytes:
    """`data` with its check behind it, as it is stored at `place` (table and key)."""
    return data + _check(place, data)


def verified(place: bytes, stored: bytes) -> bytes | None:
    """What was stored at `place`, or None: it was changed, or belongs to another place."""
    data, check = stored[:-CHECK_SIZE], stored[-CHECK_SIZE:]
    return data if check == _check(place, data) else None


def _check(place: bytes, data: bytes) -> bytes:
    digest = hashlib.blake2b(len(place).to_bytes(4, "big"), digest_size=CHECK_SIZE)
    digest.update(place)
    digest.update(data)
    return digest.digest()
