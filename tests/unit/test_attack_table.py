"""The page of attacks is what the tests say, and no attack goes uncounted."""

from __future__ import annotations

from pathlib import Path

import pytest

import attack_table
from long_files import LONGEST_FIRST

TESTS = Path(__file__).parents[1]
PAGE = TESTS.parent / "docs" / "security" / "attacks.md"


@pytest.mark.slow
def test_the_page_of_attacks_is_what_the_tests_say() -> None:
    assert PAGE.read_text() == attack_table.render(), (
        "run: python tests/support/attack_table.py > docs/security/attacks.md"
    )


@pytest.mark.slow
def test_every_file_of_the_adversaries_is_counted_and_every_title_names_one_attack() -> None:
    """Two tests under one title would count as one attack."""
    tests: dict[str, set[str]] = {}
    files = set()
    for facts in attack_table.collected():
        files.add(facts["test"].split("::", maxsplit=1)[0])
        if facts["kind"] == "attack":
            tests.setdefault(facts["title"], set()).add(facts["test"].partition("[")[0])
    assert not {title: sorted(names) for title, names in tests.items() if len(names) > 1}
    wanted = {str(path.relative_to(TESTS.parent)) for path in (TESTS / "adversary").rglob("test_*.py")}
    assert not wanted - files


def test_the_files_that_a_run_begins_with_are_there() -> None:
    present = {path.stem for path in TESTS.rglob("test_*.py")}
    assert present >= set(LONGEST_FIRST)
