"""Coin selection: which coins a plan spends and how its change is split. Pure and deterministic.

The aim is many spendable coins and few inputs, since payments that go out one by one each need a confirmed coin of
their own. So the smallest single coin that suffices is taken; only if none does, the largest ones together. Unconfirmed
change is used only where the confirmed coins do not suffice. A search for sums without change would save little here
and is left out.

Nothing rests on this module's honesty: signers judge the finished plan.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from strongroom.chains.bitcoin.policy import (
    DUST_SAT,
    INPUT_WITNESS_WEIGHT,
    MAX_CHANGE_OUTPUTS,
    MAX_WEIGHT,
    ScriptType,
    fee_for,
)
from strongroom.chains.bitcoin.spend import spend_weight
from strongroom.model.errors import Kind, StrongroomError

__all__ = ["Coin", "InsufficientFunds", "Selection", "SelectionTooHeavy", "select_coins"]

MAX_INPUTS: Final = 800
"""Default limit of inputs: with 500 orders beside them the plan still fits one log entry."""

INPUT_WEIGHT: Final = 4 * 41 + INPUT_WITNESS_WEIGHT
INCREMENTAL_RELAY_SAT_PER_VB: Final = 1
"""What a replacement pays beyond all that it replaces, per virtual byte of its own (BIP-125)."""

_CHANGE_DUST_SAT: Final = DUST_SAT[ScriptType.P2TR]
_CHANGE_SCRIPT_BYTES: Final = 34

Outpoint = tuple[bytes, int]


class InsufficientFunds(StrongroomError):
    """The vault's coins do not cover the payments and their fee. Wait for deposits or confirmations, or pay less."""

    reason = "INSUFFICIENT_FUNDS"
    kind = Kind.FAILED_PRECONDITION
    remedy = "wait for deposits or confirmations, or pay less"

    def __init__(self, *, needed_sat: int, available_sat: int) -> None:
        super().__init__(
            f"{needed_sat} sat are needed with fees, the spendable coins hold {available_sat} sat",
            needed_sat=str(needed_sat),
            available_sat=str(available_sat),
        )
        self.needed_sat = needed_sat
        self.available_sat = available_sat


@dataclass(frozen=True, slots=True, kw_only=True)
class Coin:
    """One coin of the vault. `txid` is 32 bytes in internal order; branch and index name its key."""

    txid: bytes
    vout: int
    amount_sat: int
    branch: int
    index: int
    is_confirmed: bool

    @property
    def outpoint(self) -> Outpoint:
        """What names the coin."""
        return self.txid, self.vout


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What to spend, the amounts of the change outputs, the fee, and the weight of the signed transaction."""

    inputs: tuple[Coin, ...]
    change_sat: tuple[int, ...]
    fee_sat: int
    weight: int


class SelectionTooHeavy(StrongroomError):
    """The coins would suffice but are too many for one transaction. Pay fewer orders at once, or merge coins first."""

    reason = "SELECTION_TOO_HEAVY"
    kind = Kind.RESOURCE_EXHAUSTED

    def __init__(self, selection: Selection, max_inputs: int) -> None:
        inputs, weight = len(selection.inputs), selection.weight
        super().__init__(
            f"{inputs} inputs with weight {weight} are too many for one transaction: the limits are {max_inputs} "
            f"inputs and weight {MAX_WEIGHT}",
            inputs=str(inputs),
            weight=str(weight),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Terms:
    """Everything about the transaction that does not depend on its inputs."""

    paid_sat: int
    script_lengths: tuple[int, ...]
    rate_sat_per_vb: int
    replaced_fee_sat: int | None
    change_outputs: int
    least_split_sat: int

    def weight(self, inputs: int, change: int) -> int:
        return spend_weight(inputs, (*self.script_lengths, *[_CHANGE_SCRIPT_BYTES] * change))

    def least_fee(self, weight: int) -> int:
        fee = fee_for(self.rate_sat_per_vb, weight)
        if self.replaced_fee_sat is None:
            return fee
        return max(fee, self.replaced_fee_sat + fee_for(INCREMENTAL_RELAY_SAT_PER_VB, weight))

    def needed(self, inputs: int) -> int:
        """Least sum of this many inputs: payments and fee, and one change output if there is nothing else."""
        change = 0 if self.script_lengths else 1
        return self.paid_sat + change * _CHANGE_DUST_SAT + self.least_fee(self.weight(inputs, change))

    def change(self, inputs: int, brought_sat: int) -> tuple[int, ...]:
        """Amounts of the change outputs; empty if what is left over would be dust."""
        for count in range(self.change_outputs, 0, -1):
            left = brought_sat - self.paid_sat - self.least_fee(self.weight(inputs, count))
            least = _CHANGE_DUST_SAT if count == 1 else max(self.least_split_sat, _CHANGE_DUST_SAT)
            if left >= count * least:
                share, odd = divmod(left, count)
                return (share + odd, *[share] * (count - 1))
        return ()

    def finish(self, coins: Iterable[Coin]) -> Selection:
        inputs = tuple(sorted(coins, key=lambda coin: coin.outpoint))
        brought = sum(coin.amount_sat for coin in inputs)
        change = self.change(len(inputs), brought)
        return Selection(
            inputs=inputs,
            change_sat=change,
            fee_sat=brought - self.paid_sat - sum(change),
            weight=self.weight(len(inputs), len(change)),
        )


def select_coins(
    coins: Sequence[Coin],
    payments: Sequence[tuple[int, int]],
    *,
    rate_sat_per_vb: int,
    must_include: frozenset[Outpoint] = frozenset(),
    change_outputs: int = 1,
    least_split_sat: int = 0,
    replaced_fee_sat: int | None = None,
    max_inputs: int = MAX_INPUTS,
) -> Selection:
    """Choose coins for payments.

    Args:
        coins: what the plan may spend; unconfirmed ones only where they are the vault's own change.
        payments: amount in satoshi and length of the output script, one pair per payment. Without any, all that the
            required coins bring goes back to the vault, as a cancellation does.
        rate_sat_per_vb: fee rate in satoshi per virtual byte.
        must_include: outpoints that have to be spent, for a bump or to exclude an earlier plan.
        change_outputs: how many coins the change should become, 1 to 32; fewer where each would fall below
            `least_split_sat`. Change that would be dust goes to the fee.
        least_split_sat: least amount of each change output when there are several.
        replaced_fee_sat: fees of all transactions that this one has to evict, if any.
        max_inputs: most inputs.

    Returns:
        The same selection for the same coins, in whatever order they are given. With change the fee is exactly what
        the rate asks of the weight; without, it exceeds that by less than a change output costs and its dust limit.

    Raises:
        InsufficientFunds: the coins do not cover payments and fee.
        SelectionTooHeavy: they would, but not within `max_inputs` and the weight of a standard transaction.
        ValueError: a required outpoint that is not among the coins, two coins of one outpoint, or a count or rate out
            of range; the caller's fault.
    """
    if not 1 <= change_outputs <= MAX_CHANGE_OUTPUTS or rate_sat_per_vb < 1 or not (payments or must_include):
        raise ValueError("1 to 32 change outputs, a rate of at least 1, and a payment or a required coin are needed")
    known = {coin.outpoint for coin in coins}
    if len(known) != len(coins) or not must_include <= known:
        raise ValueError("coins repeat, or a required outpoint is not among them")
    terms = _Terms(
        paid_sat=sum(amount for amount, _ in payments),
        script_lengths=tuple(length for _, length in payments),
        rate_sat_per_vb=rate_sat_per_vb,
        replaced_fee_sat=replaced_fee_sat,
        change_outputs=change_outputs,
        least_split_sat=least_split_sat,
    )
    required = [coin for coin in coins if coin.outpoint in must_include]
    costs_more_than_it_brings = fee_for(rate_sat_per_vb, INPUT_WEIGHT)
    free = [coin for coin in coins if coin.outpoint not in must_include and coin.amount_sat > costs_more_than_it_brings]
    free.sort(key=lambda coin: (coin.amount_sat, coin.outpoint))
    too_heavy: SelectionTooHeavy | None = None
    for pool in ([coin for coin in free if coin.is_confirmed], free):
        picked = _pick(terms, required, pool)
        if picked is None:
            continue
        selection = terms.finish(picked)
        if len(selection.inputs) <= max_inputs and selection.weight <= MAX_WEIGHT:
            return selection
        too_heavy = SelectionTooHeavy(selection, max_inputs)
    if too_heavy is not None:
        raise too_heavy
    everything = [*required, *free]
    raise InsufficientFunds(
        needed_sat=terms.needed(len(everything)), available_sat=sum(coin.amount_sat for coin in everything)
    )


def _pick(terms: _Terms, required: Sequence[Coin], free: Sequence[Coin]) -> list[Coin] | None:
    """The required coins and as few as possible of the free ones, which come in ascending order; None if not enough."""
    brought = sum(coin.amount_sat for coin in required)
    count = len(required)
    if count and brought >= terms.needed(count):
        return list(required)
    single = bisect_left(free, terms.needed(count + 1) - brought, key=lambda coin: coin.amount_sat)
    if single < len(free):
        return [*required, free[single]]
    picked = list(required)
    for coin in reversed(free):
        picked.append(coin)
        brought += coin.amount_sat
        if brought >= terms.needed(len(picked)):
            return picked
    return None
