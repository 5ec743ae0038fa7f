"""Coordinators that die, restart, lose their database, or lead two at a time: nothing is lost or paid twice."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from actor import Actor, actors, until
from cluster import VAULT, Cluster
from payments import AMOUNT, approve_again, approved, connected, paid, payee, payments_on_chain
from strongroom.ledger.signed_messages import Verb
from strongroom.model.ids import OrderHash
from strongroom_client.demo.deployment import free_port
from strongroom_client.demo.processes import Daemon, program, run_program

pytestmark = pytest.mark.process


async def test_a_coordinator_killed_right_after_the_last_approval_pays_once(cluster: Cluster) -> None:
    destination = payee()
    async with actors(cluster.deployment, "alice", "bob", "carol") as people:
        order = await approved(people, destination)
        cluster.restart_coordinator(kill=True)
        await paid(cluster, people[0], order)
    assert payments_on_chain(cluster, destination) == [AMOUNT]


async def test_a_coordinator_killed_between_approvals_goes_on(cluster: Cluster) -> None:
    destination = payee()
    async with actors(cluster.deployment, "alice", "bob", "carol") as (alice, bob, carol):
        order = await alice.pay(VAULT, destination, AMOUNT)
        await bob.approve(order)
        cluster.restart_coordinator(kill=True)
        await approve_again(carol, order)
        await paid(cluster, alice, order)
    assert payments_on_chain(cluster, destination) == [AMOUNT]


@pytest.mark.attack(line="machine", title="an emptied coordinator", origin="keep-core: a signer's state rolled back")
async def test_an_emptied_coordinator_rebuilds_itself_from_the_signers(cluster: Cluster) -> None:
    """History, a payment under way, and the coins all come back; the log goes on where it was."""
    before, under_way, after = payee(), payee(), payee()
    async with actors(cluster.deployment, "alice", "bob", "carol") as people:
        alice, bob, carol = people
        await paid(cluster, alice, await approved(people, before))
        order = await alice.pay(VAULT, under_way, AMOUNT)
        await bob.approve(order)
        # Under a certificate alone a word can vanish with a coordinator that loses its database; what is final cannot.
        await until(lambda: is_final_with(alice, order, endorsements=2))
        empty_coordinator(cluster)
        await approve_again(carol, order)
        await paid(cluster, alice, order)
        await paid(cluster, alice, await approved(people, after))
    for destination in (before, under_way, after):
        assert payments_on_chain(cluster, destination) == [AMOUNT]
    assert cluster.audit()["verified"] is True


async def is_final_with(actor: Actor, order: OrderHash, *, endorsements: int) -> bool:
    proven = (await actor.client.order(order)).proven
    return proven.final and len(proven.record.endorsements) == endorsements


def empty_coordinator(cluster: Cluster) -> None:
    """Kill the coordinator and start one on a new folder with the same genesis and TLS identity."""
    cluster.coordinator.kill()
    folder = cluster.deployment.coordinator_folder
    lost = folder.with_name("lost-coordinator")
    shutil.move(folder, lost)
    node_port = (cluster.root / "node-port").read_text().strip()
    command = [program("strongroom-coordinator"), "init", "--data", str(folder)]
    command += ["--genesis", str(lost / "genesis.bin"), "--listen", f"127.0.0.1:{cluster.deployment.port}"]
    command += ["--cert", str(lost / "cert.pem"), "--key", str(lost / "key.pem"), "--ca", str(lost / "ca.pem")]
    command += ["--bitcoin-rpc", f"http://127.0.0.1:{node_port}"]
    command += ["--bitcoin-cookie", str(cluster.root / "node" / ".cookie")]
    run_program(command)
    cluster.deployment.start_coordinator()


async def test_everything_killed_and_started_again_goes_on(cluster: Cluster) -> None:
    destination = payee()
    async with actors(cluster.deployment, "alice", "bob", "carol") as people:
        alice, bob, carol = people
        order = await alice.pay(VAULT, destination, AMOUNT)
        await bob.approve(order)
        for name in cluster.signers:
            cluster.signer(name).kill()
        cluster.coordinator.kill()
        cluster.start(node=False)
        await approve_again(carol, order)
        await paid(cluster, alice, order)
    assert payments_on_chain(cluster, destination) == [AMOUNT]
    assert all(cluster.signer_status(name)["alarm"] is None for name in cluster.signers)


@pytest.mark.attack(line="coordinator", title="two leaders", origin="on paper: a lease that two hold at once")
async def test_two_leaders_at_once_take_turns_without_paying_twice(stopped_cluster: Cluster) -> None:
    """Signers are moved from one coordinator to another and back, a payment under way each time."""
    cluster = stopped_cluster
    for name in cluster.signers:
        cluster.switch_signer(name)
    cluster.start()
    rival_port = start_rival(cluster)
    destinations = [payee() for _ in range(3)]
    async with actors(cluster.deployment, "alice", "bob", "carol") as people:
        first = await approved(people, destinations[0])
        for name in cluster.signers[1:]:
            cluster.switches[name].point(rival_port)
        cluster.extra[0].wait_for("term.opened")
        cluster.switches[cluster.signers[0]].point(rival_port)
        for name in cluster.signers:
            cluster.switches[name].point(cluster.deployment.port)
        await until(lambda: connected(people[0], 3))
        await paid(cluster, people[0], first)
        drafted = people[0].draft(people[0].withdrawal(VAULT, destinations[1], AMOUNT))
        order, said = drafted.hash, await until(lambda: people[0].say(Verb.INITIATE, drafted.hash))
        # It waits for a term of this coordinator's, and which of the two leads next is a matter of luck.
        await until(lambda: people[0].client.submit(drafted.data, [said]), timeout_s=120.0)
        cluster.switches[cluster.signers[2]].point(rival_port)
        await approve_again(people[1], order, timeout_s=90.0)
        await approve_again(people[2], order, timeout_s=90.0)
        await paid(cluster, people[0], order)
        await paid(cluster, people[0], await approved(people, destinations[2]))
    for destination in destinations:
        assert payments_on_chain(cluster, destination) == [AMOUNT]


def start_rival(cluster: Cluster) -> int:
    """Start a second coordinator on a copy of the first one's enrolment, with an empty database."""
    port = free_port()
    own, folder = cluster.deployment.coordinator_folder, cluster.root / "rival"
    node_port = (cluster.root / "node-port").read_text().strip()
    command = [program("strongroom-coordinator"), "init", "--data", str(folder)]
    command += ["--genesis", str(own / "genesis.bin"), "--listen", f"127.0.0.1:{port}"]
    command += ["--cert", str(own / "cert.pem"), "--key", str(own / "key.pem"), "--ca", str(own / "ca.pem")]
    command += ["--bitcoin-rpc", f"http://127.0.0.1:{node_port}"]
    command += ["--bitcoin-cookie", str(cluster.root / "node" / ".cookie")]
    run_program(command)
    run = [program("strongroom-coordinator"), "run", "--data", str(folder)]
    rival = Daemon("rival coordinator", run, cluster.root / "logs" / "rival.log")
    cluster.extra.append(rival)
    rival.start()
    return port


def test_a_second_coordinator_on_one_folder_is_refused(stopped_cluster: Cluster) -> None:
    stopped_cluster.start(signers=["north"], node=False)
    folder = str(stopped_cluster.deployment.coordinator_folder)
    done = subprocess.run(
        [program("strongroom-coordinator"), "run", "--data", folder],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode != 0
    assert "another coordinator" in done.stderr
    assert "Traceback" not in done.stderr
    assert stopped_cluster.coordinator.running
