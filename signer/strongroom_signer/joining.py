"""`join`: a signer that the first charter does not name takes over the log as it stands, on its operator's word.

A signer of the first charter replays the log from its first entry and believes nobody. One that comes years later
would believe old keys that way: witnesses that were replaced long ago could sign it a second history. So its operator
compares a recent head with other operators, and the exported log must hold it.

The log is replayed into a database of its own, which then takes the place of the one that `init` made: whatever
interrupts that leaves the signer as it was, and the next `join` begins again.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from strongroom.model.fingerprints import Compared, is_fingerprint
from strongroom.model.heads import PinnedHead
from strongroom.wire.log_export import LogExportReader
from strongroom_signer.enrolment import DATABASE_FILE, AlreadyEnrolled
from strongroom_signer.keys import copy_keys
from strongroom_signer.log_replay import RecoveryRefused, replay_export
from strongroom_signer.process import FolderLock, sync_folder
from strongroom_signer.store import Pin, Store

__all__ = ["Joined", "join"]

JOINING_FILE: Final = "joining.db"


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """Where the new signer stands.

    Attributes:
        name: The signer's name.
        log_id: The log, 32 bytes.
        size: Entries of the replayed log.
        final_size: How many of them are final.
        admitted: Whether the charter in force lists the signer with this vote key.
    """

    name: str
    log_id: bytes
    size: int
    final_size: int
    admitted: bool


def join(folder: Path, *, exported: BinaryIO, fingerprint: str, head: PinnedHead, now_ms: int) -> Joined:
    """Pin the log of an exported file, and take it over up to its end.

    Args:
        folder: The data folder, as `init` left it.
        exported: The exported log, opened for reading.
        fingerprint: The first charter's, as the operator compared and typed it.
        head: A recent head as the operator compared it.
        now_ms: The time of the pin.

    Raises:
        AlreadyEnrolled: the signer is pinned already.
        RecoveryRefused: file, fingerprint and head do not belong together.
        LogExportInvalid: the file is no whole exported log.
    """
    with FolderLock(folder):
        _discard(folder)
        made = Store.open(folder / DATABASE_FILE)
        try:
            if made.pin() is not None:
                raise AlreadyEnrolled("this signer belongs to a log already: only a new one can join")
            reader = LogExportReader(exported.read)
            if not is_fingerprint(fingerprint, Compared.CHARTER, reader.log_id):
                raise RecoveryRefused(
                    f"the file holds the log {reader.log_id.hex()}, not the one whose fingerprint you typed: "
                    "compare again"
                )
            joining = Store.create(folder / JOINING_FILE)
            try:
                joined = _taken_over(made, joining, reader, head, now_ms)
            finally:
                joining.close()
        except BaseException:
            _discard(folder)
            raise
        finally:
            made.close()
        _take_place(folder)
    return joined


def _take_place(folder: Path) -> None:
    """Let the database with the log be the signer's, before anything is said or voted by it."""
    os.replace(folder / JOINING_FILE, folder / DATABASE_FILE)
    # Else a power cut could give the empty one back after this signer voted, and it would vote a second time.
    sync_folder(folder)


def _taken_over(made: Store, joining: Store, reader: LogExportReader, head: PinnedHead, now_ms: int) -> Joined:
    identity = made.identity()
    copy_keys(made, joining)
    replayed = replay_export(joining, reader, head)
    replayed.stand(joining, identity.name, identity.vote_key)
    with joining.commit() as write:
        write.set_pin(Pin(log_id=reader.log_id, charter=replayed.charter, since_ms=now_ms))
    replica = replayed.replica
    in_force = replica.state(replica.folded_size).charter.signers
    return Joined(
        name=identity.name,
        log_id=reader.log_id,
        size=replica.size,
        final_size=replica.folded_size,
        admitted=any((one.name, one.vote_key) == (identity.name, identity.vote_key) for one in in_force),
    )


def _discard(folder: Path) -> None:
    """Remove what an earlier attempt left: nothing that anybody ever saw or voted by."""
    for end in ("", "-wal", "-shm"):
        (folder / (JOINING_FILE + end)).unlink(missing_ok=True)
