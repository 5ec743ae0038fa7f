"""A signer whose vote key no witness set has for its name says nothing that counts, and tells its operator why."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import charter_builder as builder
from handover_world import HandoverWorld, signer
from strongroom.ledger.replica import Replica
from strongroom.ledger.state import State
from strongroom.ledger.view import MemoryStore
from strongroom_signer.voice import NotAWitness, Voice

VOTERS = ("s1", "s2", "s3:s3-2", "s4")


@pytest.fixture
def world() -> HandoverWorld:
    return HandoverWorld()


def wanted(world: HandoverWorld) -> None:
    """s3 gets another machine, s4 comes; three of the four decide."""
    world.want(
        world.next_charter(builder.signer("s1"), builder.signer("s2"), signer("s3", "s3-2"), signer("s4"), quorum=3)
    )


def voice(world: HandoverWorld, name: str, label: str = "") -> Voice:
    return Voice(name, builder.signing_key(f"{label or name} vote").public, world.world.charter)


def allows(check: Callable[..., None], *states: State) -> bool:
    try:
        check(*states)
    except NotAWitness:
        return False
    return True


def speaks(one: Voice, state: State) -> tuple[bool, bool, bool]:
    """Whether it states NEWTERM, votes, and signs."""
    return (
        allows(one.require_statement, state, state),
        allows(one.require_vote, state),
        allows(one.require_signing, state),
    )


def test_who_speaks_in_which_phase(world: HandoverWorld) -> None:
    old, new, fourth = voice(world, "s3"), voice(world, "s3", "s3-2"), voice(world, "s4")
    everything, nothing, votes_only = (True, True, True), (False, False, False), (True, True, False)
    assert [speaks(one, world.state) for one in (old, new, fourth)] == [everything, nothing, nothing]
    wanted(world)
    assert [speaks(one, world.state) for one in (old, new, fourth)] == [everything, votes_only, votes_only]
    world.world.log(world.first(VOTERS))
    assert [speaks(one, world.state) for one in (old, new, fourth)] == [everything, votes_only, votes_only]
    world.world.log(world.second(VOTERS))
    assert [speaks(one, world.state) for one in (old, new, fourth)] == [nothing, everything, everything]


def test_a_signer_that_leaves_states_what_it_holds_until_that_is_final(world: HandoverWorld) -> None:
    """The term that is asked for may drop the head with which it leaves, and then its word is needed."""
    wanted(world)
    world.world.log(world.first(VOTERS))
    before = world.state
    world.world.log(world.second(VOTERS))
    old = voice(world, "s3")
    assert allows(old.require_statement, before, world.state)
    assert not allows(old.require_vote, world.state)
    assert not allows(old.require_statement, world.state, world.state)


def test_the_operator_is_told_what_is_wrong(world: HandoverWorld) -> None:
    assert voice(world, "s3").silence(world.state, world.state) == ""
    replaced = voice(world, "s3", "s3-2").silence(world.state, world.state)
    assert "another vote key for s3" in replaced
    assert "no witness set has a signer s4" in voice(world, "s4").silence(world.state, world.state)


def test_before_the_first_entry_the_pinned_charter_says_whose_words_count(world: HandoverWorld) -> None:
    empty = Replica(MemoryStore(), log_id=world.world.log_id).state()
    assert speaks(voice(world, "s1"), empty) == (True, True, True)
    assert speaks(voice(world, "s1", "s9"), empty) == (False, False, False)
    assert voice(world, "s1").vote_keys(empty) == voice(world, "s1").vote_keys(world.state)
