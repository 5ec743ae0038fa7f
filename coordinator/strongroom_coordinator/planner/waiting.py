"""The orders that wait, and when each deserves another look: judging them all in every batch would cost too much."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from strongroom.ledger.judge import judge_order
from strongroom.ledger.judgement import Code
from strongroom.ledger.order_messages import BreakGlass, CancelWithdraw, Withdraw
from strongroom.ledger.records import OrderRecord
from strongroom.ledger.state import State, decode_order
from strongroom_coordinator.planner.draft import Round

__all__ = ["Candidates", "Waiting"]

SOON_MS: Final = 500
"""Delays end and windows slide with time alone."""
LATER_MS: Final = 10_000
"""Approvals change the record itself; the look after this is for rules that other things delay."""
_SOON: Final = frozenset({Code.DELAY_RUNNING, Code.COOLING_OFF, Code.OVER_LIMIT, Code.FROZEN})


@dataclass(slots=True)
class _Look:
    """What the last look at an order gave."""

    record: OrderRecord
    again_ms: int
    version: int | None
    """Of the chain, when only coins or fees were missing: looked at again when it changes."""
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidates:
    """Open orders that deserve a look: withdrawals by vault, cancellations and break-glass, each oldest first."""

    withdrawals: dict[str, list[OrderRecord]] = field(default_factory=dict)
    cancellations: list[OrderRecord] = field(default_factory=list)
    recoveries: list[OrderRecord] = field(default_factory=list)


class Waiting:
    """Remembers the last look at each waiting order."""

    def __init__(self) -> None:
        self._looks: dict[bytes, _Look] = {}
        self.next_look_ms: int | None = None

    def reason(self, order_hash: bytes) -> str:
        """Why an order that passes the rules waits; empty if nothing is known."""
        look = self._looks.get(order_hash)
        return "" if look is None else look.why

    def look(self, state: State, now_ms: int, version: int) -> Candidates:
        """Go through the open orders and give those that may pass now."""
        found = Candidates()
        before, self._looks = self._looks, {}
        self.next_look_ms = None
        for record in state.open_orders():
            look = before.get(record.hash)
            if look is not None:
                self._looks[record.hash] = look
                if not self._deserves(look, record, now_ms, version):
                    self._note(look.again_ms)
                    continue
            action = decode_order(record.order).action
            if isinstance(action, Withdraw):
                found.withdrawals.setdefault(action.vault, []).append(record)
            elif isinstance(action, CancelWithdraw):
                found.cancellations.append(record)
            elif isinstance(action, BreakGlass):
                found.recoveries.append(record)
        for order_hash, look in before.items():
            # Orders with a plan are no open orders, but may wait for another plan.
            if look.record.planned_ms and order_hash not in self._looks and now_ms < look.again_ms + LATER_MS:
                self._looks[order_hash] = look
        return found

    def is_due(self, round_: Round, record: OrderRecord, version: int) -> bool:
        """Whether an order deserves a look now."""
        look = self._looks.get(record.hash)
        return look is None or self._deserves(look, record, round_.now_ms, version)

    def passes(self, round_: Round, record: OrderRecord) -> bool:
        """Judge an order as the ledger will; if it does not pass, remember when to look again."""
        judgement = judge_order(round_.state, record, round_.now_ms, window_total=round_.window_total())
        if judgement.allowed:
            return True
        pause = SOON_MS if judgement.code in _SOON else LATER_MS
        self._remember(_Look(record, round_.now_ms + pause, None, ""))
        return False

    def hold(self, round_: Round, record: OrderRecord, why: str, version: int) -> None:
        """Note that an order passes but cannot be planned, and why."""
        self._remember(_Look(record, round_.now_ms + LATER_MS, version, why))

    def _remember(self, look: _Look) -> None:
        self._looks[look.record.hash] = look
        self._note(look.again_ms)

    def _note(self, again_ms: int) -> None:
        if self.next_look_ms is None or again_ms < self.next_look_ms:
            self.next_look_ms = again_ms

    @staticmethod
    def _deserves(look: _Look, record: OrderRecord, now_ms: int, version: int) -> bool:
        return look.record is not record or now_ms >= look.again_ms or look.version not in (None, version)
