"""How one round of planning is shared out between vaults, and which coins it still may spend."""

from __future__ import annotations

from collections import Counter

import charter_builder as builder
from ledger_world import World
from planner_chain import PlannerChain
from strongroom.ledger.charter import AssetAmount, Limit
from strongroom_coordinator.planner.draft import Round
from strongroom_coordinator.planner.planner import MAX_PLANS_AT_ONCE

WIDE = Limit(window_ms=builder.HOUR_MS, amounts=(AssetAmount(asset=builder.BTC, amount=10**12),))


def started(*vaults: str) -> tuple[World, PlannerChain]:
    world = World.started(rules=(builder.rule(limits=(WIDE,)),))
    for vault in vaults:
        world.make_vault(vault)
    return world, PlannerChain(world, rate=1, max_orders=1)


def test_a_long_queue_of_one_vault_leaves_room_for_another() -> None:
    world, chain = started("customer-busy", "customer-quiet")
    for vault, count in (("customer-busy", MAX_PLANS_AT_ONCE + 10), ("customer-quiet", 2)):
        for number in range(count):
            chain.deposit(vault, 1_000_000)
            world.pay(vault, 10_000 + number)
    first = Counter(plan.vault for plan in chain.plan())
    assert first == {"customer-busy": MAX_PLANS_AT_ONCE // 2, "customer-quiet": 2}
    assert Counter(plan.vault for plan in chain.plan()) == {
        "customer-busy": MAX_PLANS_AT_ONCE + 10 - first["customer-busy"]
    }


def test_a_round_offers_each_coin_once_smallest_first() -> None:
    world, chain = started("customer-1")
    for amount in (3_000_000, 1_000_000, 2_000_000, 1_000_000):
        chain.deposit("customer-1", amount)
    round_ = Round(state=world.state, now_ms=world.time_ms)
    offered = list(round_.free_coins("customer-1", chain))
    assert [coin.amount_sat for coin in offered] == [1_000_000, 1_000_000, 2_000_000, 3_000_000]
    round_.spend("customer-1", [offered[1]])
    assert list(round_.free_coins("customer-1", chain)) == [offered[0], *offered[2:]]
    round_.keep([offered[3].outpoint])
    assert list(round_.free_coins("customer-1", chain)) == [offered[0], offered[2]]
