"""A terminal as a person has it: commands run in it, prompts are answered, and everything shown is kept."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import select
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

TIMEOUT_S = 120.0
Answer = str | Callable[[str], str]
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\r")


class Terminal:
    """One shell text in a pseudo terminal.

    Args:
        text: What is typed, for bash; the first command that fails ends it.
        folder: Where.
        environment: The whole environment.
        answers: What is typed when the shown text ends with a match of the pattern: a text, or what follows from
            everything that was shown.
    """

    def __init__(
        self, text: str, folder: Path, environment: Mapping[str, str], answers: Sequence[tuple[str, Answer]] = ()
    ) -> None:
        self._answers = [(re.compile(pattern), answer) for pattern, answer in answers]
        self._unanswered = ""
        self.shown = ""
        master, slave = pty.openpty()
        self._master = master
        try:
            self.process = subprocess.Popen(
                ["bash", "-euo", "pipefail", "-c", text],
                stdin=slave, stdout=slave, stderr=slave, cwd=folder, env=dict(environment), start_new_session=True,
            )  # fmt: skip
        finally:
            os.close(slave)

    def finish(self, *, timeout_s: float = TIMEOUT_S) -> int:
        """Answer what is asked until the shell ends; its exit code."""
        self._read("", timeout_s)
        code = self.process.wait(timeout_s)
        self.close()
        return code

    def wait_for(self, pattern: str, *, timeout_s: float = TIMEOUT_S) -> None:
        """Answer what is asked until the pattern is shown."""
        assert self._read(pattern, timeout_s), f"{pattern!r} was not shown:\n{self.shown[-3000:]}"

    def stop(self) -> int:
        """Press Ctrl-C, so to say, and wait for the end; the exit code."""
        self._end(signal.SIGINT)
        code = self.finish()
        return code

    def close(self) -> None:
        """End whatever runs and give the terminal back."""
        if self.process.poll() is None:
            self._end(signal.SIGKILL)
            self.process.wait(TIMEOUT_S)
        if self._master >= 0:
            os.close(self._master)
            self._master = -1

    def _end(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)

    def _read(self, pattern: str, timeout_s: float) -> bool:
        """Read until the pattern is shown or the shell ends; whether it was shown."""
        wanted = re.compile(pattern) if pattern else None
        deadline = time.monotonic() + timeout_s
        while True:
            if wanted is not None and wanted.search(self.shown):
                return True
            ready, _, _ = select.select([self._master], [], [], max(deadline - time.monotonic(), 0))
            if not ready:
                raise TimeoutError(f"nothing more came:\n{self.shown[-3000:]}")
            try:
                data = os.read(self._master, 65_536)
            except OSError:  # the other side of the terminal is closed
                data = b""
            if not data:
                return False
            self._take(_CONTROL.sub("", data.decode(errors="replace")))

    def _take(self, text: str) -> None:
        self.shown += text
        self._unanswered += text
        for pattern, answer in self._answers:
            if pattern.search(self._unanswered):
                typed = answer if isinstance(answer, str) else answer(self.shown)
                os.write(self._master, typed.encode() + b"\n")
                self._unanswered = ""
                return
