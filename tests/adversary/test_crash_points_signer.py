"""Kills a signer at every place where it stores and then speaks: each time it comes back and finishes what was begun.

Each test starts the signer so that it ends at one side of one point, lets something pass the point, waits for the end
of the process, and starts the signer as its operator does. What was begun must then be finished without anybody's help.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from actor import until
from cluster import VAULT
from crash_acts import (
    COLD,
    People,
    approved,
    cold_vault,
    epoch_of,
    freeze_logged,
    freezes,
    lone_batch,
    new_shares,
    new_vault,
    open_order,
    operator,
    rejected,
    share_sealed,
    shared_vault,
    with_the_spare,
)
from crash_points import AFTER, BEFORE, CrashPoint, points
from crash_points_signer import SIGNER
from crash_scenes import PATIENCE_S, Scene, deployment, ended, people_of
from crash_sides import sides_of
from strongroom.ledger.order_messages import RefreshShares
from strongroom.ledger.signed_messages import Verb
from strongroom.model.ids import OrderHash
from strongroom_client.cli.shared_signing import hand_in_text

pytestmark = pytest.mark.process

Act = Callable[[Scene, People, CrashPoint, str], Awaitable[None]]
"""Lets something pass the point, waits for the end, starts the signer again, and waits until what was begun is done."""


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    with deployment("crash-s") as made:
        yield made
        made.cluster.stop()
        made.check_marks()


# --- what signers do all day -----------------------------------------------------------------------------------------


async def in_an_order(scene: Scene, people: People, point: CrashPoint, side: str) -> None:
    async with dooming(scene, point, side):
        paying = asyncio.create_task(scene.pay(people))
    await paying


async def with_a_plan_left_unsigned(scene: Scene, people: People, point: CrashPoint, side: str) -> None:
    """Killed after its nonces are marked, it is asked for new ones when it is back, and killed once more."""
    async with dooming(scene, points()["the nonces are marked as used and no share is made yet"], AFTER, restart=False):
        paying = asyncio.create_task(scene.pay(people))
    await ended(scene.doom_signer(point, side))
    scene.cluster.plain_signer(scene.victim)
    await paying


async def as_a_term_opens(scene: Scene, people: People, point: CrashPoint, side: str) -> None:
    async with dooming(scene, point, side):
        scene.cluster.coordinator.kill()
        await asyncio.to_thread(scene.recording_coordinator)
        paying = asyncio.create_task(scene.pay(people))
    await paying


async def as_a_term_drops_entries(scene: Scene, people: People, point: CrashPoint, side: str) -> None:
    """A rejection stands only in a batch that no term takes up: the signers keep it, and it is logged after all."""
    order = await open_order(people)
    async with dooming(scene, point, side):
        await lone_batch(scene, people[1].reject(order))
        await asyncio.to_thread(scene.recording_coordinator)
    await rejected(people[0], order)


# --- key generation --------------------------------------------------------------------------------------------------


async def in_new_shares(scene: Scene, people: People, point: CrashPoint, side: str) -> None:
    await shared_vault(scene, people)
    async with dooming(scene, point, side):
        making = asyncio.create_task(new_shares(scene, people))
    await making


async def as_the_operator_accepts_new_shares(scene: Scene, people: People, point: CrashPoint, side: str) -> None:
    """One of three holders is away, so that the operators of both others must agree."""
    before = epoch_of(scene, scene.helper, VAULT)
    order = await approved(people, RefreshShares(vaults=(VAULT,), absent=(scene.spare,)))
    done = await asyncio.to_thread(scene.cluster.signer_command, scene.helper, "accept", order.hex())
    assert done.returncode == 0, done.stderr
    async with dooming(scene, point, side, restart=False):
        await operator(scene, "accept", order.hex())
    assert accepted(scene, order) == (side == AFTER)
    await asyncio.to_thread(scene.cluster.plain_signer, scene.victim)
    if side == BEFORE:
        # Nothing was stored and nothing was answered: the operator says it again.
        await operator(scene, "accept", order.hex())
    await share_sealed(scene, VAULT, before + 1)


def accepted(scene: Scene, order: OrderHash) -> bool:
    """Whether the database of the first signer, which is stopped, holds its operator's word for an order."""
    connection = sqlite3.connect(scene.cluster.deployment.signer_folder(scene.victim) / "signer.db")
    try:
        query = "SELECT count(*) FROM accepted WHERE order_hash = ?"
        return bool(connection.execute(query, (order,)).fetchone()[0])
    finally:
        connection.close()


async def in_a_key_generation(scene: Scene, people: People, point: CrashPoint, side: str) -> None:
    async with dooming(scene, point, side):
        making = asyncio.create_task(new_vault(scene, people))
    await making


# --- words handed in -------------------------------------------------------------------------------------------------


async def as_the_operator_freezes(scene: Scene, people: People, point: CrashPoint, side: str) -> None:
    await cold_vault(scene, people)
    why = f"{point.name[:40]} {side}"
    async with dooming(scene, point, side):
        await operator(scene, "freeze", "--vault", COLD, "--why", why)
    if not freezes(scene, why):
        # Nothing was stored and nothing was answered: the operator says it again.
        assert side == BEFORE
        await operator(scene, "freeze", "--vault", COLD, "--why", why)
    await freeze_logged(scene, why)


async def as_the_operator_thaws(scene: Scene, people: People, point: CrashPoint, side: str) -> None:
    await cold_vault(scene, people)
    why = f"a false alarm {side}"
    await operator(scene, "freeze", "--vault", COLD, "--why", why)
    identifier = freezes(scene, why)[0]["id"]
    async with dooming(scene, point, side):
        await operator(scene, "thaw", identifier)
    assert bool(freezes(scene, why)) == (side == BEFORE)
    if side == BEFORE:
        await operator(scene, "thaw", identifier)
    assert not freezes(scene, why)


async def as_a_rejection_is_handed_in(scene: Scene, people: People, point: CrashPoint, side: str) -> None:
    order = await open_order(people)
    said = await people[1].say(Verb.REJECT, order)
    file = scene.cluster.root / "hand-in.json"
    file.write_text(hand_in_text(b"", [said]))
    async with dooming(scene, point, side):
        await operator(scene, "hand-in", str(file))
    if side == BEFORE:
        await operator(scene, "hand-in", str(file))
    await rejected(people[0], order)


# --- coming back -----------------------------------------------------------------------------------------------------


async def as_it_starts(scene: Scene, people: People, point: CrashPoint, side: str) -> None:
    scene.cluster.signer(scene.victim).kill()
    paying = asyncio.create_task(scene.pay(people))
    await ended(scene.doom_signer(point, side))
    scene.cluster.plain_signer(scene.victim)
    await paying


async def as_it_stops(scene: Scene, people: People, point: CrashPoint, side: str) -> None:
    async with dooming(scene, point, side) as doomed:
        os.kill(doomed.pid, signal.SIGTERM)
    await scene.pay(people)


async def as_it_catches_up(scene: Scene, people: People, point: CrashPoint, side: str) -> None:
    cluster = scene.cluster
    cluster.signer(scene.victim).kill()
    await with_the_spare(scene, people)
    paying = asyncio.create_task(scene.pay(people))
    await ended(scene.doom_signer(point, side))
    cluster.plain_signer(scene.victim)
    await paying


async def as_it_catches_up_with_new_shares(scene: Scene, people: People, point: CrashPoint, side: str) -> None:
    """The two others made new shares without it; its own comes from what it fetches."""
    cluster, others = scene.cluster, (scene.helper, scene.spare)
    cluster.signer(scene.victim).kill()
    await asyncio.to_thread(cluster.plain_signer, scene.spare)
    before = epoch_of(scene, scene.helper, VAULT)
    order = await approved(people, RefreshShares(vaults=(VAULT,), absent=(scene.victim,)))
    for name in others:
        done = await asyncio.to_thread(cluster.signer_command, name, "accept", order.hex())
        assert done.returncode == 0, done.stderr

    async def made() -> bool:
        return all(epoch_of(scene, name, VAULT) == before + 1 for name in others)

    await until(made, timeout_s=PATIENCE_S)
    cluster.signer(scene.spare).kill()
    paying = asyncio.create_task(scene.pay(people))
    await ended(scene.doom_signer(point, side))
    cluster.plain_signer(scene.victim)
    await paying
    await share_sealed(scene, VAULT, before + 1)


async def as_it_finds_another_branch(scene: Scene, people: People, point: CrashPoint, side: str) -> None:
    """It stored a batch that no term took up, and meanwhile a term has begun beyond that place."""
    cluster = scene.cluster
    order = await open_order(people)
    await lone_batch(scene, people[1].reject(order))
    cluster.signer(scene.victim).kill()
    await asyncio.to_thread(scene.recording_coordinator)
    await asyncio.to_thread(cluster.plain_signer, scene.spare)
    await scene.pay(people)
    cluster.coordinator.kill()
    await asyncio.to_thread(scene.recording_coordinator)
    await scene.pay(people)
    cluster.signer(scene.spare).kill()
    paying = asyncio.create_task(scene.pay(people))
    await ended(scene.doom_signer(point, side))
    cluster.plain_signer(scene.victim)
    await paying
    await rejected(people[0], order)


@asynccontextmanager
async def dooming(scene: Scene, point: CrashPoint, side: str, *, restart: bool = True) -> AsyncIterator[Any]:
    """Start the signer so that it ends at the point, which the block lets something pass; then start it again."""
    scene.cluster.signer(scene.victim).kill()
    doomed = await asyncio.to_thread(scene.doom_signer, point, side)
    yield doomed
    await ended(doomed)
    if restart:
        await asyncio.to_thread(scene.cluster.plain_signer, scene.victim)


ACTS: dict[str, Act] = {
    "the promise of a term is stored and not yet sent": as_a_term_opens,
    "the promise of a term is sent": as_a_term_opens,
    "the base of a term is adopted and not yet told": as_a_term_opens,
    "the adoption of a term's base is told": as_a_term_opens,
    "entries beyond the base are dropped, and a rejection in them kept": as_a_term_drops_entries,
    "a batch and the vote for it are stored, the vote not yet sent": in_an_order,
    "a vote with nonce commitments is sent": in_an_order,
    "a certificate is stored, with all that it makes final, and not yet answered": in_an_order,
    "the taking of a certificate is told": in_an_order,
    "a final head is noted as cosigned and the cosignature not yet sent": in_an_order,
    "the nonces are marked as used and no share is made yet": in_an_order,
    "a signature share is sent": in_an_order,
    "nonce commitments asked for alone are sent": with_a_plan_left_unsigned,
    "the first message of a key generation is sent": in_a_key_generation,
    "the signature under a key generation's transcript is sent": in_a_key_generation,
    "the statement that a key was generated is sent": in_a_key_generation,
    "the share of a trial signature is sent": in_a_key_generation,
    "the share of a vault that became final is sealed": in_a_key_generation,
    "a dealing of new shares is sent": in_new_shares,
    "the statement about a new share is sent": in_new_shares,
    "the operator's freeze is stored and not yet answered": as_the_operator_freezes,
    "the end of the operator's freeze is stored and not yet answered": as_the_operator_thaws,
    "a rejection handed in is stored and not yet answered": as_a_rejection_is_handed_in,
    "the operator's word for new shares is kept and not yet answered": as_the_operator_accepts_new_shares,
    "words handed in are raised with the coordinator": as_the_operator_freezes,
    "the database notes that newest commits lie in the file beside it": as_it_starts,
    "the newest commits are moved into the database": as_it_starts,
    "the first frame of a link is sent": as_it_starts,
    "batches that were missed are stored": as_it_catches_up,
    "recovery data that was missed is stored": as_it_catches_up_with_new_shares,
    "what a missed certificate makes final is stored": as_it_catches_up,
    "a fetched branch has taken the place of the stored one": as_it_finds_another_branch,
    "the database is closed cleanly": as_it_stops,
}
SLICE = {
    ("a batch and the vote for it are stored, the vote not yet sent", AFTER),
    ("the nonces are marked as used and no share is made yet", AFTER),
    ("a signature share is sent", AFTER),
    ("the promise of a term is stored and not yet sent", AFTER),
}
"""What every run of the tests tries; `make adversary` tries all."""


@pytest.mark.parametrize(("point", "side"), sides_of(SIGNER, SLICE))
async def test_a_killed_signer_comes_back_and_finishes_what_was_begun(
    scene: Scene, point: CrashPoint, side: str
) -> None:
    async with people_of(scene) as people:
        await ACTS[point.name](scene, people, point, side)
        await scene.pay(people)
        await scene.holds(people)
