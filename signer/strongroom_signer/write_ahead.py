"""Whether commits were lost from the database's write-ahead file.

SQLite takes a write-ahead file with a damaged frame for one that ends before it, and drops the commits behind it. So
the file of a signer that did not stop cleanly is looked at before SQLite is.

Spec: the SQLite file format, section 4, "The Write-Ahead Log".
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final

__all__ = ["FIRST_FRAME_BYTES", "problem_of_wal"]

_WAL_HEADER: Final = 32
_FRAME_HEADER: Final = 24
FIRST_FRAME_BYTES: Final = _WAL_HEADER + _FRAME_HEADER
"""Before the page of the first frame."""
_MAGIC_LITTLE: Final = 0x377F0682
_MAGIC_BIG: Final = 0x377F0683
_MASK: Final = 0xFFFFFFFF
_PAGE_SIZES: Final = frozenset(1 << power for power in range(9, 17))
"""What a page may have, in bytes: powers of two from 512 to 65536."""


def problem_of_wal(path: Path) -> str:
    """Say what shows that commits were lost from a write-ahead file; empty when nothing does.

    A power cut may leave the last commit half written, of which nothing was said to anybody. A frame that does not fit
    with a whole commit behind it is no power cut: every commit was durable before the next one began.
    """
    with path.open("rb") as file:
        data = memoryview(file.read())
    if len(data) < _WAL_HEADER:
        return ""
    magic, _, page_size, _, salt1, salt2, sum1, sum2 = struct.unpack(">8I", data[:_WAL_HEADER])
    order = {_MAGIC_LITTLE: "<", _MAGIC_BIG: ">"}.get(magic)
    if order is None or _checksum(data[:24], order, (0, 0)) != (sum1, sum2):
        return "its header is damaged"
    if page_size not in _PAGE_SIZES:
        # A checksum is no signature: it fits what anybody wrote. SQLite would take such a file for an empty one.
        return f"its header gives pages of {page_size} bytes"
    frames = _frames(data, page_size)
    salts, sums = (salt1, salt2), (sum1, sum2)
    for number, (header, page) in enumerate(frames, start=1):
        fields = struct.unpack(">6I", header)
        if fields[2:4] == salts:
            sums = _checksum(page, order, _checksum(header[:8], order, sums))
            if fields[4:] == sums:
                continue
        behind = [bool(commit) for commit, *found in _fields(frames) if tuple(found) == salts]
        # The frame itself may have been the last of its commit, so one whole commit behind it is enough.
        ended_here = bool(fields[1]) and fields[2:4] == salts
        if ended_here + sum(behind) > 1 or (any(behind) and not behind[-1]):
            return f"its frame {number} is damaged"
        return ""
    return ""


def _frames(data: memoryview, page_size: int) -> Iterator[tuple[memoryview, memoryview]]:
    size = _FRAME_HEADER + page_size
    for start in range(_WAL_HEADER, len(data) - size + 1, size):
        yield data[start : start + _FRAME_HEADER], data[start + _FRAME_HEADER : start + size]


def _fields(frames: Iterator[tuple[memoryview, memoryview]]) -> Iterator[tuple[int, int, int]]:
    for header, _ in frames:
        yield struct.unpack(">4x3I", header[:16])


def _checksum(data: memoryview, order: str, start: tuple[int, int]) -> tuple[int, int]:
    first, second = start
    words = struct.unpack(f"{order}{len(data) // 4}I", data)
    for one, two in zip(words[::2], words[1::2], strict=True):
        first = (first + one + second) & _MASK
        second = (second + two + first) & _MASK
    return first, second
