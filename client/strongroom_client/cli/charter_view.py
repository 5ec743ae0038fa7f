"""How a charter and the report of its check look on a terminal."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import RenderableType
from rich.markup import escape
from rich.table import Table

from strongroom.ledger.charter import Charter, Deny, Destinations, Limit, Quorum, Rule
from strongroom.ledger.charter_book import CharterBook, book_of
from strongroom.ledger.charter_check import Level, Report
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
    people = (
        (person.name, "machine" if person.machine else "person", "\n".join(key.public.hex() for key in person.keys))
        for person in charter.people
    )
    signers = (
        (signer.name, use, key.hex())
        for signer in charter.signers
        for use, key in (("host", signer.host_key), ("vote", signer.vote_key), ("witness", signer.witness_key))
    )
    parts: list[str | Table] = [
        f"Charter of {charter.organisation}, version {charter.version}, rule set {charter.rule_set}",
        f"Fingerprint (log id):\n{fingerprint_text(log_id)}",
        _table("Rules", ("rule", "what it allows"), ((rule.name, _rule_text(rule, book)) for rule in charter.rules)),
        _table("Prohibitions", ("name", "what it forbids"), ((d.name, _deny_text(d, book)) for d in charter.denies)),
        _table("People", ("name", "kind", "keys"), people),
        _table("Groups", ("name", "members"), ((group.name, ", ".join(group.members)) for group in charter.groups)),
        _table("Signers", ("name", "use", "key"), signers),
        _table("Assets", ("symbol", "id"), ((asset.symbol, asset.id) for asset in charter.assets)),
        _table("Powers and limits", ("what", "value"), _settings(charter)),
    ]
    return [part for part in parts if isinstance(part, str) or part.row_count]


def _settings(charter: Charter) -> Iterable[tuple[str, str]]:
    return (
        ("witness quorum", f"{charter.witness_quorum} of {len(charter.signers)} signers"),
        ("administrators", _quorum_text(charter.admin)),
        ("vault creation", _quorum_text(charter.vault_creation)),
        ("unfreeze", _quorum_text(charter.unfreeze)),
        ("freeze", f"any one of group {charter.officers}; lapses after {duration_text(charter.freeze_lapse_ms)}"),
        ("loosening waits", duration_text(charter.loosening_delay_ms)),
        ("fee per vbyte", f"{charter.fees.per_vbyte} sat"),
        ("fee per transaction", f"{charter.fees.per_plan} sat"),
        ("fees per vault", f"{charter.fees.per_vault} sat in {duration_text(charter.fees.window_ms)}"),
        ("log, coordinator", f"{charter.log.coordinator_bytes_per_day} bytes a day"),
        ("log, each person", f"{charter.log.person_bytes_per_day} bytes a day"),
    )


def _rule_text(rule: Rule, book: CharterBook) -> str:
    lines = [
        f"from {', '.join(rule.vaults)} to {_to_text(rule)}",
        f"at most {', '.join(book.amount(item.asset, item.amount) for item in rule.maximum)} per order",
        *(_limit_text(limit, book) for limit in rule.limits),
        f"initiated by {', '.join(rule.initiated)}",
        f"approved by {' and '.join(_quorum_text(quorum) for quorum in rule.approvals) or 'nobody'}",
        *([f"after a delay of {duration_text(rule.delay_ms)}"] if rule.delay_ms else []),
        *(["approvers may be machines"] if rule.machine else []),
    ]
    return "\n".join(lines)


def _limit_text(limit: Limit, book: CharterBook) -> str:
    amounts = ", ".join(book.amount(item.asset, item.amount) for item in limit.amounts)
    return f"at most {amounts} in {duration_text(limit.window_ms)}"


def _deny_text(deny: Deny, book: CharterBook) -> str:
    assets = ", ".join(book.symbol(asset) for asset in deny.assets) or "any asset"
    return f"{assets} from {', '.join(deny.vaults)} to {_to_text(deny)}"


def _to_text(rule: Rule | Deny) -> str:
    return ", ".join(rule.to.addresses) if isinstance(rule.to, Destinations) else "any address"


def _quorum_text(quorum: Quorum) -> str:
    return f"{quorum.count} of group {quorum.group}"


def _table(title: str, columns: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Table:
    table = Table(title=title, title_justify="left", show_lines=True)
    for position, column in enumerate(columns):
        table.add_column(column, no_wrap=position == 0, overflow="fold")
    for row in rows:
        table.add_row(*(escape(cell) for cell in row))
    return table
