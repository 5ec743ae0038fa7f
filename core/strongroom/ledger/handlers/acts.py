"""What the ledger needs to know of a kind of order, and the lives that several kinds share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from typing import Protocol

from strongroom.ledger.charter import Quorum
from strongroom.ledger.handlers.position import Position
from strongroom.ledger.judge import endorsed
from strongroom.ledger.mutable_state import MutableState
from strongroom.ledger.reasons import Refused, StateDamaged, refused
from strongroom.ledger.records import OrderRecord, OrderState
from strongroom.ledger.rules import completed_ms, judge_quorum, quorum_members
from strongroom.ledger.signed_messages import Endorsement, Verb
from strongroom.ledger.state import State

__all__ = ["Act", "ActsInTime", "ByThoseNamed", "WaitsWhileOpen", "done", "lapsed"]


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


class ActsInTime(WaitsWhileOpen, ABC):
    """Acts in the ledger once a quorum has approved it and its wait is over.

    Where there is no wait it acts with the last approval that it needs. Else it is scheduled from there: then neither
    its own expiry ends it nor that of its approvals, and a rejection by a member of the quorum still does.
    """

    @abstractmethod
    def quorum(self, state: State) -> Quorum:
        """Return whose approval it needs."""

    @abstractmethod
    def wait_ms(self, state: State) -> int:
        """Return how long it waits from the last approval that it needs."""

    @abstractmethod
    def check(self, state: State, at: Position) -> None:
        """Refuse an order that could not act any more; asked again when its time has come."""

    @abstractmethod
    def take_effect(self, state: MutableState, record: OrderRecord, at: Position) -> OrderRecord:
        """Act; return the record to keep."""

    def may_initiate(self, state: State, person: str) -> bool:
        """Anyone may ask; who asks does not count as approver."""
        return True

    def is_approver(self, state: State, person: str) -> bool:
        """The members of the quorum are."""
        return person in quorum_members(state.charter, self.quorum(state))

    def takes_words(self, state: State, record: OrderRecord, verb: Verb, at: Position) -> bool:
        """While it is open; then, until its time has come, rejections."""
        waits = record.state is OrderState.SCHEDULED and bool(record.due_ms)
        return record.state is OrderState.OPEN or (waits and verb is Verb.REJECT)

    def settle(self, state: MutableState, record: OrderRecord, at: Position) -> OrderRecord:
        """With the quorum, act at once or be scheduled."""
        # After the quorum only a rejection is taken, and with it this says no.
        if not judge_quorum(state.charter, self.quorum(state), endorsed(record), at_ms=at.time_ms).allowed:
            return record
        wait_ms = self.wait_ms(state)
        if wait_ms:
            return replace(record, state=OrderState.SCHEDULED, due_ms=at.time_ms + wait_ms)
        return self.take_effect(state, record, at)

    def due(self, state: MutableState, record: OrderRecord, at: Position) -> OrderRecord:
        """Act if the quorum still stands and the order can still act; else it has lapsed."""
        # Expiry since then does not matter, keys and people that were revoked since then do.
        if completed_ms(state.charter, self.quorum(state), endorsed(record)) is None:
            return lapsed(record, at)
        try:
            self.check(state, at)
        except Refused:
            return lapsed(record, at)
        return self.take_effect(state, record, at)


def done(record: OrderRecord, at: Position) -> OrderRecord:
    """Return the record of an order that has acted."""
    return replace(record, state=OrderState.DONE, ended_ms=at.time_ms)


def lapsed(record: OrderRecord, at: Position) -> OrderRecord:
    """Return the record of an order that could no longer act when its time came."""
    return replace(record, state=OrderState.LAPSED, ended_ms=at.time_ms)
