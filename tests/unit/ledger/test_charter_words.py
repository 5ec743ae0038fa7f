"""Whoever reads a charter, or what an amendment changes, reads every value of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from charter_leaves import full_charter, leaves
from strongroom.ledger.charter import Charter
from strongroom.ledger.charter_changes import changes

FULL = full_charter()
PARTS = ("people", "groups", "signers", "assets", "rules", "denies")


def told(old: Charter, new: Charter) -> list[tuple[str, str]]:
    return [(change.where, change.text) for change in changes(old, new)]


@pytest.mark.parametrize("where", [path for path, _ in leaves(FULL) if not path.startswith((".version", ".salt"))])
def test_two_different_changes_of_a_value_are_never_told_alike(where: str) -> None:
    one, other = (dict(leaves(FULL, step=step))[where] for step in (1, 2))
    assert told(FULL, one)
    if one != other:  # a yes or no has only one other value
        assert told(FULL, one) != told(FULL, other)


@pytest.mark.parametrize("part", PARTS)
def test_an_addition_is_told_with_every_value_of_it(part: str) -> None:
    for position, added in enumerate(getattr(FULL, part)):
        old = replace(FULL, **{part: tuple(item for item in getattr(FULL, part) if item is not added)})
        for where, changed in leaves(added):
            others: list[Any] = list(getattr(FULL, part))
            others[position] = changed
            assert told(old, FULL) != told(old, replace(FULL, **{part: tuple(others)})), where


def test_break_glass_is_told_with_every_value_when_it_comes_in() -> None:
    old = replace(FULL, break_glass=None)
    for where, changed in leaves(FULL.break_glass):
        assert told(old, FULL) != told(old, replace(FULL, break_glass=changed)), where
