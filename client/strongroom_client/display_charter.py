"""What people see of an amendment of the charter: every change in plain words, what loosens and what tightens."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from strongroom.ledger.charter import Charter, decode_charter
from strongroom.ledger.charter_changes import changes, loosens
from strongroom.ledger.codec import NotCanonical
from strongroom.ledger.order_messages import AmendCharter
from strongroom.model.quantities import duration_text
from strongroom_client.orders import fingerprint

__all__ = ["amendment_facts"]


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
    for change in sorted(found, key=lambda change: not change.loosens):
        label, key = ("Looser", "looser") if change.loosens else ("Tighter", "tighter")
        yield key, label, f"{change.where}: {change.text}"
    at_once = "nothing: it acts with the last approval that it needs"
    yield "waits", "Waits for", duration_text(charter.loosening_delay_ms) if loosens(found) else at_once
    yield "charter", "New charter", fingerprint(hashlib.sha256(action.charter).digest())
