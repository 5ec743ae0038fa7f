"""The folder of evidence files: one JSON file per record, named by its hash, ready to be mailed to an auditor."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import structlog

from strongroom.protocol.evidence_file import (
    MAX_FILE_BYTES,
    EvidenceFileInvalid,
    read_evidence_file,
    write_evidence_file,
)
from strongroom_coordinator.errors import StorageFailed

__all__ = ["EvidenceFiles"]

log = structlog.get_logger()

MAX_FILES: Final = 1_000
"""Read at a start; a folder with more was filled by somebody else."""


class EvidenceFiles:
    """The files in one folder, which is made when the first is written."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, name: bytes) -> Path:
        """Where the record of this hash lies."""
        return self._folder / f"{name.hex()}.json"

    def has(self, name: bytes) -> bool:
        """Whether the file is there."""
        return self.path(name).is_file()

    def write(self, name: bytes, data: bytes) -> None:
        """Write a record's file, whole or not at all.

        Raises:
            StorageFailed: it cannot be written.
        """
        path = self.path(name)
        fresh = path.with_suffix(".new")
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            with fresh.open("wb") as file:
                file.write(write_evidence_file(data))
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(path)
        except OSError as error:
            raise StorageFailed(f"{path} cannot be written: {error.strerror or error}") from error

    def read_all(self) -> Iterator[bytes]:
        """Every record in the folder, not verified; files that hold none are left alone."""
        for path in sorted(self._folder.glob("*.json"))[:MAX_FILES]:
            try:
                with path.open("rb") as file:
                    yield read_evidence_file(file.read(MAX_FILE_BYTES + 1))
            except OSError as error:
                log.warning("evidence.file_ignored", file=path.name, message=error.strerror or str(error))
            except EvidenceFileInvalid as error:
                log.warning("evidence.file_ignored", file=path.name, reason=error.reason, message=error.message)
