"""A damaged coordinator database is named, with what to do, and nothing is built on it."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from strongroom_coordinator.errors import StorageFailed
from strongroom_coordinator.storage import ledger
from strongroom_coordinator.storage.engine import Storage
from strongroom_coordinator.storage.migrating import migrate


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "coordinator.db"
    migrate(f"sqlite:///{path}")
    storage = Storage.open(f"sqlite:///{path}")

    def fill(connection: object) -> None:
        entries = [b"entry %d" % number for number in range(2_000)]
        ledger.save_batch(connection, first_index=0, entries=entries, subjects={b"subject": 1})  # type: ignore[arg-type]
        ledger.save_folded(connection, {b"key": b"value"})  # type: ignore[arg-type]

    storage.run_sync(fill)
    storage.close()
    return path


def opened(path: Path) -> Storage:
    return Storage.open(f"sqlite:///{path}")


def change(path: Path, table: str, column: str, where: str) -> None:
    with sqlite3.connect(path) as damage:
        ((value,),) = damage.execute(f"SELECT {column} FROM {table} WHERE {where}")
        damage.execute(f"UPDATE {table} SET {column} = ? WHERE {where}", (bytes([value[0] ^ 1]) + value[1:],))
    damage.close()


def test_what_was_written_reads_back(path: Path) -> None:
    storage = opened(path)
    assert storage.key_value().get(b"key") == b"value"
    assert storage.run_sync(lambda connection: ledger.entries(connection, 1, 3)) == (b"entry 1", b"entry 2")
    assert storage.run_sync(lambda connection: ledger.entry_of_subject(connection, b"subject")) == (1, b"entry 1")
    storage.close()


def test_a_changed_row_of_the_state_is_no_answer(path: Path) -> None:
    """With it the coordinator would compute another state than the signers, for ever, and not know why."""
    change(path, "ledger_state", "value", "key = CAST('key' AS BLOB)")
    storage = opened(path)
    with pytest.raises(StorageFailed, match=r"coordinator\.db: a row of the state .* comes back from the signers"):
        storage.key_value().get(b"key")
    storage.close()


def test_a_changed_entry_is_no_answer(path: Path) -> None:
    change(path, "ledger_entry", "entry", "entry_index = 1")
    storage = opened(path)
    with pytest.raises(StorageFailed, match="entry 1 in the database"):
        storage.run_sync(lambda connection: ledger.entries(connection, 0, 3))
    with pytest.raises(StorageFailed, match="entry 1 in the database"):
        storage.run_sync(lambda connection: ledger.entry_of_subject(connection, b"subject"))
    storage.close()


def test_damaged_pages_are_found_at_the_start(path: Path) -> None:
    data = bytearray(path.read_bytes())
    middle = len(data) // 2 // 4096 * 4096
    data[middle : middle + 4096] = bytes(byte ^ 0x5A for byte in data[middle : middle + 4096])
    path.write_bytes(data)
    with pytest.raises(StorageFailed, match=r"coordinator\.db .* move its files away"):
        opened(path)


def test_an_address_with_a_password_is_not_repeated_in_an_error() -> None:
    with pytest.raises(StorageFailed) as caught:
        Storage.open("nosuch+driver://user:hunter2-secret@host/db")
    assert "hunter2" not in str(caught.value)
