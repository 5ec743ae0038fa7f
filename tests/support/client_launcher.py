"""Runs a `strongroom` command so that it ends at a crash point.

    python client_launcher.py --crash POINT --side before|after -- login ...

The names of the points are in `crash_points_commands.py`.
"""

from __future__ import annotations

import argparse

import crash_points
from strongroom_client import cli


def main() -> None:
    parser = argparse.ArgumentParser()
    crash_points.add_options(parser)
    parser.add_argument("arguments", nargs="+")
    options = parser.parse_args()
    crash_points.arm_by_options(options)
    cli.main.main(args=options.arguments, prog_name="strongroom")


if __name__ == "__main__":
    main()
