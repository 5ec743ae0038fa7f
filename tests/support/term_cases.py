"""The cases in which the model of terms is searched to the end, and the table of what they show.

python tests/support/term_cases.py            search the quick cases and print their rows
python tests/support/term_cases.py --write    search all cases and write the table into docs/protocol/model.md
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

from term_model import Amnesia, Log, Release, World
from term_search import Verdicts, explore

__all__ = ["CASES", "TABLE_END", "TABLE_START", "Case", "judged", "row", "table"]

MODEL_DOC: Final = Path(__file__).parents[2] / "docs" / "protocol" / "model.md"
TABLE_START: Final = "<!-- cases: start -->\n"
TABLE_END: Final = "<!-- cases: end -->"
ONE_BATCH: Final[tuple[Log, ...]] = ("a", "b")
TWO_BATCHES: Final[tuple[Log, ...]] = ("a", "b", "a-", "b-")
FORK: Final[tuple[tuple[Log, ...], ...]] = (("a", "a-"), ("b", "b-"))
NOT_KNOWN: Final = "`make model` says"


@dataclass(frozen=True)
class Case:
    """One world whose every state is looked at.

    `quick` ones belong to every test run; the others take up to five minutes each.
    """

    n: int
    w: int
    f: int
    logs: tuple[tuple[Log, ...], ...]
    release: Release = Release.ON_CERTIFICATE
    amnesia: Amnesia = Amnesia.NONE
    quick: bool = True

    @property
    def world(self) -> World:
        """The threshold matters for no state: it is read off the shares that both plans can get."""
        return World(
            n=self.n,
            t=1,
            w=self.w,
            f=self.f,
            terms=len(self.logs),
            logs=self.logs,
            release=self.release,
            amnesia=self.amnesia,
        )

    @property
    def name(self) -> str:
        parts = [
            f"n={self.n} w={self.w} f={self.f}",
            self.proposals,
            self.release.value,
            f"amnesia: {self.amnesia.value}",
        ]
        return ", ".join(parts)

    @property
    def proposals(self) -> str:
        """What the coordinator may propose, in words."""
        if self.logs == FORK:
            return "two batches, one history a term"
        return {ONE_BATCH: "one batch", TWO_BATCHES: "two batches"}[self.logs[0]] + f", {len(self.logs)} terms"

    @property
    def shows_finality(self) -> bool:
        """A head is final by a vote for a batch beyond it, so one batch shows nothing."""
        return self.logs[0] != ONE_BATCH

    @property
    def expected_shares(self) -> int | None:
        """The most shares, those of bad holders included, that both plans get by the design's bounds.

        On a certificate n - w + f, so that a threshold t is safe exactly while f < t+w-n; on a final head those of the
        bad holders only. None where f >= 2w-n: no threshold up to w is safe then, whatever the release, and no vault
        has a higher one.
        """
        if self.f >= 2 * self.w - self.n:
            return None
        return self.n - self.w + self.f if self.release is Release.ON_CERTIFICATE else self.f

    @property
    def expects_broken_finality(self) -> bool:
        """Final histories hold exactly while f < 2w-n."""
        return self.shows_finality and self.f >= 2 * self.w - self.n


def _cases() -> tuple[Case, ...]:
    twice, sizes = (0, 1), ((3, 2), (3, 3), (4, 3), (4, 4))
    found = [Case(n, w, f, (ONE_BATCH,) * 2) for n, w in sizes for f in twice]
    found += [Case(4, 2, f, (ONE_BATCH,) * 2, quick=False) for f in twice]
    found += [Case(3, 2, f, (ONE_BATCH,) * 3, quick=f == 0) for f in twice]
    slow = (4, 3)
    found += [Case(n, w, f, FORK, Release.ON_FINAL, quick=(n, w) != slow) for n, w in sizes for f in twice]
    found += [Case(3, w, f, (TWO_BATCHES,) * 2, Release.ON_FINAL, quick=w == 3) for w in (2, 3) for f in twice]
    found += [Case(3, w, f, (TWO_BATCHES,) * 2, quick=w == 3) for w in (2, 3) for f in twice]
    for amnesia in (Amnesia.SILENT, Amnesia.RETURNS):
        found += [
            Case(n, w, f, (ONE_BATCH,) * 2, amnesia=amnesia, quick=(n, w) != slow) for n, w in sizes for f in twice
        ]
    for amnesia in (Amnesia.SILENT, Amnesia.RETURNS):
        found += [Case(3, w, f, FORK, Release.ON_FINAL, amnesia, quick=w == 3) for w in (2, 3) for f in twice]
    for amnesia in (Amnesia.SILENT, Amnesia.RETURNS):
        found += [Case(4, 3, f, FORK, Release.ON_FINAL, amnesia, quick=False) for f in twice]
    found += [Case(4, 4, f, FORK, Release.ON_FINAL, Amnesia.SILENT) for f in twice]
    # Who lost its memory can never return here, but what the others say since is told apart: more states, 5 seconds.
    found += [Case(4, 4, f, FORK, Release.ON_FINAL, Amnesia.RETURNS, quick=f == 1) for f in twice]
    for release in Release:
        found += [Case(4, 3, f, (TWO_BATCHES,) * 2, release, quick=False) for f in twice]
        found += [Case(4, 4, f, (TWO_BATCHES,) * 2, release) for f in twice]
    return tuple(found)


CASES: Final = _cases()


@lru_cache(maxsize=len(CASES))
def judged(case: Case) -> Verdicts:
    """Look at every state of a case."""
    return explore(case.world)


def row(case: Case, found: Verdicts) -> str:
    """The case's line of the table."""
    safe = f"t > {found.shares}"
    final = (found.finality or "holds") if case.shows_finality else "not reached"
    cells = [case.n, case.w, case.f, case.proposals, case.release.value, case.amnesia.value]
    cells += [f"{found.states:,}", found.shares, safe, final]
    return "| " + " | ".join(map(str, cells)) + " |"


def table(found: dict[Case, Verdicts]) -> list[str]:
    """The table's lines; a case that was not searched says who searches it."""
    head = ["n", "w", "f", "proposals", "release", "amnesia", "states", "shares of both plans", "safe for", "finality"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for case in CASES:
        lines.append(row(case, found[case]) if case in found else f"| {case.name} | {NOT_KNOWN} |")
    return [*lines, ""]


def main() -> int:
    """Search, print, and write if asked to."""
    write = "--write" in sys.argv[1:]
    found = {}
    for case in CASES:
        if case.quick or write:
            started = time.monotonic()
            found[case] = judged(case)
            sys.stdout.write(f"{row(case, found[case])} {time.monotonic() - started:.1f} s\n")
            sys.stdout.flush()
    if write:
        text = MODEL_DOC.read_text()
        start, end = text.index(TABLE_START) + len(TABLE_START), text.index(TABLE_END)
        MODEL_DOC.write_text(text[:start] + "\n".join(table(found)) + text[end:])
    return 0


if __name__ == "__main__":
    sys.exit(main())
