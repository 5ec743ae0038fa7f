"""Coin selection keeps its promises for every set of coins."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strongroom.chains.bitcoin.keys import VaultKey
from strongroom.chains.bitcoin.policy import fee_for, fee_rate
from strongroom.chains.bitcoin.spend import Spend, SpendInput, SpendOutput, spend_weight
from strongroom.crypto.curve import GENERATOR
from strongroom_coordinator.coins import (
    INPUT_WEIGHT,
    Coin,
    InsufficientFunds,
    Selection,
    SelectionTooHeavy,
    select_coins,
)

DUST_SAT = 330
CHANGE_COST_WEIGHT = 4 * 43 + 8
VAULT = VaultKey(group_key=GENERATOR.serialise(), chain_code=bytes(32))
P2WPKH = b"\x00\x14" + bytes(20)


@st.composite
def coin_sets(draw: st.DrawFn) -> list[Coin]:
    amounts = draw(st.lists(st.integers(1, 5_000_000), min_size=1, max_size=40))
    return [
        Coin(
            txid=bytes([number]) * 32,
            vout=number % 3,
            amount_sat=amount,
            branch=number % 2,
            index=number,
            is_confirmed=draw(st.booleans()),
        )
        for number, amount in enumerate(amounts)
    ]


PAYMENTS = st.lists(st.integers(294, 3_000_000), min_size=1, max_size=8)


@settings(max_examples=300, deadline=None)
@given(
    coins=coin_sets(),
    amounts=PAYMENTS,
    rate=st.integers(1, 200),
    change=st.integers(1, 32),
    split=st.integers(0, 100_000),
    replaced=st.none() | st.integers(0, 20_000),
    data=st.data(),
)
def test_every_selection_is_a_valid_spend_with_the_promised_fee(
    coins: list[Coin],
    amounts: list[int],
    rate: int,
    change: int,
    split: int,
    replaced: int | None,
    data: st.DataObject,
) -> None:
    required = frozenset(data.draw(st.sets(st.sampled_from([coin.outpoint for coin in coins]), max_size=3)))
    payments = [(amount, len(P2WPKH)) for amount in amounts]
    try:
        found = select_coins(
            coins,
            payments,
            rate_sat_per_vb=rate,
            must_include=required,
            change_outputs=change,
            least_split_sat=split,
            replaced_fee_sat=replaced,
        )
    except InsufficientFunds as error:
        short_sat = error.needed_sat - error.available_sat
        assert short_sat > 0
        return
    spend = _spend(found, amounts)
    assert required <= {coin.outpoint for coin in found.inputs}
    assert (spend.weight, spend.fee_sat) == (found.weight, found.fee_sat)
    assert len(found.change_sat) <= change
    if len(found.change_sat) > 1:
        assert min(found.change_sat) >= split
    least = fee_for(rate, found.weight)
    if replaced is not None:
        least = max(least, replaced + fee_for(1, found.weight))
    if found.change_sat:
        assert found.fee_sat == least
    else:
        assert least <= found.fee_sat < least + DUST_SAT + fee_for(rate + 1, CHANGE_COST_WEIGHT) + 2
    if found.change_sat and replaced is None:
        assert fee_rate(found.fee_sat, found.weight) in (rate, rate + 1)


def _spend(found: Selection, amounts: list[int]) -> Spend:
    """Building it checks dust, sums, duplicates and weight."""
    change = [
        SpendOutput(amount_sat=amount, script=VAULT.derive(1, index).script)
        for index, amount in enumerate(found.change_sat)
    ]
    return Spend(
        vault_key=VAULT,
        inputs=tuple(
            SpendInput(txid=coin.txid, vout=coin.vout, amount_sat=coin.amount_sat, branch=coin.branch, index=coin.index)
            for coin in found.inputs
        ),
        outputs=(*(SpendOutput(amount_sat=amount, script=P2WPKH) for amount in amounts), *change),
    )


@settings(max_examples=100, deadline=None)
@given(coins=coin_sets(), amounts=PAYMENTS, seed=st.integers(0, 2**32))
def test_the_order_of_the_coins_does_not_matter(coins: list[Coin], amounts: list[int], seed: int) -> None:
    shuffled = coins.copy()
    random.Random(seed).shuffle(shuffled)
    payments = [(amount, 22) for amount in amounts]
    assert _outcome(coins, payments) == _outcome(shuffled, payments)


def _outcome(coins: list[Coin], payments: list[tuple[int, int]]) -> Selection | str:
    try:
        return select_coins(coins, payments, rate_sat_per_vb=3, change_outputs=4)
    except InsufficientFunds as error:
        return str(error)


@settings(max_examples=150, deadline=None)
@given(coins=coin_sets(), amounts=PAYMENTS, rate=st.integers(1, 50))
def test_funds_are_called_insufficient_only_when_all_useful_coins_fall_short(
    coins: list[Coin], amounts: list[int], rate: int
) -> None:
    useful = [coin for coin in coins if coin.amount_sat > fee_for(rate, INPUT_WEIGHT)]
    available = sum(coin.amount_sat for coin in useful)
    weight = spend_weight(len(useful), [len(P2WPKH)] * len(amounts))
    payments = [(amount, len(P2WPKH)) for amount in amounts]
    if available >= sum(amounts) + fee_for(rate, weight):
        select_coins(coins, payments, rate_sat_per_vb=rate)
    else:
        with pytest.raises(InsufficientFunds) as caught:
            select_coins(coins, payments, rate_sat_per_vb=rate)
        assert caught.value.available_sat == available
        assert caught.value.needed_sat == sum(amounts) + fee_for(rate, weight)


@settings(max_examples=100, deadline=None)
@given(coins=coin_sets(), rate=st.integers(1, 50), data=st.data())
def test_without_payments_everything_required_goes_back(coins: list[Coin], rate: int, data: st.DataObject) -> None:
    required = frozenset(data.draw(st.sets(st.sampled_from([coin.outpoint for coin in coins]), min_size=1, max_size=2)))
    try:
        found = select_coins(coins, [], rate_sat_per_vb=rate, must_include=required)
    except InsufficientFunds:
        return
    assert sum(found.change_sat) + found.fee_sat == sum(coin.amount_sat for coin in found.inputs)
    assert found.change_sat
    _spend(found, [])


def _coin(number: int, amount_sat: int, *, is_confirmed: bool = True) -> Coin:
    return Coin(
        txid=number.to_bytes(32, "big"), vout=0, amount_sat=amount_sat, branch=0, index=0, is_confirmed=is_confirmed
    )


def test_the_smallest_sufficient_coin_is_spent_alone() -> None:
    coins = [_coin(1, 10_000), _coin(2, 60_000), _coin(3, 80_000), _coin(4, 5_000_000)]
    assert [coin.amount_sat for coin in select_coins(coins, [(50_000, 22)], rate_sat_per_vb=2).inputs] == [60_000]


def test_unconfirmed_change_is_touched_only_when_confirmed_coins_do_not_suffice() -> None:
    coins = [_coin(1, 60_000, is_confirmed=False), _coin(2, 40_000), _coin(3, 30_000)]
    assert all(coin.is_confirmed for coin in select_coins(coins, [(50_000, 22)], rate_sat_per_vb=2).inputs)
    assert any(not coin.is_confirmed for coin in select_coins(coins, [(80_000, 22)], rate_sat_per_vb=2).inputs)


def test_change_is_split_into_as_many_coins_as_the_least_amount_allows() -> None:
    found = select_coins(
        [_coin(1, 1_000_000)], [(100_000, 22)], rate_sat_per_vb=1, change_outputs=32, least_split_sat=250_000
    )
    assert len(found.change_sat) == 3
    assert max(found.change_sat) - min(found.change_sat) < 3


def test_more_inputs_than_allowed_are_refused_as_such() -> None:
    coins = [_coin(number, 1_000) for number in range(1, 60)]
    with pytest.raises(SelectionTooHeavy, match="48 inputs"):
        select_coins(coins, [(45_000, 22)], rate_sat_per_vb=1, max_inputs=40)


@pytest.mark.parametrize(
    "change",
    [
        {"change_outputs": 0},
        {"change_outputs": 33},
        {"rate_sat_per_vb": 0},
        {"must_include": frozenset({(bytes(32), 7)})},
        {"coins": [_coin(1, 5_000), _coin(1, 6_000)]},
        {"payments": []},
    ],
)
def test_senseless_requests_are_the_callers_fault(change: dict[str, object]) -> None:
    request: dict[str, object] = {"coins": [_coin(1, 5_000)], "payments": [(1_000, 22)], "rate_sat_per_vb": 1} | change
    with pytest.raises(ValueError, match=r"needed|not among"):
        select_coins(**request)  # type: ignore[arg-type]
