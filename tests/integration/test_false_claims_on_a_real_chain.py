"""Plans over coins that are not what they claim, refused by a real node: the orders are paid all the same."""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edge_world import EdgeSite, edge_site
from strongroom.model.ids import OrderHash
from strongroom_coordinator.storage.chain import CoinRow

pytestmark = pytest.mark.process

VAULT = "customer-1"
PATIENCE_S = 60
COIN_SAT = 50_0000_0000


def believe(site: EdgeSite, row: CoinRow) -> None:
    """Have the coordinator take a coin for something else than it is, so that it plans as a dishonest one does."""
    site.edge.parts.tracker.coins_known.add(row)
    site.edge.parts.tracker.changed()


def forget(site: EdgeSite, row: CoinRow) -> None:
    site.edge.parts.tracker.coins_known.remove(row.outpoint)
    site.edge.parts.tracker.changed()


async def refused(site: EdgeSite, order: bytes, words: str) -> None:
    """Wait until the node refused the newest plan of an order."""
    client = site.treasury()
    async with asyncio.timeout(PATIENCE_S):
        while True:
            plans = (await client.order(OrderHash(order))).plans
            if plans and any(words in line for line in plans[-1].refusals):
                return
            await asyncio.sleep(0.02)


async def waits_for(site: EdgeSite, order: bytes, words: str) -> Any:
    """Wait until people read this of an order."""
    client = site.treasury()
    async with asyncio.timeout(PATIENCE_S):
        while True:
            seen = await client.order(OrderHash(order))
            if words in seen.waits_for:
                return seen
            await asyncio.sleep(0.02)


async def paid(site: EdgeSite, order: bytes) -> Any:
    """Mine what waits until an order is paid."""
    client = site.treasury()
    async with asyncio.timeout(PATIENCE_S):
        while True:
            seen = await client.order(OrderHash(order))
            if seen.status == "paid":
                return seen
            if await asyncio.to_thread(site.node.call, "getrawmempool"):
                await site.mine()
            await asyncio.sleep(0.02)


async def test_an_order_over_a_coin_with_a_false_amount_is_paid_once_the_amount_is_known(tmp_path: Path) -> None:
    async with edge_site(tmp_path) as site:
        await site.make_vault(VAULT)
        await site.fund(VAULT)
        [row] = site.edge.parts.tracker.coins_known.of_vault(VAULT)
        believe(site, replace(row, amount_sat=1_000_000))
        order = await site.pay(VAULT, 100_000)
        await refused(site, order, "script-verify")
        believe(site, row)
        done = await paid(site, order)
        assert {plan.stage for plan in done.plans[:-1]} == {"excluded"}
        assert done.plans[-1].stage == "confirmed"
        assert (await site.treasury().balance(VAULT)).confirmed > COIN_SAT - 200_000


async def test_an_order_over_a_false_coin_and_an_invented_one_is_paid_from_what_is_real(tmp_path: Path) -> None:
    async with edge_site(tmp_path) as site:
        await site.make_vault(VAULT)
        await site.fund(VAULT)
        [row] = site.edge.parts.tracker.coins_known.of_vault(VAULT)
        invented = replace(row, txid=os.urandom(32), amount_sat=1_000_000)
        believe(site, invented)
        believe(site, replace(row, amount_sat=1_000_000))
        order = await site.pay(VAULT, 1_500_000)
        await refused(site, order, "missingorspent")
        forget(site, invented)
        believe(site, row)
        done = await paid(site, order)
        assert [plan.stage for plan in done.plans] == ["excluded", "confirmed"]


async def test_an_order_over_an_invented_coin_alone_says_so_and_others_are_paid(tmp_path: Path) -> None:
    async with edge_site(tmp_path) as site:
        await site.make_vault(VAULT)
        await site.fund(VAULT)
        [row] = site.edge.parts.tracker.coins_known.of_vault(VAULT)
        invented = replace(row, txid=os.urandom(32))
        forget(site, row)
        believe(site, invented)
        order = await site.pay(VAULT, 100_000)
        await refused(site, order, "missingorspent")
        forget(site, invented)
        believe(site, row)
        assert (await waits_for(site, order, "does not exist")).status == "payable"
        await paid(site, await site.pay(VAULT, 200_000))
