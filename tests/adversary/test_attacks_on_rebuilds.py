"""Old copies, clones and empty databases: nobody votes or pays twice because a disk forgot."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from actor import Actor, actors, ready, until
from cluster import VAULT, Cluster
from machines import PATIENCE_S, alarmed, copy_folder, empty_coordinator, put_back, said
from payments import AMOUNT, approve_again, approved, connected, paid, payee, payments_on_chain
from strongroom.model.ids import OrderHash
from strongroom_client.demo.processes import Daemon, program
from strongroom_client.errors import RemoteError

pytestmark = [pytest.mark.process, pytest.mark.slow, pytest.mark.campaign]

FORGOTTEN = {"OWN_VOTE_UNKNOWN", "OWN_STATEMENT_UNKNOWN"}
ROLLBACK = "on paper: a snapshot of a signer's machine restored, and the signer asked to vote again"


@asynccontextmanager
async def three(cluster: Cluster, connections: int) -> AsyncIterator[tuple[Actor, ...]]:
    async with actors(cluster.deployment, "alice", "bob", "carol") as people:
        await ready(people[0], timeout_s=PATIENCE_S)
        await until(lambda: connected(people[0], connections), timeout_s=PATIENCE_S)
        yield people


async def pays(cluster: Cluster, *, connections: int) -> None:
    destination = payee()
    async with three(cluster, connections) as people:
        await paid(cluster, people[0], await approved(people, destination), timeout_s=PATIENCE_S)
    assert payments_on_chain(cluster, destination) == [AMOUNT]


@pytest.mark.attack(line="machine", title="a signer's disk restored from an old copy", origin=ROLLBACK)
async def test_a_restored_signer_meets_its_own_votes_and_stops(stopped_cluster: Cluster, tmp_path: Path) -> None:
    """It is asked to go on where it has voted already: no second vote, no share, and the others pay without it."""
    cluster = stopped_cluster
    restored, helper, other = cluster.signers
    folder = cluster.deployment.signer_folder(restored)
    old = copy_folder(folder, tmp_path / "old")
    # With two signers, every certificate holds a vote of the one that is restored.
    cluster.start(signers=[restored, helper])
    await pays(cluster, connections=2)
    before = cluster.signer_status(restored)["shares_released"]
    cluster.signer(restored).stop()
    put_back(old, folder)
    cluster.deployment.start_signer(restored)
    # The old database counts from before the payment: this is the count that may not grow.
    released = cluster.signer_status(restored)["shares_released"]
    assert released < before
    line = await asyncio.to_thread(cluster.signer(restored).wait_for, "alarm.raised", timeout_s=PATIENCE_S)
    assert line["reason"] in FORGOTTEN
    status = await alarmed(cluster, restored, line["reason"])
    assert "restored, copied or cloned" in status["alarm_message"] or "does not hold" in status["alarm_message"]
    destination = payee()
    async with actors(cluster.deployment, "alice", "bob", "carol") as people:
        ordering = asyncio.create_task(approved(people, destination))
        await asyncio.to_thread(said, cluster.signer(restored), "request.refused", reason="VOTER_STOPPED")
        # A restart is no cure, and there is nothing to confirm.
        cluster.signer(restored).stop()
        done = cluster.signer_command(
            restored,
            "run",
            "--passphrase-file",
            str(cluster.deployment.passphrase_file),
            "--confirm",
            line["reason"],
        )
        assert done.returncode == 2
        assert "no alarm" in done.stderr
        cluster.deployment.start_signer(restored)
        await alarmed(cluster, restored, line["reason"])
        assert not ordering.done()
        cluster.deployment.start_signer(other)
        await paid(cluster, people[0], await ordering, timeout_s=PATIENCE_S)
    assert payments_on_chain(cluster, destination) == [AMOUNT]
    assert cluster.signer_status(restored)["shares_released"] == released
    assert cluster.signer_status(restored)["alarm"] == line["reason"]
    assert not [event for event in cluster.coordinator.events if event.get("event") == "vote.double"]


@pytest.mark.attack(
    line="machine",
    title="a copy of a signer's machine started beside it",
    origin="on paper: two signers on one share and one vote key",
)
async def test_of_a_signer_and_its_clone_one_stops_with_an_alarm(stopped_cluster: Cluster) -> None:
    """Each sees votes that only the other cast; nothing is voted or paid twice, and the organisation goes on."""
    cluster = stopped_cluster
    cloned, helper, other = cluster.signers
    folder = cluster.deployment.signer_folder(cloned)
    twin = copy_folder(folder, folder.with_name("twin"))
    cluster.start(signers=[cloned, helper])
    await pays(cluster, connections=2)
    phrase = ["--passphrase-file", str(cluster.deployment.passphrase_file)]
    command = [program("strongroom-signer"), "run", "--data", str(twin), *phrase]
    clone = Daemon("clone", command, cluster.root / "logs" / "clone.log")
    cluster.extra.append(clone)
    clone.start(timeout_s=PATIENCE_S)
    line = await asyncio.to_thread(clone.wait_for, "alarm.raised", timeout_s=PATIENCE_S)
    assert line["reason"] in FORGOTTEN
    cluster.deployment.start_signer(other)
    destinations = [payee() for _ in range(2)]
    async with actors(cluster.deployment, "alice", "bob", "carol") as people:
        for destination in destinations:
            await paid(cluster, people[0], await ordered(people, destination), timeout_s=PATIENCE_S)
    for destination in destinations:
        assert payments_on_chain(cluster, destination) == [AMOUNT]
    assert clone.running
    assert not [event for event in cluster.coordinator.events if event.get("event") == "vote.double"]
    clone.stop()
    second = cluster.signer_command(cloned, "run", *phrase)
    assert "another strongroom-signer works in" in second.stderr


async def ordered(people: tuple[Actor, ...], destination: str) -> OrderHash:
    """An approved order, whatever the coordinator is busy with."""

    async def begin() -> OrderHash | None:
        try:
            return await people[0].pay(VAULT, destination, AMOUNT)
        except RemoteError as error:
            if error.remote_reason in ("NOT_READY", "ENTRY_REFUSED_BY_SIGNERS"):
                return None
            raise

    order: OrderHash = await until(begin, timeout_s=PATIENCE_S)
    for person in people[1:]:
        await approve_again(person, order, timeout_s=PATIENCE_S)
    return order


@pytest.mark.attack(
    line="machine",
    title="a coordinator's database restored from an old copy",
    origin="on paper: a database restored from last night's backup pays the day's orders again",
)
async def test_a_stale_coordinator_catches_up_and_pays_nothing_twice(cluster: Cluster, tmp_path: Path) -> None:
    folder = cluster.deployment.coordinator_folder
    before, pending, after = payee(), payee(), payee()
    async with three(cluster, 3) as people:
        waiting = await people[0].pay(VAULT, pending, AMOUNT)
        cluster.coordinator.stop()
        old = copy_folder(folder, tmp_path / "old")
        cluster.deployment.start_coordinator()
        await ready(people[0], timeout_s=PATIENCE_S)
        first = await ordered(people, before)
        await paid(cluster, people[0], first, timeout_s=PATIENCE_S)
        await approve_again(people[1], waiting, timeout_s=PATIENCE_S)
        cluster.coordinator.kill()
        put_back(old, folder)
        cluster.deployment.start_coordinator()
        await ready(people[0], timeout_s=PATIENCE_S)
        # An approval that only the dead coordinator saw certified may be dropped by the new term: it is sent again.
        for person in people[1:]:
            await approve_again(person, waiting, timeout_s=PATIENCE_S)
        for order in (first, waiting):
            await paid(cluster, people[0], order, timeout_s=PATIENCE_S)
        await paid(cluster, people[0], await ordered(people, after), timeout_s=PATIENCE_S)
    for destination in (before, pending, after):
        assert payments_on_chain(cluster, destination) == [AMOUNT]
    assert cluster.audit()["verified"] is True


@pytest.mark.attack(
    line="machine",
    title="a coordinator's database lost in the middle of traffic, with the signers' heads uneven",
    origin="on paper: what only the lost database knew is paid twice, or never",
)
async def test_an_empty_coordinator_finishes_every_order_of_every_stage_once(cluster: Cluster) -> None:
    """Orders that wait for approval, are broadcast, are signed and not broadcast, were just approved, or half voted."""
    ahead, helper, behind = cluster.signers
    waiting, broadcast, unsent, fresh, half = (payee() for _ in range(5))
    async with three(cluster, 3) as people:
        alice, bob, carol = people
        orders = {waiting: await alice.pay(VAULT, waiting, AMOUNT)}
        await bob.approve(orders[waiting])
        orders[broadcast] = await approved(people, broadcast)
        await until(lambda: in_mempool(cluster), timeout_s=PATIENCE_S)
        cluster.signer(behind).stop()
        await until(lambda: connected(alice, 2), timeout_s=PATIENCE_S)
        # Without its node the coordinator has the next one signed and cannot send it.
        node = cluster.deployment.node
        assert node is not None
        released = cluster.signer_status(ahead)["shares_released"]
        node.stop()
        orders[unsent] = await ordered(people, unsent)
        await until(lambda: gave_more(cluster, ahead, released), timeout_s=PATIENCE_S)
        orders[fresh] = await ordered(people, fresh)
        await one_signer_ahead(cluster, ahead, helper, asyncio.create_task(half_ordered(alice, half)))
        cluster.deployment.node = None
        cluster.deployment.start_node()
        empty_coordinator(cluster)
        cluster.start(signers=[behind], node=False)
        await ready(alice, timeout_s=PATIENCE_S)
        await until(lambda: connected(alice, 3), timeout_s=PATIENCE_S)
        await approve_again(carol, orders[waiting], timeout_s=PATIENCE_S)
        # The last approval before the loss may have been certified by votes that only the dead coordinator had.
        await approve_again(carol, orders[fresh], timeout_s=PATIENCE_S)
        # Its author was never told that it is in the log, and orders anew; the first one has no approvals.
        orders[half] = await ordered(people, half)
        for order in orders.values():
            await paid(cluster, alice, order, timeout_s=PATIENCE_S)
    for destination in orders:
        assert payments_on_chain(cluster, destination) == [AMOUNT]
    assert cluster.audit()["verified"] is True
    assert all(cluster.signer_status(name)["alarm"] is None for name in cluster.signers)


async def in_mempool(cluster: Cluster) -> bool:
    return bool(cluster.deployment.rpc("getrawmempool"))


async def gave_more(cluster: Cluster, name: str, released: int) -> bool:
    more: bool = cluster.signer_status(name)["shares_released"] > released
    return more


async def half_ordered(actor: Actor, destination: str) -> None:
    """An order whose answer never comes."""
    await actor.pay(VAULT, destination, AMOUNT)


async def one_signer_ahead(cluster: Cluster, ahead: str, helper: str, ordering: asyncio.Task[None]) -> None:
    """Leave a batch with one signer alone: the other hangs, and the coordinator dies."""
    os.kill(cluster.signer(helper).pid, signal.SIGSTOP)
    try:

        async def holds_more() -> bool:
            status = cluster.signer_status(ahead)
            more: bool = status["size"] > status["certified_size"]
            return more

        await until(holds_more, timeout_s=PATIENCE_S)
        cluster.coordinator.kill()
    finally:
        os.kill(cluster.signer(helper).pid, signal.SIGCONT)
    ordering.cancel()
    await asyncio.gather(ordering, return_exceptions=True)
