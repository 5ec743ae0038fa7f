"""Bad networks between five signers, the coordinator, people and the chain: every accepted order is paid exactly once.

Each test makes one kind of trouble, orders a payment in it, sees that the trouble was felt, and mends the network; the
last one looks at everything that was ever ordered.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import pytest

from actor import Actor, actors, until
from bad_network import PASSING, PATIENCE_S, BadNetwork, bad_network
from fault_proxy import Direction, FaultyLink, Weather
from payments import connected

pytestmark = [pytest.mark.process, pytest.mark.slow]

LATENCY = "on paper: a signer across an ocean"
PARTITION = "session stuck: a party that accepts and never answers"
RESET = "stacks-sbtc: approvals and sessions replayed"

ROUND_TRIP_S = 0.2
"""With 100 ms each way."""
RATE = 2_000
LEAST_OF_AN_ORDER = 2_000
"""Bytes to a signer for an order and its two approvals: three batches, each with the certificate before it."""


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
            begun = time.monotonic()
            destination = await network.order(people)
            # An order and two approvals, one after another, each for a batch and the votes for it.
            assert time.monotonic() - begun > 3 * ROUND_TRIP_S
            await network.paid(people, destination)


@pytest.mark.attack(
    line="network", title="one signer's link stalls half-open in the middle of a payment", origin=PARTITION
)
async def test_attack_half_open_link_delays_nobody(network: BadNetwork) -> None:
    """Four of five witness; the stalled one still looks connected to the coordinator."""
    async with actors(network.deployment, "alice", "bob", "carol") as people:
        south = network.signers["south"]
        held = south.held["down"]
        await until(lambda: connected(people[0], 5))
        south.stall()
        passed = dict(south.passed)
        # Nobody has noticed, so that the first of the payments is made with it.
        assert await connected(people[0], 5)
        for _ in range(2):
            await network.paid(people, await network.order(people))
        assert south.held["down"] > held
        assert south.passed == passed
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
        cut = [network.signers[name] for name in ("north", "middle")]
        # Nothing is sent to one that comes late.
        await until(lambda: connected(people[0], 5))
        held = [link.held[direction] for link in cut]
        for link in cut:
            link.stall(direction)
        heard = [link.passed["down"] for link in cut]
        waiting = asyncio.create_task(network.order(people))

        async def felt() -> bool:
            is_held = all(link.held[direction] > count for link, count in zip(cut, held, strict=True))
            still_hear = all(link.passed["down"] > count for link, count in zip(cut, heard, strict=True))
            return is_held and still_hear == (direction == "up")

        await until(felt)
        await asyncio.wait([waiting], timeout=2)
        # Three votes are no quorum of five.
        assert not waiting.done()
        network.heal()
        await network.paid(people, await waiting)
        await network.holds(people)


@pytest.mark.attack(line="network", title="flapping links: every connection reset again and again", origin=RESET)
async def test_attack_flapping_links(network: BadNetwork) -> None:
    """One link after the other is reset for as long as the orders take; each signer dials again by itself."""
    async with actors(network.deployment, "alice", "bob", "carol") as people:
        done = asyncio.Event()
        links = list(network.signers.values())
        before = [link.was_reset for link in links]

        async def flap() -> None:
            turn = 0
            while not done.is_set():
                links[turn % len(links)].reset()
                turn += 1
                await asyncio.wait([asyncio.create_task(done.wait())], timeout=0.4)
                # One away at a time, however long a dial takes here: with two of them away no order can move.
                while not (done.is_set() or await all_are_back()):  # noqa: ASYNC110 - another process changes it
                    await asyncio.sleep(0.05)

        async def all_are_back() -> bool:
            try:
                return await connected(people[0], len(links))
            except PASSING:
                return False

        def all_were_reset() -> bool:
            return all(link.was_reset > count for link, count in zip(links, before, strict=True))

        flapping = asyncio.create_task(flap())
        ordered = []
        try:
            async with asyncio.timeout(PATIENCE_S):
                while len(ordered) < 2 or not all_were_reset():
                    ordered.append(await network.order(people))
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
            before = sum(link.was_reset for link in network.signers.values())
            for pause in (0.02, 0.15, 0.4):
                await asyncio.wait([waiting], timeout=pause)
                for link in network.signers.values():
                    link.reset()
            assert sum(link.was_reset for link in network.signers.values()) >= before + len(network.signers)
            await network.paid(people, await waiting)


@pytest.mark.campaign
@pytest.mark.attack(line="network", title="2 kB a second on the links of two signers", origin=LATENCY)
async def test_attack_narrow_links(network: BadNetwork) -> None:
    """One of the two must vote for every batch, so an order takes as long as the wider of them takes for its part."""
    narrow = [network.signers[name] for name in ("north", "south")]
    async with actors(network.deployment, "alice", "bob", "carol") as people:
        await network.paid(people, await network.order(people))
        await until(lambda: connected(people[0], 5))
        for link in narrow:
            link.set(Weather(bytes_per_s=RATE))
        before = [link.passed["down"] for link in narrow]
        begun = time.monotonic()
        destination = await network.order(people)
        took_s = time.monotonic() - begun
        carried = max(link.passed["down"] - count for link, count in zip(narrow, before, strict=True))
        assert carried > LEAST_OF_AN_ORDER
        assert took_s > LEAST_OF_AN_ORDER / RATE
        await network.paid(people, destination)


@pytest.mark.attack(
    line="network", title="a client's connection cut before it hears that its order was taken", origin=RESET
)
async def test_attack_answers_to_a_client_cut_off(network: BadNetwork) -> None:
    """The request arrives and the answer does not: the client asks again, and there is still one order."""
    assert network.people is not None
    async with actors(network.deployment, "alice", "bob", "carol") as people:
        before = await _order_hashes(people[0])
        link, size = network.people, network.cluster.signer_status("north")["size"]
        held = link.held["down"]
        waiting = asyncio.create_task(network.order(people, before_submitting=lambda: link.stall("down")))

        async def taken() -> bool:
            return bool(network.cluster.signer_status("north")["size"] > size and link.held["down"] > held)

        await until(taken)
        assert not waiting.done()
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
    coordinator, rpc = network.cluster.coordinator, network.cluster.deployment.rpc
    async with actors(network.deployment, "alice", "bob", "carol") as people:

        async def signed_in_vain() -> str:
            mark = len(coordinator.events)
            destination = await network.order(people)
            await asyncio.to_thread(coordinator.wait_for, "plan.signed", after=mark, timeout_s=PATIENCE_S)
            assert rpc("getrawmempool") == []
            return destination

        network.node.cut()
        destination = await signed_in_vain()
        await _seen_refused([network.node])
        network.node.heal()
        await network.paid(people, destination)
        held = network.node.held["down"]
        network.node.stall("down")
        destination = await network.order(people)

        async def felt() -> bool:
            return network.node is not None and network.node.held["down"] > held

        await until(felt)
        network.node.reset()
        network.node.heal()
        await network.paid(people, destination)


@pytest.mark.campaign
@pytest.mark.attack(
    line="network", title="everything at once: latency, resets, stalls and cuts in turn", origin=LATENCY
)
async def test_attack_everything_at_once(network: BadNetwork) -> None:
    async with actors(network.deployment, "alice", "bob", "carol") as people:
        links = list(network.signers.values())
        done = asyncio.Event()
        turn = 0

        async def storm() -> None:
            nonlocal turn
            while not done.is_set():
                link = links[turn % len(links)]
                link.set(Weather(delay_ms=80, jitter_ms=160, bytes_per_s=200_000))
                (link.reset, link.stall, link.cut)[turn % 3]()
                await asyncio.wait([asyncio.create_task(done.wait())], timeout=0.5)
                link.heal()
                turn += 1

        resets, held = (sum(link.was_reset for link in links), sum(sum(link.held.values()) for link in links))
        storming = asyncio.create_task(storm())
        ordered = []
        try:
            async with asyncio.timeout(PATIENCE_S):
                # Each link meets each kind of trouble.
                while len(ordered) < 4 or turn < 3 * len(links):
                    ordered.append(await network.order(people))
        finally:
            done.set()
            await storming
        assert sum(link.was_reset for link in links) > resets
        assert sum(sum(link.held.values()) for link in links) > held
        for destination in ordered:
            await network.paid(people, destination)


async def test_the_network_left_every_order_paid_once_and_one_history(network: BadNetwork) -> None:
    async with actors(network.deployment, "alice", "bob", "carol") as people:
        await network.paid(people, await network.order(people))
        await network.holds(people)
