"""Kills daemons while a lying signer is proven bad and taken back: what is proven and what was said outlives them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from actor import ready, until
from conviction import charter_of, evidence_from, hand_in
from crash_acts import People
from crash_points import AFTER, BEFORE, CrashPoint
from crash_points_coordinator import EVIDENCE, REINSTATED
from crash_points_signer import SIGNER_REINSTATED
from crash_scenes import PATIENCE_S, Scene, deployment, ended, patiently, people_of
from crash_sides import sides_of
from payments import approve_once
from rogue import turn_rogue
from strongroom.ledger.order_messages import ReinstateSigner
from strongroom.ledger.signed_messages import Verb
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


class Return:
    """A signer that was proven bad is taken back, by its operator's word and an order; with a kill at each."""

    def __init__(self, scene: Scene, side: str, *, size: int = 1) -> None:
        """Of votes at this size and, after a kill on the other side, at the next."""
        self.scene, self.side, self.size = scene, side, size
        self.evidence = ""

    async def begins(self) -> None:
        """It is left out for two votes that its key signed."""
        cluster, spare = self.scene.cluster, self.scene.spare
        await asyncio.to_thread(cluster.coordinator.kill)
        # Another record for each side: what is settled once is settled for good.
        record = evidence_from(cluster, spare, charter_of(cluster), size=self.size + (self.side == AFTER))
        self.evidence = hand_in(cluster, record)

    async def killed_at(self, point: CrashPoint, act: Callable[[], Awaitable[Any]]) -> None:
        """Kill the coordinator there while it takes a word, and start it again."""
        doomed = await asyncio.to_thread(self.scene.doom_coordinator, point, self.side)
        acting = asyncio.ensure_future(act())
        await ended(doomed)
        await asyncio.to_thread(self.scene.plain_coordinator)
        await acting

    async def operator_speaks(self) -> None:
        """The signer says it again at every connection, so that nobody has to."""
        cluster, spare = self.scene.cluster, self.scene.spare
        await asyncio.to_thread(cluster.plain_signer, spare)
        done = await asyncio.to_thread(cluster.signer_command, spare, "reinstate", self.evidence)
        assert done.returncode == 0, done.stderr

    async def is_ordered(self, people: People) -> None:
        """Two approve what one initiated; an approval may be given again when its answer was lost."""
        await ready(people[0], timeout_s=PATIENCE_S)
        action = ReinstateSigner(signer=self.scene.spare, evidence_hash=bytes.fromhex(self.evidence))
        draft = people[2].draft(action)
        said = await patiently(lambda: people[2].say(Verb.INITIATE, draft.hash))
        await patiently(lambda: people[2].client.submit(draft.data, [said]))
        for person in people[:2]:
            await patiently(lambda person=person: approve_once(person, draft.hash))

    async def shown(self) -> dict[str, Any]:
        listed = await asyncio.to_thread(self.scene.cluster.command, "bob", "signers", "evidence")
        (found,) = [one for one in listed["evidence"] if one["evidence"] == self.evidence]
        return dict(found)

    async def is_back(self) -> bool:
        listed = await asyncio.to_thread(self.scene.cluster.command, "alice", "signers", "list")
        (found,) = [one for one in listed["signers"] if one["name"] == self.scene.spare]
        return found["quarantined"] is None


WORD, ORDER = REINSTATED


@pytest.mark.parametrize(
    "side",
    [
        pytest.param(
            side,
            marks=[pytest.mark.crash_point(daemon=point.daemon, point=point.name, side=side) for point in REINSTATED],
        )
        for side in (BEFORE, AFTER)
    ],
)
async def test_a_signer_is_taken_back_once_both_have_spoken_whatever_was_killed_between(
    scene: Scene, side: str
) -> None:
    """Neither word brings it back alone, and neither is asked for twice."""
    story = Return(scene, side)
    await story.begins()
    await story.killed_at(WORD, story.operator_speaks)
    async with people_of(scene) as people:
        await ready(people[0], timeout_s=PATIENCE_S)

        async def operator_is_heard() -> bool:
            return bool((await story.shown())["operator_cleared"])

        await until(operator_is_heard, timeout_s=PATIENCE_S)
        assert not (await story.shown())["order"]
        assert not await story.is_back()
        await asyncio.to_thread(scene.cluster.coordinator.kill)
        await story.killed_at(ORDER, lambda: story.is_ordered(people))
        await until(story.is_back, timeout_s=PATIENCE_S)
        kept = await story.shown()
        assert kept["operator_cleared"]
        assert kept["order"]
        await scene.pay(people)
        scene.cluster.signer(scene.spare).kill()
        await scene.holds(people)


@pytest.mark.parametrize(("point", "side"), sides_of(SIGNER_REINSTATED))
async def test_a_signer_is_taken_back_on_its_operators_word_though_it_was_killed_as_that_was_said(
    scene: Scene, point: CrashPoint, side: str
) -> None:
    """What it kept it says by itself; what it did not keep it never said, and its operator says it again."""
    story, cluster, spare = Return(scene, side, size=3), scene.cluster, scene.spare
    await story.begins()
    await asyncio.to_thread(scene.plain_coordinator)
    async with people_of(scene) as people:
        await story.is_ordered(people)
        doomed = await asyncio.to_thread(scene.doom_signer, point, side, name=spare)
        await asyncio.to_thread(cluster.signer_command, spare, "reinstate", story.evidence)
        await ended(doomed)
        assert not await story.is_back()
        assert not (await story.shown())["operator_cleared"]
        await asyncio.to_thread(cluster.plain_signer, spare)
        if side == BEFORE:
            done = await asyncio.to_thread(cluster.signer_command, spare, "reinstate", story.evidence)
            assert done.returncode == 0, done.stderr
        await until(story.is_back, timeout_s=PATIENCE_S)
        kept = await story.shown()
        assert kept["operator_cleared"]
        assert kept["order"]
        await scene.pay(people)
        cluster.signer(spare).kill()
        await scene.holds(people)
