"""The page of attacks is what the tests say, and no attack goes uncounted."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import attack_table

TESTS = Path(__file__).parents[1]
PAGE = TESTS.parent / "docs" / "security" / "attacks.md"


@pytest.mark.slow
def test_the_page_of_attacks_is_what_the_tests_say() -> None:
    assert PAGE.read_text() == attack_table.render(), (
        "run: python tests/support/attack_table.py > docs/security/attacks.md"
    )


def test_every_test_of_the_adversaries_is_counted() -> None:
    uncounted = [
        path.name
        for path in sorted((TESTS / "adversary").rglob("test_*.py"))
        if not re.search(r"mark\.(attack|crash_point)\(", path.read_text())
    ]
    assert not uncounted


@pytest.mark.slow
def test_every_title_names_one_attack() -> None:
    """Two tests under one title would count as one attack."""
    tests: dict[str, set[str]] = {}
    for facts in attack_table.collected():
        if facts["kind"] == "attack":
            tests.setdefault(facts["title"], set()).add(facts["test"].split("[")[0])
    assert not {title: sorted(names) for title, names in tests.items() if len(names) > 1}
