"""Whose words count: which sets make an electorate, when two are the same, and which key is whose."""

from __future__ import annotations

from dataclasses import replace

import pytest

import charter_builder as builder
from ledger_world import sign
from strongroom.ledger.certificate_messages import WitnessSet
from strongroom.ledger.electorate import Electorate, witness_set_of
from strongroom.ledger.records import WitnessPhase, WitnessRecord

OLD: WitnessSet = witness_set_of(builder.charter())
NEW: WitnessSet = witness_set_of(
    builder.charter(signers=(builder.signer("s1"), builder.signer("s4")), witness_quorum=1)
)


def key(name: str) -> bytes:
    return builder.signing_key(f"{name} vote").public


@pytest.mark.parametrize("sets", [(), (OLD, NEW, OLD)])
def test_an_electorate_has_one_set_or_two(sets: tuple[WitnessSet, ...]) -> None:
    with pytest.raises(ValueError, match="one witness set or two"):
        Electorate(*sets)


def test_electorates_of_the_same_sets_are_equal_and_nothing_else_is() -> None:
    assert Electorate(OLD, NEW) == Electorate(OLD, NEW)
    assert Electorate(OLD, NEW) != Electorate(NEW, OLD)
    assert Electorate(OLD) != Electorate(OLD, NEW)
    assert Electorate(OLD) != Electorate(OLD).digest


def test_a_word_counts_for_the_name_whose_key_it_is_under() -> None:
    both = Electorate(OLD, NEW)
    assert both.has("s2", key("s2"))
    assert not both.has("s2", key("s1"))
    assert not both.has("s9", key("s2"))
    said = sign("vote", OLD, "s2 vote")
    assert both.key_that_signed("s2", "vote", said.body, said.signature) == key("s2")
    assert both.key_that_signed("s1", "vote", said.body, said.signature) is None


def test_a_quorum_is_one_of_every_set() -> None:
    both = Electorate(OLD, NEW)
    assert not both.is_quorum({"s2": key("s2"), "s3": key("s3")})
    assert both.is_quorum({"s2": key("s2"), "s3": key("s3"), "s4": key("s4")})
    assert both.is_quorum({"s1": key("s1"), "s3": key("s3")})
    assert not both.could_be_quorum(["s2", "s3"])
    assert both.could_be_quorum(["s1", "s3"])
    assert not both.could_be_quorum(["s1", "s4"])
    assert both.chosen([("s3", key("s3")), ("s1", key("s9")), ("s2", key("s2")), ("s1", key("s1"))]) == {
        "s1",
        "s2",
        "s3",
    }


def test_two_sets_decide_only_while_one_takes_over_from_the_other() -> None:
    steady = WitnessRecord(
        number=1, phase=WitnessPhase.STEADY, since_size=1, current=OLD, next=None, amendment=b"", lapses_ms=0
    )
    assert Electorate.of(steady) == Electorate(OLD)
    assert Electorate.of(replace(steady, next=NEW, phase=WitnessPhase.WANTED)) == Electorate(OLD)
    assert Electorate.of(replace(steady, next=NEW, phase=WitnessPhase.JOINT)) == Electorate(OLD, NEW)
