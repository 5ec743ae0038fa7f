"""Items of bulk calls: one malformed item is an outcome in its place and does not spoil the others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from strongroom.model.errors import StrongroomError
from strongroom_coordinator.rpc.errors import InvalidRequest

__all__ = ["parsed", "refusal_text"]

T = TypeVar("T")

MAX_TEXT = 400


def parsed(read: Callable[..., T], *fields: Any, **options: Any) -> T | InvalidRequest:
    """Read one item; what is wrong with it is returned."""
    try:
        return read(*fields, **options)
    except InvalidRequest as error:
        return error


def refusal_text(error: StrongroomError) -> str:
    """The text of an item's refusal."""
    return error.message[:MAX_TEXT]
