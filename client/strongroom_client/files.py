"""Reading bounded files and writing new ones: whole or not at all, private, and never over something that is there."""

from __future__ import annotations

import errno
import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Final

from strongroom.model.errors import Kind, StrongroomError

__all__ = ["FileExists", "FileProblem", "make_private_folder", "read_bytes", "read_text", "replace_file", "write_new"]

PRIVATE: Final = 0o600
MAX_FILE_BYTES: Final = 1_048_576
_NO_LINKS: Final = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS})


class FileProblem(StrongroomError):
    """A file cannot be read or written; the message says which and why."""

    reason = "FILE_PROBLEM"
    kind = Kind.FAILED_PRECONDITION
    remedy = "see that the file is there and yours to read or write"


class FileExists(FileProblem):
    """The file to write is there already: nothing is overwritten."""

    reason = "FILE_EXISTS"
    kind = Kind.ALREADY_EXISTS
    remedy = "name another file, or move that one away"


def read_bytes(path: Path, *, max_bytes: int = MAX_FILE_BYTES) -> bytes:
    """Return a file's content.

    Raises:
        FileProblem: it is missing, unreadable, or larger than `max_bytes`.
    """
    try:
        with path.open("rb") as file:
            data = file.read(max_bytes + 1)
    except OSError as error:
        raise FileProblem(f"cannot read {path}: {error.strerror or error}: check the path", path=str(path)) from error
    if len(data) > max_bytes:
        raise FileProblem(f"{path} is larger than {max_bytes} bytes: give the right file", path=str(path))
    return data


def read_text(path: Path, *, max_bytes: int = MAX_FILE_BYTES) -> str:
    """Return a file's content as UTF-8 text.

    Raises:
        FileProblem: as `read_bytes`, or it is not UTF-8.
    """
    try:
        return read_bytes(path, max_bytes=max_bytes).decode("utf-8")
    except UnicodeDecodeError as error:
        raise FileProblem(f"{path} is not text in UTF-8: give the right file", path=str(path)) from error


def write_new(path: Path, data: bytes | str, *, mode: int = PRIVATE, secret: bool = True) -> None:
    """Write a new file durably: after a crash it is there whole, or not at all.

    Args:
        path: Its name.
        data: Its content; text becomes UTF-8.
        mode: PRIVATE, or what lets others read it.
        secret: Whether a PRIVATE file is refused where the file system lets others at it all the same. What holds no
            key is written there: a word that must reach the signers must get onto any stick.

    Raises:
        FileExists: something of this name is there; it is left as it is.
        FileProblem: the folder is missing or not writable, or a secret is not private there; nothing is written.
    """
    content = data.encode("utf-8") if isinstance(data, str) else data
    partial = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        try:
            with os.fdopen(descriptor, "wb") as file:
                _open_to_others(descriptor, mode)
                if secret and mode == PRIVATE:
                    _require_private(descriptor, path)
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            _give_name(partial, path)
        finally:
            partial.unlink(missing_ok=True)
        _sync_folder(path.parent)
    except FileExistsError as error:
        raise FileExists(
            f"{path} is there already and is not overwritten: choose another name, or move it away", path=str(path)
        ) from error
    except OSError as error:
        raise FileProblem(f"cannot write {path}: {error.strerror or error}", path=str(path)) from error


def replace_file(path: Path, data: bytes, *, mode: int = PRIVATE) -> None:
    """Write a file durably in place of the one of this name, if any: readers see the old one or the new one, whole.

    Raises:
        FileProblem: the folder is missing or not writable, or a PRIVATE file is not private there.
    """
    partial = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        try:
            with os.fdopen(descriptor, "wb") as file:
                _open_to_others(descriptor, mode)
                if mode == PRIVATE:
                    _require_private(descriptor, path)
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
        _sync_folder(path.parent)
    except OSError as error:
        raise FileProblem(f"cannot write {path}: {error.strerror or error}", path=str(path)) from error


def make_private_folder(path: Path) -> None:
    """Make a folder that only its owner can enter, with its parents; an existing one is left as it is.

    Raises:
        FileProblem: it cannot be made.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise FileProblem(f"cannot make the folder {path}: {error.strerror or error}", path=str(path)) from error


def _open_to_others(descriptor: int, mode: int) -> None:
    """Let others read what is meant for them, whatever mask the process has for what it makes without saying so.

    A file system that keeps no modes, or a stick mounted for somebody else, refuses that; the file is as good there.
    """
    if mode != PRIVATE:
        with suppress(OSError):
            os.fchmod(descriptor, mode)


def _require_private(descriptor: int, path: Path) -> None:
    """Refuse to write a secret where others can read it: a stick's file system gives each file the mode of its mount.

    Raises:
        FileProblem: the file has another mode than it was made with.
    """
    mode = os.fstat(descriptor).st_mode & 0o777
    if mode & 0o077:
        raise FileProblem(
            f"did not write {path}: this file system lets others read it (mode {mode:o}), and it is secret; give a "
            "folder on a disk that keeps modes, or mount this one with umask=077",
            path=str(path),
        )


def _give_name(partial: Path, path: Path) -> None:
    """Name a finished file. A link fails if the name is taken, where a rename would replace what is there."""
    try:
        os.link(partial, path)
    except FileExistsError:
        raise
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        # A file system without links, such as a memory stick's: take the name first, then replace only what was taken.
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE))
        partial.replace(path)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
