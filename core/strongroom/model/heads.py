"""A head of a log as people compare it with each other: `SIZE:ROOT`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

__all__ = ["PinnedHead", "read_head"]

_HEAD: Final = re.compile(r"([1-9][0-9]{0,15}):([0-9a-f]{64})")


@dataclass(frozen=True, slots=True, kw_only=True)
class PinnedHead:
    """A head that somebody compared with others: the log must hold it. The root is 32 bytes."""

    size: int
    root: bytes


def read_head(text: str) -> PinnedHead | None:
    """Read `SIZE:ROOT`, the root in 64 hex digits; spaces and capitals are taken. None when it is of another form."""
    match = _HEAD.fullmatch(re.sub(r"\s", "", text).lower())
    return None if match is None else PinnedHead(size=int(match.group(1)), root=bytes.fromhex(match.group(2)))
