"""Freezes: any one officer's by an order, any one operator's by the signer's statement. Both act at once."""

from __future__ import annotations

from hashlib import sha256
from typing import Final

from strongroom.crypto import ed25519
from strongroom.ledger.entry_messages import SignerFreeze
from strongroom.ledger.handlers.decoding import decode_inner
from strongroom.ledger.handlers.position import Position
from strongroom.ledger.mutable_state import MutableState
from strongroom.ledger.order_messages import Freeze, Scope
from strongroom.ledger.pae import pae
from strongroom.ledger.reasons import refused
from strongroom.ledger.records import FreezeRecord
from strongroom.ledger.signed_messages import FreezeStatement
from strongroom.ledger.state import State

__all__ = ["MAX_STANDING_FREEZES", "apply_signer_freeze", "check_scope", "freeze_record"]

MAX_STANDING_FREEZES: Final = 8
"""Of one author. Freezes count against no daily quota, so that one can always be logged; this bounds them instead."""


def apply_signer_freeze(state: MutableState, body: SignerFreeze, at: Position) -> None:
    """Record an operator's freeze."""
    statement = decode_inner(FreezeStatement, body.statement.body)
    if statement.log_id != state.log_id:
        raise refused("WRONG_LOG", f"the freeze by {statement.signer} is for another log")
    freeze_id = sha256(body.statement.body).digest()
    if state.freeze(freeze_id) is not None:
        raise refused("ALREADY_KNOWN", f"the ledger holds freeze {freeze_id.hex()} already", freeze=freeze_id.hex())
    vote_key = next((signer.vote_key for signer in state.charter.signers if signer.name == statement.signer), None)
    if vote_key is None:
        raise refused("KEY_UNKNOWN", f"the charter has no signer {statement.signer}", signer=statement.signer)
    if not ed25519.verify(vote_key, pae("freeze", body.statement.body), body.statement.signature):
        raise refused("BAD_SIGNATURE", f"the signature under the freeze by {statement.signer} does not verify")
    check_scope(state, statement.scope, statement.vault)
    record = freeze_record(state, freeze_id, statement, at, signer=statement.signer)
    state.add_freeze(record, now_ms=at.time_ms)


def check_scope(state: State, scope: Scope, vault: str) -> None:
    """Refuse a freeze that names no vault though it is of one, names one though it is of all, or an unknown one."""
    if (scope is Scope.VAULT) != bool(vault):
        raise refused("FREEZE_SCOPE", "a freeze names a vault exactly when its scope is one vault")
    if vault and state.vault(vault) is None:
        raise refused("VAULT_UNKNOWN", f"there is no vault {vault}", vault=vault)


def freeze_record(
    state: State, freeze_id: bytes, said: Freeze | FreezeStatement, at: Position, *, person: str = "", signer: str = ""
) -> FreezeRecord:
    """Return the record of a new freeze by a person or a signer; it lapses after the charter's time."""
    standing = sum(1 for one in state.standing_freezes(at.time_ms) if (one.person, one.signer) == (person, signer))
    if standing >= MAX_STANDING_FREEZES:
        raise refused("FREEZES_FULL", f"{person or signer} has {standing} freezes in force")
    return FreezeRecord(
        id=freeze_id,
        scope=said.scope,
        vault=said.vault,
        person=person,
        signer=signer,
        since_ms=at.time_ms,
        lapses_ms=at.time_ms + state.charter.freeze_lapse_ms,
        lifted=False,
        why=said.why,
    )
