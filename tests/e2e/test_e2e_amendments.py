"""A charter that changes under running daemons: tightened, loosened after its delay, cancelled, a person removed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import Any

import pytest

from actor import COIN, Actor, actors, ready, until
from charter_edits import in_force, most, without
from cluster import VAULT, Cluster, made, running, template
from payments import payee
from strongroom.ledger.charter import encode_charter
from strongroom.ledger.order_messages import AmendCharter
from strongroom.ledger.records import OrderState
from strongroom.model.ids import OrderHash
from strongroom_client.demo.deployment import Deployment, Shape
from strongroom_client.errors import RemoteError

pytestmark = pytest.mark.process

DELAY_MS = 4_000


def _quick(source: str) -> str:
    """The proposed charter with a loosening delay that a test can wait out."""
    changed = source.replace('loosening_delay = "2d"', f'loosening_delay = "{DELAY_MS}ms"')
    assert changed != source
    return changed


QUICK = Shape(treasury=("alice", "bob", "carol", "dave"), edit=_quick)


@cache
def quick() -> Deployment:
    """A stopped deployment with one vault; use a copy."""
    return template("amendments", QUICK, lambda root: made(root, QUICK, _make_vault))


async def _make_vault(deployment: Deployment) -> None:
    async with actors(deployment, "alice", "bob", "carol") as (alice, bob, carol):
        await ready(alice)
        order = await alice.create_vault(VAULT, signers=QUICK.signers, threshold=2)
        await asyncio.gather(bob.approve(order), carol.approve(order))
        await alice.wait_for_vault(VAULT)


@pytest.fixture
def amended() -> Iterator[Cluster]:
    with running(quick(), "amendments") as cluster:
        cluster.start()
        yield cluster


async def propose(actor: Actor, **parts: Any) -> OrderHash:
    now = await in_force(actor)
    proposed = replace(now, **{"version": now.version + 1, **parts})
    return await actor.submit(AmendCharter(charter=encode_charter(proposed), handover_expires_ms=0))


async def version_is(actor: Actor, version: int) -> None:
    async def reached() -> bool:
        return (await in_force(actor)).version == version

    await until(reached)


async def refused(actor: Actor, coins: int) -> str:
    with pytest.raises(RemoteError) as caught:
        await actor.pay(VAULT, payee(), coins * COIN)
    return caught.value.remote_reason


async def test_a_charter_changes_while_everything_runs(amended: Cluster) -> None:
    async with actors(amended.deployment, "alice", "bob", "carol", "dave") as (alice, bob, carol, dave):
        await ready(alice)

        # Tightened: in force with the second approval.
        tighter = await propose(alice, **most(await in_force(alice), 1))
        await bob.approve(tighter)
        await alice.pay(VAULT, payee(), 2 * COIN)
        await carol.approve(tighter)
        await version_is(alice, 2)
        assert await refused(alice, 2) == "OVER_MAXIMUM"

        # Loosened: in force after the delay, by a tick that nobody asks for. Cancelled in the delay: never.
        cancelled = await propose(alice, officers="admins")
        looser = await propose(alice, **most(await in_force(alice), 5))
        for actor in (bob, carol):
            await actor.approve(cancelled)
            await actor.approve(looser)
        assert await refused(alice, 2) == "OVER_MAXIMUM"
        scheduled = (await alice.client.order(looser)).proven.record
        assert scheduled.state is OrderState.SCHEDULED
        await dave.reject(cancelled)
        await alice.wait_for_order(looser, lambda one: one.proven.record.state is OrderState.DONE)
        await version_is(alice, 3)
        done = (await alice.client.order(looser)).proven
        assert (done.record.state, done.state_time_ms >= scheduled.due_ms) == (OrderState.DONE, True)
        assert (await alice.client.order(cancelled)).proven.record.state is OrderState.REJECTED
        assert (await in_force(alice)).officers == "treasury"
        pending = await alice.pay(VAULT, payee(), 3 * COIN)
        await dave.approve(pending)

        # A person removed: at once, with what they said before.
        removal = await propose(alice, **without(await in_force(alice), "dave"))
        await bob.approve(removal)
        await carol.approve(removal)
        await version_is(alice, 4)
        assert await refused(dave, 1) == "KEY_UNKNOWN"
        await bob.approve(pending)
        explained = await alice.client.explain(pending)
        assert explained.missing == ("1 more approval from group treasury",)
        seen = [line for view in explained.views for line in view.view.reasons]
        assert len(explained.views) == 3
        assert all("1 more approval from group treasury" in line for line in seen), seen

        # Every daemon comes back to it from its disk.
        amended.stop()
        amended.start()
        await ready(alice)
        await version_is(alice, 4)
        assert await refused(alice, 6) == "OVER_MAXIMUM"
    assert amended.audit()["verified"] is True
