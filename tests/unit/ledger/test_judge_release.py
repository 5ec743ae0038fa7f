"""Judging orders for people, and plans again at release."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

import charter_builder as builder
from ledger_world import DAY_MS, HOUR_MS, World
from strongroom.ledger.entry_messages import Tick
from strongroom.ledger.judge import judge_by_both, judge_order, judge_release, lapsed_line, vault_of
from strongroom.ledger.judgement import Code
from strongroom.ledger.lost_plans import LOST_PAYMENT
from strongroom.ledger.order_messages import CancelWithdraw, Unfreeze
from strongroom.ledger.reasons import REASONS, StateDamaged
from strongroom.ledger.records import OrderRecord, OrderState, PlanRecord
from strongroom.ledger.signed_messages import Verb
from strongroom.ledger.state import decode_order
from strongroom.model.quantities import time_text

VAULT = "customer-1"


@pytest.fixture
def world() -> World:
    world = World.started()
    world.make_vault(VAULT)
    return world


def record_of(world: World, order_hash: bytes) -> OrderRecord:
    record = world.state.order(order_hash)
    assert record is not None
    return record


def judged(world: World, order_hash: bytes) -> Code:
    return judge_order(world.state, record_of(world, order_hash), world.time_ms).code


def released(world: World, plan: PlanRecord, *, clock_ms: int | None = None) -> Code:
    return judge_release(world.state, plan, world.time_ms if clock_ms is None else clock_ms).code


def test_an_order_is_judged_as_its_plan_would_be(world: World) -> None:
    order = world.submit(world.withdrawal(VAULT, 100_000), "shop", "alice")
    assert judged(world, order) is Code.APPROVALS_MISSING
    world.approve(order, "bob")
    assert judged(world, order) is Code.ALLOWED
    world.freeze()
    assert judged(world, order) is Code.FROZEN
    world.later(3 * DAY_MS)
    assert judged(world, order) is Code.ORDER_EXPIRED


def test_orders_that_act_in_the_ledger_are_judged_by_their_quorum(world: World) -> None:
    creation = world.submit(world.creation("new"), "carol", "alice")
    assert judged(world, creation) is Code.APPROVALS_MISSING
    world.approve(creation, "bob")
    assert judged(world, creation) is Code.ALLOWED
    freeze = world.freeze()
    assert judged(world, freeze) is Code.DONE
    assert judged(world, creation) is Code.ALLOWED  # a freeze is about coins
    lifting = world.submit(Unfreeze(freeze=freeze), "carol", "alice")
    assert judged(world, lifting) is Code.APPROVALS_MISSING
    world.reject(lifting, "bob")
    assert judged(world, lifting) is Code.REJECTED


def test_a_cancellation_is_about_its_targets_vault(world: World) -> None:
    order, coin = world.pay(VAULT, 100_000), world.coin(200_000)
    world.log_plan([order], [coin])
    cancel = world.cancel(order)
    assert vault_of(world.state, decode_order(record_of(world, cancel).order)) == VAULT
    assert judged(world, cancel) is Code.ALLOWED
    assert judged(world, order) is Code.CANCELLED


def test_an_accepted_plan_is_released_while_nothing_tightened(world: World) -> None:
    plan = world.planned([world.pay(VAULT, 100_000)], [world.coin(200_000)])
    assert released(world, plan) is Code.ALLOWED


def test_a_full_window_does_not_stop_the_plan_that_filled_it(world: World) -> None:
    plans = [world.planned([world.pay(VAULT, 250_000_000)], [world.coin(300_000_000)]) for _ in range(16)]
    assert all(released(world, plan) is Code.ALLOWED for plan in plans)
    assert judged(world, world.pay(VAULT, 100_000)) is Code.OVER_LIMIT


def test_what_came_after_the_plan_stops_its_release(world: World) -> None:
    first, second, third = (
        (order, world.planned([order], [world.coin(200_000)])) for order in (world.pay(VAULT, 100_000) for _ in "abc")
    )
    world.reject(first[0], "carol")
    assert released(world, first[1]) is Code.REJECTED
    world.cancel(second[0])
    assert released(world, second[1]) is Code.CANCELLED
    assert released(world, third[1]) is Code.ALLOWED
    world.freeze()
    assert released(world, third[1]) is Code.FROZEN


def test_an_order_expires_by_the_own_clock_as_well(world: World) -> None:
    plan = world.planned([world.pay(VAULT, 100_000)], [world.coin(200_000)])
    assert released(world, plan, clock_ms=world.time_ms + 3 * DAY_MS - 1) is Code.ALLOWED
    assert released(world, plan, clock_ms=world.time_ms + 3 * DAY_MS) is Code.ORDER_EXPIRED


def test_one_order_that_no_longer_passes_stops_the_plan_that_pays_it_with_others(world: World) -> None:
    lapsing = world.submit(world.withdrawal(VAULT, 100_000), "shop", "alice")
    world.log(world.endorse("bob", Verb.APPROVE, lapsing, expires_ms=world.time_ms + HOUR_MS))
    plan = world.planned([lapsing, world.pay(VAULT, 100_000)], [world.coin(300_000)])
    assert released(world, plan) is Code.ALLOWED
    world.later(2 * HOUR_MS)
    world.log(Tick())
    assert released(world, plan) is Code.APPROVALS_MISSING


def test_by_both_clocks_an_order_passes_when_it_passes_by_each() -> None:
    world = World.started(rules=(builder.rule(delay_ms=HOUR_MS),))
    world.make_vault(VAULT)
    record = record_of(world, world.pay(VAULT, 100_000))

    def code(log_later_ms: int, clock_later_ms: int) -> Code:
        begun = world.time_ms
        world.later(log_later_ms)
        world.log(Tick())
        return judge_by_both(world.state, record, begun + clock_later_ms).code

    assert code(0, 2 * HOUR_MS) is Code.DELAY_RUNNING
    assert code(HOUR_MS, 0) is Code.DELAY_RUNNING
    assert code(0, 0) is Code.ALLOWED
    assert code(0, 10 * DAY_MS) is Code.ORDER_EXPIRED
    assert code(10 * DAY_MS, 0) is Code.ORDER_EXPIRED


def test_a_clock_that_lags_behind_log_time_does_not_start_a_delay_again(world: World) -> None:
    plan = world.planned([world.pay(VAULT, 100_000)], [world.coin(200_000)])
    assert released(world, plan, clock_ms=world.time_ms - 60_000) is Code.ALLOWED


def test_a_freeze_holds_as_long_as_either_time_says_so(world: World) -> None:
    order = world.pay(VAULT, 100_000)
    plan = world.planned([order], [world.coin(200_000)])
    world.make_vault("other")
    world.freeze()
    assert released(world, plan, clock_ms=world.time_ms + 24 * HOUR_MS) is Code.FROZEN
    frozen_at = world.time_ms
    world.later(24 * HOUR_MS)
    world.log(world.signer_freeze("s1", vault="other"))  # makes the ledger look through its freezes
    assert released(world, plan, clock_ms=frozen_at) is Code.FROZEN
    assert released(world, plan) is Code.ALLOWED


def test_a_bump_is_released_after_expiry_but_not_after_a_rejection(world: World) -> None:
    order, coin = world.pay(VAULT, 100_000), world.coin(200_000)
    first = world.log_plan([order], [coin])
    bump = world.planned([order], [coin], fee_sat=2_000, bumps=first)
    assert released(world, bump, clock_ms=world.time_ms + 10 * DAY_MS) is Code.ALLOWED
    world.reject(order, "carol")
    assert released(world, bump) is Code.REJECTED


def test_a_freeze_that_still_holds_by_log_time_stops_a_bump(world: World) -> None:
    order, coin = world.pay(VAULT, 100_000), world.coin(200_000)
    first = world.log_plan([order], [coin])
    bump = world.planned([order], [coin], fee_sat=2_000, bumps=first)
    world.freeze()
    assert released(world, bump, clock_ms=world.time_ms + 24 * HOUR_MS) is Code.FROZEN


def without_bob(world: World) -> dict[str, Any]:
    now = world.state.charter
    groups = tuple(replace(one, members=tuple(name for name in one.members if name != "bob")) for one in now.groups)
    return {"people": tuple(one for one in now.people if one.name != "bob"), "groups": groups}


def bumped(world: World, order: bytes) -> PlanRecord:
    coin = world.coin(200_000)
    first = world.log_plan([order], [coin])
    return world.planned([order], [coin], fee_sat=2_000, bumps=first)


def test_a_bump_of_what_a_key_approved_that_was_revoked_since_is_judged_in_full(world: World) -> None:
    """The plan that it bumps may never have been signed by anybody, just because the key was revoked."""
    alone = bumped(world, world.pay(VAULT, 100_000, "alice", "bob"))
    beside = bumped(world, world.submit(world.withdrawal(VAULT, 100_000), "shop", "alice", "bob", "carol"))
    without = bumped(world, world.pay(VAULT, 100_000, "alice", "carol"))
    assert released(world, alone) is Code.ALLOWED
    world.amend("alice", "carol", **without_bob(world))
    assert "bob" not in {one.name for one in world.state.charter.people}
    assert released(world, alone) is Code.APPROVALS_MISSING
    assert released(world, beside) is Code.ALLOWED
    assert released(world, without) is Code.ALLOWED
    days = world.time_ms + 10 * DAY_MS
    assert released(world, beside, clock_ms=days) is Code.ALLOWED
    assert released(world, without, clock_ms=days) is Code.ALLOWED


def test_the_superfluous_word_of_a_key_revoked_since_ends_no_bump_however_late(world: World) -> None:
    """Whoever stole one approver's key could end the bumps of everything unconfirmed by approving it all."""
    orders = [world.pay(VAULT, 100_000, "alice", "carol") for _ in range(3)]
    coin = world.coin(400_000)
    first = world.log_plan(orders, [coin])
    world.later(40 * DAY_MS)
    world.approve(orders[0], "bob")
    bump = world.planned(orders, [coin], fee_sat=2_000, bumps=first)
    world.amend("alice", "carol", **without_bob(world))
    assert released(world, bump) is Code.ALLOWED


def test_an_approval_after_the_first_plan_takes_the_place_of_a_revoked_one(world: World) -> None:
    order, coin = world.pay(VAULT, 100_000, "alice", "bob"), world.coin(200_000)
    first = world.log_plan([order], [coin])
    bump = world.planned([order], [coin], fee_sat=2_000, bumps=first)
    world.amend("alice", "carol", **without_bob(world))
    days = world.time_ms + 10 * DAY_MS
    assert (released(world, bump), released(world, bump, clock_ms=days)) == (Code.APPROVALS_MISSING,) * 2
    world.approve(order, "carol")
    assert (released(world, bump), released(world, bump, clock_ms=days)) == (Code.ALLOWED,) * 2


def test_under_a_delay_an_approval_after_the_first_plan_counts_when_the_delay_is_over() -> None:
    world = World.started(rules=(builder.rule(delay_ms=HOUR_MS),))
    world.make_vault(VAULT)
    order, coin = world.pay(VAULT, 100_000, "alice", "bob"), world.coin(200_000)
    world.later(HOUR_MS)
    first = world.log_plan([order], [coin])
    bump = world.planned([order], [coin], fee_sat=2_000, bumps=first)
    world.amend("alice", "carol", **without_bob(world))
    world.approve(order, "carol")
    assert released(world, bump) is Code.DELAY_RUNNING
    world.later(HOUR_MS)
    world.log(Tick())
    assert released(world, bump) is Code.ALLOWED
    assert released(world, bump, clock_ms=world.time_ms + 10 * DAY_MS) is Code.ALLOWED


def test_a_delay_that_the_revoking_amendment_makes_longer_is_waited_out_once() -> None:
    world = World.started(rules=(builder.rule(delay_ms=HOUR_MS),))
    world.make_vault(VAULT)
    order, coin = world.pay(VAULT, 100_000, "alice", "carol"), world.coin(200_000)
    world.later(HOUR_MS)
    first = world.log_plan([order], [coin])
    world.approve(order, "bob")
    bump = world.planned([order], [coin], fee_sat=2_000, bumps=first)
    world.amend("alice", "carol", rules=(builder.rule(delay_ms=2 * HOUR_MS),), **without_bob(world))
    assert released(world, bump) is Code.DELAY_RUNNING
    for wait in (HOUR_MS, 10 * DAY_MS):
        world.later(wait)
        world.log(Tick())
        assert released(world, bump) is Code.ALLOWED


def test_the_bump_of_a_cancellation_does_not_end_with_the_key_that_began_it(world: World) -> None:
    order, coin = world.pay(VAULT, 100_000), world.coin(200_000)
    world.log_plan([order], [coin])
    cancel = world.cancel(order, "bob")
    first = world.log_plan([cancel], [coin], fee_sat=2_000)
    bump = world.planned([cancel], [coin], fee_sat=3_000, bumps=first)
    world.amend("alice", "carol", **without_bob(world))
    assert released(world, bump, clock_ms=world.time_ms + 10 * DAY_MS) is Code.ALLOWED


def test_a_word_handed_in_directly_stops_a_release_before_it_is_logged(world: World) -> None:
    """A signer judges over a draft that holds what was handed to it; the log itself is as before."""
    order = world.pay(VAULT, 100_000)
    plan = world.planned([order], [world.coin(200_000)])
    draft = world.replica.draft()
    draft.add(world.entry(world.endorse("carol", Verb.REJECT, order)))
    assert judge_release(draft.state, plan, world.time_ms).code is Code.REJECTED
    assert released(world, plan) is Code.ALLOWED


def test_an_order_under_way_says_when_it_acts_or_what_it_waits_for(world: World) -> None:
    record = record_of(world, world.submit(world.creation("new"), "carol", "alice"))
    waiting = replace(record, state=OrderState.SCHEDULED, due_ms=world.time_ms)
    begun = replace(waiting, due_ms=0)
    [line] = judge_order(world.state, waiting, world.time_ms).missing
    assert line == f"it acts by itself at {time_text(world.time_ms)}"
    [line] = judge_order(world.state, begun, world.time_ms).missing
    assert "acts when what it began is finished" in line


def test_a_state_that_lost_an_order_stops_whatever_names_it(world: World) -> None:
    order = world.pay(VAULT, 100_000)
    plan = world.planned([order], [world.coin(200_000)])
    with pytest.raises(StateDamaged, match="which has no record"):
        judge_release(world.state, replace(plan, order_hashes=(order, bytes(32))), world.time_ms)
    cancel = decode_order(world.order(CancelWithdraw(order_hash=bytes(32), max_fee=1)))
    with pytest.raises(StateDamaged, match="which has no record"):
        vault_of(world.state, cancel)


def test_every_code_of_a_judgement_is_a_reason_with_a_remedy() -> None:
    assert {code.value for code in Code} <= REASONS.keys()


def test_only_of_a_lapsed_payment_it_is_said_that_a_lost_transaction_may_pay_it(world: World) -> None:
    payment = record_of(world, world.submit(world.withdrawal(VAULT, 100_000), "shop", "alice"))
    creation = record_of(world, world.submit(world.creation("new"), "carol", "alice"))
    assert lapsed_line(decode_order(payment.order)) == LOST_PAYMENT
    assert "make a new one" in lapsed_line(decode_order(creation.order))
    assert "make a new one" not in LOST_PAYMENT
