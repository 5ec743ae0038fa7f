"""The witness set changes in the ledger: each step is proven by votes of both sets, and nothing less moves it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

import charter_builder as builder
from handover_world import HandoverWorld, signer
from ledger_world import DAY_MS
from strongroom.chains.bitcoin.networks import REGTEST
from strongroom.ledger.certificate_messages import Certificate
from strongroom.ledger.charter import AnyDestination, Asset, Charter, Deny, encode_charter
from strongroom.ledger.electorate import Electorate
from strongroom.ledger.entry_messages import Handover, Tick
from strongroom.ledger.handlers.witnesses import changes_witnesses, summary_digest
from strongroom.ledger.order_messages import AmendCharter
from strongroom.ledger.reasons import Refused
from strongroom.ledger.records import TABLES, OrderState, WitnessPhase
from strongroom.ledger.vault_fit import vault_problems
from strongroom.protocol.certificates import held_of

OLD = ("s1", "s2")
OTHER_COIN = Asset(symbol="LTC", id="bip122:12a765e31ffd4059bada1e25190f6e98/slip44:2", decimals=8)
BOTH = ("s1", "s2", "s4", "s5")


@pytest.fixture
def world() -> HandoverWorld:
    return HandoverWorld()


def grown(world: HandoverWorld) -> Charter:
    """s3 leaves, s4 and s5 come; 3 of 4 instead of 2 of 3."""
    return world.next_charter(*(builder.signer(name) for name in ("s1", "s2", "s4", "s5")), quorum=3)


def joint(world: HandoverWorld) -> None:
    world.want(grown(world))
    world.world.log(world.first(BOTH))


def refusal(world: HandoverWorld, entry: Handover) -> str:
    before = world.head()
    with pytest.raises(Refused) as caught:
        world.world.log(entry)
    assert world.head() == before
    return caught.value.reason


def test_the_genesis_charters_signers_are_the_first_witness_set(world: HandoverWorld) -> None:
    record = world.state.witnesses
    assert (record.number, record.phase, record.next) == (1, WitnessPhase.STEADY, None)
    assert Electorate.of(record) == Electorate.of_charter(world.state.charter)
    assert [size for size, _ in world.state.electorates()] == [0]


def test_a_change_goes_through_wanted_and_joint_to_the_new_set_and_its_charter(world: HandoverWorld) -> None:
    charter = grown(world)
    order = world.want(charter)
    wanted = world.state.witnesses
    assert wanted.phase is WitnessPhase.WANTED
    assert Electorate.of(wanted) == Electorate(wanted.current)
    world.world.log(world.first(BOTH))
    both = world.state.witnesses
    assert both.phase is WitnessPhase.JOINT
    assert Electorate.of(both).sets == (both.current, both.next)
    assert world.state.charter.version == 1
    joint_size = world.state.size
    world.world.log(world.second(BOTH))
    record = world.state.witnesses
    assert (record.number, record.phase, record.next) == (2, WitnessPhase.STEADY, None)
    assert Electorate.of(record) == Electorate.of_charter(charter)
    assert world.state.charter == charter
    assert world.state.next_charter == b""
    assert [size for size, _ in world.state.electorates()] == [0, joint_size, world.state.size]
    done = world.state.order(order)
    assert done is not None
    assert done.state is OrderState.DONE


def test_another_quorum_or_vote_key_is_a_change_and_another_order_or_witness_key_is_none(world: HandoverWorld) -> None:
    charter = world.state.charter
    one, two, three = charter.signers
    assert not changes_witnesses(world.state, replace(charter, signers=(three, one, two)))
    assert not changes_witnesses(
        world.state, replace(charter, signers=(one, two, replace(three, witness_key=bytes(32))))
    )
    assert changes_witnesses(world.state, replace(charter, witness_quorum=3))
    assert changes_witnesses(world.state, replace(charter, signers=(one, two, signer("s3", "new"))))
    assert changes_witnesses(world.state, replace(charter, signers=(one, two)))


def test_without_a_change_there_is_no_handover(world: HandoverWorld) -> None:
    assert refusal(world, world.first(BOTH)) == "HANDOVER_NOT_WANTED"


@pytest.mark.attack(
    line="coordinator",
    title="a handover that one of the two witness sets did not vote for",
    origin="on paper: a new set decides before the old one has let go",
)
@pytest.mark.parametrize("labels", [OLD, ("s1", "s4", "s5"), ("s1", "s2", "s3"), ("s1", "s2", "s4:s5", "s5")])
def test_votes_of_one_set_hand_nothing_over(world: HandoverWorld, labels: tuple[str, ...]) -> None:
    world.want(grown(world))
    assert refusal(world, world.first(labels)) == "HANDOVER_VOTES"
    world.world.log(world.first(BOTH))
    assert refusal(world, world.second(labels)) == "HANDOVER_VOTES"


def test_a_first_handover_is_of_a_head_since_the_change_was_wanted(world: HandoverWorld) -> None:
    before = world.head()
    world.want(grown(world))
    assert refusal(world, Handover(certificate=world.certificate(BOTH, head=before))) == "HANDOVER_HEAD"
    ahead = replace(world.head(), size=world.state.size + 1)
    assert refusal(world, Handover(certificate=world.certificate(BOTH, head=ahead))) == "HANDOVER_HEAD"
    other = replace(world.head(), root=bytes(32))
    assert refusal(world, Handover(certificate=world.certificate(BOTH, head=other))) == "HANDOVER_HEAD"


def test_a_first_handover_carries_no_summary(world: HandoverWorld) -> None:
    world.want(grown(world))
    assert refusal(world, replace(world.first(BOTH), summary=world.summary())) == "HANDOVER_PROOF"


@pytest.mark.attack(
    line="coordinator",
    title="a handover ended before both witness sets made it final",
    origin="on paper: a certificate vanishes, and both sets go on alone",
)
def test_a_second_handover_needs_the_first_one_final_by_both(world: HandoverWorld) -> None:
    joint(world)
    begun = world.head()
    world.world.log(Tick())

    def second(certificate: Certificate) -> Handover:
        return Handover(certificate=certificate, summary=world.summary())

    assert refusal(world, second(world.certificate(BOTH))) == "HANDOVER_NOT_FINAL"
    earlier = held_of(world.certificate(BOTH, head=replace(begun, size=begun.size - 1)))
    assert refusal(world, second(world.certificate(BOTH, held=earlier))) == "HANDOVER_NOT_FINAL"
    old_term = held_of(world.certificate(BOTH, head=begun))
    world.term = 2
    assert refusal(world, second(world.certificate(BOTH, held=old_term))) == "HANDOVER_NOT_FINAL"


def test_a_second_handover_is_of_a_head_that_both_sets_decided(world: HandoverWorld) -> None:
    world.want(grown(world))
    before = world.certificate(BOTH)
    world.world.log(Handover(certificate=before))
    assert refusal(world, Handover(certificate=before, summary=world.summary())) == "HANDOVER_HEAD"


@pytest.mark.parametrize(
    "wrong",
    [
        lambda summary: None,
        lambda summary: replace(summary, time_ms=summary.time_ms + 1),
        lambda summary: replace(summary, rule_set=2**40),
        lambda summary: replace(summary, tables=summary.tables[:-1]),
        lambda summary: replace(summary, tables=(*summary.tables, summary.tables[-1])),
    ],
)
def test_a_second_handover_opens_the_certified_state(world: HandoverWorld, wrong: Callable[..., object]) -> None:
    joint(world)
    second = world.second(BOTH)
    assert refusal(world, replace(second, summary=wrong(second.summary))) == "HANDOVER_PROOF"


def test_a_second_handover_proves_that_both_sets_were_in_force(world: HandoverWorld) -> None:
    """A certified state without them proves nothing to those who have no log."""
    joint(world)
    second = world.second(BOTH)
    assert second.summary is not None
    tables = list(second.summary.tables)
    tables[TABLES.index(b"witnesses")] = replace(tables[TABLES.index(b"witnesses")], root=bytes(32))
    summary = replace(second.summary, tables=tuple(tables))
    head = replace(second.certificate.head, state_digest=summary_digest(summary))
    held = held_of(world.certificate(BOTH, head=replace(head, size=head.size - 1)))
    forged = Handover(certificate=world.certificate(BOTH, head=head, held=held), summary=summary)
    assert refusal(world, forged) == "HANDOVER_PROOF"


def test_a_change_that_nobody_completes_lapses_and_can_be_tried_again(world: HandoverWorld) -> None:
    order = world.want(grown(world))
    world.world.later(DAY_MS - 1)
    world.world.log(Tick())
    assert world.state.witnesses.phase is WitnessPhase.WANTED
    world.world.later(1)
    late = world.first(BOTH)
    assert refusal(world, late) == "HANDOVER_NOT_WANTED"
    world.world.log(Tick())
    record = world.state.witnesses
    assert (record.number, record.phase, record.next) == (1, WitnessPhase.STEADY, None)
    assert world.state.charter.version == 1
    ended = world.state.order(order)
    assert ended is not None
    assert (ended.state, ended.ended_ms) == (OrderState.LAPSED, world.world.time_ms)
    world.hand_over(grown(world), BOTH)
    assert world.state.witnesses.number == 2


def test_with_both_sets_in_force_nothing_lapses(world: HandoverWorld) -> None:
    joint(world)
    world.world.later(30 * DAY_MS)
    world.world.log(Tick())
    assert world.state.witnesses.phase is WitnessPhase.JOINT
    world.world.log(world.second(BOTH))
    assert world.state.witnesses.number == 2


def proposal(world: HandoverWorld, charter: Charter, expires_ms: int = 0) -> str:
    action = AmendCharter(charter=encode_charter(charter), handover_expires_ms=expires_ms)
    with pytest.raises(Refused) as caught:
        world.world.submit(action, "dave", "alice", "bob")
    return caught.value.reason


def test_a_change_has_a_time_to_be_completed_and_what_is_none_has_not(world: HandoverWorld) -> None:
    now = world.world.time_ms
    assert proposal(world, grown(world)) == "AMENDMENT_HANDOVER"
    assert proposal(world, grown(world), now) == "AMENDMENT_HANDOVER"
    officers = replace(world.state.charter, version=2, officers="admins")
    assert proposal(world, officers, now + DAY_MS) == "AMENDMENT_HANDOVER"


def test_one_change_at_a_time(world: HandoverWorld) -> None:
    order = world.want(grown(world))
    other = world.next_charter(*world.state.charter.signers, quorum=3)
    assert proposal(world, other, world.world.time_ms + DAY_MS) == "AMENDMENT_HANDOVER"
    assert world.state.witnesses.amendment == order


def test_two_changes_due_at_one_time_are_one(world: HandoverWorld) -> None:
    delay = world.state.charter.loosening_delay_ms
    expires_ms = world.world.time_ms + delay + DAY_MS
    action = AmendCharter(charter=encode_charter(grown(world)), handover_expires_ms=expires_ms)
    first = world.world.submit(action, "dave", "alice", "bob")
    second = world.want(world.next_charter(*(builder.signer(name) for name in ("s1", "s2", "s6")), quorum=2))
    states = [record.state for record in map(world.state.order, (first, second)) if record is not None]
    assert states == [OrderState.SCHEDULED, OrderState.LAPSED]
    assert world.state.witnesses.amendment == first


def test_a_change_whose_time_is_over_when_it_is_due_lapses(world: HandoverWorld) -> None:
    order = world.want(grown(world), for_ms=0)
    ended = world.state.order(order)
    assert ended is not None
    assert ended.state is OrderState.LAPSED
    assert world.state.witnesses.phase is WitnessPhase.STEADY


def test_an_amendment_beside_no_change_leaves_the_witnesses_as_they_are(world: HandoverWorld) -> None:
    before = world.state.witnesses
    world.world.amend(denies=(Deny(name="none", vaults=("*",), to=AnyDestination()),))
    assert world.state.charter.version == 2
    assert world.state.witnesses == before


def test_another_amendment_ends_a_wanted_change_and_waits_for_a_joint_one(world: HandoverWorld) -> None:
    """Keys that were stolen can be revoked at once, whatever change is wanted."""
    order = world.want(grown(world))
    world.world.amend(denies=(Deny(name="none", vaults=("*",), to=AnyDestination()),))
    assert world.state.charter.version == 2
    ended = world.state.order(order)
    assert ended is not None
    assert ended.state is OrderState.LAPSED
    assert world.state.witnesses.phase is WitnessPhase.STEADY
    joint(world)
    assert proposal(world, replace(world.state.charter, version=3, denies=())) == "AMENDMENT_HANDOVER"


def test_a_vault_that_the_next_set_could_not_serve_stops_the_change(world: HandoverWorld) -> None:
    world.want(world.next_charter(*(builder.signer(name) for name in ("s1", "s4", "s5", "s6")), quorum=3))
    world.world.make_vault("customer-1", ("s1", "s2", "s3"), 2)
    assert refusal(world, world.first(("s1", "s2", "s4", "s5"))) == "AMENDMENT_VAULTS"


def test_no_vault_is_made_of_holders_whom_a_joint_change_removes(world: HandoverWorld) -> None:
    world.want(grown(world))
    held = world.world.submit(world.world.creation("customer-1", ("s1", "s2", "s3"), 2), "carol", "alice", "bob")
    other = world.world.submit(world.world.creation("customer-2", ("s2", "s3"), 2), "carol", "alice", "bob")
    world.world.log(world.first(BOTH))
    with pytest.raises(Refused) as caught:
        world.world.log(world.world.vault_entry(other))
    assert caught.value.reason == "VAULT_SIGNERS"
    world.world.log(world.world.vault_entry(held))
    world.world.log(world.second(BOTH))
    assert world.state.witnesses.number == 2


@pytest.mark.attack(
    line="admin-quorum",
    title="shares given, while two witness sets rule together, to holders of whom too few stay",
    origin="on paper: the vault could never sign again",
)
def test_no_vault_gets_holders_whom_a_joint_change_removes(world: HandoverWorld) -> None:
    """Ordered before, its new epoch comes when both sets rule: the charter that follows could not serve it."""
    world.world.make_vault("customer-1", ("s1", "s2"), 2)
    lost = world.world.resharing(("s2", "s3"), 2)
    world.want(grown(world))
    entry = world.world.epoch_entry(lost)
    world.world.log(world.first(BOTH))
    with pytest.raises(Refused) as caught:
        world.world.log(entry)
    assert caught.value.reason == "VAULT_SIGNERS"
    world.world.log(world.second(BOTH))
    vault = world.state.vault("customer-1")
    assert vault is not None
    assert vault.signers == ("s1", "s2")


def test_what_a_joint_change_leaves_room_for_goes_on(world: HandoverWorld) -> None:
    world.world.make_vault("customer-1", ("s1", "s2"), 2)
    wider = world.world.resharing(("s1", "s2", "s3"), 2)
    world.want(grown(world))
    entry = world.world.epoch_entry(wider)
    world.world.log(world.first(BOTH))
    world.world.log(entry)
    world.world.log(world.second(BOTH))
    vault = world.state.vault("customer-1")
    assert vault is not None
    assert (vault.epoch, vault.signers) == (2, ("s1", "s2", "s3"))


def test_a_lower_witness_quorum_or_a_coin_less_is_a_problem_too(world: HandoverWorld) -> None:
    charter = world.state.charter
    parts: dict[str, Any] = {"signers": ("s1", "s2", "s3"), "threshold": 2, "chain": REGTEST.caip2}
    assert not list(vault_problems(charter, "customer-1", **parts))
    for lesser in (replace(charter, witness_quorum=1), replace(charter, assets=(OTHER_COIN,))):
        assert len(list(vault_problems(lesser, "customer-1", **parts))) == 1


def test_an_administrator_takes_a_wanted_change_back_by_a_rejection_and_a_joint_one_no_more(
    world: HandoverWorld,
) -> None:
    order = world.want(grown(world))
    world.world.reject(order, "alice")
    ended = world.state.order(order)
    assert ended is not None
    assert ended.state is OrderState.REJECTED
    assert world.state.witnesses.phase is WitnessPhase.STEADY
    again = world.want(grown(world))
    world.world.log(world.first(BOTH))
    with pytest.raises(Refused) as caught:
        world.world.reject(again, "alice")
    assert caught.value.reason == "ORDER_ENDED"
    assert world.state.witnesses.phase is WitnessPhase.JOINT


def test_a_name_may_stand_in_both_sets_with_another_vote_key(world: HandoverWorld) -> None:
    """Its votes count for the set whose key they verify under, and for no other."""
    one, two, _ = world.state.charter.signers
    charter = world.next_charter(one, two, signer("s3", "new"), quorum=3)
    world.want(charter)
    assert refusal(world, world.first(("s1", "s2", "s3"))) == "HANDOVER_VOTES"
    world.world.log(world.first(("s1", "s2", "s3:new")))
    world.world.log(world.second(("s1", "s2", "s3:new")))
    assert world.state.charter == charter


def test_an_entry_that_is_refused_leaves_the_change_as_it_was(world: HandoverWorld) -> None:
    """A lapse that a refused entry would have caused is undone with it."""
    world.want(grown(world))
    world.world.later(DAY_MS)
    assert refusal(world, world.first(BOTH)) == "HANDOVER_NOT_WANTED"
    assert world.state.witnesses.phase is WitnessPhase.WANTED
