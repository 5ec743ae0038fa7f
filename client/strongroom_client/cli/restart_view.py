"""How a restart of the log looks on a terminal, and to programs."""

from __future__ import annotations

from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from strongroom.ledger.certificate_messages import Head
from strongroom.ledger.entry_messages import Restart
from strongroom.ledger.founding import statement_hash, statement_of
from strongroom.model.fingerprints import Compared, spoken
from strongroom.model.quantities import time_text
from strongroom_client.cli.charter_view import fingerprint_text
from strongroom_client.plain_text import counted
from strongroom_client.restarting import Judged

__all__ = ["claimed_data", "claimed_parts", "count_words", "judged_data", "judged_parts"]


def claimed_data(restart: Restart) -> dict[str, Any]:
    """What a file says of itself, for programs; nothing of it is judged."""
    statement = statement_of(restart)
    return {
        "judged": False,
        **_head_data(statement.head),
        **_statement_data(statement_hash(restart)),
        "made_ms": statement.made_ms,
        "approvals": len(restart.approvals),
    }


def claimed_parts(restart: Restart) -> list[RenderableType]:
    """The same for people."""
    statement = statement_of(restart)
    rows = [
        *_head_rows(statement.head),
        ("made at", time_text(statement.made_ms)),
        ("approvals", f"{len(restart.approvals)}, none of them verified"),
        ("statement", _statement_text(statement_hash(restart))),
    ]
    hint = "Nothing of this is judged: give an exported log with --log to see what changes and who approved."
    return [_table(rows), Text(hint, style="bold yellow")]


def judged_data(judged: Judged) -> dict[str, Any]:
    """A restart that was held against a log, for programs."""
    found = judged.founding
    return {
        "judged": True,
        **_head_data(found.head),
        **_statement_data(found.statement),
        "made_ms": found.made_ms,
        "log_time_ms": judged.time_ms,
        "charter_version": found.charter.version,
        "changes": [{"loosens": one.loosens, "where": one.where, "text": one.text} for one in found.changes],
        "frozen_vaults": list(judged.vaults),
        "lapsing_orders": judged.lapsing,
        "approved_by": list(found.approved),
        "missing": found.missing,
        "may_approve": list(found.may_approve),
        "new_log_id": None if found.log_id is None else found.log_id.hex(),
        "new_log_id_read_aloud": None if found.log_id is None else spoken(Compared.CHARTER, found.log_id),
    }


def judged_parts(judged: Judged) -> list[RenderableType]:
    """The same for people: what stays, what changes, what ends, and who stands behind it."""
    found = judged.founding
    rows = [
        *_head_rows(found.head),
        ("newest entry", time_text(judged.time_ms)),
        ("made at", time_text(found.made_ms)),
        ("new charter", f"version {found.charter.version}, {found.charter.witness_quorum} of "
         f"{len(found.charter.signers)} signers must vote"),
        *[("change", f"{one.where}: {one.text}") for one in found.changes],
        ("ends", f"{counted(judged.lapsing, 'order')} without a plan"),
        ("freezes", ", ".join(judged.vaults) or "no vault is there"),
        ("approved by", ", ".join(found.approved) or "nobody yet"),
        ("missing", f"{found.missing}, from {', '.join(found.may_approve)}" if found.missing else "nobody"),
        ("statement", _statement_text(found.statement)),
    ]  # fmt: skip
    parts: list[RenderableType] = [_table(rows)]
    if found.log_id is not None:
        parts.append(Text(f"New log id:\n{fingerprint_text(found.log_id)}", style="bold"))
    warning = (
        "Every entry after these is given up, whatever it paid. Nobody may hold a higher certificate: ask every "
        "operator, and whoever runs the coordinator, for their newest head."
    )
    return [*parts, Text(warning, style="bold yellow")]


def count_words(judged: Judged) -> str:
    """How many approvals there are."""
    found = judged.founding
    return f"{len(found.approved)} of {len(found.approved) + found.missing} approvals"


def _head_data(head: Head) -> dict[str, Any]:
    return {
        "old_log_id": head.log_id.hex(),
        "entries": head.size,
        "term": head.term,
        "root": head.root.hex(),
        "certified_head": f"{head.size}:{head.root.hex()}",
    }


def _head_rows(head: Head) -> list[tuple[str, str]]:
    return [
        ("out of log", head.log_id.hex()),
        ("keeps", f"{head.size} entries, certified in term {head.term}"),
        ("certified head", f"{head.size}:{head.root.hex()}"),
    ]


def _statement_data(statement: bytes) -> dict[str, str]:
    return {"statement": statement.hex(), "read_aloud": spoken(Compared.RESTART_STATEMENT, statement)}


def _statement_text(statement: bytes) -> str:
    return f"{spoken(Compared.RESTART_STATEMENT, statement)}  (read aloud)\n{statement.hex()}"


def _table(rows: list[tuple[str, str]]) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True, style="cyan")
    table.add_column(overflow="fold")
    for label, text in rows:
        table.add_row(Text(label), Text(text))
    return table
