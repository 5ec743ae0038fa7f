"""What those without the entries believe of a handover: votes of both, over a state that says so, made final."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

import charter_builder as builder
from handover_world import HandoverWorld
from strongroom.ledger.electorate import Electorate, witness_set_of
from strongroom.ledger.entry_messages import Tick
from strongroom.ledger.records import ElectorateStep, WitnessPhase
from strongroom.protocol.certificates import held_of
from strongroom.protocol.electorates import BadStep, Electorates, KnownSet, follow_steps

BOTH = ("s1", "s2", "s4", "s5")


@pytest.fixture
def world() -> HandoverWorld:
    return HandoverWorld()


def known(world: HandoverWorld) -> KnownSet:
    return KnownSet.first(world.state.electorates()[0][1].current)


def begun(world: HandoverWorld) -> None:
    world.want(world.next_charter(*(builder.signer(name) for name in ("s1", "s2", "s4", "s5")), quorum=3))
    world.world.log(world.first(BOTH))


def completed(world: HandoverWorld) -> ElectorateStep:
    begun(world)
    second = world.second(BOTH)
    world.world.log(second)
    return world.step(second)


def test_a_completed_handover_leads_to_the_next_set(world: HandoverWorld) -> None:
    first = known(world)
    step = completed(world)
    (found,) = follow_steps(first, [step], log_id=world.world.log_id)
    assert (found.number, found.electorate) == (2, Electorate.of(world.state.witnesses))
    joint = step.record.since_size
    assert found.possible(joint - 1) == (first.electorate,)
    assert found.possible(joint) == (found.joint,)
    assert found.possible(step.certificate.head.size) == (found.joint,)
    assert found.possible(step.certificate.head.size + 1) == (found.electorate, found.joint)


def test_steps_that_are_known_are_passed_over(world: HandoverWorld) -> None:
    step = completed(world)
    (found,) = follow_steps(known(world), [step], log_id=world.world.log_id)
    assert follow_steps(found, [step], log_id=world.world.log_id) == ()


def test_a_handover_that_is_not_final_yet_adds_both_and_does_not_lead_on(world: HandoverWorld) -> None:
    first = known(world)
    begun(world)
    step = ElectorateStep(certificate=world.certificate(BOTH), record=world.state.witnesses, summary=world.summary())
    (found,) = follow_steps(first, [step], log_id=world.world.log_id)
    assert (found.number, found.electorate) == (1, first.electorate)
    assert found.possible(step.record.since_size) == (Electorate.of(step.record), first.electorate)
    assert found.possible(step.record.since_size - 1) == (first.electorate,)
    assert follow_steps(found, [step], log_id=world.world.log_id) == (found,)


def test_a_handover_whose_first_step_vanished_leaves_the_set_before_its_reign(world: HandoverWorld) -> None:
    """Until it is final a branch without it may go on, and then another one may come about further on."""
    first = known(world)
    begun(world)
    vanished = ElectorateStep(
        certificate=world.certificate(BOTH), record=world.state.witnesses, summary=world.summary()
    )
    (found,) = follow_steps(first, [vanished], log_id=world.world.log_id)
    world.world.replica.truncate(vanished.record.since_size - 1)
    world.world.log(Tick())
    world.world.log(world.first(BOTH))
    second = world.second(BOTH)
    world.world.log(second)
    step = world.step(second)
    since = step.record.since_size
    assert since > vanished.record.since_size
    (after,) = follow_steps(found, [step], log_id=world.world.log_id)
    assert first.electorate in found.possible(since - 1)
    assert first.electorate in after.possible(since - 1)
    assert after.possible(since) == (Electorate.of(step.record),)


WRONG: dict[str, Callable[[HandoverWorld, ElectorateStep], ElectorateStep]] = {
    "votes of the new set alone": lambda world, step: replace(
        step, certificate=replace(step.certificate, votes=step.certificate.votes[2:])
    ),
    "another first set": lambda world, step: replace(
        step, record=replace(step.record, current=step.record.next or step.record.current)
    ),
    "another next set": lambda world, step: replace(
        step, record=replace(step.record, next=replace(step.record.current, quorum=1))
    ),
    "another number": lambda world, step: replace(step, record=replace(step.record, number=2)),
    "a record that is no handover": lambda world, step: replace(
        step, record=replace(step.record, phase=WitnessPhase.WANTED)
    ),
    "a later begin": lambda world, step: replace(
        step, record=replace(step.record, since_size=step.record.since_size + 1)
    ),
    "another state": lambda world, step: replace(step, summary=replace(step.summary, time_ms=1)),
    "no state": lambda world, step: replace(step, summary=replace(step.summary, tables=step.summary.tables[1:])),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_step_that_is_not_proven_is_refused_with_all_others(world: HandoverWorld, wrong: str) -> None:
    first, step = known(world), completed(world)
    with pytest.raises(BadStep):
        follow_steps(first, [WRONG[wrong](world, step)], log_id=world.world.log_id)


def test_a_wish_that_both_sets_certified_is_no_handover(world: HandoverWorld) -> None:
    first = known(world)
    world.want(world.next_charter(*(builder.signer(name) for name in ("s1", "s2", "s4", "s5")), quorum=3))
    wanted = ElectorateStep(certificate=world.certificate(BOTH), record=world.state.witnesses, summary=world.summary())
    assert wanted.record.phase is WitnessPhase.WANTED
    with pytest.raises(BadStep, match="not one with both witness sets"):
        follow_steps(first, [wanted], log_id=world.world.log_id)


def test_a_handover_to_nobody_is_none(world: HandoverWorld) -> None:
    first, step = known(world), completed(world)
    with pytest.raises(BadStep, match="not one with both witness sets"):
        follow_steps(first, [replace(step, record=replace(step.record, next=None))], log_id=world.world.log_id)


def test_a_proven_step_leads_on_from_its_own_set_alone(world: HandoverWorld) -> None:
    first, step = known(world), completed(world)
    others = KnownSet.first(witness_set_of(builder.charter(witness_quorum=3)))
    for elsewhere in (replace(first, number=0), others):
        with pytest.raises(BadStep, match="does not begin with witness set"):
            follow_steps(elsewhere, [step], log_id=world.world.log_id)


def test_votes_of_another_term_make_a_handover_only_begun(world: HandoverWorld) -> None:
    first = known(world)
    begun(world)
    held = held_of(world.certificate(BOTH))
    world.world.log(Tick())
    world.term = 2
    step = ElectorateStep(
        certificate=world.certificate(BOTH, held=held), record=world.state.witnesses, summary=world.summary()
    )
    (found,) = follow_steps(first, [step], log_id=world.world.log_id)
    assert found.number == 1


def test_a_log_knows_whose_votes_count_at_which_size(world: HandoverWorld) -> None:
    completed(world)
    history = world.state.electorates()
    (_, old), (joint, both), (after, new) = history
    electorates = Electorates.of(world.state, final_size=after)
    assert [electorates.own(size) for size in (0, joint - 1, joint, after - 1, after, after + 9)] == [
        Electorate.of(record) for record in (old, old, both, both, new, new)
    ]
    assert electorates.possible(joint - 1) == (Electorate.of(old),)
    assert electorates.possible(after + 1) == (Electorate.of(new),)
    assert electorates.is_replaced(joint - 1)
    assert electorates.is_replaced(after - 1)
    assert not electorates.is_replaced(after)


def test_beyond_what_is_final_a_wanted_or_joint_change_may_have_come_about(world: HandoverWorld) -> None:
    world.want(world.next_charter(*(builder.signer(name) for name in ("s1", "s4")), quorum=2))
    record = world.state.witnesses
    assert record.next is not None
    now, alone = Electorate(record.current), Electorate(record.next)
    both = Electorate(record.current, record.next)
    size = world.state.size
    assert Electorates.of(world.state, final_size=size).possible(size + 1) == (now, both)
    world.world.log(world.first(("s1", "s2", "s4")))
    size = world.state.size
    assert Electorates.of(world.state, final_size=size).possible(size + 1) == (both, alone)
    assert Electorates.of(world.state, final_size=1).possible(size + 1) == (both, now, alone)
