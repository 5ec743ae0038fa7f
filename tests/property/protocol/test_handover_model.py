"""No interleaving of a handover makes two histories final; without any one of its rules, some interleaving does."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest

from handover_model import Case, Rules, search

OLD, NEW = (True, False), (False, True)
SMALL = Case(members=(OLD, NEW), quorums=(1, 1), first="JxK")
THREE = Case(members=(OLD, OLD, NEW), quorums=(2, 1), first="JxK")
LONGER = Case(members=(OLD, NEW), quorums=(1, 1), first="JxKx")


def test_a_handover_leaves_one_history() -> None:
    states, contradicts = search(SMALL)
    assert states > 10_000
    assert not contradicts


@pytest.mark.slow
@pytest.mark.parametrize(
    "case",
    [
        pytest.param(THREE, id="two old signers, one new", marks=pytest.mark.campaign),
        pytest.param(LONGER, id="the new set goes on by itself"),
    ],
)
def test_a_larger_handover_leaves_one_history(case: Case) -> None:
    states, contradicts = search(case)
    assert states > 100_000
    assert not contradicts


@pytest.mark.parametrize("rule", [one.name for one in fields(Rules)])
def test_every_rule_of_the_handover_is_needed(rule: str) -> None:
    _, contradicts = search(replace(SMALL, rules=Rules(**{rule: False})))
    assert contradicts
