"""A log id as people type it: 64 hexadecimal digits, or the 40 digits that they read to each other.

The digits do not hold the id, they are computed from it: so whatever serves the log, or holds it, is asked for the id,
and it is taken only if it reads as what was typed.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from strongroom.ledger.founding import founded_log_id, read_founding
from strongroom.model.errors import StrongroomError
from strongroom.model.fingerprints import Compared, is_fingerprint
from strongroom.model.ids import LogId
from strongroom_client.channel import Endpoint
from strongroom_client.errors import PinMismatch
from strongroom_client.profile import log_id_from_hex
from strongroom_client.treasury import TreasuryClient

__all__ = ["LOG_ID_FORMS", "log_id_of_typed", "served_log_id"]

LOG_ID_FORMS: Final = "64 hex digits, or the 40 digits read aloud"
_SEPARATORS: Final = re.compile(r"[\s:.-]")
_SPOKEN: Final = re.compile(r"[0-9]{40}", re.ASCII)
_NO_PIN: Final = LogId(bytes(32))


def log_id_of_typed(typed: str, held: Callable[[], LogId]) -> LogId:
    """The log id that somebody typed, in either form.

    Args:
        typed: Groups, colons and dashes are as people copy them.
        held: Says which log is at hand; asked only when the digits read aloud were typed.

    Raises:
        ProfileProblem: it has neither form.
        PinMismatch: the log at hand is another one.
    """
    compact = _SEPARATORS.sub("", typed)
    if not _SPOKEN.fullmatch(compact):
        return log_id_from_hex(compact)
    found = held()
    if not is_fingerprint(typed, Compared.CHARTER, found):
        raise PinMismatch(
            "the log at hand does not have the log id whose digits you typed: type them again, and if they are right, "
            "you were given another log; trust nothing that it says",
            served=found.hex(),
        )
    return found


async def served_log_id(endpoint: Endpoint) -> LogId:
    """The id of the log that a coordinator serves: its word, until a person compared it.

    Raises:
        PinMismatch: it serves nothing that a log is founded on.
        RemoteError: it gives no answer.
    """
    async with TreasuryClient.connect(endpoint, log_id=_NO_PIN) as client:
        entry = (await client.ledger()).founding_entry
    try:
        return founded_log_id(read_founding(entry))
    except StrongroomError as error:
        raise PinMismatch(f"the entry that founds the coordinator's log is unusable: {error.message}") from error
