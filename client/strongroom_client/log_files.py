"""A whole log out of a file: what `strongroom audit export` wrote, or what a signer did with `export-log`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from strongroom.model.ids import LogId
from strongroom.wire.log_export import FIRST_LINE, ExportedBatch, LogExportReader
from strongroom_client.audit import AuditFailed, Auditor, AuditSummary
from strongroom_client.files import FileProblem

__all__ = ["AUDIT_FIRST_BYTES", "AUDIT_KIND", "held_log_id", "replay_file"]

AUDIT_KIND: Final = "strongroom-log"
AUDIT_FIRST_BYTES: Final = b'{"kind": "' + AUDIT_KIND.encode("ascii") + b'"'
"""How `strongroom audit export` begins a file."""
_MAX_LINE: Final = 64 * 1024 * 1024


def held_log_id(file: Path) -> LogId:
    """The id of the log that a file says it holds; only a replay that is pinned to it proves that it does.

    Raises:
        FileProblem: it cannot be read, or is no exported log.
        LogExportInvalid: it is cut before the id.
    """
    try:
        with file.open("rb") as stream:
            is_of_signer = stream.read(len(FIRST_LINE)) == FIRST_LINE
            stream.seek(0)
            if is_of_signer:
                return LogExportReader(stream.read).log_id
    except OSError as error:
        raise FileProblem(f"cannot read {file}: {error.strerror or type(error).__name__}", path=str(file)) from error
    said = next(_lines(file), {}).get("log_id")
    try:
        found = bytes.fromhex(said) if type(said) is str else b""
    except ValueError:
        found = b""
    if len(found) != 32:
        raise FileProblem(f"{file} does not say which log it holds: export it again", path=str(file))
    return LogId(found)


def replay_file(auditor: Auditor, file: Path) -> AuditSummary:
    """Replay a file to its end; nothing in it is believed that the replay does not prove.

    Raises:
        AuditFailed: the log in it does not hold, or is not the pinned one.
        FileProblem: it cannot be read, or is no exported log.
        LogExportInvalid: it is the export of a signer, and cut or damaged.
    """
    try:
        with file.open("rb") as stream:
            is_of_signer = stream.read(len(FIRST_LINE)) == FIRST_LINE
            stream.seek(0)
            if is_of_signer:
                for part in LogExportReader(stream.read):
                    if isinstance(part, ExportedBatch):
                        auditor.take(part.first_index, part.entries, part.certificate)
                return auditor.finish()
    except OSError as error:
        raise FileProblem(f"cannot read {file}: {error.strerror or type(error).__name__}", path=str(file)) from error
    return _replay_lines(auditor, file)


def _replay_lines(auditor: Auditor, file: Path) -> AuditSummary:
    lines = _lines(file)
    head = next(lines, {})
    if head.get("kind") != AUDIT_KIND or head.get("v") != 1:
        what = "`strongroom audit export` or `strongroom-signer export-log`"
        raise FileProblem(f"{file} was cut, or is no log export: give a file that {what} wrote", path=str(file))
    end: dict[str, Any] = {}
    for line in lines:
        if end:
            raise AuditFailed(f"{file} goes on after its end line")
        if "end" in line:
            end = line
            continue
        try:
            entries = tuple(bytes.fromhex(entry) for entry in line["entries"])
            auditor.take(int(line["first_index"]), entries, bytes.fromhex(line["certificate"]))
        except (KeyError, TypeError, ValueError) as error:
            raise AuditFailed(f"{file}: the batch after entry {auditor.size} cannot be read") from error
    if end.get("end") != auditor.size:
        raise AuditFailed(f"{file} has no end line after entry {auditor.size}: it was cut short")
    return auditor.finish(checkpoint=str(end.get("checkpoint", "")).encode())


def _lines(file: Path) -> Iterator[dict[str, Any]]:
    try:
        with file.open(encoding="ascii") as stream:
            while line := stream.readline(_MAX_LINE):
                content = json.loads(line)
                if type(content) is not dict:
                    raise ValueError("not an object")
                yield content
    except OSError as error:
        raise FileProblem(f"cannot read {file}: {error.strerror or type(error).__name__}", path=str(file)) from error
    except (ValueError, RecursionError):
        # What a decoder says of one byte helps nobody: the file is not what it should be, and another one is needed.
        message = f"{file} cannot be read as a log: the file was cut, or is no log export; export it again"
        raise FileProblem(message, path=str(file)) from None
