"""Kills the coordinator at every place where it stores or sends: each time it takes up again what was under way.

Each test starts the coordinator so that it ends at one side of one point, lets something pass the point, waits for the
end of the process, and starts the coordinator as its operator does. What clients were told holds, and what they were
not told is answered when they ask again.
"""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

import crash_points
from actor import Actor, ready, until
from cluster import VAULT
from crash_acts import (
    COLD,
    People,
    cold_vault,
    emptied_coordinator,
    freeze_logged,
    new_shares,
    new_vault,
    open_order,
    operator,
    shared_vault,
)
from crash_points import AFTER, BEFORE, CrashPoint, points
from crash_points_commands import CLIENT_RUNNING
from crash_points_coordinator import COORDINATOR
from crash_scenes import PATIENCE_S, Scene, deployment, ended, patiently, people_of
from crash_sides import sides_of
from strongroom.chains.bitcoin.networks import REGTEST
from strongroom.model.ids import OrderHash
from strongroom_client.answers import derive_address
from strongroom_client.demo.processes import program, run_program
from strongroom_client.integration import IntegrationClient
from strongroom_client.profile import Memory

pytestmark = pytest.mark.process

Act = Callable[[Scene, People, CrashPoint, str], Awaitable[None]]
"""Lets something pass the point, waits for the end, starts the coordinator again, and waits until all is done."""

TOO_MUCH = 200_000
"""Satoshi: above what some operators let their signers sign."""


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    with deployment("crash-c", record_at_signers=True) as made:
        yield made
        made.cluster.stop()
        made.check_marks()


@asynccontextmanager
async def dooming(scene: Scene, point: CrashPoint, side: str, *, restart: bool = True) -> AsyncIterator[None]:
    """Start the coordinator so that it ends at the point, which the block lets something pass; then start it again."""
    await asyncio.to_thread(scene.cluster.coordinator.kill)
    doomed = await asyncio.to_thread(scene.doom_coordinator, point, side)
    yield
    await ended(doomed)
    if restart:
        await asyncio.to_thread(scene.plain_coordinator)


# --- orders ----------------------------------------------------------------------------------------------------------


async def in_an_order(scene: Scene, people: People, point: CrashPoint, side: str) -> None:
    async with dooming(scene, point, side):
        paying = asyncio.create_task(scene.pay(people))
    await paying


async def in_an_order_while_the_node_restarts(scene: Scene, people: People, point: CrashPoint, side: str) -> None:
    """The node forgets what it was given, if it was given anything."""
    async with dooming(scene, point, side, restart=False):
        order = asyncio.create_task(scene.order(people))
    await asyncio.to_thread(scene.restart_node)
    await asyncio.to_thread(scene.plain_coordinator)
    await scene.settle(people[0], await order)


async def with_a_watcher(scene: Scene, people: People, point: CrashPoint, side: str) -> None:
    """A watcher that resumes from its cursor misses nothing of what came about meanwhile."""
    order = await scene.order(people)
    cursor = await newest_cursor(people[0], order)
    await scene.settle(people[0], order)
    async with dooming(scene, point, side):
        paying = asyncio.create_task(scene.pay(people))
    told = await paying
    async with asyncio.timeout(PATIENCE_S):
        async for _, status in people[0].client.watch_orders(cursor=cursor, hashes=[told]):
            if status.hash == told and status.status == "paid":
                return


async def newest_cursor(actor: Actor, order: OrderHash) -> int:
    async with asyncio.timeout(PATIENCE_S):
        async for cursor, _ in actor.client.watch_orders(hashes=[order]):
            if cursor:
                return cursor
    raise AssertionError("the watch ended")


async def with_a_plan_left_unsigned(scene: Scene, people: People, point: CrashPoint, side: str) -> None:
    async with dooming(scene, points()["a plan is stored as logged"], AFTER, restart=False):
        paying = asyncio.create_task(scene.pay(people))
    await ended(await asyncio.to_thread(scene.doom_coordinator, point, side))
    await asyncio.to_thread(scene.plain_coordinator)
    await paying


async def with_a_plan_that_signers_refuse(scene: Scene, people: People, point: CrashPoint, side: str) -> None:
    """Two operators allow less, until one of them allows more."""
    cluster, refusing = scene.cluster, (scene.victim, scene.spare)
    for name in refusing:
        limit(scene, name, TOO_MUCH - 1)
    await asyncio.to_thread(cluster.signer(scene.victim).stop)
    await asyncio.to_thread(scene.recording_signer, scene.victim)
    await asyncio.to_thread(cluster.plain_signer, scene.spare)
    async with dooming(scene, point, side):
        order = asyncio.create_task(scene.order(people, TOO_MUCH))
    cluster.signer(scene.spare).kill()
    limit(scene, scene.spare, TOO_MUCH)
    await asyncio.to_thread(cluster.plain_signer, scene.spare)
    await scene.settle(people[0], await order)
    cluster.signer(scene.spare).kill()


def limit(scene: Scene, name: str, satoshi: int) -> None:
    """Write the maximum for an order that a signer's operator allows."""
    file = scene.cluster.deployment.signer_folder(name) / "signer.toml"
    text = file.read_text().split("[limits", 1)[0].rstrip()
    file.write_text(f'{text}\n\n[limits."{REGTEST.asset_id}"]\nper_order = "{satoshi}"\n')


async def as_an_order_expires(scene: Scene, people: People, point: CrashPoint, side: str) -> None:
    async with dooming(scene, point, side):
        await ready(people[0], timeout_s=PATIENCE_S)
        order = await open_order(people, expires_in_ms=12_000)
        expires_ms = (await people[0].client.order(order)).order.expires_ms
        await until(lambda: has_passed(expires_ms))
        paying = asyncio.create_task(scene.pay(people))
    await paying
    await people[0].wait_for_order(order, lambda one: one.status == "never_will_be_paid", timeout_s=PATIENCE_S)


async def has_passed(time_ms: int) -> bool:
    return time.time() * 1000 > time_ms


# --- start and terms -------------------------------------------------------------------------------------------------


async def as_it_starts(scene: Scene, people: People, point: CrashPoint, side: str) -> None:
    await asyncio.to_thread(scene.cluster.coordinator.kill)
    paying = asyncio.create_task(scene.pay(people))
    await ended(await asyncio.to_thread(scene.doom_coordinator, point, side))
    await asyncio.to_thread(scene.plain_coordinator)
    await paying


async def as_it_rebuilds(scene: Scene, people: People, point: CrashPoint, side: str) -> None:
    """Its database is gone: it fetches the log from the signers, and is killed on the way."""
    await asyncio.to_thread(scene.cluster.coordinator.kill)
    folder = scene.cluster.deployment.coordinator_folder
    for file in folder.glob("coordinator.db*"):
        file.unlink()
    run_program([program("strongroom-coordinator"), "migrate", "--data", str(folder)])
    paying = asyncio.create_task(scene.pay(people))
    await ended(await asyncio.to_thread(scene.doom_coordinator, point, side))
    await asyncio.to_thread(scene.plain_coordinator)
    await paying


async def as_it_finds_another_branch(scene: Scene, people: People, point: CrashPoint, side: str) -> None:
    """It stored a certificate that no signer holds; another coordinator has led a term since, without that batch."""
    stored = points()["a certified batch is stored and nobody told"]
    async with dooming(scene, stored, AFTER, restart=False):
        paying = asyncio.create_task(scene.pay(people))
    scene.cluster.signer(scene.victim).kill()
    await asyncio.to_thread(scene.cluster.plain_signer, scene.spare)
    with emptied_coordinator(scene):
        await scene.pay(people)
    await asyncio.to_thread(scene.recording_signer, scene.victim)
    await ended(await asyncio.to_thread(scene.doom_coordinator, point, side))
    await asyncio.to_thread(scene.plain_coordinator)
    await paying
    scene.cluster.signer(scene.spare).kill()


async def as_it_learns_late_of_a_plan(scene: Scene, people: People, point: CrashPoint, side: str) -> None:
    """Another coordinator had the plan signed; it reads the block before any signer gives it the plan that is in it."""
    cluster = scene.cluster
    await asyncio.to_thread(cluster.coordinator.kill)
    with emptied_coordinator(scene):
        order = await scene.pay(people)
    for name in scene.signers:
        cluster.signer(name).kill()
    doomed = await asyncio.to_thread(scene.doom_coordinator, point, side)
    await until(lambda: has_read_all_blocks(scene), timeout_s=PATIENCE_S)
    for name in scene.signers:
        await asyncio.to_thread(scene.recording_signer, name)
    await ended(doomed)
    assert confirmations(scene, order) == (side == AFTER)
    await asyncio.to_thread(scene.plain_coordinator)
    await people[0].wait_for_order(order, lambda one: one.status == "paid", timeout_s=PATIENCE_S)
    assert confirmations(scene, order) == 1


async def has_read_all_blocks(scene: Scene) -> bool:
    height = await asyncio.to_thread(scene.cluster.deployment.rpc, "getblockcount")
    return in_database(scene, "SELECT max(height) FROM chain_block") == height


def confirmations(scene: Scene, order: OrderHash) -> int:
    """How often the coordinator's database says to watchers that the order is in a block."""
    return in_database(scene, "SELECT count(*) FROM order_event WHERE kind = 'confirmed' AND order_hash = ?", order)


def in_database(scene: Scene, query: str, *values: bytes) -> int:
    """One number out of the coordinator's database."""
    database = scene.cluster.deployment.coordinator_folder / "coordinator.db"
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    try:
        return int(connection.execute(query, values).fetchone()[0])
    finally:
        connection.close()


# --- the chain -------------------------------------------------------------------------------------------------------


async def as_a_deposit_comes(scene: Scene, people: People, point: CrashPoint, side: str) -> None:
    vault = await people[0].wait_for_vault(VAULT)
    async with dooming(scene, point, side):
        scene.deposits += 1
        address = derive_address(vault, 10 + scene.deposits)
        await asyncio.to_thread(scene.cluster.deployment.rpc, "generatetoaddress", 1, address)
    await recorded_once(scene, address)


async def recorded_once(scene: Scene, address: str) -> None:
    """Wait until the feed holds a deposit to the address, and see that it holds no other event of it."""

    async def events() -> list[Any]:
        database = scene.cluster.deployment.coordinator_folder / "coordinator.db"
        connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
        try:
            return connection.execute("SELECT removed FROM deposit_feed WHERE address = ?", (address,)).fetchall()
        finally:
            connection.close()

    assert await until(events, timeout_s=PATIENCE_S) == [(0,)]


async def as_an_address_is_asked_for(scene: Scene, people: People, point: CrashPoint, side: str) -> None:
    """The customer's address stays theirs, though the answer was lost; what is paid to it is seen."""
    scene.deposits += 1
    index = 10 + scene.deposits
    async with shop(scene) as client:
        async with dooming(scene, point, side):
            asking = asyncio.create_task(patiently(lambda: client.address(VAULT, index)))
        address = await asking
    await asyncio.to_thread(scene.cluster.deployment.rpc, "generatetoaddress", 1, address)
    await recorded_once(scene, address)


async def as_blocks_are_read_again(scene: Scene, people: People, point: CrashPoint, side: str) -> None:
    """A deposit to an index far beyond those in use is found when the index is asked for, once, and no other twice."""
    vault = await people[0].wait_for_vault(VAULT)
    scene.deposits += 1
    scene.far += 1_500
    near, far = derive_address(vault, 10 + scene.deposits), derive_address(vault, scene.far)
    for address in (near, far):
        await asyncio.to_thread(scene.cluster.deployment.rpc, "generatetoaddress", 1, address)
    await recorded_once(scene, near)
    async with shop(scene) as client:
        async with dooming(scene, point, side):
            asking = asyncio.create_task(patiently(lambda: client.address(VAULT, scene.far)))
        assert await asking == far
    await recorded_once(scene, far)
    await recorded_once(scene, near)


@asynccontextmanager
async def shop(scene: Scene) -> AsyncIterator[IntegrationClient]:
    """The integrator's server."""
    deployed = scene.cluster.deployment
    client = IntegrationClient.connect(deployed.endpoint("shop"), log_id=deployed.log_id)
    try:
        yield client
    finally:
        await client.close()


# --- keys and words handed in ----------------------------------------------------------------------------------------


async def in_new_shares(scene: Scene, people: People, point: CrashPoint, side: str) -> None:
    await shared_vault(scene, people)
    async with dooming(scene, point, side):
        making = asyncio.create_task(new_shares(scene, people))
    await making
    await nothing_kept_of_new_shares(scene)


async def nothing_kept_of_new_shares(scene: Scene) -> None:
    """Wait until nothing is left of what holders said: it holds what recovery data holds, which must end with it."""

    async def is_empty() -> bool:
        database = scene.cluster.deployment.coordinator_folder / "coordinator.db"
        connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
        try:
            return connection.execute("SELECT count(*) FROM redistribution").fetchone() == (0,)
        finally:
            connection.close()

    await until(is_empty, timeout_s=PATIENCE_S)


async def in_a_key_generation(scene: Scene, people: People, point: CrashPoint, side: str) -> None:
    async with dooming(scene, point, side):
        making = asyncio.create_task(patiently(lambda: new_vault(scene, people)))
    await making


async def as_a_signer_raises_a_freeze(scene: Scene, people: People, point: CrashPoint, side: str) -> None:
    await cold_vault(scene, people)
    why = f"raised {side}"
    async with dooming(scene, point, side):
        await operator(scene, "freeze", "--vault", COLD, "--why", why)
    await freeze_logged(scene, why)


ACTS: dict[str, Act] = {
    "a new database knows its log": as_it_rebuilds,
    "a signer is welcomed": as_it_starts,
    "the promises of w signers are there and the term not yet opened": as_it_starts,
    "one signer has adopted the base of a new term": as_it_starts,
    "a certified batch fetched from a signer is stored": as_it_rebuilds,
    "recovery data fetched from a signer is on its way to the database": as_it_rebuilds,
    "entries that a term left behind are dropped from the database": as_it_finds_another_branch,
    "a holder is asked again for commitments to a plan left unsigned": with_a_plan_left_unsigned,
    "why holders refused a plan is stored": with_a_plan_that_signers_refuse,
    "the transaction is handed to the node": in_an_order_while_the_node_restarts,
    "that the node took the transaction is stored": in_an_order_while_the_node_restarts,
    "a plan that became known late is stored as settled by an older block": as_it_learns_late_of_a_plan,
    "a deposit is stored in the feed": as_a_deposit_comes,
    "a deposit index in use is stored": as_an_address_is_asked_for,
    "blocks are taken back to be read again": as_blocks_are_read_again,
    "the events of certified entries are stored": with_a_watcher,
    "that an order expired is stored for watchers": as_an_order_expires,
    "one holder has dealt in an attempt at a key generation": in_a_key_generation,
    "a key is generated and its vault not yet logged": in_a_key_generation,
    "a new vault is logged": in_a_key_generation,
    "an old holder is asked to deal for new shares": in_new_shares,
    "what holders said of new shares is kept": in_new_shares,
    "new shares are made and are being logged": in_new_shares,
    "what was kept of new shares is deleted": in_new_shares,
    "a word that a signer raised is logged": as_a_signer_raises_a_freeze,
}
"""What passes a point; an order does where nothing is said."""
SLICE = {
    ("a batch with a plan is sent to one signer", AFTER),
    ("a certified batch is stored and nobody told", AFTER),
    ("the signature is whole and not yet stored", AFTER),
    ("that the node took the transaction is stored", BEFORE),
}
"""What every run of the tests tries; `make adversary` tries all."""


@pytest.mark.parametrize(("point", "side"), sides_of(COORDINATOR, SLICE))
async def test_a_killed_coordinator_takes_up_again_what_was_under_way(
    scene: Scene, point: CrashPoint, side: str
) -> None:
    async with people_of(scene) as people:
        await ACTS.get(point.name, in_an_order)(scene, people, point, side)
        await scene.pay(people)
        await scene.holds(people)


# --- a person's tools, which need a coordinator ----------------------------------------------------------------------


@pytest.mark.campaign
@pytest.mark.parametrize(
    ("point", "side"),
    [
        pytest.param(
            point,
            side,
            id=f"{side}: {point.name}".replace(" ", "-"),
            marks=pytest.mark.crash_point(daemon=point.daemon, point=point.name, side=side),
        )
        for point in CLIENT_RUNNING
        for side in (BEFORE, AFTER)
    ],
)
async def test_a_killed_command_of_a_person_remembers_the_old_head_or_the_new_one(
    scene: Scene, point: CrashPoint, side: str
) -> None:
    deployed = scene.cluster.deployment
    profile = deployed.person("alice") / "profile.toml"
    memory = Memory.beside(profile, deployed.log_id)
    status = ("status", "--profile", str(profile))
    await asyncio.to_thread(deployed.strongroom, *status)
    before = memory.head()
    async with people_of(scene) as people:
        await scene.pay(people)
    launcher = str(Path(crash_points.__file__).with_name("client_launcher.py"))
    command = [sys.executable, launcher, "--crash", point.name, "--side", side, "--", *status]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, check=False, timeout=PATIENCE_S)
    assert done.returncode == -9
    after = memory.head()
    assert before is not None
    assert after is not None
    assert (after.size > before.size) == (side == AFTER)
    await asyncio.to_thread(deployed.strongroom, *status)
    newest = memory.head()
    assert newest is not None
    assert newest.size > before.size
