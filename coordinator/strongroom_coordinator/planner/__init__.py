"""Makes plans: which approved orders are paid by which transaction, from which coins, at which fee."""

from strongroom_coordinator.planner.planner import ChainView, Planner

__all__ = ["ChainView", "Planner"]
