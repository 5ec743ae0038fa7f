"""Starts a signer as `strongroom-signer` does, but with a shifted clock, or so that it ends at a crash point.

    python signer_launcher.py [--shift-ms N] [--crash POINT --side before|after [--passage K]] [--record FILE]
        -- run --data DIR --passphrase-file FILE

The names of the points are in `crash_points_signer.py`. The daemon itself knows nothing of this: it has no switch for
tests. `--cheap` makes the passphrase of a new signer cost nothing to guess, for `init` in tests.
"""

from __future__ import annotations

import argparse
import os
import sys

import crash_points
import crash_recorder
from strongroom.crypto.sealed import SIGNER, Cost
from strongroom_signer import main as signer_main
from strongroom_signer.clock import SystemClock


class ShiftedClock:
    """The machine's clocks, the wall clock ahead by some milliseconds (or behind)."""

    def __init__(self, shift_ms: int) -> None:
        self._shift_ms = shift_ms
        self._clock = SystemClock()

    def wall_ms(self) -> int:
        return self._clock.wall_ms() + self._shift_ms

    def monotonic_ms(self) -> int:
        return self._clock.monotonic_ms()


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--shift-ms", type=int, default=0)
    parser.add_argument("--cheap", action="store_true")
    crash_points.add_options(parser)
    parser.add_argument("arguments", nargs="+")
    options = parser.parse_args()
    if options.record:
        crash_recorder.record_signer(options.record)
    crash_points.arm_by_options(options)
    cost = Cost(memory_kib=8, passes=1) if options.cheap else SIGNER
    return signer_main.run(options.arguments, clock=ShiftedClock(options.shift_ms), random=os.urandom, cost=cost)


if __name__ == "__main__":
    sys.exit(main())
