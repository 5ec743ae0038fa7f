"""Orders and endorsements enter the log."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from typing import Final

from strongroom.ledger.entry_messages import Endorse, OrderEntry
from strongroom.ledger.handlers.actions import Act, act_of
from strongroom.ledger.handlers.decoding import decode_new_order
from strongroom.ledger.handlers.endorsing import read_endorsement, record_of
from strongroom.ledger.handlers.position import Author, Position
from strongroom.ledger.mutable_state import MutableState
from strongroom.ledger.order_messages import MAX_ORDER_LIFE_MS, AmendCharter, Freeze, Order
from strongroom.ledger.reasons import refused
from strongroom.ledger.records import EndorsementRecord, OrderRecord, OrderState
from strongroom.ledger.rules import person_key_known
from strongroom.ledger.signed_messages import Endorsement, Signed, Verb
from strongroom.ledger.state import decode_order

__all__ = ["MAX_ENDORSEMENTS", "MAX_ORDER_LIFE_MS", "apply_endorse", "apply_order"]

MAX_ENDORSEMENTS: Final = 127
"""Of initiation and approvals; the record's last place is kept for a rejection, which must always find room."""


def apply_order(state: MutableState, body: OrderEntry, at: Position) -> Author | None:
    """Accept a new order with its initiator's endorsement, and let it act if it acts in the ledger itself."""
    order = decode_new_order(body.order)
    order_hash = sha256(body.order).digest()
    _check_new(state, order, order_hash, at)
    # What an order asks for can be much to look at: before that, people of the charter must have signed it.
    endorsements = [_read_of_new(state, order_hash, signed, at) for signed in body.endorsements]
    act = act_of(order)
    act.check(state, at)
    said: list[EndorsementRecord] = []
    for endorsement in endorsements:
        _check_said(state, act, said, endorsement, at)
        said.append(record_of(endorsement, at))
    initiators = [one for one in said if one.verb is Verb.INITIATE]
    if not initiators:
        raise refused("INITIATOR_NOT_ALLOWED", "the order comes without its initiator's endorsement")
    record = OrderRecord(
        hash=order_hash,
        order=body.order,
        accepted_ms=at.time_ms,
        state=OrderState.OPEN,
        endorsements=tuple(said),
        cancelled_by=b"",
    )
    record = act.begin(state, record, at)
    state.add_order(record, order.id, now_ms=at.time_ms)
    _advance(state, act, record, at)
    return None if isinstance(order.action, Freeze) else Author(name=initiators[0].person)


def apply_endorse(state: MutableState, body: Endorse, at: Position) -> Author | None:
    """Accept one more endorsement of a logged order."""
    endorsement = read_endorsement(state, body.endorsement, at)
    record = state.order(endorsement.order_hash)
    if record is None:
        raise refused("ORDER_UNKNOWN", f"the ledger has no order {endorsement.order_hash.hex()}")
    act = act_of(decode_order(record.order))
    _check_said(state, act, record.endorsements, endorsement, at)
    _check_open(state, act, record, endorsement, at)
    act.check_word(state, endorsement, at)
    changed = replace(record, endorsements=(*record.endorsements, record_of(endorsement, at)))
    if endorsement.verb is Verb.REJECT and record.state in (OrderState.OPEN, OrderState.SCHEDULED):
        changed = replace(changed, state=OrderState.REJECTED, ended_ms=at.time_ms)
    state.change_order(changed)
    _advance(state, act, changed, at)
    # A rejection must always find its way into the log, or the signers that hold it would stop voting.
    return None if endorsement.verb is Verb.REJECT else Author(name=endorsement.person)


def _read_of_new(state: MutableState, order_hash: bytes, signed: Signed, at: Position) -> Endorsement:
    endorsement = read_endorsement(state, signed, at)
    if endorsement.order_hash != order_hash:
        raise refused("ENDORSEMENT_MISMATCH", f"the endorsement by {endorsement.person} is of another order")
    if endorsement.verb is Verb.REJECT:
        raise refused("VERB_NOT_ALLOWED", "a new order comes with its initiation and approvals only")
    return endorsement


def _check_new(state: MutableState, order: Order, order_hash: bytes, at: Position) -> None:
    if order.log_id != state.log_id:
        raise refused("WRONG_LOG", "the order is for another log")
    if state.order(order_hash) is not None:
        raise refused("ALREADY_KNOWN", f"the ledger holds order {order_hash.hex()} already", order=order_hash.hex())
    if not _acts_once(order) and state.order_by_id(order.id) is not None:
        raise refused("ORDER_ID_TAKEN", f"another order has the id {order.id.hex()}", id=order.id.hex())
    if order.expires_ms <= at.time_ms:
        raise refused("ORDER_EXPIRED", "the order has expired")
    if order.expires_ms > at.time_ms + MAX_ORDER_LIFE_MS:
        raise refused("ORDER_LIFE_TOO_LONG", "the order is to live for more than 30 days")


def _acts_once(order: Order) -> bool:
    """Whether nothing is lost when two such orders have one id.

    What people hand to signers past the coordinator must find a way into the log. If its id had to be free, anybody
    whose key a thief has could take it first. An amendment names the version that it follows, and a freeze adds
    nothing to a freeze; both are known again by their bytes.
    """
    return isinstance(order.action, Freeze | AmendCharter)


def _check_said(
    state: MutableState,
    act: Act,
    before: tuple[EndorsementRecord, ...] | list[EndorsementRecord],
    new: Endorsement,
    at: Position,
) -> None:
    """Check who may say what, given what was said before."""
    # A word by a key that was revoked counts no more: whoever has another key now may say it again.
    same = (one for one in before if one.person == new.person and one.verb is new.verb)
    if any(person_key_known(state.charter, one.person, one.key) for one in same):
        raise refused("ALREADY_KNOWN", f"the ledger holds this word of {new.person} already", person=new.person)
    if new.verb is not Verb.REJECT and len(before) >= MAX_ENDORSEMENTS:
        raise refused("ENDORSEMENTS_FULL", f"the order has {len(before)} endorsements")
    initiations = [one for one in before if one.verb is Verb.INITIATE]
    if new.verb is Verb.INITIATE:
        # A thief may put the order into the log first, by a word that lives for a minute: then others may initiate it.
        living = [one.person for one in initiations if _counts(state, one, at)]
        if living:
            raise refused("VERB_NOT_ALLOWED", f"{min(living)} initiated the order already")
        if any(one.person == new.person for one in before):
            raise refused("INITIATOR_CANNOT_APPROVE", f"{new.person} initiates the order and cannot approve it")
        if not act.may_initiate(state, new.person):
            raise act.not_initiated(state, new.person)
        return
    if new.verb is Verb.APPROVE and any(one.person == new.person for one in initiations):
        raise refused("INITIATOR_CANNOT_APPROVE", f"{new.person} initiated the order and cannot approve it")
    if not act.is_approver(state, new.person):
        raise refused("NOT_AN_APPROVER", f"no rule names {new.person} as approver of this order", person=new.person)


def _counts(state: MutableState, said: EndorsementRecord, at: Position) -> bool:
    return at.time_ms < said.expires_ms and person_key_known(state.charter, said.person, said.key)


def _check_open(state: MutableState, act: Act, record: OrderRecord, new: Endorsement, at: Position) -> None:
    """Check that the order still takes words."""
    if any(one.verb is Verb.REJECT for one in record.endorsements):
        raise refused("ORDER_ENDED", "the order was rejected", state="REJECTED")
    if not act.takes_words(state, record, new.verb, at):
        raise refused(
            "ORDER_ENDED", f"the order is {record.state.name} and takes no more words", state=record.state.name
        )
    if record.state is OrderState.OPEN and decode_order(record.order).expires_ms <= at.time_ms:
        raise refused("ORDER_EXPIRED", "the order has expired")


def _advance(state: MutableState, act: Act, record: OrderRecord, at: Position) -> None:
    """Let the order, as just recorded, act in the ledger if it can by now."""
    changed = act.settle(state, record, at)
    if changed != record:
        state.change_order(changed)
