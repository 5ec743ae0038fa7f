"""A joined signer's database takes the place of the first one for good before `join` ends."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from strongroom_signer.enrolment import DATABASE_FILE
from strongroom_signer.joining import JOINING_FILE, _take_place


def test_a_joined_database_is_in_its_place_durably(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A power cut after the signer's first vote must not give the database without that vote back."""
    (tmp_path / DATABASE_FILE).write_bytes(b"as init left it")
    (tmp_path / JOINING_FILE).write_bytes(b"with the log")
    durable: list[tuple[Path, bytes]] = []
    synced = os.fsync

    def fsync(descriptor: int) -> None:
        synced(descriptor)
        place = Path(f"/proc/self/fd/{descriptor}").resolve()
        durable.append((place, (tmp_path / DATABASE_FILE).read_bytes()))

    monkeypatch.setattr(os, "fsync", fsync)
    _take_place(tmp_path)
    assert durable == [(tmp_path.resolve(), b"with the log")]
    assert not (tmp_path / JOINING_FILE).exists()
