"""Partitions with real packet loss: the coordinator and each of five signers on a host of its own, a network namespace.

The people and the node are together on one more host, the machine itself.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

import hosts as machine
from actor import actors, until
from bad_network import PATIENCE_S, BadNetwork
from cluster import FIVE, Cluster, funded, running
from fault_proxy import FaultyLink
from hosts import HERE
from payments import connected
from strongroom_client.channel import Endpoint
from strongroom_client.demo.deployment import Deployment
from strongroom_client.demo.processes import Daemon, program

pytestmark = [
    pytest.mark.process,
    pytest.mark.slow,
    pytest.mark.campaign,
]

PARTITION = "session stuck: a party that accepts and never answers"
SPLIT = "on paper: a network split in the middle of a round"


COORDINATOR = "coordinator"


@dataclass(slots=True, kw_only=True)
class FarDeployment(Deployment):
    """A deployment whose coordinator is on another host than its people."""

    host: str

    def endpoint(self, name: str) -> Endpoint:
        """How this person's client connects."""
        return replace(Deployment.endpoint(self, name), address=f"{self.host}:{self.port}")


@pytest.fixture(scope="module")
def found() -> Iterator[machine.Hosts]:
    if why := machine.why_not():
        pytest.skip(why)
    with machine.hosts([COORDINATOR, *FIVE.signers]) as made:
        yield made


@pytest.fixture(scope="module")
def network(found: machine.Hosts) -> Iterator[BadNetwork]:
    with running(funded(FIVE), "hosts") as cluster:
        node = FaultyLink(int((cluster.root / "node-port").read_text()), listen=found.addresses[HERE])
        try:
            _move(cluster, found, node.port)
            cluster.start()
            yield BadNetwork(cluster)
        finally:
            node.close()


@pytest.fixture(autouse=True)
def _mended(found: machine.Hosts) -> Iterator[None]:
    yield
    for name in FIVE.signers:
        found.heal(name, COORDINATOR)
    found.heal(COORDINATOR, HERE)


def _move(cluster: Cluster, found: machine.Hosts, node_port: int) -> None:
    """Let the coordinator and each signer run on its host; the node, which listens here alone, is passed on to."""
    near = cluster.deployment
    host, data = found.addresses[COORDINATOR], near.coordinator_folder
    deployment = FarDeployment(root=near.root, shape=near.shape, port=near.port, host=host)
    cluster.deployment = deployment
    tls = deployment.root / "coordinator-tls-hosts"
    pki = ["pki", "issue-coordinator", str(deployment.root / "pki"), "--host", host]
    deployment.strongroom(*pki, "--out", str(tls))
    shutil.copy(tls / "cert.pem", data / "cert.pem")
    shutil.copy(tls / "tls.key", data / "key.pem")
    old_node = (deployment.root / "node-port").read_text().strip()
    for config in deployment.root.rglob("*.toml"):
        text = config.read_text().replace(f"127.0.0.1:{near.port}", f"{host}:{near.port}")
        if config.parent == data:
            text = text.replace(f"127.0.0.1:{old_node}", f"{found.addresses[HERE]}:{node_port}")
        config.write_text(text)
    command = [program("strongroom-coordinator"), "run", "--data", str(data)]
    deployment.coordinator = _on_host(found, COORDINATOR, command, deployment.root / "logs" / "coordinator.log")
    for name in cluster.signers:
        command = [program("strongroom-signer"), *cluster.signer_arguments(name)]
        log = deployment.root / "logs" / f"signer-{name}.log"
        deployment.signers[name] = _on_host(found, name, command, log)


def _on_host(found: machine.Hosts, host: str, command: Sequence[str], log: Path) -> Daemon:
    return Daemon(log.stem.replace("-", " "), found.command(host, command), log)


def _size(network: BadNetwork, name: str) -> int:
    """Entries of a signer's log, from its operator socket, which no partition cuts."""
    size: int = network.cluster.signer_status(name)["size"]
    return size


@pytest.mark.attack(line="network", title="one host of five gone in the middle of a payment", origin=PARTITION)
async def test_attack_one_host_partitioned(network: BadNetwork, found: machine.Hosts) -> None:
    async with actors(network.deployment, "alice", "bob", "carol") as people:
        await until(lambda: connected(people[0], 5), timeout_s=PATIENCE_S)
        waiting = asyncio.create_task(network.order(people))
        await asyncio.wait([waiting], timeout=0.1)
        found.cut("south", COORDINATOR)
        await network.paid(people, await waiting)
        assert _size(network, "south") < _size(network, "north")


@pytest.mark.attack(
    line="network", title="hosts split two against four: nothing moves, and then all of it", origin=SPLIT
)
async def test_attack_split_below_the_quorum(network: BadNetwork, found: machine.Hosts) -> None:
    async with actors(network.deployment, "alice", "bob", "carol") as people:
        for name in ("north", "middle"):
            found.cut(name, COORDINATOR)
        waiting = asyncio.create_task(network.order(people))
        done, _ = await asyncio.wait([waiting], timeout=3)
        assert not done
        for name in ("north", "middle"):
            found.heal(name, COORDINATOR)
        await network.paid(people, await waiting)


@pytest.mark.parametrize(
    "direction",
    [
        pytest.param(
            direction,
            marks=pytest.mark.attack(
                line="network", title=f"hosts whose packets {what} while the others' arrive", origin=SPLIT
            ),
        )
        for direction, what in (("up", "to the coordinator are lost"), ("down", "from the coordinator are lost"))
    ],
)
async def test_attack_one_way_partition(network: BadNetwork, found: machine.Hosts, direction: str) -> None:
    async with actors(network.deployment, "alice", "bob", "carol") as people:
        for name in ("west", "east"):
            found.cut(name, COORDINATOR, up=direction == "up", down=direction == "down")
        waiting = asyncio.create_task(network.order(people))
        await asyncio.wait([waiting], timeout=2)
        assert not waiting.done()
        for name in ("west", "east"):
            found.heal(name, COORDINATOR)
        await network.paid(people, await waiting)


@pytest.mark.attack(line="network", title="a partition that moves from host to host", origin=SPLIT)
async def test_attack_moving_partition(network: BadNetwork, found: machine.Hosts) -> None:
    async with actors(network.deployment, "alice", "bob", "carol") as people:
        names = list(FIVE.signers)
        for turn in range(len(names)):
            gone = [names[turn], names[(turn + 1) % len(names)]]
            for name in gone:
                found.cut(name, COORDINATOR)
            waiting = asyncio.create_task(network.order(people))
            await asyncio.wait([waiting], timeout=0.5)
            assert not waiting.done()
            for name in gone:
                found.heal(name, COORDINATOR)
            await network.paid(people, await waiting)


@pytest.mark.attack(
    line="network",
    title="the coordinator's host cut off from the people and the node, not from signers",
    origin=PARTITION,
)
async def test_attack_people_and_node_partitioned(network: BadNetwork, found: machine.Hosts) -> None:
    """An order that was accepted, and one that is being made, are paid once when the cut ends."""
    async with actors(network.deployment, "alice", "bob", "carol") as people:
        accepted = await network.order(people)
        found.cut(COORDINATOR, HERE)
        waiting = asyncio.create_task(network.order(people))
        await asyncio.wait([waiting], timeout=2)
        assert not waiting.done()
        assert all(network.cluster.signer_status(name)["connected"] for name in FIVE.signers)
        found.heal(COORDINATOR, HERE)
        for destination in (accepted, await waiting):
            await network.paid(people, destination)


async def test_the_partitions_left_every_order_paid_once_and_one_history(network: BadNetwork) -> None:
    async with actors(network.deployment, "alice", "bob", "carol") as people:
        await network.paid(people, await network.order(people))
        await network.holds(people)
