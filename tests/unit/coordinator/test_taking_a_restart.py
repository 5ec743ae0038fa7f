"""The coordinator's database becomes one of the restarted log, or refuses what contradicts it; one commit or none."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from fake_treasury import CertifiedWorld
from restart_world import RestartWorld
from strongroom.ledger import codec
from strongroom.ledger.entry_messages import Restart, Tick
from strongroom.ledger.founding import restart_entry, restart_log_id
from strongroom.ledger.records import OrderState
from strongroom.ledger.replica import Replica
from strongroom.ledger.view import MemoryStore
from strongroom_coordinator.data_folder import GenesisFile, load_restart
from strongroom_coordinator.errors import BadConfig
from strongroom_coordinator.founding import RestartNotTaken, Taken, load_founding, take_restart
from strongroom_coordinator.ledger_copy import FinalContradicted, LedgerCopy
from strongroom_coordinator.storage import events, plans
from strongroom_coordinator.storage import ledger as rows
from strongroom_coordinator.storage.engine import Storage
from strongroom_coordinator.storage.migrating import migrate
from strongroom_coordinator.subjects import subjects_in
from strongroom_coordinator.voters import Voters


@dataclass
class Desk:
    """A world, and a coordinator's database that follows it."""

    world: CertifiedWorld
    storage: Storage
    genesis: GenesisFile

    def store(self, *, size: int | None = None, final: int = 0) -> None:
        """Store the log up to a size, folded up to what is final."""
        end = self.world.replica.size if size is None else size
        folded = Replica(MemoryStore(), log_id=self.world.log_id)
        writes: dict[bytes, bytes] = {}

        def work(connection: Any) -> None:
            for batch in self.world.batches:
                if batch.size > end:
                    break
                subjects = subjects_in(batch.first_index, batch.entries)
                rows.save_batch(connection, first_index=batch.first_index, entries=batch.entries, subjects=subjects)
                data = codec.encode(self.world.certificates[batch.size])
                rows.save_certificate(connection, size=batch.size, term=self.world.term, certificate=data)
                preview = folded.preview(batch)
                folded.push(preview)
                if batch.size <= final:
                    writes.update(preview.overlay.writes)
            rows.save_folded(connection, writes)
            rows.write_meta(connection, "log_id", self.world.log_id)
            rows.write_meta(connection, "final_certificate", codec.encode(self.world.newest))
            events.note_logged_size(connection, end)
            events.note_final_size(connection, final)

        self.storage.run_sync(work)
        self.storage.key_value().forget()

    def restart(self, **parts: Any) -> Restart:
        return RestartWorld(self.world).restart(certificate=self.world.newest, **parts)

    def take(self, restart: Restart, *, ahead_ms: int = 0) -> Taken:
        return take_restart(self.storage, self.genesis, restart, now_ms=self.world.time_ms + ahead_ms)

    def loaded(self) -> LedgerCopy:
        return LedgerCopy(self.storage, Voters(load_founding(self.storage, self.genesis)))

    def entries(self) -> int:
        return len(self.storage.run_sync(lambda connection: rows.entries(connection, 0, 2**62)))


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    world = CertifiedWorld.started()
    world.make_vault("customer-1")
    world.submit(world.withdrawal("customer-1", 50_000_000), "shop", "alice")
    world.settle(Tick())
    url = f"sqlite:///{tmp_path}/coordinator.db"
    migrate(url)
    storage = Storage.open(url)
    genesis = GenesisFile(genesis=world.genesis(), charter=world.charter, log_id=world.log_id)
    yield Desk(world, storage, genesis)
    storage.close()


def test_the_log_goes_on_from_the_named_head(desk: Desk) -> None:
    restart, size = desk.restart(), desk.world.replica.size
    desk.store(final=desk.world.final)
    taken = desk.take(restart)
    assert taken == Taken(log_id=restart_log_id(restart), size=size + 1, dropped=0, is_whole=True)
    ledger = desk.loaded()
    state = ledger.replica.state()
    assert (state.log_id, state.size, ledger.final_size) == (taken.log_id, size + 1, size + 1)
    assert state.order_at(state.orders_count - 1).state is OrderState.LAPSED
    assert (ledger.certificate, ledger.final_certificate) == (None, None)
    assert ledger.certified_size == size + 1


def test_what_lies_beyond_the_head_is_dropped(desk: Desk) -> None:
    """Another coordinator's batch in the same term: certified by nobody any more, and not higher than the head."""
    world = desk.world
    final, size = world.final, world.replica.size
    restart = desk.restart()
    low = world.certificates[size]
    world.log(Tick())
    # The head that is kept has a certificate of a later term, which the dropped one is below.
    maker = RestartWorld(world)
    maker.term = 2
    kept = maker.certificate(("s1", "s2"), head=replace(low.head, term=2))
    restart = maker.restart(statement=maker.statement(head=kept.head, made_ms=world.time_ms), certificate=kept)
    desk.store(final=final)
    taken = desk.take(restart)
    assert (taken.size, taken.dropped, taken.is_whole) == (size + 1, 1, True)
    assert desk.entries() == size + 1
    found = desk.storage.run_sync(lambda connection: rows.entries(connection, size, size + 1))
    assert found == (codec.encode(restart_entry(restart)),)


def test_watchers_are_told_again_from_the_head_on(desk: Desk) -> None:
    size = desk.world.replica.size
    restart = desk.restart()
    desk.store(final=desk.world.final)
    desk.storage.run_sync(lambda connection: events.note_logged_size(connection, 10_000))
    desk.storage.run_sync(lambda connection: events.note_final_size(connection, 10_000))
    desk.take(restart)
    assert desk.storage.run_sync(events.logged_size) == desk.storage.run_sync(events.final_size) == size


def test_taken_again_it_changes_nothing(desk: Desk) -> None:
    restart = desk.restart()
    desk.store(final=desk.world.final)
    first = desk.take(restart)
    assert desk.take(restart) == replace(first, dropped=0)


def test_an_empty_database_notes_it_and_waits_for_signers(desk: Desk) -> None:
    restart = desk.restart()
    taken = desk.take(restart)
    assert taken == Taken(log_id=restart_log_id(restart), size=0, dropped=0, is_whole=False)
    ledger = desk.loaded()
    assert not ledger.is_founded
    assert ledger.replica.size == 0


def test_a_shorter_log_is_kept_and_the_rest_is_fetched(desk: Desk) -> None:
    restart, before = desk.restart(), desk.world.batches[-2].size
    desk.store(size=before)
    taken = desk.take(restart)
    assert (taken.size, taken.dropped, taken.is_whole) == (before, 0, False)
    ledger = desk.loaded()
    assert (ledger.certified_size, ledger.certificate) == (before, None)


async def test_an_empty_copy_is_founded_when_the_entries_have_come(desk: Desk) -> None:
    restart, world = desk.restart(), desk.world
    desk.take(restart)
    ledger = desk.loaded()
    task = asyncio.create_task(ledger.run())
    try:
        for batch in world.batches:
            ledger.append(ledger.replica.preview(batch))
            ledger.certify(world.certificates[batch.size])
        await ledger.stored()
        assert ledger.certificate is None
        assert await ledger.found()
    finally:
        task.cancel()
    assert (ledger.final_size, ledger.certificate, ledger.final_certificate) == (world.replica.size + 1, None, None)
    again = desk.loaded()
    assert again.is_founded
    assert again.replica.state().log_id == restart_log_id(restart)
    assert again.certificate is None


async def test_entries_of_another_history_found_nothing(desk: Desk) -> None:
    restart = desk.restart()
    other = CertifiedWorld(charter=desk.world.charter, time_ms=desk.world.time_ms, label="other")
    other.settle(other.genesis())
    while other.replica.size < desk.world.replica.size:
        other.log(Tick())
    desk.take(restart)
    ledger = desk.loaded()
    task = asyncio.create_task(ledger.run())
    try:
        for batch in other.batches:
            ledger.append(ledger.replica.preview(batch))
        assert not await ledger.found()
    finally:
        task.cancel()
    assert not ledger.is_founded


# --- what is refused ---


def refused(desk: Desk, restart: Restart, why: str, **options: Any) -> None:
    before = desk.entries()
    with pytest.raises(RestartNotTaken, match=why):
        desk.take(restart, **options)
    assert desk.entries() == before
    assert load_founding(desk.storage, desk.genesis).log_id == desk.genesis.log_id


def test_a_certificate_that_would_be_given_up_must_be_named(desk: Desk) -> None:
    restart = desk.restart()
    desk.world.log(Tick())
    desk.store()
    refused(desk, restart, "is known here")


def test_another_head_of_the_same_term_and_size_is_a_contradiction(desk: Desk) -> None:
    restart = desk.restart()
    desk.store()
    newest = desk.world.newest
    lie = codec.encode(replace(newest, head=replace(newest.head, root=bytes(32))))
    size = newest.head.size
    desk.storage.run_sync(lambda connection: rows.save_certificate(connection, size=size, term=1, certificate=lie))
    refused(desk, restart, "is known here")


def test_what_is_final_is_never_dropped(desk: Desk) -> None:
    world = desk.world
    low = world.newest
    world.log(Tick())
    maker = RestartWorld(world)
    maker.term = 2
    kept = maker.certificate(("s1", "s2"), head=replace(low.head, term=2))
    restart = maker.restart(statement=maker.statement(head=kept.head, made_ms=world.time_ms), certificate=kept)
    desk.store(final=world.replica.size)
    refused(desk, restart, "entries are final here")


def test_another_history_below_the_head_is_refused(desk: Desk) -> None:
    other = CertifiedWorld(charter=desk.world.charter, time_ms=desk.world.time_ms, label="other")
    other.settle(other.genesis())
    while other.replica.size < desk.world.replica.size:
        other.log(Tick())
    maker = RestartWorld(other)
    maker.term = 2
    certificate = maker.certificate(("s1", "s2"))
    restart = maker.restart(statement=maker.statement(head=certificate.head), certificate=certificate)
    desk.store()
    refused(desk, restart, "are not those of the restart")


def test_a_restart_without_its_quorum_is_refused(desk: Desk) -> None:
    restart = desk.restart(approvers=("alice",))
    desk.store()
    refused(desk, restart, "RESTART_APPROVALS")


def test_a_restart_of_a_restart_that_is_not_here_needs_an_empty_database(desk: Desk) -> None:
    world = desk.world
    first = desk.restart()
    desk.store()
    world.found(first, s2="s2-new", s3="s3-new")
    world.settle(Tick())
    again = RestartWorld(world)
    second = again.restart(again.new_charter(lost=("s3",), key="third"), certificate=world.newest)
    refused(desk, second, "with an empty database")


def test_a_restart_of_the_future_is_refused(desk: Desk) -> None:
    restart = desk.restart()
    desk.store()
    refused(desk, restart, "look at the clock", ahead_ms=-120_000)


def test_a_restart_of_another_organisation_is_refused(desk: Desk) -> None:
    other = CertifiedWorld.started(organisation="evil")
    restart = RestartWorld(other).restart(certificate=other.newest)
    refused(desk, restart, "is of evil, not of acme", ahead_ms=60_000)


def test_a_database_of_the_restarted_log_is_not_one_of_the_log_before(desk: Desk) -> None:
    restart = desk.restart()
    desk.store()
    desk.take(restart)
    desk.storage.run_sync(lambda connection: rows.drop_meta(connection, "founding"))
    with pytest.raises(FinalContradicted):
        desk.loaded()


def test_plans_beyond_the_head_go_with_their_entries(desk: Desk) -> None:
    restart, size = desk.restart(), desk.world.replica.size
    desk.store()
    made = [
        plans.NewPlan(plan_hash=bytes([index]) * 32, txid=bytes([index]) * 32, entry_index=index, vault="v", time_ms=1)
        for index in (size - 1, size)
    ]
    desk.storage.run_sync(lambda connection: plans.add(connection, made))
    desk.take(restart)
    kept = desk.storage.run_sync(lambda connection: [plans.by_hash(connection, one.plan_hash) for one in made])
    assert [one is not None for one in kept] == [True, False]


def test_a_file_without_an_end_is_no_restart_file() -> None:
    with pytest.raises(BadConfig):
        load_restart(Path("/dev/zero"))
