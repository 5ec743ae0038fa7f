"""Daemons as child processes whose structured log lines can be waited for."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Final

from strongroom.model.errors import Kind, StrongroomError

__all__ = ["Daemon", "DaemonFailed", "program", "run_program", "run_with_words"]

START_TIMEOUT_S: Final = 90.0
STOP_TIMEOUT_S: Final = 15.0


class DaemonFailed(StrongroomError):
    """A program of the deployment did not do what it was started for; the message ends with its last words."""

    reason: ClassVar[str] = "DAEMON_FAILED"
    kind = Kind.FAILED_PRECONDITION


def program(name: str) -> str:
    """Path of an installed program: beside this interpreter."""
    return str(Path(sys.executable).parent / name)


def run_program(command: Sequence[str], *, timeout_s: float = 120.0) -> str:
    """Run a program to its end and return what it printed.

    Raises:
        DaemonFailed: its exit code is not 0.
    """
    return _run(command, timeout_s=timeout_s)


def run_with_words(command: Sequence[str], words: str = "", *, timeout_s: float = 120.0) -> str:
    """Run a program that shows a signer's words, or asks for them, with a pipe in the place of a terminal.

    Args:
        command: Program and arguments; `--words-fd` is added.
        words: What is typed in; empty when the program shows the words.
        timeout_s: How long the program may take.

    Returns:
        The words shown, or what it printed when it asked for them.

    Raises:
        DaemonFailed: its exit code is not 0.
    """
    reader, writer = os.pipe()
    theirs, ours = (reader, writer) if words else (writer, reader)
    with os.fdopen(ours, "w" if words else "r", encoding="ascii") as pipe:
        try:
            if words:
                # A pipe holds far more than a sheet of words, so this never waits for the program.
                pipe.write(words + "\n")
                pipe.close()
            printed = _run([*command, "--words-fd", str(theirs)], timeout_s=timeout_s, pass_fds=(theirs,))
        finally:
            os.close(theirs)
        return printed if words else pipe.read().strip()


def _run(command: Sequence[str], *, timeout_s: float, pass_fds: tuple[int, ...] = ()) -> str:
    done = subprocess.run(  # noqa: S603 - programs of this project
        command, capture_output=True, text=True, timeout=timeout_s, check=False, pass_fds=pass_fds
    )
    if done.returncode != 0:
        raise DaemonFailed(
            f"{Path(command[0]).name} {' '.join(command[1:3])} ended with code {done.returncode}: "
            f"{(done.stderr or done.stdout).strip()[-600:]}"
        )
    return done.stdout


class Daemon:
    """One child process. Its standard error is JSON lines, kept in memory and in a log file.

    Args:
        name: For messages.
        command: Program and arguments.
        log_file: Where its standard error is appended.
    """

    def __init__(self, name: str, command: Sequence[str], log_file: Path) -> None:
        self.name = name
        self.command = tuple(command)
        self.log_file = log_file
        self.events: list[dict[str, Any]] = []
        self._changed = threading.Condition()
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None
        self._ended = True

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """Process id.

        Raises:
            DaemonFailed: it was never started.
        """
        if self._process is None:
            raise DaemonFailed(f"{self.name} is not running")
        return self._process.pid

    def start(self, *, ready: str = "daemon.ready", timeout_s: float = START_TIMEOUT_S) -> None:
        """Start the process and wait for its ready event.

        Raises:
            DaemonFailed: it ended, or was not ready in time.
        """
        mark = len(self.events)
        self.log_file.parent.mkdir(parents=True, exist_ok=True)
        self._ended = False
        self._process = subprocess.Popen(  # noqa: S603 - our own programs, no shell
            self.command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        self._reader = threading.Thread(target=self._read, args=(self._process,), daemon=True, name=f"{self.name}-log")
        self._reader.start()
        self.wait_for(ready, after=mark, timeout_s=timeout_s)

    def wait_for(
        self,
        event: str,
        *,
        where: Mapping[str, Any] | Callable[[dict[str, Any]], bool] | None = None,
        after: int = 0,
        timeout_s: float = START_TIMEOUT_S,
    ) -> dict[str, Any]:
        """Wait for a log event, from position `after` of `events` on, and return it.

        Raises:
            DaemonFailed: the process ended, or the event did not come in time.
        """
        deadline = time.monotonic() + timeout_s
        with self._changed:
            while True:
                for line in self.events[after:]:
                    if line.get("event") == event and _matches(line, where):
                        return line
                left = deadline - time.monotonic()
                if self._ended or left <= 0:
                    why = "ended" if self._ended else f"gave no {event} within {timeout_s:.0f} s"
                    raise DaemonFailed(f"{self.name} {why}; its last words: {self.last_words()}")
                self._changed.wait(left)

    def last_words(self) -> str:
        """The last lines it logged, shortened."""
        return " | ".join(json.dumps(line)[:400] for line in self.events[-6:])

    def stop(self, *, timeout_s: float = STOP_TIMEOUT_S) -> int:
        """Ask it to stop and wait; kills it when it does not. Returns the exit code."""
        return self._end(signal.SIGTERM, timeout_s)

    def kill(self) -> int:
        """Kill it at once, as a power cut would."""
        return self._end(signal.SIGKILL, STOP_TIMEOUT_S)

    def _end(self, number: int, timeout_s: float) -> int:
        process = self._process
        if process is None:
            return 0
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(number)
        try:
            code = process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            process.kill()
            code = process.wait()
        if self._reader is not None:
            self._reader.join(STOP_TIMEOUT_S)
        return code

    def _read(self, process: subprocess.Popen[str]) -> None:
        """Keep every line; a line that is no JSON object is kept as text."""
        if process.stdout is None:
            return
        # A process that ends by itself leaves nobody else to close its pipe and take its exit code.
        with process.stdout as lines, self.log_file.open("a", encoding="utf-8") as log:
            for line in lines:
                log.write(line)
                log.flush()
                try:
                    parsed = json.loads(line)
                except ValueError:
                    parsed = None
                event = parsed if isinstance(parsed, dict) else {"text": line.rstrip("\n")}
                with self._changed:
                    self.events.append(event)
                    self._changed.notify_all()
        process.wait()
        with self._changed:
            self._ended = True
            self._changed.notify_all()


def _matches(line: dict[str, Any], where: Mapping[str, Any] | Callable[[dict[str, Any]], bool] | None) -> bool:
    if where is None:
        return True
    if callable(where):
        return where(line)
    return all(line.get(key) == value for key, value in where.items())
