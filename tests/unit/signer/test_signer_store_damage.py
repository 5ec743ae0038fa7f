"""Damage to signer.db that SQLite alone would not notice: changed rows, and newest commits that are gone."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, cast

import pytest

from strongroom.model.row_check import CHECK_SIZE, verified, with_check
from strongroom_signer.rows import InboxItem, LocalFreeze, Pin
from strongroom_signer.store import Store, StoreFailed
from strongroom_signer.write_ahead import problem_of_wal

PIN = Pin(log_id=bytes(32), charter=b"charter", since_ms=1)
WORD = InboxItem(id=bytes(32), kind="freeze", body=b"a word", since_ms=1)
FREEZE = LocalFreeze(id=bytes(32), vault="hot", why="why", body=b"statement", signature=bytes(64), since_ms=1)
READS: dict[str, tuple[str, Callable[[Store], object]]] = {
    "an entry": ("entry SET data", lambda store: store.entry(0)),
    "one of many entries": ("entry SET data", lambda store: store.entries(0, 2)),
    "the voter state": ("voter SET state", lambda store: store.voter()),
    "the folded state": ("state SET value", lambda store: store.get(b"key")),
    "a certificate": ("certificate SET data", lambda store: store.certificate(2)),
    "the pinned charter": ("pin SET charter", lambda store: store.pin()),
    "a word handed in": ("inbox SET body", lambda store: store.inbox()),
    "the operator's freeze": ("local_freeze SET body", lambda store: store.local_freezes()),
}


def filled(path: Path) -> Store:
    store = Store.create(path)
    with store.commit() as write:
        write.set_pin(PIN)
        write.add_batch(0, [b"first", b"second"], bytes(32), bytes(32))
        write.set_voter(b"voter state")
        write.put_state({b"key": b"value"})
        write.put_certificate(2, 1, b"certificate")
        write.add_inbox(WORD)
        write.add_local_freeze(FREEZE)
    return store


def test_everything_reads_back_as_it_was_written(tmp_path: Path) -> None:
    filled(tmp_path / "signer.db").close()
    store = Store.open(tmp_path / "signer.db")
    assert store.pin() == PIN
    assert store.entries(0, 2) == (store.entry(0), store.entry(1)) == (b"first", b"second")
    assert (store.voter(), store.get(b"key"), store.certificate(2)) == (b"voter state", b"value", b"certificate")
    assert (store.inbox(), store.local_freezes()) == ((WORD,), (FREEZE,))
    store.close()


@pytest.mark.parametrize("what", READS)
@pytest.mark.parametrize("byte", [1, CHECK_SIZE + 1])
def test_a_changed_row_is_no_answer(tmp_path: Path, what: str, byte: int) -> None:
    """One bit in the data or in its check: the row is well-formed for SQLite, and still nothing is read from it."""
    column, read = READS[what]
    path = tmp_path / "signer.db"
    filled(path).close()
    name = column.rsplit(" ", 1)[1]
    with sqlite3.connect(path) as damage:
        ((rowid, value),) = damage.execute(f"SELECT {key_of(column)}, {name} FROM {column.split()[0]} LIMIT 1")
        changed = bytearray(value)
        changed[-byte] ^= 1
        damage.execute(f"UPDATE {column} = ? WHERE {key_of(column)} = ?", (bytes(changed), rowid))
    damage.close()
    store = Store.open(path)
    with pytest.raises(StoreFailed, match="is not what was written"):
        read(store)
    store.close()


def key_of(column: str) -> str:
    return {"entry": "idx", "state": "key", "certificate": "size"}.get(column.split(maxsplit=1)[0], "id")


def test_a_row_moved_to_another_place_is_no_answer() -> None:
    stored = with_check(b"entry/1", b"data")
    assert verified(b"entry/1", stored) == b"data"
    assert verified(b"entry/2", stored) is None
    assert verified(b"entry/1", b"short") is None


def killed(path: Path, *, commits: int = 3) -> tuple[Path, Path]:
    """A database and its write-ahead file as a kill leaves them: copied while the store is open."""
    filled(path).close()
    store = Store.open(path)
    for number in range(commits):
        with store.commit() as write:
            write.set_voter(b"vote %d" % number * 500)
    copy = path.with_name("killed.db")
    shutil.copy(path, copy)
    shutil.copy(path.with_name(path.name + "-wal"), copy.with_name(copy.name + "-wal"))
    store.close()
    return copy, copy.with_name(copy.name + "-wal")


def test_a_kill_is_recovered_from(tmp_path: Path) -> None:
    path, log = killed(tmp_path / "signer.db")
    assert problem_of_wal(log) == ""
    store = Store.open(path)
    assert store.voter() == b"vote 2" * 500
    store.close()
    assert not log.exists()


@pytest.mark.parametrize("commits", [0, 3])
@pytest.mark.parametrize(
    "how",
    [Path.unlink, *(lambda path, left=left: os.truncate(path, left) for left in (0, 1, 31, 32, 56, 4_151))],
)
def test_a_lost_write_ahead_file_is_noticed(tmp_path: Path, how: Callable[[Path], object], commits: int) -> None:
    """SQLite would open the database as it was at the last checkpoint, and the signer would vote a second time."""
    path, log = killed(tmp_path / "signer.db", commits=commits)
    how(log)
    with pytest.raises(StoreFailed, match=r"killed\.db-wal is missing or empty"):
        Store.open(path)


def test_a_look_into_the_database_after_a_kill_does_no_harm(tmp_path: Path) -> None:
    """Another program that opens and closes it moves the write-ahead file into it: nothing is lost."""
    path, log = killed(tmp_path / "signer.db")
    look = sqlite3.connect(path)
    look.execute("SELECT count(*) FROM entry").fetchone()
    look.close()
    assert not log.exists()
    store = Store.open(path)
    assert store.voter() == b"vote 2" * 500
    store.close()


def test_a_lost_write_ahead_file_is_noticed_after_it_was_moved_in_many_times(tmp_path: Path) -> None:
    path = tmp_path / "signer.db"
    filled(path).close()
    store = Store.open(path)
    log = path.with_name("signer.db-wal")
    for number in range(60):
        with store.commit() as write:
            write.set_voter(bytes([number]) * 200_000)
    assert log.stat().st_size < 6 << 20
    copy = path.with_name("killed.db")
    shutil.copy(path, copy)
    store.close()
    with pytest.raises(StoreFailed, match="is missing or empty"):
        Store.open(copy)


def test_a_write_ahead_file_that_is_removed_under_a_running_signer_is_noticed(tmp_path: Path) -> None:
    """What is written to a file without a name is gone with the process: nothing may be promised on it."""
    store = filled(tmp_path / "signer.db")
    (tmp_path / "signer.db-wal").unlink()
    with pytest.raises(StoreFailed, match="was removed"), store.commit() as write:
        write.set_voter(b"lost")
    with pytest.raises(StoreFailed, match="was removed"), store.one_commit():
        pass


def test_a_damaged_frame_with_commits_behind_it_is_noticed(tmp_path: Path) -> None:
    """SQLite would take the file as ending there, and drop the commits behind it without a word."""
    path, log = killed(tmp_path / "signer.db")
    frame = 24 + 4096
    data = bytearray(log.read_bytes())
    frames = (len(data) - 32) // frame
    assert frames >= 3
    for number in range(frames):
        for offset in (5, 10, 17, 24 + 100):
            changed = bytearray(data)
            changed[32 + number * frame + offset] ^= 0x40
            log.write_bytes(changed)
            behind = [
                int.from_bytes(data[32 + n * frame + 4 : 32 + n * frame + 8], "big") for n in range(number, frames)
            ]
            if sum(map(bool, behind[1:])) >= 1 and bool(behind[0]) and offset != 10:
                with pytest.raises(StoreFailed, match="-wal is damaged"):
                    Store.open(path)
            elif sum(map(bool, behind[1:])) >= 2:
                assert "damaged" in problem_of_wal(log)


def test_a_damaged_header_of_the_write_ahead_file_is_noticed(tmp_path: Path) -> None:
    path, log = killed(tmp_path / "signer.db")
    data = bytearray(log.read_bytes())
    data[17] ^= 1
    log.write_bytes(data)
    with pytest.raises(StoreFailed, match="its header is damaged"):
        Store.open(path)


@pytest.mark.parametrize(
    "page_size", [0, 1, 4, 7, 8, 12, 256, 511, 513, 4_100, 6_144, 65_537, 131_072, 2**31, 2**32 - 1]
)
def test_a_write_ahead_file_with_pages_of_no_such_size_is_noticed(tmp_path: Path, page_size: int) -> None:
    """Its checksum fits, and SQLite would drop every commit in it without a word."""
    path, log = killed(tmp_path / "signer.db")
    data = bytearray(log.read_bytes())
    data[8:12] = page_size.to_bytes(4, "big")
    data[24:32] = header_checksum(data)
    log.write_bytes(data)
    with pytest.raises(
        StoreFailed, match=f"killed.db-wal is damaged, its header gives pages of {page_size} bytes"
    ) as told:
        Store.open(path)
    assert "do not run on it and restore no old copy" in str(told.value)


@pytest.mark.parametrize("page_size", [1 << power for power in range(9, 17)])
def test_a_write_ahead_file_with_pages_of_every_size_that_there_is_can_be_read(tmp_path: Path, page_size: int) -> None:
    database = sqlite3.connect(tmp_path / "other.db")
    database.execute(f"PRAGMA page_size = {page_size}")
    assert database.execute("PRAGMA journal_mode = WAL").fetchone() == ("wal",)
    with database:
        database.execute("CREATE TABLE thing (data BLOB)")
    log = tmp_path / "other.db-wal"
    assert log.stat().st_size >= 32 + 24 + page_size
    assert problem_of_wal(log) == ""
    database.close()


def header_checksum(header: bytes | bytearray) -> bytes:
    """As SQLite makes it, over six words in the byte order that the magic number names."""
    order: Literal["little", "big"] = "big" if header[3] & 1 else "little"
    first = second = 0
    for at in range(0, 24, 8):
        first = first + int.from_bytes(header[at : at + 4], order) + second & 0xFFFFFFFF
        second = second + int.from_bytes(header[at + 4 : at + 8], order) + first & 0xFFFFFFFF
    return first.to_bytes(4, "big") + second.to_bytes(4, "big")


def test_a_last_commit_cut_short_is_what_a_power_cut_leaves(tmp_path: Path) -> None:
    path, log = killed(tmp_path / "signer.db")
    data = log.read_bytes()
    log.write_bytes(data[:-2_000])
    store = Store.open(path)
    assert store.voter() == b"vote 1" * 500
    store.close()


def test_an_empty_database_is_said_to_be_empty(tmp_path: Path) -> None:
    path = tmp_path / "signer.db"
    path.write_bytes(b"")
    with pytest.raises(StoreFailed, match="is empty"):
        Store.open(path)


def test_damaged_pages_are_found_after_a_clean_stop_too(tmp_path: Path) -> None:
    path = tmp_path / "signer.db"
    store = Store.create(path)
    with store.commit() as write:
        write.add_batch(0, [b"entry %d" % number for number in range(4_000)], bytes(32), bytes(32))
    store.close()
    data = bytearray(path.read_bytes())
    middle = len(data) // 2 // 4096 * 4096
    data[middle : middle + 4096] = bytes(4096)
    path.write_bytes(data)
    with pytest.raises(StoreFailed, match="is damaged"):
        Store.open(path)


def test_a_page_that_is_damaged_under_a_running_signer_is_found_on_read(tmp_path: Path) -> None:
    """More than SQLite keeps in memory, so that it reads from the disk again."""
    path = tmp_path / "signer.db"
    entries = [b"%06d" % number * 200 for number in range(6_000)]
    store = Store.create(path)
    with store.commit() as write:
        write.add_batch(0, entries, bytes(32), bytes(32))
    store.close()
    store = Store.open(path)
    data = path.read_bytes()
    at = data.index(b"000100" * 100)
    with path.open("r+b") as file:
        file.seek(at)
        file.write(b"x")
    with pytest.raises(StoreFailed, match="a row of entry is not what was written"):
        store.entries(0, 6_000)
    assert store.entry(5_999) == entries[-1]
    store.close()


class Photographer:
    """A connection whose files are copied after every statement, as a kill at that moment would leave them."""

    def __init__(self, connection: Any, path: Path, folder: Path) -> None:
        self._connection, self._path, self._folder = connection, path, folder
        self.pictures: list[Path] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def execute(self, *arguments: Any) -> Any:
        cursor = self._connection.execute(*arguments)
        picture = self._folder / f"{len(self.pictures)}.db"
        shutil.copy(self._path, picture)
        shutil.copy(self._path.with_name("signer.db-wal"), picture.with_name(picture.name + "-wal"))
        self.pictures.append(picture)
        return cursor


def test_a_kill_while_the_write_ahead_file_is_moved_in_is_recovered_from(tmp_path: Path) -> None:
    path = tmp_path / "signer.db"
    filled(path).close()
    store = Store.open(path)
    with store.commit() as write:
        write.set_voter(b"before" * 1_000_000)
    camera = Photographer(store._db, path, tmp_path)
    store._db = cast("sqlite3.Connection", camera)
    with store.commit() as write:
        write.set_voter(b"after")
    assert len(camera.pictures) >= 5
    seen = []
    for picture in camera.pictures:
        copy = Store.open(picture)
        seen.append(copy.voter())
        copy.close()
    assert seen == [b"before" * 1_000_000] * (len(seen) - 1) + [b"after"]
