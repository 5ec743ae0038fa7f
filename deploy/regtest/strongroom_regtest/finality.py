"""When a transaction may enter the next block: absolute (BIP-113) and relative (BIP-68) lock times."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from strongroom.chains.bitcoin.transaction import Transaction
from strongroom_regtest.coins import ChainIndex, Coin
from strongroom_regtest.errors import Rejected

_LOCKTIME_IS_TIME_FROM: Final = 500_000_000
_FINAL_SEQUENCE: Final = 0xFFFF_FFFF
_DISABLED: Final = 1 << 31
_IS_TIME: Final = 1 << 22
_VALUE_MASK: Final = 0xFFFF
_TIME_UNIT_S: Final = 512


def check_finality(transaction: Transaction, coins: Sequence[Coin], chain: ChainIndex) -> None:
    """Check both kinds of lock time against the next block; `coins` are what the inputs spend, in order.

    Raises:
        Rejected: `non-final` or `non-BIP68-final`.
    """
    next_height, past = chain.height + 1, chain.median_time_past(chain.height)
    reached = past if transaction.locktime >= _LOCKTIME_IS_TIME_FROM else next_height
    if transaction.locktime >= reached and any(item.sequence != _FINAL_SEQUENCE for item in transaction.inputs):
        raise Rejected("non-final")
    if transaction.version < 2:
        return
    for item, coin in zip(transaction.inputs, coins, strict=True):
        if item.sequence & _DISABLED:
            continue
        value = item.sequence & _VALUE_MASK
        if item.sequence & _IS_TIME:
            ready = chain.median_time_past(max(coin.height - 1, 0)) + value * _TIME_UNIT_S <= past
        else:
            ready = coin.height + value <= next_height
        if not ready:
            raise Rejected("non-BIP68-final")
