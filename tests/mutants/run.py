"""Takes out single checks, one at a time, and expects a failing test each time; prints the score.

    python tests/mutants/run.py [--jobs N] [--only TEXT] [--sample N] [--json FILE] [--list]

The tests are collected once and run once unchanged, to see that they pass and which of them call which function. Each
mutant then lives in a forked process of its own: the function's code is exchanged there, and the tests that call it run
until the first failure. Nothing on disk changes. A mutant that no test notices *survives*, and the run exits with 1;
those that cannot be noticed, because another check beside them refuses the same, stand in `equivalent.py` with why.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Final, NoReturn

sys.path.insert(0, str(Path(__file__).parent))

import pytest
from equivalent import EQUIVALENT
from finding import ROOT, TARGETS, Mutant, mutants_of

DEADLINE_S: Final = 240.0
AREAS: Final = (
    "tests/unit/ledger",
    "tests/unit/protocol",
    "tests/unit/crypto",
    "tests/unit/chains",
    "tests/unit/signer",
    "tests/property",
)
"""Where the tests stand that may notice."""
KILLED, SURVIVED, BROKEN = 1, 0, 70


@dataclass
class Verdict:
    """What became of one mutant: `killed`, `survived`, `equivalent`, or `broken` when no test could be run."""

    mutant: Mutant
    outcome: str
    seconds: float


class Calls:
    """Which tests call which functions, and how long each takes."""

    def __init__(self, called: dict[str, list[str]], seconds: dict[str, float]) -> None:
        self.called = called
        """Ids of tests by `source file:qualified name` of a function."""
        self.seconds = seconds

    def tests_for(self, mutant: Mutant) -> list[str]:
        """Tests that call the function: those of files named after its module first, then the quickest first."""
        path = next(path for path, module in TARGETS.items() if module == mutant.module)
        words = set(mutant.module.rpartition(".")[2].split("_"))

        def rank(test: str) -> tuple[int, float]:
            return -len(words & set(Path(test.partition("::")[0]).stem.split("_"))), self.seconds[test]

        return sorted(self.called.get(f"{ROOT / path}:{mutant.function}", ()), key=rank)


class Session:
    """A pytest plugin that runs mutants instead of the tests: everything is collected, and nothing is run here."""

    def __init__(self, mutants: list[Mutant], jobs: int) -> None:
        self._mutants = mutants
        self._jobs = jobs
        self._folder = Path(tempfile.mkdtemp(prefix="mutants-"))
        self._items: dict[str, pytest.Item] = {}
        self._failed = False
        self._calls = Calls({}, {})
        self._running: dict[int, tuple[Mutant, float]] = {}
        self.sound = False
        self.verdicts: list[Verdict] = []

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Take the place of pytest's own loop."""
        self._items = {item.nodeid: item for item in session.items}
        if session.testsfailed == 0 and self._learn():
            self.sound = True
            self._run_all()
        return True

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note that a test failed, in its setup or end as well."""
        self._failed = self._failed or report.failed

    # --- in the parent -----------------------------------------------------------------------------------------------

    def _learn(self) -> bool:
        sys.stdout.write(f"running {len(self._items)} tests with nothing taken out\n")
        sys.stdout.flush()
        notes = self._folder / "calls.json"
        child = self._forked(lambda: self._note_calls(notes), "unchanged")
        if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != SURVIVED:
            sys.stdout.write(f"they fail: {self._folder / 'unchanged.log'}\n")
            return False
        self._calls = Calls(**json.loads(notes.read_text()))
        return True

    def _run_all(self) -> None:
        waiting = list(reversed(self._mutants))
        while waiting or self._running:
            while waiting and len(self._running) < self._jobs:
                mutant = waiting.pop()
                tests = self._calls.tests_for(mutant)
                child = self._forked(lambda: self._try(mutant, tests), f"{len(waiting)}")  # noqa: B023 - runs at once
                self._running[child] = (mutant, time.monotonic())
            self._reap()
            if sys.stderr.isatty():
                sys.stderr.write(f"\r{len(self.verdicts)} of {len(self._mutants)} ")

    def _reap(self) -> None:
        child, status = os.waitpid(-1, os.WNOHANG)
        if child:
            mutant, begun = self._running.pop(child)
            self._judge(mutant, os.waitstatus_to_exitcode(status), time.monotonic() - begun)
            return
        time.sleep(0.005)
        for late, (_, begun) in self._running.items():
            if time.monotonic() - begun > DEADLINE_S:
                os.killpg(late, signal.SIGKILL)

    def _judge(self, mutant: Mutant, code: int, seconds: float) -> None:
        # A negative code is a test run that hung without the check, or died: somebody would notice.
        outcome = {SURVIVED: "survived", KILLED: "killed"}.get(code, "killed" if code < 0 else "broken")
        if outcome == "survived" and mutant.name in EQUIVALENT:
            outcome = "equivalent"
        self.verdicts.append(Verdict(mutant, outcome, seconds))
        if outcome in ("survived", "broken"):
            sys.stdout.write(f"{outcome.upper()}: {mutant.name} (line {mutant.line})\n")
            sys.stdout.flush()

    def _forked(self, work: Callable[[], int], name: str) -> int:
        """Start a child that does the work, and return its process id."""
        sys.stdout.flush()
        child = os.fork()
        return child or self._in_child(work, self._folder / f"{name}.log")

    # --- in a child --------------------------------------------------------------------------------------------------

    def _in_child(self, work: Callable[[], int], output: Path) -> NoReturn:
        os.setsid()
        with output.open("wb") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        try:
            code = work()
        except BaseException:
            # A child must never return into the parent's loop.
            traceback.print_exc()
            code = BROKEN
        sys.stdout.flush()
        os._exit(code)

    def _run(self, tests: Iterable[str]) -> int:
        items = [self._items[test] for test in tests]
        for item, following in zip(items, [*items[1:], None], strict=True):
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            if self._failed:
                return KILLED
        return SURVIVED

    def _try(self, mutant: Mutant, tests: list[str]) -> int:
        exchange(mutant)
        return self._run(tests)

    def _note_calls(self, notes: Path) -> int:
        """Run everything and write down who calls what."""
        sources = {str(ROOT / path) for path in TARGETS}
        called: dict[str, set[str]] = {}
        seconds: dict[str, float] = {}
        for test in self._items:

            def note(frame: FrameType, event: str, _argument: object, test: str = test) -> None:
                if event == "call" and frame.f_code.co_filename in sources:
                    called.setdefault(f"{frame.f_code.co_filename}:{frame.f_code.co_qualname}", set()).add(test)

            begun = time.monotonic()
            sys.setprofile(note)
            code = self._run([test])
            sys.setprofile(None)
            if code != SURVIVED:
                return code
            seconds[test] = time.monotonic() - begun
        found = {name: sorted(tests) for name, tests in called.items()}
        notes.write_text(json.dumps({"called": found, "seconds": seconds}))
        return SURVIVED


def exchange(mutant: Mutant) -> None:
    """Give the function of the running process the mutant's code."""
    found: Any = importlib.import_module(mutant.module)
    for name in mutant.function.split("."):
        found = vars(found)[name]
    if isinstance(found, property):
        found = found.fget
    found = getattr(found, "__wrapped__", getattr(found, "__func__", found))
    found.__code__ = mutant.code


def report(verdicts: list[Verdict]) -> None:
    """Print the score, module by module."""
    sys.stdout.write(f"\n{'module':<44}{'checks':>8}{'killed':>8}{'same':>6}{'alive':>7}\n")
    by_module: dict[str, Counter[str]] = {}
    for verdict in verdicts:
        by_module.setdefault(verdict.mutant.module, Counter())[verdict.outcome] += 1
    totals: Counter[str] = Counter()
    for module, counts in by_module.items():
        totals += counts
        alive = counts["survived"] + counts["broken"]
        row = f"{sum(counts.values()):>8}{counts['killed']:>8}{counts['equivalent']:>6}{alive:>7}"
        sys.stdout.write(f"{module:<44}{row}\n")
    killed, alive = totals["killed"], totals["survived"] + totals["broken"]
    score = f"{killed / max(killed + alive, 1):.1%}"
    same = totals["equivalent"]
    sys.stdout.write(
        f"\n{killed} of {killed + alive} checks taken out were noticed by a test ({score});"
        f" {same} cannot be noticed, for the reasons in tests/mutants/equivalent.py\n"
    )


def chosen(options: argparse.Namespace) -> list[Mutant]:
    """The mutants that the command line asks for."""
    mutants = [mutant for path in TARGETS for mutant in mutants_of(path)]
    stale = set(EQUIVALENT) - {mutant.name for mutant in mutants}
    if stale:
        raise SystemExit("equivalent.py names checks that are gone:\n" + "\n".join(sorted(stale)))
    mutants = [mutant for mutant in mutants if options.only in mutant.name]
    if options.sample:
        mutants = mutants[:: max(1, len(mutants) // options.sample)]
    return mutants


def main() -> int:
    """Run from the command line; 0 when every check is noticed, 1 when one is not, 2 when the tests fail unchanged."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes side by side")
    parser.add_argument("--only", default="", metavar="TEXT", help="only checks whose name holds TEXT")
    parser.add_argument("--sample", type=int, default=0, metavar="N", help="about N of them, spread evenly")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every verdict to FILE")
    parser.add_argument("--list", action="store_true", help="print the checks and run nothing")
    options = parser.parse_args()
    os.chdir(ROOT)
    mutants = chosen(options)
    if options.list:
        sys.stdout.writelines(f"{mutant.name}\n" for mutant in mutants)
        return 0
    session = Session(mutants, options.jobs)
    flags = ["-q", "-s", "--no-header", "--hypothesis-seed=0", "-p", "no:cacheprovider", "-p", "no:xdist"]
    pytest.main([*flags, "-m", "not process and not campaign", *AREAS], plugins=[session])
    if not session.sound:
        return 2
    report(session.verdicts)
    if options.json:
        rows = [
            {"check": item.mutant.name, "outcome": item.outcome, "seconds": round(item.seconds, 2)}
            for item in session.verdicts
        ]
        options.json.write_text(json.dumps(rows, indent=1) + "\n")
    return int(any(item.outcome in ("survived", "broken") for item in session.verdicts))


if __name__ == "__main__":
    sys.exit(main())
