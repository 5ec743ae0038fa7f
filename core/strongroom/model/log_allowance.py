"""How many lines of a daemon's log one peer may cause: a log must not fill the disk because somebody keeps failing."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["LogAllowance"]


@dataclass(slots=True, kw_only=True)
class LogAllowance:
    """Lines in a window of time; what is beyond them is not written.

    Attributes:
        lines: How many there may be in one window.
        window_s: Its length in seconds.
    """

    lines: int = 100
    window_s: float = 60.0
    _began: float = field(default=float("-inf"), init=False)
    _used: int = field(default=0, init=False)

    def take(self, now_s: float) -> int:
        """Take one line at this monotonic time, in seconds.

        Returns:
            How many are left after it in this window; negative when there was none left to take.
        """
        if now_s - self._began >= self.window_s:
            self._began, self._used = now_s, 0
        # Counted no further than needed, so that an endless flood cannot make the number grow.
        self._used = min(self._used + 1, self.lines + 1)
        return self.lines - self._used
