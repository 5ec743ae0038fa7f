"""The restart file: what administrators pass around to sign, and operators to pin.

The line `strongroom restart v1` and a newline, then the canonical `Restart` of strongroom.ledger.v1, and nothing more.
While approvals are missing it is a draft; once it has as many as the admin quorum needs it is complete, and its hash is
the new log id.
"""

from __future__ import annotations

from typing import Final

from strongroom.ledger import codec
from strongroom.ledger.codec import NotCanonical
from strongroom.ledger.entry_messages import MAX_ENTRY_BYTES, Restart
from strongroom.ledger.founding import statement_of
from strongroom.model.errors import Kind, StrongroomError

__all__ = ["MAX_FILE_BYTES", "RestartFileInvalid", "decode_restart_file", "encode_restart_file", "is_restart_file"]

FIRST_LINE: Final = b"strongroom restart v1\n"
MAX_FILE_BYTES: Final = len(FIRST_LINE) + MAX_ENTRY_BYTES


class RestartFileInvalid(StrongroomError):
    """The file is no restart file: cut, changed, or written by something else. Ask for it again."""

    reason = "RESTART_FILE_INVALID"
    kind = Kind.INVALID_ARGUMENT
    remedy = "get the file again"


def encode_restart_file(restart: Restart) -> bytes:
    """The bytes of the file.

    Raises:
        RestartFileInvalid: it is larger than an entry may be: too many approvals for so large a charter.
    """
    data = FIRST_LINE + codec.encode(restart)
    if len(data) > MAX_FILE_BYTES:
        raise RestartFileInvalid(f"the restart has {len(data)} bytes, more than {MAX_FILE_BYTES}")
    return data


def is_restart_file(data: bytes) -> bool:
    """Whether a file says that it is one."""
    return data.startswith(FIRST_LINE)


def decode_restart_file(data: bytes) -> Restart:
    """Read a file strictly; nothing more is known of what it says.

    Raises:
        RestartFileInvalid: it is not exactly one restart with a statement.
    """
    if not is_restart_file(data):
        raise RestartFileInvalid("the file does not begin with `strongroom restart v1`: it is no restart file")
    try:
        restart = codec.decode(Restart, data[len(FIRST_LINE) :], max_size=MAX_ENTRY_BYTES)
        statement_of(restart)
    except NotCanonical as error:
        raise RestartFileInvalid(f"the file is damaged: {error.message}") from error
    return restart
