"""Coins of the vaults that no followed block spends, in memory."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from strongroom_coordinator.coins import Coin
from strongroom_coordinator.storage.chain import CoinRow
from strongroom_coordinator.tracker.plan_book import Outpoint

__all__ = ["CoinBook", "coin_of"]

COINBASE_MATURITY: Final = 100
"""Blocks on top, the containing one included, before a newly mined coin may be spent."""


def coin_of(row: CoinRow) -> Coin:
    """A coin as the planner sees it."""
    return Coin(
        txid=row.txid,
        vout=row.vout,
        amount_sat=row.amount_sat,
        branch=row.branch,
        index=row.index,
        is_confirmed=True,
    )


class CoinBook:
    """Found by outpoint, by vault and by transaction."""

    def __init__(self) -> None:
        self._coins: dict[Outpoint, CoinRow] = {}
        self._by_vault: dict[str, dict[Outpoint, CoinRow]] = {}
        self._by_txid: dict[bytes, dict[Outpoint, CoinRow]] = {}

    def __contains__(self, outpoint: object) -> bool:
        return outpoint in self._coins

    def get(self, outpoint: Outpoint) -> CoinRow | None:
        """The coin, if it is there and unspent."""
        return self._coins.get(outpoint)

    def of_vault(self, vault: str) -> Iterable[CoinRow]:
        """All coins of a vault."""
        return self._by_vault.get(vault, {}).values()

    def of_transaction(self, txid: bytes) -> Iterable[CoinRow]:
        """All coins that a transaction made."""
        return self._by_txid.get(txid, {}).values()

    def add(self, row: CoinRow) -> None:
        """A coin appeared."""
        outpoint = row.outpoint
        self._coins[outpoint] = row
        self._by_vault.setdefault(row.vault, {})[outpoint] = row
        self._by_txid.setdefault(row.txid, {})[outpoint] = row

    def remove(self, outpoint: Outpoint) -> None:
        """A coin was spent, or its block is gone."""
        row = self._coins.pop(outpoint, None)
        if row is not None:
            del self._by_vault[row.vault][outpoint]
            del self._by_txid[row.txid][outpoint]
            if not self._by_txid[row.txid]:
                del self._by_txid[row.txid]

    def clear(self) -> None:
        """Forget all."""
        self._coins.clear()
        self._by_vault.clear()
        self._by_txid.clear()


def is_mature(row: CoinRow, tip_height: int) -> bool:
    """Whether a coin may be spent in the next block."""
    return not row.coinbase or tip_height - row.height + 1 >= COINBASE_MATURITY
