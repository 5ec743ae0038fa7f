"""Evidence outlives a restart: it convicts the key that was caught, in the log before, and no machine after it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import charter_builder as builder
from certified_world import Clock
from restart_world import RestartWorld
from strongroom.ledger.entry_messages import Restart
from strongroom.ledger.replica import Replica
from strongroom.ledger.signed_messages import Vote
from strongroom.ledger.state import State
from strongroom.ledger.view import MemoryStore
from strongroom.model.ids import LogId
from strongroom.protocol.evidence_records import two_votes
from strongroom.protocol.signed import SignedBody, sign_body
from strongroom_coordinator.evidence_book import EvidenceBook
from strongroom_coordinator.evidence_files import EvidenceFiles
from strongroom_coordinator.storage.engine import Storage
from strongroom_coordinator.storage.migrating import migrate


def vote(log_id: LogId, name: str, root: bytes) -> SignedBody:
    said = Vote(
        log_id=log_id, term=9, size=7, root=root, state_digest=b"d" * 32, held_term=0, held_size=0, held_head=b""
    )
    return sign_body("vote", said, builder.signing_key(f"{name} vote"))


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
        steps: Callable[[], list[bytes]] = list
        return EvidenceBook(
            ledger=ledger,
            voters=voters,
            charter=restart or self.world.world.charter_bytes,
            steps=steps,
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
