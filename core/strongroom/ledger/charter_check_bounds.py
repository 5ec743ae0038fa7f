"""`charter check`, the part about numbers with which a charter could shut itself in.

What only tightens is in force at once, and is taken back only after the delay that stands by then, through a log that
takes the amendment. So no delay is longer than people can wait for, and no quota is too small for the way out.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from strongroom.ledger.charter import Charter
from strongroom.ledger.charter_findings import Finding, error, warning
from strongroom.ledger.entry_messages import MAX_ENTRY_BYTES
from strongroom.ledger.order_messages import MAX_ORDER_LIFE_MS
from strongroom.model.quantities import duration_text

__all__ = ["LEAST_COORDINATOR_BYTES", "LEAST_PERSON_BYTES", "MAX_SPAN_MS", "check_log_quotas", "check_spans"]

MAX_SPAN_MS: Final = 90 * 24 * 3_600_000
LEAST_PERSON_BYTES: Final = MAX_ENTRY_BYTES
"""An amendment of any size with all its endorsements. Freezes and rejections count against no quota."""
LEAST_COORDINATOR_BYTES: Final = 16 * MAX_ENTRY_BYTES
"""A tick every minute, and beside it plans, vaults and new shares of any size, a few of each."""


def check_spans(charter: Charter) -> Iterator[Finding]:
    """What people must wait for has an end that they live to see."""
    spans = {
        "amendments.loosening_delay": charter.loosening_delay_ms,
        "freeze.lapse": charter.freeze_lapse_ms,
        "freeze.unfreeze_delay": charter.unfreeze_delay_ms,
        "address_book.cooling_off": charter.destination_cooling_ms,
    }
    for where, span_ms in spans.items():
        if span_ms > MAX_SPAN_MS:
            what = f"is {duration_text(span_ms)}, and to shorten it again takes as long"
            yield error(where, what, f"choose at most {duration_text(MAX_SPAN_MS)}")
    if MAX_ORDER_LIFE_MS <= charter.loosening_delay_ms <= MAX_SPAN_MS:
        what = f"is not below {duration_text(MAX_ORDER_LIFE_MS)}, the life of an order: no reshare that loosens can act"
        yield warning("amendments.loosening_delay", what, "shorten it")


def check_log_quotas(charter: Charter) -> Iterator[Finding]:
    """The log goes on, and takes the amendment that raises a quota."""
    log = charter.log
    if log.coordinator_bytes_per_day < LEAST_COORDINATOR_BYTES:
        what = f"is {log.coordinator_bytes_per_day}, too little for a day of ticks and plans"
        yield error("log.coordinator_bytes_per_day", what, f"write {LEAST_COORDINATOR_BYTES} or more")
    if log.person_bytes_per_day < LEAST_PERSON_BYTES:
        what = f"is {log.person_bytes_per_day}, less than an amendment of the charter may take"
        yield error("log.person_bytes_per_day", what, f"write {LEAST_PERSON_BYTES} or more")
