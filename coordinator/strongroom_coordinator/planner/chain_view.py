"""What the planner asks of the chain. The tracker answers; tests answer with coins of their own."""

from __future__ import annotations

from typing import Protocol

from strongroom_coordinator.coins import Coin
from strongroom_coordinator.tracker.plan_book import Outpoint, PlanBook, TrackedPlan

__all__ = ["ChainView"]


class ChainView(Protocol):
    """Coins, unsettled plans and the market's fee rate; nothing changes within one call of `Planner.plans`."""

    @property
    def version(self) -> int:
        """Rises with every change of coins or plans."""

    @property
    def fee_rate_sat_per_vb(self) -> int:
        """The rate that new plans should pay."""

    @property
    def plans(self) -> PlanBook:
        """Unsettled plans, and those that a block excludes."""

    @property
    def displaced(self) -> set[bytes]:
        """Orders one of whose plans a block excludes."""

    def coins(self, vault: str) -> list[Coin]:
        """Coins that a new plan may spend freely."""

    def coin(self, vault: str, outpoint: Outpoint) -> Coin | None:
        """A vault's coin that exists, whoever plans to spend it."""

    def outputs_of(self, vault: str, txid: bytes) -> list[Coin]:
        """A vault's coins that a transaction made and that exist, whoever plans to spend them."""

    def stuck(self) -> list[TrackedPlan]:
        """Plans that wait in the mempool for longer than they should."""
