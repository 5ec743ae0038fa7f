"""What a log is founded on: its genesis, or an entry by which its administrators founded it anew.

The log id names that entry: SHA-256 of the genesis charter, or a tagged hash of the whole restart, its certificate and
its approvals included. So two operators that compared one fingerprint have the same entry, byte for byte, and nothing
that was signed for the log before, or for another restart of it, is worth anything in the one that begins here.
"""

from __future__ import annotations

import hashlib
from typing import Final

from strongroom.ledger import codec
from strongroom.ledger.charter import Charter, decode_charter, log_id_of
from strongroom.ledger.entry_messages import MAX_ENTRY_BYTES, Entry, Genesis, Restart, RestartStatement
from strongroom.model.errors import Kind, StrongroomError
from strongroom.model.ids import LogId

__all__ = [
    "NotFounding",
    "founded_charter",
    "founded_log_id",
    "read_founding",
    "restart_entry",
    "restart_log_id",
    "statement_hash",
    "statement_of",
]

_TAG: Final = b"strongroom/restart/v1"
_SALT_TAG: Final = b"strongroom/restart-salt/v1"


class NotFounding(StrongroomError):
    """The entry is neither a genesis nor one that founds a log anew; whoever gave it as such is at fault."""

    reason = "NOT_A_FOUNDING_ENTRY"
    kind = Kind.INVALID_ARGUMENT


def restart_log_id(restart: Restart) -> LogId:
    """The log id in force from this entry on: SHA-256 of `strongroom/restart/v1` and the canonical bytes; 32 bytes."""
    return LogId(hashlib.sha256(_TAG + codec.encode(restart)).digest())


def statement_hash(restart: Restart) -> bytes:
    """What each administrator signs, 32 bytes."""
    return hashlib.sha256(restart.statement).digest()


def statement_of(restart: Restart) -> RestartStatement:
    """Decode the statement.

    Raises:
        NotCanonical: it is none.
    """
    return codec.decode(RestartStatement, restart.statement, max_size=MAX_ENTRY_BYTES)


def restart_entry(restart: Restart) -> Entry:
    """The one entry of this restart; everybody who has the restart makes the same bytes.

    Raises:
        NotCanonical: its statement is none.
    """
    # Nothing in it is secret, so the salt need not be random.
    salt = hashlib.sha256(_SALT_TAG + codec.encode(restart)).digest()[:16]
    return Entry(salt=salt, time_ms=statement_of(restart).made_ms, body=restart)


def read_founding(entry_bytes: bytes) -> Entry:
    """Decode an entry that a log is founded on.

    Raises:
        NotFounding: it is another one.
        NotCanonical: the bytes are no canonical entry.
    """
    entry = codec.decode(Entry, entry_bytes, max_size=MAX_ENTRY_BYTES)
    if not isinstance(entry.body, Genesis | Restart):
        raise NotFounding(f"no log is founded on an entry of kind {type(entry.body).__name__}")
    return entry


def founded_log_id(entry: Entry) -> LogId:
    """The log id of a log that is founded on this entry.

    Raises:
        NotFounding: nothing is.
    """
    if isinstance(entry.body, Genesis):
        return log_id_of(entry.body.charter)
    if isinstance(entry.body, Restart):
        return restart_log_id(entry.body)
    raise NotFounding(f"no log is founded on an entry of kind {type(entry.body).__name__}")


def founded_charter(entry: Entry) -> tuple[bytes, Charter]:
    """The charter that a log begins with which is founded on this entry: its canonical bytes, and the same decoded.

    Raises:
        NotFounding: nothing is.
        NotCanonical: the charter or the statement is malformed.
    """
    if isinstance(entry.body, Genesis):
        data = entry.body.charter
    elif isinstance(entry.body, Restart):
        data = statement_of(entry.body).charter
    else:
        raise NotFounding(f"no log is founded on an entry of kind {type(entry.body).__name__}")
    return data, decode_charter(data)
