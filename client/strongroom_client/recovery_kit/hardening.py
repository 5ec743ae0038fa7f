"""What a process that holds a share can do to keep it: no core dumps, no debugger, files for its own user only."""

from __future__ import annotations

import ctypes
import os
import resource
from typing import Final

__all__ = ["harden"]

_PR_SET_DUMPABLE: Final = 4


def harden() -> None:
    """Turn core dumps and debugger attachment off, and make new files private. Best effort where the system refuses."""
    os.umask(0o077)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # Elsewhere than on Linux there is no prctl; the core limit above holds there too.
    prctl = getattr(ctypes.CDLL(None, use_errno=True), "prctl", None)
    if prctl is not None:
        prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
