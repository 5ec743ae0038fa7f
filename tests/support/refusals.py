"""Asking for a refusal by its code, and that it left no trace."""

from __future__ import annotations

import pytest

from ledger_world import Body, World
from strongroom.ledger.reasons import REASONS, Refused


def refusal_of(world: World, *bodies: Body) -> str:
    """Log the bodies as one batch, which must be refused; return the code. Nothing may have changed."""
    before = (world.replica.size, world.replica.head() if world.replica.size else None)
    with pytest.raises(Refused) as caught:
        world.log(*bodies)
    assert (world.replica.size, world.replica.head() if world.replica.size else None) == before
    assert caught.value.reason in REASONS
    assert caught.value.kind is REASONS[caught.value.reason].kind
    return caught.value.reason
