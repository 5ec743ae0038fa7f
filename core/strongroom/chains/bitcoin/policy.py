"""The numbers of rule set 1 for Bitcoin: what a signer accepts as the form of a transaction.

These values take part in every signer's verdict. They change only together with the rule set number, never alone.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

TRANSACTION_VERSION: Final = 2
MAX_LOCKTIME: Final = 499_999_999
"""Highest locktime that is the height of a block; above it, it is a time."""
SEQUENCE: Final = 0xFFFF_FFFD
"""Signals replaceability (BIP-125) and leaves relative locktime off (BIP-68)."""

MAX_WEIGHT: Final = 400_000
"""Largest standard transaction, in weight units."""

MAX_MONEY_SAT: Final = 21_000_000 * 100_000_000
"""No amount and no sum of amounts may exceed this, in satoshi."""

MAX_CHANGE_OUTPUTS: Final = 32
"""Change outputs in one transaction: many, because one-by-one payments need many coins."""

CHANGE_INDEX_GAP: Final = 1_000
"""How far beyond the highest used change index a plan may go, so that a watching wallet finds every coin."""

DEPOSIT_BRANCH: Final = 0
CHANGE_BRANCH: Final = 1
BRANCHES: Final = (DEPOSIT_BRANCH, CHANGE_BRANCH)
MAX_INDEX: Final = 2**31 - 1
"""Highest unhardened child number (BIP-32)."""

SIGNATURE_BYTES: Final = 64
"""A BIP-340 signature under SIGHASH_DEFAULT carries no hash type byte (BIP-341)."""

INPUT_WITNESS_WEIGHT: Final = 1 + 1 + SIGNATURE_BYTES
"""Weight of one key path witness: item count, item length, signature."""

DUST_RELAY_SAT_PER_VB: Final = 3


class ScriptType(Enum):
    """The output scripts a plan may pay to."""

    P2PKH = "p2pkh"
    P2SH = "p2sh"
    P2WPKH = "p2wpkh"
    P2WSH = "p2wsh"
    P2TR = "p2tr"


DUST_SAT: Final = {
    ScriptType.P2PKH: 546,
    ScriptType.P2SH: 540,
    ScriptType.P2WPKH: 294,
    ScriptType.P2WSH: 330,
    ScriptType.P2TR: 330,
}
"""Least amount of an output, in satoshi, by script: 3 sat/vB times the sizes of the output and of its later spend."""


def script_type(script: bytes) -> ScriptType | None:
    """Classify an output script; None for every script a plan may not pay to."""
    match len(script):
        case 25 if script[:3] == b"\x76\xa9\x14" and script[23:] == b"\x88\xac":
            return ScriptType.P2PKH
        case 23 if script[:2] == b"\xa9\x14" and script[22:] == b"\x87":
            return ScriptType.P2SH
        case 22 if script[:2] == b"\x00\x14":
            return ScriptType.P2WPKH
        case 34 if script[:2] == b"\x00\x20":
            return ScriptType.P2WSH
        case 34 if script[:2] == b"\x51\x20":
            return ScriptType.P2TR
        case _:
            return None


def dust_sat(script: bytes) -> int | None:
    """Least amount in satoshi that an output to `script` may carry; None for a script that may not be paid."""
    kind = script_type(script)
    return None if kind is None else DUST_SAT[kind]


def fee_rate(fee_sat: int, weight: int) -> int:
    """Fee rate in satoshi per virtual byte, rounded up: ceil(4 * fee / weight).

    Raises:
        ValueError: a weight that is not positive, or a negative fee; the caller's fault.
    """
    if weight <= 0 or fee_sat < 0:
        raise ValueError("a fee rate needs a positive weight and a fee of at least 0")
    return -(-4 * fee_sat // weight)


def fee_for(rate_sat_per_vb: int, weight: int) -> int:
    """Least fee in satoshi that pays `rate_sat_per_vb` for `weight` weight units: ceil(rate * weight / 4).

    Measured by `fee_rate` the result is `rate_sat_per_vb`, or 1 more where rounding up to a whole satoshi shows.

    Raises:
        ValueError: a weight that is not positive, or a negative rate; the caller's fault.
    """
    if weight <= 0 or rate_sat_per_vb < 0:
        raise ValueError("a fee needs a positive weight and a rate of at least 0")
    return -(-rate_sat_per_vb * weight // 4)
