"""A signer's words between the program and a person: shown once, asked back, typed in again.

They go to the terminal itself, never through standard output, arguments, files or the log, and the terminal shows
nothing that is typed. A program that takes the person's place (a deployment script) gives an open pipe with
`--words-fd`; what becomes of the words then is that program's business.
"""

from __future__ import annotations

import os
import stat
import sys
import termios
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from strongroom.crypto.secret import SecretBytes, SecretScalar
from strongroom.crypto.seed_words import WORDS, secret_of, unknown_positions, words_of
from strongroom.model.errors import Kind, StrongroomError

__all__ = ["NoPlaceForWords", "WordsNotConfirmed", "ask_words", "show_words"]

ASKED_BACK: Final = 3
MISTAKES: Final = 3
_MAX_LINE: Final = 1_024
_COLUMNS: Final = 4
_CLEAR: Final = "\x1b[H\x1b[2J\x1b[3J"
"""Cursor home, clear the screen, clear what was scrolled out of it."""


class NoPlaceForWords(StrongroomError):
    """There is no terminal that can hide what is typed, and no pipe was given instead."""

    reason = "NO_PLACE_FOR_WORDS"
    kind = Kind.INVALID_ARGUMENT


class WordsNotConfirmed(StrongroomError):
    """The words asked back were not those shown, so nothing was made of them; begin again."""

    reason = "WORDS_NOT_CONFIRMED"
    kind = Kind.FAILED_PRECONDITION
    remedy = "begin again, and write every word down"


def show_words(secret: SecretScalar, *, descriptor: int | None, random: Callable[[int], bytes]) -> None:
    """Show the 24 words of a secret once, and have some of them typed back.

    Args:
        secret: The host secret.
        descriptor: An open pipe that takes the words on one line instead of a person; nothing is asked back then.
        random: Chooses the words that are asked back.

    Raises:
        NoPlaceForWords: no terminal, or the descriptor is no pipe.
        WordsNotConfirmed: three wrong answers.
    """
    words = words_of(secret)
    if descriptor is not None:
        _to_pipe(descriptor, words)
        return
    with _terminal() as terminal:
        terminal.say(
            f"{_CLEAR}These {WORDS} words are the backup of this signer, and the only one. Write them on paper, in\n"
            "this order; never photograph them, type them anywhere else, or keep them in a file.\n\n"
            f"{_sheet(words)}\n\nPress Enter when they are on paper: "
        )
        terminal.line()
        terminal.say(_CLEAR)
        _ask_back(terminal, words, random)
        terminal.say(
            "That is right. Keep the sheet where no one machine or person can reach it and this signer both.\n"
        )


def ask_words(*, descriptor: int | None) -> SecretBytes:
    """Have the 24 words typed in; the secret of 32 bytes.

    Args:
        descriptor: An open pipe that gives the words on one line instead of a person.

    Raises:
        NoPlaceForWords: no terminal, or the descriptor is no pipe.
        WordsInvalid: they are not a sheet's words; its message says which is unknown.
    """
    if descriptor is not None:
        return secret_of(_from_pipe(descriptor))
    with _terminal() as terminal:
        terminal.say(
            f"Type the {WORDS} words of the sheet; nothing is shown while you type. Four letters of a word are\n"
            "enough, and you may type several on one line.\n"
        )
        words: list[str] = []
        while len(words) < WORDS:
            terminal.say(f"Word {len(words) + 1} of {WORDS}: ")
            typed = terminal.line().split()
            unknown = unknown_positions(typed)
            if unknown:
                where = ", ".join(str(len(words) + position) for position in unknown)
                terminal.say(f"not on the list of words: number {where}; again\n")
                typed = typed[: unknown[0] - 1]
            words += typed
        return secret_of(words)


class _Terminal:
    """The terminal of the person at this program, its echo turned off."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def say(self, text: str) -> None:
        """Write to the terminal and nowhere else."""
        data = text.encode("utf-8")
        while data:
            data = data[os.write(self._descriptor, data) :]

    def line(self) -> str:
        """One typed line.

        Raises:
            NoPlaceForWords: the terminal was closed.
        """
        typed = bytearray()
        try:
            while not typed.endswith(b"\n"):
                read = os.read(self._descriptor, _MAX_LINE)
                if not read or len(typed) > _MAX_LINE:
                    raise NoPlaceForWords("the terminal was closed, or gave more than one line: run the command again")
                typed += read
            self.say("\n")
            return typed.decode("utf-8", "replace")
        finally:
            typed[:] = bytes(len(typed))


@contextmanager
def _terminal() -> Iterator[_Terminal]:
    """The controlling terminal, or the one that standard input is; echo is off inside.

    Raises:
        NoPlaceForWords: there is none, or it cannot hide what is typed.
    """
    descriptor = _open_terminal()
    try:
        try:
            before = termios.tcgetattr(descriptor)
            hidden = [*before]
            hidden[3] = before[3] & ~termios.ECHO
            termios.tcsetattr(descriptor, termios.TCSAFLUSH, hidden)
            if termios.tcgetattr(descriptor)[3] & termios.ECHO:
                raise NoPlaceForWords("this terminal goes on showing what is typed: use another one")
        except termios.error:
            raise NoPlaceForWords("this terminal cannot hide what is typed: use another one") from None
        try:
            yield _Terminal(descriptor)
        finally:
            termios.tcsetattr(descriptor, termios.TCSAFLUSH, before)
    finally:
        os.close(descriptor)


def _open_terminal() -> int:
    try:
        return os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        pass  # No controlling terminal; standard input may be one all the same.
    try:
        return os.open(os.ttyname(sys.stdin.fileno()), os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    except (OSError, ValueError):
        raise NoPlaceForWords(
            "there is no terminal for the words: run this at one, or give --words-fd with an open pipe"
        ) from None


def _to_pipe(descriptor: int, words: Sequence[str]) -> None:
    _check_pipe(descriptor)
    with os.fdopen(descriptor, "w", encoding="ascii", closefd=False) as pipe:
        pipe.write(" ".join(words) + "\n")


def _from_pipe(descriptor: int) -> list[str]:
    _check_pipe(descriptor)
    data = bytearray()
    try:
        while len(data) <= _MAX_LINE and (read := os.read(descriptor, _MAX_LINE)):
            data += read
        if len(data) > _MAX_LINE:
            raise NoPlaceForWords(f"the pipe gave more than {_MAX_LINE} bytes: it must give the words and nothing else")
        return data.decode("utf-8", "replace").split()
    finally:
        data[:] = bytes(len(data))


def _check_pipe(descriptor: int) -> None:
    """Words never go into a file, where they would outlive the command."""
    try:
        mode = os.fstat(descriptor).st_mode
    except OSError:
        raise NoPlaceForWords(f"--words-fd {descriptor} is not an open descriptor") from None
    if not (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)):
        raise NoPlaceForWords(f"--words-fd {descriptor} is no pipe: words go neither into files nor out of them")


def _sheet(words: Sequence[str]) -> str:
    """The numbered words, in columns to be read downwards."""
    rows = -(-len(words) // _COLUMNS)
    lines = []
    for row in range(rows):
        numbers = range(row, len(words), rows)
        lines.append("  ".join(f"{number + 1:>4}  {words[number]:<10}" for number in numbers).rstrip())
    return "\n".join(lines)


def _ask_back(terminal: _Terminal, words: Sequence[str], random: Callable[[int], bytes]) -> None:
    mistakes = 0
    for position in _chosen(random):
        while True:
            terminal.say(f"Word {position + 1} on your sheet: ")
            if terminal.line().strip().lower() == words[position]:
                break
            mistakes += 1
            if mistakes == MISTAKES:
                raise WordsNotConfirmed("the words typed were not those shown; nothing was made: run the command again")
            terminal.say("That is not the word; look again.\n")


def _chosen(random: Callable[[int], bytes]) -> tuple[int, ...]:
    """Three different positions, uniformly."""
    chosen: list[int] = []
    while len(chosen) < ASKED_BACK:
        drawn = random(1)[0]
        # The largest multiple of 24 in a byte: what lies beyond would favour the first words.
        if drawn < 240 and drawn % WORDS not in chosen:
            chosen.append(drawn % WORDS)
    return tuple(sorted(chosen))
