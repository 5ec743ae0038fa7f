"""Starts a signer as `strongroom-signer` does, but an odd one: another build, or on a machine whose time was moved on.

    python odd_signer.py [--clock-file FILE] [--other-build] -- run --data DIR --passphrase-file FILE

`--clock-file` names a file with a number of milliseconds that both clocks are ahead by, as after a machine was asleep;
it is read again each time. `--other-build` is a build with one difference in how it reads a plan: it takes the index of
change as counted from one, where everybody else counts from zero.
"""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import replace
from pathlib import Path

from strongroom.ledger.mutable_state import MutableState
from strongroom.ledger.records import VaultRecord
from strongroom_signer import main as signer_main
from strongroom_signer.clock import SystemClock


class MovedClock:
    """Both clocks of the machine, ahead by what a file says."""

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._clock = SystemClock()

    def _ahead_ms(self) -> int:
        return 0 if self._file is None or not self._file.exists() else int(self._file.read_text())

    def wall_ms(self) -> int:
        return self._clock.wall_ms() + self._ahead_ms()

    def monotonic_ms(self) -> int:
        return self._clock.monotonic_ms() + self._ahead_ms()


def read_change_otherwise() -> None:
    """Make this process replay every plan with change to another state."""
    change_vault = MutableState.change_vault

    def counted_from_one(self: MutableState, record: VaultRecord) -> None:
        change_vault(self, replace(record, highest_change=record.highest_change + 1))

    MutableState.change_vault = counted_from_one  # type: ignore[method-assign]


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--clock-file", type=Path)
    parser.add_argument("--other-build", action="store_true")
    parser.add_argument("arguments", nargs="+")
    options = parser.parse_args()
    if options.other_build:
        read_change_otherwise()
    return signer_main.run(options.arguments, clock=MovedClock(options.clock_file), random=os.urandom)


if __name__ == "__main__":
    sys.exit(main())
