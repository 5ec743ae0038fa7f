"""Work and timers of one part that run beside its callers, and end with it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

from strongroom.model.errors import StrongroomError

__all__ = ["Background"]

log = structlog.get_logger()


class Background:
    """Tasks and timers of one part.

    Args:
        failed: Event under which a task that failed is logged; nobody else waits for it.
    """

    def __init__(self, failed: str) -> None:
        self._failed = failed
        self._tasks: set[asyncio.Task[None]] = set()
        self._timers: set[asyncio.TimerHandle] = set()

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something as a task of its own."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def later(self, delay_s: float, call: Callable[..., None], *arguments: Any) -> None:
        """Call back after a delay in seconds, unless `cancel_timers` comes first."""

        def fire() -> None:
            self._timers.discard(handle)
            call(*arguments)

        handle = asyncio.get_running_loop().call_later(delay_s, fire)
        self._timers.add(handle)

    def cancel_timers(self) -> None:
        """Drop everything that was to happen later."""
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()

    async def stop(self, *, patience_s: float = 0.0) -> None:
        """Drop the timers, and end the tasks once they had `patience_s` seconds to end by themselves."""
        self.cancel_timers()
        if self._tasks and patience_s:
            await asyncio.wait(tuple(self._tasks), timeout=patience_s)
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            reason = error.reason if isinstance(error, StrongroomError) else type(error).__name__
            log.error(self._failed, reason=reason, message=str(error))
