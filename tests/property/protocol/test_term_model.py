"""The protocol's rules hold in every reachable state of small cases, and leaving any one of them out breaks one."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest

from term_model import (
    NO_CERTIFICATE,
    Certificate,
    Rules,
    Step,
    World,
    finality_violation,
    release_violation,
    replay,
    search,
    violation,
)

ONE_BATCH = ("a", "b")


@pytest.mark.parametrize(
    "world",
    [
        World(n=3, t=2, w=2, terms=2),
        World(n=3, t=2, w=2, terms=3, logs=(ONE_BATCH, ONE_BATCH, ONE_BATCH)),
        World(n=4, t=2, w=3, terms=2, logs=(ONE_BATCH, ONE_BATCH)),
        World(n=4, t=3, w=3, f=1, terms=2, logs=(ONE_BATCH, ONE_BATCH)),
        World(n=3, t=2, w=2, terms=2, logs=(ONE_BATCH, ONE_BATCH), amnesia=True),
    ],
    ids=["3,2,2 two batches", "3,2,2 three terms", "4,2,3", "4,3,3 one bad", "3,2,2 one silent amnesiac"],
)
def test_within_the_bound_no_order_is_signed_twice_and_no_final_history_is_lost(world: World) -> None:
    found = search(world)
    assert found.violation == "", found.trace
    assert found.states > 100


@pytest.mark.attack(
    line="coordinator+signers",
    title="the stated limit: one bad signer of three and a bad coordinator",
    origin="on paper: the bound of one witness quorum, shown on purpose",
)
def test_one_bad_signer_of_three_is_beyond_the_bound_and_two_plans_are_signed() -> None:
    """f < t+w-n is 1 < 1 here: the limit that the charter check prints is real."""
    found = search(World(n=3, t=2, w=2, f=1, terms=2, logs=(ONE_BATCH, ONE_BATCH)), check=release_violation)
    assert found.violation == "both plans of one order are signed"


def test_with_four_signers_one_bad_one_breaks_release_on_a_certificate_but_not_finality() -> None:
    world = World(n=4, t=2, w=3, f=1, terms=2, logs=(("a", "a-"), ("b",)))
    assert search(world, check=release_violation).violation == "both plans of one order are signed"
    assert search(world, check=finality_violation).violation == ""


SEARCHED: dict[str, World] = {
    "refuses_lower_terms": World(n=3, t=2, w=2, terms=2, logs=(("a",), ("b",))),
    "persists_promises": World(n=3, t=2, w=2, terms=2, logs=(("a",), ("b",))),
    "base_is_highest": World(n=3, t=2, w=2, terms=2, logs=(("a",), ("b",))),
    "one_base_a_term": World(n=3, t=2, w=2, terms=2, logs=(("a",), ("b", "a-"))),
    "votes_are_chained": World(n=3, t=2, w=2, terms=1, logs=(("a", "b-"),)),
    "amnesiac_stays_silent": World(n=3, t=2, w=2, terms=2, logs=(("a",), ("b",)), amnesia=True),
    "client_waits_for_final": World(n=3, t=2, w=2, terms=2, logs=(("a",), ("b", "b-"))),
}


@pytest.mark.attack(
    line="coordinator+signers",
    title="missing rules of the protocol",
    origin="on paper: each rule of the log left out in turn",
)
@pytest.mark.parametrize("rule", SEARCHED)
def test_the_search_finds_what_a_missing_rule_allows(rule: str) -> None:
    world = SEARCHED[rule]
    assert search(world).violation == ""
    assert search(replace(world, rules=Rules(**{rule: False}))).violation != ""


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

SCRIPTED: dict[str, list[Step]] = {
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
SCRIPT_WORLD = World(n=3, t=2, w=2, terms=4, logs=(("a", "a-"), ("b",), ("a-", "a--"), ("b-",)))


@pytest.mark.parametrize("rule", SCRIPTED)
def test_a_scripted_attack_works_without_the_rule_and_fails_with_it(rule: str) -> None:
    script = SCRIPTED[rule]
    without = replace(SCRIPT_WORLD, rules=Rules(**{rule: False}))
    state, done = replay(without, script)
    assert done == len(script)
    assert violation(without, state, frozenset()) != ""
    state, _ = replay(SCRIPT_WORLD, script)
    assert violation(SCRIPT_WORLD, state, frozenset()) == ""


def test_every_rule_of_the_model_has_its_mutant() -> None:
    assert {item.name for item in fields(Rules)} == set(SEARCHED) | set(SCRIPTED)
