"""Orders and endorsements."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

import charter_builder as builder
from ledger_world import DAY_MS, DESTINATION, HOUR_MS, Action, World, sign
from refusals import refusal_of
from strongroom.chains.bitcoin.networks import MAINNET
from strongroom.ledger import charter_check_bounds, codec
from strongroom.ledger.charter import LogQuotas
from strongroom.ledger.entry_messages import Endorse, OrderEntry, Tick
from strongroom.ledger.merkle import EMPTY_ROOT
from strongroom.ledger.order_messages import CancelWithdraw, Freeze, Scope, Unfreeze
from strongroom.ledger.records import OrderState
from strongroom.ledger.signed_messages import Endorsement, Signed, Verb

VAULT = "customer-1"


@pytest.fixture
def world() -> World:
    world = World.started()
    world.make_vault(VAULT)
    return world


def state_of(world: World, order_hash: bytes) -> OrderState:
    record = world.state.order(order_hash)
    assert record is not None
    return record.state


# --- acceptance ------------------------------------------------------------------------------------------------------


def test_an_order_is_found_by_hash_and_id_and_waits(world: World) -> None:
    order = world.order(world.withdrawal(VAULT, 100_000), id=b"0123456789abcdef")
    world.log(world.order_entry(order, "shop"))
    record = world.state.order(hashlib.sha256(order).digest())
    assert record is not None
    assert record.order == order
    assert record.state is OrderState.OPEN
    assert world.state.order_by_id(b"0123456789abcdef") == record
    assert [one.hash for one in world.state.open_orders()] == [record.hash]


def test_the_same_order_again_is_known_and_its_id_is_taken(world: World) -> None:
    order = world.order(world.withdrawal(VAULT, 100_000), id=bytes(16))
    world.log(world.order_entry(order, "shop"))
    assert refusal_of(world, world.order_entry(order, "alice")) == "ALREADY_KNOWN"
    other = world.order(world.withdrawal(VAULT, 100_001), id=bytes(16))
    assert refusal_of(world, world.order_entry(other, "shop")) == "ORDER_ID_TAKEN"


def test_a_freeze_or_an_amendment_is_taken_whoever_took_its_id(world: World) -> None:
    """They are what people hand to signers past the coordinator, which then may not stop them with an order's id."""
    first = world.submit(world.withdrawal(VAULT, 100_000), "shop", id=bytes(16))
    freeze = world.order(Freeze(scope=Scope.ALL, vault="", why="stolen keys"), id=bytes(16))
    amendment = world.order(world.amendment(loosening_delay_ms=world.charter.loosening_delay_ms + 1), id=bytes(16))
    world.log(world.order_entry(freeze, "dave"))
    world.log(world.order_entry(amendment, "dave", "alice", "carol"))
    assert world.state.freeze(hashlib.sha256(freeze).digest()) is not None
    assert world.state.charter.version == 2
    found = world.state.order_by_id(bytes(16))
    assert found is not None
    assert found.hash == first
    for taken in (freeze, amendment):
        assert refusal_of(world, world.order_entry(taken, "dave")) == "ALREADY_KNOWN"
    for action in (world.withdrawal(VAULT, 1_000), world.creation("new")):
        other = world.order(action, id=bytes(16))
        assert refusal_of(world, world.order_entry(other, "alice")) == "ORDER_ID_TAKEN"


def test_the_id_of_a_freeze_is_taken_for_what_pays(world: World) -> None:
    freeze = world.submit(Freeze(scope=Scope.VAULT, vault=VAULT, why="look"), "dave", id=bytes(16))
    payment = world.order(world.withdrawal(VAULT, 100_000), id=bytes(16))
    assert refusal_of(world, world.order_entry(payment, "shop")) == "ORDER_ID_TAKEN"
    found = world.state.order_by_id(bytes(16))
    assert found is not None
    assert found.hash == freeze


def test_who_initiated_an_order_is_replaced_only_when_that_word_counts_no_more(world: World) -> None:
    order = world.order(world.amendment(loosening_delay_ms=world.charter.loosening_delay_ms + 1))
    short = world.endorsement("bob", Verb.INITIATE, order, expires_ms=world.time_ms + 60_000)
    world.log(OrderEntry(order=order, endorsements=(short,)))
    world.later(59_999)
    assert refusal_of(world, world.endorse("dave", Verb.INITIATE, order)) == "VERB_NOT_ALLOWED"
    world.later(1)
    for person in ("alice", "carol"):
        world.log(world.endorse(person, Verb.APPROVE, order))
    # The same person does not speak twice, and who approved does not initiate.
    assert refusal_of(world, world.endorse("bob", Verb.INITIATE, order)) == "ALREADY_KNOWN"
    assert refusal_of(world, world.endorse("alice", Verb.INITIATE, order)) == "INITIATOR_CANNOT_APPROVE"
    assert world.state.charter.version == 1
    world.log(world.endorse("dave", Verb.INITIATE, order))
    assert world.state.charter.version == 2


def test_an_order_whose_initiator_lost_the_key_is_initiated_by_another(world: World) -> None:
    order = world.order(world.creation("new"))
    world.log(world.order_entry(order, "bob"))
    now = world.state.charter
    groups = tuple(replace(one, members=tuple(name for name in one.members if name != "bob")) for one in now.groups)
    world.amend("alice", "carol", people=tuple(one for one in now.people if one.name != "bob"), groups=groups)
    world.log(world.endorse("dave", Verb.INITIATE, order))
    assert refusal_of(world, world.endorse("shop", Verb.INITIATE, order)) == "VERB_NOT_ALLOWED"


def test_who_initiated_an_order_once_never_counts_among_those_who_approve_it(world: World) -> None:
    order = world.order(world.amendment(loosening_delay_ms=world.charter.loosening_delay_ms + 1))
    short = world.endorsement("bob", Verb.INITIATE, order, expires_ms=world.time_ms + 60_000)
    world.log(OrderEntry(order=order, endorsements=(short,)))
    world.later(60_000)
    world.log(world.endorse("dave", Verb.INITIATE, order))
    assert refusal_of(world, world.endorse("bob", Verb.APPROVE, order)) == "INITIATOR_CANNOT_APPROVE"


@pytest.mark.parametrize(
    ("parts", "code"),
    [
        ({"log_id": bytes(32)}, "WRONG_LOG"),
        ({"expires_ms": 1}, "ORDER_EXPIRED"),
        ({"expires_ms": 2**63}, "ORDER_LIFE_TOO_LONG"),
    ],
)
def test_an_order_must_be_of_this_log_and_live_for_a_bounded_time(
    world: World, parts: dict[str, Any], code: str
) -> None:
    order = world.order(world.withdrawal(VAULT, 100_000), **parts)
    assert refusal_of(world, world.order_entry(order, "shop")) == code


def test_an_order_that_expires_at_this_very_time_has_expired(world: World) -> None:
    order = world.order(world.withdrawal(VAULT, 100_000), expires_ms=world.time_ms)
    assert refusal_of(world, world.order_entry(order, "shop")) == "ORDER_EXPIRED"


def test_order_bytes_that_are_not_canonical_are_refused(world: World) -> None:
    order = world.order(world.withdrawal(VAULT, 100_000)) + b"\0"
    assert refusal_of(world, world.order_entry(order, "shop")) == "ENTRY_MALFORMED"


@pytest.mark.parametrize(
    ("parts", "code"),
    [
        ({"vault": "customer-2"}, "VAULT_UNKNOWN"),
        ({"asset": MAINNET.asset_id}, "ASSET_MISMATCH"),
        ({"destination": DESTINATION.upper()}, "DESTINATION_INVALID"),
        ({"destination": DESTINATION[:-1] + "q"}, "DESTINATION_INVALID"),
        ({"destination": "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"}, "DESTINATION_INVALID"),
        ({"amount": 293}, "AMOUNT_INVALID"),
        ({"amount": 21_000_000 * 100_000_000 + 1}, "AMOUNT_INVALID"),
        ({"max_fee": 2**80}, "AMOUNT_INVALID"),
        ({"amount": 300_000_000}, "OVER_MAXIMUM"),
    ],
)
def test_a_withdrawal_that_could_never_be_paid_is_refused(world: World, parts: dict[str, Any], code: str) -> None:
    order = world.order(replace(world.withdrawal(VAULT, 100_000), **parts))
    assert refusal_of(world, world.order_entry(order, "shop")) == code


@pytest.mark.parametrize(
    ("action", "code"),
    [
        (lambda w: w.creation("customer-1"), "VAULT_NAME_TAKEN"),
        (lambda w: w.creation("new", ("s1", "s2", "s9")), "VAULT_SIGNERS"),
        (lambda w: w.creation("new", ("s1", "s2", "s2")), "VAULT_SIGNERS"),
        (lambda w: w.creation("new", ("s1", "s2", "s3"), 0), "VAULT_SIGNERS"),
        (lambda w: w.creation("new", ("s1",), 2), "VAULT_SIGNERS"),
        (lambda w: w.creation("new", ("s1", "s2", "s3"), 3), "VAULT_SIGNERS"),  # above the witness quorum of 2
        (lambda w: Freeze(scope=Scope.ALL, vault="customer-1", why="x"), "FREEZE_SCOPE"),
        (lambda w: Freeze(scope=Scope.VAULT, vault="", why="x"), "FREEZE_SCOPE"),
        (lambda w: Freeze(scope=Scope.VAULT, vault="nowhere", why="x"), "VAULT_UNKNOWN"),
        (lambda w: Unfreeze(freeze=bytes(32)), "FREEZE_UNKNOWN"),
        (lambda w: CancelWithdraw(order_hash=bytes(32), max_fee=1), "ORDER_UNKNOWN"),
    ],
)
def test_other_orders_that_could_never_act_are_refused(
    world: World, action: Callable[[World], Action], code: str
) -> None:
    assert refusal_of(world, world.order_entry(world.order(action(world)), "alice")) == code


@pytest.mark.parametrize("chain", [MAINNET.caip2, "bip122:00000000000000000000000000000000"])
def test_a_vault_of_an_unlisted_chain_is_refused(world: World, chain: str) -> None:
    foreign = replace(world.creation("new"), chain=chain)
    assert refusal_of(world, world.order_entry(world.order(foreign), "alice")) == "CHAIN_UNKNOWN"


# --- endorsements ----------------------------------------------------------------------------------------------------


def test_an_order_without_its_initiator_is_refused(world: World) -> None:
    order = world.order(world.withdrawal(VAULT, 100_000))
    entry = OrderEntry(order=order, endorsements=(world.endorsement("alice", Verb.APPROVE, order),))
    assert refusal_of(world, entry) == "INITIATOR_NOT_ALLOWED"


def test_only_those_a_rule_names_initiate(world: World) -> None:
    strict = World.started(rules=(builder.rule(initiated=("group:integrations",)),))
    strict.make_vault(VAULT)
    order = strict.order(strict.withdrawal(VAULT, 100_000))
    assert refusal_of(strict, strict.order_entry(order, "alice")) == "INITIATOR_NOT_ALLOWED"
    strict.log(strict.order_entry(order, "shop"))


def test_two_initiators_are_refused(world: World) -> None:
    order = world.order(world.withdrawal(VAULT, 100_000))
    said = tuple(world.endorsement(person, Verb.INITIATE, order) for person in ("shop", "alice"))
    assert refusal_of(world, OrderEntry(order=order, endorsements=said)) == "VERB_NOT_ALLOWED"


@pytest.mark.parametrize("first", [Verb.INITIATE, Verb.APPROVE])
def test_the_initiator_cannot_approve_in_either_order(world: World, first: Verb) -> None:
    order = world.order(world.withdrawal(VAULT, 100_000))
    verbs = (Verb.INITIATE, Verb.APPROVE) if first is Verb.INITIATE else (Verb.APPROVE, Verb.INITIATE)
    entry = OrderEntry(order=order, endorsements=tuple(world.endorsement("alice", verb, order) for verb in verbs))
    assert refusal_of(world, entry) == "INITIATOR_CANNOT_APPROVE"


def test_a_new_order_brings_no_rejection(world: World) -> None:
    order = world.order(world.withdrawal(VAULT, 100_000))
    entry = world.order_entry(order, "shop")
    said = (*entry.endorsements, world.endorsement("alice", Verb.REJECT, order))
    assert refusal_of(world, OrderEntry(order=order, endorsements=said)) == "VERB_NOT_ALLOWED"


@pytest.mark.parametrize(
    ("parts", "code"),
    [
        ({"log_id": bytes(32)}, "WRONG_LOG"),
        ({"key": builder.signing_key("bob").public}, "KEY_UNKNOWN"),
        ({"person": "mallory"}, "KEY_UNKNOWN"),
        ({"expires_ms": 1}, "ENDORSEMENT_EXPIRED"),
        ({"expires_ms": 2**63}, "ENDORSEMENT_TOO_LONG"),
        ({"head_size": 0, "head_root": EMPTY_ROOT}, "ENDORSEMENT_HEAD"),
        ({"head_size": 1}, "ENDORSEMENT_HEAD"),
        ({"head_size": 1_000}, "ENDORSEMENT_HEAD"),
        ({"head_root": bytes(32)}, "ENDORSEMENT_HEAD"),
        ({"order_hash": bytes(32)}, "ORDER_UNKNOWN"),
    ],
)
def test_an_endorsement_must_be_this_persons_word_in_this_log(world: World, parts: dict[str, Any], code: str) -> None:
    order_hash = world.submit(world.withdrawal(VAULT, 100_000), "shop")
    assert refusal_of(world, world.endorse("alice", Verb.APPROVE, order_hash, **parts)) == code


def test_any_earlier_head_of_this_log_will_do(world: World) -> None:
    order_hash = world.submit(world.withdrawal(VAULT, 100_000), "shop")
    old = {"head_size": 2, "head_root": world.replica.root_at(2)}
    world.log(world.endorse("alice", Verb.APPROVE, order_hash, **old))


@pytest.mark.attack(
    line="coordinator",
    title="approvals given to another order",
    origin="WazirX 2024: signatures from failed transactions were reused with legitimate metadata",
)
def test_an_endorsement_of_another_order_does_not_start_one(world: World) -> None:
    order = world.order(world.withdrawal(VAULT, 100_000))
    entry = OrderEntry(order=order, endorsements=(world.endorsement("shop", Verb.INITIATE, bytes(32)),))
    assert refusal_of(world, entry) == "ENDORSEMENT_MISMATCH"


def test_an_endorsement_that_expires_at_this_very_time_has_expired(world: World) -> None:
    order_hash = world.submit(world.withdrawal(VAULT, 100_000), "shop")
    late = world.endorse("alice", Verb.APPROVE, order_hash, expires_ms=world.time_ms)
    assert refusal_of(world, late) == "ENDORSEMENT_EXPIRED"


def test_an_endorsement_lives_for_seven_days_at_most(world: World) -> None:
    order_hash = world.submit(world.withdrawal(VAULT, 100_000), "shop")
    week = world.time_ms + 7 * DAY_MS
    too_long = world.endorse("alice", Verb.APPROVE, order_hash, expires_ms=week + 1)
    assert refusal_of(world, too_long) == "ENDORSEMENT_TOO_LONG"
    world.log(world.endorse("alice", Verb.APPROVE, order_hash, expires_ms=week))


def test_a_signature_by_another_key_is_refused(world: World) -> None:
    order_hash = world.submit(world.withdrawal(VAULT, 100_000), "shop")
    true = world.endorsement("alice", Verb.APPROVE, order_hash)
    forged = sign("endorsement", codec.decode(Endorsement, true.body), "bob")
    assert refusal_of(world, Endorse(endorsement=forged)) == "BAD_SIGNATURE"


def test_a_signature_of_another_kind_is_refused(world: World) -> None:
    order_hash = world.submit(world.withdrawal(VAULT, 100_000), "shop")
    true = world.endorsement("alice", Verb.APPROVE, order_hash)
    forged = sign("adopt", codec.decode(Endorsement, true.body), "alice")
    assert refusal_of(world, Endorse(endorsement=Signed(body=true.body, signature=forged.signature))) == "BAD_SIGNATURE"


def test_a_word_said_twice_is_known(world: World) -> None:
    order_hash = world.submit(world.withdrawal(VAULT, 100_000), "shop", "alice")
    again = world.endorse("alice", Verb.APPROVE, order_hash, expires_ms=world.time_ms + HOUR_MS)
    assert refusal_of(world, again) == "ALREADY_KNOWN"


@pytest.mark.parametrize("verb", [Verb.APPROVE, Verb.REJECT])
def test_only_those_whom_a_rule_names_approve_or_reject(world: World, verb: Verb) -> None:
    order_hash = world.submit(world.withdrawal(VAULT, 100_000), "alice")
    assert refusal_of(world, world.endorse("shop", verb, order_hash)) == "NOT_AN_APPROVER"


def test_a_rejection_ends_an_open_order_for_ever(world: World) -> None:
    order_hash = world.pay(VAULT, 100_000)
    world.reject(order_hash, "alice")  # who approved may still reject
    assert state_of(world, order_hash) is OrderState.REJECTED
    assert not list(world.state.open_orders())
    assert refusal_of(world, world.endorse("carol", Verb.APPROVE, order_hash)) == "ORDER_ENDED"
    assert refusal_of(world, world.endorse("carol", Verb.REJECT, order_hash)) == "ORDER_ENDED"
    assert refusal_of(world, world.plan([order_hash], [world.coin(200_000)])) == "REJECTED"


def test_an_approver_who_initiated_the_order_may_still_reject_it(world: World) -> None:
    order_hash = world.submit(world.withdrawal(VAULT, 100_000), "alice", "bob")
    world.reject(order_hash, "alice")
    assert state_of(world, order_hash) is OrderState.REJECTED


def test_a_planned_order_takes_a_rejection_after_it_expired(world: World) -> None:
    """Its plan may still be bumped, which the rejection is to stop."""
    order_hash, coin = world.pay(VAULT, 100_000), world.coin(200_000)
    first = world.log_plan([order_hash], [coin])
    world.later(4 * DAY_MS)
    world.reject(order_hash, "carol")
    assert refusal_of(world, world.plan([order_hash], [coin], fee_sat=2_000, bumps=first)) == "REJECTED"


def test_an_order_full_of_approvals_has_room_for_a_rejection() -> None:
    crowd = tuple(f"approver-{number}" for number in range(128))
    base = builder.charter()
    groups = tuple(replace(group, members=crowd) if group.name == "treasury" else group for group in base.groups)
    world = World.started(people=(*base.people, *map(builder.person, crowd)), groups=groups)
    world.make_vault(VAULT)
    order_hash = world.submit(world.withdrawal(VAULT, 100_000), "shop")
    world.approve(order_hash, *crowd[:126])
    assert refusal_of(world, world.endorse(crowd[126], Verb.APPROVE, order_hash)) == "ENDORSEMENTS_FULL"
    world.later(2 * DAY_MS)
    assert refusal_of(world, world.endorse("dave", Verb.INITIATE, order_hash)) == "ENDORSEMENTS_FULL"
    world.reject(order_hash, crowd[127])
    assert state_of(world, order_hash) is OrderState.REJECTED


def test_an_expired_order_takes_no_more_words(world: World) -> None:
    order_hash = world.submit(world.withdrawal(VAULT, 100_000), "shop", expires_ms=world.time_ms + HOUR_MS)
    world.later(HOUR_MS)
    assert refusal_of(world, world.endorse("alice", Verb.APPROVE, order_hash)) == "ORDER_EXPIRED"


def test_expired_orders_leave_the_list_of_waiting_ones(world: World) -> None:
    for _ in range(3):
        world.submit(world.withdrawal(VAULT, 100_000), "shop", expires_ms=world.time_ms + HOUR_MS)
    world.later(HOUR_MS)
    living = [world.submit(world.withdrawal(VAULT, 100_000), "shop") for _ in range(2)]
    assert [record.hash for record in world.state.open_orders()] == living


# --- cancellations ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("person", ["shop", "carol"], ids=["initiator", "named approver"])
def test_cancelling_an_order_without_a_plan_ends_it_at_once(world: World, person: str) -> None:
    order_hash = world.pay(VAULT, 100_000)
    cancel_hash = world.cancel(order_hash, person)
    record = world.state.order(order_hash)
    assert record is not None
    assert (record.state, record.cancelled_by) == (OrderState.CANCELLED, cancel_hash)
    assert state_of(world, cancel_hash) is OrderState.DONE
    assert refusal_of(world, world.plan([order_hash], [world.coin(200_000)])) == "CANCELLED"
    again = world.order(CancelWithdraw(order_hash=order_hash, max_fee=1))
    assert refusal_of(world, world.order_entry(again, "shop")) == "ORDER_NOT_CANCELLABLE"


def test_others_do_not_cancel(world: World) -> None:
    order_hash = world.submit(world.withdrawal(VAULT, 100_000), "alice", "bob")
    cancel = world.order(CancelWithdraw(order_hash=order_hash, max_fee=1))
    assert refusal_of(world, world.order_entry(cancel, "shop")) == "INITIATOR_NOT_ALLOWED"


def test_a_cancellation_allows_no_fee_beyond_all_money(world: World) -> None:
    cancel = world.order(CancelWithdraw(order_hash=world.pay(VAULT, 100_000), max_fee=21_000_000 * 100_000_000 + 1))
    assert refusal_of(world, world.order_entry(cancel, "shop")) == "AMOUNT_INVALID"


def test_only_a_withdrawal_is_cancelled(world: World) -> None:
    creation = world.submit(world.creation("customer-2"), "carol")
    cancel = world.order(CancelWithdraw(order_hash=creation, max_fee=1))
    assert refusal_of(world, world.order_entry(cancel, "carol")) == "ORDER_NOT_CANCELLABLE"


# --- quotas ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def small_quotas(monkeypatch: pytest.MonkeyPatch) -> None:
    """Charters with quotas that a few entries use up."""
    monkeypatch.setattr(charter_check_bounds, "LEAST_COORDINATOR_BYTES", 1)
    monkeypatch.setattr(charter_check_bounds, "LEAST_PERSON_BYTES", 1)


@pytest.mark.usefixtures("small_quotas")
def test_an_author_writes_no_more_in_a_day_than_the_charter_allows() -> None:
    world = World.started(log=LogQuotas(coordinator_bytes_per_day=20_000, person_bytes_per_day=1_100))
    world.make_vault(VAULT)
    world.submit(world.withdrawal(VAULT, 100_000), "shop")
    order_hash = world.submit(world.withdrawal(VAULT, 100_000), "shop")
    third = world.order_entry(world.order(world.withdrawal(VAULT, 100_000)), "shop")
    assert refusal_of(world, third) == "LOG_QUOTA"
    world.later(DAY_MS)
    world.log(world.order_entry(world.order(world.withdrawal(VAULT, 100_000)), "shop"))
    assert state_of(world, order_hash) is OrderState.OPEN


@pytest.mark.usefixtures("small_quotas")
@pytest.mark.attack(line="coordinator", title="disk filling over a day", origin="on paper: disks filled with entries")
def test_the_coordinator_writes_no_more_in_a_day_than_the_charter_allows() -> None:
    world = World.started(log=LogQuotas(coordinator_bytes_per_day=100, person_bytes_per_day=10**6))
    world.log(*[Tick()] * 3)
    assert refusal_of(world, Tick()) == "LOG_QUOTA"
    world.later(DAY_MS)
    world.log(Tick())


@pytest.mark.usefixtures("small_quotas")
def test_a_rejection_or_freeze_finds_its_way_past_a_quota_that_is_used_up() -> None:
    world = World.started(log=LogQuotas(coordinator_bytes_per_day=20_000, person_bytes_per_day=900))
    world.make_vault(VAULT)
    order_hash = world.submit(world.withdrawal(VAULT, 100_000), "shop")
    for _ in range(2):
        world.submit(world.withdrawal(VAULT, 100_000), "bob")
    another = world.order_entry(world.order(world.withdrawal(VAULT, 100_000)), "bob")
    assert refusal_of(world, another) == "LOG_QUOTA"
    world.reject(order_hash, "bob")
    world.freeze("bob")


def test_an_order_that_ended_takes_no_more_words(world: World) -> None:
    cancelled = world.pay("customer-1", 100_000)
    world.cancel(cancelled)
    excluding = world.pay("customer-1", 100_000)
    world.log_plan([excluding], [world.coin(200_000)])
    world.cancel(excluding)
    made = world.submit(world.creation("customer-7"), "dave", "alice", "bob")
    world.log(world.vault_entry(made))
    for order in (cancelled, excluding, made):
        for verb in (Verb.APPROVE, Verb.REJECT):
            assert refusal_of(world, world.endorse("carol", verb, order)) == "ORDER_ENDED"
