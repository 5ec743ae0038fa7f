"""The judgement of a logged order against the state: would it be planned, and may its plan be released?

`apply` asks at a plan's position, `explain` asks for people, and a signer asks again at release against its newest
state.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from strongroom.ledger.address_book import listing_of
from strongroom.ledger.break_glass import judge_break_glass
from strongroom.ledger.charter import Charter, Quorum, decode_charter
from strongroom.ledger.codec import NotCanonical
from strongroom.ledger.judgement import Code, Endorsed, Judgement, Withdrawal, endorsed
from strongroom.ledger.key_changes import KeyChange, judge_key_change, loosens, vaults_of
from strongroom.ledger.lost_plans import LOST_PAYMENT
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
from strongroom.ledger.reasons import StateDamaged
from strongroom.ledger.records import DestinationRecord, OrderRecord, OrderState, PlanRecord
from strongroom.ledger.rules import WindowTotal, judge_quorum, judge_withdrawal, person_key_known
from strongroom.ledger.signed_messages import Endorsement, Verb
from strongroom.ledger.state import State, decode_order
from strongroom.ledger.vault_fit import problem_of_holders
from strongroom.model.quantities import time_text

__all__ = [
    "breaks_glass",
    "charter_of",
    "endorsed",
    "endorsed_beside",
    "judge_addition",
    "judge_by_both",
    "judge_order",
    "judge_release",
    "lapsed_line",
    "quorum_of",
    "rejected_by",
    "vault_of",
    "withdrawal_of",
]

_ALLOWED: Final = Judgement(allowed=True, code=Code.ALLOWED, rule=None, missing=(), tried=())


def withdrawal_of(action: Withdraw, destination: DestinationRecord | None) -> Withdrawal:
    """Return a withdrawal as the rules look at it.

    Args:
        action: what the order asks for.
        destination: what the address book has of its destination, `State.destination_of`.
    """
    return Withdrawal(
        vault=action.vault,
        asset=action.asset,
        amount=action.amount,
        destination=action.destination,
        listing=listing_of(destination),
    )


def quorum_of(
    charter: Charter,
    action: CreateVault | Unfreeze | ReinstateSigner | AmendCharter | RefreshShares | ReshareVault,
) -> Quorum:
    """Return whose approval an order needs that one quorum decides."""
    match action:
        case CreateVault():
            return charter.vault_creation
        case Unfreeze() | ReinstateSigner():
            return charter.unfreeze
        case AmendCharter() | RefreshShares() | ReshareVault():
            return charter.admin


def judge_addition(charter: Charter, endorsements: Sequence[Endorsed], *, at_ms: int) -> Judgement:
    """Judge an order to add to the address book by its quorum."""
    if charter.destinations is None:
        return _no(Code.NO_RULE_MATCHES, "the charter lets nobody add to the address book")
    return judge_quorum(charter, charter.destinations, endorsements, at_ms=at_ms)


def breaks_glass(state: State, plan: PlanRecord) -> bool:
    """Whether a plan moves a vault to its recovery address; such a plan has one order, and passes every freeze."""
    record = state.order(plan.order_hashes[0])
    return record is not None and isinstance(decode_order(record.order).action, BreakGlass)


def rejected_by(record: OrderRecord) -> str | None:
    """Return who rejected the order; only those whom a rule names could."""
    return next((one.person for one in record.endorsements if one.verb is Verb.REJECT), None)


def vault_of(state: State, order: Order) -> str | None:
    """Return the vault whose coins an order is about; None for orders that act in the ledger itself."""
    match order.action:
        case Withdraw() | BreakGlass():
            return order.action.vault
        case CancelWithdraw():
            target = state.order(order.action.order_hash)
            if target is None:
                raise StateDamaged(f"a cancellation names order {order.action.order_hash.hex()}, which has no record")
            return vault_of(state, decode_order(target.order))
        case _:
            return None


def charter_of(record: OrderRecord) -> tuple[bytes, Charter]:
    """Return the charter that an order to amend proposes: its canonical bytes, and the same decoded.

    Raises:
        StateDamaged: it is no such order, or was recorded without being checked.
    """
    action = decode_order(record.order).action
    if not isinstance(action, AmendCharter):
        raise StateDamaged(f"order {record.hash.hex()} does not amend the charter")
    try:
        return action.charter, decode_charter(action.charter)
    except NotCanonical as error:
        raise StateDamaged(f"the charter of order {record.hash.hex()} is damaged: {error.message}") from error


def judge_order(
    state: State,
    record: OrderRecord,
    now_ms: int,
    *,
    windows: bool = True,
    window_total: WindowTotal | None = None,
) -> Judgement:
    """Judge an order at `now_ms`, Unix milliseconds of log time.

    Args:
        state: the state it is judged against.
        record: the order.
        now_ms: log time of the judgement.
        windows: whether the rules' limits over time count. They never do for an order that has a plan: it was counted
            at its first.
        window_total: what the windows hold, instead of what the state has; for a plan that pays several orders.
    """
    order = decode_order(record.order)
    ended = _ended(record)
    if ended is not None:
        return ended
    if order.expires_ms <= now_ms:
        return _no(Code.ORDER_EXPIRED, "the order has expired: make a new one")
    if isinstance(order.action, BreakGlass):
        return judge_break_glass(state.charter, order.action, record, at_ms=now_ms)
    stopped = _frozen(state, vault_of(state, order), now_ms) or _impossible(state, order.action)
    if stopped is not None:
        return stopped
    match order.action:
        case Withdraw():
            total = (window_total or _window_total(state, now_ms)) if windows and not record.planned_ms else None
            payment = withdrawal_of(order.action, state.destination_of(order.action))
            return judge_withdrawal(state.charter, payment, endorsed(record), at_ms=now_ms, window_total=total)
        case AddDestination():
            return judge_addition(state.charter, endorsed(record), at_ms=now_ms)
        case RefreshShares() | ReshareVault():
            loosening = _loosens(state, order.action)
            return judge_key_change(state.charter, endorsed(record), loosening=loosening, at_ms=now_ms)
        case CreateVault() | Unfreeze() | ReinstateSigner() | AmendCharter():
            quorum = quorum_of(state.charter, order.action)
            return judge_quorum(state.charter, quorum, endorsed(record), at_ms=now_ms)
        case CancelWithdraw() | Freeze() | RemoveDestination() | SweepVault():
            return _ALLOWED


def judge_by_both(state: State, record: OrderRecord, clock_ms: int) -> Judgement:
    """Judge an order by log time and by the own clock: it passes only if it passes at both.

    So a delay is over when both clocks say so, and an expiry has come as soon as either does: neither who leads the log
    nor who sets this machine's clock alone makes an order pass.

    Args:
        state: the state it is judged against; its time is the log's.
        record: the order.
        clock_ms: the own clock, Unix milliseconds.
    """
    by_log = judge_order(state, record, state.time_ms)
    return judge_order(state, record, clock_ms) if by_log.allowed else by_log


def _impossible(state: State, action: object) -> Judgement | None:
    """Why nobody's word can carry an order out by the charter in force; None if somebody's can."""
    if isinstance(action, SweepVault):
        return _no(Code.DENIED, "no log takes an order for the recovery kit")
    if not isinstance(action, CreateVault):
        return None
    problem = problem_of_holders(
        state, action.name, signers=action.signers, threshold=action.threshold, chain=action.chain
    )
    return None if problem is None else _no(Code.VAULT_SIGNERS, problem)


def judge_release(state: State, plan: PlanRecord, clock_ms: int) -> Judgement:
    """Judge all orders of an accepted plan again, against a newer state: what tightened since then holds.

    Windows are left out, because they were judged at the plan's position. Rules are judged at the state's log time. An
    order has expired, and a freeze holds, as soon as either log time or the own clock says so. A bump pays what an
    earlier plan was accepted for, so only a rejection, a cancellation or a freeze stops it; but nobody knows whether
    that plan was ever signed, so what a revoked key said or what pays an address taken out is judged by what is left. A
    plan that breaks the glass passes every freeze, but its box closes as soon as either log time or the own clock says
    so.

    Args:
        state: the newest state, entries not yet certified and words handed in directly included.
        plan: the plan whose shares are asked for.
        clock_ms: the own clock, Unix milliseconds.
    """
    for now_ms in () if breaks_glass(state, plan) else (state.time_ms, clock_ms):
        frozen = _frozen(state, plan.vault, now_ms)
        if frozen is not None:
            return frozen
    judgement = _ALLOWED
    for order_hash in plan.order_hashes:
        record = state.order(order_hash)
        if record is None:
            raise StateDamaged(f"plan {plan.hash.hex()} names order {order_hash.hex()}, which has no record")
        judgement = _judge_in(state, plan, record, clock_ms)
        if not judgement.allowed:
            return judgement
    return judgement


def _judge_in(state: State, plan: PlanRecord, record: OrderRecord, clock_ms: int) -> Judgement:
    """Judge one order of an accepted plan again."""
    ended = _ended(record)
    if ended is not None:
        return ended
    if plan.bumps:
        return _judge_what_is_left(state, record) if _is_taken_back(state, record) else _ALLOWED
    if decode_order(record.order).expires_ms <= clock_ms:
        return _no(Code.ORDER_EXPIRED, f"order {record.hash.hex()} has expired by this clock")
    judgement = judge_order(state, record, state.time_ms, windows=False)
    if judgement.allowed and breaks_glass(state, plan):
        return judge_order(state, record, max(state.time_ms, clock_ms))
    return judgement


def _is_taken_back(state: State, record: OrderRecord) -> bool:
    """Whether a key by which somebody spoke for the order is known no more, or the address it pays was taken out."""
    if not all(person_key_known(state.charter, one.person, one.key) for one in record.endorsements):
        return True
    action = decode_order(record.order).action
    listing = listing_of(state.destination_of(action)) if isinstance(action, Withdraw) else None
    return listing is not None and listing.is_removed


def _judge_what_is_left(state: State, record: OrderRecord) -> Judgement:
    """Judge an order in a bump without what was taken back of it, by the words that lived at its first plan or later.

    Time ends no bump: neither that of the order nor that of its words. Else the superfluous word of a stolen key would
    end the bumps of everything paid beside it, for good, by the very revocation that answers the theft. Delays count
    from these words to log time, so that one that was made longer is waited out.
    """
    action = decode_order(record.order).action
    if not isinstance(action, Withdraw):
        return _ALLOWED
    return judge_withdrawal(
        state.charter,
        withdrawal_of(action, state.destination_of(action)),
        endorsed(record),
        at_ms=state.time_ms,
        words_at_ms=record.planned_ms,
        window_total=None,
    )


def _loosens(state: State, action: KeyChange) -> bool:
    vaults = (state.vault(name) for name in vaults_of(action))
    return any(vault is not None and loosens(action, vault) for vault in vaults)


def _window_total(state: State, now_ms: int) -> Callable[[tuple[str, ...], str, int], int]:
    return lambda globs, asset, window_ms: state.window_total(globs, asset, now_ms - window_ms, now_ms)


def lapsed_line(order: Order) -> str:
    """Why an order lapsed, and what follows, for people. A withdrawal lapses only when the log is founded anew."""
    if isinstance(order.action, Withdraw):
        return LOST_PAYMENT
    return "it could no longer act when its time came, or the log was founded anew before: make a new one"


def _ended(record: OrderRecord) -> Judgement | None:
    person = rejected_by(record)
    if person is not None:
        return _no(Code.REJECTED, f"{person} rejected it, which is for ever: make a new order")
    match record.state:
        case OrderState.CANCELLED | OrderState.EXCLUDING:
            return _no(Code.CANCELLED, "the order was cancelled: make a new order")
        case OrderState.DONE:
            return _no(Code.DONE, "the order has acted")
        case OrderState.LAPSED:
            return _no(Code.LAPSED, lapsed_line(decode_order(record.order)))
        case OrderState.SCHEDULED if record.due_ms:
            return _no(Code.DELAY_RUNNING, f"it acts by itself at {time_text(record.due_ms)}")
        case OrderState.SCHEDULED:
            return _no(Code.DELAY_RUNNING, "it has begun, and acts when what it began is finished")
        case _:
            return None


def _frozen(state: State, vault: str | None, now_ms: int) -> Judgement | None:
    freeze = state.active_freeze(vault, now_ms) if vault is not None else None
    if freeze is None:
        return None
    who = freeze.person or (f"signer {freeze.signer}" if freeze.signer else "the restart of the log")
    scope = f"vault {freeze.vault}" if freeze.vault else "everything"
    return _no(Code.FROZEN, f"{who} froze {scope}")


def _no(code: Code, line: str) -> Judgement:
    return Judgement(allowed=False, code=code, rule=None, missing=(line,), tried=())


def endorsed_beside(
    charter: Charter, record: OrderRecord | None, handed: Sequence[Endorsement], time_ms: int
) -> tuple[Endorsed, ...]:
    """Return what the log holds about an order, and beside it verified words that came by hand at `time_ms`.

    Args:
        charter: The one in force. Where it has lost the key of a logged word, the log takes that word by another key,
            and so it is taken from a hand.
        record: The order as the log has it; None when it has not.
        handed: The words that came by hand.
        time_ms: When they came.
    """
    logged = () if record is None else endorsed(record)
    known = {(one.person, one.verb) for one in logged if person_key_known(charter, one.person, one.key)}
    further = (
        Endorsed(person=one.person, key=one.key, verb=one.verb, expires_ms=one.expires_ms, time_ms=time_ms)
        for one in handed
        if (one.person, one.verb) not in known
    )
    return (*logged, *further)
