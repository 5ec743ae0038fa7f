"""The list of cheats, and what a cheat prints."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

AFTERWARDS = "afterwards"
"""Step of what is asked for after the cheat itself was refused."""


class NothingToCheatWith(Exception):
    """The log lacks what the cheat needs, for instance a paid order."""


@dataclass
class Report:
    """What is printed: one JSON object a line."""

    cheat: str
    released: int = 0
    honest_shares: int = 0
    refusals: int = 0

    def say(self, event: str, **facts: Any) -> None:
        sys.stdout.write(json.dumps({"event": event, "cheat": self.cheat, **facts}) + "\n")
        sys.stdout.flush()

    def refused(self, signer: str, step: str, reason: str, detail: str, *, signed: bool) -> None:
        self.refusals += 1
        # What is asked for after the cheat was refused already is a line of its own kind.
        self.say(
            "share_refused" if step == AFTERWARDS else "refused",
            signer=signer,
            step=step,
            reason=reason,
            detail=detail,
            signed=signed,
        )

    def believed(self, signer: str, what: str) -> None:
        """A signer did what only the cheat could want; it weighs as much as a share."""
        self.released += 1
        self.say("believed", signer=signer, what=what)

    def begin(self, text: str) -> None:
        """Say that the honest part is over; what signers log from here on is about the cheat."""
        self.say("cheating", text=text, time_ms=time.time_ns() // 1_000_000)

    def done(self) -> None:
        # Rounded up, so that no line a signer logged before its last answer seems to come after the end.
        self.say(
            "done",
            time_ms=time.time_ns() // 1_000_000 + 1,
            released=self.released,
            honest_shares=self.honest_shares,
            refusals=self.refusals,
        )


Cheat = Callable[[Any], Any]


@dataclass(frozen=True)
class NamedCheat:
    """One way to cheat; the text is for people who know no cryptography."""

    text: str
    run: Cheat


CHEATS: dict[str, NamedCheat] = {}


def cheat(name: str, text: str) -> Callable[[Cheat], Cheat]:
    """Enter a function into the list of cheats.

    Raises:
        ValueError: another cheat has this name, and would never be run.
    """

    def enter(function: Cheat) -> Cheat:
        if name in CHEATS:
            raise ValueError(f"there are two cheats named {name}: {CHEATS[name].text} and: {text}")
        CHEATS[name] = NamedCheat(text, function)
        return function

    return enter


SHOWN_FIRST = ("change-amount", "pay-twice", "pay-without-approval", "split-history")


def listed() -> Mapping[str, str]:
    """Every cheat with its text, those of the demonstration first."""
    order = [*SHOWN_FIRST, *(name for name in CHEATS if name not in SHOWN_FIRST)]
    return {name: CHEATS[name].text for name in order}
