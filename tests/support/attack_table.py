"""The table of attacks and crash points, made from the marks on the tests that carry them out.

python tests/support/attack_table.py > docs/security/attacks.md
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from promise import LINES, NOT_BUILT

ROOT = Path(__file__).parents[2]

INTRODUCTION = """# Attacks, crash points, and the tests that carry them out

Each row is an attack that was published against a real system, or found on paper against this design, and a test that
carries it out and expects it to fail. Rows marked *daemons* run against real signer and coordinator processes with
mutual TLS and durable storage, or, where an operator is to be fooled at enrolment, against the signer's own command;
the others drive the same code in one process. `make adversary` runs all of them, fails if one of the former ran no such
process, and prints what was tried and what held, by who is compromised; `make test` runs many of them. Paths are
relative to `tests/`.

What is not promised at all is said in [the threat model](../threat-model.md). How to see that the tests bite:
`make mutants` takes single checks out of the code and expects a failing test each time.

This page is made from the tests: `python tests/support/attack_table.py > docs/security/attacks.md`.
"""


@cache
def collected() -> list[dict[str, Any]]:
    """Every mark of every test, in the order of collection; a fresh run of pytest looks for them, once."""
    with tempfile.TemporaryDirectory() as folder:
        marks = Path(folder) / "marks.json"
        command = [sys.executable, "-m", "pytest", "--collect-only", "-q", f"--promise-marks={marks}", "-p", "no:xdist"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"the tests cannot be collected:\n{done.stdout[-2_000:]}{done.stderr[-2_000:]}")
        found: list[dict[str, Any]] = json.loads(marks.read_text())
        return found


def _test_of(facts: dict[str, Any]) -> str:
    return str(facts["test"]).removeprefix("tests/").split("[")[0]


def _rows(marks: list[dict[str, Any]], line: str) -> Iterator[str]:
    rows: dict[str, str] = {}
    for facts in marks:
        if facts["kind"] == "attack" and facts["line"] == line:
            how = "daemons" if facts["real"] else "one process"
            rows.setdefault(facts["title"], f"| {facts['title']} | {facts['origin']} | {how} | `{_test_of(facts)}` |")
    yield from (rows[title] for title in sorted(rows))


def _points(marks: list[dict[str, Any]]) -> Iterator[str]:
    sides: dict[tuple[str, str], set[str]] = {}
    tests: dict[tuple[str, str], str] = {}
    for facts in marks:
        if facts["kind"] == "crash_point":
            key = facts["daemon"], facts["point"]
            sides.setdefault(key, set()).add(facts["side"])
            tests[key] = _test_of(facts)
    for key in sorted(sides):
        daemon, point = key
        yield f"| {daemon} | {point} | {', '.join(sorted(sides[key], reverse=True))} | `{tests[key]}` |"


def render() -> str:
    """The whole page."""
    marks = collected()
    text = INTRODUCTION
    for line, (who, holds) in LINES.items():
        rows = list(_rows(marks, line))
        verb = "holds" if rows else "is to hold"
        text += f"\n## {who[0].upper()}{who[1:]}\n\nWhat {verb}: {holds}.\n"
        if rows:
            real = sum("| daemons |" in row for row in rows)
            text += f"\n{len(rows)} attacks, {real} of them on daemons.\n"
            text += "\n| Attack | Where it comes from | How | Test |\n|---|---|---|---|\n" + "\n".join(rows) + "\n"
        else:
            text += f"\nNot attacked: {NOT_BUILT[line]}.\n"
    points = list(_points(marks))
    text += (
        "\n## Killed at any moment\n\nA daemon is killed (SIGKILL) on each side of every place where it writes and\n"
    )
    text += "then acts, and started again: no nonce twice, nothing paid twice, nothing lost, work goes on by itself.\n"
    text += "\n| Daemon | Place | Killed | Test |\n|---|---|---|---|\n" + "\n".join(points) + "\n"
    return text


if __name__ == "__main__":
    sys.stdout.write(render())
