"""After a restart no plan can confirm beside one that was lost: it spends all coins of one from before, and is new."""

from __future__ import annotations

import pytest

from ledger_world import DAY_MS, Coin
from restart_world import RestartWorld
from strongroom.ledger.entry_messages import Plan, Tick
from strongroom.ledger.lost_plans import lost_exclude, lost_may_pay, new_plan_excludes_lost
from strongroom.ledger.order_messages import Unfreeze
from strongroom.ledger.plans import spend_of
from strongroom.ledger.reasons import Refused
from strongroom.ledger.records import OrderRecord

VAULT = "customer-1"


@pytest.fixture
def world() -> RestartWorld:
    world = RestartWorld()
    world.world.make_vault(VAULT)
    return world


def founded(world: RestartWorld, **parts: str) -> None:
    """Found the log anew and thaw it."""
    quorum = ("s1", "s2:s2-new") if world.state.founded_size else ("s1", "s2")
    world.found(world.restart(world.new_charter(**parts), voters=quorum))  # type: ignore[arg-type]
    lifting = world.world.submit(Unfreeze(freeze=world.world.log_id), "dave", "alice")
    world.world.approve(lifting, "carol")


def refusal(world: RestartWorld, plan: Plan) -> Refused:
    with pytest.raises(Refused) as caught:
        world.world.log(plan)
    return caught.value


def points(*coins: Coin) -> frozenset[tuple[bytes, int]]:
    return frozenset((coin.txid, coin.vout) for coin in coins)


def test_a_new_plan_spends_all_coins_of_a_plan_from_before(world: RestartWorld) -> None:
    order, a, b = world.world.pay(VAULT, 100_000), world.world.coin(200_000), world.world.coin(200_000)
    world.world.log_plan([order], [a, b])
    founded(world)
    for coins in ([a], [b], [a, world.world.coin(300_000)]):
        error = refusal(world, world.world.plan([order], coins))
        assert (error.reason, error.facts["order"]) == ("PLAN_CONFLICT", order.hex())
    world.world.log(world.world.plan([order], [a, b], fee_sat=2_000))


def test_a_bump_spends_all_coins_of_a_plan_from_before(world: RestartWorld) -> None:
    order, a, b = world.world.pay(VAULT, 100_000), world.world.coin(200_000), world.world.coin(200_000)
    bumped = world.world.log_plan([order], [a, b])
    founded(world)
    world.world.later(20 * DAY_MS)
    error = refusal(world, world.world.plan([order], [b], fee_sat=2_000, bumps=bumped))
    assert error.reason == "BUMP_MISMATCH"
    world.world.log(world.world.plan([order], [a, b], fee_sat=2_000, bumps=bumped))


def test_a_cancellation_spends_all_coins_of_a_plan_of_its_target(world: RestartWorld) -> None:
    order, a, b = world.world.pay(VAULT, 100_000), world.world.coin(200_000), world.world.coin(200_000)
    world.world.log_plan([order], [a, b])
    founded(world)
    cancel = world.world.cancel(order)
    assert refusal(world, world.world.plan([cancel], [b])).reason == "PLAN_CONFLICT"
    world.world.log(world.world.plan([cancel], [a, b]))


def test_the_coins_of_any_one_plan_from_before_will_do(world: RestartWorld) -> None:
    order, a, b, c = world.world.pay(VAULT, 100_000), *(world.world.coin(200_000) for _ in range(3))
    world.world.log_plan([order], [a, b])
    world.world.log_plan([order], [b, c])
    founded(world)
    assert lost_exclude(world.state, order) == (points(a, b), points(b, c))
    assert refusal(world, world.world.plan([order], [b])).reason == "PLAN_CONFLICT"
    assert refusal(world, world.world.plan([order], [a, c])).reason == "PLAN_CONFLICT"
    world.world.log(world.world.plan([order], [b, c], fee_sat=2_000))


def test_each_order_of_a_plan_asks_for_coins_of_its_own(world: RestartWorld) -> None:
    orders = [world.world.pay(VAULT, 100_000), world.world.pay(VAULT, 110_000)]
    coins = [world.world.coin(200_000) for _ in range(4)]
    world.world.log_plan([orders[0]], coins[:2])
    world.world.log_plan([orders[1]], coins[2:])
    founded(world)
    error = refusal(world, world.world.plan(orders, coins[:3]))
    assert (error.reason, error.facts["order"]) == ("PLAN_CONFLICT", orders[1].hex())
    world.world.log(world.world.plan(orders, coins))


def test_a_plan_of_other_orders_excludes_what_was_lost_if_it_is_new_and_spends_all_coins(world: RestartWorld) -> None:
    order, other = world.world.pay(VAULT, 100_000), world.world.pay(VAULT, 110_000)
    a, b = world.world.coin(200_000), world.world.coin(200_000)
    world.world.log_plan([order, other], [a, b])
    third = world.world.pay(VAULT, 120_000)
    world.world.log_plan([other, third], [a, b], fee_sat=2_000)
    founded(world)
    assert not new_plan_excludes_lost(world.state, order)
    for coin in (a, b):
        part = world.world.pay(VAULT, 130_000)
        world.world.log_plan([part], [coin])
        assert not new_plan_excludes_lost(world.state, order)
        assert not new_plan_excludes_lost(world.state, part)
    world.world.log_plan([other], [a, b], fee_sat=3_000)
    assert new_plan_excludes_lost(world.state, order)


def test_a_plan_from_after_the_founding_asks_for_one_coin_only(world: RestartWorld) -> None:
    founded(world)
    order, a, b = world.world.pay(VAULT, 100_000), world.world.coin(200_000), world.world.coin(200_000)
    world.world.log_plan([order], [a, b])
    assert lost_exclude(world.state, order) == ()
    world.world.log(world.world.plan([order], [b]))


def test_over_a_second_founding_the_plans_of_both_logs_count(world: RestartWorld) -> None:
    order, a, b, c = world.world.pay(VAULT, 100_000), *(world.world.coin(200_000) for _ in range(3))
    world.world.log_plan([order], [a, b])
    founded(world)
    world.world.log_plan([order], [a, b, c], fee_sat=2_000)
    founded(world, key="newer")
    assert lost_exclude(world.state, order) == (points(a, b), points(a, b, c))
    assert refusal(world, world.world.plan([order], [a, c])).reason == "PLAN_CONFLICT"
    world.world.log(world.world.plan([order], [a, b], fee_sat=3_000))


def test_a_transaction_of_the_new_log_is_none_of_the_log_before(world: RestartWorld) -> None:
    """Else a lost plan could spend what the new log's cancellation made, and pay what it cancelled."""
    orders, coin = [world.world.pay(VAULT, 100_000), world.world.pay(VAULT, 110_000)], world.world.coin(500_000)
    world.world.log_plan(orders, [coin])
    restart, size = world.restart(), world.state.size
    lost = world.world.planned([world.world.cancel(orders[1])], [coin], fee_sat=2_000)
    world.lose(size)
    world.found(restart)
    lifting = world.world.submit(Unfreeze(freeze=world.world.log_id), "dave", "alice")
    world.world.approve(lifting, "carol")
    plan = world.world.plan([world.world.cancel(orders[0])], [coin], fee_sat=2_000)
    assert spend_of(world.state, plan).unsigned_transaction().locktime == 1
    assert spend_of(world.state, plan).txid != lost.txid
    world.world.log(plan)


@pytest.mark.parametrize("foundings", [0, 1])
@pytest.mark.parametrize("away", [1, 2**32, 499_999_999, 2**64 - 2])
def test_a_plan_has_the_locktime_of_its_log(world: RestartWorld, foundings: int, away: int) -> None:
    for _ in range(foundings):
        founded(world)
    assert world.state.foundings == foundings
    order, coin = world.world.pay(VAULT, 100_000), world.world.coin(200_000)
    plan = world.world.plan([order], [coin])
    assert plan.locktime == foundings
    other = Plan(
        vault=plan.vault,
        order_hashes=plan.order_hashes,
        inputs=plan.inputs,
        outputs=plan.outputs,
        bumps=b"",
        locktime=foundings + away,
    )
    assert refusal(world, other).reason == "PLAN_FORM"


def test_a_plan_made_for_the_log_before_is_none_of_the_new_one(world: RestartWorld) -> None:
    order, coin = world.world.pay(VAULT, 100_000), world.world.coin(200_000)
    bumped = world.world.log_plan([order], [coin])
    old = world.world.plan([order], [coin], fee_sat=2_000, bumps=bumped)
    founded(world)
    error = refusal(world, old)
    assert (error.reason, error.facts["form"]) == ("PLAN_FORM", "LOCKTIME")


# --- which orders a lost plan may pay --------------------------------------------------------------------------------


def record_of(world: RestartWorld, order: bytes) -> OrderRecord:
    record = world.state.order(order)
    assert record is not None
    return record


def may_pay(world: RestartWorld, order: bytes, *confirmed: bytes) -> bool:
    return lost_may_pay(world.state, record_of(world, order), confirmed)


def test_a_lost_plan_may_pay_what_lapsed_and_nothing_that_came_later(world: RestartWorld) -> None:
    lapsed, creation = world.world.pay(VAULT, 100_000), world.world.submit(world.world.creation("customer-2"), "carol")
    assert not may_pay(world, lapsed)
    founded(world)
    assert may_pay(world, lapsed)
    assert not may_pay(world, creation)
    later = world.world.pay(VAULT, 100_000)
    world.world.log_plan([later], [world.world.coin(200_000)])
    assert not may_pay(world, later)


def test_only_a_plan_of_the_new_log_with_all_coins_shows_that_no_lost_plan_pays(world: RestartWorld) -> None:
    order, other, a, b = (
        world.world.pay(VAULT, 100_000),
        world.world.pay(VAULT, 110_000),
        world.world.coin(200_000),
        world.world.coin(200_000),
    )
    kept = world.world.planned([order], [a, b])
    beside = world.world.planned([other], [a, b])
    founded(world)
    assert may_pay(world, order)
    assert may_pay(world, order, bytes(32))
    assert may_pay(world, order, kept.txid, beside.txid)
    partly = world.world.planned([world.world.pay(VAULT, 10_000)], [a])
    assert may_pay(world, order, partly.txid)
    whole = world.world.planned([world.world.cancel(order)], [a, b], fee_sat=2_000)
    assert not may_pay(world, order, partly.txid, whole.txid)


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("how", ["expiry", "rejection", "cancellation"])
def test_what_took_no_plan_any_more_before_the_founding_is_paid_by_no_lost_one(
    world: RestartWorld, how: str, before: bool
) -> None:
    order, coin = world.world.pay(VAULT, 100_000), world.world.coin(200_000)
    world.world.log_plan([order], [coin])

    def end() -> None:
        world.world.later(1)
        match how:
            case "expiry":
                world.world.later(3 * DAY_MS - 1)
            case "rejection":
                world.world.reject(order, "carol")
            case _:
                world.world.cancel(order)
        world.world.later(1 if how != "expiry" else 0)
        world.world.log(Tick())

    if before:
        end()
    else:
        world.world.later(1)
        world.world.log(Tick())
    founded(world)
    if not before:
        end()
    assert may_pay(world, order) is not before


def test_an_order_that_was_rejected_without_a_plan_is_paid_by_nothing(world: RestartWorld) -> None:
    order = world.world.pay(VAULT, 100_000)
    world.world.reject(order, "carol")
    founded(world)
    assert not may_pay(world, order)


def test_an_order_that_ended_between_two_foundings_may_be_paid_by_what_the_first_lost(world: RestartWorld) -> None:
    order, coin = world.world.pay(VAULT, 100_000), world.world.coin(200_000)
    world.world.log_plan([order], [coin])
    founded(world)
    world.world.later(1)
    world.world.reject(order, "carol")
    world.world.later(4 * DAY_MS)
    world.world.log(Tick())
    founded(world, key="newer")
    assert may_pay(world, order)


def test_a_bump_spends_every_coin_of_what_it_bumps(world: RestartWorld) -> None:
    order, a, b = world.world.pay(VAULT, 100_000), world.world.coin(200_000), world.world.coin(200_000)
    first = world.world.log_plan([order], [a, b])
    error = refusal(world, world.world.plan([order], [b], fee_sat=2_000, bumps=first))
    assert (error.reason, error.facts["plan"]) == ("BUMP_MISMATCH", first.hex())
    world.world.log(world.world.plan([order], [a, b], fee_sat=2_000, bumps=first))
