"""Blocks since the last clean stop: the kernel writes its databases when it closes, a killed node reads them here."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path


class Journal:
    """An append-only file of blocks, each with its length in front, handed to the operating system at once."""

    def __init__(self, path: Path) -> None:
        """Open or create the file; a last block that a kill cut short is dropped."""
        self._file = path.open("a+b")
        self._blocks = list(self._read())
        self._file.truncate(sum(4 + len(block) for block in self._blocks))

    def _read(self) -> Iterator[bytes]:
        self._file.seek(0)
        while len(prefix := self._file.read(4)) == 4:
            (length,) = struct.unpack("<I", prefix)
            block = self._file.read(length)
            if len(block) < length:
                return
            yield block

    def take(self) -> list[bytes]:
        """The blocks that were in the file when it was opened, oldest first; they stay in the file."""
        blocks, self._blocks = self._blocks, []
        return blocks

    def append(self, block: bytes) -> None:
        """Add one block; it survives the end of this process, not a loss of power."""
        self._file.write(struct.pack("<I", len(block)) + block)
        self._file.flush()

    def clear(self) -> None:
        """Forget all blocks: the kernel has them on disk."""
        self._file.truncate(0)

    def close(self) -> None:
        """Close the file."""
        self._file.close()
