"""What people see of an amendment of the charter: every change in plain words, what loosens and what tightens."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from strongroom.ledger.charter import Charter, decode_charter
from strongroom.ledger.charter_changes import Change, changes, loosens
from strongroom.ledger.codec import NotCanonical
from strongroom.ledger.order_messages import AmendCharter
from strongroom.model.quantities import duration_text
from strongroom_client.orders import fingerprint

__all__ = ["acted_facts", "amendment_facts"]


def amendment_facts(action: AmendCharter, charter: Charter) -> Iterable[tuple[str, str, str]]:
    """Every change against the charter in force, and when it acts: key, label and text of each."""
    try:
        new = decode_charter(action.charter)
    except NotCanonical as error:
        yield "charter", "New charter", f"NOT A CHARTER, it can never act: {error.message}"
        return
    yield "version", "New version", f"{new.version}, where {charter.version} is in force"
    if new.version != charter.version + 1:
        yield "stale", "Beware", "it was not made from the charter in force: it can never act, or has acted"
    found = changes(charter, new)
    yield from _change_facts(found)
    at_once = "nothing: it acts with the last approval that it needs"
    yield "waits", "Waits for", duration_text(charter.loosening_delay_ms) if loosens(found) else at_once
    yield "charter", "New charter", fingerprint(hashlib.sha256(action.charter).digest())


def acted_facts(action: AmendCharter, charter: Charter, parent: Charter | None) -> Iterable[tuple[str, str, str]]:
    """What an amendment that has acted changed.

    Args:
        action: The amendment.
        charter: The charter in force.
        parent: The proven charter that it replaced; None where that is not at hand, and nothing is said of changes.
    """
    try:
        new = decode_charter(action.charter)
    except NotCanonical as error:
        yield "charter", "New charter", f"cannot be read here: {error.message}"
        return
    since = "in force" if new == charter else f"it was in force; version {charter.version} is now"
    yield "version", "Version", f"{new.version}, {since}"
    if parent is not None:
        yield "replaced", "Replaced", f"version {parent.version}"
        yield from _change_facts(changes(parent, new))
    yield "charter", "Charter", fingerprint(hashlib.sha256(action.charter).digest())


def _change_facts(found: Iterable[Change]) -> Iterable[tuple[str, str, str]]:
    """A line for each change, those that loosen first."""
    for change in sorted(found, key=lambda change: not change.loosens):
        label, key = ("Looser", "looser") if change.loosens else ("Tighter", "tighter")
        yield key, label, f"{change.where}: {change.text}"
