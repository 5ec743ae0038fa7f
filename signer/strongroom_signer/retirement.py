"""A signer that left the witness set for good: its vote key is erased, as soon as that is final.

A key that has counted, and counts no more, could only serve whoever finds the machine: to vote for another history
with others that left. So it goes, and no backup has it. The daemon still follows the log, because it may hold shares:
it erases each one when its vault's next epoch is final.

Spec: docs/protocol/witnesses.md.
"""

from __future__ import annotations

from strongroom.crypto.ed25519 import SigningKey
from strongroom.ledger.certificate_messages import WitnessSet
from strongroom.ledger.state import State
from strongroom.model.errors import Kind, StrongroomError
from strongroom_signer.keys import SignerKeys, forget_vote_key
from strongroom_signer.log_copy import LogCopy
from strongroom_signer.logs import Log

__all__ = ["Retired", "Retirement", "has_left", "require_vote_key"]


class Retired(StrongroomError):
    """This signer left the witness set, and its vote key is erased: it neither votes nor signs ever again."""

    reason = "SIGNER_RETIRED"
    kind = Kind.FAILED_PRECONDITION
    remedy = "make a new signer, if the organisation wants one"


def has_left(final: State, name: str, vote_key: bytes) -> bool:
    """Whether a key has counted as this name's, and by the final state never will again.

    One that has not counted yet may still come to count. Keys are never taken up a second time, so one that is gone
    stays so.
    """
    record = final.witnesses
    if any(_has(part, name, vote_key) for part in (record.current, record.next) if part is not None):
        return False
    return any(_has(ruled.current, name, vote_key) for _, ruled in final.electorates())


def _has(witnesses: WitnessSet, name: str, vote_key: bytes) -> bool:
    return any((one.name, one.vote_key) == (name, vote_key) for one in witnesses.signers)


def require_vote_key(key: SigningKey) -> None:
    """Refuse what has to be signed with the vote key.

    Raises:
        Retired: it is erased.
    """
    if key.is_wiped:
        raise Retired("this signer left the witness set and its vote key is erased: it votes and signs no more")


class Retirement:
    """Erases the vote key when the final state says that it is over."""

    def __init__(self, *, copy: LogCopy, keys: SignerKeys, name: str, log: Log) -> None:
        self._copy = copy
        self._keys = keys
        self._name = name
        self._log = log

    def became_final(self, _before: int, _after: int) -> None:
        """Look whether these entries end this signer's part."""
        self.bring_up_to_date()

    def bring_up_to_date(self) -> None:
        """Erase the vote key if it counts no more; whoever was killed before it did comes here when it starts."""
        if self._keys.vote.is_wiped or not self._copy.final_size:
            return
        if has_left(self._copy.final(), self._name, self._keys.vote.public):
            forget_vote_key(self._copy.store, self._keys)
            self._log.warning("signer.retired", size=self._copy.final_size)
