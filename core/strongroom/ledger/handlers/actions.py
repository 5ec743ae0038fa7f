"""What each kind of order asks for, who may say what about it, and what it does in the ledger itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from strongroom.chains.bitcoin import policy
from strongroom.chains.bitcoin.networks import BY_CAIP2
from strongroom.ledger.charter import Quorum
from strongroom.ledger.handlers.acts import Act, ActsInTime, ByThoseNamed, WaitsWhileOpen, done
from strongroom.ledger.handlers.amending import Amend
from strongroom.ledger.handlers.breaking import BreakTheGlass
from strongroom.ledger.handlers.destinations import AddToBook, TakeOutOfBook
from strongroom.ledger.handlers.freezing import check_scope, freeze_record
from strongroom.ledger.handlers.position import Position
from strongroom.ledger.handlers.resharing import ChangeShares
from strongroom.ledger.judge import endorsed, withdrawal_of
from strongroom.ledger.judgement import Withdrawal
from strongroom.ledger.mutable_state import MutableState
from strongroom.ledger.order_messages import (
    AddDestination,
    AmendCharter,
    BreakGlass,
    CancelWithdraw,
    CreateVault,
    Freeze,
    Order,
    RefreshShares,
    ReinstateSigner,
    RemoveDestination,
    ReshareVault,
    SweepVault,
    Unfreeze,
    Withdraw,
)
from strongroom.ledger.plans import payee_script
from strongroom.ledger.reasons import Refused, refused
from strongroom.ledger.records import OrderRecord, OrderState
from strongroom.ledger.rules import (
    judge_quorum,
    may_initiate,
    named_approver,
    officers_of,
    quorum_members,
    why_not_initiated,
)
from strongroom.ledger.signed_messages import Verb
from strongroom.ledger.state import State, decode_order
from strongroom.ledger.vault_fit import problem_of_holders

__all__ = ["Act", "act_of"]


@dataclass(frozen=True, slots=True)
class _Pay(WaitsWhileOpen):
    action: Withdraw

    def check(self, state: State, at: Position) -> None:
        vault = state.vault(self.action.vault)
        if vault is None:
            raise refused("VAULT_UNKNOWN", f"there is no vault {self.action.vault}", vault=self.action.vault)
        network = BY_CAIP2[vault.chain]
        if self.action.asset != network.asset_id:
            raise refused("ASSET_MISMATCH", f"vault {vault.name} holds {network.asset_id}, not {self.action.asset}")
        least = policy.dust_sat(payee_script(self.action.destination, network))
        if least is None or not least <= self.action.amount <= policy.MAX_MONEY_SAT:
            bounds = f"at least {least} sat, at most {policy.MAX_MONEY_SAT} sat"
            raise refused("AMOUNT_INVALID", f"{self.action.amount} sat cannot be paid: {bounds}")
        if self.action.max_fee > policy.MAX_MONEY_SAT:
            raise refused("AMOUNT_INVALID", f"{self.action.max_fee} sat is no maximum of a fee")

    def may_initiate(self, state: State, person: str) -> bool:
        return may_initiate(state.charter, person, self._payment(state))

    def not_initiated(self, state: State, person: str) -> Refused:
        why = why_not_initiated(state.charter, person, self._payment(state))
        return refused(why.code.value, f"{person} may not initiate this order: {why.missing[0]}", person=person)

    def is_approver(self, state: State, person: str) -> bool:
        return named_approver(state.charter, person, self._payment(state))

    def _payment(self, state: State) -> Withdrawal:
        return withdrawal_of(self.action, state.destination_of(self.action))

    def takes_words(self, state: State, record: OrderRecord, verb: Verb, at: Position) -> bool:
        # With a plan, approvals still help a later plan that is judged in full, and a rejection prevents one.
        return record.state in (OrderState.OPEN, OrderState.PLANNED)


@dataclass(frozen=True, slots=True)
class _Cancel(WaitsWhileOpen):
    action: CancelWithdraw

    def check(self, state: State, at: Position) -> None:
        target = self._target(state)
        self._payment(target)
        if target.state not in (OrderState.OPEN, OrderState.PLANNED, OrderState.EXCLUDING):
            raise refused("ORDER_NOT_CANCELLABLE", f"the order is {target.state.name}", state=target.state.name)
        if self.action.max_fee > policy.MAX_MONEY_SAT:
            raise refused("AMOUNT_INVALID", f"{self.action.max_fee} sat is no maximum of a fee")

    def may_initiate(self, state: State, person: str) -> bool:
        target = self._target(state)
        if any(one.person == person and one.verb is Verb.INITIATE for one in target.endorsements):
            return True
        paid = self._payment(target)
        return named_approver(state.charter, person, withdrawal_of(paid, state.destination_of(paid)))

    def is_approver(self, state: State, person: str) -> bool:
        return False

    def begin(self, state: MutableState, record: OrderRecord, at: Position) -> OrderRecord:
        """End a target without a plan at once; else stop it and wait for the plan that excludes all plans of it."""
        target = self._target(state)
        if target.state is OrderState.OPEN:
            state.change_order(
                replace(target, state=OrderState.CANCELLED, cancelled_by=record.hash, ended_ms=at.time_ms)
            )
            return done(record, at)
        if target.state is OrderState.PLANNED:
            state.change_order(replace(target, state=OrderState.EXCLUDING, cancelled_by=record.hash))
        return record

    def _target(self, state: State) -> OrderRecord:
        target = state.order(self.action.order_hash)
        if target is None:
            raise refused("ORDER_UNKNOWN", f"the ledger has no order {self.action.order_hash.hex()} to cancel")
        return target

    def _payment(self, target: OrderRecord) -> Withdraw:
        """Return what the target pays; anything else is no order to cancel."""
        action = decode_order(target.order).action
        if not isinstance(action, Withdraw):
            raise refused("ORDER_NOT_CANCELLABLE", "only a withdrawal can be cancelled")
        return action


@dataclass(frozen=True, slots=True)
class _MakeVault(WaitsWhileOpen):
    action: CreateVault

    def check(self, state: State, at: Position) -> None:
        action = self.action
        network = BY_CAIP2.get(action.chain)
        if network is None or network.asset_id not in {asset.id for asset in state.charter.assets}:
            raise refused("CHAIN_UNKNOWN", f"the charter lists no asset of chain {action.chain}", chain=action.chain)
        if state.vault(action.name) is not None:
            raise refused("VAULT_NAME_TAKEN", f"there is a vault {action.name} already", vault=action.name)
        problem = problem_of_holders(
            state, action.name, signers=action.signers, threshold=action.threshold, chain=action.chain
        )
        if problem is not None:
            raise refused("VAULT_SIGNERS", f"vault {action.name}: {problem}")

    def may_initiate(self, state: State, person: str) -> bool:
        return True

    def is_approver(self, state: State, person: str) -> bool:
        return person in quorum_members(state.charter, state.charter.vault_creation)


@dataclass(frozen=True, slots=True)
class _Stop(ByThoseNamed):
    action: Freeze

    def check(self, state: State, at: Position) -> None:
        check_scope(state, self.action.scope, self.action.vault)

    def may_initiate(self, state: State, person: str) -> bool:
        return person in officers_of(state.charter)

    def is_approver(self, state: State, person: str) -> bool:
        return person in quorum_members(state.charter, state.charter.unfreeze)

    def takes_words(self, state: State, record: OrderRecord, verb: Verb, at: Position) -> bool:
        freeze = state.freeze(record.hash)
        standing = freeze is not None and not freeze.lifted and at.time_ms < freeze.lapses_ms
        return verb is Verb.APPROVE and standing

    def begin(self, state: MutableState, record: OrderRecord, at: Position) -> OrderRecord:
        """Freeze at once; from then on approvals by the unfreeze quorum can make the freeze last."""
        person = next(one.person for one in record.endorsements if one.verb is Verb.INITIATE)
        freeze = freeze_record(state, record.hash, self.action, at, person=person)
        state.add_freeze(freeze, now_ms=at.time_ms)
        return done(record, at)

    def settle(self, state: MutableState, record: OrderRecord, at: Position) -> OrderRecord:
        freeze = state.freeze(record.hash)
        # The freeze is in force: it is confirmed even when the key that asked for it, a stolen one, was revoked since.
        said = endorsed(record)
        quorum = judge_quorum(state.charter, state.charter.unfreeze, said, at_ms=at.time_ms, is_begun=True)
        if freeze is not None and freeze.lapses_ms and quorum.allowed:
            state.change_freeze(replace(freeze, lapses_ms=0), now_ms=at.time_ms)
        return record


class _ByUnfreezeQuorum(ActsInTime):
    """Ends a precaution: anyone may ask for it, and the charter's unfreeze quorum decides."""

    def quorum(self, state: State) -> Quorum:
        return state.charter.unfreeze

    def wait_ms(self, state: State) -> int:
        return 0


@dataclass(frozen=True, slots=True)
class _Lift(_ByUnfreezeQuorum):
    action: Unfreeze

    def wait_ms(self, state: State) -> int:
        return state.charter.unfreeze_delay_ms

    def check(self, state: State, at: Position) -> None:
        if state.freeze(self.action.freeze) is None:
            raise refused("FREEZE_UNKNOWN", f"there is no freeze {self.action.freeze.hex()}")
        if not any(record.id == self.action.freeze for record in state.standing_freezes(at.time_ms)):
            raise refused("FREEZE_OVER", "the freeze was lifted or has lapsed")

    def take_effect(self, state: MutableState, record: OrderRecord, at: Position) -> OrderRecord:
        freeze = state.freeze(self.action.freeze)
        if freeze is not None:
            state.change_freeze(replace(freeze, lifted=True), now_ms=at.time_ms)
        return done(record, at)


@dataclass(frozen=True, slots=True)
class _Reinstate(_ByUnfreezeQuorum):
    """Like an unfreeze it ends a precaution: whoever may let a vault go may let a signer sign again."""

    action: ReinstateSigner

    def may_initiate(self, state: State, person: str) -> bool:
        # Nobody is harmed by a signer that stays away, so this order need not be open to everybody as an unfreeze is.
        return self.is_approver(state, person) or person in officers_of(state.charter)

    def check(self, state: State, at: Position) -> None:
        if all(signer.name != self.action.signer for signer in state.charter.signers):
            raise refused(
                "SIGNER_UNKNOWN", f"the charter has no signer {self.action.signer}", signer=self.action.signer
            )

    def take_effect(self, state: MutableState, record: OrderRecord, at: Position) -> OrderRecord:
        return done(record, at)


@dataclass(frozen=True, slots=True)
class _Sweep(WaitsWhileOpen):
    """Judged by each holder from files, when no log goes on; while one does, its rules are the only way."""

    action: SweepVault

    def check(self, state: State, at: Position) -> None:
        raise refused("ORDER_NEVER_LOGGED", f"no log that goes on takes an order to sweep vault {self.action.vault}")

    def may_initiate(self, state: State, person: str) -> bool:
        return False

    def is_approver(self, state: State, person: str) -> bool:
        return False


_ACTS: Final[Mapping[type[Any], Callable[[Any], Act]]] = {
    Withdraw: _Pay,
    CancelWithdraw: _Cancel,
    CreateVault: _MakeVault,
    Freeze: _Stop,
    Unfreeze: _Lift,
    ReinstateSigner: _Reinstate,
    AmendCharter: Amend,
    RefreshShares: ChangeShares,
    ReshareVault: ChangeShares,
    AddDestination: AddToBook,
    RemoveDestination: TakeOutOfBook,
    BreakGlass: BreakTheGlass,
    SweepVault: _Sweep,
}


def act_of(order: Order) -> Act:
    """Return what the ledger needs to know of an order."""
    return _ACTS[type(order.action)](order.action)
