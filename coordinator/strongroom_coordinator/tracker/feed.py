"""Wakes those who watch a feed. What they then read comes from the database, so that no event is ever lost."""

from __future__ import annotations

import asyncio

__all__ = ["Bell"]


class Bell:
    """Rings whenever a feed grew; any number of waiters."""

    def __init__(self) -> None:
        self._rung = asyncio.Event()
        self.is_closed = False

    def ring(self) -> None:
        """Wake everybody who waits."""
        self._rung.set()
        self._rung = asyncio.Event()

    def waiter(self) -> asyncio.Event:
        """An event that the next ring sets; take it before reading, wait for it after."""
        return self._rung

    def close(self) -> None:
        """Wake everybody for the last time: the server is stopping."""
        self.is_closed = True
        self.ring()
