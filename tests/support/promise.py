"""The promise, by who is compromised: counts the attacks and crash points that tests carry out, and prints the table.

A test that carries out an attack is marked

    @pytest.mark.attack(line="coordinator", title="another payee under genuine approvals", origin="Bybit 2025: ...")

and a test that kills a daemon at a place where it writes and then acts

    @pytest.mark.crash_point(daemon="signer", point="the vote is stored and not yet sent", side="after")

`pytest --promise` prints each line of the promise with what was tried and what held; `make adversary` runs it. What
could not be tried on a machine is shown as skipped, with the reason, and never counts as held. What counts as tried on
daemons is marked `process`; a test with that mark during which no daemon ran fails. `--promise-floor A,C`
fails a run that tried fewer than A attacks on real daemons or C crash points. The same marks give
`docs/security/attacks.md`.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest

from long_files import begin_with_the_longest, keep_this_order
from real_processes import Watch

LINES: Final = {
    "coordinator": (
        "the coordinator, its database, its TLS keys",
        "no coin moves without an order signed by the people the charter asks for, to exactly the destinations and "
        "amounts they signed; no order is paid twice; limits bound what is authorised; history is not rewritten",
    ),
    "holders": (
        "up to t-1 holders of a vault's key",
        "no signature on what is not approved; a wrong share names its sender, with evidence; the rest go on",
    ),
    "person": (
        "one person's key, or any set below a quorum",
        "nothing above the tier that set may approve; it can veto and freeze until revoked",
    ),
    "coordinator+signers": (
        "the coordinator and f signers within the bound",
        "no signature on what is not approved; single history, at most once and limits hold while f < t+w-n",
    ),
    "approval-quorum": ("a whole approval quorum", "what the charter lets that quorum pay, and no more"),
    "admin-quorum": (
        "the admin quorum",
        "everything, but only after the loosening delay, in the open, and not if n-t+1 operators freeze",
    ),
    "stranger": (
        "a connection: no certificate, or one of another role",
        "no service answers; a certificate grants calls and never authority",
    ),
    "machine": (
        "a machine: its disk, clock or memory, or an old copy of it",
        "no nonce twice, no second vote, nothing paid twice, nothing lost",
    ),
    "network": ("the network between them", "every accepted order is paid exactly once when the network is back"),
}
"""Every line of the promise: who or what is compromised, and what still holds."""

NOT_BUILT: Final[dict[str, str]] = {}
"""Lines that nothing can attack yet, and why."""

_WIDTH: Final = 1 + max(len(who) for who, _ in LINES.values())
_ATTACK: Final = {"line", "title", "origin"}
_CRASH: Final = {"daemon", "point", "side"}
_PROCESSES: Final = Watch()


@dataclass
class Tally:
    """What became of the attacks of one line, or of the crash points of one daemon, by title."""

    outcomes: dict[str, set[str]] = field(default_factory=dict)
    real: set[str] = field(default_factory=set)
    reasons: dict[str, str] = field(default_factory=dict)

    def add(self, title: str, outcome: str, *, real: bool, reason: str = "") -> None:
        self.outcomes.setdefault(title, set()).add(outcome)
        if real and outcome != "skipped":
            self.real.add(title)
        if reason:
            self.reasons[title] = reason

    @property
    def tried(self) -> list[str]:
        return sorted(title for title, seen in self.outcomes.items() if seen != {"skipped"})

    @property
    def held(self) -> list[str]:
        return [title for title in self.tried if "failed" not in self.outcomes[title]]

    @property
    def skipped(self) -> list[str]:
        return sorted(title for title, seen in self.outcomes.items() if seen == {"skipped"})


# --- marks -----------------------------------------------------------------------------------------------------------


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("promise")
    group.addoption("--promise", action="store_true", help="print what was attacked and what held")
    group.addoption("--promise-floor", metavar="A,C", help="fail below A attacks on real daemons or C crash points")
    group.addoption("--promise-marks", metavar="FILE", help="write every attack and crash point to FILE, as JSON")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "attack(line, title, origin): carries out an attack")
    config.addinivalue_line("markers", "crash_point(daemon, point, side): kills a daemon at this place")
    keep_this_order(config)
    if config.getoption("--promise"):
        _PROCESSES.begin()


def marked(items: Iterable[pytest.Item]) -> Iterator[dict[str, Any]]:
    """The attacks and crash points that collected tests carry out.

    Raises:
        pytest.UsageError: a mark has another form, or two tests of different names give one title.
    """
    for item in items:
        for mark in item.iter_markers():
            wanted = {"attack": _ATTACK, "crash_point": _CRASH}.get(mark.name)
            if wanted is None:
                continue
            facts = dict(mark.kwargs)
            wrong = mark.args or set(facts) != wanted or not all(isinstance(value, str) for value in facts.values())
            if wrong or (mark.name == "attack" and facts["line"] not in LINES):
                raise pytest.UsageError(f"{item.nodeid}: this {mark.name} mark has another form: {mark}")
            real = item.get_closest_marker("process") is not None
            yield {"kind": mark.name, "test": item.nodeid, "real": real, **facts}


def pytest_collection_modifyitems(session: pytest.Session, config: pytest.Config, items: list[pytest.Item]) -> None:
    found = list(marked(items))
    by_test: dict[str, list[dict[str, Any]]] = {}
    for facts in found:
        by_test.setdefault(facts["test"], []).append(facts)
    for item in items:
        for facts in by_test.get(item.nodeid, ()):
            item.user_properties.append(("promise", facts))
    if path := config.getoption("--promise-marks"):
        Path(path).write_text(json.dumps(found))
    begin_with_the_longest(items)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """Fail what counts as tried on daemons, and ran none."""
    is_real = any(name == "promise" and facts["real"] for name, facts in item.user_properties)
    if not is_real or not item.config.getoption("--promise"):
        return (yield)
    running, before = _PROCESSES.running, _PROCESSES.started
    result = yield
    if not running and _PROCESSES.started == before:
        pytest.fail(f"{item.nodeid} is marked process, and neither a signer nor the coordinator ran as a process")
    return result


# --- the report ------------------------------------------------------------------------------------------------------


def tallies(reports: Iterable[pytest.TestReport]) -> dict[tuple[str, str], Tally]:
    """What was tried, by kind and line (or daemon)."""
    found: dict[tuple[str, str], Tally] = {}
    for report in reports:
        if report.when != "call" and report.passed:
            continue
        for name, facts in report.user_properties:
            if name != "promise":
                continue
            is_attack = facts["kind"] == "attack"
            key = (facts["kind"], facts["line"] if is_attack else facts["daemon"])
            title = facts["title"] if is_attack else facts["point"]
            reason = ""
            if report.skipped and isinstance(report.longrepr, tuple):
                reason = str(report.longrepr[2]).removeprefix("Skipped: ")
            found.setdefault(key, Tally()).add(title, report.outcome, real=facts["real"], reason=reason)
    return found


def lines_of_table(found: dict[tuple[str, str], Tally]) -> Iterator[str]:
    """The table as text lines."""
    head = "In the attacker's hands"
    yield f"{head:<{_WIDTH}}{'tried':>7}{'held':>7}{'on daemons':>12}"
    for line, (who, what) in LINES.items():
        tally = found.get(("attack", line), Tally())
        verdict = "" if len(tally.held) == len(tally.tried) else "  BROKEN"
        yield f"{who:<{_WIDTH}}{len(tally.tried):>7}{len(tally.held):>7}{len(tally.real):>12}{verdict}"
        untried = line in NOT_BUILT and not tally.tried
        yield from _wrapped(f"{'is to hold' if untried else 'holds'}: {what}")
        if untried:
            yield from _wrapped(f"not tried: {NOT_BUILT[line]}")
        elif not tally.outcomes:
            yield "    nothing of it was run this time"
        yield from (f"    BROKEN: {title}" for title in tally.tried if title not in tally.held)
        yield from (f"    skipped: {title}: {tally.reasons.get(title, 'no reason given')}" for title in tally.skipped)
    for kind, daemon in sorted(key for key in found if key[0] == "crash_point"):
        tally = found[kind, daemon]
        verdict = "" if len(tally.held) == len(tally.tried) else "  BROKEN"
        who = f"killed while it writes and acts: the {daemon}"
        yield f"{who:<{_WIDTH}}{len(tally.tried):>7}{len(tally.held):>7}{len(tally.real):>12}{verdict}"
        yield from (f"    BROKEN: {point}" for point in tally.tried if point not in tally.held)
        yield from (f"    skipped: {point}: {tally.reasons.get(point, 'no reason given')}" for point in tally.skipped)


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, width=100, initial_indent="    ", subsequent_indent="      ", break_on_hyphens=False)


def _totals(found: dict[tuple[str, str], Tally]) -> tuple[int, int, int, bool]:
    attacks = [tally for (kind, _), tally in found.items() if kind == "attack"]
    points = [tally for (kind, _), tally in found.items() if kind == "crash_point"]
    all_held = all(len(tally.held) == len(tally.tried) for tally in found.values())
    tried = sum(len(tally.tried) for tally in attacks)
    return tried, sum(len(tally.real) for tally in attacks), sum(len(tally.tried) for tally in points), all_held


def pytest_terminal_summary(terminalreporter: Any, exitstatus: int, config: pytest.Config) -> None:
    if not config.getoption("--promise"):
        return
    found = tallies(_reports(terminalreporter))
    tried, real, points, all_held = _totals(found)
    terminalreporter.section("the promise, by who is compromised")
    for line in lines_of_table(found):
        terminalreporter.line(line)
    verdict = "all held" if all_held else "NOT ALL HELD"
    terminalreporter.line("")
    terminalreporter.line(f"{tried} attacks tried, {real} of them on real daemons; {points} crash points: {verdict}")
    if floor := config.getoption("--promise-floor"):
        least_attacks, least_points = (int(part) for part in floor.split(","))
        if real < least_attacks or points < least_points:
            terminalreporter.line(
                f"TOO FEW: at least {least_attacks} attacks and {least_points} crash points are wanted"
            )


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Fail a run that tried too little, whatever its tests said."""
    floor = session.config.getoption("--promise-floor")
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if not floor or reporter is None or hasattr(session.config, "workerinput"):
        return
    least_attacks, least_points = (int(part) for part in floor.split(","))
    _, real, points, _ = _totals(tallies(_reports(reporter)))
    if exitstatus == 0 and (real < least_attacks or points < least_points):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _reports(reporter: Any) -> list[pytest.TestReport]:
    wanted = ("passed", "failed", "error", "skipped")
    return [item for key in wanted for item in reporter.stats.get(key, ()) if isinstance(item, pytest.TestReport)]
