"""What the planner puts together, what it lets wait and why."""

from __future__ import annotations

from dataclasses import replace

import charter_builder as builder
from ledger_world import World
from planner_chain import PlannerChain
from restart_world import RestartWorld
from strongroom.ledger.charter import AssetAmount, Fees, Limit
from strongroom.ledger.entry_messages import Change, OrderPayment, Plan
from strongroom.ledger.order_messages import Unfreeze
from strongroom.ledger.plans import spend_of

VAULT = "customer-1"


def started(rate: int = 5, max_orders: int = 500, **charter: object) -> tuple[World, PlannerChain]:
    world = World.started(**charter)
    world.make_vault(VAULT)
    return world, PlannerChain(world, rate=rate, max_orders=max_orders)


def change_of(plan: Plan) -> list[Change]:
    return [output.target for output in plan.outputs if isinstance(output.target, Change)]


def test_orders_of_one_vault_share_one_transaction() -> None:
    world, chain = started()
    chain.deposit(VAULT, 10_000_000)
    orders = [world.pay(VAULT, 100_000 + n) for n in range(20)]
    [plan] = chain.plan()
    assert plan.order_hashes == tuple(orders)
    assert sum(isinstance(output.target, OrderPayment) for output in plan.outputs) == 20


def test_no_more_orders_share_a_transaction_than_configured() -> None:
    world, chain = started(max_orders=3)
    for _ in range(3):
        chain.deposit(VAULT, 10_000_000)
    for n in range(7):
        world.pay(VAULT, 100_000 + n)
    assert [len(plan.order_hashes) for plan in chain.plan()] == [3, 3, 1]


def test_change_is_split_into_several_coins_at_fresh_indexes() -> None:
    world, chain = started(max_orders=1)
    chain.deposit(VAULT, 50_000_000)
    chain.deposit(VAULT, 60_000_000)
    world.pay(VAULT, 100_000)
    world.pay(VAULT, 200_000)
    first, second = chain.plan()
    indexes = [change.index for plan in (first, second) for change in change_of(plan)]
    assert len(change_of(first)) == 4
    assert indexes == list(range(8))


def test_an_order_that_the_coins_do_not_cover_waits_with_a_reason_and_blocks_no_other() -> None:
    world, chain = started()
    chain.deposit(VAULT, 500_000)
    large = world.pay(VAULT, 5_000_000)
    small = world.pay(VAULT, 100_000)
    [plan] = chain.plan()
    assert plan.order_hashes == (small,)
    assert chain.planner.reason(large) == "coins: the vault can spend 500000 sat now, 5000000 sat are needed"
    chain.deposit(VAULT, 9_000_000)
    [plan] = chain.plan()
    assert plan.order_hashes == (large,)


def test_an_order_with_too_low_a_fee_maximum_waits_and_the_others_are_paid() -> None:
    world, chain = started(rate=50)
    chain.deposit(VAULT, 9_000_000)
    stingy = world.pay(VAULT, 100_000, max_fee=200)
    other = world.pay(VAULT, 100_001, max_fee=20_000)
    [plan] = chain.plan()
    assert plan.order_hashes == (other,)
    assert "fee: its share is" in chain.planner.reason(stingy)
    chain.fee_rate_sat_per_vb = 1
    chain.version += 1
    chain.confirm(next(iter(chain.plans)))
    [plan] = chain.plan()
    assert plan.order_hashes == (stingy,)


def test_the_fee_never_exceeds_the_charter_however_high_the_market_is() -> None:
    fees = Fees(per_vbyte=30, per_plan=1_000_000, window_ms=3_600_000, per_vault=10_000_000)
    world, chain = started(rate=10_000, fees=fees)
    chain.deposit(VAULT, 9_000_000)
    world.pay(VAULT, 100_000)
    [plan] = chain.plan()
    assert 25 <= spend_of(world.state, plan).fee_rate <= 30


def test_an_exhausted_fee_window_holds_orders_back_until_it_has_room() -> None:
    fees = Fees(per_vbyte=200, per_plan=1_000_000, window_ms=3_600_000, per_vault=1_500)
    world, chain = started(fees=fees)
    for _ in range(3):
        chain.deposit(VAULT, 9_000_000)
    world.pay(VAULT, 100_000)
    assert len(chain.plan()) == 1
    second = world.pay(VAULT, 200_000)
    assert chain.plan() == []
    assert "fee window" in chain.planner.reason(second)
    world.later(3_600_001)
    assert [plan.order_hashes for plan in chain.plan()] == [(second,)]


def test_limits_count_what_the_same_round_pays() -> None:
    limit = Limit(window_ms=builder.HOUR_MS, amounts=(AssetAmount(asset=builder.BTC, amount=250_000),))
    world, chain = started(rules=(builder.rule(limits=(limit,)),))
    chain.deposit(VAULT, 9_000_000)
    orders = [world.pay(VAULT, 100_000) for _ in range(4)]
    [plan] = chain.plan()
    assert plan.order_hashes == tuple(orders[:2])
    world.later(builder.HOUR_MS + 1)
    [plan] = chain.plan()
    assert plan.order_hashes == tuple(orders[2:])


def test_nothing_is_judged_again_before_it_can_have_changed() -> None:
    world, chain = started()
    chain.deposit(VAULT, 9_000_000)
    waiting = world.submit(world.withdrawal(VAULT, 100_000), "shop")
    assert chain.plan() == []
    assert chain.planner.wants_look(world.time_ms) is False
    world.approve(waiting, "alice", "bob")
    [plan] = chain.plan()
    assert plan.order_hashes == (waiting,)


def test_a_delay_that_ended_is_noticed_without_any_other_event() -> None:
    world, chain = started(rules=(builder.rule(delay_ms=10_000),))
    chain.deposit(VAULT, 9_000_000)
    order = world.pay(VAULT, 100_000)
    assert chain.plan() == []
    world.later(10_000)
    assert chain.planner.wants_look(world.time_ms)
    [plan] = chain.plan()
    assert plan.order_hashes == (order,)


def test_a_frozen_vault_gets_no_plan_until_the_freeze_lapses() -> None:
    world, chain = started()
    chain.deposit(VAULT, 9_000_000)
    world.freeze(vault=VAULT)
    world.pay(VAULT, 100_000)
    assert chain.plan() == []
    world.later(24 * builder.HOUR_MS)
    assert len(chain.plan()) == 1


def test_a_cancellation_spends_an_input_of_the_live_plan_and_pays_more_than_it() -> None:
    world, chain = started()
    coin = chain.deposit(VAULT, 9_000_000)
    first, second = world.pay(VAULT, 100_000), world.pay(VAULT, 200_000)
    [paying] = chain.plan()
    cancel = world.cancel(first)
    [excluding] = chain.plan()
    assert excluding.order_hashes == (cancel,)
    assert (coin.txid, coin.vout) in {(item.txid, item.vout) for item in excluding.inputs}
    assert chain.tracked(excluding).record.fee_sat > chain.tracked(paying).record.fee_sat
    chain.confirm(chain.tracked(excluding))
    [again] = chain.plan()
    assert again.order_hashes == (second,)
    assert {item.txid for item in again.inputs} == {world.state.plans_of(cancel)[0].txid}


def test_the_coin_for_a_second_plan_is_kept_while_that_plan_waits() -> None:
    world, chain = started(rate=5)
    chain.deposit(VAULT, 3_000_000)
    cancelled = world.pay(VAULT, 100_000)
    waiting = world.pay(VAULT, 200_000, max_fee=600)
    chain.plan()
    world.cancel(cancelled)
    [excluding] = chain.plan()
    chain.confirm(chain.tracked(excluding))
    chain.fee_rate_sat_per_vb = 100
    chain.version += 1
    other = world.pay(VAULT, 150_000, max_fee=50_000)
    assert chain.plan() == []
    assert "fee" in chain.planner.reason(waiting)
    chain.deposit(VAULT, 5_000_000)
    assert [plan.order_hashes for plan in chain.plan()] == [(other,)]
    chain.fee_rate_sat_per_vb = 2
    chain.version += 1
    assert [plan.order_hashes for plan in chain.plan()] == [(waiting,)]


def test_orders_beside_a_rejected_one_are_planned_without_it_when_nothing_was_signed() -> None:
    world, chain = started()
    chain.deposit(VAULT, 9_000_000)
    rejected, other = world.pay(VAULT, 100_000), world.pay(VAULT, 200_000)
    [first] = chain.plan(signed=False)
    assert first.order_hashes == (rejected, other)
    world.reject(rejected, "carol")
    [second] = chain.plan()
    assert second.order_hashes == (other,)
    assert {(item.txid, item.vout) for item in second.inputs} & {(item.txid, item.vout) for item in first.inputs}


def refused(chain: PlannerChain, plan: Plan, line: str) -> None:
    """Too few holders sign a plan."""
    chain.refusals[chain.tracked(plan).hash] = [f"s1: {line}", f"s2: {line}"]


def test_orders_beside_one_above_the_holders_own_limits_are_planned_without_it() -> None:
    world, chain = started()
    chain.deposit(VAULT, 9_000_000)
    small, large, middle = world.pay(VAULT, 100_000), world.pay(VAULT, 900_000), world.pay(VAULT, 200_000)
    [first] = chain.plan(signed=False)
    assert chain.plan() == []
    refused(chain, first, "LOCAL_LIMIT 900000 is above this signer's 500000 an order")
    [second] = chain.plan()
    assert set(second.order_hashes) == {small, middle}
    assert chain.plan() == []
    chain.confirm(chain.tracked(second))
    [third] = chain.plan(signed=False)
    assert third.order_hashes == (large,)
    refused(chain, third, "LOCAL_LIMIT 900000 is above this signer's 500000 an order")
    assert chain.plan() == []


def test_a_way_back_is_kept_for_an_order_that_was_left_out() -> None:
    world, chain = started()
    chain.deposit(VAULT, 9_000_000)
    small, large = world.pay(VAULT, 100_000), world.pay(VAULT, 900_000)
    [first] = chain.plan(signed=False)
    refused(chain, first, "LOCAL_LIMIT")
    [second] = chain.plan()
    # Everything else that the vault has is spent by others before the second plan confirms.
    others = [world.pay(VAULT, 1_900_000) for _ in range(4)]
    while chain.plan():
        pass
    assert len(change_of(second)) == 4
    for plan in [chain.tracked(second), *chain.plans.descendants(chain.tracked(second)).values()]:
        if chain.can_confirm(plan):
            chain.confirm(plan)
    [third] = chain.plan()
    assert third.order_hashes[0] == large
    assert not set(third.order_hashes) & {small}
    assert any(world.state.plans_of(order) for order in others)


def test_orders_beside_an_expired_one_are_planned_without_it_once_holders_refused() -> None:
    world, chain = started()
    chain.deposit(VAULT, 9_000_000)
    expired = world.submit(world.withdrawal(VAULT, 100_000), "shop", "alice", "bob", expires_ms=world.time_ms + 60_000)
    other = world.pay(VAULT, 200_000)
    [first] = chain.plan(signed=False)
    assert first.order_hashes == (expired, other)
    world.later(60_000)
    assert chain.plan() == []
    refused(chain, first, "ORDER_NOT_ALLOWED ORDER_EXPIRED")
    [second] = chain.plan()
    assert second.order_hashes == (other,)
    assert {(item.txid, item.vout) for item in second.inputs} & {(item.txid, item.vout) for item in first.inputs}


def test_a_frozen_plan_keeps_its_orders_together() -> None:
    world, chain = started()
    chain.deposit(VAULT, 9_000_000)
    world.pay(VAULT, 100_000)
    world.pay(VAULT, 200_000)
    [first] = chain.plan(signed=False)
    world.freeze(vault=VAULT)
    refused(chain, first, "ORDER_NOT_ALLOWED FROZEN")
    assert chain.plan() == []


def test_a_stuck_plan_is_bumped_once_and_not_when_its_change_is_spent() -> None:
    world, chain = started(rate=2)
    chain.deposit(VAULT, 9_000_000)
    world.pay(VAULT, 100_000)
    [first] = chain.plan()
    chain.fee_rate_sat_per_vb = 20
    chain.stuck_plans = [chain.tracked(first)]
    [bump] = chain.plan()
    assert bump.order_hashes == first.order_hashes
    assert chain.tracked(bump).record.bumps == chain.tracked(first).hash
    assert chain.plan() == []

    world, chain = started(rate=2)
    chain.deposit(VAULT, 9_000_000)
    world.pay(VAULT, 100_000)
    [parent] = chain.plan()
    world.pay(VAULT, 200_000)
    [child] = chain.plan()
    assert {item.txid for item in child.inputs} == {chain.tracked(parent).txid}
    chain.fee_rate_sat_per_vb = 20
    chain.stuck_plans = [chain.tracked(parent)]
    assert chain.plan() == []


def test_a_stuck_plan_by_a_revoked_approval_is_bumped_only_if_the_other_approvals_carry_it() -> None:
    """The ledger would take the bump, but holders judge it in full; the plan itself may still confirm."""

    def stuck_with_approvals_of(*people: str) -> PlannerChain:
        world, chain = started(rate=2)
        chain.deposit(VAULT, 9_000_000)
        world.submit(world.withdrawal(VAULT, 100_000), "shop", *people)
        [first] = chain.plan()
        now = world.state.charter
        groups = tuple(replace(one, members=tuple(name for name in one.members if name != "bob")) for one in now.groups)
        world.amend("alice", "carol", people=tuple(one for one in now.people if one.name != "bob"), groups=groups)
        chain.version += 1
        chain.stuck_plans = [chain.tracked(first)]
        chain.fee_rate_sat_per_vb = 20
        return chain

    assert stuck_with_approvals_of("alice", "bob").plan() == []
    [bump] = stuck_with_approvals_of("alice", "bob", "carol").plan()
    assert bump.bumps


# --- after a restart -------------------------------------------------------------------------------------------------


def founded_anew(chain: PlannerChain) -> None:
    """The log is founded anew where it is, and thawed; what comes after is planned by its rules."""
    restarted = RestartWorld(chain.world)
    restarted.found(restarted.restart())
    chain.world.submit(Unfreeze(freeze=chain.world.log_id), "dave", "alice", "carol")
    chain.version += 1


def with_two_coins() -> tuple[World, PlannerChain, bytes, Plan]:
    """An order whose plan spends two coins, and was signed by nobody before the restart."""
    world, chain = started()
    chain.deposit(VAULT, 900_000)
    chain.deposit(VAULT, 800_000)
    order = world.pay(VAULT, 1_500_000)
    [first] = chain.plan(signed=False)
    assert len(first.inputs) == 2
    founded_anew(chain)
    return world, chain, order, first


def spent_by(plan: Plan) -> set[tuple[bytes, int]]:
    return {(item.txid, item.vout) for item in plan.inputs}


def test_after_a_restart_a_plan_again_spends_all_coins_of_an_earlier_one() -> None:
    world, chain = started()
    chain.deposit(VAULT, 900_000)
    chain.deposit(VAULT, 800_000)
    rejected, other = world.pay(VAULT, 1_000_000), world.pay(VAULT, 500_000)
    [first] = chain.plan(signed=False)
    founded_anew(chain)
    chain.deposit(VAULT, 9_000_000)
    world.reject(rejected, "carol")
    [second] = chain.plan()
    assert second.order_hashes == (other,)
    assert spent_by(first) <= spent_by(second)
    assert (first.locktime, second.locktime) == (0, 1)


def test_after_a_restart_a_cancellation_spends_all_coins_of_the_plan() -> None:
    world, chain, order, first = with_two_coins()
    cancel = world.cancel(order)
    [excluding] = chain.plan()
    assert excluding.order_hashes == (cancel,)
    assert spent_by(first) <= spent_by(excluding)


def test_after_a_restart_a_bump_spends_all_coins_of_the_plan() -> None:
    _, chain, order, first = with_two_coins()
    tracked = chain.tracked(first)
    chain.stuck_plans = [tracked]
    chain.fee_rate_sat_per_vb = 20
    chain.version += 1
    [bump] = chain.plan()
    assert (bump.bumps, bump.order_hashes) == (tracked.hash, (order,))
    assert spent_by(first) <= spent_by(bump)


def test_after_a_restart_an_order_whose_coins_are_gone_is_not_planned_again() -> None:
    world, chain, order, first = with_two_coins()
    lost = spent_by(first)
    chain.lose_coin(sorted(lost)[0])
    chain.deposit(VAULT, 9_000_000)
    cancel = world.cancel(order)
    assert chain.plan() == []
    assert "the log was founded anew" in chain.planner.reason(cancel)
    assert "may pay it twice" in chain.planner.reason(cancel)


def test_after_a_restart_an_order_left_out_is_called_one_that_can_be_ordered_anew() -> None:
    """Its coins went to the order beside it, which excludes whatever lost plans pay of either."""
    world, chain = started()
    chain.deposit(VAULT, 9_000_000)
    small, large = world.pay(VAULT, 100_000), world.pay(VAULT, 900_000)
    [first] = chain.plan(signed=False)
    founded_anew(chain)
    refused(chain, first, "LOCAL_LIMIT")
    [second] = chain.plan()
    assert second.order_hashes == (small,)
    chain.confirm(chain.tracked(second))
    assert chain.plan() == []
    assert "reject it, and when it is shown as one that is never paid" in chain.planner.reason(large)
    assert "may pay it twice" not in chain.planner.reason(large)
