"""Which orders need another plan, and which plans need a higher fee."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from strongroom.ledger.judge import rejected_by
from strongroom.ledger.messages import Plan, Withdraw
from strongroom.ledger.records import OrderRecord, OrderState
from strongroom.ledger.state import State, decode_order
from strongroom_coordinator.coins import Coin
from strongroom_coordinator.planner.builder import CannotPlan, build, payable_of
from strongroom_coordinator.planner.chain_view import ChainView
from strongroom_coordinator.planner.draft import Round
from strongroom_coordinator.tracker.plan_book import TrackedPlan

__all__ = ["bumpable", "plan_bumps", "replan_groups"]

BUMP_PAUSE_MS: Final = 60_000
"""A plan that could not be bumped is not tried again before this."""


def replan_groups(round_: Round, chain: ChainView) -> Iterator[tuple[str, list[OrderRecord]]]:
    """Orders without a plan that could still confirm, by vault; those with the same earlier plans together."""
    hopeless = _never_signed(round_.state, chain)
    wanted = dict.fromkeys(sorted(chain.displaced))
    for plan in hopeless.values():
        wanted.update(dict.fromkeys(plan.record.order_hashes))
    groups: dict[tuple[str, tuple[bytes, ...]], list[OrderRecord]] = {}
    for order_hash in wanted:
        record = round_.state.order(order_hash)
        if record is None or record.state is not OrderState.PLANNED or rejected_by(record) is not None:
            continue
        action = decode_order(record.order).action
        dead = all(name in chain.plans.conflicted or name in hopeless for name in record.plans)
        if dead and isinstance(action, Withdraw):
            groups.setdefault((action.vault, record.plans), []).append(record)
    for (vault, _), records in sorted(groups.items()):
        yield vault, sorted(records, key=lambda record: (record.accepted_ms, record.hash))


def _never_signed(state: State, chain: ChainView) -> dict[bytes, TrackedPlan]:
    """Unsigned plans that no honest holder signs any more, because one of their orders was rejected meanwhile."""
    found = {}
    for plan in chain.plans:
        if plan.raw_transaction is not None or plan.record.is_cancel or plan.record.bumps:
            continue
        for order_hash in plan.record.order_hashes:
            record = state.order(order_hash)
            if record is not None and rejected_by(record) is not None:
                found[plan.hash] = plan
                break
    return found


def plan_bumps(round_: Round, chain: ChainView, tried: dict[bytes, int]) -> list[Plan]:
    """Plans that replace stuck ones at the market's rate.

    A plan whose change is spent already is left alone: its replacement would take the coins of the plans after it, and
    their orders could never be planned again.
    """
    plans = []
    for plan in list(bumpable(chain, tried, round_.now_ms)):
        tried[plan.hash] = round_.now_ms + BUMP_PAUSE_MS
        if not _still_wanted(round_, plan):
            continue
        try:
            plans.append(_bump(round_, chain, plan))
        except CannotPlan:
            continue  # the plan stays in the mempool at its rate, and is looked at again after the pause
    for name in [name for name, until in tried.items() if until < round_.now_ms - BUMP_PAUSE_MS]:
        del tried[name]
    return plans


def bumpable(chain: ChainView, tried: dict[bytes, int], now_ms: int) -> Iterator[TrackedPlan]:
    """Stuck plans that pay less than the market asks and whose change nobody spends, if not tried just now."""
    for plan in chain.stuck():
        if now_ms >= tried.get(plan.hash, 0) and plan.fee_rate_sat_per_vb < chain.fee_rate_sat_per_vb:
            if not chain.plans.children(plan):
                yield plan


def _still_wanted(round_: Round, plan: TrackedPlan) -> bool:
    """Whether the ledger would take a bump: every order unended, nothing frozen, an input shared with each plan."""
    state = round_.state
    if state.active_freeze(plan.record.vault, round_.now_ms) is not None or plan.record.is_cancel:
        return False
    if not plan.outpoints.isdisjoint(round_.spent):
        return False
    for order_hash in plan.record.order_hashes:
        record = state.order(order_hash)
        if record is None or record.state is not OrderState.PLANNED or rejected_by(record) is not None:
            return False
        if record.plans[-1] != plan.hash:
            return False
        for name in record.plans:
            earlier = state.known_plan(name)
            if not any((coin.txid, coin.vout) in plan.outpoints for coin in earlier.outpoints):
                return False
    return True


def _bump(round_: Round, chain: ChainView, plan: TrackedPlan) -> Plan:
    vault = round_.state.vault(plan.record.vault)
    if vault is None:
        raise CannotPlan("the vault is not there")
    orders = []
    for order_hash in plan.record.order_hashes:
        record = round_.state.order(order_hash)
        action = None if record is None else decode_order(record.order).action
        if record is None or not isinstance(action, Withdraw):
            raise CannotPlan("an order of the plan is not there")
        orders.append(payable_of(record, action, vault))
    own = [
        Coin(
            txid=item.txid,
            vout=item.vout,
            amount_sat=item.amount_sat,
            branch=item.branch,
            index=item.index,
            is_confirmed=chain.plans.by_txid(item.txid) is None,
        )
        for item in plan.plan.inputs
    ]
    # A replacement may add no unconfirmed input, so only confirmed coins are added.
    more = [coin for coin in chain.coins(vault.name) if coin.is_confirmed and coin.outpoint not in round_.spent]
    return build(
        round_,
        vault,
        orders,
        [*own, *more],
        rate=max(chain.fee_rate_sat_per_vb, plan.fee_rate_sat_per_vb + 1),
        required=plan.outpoints,
        replaced_fee_sat=plan.record.fee_sat,
        bumps=plan.hash,
        bumped_fee_sat=plan.record.fee_sat,
    ).plan
