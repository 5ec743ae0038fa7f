"""The protocol's rules hold in every reachable state of small cases, and leaving any one of them out breaks one."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from term_cases import CASES, TABLE_END, TABLE_START, Case, judged, row, table
from term_model import NO_CERTIFICATE, Amnesia, Certificate, Rules, Step, World, replay
from term_search import (
    NOTHING_PAST,
    Check,
    release_violation,
    search,
    stuck_violation,
    violation,
)

pytestmark = pytest.mark.slow

MODEL_DOC = Path(__file__).parents[3] / "docs" / "protocol" / "model.md"
ONE_BATCH = ("a", "b")


def documented() -> list[str]:
    text = MODEL_DOC.read_text()
    return text[text.index(TABLE_START) : text.index(TABLE_END)].strip().splitlines()


def case_params() -> list[Any]:
    return [
        pytest.param(case, id=case.name, marks=[] if case.quick else [pytest.mark.campaign, pytest.mark.slow])
        for case in CASES
    ]


@pytest.mark.parametrize("case", case_params())
def test_the_bounds_are_exactly_those_of_the_design_and_the_document_says_what_was_found(case: Case) -> None:
    """Both plans get n - w + f shares on certificates and no more: f < t+w-n is exact. Finality holds iff f < 2w-n."""
    found, expected = judged(case), case.expected_shares
    assert found.shares >= case.w if expected is None else found.shares == expected
    assert bool(found.finality) == case.expects_broken_finality
    assert row(case, found) in documented()


def test_the_document_has_one_row_for_each_case() -> None:
    assert len(documented()) == len(table({})) == len(CASES) + 3


def test_one_bad_signer_of_three_is_beyond_the_bound_and_two_plans_are_signed() -> None:
    """f < t+w-n is 1 < 1 here: the limit that the charter check prints is real."""
    found = search(World(n=3, t=2, w=2, f=1, terms=2, logs=(ONE_BATCH, ONE_BATCH)), check=release_violation)
    assert found.violation == "both plans of one order are signed"


@pytest.mark.parametrize(
    "world",
    [
        World(n=3, t=2, w=2, terms=2, logs=(("a", "a-"), ("b",)), storage=True),
        World(n=3, t=2, w=2, f=1, terms=2, logs=(("a",), ("b",)), storage=True),
        World(n=4, t=2, w=3, f=1, terms=2, logs=(("a",), ("b",)), storage=True),
    ],
    ids=["3,2,2", "3,2,2 one bad", "4,2,3 one bad"],
)
def test_from_every_state_any_w_live_signers_go_on_with_an_honest_coordinator(world: World) -> None:
    found = search(world, check=stuck_violation)
    assert found.violation == "", found.trace
    assert found.states > 100


SEARCHED: dict[str, tuple[World, Check]] = {
    "refuses_lower_terms": (World(n=3, t=2, w=2, terms=2, logs=(("a",), ("b",))), violation),
    "persists_promises": (World(n=3, t=2, w=2, terms=2, logs=(("a",), ("b",))), violation),
    "base_is_highest": (World(n=3, t=2, w=2, terms=2, logs=(("a",), ("b",))), violation),
    "votes_are_chained": (World(n=3, t=2, w=2, terms=2, logs=(("a", "b-"), ("b--",))), release_violation),
    "stores_before_holding": (World(n=3, t=2, w=2, terms=2, logs=(("a",), ("b",)), storage=True), stuck_violation),
    "stops_on_contradiction": (
        World(n=3, t=3, w=2, f=1, terms=1, logs=(("a", "b", "a-", "b-"),)),
        release_violation,
    ),
    "return_needs_fresh_promises": (
        World(n=3, t=2, w=2, terms=2, logs=((), ONE_BATCH), amnesia=Amnesia.RETURNS),
        violation,
    ),
    "client_waits_for_final": (World(n=3, t=2, w=2, terms=2, logs=(("a",), ("b", "b-"))), violation),
}


@pytest.mark.parametrize("rule", SEARCHED)
def test_the_search_finds_what_a_missing_rule_allows(rule: str) -> None:
    world, check = SEARCHED[rule]
    assert search(world, check=check).violation == ""
    assert search(replace(world, rules=Rules(**{rule: False})), check=check).violation != ""


FOUR = {
    "w=3": World(n=4, t=2, w=3, terms=2, logs=(("a",), ("b",))),
    "w=4": World(n=4, t=1, w=4, terms=2, logs=(ONE_BATCH, ONE_BATCH)),
    "w=4 and a loss of memory": World(n=4, t=1, w=4, terms=2, logs=(ONE_BATCH, ONE_BATCH), amnesia=Amnesia.SILENT),
}


@pytest.mark.parametrize("name", FOUR)
@pytest.mark.parametrize("rule", ["refuses_lower_terms", "base_is_highest"])
def test_four_signers_need_the_rules_of_terms_and_bases_as_well(name: str, rule: str) -> None:
    world = FOUR[name]
    assert search(world, check=release_violation).violation == ""
    without = replace(world, rules=Rules(**{rule: False}))
    assert search(without, check=release_violation).violation == "both plans of one order are signed"


def votes(term: int, log: str, *signers: int) -> list[Step]:
    return [Step(signer, "vote", term, log) for signer in signers]


def takes(term: int, log: str, *signers: int) -> list[Step]:
    return [Step(signer, "take", term, (term, log)) for signer in signers]


def opens(term: int, base: Certificate, *signers: int) -> list[Step]:
    return [Step(signer, "promise", term, "") for signer in signers] + [
        Step(signer, "adopt", term, base) for signer in signers
    ]


FIRST, SECOND, THIRD = range(3)
A_IS_HELD_BY_ONE = votes(1, "a", FIRST, SECOND) + takes(1, "a", FIRST)
B_IS_CERTIFIED = opens(2, NO_CERTIFICATE, SECOND, THIRD) + votes(2, "b", SECOND, THIRD)

LOST = [Step(FIRST, "lose memory", 0, "")]

SCRIPTED: dict[str, list[Step]] = {
    # Two openings of one term, each with two statements; one signer adopts the base of both.
    "one_base_a_term": [
        Step(FIRST, "promise", 2, ""),
        *votes(1, "a", SECOND, THIRD),
        Step(SECOND, "promise", 2, ""),
        Step(FIRST, "adopt", 2, NO_CERTIFICATE),
        Step(SECOND, "adopt", 2, NO_CERTIFICATE),
        *takes(1, "a", THIRD),
        Step(THIRD, "promise", 2, ""),
        *votes(2, "b", FIRST, SECOND),
        *takes(2, "b", FIRST, SECOND),
        Step(SECOND, "adopt", 2, (1, "a")),
        Step(THIRD, "adopt", 2, (1, "a")),
        *votes(2, "a-", SECOND, THIRD),
        *takes(2, "a-", SECOND, THIRD),
    ],
    # It signed a, forgets, and goes on in the same term.
    "amnesiac_takes_no_part": [
        *opens(2, NO_CERTIFICATE, SECOND, THIRD),
        Step(FIRST, "adopt", 2, NO_CERTIFICATE),
        *votes(2, "a", FIRST, SECOND),
        *takes(2, "a", FIRST, SECOND),
        *LOST,
        Step(FIRST, "adopt", 2, NO_CERTIFICATE),
        *votes(2, "b", FIRST, THIRD),
        *takes(2, "b", FIRST, THIRD),
    ],
    # It signed a, forgets, and states that it holds nothing.
    "amnesiac_states_no_new_term": [
        *votes(1, "a", FIRST, SECOND),
        *takes(1, "a", FIRST, SECOND),
        *LOST,
        Step(FIRST, "promise", 2, ""),
        Step(THIRD, "promise", 2, ""),
        Step(SECOND, "adopt", 2, NO_CERTIFICATE),
        Step(THIRD, "adopt", 2, NO_CERTIFICATE),
        *votes(2, "b", SECOND, THIRD),
        *takes(2, "b", SECOND, THIRD),
    ],
    # A larger certificate of an older term hides a newer one under which shares went out.
    "base_orders_by_term": [
        *votes(1, "a", FIRST, SECOND),
        *votes(1, "a-", FIRST, SECOND),
        *takes(1, "a-", FIRST),
        *B_IS_CERTIFIED,
        *takes(2, "b", SECOND, THIRD),
        *opens(3, (1, "a-"), FIRST, SECOND),
        *votes(3, "a--", FIRST, SECOND),
        *takes(3, "a--", FIRST, SECOND),
    ],
    # Votes of term 3 name the certificate of term 1, while one of term 2 is still about.
    "finality_by_certificates_of_the_term": [
        *A_IS_HELD_BY_ONE,
        *B_IS_CERTIFIED,
        *takes(2, "b", THIRD),
        *opens(3, (1, "a"), FIRST, SECOND),
        *votes(3, "a-", FIRST, SECOND),
        *opens(4, (2, "b"), SECOND, THIRD),
        *votes(4, "b-", SECOND, THIRD),
    ],
    # One vote of term 1 and one of term 3, each naming a certificate of its own term.
    "finality_within_one_term": [
        *A_IS_HELD_BY_ONE,
        *votes(1, "a-", FIRST),
        *B_IS_CERTIFIED,
        *takes(2, "b", THIRD),
        *opens(3, (1, "a"), FIRST, SECOND),
        *votes(3, "a-", FIRST, SECOND),
        *takes(3, "a-", SECOND),
        *votes(3, "a--", SECOND),
        *opens(4, (2, "b"), FIRST, THIRD),
        *votes(4, "b-", FIRST, THIRD),
    ],
    # Each plan gets one share in one term and one in another.
    "shares_of_one_term": [
        *A_IS_HELD_BY_ONE,
        *B_IS_CERTIFIED,
        *takes(2, "b", SECOND),
        *opens(3, (1, "a"), FIRST, THIRD),
        *votes(3, "a-", FIRST, THIRD),
        *takes(3, "a-", THIRD),
        *opens(4, (2, "b"), FIRST, SECOND),
        *votes(4, "b-", FIRST, SECOND),
        *takes(4, "b-", FIRST),
    ],
}
SCRIPT_WORLD = World(
    n=3,
    t=2,
    w=2,
    terms=4,
    logs=(("a", "a-"), ("a", "b", "a-"), ("a-", "a--"), ("b-",)),
    amnesia=Amnesia.SILENT,
)


@pytest.mark.parametrize("rule", SCRIPTED)
def test_a_scripted_attack_works_without_the_rule_and_fails_with_it(rule: str) -> None:
    script = SCRIPTED[rule]
    without = replace(SCRIPT_WORLD, rules=Rules(**{rule: False}))
    state, done = replay(without, script)
    assert done == len(script)
    assert violation(without, state, NOTHING_PAST) != ""
    state, _ = replay(SCRIPT_WORLD, script)
    assert violation(SCRIPT_WORLD, state, NOTHING_PAST) == ""


def test_every_rule_of_the_model_has_its_mutant() -> None:
    assert {item.name for item in fields(Rules)} == set(SEARCHED) | set(SCRIPTED)
