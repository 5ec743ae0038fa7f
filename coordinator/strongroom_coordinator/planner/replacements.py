"""Which orders need another plan, and which plans need a higher fee."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from strongroom.ledger.conflict import must_spend
from strongroom.ledger.entry_messages import Plan
from strongroom.ledger.judge import judge_order, judge_release, rejected_by
from strongroom.ledger.judgement import Code
from strongroom.ledger.order_messages import MAX_PLANS_PER_ORDER, Withdraw
from strongroom.ledger.records import OrderRecord, OrderState
from strongroom.ledger.state import decode_order
from strongroom_coordinator.coins import Coin
from strongroom_coordinator.planner.builder import CannotPlan, build, payable_of
from strongroom_coordinator.planner.chain_view import ChainView
from strongroom_coordinator.planner.draft import Round
from strongroom_coordinator.tracker.plan_book import TrackedPlan

__all__ = [
    "Refusals",
    "Unsignable",
    "bumpable",
    "cancellations_again",
    "coins_for_left_out",
    "plan_bumps",
    "replan_groups",
    "unsignable_plans",
]

LOCAL_LIMIT: Final = "LOCAL_LIMIT"
"""How a holder names its operator's own maximum."""
MAX_SPLITS: Final = 16
"""An order with so many plans is taken out of no further one, nor planned again because a node calls the last invalid:
the ledger allows only so many plans of an order."""
Refusals = Callable[[bytes], Sequence[str]]
"""Why holders last gave a plan no signature, one line each, `signer: REASON detail`; empty while none was refused."""

BUMP_PAUSE_MS: Final = 60_000
"""A plan that could not be bumped is not tried again before this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsignable:
    """An unsigned plan that too few holders sign, and the orders because of which they do not.

    `may_heal` says that the holders' own limits are the reason: what they refuse today they may sign tomorrow.
    """

    plan: TrackedPlan
    because_of: frozenset[bytes]
    may_heal: bool


def unsignable_plans(round_: Round, chain: ChainView, refusals: Refusals) -> dict[bytes, Unsignable]:
    """Unsigned plans that stay so while certain orders are in them: the others are better planned without those."""
    found = {}
    for plan in chain.plans:
        if plan.raw_transaction is None and not plan.record.is_cancel and not plan.record.bumps:
            blocked = _unsignable(round_, plan, refusals(plan.hash))
            if blocked is not None:
                found[plan.hash] = blocked
    return found


def _unsignable(round_: Round, plan: TrackedPlan, refusals: Sequence[str]) -> Unsignable | None:
    records = [record for name in plan.record.order_hashes if (record := round_.state.order(name)) is not None]
    rejected = [record.hash for record in records if rejected_by(record) is not None]
    # As long as no holder refused, the plan may just be about to be signed.
    ended = [record.hash for record in records if refusals and _fails(round_, record)]
    if rejected or ended:
        return Unsignable(plan=plan, because_of=frozenset([*rejected, *ended]), may_heal=False)
    if len(records) < 2 or not any(LOCAL_LIMIT in line for line in refusals):
        return None
    if any(len(record.plans) >= MAX_SPLITS for record in records):
        return None
    # Whether an order alone or the day's sum is too much for the holders: without the largest there is most room.
    amounts = {record.hash: _amount(record) for record in records}
    largest = max(amounts.values())
    because_of = frozenset(name for name, amount in amounts.items() if amount == largest)
    return Unsignable(plan=plan, because_of=because_of, may_heal=True) if len(because_of) < len(records) else None


def _fails(round_: Round, record: OrderRecord) -> bool:
    """Whether holders refuse the order for what the ledger says; a freeze passes, and concerns every order alike."""
    judgement = judge_order(round_.state, record, round_.now_ms, windows=False)
    return not judgement.allowed and judgement.code is not Code.FROZEN


def _amount(record: OrderRecord) -> int:
    action = decode_order(record.order).action
    return action.amount if isinstance(action, Withdraw) else 0


def replan_groups(
    round_: Round, chain: ChainView, unsignable: Mapping[bytes, Unsignable]
) -> Iterator[tuple[str, list[OrderRecord]]]:
    """Orders without a plan that could still confirm, by vault; those with the same earlier plans together."""
    wanted = dict.fromkeys(sorted(chain.displaced))
    hopeless = _without_coins(chain)
    for plan in hopeless.values():
        wanted.update(dict.fromkeys(plan.record.order_hashes))
    left_out: set[bytes] = set()
    for blocked in unsignable.values():
        wanted.update(dict.fromkeys(blocked.plan.record.order_hashes))
        left_out |= blocked.because_of
    groups: dict[tuple[str, tuple[bytes, ...]], list[OrderRecord]] = {}
    for order_hash in wanted:
        record = round_.state.order(order_hash)
        if record is None or record.state is not OrderState.PLANNED or rejected_by(record) is not None:
            continue
        action = decode_order(record.order).action
        dead = all(name in chain.plans.conflicted or name in unsignable or name in hopeless for name in record.plans)
        if dead and order_hash not in left_out and _has_room(chain, record) and isinstance(action, Withdraw):
            groups.setdefault((action.vault, record.plans), []).append(record)
    for (vault, _), records in sorted(groups.items()):
        yield vault, sorted(records, key=lambda record: (record.accepted_ms, record.hash))


def cancellations_again(round_: Round, chain: ChainView) -> list[OrderRecord]:
    """Cancellations that need another plan, because theirs spends coins that are not as it claims."""
    hopeless = _without_coins(chain)
    found = {}
    for plan in hopeless.values():
        record = round_.state.order(plan.record.order_hashes[0])
        if record is not None and plan.record.is_cancel and _has_room(chain, record):
            if all(name in chain.plans.conflicted or name in hopeless for name in record.plans):
                found[record.hash] = record
    return [found[name] for name in sorted(found)]


def _without_coins(chain: ChainView) -> dict[bytes, TrackedPlan]:
    """Plans that cannot confirm because of what they claim about coins."""
    return {plan.hash: plan for plan in chain.plans if plan.is_dead}


def _has_room(chain: ChainView, record: OrderRecord) -> bool:
    """Whether the ledger takes one more plan of the order, and there is a point in making it."""
    newest = chain.plans.get(record.plans[-1])
    # Where the node's word alone speaks against a plan, the next one of the same coins may fare no better.
    by_word = newest is not None and newest.is_invalid and not newest.claims.false
    return len(record.plans) < (MAX_SPLITS if by_word else MAX_PLANS_PER_ORDER)


def coins_for_left_out(
    round_: Round, chain: ChainView, unsignable: Mapping[bytes, Unsignable]
) -> Iterator[tuple[bytes, int]]:
    """The smallest change by which each order that was left out can be planned again once its plan is excluded.

    Where the change is a single coin it is not kept: everything else the vault pays would wait for that one order.
    """
    for blocked in unsignable.values():
        for order_hash in blocked.because_of if blocked.may_heal else ():
            for need in must_spend(round_.state, order_hash):
                made = [
                    coin for txid in need.transactions for coin in chain.outputs_of(blocked.plan.record.vault, txid)
                ]
                free = [coin for coin in made if not chain.plans.is_reserved(coin.outpoint)]
                if len(made) > 1 and free:
                    yield min(free, key=lambda coin: (coin.amount_sat, coin.outpoint)).outpoint


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
    """Whether the ledger would take a bump, and holders sign it: each of its orders may still be paid by this plan.

    The ledger alone does not ask for every approval again; a bump that nobody signs would stand in the way of its plan.
    """
    state = round_.state
    if plan.record.is_cancel or not plan.outpoints.isdisjoint(round_.spent):
        return False
    if not judge_release(state, replace(plan.record, bumps=plan.hash), round_.now_ms).allowed:
        return False
    for order_hash in plan.record.order_hashes:
        record = state.order(order_hash)
        if record is None or record.state is not OrderState.PLANNED or record.plans[-1] != plan.hash:
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
