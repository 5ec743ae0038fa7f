"""Starts a signer as `strongroom-signer` does, but with a shifted clock, or so that it dies at a chosen point.

    python signer_launcher.py [--shift-ms N] [--die before|after:REQUEST] -- run --data DIR --passphrase-file FILE

`--die before:Append` kills the process, as a power cut would, when a batch with a plan to commit for has come and
nothing was done about it yet; `after:Append` when everything was stored and the vote was about to leave. `Release` is
the same for round 2. The daemon itself knows nothing of this: it has no switch for tests.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from typing import Any

from strongroom_signer import main as signer_main
from strongroom_signer import requests
from strongroom_signer.clock import SystemClock
from strongroom_signer.service import Service


class ShiftedClock:
    """The machine's clocks, the wall clock ahead by some milliseconds (or behind)."""

    def __init__(self, shift_ms: int) -> None:
        self._shift_ms = shift_ms
        self._clock = SystemClock()

    def wall_ms(self) -> int:
        return self._clock.wall_ms() + self._shift_ms

    def monotonic_ms(self) -> int:
        return self._clock.monotonic_ms()


def die_at(point: str) -> None:
    """Make the service kill its own process at the first request of the kind that carries a plan."""
    when, kind = point.split(":")
    answer = Service.answer

    def deadly(self: Service, request: requests.Request, leader: bytes) -> Any:
        is_meant = type(request).__name__ == kind and (not isinstance(request, requests.Append) or request.commit_for)
        if is_meant and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        answered = answer(self, request, leader)
        if is_meant and when == "after":
            os.kill(os.getpid(), signal.SIGKILL)
        return answered

    Service.answer = deadly  # type: ignore[method-assign]


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--shift-ms", type=int, default=0)
    parser.add_argument("--die")
    parser.add_argument("arguments", nargs="+")
    options = parser.parse_args()
    if options.die:
        die_at(options.die)
    return signer_main.run(options.arguments, clock=ShiftedClock(options.shift_ms), random=os.urandom)


if __name__ == "__main__":
    sys.exit(main())
