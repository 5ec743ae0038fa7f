"""A plan enters the log: everything about it that is deterministic is checked here, in the order of the checks below.

Signers check it by replaying the log, before they vote; at release they judge its orders again against what they have
learnt since.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from strongroom.ledger import codec
from strongroom.ledger.conflict import NewPlan, Outpoint, Planned
from strongroom.ledger.entry_messages import Change, Plan
from strongroom.ledger.handlers.position import Position
from strongroom.ledger.judge import judge_order, rejected_by
from strongroom.ledger.judgement import Judgement
from strongroom.ledger.lost_plans import excludes_lost, lost_exclude
from strongroom.ledger.mutable_state import MutableState
from strongroom.ledger.order_messages import MAX_PLANS_PER_ORDER
from strongroom.ledger.plans import ResolvedPlan, fee_shares, plan_hash, resolve
from strongroom.ledger.reasons import Refused, refused
from strongroom.ledger.records import OrderRecord, OrderState, OutpointRecord, PlanRecord
from strongroom.ledger.rules import WindowTotal, glob_match
from strongroom.ledger.state import State

__all__ = ["apply_plan"]


def apply_plan(state: MutableState, body: Plan, at: Position) -> None:
    """Check a plan and record it."""
    name = plan_hash(codec.encode(body))
    if state.plan(name) is not None:
        raise refused("ALREADY_KNOWN", f"the ledger holds plan {name.hex()} already", plan=name.hex())
    resolved = resolve(state, body)
    _check_locktime(state, body)
    _check_transaction_new(state, resolved)
    _check_not_frozen(state, resolved, at)
    bumped = _bumped(state, body, resolved)
    fee = _check_fees(state, resolved, bumped, at)
    _check_plan_counts(resolved)
    _check_at_most_once(state, body, resolved)
    if bumped is None:
        _check_rules(state, resolved, at)
    else:
        _check_bump(state, body, resolved)
    _record(state, body, resolved, fee, at)


def _spent(plan: Plan) -> frozenset[Outpoint]:
    return frozenset((item.txid, item.vout) for item in plan.inputs)


def _check_locktime(state: State, plan: Plan) -> None:
    """Transactions of a log that was founded anew are none of those that were lost by it."""
    if plan.locktime != state.foundings:
        raise refused(
            "PLAN_FORM",
            f"the plan's locktime is {plan.locktime}, and the log was founded anew {state.foundings} times",
            form="LOCKTIME",
        )


def _check_transaction_new(state: State, resolved: ResolvedPlan) -> None:
    """One transaction is one plan: as two, one payment could pass for two orders' and hide an earlier plan."""
    known = state.plan_by_txid(resolved.spend.txid)
    if known is not None:
        raise refused("TRANSACTION_KNOWN", f"plan {known.hash.hex()} is the same transaction", plan=known.hash.hex())


def _check_not_frozen(state: State, resolved: ResolvedPlan, at: Position) -> None:
    if resolved.recovery is not None:
        return  # what the ordinary ways can no longer be trusted with is what the glass is broken for
    freeze = state.active_freeze(resolved.vault.name, at.time_ms)
    if freeze is not None:
        raise refused("FROZEN", f"freeze {freeze.id.hex()} is in force: {freeze.why}", freeze=freeze.id.hex())


def _check_plan_counts(resolved: ResolvedPlan) -> None:
    for record in resolved.records:
        if len(record.plans) >= MAX_PLANS_PER_ORDER:
            raise refused("PLANS_FULL", f"order {record.hash.hex()} has {MAX_PLANS_PER_ORDER} plans")


# --- fees ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fee:
    """What each order bears, and what counts in the vault's fee window: of a bump, its increase only."""

    shares: tuple[int, ...]
    counted_sat: int


def _check_fees(state: State, resolved: ResolvedPlan, bumped: PlanRecord | None, at: Position) -> _Fee:
    """Check the fee against every maximum."""
    fees = state.charter.fees
    fee = resolved.spend.fee_sat
    counted = fee if bumped is None else fee - bumped.fee_sat
    shares = fee_shares(fee, len(resolved.records))
    for record, share, most in zip(resolved.records, shares, resolved.max_fees, strict=True):
        if share > most:
            raise refused(
                "FEE_OVER_ORDER", f"order {record.hash.hex()} would bear {share} sat of at most {most} sat of fee"
            )
    if fee > fees.per_plan:
        raise refused("FEE_OVER_PLAN", f"a fee of {fee} sat is above {fees.per_plan} sat for one plan")
    if resolved.spend.fee_rate > fees.per_vbyte:
        raise refused("FEE_OVER_RATE", f"{resolved.spend.fee_rate} sat/vB is above {fees.per_vbyte} sat/vB")
    used = state.fee_window_total(resolved.vault.name, at.time_ms - fees.window_ms, at.time_ms)
    if used + counted > fees.per_vault:
        raise refused(
            "FEE_OVER_WINDOW", f"vault {resolved.vault.name} spent {used} of {fees.per_vault} sat of its fee window"
        )
    return _Fee(shares=shares, counted_sat=counted)


# --- bumps -----------------------------------------------------------------------------------------------------------


def _bumped(state: State, plan: Plan, resolved: ResolvedPlan) -> PlanRecord | None:
    """Return the plan that this one says it bumps."""
    if not plan.bumps:
        return None
    bumped = state.plan(plan.bumps)
    if bumped is None or bumped.order_hashes != plan.order_hashes:
        raise refused("BUMP_MISMATCH", "the plan bumps one that the ledger does not know, or that has other orders")
    if not Planned.of(bumped).outpoints <= _spent(plan):
        raise refused("BUMP_MISMATCH", "the plan leaves out a coin of the one that it bumps", plan=bumped.hash.hex())
    if resolved.spend.fee_sat <= bumped.fee_sat:
        raise refused("BUMP_NOT_HIGHER", f"{resolved.spend.fee_sat} sat is no more than {bumped.fee_sat} sat")
    return bumped


def _check_bump(state: State, plan: Plan, resolved: ResolvedPlan) -> None:
    """A bump shares an input with every earlier plan of every one of its orders, none of which has ended.

    It spends every coin of the plan that it bumps: what excludes that plan excludes the bump, so an order that expired,
    and all of whose plans a confirmed transaction excludes, is paid by nothing any more.

    Expiry, rules and limits are not judged again, because the same payments were accepted before. A rejection or a
    cancellation since then still holds: nobody knows whether a share of the earlier plan was ever released.
    """
    spent = _spent(plan)
    for record in resolved.records:
        _check_still_wanted(record)
        for earlier_hash in record.plans:
            earlier = state.known_plan(earlier_hash)
            if not any((coin.txid, coin.vout) in spent for coin in earlier.outpoints):
                raise refused(
                    "BUMP_MISMATCH", f"the bump shares no input with plan {earlier_hash.hex()}", plan=earlier_hash.hex()
                )


def _check_still_wanted(record: OrderRecord) -> None:
    if rejected_by(record) is not None:
        raise refused("REJECTED", f"order {record.hash.hex()} was rejected", order=record.hash.hex())
    if record.state is not OrderState.PLANNED:
        raise refused("CANCELLED", f"order {record.hash.hex()} is {record.state.name}", order=record.hash.hex())


# --- at most once, and the rules -------------------------------------------------------------------------------------


def _check_at_most_once(state: State, plan: Plan, resolved: ResolvedPlan) -> None:
    """Check the conflict rule for each order with earlier plans, and for the order that a cancellation excludes.

    Plans of the order that were lost when the log was founded anew cannot be asked for their coins; the new one
    excludes them by all coins of an earlier plan that they had to exclude too.

    An order to break the glass asks for no amount that could be paid twice, so its plans need not exclude each other.
    """
    if resolved.recovery is not None:
        return
    spent = _spent(plan)
    new = NewPlan.of(state, spent)
    about = resolved.records if resolved.target is None else (*resolved.records, resolved.target)
    for record in about:
        beside = new.first_not_excluded(record.hash, record.plans)
        if beside is not None:
            raise refused(
                "PLAN_CONFLICT",
                f"the plan could confirm beside plan {beside.hex()} of order {record.hash.hex()}",
                order=record.hash.hex(),
                plan=beside.hex(),
            )
        if not excludes_lost(lost_exclude(state, record.hash), spent):
            raise refused(
                "PLAN_CONFLICT",
                f"the plan could confirm beside one of order {record.hash.hex()} that was lost when the log was "
                "founded anew: it spends all coins of no plan of the order from before",
                order=record.hash.hex(),
            )


def _check_rules(state: State, resolved: ResolvedPlan, at: Position) -> None:
    """Judge each order in plan order; each counts in the windows that the next is judged by."""
    counted: dict[str, int] = {}
    total = _window_with(state, resolved.vault.name, counted, at)
    for position, record in enumerate(resolved.records):
        judgement = judge_order(state, record, at.time_ms, window_total=total)
        if not judgement.allowed:
            raise _not_allowed(record, judgement)
        if resolved.payments and not record.planned_ms:
            payment = resolved.payments[position]
            counted[payment.asset] = counted.get(payment.asset, 0) + payment.amount


def _window_with(state: State, vault: str, counted: dict[str, int], at: Position) -> WindowTotal:
    """Return the window sums with what this very plan pays counted; the state is asked once for each window."""
    known: dict[tuple[tuple[str, ...], str, int], int] = {}

    def total(globs: tuple[str, ...], asset: str, window_ms: int) -> int:
        asked = (globs, asset, window_ms)
        if asked not in known:
            known[asked] = state.window_total(globs, asset, at.time_ms - window_ms, at.time_ms)
        own = counted.get(asset, 0) if window_ms and any(glob_match(glob, vault) for glob in globs) else 0
        return known[asked] + own

    return total


def _not_allowed(record: OrderRecord, judgement: Judgement) -> Refused:
    wanted = "; ".join(judgement.missing)
    return refused(
        judgement.code.value,
        f"order {record.hash.hex()} does not pass: {wanted}",
        order=record.hash.hex(),
        rule=judgement.rule or "",
    )


# --- recording -------------------------------------------------------------------------------------------------------


def _record(state: MutableState, plan: Plan, resolved: ResolvedPlan, fee: _Fee, at: Position) -> None:
    name = plan_hash(codec.encode(plan))
    vault = resolved.vault
    state.add_plan(
        PlanRecord(
            hash=name,
            txid=resolved.spend.txid,
            vault=vault.name,
            vault_epoch=vault.epoch,
            entry_index=at.index,
            time_ms=at.time_ms,
            order_hashes=plan.order_hashes,
            outpoints=tuple(OutpointRecord(txid=item.txid, vout=item.vout) for item in plan.inputs),
            fee_sat=resolved.spend.fee_sat,
            fee_shares_sat=fee.shares,
            bumps=plan.bumps,
            is_cancel=resolved.target is not None,
        )
    )
    state.count_fee(vault.name, at.time_ms, fee.counted_sat)
    for position, record in enumerate(resolved.records):
        if resolved.payments and not record.planned_ms:
            payment = resolved.payments[position]
            state.count_payment(vault.name, payment.asset, at.time_ms, payment.amount)
        # The box stays open for what the vault still receives.
        stage = OrderState.PLANNED if resolved.recovery is None else record.state
        state.change_order(
            replace(
                record,
                state=stage,
                plans=(*record.plans, name),
                planned_ms=record.planned_ms or at.time_ms,
            )
        )
    change = [output.target.index + 1 for output in plan.outputs if isinstance(output.target, Change)]
    if change and max(change) > vault.highest_change:
        state.change_vault(replace(vault, highest_change=max(change)))
