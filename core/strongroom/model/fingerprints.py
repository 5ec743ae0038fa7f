"""Fingerprints that people compare: in hex for copying, and as digits for reading aloud.

Two people on a telephone compare eight groups of five decimal digits, as messengers' safety numbers are: no letter to
mistake, no language to share, and unlike words they cannot be taken for a backup. To find other bytes with the same
digits takes about 2^132 work.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from enum import StrEnum
from typing import Final

__all__ = ["Compared", "is_fingerprint", "spoken"]

_GROUPS: Final = 8
_GROUP_DIGITS: Final = 5
_SEPARATORS: Final = re.compile(r"[\s:.-]")


class Compared(StrEnum):
    """What a fingerprint is of: the same bytes in another role read differently."""

    CHARTER = "charter"
    """Of a log id: the hash of the genesis charter, or of the restart that founded the log anew."""
    KEY_PARAMETERS = "key parameters"
    RESTART_STATEMENT = "restart statement"


def spoken(what: Compared, value: bytes) -> str:
    """Return the digits to read aloud: eight groups of five, with spaces between.

    They are SHA-256 of "strongroom/spoken/v1", the kind and the value, as a number, modulo 10^40.

    Args:
        what: What the value is.
        value: The full fingerprint, 32 bytes.
    """
    digest = hashlib.sha256(b"strongroom/spoken/v1\x00" + what.value.encode("ascii") + b"\x00" + value).digest()
    count = _GROUPS * _GROUP_DIGITS
    digits = str(int.from_bytes(digest, "big") % 10**count).zfill(count)
    return " ".join(digits[start : start + _GROUP_DIGITS] for start in range(0, count, _GROUP_DIGITS))


def is_fingerprint(typed: str, what: Compared, value: bytes) -> bool:
    """Say whether somebody typed this fingerprint: all 64 hex digits, or all 40 digits that are read aloud.

    Groups, colons, dashes and capitals are as people copy them. Part of a fingerprint is none.
    """
    compact = _SEPARATORS.sub("", typed).lower()
    return any(
        hmac.compare_digest(compact.encode("utf-8", "replace"), _SEPARATORS.sub("", form).encode("ascii"))
        for form in (value.hex(), spoken(what, value))
    )
