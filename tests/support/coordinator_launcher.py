"""Starts a coordinator as `strongroom-coordinator` does, but so that it ends at a crash point, or keeps its frames.

    python coordinator_launcher.py [--crash POINT --side before|after [--passage K]] [--record FILE] -- run --data DIR

The names of the points are in `crash_points_coordinator.py`.
"""

from __future__ import annotations

import argparse
import os
import sys

import crash_points
import crash_recorder
from strongroom_coordinator import main as coordinator_main
from strongroom_coordinator.clock import SystemClock


def main() -> int:
    parser = argparse.ArgumentParser()
    crash_points.add_options(parser)
    parser.add_argument("arguments", nargs="+")
    options = parser.parse_args()
    if options.record:
        crash_recorder.record_coordinator(options.record)
    crash_points.arm_by_options(options)
    return coordinator_main.run(options.arguments, clock=SystemClock(), random=os.urandom)


if __name__ == "__main__":
    sys.exit(main())
