"""Sums over sliding windows of log time: per series, times and prefix sums, found by bisection.

Undigested: whoever holds the orders and plans can compute them again. A series only grows at its end, because log time
never falls.
"""

from __future__ import annotations

from typing import Final

from strongroom.ledger.reasons import StateDamaged
from strongroom.ledger.tree_table import ReadView, View

__all__ = ["add", "fee_series", "payment_series", "total"]

_PREFIX: Final = b"w/"
_TIME_BYTES: Final = 8
_SUM_BYTES: Final = 40  # room for 2^64 amounts below 2^256


def payment_series(vault: str, asset: str) -> bytes:
    """Name the series of what a vault paid of an asset."""
    return b"p" + vault.encode("ascii") + b"/" + asset.encode("utf-8")


def fee_series(vault: str) -> bytes:
    """Name the series of network fees of a vault's plans, in satoshi."""
    return b"f" + vault.encode("ascii")


def add(view: View, series: bytes, time_ms: int, amount: int) -> None:
    """Add an amount at a time that is not before the last one of the series."""
    count = _count(view, series)
    last_ms, last_sum = _at(view, series, count - 1)
    position = count - 1 if count and last_ms == time_ms else count
    value = time_ms.to_bytes(_TIME_BYTES, "big") + (last_sum + amount).to_bytes(_SUM_BYTES, "big")
    view.put(_key(series, position), value)
    if position == count:
        view.put(_count_key(series), (count + 1).to_bytes(8, "big"))


def total(view: ReadView, series: bytes, after_ms: int, until_ms: int) -> int:
    """Return the sum of amounts at times above `after_ms` and up to `until_ms`."""
    count = _count(view, series)
    if count == 0 or until_ms <= after_ms:
        return 0
    return _sum_until(view, series, count, until_ms) - _sum_until(view, series, count, after_ms)


def _sum_until(view: ReadView, series: bytes, count: int, time_ms: int) -> int:
    low, high = 0, count  # the first `low` amounts are not later than `time_ms`, those from `high` on are later
    last_ms, last_sum = _at(view, series, count - 1)
    if last_ms <= time_ms:
        return last_sum
    while low < high:
        middle = (low + high) // 2
        if _at(view, series, middle)[0] <= time_ms:
            low = middle + 1
        else:
            high = middle
    return _at(view, series, low - 1)[1]


def _count(view: ReadView, series: bytes) -> int:
    stored = view.get(_count_key(series))
    return 0 if stored is None else int.from_bytes(stored, "big")


def _at(view: ReadView, series: bytes, position: int) -> tuple[int, int]:
    if position < 0:
        return 0, 0
    stored = view.get(_key(series, position))
    if stored is None or len(stored) != _TIME_BYTES + _SUM_BYTES:
        raise StateDamaged(f"sum {position} of window series {series!r} is missing: check the store")
    return int.from_bytes(stored[:_TIME_BYTES], "big"), int.from_bytes(stored[_TIME_BYTES:], "big")


def _count_key(series: bytes) -> bytes:
    return _PREFIX + b"n" + series


def _key(series: bytes, position: int) -> bytes:
    return _PREFIX + b"v" + series + position.to_bytes(8, "big")
