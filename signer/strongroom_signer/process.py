"""What the process itself can do to keep its secrets: no core dumps, no debugger, files for its own user only."""

from __future__ import annotations

import ctypes
import fcntl
import os
import resource
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from strongroom.model.errors import Kind, StrongroomError

__all__ = ["LOCK_FILE", "FolderInUse", "FolderLock", "harden", "sync_folder", "write_private"]

LOCK_FILE: Final = "signer.lock"
_PR_SET_DUMPABLE: Final = 4


class FolderInUse(StrongroomError):
    """Another process works in the data folder."""

    reason = "FOLDER_IN_USE"
    kind = Kind.FAILED_PRECONDITION
    remedy = "let the daemon do it, or stop it first"


def harden() -> None:
    """Turn core dumps and debugger attachment off, and make new files private. Best effort where the system refuses."""
    os.umask(0o077)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # Elsewhere than on Linux there is no prctl; the core limit above holds there too.
    prctl = getattr(ctypes.CDLL(None, use_errno=True), "prctl", None)
    if prctl is not None:
        prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def write_private(path: Path, data: bytes, *, mode: int = 0o600, replace: bool = False) -> None:
    """Write a file durably; it appears whole or not at all, and replaces another only when told to.

    Raises:
        FileExistsError: there is a file of that name, and `replace` was not given.
    """
    temporary = path.with_name(f".{path.name}.new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if replace:
            temporary.replace(path)
        else:
            os.link(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make durable which files a folder has, and by which names: a power cut undoes no renaming before this."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class FolderLock:
    """The right to work in a data folder, held by one process at a time and given back by the kernel when it dies.

    Two daemons on one copy of the vote key would vote twice at one size.
    """

    def __init__(self, folder: Path) -> None:
        """Take the lock.

        Raises:
            FolderInUse: another process holds it.
        """
        self._file = (folder / LOCK_FILE).open("ab")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.close()
            raise FolderInUse(
                f"another strongroom-signer works in {folder}: stop it first; never run two daemons on one folder"
            ) from None

    def release(self) -> None:
        """Let the next process in."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
