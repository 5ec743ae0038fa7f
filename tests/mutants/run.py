"""Takes out single checks, one at a time, and expects a failing test each time; prints the score.

    python tests/mutants/run.py [--jobs N] [--only TEXT] [--sample N] [--json FILE] [--list]

The tests run once unchanged, to see that they pass and which test file calls which function. Each mutant then lives in
a forked process of its own: the function's code is exchanged there, and the test files that call it run until the
first failure. Nothing on disk changes. A mutant that no test notices *survives*, and the run exits with 1;
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
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).parent))

import pytest
from equivalent import EQUIVALENT
from finding import ROOT, TARGETS, Mutant, mutants_of

DEADLINE_S: Final = 240.0
FIRST_FILES: Final = 4
"""Most checks are noticed by the test files that are tried first; the others are not even collected then."""
AREAS: Final = ("tests/unit/ledger", "tests/unit/protocol", "tests/unit/signer", "tests/property")
"""Where the tests stand that may notice."""


@dataclass
class Verdict:
    """What became of one mutant."""

    mutant: Mutant
    outcome: str
    """`killed`, `survived`, `equivalent`, or `broken` when the tests could not be run."""
    seconds: float


class Calls:
    """Which test files call which functions, quickest files first; a pytest plugin while the tests run unchanged."""

    def __init__(self) -> None:
        self._called: dict[str, set[str]] = {}
        """Test files by source file and qualified name of a function."""
        self._seconds: Counter[str] = Counter()
        self._sources = {str(ROOT / path) for path in TARGETS}

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """Note every function that one test calls."""
        file = str(item.path.relative_to(ROOT))
        begun = time.monotonic()

        def note(frame: FrameType, event: str, _argument: object) -> None:
            if event == "call" and frame.f_code.co_filename in self._sources:
                self._called.setdefault(f"{frame.f_code.co_filename}:{frame.f_code.co_qualname}", set()).add(file)

        sys.setprofile(note)
        try:
            return (yield)
        finally:
            sys.setprofile(None)
            self._seconds[file] += time.monotonic() - begun

    def save(self, path: Path) -> None:
        """Write it down for the parent process."""
        called = {name: sorted(files) for name, files in self._called.items()}
        path.write_text(json.dumps({"called": called, "seconds": self._seconds}))

    @classmethod
    def load(cls, path: Path) -> Calls:
        """Read what the child wrote."""
        data = json.loads(path.read_text())
        found = cls()
        found._called = {name: set(files) for name, files in data["called"].items()}
        found._seconds = Counter(data["seconds"])
        return found

    def tests_for(self, mutant: Mutant) -> list[str]:
        """Test files that call the function: those named after its module first, then the quickest first."""
        path = next(path for path, module in TARGETS.items() if module == mutant.module)
        files = self._called.get(f"{ROOT / path}:{mutant.function}", set())
        words = set(mutant.module.rpartition(".")[2].split("_"))
        return sorted(files, key=lambda file: (-len(words & set(Path(file).stem.split("_"))), self._seconds[file]))


def exchange(mutant: Mutant) -> None:
    """Give the function of the running process the mutant's code."""
    found: Any = importlib.import_module(mutant.module)
    for name in mutant.function.split("."):
        found = vars(found)[name]
    if isinstance(found, property):
        found = found.fget
    found = getattr(found, "__wrapped__", getattr(found, "__func__", found))
    found.__code__ = mutant.code


def run_tests(mutant: Mutant | None, tests: list[str], output: Path) -> int:
    """The child's part: exchange the code (or note who calls what), run the tests, return pytest's exit code."""
    with output.open("wb") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    os.environ["HYPOTHESIS_STORAGE_DIRECTORY"] = str(output.with_suffix(".examples"))
    calls = Calls()
    if not tests:
        return int(pytest.ExitCode.NO_TESTS_COLLECTED)
    if mutant is not None:
        exchange(mutant)
    options = ["-x", "-q", "--no-header", "--hypothesis-seed=0", "-p", "no:cacheprovider", "-p", "no:xdist"]
    options += ["-m", "not process and not slow and not campaign"]
    code = int(pytest.main([*options, *tests], plugins=[] if mutant else [calls]))
    if mutant is None:
        calls.save(output.with_suffix(".json"))
    return code


def _forked(mutant: Mutant | None, tests: list[str], output: Path) -> int:
    """Start the child and return its process id."""
    child = os.fork()
    if child:
        return child
    os.setsid()
    try:
        code = run_tests(mutant, tests, output)
    except BaseException:
        # A child must never return into the parent's loop.
        traceback.print_exc()
        code = 70
    sys.stdout.flush()
    os._exit(code)


class Runner:
    """Runs mutants side by side, each in a process of its own."""

    def __init__(self, jobs: int) -> None:
        self._jobs = jobs
        self._running: dict[int, tuple[Mutant, float, Path]] = {}
        self._left: dict[str, list[str]] = {}
        """Test files that were not tried yet, by mutant."""
        self._folder = Path(tempfile.mkdtemp(prefix="mutants-"))
        self._calls = Calls()
        self.verdicts: list[Verdict] = []

    def learn(self) -> bool:
        """Run the tests with nothing taken out; False if they fail, because a score would then say nothing."""
        output = self._folder / "unchanged.log"
        child = _forked(None, list(AREAS), output)
        if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != 0:
            sys.stdout.write(f"the tests fail with nothing taken out: {output}\n")
            return False
        self._calls = Calls.load(output.with_suffix(".json"))
        return True

    def run(self, mutants: list[Mutant]) -> None:
        """Run all of them, telling how far it is and who survives."""
        waiting = list(reversed(mutants))
        total = len(mutants)
        while waiting or self._running:
            while waiting and len(self._running) < self._jobs:
                self._start(waiting.pop())
            self._reap()
            done = len(self.verdicts)
            if sys.stderr.isatty():
                sys.stderr.write(f"\r{done} of {total} ")

    def _start(self, mutant: Mutant) -> None:
        files = self._left.pop(mutant.name, None)
        if files is None:
            files = self._calls.tests_for(mutant)
            files, self._left[mutant.name] = files[:FIRST_FILES], files[FIRST_FILES:]
        output = self._folder / f"{len(self.verdicts) + len(self._running)}-{time.monotonic_ns()}.log"
        child = _forked(mutant, files, output)
        self._running[child] = (mutant, time.monotonic(), output)

    def _reap(self) -> None:
        child, status = os.waitpid(-1, os.WNOHANG)
        if child == 0:
            time.sleep(0.02)
            for late, (_, begun, _) in self._running.items():
                if time.monotonic() - begun > DEADLINE_S:
                    os.killpg(late, signal.SIGKILL)
            return
        mutant, begun, output = self._running.pop(child)
        self._judge(mutant, status, time.monotonic() - begun, output)

    def _judge(self, mutant: Mutant, status: int, seconds: float, output: Path) -> None:
        code = os.waitstatus_to_exitcode(status)
        # 1 and 2 are a failed test and one that could not be collected; a negative code is a test run that hung.
        # 5 says that no test calls the function at all.
        if code in (0, 5) and self._left.get(mutant.name):
            self._start(mutant)
            return
        outcome = {0: "survived", 5: "survived", 1: "killed", 2: "killed"}.get(code, "killed" if code < 0 else "broken")
        if outcome == "survived" and mutant.name in EQUIVALENT:
            outcome = "equivalent"
        self.verdicts.append(Verdict(mutant, outcome, seconds))
        if outcome in ("survived", "broken"):
            sys.stdout.write(f"{outcome.upper()}: {mutant.name} (line {mutant.line}; {output})\n")
            sys.stdout.flush()


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
        step = max(1, len(mutants) // options.sample)
        mutants = mutants[::step]
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
    modules = sorted({mutant.module for mutant in mutants})
    for module in modules:
        importlib.import_module(module)
    runner = Runner(options.jobs)
    if not runner.learn():
        return 2
    runner.run(mutants)
    report(runner.verdicts)
    if options.json:
        rows = [
            {"check": item.mutant.name, "outcome": item.outcome, "seconds": round(item.seconds, 2)}
            for item in runner.verdicts
        ]
        options.json.write_text(json.dumps(rows, indent=1) + "\n")
    return int(any(item.outcome in ("survived", "broken") for item in runner.verdicts))


if __name__ == "__main__":
    sys.exit(main())
