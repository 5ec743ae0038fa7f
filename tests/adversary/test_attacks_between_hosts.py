"""Partitions with real packet loss: each of five signers on a host of its own, in a network namespace.

The coordinator, its node and the people are together on one more host, the machine itself.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator

import pytest

import hosts as machine
from actor import actors, until
from bad_network import PATIENCE_S, BadNetwork
from cluster import FIVE, Cluster, funded, running
from payments import connected
from strongroom_client.demo.processes import Daemon, program

pytestmark = [
    pytest.mark.process,
    pytest.mark.slow,
    pytest.mark.campaign,
]

PARTITION = "session stuck: a party that accepts and never answers"
SPLIT = "on paper: a network split in the middle of a round"


@pytest.fixture(scope="module")
def found() -> Iterator[machine.Hosts]:
    if why := machine.why_not():
        pytest.skip(why)
    with machine.hosts(FIVE.signers) as made:
        yield made


@pytest.fixture(scope="module")
def network(found: machine.Hosts) -> Iterator[BadNetwork]:
    with running(funded(FIVE), "hosts") as cluster:
        _move(cluster, found)
        cluster.start()
        yield BadNetwork(cluster)


@pytest.fixture(autouse=True)
def _mended(found: machine.Hosts) -> Iterator[None]:
    yield
    for name in FIVE.signers:
        found.heal(name)


def _move(cluster: Cluster, found: machine.Hosts) -> None:
    """Let the coordinator listen beyond the loopback device, and each signer run on its host."""
    deployment = cluster.deployment
    tls, data = deployment.root / "coordinator-tls-hosts", deployment.coordinator_folder
    named = [item for host in ("127.0.0.1", "localhost", found.coordinator) for item in ("--host", host)]
    deployment.strongroom("pki", "issue-coordinator", str(deployment.root / "pki"), *named, "--out", str(tls))
    shutil.copy(tls / "cert.pem", data / "cert.pem")
    shutil.copy(tls / "tls.key", data / "key.pem")
    config = data / "coordinator.toml"
    near = f"127.0.0.1:{deployment.port}"
    config.write_text(config.read_text().replace(near, f"0.0.0.0:{deployment.port}"))
    for name in cluster.signers:
        config = deployment.signer_folder(name) / "signer.toml"
        config.write_text(config.read_text().replace(near, f"{found.coordinator}:{deployment.port}"))
        command = found.command(name, [program("strongroom-signer"), *cluster.signer_arguments(name)])
        log = deployment.root / "logs" / f"signer-{name}.log"
        deployment.signers[name] = Daemon(f"signer {name}", command, log)


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
        found.cut("south")
        await network.paid(people, await waiting)
        assert _size(network, "south") < _size(network, "north")


@pytest.mark.attack(
    line="network", title="hosts split two against four: nothing moves, and then all of it", origin=SPLIT
)
async def test_attack_split_below_the_quorum(network: BadNetwork, found: machine.Hosts) -> None:
    async with actors(network.deployment, "alice", "bob", "carol") as people:
        for name in ("north", "middle"):
            found.cut(name)
        waiting = asyncio.create_task(network.order(people))
        done, _ = await asyncio.wait([waiting], timeout=3)
        assert not done
        for name in ("north", "middle"):
            found.heal(name)
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
            found.cut(name, up=direction == "up", down=direction == "down")
        waiting = asyncio.create_task(network.order(people))
        await asyncio.wait([waiting], timeout=2)
        assert not waiting.done()
        for name in ("west", "east"):
            found.heal(name)
        await network.paid(people, await waiting)


@pytest.mark.attack(line="network", title="a partition that moves from host to host", origin=SPLIT)
async def test_attack_moving_partition(network: BadNetwork, found: machine.Hosts) -> None:
    async with actors(network.deployment, "alice", "bob", "carol") as people:
        names = list(FIVE.signers)
        for turn in range(len(names)):
            gone = [names[turn], names[(turn + 1) % len(names)]]
            for name in gone:
                found.cut(name)
            waiting = asyncio.create_task(network.order(people))
            await asyncio.wait([waiting], timeout=0.5)
            assert not waiting.done()
            for name in gone:
                found.heal(name)
            await network.paid(people, await waiting)


async def test_the_partitions_left_every_order_paid_once_and_one_history(network: BadNetwork) -> None:
    async with actors(network.deployment, "alice", "bob", "carol") as people:
        await network.paid(people, await network.order(people))
        await network.holds(people)
