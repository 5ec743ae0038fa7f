"""A charter that changes under running daemons: tightened, loosened after its delay, cancelled, a person removed.

And one that names a signer that never starts: it lapses, and nobody waits for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from functools import cache, partial
from typing import Any

import pytest

from actor import COIN, Actor, actors, give_coins, ready, until
from charter_edits import amend, in_force, most, without
from cluster import VAULT, Cluster, made, running, template
from log_followers import all_hold
from new_signers import admit, bring_in, card_of, exported_log, make_keys
from payments import AMOUNT, approved, paid, payee, payments_on_chain
from strongroom.ledger.charter import CharterSigner, encode_charter
from strongroom.ledger.order_messages import AmendCharter
from strongroom.ledger.records import OrderState
from strongroom.ledger.signed_messages import Verb
from strongroom.model.ids import OrderHash
from strongroom_client.answers import ExplainedOrder, OrderStatus
from strongroom_client.demo.deployment import Deployment, Shape
from strongroom_client.errors import RemoteError

pytestmark = pytest.mark.process

DELAY_MS = 8_000


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
        await bob.approve(cancelled)
        await bob.approve(looser)
        rejection = await dave.say(Verb.REJECT, cancelled)
        await carol.approve(cancelled)
        # The delay runs: one call for each thing that has to be done in it, however slow the machine is.
        await dave.client.endorse(rejection)
        await carol.approve(looser)
        scheduled = (await alice.client.order(looser)).proven.record
        assert scheduled.state is OrderState.SCHEDULED
        assert await refused(alice, 2) == "OVER_MAXIMUM"
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
        # Each signer judges by what it holds: the third may hear of the removal and the approval later.
        await all_hold(amended, alice)

        async def views_of_all() -> ExplainedOrder | None:
            explained = await alice.client.explain(pending)
            # One that takes long is reported as silent.
            return None if explained.silent else explained

        explained = await until(views_of_all)
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


NEWCOMER = "east"
APPROVE_WITHIN = "60s"
"""How long the order may wait for approvals. It lapses that long, the delay and `HANDOVER` after it was proposed."""
HANDOVER = "1s"


async def propose_signers(cluster: Cluster, actor: Actor, *added: CharterSigner, quorum: int) -> OrderHash:
    """Propose more signers as an administrator does it, with a file and the command."""
    now = await in_force(actor)
    file = cluster.root / f"signers-{now.version}.bin"
    file.write_bytes(encode_charter(replace(now, signers=(*now.signers, *added), witness_quorum=quorum)))
    limits = ["--expires", APPROVE_WITHIN, "--handover", HANDOVER]
    command = ("charter", "propose", str(file), *limits)
    answer = await asyncio.to_thread(partial(cluster.command, signs=True), actor.name, *command)
    return OrderHash(bytes.fromhex(answer["order"]))


async def approve_by_command(cluster: Cluster, order: OrderHash, *names: str) -> None:
    for name in names:
        await asyncio.to_thread(partial(cluster.command, signs=True), name, "charter", "approve", order.hex())


def is_wanted(status: OrderStatus) -> bool:
    """The amendment is due, and waits for the votes of both sets."""
    return status.proven.record.state is OrderState.SCHEDULED and status.proven.record.due_ms == 0


def undisturbed(cluster: Cluster) -> None:
    """No signer of the old set has stopped, and none has anything to tell its operator."""
    assert all(daemon.running for daemon in cluster.all_daemons())
    assert {name: cluster.signer_status(name)["alarm"] for name in cluster.signers} == dict.fromkeys(cluster.signers)


@pytest.mark.campaign
@pytest.mark.attack(
    line="admin-quorum",
    title="an amendment to signers of whom one never starts, while payments go on",
    origin="on paper: a dead witness set stops the log for good",
)
async def test_a_change_to_a_signer_that_never_starts_lapses_and_nobody_is_stuck(amended: Cluster) -> None:
    """Four witnesses of four are ordered, and the fourth has keys and a card but no daemon."""
    cluster = amended
    make_keys(cluster, NEWCOMER)
    async with actors(cluster.deployment, "alice", "bob", "carol") as people:
        alice = people[0]
        await ready(alice)
        await give_coins(cluster.deployment, alice, await alice.wait_for_vault(VAULT), 3)
        order = await propose_signers(cluster, alice, card_of(cluster, NEWCOMER), quorum=4)
        await approve_by_command(cluster, order, "bob", "carol")
        await alice.wait_for_order(order, is_wanted)

        # Meanwhile the old set decides alone.
        meanwhile, after, at_last = payee(), payee(), payee()
        await paid(cluster, alice, await approved(people, meanwhile))
        assert is_wanted(await alice.client.order(order))
        undisturbed(cluster)

        # Nobody asks for it, and the change is off. The signers agree: its end is proven by their final head.
        ended = await alice.wait_for_order(
            order, lambda one: one.proven.record.state is not OrderState.SCHEDULED, timeout_s=150.0
        )
        assert ended.proven.record.state is OrderState.LAPSED
        await alice.wait_for_order(order, lambda one: one.proven.final)
        now = await in_force(alice)
        assert (now.version, now.witness_quorum, tuple(one.name for one in now.signers)) == (1, 2, QUICK.signers)
        await paid(cluster, alice, await approved(people, after))
        undisturbed(cluster)

        # The charter can change as before; and so can the signers, to the same machine, once it runs.
        await amend(people, **most(now, 1))
        bring_in(cluster, NEWCOMER, *exported_log(cluster, "north", cluster.root / "exported-log"))
        cluster.deployment.start_signer(NEWCOMER)
        await admit(cluster, people, NEWCOMER, quorum=4)
        await paid(cluster, alice, await approved(people, at_last))
    assert [payments_on_chain(cluster, one) for one in (meanwhile, after, at_last)] == [[AMOUNT]] * 3
    undisturbed(cluster)
    assert cluster.audit()["verified"] is True
