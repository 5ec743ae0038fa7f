"""Plans under the conflict rule: whatever pays or cancels an order again must exclude every earlier plan of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from strongroom.ledger.conflict import MustSpend, must_spend
from strongroom.ledger.entry_messages import Plan
from strongroom.ledger.lost_plans import LOST_PAYMENT, lost_exclude, new_plan_excludes_lost
from strongroom.ledger.order_messages import CancelWithdraw, Withdraw
from strongroom.ledger.records import OrderRecord
from strongroom.ledger.state import decode_order
from strongroom_coordinator.coins import Coin
from strongroom_coordinator.planner.builder import CannotPlan, build_cancellation
from strongroom_coordinator.planner.chain_view import ChainView
from strongroom_coordinator.planner.draft import Round
from strongroom_coordinator.tracker.plan_book import Outpoint, TrackedPlan

__all__ = ["evicted_fee_and_rate", "missing_coins_line", "plan_cancellation", "requirements_of"]

COINS_GONE: Final = f"nothing that anybody can do: a coin of each plan from before is gone, and {LOST_PAYMENT}"
SPENT_SINCE: Final = (
    "nothing: another transaction of this log spends the coins that it needs, and once that one is deep, no lost one "
    "pays it either: reject it, and when it is shown as one that is never paid, make a new order"
)


def plan_cancellation(round_: Round, chain: ChainView, record: OrderRecord, action: CancelWithdraw) -> Plan:
    """Plan a cancellation: an input of each plan of its target, and of its own earlier ones, goes back to the vault.

    Raises:
        CannotPlan: the coins for it do not exist any more, or the fee breaks a maximum.
    """
    target = round_.state.order(action.order_hash)
    payment = None if target is None else decode_order(target.order).action
    vault = round_.state.vault(payment.vault) if isinstance(payment, Withdraw) else None
    if target is None or vault is None:
        raise CannotPlan("the withdrawal to cancel is not there")
    if all(chain.plans.get(name) is None for name in target.plans):
        raise CannotPlan("nothing: no plan of the withdrawal is waiting for a block any more")
    needs = (*must_spend(round_.state, target.hash), *must_spend(round_.state, record.hash))
    whole = _whole_plans(round_, chain, vault.name, (target.hash, record.hash))
    required = _cover(round_, chain, vault.name, needs, whole)
    coins = [coin for point in required if (coin := chain.coin(vault.name, point)) is not None]
    free = [coin for coin in chain.coins(vault.name) if coin.is_confirmed and coin.outpoint not in round_.spent]
    coins += [coin for coin in free if coin.outpoint not in required]
    evicted_fee, evicted_rate = evicted_fee_and_rate(chain, required)
    rate = max(chain.fee_rate_sat_per_vb, evicted_rate + 1)
    return build_cancellation(
        round_, vault, record, action.max_fee, coins, rate=rate, required=required, replaced_fee_sat=evicted_fee
    ).plan


def requirements_of(round_: Round, chain: ChainView, vault: str, records: Sequence[OrderRecord]) -> frozenset[Outpoint]:
    """Coins of their vault by which a new plan excludes every earlier plan of all these orders.

    Raises:
        CannotPlan: such coins do not exist any more; the orders can only be ordered anew.
    """
    wanted: dict[tuple[bytes, frozenset[bytes]], MustSpend] = {}
    for record in records:
        for need in must_spend(round_.state, record.hash):
            wanted[need.plan_hash, need.transactions] = need
    whole = _whole_plans(round_, chain, vault, [record.hash for record in records])
    return _cover(round_, chain, vault, wanted.values(), whole)


def _whole_plans(round_: Round, chain: ChainView, vault: str, orders: Iterable[bytes]) -> frozenset[Outpoint]:
    """All coins of one plan of each order from before the log was founded anew, if there are any: the fewest."""
    chosen: frozenset[Outpoint] = frozenset()
    for order_hash in orders:
        kept = lost_exclude(round_.state, order_hash)
        whole = [
            points
            for points in kept
            if points.isdisjoint(round_.spent) and all(chain.coin(vault, point) is not None for point in points)
        ]
        if kept and not whole:
            raise CannotPlan(SPENT_SINCE if new_plan_excludes_lost(round_.state, order_hash) else COINS_GONE)
        chosen |= min(whole, key=lambda points: (len(points - chosen), sorted(points)), default=frozenset())
    return chosen


def _cover(
    round_: Round, chain: ChainView, vault: str, needs: Iterable[MustSpend], chosen_before: frozenset[Outpoint]
) -> frozenset[Outpoint]:
    """Few coins that together meet every requirement: again and again the one that meets the most."""
    open_needs = [need for need in needs if not need.met_by(chosen_before)]
    options: dict[Outpoint, Coin] = {}
    for need in open_needs:
        for coin in _options(chain, vault, need):
            if coin.outpoint not in round_.spent:
                options[coin.outpoint] = coin
    chosen = set(chosen_before)
    while open_needs:
        best = max(
            options.values(),
            key=lambda coin: (_met(open_needs, coin), coin.is_confirmed, coin.amount_sat, coin.outpoint),
            default=None,
        )
        if best is None or not _met(open_needs, best):
            raise CannotPlan(_why_not(chain, open_needs))
        chosen.add(best.outpoint)
        open_needs = [need for need in open_needs if not need.met_by([best.outpoint])]
    return frozenset(chosen)


def _why_not(chain: ChainView, needs: Iterable[MustSpend]) -> str:
    """What to do about orders that no new plan can pay."""
    for need in needs:
        plan = chain.plans.get(need.plan_hash)
        if plan is not None and plan.is_dead and not plan.can_never_confirm:
            return missing_coins_line(plan.why_dead)
    return "no coin is left by which a new plan would exclude the earlier one: reject the order and make a new one"


def missing_coins_line(why: str) -> str:
    """What people read of an order whose plan spends coins that do not exist, and that no other plan can exclude.

    Whoever made the plan may hold back the transaction that makes the coins, and publish both together one day.
    """
    return (
        f"nothing that anybody can do: {why}, and no other plan can exclude the one that spends it. It is paid if the "
        "coin ever appears; a new order for the same payment would then be paid as well"
    )


def _options(chain: ChainView, vault: str, need: MustSpend) -> list[Coin]:
    direct = [coin for point in sorted(need.outpoints) if (coin := chain.coin(vault, point)) is not None]
    return direct + [coin for txid in sorted(need.transactions) for coin in chain.outputs_of(vault, txid)]


def _met(needs: Sequence[MustSpend], coin: Coin) -> int:
    return sum(need.met_by([coin.outpoint]) for need in needs)


def evicted_fee_and_rate(chain: ChainView, spent: Iterable[Outpoint]) -> tuple[int, int]:
    """What spending these coins has to beat: the fees of all it evicts, and the highest of their rates."""
    evicted: dict[bytes, TrackedPlan] = {}
    for outpoint in spent:
        for plan in chain.plans.spending(outpoint):
            if not plan.is_dead:
                evicted[plan.hash] = plan
                evicted.update(chain.plans.descendants(plan))
    rate = max((plan.fee_rate_sat_per_vb for plan in evicted.values()), default=0)
    return sum(plan.record.fee_sat for plan in evicted.values()), rate
