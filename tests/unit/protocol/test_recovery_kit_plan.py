"""The plan of a sweep: coins found below the vault's key, one output, and every way in which it may be another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from typing import Any

import pytest

import charter_builder as builder
from kit_world import MAX_FEE, SAFE, VAULT, Kit, changed
from strongroom.chains.bitcoin import policy
from strongroom.chains.bitcoin.networks import MAINNET
from strongroom.crypto.curve import Point
from strongroom.ledger import codec
from strongroom.ledger.signed_messages import MAX_INPUTS_PER_PLAN
from strongroom.protocol.recovery_kit_plan import (
    FoundCoin,
    OwnedCoin,
    SweepPlanRefused,
    check_plan,
    key_in_force,
    make_plan,
    open_plan,
    own_coins,
)
from strongroom.protocol.recovery_kit_records import SweepPlan


@pytest.fixture(scope="module")
def kit() -> Kit:
    return Kit.started()


def test_coins_are_found_on_both_branches(kit: Kit) -> None:
    coins = (kit.coin(5_000, index=7), kit.coin(6_000, branch=1, index=49), kit.coin(7_000))
    found = own_coins(kit.key, coins, search=50)
    assert [(one.branch, one.index) for one in found] == [(0, 7), (1, 49), (0, 0)]
    assert tuple(one.coin for one in found) == coins
    assert own_coins(kit.key, ()) == ()


def test_coins_of_others_and_beyond_the_search_are_refused(kit: Kit) -> None:
    far = kit.coin(5_000, index=50)
    strange = replace(far, script=b"\x51\x20" + b"\x07" * 32)
    for coin in (far, strange):
        with pytest.raises(SweepPlanRefused, match="no address of this vault below index 50"):
            own_coins(kit.key, (kit.coin(9_000), coin), search=50)
    with pytest.raises(SweepPlanRefused, match="twice"):
        own_coins(kit.key, (far, far), search=60)


def test_a_plan_moves_everything_but_the_fee_to_the_order_s_address(kit: Kit) -> None:
    opened = kit.plan(rate=7)
    assert (opened.plan.destination, opened.names) == (SAFE, ("s1", "s3"))
    assert opened.spend.fee_sat == policy.fee_for(7, opened.spend.weight)
    assert opened.plan.amount_sat == 150_000 - opened.spend.fee_sat
    assert [(one.branch, one.index) for one in opened.plan.inputs] == [(0, 0), (1, 3)]
    assert opened.hash == sha256(opened.data).digest()
    assert opened.host_key("s3") == builder.host_secret("s3").public()


def test_coins_that_cost_more_than_they_hold_stay(kit: Kit) -> None:
    judged = kit.judged()
    dust = kit.coin(300, index=2)
    coins = own_coins(kit.key, (dust, kit.coin(50_000)), search=10)
    key = key_in_force(kit.vault, kit.recovery)
    asked: dict[str, Any] = {"log_id": kit.world.log_id, "signers": ("s1", "s2")}
    opened, left = make_plan(kit.vault, key, judged, coins, rate_sat_per_vb=10, **asked)
    assert [one.coin for one in left] == [dust]
    assert len(opened.plan.inputs) == 1
    assert make_plan(kit.vault, key, judged, coins, rate_sat_per_vb=1, **asked)[1] == ()
    with pytest.raises(SweepPlanRefused, match="no coin is worth"):
        make_plan(kit.vault, key, judged, coins[:1], rate_sat_per_vb=10, **asked)
    with pytest.raises(SweepPlanRefused, match=f"no coin of vault {VAULT} is in the list"):
        make_plan(kit.vault, key, judged, (), rate_sat_per_vb=10, **asked)
    small = own_coins(kit.key, (kit.coin(1_250, index=4),), search=10)
    with pytest.raises(SweepPlanRefused, match="too little"):
        make_plan(kit.vault, key, judged, small, rate_sat_per_vb=10, **asked)
    with pytest.raises(SweepPlanRefused, match="no holders of vault customer-1: s9"):
        make_plan(kit.vault, key, judged, coins, rate_sat_per_vb=1, log_id=kit.world.log_id, signers=("s1", "s9"))


def test_a_vault_of_more_coins_than_fit_is_swept_in_parts(kit: Kit) -> None:
    script = kit.key.derive(0, 0).script
    coins = tuple(
        OwnedCoin(
            coin=FoundCoin(txid=number.to_bytes(32, "big"), vout=0, amount_sat=10_000 + number, script=script),
            branch=0,
            index=0,
        )
        for number in range(MAX_INPUTS_PER_PLAN + 50)
    )
    judged = kit.judged(kit.order(max_fee=500_000))
    opened, left = make_plan(
        kit.vault,
        key_in_force(kit.vault, kit.recovery),
        judged,
        coins,
        log_id=kit.world.log_id,
        signers=("s1", "s2"),
        rate_sat_per_vb=1,
    )
    assert len(opened.plan.inputs) == MAX_INPUTS_PER_PLAN
    assert opened.spend.weight <= policy.MAX_WEIGHT
    assert {one.coin.amount_sat for one in left} == set(range(10_000, 10_050))


def test_the_fee_stays_below_what_people_signed(kit: Kit) -> None:
    with pytest.raises(SweepPlanRefused, match=f"the order allows {MAX_FEE} sat"):
        kit.plan(rate=200)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda plan: replace(plan, log_id=bytes(32)), "another log"),
        (lambda plan: replace(plan, order_hash=bytes(32)), "another order"),
        (lambda plan: replace(plan, vault="customer-2"), "coins of vault customer-2"),
        (lambda plan: replace(plan, epoch=2), "in epoch 1: all of you take the newest"),
        (lambda plan: replace(plan, holders=("s2", "s1", "s3")), "other holders"),
        (
            lambda plan: replace(plan, key=replace(plan.key, host_keys=tuple(reversed(plan.key.host_keys)))),
            "another key",
        ),
        (lambda plan: replace(plan, key=replace(plan.key, chain_code=bytes(32))), "another key"),
        (lambda plan: replace(plan, destination=builder.RECOVERY), "the order names"),
        (lambda plan: replace(plan, amount_sat=plan.amount_sat - MAX_FEE), "a fee of"),
    ],
)
def test_a_plan_that_is_another_than_people_signed_is_refused(
    kit: Kit, change: Callable[[SweepPlan], SweepPlan], why: str
) -> None:
    judged = kit.judged()
    opened = kit.plan(judged)
    check_plan(opened, kit.vault, judged, log_id=kit.world.log_id)
    with pytest.raises(SweepPlanRefused, match=why):
        check_plan(changed(opened, change), kit.vault, judged, log_id=kit.world.log_id)


def test_the_vault_is_that_of_the_order_and_of_the_log(kit: Kit) -> None:
    judged = kit.judged()
    opened = kit.plan(judged)
    other = replace(kit.vault, name="customer-2")
    with pytest.raises(SweepPlanRefused, match="of vault customer-1"):
        check_plan(opened, other, judged, log_id=kit.world.log_id)
    elsewhere = replace(kit.vault, chain=MAINNET.caip2)
    with pytest.raises(SweepPlanRefused, match="of vault customer-1"):
        check_plan(opened, elsewhere, judged, log_id=kit.world.log_id)
    meant = replace(judged, action=replace(judged.action, vault="customer-2"))
    with pytest.raises(SweepPlanRefused, match="the order of vault customer-2"):
        check_plan(opened, kit.vault, meant, log_id=kit.world.log_id)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda plan: replace(plan, chain="bip122:00"), "no chain bip122:00"),
        (lambda plan: replace(plan, chain=MAINNET.caip2), "BAD_ADDRESS"),
        (lambda plan: replace(plan, holders=plan.holders[:2]), "one holder for each host key"),
        (lambda plan: replace(plan, holders=("s1", "s1", "s3")), "one holder for each host key"),
        (lambda plan: replace(plan, signers=(0,)), "2 holders sign"),
        (lambda plan: replace(plan, signers=(0, 1, 2)), "2 holders sign"),
        (lambda plan: replace(plan, signers=(2, 0)), "participant order"),
        (lambda plan: replace(plan, signers=(1, 1)), "participant order"),
        (lambda plan: replace(plan, signers=(0, 3)), "participant order"),
        (lambda plan: replace(plan, key=replace(plan.key, threshold=3)), "VAULT_KEY"),
        (lambda plan: replace(plan, inputs=plan.inputs[:1] * 2), "DUPLICATE_INPUT"),
        (lambda plan: replace(plan, amount_sat=200_000), "OUTPUTS_EXCEED_INPUTS"),
        (lambda plan: replace(plan, amount_sat=100), "DUST_OUTPUT"),
        (lambda plan: replace(plan, destination="nowhere"), "BAD_ADDRESS"),
    ],
)
def test_a_plan_must_hold_together(kit: Kit, change: Callable[[SweepPlan], SweepPlan], why: str) -> None:
    opened = kit.plan()
    with pytest.raises(SweepPlanRefused) as caught:
        changed(opened, change)
    assert caught.value.facts.get("form") == why or why in caught.value.message
    with pytest.raises(SweepPlanRefused, match="does not hold together: SweepPlan"):
        open_plan(opened.data[:-1])


def test_the_key_comes_from_the_recovery_data_of_this_epoch_alone(kit: Kit) -> None:
    key = key_in_force(kit.vault, kit.recovery)
    assert key.commitments[0] == kit.vault.group_key
    assert key.host_keys == kit.vault.host_keys
    with pytest.raises(SweepPlanRefused, match="epoch 1 is not in the file"):
        key_in_force(kit.vault, kit.recovery + b"\0")
    with pytest.raises(SweepPlanRefused, match="another key than the log says"):
        key_in_force(replace(kit.vault, key_hash=bytes(32)), kit.recovery)
    for broken in (kit.recovery[:-1], codec.encode(codec.decode(type(kit.vault), codec.encode(kit.vault)))):
        with pytest.raises(SweepPlanRefused, match="gives no key"):
            key_in_force(replace(kit.vault, recovery_hash=sha256(broken).digest()), broken)
    assert Point.parse(key.commitments[0]).serialise() == kit.vault.group_key
    assert kit.vault.name == VAULT


def test_after_a_refresh_the_key_is_that_of_the_later_epoch() -> None:
    kit = Kit.started()
    before = kit.plan()
    refreshed = kit.refreshed()
    assert refreshed.vault.epoch == 2
    key = key_in_force(refreshed.vault, refreshed.recovery)
    assert key.commitments[0] == before.plan.key.commitments[0]
    assert key.commitments[1] != before.plan.key.commitments[1]
    judged = refreshed.judged()
    stale = changed(before, lambda plan: replace(plan, order_hash=judged.hash))
    with pytest.raises(SweepPlanRefused, match="of epoch 1 of vault customer-1, and by this log it is in epoch 2"):
        check_plan(stale, refreshed.vault, judged, log_id=refreshed.world.log_id)
