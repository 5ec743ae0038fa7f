"""Time as an argument: what the daemon may ask of a clock, and the machine's own."""

from __future__ import annotations

import time
from typing import Protocol

__all__ = ["Clock", "SystemClock"]


class Clock(Protocol):
    """Two clocks that are compared with each other."""

    def wall_ms(self) -> int:
        """Unix time in milliseconds."""
        ...

    def monotonic_ms(self) -> int:
        """Milliseconds since some fixed moment; never steps, and goes on while the machine sleeps."""
        ...


class SystemClock:
    """The machine's clocks. The monotonic one is the boot-time clock, so that a nonce ages while a laptop sleeps."""

    def wall_ms(self) -> int:
        """Unix time in milliseconds."""
        return time.time_ns() // 1_000_000

    def monotonic_ms(self) -> int:
        """Milliseconds since the machine started, sleep included."""
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000
