"""Break-glass, the address book and the ways out of a freeze, with real daemons and a real chain."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest

from actor import Actor, actors, until
from cluster import VAULT, Cluster
from payments import AMOUNT, approved, paid, payee, payments_on_chain
from recovery_deployment import COOLING_S, PETTY, RECOVERY, recovery_site
from strongroom.chains.bitcoin.networks import REGTEST
from strongroom.ledger.order_messages import AddDestination, BreakGlass, RemoveDestination
from strongroom.ledger.records import OrderState
from strongroom.ledger.signed_messages import Verb
from strongroom_client.errors import RemoteError

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def site() -> Iterator[Cluster]:
    """One running deployment; the tests come in an order in which each leaves what the next one needs."""
    with recovery_site("powers") as cluster:
        yield cluster


async def swept(cluster: Cluster, actor: Actor, order: Any) -> None:
    """Mine whatever reaches the mempool until all the coins have arrived."""

    async def arrived() -> bool:
        if cluster.deployment.rpc("getrawmempool"):
            cluster.mine()
        return bool((await actor.client.order(order)).status == "paid")

    await until(arrived, timeout_s=120.0)


async def test_an_entry_of_the_address_book_is_paid_after_its_cooling_off_until_it_is_removed(site: Cluster) -> None:
    destination = payee()
    async with actors(site.deployment, "alice", "bob", "carol") as (alice, bob, carol):
        listed = await alice.submit(AddDestination(chain=REGTEST.caip2, address=destination, label="shop", proof=b""))
        await bob.approve(listed)
        drafted = alice.draft(alice.withdrawal(PETTY, destination, AMOUNT))
        order = drafted.hash
        words = [await alice.say(Verb.INITIATE, order), await bob.say(Verb.APPROVE, order)]
        await carol.approve(listed)
        # From here on it cools off, and a slow machine has just that long to show an order that waits for it.
        await alice.client.submit(drafted.data, words)
        early = await alice.client.order(order)
        assert (early.plans, "cools off" in early.waits_for) == ((), True)
        entry = await alice.client.destination(REGTEST.caip2, destination)
        assert entry is not None
        assert entry.record.usable_ms - entry.record.added_ms == COOLING_S * 1000
        status = await paid(site, alice, order)
        assert status.proven.record.planned_ms >= entry.record.usable_ms
        await carol.submit(RemoveDestination(chain=REGTEST.caip2, address=destination, why="not ours any more"))
        with pytest.raises(RemoteError) as caught:
            await alice.pay(PETTY, destination, AMOUNT)
        assert caught.value.remote_reason == "NO_RULE_MATCHES"
        [gone] = (await alice.client.destinations()).entries
        assert gone.record.removed_by == "carol"
    assert payments_on_chain(site, destination) == [AMOUNT]


async def test_operators_freeze_while_every_daemon_is_down_and_a_quorum_with_its_delay_thaws(site: Cluster) -> None:
    destination, frozen = payee(), site.signers[:2]
    site.stop()
    for name in frozen:
        done = site.signer_command(name, "freeze", "--why", "everything is down", "--json")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["daemon"] is False
    site.start()
    async with actors(site.deployment, "alice", "bob", "carol") as people:
        alice, bob, carol = people
        freezes = await until(lambda: logged(alice, len(frozen)))
        order = await approved(people, destination)
        assert (await alice.client.order(order)).plans == ()
        for name in frozen:
            local = await until(lambda name=name: logged_here(site, name))
            assert site.signer_command(name, "thaw", local["id"]).returncode == 0
        assert (await alice.client.order(order)).plans == ()
        lifts = [await alice.unfreeze(freeze.id) for freeze in freezes]
        await asyncio.gather(*(person.approve(lift) for lift in lifts for person in (bob, carol)))
        await paid(site, alice, order)
    assert payments_on_chain(site, destination) == [AMOUNT]


async def logged(actor: Actor, count: int) -> list[Any]:
    """The operators' freezes, once the log holds all of them."""
    found = [one for one in await actor.client.freezes() if one.signer and not one.lifted]
    return found if len(found) == count else []


async def logged_here(cluster: Cluster, name: str) -> Any:
    """The one freeze of a signer's own operator, once its own copy of the log holds it."""
    [local] = cluster.signer_status(name)["local_freezes"]
    return local if local["logged"] else None


async def boxes_at(cluster: Cluster, name: str) -> list[str]:
    """The vaults that a signer shows its operator as about to be moved, once it knows of any."""
    return [box["vault"] for box in cluster.signer_status(name)["break_glass"]]


async def test_a_frozen_vault_is_moved_to_its_recovery_address_and_nowhere_else(site: Cluster) -> None:
    destination = payee()
    async with actors(site.deployment, "alice", "bob", "carol", "dave") as people:
        alice, bob, carol, dave = people
        held = (await alice.client.balance(VAULT)).confirmed
        await dave.freeze(why="the coordinator may be theirs")
        done = site.signer_command("south", "freeze", "--why", "I saw it too", "--json")
        assert done.returncode == 0, done.stderr
        stuck = await approved((alice, bob, carol), destination)
        order = await dave.submit(BreakGlass(vault=VAULT, destination=RECOVERY, max_fee=100_000))
        for person in (alice, bob, carol):
            await person.approve(order)
        [open_one] = await alice.client.break_glass()
        assert open_one.hash == order
        assert await until(lambda: boxes_at(site, "north")) == [VAULT]
        await swept(site, alice, order)
        plans = (await alice.client.order(order)).plans
        fees = sum(int(plan.fee) for plan in plans)
        assert sum(payments_on_chain(site, RECOVERY)) == held - fees
        assert (await alice.client.order(stuck)).proven.record.state is OrderState.OPEN
        assert (await alice.client.balance(VAULT)).confirmed == 0
    assert payments_on_chain(site, destination) == []
    assert site.audit()["verified"] is True
