"""Follows the chain: coins and deposits of the vaults, confirmations, broadcast, reorganisations."""

from strongroom_coordinator.tracker.tracker import Tracker

__all__ = ["Tracker"]
