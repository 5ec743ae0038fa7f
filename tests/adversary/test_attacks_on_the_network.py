"""Bad networks between five signers, the coordinator, people and the chain: every accepted order is paid exactly once.

Each test makes one kind of trouble, orders a payment in it, and mends the network; the last one looks at everything
that was ever ordered.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from actor import Actor, actors, until
from bad_network import BadNetwork, bad_network
from fault_proxy import Direction, FaultyLink, Weather

pytestmark = [pytest.mark.process, pytest.mark.slow]

LATENCY = "on paper: a signer across an ocean"
PARTITION = "session stuck: a party that accepts and never answers"
RESET = "stacks-sbtc: approvals and sessions replayed"


@pytest.fixture(scope="module")
def network() -> Iterator[BadNetwork]:
    with bad_network("cuts") as found:
        yield found


@pytest.fixture(autouse=True)
def _mended(network: BadNetwork) -> Iterator[None]:
    yield
    network.heal()


@pytest.mark.attack(line="network", title="200 ms and jitter on every link", origin=LATENCY)
async def test_attack_200_ms_and_jitter_on_every_link(network: BadNetwork) -> None:
    for link in network.signers.values():
        link.set(Weather(delay_ms=100, jitter_ms=100))
    async with actors(network.deployment, "alice", "bob", "carol") as people:
        for _ in range(2):
            await network.paid(people, await network.order(people))


@pytest.mark.attack(
    line="network", title="one signer's link stalls half-open in the middle of a payment", origin=PARTITION
)
async def test_attack_half_open_link_delays_nobody(network: BadNetwork) -> None:
    """Four of five witness; the stalled one still looks connected to the coordinator."""
    async with actors(network.deployment, "alice", "bob", "carol") as people:
        network.signers["south"].stall()
        for _ in range(2):
            await network.paid(people, await network.order(people))
        network.heal()
        await network.holds(people)


@pytest.mark.attack(
    line="network", title="too few signers within reach: orders wait and nothing is lost", origin=PARTITION
)
async def test_attack_partition_below_the_quorum(network: BadNetwork) -> None:
    """Two of five are cut off while an order is on its way; three cannot certify, so nothing may move till then."""
    async with actors(network.deployment, "alice", "bob", "carol") as people:
        cut = [network.signers[name] for name in ("west", "east")]
        for link in cut:
            link.cut()
        waiting = asyncio.create_task(network.order(people))
        await _seen_refused(cut)
        assert not waiting.done()
        network.heal()
        await network.paid(people, await waiting)


async def _order_hashes(actor: Actor) -> set[bytes]:
    found, token = await actor.client.orders()
    assert not token
    return {order.hash for order in found}


async def _seen_refused(links: list[FaultyLink]) -> None:
    """Wait until each cut link was dialled in vain, so that the cut is known to have been felt."""
    before = [link.accepted for link in links]

    async def dialled() -> bool:
        return all(link.accepted > count for link, count in zip(links, before, strict=True))

    await until(dialled)


@pytest.mark.campaign
@pytest.mark.parametrize(
    "direction",
    [
        pytest.param(
            "up",
            marks=pytest.mark.attack(
                line="network", title="asymmetric cut: two signers hear and are not heard", origin=PARTITION
            ),
        ),
        pytest.param(
            "down",
            marks=pytest.mark.attack(
                line="network", title="asymmetric cut: two signers are heard and do not hear", origin=PARTITION
            ),
        ),
    ],
)
async def test_attack_asymmetric_cut(network: BadNetwork, direction: Direction) -> None:
    async with actors(network.deployment, "alice", "bob", "carol") as people:
        for name in ("north", "middle"):
            network.signers[name].stall(direction)
        waiting = asyncio.create_task(network.order(people))
        await asyncio.wait([waiting], timeout=2)
        network.heal()
        await network.paid(people, await waiting)
        await network.holds(people)


@pytest.mark.attack(line="network", title="flapping links: every connection reset again and again", origin=RESET)
async def test_attack_flapping_links(network: BadNetwork) -> None:
    """One link after the other is reset for as long as the orders take; each signer dials again by itself."""
    async with actors(network.deployment, "alice", "bob", "carol") as people:
        done = asyncio.Event()

        async def flap() -> None:
            names = list(network.signers)
            turn = 0
            while not done.is_set():
                network.signers[names[turn % len(names)]].reset()
                turn += 1
                await asyncio.wait([asyncio.create_task(done.wait())], timeout=0.4)

        flapping = asyncio.create_task(flap())
        try:
            ordered = [await network.order(people) for _ in range(2)]
        finally:
            done.set()
            await flapping
        for destination in ordered:
            await network.paid(people, destination)


@pytest.mark.campaign
@pytest.mark.attack(line="network", title="every connection reset at once, again and again", origin=RESET)
async def test_attack_all_links_reset_at_once(network: BadNetwork) -> None:
    """A coordinator that loses all its signers in one moment, also in the middle of a round, goes on with them."""
    async with actors(network.deployment, "alice", "bob", "carol") as people:
        for _ in range(3):
            waiting = asyncio.create_task(network.order(people))
            for pause in (0.02, 0.15, 0.4):
                await asyncio.wait([waiting], timeout=pause)
                for link in network.signers.values():
                    link.reset()
            await network.paid(people, await waiting)


@pytest.mark.campaign
@pytest.mark.attack(line="network", title="20 kB a second on the links of two signers", origin=LATENCY)
async def test_attack_narrow_links(network: BadNetwork) -> None:
    for name in ("north", "south"):
        network.signers[name].set(Weather(bytes_per_s=20_000))
    async with actors(network.deployment, "alice", "bob", "carol") as people:
        await network.paid(people, await network.order(people))


@pytest.mark.attack(
    line="network", title="a client's connection cut before it hears that its order was taken", origin=RESET
)
async def test_attack_answers_to_a_client_cut_off(network: BadNetwork) -> None:
    """The request arrives and the answer does not: the client asks again, and there is still one order."""
    assert network.people is not None
    async with actors(network.deployment, "alice", "bob", "carol") as people:
        before = await _order_hashes(people[0])
        network.people.stall("down")
        waiting = asyncio.create_task(network.order(people))
        await asyncio.wait([waiting], timeout=1)
        network.people.reset()
        network.people.resume()
        destination = await waiting
        await network.paid(people, destination)
        assert await _order_hashes(people[0]) - before == {network.orders[destination]}


@pytest.mark.campaign
@pytest.mark.attack(line="network", title="the coordinator's Bitcoin node out of reach", origin=PARTITION)
async def test_attack_node_out_of_reach(network: BadNetwork) -> None:
    """Signing goes on; what is signed is broadcast when the node is back."""
    assert network.node is not None
    async with actors(network.deployment, "alice", "bob", "carol") as people:
        network.node.cut()
        destination = await network.order(people)
        network.node.heal()
        await network.paid(people, destination)
        network.node.stall("down")
        destination = await network.order(people)
        await asyncio.sleep(0)
        network.node.reset()
        network.node.heal()
        await network.paid(people, destination)


@pytest.mark.campaign
@pytest.mark.attack(
    line="network", title="everything at once: latency, resets, stalls and cuts in turn", origin=LATENCY
)
async def test_attack_everything_at_once(network: BadNetwork) -> None:
    async with actors(network.deployment, "alice", "bob", "carol") as people:
        names = list(network.signers)
        done = asyncio.Event()

        async def storm() -> None:
            turn = 0
            while not done.is_set():
                link = network.signers[names[turn % len(names)]]
                link.set(Weather(delay_ms=80, jitter_ms=160, bytes_per_s=200_000))
                (link.reset, link.stall, link.cut)[turn % 3]()
                await asyncio.wait([asyncio.create_task(done.wait())], timeout=0.5)
                link.heal()
                turn += 1

        storming = asyncio.create_task(storm())
        try:
            ordered = [await network.order(people) for _ in range(4)]
        finally:
            done.set()
            await storming
        for destination in ordered:
            await network.paid(people, destination)


@pytest.mark.attack(
    line="network", title="after all of it: every order paid exactly once, one history, no alarm", origin=PARTITION
)
async def test_attack_network_left_everything_whole(network: BadNetwork) -> None:
    async with actors(network.deployment, "alice", "bob", "carol") as people:
        await network.paid(people, await network.order(people))
        await network.holds(people)
