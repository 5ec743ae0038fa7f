"""The first entry: the charter comes into force, adopted by the quorum of administrators it names itself."""

from __future__ import annotations

from strongroom.crypto import ed25519
from strongroom.ledger.charter import RULE_SET, Charter, log_id_of
from strongroom.ledger.entry_messages import Genesis
from strongroom.ledger.handlers.decoding import check_structure, decode_inner
from strongroom.ledger.handlers.position import Position
from strongroom.ledger.handlers.witnesses import start_witnesses
from strongroom.ledger.mutable_state import MutableState
from strongroom.ledger.pae import pae
from strongroom.ledger.reasons import refused
from strongroom.ledger.records import CharterRecord
from strongroom.ledger.rules import person_key_known, quorum_members
from strongroom.ledger.signed_messages import Adopt, Signed

__all__ = ["apply_genesis"]


def apply_genesis(state: MutableState, body: Genesis, at: Position) -> None:
    """Check the genesis against the pinned log id and put its charter in force."""
    if state.charter_record is not None:
        raise refused("GENESIS_MISPLACED", "a genesis can only be the first entry of the log")
    if log_id_of(body.charter) != state.log_id:
        raise refused("WRONG_LOG", f"the charter's hash is {log_id_of(body.charter).hex()}, not the log id pinned here")
    charter = decode_inner(Charter, body.charter)
    if charter.version != 1:
        raise refused("CHARTER_INVALID", f"the charter of a genesis has version 1, not {charter.version}")
    if charter.rule_set != RULE_SET:
        raise refused("RULE_SET_UNKNOWN", f"the charter asks for rule set {charter.rule_set}, known is {RULE_SET}")
    check_structure(charter)
    _check_adoptions(state, charter, body.adoptions)
    state.start_charter(CharterRecord(log_id=state.log_id, charter=body.charter, since_ms=at.time_ms), charter)
    start_witnesses(state, charter, at)


def _check_adoptions(state: MutableState, charter: Charter, adoptions: tuple[Signed, ...]) -> None:
    members = quorum_members(charter, charter.admin)
    adopted: set[str] = set()
    for signed in adoptions:
        adoption = decode_inner(Adopt, signed.body)
        if adoption.log_id != state.log_id:
            raise refused("WRONG_LOG", f"the adoption by {adoption.person} is of another charter")
        if adoption.person not in members:
            raise refused("ADOPTION_INVALID", f"{adoption.person} is not in the charter's group of administrators")
        if adoption.person in adopted:
            raise refused("ADOPTION_INVALID", f"{adoption.person} adopts twice")
        if not person_key_known(charter, adoption.person, adoption.key):
            raise refused("KEY_UNKNOWN", f"the charter has no such key of {adoption.person}")
        if not ed25519.verify(adoption.key, pae("adopt", signed.body), signed.signature):
            raise refused("BAD_SIGNATURE", f"the signature under the adoption by {adoption.person} does not verify")
        adopted.add(adoption.person)
    if len(adopted) < max(1, charter.admin.count):
        raise refused("ADOPTION_QUORUM", f"{len(adopted)} administrators adopted, {charter.admin.count} must")
