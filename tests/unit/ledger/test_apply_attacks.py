"""Attacks by whoever writes entries, the coordinator above all: each is refused, or does no harm, by replay alone."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest

import charter_builder as builder
from ledger_world import BTC, DAY_MS, HOUR_MS, START_MS, Coin, World
from refusals import refusal_of
from strongroom.ledger import codec
from strongroom.ledger.charter import AssetAmount, Fees, Limit
from strongroom.ledger.codec import NotCanonical
from strongroom.ledger.entry_messages import Change, Entry, OrderPayment, PlanOutput, Tick
from strongroom.ledger.order_messages import CancelWithdraw
from strongroom.ledger.reasons import Refused
from strongroom.ledger.records import OrderState
from strongroom.ledger.replica import Batch
from strongroom.ledger.signed_messages import Verb

VAULT = "customer-1"


@pytest.fixture
def world() -> World:
    world = World.started()
    world.make_vault(VAULT)
    return world


def test_poison_input_locks_no_coin(world: World) -> None:
    """A plan that can never confirm (one input does not exist) takes no coin away from other orders."""
    coins = [world.coin(100_000) for _ in range(5)]
    world.log_plan([world.pay(VAULT, 100_000)], [*coins, Coin(bytes(32), 0, 1_000)])
    for coin in coins:
        world.log_plan([world.pay(VAULT, 50_000)], [coin])


def test_poisoned_order_is_planned_again_on_any_of_its_coins(world: World) -> None:
    order, coin = world.pay(VAULT, 100_000), world.coin(200_000)
    world.log_plan([order], [coin, Coin(bytes(32), 0, 1_000)])
    world.log_plan([order], [coin])


@pytest.mark.attack(
    line="coordinator",
    title="an expired order in a batch blocks the others",
    origin="on paper: coins locked for good by one order of a batch",
)
def test_one_expired_order_in_a_batch_does_not_block_its_bump_or_the_others(world: World) -> None:
    short = world.submit(world.withdrawal(VAULT, 50_000), "shop", "alice", "bob", expires_ms=world.time_ms + HOUR_MS)
    others = [world.pay(VAULT, 50_000) for _ in range(3)]
    coin = world.coin(400_000)
    first = world.log_plan([short, *others], [coin])
    world.later(HOUR_MS)
    world.log_plan([short, *others], [coin], fee_sat=4_000, bumps=first)
    assert refusal_of(world, world.plan([short, *others], [coin], fee_sat=5_000)) == "ORDER_EXPIRED"
    world.log_plan(others, [coin], fee_sat=5_000)


def test_cancelling_one_order_of_a_batch_leaves_the_others_payable(world: World) -> None:
    """The others go on over the cancellation's change: it excludes the batch and does not pay them."""
    orders = [world.pay(VAULT, 50_000) for _ in range(3)]
    coin = world.coin(400_000)
    world.log_plan(orders, [coin])
    cancel = world.cancel(orders[0])
    cancel_plan = world.planned([cancel], [coin], fee_sat=2_000)
    back = Coin(cancel_plan.txid, 0, 398_000, branch=1)
    world.log_plan(orders[1:], [back])
    assert refusal_of(world, world.plan(orders[1:], [world.coin(400_000)])) == "PLAN_CONFLICT"


def test_paying_twice_on_another_coin_is_refused(world: World) -> None:
    order = world.pay(VAULT, 100_000)
    world.log_plan([order], [world.coin(200_000)])
    assert refusal_of(world, world.plan([order], [world.coin(200_000)])) == "PLAN_CONFLICT"


def test_paying_twice_over_the_orders_own_change_is_refused(world: World) -> None:
    """The change of an earlier plan exists only if that plan confirmed: spending it pays a second time."""
    order, coin = world.pay(VAULT, 100_000), world.coin(400_000)
    first = world.planned([order], [coin])
    change = Coin(first.txid, 1, 299_000, branch=1)
    assert refusal_of(world, world.plan([order], [change])) == "PLAN_CONFLICT"


@pytest.mark.attack(
    line="coordinator",
    title="second payment hidden behind a chain of plans",
    origin="on paper: plans that do not exclude each other",
)
def test_paying_twice_at_a_distance_of_two_is_refused(world: World) -> None:
    """Only a plan that itself spends a coin of the earlier plan counts as between."""
    order, other, coin = world.pay(VAULT, 50_000), world.pay(VAULT, 50_000), world.coin(400_000)
    world.log_plan([order], [coin])
    near = world.planned([other], [coin], change_index=1)
    far_order = world.pay(VAULT, 50_000)
    far = world.planned([far_order], [Coin(near.txid, 1, 349_000, branch=1, index=1)])
    assert refusal_of(world, world.plan([order], [Coin(far.txid, 1, 298_000, branch=1)])) == "PLAN_CONFLICT"
    world.log_plan([order], [Coin(near.txid, 1, 349_000, branch=1, index=1)], change_index=2)


@pytest.mark.attack(
    line="coordinator", title="one transaction for two equal orders", origin="on paper: equal payments merged"
)
def test_one_transaction_does_not_pass_for_two_equal_orders(world: World) -> None:
    """Equal payments make equal transactions; as a plan of each, one could stand between the other and a second pay."""
    first, second, coin = world.pay(VAULT, 100_000), world.pay(VAULT, 100_000), world.coin(200_000)
    world.log_plan([first], [coin])
    assert refusal_of(world, world.plan([second], [coin])) == "TRANSACTION_KNOWN"


@pytest.mark.attack(
    line="coordinator", title="two equal payments merged into one output", origin="on paper: equal payments merged"
)
def test_merged_equal_payments_are_refused(world: World) -> None:
    orders = [world.pay(VAULT, 100_000), world.pay(VAULT, 100_000)]
    plan = world.plan(orders, [world.coin(300_000)])
    one = PlanOutput(target=OrderPayment(position=0))
    rest = PlanOutput(target=Change(amount_sat=199_000, index=0))
    assert refusal_of(world, replace(plan, outputs=(one, rest))) == "PLAN_OUTPUTS"


@pytest.mark.attack(
    line="coordinator",
    title="a plan that states amounts of its own",
    origin="Bybit 2025: people approved what a page showed, and something else was signed",
)
def test_a_change_of_amount_has_no_place_in_a_plan() -> None:
    """A plan names the order an output pays, never an amount or a destination."""
    assert [row.name for row in codec.describe(OrderPayment)] == ["position"]


@pytest.mark.attack(
    line="coordinator",
    title="change on the deposit branch, to be credited as a deposit",
    origin="on paper: change turned into a forged deposit",
)
def test_change_to_the_deposit_branch_has_no_encoding(world: World) -> None:
    """Coins of change on branch 0 would look like somebody's deposit. A plan's change has no branch to choose."""
    assert [row.name for row in codec.describe(Change)] == ["amount_sat", "index"]
    plan = world.plan([world.pay(VAULT, 100_000)], [world.coin(200_000)])
    change = codec.encode(Change(amount_sat=99_000, index=5))
    entry = world.entry(replace(plan, outputs=(plan.outputs[0], PlanOutput(target=Change(amount_sat=99_000, index=5)))))
    assert change in entry
    with pytest.raises(NotCanonical):
        codec.decode(Change, change + b"\x18\x00")


def test_index_beyond_the_gap_is_refused(world: World) -> None:
    """A change output that no watching wallet would find is as good as lost."""
    order = world.pay(VAULT, 100_000)
    assert refusal_of(world, world.plan([order], [world.coin(200_000)], change_index=1_000)) == "PLAN_CHANGE"


def test_inputs_of_another_vault_cannot_be_named(world: World) -> None:
    """Inputs name branch and index only, so every input is of the plan's one vault; orders must be of it too."""
    world.make_vault("customer-2")
    mine, other = world.pay(VAULT, 100_000), world.pay("customer-2", 100_000)
    assert refusal_of(world, world.plan([mine, other], [world.coin(300_000)])) == "PLAN_VAULT"
    assert refusal_of(world, world.plan([mine], [world.coin(300_000)], vault="customer-2")) == "PLAN_VAULT"
    world.log_plan([mine], [world.coin(300_000)])
    cancel = world.cancel(mine)
    assert refusal_of(world, world.plan([cancel], [world.coin(300_000)], vault="customer-2")) == "PLAN_VAULT"


def test_orders_and_words_of_another_log_are_refused(world: World) -> None:
    """A copy of the system, or the same organisation's next log, has the same people and keys."""
    other = World.started(salt=bytes(32))
    other.make_vault(VAULT)
    order = other.order(other.withdrawal(VAULT, 100_000))
    assert refusal_of(world, other.order_entry(order, "shop")) == "WRONG_LOG"
    mine = world.submit(world.withdrawal(VAULT, 100_000), "shop")
    assert refusal_of(world, other.endorse("alice", Verb.APPROVE, mine)) == "WRONG_LOG"
    assert refusal_of(world, other.signer_freeze()) == "WRONG_LOG"


@pytest.mark.attack(
    line="coordinator",
    title="words given to another history",
    origin="on paper: words from before a restart of the log",
)
def test_words_given_to_another_history_of_this_log_are_refused() -> None:
    """A head shown to an approver by a coordinator that split the log is none of the log that the signers hold."""
    mine, split = World.started(), World.started()
    for world in (mine, split):
        world.make_vault(VAULT)
    split.log(Tick())
    mine.log(mine.signer_freeze())
    mine.log(Tick())
    order_hash = mine.submit(mine.withdrawal(VAULT, 100_000), "shop")
    assert refusal_of(mine, split.endorse("alice", Verb.APPROVE, order_hash)) == "ENDORSEMENT_HEAD"


@pytest.mark.attack(
    line="coordinator",
    title="fees drained by planning again and again",
    origin="on paper: coins burnt to a friendly miner",
)
def test_fees_cannot_be_drained_by_planning_again_and_again() -> None:
    """Plans of one order exclude each other, but each could be the one that confirms: a full plan counts in full."""
    world = World.started(fees=Fees(per_vbyte=200, per_plan=20_000, window_ms=DAY_MS, per_vault=50_000))
    world.make_vault(VAULT)
    order, coin = world.pay(VAULT, 100_000), world.coin(200_000)
    for fee in (20_000, 19_999):
        world.log_plan([order], [coin], fee_sat=fee)
    assert refusal_of(world, world.plan([order], [coin], fee_sat=19_998)) == "FEE_OVER_WINDOW"
    assert refusal_of(world, world.plan([world.pay(VAULT, 1_000)], [coin], fee_sat=10_002)) == "FEE_OVER_WINDOW"
    world.later(DAY_MS)
    world.log_plan([order], [coin], fee_sat=19_998)


@pytest.mark.attack(
    line="coordinator", title="a limit renamed to start at zero", origin="limits from a central interface, downgraded"
)
def test_a_window_is_no_counter_under_a_rules_name() -> None:
    """Two rules over the same vaults look at the same payments, whichever let them pass."""
    limit = Limit(window_ms=DAY_MS, amounts=(AssetAmount(asset=BTC, amount=100_000),))
    rules = (builder.rule(name="first", limits=(limit,)), builder.rule(name="second", limits=(limit,)))
    world = World.started(rules=rules)
    world.make_vault(VAULT)
    world.log_plan([world.pay(VAULT, 100_000)], [world.coin(200_000)])
    assert refusal_of(world, world.plan([world.pay(VAULT, 1_000)], [world.coin(200_000)])) == "OVER_LIMIT"


def test_log_time_never_falls(world: World) -> None:
    world.log(Tick())
    world.later(-1)
    assert refusal_of(world, Tick()) == "ENTRY_TIME_FELL"
    world.later(1)
    world.log(Tick())


@pytest.mark.parametrize("time_ms", [0, 253_402_300_800_000, 2**64 - 1])
def test_log_time_is_a_time(time_ms: int) -> None:
    world = World(time_ms=time_ms)
    assert refusal_of(world, world.genesis()) == "ENTRY_TIME_RANGE"


def test_one_batch_has_one_time(world: World) -> None:
    entries = [codec.encode(Entry(salt=bytes(16), time_ms=START_MS + late, body=Tick())) for late in (0, 1)]
    with pytest.raises(Refused, match="another time") as caught:
        world.replica.preview(Batch(first_index=world.replica.size, entries=tuple(entries)))
    assert caught.value.reason == "BATCH_MALFORMED"


def test_an_entry_with_an_unknown_field_or_another_encoding_is_refused(world: World) -> None:
    entry = world.entry(Tick())
    for other in (entry + b"\x98\x06\x01", entry[:-2] + b"\x82\x01\x80\x00", entry + entry, b""):
        with pytest.raises(NotCanonical) as caught:
            world.replica.preview(Batch(first_index=world.replica.size, entries=(other,)))
        assert caught.value.facts["entry"] == str(world.replica.size)


def test_a_plan_of_an_order_in_the_same_batch_is_judged_where_it_stands(world: World) -> None:
    """An approval after the plan does not help it, one before it does."""
    order = world.order(world.withdrawal(VAULT, 100_000))
    order_hash = hashlib.sha256(order).digest()
    opening = world.order_entry(order, "shop", "alice")
    approval = world.endorse("bob", Verb.APPROVE, order_hash)
    coin = world.coin(200_000)
    world.log(opening)
    plan = world.plan([order_hash], [coin])
    assert refusal_of(world, plan, approval) == "APPROVALS_MISSING"
    world.log(approval, plan)
    record = world.state.order(order_hash)
    assert record is not None
    assert record.state is OrderState.PLANNED


def test_a_rejection_or_cancellation_in_the_same_batch_stops_the_plan_after_it(world: World) -> None:
    order, coin = world.pay(VAULT, 100_000), world.coin(200_000)
    plan = world.plan([order], [coin])
    assert refusal_of(world, world.endorse("carol", Verb.REJECT, order), plan) == "REJECTED"
    cancel = world.order(CancelWithdraw(order_hash=order, max_fee=1_000))
    assert refusal_of(world, world.order_entry(cancel, "shop"), plan) == "CANCELLED"
    world.log(plan, world.endorse("carol", Verb.REJECT, order))
