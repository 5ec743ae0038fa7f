"""Where the passphrase comes from: a file or the terminal, never arguments or the environment."""

from __future__ import annotations

import getpass
import sys
from pathlib import Path

from strongroom.crypto.secret import SecretBytes
from strongroom.model.errors import Kind, StrongroomError

__all__ = ["NoPassphrase", "read_passphrase"]

_MIN_NEW_LENGTH = 8
_MAX_LENGTH = 1024


class NoPassphrase(StrongroomError):
    """No usable passphrase was given."""

    reason = "NO_PASSPHRASE"
    kind = Kind.INVALID_ARGUMENT
    remedy = "type one, or give the file that holds it"


def read_passphrase(file: Path | None, *, new: bool = False, what: str = "Passphrase") -> SecretBytes:
    """Read the passphrase; a new one is asked for twice and has at least 8 characters.

    Raises:
        NoPassphrase: the file is unreadable or empty, the two entries differ, or there is no terminal.
    """
    passphrase = _from_file(file) if file is not None else _from_terminal(what, new=new)
    if new and len(passphrase) < _MIN_NEW_LENGTH:
        raise NoPassphrase(f"a new passphrase needs at least {_MIN_NEW_LENGTH} characters")
    return passphrase


def _from_file(file: Path) -> SecretBytes:
    data = bytearray(_MAX_LENGTH + 2)
    try:
        # Unbuffered, straight into what is overwritten afterwards: no other buffer ever holds the passphrase.
        with file.open("rb", buffering=0) as opened:
            del data[opened.readinto(data) :]
    except OSError as error:
        raise NoPassphrase(f"{file} cannot be read: {error.strerror}") from None
    if data.endswith(b"\n"):
        data[-1:] = b""
    if not 1 <= len(data) <= _MAX_LENGTH:
        raise NoPassphrase(f"{file} must hold a passphrase of 1 to 1024 bytes on one line")
    return SecretBytes.take_over(data)


def _from_terminal(what: str, *, new: bool) -> SecretBytes:
    if not sys.stdin.isatty():
        raise NoPassphrase("there is no terminal to ask for the passphrase: give --passphrase-file FILE")
    first = getpass.getpass(f"{what}: ")
    if new and getpass.getpass("The same again: ") != first:
        raise NoPassphrase("the two passphrases differ: run the command again")
    if not first:
        raise NoPassphrase("the passphrase is empty")
    return SecretBytes(first.encode("utf-8"))
