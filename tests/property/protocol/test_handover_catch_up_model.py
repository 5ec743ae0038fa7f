"""No votes of a set that does not decide stop a signer, make it vote late, or put unjudged entries into its log."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest

from handover_catch_up_model import CatchUpCase, CatchUpRules, search
from handover_model import Case

BOTH, OLD, NEW = (True, True), (True, False), (False, True)
SIGNERS = Case(members=(BOTH, BOTH, OLD, NEW), quorums=(2, 2))
CASES = {
    "another set is wanted": CatchUpCase(case=SIGNERS, base="", branches=("x", "yy")),
    "both sets decide": CatchUpCase(case=SIGNERS, base="J", branches=("x", "yy")),
    "the new set has come to decide": CatchUpCase(case=SIGNERS, base="J", branches=("x", "Ky")),
}
STOPPED = "an honest signer has stopped"
LATE = "a vote was late"
GONE = "entries below a certificate are gone"
UNJUDGED = "entries are stored that nobody who decides has judged"

MUTANTS = {
    ("the_wanted_set_alone_is_not_possible", "what_contradicts_is_by_those_who_decide"): (
        "another set is wanted",
        STOPPED,
    ),
    ("what_contradicts_is_by_those_who_decide",): ("the new set has come to decide", STOPPED),
    ("what_is_stored_is_by_those_who_decide",): ("both sets decide", UNJUDGED),
    ("the_wanted_set_alone_is_not_possible", "what_is_stored_is_by_those_who_decide"): (
        "another set is wanted",
        UNJUDGED,
    ),
    ("what_was_fetched_is_voted_for_in_time",): ("another set is wanted", LATE),
    ("what_replaces_is_decided_before_it_is_written",): ("both sets decide", UNJUDGED),
    ("the_wanted_set_alone_is_not_possible", "what_replaces_is_decided_before_it_is_written"): (
        "another set is wanted",
        GONE,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_catching_up_in_a_handover_does_no_harm(name: str) -> None:
    states, found = search(CASES[name])
    assert states > 10_000
    assert found == frozenset()


@pytest.mark.parametrize("rules", MUTANTS, ids=" and ".join)
def test_without_its_rules_catching_up_does_harm(rules: tuple[str, ...]) -> None:
    name, harm = MUTANTS[rules]
    without = replace(CASES[name], rules=CatchUpRules(**dict.fromkeys(rules, False)))
    _, found = search(without, until=harm)
    assert harm in found


@pytest.mark.slow
def test_the_wanted_set_is_kept_out_twice() -> None:
    """Each of two rules keeps its votes from stopping a signer where it is only wanted."""
    for rule in next(iter(MUTANTS)):
        _, found = search(replace(CASES["another set is wanted"], rules=CatchUpRules(**{rule: False})))
        assert STOPPED not in found


def test_every_rule_of_catching_up_has_a_mutant() -> None:
    assert {rule for rules in MUTANTS for rule in rules} == {one.name for one in fields(CatchUpRules)}
