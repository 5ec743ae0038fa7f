"""The target of the write-ahead file that lies beside a signer's database when it starts after a kill."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Final, Literal

from fuzz_target import choice, scratch, target, total

from strongroom_signer.store import Store
from strongroom_signer.write_ahead import problem_of_wal

_HEADER: Final = 32
_FRAME_HEADER: Final = 24
_MASK: Final = 0xFFFFFFFF
_MAGIC: Final = bytes.fromhex("377f06")
_PAGE_SIZES: Final = (512, 1_024, 2_048, 4_096, 8_192, 16_384, 32_768, 65_536)


@lru_cache(maxsize=1)
def folder() -> Path:
    return scratch("fuzz-")


@lru_cache(maxsize=1)
def killed() -> tuple[bytes, bytes]:
    """The database and the write-ahead file of a signer that was killed."""
    path = folder() / "alive.db"
    Store.create(path).close()
    store = Store.open(path)
    with store.commit() as write:
        write.set_voter(b"a vote")
    found = path.read_bytes(), path.with_name("alive.db-wal").read_bytes()
    store.close()
    return found


def log_with_pages_of(page_size: int) -> bytes:
    """A write-ahead file of SQLite's own with three commits."""
    path = folder() / "other.db"
    for file in folder().glob("other.db*"):
        file.unlink()
    database = sqlite3.connect(path, isolation_level=None)
    database.execute(f"PRAGMA page_size = {page_size}")
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("CREATE TABLE thing (data BLOB)")
    for number in range(2):
        database.execute("INSERT INTO thing VALUES (?)", (bytes([number]) * 40,))
    found = path.with_name("other.db-wal").read_bytes()
    database.close()
    return found


def seeds() -> Iterator[bytes]:
    small, real = log_with_pages_of(512), killed()[1]
    frame = _FRAME_HEADER + 512
    for log in (small, real):
        for how in range(len(_MENDED)):
            yield bytes([how]) + log
    for size in (0, 4, 7, 12, 256, 513, 1_024, 4_096, 65_536, 131_072, _MASK):
        # The checksum of the header is made to fit again.
        yield b"\1" + small[:8] + size.to_bytes(4, "big") + small[12:]
    yield b"\0" + small[:17] + b"\xff" + small[18:]
    yield b"\0" + small[: _HEADER + frame + 40] + b"\xff" + small[_HEADER + frame + 41 :]
    yield b"\0" + small[:-200]
    yield b"\0" + real[: _HEADER + 10]
    yield b"\2" + small[:3] + b"\x83" + small[4:]
    yield b"\2" + real[: _HEADER + _FRAME_HEADER] + bytes(4_096)


def as_it_is(data: bytes) -> bytes:
    return data


def with_header(data: bytes) -> bytes:
    """The magic number and the header's checksum put right: beyond them, everything is up to the input."""
    if len(data) < _HEADER:
        return data
    head = _MAGIC + bytes([0x82 | data[3] & 1]) + data[4:24]
    return head + _stored(_sums(head, _order(head), (0, 0))) + data[_HEADER:]


def with_frames(data: bytes) -> bytes:
    """Every frame put right too, so that pages of the input's own making count."""
    data = with_header(data)
    page_size = int.from_bytes(data[8:12], "big")
    if len(data) < _HEADER or page_size not in _PAGE_SIZES:
        return data
    order, salts = _order(data), data[16:24]
    sums = int.from_bytes(data[24:28], "big"), int.from_bytes(data[28:32], "big")
    parts, size = [data[:_HEADER]], _FRAME_HEADER + page_size
    for at in range(_HEADER, len(data) - size + 1, size):
        page = data[at + _FRAME_HEADER : at + size]
        sums = _sums(data[at : at + 8] + page, order, sums)
        parts += [data[at : at + 8], salts, _stored(sums), page]
    return b"".join(parts)


_MENDED: Final[tuple[Callable[[bytes], bytes], ...]] = (as_it_is, with_header, with_frames)


def _order(data: bytes) -> Literal["little", "big"]:
    return "big" if data[3] & 1 else "little"


def _sums(data: bytes, order: Literal["little", "big"], start: tuple[int, int]) -> tuple[int, int]:
    first, second = start
    for at in range(0, len(data), 8):
        first = first + int.from_bytes(data[at : at + 4], order) + second & _MASK
        second = second + int.from_bytes(data[at + 4 : at + 8], order) + first & _MASK
    return first, second


def _stored(sums: tuple[int, int]) -> bytes:
    return sums[0].to_bytes(4, "big") + sums[1].to_bytes(4, "big")


@target(
    "strongroom_signer.write_ahead:problem_of_wal",
    "strongroom_signer.write_ahead:_fields",
    "strongroom_signer.write_ahead:_checksum",
    "strongroom_signer.store:Store.open",
    seeds=seeds,
    max_bytes=16_384,
)
def write_ahead(data: bytes) -> None:
    """A write-ahead file as the input has it, or with checksums that fit: what is said of it, and whether it opens."""
    mend, rest = choice(data, list(_MENDED))
    log, path = mend(rest), folder() / "signer.db"
    beside = path.with_name("signer.db-wal")
    beside.write_bytes(log)
    problem = problem_of_wal(beside)
    if len(log) >= _HEADER and mend is not as_it_is:
        is_page_size = int.from_bytes(log[8:12], "big") in _PAGE_SIZES
        if (problem == "") > is_page_size or (mend is with_frames and is_page_size > (problem == "")):
            raise ValueError(f"with checksums that fit it is said: {problem!r}")
    path.write_bytes(killed()[0])
    store = total(Store.open, path)
    if store is None:
        return
    total(store.voter)
    total(store.close)
    if problem:
        raise ValueError("a signer starts on a database whose newest commits are lost")
