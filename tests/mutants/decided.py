"""What is known of the tests before anything is taken out."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Final

from finding import ROOT, Mutant

TEST_S: Final = 30
"""A test that runs so much longer than ten times what it takes unchanged has hung."""
SHARED: Final = ("core", "signer", "coordinator", "client", "tests/support", "tests/mutants")
"""What tests run beside themselves."""


class Decided:
    """In which tests each check decides something, and how long each test takes."""

    def __init__(self) -> None:
        self._tests: dict[str, list[str]] = {}
        """Ids of tests by a mutant's name: in these, and in no other, the mutant does anything else."""
        self._seconds: dict[str, float] = {}

    def add(self, decided: dict[str, list[str]], seconds: dict[str, float]) -> None:
        """Take what happened in some of the tests."""
        for name, tests in decided.items():
            self._tests[name] = sorted({*self._tests.get(name, ()), *tests})
        self._seconds.update(seconds)

    def read(self, file: Path) -> None:
        """Take what an earlier run wrote, but for tests whose files have changed since.

        Nothing if anything else has changed that they run: what is decided depends on all of it.
        """
        written = file.stat().st_mtime if file.exists() else 0.0
        others = [path for place in SHARED for path in (ROOT / place).rglob("*.py")]
        if any(path.stat().st_mtime >= written for path in (*others, *(ROOT / "tests").rglob("conftest.py"))):
            return
        stored = json.loads(file.read_text())
        paths = {test: ROOT / test.partition("::")[0] for test in stored["seconds"]}
        fresh = {test for test, path in paths.items() if path.exists() and path.stat().st_mtime < written}
        seconds = {test: value for test, value in stored["seconds"].items() if test in fresh}
        self.add({name: [test for test in by if test in fresh] for name, by in stored["decided"].items()}, seconds)

    def write(self, file: Path) -> None:
        """Write what is known for another run."""
        file.write_text(json.dumps({"decided": self._tests, "seconds": self._seconds}))

    def knows(self, test: str) -> bool:
        """Whether this test was run."""
        return test in self._seconds

    def tests_for(self, mutant: Mutant) -> list[str]:
        """Tests that can notice a mutant: those of files named after its module first, then the quickest first."""
        words = set(mutant.module.rpartition(".")[2].split("_"))

        def rank(test: str) -> tuple[int, float]:
            return -len(words & set(Path(test.partition("::")[0]).stem.split("_"))), self._seconds[test]

        return sorted(self._tests.get(mutant.name, ()), key=rank)

    def seconds(self, test: str) -> float:
        """How long a test takes unchanged."""
        return self._seconds[test]

    def limit_s(self, test: str) -> int:
        """How long a test may take."""
        return TEST_S + math.ceil(10 * self._seconds[test])
