"""The order to let a signer sign again: who may ask for it, whose quorum decides, and that it changes nothing else."""

from __future__ import annotations

import pytest

import charter_builder as builder
from ledger_world import World
from strongroom.ledger.charter import Group
from strongroom.ledger.judge import judge_order
from strongroom.ledger.judgement import Code
from strongroom.ledger.order_messages import ReinstateSigner
from strongroom.ledger.reasons import Refused
from strongroom.ledger.records import OrderState
from strongroom.ledger.signed_messages import Verb

EVIDENCE = bytes(range(32))


@pytest.fixture
def world() -> World:
    return World.started()


def state_of(world: World, order_hash: bytes) -> OrderState:
    record = world.state.order(order_hash)
    assert record is not None
    return record.state


def test_the_unfreeze_quorum_makes_it_act(world: World) -> None:
    order = world.submit(ReinstateSigner(signer="s2", evidence_hash=EVIDENCE), "dave", "alice")
    assert state_of(world, order) is OrderState.OPEN
    world.approve(order, "bob")
    assert state_of(world, order) is OrderState.DONE


def test_its_initiator_is_no_approver_of_it(world: World) -> None:
    order = world.submit(ReinstateSigner(signer="s2", evidence_hash=EVIDENCE), "alice", "bob")
    with pytest.raises(Refused, match="initiated the order"):
        world.approve(order, "alice")
    assert state_of(world, order) is OrderState.OPEN


@pytest.mark.attack(
    line="person",
    title="a convicted signer taken back by people below the quorum",
    origin="on paper: the liar's friends approve its return",
)
def test_people_outside_the_quorum_do_not_count(world: World) -> None:
    order = world.submit(ReinstateSigner(signer="s2", evidence_hash=EVIDENCE), "carol", "alice")
    with pytest.raises(Refused) as caught:
        world.approve(order, "dave")
    assert caught.value.reason == "NOT_AN_APPROVER"


@pytest.mark.parametrize(("person", "may"), [("dave", True), ("alice", True), ("erin", False), ("shop", False)])
def test_only_officers_and_the_unfreeze_quorum_may_ask_for_it(person: str, may: bool) -> None:
    """dave is an officer alone, alice may unfreeze alone, erin is neither."""
    people = ("alice", "bob", "carol", "dave", "erin")
    groups = (
        Group(name="treasury", members=people),
        Group(name="integrations", members=("shop",)),
        Group(name="admins", members=("alice", "bob", "carol")),
        Group(name="guards", members=("dave",)),
    )
    everybody = (*(builder.person(name) for name in people), builder.person("shop", machine=True))
    world = World.started(people=everybody, groups=groups, officers="guards")
    entry = world.order_entry(world.order(ReinstateSigner(signer="s2", evidence_hash=EVIDENCE)), person)
    if may:
        world.log(entry)
        return
    with pytest.raises(Refused) as caught:
        world.log(entry)
    assert caught.value.reason == "INITIATOR_NOT_ALLOWED"


def test_a_rejection_ends_it_for_ever(world: World) -> None:
    order = world.submit(ReinstateSigner(signer="s2", evidence_hash=EVIDENCE), "dave", "alice")
    world.reject(order, "carol")
    assert state_of(world, order) is OrderState.REJECTED
    with pytest.raises(Refused):
        world.approve(order, "bob")


def test_a_signer_that_the_charter_lacks_is_refused(world: World) -> None:
    order = world.order(ReinstateSigner(signer="s9", evidence_hash=EVIDENCE))
    with pytest.raises(Refused) as caught:
        world.log(world.order_entry(order, "dave"))
    assert caught.value.reason == "SIGNER_UNKNOWN"


def test_it_is_judged_like_every_other_order(world: World) -> None:
    order = world.submit(ReinstateSigner(signer="s2", evidence_hash=EVIDENCE), "dave", "alice")
    record = world.state.order(order)
    assert record is not None
    assert judge_order(world.state, record, world.time_ms).code is Code.APPROVALS_MISSING
    world.log(world.endorse("bob", Verb.APPROVE, order))
    after = world.state.order(order)
    assert after is not None
    assert judge_order(world.state, after, world.time_ms).code is Code.DONE


def test_nothing_but_the_order_itself_changes(world: World) -> None:
    world.make_vault("customer-1")
    before = world.state.table_roots()
    world.submit(ReinstateSigner(signer="s2", evidence_hash=EVIDENCE), "dave", "alice", "bob")
    after = world.state.table_roots()
    changed = [at for at, (one, other) in enumerate(zip(before, after, strict=True)) if one != other]
    assert changed == [3, 5]  # orders and quotas
