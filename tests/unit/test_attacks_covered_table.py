"""The table of attacks names tests that exist, and every attack test stands in it."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).parents[1]
TABLE = TESTS.parent / "docs" / "attacks-covered.md"
ROW = re.compile(r"^\| [^|]+ \| `([^`|]+\.py)::(test_\w+)` \|$", re.MULTILINE)


def test_every_test_in_the_table_of_attacks_exists() -> None:
    named = ROW.findall(TABLE.read_text())
    rows = [line for line in TABLE.read_text().splitlines() if line.startswith("| ") and "Attack |" not in line]
    assert len(named) == len(rows)
    missing = [
        f"{path}::{test}"
        for path, test in named
        if not (TESTS / path).exists() or f"def {test}(" not in (TESTS / path).read_text()
    ]
    assert not missing


def test_every_adversary_test_stands_in_the_table_of_attacks() -> None:
    named = {test for _, test in ROW.findall(TABLE.read_text())}
    attacks = {
        test
        for path in (TESTS / "adversary").glob("test_*.py")
        for test in re.findall(r"def (test_attack_\w+)\(", path.read_text())
    }
    assert attacks - named == {
        # Variants of a row beside them.
        "test_attack_false_root",
        "test_attack_log_time_put_back",
        "test_attack_participants_in_another_order",
    }
