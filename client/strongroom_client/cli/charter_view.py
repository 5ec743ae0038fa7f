"""How a charter and the report of its check look on a terminal."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import RenderableType
from rich.markup import escape
from rich.table import Table

from strongroom.ledger.charter import Charter
from strongroom.ledger.charter_book import book_of
from strongroom.ledger.charter_check import Level, Report
from strongroom.ledger.charter_words import (
    asset_words,
    break_glass_words,
    deny_words,
    quorum_words,
    rule_words,
    signer_words,
)
from strongroom.model.fingerprints import Compared, spoken
from strongroom.model.quantities import duration_text

__all__ = ["charter_tables", "fingerprint_text", "report_parts"]


def fingerprint_text(log_id: bytes) -> str:
    """The digits to read aloud, and the same 32 bytes in hex for copying."""
    return f"{spoken(Compared.CHARTER, log_id)}  (read aloud)\n{log_id.hex()}"


def report_parts(report: Report) -> list[RenderableType]:
    """Findings first, errors before warnings, then the facts."""
    ordered = sorted(report.findings, key=lambda finding: finding.level is not Level.ERROR)
    parts: list[RenderableType] = [
        f"{finding.level.value}: {finding.where}: {finding.what}\n    {finding.do}" for finding in ordered
    ]
    if report.ok:
        parts.append("No error." if report.findings else "No finding.")
    parts.append(_table("What the numbers mean", ("fact", "value"), report.facts.items()))
    return parts


def charter_tables(charter: Charter, log_id: bytes) -> list[RenderableType]:
    """The whole charter, in tables."""
    book = book_of(charter)
    rules = ((rule.name, "\n".join(rule_words(rule, book))) for rule in charter.rules)
    people = (
        (person.name, "machine" if person.machine else "person", "\n".join(key.public.hex() for key in person.keys))
        for person in charter.people
    )
    signers = ((signer.name, "\n".join(signer_words(signer))) for signer in charter.signers)
    parts: list[str | Table] = [
        f"Charter of {charter.organisation}, version {charter.version}, rule set {charter.rule_set}",
        f"Fingerprint (log id):\n{fingerprint_text(log_id)}",
        _table("Rules", ("rule", "what it allows"), rules),
        _table("Prohibitions", ("name", "what it forbids"), ((d.name, deny_words(d, book)) for d in charter.denies)),
        _table("People", ("name", "kind", "keys"), people),
        _table("Groups", ("name", "members"), ((group.name, ", ".join(group.members)) for group in charter.groups)),
        _table("Signers", ("name", "keys"), signers),
        _table("Assets", ("symbol", "what it is"), ((asset.symbol, asset_words(asset)) for asset in charter.assets)),
        _table("Powers and limits", ("what", "value"), _settings(charter)),
    ]
    return [part for part in parts if isinstance(part, str) or part.row_count]


def _settings(charter: Charter) -> Iterable[tuple[str, str]]:
    return (
        ("witness quorum", f"{charter.witness_quorum} of {len(charter.signers)} signers"),
        ("administrators", quorum_words(charter.admin)),
        ("vault creation", quorum_words(charter.vault_creation)),
        ("unfreeze", quorum_words(charter.unfreeze)),
        ("address book", _book_text(charter)),
        ("break-glass", "\n".join(break_glass_words(charter.break_glass)) if charter.break_glass else "nobody"),
        ("unfreezing waits", duration_text(charter.unfreeze_delay_ms)),
        ("freeze", f"any one of group {charter.officers}; lapses after {duration_text(charter.freeze_lapse_ms)}"),
        ("loosening waits", duration_text(charter.loosening_delay_ms)),
        ("fee per vbyte", f"{charter.fees.per_vbyte} sat"),
        ("fee per transaction", f"{charter.fees.per_plan} sat"),
        ("fees per vault", f"{charter.fees.per_vault} sat in {duration_text(charter.fees.window_ms)}"),
        ("log, coordinator", f"{charter.log.coordinator_bytes_per_day} bytes a day"),
        ("log, each person", f"{charter.log.person_bytes_per_day} bytes a day"),
    )


def _book_text(charter: Charter) -> str:
    """Who adds to the address book, and how long an address waits."""
    if charter.destinations is None:
        return "nobody adds to it"
    cooling = duration_text(charter.destination_cooling_ms)
    return f"{quorum_words(charter.destinations)} add to it; an address is payable {cooling} later"


def _table(title: str, columns: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Table:
    table = Table(title=title, title_justify="left", show_lines=True)
    for position, column in enumerate(columns):
        table.add_column(column, no_wrap=position == 0, overflow="fold")
    for row in rows:
        table.add_row(*(escape(cell) for cell in row))
    return table
