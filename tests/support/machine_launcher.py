"""Starts a signer or a coordinator as its command does, on a machine whose clock, disk and memory a test decides.

    python machine_launcher.py signer [--clock FILE] [--fill-at Release --ballast FILE] [--keep-secrets FILE] -- run ...
    python machine_launcher.py coordinator [--clock FILE] -- run ...

`--clock FILE`: the wall clock is ahead by the milliseconds that the file holds now; write the file anew to let it jump.
`--fill-at KIND`: when a request of this kind comes, the disk is filled first. `--keep-secrets FILE`: every secret
is written there when it is used, so that a test can look for it in the daemon's memory afterwards.
The daemons themselves know nothing of this: they have no switch for tests.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from secret_keeper import keep_secrets
from small_disk import fill
from strongroom_coordinator import main as coordinator_main
from strongroom_coordinator.clock import SystemClock as CoordinatorClock
from strongroom_signer import main as signer_main
from strongroom_signer import requests
from strongroom_signer.clock import SystemClock as SignerClock
from strongroom_signer.service import Service


class MovedSignerClock(SignerClock):
    """The machine's clocks, the wall clock ahead by what a file says."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def wall_ms(self) -> int:
        return super().wall_ms() + int(self._file.read_text())


class MovedCoordinatorClock(CoordinatorClock):
    """The same for a coordinator."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def wall_ms(self) -> int:
        return super().wall_ms() + int(self._file.read_text())


def fill_at(kind: str, ballast: Path) -> None:
    """Fill the disk when a request of this kind comes (an Append only when it carries a plan), once."""
    answer = Service.answer
    done: list[bool] = []

    def on_a_full_disk(self: Service, request: requests.Request, leader: bytes) -> Any:
        meant = type(request).__name__ == kind and (not isinstance(request, requests.Append) or request.commit_for)
        if meant and not done:
            done.append(True)
            fill(ballast)
        return answer(self, request, leader)

    Service.answer = on_a_full_disk  # type: ignore[method-assign]


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("role", choices=("signer", "coordinator"))
    parser.add_argument("--clock", type=Path)
    parser.add_argument("--fill-at")
    parser.add_argument("--ballast", type=Path)
    parser.add_argument("--keep-secrets", type=Path)
    parser.add_argument("arguments", nargs="+")
    options = parser.parse_args()
    if options.fill_at:
        fill_at(options.fill_at, options.ballast)
    if options.keep_secrets:
        keep_secrets(options.keep_secrets)
    if options.role == "coordinator":
        clock = MovedCoordinatorClock(options.clock) if options.clock else CoordinatorClock()
        return coordinator_main.run(options.arguments, clock=clock, random=os.urandom)
    signer_clock = MovedSignerClock(options.clock) if options.clock else SignerClock()
    return signer_main.run(options.arguments, clock=signer_clock, random=os.urandom)


if __name__ == "__main__":
    sys.exit(main())
