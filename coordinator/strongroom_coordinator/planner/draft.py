"""What a round of planning has promised so far, before any of it is logged."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from strongroom.ledger.rules import WindowTotal, glob_match
from strongroom.ledger.state import State
from strongroom_coordinator.coins import Coin
from strongroom_coordinator.planner.chain_view import ChainView
from strongroom_coordinator.tracker.plan_book import Outpoint

__all__ = ["Round"]


@dataclass(slots=True, kw_only=True)
class Round:
    """One call of the planner. Later plans of it are judged as the ledger will: with the earlier ones counted."""

    state: State
    now_ms: int
    spent: set[Outpoint] = field(default_factory=set)
    """Coins of this round's plans, and those kept for a plan to come. Changed by `spend` and `keep` alone."""
    paid: dict[tuple[str, str], int] = field(default_factory=dict)
    """What this round pays for the first time, by vault and asset."""
    fees: dict[str, int] = field(default_factory=dict)
    """What this round adds to each vault's network fees, in satoshi."""
    next_change: dict[str, int] = field(default_factory=dict)
    """Next fresh change index by vault."""
    _windows: dict[tuple[tuple[str, ...], str, int], int] = field(default_factory=dict)
    _free: dict[str, list[Coin]] = field(default_factory=dict)

    def window_total(self) -> WindowTotal:
        """Sums of the rules' windows, with what this round pays counted."""

        def total(globs: tuple[str, ...], asset: str, window_ms: int) -> int:
            asked = (globs, asset, window_ms)
            if asked not in self._windows:
                self._windows[asked] = self.state.window_total(globs, asset, self.now_ms - window_ms, self.now_ms)
            if not window_ms:
                return self._windows[asked]
            own = sum(
                amount
                for (vault, paid_asset), amount in self.paid.items()
                if paid_asset == asset and any(glob_match(glob, vault) for glob in globs)
            )
            return self._windows[asked] + own

        return total

    def count(self, vault: str, asset: str, amount: int) -> None:
        """Count a payment; a negative amount takes it back."""
        key = (vault, asset)
        self.paid[key] = self.paid.get(key, 0) + amount

    def fee_room(self, vault: str) -> int:
        """What the vault's fee window still allows, in satoshi."""
        fees = self.state.charter.fees
        used = self.state.fee_window_total(vault, self.now_ms - fees.window_ms, self.now_ms)
        return fees.per_vault - used - self.fees.get(vault, 0)

    def free_coins(self, vault: str, chain: ChainView) -> Sequence[Coin]:
        """Coins that a new plan may spend and that no plan of this round spends, smallest first; not to be changed."""
        if vault not in self._free:
            free = (coin for coin in chain.coins(vault) if coin.outpoint not in self.spent)
            self._free[vault] = sorted(free, key=_by_amount)
        return self._free[vault]

    def spend(self, vault: str, coins: Iterable[Coin]) -> None:
        """Note what a plan of this round spends."""
        free = self._free.get(vault, [])
        for coin in coins:
            self.spent.add(coin.outpoint)
            at = bisect_left(free, _by_amount(coin), key=_by_amount)
            if at < len(free) and free[at].outpoint == coin.outpoint:
                del free[at]

    def keep(self, outpoints: Iterable[Outpoint]) -> None:
        """Let no other plan of this round spend these coins."""
        self.spent.update(outpoints)
        self._free.clear()

    def take_change_index(self, vault: str, highest_change: int) -> int:
        """A change index that no plan has used."""
        index = max(self.next_change.get(vault, 0), highest_change)
        self.next_change[vault] = index + 1
        return index


def _by_amount(coin: Coin) -> tuple[int, Outpoint]:
    return coin.amount_sat, coin.outpoint
