"""The coordinator's database: its schema, its one writer, and the rows of the ledger."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, event, text

from strongroom.model.row_check import with_check
from strongroom_coordinator.errors import BadSchema, StorageFailed
from strongroom_coordinator.storage import chain, evidence, ledger, plans, redistributions
from strongroom_coordinator.storage.engine import Storage, upsert
from strongroom_coordinator.storage.migrating import alembic_config, migrate
from strongroom_coordinator.storage.schema import REVISION, ledger_meta, metadata


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/coordinator.db"


@pytest.fixture
def storage(url: str) -> Iterator[Storage]:
    migrate(url)
    opened = Storage.open(url)
    yield opened
    opened.close()


def fill(storage: Storage, *sizes: int) -> None:
    """Batches that end at these sizes, each certified in term 1."""

    def work(connection: object) -> None:
        start = 0
        for size in sizes:
            entries = [b"entry %d" % index for index in range(start, size)]
            subjects = {b"subject %d" % index: index for index in range(start, size)}
            ledger.save_batch(connection, first_index=start, entries=entries, subjects=subjects)  # type: ignore[arg-type]
            ledger.save_certificate(connection, size=size, term=1, certificate=b"certificate %d" % size)  # type: ignore[arg-type]
            start = size

    storage.run_sync(work)


def test_migration_makes_exactly_the_declared_tables(storage: Storage) -> None:
    differences = storage.run_sync(
        lambda connection: compare_metadata(MigrationContext.configure(connection), metadata)
    )
    assert differences == []


def test_the_schema_this_release_asks_for_is_what_its_newest_migration_makes() -> None:
    assert ScriptDirectory.from_config(alembic_config()).get_current_head() == REVISION


def test_migrating_twice_changes_nothing(url: str) -> None:
    assert migrate(url) == migrate(url) == "0004"


def test_migration_keeps_what_the_first_schema_held_without_checks(url: str, tmp_path: Path) -> None:
    rows = 2_500
    engine = create_engine(url)
    config = alembic_config()
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
    engine.dispose()
    with sqlite3.connect(tmp_path / "coordinator.db") as database:
        database.executemany(
            "INSERT INTO ledger_entry VALUES (?, ?)", [(index, b"entry %d" % index) for index in range(rows)]
        )
        database.executemany(
            "INSERT INTO ledger_state VALUES (?, ?)", [(b"key %d" % index, b"%d" % index) for index in range(rows)]
        )
        database.execute("UPDATE ledger_entry SET entry = ? WHERE entry_index = 7", (with_check(b"entry/7", b"seven"),))
    migrate(url)
    storage = Storage.open(url)
    try:
        found = storage.run_sync(lambda connection: ledger.entries(connection, 0, rows))
        assert found == tuple(b"seven" if index == 7 else b"entry %d" % index for index in range(rows))
        assert all(storage.key_value().get(b"key %d" % index) == b"%d" % index for index in range(rows))
    finally:
        storage.close()


def test_a_migration_that_is_cut_off_leaves_nothing_and_can_be_run_again(url: str) -> None:
    def cut_off(_: object, __: object, statement: str, *___: object) -> None:
        if "ledger_subject" in statement:
            raise KeyboardInterrupt

    event.listen(Engine, "before_cursor_execute", cut_off)
    try:
        with pytest.raises(KeyboardInterrupt):
            migrate(url)
    finally:
        event.remove(Engine, "before_cursor_execute", cut_off)
    assert migrate(url) == "0004"


def test_database_without_schema_is_refused_with_the_remedy(url: str) -> None:
    with pytest.raises(BadSchema, match="strongroom-coordinator migrate"):
        Storage.open(url)


def test_schema_of_a_newer_release_is_refused_by_daemon_and_migration(url: str, tmp_path: Path) -> None:
    migrate(url)
    with sqlite3.connect(tmp_path / "coordinator.db") as database:
        database.execute("UPDATE alembic_version SET version_num = '0099'")
    with pytest.raises(BadSchema, match="0099"):
        Storage.open(url)
    with pytest.raises(BadSchema, match="newer release"):
        migrate(url)


def test_unusable_path_is_a_clear_failure(tmp_path: Path) -> None:
    with pytest.raises(StorageFailed):
        migrate(f"sqlite:///{tmp_path}/missing/coordinator.db")
    with pytest.raises(StorageFailed):
        Storage.open("nosuchdialect:///x")


def test_commits_are_durable_and_reads_run_beside_them(storage: Storage) -> None:
    assert storage.run_sync(lambda c: c.execute(text("PRAGMA synchronous")).scalar()) == 2
    assert storage.run_sync(lambda c: c.execute(text("PRAGMA journal_mode")).scalar()) == "wal"


async def test_failed_work_leaves_nothing_and_is_remembered_until_the_next_success(storage: Storage) -> None:
    def half(connection: object) -> None:
        ledger.write_meta(connection, "one", b"1")  # type: ignore[arg-type]
        upsert(connection, ledger_meta, [{"name": "two", "value": None}])  # type: ignore[arg-type]

    with pytest.raises(StorageFailed):
        await storage.run(half)
    assert storage.failure
    assert await storage.run(lambda c: ledger.read_meta(c, "one")) is None
    assert storage.failure is None


def test_certified_batches_are_given_from_a_border_on(storage: Storage) -> None:
    fill(storage, 1, 4, 6)
    found = storage.run_sync(lambda c: ledger.batches(c, 1, 6, max_bytes=1 << 20))
    assert [(batch.first_index, len(batch.entries), batch.certificate) for batch in found] == [
        (1, 3, b"certificate 4"),
        (4, 2, b"certificate 6"),
    ]
    assert storage.run_sync(lambda c: ledger.batches(c, 2, 6, max_bytes=1 << 20))[0].first_index == 4
    assert len(storage.run_sync(lambda c: ledger.batches(c, 0, 6, max_bytes=1))) == 1
    assert storage.run_sync(lambda c: ledger.batches(c, 0, 5, max_bytes=1 << 20))[-1].first_index == 1


def test_dropping_forgets_everything_beyond_a_border(storage: Storage) -> None:
    fill(storage, 1, 4, 6)
    plan = plans.NewPlan(plan_hash=bytes(32), txid=bytes(32), entry_index=4, vault="v", time_ms=1)
    storage.run_sync(lambda c: plans.add(c, [plan]))

    def drop(connection: object) -> None:
        ledger.drop_from(connection, 4)  # type: ignore[arg-type]
        plans.drop_from(connection, 4)  # type: ignore[arg-type]

    storage.run_sync(drop)
    assert storage.run_sync(lambda c: len(ledger.entries(c, 0, 9))) == 4
    assert storage.run_sync(ledger.newest_certificate) == b"certificate 4"
    assert storage.run_sync(lambda c: ledger.entry_of_subject(c, b"subject 4")) is None
    assert storage.run_sync(lambda c: ledger.entry_of_subject(c, b"subject 3")) == (3, b"entry 3")
    assert storage.run_sync(lambda c: plans.by_hash(c, bytes(32))) is None


def test_plan_progress_goes_from_logged_to_signed(storage: Storage) -> None:
    new = [
        plans.NewPlan(plan_hash=bytes([n]) * 32, txid=bytes([n]) * 32, entry_index=n, vault="v", time_ms=5)
        for n in range(3)
    ]
    storage.run_sync(lambda c: plans.add(c, new))
    storage.run_sync(lambda c: plans.mark_signed(c, new[0].plan_hash, b"raw", 6))
    storage.run_sync(lambda c: plans.mark_refused(c, new[1].plan_hash, ["s1: FROZEN"], 7))
    assert [row.entry_index for row in storage.run_sync(lambda c: plans.unsigned(c, below=9, limit=9))] == [2, 1]
    assert [row.entry_index for row in storage.run_sync(lambda c: plans.unsigned(c, below=2, limit=9))] == [1]
    signed = storage.run_sync(lambda c: plans.by_hash(c, new[0].plan_hash))
    assert signed is not None
    assert (signed.stage, signed.raw_transaction, signed.updated_ms) == ("signed", b"raw", 6)
    refused = storage.run_sync(lambda c: plans.by_hash(c, new[1].plan_hash))
    assert refused is not None
    assert refused.refusals == ("s1: FROZEN",)


def test_remembered_state_follows_what_was_folded(storage: Storage) -> None:
    store = storage.key_value()
    key = os.urandom(20)
    assert store.get(key) is None
    storage.run_sync(lambda c: ledger.save_folded(c, {key: b"new"}))
    store.learned({key: b"new"})
    assert store.get(key) == b"new"
    store.forget()
    assert store.get(key) == b"new"


def test_state_is_kept_in_memory_only_up_to_its_bound(url: str) -> None:
    migrate(url)
    storage = Storage.open(url, cached_keys=2)
    rows = {bytes([n]): bytes([n]) for n in range(5)}
    storage.run_sync(lambda c: ledger.save_folded(c, rows))
    store = storage.key_value()
    assert [store.get(key) for key in rows] == list(rows.values())
    assert len(store._known) == 2
    storage.close()


async def test_plan_that_a_block_excludes_waits_for_no_signatures(storage: Storage) -> None:
    new = plans.NewPlan(plan_hash=bytes(32), txid=bytes(32), entry_index=3, vault="customer-1", time_ms=1)
    row = chain.OutcomeRow(plan_hash=new.plan_hash, height=7, txid=b"\x01" * 32)

    def work(connection: Connection) -> None:
        plans.add(connection, [new])
        plans.mark_refused(connection, new.plan_hash, ["s1: LOCAL_FREEZE"], 2)
        assert [item.plan_hash for item in plans.unsigned(connection, below=9, limit=9)] == [new.plan_hash]
        chain.add_outcomes(connection, [row], own=set(), now_ms=3)
        plans.mark_refused(connection, new.plan_hash, ["s1: ORDER_EXPIRED"], 4)
        assert plans.unsigned(connection, below=9, limit=9) == []

    await storage.run(work)


def test_a_database_of_the_first_release_keeps_everything_and_gains_the_table_of_evidence(
    url: str, tmp_path: Path
) -> None:
    engine = create_engine(url)
    config = alembic_config()
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        ledger.write_meta(connection, "log_id", b"x" * 32)
    engine.dispose()
    with pytest.raises(BadSchema, match="schema 0001, this release needs 0004"):
        Storage.open(url)
    assert migrate(url) == "0004"
    storage = Storage.open(url)
    try:
        assert storage.run_sync(lambda connection: ledger.read_meta(connection, "log_id")) == b"x" * 32
        assert storage.run_sync(evidence.unsettled) == []
    finally:
        storage.close()
    assert (tmp_path / "coordinator.db").is_file()


def evidence_row(number: int, **changed: object) -> evidence.EvidenceRow:
    parts: dict[str, object] = {
        "number": 0,
        "hash": bytes((number,)) * 32,
        "signer": "s1",
        "fault": "wrong-share",
        "term": 3,
        "plan_hash": bytes(32),
        "detail": "it is wrong",
        "size": 6,
        "found_ms": 1_000 + number,
        "orders_before": 4,
        **changed,
    }
    return evidence.EvidenceRow(**parts)  # type: ignore[arg-type]


def test_evidence_is_unsettled_until_operator_and_order_have_spoken(storage: Storage) -> None:
    first, second = evidence_row(1), evidence_row(2)

    def work(connection: Connection) -> None:
        evidence.add(connection, first, b"record")
        evidence.add(connection, second, b"record")
        evidence.add(connection, first, b"another")

    storage.run_sync(work)
    assert [row.hash for row in storage.run_sync(evidence.unsettled)] == [first.hash, second.hash]
    assert storage.run_sync(lambda connection: evidence.data_of(connection, first.hash)) == b"record"
    storage.run_sync(
        lambda connection: evidence.set_statement(connection, first.hash, body=b"body", signature=b"s" * 64)
    )
    assert [row.operator_cleared for row in storage.run_sync(evidence.unsettled)] == [True, False]
    storage.run_sync(lambda connection: evidence.set_order(connection, first.hash, b"o" * 32))
    assert [row.hash for row in storage.run_sync(evidence.unsettled)] == [second.hash]
    newest, older = storage.run_sync(lambda connection: evidence.page(connection, below=None, limit=10))
    assert (newest.hash, older.hash, older.is_settled, newest.is_settled) == (second.hash, first.hash, True, False)
    assert [
        row.hash for row in storage.run_sync(lambda connection: evidence.page(connection, below=newest.number, limit=1))
    ] == [first.hash]


def test_redistributions_that_nobody_waits_for_are_deleted_and_the_others_kept(storage: Storage) -> None:
    order, ended = b"o" * 32, b"e" * 32
    places = [(order, "done"), (order, "waiting"), (ended, "waiting")]
    for order_hash, vault in places:
        row = redistributions.StoredRedistribution(order_hash=order_hash, vault=vault, attempt=1, snapshot=b"said")
        storage.run_sync(lambda connection, row=row: redistributions.save(connection, row))
    waiting = {(order, "waiting")}
    assert storage.run_sync(lambda connection: redistributions.forget_others(connection, waiting)) == 2
    left = [
        place
        for place in places
        if storage.run_sync(lambda connection, place=place: redistributions.find(connection, *place)) is not None
    ]
    assert left == [(order, "waiting")]
    assert storage.run_sync(lambda connection: redistributions.forget_others(connection, waiting)) == 0
