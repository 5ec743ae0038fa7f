"""`strongroom audit blame`: check a record of evidence offline, and say in plain words what it proves and what not."""

from __future__ import annotations

from pathlib import Path

import click

from strongroom.protocol.evidence import Proven, evidence_log_id, verify_evidence
from strongroom.protocol.evidence_file import MAX_FILE_BYTES, EvidenceFileInvalid, read_evidence_file
from strongroom_client.cli.output import PathArgument, emit, json_option
from strongroom_client.cli.shared import pinned_log_id, profile_option
from strongroom_client.evidence import FAULT_TEXTS, headline, not_proven
from strongroom_client.files import read_bytes
from strongroom_client.typed_log_id import LOG_ID_FORMS

__all__ = ["blame"]


@click.command()
@click.argument("file", type=PathArgument)
@click.option("--log-id", metavar="LOG_ID", help=f"The log's fingerprint, when there is no profile: {LOG_ID_FORMS}.")
@profile_option
@json_option
def blame(*, file: Path, log_id: str | None, profile: Path) -> None:
    """Check evidence against a signer from its file and the log id alone; asks nobody.

    Exit code 0 when the record holds; 4 when it does not: it is then evidence against nobody; 1 when the file could
    not be read as a record.
    """
    pinned = pinned_log_id(log_id, profile, lambda: evidence_log_id(_record(file)))
    proven = verify_evidence(_record(file), log_id=pinned)
    emit(
        {
            "holds": True,
            "evidence": proven.hash.hex(),
            "log_id": proven.log_id.hex(),
            "signer": proven.signer,
            "fault": str(proven.fault),
            "term": proven.term,
            "plan": proven.plan_hash.hex() or None,
            "detail": proven.detail,
            "not_proven": list(not_proven(proven)),
        },
        _words(proven),
    )


def _record(file: Path) -> bytes:
    """The canonical bytes of a record of evidence.

    Raises:
        EvidenceFileInvalid: the file is none.
        FileProblem: it cannot be read.
    """
    try:
        return read_evidence_file(read_bytes(file, max_bytes=MAX_FILE_BYTES))
    except EvidenceFileInvalid as error:
        raise EvidenceFileInvalid(f"{file}: {error.message}", path=str(file)) from error


def _words(proven: Proven) -> str:
    lines = [
        headline(proven),
        f"  fault     {proven.detail}",
        f"  log       {proven.log_id.hex()}, term {proven.term}",
    ]
    if proven.plan_hash:
        lines.append(f"  plan      {proven.plan_hash.hex()}")
    lines += [
        f"  evidence  {proven.hash.hex()}",
        "",
        f"Why: {FAULT_TEXTS[proven.fault].means}",
        "",
        "NOT proven:",
        *(f"  - {line}" for line in not_proven(proven)),
        "",
        "Checked on this machine from the file and the log id alone.",
    ]
    return "\n".join(lines)
