"""Sees to it that what counts as an attack on daemons runs daemons.

A test marked `process` says so itself; a run that counts attacks believes it only if a program of a signer or of the
coordinator runs as a process of its own when the test begins, or is started by it.
"""

from __future__ import annotations

import functools
import os
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final
from weakref import WeakSet

__all__ = ["Watch", "is_ours"]

PROGRAMS: Final = frozenset(
    {
        "strongroom-signer",
        "strongroom-coordinator",
        # The same programs on a machine whose clock, disk or moment of death a test decides.
        "signer_launcher.py",
        "coordinator_launcher.py",
        "machine_launcher.py",
        # A person's command, which is no daemon, and is killed like one.
        "client_launcher.py",
    }
)


class Watch:
    """Counts the processes of these programs that this one starts.

    Attributes:
        started: How many there ever were.
    """

    def __init__(self) -> None:
        self.started = 0
        self._running: WeakSet[subprocess.Popen[Any]] = WeakSet()

    def begin(self) -> None:
        """Count from now on, whoever starts them and however."""
        plain = subprocess.Popen.__init__

        @functools.wraps(plain)
        def counted(process: subprocess.Popen[Any], args: Any, *others: Any, **named: Any) -> None:
            plain(process, args, *others, **named)
            if is_ours([args] if isinstance(args, str | bytes | os.PathLike) else args):
                self.started += 1
                self._running.add(process)

        subprocess.Popen.__init__ = counted  # type: ignore[method-assign]

    @property
    def running(self) -> int:
        """How many of them were not seen to end."""
        return sum(process.returncode is None for process in tuple(self._running))


def is_ours(command: Iterable[Any]) -> bool:
    """Whether a command runs a program of a signer, of the coordinator, or of a person."""
    return any(Path(os.fsdecode(part)).name in PROGRAMS for part in command)
