"""How well holders answer, remembered from plan to plan: whom the next plan asks first, and how long it waits for them.

It is this coordinator's own experience. It proves nothing, blames nobody, and is gone with the process: a holder that
was late is asked after the others for a while, and gets its place back once it has signed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from strongroom.protocol.signing import BUSY_MS, HEDGE_MS
from strongroom_coordinator.clock import Clock

__all__ = ["Standing"]

HEDGE_LEAST_MS: Final = 150
HEDGE_MOST_MS: Final = 2_000
BUSY_MOST_MS: Final = 10_000
"""Well below the life of a nonce."""
PROBATION_FIRST_S: Final = 1.0
PROBATION_MOST_S: Final = 300.0
TRIAL_S: Final = 10.0
"""A trial whose plan came to nothing is over after this."""


@dataclass(slots=True)
class _Pace:
    """Smoothed time to answer and its deviation, in milliseconds, as TCP keeps them (RFC 6298)."""

    mean: float
    deviation: float

    def take(self, took_ms: float) -> None:
        self.deviation += (abs(took_ms - self.mean) - self.deviation) / 4
        self.mean += (took_ms - self.mean) / 8

    @property
    def patience_ms(self) -> float:
        return self.mean + max(4 * self.deviation, self.mean / 2)


@dataclass(slots=True)
class _Probation:
    """A holder that failed a plan: it goes last until a trial succeeds."""

    misses: int
    until: float
    on_trial: bool = False


class Standing:
    """Every holder's pace and probation."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._paces: dict[str, _Pace] = {}
        self._probations: dict[str, _Probation] = {}

    def order(self, holders: Sequence[str], turn: int) -> tuple[str, ...]:
        """The holders in the order in which a plan should ask them.

        Each plan begins with another one, which spreads the work. Who is on probation goes last, except that one whose
        probation has lasted long enough goes first, as a trial: it costs one plan a hedge if it fails again.

        Args:
            holders: Those that are present.
            turn: A number that differs from plan to plan.
        """
        good = [name for name in holders if name not in self._probations]
        first = turn % len(good) if good else 0
        late = sorted((name for name in holders if name in self._probations), key=self._misses)
        tried = next((name for name in late if self._may_be_tried(name)), None)
        if tried is not None:
            late.remove(tried)
        return (*(() if tried is None else (tried,)), *good[first:], *good[:first], *late)

    def hedge_ms(self, holders: Iterable[str], threshold: int) -> int:
        """How long a plan waits for the preferred holders alone.

        It follows the pace of the holders, at such a place among them that fewer than t slow ones cannot raise it.
        """
        wanted = self._patience_ms(holders, threshold)
        return HEDGE_MS if wanted is None else round(min(max(wanted, HEDGE_LEAST_MS), HEDGE_MOST_MS))

    def busy_ms(self, holders: Iterable[str], threshold: int) -> int:
        """How long a plan waits for a preferred holder that is visibly at work on what it was asked before.

        Where everybody has more to do than it can answer at once, a second set costs the others work and brings nothing
        sooner. Fewer than t slow holders cannot raise this either.
        """
        wanted = self._patience_ms(holders, threshold)
        return BUSY_MS if wanted is None else round(min(max(wanted, BUSY_MS), BUSY_MOST_MS))

    def _patience_ms(self, holders: Iterable[str], threshold: int) -> float | None:
        known = sorted(self._paces[name].patience_ms for name in holders if name in self._paces)
        return known[max(len(known) - threshold, 0)] if known else None

    def answered(self, signer: str, took_ms: int) -> None:
        """Note how long a holder took to answer."""
        pace = self._paces.get(signer)
        if pace is None:
            self._paces[signer] = _Pace(mean=took_ms, deviation=took_ms / 2)
        else:
            pace.take(took_ms)

    def missed(self, signer: str) -> bool:
        """Note that a holder was late, left, refused or misbehaved; returns whether that is news.

        Failures of one moment count once.
        """
        now = self._clock.monotonic()
        found = self._probations.get(signer)
        if found is not None and not found.on_trial and now < found.until:
            return False
        misses = 1 if found is None else found.misses + 1
        pause = min(PROBATION_FIRST_S * 2.0 ** min(misses - 1, 16), PROBATION_MOST_S)
        self._probations[signer] = _Probation(misses=misses, until=now + pause)
        return True

    def signed(self, signers: Iterable[str]) -> None:
        """Note who gave the shares of a signature: nothing is held against them any more."""
        for name in signers:
            self._probations.pop(name, None)

    def _misses(self, signer: str) -> int:
        return self._probations[signer].misses

    def _may_be_tried(self, signer: str) -> bool:
        now = self._clock.monotonic()
        found = self._probations[signer]
        if now < found.until:
            return False
        found.on_trial, found.until = True, now + TRIAL_S
        return True
