"""Where an entry stands, and who wrote it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["COORDINATOR", "Author", "Position"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """Index of the entry in the log and its log time in Unix milliseconds."""

    index: int
    time_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Author:
    """Whose daily quota an entry counts against: a person, or the coordinator, which has no name."""

    name: str


COORDINATOR: Final = Author(name="")
