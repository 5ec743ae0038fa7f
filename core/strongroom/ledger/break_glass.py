"""Break-glass: a pre-agreed larger quorum moves a vault to its registered recovery address, and nowhere else.

It passes every freeze in the ledger, because that is what an attack on the ordinary ways ends in. So it has bounds:
the address stands in the charter, and people sign it in the order as well; after the last needed approval a delay runs
in the open; then a box is open for a fixed time, by log time and by each signer's own clock, whichever is later.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from strongroom.ledger.charter import BreakGlassRules, Charter
from strongroom.ledger.judgement import Code, Endorsed, Judgement, endorsed
from strongroom.ledger.order_messages import BreakGlass
from strongroom.ledger.records import OrderRecord
from strongroom.ledger.rules import glob_match, judge_quorum
from strongroom.model.quantities import time_text

__all__ = ["Box", "approved_rules", "box_of", "judge_break_glass", "recovery_address", "with_box"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """When coins may be moved: from `opens_ms`, before `closes_ms`; Unix milliseconds."""

    opens_ms: int
    closes_ms: int

    def is_open(self, at_ms: int) -> bool:
        """Whether coins may be moved at this time."""
        return self.opens_ms <= at_ms < self.closes_ms


def recovery_address(charter: Charter, vault: str) -> str | None:
    """Return the recovery address of a vault: of the first entry whose glob matches; None if the charter has none."""
    entries = () if charter.break_glass is None else charter.break_glass.addresses
    return next((entry.address for entry in entries if glob_match(entry.vault, vault)), None)


def approved_rules(charter: Charter, endorsements: Sequence[Endorsed], *, at_ms: int) -> BreakGlassRules | None:
    """Return the charter's rules if the quorum that they ask for stands."""
    rules = charter.break_glass
    if rules is None:
        return None
    return rules if judge_quorum(charter, rules.quorum, endorsements, at_ms=at_ms).allowed else None


def with_box(charter: Charter, record: OrderRecord, *, at_ms: int) -> OrderRecord:
    """Return the order with its box, if its quorum is complete at `at_ms` and it had none.

    The box is fixed there: no later approval and no later charter moves it, or one that closed could open again.
    """
    rules = approved_rules(charter, endorsed(record), at_ms=at_ms)
    if record.opens_ms or rules is None:
        return record
    opens_ms = at_ms + rules.delay_ms
    return replace(record, opens_ms=opens_ms, closes_ms=opens_ms + rules.box_ms)


def box_of(charter: Charter, record: OrderRecord, *, at_ms: int) -> Box | None:
    """Return the box of an order whose quorum still stands at `at_ms`; None before it was complete, or without it."""
    if not record.opens_ms or approved_rules(charter, endorsed(record), at_ms=at_ms) is None:
        return None
    return Box(opens_ms=record.opens_ms, closes_ms=record.closes_ms)


def judge_break_glass(charter: Charter, action: BreakGlass, record: OrderRecord, *, at_ms: int) -> Judgement:
    """Judge an order to break the glass at log time `at_ms` by this charter; rules and prohibitions do not concern it.

    Args:
        charter: The charter in force.
        action: What the order asks for.
        record: The order with everything accepted about it.
        at_ms: Unix milliseconds.
    """
    address = recovery_address(charter, action.vault)
    rules = charter.break_glass if action.destination == address else None
    if rules is None:
        line = f"the charter's recovery address of vault {action.vault} is {address or 'not registered'}"
        return _no(Code.RECOVERY_ADDRESS, line)
    quorum = judge_quorum(charter, rules.quorum, endorsed(record), at_ms=at_ms)
    if not quorum.allowed:
        return quorum
    if not record.opens_ms:
        # A charter that asks for fewer came into force: the words before it began no delay.
        return _no(Code.APPROVALS_MISSING, "its quorum was not complete when it was last approved: make a new order")
    box = Box(opens_ms=record.opens_ms, closes_ms=record.closes_ms)
    if at_ms < box.opens_ms:
        return _no(Code.DELAY_RUNNING, f"wait until {time_text(box.opens_ms)}, when the box opens")
    if not box.is_open(at_ms):
        return _no(Code.BOX_CLOSED, f"the box closed at {time_text(box.closes_ms)}: make a new order")
    return quorum


def _no(code: Code, line: str) -> Judgement:
    return Judgement(allowed=False, code=code, rule=None, missing=(line,), tried=())
