"""The folder through which those who sign pass their files: a shared one, or a stick carried from one to the next.

Each holder writes two files, `NAME.commitments` and `NAME.shares`, and reads the others'. A folder is for one attempt:
nothing in it is ever written over, so that whoever begins again does so in an empty one.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from strongroom.model.errors import Kind, StrongroomError
from strongroom.protocol.recovery_kit_files import MAX_FILE_BYTES, SweepFileInvalid, read_word_file, write_word_file
from strongroom.protocol.recovery_kit_words import COMMITMENTS, SHARES
from strongroom.protocol.signed import SignedBody
from strongroom_client.files import FileExists, FileProblem, write_new

__all__ = ["Exchange", "ExchangeIncomplete", "ExchangeUsed"]

_POLL_S: Final = 0.1
_ENDINGS: Final = {COMMITMENTS: ".commitments", SHARES: ".shares"}


class ExchangeUsed(StrongroomError):
    """The exchange folder has a file of this holder already, of an attempt that ended: its nonces are gone with it."""

    reason = "EXCHANGE_USED"
    kind = Kind.ALREADY_EXISTS
    remedy = "begin again, all of you, in an empty folder"


class ExchangeIncomplete(StrongroomError):
    """Files of other holders are missing in the exchange folder."""

    reason = "EXCHANGE_INCOMPLETE"
    kind = Kind.FAILED_PRECONDITION


class Exchange:
    """One attempt's folder."""

    def __init__(self, folder: Path) -> None:
        """Use a folder.

        Raises:
            FileProblem: there is no such folder.
        """
        if not folder.is_dir():
            raise FileProblem(f"{folder} is no folder: make it, empty, for this attempt", path=str(folder))
        self._folder = folder

    def path(self, kind: str, name: str) -> Path:
        """Where a holder's commitments or shares lie."""
        return self._folder / f"{name}{_ENDINGS[kind]}"

    def missing(self, kind: str, names: Sequence[str]) -> tuple[str, ...]:
        """Whose files are not there yet, or are there in part: a stick or a network may show them while they grow.

        Behind the name stands what else keeps a file from being read, which its owner can mend while the others wait.
        """
        states = ((name, self._state(kind, name)) for name in names)
        return tuple(f"{name} ({why})" if why else name for name, why in states if why is not None)

    def _state(self, kind: str, name: str) -> str | None:
        """None for a whole file; empty for one that is not there yet, or in part; else why it cannot be read."""
        try:
            read_word_file(kind, _content(self.path(kind, name)))
        except FileNotFoundError:
            return ""
        except OSError as error:
            return f"its file is there and cannot be read: {error.strerror or type(error).__name__}"
        except FileProblem as error:
            return error.message
        except SweepFileInvalid:
            return ""
        return None

    def require_unused(self, name: str) -> None:
        """Check that this holder has written nothing here.

        Raises:
            ExchangeUsed: it has.
        """
        used = [path for path in (self.path(COMMITMENTS, name), self.path(SHARES, name)) if path.exists()]
        if used:
            raise ExchangeUsed(
                f"{used[0]} is there already: whoever made it has ended, and its nonces with it. Begin again, all of "
                "you, in an empty folder",
                path=str(used[0]),
            )

    def write(self, kind: str, name: str, word: SignedBody) -> Path:
        """Write a holder's word, whole or not at all.

        Raises:
            ExchangeUsed: there is one of this name.
            FileProblem: the folder cannot be written.
        """
        path = self.path(kind, name)
        try:
            # For the others to read, who may be other users: nothing in it is secret.
            write_new(path, write_word_file(kind, word), mode=0o644)
        except FileExists as error:
            raise ExchangeUsed(f"{path} is there already: begin again in an empty folder", path=str(path)) from error
        return path

    def read(self, kind: str, names: Sequence[str]) -> dict[str, SignedBody]:
        """Read the word of each of these holders.

        Raises:
            ExchangeIncomplete: one is missing.
            FileProblem: one cannot be read.
            SweepFileInvalid: one is no such file.
        """
        missing = [name for name in names if not self.path(kind, name).exists()]
        if missing:
            raise ExchangeIncomplete(
                f"the {_ENDINGS[kind][1:]} of {', '.join(missing)} are not in {self._folder}", missing=",".join(missing)
            )
        return {name: read_word_file(kind, self._read(self.path(kind, name))) for name in names}

    def _read(self, path: Path) -> bytes:
        try:
            return _content(path)
        except OSError as error:
            raise FileProblem(f"cannot read {path}: {error.strerror or error}", path=str(path)) from error

    def wait(
        self, kind: str, names: Sequence[str], *, timeout_s: float, told: Callable[[tuple[str, ...]], None]
    ) -> None:
        """Wait until the files of all these holders are there.

        Args:
            kind: Which files.
            names: Whose.
            timeout_s: How long, in seconds.
            told: Called with who is missing, at first and at every change.

        Raises:
            ExchangeIncomplete: they were not there in time.
        """
        deadline = time.monotonic() + timeout_s
        before: tuple[str, ...] | None = None
        while missing := self.missing(kind, names):
            if missing != before:
                told(missing)
                before = missing
            if time.monotonic() >= deadline:
                raise ExchangeIncomplete(
                    f"the {_ENDINGS[kind][1:]} of {', '.join(missing)} did not come in time: begin again, all of you, "
                    "in an empty folder",
                    missing=",".join(missing),
                )
            time.sleep(_POLL_S)


def _content(path: Path) -> bytes:
    """Content of a plain file. Whoever else writes into the folder can make no read of it wait, or go elsewhere.

    Raises:
        OSError: it is not there or cannot be read.
        FileProblem: it is no plain file, or too large.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise FileProblem(f"{path.name} is no plain file", path=str(path))
        data = file.read(MAX_FILE_BYTES + 1)
    if len(data) > MAX_FILE_BYTES:
        raise FileProblem(f"{path.name} is larger than {MAX_FILE_BYTES} bytes", path=str(path))
    return data
