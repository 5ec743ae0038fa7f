"""Builds one plan: coins, fee within every cap, change. The ledger judges the result; nothing rests on this."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from strongroom.chains.bitcoin import policy
from strongroom.chains.bitcoin.networks import BY_CAIP2
from strongroom.ledger.entry_messages import Change, OrderPayment, Plan, PlanInput, PlanOutput
from strongroom.ledger.order_messages import Withdraw
from strongroom.ledger.plans import fee_shares, payee_script
from strongroom.ledger.records import OrderRecord, VaultRecord
from strongroom.model.errors import Kind, StrongroomError
from strongroom_coordinator.coins import Coin, InsufficientFunds, Selection, SelectionTooHeavy, select_coins
from strongroom_coordinator.planner.draft import Round
from strongroom_coordinator.tracker.plan_book import Outpoint

__all__ = ["Built", "CannotPlan", "FeeTooHigh", "Payable", "build", "build_cancellation", "payable_of"]

WANTED_COINS: Final = 32
"""A vault with fewer free coins splits its change, so that many payments can be under way at once."""
CHANGE_AT_ONCE: Final = 4
LEAST_SPLIT_SAT: Final = 50_000
NEAR_COINS: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Payable:
    """An order that may be paid now."""

    record: OrderRecord
    action: Withdraw
    script_bytes: int

    @property
    def cost(self) -> tuple[int, int]:
        """Amount and script length, as coin selection asks for them."""
        return self.action.amount, self.script_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """A plan and what it uses up."""

    plan: Plan
    selection: Selection


class CannotPlan(StrongroomError):
    """Nothing can be planned for some orders now; the message says what they wait for. Nobody is at fault."""

    reason = "CANNOT_PLAN"
    kind = Kind.FAILED_PRECONDITION

    def __init__(self, why: str, orders: frozenset[bytes] = frozenset()) -> None:
        super().__init__(why)
        self.orders = orders
        """Those concerned; all if empty."""


class FeeTooHigh(CannotPlan):
    """The fee that the market asks for is above a maximum: of the order, of the charter, or of the vault's window."""

    reason = "FEE_TOO_HIGH"
    remedy = "wait until fees fall, or order it anew with a higher maximum"


def payable_of(record: OrderRecord, action: Withdraw, vault: VaultRecord) -> Payable:
    """An order as the builder sees it."""
    script = payee_script(action.destination, BY_CAIP2[vault.chain])
    return Payable(record=record, action=action, script_bytes=len(script))


def build(
    round_: Round,
    vault: VaultRecord,
    orders: Sequence[Payable],
    coins: Sequence[Coin],
    *,
    rate: int,
    required: frozenset[Outpoint] = frozenset(),
    replaced_fee_sat: int | None = None,
    bumps: bytes = b"",
    bumped_fee_sat: int = 0,
    least_rate: int = 0,
) -> Built:
    """Build a plan that pays the orders.

    Args:
        round_: The round of planning.
        vault: The vault, as the round's state has it.
        orders: What to pay, in plan order.
        coins: What may be spent, smallest first.
        rate: Wanted fee rate in satoshi per virtual byte; the charter's maximum rules.
        required: Coins that must be spent.
        replaced_fee_sat: Fees of the transactions that this one evicts.
        bumps: The plan that this one bumps.
        bumped_fee_sat: Its fee, which counts in the vault's fee window already.
        least_rate: Lowest rate that makes sense; by default half of the wanted one.

    Raises:
        FeeTooHigh: the fee breaks a maximum; `orders` are those whose own maximum it is, if it is theirs.
        CannotPlan: not enough coins, or too many small ones.
    """
    fees = round_.state.charter.fees
    # Rounding up to a whole satoshi can show as one more satoshi per virtual byte.
    rate = max(min(rate, fees.per_vbyte - 1), 1)
    least = max(least_rate or rate // 2, 1)
    # Splitting change costs a little; where it does not fit the maximum, one output has to do.
    problem: FeeTooHigh | None = None
    for split in (_split(coins), 1):
        attempt = rate
        while True:
            selection = _select(
                coins,
                orders,
                rate=attempt,
                required=required,
                replaced_fee_sat=replaced_fee_sat,
                split=split,
            )
            maxima = [order.action.max_fee for order in orders]
            problem = _fee_problem(round_, vault, maxima, selection, orders=orders, bumped_fee_sat=bumped_fee_sat)
            if problem is None:
                return _finish(round_, vault, orders, selection, bumps=bumps, bumped_fee_sat=bumped_fee_sat)
            lower = _affordable_rate(round_, vault, orders, selection)
            if attempt == least or lower < least or replaced_fee_sat is not None:
                break
            attempt = min(lower, attempt - 1)
        if split == 1:
            break
    raise problem or FeeTooHigh("fee: no rate keeps every maximum")


def build_cancellation(
    round_: Round,
    vault: VaultRecord,
    record: OrderRecord,
    max_fee: int,
    coins: Sequence[Coin],
    *,
    rate: int,
    required: frozenset[Outpoint],
    replaced_fee_sat: int,
) -> Built:
    """Build the plan of a cancellation: the required coins go back to the vault.

    Raises:
        FeeTooHigh: the fee breaks a maximum.
        CannotPlan: the coins do not cover the fee.
    """
    rate = max(min(rate, round_.state.charter.fees.per_vbyte - 1), 1)
    selection = _select(coins, (), rate=rate, required=required, replaced_fee_sat=replaced_fee_sat, split=1)
    problem = _fee_problem(round_, vault, [max_fee], selection)
    if problem is not None:
        raise problem
    return _finish(round_, vault, (), selection, cancellation=record.hash)


def _split(coins: Sequence[Coin]) -> int:
    return max(1, min(CHANGE_AT_ONCE, WANTED_COINS - len(coins)))


def _select(
    coins: Sequence[Coin],
    orders: Sequence[Payable],
    *,
    rate: int,
    required: frozenset[Outpoint],
    replaced_fee_sat: int | None,
    split: int,
) -> Selection:
    payments = [order.cost for order in orders]
    paid = sum(amount for amount, _ in payments)
    typical = paid // len(payments) if payments else 0

    def select(pool: Sequence[Coin], must: frozenset[Outpoint]) -> Selection:
        return select_coins(
            pool,
            payments,
            rate_sat_per_vb=rate,
            must_include=must,
            change_outputs=split,
            least_split_sat=max(2 * typical, LEAST_SPLIT_SAT),
            replaced_fee_sat=replaced_fee_sat,
        )

    confirmed = [coin for coin in coins if coin.is_confirmed]
    try:
        near = _near(confirmed, paid) if not required else ()
        if near:
            return select(near, required)
    except (InsufficientFunds, SelectionTooHeavy):
        pass  # the few coins looked at first do not do; all of them may
    missing: InsufficientFunds | SelectionTooHeavy
    pool = confirmed + [coin for coin in coins if coin.outpoint in required and not coin.is_confirmed]
    try:
        return select(pool, required)
    except (InsufficientFunds, SelectionTooHeavy) as error:
        missing = error
    if len(pool) < len(coins):
        # A confirmed coin beside unconfirmed change keeps a way to plan the orders again should that change vanish.
        anchor = max(confirmed, key=lambda coin: (coin.amount_sat, coin.outpoint), default=None)
        must = required | ({anchor.outpoint} if anchor is not None else frozenset())
        try:
            return select(coins, must)
        except (InsufficientFunds, SelectionTooHeavy) as error:
            missing = error
    if isinstance(missing, InsufficientFunds):
        have, need = missing.available_sat, missing.needed_sat
        raise CannotPlan(f"coins: the vault can spend {have} sat now, {need} sat are needed with fees")
    raise CannotPlan("coins: the payment needs too many small coins for one transaction")


def _near(confirmed: Sequence[Coin], paid: int) -> list[Coin]:
    """A few coins that alone suffice, of a vault with very many, which come smallest first; else nothing."""
    if len(confirmed) <= 4 * NEAR_COINS:
        return []
    start = bisect_left(confirmed, paid, key=lambda coin: coin.amount_sat)
    return list(confirmed[start : start + NEAR_COINS])


def _fee_problem(
    round_: Round,
    vault: VaultRecord,
    max_fees: Sequence[int],
    selection: Selection,
    *,
    orders: Sequence[Payable] = (),
    bumped_fee_sat: int = 0,
) -> FeeTooHigh | None:
    """The first maximum that the fee breaks."""
    fees, fee = round_.state.charter.fees, selection.fee_sat
    shares = fee_shares(fee, len(max_fees))
    over = [position for position, most in enumerate(max_fees) if shares[position] > most]
    if over:
        share, most = shares[over[0]], max_fees[over[0]]
        hashes = frozenset(orders[position].record.hash for position in over) if orders else frozenset()
        return FeeTooHigh(f"fee: its share is {share} sat now, it allows {most} sat", hashes)
    if fee > fees.per_plan:
        return FeeTooHigh(f"fee: {fee} sat for the transaction, the charter allows {fees.per_plan} sat")
    rate = policy.fee_rate(fee, selection.weight)
    if rate > fees.per_vbyte:
        return FeeTooHigh(f"fee: {rate} sat/vB, the charter allows {fees.per_vbyte} sat/vB")
    room = round_.fee_room(vault.name)
    if fee - bumped_fee_sat > room:
        return FeeTooHigh(f"fee: {fee} sat, the vault's fee window has {max(room, 0)} sat left")
    return None


def _affordable_rate(round_: Round, vault: VaultRecord, orders: Sequence[Payable], selection: Selection) -> int:
    """The highest rate at which this selection's fee keeps every maximum, in whole satoshi per virtual byte."""
    fees = round_.state.charter.fees
    most = min(min(order.action.max_fee for order in orders) * len(orders), fees.per_plan, round_.fee_room(vault.name))
    return max(4 * most // selection.weight, 0)


def _finish(
    round_: Round,
    vault: VaultRecord,
    orders: Sequence[Payable],
    selection: Selection,
    *,
    bumps: bytes = b"",
    bumped_fee_sat: int = 0,
    cancellation: bytes = b"",
) -> Built:
    outputs = [PlanOutput(target=OrderPayment(position=position)) for position in range(len(orders))]
    for amount in selection.change_sat:
        index = round_.take_change_index(vault.name, vault.highest_change)
        outputs.append(PlanOutput(target=Change(amount_sat=amount, index=index)))
    plan = Plan(
        vault=vault.name,
        order_hashes=(cancellation,) if cancellation else tuple(order.record.hash for order in orders),
        inputs=tuple(
            PlanInput(txid=coin.txid, vout=coin.vout, amount_sat=coin.amount_sat, branch=coin.branch, index=coin.index)
            for coin in selection.inputs
        ),
        outputs=tuple(outputs),
        bumps=bumps,
        locktime=round_.state.foundings,
    )
    round_.spend(vault.name, selection.inputs)
    round_.fees[vault.name] = round_.fees.get(vault.name, 0) + selection.fee_sat - bumped_fee_sat
    return Built(plan=plan, selection=selection)
