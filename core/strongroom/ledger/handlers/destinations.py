"""Orders about the address book: adding to it takes a quorum and time, taking out of it takes one person and none."""

from __future__ import annotations

from dataclasses import dataclass, replace

from strongroom.chains.bitcoin.networks import BY_CAIP2
from strongroom.ledger.address_book import proof_holds
from strongroom.ledger.handlers.acts import WaitsWhileOpen, done
from strongroom.ledger.handlers.position import Position
from strongroom.ledger.judge import endorsed, judge_addition
from strongroom.ledger.mutable_state import MutableState
from strongroom.ledger.order_messages import AddDestination, RemoveDestination
from strongroom.ledger.plans import payee_script
from strongroom.ledger.reasons import refused
from strongroom.ledger.records import DestinationRecord, OrderRecord
from strongroom.ledger.rules import officers_of, quorum_members
from strongroom.ledger.signed_messages import Verb
from strongroom.ledger.state import State

__all__ = ["AddToBook", "TakeOutOfBook"]


@dataclass(frozen=True, slots=True)
class AddToBook(WaitsWhileOpen):
    """Adds with the last approval that it needs; from there the cooling-off runs."""

    action: AddDestination

    def check(self, state: State, at: Position) -> None:
        """Refuse what could never be paid, what stands there, and a proof that proves nothing."""
        action = self.action
        if state.charter.destinations is None:
            raise refused("ADDRESS_BOOK_CLOSED", "the charter names nobody who may add to the address book")
        network = BY_CAIP2.get(action.chain)
        if network is None or network.asset_id not in {asset.id for asset in state.charter.assets}:
            raise refused("CHAIN_UNKNOWN", f"the charter lists no asset of chain {action.chain}", chain=action.chain)
        payee_script(action.address, network)
        if self._stands(state):
            raise refused("DESTINATION_KNOWN", f"the address book has {action.address}", address=action.address)
        if action.proof and not proof_holds(state.log_id, action):
            raise refused("OWNERSHIP_NOT_PROVEN", f"the proof is no signature by the owner of {action.address}")

    def may_initiate(self, state: State, person: str) -> bool:
        """Anyone may propose an address."""
        return True

    def is_approver(self, state: State, person: str) -> bool:
        """The members of the charter's quorum for destinations are."""
        quorum = state.charter.destinations
        return quorum is not None and person in quorum_members(state.charter, quorum)

    def settle(self, state: MutableState, record: OrderRecord, at: Position) -> OrderRecord:
        """With the quorum, add the address; one that another order added meanwhile keeps the time it has."""
        if not judge_addition(state.charter, endorsed(record), at_ms=at.time_ms).allowed:
            return record
        if not self._stands(state):
            action = self.action
            state.add_destination(
                DestinationRecord(
                    order_hash=record.hash,
                    chain=action.chain,
                    address=action.address,
                    label=action.label,
                    added_ms=at.time_ms,
                    usable_ms=at.time_ms + state.charter.destination_cooling_ms,
                    is_proven=bool(action.proof),
                    removed_by="",
                )
            )
        return done(record, at)

    def _stands(self, state: State) -> bool:
        entry = state.destination(self.action.chain, self.action.address)
        return entry is not None and not entry.removed_ms


@dataclass(frozen=True, slots=True)
class TakeOutOfBook(WaitsWhileOpen):
    """Removes on acceptance: whoever sees a wrong address must not wait for anybody."""

    action: RemoveDestination

    def check(self, state: State, at: Position) -> None:
        """Refuse to remove what does not stand there."""
        entry = state.destination(self.action.chain, self.action.address)
        if entry is None or entry.removed_ms:
            raise refused("DESTINATION_UNKNOWN", f"the address book has no {self.action.address}")

    def may_initiate(self, state: State, person: str) -> bool:
        """Any one who may add, and any one officer."""
        charter = state.charter
        may_add = () if charter.destinations is None else quorum_members(charter, charter.destinations)
        return person in may_add or person in officers_of(charter)

    def is_approver(self, state: State, person: str) -> bool:
        """There is nothing to approve."""
        return False

    def begin(self, state: MutableState, record: OrderRecord, at: Position) -> OrderRecord:
        """Remove the entry."""
        entry = state.destination(self.action.chain, self.action.address)
        if entry is not None:
            person = next(one.person for one in record.endorsements if one.verb is Verb.INITIATE)
            state.change_destination(replace(entry, removed_ms=at.time_ms, removed_by=person))
        return done(record, at)
