"""Orders that are not simply paid: rejected, expired, cancelled, frozen."""

from __future__ import annotations

import asyncio
import json
import time

import pytest

from actor import Actor, actors, until
from cluster import VAULT, Cluster
from payments import AMOUNT, approved, paid, payee, payments_on_chain
from strongroom.ledger.records import OrderState
from strongroom.ledger.signed_messages import Verb
from strongroom_client.errors import RemoteError

pytestmark = pytest.mark.process


async def test_a_rejected_order_is_never_paid(cluster: Cluster) -> None:
    destination = payee()
    async with actors(cluster.deployment, "alice", "bob", "carol") as (alice, bob, carol):
        order = await alice.pay(VAULT, destination, AMOUNT)
        await bob.approve(order)
        await carol.reject(order)
        with pytest.raises(RemoteError) as late:
            await carol.approve(order)
        assert late.value.remote_reason == "ORDER_ENDED"
        status = await alice.wait_for_order(order, lambda one: one.status == "never_will_be_paid")
    assert status.proven.record.state is OrderState.REJECTED
    assert payments_on_chain(cluster, destination) == []


async def test_an_expired_order_takes_no_approval_and_is_never_paid(cluster: Cluster) -> None:
    async with actors(cluster.deployment, "alice", "bob", "carol") as (alice, bob, carol):
        drafted = alice.draft(alice.withdrawal(VAULT, payee(), AMOUNT), expires_in_ms=8_000)
        order = drafted.hash
        # Both words in one call: however slow the machine is, they have to be certified before the order expires.
        words = [await alice.say(Verb.INITIATE, order), await bob.say(Verb.APPROVE, order)]
        await alice.client.submit(drafted.data, words)
        expires_s = (await alice.client.order(order)).order.expires_ms / 1000
        await until(lambda: has_come(expires_s))
        with pytest.raises(RemoteError) as late:
            await carol.approve(order)
        assert late.value.remote_reason == "ORDER_EXPIRED"
        # Log time passes with the next entry; only then nothing can plan the order any more.
        await alice.pay(VAULT, payee(), AMOUNT)
        status = await alice.wait_for_order(order, lambda one: one.status == "never_will_be_paid")
    assert not status.plans


async def has_come(moment_s: float) -> bool:
    return time.time() > moment_s


async def test_an_open_order_is_cancelled_at_once(cluster: Cluster) -> None:
    async with actors(cluster.deployment, "alice", "bob") as (alice, bob):
        order = await alice.pay(VAULT, payee(), AMOUNT)
        await alice.cancel(order)
        status = await alice.wait_for_order(order, lambda one: one.status == "never_will_be_paid")
        with pytest.raises(RemoteError):
            await bob.approve(order)
    assert status.proven.record.state is OrderState.CANCELLED


async def test_a_planned_order_is_cancelled_by_a_transaction_that_excludes_it(cluster: Cluster) -> None:
    destination = payee()
    async with actors(cluster.deployment, "alice", "bob", "carol") as people:
        alice = people[0]
        order = await approved(people, destination)
        await until(lambda: in_mempool(cluster, 1))
        paying = set(cluster.deployment.rpc("getrawmempool"))
        await alice.cancel(order)
        await until(lambda: replaced(cluster, paying))
        cluster.mine()
        await alice.wait_for_order(order, lambda one: one.status == "never_will_be_paid")
    assert payments_on_chain(cluster, destination) == []


async def in_mempool(cluster: Cluster, count: int) -> bool:
    return len(cluster.deployment.rpc("getrawmempool")) == count


async def replaced(cluster: Cluster, before: set[str]) -> bool:
    now = set(cluster.deployment.rpc("getrawmempool"))
    return bool(now) and not now & before


async def test_a_frozen_vault_pays_nothing_until_a_quorum_unfreezes_it(cluster: Cluster) -> None:
    destination = payee()
    async with actors(cluster.deployment, "alice", "bob", "carol") as people:
        alice, bob, carol = people
        freeze = await bob.freeze(VAULT)
        order = await approved(people, destination)
        assert not (await alice.client.order(order)).plans
        assert [one.vault for one in await alice.client.freezes() if not one.lifted] == [VAULT]
        lift = await alice.unfreeze(freeze)
        await bob.approve(lift)
        await carol.approve(lift)
        await paid(cluster, alice, order)
    assert payments_on_chain(cluster, destination) == [AMOUNT]


async def test_an_operators_freeze_stops_shares_at_once_and_reaches_the_log(cluster: Cluster) -> None:
    async with actors(cluster.deployment, "alice", "bob", "carol") as people:
        done = cluster.signer_command("south", "freeze", "--vault", VAULT, "--why", "the operator saw something")
        assert done.returncode == 0, done.stderr
        await until(lambda: frozen(people[0]))
        order = await approved(people, payee())
        assert not (await people[0].client.order(order)).plans


async def frozen(actor: Actor) -> bool:
    return any(one.signer == "south" and one.vault == VAULT for one in await actor.client.freezes())


async def test_a_rejection_handed_to_signers_reaches_the_log_and_stops_the_order(cluster: Cluster) -> None:
    """Carol's word goes by file to one operator, not through the coordinator."""
    async with actors(cluster.deployment, "alice", "bob", "carol") as (alice, bob, carol):
        order = await alice.pay(VAULT, payee(), AMOUNT)
        word = await carol.say(Verb.REJECT, order)
        path = cluster.root / "rejection.json"
        content = {"v": 1, "endorsements": [{"body": word.body.hex(), "signature": word.signature.hex()}]}
        path.write_text(json.dumps(content))
        done = cluster.signer_command("west", "hand-in", str(path))
        assert done.returncode == 0, done.stderr
        await alice.wait_for_order(order, lambda one: one.proven.record.state is OrderState.REJECTED)
        with pytest.raises(RemoteError):
            await bob.approve(order)


async def test_a_watch_shows_an_orders_whole_way(cluster: Cluster) -> None:
    async with actors(cluster.deployment, "alice", "bob", "carol") as people:
        alice = people[0]
        order = await alice.pay(VAULT, payee(), AMOUNT)
        seen: list[str] = []

        async def follow() -> None:
            async for _, status in alice.client.watch_orders(hashes=[order]):
                if not seen or seen[-1] != status.status:
                    seen.append(status.status)
                if status.status == "paid":
                    return

        async def shown(status: str) -> bool:
            return seen[-1:] == [status]

        watching = asyncio.create_task(follow())
        # A watch shows the state at the moment when it looks: what has passed by then it never shows.
        await until(lambda: shown("open"))
        await people[1].approve(order)
        await people[2].approve(order)
        await until(lambda: shown("payable"))
        await paid(cluster, alice, order)
        async with asyncio.timeout(60):
            await watching
    assert seen == ["open", "payable", "paid"]
