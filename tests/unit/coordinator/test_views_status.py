"""The status of an order is what an integrator may rely on: never "never" while a transaction could still pay it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ledger_world import DAY_MS, HOUR_MS
from restart_world import RestartWorld
from strongroom.ledger.entry_messages import Tick
from strongroom.ledger.order_messages import Unfreeze
from strongroom_coordinator.views import EXPIRY_MARGIN_MS, Status
from views_desk import VAULT, Desk


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path)
    yield made
    made.storage.close()


async def test_an_open_order_says_what_is_missing(desk: Desk) -> None:
    order = desk.world.submit(desk.world.withdrawal(VAULT, 100_000), "shop")
    seen = await desk.see(order)
    assert (seen.status, seen.plans) == (Status.OPEN, ())
    assert "2 more approvals" in seen.waits_for
    desk.world.approve(order, "alice", "bob")
    assert (await desk.see(order)).waits_for == "coins: none"


async def test_a_planned_order_is_payable_until_enough_blocks_hold_it(desk: Desk) -> None:
    order = desk.world.pay(VAULT, 100_000)
    plan, _ = desk.plan(order)
    seen = await desk.see(order)
    assert (seen.status, seen.waits_for) == (Status.PAYABLE, "signatures")
    desk.block(10, plan)
    desk.tip(10)
    seen = await desk.see(order)
    assert (seen.status, seen.waits_for) == (Status.PAYABLE, "confirmations: 1 of 2")
    desk.tip(11)
    seen = await desk.see(order)
    assert (seen.status, seen.waits_for, seen.plans[0].confirmations) == (Status.PAID, "", 2)


async def test_expiry_ends_an_order_only_when_no_plan_can_enter_the_log_any_more(desk: Desk) -> None:
    waiting = desk.world.submit(desk.world.withdrawal(VAULT, 100_000), "shop")
    planned = desk.world.pay(VAULT, 100_000)
    desk.plan(planned)
    expiry = desk.world.time_ms + 3 * 24 * HOUR_MS + 1_000
    desk.log_now_ms = expiry
    assert (await desk.see(waiting)).status is Status.OPEN
    desk.log_now_ms = expiry + EXPIRY_MARGIN_MS
    assert (await desk.see(waiting)).status is Status.NEVER_WILL_BE_PAID
    assert (await desk.see(planned)).status is Status.PAYABLE


async def test_a_wrong_wall_clock_ends_no_order(desk: Desk) -> None:
    waiting = desk.world.submit(desk.world.withdrawal(VAULT, 100_000), "shop")
    desk.clock.ahead_ms = 30 * 24 * HOUR_MS
    assert (await desk.see(waiting)).status is Status.OPEN


async def test_the_end_of_an_order_counts_once_it_is_final(desk: Desk) -> None:
    rejected = desk.world.pay(VAULT, 100_000)
    expired = desk.world.submit(desk.world.withdrawal(VAULT, 100_000), "shop", expires_ms=desk.world.time_ms + 1_000)
    desk.world.reject(rejected, "carol")
    desk.world.later(1_000)
    desk.world.log(Tick())
    desk.certified.is_final = False
    for order in (rejected, expired):
        assert (await desk.see(order)).status is Status.OPEN
    desk.certified.is_final = True
    for order in (rejected, expired):
        assert (await desk.see(order)).status is Status.NEVER_WILL_BE_PAID


async def test_a_rejection_ends_an_open_order_and_does_not_end_a_planned_one(desk: Desk) -> None:
    open_order, planned = desk.world.pay(VAULT, 100_000), desk.world.pay(VAULT, 100_001)
    plan, _ = desk.plan(planned)
    desk.world.reject(open_order, "carol")
    desk.world.reject(planned, "carol")
    seen = await desk.see(open_order)
    assert (seen.status, seen.waits_for) == (Status.NEVER_WILL_BE_PAID, "nothing: carol rejected it")
    assert (await desk.see(planned)).status is Status.PAYABLE
    desk.block(10, plan, by=bytes(32))
    desk.tip(10)
    assert (await desk.see(planned)).status is Status.PAYABLE
    desk.tip(11)
    assert (await desk.see(planned)).status is Status.NEVER_WILL_BE_PAID


async def test_a_cancelled_order_with_a_plan_is_payable_until_the_exclusion_is_deep_enough(desk: Desk) -> None:
    order = desk.world.pay(VAULT, 100_000)
    plan, coin = desk.plan(order)
    cancel = desk.world.cancel(order)
    excluding, _ = desk.plan(cancel, coin=coin, fee_sat=2_000, change_index=1)
    assert (await desk.see(order)).status is Status.PAYABLE
    assert (await desk.see(cancel)).status is Status.OPEN
    record = desk.world.state.plan(excluding)
    assert record is not None
    desk.block(10, excluding)
    desk.block(10, plan, by=record.txid)
    desk.tip(10)
    assert (await desk.see(order)).status is Status.PAYABLE
    desk.tip(11)
    seen = await desk.see(order)
    assert (seen.status, seen.waits_for) == (Status.NEVER_WILL_BE_PAID, "nothing: it was cancelled")
    assert [one.stage for one in seen.plans] == ["excluded"]
    assert (await desk.see(cancel)).status is Status.DONE


async def test_an_excluded_order_that_can_be_planned_again_stays_payable(desk: Desk) -> None:
    order = desk.world.pay(VAULT, 100_000)
    plan, _ = desk.plan(order)
    desk.block(10, plan, by=bytes(32))
    desk.tip(20)
    assert (await desk.see(order)).status is Status.PAYABLE


async def test_orders_that_pay_nobody_are_done_when_they_acted(desk: Desk) -> None:
    freeze = desk.world.freeze()
    assert (await desk.see(freeze)).status is Status.DONE
    vault = desk.world.submit(desk.world.creation("customer-2"), "carol")
    assert (await desk.see(vault)).status is Status.OPEN


async def test_an_approved_vault_waits_for_its_key_and_says_how_far_that_is(desk: Desk) -> None:
    order = desk.world.submit(desk.world.creation("customer-2"), "carol", "alice", "bob")
    assert (await desk.see(order)).waits_for == "its holders to generate its key"
    desk.progress[order] = "its key: attempt 7 is under way; attempt 6 failed: south: 30 s of silence"
    assert (await desk.see(order)).waits_for == desk.progress[order]


async def test_an_order_on_a_false_coin_can_be_paid_by_another_plan_until_it_is_rejected(desk: Desk) -> None:
    order = desk.world.pay(VAULT, 100_000)
    plan, coin = desk.plan(order)
    desk.track(plan, false=frozenset([(coin.txid, coin.vout)]))
    seen = await desk.see(order)
    assert (seen.status, seen.waits_for) == (Status.PAYABLE, "coins: none")
    assert "is not what the plan says of it" in seen.plans[0].refusals[0]
    desk.world.reject(order, "carol")
    seen = await desk.see(order)
    assert (seen.status, seen.waits_for) == (Status.NEVER_WILL_BE_PAID, "nothing: carol rejected it")


async def test_an_order_on_a_false_coin_ends_with_its_expiry(desk: Desk) -> None:
    order = desk.world.pay(VAULT, 100_000)
    plan, coin = desk.plan(order)
    desk.track(plan, false=frozenset([(coin.txid, coin.vout)]))
    desk.log_now_ms = desk.world.time_ms + 3 * 24 * HOUR_MS + 1_000 + EXPIRY_MARGIN_MS
    seen = await desk.see(order)
    assert seen.status is Status.NEVER_WILL_BE_PAID
    assert f"{coin.txid[::-1].hex()}:0 is not what the plan says of it; make a new order" in seen.waits_for


async def test_an_order_on_a_coin_that_does_not_exist_stays_payable_and_says_why(desk: Desk) -> None:
    """Its signatures may be in strange hands, and so may a transaction that makes the coin."""
    order = desk.world.pay(VAULT, 100_000)
    plan, coin = desk.plan(order)
    desk.track(plan, missing=frozenset([(coin.txid, coin.vout)]))
    assert (await desk.see(order)).waits_for == "coins: none"
    desk.world.reject(order, "carol")
    desk.log_now_ms = desk.world.time_ms + 3 * 24 * HOUR_MS + 1_000 + EXPIRY_MARGIN_MS
    seen = await desk.see(order)
    assert seen.status is Status.PAYABLE
    assert f"{coin.txid[::-1].hex()}:0 does not exist" in seen.waits_for
    assert "would then be paid as well" in seen.waits_for


# --- after a restart -------------------------------------------------------------------------------------------------


def founded_anew(desk: Desk) -> None:
    """The log is founded anew where it is, and thawed."""
    restarted = RestartWorld(desk.world)
    restarted.found(restarted.restart())
    desk.world.submit(Unfreeze(freeze=desk.world.log_id), "dave", "alice", "carol")


def long_after(desk: Desk) -> None:
    desk.world.later(40 * DAY_MS)
    desk.world.log(Tick())


async def test_a_payment_that_lapsed_by_a_restart_is_never_called_one_that_will_not_be_paid(desk: Desk) -> None:
    """A plan in the lost entries may have been signed; the log that goes on knows nothing of it."""
    order = desk.world.pay(VAULT, 100_000)
    founded_anew(desk)
    for wait in (False, True):
        if wait:
            long_after(desk)
        seen = await desk.see(order)
        assert seen.status is Status.PAYABLE
        assert "a transaction that was lost may pay it" in seen.waits_for


async def test_a_transaction_that_this_log_does_not_know_ends_no_order_from_before_a_restart(desk: Desk) -> None:
    order = desk.world.pay(VAULT, 100_000)
    plan, _ = desk.plan(order)
    founded_anew(desk)
    desk.block(10, plan, by=bytes(32))  # a bump that was lost: it paid the order
    desk.tip(50)
    for wait in (False, True):
        if wait:
            long_after(desk)
        seen = await desk.see(order)
        assert seen.status is Status.PAYABLE
        assert "a transaction that was lost may pay it" in seen.waits_for


async def test_an_order_left_out_after_a_restart_is_called_lost_until_what_took_its_coins_is_deep(desk: Desk) -> None:
    order, other = desk.world.pay(VAULT, 100_000), desk.world.pay(VAULT, 200_000)
    plan, coin = desk.plan(order, other)
    founded_anew(desk)
    beside, _ = desk.plan(other, coin=coin, fee_sat=2_000)
    record = desk.world.state.plan(beside)
    assert record is not None
    desk.block(10, beside)
    desk.block(10, plan, by=record.txid)
    desk.tip(10)
    assert "a transaction that was lost may pay it" in (await desk.see(order)).waits_for
    desk.tip(11)
    seen = await desk.see(order)
    assert (seen.status, seen.waits_for) == (Status.PAYABLE, "coins: none")
    desk.world.reject(order, "carol")
    assert (await desk.see(order)).status is Status.NEVER_WILL_BE_PAID


async def test_a_cancellation_made_after_a_restart_ends_an_order_from_before_once_it_is_deep(desk: Desk) -> None:
    order = desk.world.pay(VAULT, 100_000)
    plan, coin = desk.plan(order)
    founded_anew(desk)
    cancel = desk.world.cancel(order)
    excluding, _ = desk.plan(cancel, coin=coin, fee_sat=2_000)
    record = desk.world.state.plan(excluding)
    assert record is not None
    desk.block(10, excluding)
    desk.block(10, plan, by=record.txid)
    desk.tip(10)
    assert (await desk.see(order)).status is Status.PAYABLE
    desk.tip(11)
    assert (await desk.see(order)).status is Status.NEVER_WILL_BE_PAID


async def test_what_had_ended_before_a_restart_stays_ended(desk: Desk) -> None:
    expired = desk.world.submit(desk.world.withdrawal(VAULT, 100_000), "shop")
    cancelled = desk.world.pay(VAULT, 100_000)
    desk.world.cancel(cancelled)
    excluded = desk.world.pay(VAULT, 100_000)
    plan, coin = desk.plan(excluded)
    excluding, _ = desk.plan(desk.world.cancel(excluded), coin=coin, fee_sat=2_000)
    record = desk.world.state.plan(excluding)
    assert record is not None
    desk.block(10, excluding)
    desk.block(10, plan, by=record.txid)
    desk.tip(11)
    long_after(desk)
    founded_anew(desk)
    for order in (expired, cancelled, excluded):
        assert (await desk.see(order)).status is Status.NEVER_WILL_BE_PAID


async def test_a_cancellation_that_a_restart_ended_does_not_wait(desk: Desk) -> None:
    order = desk.world.pay(VAULT, 100_000)
    desk.plan(order)
    cancel = desk.world.cancel(order)
    founded_anew(desk)
    seen = await desk.see(cancel)
    assert (seen.status, "make a new one" in seen.waits_for) == (Status.NEVER_WILL_BE_PAID, True)
    assert (await desk.see(order)).status is Status.PAYABLE
