"""The exported log of this signer: everything certified, and the recovery data beside it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from strongroom.ledger.state import State
from strongroom.model.errors import Kind, StrongroomError
from strongroom.model.ids import LogId
from strongroom.wire.log_export import LogExportWriter
from strongroom_signer.store import Store

__all__ = ["ExportBroken", "ExportExists", "NothingToExport", "export", "write_export"]


class NothingToExport(StrongroomError):
    """This signer holds no certified entry yet."""

    reason = "NOTHING_TO_EXPORT"
    kind = Kind.FAILED_PRECONDITION
    remedy = "wait until it has caught up with the log"


class ExportExists(StrongroomError):
    """A file of that name is there and was left as it is: choose another name, or give --replace."""

    reason = "EXPORT_EXISTS"
    kind = Kind.ALREADY_EXISTS
    remedy = "choose another name, or give `--replace`"


class ExportBroken(StrongroomError):
    """The log went another way while it was exported, and nothing was kept; export it again."""

    reason = "LOG_EXPORT_BROKEN"
    kind = Kind.ABORTED


def export(store: Store, log_id: LogId) -> Iterator[bytes]:
    """The exported log, in pieces of one batch each; the store may be written between them.

    It reaches the newest certificate, or the entry that founded the log anew. Recovery data of entries beyond that is
    in it as well, and harms nothing.

    Raises:
        NothingToExport: there is no certified entry.
        ExportBroken: a change of the term took entries back meanwhile, or shares that the file ends with were replaced.
        StoreFailed: the database is damaged.
    """
    before = store.recovery_hashes()
    end = max(store.certified_size(), State(store, log_id).founded_size)
    if end == 0:
        raise NothingToExport("no entry is certified here yet: there is no log to export")
    certificate = store.certificate(end)
    writer = LogExportWriter(log_id)
    yield writer.begin()
    size = 0
    while size < end:
        border = store.batch_at(size)
        if border is None or border[0] != size or border[1] > end:
            raise ExportBroken("the log went another way while it was exported: export it again")
        size = border[1]
        yield writer.batch(border[0], store.entries(*border), store.certificate(size) or b"")
    if store.certificate(end) != certificate:
        raise ExportBroken("the newest certificate changed while the log was exported: export it again")
    names = store.recovery_hashes()
    if not before <= names:
        # The file ends in shares whose data is deleted by now: as a backup it would move nothing.
        raise ExportBroken("a vault got new shares while the log was exported: export it again")
    bodies = (store.recovery(one) for one in names)
    yield from writer.recovery([one for one in bodies if one is not None])
    yield writer.end()


def write_export(file: Path, pieces: Iterable[bytes], *, replace: bool = False) -> int:
    """Write an export to a file, which appears only when it is whole; returns its bytes.

    Args:
        file: The file to make.
        pieces: The export.
        replace: Take the place of a file of that name, which stays until the new one is whole and on the disk.

    Raises:
        ExportExists: there is a file of that name, and `replace` was not given.
        OSError: the disk is full, or cannot be written.
    """
    taken = ExportExists(f"{file} is there already and is not overwritten: choose another name, or give --replace")
    if not replace and file.exists():
        raise taken
    temporary = file.with_name(f".{file.name}.new")
    size = 0
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb") as stream:
            for piece in pieces:
                stream.write(piece)
                size += len(piece)
            stream.flush()
            os.fsync(stream.fileno())
        if replace:
            temporary.replace(file)
        else:
            os.link(temporary, file)
    except FileExistsError:
        raise taken from None
    finally:
        temporary.unlink(missing_ok=True)
    return size
