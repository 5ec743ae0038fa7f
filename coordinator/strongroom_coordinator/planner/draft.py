"""What a round of planning has promised so far, before any of it is logged."""

from __future__ import annotations

from dataclasses import dataclass, field

from strongroom.ledger.rules import WindowTotal, glob_match
from strongroom.ledger.state import State
from strongroom_coordinator.tracker.plan_book import Outpoint

__all__ = ["Round"]


@dataclass(slots=True, kw_only=True)
class Round:
    """One call of the planner. Later plans of it are judged as the ledger will: with the earlier ones counted."""

    state: State
    now_ms: int
    spent: set[Outpoint] = field(default_factory=set)
    """Coins of this round's plans."""
    paid: dict[tuple[str, str], int] = field(default_factory=dict)
    """What this round pays for the first time, by vault and asset."""
    fees: dict[str, int] = field(default_factory=dict)
    """What this round adds to each vault's network fees, in satoshi."""
    next_change: dict[str, int] = field(default_factory=dict)
    """Next fresh change index by vault."""
    _windows: dict[tuple[tuple[str, ...], str, int], int] = field(default_factory=dict)

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

    def take_change_index(self, vault: str, highest_change: int) -> int:
        """A change index that no plan has used."""
        index = max(self.next_change.get(vault, 0), highest_change)
        self.next_change[vault] = index + 1
        return index
