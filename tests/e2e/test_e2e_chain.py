"""What the chain does: reorganisations under a payment, and deposits watched over a restart."""

from __future__ import annotations

import asyncio

import pytest

from actor import COIN, actors, burn_address, until
from cluster import COINS, VAULT, Cluster
from payments import AMOUNT, approved, paid, payee, payments_on_chain
from strongroom_client.answers import Deposit
from strongroom_client.integration import IntegrationClient

pytestmark = pytest.mark.process


async def test_a_payment_that_a_reorganisation_undoes_is_payable_again_and_then_paid(cluster: Cluster) -> None:
    destination = payee()
    async with actors(cluster.deployment, "alice", "bob", "carol") as people:
        alice = people[0]
        order = await approved(people, destination)
        await paid(cluster, alice, order)
        height = cluster.deployment.rpc("getblockcount")
        cluster.deployment.rpc("generatefork", height - 1, 2, burn_address(3))
        assert payments_on_chain(cluster, destination) == []
        await alice.wait_for_order(order, lambda one: one.status == "payable")
        await paid(cluster, alice, order)
    assert payments_on_chain(cluster, destination) == [AMOUNT]


async def test_the_deposit_feed_goes_on_from_its_cursor_after_a_restart(cluster: Cluster) -> None:
    client = IntegrationClient.connect(cluster.deployment.endpoint("shop"), log_id=cluster.deployment.log_id)
    async with client:
        address = await client.address(VAULT, 7)
        first = await confirmed(client, cursor=0, index=COINS - 1)
        cluster.restart_coordinator(kill=True)
        cluster.deployment.rpc("generatetoaddress", 1, address)
        second = await until(lambda: confirmed(client, cursor=first.cursor, index=7), timeout_s=120.0)
    assert (second.address, second.amount, second.removed) == (address, 50 * COIN, False)
    assert second.cursor > first.cursor


async def confirmed(client: IntegrationClient, *, cursor: int, index: int) -> Deposit:
    """The first confirmed deposit to an index after a cursor."""
    async with asyncio.timeout(60):
        async for deposit in client.watch_deposits(vault=VAULT, cursor=cursor):
            assert deposit.cursor > cursor
            if deposit.index == index and deposit.confirmations > 0:
                return deposit
    raise AssertionError("the feed ended")
