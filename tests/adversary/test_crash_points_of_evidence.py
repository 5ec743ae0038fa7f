"""Kills daemons while a lying signer is proven bad and taken back: what is proven and what was said outlives them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from actor import ready, until
from crash_acts import People
from crash_points import AFTER, BEFORE, CrashPoint
from crash_points_coordinator import EVIDENCE
from crash_scenes import PATIENCE_S, Scene, deployment, ended, people_of
from crash_sides import sides_of
from rogue import turn_rogue
from strongroom_client.demo.processes import Daemon

pytestmark = [pytest.mark.process, pytest.mark.campaign]


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    with deployment("crash-e", record_at_signers=True) as made:
        yield made


class Story:
    """A signer lies, is proven bad, and is taken back by organisation and operator; with one kill on the way."""

    def __init__(self, scene: Scene, people: People, point: CrashPoint, side: str) -> None:
        self.scene, self.people, self.point, self.side = scene, people, point, side
        self.earlier = set(self.files())
        self.evidence = ""

    def files(self) -> list[Path]:
        return list((self.scene.cluster.deployment.coordinator_folder / "evidence").glob("*.json"))

    async def is_told(self) -> None:
        """First the lie, until there is a file about it."""
        await asyncio.to_thread(turn_rogue, self.scene.cluster, self.scene.spare, "share-wrong")
        await self.killed_at_the_coordinator(lambda doomed: self.pay_until(lambda: not doomed.running))
        if self.side == AFTER:
            # The record was stored: its file comes from there, and nobody lies any more.
            await self.waits_for(self.file)
        await self.pay_until(lambda: bool(set(self.files()) - self.earlier))
        self.scene.cluster.signer(self.scene.spare).kill()
        (new,) = set(self.files()) - self.earlier
        self.evidence = new.stem

    async def pay_until(self, done: Callable[[], bool]) -> None:
        while not done():
            await self.scene.pay(self.people)

    async def file(self) -> bool:
        return bool(set(self.files()) - self.earlier)

    async def killed_at_the_coordinator(self, act: Callable[[Daemon], Awaitable[Any]]) -> None:
        cluster = self.scene.cluster
        await asyncio.to_thread(cluster.coordinator.kill)
        doomed = await asyncio.to_thread(self.scene.doom_coordinator, self.point, self.side)
        acting = asyncio.ensure_future(act(doomed))
        await ended(doomed)
        # Whatever is known from here on was stored before the kill; and the file was not written.
        assert set(self.files()) == self.earlier
        await asyncio.to_thread(cluster.signer(self.scene.spare).stop)
        if self.side == BEFORE:
            await asyncio.to_thread(turn_rogue, cluster, self.scene.spare, "share-wrong")
        await asyncio.to_thread(self.scene.plain_coordinator)
        await acting

    async def is_forgiven(self) -> None:
        """Then the order of the organisation, and the word of the operator."""
        cluster, spare = self.scene.cluster, self.scene.spare
        await self.order()
        await self.waits_for(lambda: self.record_shows("order"))
        await asyncio.to_thread(cluster.plain_signer, spare)
        await asyncio.to_thread(cluster.signer_command, spare, "reinstate", self.evidence)
        await self.waits_for(lambda: self.record_shows("operator_cleared"))
        cluster.signer(spare).kill()

    async def order(self) -> None:
        await ready(self.people[0], timeout_s=PATIENCE_S)
        command, spare = self.scene.cluster.command, self.scene.spare

        def give() -> None:
            order = command("carol", "signers", "reinstate", spare, self.evidence, signs=True)["order"]
            command("alice", "signers", "reinstate", order, "--approve", signs=True)
            command("bob", "signers", "reinstate", order, "--approve", signs=True)

        await asyncio.to_thread(give)

    async def record_shows(self, field: str) -> bool:
        """Whether the list, which holds this record once, says so of it."""
        listed = await asyncio.to_thread(self.scene.cluster.command, "bob", "signers", "evidence")
        (shown,) = [one for one in listed["evidence"] if one["evidence"] == self.evidence]
        return bool(shown[field])

    async def waits_for(self, probe: Callable[[], Awaitable[bool]]) -> None:
        await until(probe, timeout_s=PATIENCE_S)


@pytest.mark.parametrize(("point", "side"), sides_of(EVIDENCE))
async def test_what_is_proven_of_a_signer_and_said_for_it_outlives_a_kill(
    scene: Scene, point: CrashPoint, side: str
) -> None:
    async with people_of(scene) as people:
        story = Story(scene, people, point, side)
        await story.is_told()
        await story.is_forgiven()
        await scene.pay(people)
        await scene.holds(people)
