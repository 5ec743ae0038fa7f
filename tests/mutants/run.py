"""Takes out single checks, one at a time, and expects a failing test each time; prints the score.

    python tests/mutants/run.py [--jobs N] [--only TEXT] [--sample N] [--json FILE] [--decided FILE] [--list] [TESTS...]

The tests are collected once and run once unchanged, to see that they pass and in which of them each check decides
something. Each mutant then lives in a forked process of its own: the function's code is exchanged there, and the tests
in which its check decides run until the first failure, those named after its module first. Nothing on disk changes. A
mutant that no test notices *survives*, and the run exits with 1; those that cannot be noticed, because another check
beside them refuses the same, stand in `equivalent.py` with why.
"""

from __future__ import annotations

import argparse
import builtins
import functools
import gc
import importlib
import inspect
import json
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any, Final, NoReturn, cast

sys.path.insert(0, str(Path(__file__).parent))

import pytest
from decided import SHARED, Decided
from equivalent import EQUIVALENT
from finding import ROOT, Mutant, mutants_of, noting_of, stale_verdicts
from targets import TARGETS

DEADLINE_S: Final = 240.0
"""A mutant that runs so much longer than four times what its tests take unchanged has hung where no alarm ends it."""
AREAS: Final = (
    "tests/unit/ledger",
    "tests/unit/protocol",
    "tests/unit/crypto",
    "tests/unit/chains",
    "tests/unit/signer",
    "tests/property",
)
"""Where the tests stand that may notice."""
SURVIVED, KILLED, HUNG, BROKEN = 0, 1, 2, 70
"""How a child ends."""
_NOTE: Final = "strongroom_mutants_note"


@dataclass
class Verdict:
    """What became of one mutant: `killed`, `hung`, `survived`, `equivalent`, or `broken` when no test could be run.

    Killed by a test that failed; hung when one did not end any more, which somebody would notice as well.

    The seconds are of processor time.
    """

    mutant: Mutant
    outcome: str
    seconds: float


class Session:
    """A pytest plugin that runs mutants instead of the tests: everything is collected, and nothing is run here."""

    def __init__(self, mutants: list[Mutant], jobs: int, decided: Path | None) -> None:
        self._mutants = mutants
        self._jobs = jobs
        self._decided_file = decided
        self._folder = Path(tempfile.mkdtemp(prefix="mutants-"))
        self._items: dict[str, pytest.Item] = {}
        self._failed = False
        self._decided = Decided()
        self._running: dict[int, tuple[Mutant, float]] = {}
        self.sound = False
        self.verdicts: list[Verdict] = []

    def pytest_collection(self) -> None:
        """One failing example is enough: nobody looks for the smallest."""
        # Not sooner: pytest wants to rewrite the assertions of plugins before anybody imports them.
        hypothesis: Any = importlib.import_module("hypothesis")
        phases = [hypothesis.Phase.explicit, hypothesis.Phase.generate]
        slow = [hypothesis.HealthCheck.too_slow]
        hypothesis.settings.register_profile(
            "mutants", phases=phases, database=None, deadline=None, suppress_health_check=slow
        )
        hypothesis.settings.load_profile("mutants")

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Take the place of pytest's own loop."""
        self._items = {item.nodeid: item for item in session.items}
        if session.testsfailed == 0 and self._learn():
            self.sound = True
            self._run_all()
            if all(verdict.outcome != "broken" for verdict in self.verdicts):
                shutil.rmtree(self._folder)
        return True

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note that a test failed, in its setup or end as well."""
        self._failed = self._failed or report.failed

    # --- in the parent -----------------------------------------------------------------------------------------------

    def _learn(self) -> bool:
        if self._decided_file:
            self._decided.read(self._decided_file)
        wanted = [test for test in self._items if not self._decided.knows(test)]
        sys.stdout.write(f"running {len(wanted)} tests with nothing taken out\n")
        sys.stdout.flush()
        files = list(dict.fromkeys(test.partition("::")[0] for test in wanted))
        children: dict[int, str] = {}
        for part in range(self._jobs):
            mine = set(files[part :: self._jobs])
            tests = [test for test in wanted if test.partition("::")[0] in mine]
            name = f"unchanged-{part}"
            children[self._forked(partial(self._note_decided, tests, self._folder / f"{name}.json"), name)] = name
        sound = True
        for child, name in children.items():
            if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != SURVIVED:
                sys.stdout.write(f"they fail: {self._folder / f'{name}.log'}\n")
                sound = False
                continue
            self._decided.add(**json.loads((self._folder / f"{name}.json").read_text()))
        if sound and self._decided_file:
            self._decided.write(self._decided_file)
        return sound

    def _run_all(self) -> None:
        waiting = list(reversed(self._mutants))
        while waiting or self._running:
            while waiting and len(self._running) < self._jobs:
                mutant = waiting.pop()
                tests = [test for test in self._decided.tests_for(mutant) if test in self._items]
                child = self._forked(partial(self._try, mutant, tests), f"{len(waiting)}")
                limit_s = DEADLINE_S + 4 * sum(map(self._decided.seconds, tests))
                self._running[child] = (mutant, time.monotonic() + limit_s)
            self._reap()
            if sys.stderr.isatty():
                sys.stderr.write(f"\r{len(self.verdicts)} of {len(self._mutants)} ")

    def _reap(self) -> None:
        child, status, used = os.wait4(-1, os.WNOHANG)
        if child:
            mutant, _ = self._running.pop(child)
            self._judge(mutant, os.waitstatus_to_exitcode(status), used.ru_utime + used.ru_stime)
            return
        time.sleep(0.005)
        for late, (_, deadline) in self._running.items():
            if time.monotonic() > deadline:
                os.killpg(late, signal.SIGKILL)

    def _judge(self, mutant: Mutant, code: int, seconds: float) -> None:
        # A negative code is a process that died, or that no signal but the last one reached.
        known = {SURVIVED: "survived", KILLED: "killed", HUNG: "hung"}
        outcome = known.get(code, "hung" if code < 0 else "broken")
        if outcome == "survived" and mutant.name in EQUIVALENT:
            outcome = "equivalent"
        self.verdicts.append(Verdict(mutant, outcome, seconds))
        if outcome in ("survived", "broken", "hung"):
            tried = len(self._decided.tests_for(mutant))
            sys.stdout.write(f"{outcome.upper()}: {mutant.name} (line {mutant.line}; decides in {tried} tests)\n")
        if len(self.verdicts) % 100 == 0:
            sys.stdout.write(f"{len(self.verdicts)} of {len(self._mutants)} checks taken out\n")
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

    def _run(self, test: str) -> int:
        """Run a test, which makes and ends what it shares with others by itself: so none leans on another."""
        item = self._items[test]
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=None)
        return KILLED if self._failed else SURVIVED

    def _try(self, mutant: Mutant, tests: list[str]) -> int:
        exchange([(mutant.module, mutant.function, mutant.code)])
        # Without its check a loop may never end: somebody would notice that.
        signal.signal(signal.SIGALRM, lambda *_: os._exit(HUNG))
        for test in tests:
            signal.alarm(self._decided.limit_s(test))
            if self._run(test) == KILLED:
                return KILLED
        return SURVIVED

    def _note_decided(self, tests: list[str], notes: Path) -> int:
        """Run tests and write down which checks decide something in each."""
        decided: dict[str, list[str]] = {}
        seconds: dict[str, float] = {}
        here: set[str] = set()

        def note(name: str, value: object, when: bool) -> object:
            if bool(value) is when:
                here.add(name)
            return value

        vars(builtins)[_NOTE] = note
        exchange(
            (module, function, code) for path, module in TARGETS.items() for function, code in noting_of(path, _NOTE)
        )
        caches = [one for one in gc.get_objects() if isinstance(one, functools._lru_cache_wrapper) and _is_ours(one)]
        for running in tests:
            # What is remembered from the test before is decided in that one only.
            for cache in caches:
                cache.cache_clear()
            begun = time.monotonic()
            code_of_test = self._run(running)
            if code_of_test != SURVIVED:
                sys.stdout.write(f"\n{running} fails with nothing taken out\n")
                return code_of_test
            seconds[running] = time.monotonic() - begun
            for name in here:
                decided.setdefault(name, []).append(running)
            here.clear()
        notes.write_text(json.dumps({"decided": decided, "seconds": seconds}))
        return SURVIVED


def _is_ours(cache: object) -> bool:
    code = getattr(inspect.unwrap(cast(Any, cache)), "__code__", None)
    return code is not None and any(code.co_filename.startswith(str(ROOT / place)) for place in (*SHARED, "tests"))


def exchange(changed: Iterable[tuple[str, str, CodeType]]) -> None:
    """Give functions of the running process other code, by module and name; also what was made inside them before."""
    inner: dict[CodeType, CodeType] = {}
    for module, function, code in changed:
        found: Any = importlib.import_module(module)
        for name in function.split("."):
            found = vars(found)[name]
        if isinstance(found, property | cached_property):
            found = found.fget if isinstance(found, property) else found.func
        found = getattr(found, "__wrapped__", getattr(found, "__func__", found))
        inner.update(zip(_inside(found.__code__), _inside(code), strict=True))
        found.__code__ = code
    for closure in gc.get_referrers(*inner) if inner else ():
        if isinstance(closure, FunctionType) and closure.__code__ in inner:
            closure.__code__ = inner[closure.__code__]


def _inside(code: CodeType) -> Iterator[CodeType]:
    """The named functions that this one makes; comprehensions and the like live no longer than a call."""
    for item in code.co_consts:
        if isinstance(item, CodeType):
            if not item.co_name.startswith("<"):
                yield item
            yield from _inside(item)


def report(verdicts: list[Verdict]) -> None:
    """Print the score, module by module."""
    sys.stdout.write(f"\n{'module':<44}{'checks':>8}{'killed':>8}{'hung':>6}{'same':>6}{'alive':>7}{'seconds':>9}\n")
    by_module: dict[str, Counter[str]] = {}
    seconds: dict[str, float] = {}
    for verdict in verdicts:
        by_module.setdefault(verdict.mutant.module, Counter())[verdict.outcome] += 1
        seconds[verdict.mutant.module] = seconds.get(verdict.mutant.module, 0) + verdict.seconds
    totals: Counter[str] = Counter()
    for module, counts in by_module.items():
        totals += counts
        alive = counts["survived"] + counts["broken"]
        row = (
            f"{sum(counts.values()):>8}{counts['killed']:>8}{counts['hung']:>6}{counts['equivalent']:>6}"
            f"{alive:>7}{seconds[module]:>9.0f}"
        )
        sys.stdout.write(f"{module:<44}{row}\n")
    noticed, alive = totals["killed"] + totals["hung"], totals["survived"] + totals["broken"]
    score = f"{noticed / max(noticed + alive, 1):.1%}"
    sys.stdout.write(
        f"\n{noticed} of {noticed + alive} checks taken out were noticed by a test ({score}), {totals['hung']} of them"
        f" by one that did not end any more; {totals['equivalent']} cannot be noticed, for the reasons in"
        " tests/mutants/equivalent.py\n"
    )


def chosen(options: argparse.Namespace) -> list[Mutant]:
    """The mutants that the command line asks for."""
    mutants = [mutant for path in TARGETS for mutant in mutants_of(path)]
    if stale := stale_verdicts():
        raise SystemExit("targets.py names functions that are gone:\n" + "\n".join(sorted(stale)))
    stale = set(EQUIVALENT) - {mutant.name for mutant in mutants}
    if stale:
        raise SystemExit("equivalent.py names checks that are gone:\n" + "\n".join(sorted(stale)))
    mutants = [mutant for mutant in mutants if any(text in mutant.name for text in options.only or [""])]
    if options.sample:
        mutants = mutants[:: max(1, len(mutants) // options.sample)]
    return mutants


def main() -> int:
    """Run from the command line; 0 when every check is noticed, 1 when one is not, 2 when the tests fail unchanged."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes side by side")
    parser.add_argument(
        "--only", action="append", metavar="TEXT", help="only checks whose name holds TEXT; several may be given"
    )
    parser.add_argument("--sample", type=int, default=0, metavar="N", help="about N of them, spread evenly")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every verdict to FILE")
    parser.add_argument(
        "--decided", type=Path, metavar="FILE", help="keep in FILE what is decided in which test, for the next run"
    )
    parser.add_argument("--list", action="store_true", help="print the checks and run nothing")
    parser.add_argument("tests", nargs="*", default=AREAS, metavar="TESTS", help="where to look for tests")
    options = parser.parse_args()
    os.chdir(ROOT)
    mutants = chosen(options)
    if options.list:
        sys.stdout.writelines(f"{mutant.name}\n" for mutant in mutants)
        return 0
    session = Session(mutants, options.jobs, options.decided)
    flags = [
        "-q",
        "-s",
        "--no-header",
        "--hypothesis-seed=0",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:xdist",
        "-p",
        "no:faulthandler",
    ]
    pytest.main([*flags, "-m", "not process and not campaign", *options.tests], plugins=[session])
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
