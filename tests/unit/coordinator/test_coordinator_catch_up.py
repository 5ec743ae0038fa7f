"""What a coordinator takes for certified when signers show it a log that it has not, or not yet."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import charter_builder as builder
from handover_world import HandoverWorld, signer
from ledger_world import World
from strongroom.api.signer.v1 import signer_link_service_pb2 as pb
from strongroom.api.types.v1 import types_pb2
from strongroom.ledger.certificate_messages import Certificate
from strongroom.ledger.entry_messages import Tick
from strongroom.ledger.replica import Preview
from strongroom.protocol.certificates import held_of
from strongroom_coordinator.catch_up import CatchUp
from strongroom_coordinator.data_folder import GenesisFile
from strongroom_coordinator.founding import Founding
from strongroom_coordinator.ledger_copy import LedgerCopy
from strongroom_coordinator.storage.engine import Storage
from strongroom_coordinator.storage.migrating import migrate
from strongroom_coordinator.voters import Voters

OLD, WANTED = ("s1", "s2"), ("s1", "s2", "s4")


@dataclass
class Holder:
    """The link of a signer that serves these batches."""

    signer: str
    previews: list[Preview]
    hello: Any = field(default_factory=lambda: SimpleNamespace(size=0))

    async def request(self, body: Any, *, timeout_s: float) -> pb.LinkRequest:
        assert isinstance(body, pb.FetchBatches)
        found = [one.batch for one in self.previews if body.first_index <= one.batch.first_index < body.end_index]
        batches = [types_pb2.LogBatch(first_index=one.first_index, entries=one.entries) for one in found]
        return pb.LinkRequest(batches=pb.Batches(batches=batches))


class Place:
    """A coordinator's copy of a log whose state wants another witness set, and the links it asks."""

    def __init__(self, root: Path) -> None:
        url = f"sqlite:///{root / 'coordinator.db'}"
        migrate(url)
        self.world = World.started()
        self.change = HandoverWorld(self.world)
        self.change.want(self.change.next_charter(builder.signer("s1"), builder.signer("s2"), signer("s4"), quorum=3))
        self.storage = Storage.open(url)
        genesis = GenesisFile(genesis=self.world.genesis(), charter=self.world.charter, log_id=self.world.log_id)
        voters = Voters(Founding.of(genesis))
        self.ledger = LedgerCopy(self.storage, voters)
        self.links = SimpleNamespace(links={})
        self.catch_up = CatchUp(self.ledger, self.links, voters)  # type: ignore[arg-type]
        self.newest: Certificate | None = None
        for preview in self.world.previews:
            self.take(preview)

    def take(self, preview: Preview) -> None:
        """Store a batch that the set in force certified, each certificate making the one before final."""
        self.ledger.append(self.ledger.replica.preview(preview.batch))
        head = self.change.head(preview.size)
        self.newest = self.change.certificate(OLD, head=head, held=held_of(self.newest))
        self.ledger.certify(self.newest)

    def holder(self, name: str) -> Holder:
        found = self.links.links[name] = Holder(name, self.world.previews)
        return found


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    made = Place(tmp_path)
    writing = asyncio.create_task(made.ledger.run())
    await made.ledger.stored()
    yield made
    writing.cancel()
    made.storage.close()


def attack(head: str) -> pytest.MarkDecorator:
    return pytest.mark.attack(
        line="coordinator+signers",
        title=f"a certificate of others than those who decide stated as the base of a term, again and again: {head}",
        origin="on paper: honest coordinators believe it, honest signers refuse the term, and nobody ever leads",
    )


@attack("of a head that is held")
async def test_attack_base_by_others_than_those_who_decide_about_a_head_that_is_held(place: Place) -> None:
    size, known = place.ledger.certified_size, place.ledger.certificate
    place.world.log(Tick())
    place.take(place.world.previews[-1])
    newest = place.ledger.certificate
    stated = place.change.certificate(WANTED, head=place.change.head(size))
    assert not await place.catch_up.reach(stated, ["s4"], [])
    assert (place.ledger.certificate, place.ledger.certified_size) == (newest, size + 1)
    assert await place.catch_up.reach(known, ["s1"], [])  # type: ignore[arg-type]
    assert (place.ledger.certificate, place.ledger.certified_size) == (known, size)


@attack("of a head that is fetched")
async def test_attack_base_by_others_than_those_who_decide_about_a_head_that_is_fetched(place: Place) -> None:
    size = place.ledger.certified_size
    place.world.log(Tick())
    place.holder("s4")
    stated = place.change.certificate(WANTED)
    assert not await place.catch_up.reach(stated, ["s4"], [])
    assert place.ledger.final_size == place.ledger.certified_size < size
    place.holder("s1")
    genuine = place.change.certificate(OLD)
    assert await place.catch_up.reach(genuine, ["s1"], ["s4"])
    assert (place.ledger.certificate, place.ledger.certified_size) == (genuine, size + 1)


async def test_a_signer_is_followed_though_what_is_final_is_still_being_stored(place: Place) -> None:
    for _ in range(2):
        place.world.log(Tick())
        place.take(place.world.previews[-1])
    link = place.holder("s2")
    link.hello.size = place.ledger.certified_size
    final = place.ledger.decided_final_size
    assert place.ledger.final_size < final
    await place.catch_up.follow(link)  # type: ignore[arg-type]
    assert place.ledger.final_size == final == place.ledger.certified_size


@pytest.mark.attack(
    line="holders",
    title="many small batches without a certificate for a coordinator that catches up",
    origin="on paper: memory filled by entries that nobody vouches for",
)
async def test_attack_many_small_batches_without_a_certificate(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("strongroom_coordinator.catch_up.MAX_UNCERTIFIED_BYTES", 5 * 4_096)
    size = place.ledger.certified_size
    for _ in range(20):
        place.world.log(Tick())
    place.holder("s1")
    wanted = place.change.certificate(OLD)
    # Also not from the newest final entry on.
    assert not await place.catch_up.reach(wanted, ["s1"], [])
    assert place.ledger.replica.size <= size
    monkeypatch.setattr("strongroom_coordinator.catch_up.MAX_UNCERTIFIED_BYTES", 40 * 4_096)
    assert await place.catch_up.reach(wanted, ["s1"], [])
    assert place.ledger.certified_size == place.world.replica.size
