"""What the ledger needs to know of a kind of order, and the lives that several kinds share."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

from strongroom.ledger.handlers.position import Position
from strongroom.ledger.messages import Endorsement, Verb
from strongroom.ledger.mutable_state import MutableState
from strongroom.ledger.reasons import Refused, StateDamaged, refused
from strongroom.ledger.records import OrderRecord, OrderState
from strongroom.ledger.state import State

__all__ = ["Act", "ByThoseNamed", "WaitsWhileOpen", "done"]


class Act(Protocol):
    """What the ledger needs to know of one kind of order."""

    def check(self, state: State, at: Position) -> None:
        """Refuse an order that could never act."""

    def may_initiate(self, state: State, person: str) -> bool:
        """Whether this person may make such an order."""

    def not_initiated(self, state: State, person: str) -> Refused:
        """Why this person, who may not, may not make such an order."""

    def is_approver(self, state: State, person: str) -> bool:
        """Whether this person's approval can count, and their rejection ends the order."""

    def check_word(self, state: State, said: Endorsement, at: Position) -> None:
        """Refuse a word of one who may say it, but that cannot be said of this very order."""

    def takes_words(self, state: State, record: OrderRecord, verb: Verb, at: Position) -> bool:
        """Whether the order takes more endorsements where it stands."""

    def begin(self, state: MutableState, record: OrderRecord, at: Position) -> OrderRecord:
        """Do what the order does on acceptance; return the record to keep."""

    def settle(self, state: MutableState, record: OrderRecord, at: Position) -> OrderRecord:
        """Do what new endorsements make possible; return the record to keep."""

    def due(self, state: MutableState, record: OrderRecord, at: Position) -> OrderRecord:
        """Do what a scheduled order does when its time has come; return the record to keep."""


class ByThoseNamed:
    """Whoever may not make such an order is told no more than that."""

    def not_initiated(self, state: State, person: str) -> Refused:
        """Say that the charter tells who may."""
        what = "look in the charter whose it is to make such orders"
        return refused("INITIATOR_NOT_ALLOWED", f"{person} may not initiate this order: {what}", person=person)

    def check_word(self, state: State, said: Endorsement, at: Position) -> None:
        """Every word may be said."""

    def due(self, state: MutableState, record: OrderRecord, at: Position) -> OrderRecord:
        """Such an order is never scheduled."""
        raise StateDamaged(f"order {record.hash.hex()} is scheduled, and is of a kind that never is")


class WaitsWhileOpen(ByThoseNamed):
    """The usual life: takes words while open, does nothing by itself."""

    def takes_words(self, state: State, record: OrderRecord, verb: Verb, at: Position) -> bool:
        """While it is open."""
        return record.state is OrderState.OPEN

    def begin(self, state: MutableState, record: OrderRecord, at: Position) -> OrderRecord:
        """Nothing happens on acceptance."""
        return record

    def settle(self, state: MutableState, record: OrderRecord, at: Position) -> OrderRecord:
        """Nothing follows from endorsements alone."""
        return record


def done(record: OrderRecord, at: Position) -> OrderRecord:
    """Return the record of an order that has acted."""
    return replace(record, state=OrderState.DONE, ended_ms=at.time_ms)
