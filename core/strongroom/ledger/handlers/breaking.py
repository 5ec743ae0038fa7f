"""Orders to break the glass: who may make and approve them, and until when they take approvals."""

from __future__ import annotations

from dataclasses import dataclass

from strongroom.chains.bitcoin import policy
from strongroom.chains.bitcoin.networks import BY_CAIP2
from strongroom.ledger.break_glass import approved_rules, recovery_address, with_box
from strongroom.ledger.charter_book import book_of
from strongroom.ledger.handlers.acts import WaitsWhileOpen
from strongroom.ledger.handlers.position import Position
from strongroom.ledger.judgement import endorsed
from strongroom.ledger.mutable_state import MutableState
from strongroom.ledger.order_messages import BreakGlass
from strongroom.ledger.plans import payee_script
from strongroom.ledger.reasons import refused
from strongroom.ledger.records import OrderRecord
from strongroom.ledger.rules import quorum_members
from strongroom.ledger.signed_messages import Verb
from strongroom.ledger.state import State

__all__ = ["BreakTheGlass"]


@dataclass(frozen=True, slots=True)
class BreakTheGlass(WaitsWhileOpen):
    """Opens a box of time in which plans move the vault's coins; the order stays open for it."""

    action: BreakGlass

    def check(self, state: State, at: Position) -> None:
        """Refuse every destination but the one that the charter registers for the vault."""
        action = self.action
        vault = state.vault(action.vault)
        if vault is None:
            raise refused("VAULT_UNKNOWN", f"there is no vault {action.vault}", vault=action.vault)
        address = recovery_address(state.charter, action.vault)
        if action.destination != address:
            what = f"the charter's recovery address of vault {action.vault} is {address or 'not registered'}"
            raise refused("RECOVERY_ADDRESS", what)
        payee_script(action.destination, BY_CAIP2[vault.chain])
        if action.max_fee > policy.MAX_MONEY_SAT:
            raise refused("AMOUNT_INVALID", f"{action.max_fee} sat is no maximum of a fee")

    def may_initiate(self, state: State, person: str) -> bool:
        """Any person of the charter may; a machine may not."""
        return person not in book_of(state.charter).machines

    def is_approver(self, state: State, person: str) -> bool:
        """The members of the charter's quorum for break-glass are."""
        rules = state.charter.break_glass
        return rules is not None and person in quorum_members(state.charter, rules.quorum)

    def takes_words(self, state: State, record: OrderRecord, verb: Verb, at: Position) -> bool:
        """Approvals while the quorum does not stand, which move no box; rejections as long as the order is open."""
        return verb is Verb.REJECT or approved_rules(state.charter, endorsed(record), at_ms=at.time_ms) is None

    def settle(self, state: MutableState, record: OrderRecord, at: Position) -> OrderRecord:
        """Fix the box with the approval that completes the quorum."""
        return with_box(state.charter, record, at_ms=at.time_ms)
