"""Break-glass: a pre-agreed larger quorum moves a vault to its registered recovery address, and nowhere else.

It passes every freeze in the ledger, because that is what an attack on the ordinary ways ends in. So it has bounds:
the address stands in the charter, and people sign it in the order as well; after the last needed approval a delay runs
in the open; then a box is open for a fixed time, by log time and by each signer's own clock, whichever is later.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from strongroom.ledger.charter import BreakGlassRules, Charter
from strongroom.ledger.judgement import Code, Endorsed, Judgement
from strongroom.ledger.messages import BreakGlass, Verb
from strongroom.ledger.rules import glob_match, judge_quorum, person_key_known, quorum_members
from strongroom.model.quantities import duration_text, time_text

__all__ = ["Box", "box_of", "judge_break_glass", "quorum_is_complete", "recovery_address"]


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


def quorum_is_complete(charter: Charter, endorsements: Sequence[Endorsed], *, at_ms: int) -> bool:
    """Whether the quorum stands. No approval is taken after that, so none can move the box to a later time."""
    return _approved_rules(charter, endorsements, at_ms) is not None


def _approved_rules(charter: Charter, endorsements: Sequence[Endorsed], at_ms: int) -> BreakGlassRules | None:
    """Return the charter's rules if the quorum that they ask for stands."""
    rules = charter.break_glass
    if rules is None:
        return None
    return rules if judge_quorum(charter, rules.quorum, endorsements, at_ms=at_ms).allowed else None


def box_of(charter: Charter, endorsements: Sequence[Endorsed], *, at_ms: int) -> Box | None:
    """Return the box that the endorsements which count at `at_ms` open; None while the quorum does not stand."""
    rules = _approved_rules(charter, endorsements, at_ms)
    if rules is None:
        return None
    members = quorum_members(charter, rules.quorum)
    said: dict[str, int] = {}
    for one in endorsements:
        counts = at_ms < one.expires_ms and person_key_known(charter, one.person, one.key)
        if one.verb is Verb.APPROVE and one.person in members and counts:
            said[one.person] = min(one.time_ms, said.get(one.person, one.time_ms))
    last_needed_ms = sorted(said.values())[max(1, rules.quorum.count) - 1]
    opens_ms = last_needed_ms + rules.delay_ms
    return Box(opens_ms=opens_ms, closes_ms=opens_ms + rules.box_ms)


def judge_break_glass(
    charter: Charter, action: BreakGlass, endorsements: Sequence[Endorsed], *, at_ms: int
) -> Judgement:
    """Judge an order to break the glass at log time `at_ms` by this charter; rules and prohibitions do not concern it.

    Args:
        charter: The charter in force.
        action: What the order asks for.
        endorsements: Everything accepted about the order.
        at_ms: Unix milliseconds.
    """
    address = recovery_address(charter, action.vault)
    rules = charter.break_glass if action.destination == address else None
    if rules is None:
        line = f"the charter's recovery address of vault {action.vault} is {address or 'not registered'}"
        return _no(Code.RECOVERY_ADDRESS, line)
    quorum = judge_quorum(charter, rules.quorum, endorsements, at_ms=at_ms)
    box = box_of(charter, endorsements, at_ms=at_ms)
    if box is None:
        return quorum
    if at_ms < box.opens_ms:
        wait = f"wait until {time_text(box.opens_ms)} (delay {duration_text(rules.delay_ms)})"
        return _no(Code.DELAY_RUNNING, wait)
    if not box.is_open(at_ms):
        return _no(Code.BOX_CLOSED, f"the box closed at {time_text(box.closes_ms)}: make a new order")
    return quorum


def _no(code: Code, line: str) -> Judgement:
    return Judgement(allowed=False, code=code, rule=None, missing=(line,), tried=())
