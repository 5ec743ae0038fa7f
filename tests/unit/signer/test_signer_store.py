"""The database: durable together or not at all, one process at a time, and never a guess about what it cannot read."""

from __future__ import annotations

import sqlite3
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from strongroom.model.errors import StrongroomError
from strongroom_signer.process import FolderInUse, FolderLock, write_private
from strongroom_signer.store import Alarm, DiskFull, InboxItem, Pin, Store, StoreFailed, Writer
from strongroom_signer.writer import KNOWN_VALUE_BYTES


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store.create(tmp_path / "signer.db")
    yield made
    made.close()


def batch(write: Writer, first: int, count: int) -> None:
    write.add_batch(first, [b"entry %d" % number for number in range(first, first + count)], bytes(32), bytes(32))


class Interrupted(StrongroomError):
    """A refusal in the middle of a commit."""


def interrupted(store: Store, work: Callable[[Writer], None]) -> None:
    with store.commit() as write:
        work(write)
        raise Interrupted("in the middle")


def refused_after_writing(store: Store) -> None:
    with store.one_commit():
        with store.commit() as write:
            write.set_voter(b"alarm")
        raise Interrupted("in the middle")


def test_database_file_is_private_and_durable(store: Store) -> None:
    assert stat.S_IMODE(store.path.stat().st_mode) == 0o600
    assert store._db.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    assert store._db.execute("PRAGMA synchronous").fetchone()[0] == 2
    assert store._db.execute("PRAGMA locking_mode").fetchone()[0] == "exclusive"


def test_every_table_is_strict(store: Store) -> None:
    tables = store._db.execute("SELECT name, strict FROM pragma_table_list WHERE schema = 'main'").fetchall()
    assert len(tables) > 10
    assert [name for name, strict in tables if not strict and not name.startswith("sqlite_")] == []


def test_commit_that_fails_leaves_nothing(store: Store) -> None:
    with pytest.raises(Interrupted):
        interrupted(store, lambda write: batch(write, 0, 3))
    assert (store.size(), store.voter()) == (0, None)


def test_joined_commits_become_durable_together(store: Store) -> None:
    with store.one_commit():
        with store.commit() as write:
            batch(write, 0, 1)
        with pytest.raises(Interrupted):
            interrupted(store, lambda write: batch(write, 1, 1))
        with store.commit() as write:
            write.set_counter("released", 1)
    assert (store.size(), store.voter(), store.counter("released")) == (1, None, 1)


def test_joined_commits_survive_a_refusal_inside(store: Store) -> None:
    with pytest.raises(Interrupted):
        refused_after_writing(store)
    assert store.voter() == b"alarm"


def test_joined_commit_that_finds_the_disk_full_is_fatal(store: Store) -> None:
    with pytest.raises(StoreFailed), store.one_commit():
        raise DiskFull("no space")


def test_joined_commits_fall_together_when_one_of_them_cannot_be_written(store: Store) -> None:
    store._db.execute("CREATE TEMP TRIGGER broken BEFORE INSERT ON voter BEGIN SELECT RAISE(ABORT, 'disk'); END")

    def both() -> None:
        with store.one_commit():
            with store.commit() as write:
                batch(write, 0, 1)
                write.put_state({b"key": b"value"})
            with store.commit() as write:
                write.set_voter(b"state")

    with pytest.raises(StoreFailed):
        both()
    assert (store.size(), store.voter(), store.get(b"key")) == (0, None, None)
    store._db.execute("DROP TRIGGER broken")
    both()
    assert (store.size(), store.voter(), store.get(b"key")) == (1, b"state", b"value")


def test_what_was_not_committed_is_gone_after_a_kill(tmp_path: Path) -> None:
    store = Store.create(tmp_path / "signer.db")
    with store.commit() as write:
        batch(write, 0, 2)
    store._db.execute("BEGIN IMMEDIATE")
    batch(Writer(store._db), 2, 2)
    # The kernel closes a killed process's files; nothing is rolled back by hand.
    store._db.close()
    again = Store.open(tmp_path / "signer.db")
    assert again.size() == 2
    again.close()


def test_second_process_is_kept_out(store: Store, tmp_path: Path) -> None:
    with store.commit() as write:
        write.set_counter("x", 1)
    with pytest.raises(StoreFailed):
        Store.open(tmp_path / "signer.db")


def test_folder_lock_is_held_by_one(tmp_path: Path) -> None:
    with FolderLock(tmp_path), pytest.raises(FolderInUse):
        FolderLock(tmp_path)
    FolderLock(tmp_path).release()


def test_missing_damaged_and_foreign_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "signer.db"
    with pytest.raises(StoreFailed, match="init"):
        Store.open(path)
    path.write_bytes(b"this is no database, and long enough to look like one" * 100)
    with pytest.raises(StoreFailed):
        Store.open(path)
    path.unlink()
    sqlite3.connect(path).execute("CREATE TABLE other (x)").connection.close()
    with pytest.raises(StoreFailed, match="schema"):
        Store.open(path)


def test_newer_schema_is_refused(tmp_path: Path) -> None:
    store = Store.create(tmp_path / "signer.db")
    store._db.execute("PRAGMA user_version = 99")
    store.close()
    with pytest.raises(StoreFailed, match="upgrade"):
        Store.open(tmp_path / "signer.db")


def test_damaged_pages_are_found_after_an_unclean_stop(tmp_path: Path) -> None:
    path = tmp_path / "signer.db"
    store = Store.create(path)
    with store.commit() as write:
        batch(write, 0, 4_000)
    store._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    store._db.close()
    data = bytearray(path.read_bytes())
    middle = len(data) // 2 // 4096 * 4096
    data[middle : middle + 4096] = bytes(4096)
    path.write_bytes(data)
    with pytest.raises(StoreFailed):
        Store.open(path)


@pytest.mark.attack(
    line="machine",
    title='damaged storage read as "nothing was used"',
    origin="fail-open storage: an unreadable counter read as no usage",
)
def test_missing_entries_are_no_empty_answer(store: Store) -> None:
    with store.commit() as write:
        batch(write, 0, 3)
        write._db.execute("DELETE FROM entry WHERE idx = 1")
    with pytest.raises(StoreFailed):
        store.entries(0, 3)


def test_truncate_drops_batches_entries_and_certificates(store: Store) -> None:
    with store.commit() as write:
        batch(write, 0, 2)
        batch(write, 2, 2)
        write.put_certificate(2, 1, b"low")
        write.put_certificate(4, 1, b"high")
        write.truncate(2)
    assert (store.size(), store.entry(2), store.certificate(4), store.certificate(2)) == (2, None, None, b"low")


def test_certificate_of_an_older_term_does_not_replace_a_newer(store: Store) -> None:
    with store.commit() as write:
        write.put_certificate(2, 5, b"newer")
        write.put_certificate(2, 4, b"older")
    assert store.certificate(2) == b"newer"


def test_shares_and_marks_are_written_once(store: Store) -> None:
    with store.commit() as write:
        write.add_share("v", 1, b"sealed")
    with pytest.raises(StoreFailed), store.commit() as write:
        write.add_share("v", 1, b"other")
    assert store.share("v", 1) == b"sealed"
    for expected in (True, False):
        try:
            with store.commit() as write:
                write.mark_nonce(bytes(16), boot_id=bytes(16), term=1, entry_index=0, plan_hash=bytes(32), time_ms=0)
        except StoreFailed:
            assert not expected
        else:
            assert expected


def test_pin_is_written_once(store: Store) -> None:
    pin = Pin(log_id=bytes(32), charter=b"charter", since_ms=1)
    with store.commit() as write:
        write.set_pin(pin)
    with pytest.raises(StoreFailed), store.commit() as write:
        write.set_pin(Pin(log_id=bytes([1]) * 32, charter=b"other", since_ms=2))
    assert store.pin() == pin


def test_inbox_and_alarms_keep_their_first_age(store: Store) -> None:
    for time_ms in (1, 2):
        with store.commit() as write:
            write.add_inbox(InboxItem(id=bytes(32), kind="freeze", body=b"body", since_ms=time_ms))
            write.add_alarm(Alarm(reason="CLOCK_DRIFT", message="x", evidence=b"", since_ms=time_ms))
    assert [item.since_ms for item in store.inbox()] == [1]
    assert [alarm.since_ms for alarm in store.alarms()] == [1]


def test_payments_of_one_day_are_added_up_by_asset(store: Store) -> None:
    with store.commit() as write:
        for number, (asset, amount, time_ms) in enumerate((("a", 5, 10), ("a", 7, 20), ("b", 11, 20))):
            write.add_payment(bytes([number]) * 32, asset, amount, time_ms)
        write.add_payment(bytes([1]) * 32, "a", 1_000, 30)
    assert store.paid_since("a", 0, without=()) == 12
    assert store.paid_since("a", 10, without=()) == 7
    assert store.paid_since("a", 0, without=[bytes([1]) * 32]) == 5


def test_private_files_are_whole_and_never_replaced_unasked(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_private(path, b"first")
    with pytest.raises(FileExistsError):
        write_private(path, b"second")
    assert path.read_bytes() == b"first"
    write_private(path, b"third", replace=True)
    assert path.read_bytes() == b"third"
    assert sorted(child.name for child in tmp_path.iterdir()) == ["file"]


def test_state_read_before_an_undone_write_is_what_is_stored_afterwards(store: Store) -> None:
    with store.commit() as write:
        write.put_state({b"key": b"old"})

    def fail_after_writing() -> None:
        with store.commit() as write:
            write.put_state({b"key": b"new", b"other": b"new"})
            assert (store.get(b"key"), store.get(b"other")) == (b"new", b"new")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_after_writing()
    assert (store.get(b"key"), store.get(b"other")) == (b"old", None)
    with store.commit() as write:
        write.put_state({b"key": b"newest", b"other": b"newest"})
    assert (store.get(b"key"), store.get(b"other")) == (b"newest", b"newest")


def test_long_rows_of_the_state_are_not_kept_in_memory_and_never_read_stale(store: Store) -> None:
    short, long = b"s" * KNOWN_VALUE_BYTES, b"l" * (KNOWN_VALUE_BYTES + 1)
    for value in (short, long, short, long):
        with store.commit() as write:
            write.put_state({b"key": value})
        assert store.get(b"key") == store.get(b"key") == value
        assert sum(map(len, filter(None, store._known.values()))) <= KNOWN_VALUE_BYTES
