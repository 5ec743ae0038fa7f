"""How people write amounts, durations and times, and their one reading. No floats, no rounding, no locale."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from strongroom.model.errors import Kind, StrongroomError

__all__ = ["BadQuantity", "decimal_text", "duration_text", "parse_decimal", "parse_duration", "time_text"]

MAX_DECIMALS: Final = 36
_MAX_AMOUNT: Final = 2**256 - 1
_MAX_U64: Final = 2**64 - 1
_MAX_LETTERS: Final = 100
_LAST_MS: Final = 253_402_300_799_999  # the last millisecond of the year 9999

_DECIMAL: Final = re.compile(r"(0|[1-9][0-9]*)(?:\.([0-9]+))?", re.ASCII)
_DURATION: Final = re.compile(r"(0|[1-9][0-9]*)(ms|s|m|h|d)", re.ASCII)
_UNITS_MS: Final = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1_000, "ms": 1}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class BadQuantity(StrongroomError):
    """Text that is no amount or duration; whoever wrote it is at fault and the message shows the right form."""

    reason = "BAD_QUANTITY"
    kind = Kind.INVALID_ARGUMENT
    remedy = "write it as the message shows"


def parse_decimal(text: str, decimals: int) -> int:
    """Return the amount in the smallest unit, 1 to 2^256-1, that `text` ("2.5") is of an asset with these decimals.

    Raises:
        BadQuantity: not plain digits with at most one point, finer than the smallest unit, zero, or too large.
    """
    match = _DECIMAL.fullmatch(text) if len(text) <= _MAX_LETTERS else None
    if match is None:
        raise BadQuantity(f'{text[:_MAX_LETTERS]!r} is not an amount: write plain digits, as "2.5"')
    whole, fraction = match.group(1), match.group(2) or ""
    if len(fraction) > decimals:
        raise BadQuantity(f"{text} has {len(fraction)} decimals, and the smallest unit has {decimals}")
    amount = int(whole + fraction.ljust(decimals, "0"))
    if not 0 < amount <= _MAX_AMOUNT:
        raise BadQuantity(f"{text} is out of range: an amount is more than zero and below 2^256 smallest units")
    return amount


def decimal_text(amount: int, decimals: int) -> str:
    """Write an amount in smallest units as people do, without trailing zeros: the inverse of `parse_decimal`."""
    if not 0 < decimals <= MAX_DECIMALS:
        return str(amount)
    whole, fraction = divmod(amount, 10**decimals)
    return f"{whole}.{fraction:0{decimals}d}".rstrip("0").rstrip(".")


def parse_duration(text: str) -> int:
    """Return the milliseconds, 0 to 2^64-1, of a duration such as "24h", "10m", "0s", "7d" or "250ms".

    Raises:
        BadQuantity: not a whole number with one unit of d, h, m, s, ms, or too long.
    """
    match = _DURATION.fullmatch(text) if len(text) <= _MAX_LETTERS else None
    if match is None:
        raise BadQuantity(f'{text[:_MAX_LETTERS]!r} is not a duration: write a whole number and d, h, m or s, as "24h"')
    milliseconds = int(match.group(1)) * _UNITS_MS[match.group(2)]
    if milliseconds > _MAX_U64:
        raise BadQuantity(f"{text} is too long a duration")
    return milliseconds


def duration_text(milliseconds: int) -> str:
    """Write a duration in the largest unit that divides it, days from two on: the inverse of `parse_duration`."""
    if milliseconds == 0:
        return "0s"
    units = [unit for unit, size in _UNITS_MS.items() if milliseconds % size == 0]
    unit = "h" if milliseconds == _UNITS_MS["d"] else units[0]
    return f"{milliseconds // _UNITS_MS[unit]}{unit}"


def time_text(unix_ms: int) -> str:
    """Write a time in Unix milliseconds as UTC, to the second, rounded up so that it is never shown too early."""
    if unix_ms > _LAST_MS - 1_000:
        return "the year 10000 or later"
    seconds = -(-unix_ms // 1_000)
    return (_EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%d %H:%M:%S UTC")
