"""What the benchmarks ran on: processor, memory, kernel, Python, and how fast the disk makes a write durable."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

__all__ = ["facts", "fsync_rate"]

_PAGE = bytes(4_096)


def facts(folder: Path) -> dict[str, Any]:
    """The machine, and the code that was measured. `folder` lies on the disk that the daemons write to."""
    return {
        "machine": {
            "processor": _processor(),
            "cores": len(os.sched_getaffinity(0)),
            "memory_mib": os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2**20,
            "kernel": f"{platform.system()} {platform.release()}",
            "python": f"{platform.python_implementation()} {platform.python_version()}",
            "fsyncs_per_s": round(fsync_rate(folder)),
            "load_before": round(os.getloadavg()[0], 2),
        },
        "commit": _commit(),
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
    }


def fsync_rate(folder: Path, *, seconds: float = 0.5) -> float:
    """How many times a second a 4 KiB append to a file is made durable, one after the other."""
    path = folder / "fsync-rate"
    count = 0
    with path.open("wb", buffering=0) as file:
        started = time.perf_counter()
        while (taken := time.perf_counter() - started) < seconds:
            file.write(_PAGE)
            os.fdatasync(file.fileno())
            count += 1
    path.unlink()
    return count / taken


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.machine()


def _commit() -> str:
    """The commit that is checked out, marked when the tree differs from it."""
    here = Path(__file__).resolve().parent
    try:
        command = ["git", "describe", "--always", "--abbrev=12", "--dirty", "--exclude=*"]
        return subprocess.run(command, cwd=here, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
