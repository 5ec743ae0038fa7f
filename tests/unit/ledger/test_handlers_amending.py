"""Amendments of the charter: when they act, who can end them, and what may never follow the charter in force."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from charter_builder import BTC, COIN, HOUR_MS, person, rule, signer, signing_key
from large_charter import charter_of_size
from ledger_world import DAY_MS, World
from strongroom.ledger.charter import (
    AssetAmount,
    PersonKey,
    Quorum,
    encode_charter,
)
from strongroom.ledger.entry_messages import Tick
from strongroom.ledger.judge import judge_order
from strongroom.ledger.judgement import Code
from strongroom.ledger.mutable_state import MutableState
from strongroom.ledger.order_messages import AmendCharter, Unfreeze
from strongroom.ledger.reasons import Refused
from strongroom.ledger.records import CharterRecord, OrderRecord, OrderState
from strongroom.ledger.replica import Replica
from strongroom.ledger.signed_messages import KeyType, Verb
from strongroom.ledger.view import MemoryStore, Overlay

VAULT = "customer-1"
DELAY_MS = 48 * HOUR_MS


@pytest.fixture
def world() -> World:
    return World.started()


def record_of(world: World, order: bytes) -> OrderRecord:
    record = world.state.order(order)
    assert record is not None
    return record


def refusal(world: World, *bodies: Any) -> str:
    """Why the ledger does not take these entries; nothing of them stays."""
    before = world.replica.head()
    with pytest.raises(Refused) as caught:
        world.log(*bodies)
    assert world.replica.head() == before
    return caught.value.reason


def proposal(world: World, **parts: Any) -> str:
    """Why the ledger does not take an amendment with these parts."""
    return refusal(world, world.order_entry(world.order(world.amendment(**parts)), "bob"))


def without(world: World, name: str) -> dict[str, Any]:
    """The parts of an amendment that takes a person out."""
    now = world.state.charter
    return {
        "people": tuple(one for one in now.people if one.name != name),
        "groups": tuple(
            replace(one, members=tuple(member for member in one.members if member != name)) for one in now.groups
        ),
    }


def rekeyed(world: World, name: str, *labels: str) -> dict[str, Any]:
    """The parts of an amendment that gives a person the keys of these labels instead."""
    keys = tuple(PersonKey(type=KeyType.ED25519, public=signing_key(label).public) for label in labels)
    return {"people": tuple(replace(one, keys=keys) if one.name == name else one for one in world.state.charter.people)}


TIGHTER = {"loosening_delay_ms": 72 * HOUR_MS}
LOOSER = {"officers": "admins"}


# --- when it acts ----------------------------------------------------------------------------------------------------


def test_what_only_tightens_acts_with_the_last_approval(world: World) -> None:
    order = world.amend("alice", **TIGHTER)
    assert record_of(world, order).state is OrderState.OPEN
    assert world.state.charter.version == 1
    world.later(1_000)
    world.approve(order, "bob")
    assert record_of(world, order).state is OrderState.DONE
    assert world.state.charter == replace(world.charter, version=2, **TIGHTER)
    held = world.state.charter_record
    assert held is not None
    assert held.since_ms == world.time_ms


@pytest.mark.attack(
    line="admin-quorum",
    title="a loosening amendment before its delay has passed",
    origin="on paper: the whole admin quorum makes the rules looser and pays in the same minute",
)
def test_what_loosens_waits_out_the_delay_of_the_charter_in_force(world: World) -> None:
    order = world.amend(**LOOSER)
    record = record_of(world, order)
    assert (record.state, record.due_ms) == (OrderState.SCHEDULED, world.time_ms + DELAY_MS)
    assert world.state.next_due_ms == record.due_ms
    world.later(DELAY_MS - 1)
    world.log(Tick())
    assert world.state.charter.version == 1
    world.later(1)
    world.log(Tick())
    assert world.state.charter == replace(world.charter, version=2, **LOOSER)
    assert record_of(world, order).state is OrderState.DONE
    assert world.state.next_due_ms is None
    assert [one.hash for one in world.state.acted_at(world.replica.size - 1)] == [order]
    assert world.state.acted_at(world.replica.size - 2) == ()


@pytest.mark.attack(
    line="admin-quorum",
    title="a loosening hidden in an amendment that also tightens",
    origin="on paper: the delay is skipped because one change of many tightens",
)
def test_one_loosening_change_makes_all_of_it_wait(world: World) -> None:
    order = world.amend(**TIGHTER, **LOOSER)
    assert record_of(world, order).state is OrderState.SCHEDULED
    assert world.state.charter.version == 1


def test_the_delay_runs_from_the_last_approval_that_it_needs(world: World) -> None:
    order = world.amend("alice", **LOOSER)
    world.later(HOUR_MS)
    world.approve(order, "bob")
    assert record_of(world, order).due_ms == world.time_ms + DELAY_MS


def test_it_acts_before_the_very_entry_that_brings_the_time(world: World) -> None:
    """The entry is judged by the charter that is in force by then."""
    world.amend(**LOOSER)
    world.later(DELAY_MS)
    assert refusal(world, world.order_entry(world.order(world.amendment(version=2)), "dave")) == "AMENDMENT_VERSION"
    world.amend("alice", "carol", initiator="bob", version=3, **LOOSER, **TIGHTER)
    assert world.state.charter == replace(world.charter, version=3, **LOOSER, **TIGHTER)


def test_an_entry_that_is_refused_leaves_it_to_the_next(world: World) -> None:
    world.amend(**LOOSER)
    world.later(DELAY_MS)
    assert refusal(world, world.endorse("alice", Verb.APPROVE, bytes(32))) == "ORDER_UNKNOWN"
    assert world.state.charter.version == 1
    draft = world.replica.draft()
    with pytest.raises(Refused):
        draft.add(world.entry(world.endorse("alice", Verb.APPROVE, bytes(32))))
    assert draft.state.charter.version == 1
    draft.add(world.entry(Tick()))
    assert draft.state.charter.version == 2


def test_an_expiry_ends_it_no_more_once_it_is_scheduled(world: World) -> None:
    order = world.order(world.amendment(**LOOSER), expires_ms=world.time_ms + HOUR_MS)
    world.log(world.order_entry(order, "dave", "alice", "bob"))
    world.later(2 * DAY_MS + HOUR_MS)
    world.log(Tick())
    assert world.state.charter.version == 2


def test_without_its_quorum_it_expires_as_any_order(world: World) -> None:
    order = world.amend("alice", **LOOSER)
    world.later(4 * DAY_MS)
    assert refusal(world, world.endorse("bob", Verb.APPROVE, order)) == "ORDER_EXPIRED"


def test_amendments_work_under_a_freeze(world: World) -> None:
    world.freeze("dave")
    world.amend(initiator="dave", **TIGHTER)
    assert world.state.charter.version == 2


def test_replay_gives_the_same_state(world: World) -> None:
    world.amend(**LOOSER)
    world.later(DELAY_MS)
    world.log(Tick())
    world.amend("alice", "carol", initiator="bob", **without(world, "dave"))
    replayed = Replica(MemoryStore(), log_id=world.log_id)
    for batch in world.batches:
        replayed.push(replayed.preview(batch))
    assert replayed.head() == world.replica.head()


def test_a_truncated_amendment_is_in_force_no_more(world: World) -> None:
    size = world.replica.size
    world.amend(**TIGHTER)
    assert world.state.charter.version == 2
    world.replica.truncate(size)
    assert world.state.charter.version == 1
    assert world.state.key_owner(signing_key("alice").public) == "person alice"


# --- whose word counts -----------------------------------------------------------------------------------------------


@pytest.mark.attack(
    line="admin-quorum",
    title="an amendment below the admin quorum",
    origin="on paper: one administrator and people of other groups approve",
)
def test_an_amendment_below_its_quorum_never_acts(world: World) -> None:
    order = world.amend("alice", **TIGHTER)
    assert refusal(world, world.endorse("dave", Verb.APPROVE, order)) == "INITIATOR_CANNOT_APPROVE"
    assert refusal(world, world.endorse("shop", Verb.APPROVE, order)) == "NOT_AN_APPROVER"
    assert refusal(world, world.endorse("alice", Verb.APPROVE, order)) == "ALREADY_KNOWN"
    own = world.amend("bob", initiator="alice", **TIGHTER)
    assert refusal(world, world.endorse("alice", Verb.APPROVE, own)) == "INITIATOR_CANNOT_APPROVE"
    world.later(DELAY_MS)
    world.log(Tick())
    assert world.state.charter.version == 1


@pytest.mark.parametrize("state", ["open", "scheduled"])
def test_any_administrator_can_reject_it(world: World, state: str) -> None:
    order = world.amend("alice", *(["bob"] if state == "scheduled" else []), **LOOSER)
    assert refusal(world, world.endorse("dave", Verb.REJECT, order)) == "NOT_AN_APPROVER"
    world.reject(order, "carol")
    assert record_of(world, order).state is OrderState.REJECTED
    assert world.state.next_due_ms is None
    world.later(DELAY_MS)
    world.log(Tick())
    assert world.state.charter.version == 1
    assert judge_order(world.state, record_of(world, order), world.time_ms).code is Code.REJECTED


def test_nothing_is_approved_after_it_is_scheduled(world: World) -> None:
    order = world.amend(**LOOSER)
    assert refusal(world, world.endorse("carol", Verb.APPROVE, order)) == "ORDER_ENDED"


def test_a_wanted_witness_set_takes_no_approvals_and_any_rejection(world: World) -> None:
    order = world.submit(
        world.amendment(witness_quorum=3, handover_expires_ms=world.time_ms + DAY_MS), "dave", "alice", "bob"
    )
    assert (record_of(world, order).state, record_of(world, order).due_ms) == (OrderState.SCHEDULED, 0)
    assert refusal(world, world.endorse("carol", Verb.APPROVE, order)) == "ORDER_ENDED"
    world.reject(order, "carol")
    assert record_of(world, order).state is OrderState.REJECTED
    assert world.state.charter.version == 1


@pytest.mark.attack(
    line="admin-quorum",
    title="a stolen key that rejects its own revocation",
    origin="on paper: a veto that can never be taken from whoever stole it",
)
def test_a_key_cannot_reject_the_amendment_that_takes_it(world: World) -> None:
    revoking = world.amend("alice", initiator="dave", **rekeyed(world, "carol", "carol-2"))
    assert refusal(world, world.endorse("carol", Verb.REJECT, revoking)) == "REJECTION_VOID"
    world.approve(revoking, "bob")
    assert refusal(world, world.endorse("carol", Verb.REJECT, revoking)) == "REJECTION_VOID"
    world.later(DELAY_MS)
    world.log(Tick())
    assert world.state.charter.version == 2
    other = world.amend("bob", initiator="dave", **TIGHTER)
    assert refusal(world, world.endorse("carol", Verb.REJECT, other)) == "KEY_UNKNOWN"
    key = signing_key("carol-2").public
    world.log(world.endorse("carol", Verb.REJECT, other, label="carol-2", key=key))
    assert record_of(world, other).state is OrderState.REJECTED


@pytest.mark.attack(
    line="admin-quorum",
    title="approvals by a key that was revoked since",
    origin="on paper: a revoked person's approvals, given before, complete a payment and an amendment",
)
def test_what_a_revoked_key_said_counts_no_more_at_once(world: World) -> None:
    world.make_vault(VAULT)
    payment = world.pay(VAULT, 100_000, "alice", "carol")
    lifted = world.freeze("dave", vault=VAULT)
    lifting = world.submit(Unfreeze(freeze=lifted), "dave", "carol")
    world.amend("alice", "bob", initiator="dave", **without(world, "carol"))
    assert world.state.charter.version == 2
    assert judge_order(world.state, record_of(world, payment), world.time_ms).code is Code.FROZEN
    world.approve(lifting, "alice")
    assert record_of(world, lifting).state is OrderState.OPEN
    world.approve(lifting, "bob")
    assert record_of(world, lifting).state is OrderState.DONE
    assert refusal(world, world.plan([payment], [world.coin(500_000)])) == "APPROVALS_MISSING"
    world.approve(payment, "bob")
    world.log(world.plan([payment], [world.coin(500_000)]))


@pytest.mark.attack(
    line="admin-quorum",
    title="an approved order that waits, one of whose approvers was revoked meanwhile",
    origin="on paper: a scheduled order acts by a quorum that is none any more",
)
def test_what_waits_acts_only_by_keys_that_stand_when_its_time_has_come() -> None:
    world = World.started(unfreeze_delay_ms=HOUR_MS)
    frozen = world.freeze("dave")
    lifting = world.submit(Unfreeze(freeze=frozen), "dave", "alice", "carol")
    kept = world.submit(Unfreeze(freeze=world.freeze("bob")), "dave", "alice", "bob")
    assert record_of(world, lifting).state is OrderState.SCHEDULED
    world.amend("alice", "bob", initiator="dave", **without(world, "carol"))
    world.later(HOUR_MS)
    world.log(Tick())
    assert record_of(world, lifting).state is OrderState.LAPSED
    assert record_of(world, kept).state is OrderState.DONE
    standing = world.state.freeze(frozen)
    assert standing is not None
    assert not standing.lifted


@pytest.mark.attack(
    line="admin-quorum",
    title="rules loosened in the very batch of the payment that they let pass",
    origin="ATTACKS.md, survived: charter loosened in the same batch as a spend",
)
def test_a_payment_in_the_batch_of_a_loosening_is_judged_without_it(world: World) -> None:
    world.make_vault(VAULT)
    order = world.order(world.withdrawal(VAULT, 3 * COIN))
    rules = (rule(maximum=(AssetAmount(asset=BTC, amount=5 * COIN),)),)
    amendment = world.order_entry(world.order(world.amendment(rules=rules)), "dave", "alice", "bob")
    assert refusal(world, amendment, world.order_entry(order, "shop", "alice", "bob")) == "OVER_MAXIMUM"


def test_an_order_that_waits_is_judged_by_the_charter_at_its_plan(world: World) -> None:
    world.make_vault(VAULT)
    payment = world.pay(VAULT, 2 * COIN)
    world.amend(rules=(rule(maximum=(AssetAmount(asset=BTC, amount=COIN),)),))
    assert refusal(world, world.plan([payment], [world.coin(3 * COIN)])) == "OVER_MAXIMUM"


# --- what may follow the charter in force ----------------------------------------------------------------------------


@pytest.mark.parametrize("version", [0, 1, 3])
@pytest.mark.attack(
    line="admin-quorum",
    title="an amendment of a charter that is in force no more",
    origin="on paper: an old charter comes back, or a version is left out to hide one",
)
def test_only_the_next_version_follows(world: World, version: int) -> None:
    assert proposal(world, version=version, **TIGHTER) == "AMENDMENT_VERSION"


@pytest.mark.parametrize("approvers", [(), ("alice",)])
def test_an_amendment_that_another_overtook_takes_no_approvals(world: World, approvers: tuple[str, ...]) -> None:
    stale = world.submit(world.amendment(**LOOSER), "dave", *approvers)
    world.amend(initiator="dave", **TIGHTER)
    assert refusal(world, world.endorse("bob", Verb.APPROVE, stale)) == "AMENDMENT_VERSION"
    world.reject(stale, "carol")


@pytest.mark.attack(
    line="admin-quorum",
    title="two amendments of one version, both scheduled",
    origin="on paper: the second undoes what the first tightened meanwhile",
)
def test_of_two_scheduled_amendments_of_one_version_the_second_lapses(world: World) -> None:
    first, second = world.amend(**LOOSER), world.amend(initiator="carol", freeze_lapse_ms=HOUR_MS)
    world.later(DELAY_MS)
    world.log(Tick())
    assert world.state.charter == replace(world.charter, version=2, **LOOSER)
    assert record_of(world, first).state is OrderState.DONE
    assert record_of(world, second).state is OrderState.LAPSED
    assert judge_order(world.state, record_of(world, second), world.time_ms).code is Code.LAPSED
    assert refusal(world, world.endorse("alice", Verb.REJECT, second)) == "ORDER_ENDED"


@pytest.mark.parametrize("parts", [{"organisation": "other"}, {"salt": bytes(32)}])
def test_the_organisation_and_the_salt_stay(world: World, parts: dict[str, Any]) -> None:
    assert proposal(world, **TIGHTER, **parts) == "AMENDMENT_IDENTITY"


def test_another_rule_set_is_not_for_this_program(world: World) -> None:
    assert proposal(world, **TIGHTER, rule_set=2) == "AMENDMENT_IDENTITY"


def test_a_charter_that_breaks_a_structural_rule_is_refused(world: World) -> None:
    assert proposal(world, admin=Quorum(group="admins", count=4)) == "CHARTER_INVALID"


def test_an_amendment_changes_something(world: World) -> None:
    assert proposal(world) == "AMENDMENT_EMPTY"


@pytest.mark.parametrize("data", [b"\1", bytes(30)])
def test_an_amendment_is_a_canonical_charter(world: World, data: bytes) -> None:
    order = world.order(AmendCharter(charter=data, handover_expires_ms=0))
    assert refusal(world, world.order_entry(order, "dave")) == "ENTRY_MALFORMED"


@pytest.mark.parametrize(
    "parts",
    [
        {"witness_quorum": 3},
        {"signers": (signer("s1"), signer("s2"))},
        {"signers": (signer("s1"), signer("s2"), replace(signer("s3"), vote_key=signer("s9").vote_key))},
    ],
)
def test_the_witness_set_does_not_change_without_a_time_to_hand_over(world: World, parts: dict[str, Any]) -> None:
    assert proposal(world, **parts) == "AMENDMENT_HANDOVER"


def test_host_and_witness_keys_change_after_the_delay(world: World) -> None:
    fresh = signer("s9")
    changed = replace(signer("s3"), host_key=fresh.host_key, witness_key=fresh.witness_key)
    world.amend(signers=(signer("s1"), signer("s2"), changed))
    assert world.state.charter.version == 1
    world.later(DELAY_MS)
    world.log(Tick())
    assert world.state.charter.signers[2] == changed


# --- keys and names are for ever -------------------------------------------------------------------------------------


@pytest.mark.attack(
    line="admin-quorum",
    title="one person's key given to another, or revoked and given again",
    origin="on paper: what the key said before counts as another person's word",
)
def test_a_key_belongs_to_one_person_for_ever(world: World) -> None:
    assert proposal(world, **rekeyed(world, "carol", "dave")) == "CHARTER_INVALID"
    swapped = {
        "people": tuple(
            replace(one, keys=person({"carol": "dave", "dave": "carol"}.get(one.name, one.name)).keys)
            for one in world.state.charter.people
        )
    }
    assert proposal(world, **swapped) == "AMENDMENT_KEY_USED"
    world.amend("alice", "bob", initiator="dave", **without(world, "carol"))
    people = world.state.charter.people
    assert proposal(world, people=(*people, person("carol"))) == "AMENDMENT_KEY_USED"
    erin = replace(person("erin"), keys=person("carol").keys)
    assert proposal(world, people=(*people, erin)) == "AMENDMENT_KEY_USED"
    carol = replace(person("carol"), keys=person("carol-2").keys)
    world.amend("alice", "bob", initiator="dave", people=(*people, carol))
    world.later(DELAY_MS)
    world.log(Tick())
    assert world.state.charter.people[-1] == carol


@pytest.mark.parametrize("use", ["vote_key", "witness_key", "host_key"])
def test_a_signer_key_is_no_persons_key_and_has_one_use(world: World, use: str) -> None:
    s3, taken = signer("s3"), signer("s1")
    held = getattr(taken, use)
    public = held[1:] if len(held) == 33 else held
    moved = replace(s3, witness_key=public) if use != "host_key" else replace(s3, host_key=held)
    signers = (replace(taken, **{use: getattr(signer("s9"), use)}), signer("s2"), moved)
    found = proposal(world, signers=signers)
    assert found in {"AMENDMENT_KEY_USED", "AMENDMENT_HANDOVER"}
    assert found == ("AMENDMENT_KEY_USED")


def test_a_host_key_and_its_negation_are_one_key(world: World) -> None:
    s1 = signer("s1")
    world.amend(signers=(replace(s1, host_key=signer("s9").host_key), signer("s2"), signer("s3")))
    world.later(DELAY_MS)
    world.log(Tick())
    negated = bytes([s1.host_key[0] ^ 1]) + s1.host_key[1:]
    signers = world.state.charter.signers
    assert proposal(world, signers=(replace(signers[0], host_key=negated), *signers[1:])) == "AMENDMENT_KEY_USED"


def test_a_person_never_becomes_a_machine_nor_a_machine_a_person(world: World) -> None:
    people = world.state.charter.people
    assert proposal(world, people=(*people[:-1], replace(people[-1], machine=False))) == "AMENDMENT_NAME_USED"
    world.amend("alice", "bob", initiator="dave", **without(world, "dave"))
    dave = replace(person("dave"), keys=person("dave-2").keys, machine=True)
    assert proposal(world, people=(*world.state.charter.people, dave)) == "AMENDMENT_NAME_USED"


# --- vaults ----------------------------------------------------------------------------------------------------------


def test_every_vault_keeps_its_holders_witnesses_and_coin() -> None:
    world = World.started(witness_quorum=3, signers=tuple(signer(f"s{number}") for number in range(1, 6)))
    world.make_vault(VAULT, ("s1", "s2", "s3"), 3)
    now = world.state.charter
    assert proposal(world, signers=now.signers[1:]) == "AMENDMENT_VAULTS"
    assert proposal(world, signers=now.signers[:3], witness_quorum=2) == "AMENDMENT_VAULTS"


def test_the_vaults_are_looked_at_again_when_the_time_has_come(world: World) -> None:
    order = world.submit(world.creation(VAULT, ("s1", "s2", "s3"), 2), "carol", "alice", "bob")
    amending = world.amend(**LOOSER)
    world.log(world.vault_entry(order))
    world.later(DELAY_MS)
    world.log(Tick())
    assert record_of(world, amending).state is OrderState.DONE


@pytest.mark.parametrize(
    "parts", [{"signers": (signer("s1"), signer("s2"))}, {"signers": (signer("s1"), signer("s2"), signer("s4"))}]
)
def test_a_vault_of_signers_that_left_is_made_no_more(world: World, parts: dict[str, Any]) -> None:
    order = world.submit(world.creation(VAULT, ("s1", "s2", "s3"), 2), "carol", "alice", "bob")
    state = in_force(world, **parts)
    judged = judge_order(state, record_of(world, order), world.time_ms)
    assert (judged.allowed, judged.code) == (False, Code.VAULT_SIGNERS)


def test_a_vault_above_a_lowered_witness_quorum_is_made_no_more() -> None:
    world = World.started(witness_quorum=3)
    order = world.submit(world.creation(VAULT, ("s1", "s2", "s3"), 3), "carol", "alice", "bob")
    assert judge_order(world.state, record_of(world, order), world.time_ms).allowed
    judged = judge_order(in_force(world, witness_quorum=2), record_of(world, order), world.time_ms)
    assert (judged.allowed, judged.code) == (False, Code.VAULT_SIGNERS)


def in_force(world: World, **parts: Any) -> MutableState:
    """The newest state with another charter in force, however it came about."""
    state = MutableState(Overlay(world.state._view), world.log_id)
    changed = replace(state.charter, **{"version": 2, **parts})
    state.change_charter(CharterRecord(log_id=world.log_id, charter=encode_charter(changed), since_ms=1), changed)
    return state


# --- bounds ----------------------------------------------------------------------------------------------------------


def test_the_largest_charter_fits_an_order_and_its_entry(world: World) -> None:
    largest = charter_of_size(replace(world.state.charter, version=2), 40_000)
    assert len(encode_charter(largest)) == 40_000
    order = world.order(AmendCharter(charter=encode_charter(largest), handover_expires_ms=0), note="x" * 200)
    assert len(order) <= 45_000
    world.log(world.order_entry(order, "dave", "alice", "bob"))
    assert len(world.previews[-1].batch.entries[0]) <= 65_535
