"""The words of the inbox, read back from their rows, and held against the log."""

from __future__ import annotations

import hashlib

from strongroom.ledger import codec
from strongroom.ledger.entry_messages import Endorse, OrderEntry
from strongroom.ledger.order_messages import Freeze
from strongroom.ledger.signed_messages import Endorsement, Verb
from strongroom.ledger.state import State, decode_order
from strongroom_signer.revocations import HandedRevocation
from strongroom_signer.rows import InboxItem
from strongroom_signer.word_life import HandedFreeze, handed_freeze

__all__ = ["body_of", "holds", "person_in", "rejection_in", "said_in", "salvaged_from"]


def rejection_in(item: InboxItem) -> Endorsement:
    """What a row of the inbox that holds a rejection says."""
    return codec.decode(Endorsement, codec.decode(Endorse, item.body).endorsement.body)


def said_in(item: InboxItem) -> Endorsement | HandedFreeze | HandedRevocation:
    """What a row of the inbox says."""
    match item.kind:
        case "rejection":
            return rejection_in(item)
        case "revocation":
            return codec.decode(HandedRevocation, item.body)
        case _:
            return handed_freeze(item)


def person_in(item: InboxItem) -> str:
    """Whose rejection or freeze it is."""
    return rejection_in(item).person if item.kind == "rejection" else handed_freeze(item).person


def salvaged_from(body: object, now_ms: int) -> InboxItem | None:
    """The word in a dropped entry, if it is one that must not be lost."""
    match body:
        case Endorse() if codec.decode(Endorsement, body.endorsement.body).verb is Verb.REJECT:
            kind, identifier = "rejection", hashlib.sha256(body.endorsement.body).digest()
        case OrderEntry() if isinstance(decode_order(body.order).action, Freeze):
            kind, identifier = "freeze", hashlib.sha256(body.order).digest()
        case _:
            return None
    return InboxItem(id=identifier, kind=kind, body=codec.encode(body), since_ms=now_ms, salvaged=True)


def body_of(item: InboxItem) -> Endorse | OrderEntry:
    """What a rejection or freeze is in the log."""
    return codec.decode(OrderEntry, item.body) if item.kind == "freeze" else codec.decode(Endorse, item.body)


def holds(state: State, item: InboxItem) -> bool:
    """Whether the state has taken this word up."""
    if item.kind == "freeze":
        return state.freeze(item.id) is not None
    said = rejection_in(item)
    record = state.order(said.order_hash)
    return record is not None and any(
        one.verb is Verb.REJECT and one.person == said.person for one in record.endorsements
    )
