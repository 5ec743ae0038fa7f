"""The real objects that targets stand on, each made once a process."""

from __future__ import annotations

import asyncio
from functools import lru_cache
from typing import Any
from unittest.mock import patch

import fake_treasury
from fake_treasury import CertifiedWorld
from ledger_world import START_MS, World
from strongroom.ledger.entry_messages import Tick
from strongroom.ledger.order_messages import CancelWithdraw, Freeze, Scope
from strongroom.ledger.signed_messages import Verb

__all__ = ["ORDERS", "VAULT", "busy_world", "certified_world", "lasting_loop", "stopped_clock"]

VAULT = "customer-1"
ORDERS: dict[str, bytes] = {}
"""Hashes of the orders of the busy world, by what became of them."""


@lru_cache(maxsize=1)
def busy_world() -> World:
    """A log with a vault, orders in every state, a plan, its bump, a cancellation, and both kinds of freeze."""
    world = World.started()
    world.make_vault(VAULT)
    world.make_vault("customer-2")
    ORDERS["planned"] = world.pay(VAULT, 100_000)
    coin = world.coin(900_000)
    first = world.planned([ORDERS["planned"]], [coin], fee_sat=1_000)
    world.planned([ORDERS["planned"]], [coin], fee_sat=3_000, bumps=first.hash)
    ORDERS["approved"] = world.pay(VAULT, 50_000, "alice", "carol")
    ORDERS["open"] = world.submit(world.withdrawal(VAULT, 70_000), "shop", "alice")
    ORDERS["rejected"] = world.pay(VAULT, 30_000)
    world.reject(ORDERS["rejected"], "dave")
    ORDERS["cancelled"] = world.pay(VAULT, 20_000)
    world.planned([ORDERS["cancelled"]], [world.coin(90_000)])
    ORDERS["cancel"] = world.submit(CancelWithdraw(order_hash=ORDERS["cancelled"], max_fee=20_000), "shop")
    ORDERS["freeze"] = world.submit(Freeze(scope=Scope.VAULT, vault="customer-2", why="a test"), "dave")
    ORDERS["vault"] = world.submit(world.creation("customer-3"), "carol", "alice", "bob")
    world.log(world.endorse("bob", Verb.APPROVE, ORDERS["open"]))
    return world


@lru_cache(maxsize=1)
def lasting_loop() -> asyncio.AbstractEventLoop:
    """One event loop for all inputs of a process."""
    return asyncio.new_event_loop()


def stopped_clock() -> Any:
    """The clock of certified worlds stands still, so that seeds are the same in every run."""
    return patch.object(fake_treasury, "now_ms", lambda: START_MS)


@lru_cache(maxsize=1)
def certified_world() -> CertifiedWorld:
    """A log with real certificates: a vault, an open order, an approved one, a freeze."""
    with stopped_clock():
        world = CertifiedWorld.started()
        world.make_vault(VAULT)
        world.pay(VAULT, 100_000)
        world.submit(world.withdrawal(VAULT, 70_000), "shop", "alice")
        world.freeze("dave", vault=VAULT)
        world.settle(Tick())
    return world
