"""Reading an endorsement: everything that makes it this person's word about this order in this log."""

from __future__ import annotations

from typing import Final

from strongroom.crypto import ed25519
from strongroom.ledger.handlers.decoding import decode_inner
from strongroom.ledger.handlers.position import Position
from strongroom.ledger.pae import pae
from strongroom.ledger.reasons import refused
from strongroom.ledger.records import EndorsementRecord
from strongroom.ledger.rules import person_key_known
from strongroom.ledger.signed_messages import Endorsement, Signed
from strongroom.ledger.state import State

__all__ = ["MAX_ENDORSEMENT_LIFE_MS", "read_endorsement", "record_of"]

MAX_ENDORSEMENT_LIFE_MS: Final = 7 * 24 * 60 * 60 * 1000


def read_endorsement(state: State, signed: Signed, at: Position) -> Endorsement:
    """Decode an endorsement and check everything that does not depend on the order."""
    said = decode_inner(Endorsement, signed.body)
    if said.log_id != state.log_id:
        raise refused("WRONG_LOG", f"the endorsement by {said.person} is for another log")
    if not person_key_known(state.charter, said.person, said.key):
        raise refused("KEY_UNKNOWN", f"the charter has no such key of {said.person}", person=said.person)
    if said.expires_ms <= at.time_ms:
        raise refused("ENDORSEMENT_EXPIRED", f"the endorsement by {said.person} has expired", person=said.person)
    if said.expires_ms > at.time_ms + MAX_ENDORSEMENT_LIFE_MS:
        raise refused("ENDORSEMENT_TOO_LONG", f"the endorsement by {said.person} is to live for more than 7 days")
    _check_head(state, said, at)
    if not ed25519.verify(said.key, pae("endorsement", signed.body), signed.signature):
        raise refused("BAD_SIGNATURE", f"the signature under the endorsement by {said.person} does not verify")
    return said


def _check_head(state: State, said: Endorsement, at: Position) -> None:
    """The head its author saw must be one of this very log, so that a word given to one history counts in no other."""
    if not 1 <= said.head_size <= at.index:
        raise refused(
            "ENDORSEMENT_HEAD", f"the endorsement names a head of size {said.head_size}, the log has {at.index}"
        )
    if state.log_root(said.head_size) != said.head_root:
        raise refused(
            "ENDORSEMENT_HEAD", f"the endorsement names another root at size {said.head_size} than this log's"
        )


def record_of(said: Endorsement, at: Position) -> EndorsementRecord:
    """Return what the order's record keeps of an endorsement."""
    return EndorsementRecord(
        verb=said.verb, person=said.person, key=said.key, expires_ms=said.expires_ms, time_ms=at.time_ms
    )
