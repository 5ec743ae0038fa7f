"""Plans: form, fees, rules with their windows, bumps and cancellations."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

import charter_builder as builder
from ledger_world import BTC, DAY_MS, HOUR_MS, Coin, World
from refusals import refusal_of
from strongroom.ledger import codec
from strongroom.ledger.charter import AssetAmount, Fees, Limit
from strongroom.ledger.entry_messages import Change, OrderPayment, PlanOutput
from strongroom.ledger.order_messages import CancelWithdraw
from strongroom.ledger.plans import fee_shares, plan_hash, spend_of
from strongroom.ledger.reasons import Refused
from strongroom.ledger.records import OrderState
from strongroom.ledger.signed_messages import Verb

VAULT = "customer-1"


@pytest.fixture
def world() -> World:
    world = World.started()
    world.make_vault(VAULT)
    return world


def limited(*, amount: int, window_ms: int = DAY_MS, name: str = "limited") -> World:
    limit = Limit(window_ms=window_ms, amounts=(AssetAmount(asset=BTC, amount=amount),))
    world = World.started(rules=(builder.rule(name=name, limits=(limit,)),))
    world.make_vault(VAULT)
    return world


def payment(position: int) -> PlanOutput:
    return PlanOutput(target=OrderPayment(position=position))


def change(amount_sat: int, index: int) -> PlanOutput:
    return PlanOutput(target=Change(amount_sat=amount_sat, index=index))


# --- what an accepted plan leaves -------------------------------------------------------------------------------------


def test_an_accepted_plan_is_recorded_with_what_finds_it(world: World) -> None:
    orders = [world.pay(VAULT, 100_000), world.pay(VAULT, 50_000)]
    coin = world.coin(200_000, index=7)
    plan = world.plan(orders, [coin], fee_sat=1_001, change_index=4)
    world.log(plan)
    record = world.state.plan(plan_hash(codec.encode(plan)))
    assert record is not None
    assert record.txid == spend_of(world.state, plan).txid
    assert world.state.plan_by_txid(record.txid) == record
    assert world.state.plans_spending(coin.txid, coin.vout) == (record,)
    assert world.state.plans_of(orders[0]) == (record,)
    assert record.fee_shares_sat == (501, 500)
    assert (record.fee_sat, record.entry_index, record.is_cancel) == (1_001, world.replica.size - 1, False)
    vault = world.state.vault(VAULT)
    assert vault is not None
    assert vault.highest_change == 5
    for order_hash in orders:
        order = world.state.order(order_hash)
        assert order is not None
        assert (order.state, order.plans, order.planned_ms) == (OrderState.PLANNED, (record.hash,), world.time_ms)
    assert not list(world.state.open_orders())


def test_the_transaction_pays_exactly_what_the_orders_say(world: World) -> None:
    orders = [world.pay(VAULT, 100_000), world.pay(VAULT, 50_000)]
    spend = spend_of(world.state, world.plan(orders, [world.coin(200_000)]))
    change_script = world.vault_key(VAULT).derive(1, 0).script
    assert [(output.amount_sat, output.script == change_script) for output in spend.outputs] == [
        (100_000, False),
        (50_000, False),
        (49_000, True),
    ]


def test_the_last_approval_and_its_plan_share_a_batch(world: World) -> None:
    order_hash = world.submit(world.withdrawal(VAULT, 100_000), "shop", "alice")
    world.log(world.endorse("bob", Verb.APPROVE, order_hash), world.plan([order_hash], [world.coin(200_000)]))


@pytest.mark.parametrize(("fee", "count", "shares"), [(10, 3, (4, 3, 3)), (2, 3, (1, 1, 0)), (0, 2, (0, 0))])
def test_fees_are_split_equally_with_the_remainder_on_the_first(fee: int, count: int, shares: tuple[int, ...]) -> None:
    assert fee_shares(fee, count) == shares


# --- form -----------------------------------------------------------------------------------------------------------


def test_unknown_vaults_and_orders_are_refused(world: World) -> None:
    plan = world.plan([world.pay(VAULT, 100_000)], [world.coin(200_000)])
    assert refusal_of(world, replace(plan, vault="nowhere")) == "VAULT_UNKNOWN"
    assert refusal_of(world, replace(plan, order_hashes=(bytes(32),))) == "ORDER_UNKNOWN"


def test_a_plan_is_logged_once(world: World) -> None:
    plan = world.plan([world.pay(VAULT, 100_000)], [world.coin(200_000)])
    world.log(plan)
    assert refusal_of(world, plan) == "ALREADY_KNOWN"


def test_an_order_stands_in_a_plan_once(world: World) -> None:
    order = world.pay(VAULT, 100_000)
    assert refusal_of(world, world.plan([order, order], [world.coin(300_000)])) == "PLAN_ORDERS"


def test_an_order_that_pays_nobody_has_no_place_in_a_plan(world: World) -> None:
    order, creation = world.pay(VAULT, 100_000), world.submit(world.creation("new"), "carol", "alice", "bob")
    assert refusal_of(world, world.plan([order, creation], [world.coin(300_000)])) == "PLAN_ORDERS"


def test_every_order_is_paid_by_one_output_and_nothing_else_is(world: World) -> None:
    orders = [world.pay(VAULT, 100_000), world.pay(VAULT, 100_000)]
    plan = world.plan(orders, [world.coin(300_000)])
    for outputs in (
        (payment(0), change(199_000, 0)),
        (payment(0), payment(0), payment(1), change(90_000, 0)),
        (payment(0), payment(1), payment(2)),
    ):
        assert refusal_of(world, replace(plan, outputs=outputs)) == "PLAN_OUTPUTS"


def test_change_has_a_bounded_number_of_outputs_and_reach(world: World) -> None:
    order = world.pay(VAULT, 100_000)
    plan = world.plan([order], [world.coin(1_000_000)])
    many = (payment(0), *(change(1_000, index) for index in range(33)))
    assert refusal_of(world, replace(plan, outputs=many)) == "PLAN_CHANGE"
    for index, accepted in ((1_000, False), (999, True)):
        reaching = replace(plan, outputs=(payment(0), change(899_000, index)))
        if accepted:
            world.log(reaching)
        else:
            assert refusal_of(world, reaching) == "PLAN_CHANGE"
    second = world.plan([world.pay(VAULT, 100_000)], [world.coin(1_000_000)])
    beyond = replace(second, outputs=(payment(0), change(899_000, 2_000)))
    assert refusal_of(world, beyond) == "PLAN_CHANGE"
    world.log(replace(second, outputs=(payment(0), change(899_000, 1_999))))


@pytest.mark.parametrize(
    ("parts", "form"),
    [
        ({"branch": 2}, "MALFORMED_SPEND"),
        ({"index": 2**31}, "MALFORMED_SPEND"),
        ({"vout": 2**32}, "MALFORMED_SPEND"),
        ({"amount_sat": 2**63}, "AMOUNT_OVERFLOW"),
        ({"amount_sat": 1_000}, "OUTPUTS_EXCEED_INPUTS"),
    ],
)
def test_inputs_must_be_coins_of_the_vault_that_cover_the_outputs(
    world: World, parts: dict[str, Any], form: str
) -> None:
    plan = world.plan([world.pay(VAULT, 100_000)], [world.coin(200_000)])
    bad = replace(plan, inputs=(replace(plan.inputs[0], **parts),))
    with pytest.raises(Refused) as caught:
        world.log(bad)
    assert caught.value.facts["form"] == form
    assert refusal_of(world, bad) == "PLAN_FORM"


def test_a_coin_is_spent_once_and_dust_is_no_change(world: World) -> None:
    order = world.pay(VAULT, 100_000)
    plan = world.plan([order], [world.coin(200_000)])
    assert refusal_of(world, replace(plan, inputs=plan.inputs * 2)) == "PLAN_FORM"
    dusty = replace(plan, outputs=(payment(0), change(329, 0)))
    assert refusal_of(world, dusty) == "PLAN_FORM"


def test_the_same_transaction_under_other_claims_is_refused(world: World) -> None:
    """Claimed amounts do not change a transaction id: one transaction must not be two plans."""
    order = world.pay(VAULT, 100_000)
    plan = world.plan([order], [world.coin(200_000)])
    world.log(plan)
    again = replace(plan, inputs=(replace(plan.inputs[0], amount_sat=200_100),))
    assert refusal_of(world, again) == "TRANSACTION_KNOWN"


# --- fees -----------------------------------------------------------------------------------------------------------


def test_each_order_bears_no_more_than_it_allows(world: World) -> None:
    generous, careful = world.pay(VAULT, 100_000), world.pay(VAULT, 100_000, max_fee=500)
    coin = world.coin(300_000)
    assert refusal_of(world, world.plan([generous, careful], [coin], fee_sat=1_002)) == "FEE_OVER_ORDER"
    assert refusal_of(world, world.plan([careful, generous], [coin], fee_sat=1_001)) == "FEE_OVER_ORDER"
    world.log_plan([generous, careful], [coin], fee_sat=1_001)  # the odd satoshi falls on the first order


@pytest.mark.parametrize(
    ("fees", "code"),
    [
        (Fees(per_vbyte=200, per_plan=999, window_ms=DAY_MS, per_vault=10**6), "FEE_OVER_PLAN"),
        (Fees(per_vbyte=6, per_plan=10**6, window_ms=DAY_MS, per_vault=10**6), "FEE_OVER_RATE"),
        (Fees(per_vbyte=200, per_plan=10**6, window_ms=DAY_MS, per_vault=999), "FEE_OVER_WINDOW"),
    ],
)
def test_the_charters_maxima_of_fees_hold(fees: Fees, code: str) -> None:
    world = World.started(fees=fees)
    world.make_vault(VAULT)
    order, coin = world.pay(VAULT, 100_000), world.coin(200_000)
    assert refusal_of(world, world.plan([order], [coin], fee_sat=1_000)) == code
    world.log_plan([order], [coin], fee_sat=800)


# --- rules and windows ------------------------------------------------------------------------------------------------


def test_a_plan_needs_what_the_rules_ask_for(world: World) -> None:
    order = world.submit(world.withdrawal(VAULT, 100_000), "shop", "alice")
    assert refusal_of(world, world.plan([order], [world.coin(200_000)])) == "APPROVALS_MISSING"


def test_a_delay_runs_from_the_last_needed_approval() -> None:
    world = World.started(rules=(builder.rule(delay_ms=HOUR_MS),))
    world.make_vault(VAULT)
    order = world.submit(world.withdrawal(VAULT, 100_000), "shop", "alice")
    world.later(HOUR_MS)
    world.approve(order, "bob")
    world.later(HOUR_MS - 1)
    world.approve(order, "carol")  # not needed: it does not start the delay again
    plan = world.plan([order], [world.coin(200_000)])
    assert refusal_of(world, plan) == "DELAY_RUNNING"
    world.later(1)
    world.log(plan)


def test_an_expired_endorsement_does_not_count_at_the_plan(world: World) -> None:
    order = world.submit(world.withdrawal(VAULT, 100_000), "shop", "alice")
    world.log(world.endorse("bob", Verb.APPROVE, order, expires_ms=world.time_ms + HOUR_MS))
    world.later(HOUR_MS)
    plan = world.plan([order], [world.coin(200_000)])
    assert refusal_of(world, plan) == "APPROVALS_MISSING"
    world.approve(order, "carol")
    world.log(plan)


def test_payments_of_one_plan_count_one_after_the_other() -> None:
    world = limited(amount=250_000)
    orders = [world.pay(VAULT, 100_000) for _ in range(3)]
    assert refusal_of(world, world.plan(orders, [world.coin(400_000)])) == "OVER_LIMIT"
    world.log_plan(orders[:2], [world.coin(400_000)])
    assert refusal_of(world, world.plan(orders[2:], [world.coin(400_000)])) == "OVER_LIMIT"
    world.log_plan([world.pay(VAULT, 50_000)], [world.coin(400_000)])  # exactly what is left


def test_a_window_slides() -> None:
    world = limited(amount=100_000, window_ms=HOUR_MS)
    world.log_plan([world.pay(VAULT, 100_000)], [world.coin(200_000)])
    order = world.pay(VAULT, 100_000)
    world.later(HOUR_MS - 1)
    plan = world.plan([order], [world.coin(200_000)])
    assert refusal_of(world, plan) == "OVER_LIMIT"
    world.later(1)
    world.log(plan)


def test_a_window_is_over_all_vaults_that_the_rule_matches() -> None:
    world = limited(amount=150_000)
    world.make_vault("customer-2")
    world.log_plan([world.pay(VAULT, 100_000)], [world.coin(200_000)])
    order = world.pay("customer-2", 100_000)
    assert refusal_of(world, world.plan([order], [world.coin(200_000)], vault="customer-2")) == "OVER_LIMIT"


def test_an_order_counts_once_however_often_it_is_planned() -> None:
    world = limited(amount=150_000)
    order, coin = world.pay(VAULT, 100_000), world.coin(200_000)
    first = world.log_plan([order], [coin])
    world.log_plan([order], [coin], fee_sat=2_000, bumps=first)
    world.log_plan([order], [coin], fee_sat=800)
    assert world.state.window_total(("*",), BTC, 0, world.time_ms) == 100_000
    world.log_plan([world.pay(VAULT, 50_000)], [world.coin(200_000)])


def test_a_later_plan_is_judged_in_full_but_for_windows(world: World) -> None:
    order, coin = world.pay(VAULT, 100_000), world.coin(200_000)
    world.log_plan([order], [coin])
    world.later(3 * DAY_MS)
    assert refusal_of(world, world.plan([order], [coin], fee_sat=2_000)) == "ORDER_EXPIRED"


def test_an_order_has_64_plans_at_most(world: World) -> None:
    order, coin = world.pay(VAULT, 100_000), world.coin(200_000)
    world.log(*(world.plan([order], [coin], fee_sat=1_000 + number) for number in range(64)))
    assert refusal_of(world, world.plan([order], [coin], fee_sat=2_000)) == "PLANS_FULL"


def test_a_plan_may_be_as_large_as_an_entry(world: World) -> None:
    orders = [world.pay(VAULT, 1_000) for _ in range(20)]
    coins = [world.coin(1_000, index=number % 50) for number in range(1_500)]
    plan = world.plan(orders, coins, fee_sat=350_000)
    assert 60_000 < len(world.entry(plan)) <= 65_535
    world.log(plan)
    record = world.state.plan(plan_hash(codec.encode(plan)))
    assert record is not None
    assert len(record.outpoints) == 1_500


# --- bumps ------------------------------------------------------------------------------------------------------------


def test_a_bump_is_not_stopped_by_expiry_or_limits() -> None:
    world = limited(amount=100_000)
    order, coin = world.pay(VAULT, 100_000), world.coin(200_000)
    first = world.log_plan([order], [coin])
    world.later(4 * DAY_MS)
    second = world.log_plan([order], [coin], fee_sat=3_000, bumps=first)
    assert world.state.fee_window_total(VAULT, 0, world.time_ms) == 3_000  # a bump counts its increase only
    record = world.state.plan(second)
    assert record is not None
    assert record.bumps == first


def test_a_bump_repeats_the_orders_and_pays_more(world: World) -> None:
    orders, coin = [world.pay(VAULT, 100_000), world.pay(VAULT, 100_000)], world.coin(300_000)
    first = world.log_plan(orders, [coin])
    for other in (orders[:1], orders[::-1]):
        assert refusal_of(world, world.plan(other, [coin], fee_sat=2_000, bumps=first)) == "BUMP_MISMATCH"
    assert refusal_of(world, world.plan(orders, [coin], fee_sat=2_000, bumps=bytes(32))) == "BUMP_MISMATCH"
    assert (
        refusal_of(world, world.plan(orders, [coin], fee_sat=1_000, bumps=first, change_index=1)) == "BUMP_NOT_HIGHER"
    )


def test_a_bump_spends_all_that_it_bumps_spends_and_may_leave_out_what_another_plan_does(world: World) -> None:
    order, first_coin, second_coin = world.pay(VAULT, 100_000), world.coin(200_000), world.coin(200_000)
    first = world.log_plan([order], [first_coin])
    second = world.log_plan([order], [first_coin, second_coin], fee_sat=2_000)
    only_second = world.plan([order], [second_coin], fee_sat=3_000, bumps=second)
    assert refusal_of(world, only_second) == "BUMP_MISMATCH"
    only_first = world.plan([order], [first_coin], fee_sat=3_000, bumps=second)
    assert refusal_of(world, only_first) == "BUMP_MISMATCH"
    world.log_plan([order], [first_coin], fee_sat=3_000, bumps=first)


def test_a_bump_may_not_lean_on_a_plan_in_between(world: World) -> None:
    """A new plan may exclude the earlier one by spending what came in between; a bump must share the coin itself."""
    order, other, coin = world.pay(VAULT, 50_000), world.pay(VAULT, 60_000), world.coin(200_000)
    first = world.log_plan([order], [coin])
    between = world.planned([other], [coin])
    change_coin = Coin(between.txid, 1, 139_000, branch=1)
    bump = world.plan([order], [change_coin], fee_sat=2_000, bumps=first, change_index=1)
    assert refusal_of(world, bump) == "BUMP_MISMATCH"
    second = world.log_plan([order], [change_coin], fee_sat=2_000, change_index=1)
    bump = world.plan([order], [change_coin], fee_sat=3_000, bumps=second, change_index=2)
    assert refusal_of(world, bump) == "BUMP_MISMATCH"


def test_a_freeze_stops_bumps_too(world: World) -> None:
    order, coin = world.pay(VAULT, 100_000), world.coin(200_000)
    first = world.log_plan([order], [coin])
    world.freeze()
    assert refusal_of(world, world.plan([order], [coin], fee_sat=2_000, bumps=first)) == "FROZEN"


def test_after_a_rejection_a_planned_order_has_no_further_plan_nor_bump(world: World) -> None:
    """Nobody can know whether a share of the earlier plan was released, so a bump could be what pays it first."""
    order, coin = world.pay(VAULT, 100_000), world.coin(200_000)
    first = world.log_plan([order], [coin])
    world.reject(order, "carol")
    record = world.state.order(order)
    assert record is not None
    assert record.state is OrderState.PLANNED
    assert refusal_of(world, world.plan([order], [coin], fee_sat=2_000, bumps=first)) == "REJECTED"
    assert refusal_of(world, world.plan([order], [coin], fee_sat=2_000)) == "REJECTED"
    assert refusal_of(world, world.endorse("dave", Verb.APPROVE, order)) == "ORDER_ENDED"
    world.cancel(order)


# --- cancellations ----------------------------------------------------------------------------------------------------


def test_a_planned_order_is_cancelled_by_a_plan_that_excludes_it(world: World) -> None:
    order, coin = world.pay(VAULT, 100_000), world.coin(200_000)
    first = world.log_plan([order], [coin])
    cancel = world.cancel(order)
    target = world.state.order(order)
    assert target is not None
    assert (target.state, target.cancelled_by) == (OrderState.EXCLUDING, cancel)
    assert refusal_of(world, world.plan([order], [coin], fee_sat=2_000)) == "CANCELLED"
    assert refusal_of(world, world.plan([order], [coin], fee_sat=2_000, bumps=first)) == "CANCELLED"
    assert refusal_of(world, world.plan([cancel], [world.coin(200_000)], fee_sat=2_000)) == "PLAN_CONFLICT"
    plan_name = world.log_plan([cancel], [coin], fee_sat=2_000)
    record = world.state.plan(plan_name)
    assert record is not None
    assert record.is_cancel
    world.log_plan([cancel], [coin], fee_sat=3_000, bumps=plan_name)


def test_a_cancellation_pays_nothing_and_stands_alone(world: World) -> None:
    order, coin = world.pay(VAULT, 100_000), world.coin(300_000)
    world.log_plan([order], [coin])
    cancel, other = world.cancel(order), world.pay(VAULT, 100_000)
    plan = world.plan([cancel], [coin], fee_sat=2_000)
    assert refusal_of(world, replace(plan, outputs=(payment(0), *plan.outputs))) == "PLAN_OUTPUTS"
    assert refusal_of(world, world.plan([cancel, other], [coin], fee_sat=2_000)) == "PLAN_ORDERS"


def test_a_cancellations_fee_is_capped_by_it_and_by_the_charter(world: World) -> None:
    order, coin = world.pay(VAULT, 100_000), world.coin(200_000)
    world.log_plan([order], [coin])
    cancel = world.cancel(order, max_fee=1_500)
    assert refusal_of(world, world.plan([cancel], [coin], fee_sat=1_501)) == "FEE_OVER_ORDER"
    world.log_plan([cancel], [coin], fee_sat=1_500)


def test_a_bump_of_a_cancellation_still_excludes_the_target(world: World) -> None:
    order, first, second = world.pay(VAULT, 100_000), world.coin(200_000), world.coin(200_000)
    world.log_plan([order], [first])
    cancel = world.cancel(order)
    name = world.log_plan([cancel], [first, second])
    assert refusal_of(world, world.plan([cancel], [second], fee_sat=2_000, bumps=name)) == "BUMP_MISMATCH"
    assert refusal_of(world, world.plan([cancel], [second], fee_sat=2_000)) == "PLAN_CONFLICT"


def test_an_expired_cancellation_is_made_again(world: World) -> None:
    order, coin = world.pay(VAULT, 100_000), world.coin(200_000)
    world.log_plan([order], [coin])
    first = world.submit(CancelWithdraw(order_hash=order, max_fee=5_000), "shop", expires_ms=world.time_ms + HOUR_MS)
    world.later(HOUR_MS)
    assert refusal_of(world, world.plan([first], [coin], fee_sat=2_000)) == "ORDER_EXPIRED"
    world.log_plan([world.cancel(order)], [coin], fee_sat=2_000)
