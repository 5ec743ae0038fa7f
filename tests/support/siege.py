"""One deployment that is attacked again and again, and what must hold after every attack."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from actor import actors, ready
from cluster import VAULT, Cheated, Cluster, funded, running
from payments import AMOUNT, approved, paid, payee, payments_on_chain


@contextmanager
def besieged(name: str) -> Iterator[Cluster]:
    """Three signers whose log holds a paid order and one that waits for its second approval."""
    with running(funded(), name) as cluster:
        cluster.start()
        asyncio.run(_history(cluster))
        yield cluster


async def _history(cluster: Cluster) -> None:
    async with actors(cluster.deployment, "alice", "bob", "carol") as people:
        alice, bob, _ = people
        await paid(cluster, alice, await approved(people, payee()))
        await bob.approve(await alice.pay(VAULT, payee(), AMOUNT))


def attacked(cluster: Cluster, cheat: str, step: str, reason: str, *, signed: bool = True, by: int = 3) -> Cheated:
    """Run a cheat: so many signers must refuse it, each for this reason, and none may give a share."""
    outcome = cluster.cheat(cheat)
    refusals = outcome.refusals(step)
    assert set(refusals.values()) == {(reason, signed)}
    assert len(refusals) == by
    assert outcome.released == 0
    return outcome


async def heals(cluster: Cluster) -> None:
    """An honest coordinator goes on from whatever the cheat left behind, and pays a new order exactly once."""
    cluster.deployment.start_coordinator()
    destination = payee()
    async with actors(cluster.deployment, "alice", "bob", "carol") as people:
        await ready(people[0])
        await paid(cluster, people[0], await approved(people, destination))
    assert payments_on_chain(cluster, destination) == [AMOUNT]
    assert all(cluster.signer_status(name)["alarm"] is None for name in cluster.signers)
