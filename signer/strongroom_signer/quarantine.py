"""What the coordinator says that keeps this signer out of signing sets, and its operator's word that it is mended.

The operator's word is a statement by the vote key. It is kept here for good and handed to the coordinator whenever that
says that the evidence still waits for it, so it outlives restarts, lost connections and a coordinator that was rebuilt.
It brings the signer back only together with an order of the unfreeze quorum.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from strongroom.crypto.ed25519 import SigningKey
from strongroom.ledger.signed_messages import ReinstateStatement
from strongroom.model.errors import Kind, StrongroomError
from strongroom.model.ids import LogId
from strongroom.protocol.signed import SignedBody, sign_body
from strongroom_signer.clock import Clock
from strongroom_signer.store import Store

__all__ = ["Notice", "Quarantine", "TooManyReinstatements"]

MAX_REINSTATEMENTS: Final = 1_000


class TooManyReinstatements(StrongroomError):
    """This signer's operator has settled more evidence than an honest signer can have against it."""

    reason = "REINSTATEMENTS_FULL"
    kind = Kind.RESOURCE_EXHAUSTED


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """The coordinator's word about one unsettled record; nothing here follows from it but what the operator sees.

    Attributes:
        evidence_hash: Name of the record, 32 bytes.
        fault: What it proves, in one word.
        detail: The same in a line.
        operator_cleared: Whether the coordinator has this operator's statement.
        ordered: Whether the order that reinstates the signer has acted.
    """

    evidence_hash: bytes
    fault: str
    detail: str
    operator_cleared: bool
    ordered: bool


class Quarantine:
    """The newest notice, and the operator's statements."""

    def __init__(self, store: Store, *, log_id: LogId, signer: str, vote_key: SigningKey, clock: Clock) -> None:
        self._store = store
        self._log_id = log_id
        self._signer = signer
        self._key = vote_key
        self._clock = clock
        self._settled = store.reinstatements()
        self.notice: Notice | None = None
        """What the connected coordinator said last; None when it has said nothing, or that nothing keeps us out."""

    def reinstate(self, evidence_hash: bytes) -> None:
        """Keep that the operator has settled this evidence (32 bytes), to be told to the coordinator.

        Raises:
            TooManyReinstatements: nothing more is kept.
        """
        if evidence_hash not in self._settled and len(self._settled) >= MAX_REINSTATEMENTS:
            raise TooManyReinstatements(f"{MAX_REINSTATEMENTS} statements are kept: rebuild this signer instead")
        with self._store.commit() as write:
            write.add_reinstatement(evidence_hash, self._clock.wall_ms())
        self._settled = self._store.reinstatements()

    def to_raise(self) -> tuple[SignedBody, ...]:
        """The statement that the coordinator waits for, if the operator has made it."""
        notice = self.notice
        if self._key.is_wiped or notice is None or notice.operator_cleared or notice.evidence_hash not in self._settled:
            return ()
        statement = ReinstateStatement(log_id=self._log_id, signer=self._signer, evidence_hash=notice.evidence_hash)
        return (sign_body("reinstate", statement, self._key),)
