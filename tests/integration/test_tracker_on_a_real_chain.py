"""The tracker on a real node: deposits, reorganisations, outages, lost databases, cancellations and higher fees."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from edge_world import MINER, EdgeSite, edge_site
from strongroom.chains.bitcoin.networks import REGTEST, SIGNET
from strongroom.ledger.order_messages import CancelWithdraw
from strongroom.model.ids import OrderHash
from strongroom_coordinator.storage import chain as rows
from strongroom_coordinator.tracker.errors import AddressIndexTooFar
from strongroom_signer.config import Limit

pytestmark = pytest.mark.process

VAULT = "customer-1"


async def mempool(site: EdgeSite) -> list[str]:
    found: list[str] = await asyncio.to_thread(site.node.call, "getrawmempool")
    return found


async def broadcast(site: EdgeSite, order_hash: bytes) -> Any:
    """Wait until the newest plan of an order is in the node's mempool; the plan's progress."""
    client = site.treasury()
    async with asyncio.timeout(60):
        while True:
            plans = (await client.order(OrderHash(order_hash))).plans
            if plans and plans[-1].stage == "broadcast":
                return plans[-1]
            await asyncio.sleep(0.02)


async def has_plans(site: EdgeSite, order_hash: bytes, count: int) -> bool:
    return len((await site.treasury().order(OrderHash(order_hash))).plans) >= count


async def eventually(holds: Callable[[], Awaitable[Any]]) -> None:
    """Ask again until the answer is true."""
    async with asyncio.timeout(60):
        while True:
            if await holds():
                return
            await asyncio.sleep(0.02)


async def feed(site: EdgeSite, cursor: int = 0) -> list[rows.DepositRow]:
    read = partial(rows.deposits_after, cursor=cursor, vault="", limit=1_000)
    return await site.edge.parts.storage.run(read)


async def test_deposits_are_told_confirmed_further_and_taken_back_when_the_chain_reorganises(tmp_path: Path) -> None:
    async with edge_site(tmp_path, config={"bitcoin_confirmations": 3}) as site:
        await site.make_vault(VAULT)
        address = await site.integrator().address(VAULT, 7)
        await site.mine(1, address)
        await site.mine(3)
        told = await feed(site)
        assert [row.height for row in told] == [1, 1, 1]
        assert {row.index for row in told} == {7}
        assert (await site.treasury().balance(VAULT)).confirmed == 50 * 100_000_000
        await asyncio.to_thread(site.node.call, "generatefork", 0, 5, MINER)
        await site.followed(5)
        removed = (await feed(site, told[-1].cursor))[0]
        assert removed.removed
        assert removed.txid == told[0].txid
        assert (await site.treasury().balance(VAULT)).confirmed == 0
        async for deposit in site.integrator().watch_deposits(cursor=told[-1].cursor):
            assert deposit.removed
            assert deposit.address == address
            break


async def test_a_payment_in_an_abandoned_block_is_payable_again_and_confirms_again(tmp_path: Path) -> None:
    async with edge_site(tmp_path) as site:
        await site.make_vault(VAULT)
        await site.fund(VAULT)
        height = site.edge.parts.tracker.height
        order = await site.pay(VAULT, 100_000)
        await broadcast(site, order)
        await site.mine()
        await site.status_of(order, "paid")
        await asyncio.to_thread(site.node.call, "generatefork", height, 3, MINER)
        await site.status_of(order, "payable")
        await broadcast(site, order)
        await site.mine()
        paid = await site.status_of(order, "paid")
        assert len(paid.plans) == 1


async def test_signed_transactions_wait_for_a_node_that_is_down_and_are_sent_when_it_returns(tmp_path: Path) -> None:
    async with edge_site(tmp_path) as site:
        await site.make_vault(VAULT)
        await site.fund(VAULT)
        site.node._wanted_port = site.node.port
        await asyncio.to_thread(site.node.kill)
        await site.until(lambda: not site.edge.parts.tracker.is_reachable)
        order = await site.pay(VAULT, 100_000)
        await site.signed(order)
        status = await site.treasury().order(OrderHash(order))
        assert status.status == "payable"
        assert "chain node" in status.waits_for
        assert not (await site.treasury().status()).chain_reachable
        await asyncio.to_thread(site.node.start)
        await broadcast(site, order)
        await asyncio.to_thread(site.node.kill)
        await site.until(lambda: not site.edge.parts.tracker.is_reachable)
        await asyncio.to_thread(site.node.start)
        await eventually(partial(mempool, site))
        await site.mine()
        await site.status_of(order, "paid")


async def test_a_coordinator_with_an_empty_database_finds_coins_and_payments_again(tmp_path: Path) -> None:
    async with edge_site(tmp_path) as site:
        await site.make_vault(VAULT)
        await site.fund(VAULT, coins=2)
        paid = await site.pay(VAULT, 100_000)
        await broadcast(site, paid)
        await site.mine()
        await site.status_of(paid, "paid")
        balance = await site.treasury().balance(VAULT)
        port = site.coordinator.port
        await site.close_clients()
        await site.stop_coordinator()
        site.edges.pop()
        for signer in ("s1", "s2", "s3"):
            await site.stop_signer(signer)
        await site.start_coordinator("another")
        assert site.coordinator.port != port
        await site.start_signers()
        await site.genesis_logged()
        found = await site.status_of(paid, "paid")
        assert found.plans[0].confirmations == 1
        await site.until(lambda: site.edge.parts.tracker.is_reachable)
        assert await site.treasury().balance(VAULT) == balance
        again = await site.pay(VAULT, 200_000)
        await broadcast(site, again)


async def test_a_cancelled_payment_is_excluded_and_the_others_of_its_plan_are_paid_by_another(tmp_path: Path) -> None:
    async with edge_site(tmp_path) as site:
        await site.make_vault(VAULT)
        await site.fund(VAULT)
        entries = [
            site.order_entry(site.order(site.world.withdrawal(VAULT, 100_000 + n)), "shop", "alice", "bob")
            for n in range(3)
        ]
        logged = await site.side.sequencer.submit_many(entries)
        orders = [site.edge.parts.reader.certified().state.order_at(n).hash for n in (1, 2, 3)]
        assert len(logged) == 3
        first, *later = [await broadcast(site, name) for name in orders]
        shared = [orders[0], *(name for name, plan in zip(orders[1:], later, strict=True) if plan.txid == first.txid)]
        unwanted, others = shared[0], shared[1:]
        await site.submit(CancelWithdraw(order_hash=unwanted, max_fee=20_000), "shop")
        cancel = site.edge.parts.reader.certified().state.order_at(4).hash
        await broadcast(site, cancel)
        assert first.txid[::-1].hex() not in await mempool(site)
        await site.mine()
        never = await site.status_of(unwanted, "never_will_be_paid")
        assert "cancelled" in never.waits_for
        await site.status_of(cancel, "done")
        for name in others:
            again = await broadcast(site, name)
            assert again.txid != first.txid
        await site.mine()
        for name in others:
            paid = await site.status_of(name, "paid")
            assert [plan.stage for plan in paid.plans] == ["excluded", "confirmed"]


async def test_an_order_above_the_signers_own_limits_keeps_none_beside_it_from_being_paid(tmp_path: Path) -> None:
    async with edge_site(tmp_path) as site:
        await site.make_vault(VAULT)
        await site.fund(VAULT)
        for running in site.signers.values():
            running.signer.money_path._limits = {REGTEST.asset_id: Limit(per_order=200_000)}
        entries = [
            site.order_entry(site.order(site.world.withdrawal(VAULT, amount)), "shop", "alice", "bob")
            for amount in (100_000, 500_000, 150_000)
        ]
        await site.side.sequencer.submit_many(entries)
        small, large, middle = [site.edge.parts.reader.certified().state.order_at(n).hash for n in (1, 2, 3)]
        for name in (small, middle):
            await broadcast(site, name)
        await site.mine()
        for name in (small, middle):
            await site.status_of(name, "paid")
        waiting = await site.treasury().order(OrderHash(large))
        assert waiting.status == "payable"
        # The operators raise their limits: what was left out is paid after all.
        for running in site.signers.values():
            running.signer.money_path._limits = {}
        await broadcast(site, large)
        await site.mine()
        await site.status_of(large, "paid")


async def test_a_plan_below_the_market_rate_is_replaced_at_a_higher_fee(tmp_path: Path) -> None:
    async with edge_site(tmp_path, config={"bump_after_s": 1, "fee_rate_sat_per_vbyte": 2}) as site:
        await site.make_vault(VAULT)
        await site.fund(VAULT)
        order = await site.pay(VAULT, 100_000)
        first = await broadcast(site, order)
        site.edge.parts.tracker._default_rate = 20
        await eventually(partial(has_plans, site, order, 2))
        second = await broadcast(site, order)
        assert int(second.fee) > int(first.fee)
        assert await mempool(site) == [second.txid[::-1].hex()]
        await site.mine()
        await site.status_of(order, "paid")


async def test_many_payments_at_once_chain_on_unconfirmed_change(tmp_path: Path) -> None:
    async with edge_site(tmp_path, config={"max_orders_per_plan": 1}) as site:
        await site.make_vault(VAULT)
        await site.fund(VAULT)
        orders = [await site.pay(VAULT, 100_000 + n) for n in range(8)]
        for name in orders:
            await broadcast(site, name)
        assert len(await mempool(site)) == 8
        await site.mine()
        for name in orders:
            await site.status_of(name, "paid")


async def test_a_node_of_another_network_is_refused(tmp_path: Path) -> None:
    async with edge_site(tmp_path) as site:
        tracker = site.edge.parts.tracker
        await site.until(lambda: tracker.is_reachable)
        tracker._network_checked, tracker.network = False, replace(SIGNET)
        await site.until(lambda: not tracker.is_reachable)
        assert "regtest" in tracker.problem
        assert not (await site.treasury().status()).chain_reachable


async def test_an_index_far_beyond_all_others_is_refused_and_a_jump_is_found_by_reading_again(tmp_path: Path) -> None:
    async with edge_site(tmp_path) as site:
        await site.make_vault(VAULT)
        tracker = site.edge.parts.tracker
        with pytest.raises(AddressIndexTooFar):
            await tracker.watch_index(VAULT, 200_000)
        record = site.edge.parts.reader.certified().state.vault(VAULT)
        assert record is not None
        early = site.world_key(record).derive(0, 2_500).address(tracker.network)
        await site.mine(1, early)
        assert (await site.treasury().balance(VAULT)).confirmed == 0
        assert await site.integrator().address(VAULT, 2_500) == early
        await site.until(lambda: bool(list(tracker.coins_known.of_vault(VAULT))))
        await eventually(partial(feed, site))
        assert [row.index for row in await feed(site)] == [2_500]


async def test_blocks_that_were_to_be_read_again_are_read_after_a_restart(tmp_path: Path) -> None:
    """The index that asked for it is known by then, so nothing else would."""
    async with edge_site(tmp_path) as site:
        await site.make_vault(VAULT)
        tracker = site.edge.parts.tracker
        record = site.edge.parts.reader.certified().state.vault(VAULT)
        assert record is not None
        await site.mine(1, site.world_key(record).derive(0, 2_500).address(tracker.network))
        async with tracker._lock:
            # The coordinator ends before it asks the node again.
            await tracker.watch_index(VAULT, 2_500)
            await site.close_clients()
            await site.stop_coordinator()
        site.edges.pop()
        await site.start_coordinator()
        again = site.edge.parts.tracker
        await site.until(lambda: bool(list(again.coins_known.of_vault(VAULT))))
        await eventually(partial(feed, site))
        assert [row.index for row in await feed(site)] == [2_500]
        assert not again._follower.rescan_wanted
