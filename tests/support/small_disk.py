"""A disk of a few megabytes under one folder: it can be filled, turned read-only under a running daemon, and mended.

    with small_disk(folder) as disk:       # what lay in the folder lies on the disk, at the same path
        disk.fill()                        # not one byte is left
        disk.free()
        disk.fail()                        # as after an error of the hardware: nothing can be written any more
        disk.mend()                        # checked, and mounted again; every process must have left it

A loop device with ext4, which needs root and a kernel that has both; else the test is skipped with the reason.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

_BALLAST = "ballast"


@dataclass
class SmallDisk:
    """One mounted image."""

    folder: Path
    image: Path

    @property
    def ballast(self) -> Path:
        return self.folder / _BALLAST

    def free_bytes(self) -> int:
        status = os.statvfs(self.folder)
        return status.f_bavail * status.f_frsize

    def fill(self, *, leave: int = 0) -> None:
        """Write until at most `leave` bytes are free."""
        fill(self.ballast, leave=leave)

    def free(self) -> None:
        """Give the space back."""
        self.ballast.unlink(missing_ok=True)

    def fail(self) -> None:
        """Let the file system stop taking writes, files that are open included; what was written before is there."""
        _run("sync", "-f", str(self.folder))
        _run("mount", "-o", "remount,abort", str(self.folder))

    def mend(self) -> None:
        """Check the file system and mount it again."""
        _run("umount", str(self.folder))
        subprocess.run(["e2fsck", "-fy", str(self.image)], check=False, capture_output=True, timeout=60)
        self.mount()

    def mount(self, *options: str) -> None:
        _run("mount", "-o", ",".join(["loop", *options]), str(self.image), str(self.folder))

    def remount_read_only(self) -> None:
        """Before a daemon starts: while nobody writes there."""
        _run("mount", "-o", "remount,ro", str(self.folder))


def fill(path: Path, *, leave: int = 0) -> None:
    """Write a file until at most `leave` bytes are free beside it."""
    with path.open("ab", buffering=0) as file:
        for size in (1 << 20, 1 << 16, 1 << 12, 1):
            with contextlib.suppress(OSError):
                while True:
                    status = os.statvfs(path.parent)
                    if leave and status.f_bavail * status.f_frsize - size < leave:
                        break
                    file.write(bytes(size))
        os.fsync(file.fileno())


@contextmanager
def small_disk(folder: Path, *, megabytes: int = 16) -> Iterator[SmallDisk]:
    """Put the folder, with what it holds, on a disk of its own; nothing may run on it yet."""
    if os.geteuid() != 0:
        pytest.skip("a disk of its own needs root: mount is refused to others")
    missing = [name for name in ("mkfs.ext4", "e2fsck", "losetup", "mount") if shutil.which(name) is None]
    if missing:
        pytest.skip(f"a disk of its own needs {', '.join(missing)}")
    image, content = folder.with_name(f"{folder.name}.img"), folder.with_name(f"{folder.name}.content")
    with image.open("wb") as file:
        file.truncate(megabytes << 20)
    _run("mkfs.ext4", "-q", "-m", "0", "-O", "^has_journal", str(image))
    disk = SmallDisk(folder, image)
    folder.rename(content)
    folder.mkdir(mode=0o700)
    try:
        disk.mount()
    except subprocess.CalledProcessError as error:
        folder.rmdir()
        content.rename(folder)
        pytest.skip(f"this machine mounts no image: {error.stderr.decode(errors='replace').strip()}")
    try:
        shutil.copytree(content, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.sock"))
        folder.chmod(0o700)
        yield disk
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=False, capture_output=True, timeout=60)


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, timeout=60)
