"""Evidence outlives a restart: it convicts the key that was caught, in the log before, and no machine after it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import charter_builder as builder
from certified_world import Clock
from restart_world import RestartWorld
from strongroom.api.signer.v1 import signer_link_service_pb2 as pb
from strongroom.api.types.v1 import types_pb2
from strongroom.ledger.charter import decode_charter
from strongroom.ledger.entry_messages import Restart
from strongroom.ledger.replica import Replica
from strongroom.ledger.signed_messages import Vote
from strongroom.ledger.state import State
from strongroom.ledger.view import MemoryStore
from strongroom.model.ids import LogId
from strongroom.protocol.evidence_records import evidence_hash, two_votes
from strongroom.protocol.signed import SignedBody, sign_body
from strongroom_coordinator.catch_up import CatchUp
from strongroom_coordinator.config import CoordinatorConfig
from strongroom_coordinator.data_folder import GenesisFile
from strongroom_coordinator.errors import StorageFailed
from strongroom_coordinator.evidence_book import EvidenceBook
from strongroom_coordinator.evidence_files import EvidenceFiles
from strongroom_coordinator.founding import take_restart
from strongroom_coordinator.ledger_side import LedgerSide, build_ledger_side
from strongroom_coordinator.storage.engine import Storage
from strongroom_coordinator.storage.migrating import migrate


def vote(log_id: LogId, name: str, root: bytes) -> SignedBody:
    said = Vote(
        log_id=log_id, term=9, size=7, root=root, state_digest=b"d" * 32, held_term=0, held_size=0, held_head=b""
    )
    return sign_body("vote", said, builder.signing_key(f"{name} vote"))


class NoHandovers:
    """A log whose witnesses never changed."""

    def proofs(self) -> list[bytes]:
        return []

    async def all_proofs(self) -> list[bytes]:
        return []


@dataclass
class Desk:
    """A log, and the evidence that lies in its coordinator's folder and database."""

    world: RestartWorld
    folder: Path
    storage: Storage

    def caught(self, name: str) -> None:
        """A record of two votes in the log as it is, kept as a file."""
        world = self.world.world
        votes = (vote(world.log_id, name, b"a" * 32), vote(world.log_id, name, b"b" * 32))
        data = two_votes(charter=world.charter_bytes, signer=name, votes=votes)
        EvidenceFiles(self.folder).write(name[-1:].encode() * 32, data)

    def book(self, *, empty: State | None = None, restart: Restart | None = None) -> EvidenceBook:
        """The book as a coordinator that starts reads it; with an empty database it has no log yet."""
        state = self.world.state
        replica: Any = SimpleNamespace(state=lambda: empty or state)
        ledger: Any = SimpleNamespace(replica=replica)
        voters: Any = SimpleNamespace(
            log_id=state.log_id, vote_keys={one.name: one.vote_key for one in state.charter.signers}
        )

        return EvidenceBook(
            ledger=ledger,
            voters=voters,
            charter=restart or self.world.world.charter_bytes,
            handovers=NoHandovers(),
            storage=self.storage,
            files=EvidenceFiles(self.folder),
            clock=Clock(self.world.world),
        )


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    url = f"sqlite:///{tmp_path}/evidence.db"
    migrate(url)
    (tmp_path / "evidence").mkdir()
    desk = Desk(RestartWorld(), tmp_path / "evidence", Storage.open(url))
    yield desk
    desk.storage.close()


@pytest.mark.parametrize("known_before", [True, False])
def test_a_key_that_was_caught_stays_out_and_its_successor_is_let_in(desk: Desk, known_before: bool) -> None:
    for name in ("s1", "s2"):
        desk.caught(name)
    if known_before:
        assert desk.book().without(("s1", "s2", "s3")) == ["s3"]
    # s2 gets a new vote key by the restart, and s1 keeps its own.
    desk.world.found(desk.world.restart(desk.world.new_charter(lost=("s2",))))
    book = desk.book()
    assert book.quarantined("s1") is not None
    assert book.without(("s1", "s2", "s3")) == ["s2", "s3"]


def test_a_record_of_a_log_that_this_one_never_was_convicts_nobody(desk: Desk) -> None:
    other = RestartWorld(type(desk.world.world).started(organisation="other"))
    Desk(other, desk.folder, desk.storage).caught("s1")
    desk.world.found(desk.world.restart())
    assert desk.book().quarantined("s1") is None


def test_an_empty_database_forgets_no_key_that_was_caught_before_the_restart(desk: Desk) -> None:
    for name in ("s1", "s2"):
        desk.caught(name)
    other = RestartWorld(type(desk.world.world).started(organisation="other"))
    Desk(other, desk.folder, desk.storage).caught("s3")
    restart = desk.world.restart(desk.world.new_charter(lost=("s2",)))
    desk.world.found(restart)
    empty = Replica(MemoryStore(), log_id=desk.world.state.log_id).state()
    assert desk.book(empty=empty, restart=restart).without(("s1", "s2", "s3")) == ["s2", "s3"]


class Rebuilt:
    """A coordinator with an empty database and what an operator handed in: the genesis, and the newest restart."""

    def __init__(self, desk: Desk) -> None:
        self._world = desk.world.world
        charter = decode_charter(self._world.charter_bytes)
        genesis = GenesisFile(genesis=self._world.genesis(), charter=charter, log_id=desk.world.genesis_id)
        for name in ("s1", "s2"):
            desk.caught(name)
        # s1 keeps its vote key through both restarts, and s2 gets a new one by the first.
        for lost, voter in (("s2", "s2"), ("s3", "s2:s2-new")):
            restart = desk.world.restart(desk.world.new_charter(lost=(lost,)), voters=("s1", voter))
            desk.world.found(restart)
        take_restart(desk.storage, genesis, restart, now_ms=self._world.time_ms)
        self.side: LedgerSide = build_ledger_side(
            desk.storage,
            genesis,
            CoordinatorConfig(listen="127.0.0.1:0"),
            clock=Clock(self._world),
            random=os.urandom,
            evidence_folder=desk.folder,
        )
        self.told: list[str] = []
        self.side.evidence.on_change(self.told.append)

    async def rebuild(self) -> None:
        """Take the log as signers give it."""
        links: Any = SimpleNamespace(links={"s1": SimpleNamespace(signer="s1", request=self._serve)})
        writing = asyncio.create_task(self.side.ledger.run())
        try:
            assert await CatchUp(self.side.ledger, links, self.side.voters).found()
        finally:
            writing.cancel()

    async def _serve(self, body: Any, *, timeout_s: float) -> pb.LinkRequest:
        assert isinstance(body, pb.FetchBatches)
        known = [one for one in self._world.batches if body.first_index <= one.first_index < body.end_index]
        batches = [types_pb2.LogBatch(first_index=one.first_index, entries=one.entries) for one in known]
        return pb.LinkRequest(batches=pb.Batches(batches=batches))


async def test_a_rebuilt_log_bears_out_what_was_caught_two_restarts_ago(desk: Desk) -> None:
    rebuilt = Rebuilt(desk)
    evidence = rebuilt.side.evidence
    assert evidence.without(("s1", "s2", "s3")) == ["s1", "s2", "s3"]
    await rebuilt.rebuild()
    assert evidence.without(("s1", "s2", "s3")) == ["s2", "s3"]
    assert sorted(rebuilt.told) == ["s1", "s2"]
    found = await evidence.page(below=None, limit=10)
    assert sorted(row.signer for row in found) == ["s1", "s2"]


async def test_a_rebuilt_log_bears_out_no_record_of_a_log_that_it_never_was(desk: Desk) -> None:
    rebuilt = Rebuilt(desk)
    other = RestartWorld(type(desk.world.world).started(organisation="other"))
    Desk(other, desk.folder, desk.storage).caught("s3")
    await rebuilt.rebuild()
    assert rebuilt.side.evidence.without(("s1", "s2", "s3")) == ["s2", "s3"]


async def test_nobody_leads_on_from_a_rebuilt_log_while_who_was_caught_cannot_be_read(desk: Desk) -> None:
    rebuilt = Rebuilt(desk)
    files = EvidenceFiles(desk.folder)
    for data in tuple(files.read_all()):
        # The file of the record's own name cannot be written.
        files.path(evidence_hash(data)).with_suffix(".new").mkdir()
    with pytest.raises(StorageFailed, match="cannot be written"):
        await rebuilt.rebuild()
