"""A holder's words between a person and the recovery kit: typed in unseen, or given by a pipe, and nowhere else."""

from __future__ import annotations

import getpass
import os
import stat
import termios
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import click

from strongroom.crypto.errors import InvalidScalar
from strongroom.crypto.secret import SecretScalar
from strongroom.crypto.seed_words import WORDS, WordsInvalid, secret_of, unknown_positions
from strongroom.model.errors import Kind, StrongroomError

__all__ = ["NoTerminalForWords", "host_key"]

TERMINAL: Final = "/dev/tty"
"""The terminal of the person at this program."""
_MAX_BYTES: Final = 1_024


class NoTerminalForWords(StrongroomError):
    """There is no terminal that can hide what is typed, and no pipe was given instead."""

    reason = "NO_TERMINAL_FOR_WORDS"
    kind = Kind.INVALID_ARGUMENT


@contextmanager
def host_key(descriptor: int | None, name: str) -> Iterator[SecretScalar]:
    """The host secret key of the words of a holder; wiped at the end.

    Args:
        descriptor: An open pipe that gives the words on one line instead of a person.
        name: Whose words are asked for.

    Raises:
        NoTerminalForWords: no terminal, or the descriptor is no pipe.
        WordsInvalid: they are not a sheet's words.
    """
    with _host_key(descriptor, name) as host:
        yield host


def _host_key(descriptor: int | None, name: str) -> SecretScalar:
    """The same, to be wiped by who calls. Here end the words: the block above may wait for others for hours."""
    with secret_of(_typed(name) if descriptor is None else _from_pipe(descriptor)) as secret:
        try:
            return SecretScalar.from_bytes(secret.view())
        except InvalidScalar:
            raise WordsInvalid("no signer was ever made with these words") from None


def _typed(name: str) -> list[str]:
    click.echo(
        f"Type the {WORDS} words of the sheet of {name}; nothing is shown while you type. Four letters of a word are\n"
        "enough, and you may type several on one line.",
        err=True,
    )
    with _silent_terminal():
        return _typed_words()


def _typed_words() -> list[str]:
    words: list[str] = []
    while len(words) < WORDS:
        typed = _line(f"Word {len(words) + 1} of {WORDS}: ").split()
        unknown = unknown_positions(typed)
        if unknown:
            where = ", ".join(str(len(words) + position) for position in unknown)
            click.echo(f"not on the list of words: number {where}; again", err=True)
            typed = typed[: unknown[0] - 1]
        words += typed
    return words


@contextmanager
def _silent_terminal() -> Iterator[None]:
    """Echo off from the first word to the last: between two lines, too, what is typed or pasted ahead is not shown."""
    try:
        descriptor = os.open(TERMINAL, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        # Without one `getpass` refuses, or takes the terminal that standard input is.
        yield
        return
    try:
        try:
            before = termios.tcgetattr(descriptor)
            termios.tcsetattr(descriptor, termios.TCSAFLUSH, [*before[:3], before[3] & ~termios.ECHO, *before[4:]])
        except termios.error:
            raise NoTerminalForWords("this terminal cannot hide what is typed: use another one") from None
        try:
            yield
        finally:
            termios.tcsetattr(descriptor, termios.TCSAFLUSH, before)
    finally:
        os.close(descriptor)


def _line(prompt: str) -> str:
    with warnings.catch_warnings():
        # It would go on with what is typed shown: words on a screen, or in a file that standard input is.
        warnings.simplefilter("error", getpass.GetPassWarning)
        try:
            return getpass.getpass(prompt)
        except (getpass.GetPassWarning, EOFError, OSError):
            raise NoTerminalForWords(
                "there is no terminal for the words: run this at one, or give --words-fd with an open pipe"
            ) from None


def _from_pipe(descriptor: int) -> list[str]:
    try:
        mode = os.fstat(descriptor).st_mode
    except OSError:
        raise NoTerminalForWords(f"--words-fd {descriptor} is not an open descriptor") from None
    if not (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)):
        raise NoTerminalForWords(f"--words-fd {descriptor} is no pipe: words never lie in files")
    data = bytearray()
    try:
        while len(data) <= _MAX_BYTES and (read := os.read(descriptor, _MAX_BYTES)):
            data += read
        if len(data) > _MAX_BYTES:
            raise NoTerminalForWords(f"the pipe gave more than {_MAX_BYTES} bytes: it must give the words alone")
        return data.decode("utf-8", "replace").split()
    finally:
        data[:] = bytes(len(data))
