"""Break-glass: who, where to, when, and that it passes every freeze."""

from __future__ import annotations

from dataclasses import replace

import pytest

import charter_builder as builder
from ledger_world import HOUR_MS, World
from refusals import refusal_of
from strongroom.ledger.break_glass import box_of, recovery_address
from strongroom.ledger.charter import RecoveryAddress
from strongroom.ledger.entry_messages import Change, OrderPayment, PlanOutput, Recovery, Tick
from strongroom.ledger.judge import judge_release
from strongroom.ledger.judgement import Code
from strongroom.ledger.records import OrderRecord, OrderState
from strongroom.ledger.signed_messages import Verb

VAULT = "customer-1"
DELAY_MS, BOX_MS = HOUR_MS, 6 * HOUR_MS


@pytest.fixture
def world() -> World:
    world = World.started(**builder.recovery_parts(rules=(builder.rule(), builder.book_rule())))
    world.make_vault(VAULT)
    return world


def record_of(world: World, order: bytes) -> OrderRecord:
    record = world.state.order(order)
    assert record is not None
    return record


def test_an_open_box_moves_everything_under_a_freeze_of_all(world: World) -> None:
    world.freeze("dave")
    order = world.break_glass()
    world.later(DELAY_MS)
    for _ in range(3):
        world.log(world.sweep(order, [world.coin(500_000), world.coin(40_000, branch=1)]))
    record = record_of(world, order)
    assert record.state is OrderState.OPEN
    assert len(record.plans) == 3


def test_the_box_opens_after_the_delay_and_closes_for_ever(world: World) -> None:
    order = world.break_glass()
    opened_ms = world.time_ms + DELAY_MS
    plan = world.sweep(order, [world.coin(500_000)])
    world.later(DELAY_MS - 1)
    assert refusal_of(world, plan) == "DELAY_RUNNING"
    world.later(BOX_MS)
    world.log(world.sweep(order, [world.coin(600_000)]))
    box = box_of(world.state.charter, record_of(world, order), at_ms=world.time_ms)
    assert box is not None
    assert (box.opens_ms, box.closes_ms) == (opened_ms, opened_ms + BOX_MS)
    world.later(1)
    assert refusal_of(world, plan) == "BOX_CLOSED"


def test_fewer_than_the_quorum_open_nothing(world: World) -> None:
    order = world.break_glass(VAULT, "alice", "bob")
    world.later(DELAY_MS)
    assert refusal_of(world, world.sweep(order, [world.coin(500_000)])) == "APPROVALS_MISSING"


def test_the_delay_runs_from_the_last_approval_that_was_needed(world: World) -> None:
    order = world.break_glass(VAULT, "alice", "bob")
    world.later(DELAY_MS)
    world.approve(order, "carol")
    plan = world.sweep(order, [world.coin(500_000)])
    assert refusal_of(world, plan) == "DELAY_RUNNING"
    world.later(DELAY_MS)
    world.log(plan)


def with_a_board() -> World:
    """Three of four people suffice to break the glass."""
    people = (*builder.charter().people, builder.person("erin"))
    groups = (*builder.charter().groups, builder.Group(name="board", members=("alice", "bob", "carol", "erin")))
    rules = builder.break_glass(quorum=builder.Quorum(group="board", count=3))
    world = World.started(**builder.recovery_parts(people=people, groups=groups, break_glass=rules))
    world.make_vault(VAULT)
    return world


def test_no_approval_moves_a_box_that_runs() -> None:
    """A fourth approval could stand in for one that ends, and prolong the box."""
    world = with_a_board()
    order = world.break_glass()
    assert refusal_of(world, world.endorse("erin", Verb.APPROVE, order)) == "ORDER_ENDED"
    world.reject(order, "erin")
    assert record_of(world, order).state is OrderState.REJECTED


def test_the_box_closes_when_an_approval_that_it_rests_on_expires(world: World) -> None:
    name = expiring(world, 2 * HOUR_MS)
    world.later(DELAY_MS)
    world.log(world.sweep(name, [world.coin(500_000)]))
    world.later(HOUR_MS)
    assert refusal_of(world, world.sweep(name, [world.coin(500_000)])) == "APPROVALS_MISSING"


def expiring(world: World, after_ms: int) -> bytes:
    """An approved order to break the glass; carol's approval runs out after so long."""
    order = world.order(world.recovery())
    said = world.order_entry(order, "dave", "alice", "bob")
    short = world.endorsement("carol", Verb.APPROVE, order, expires_ms=world.time_ms + after_ms)
    world.log(replace(said, endorsements=(*said.endorsements, short)))
    return world.state.order_at(world.state.orders_count - 1).hash


def test_an_approval_that_stands_in_for_one_that_ended_leaves_the_box_where_it_was() -> None:
    world = with_a_board()
    name = expiring(world, DELAY_MS)
    before = record_of(world, name)
    world.later(DELAY_MS)
    assert refusal_of(world, world.sweep(name, [world.coin(500_000)])) == "APPROVALS_MISSING"
    world.approve(name, "erin")
    after = record_of(world, name)
    assert (after.opens_ms, after.closes_ms) == (before.opens_ms, before.closes_ms)
    plan = world.sweep(name, [world.coin(500_000)])
    world.later(BOX_MS)
    assert refusal_of(world, plan) == "BOX_CLOSED"


def test_an_approval_that_ends_before_the_box_opens_is_what_is_missing(world: World) -> None:
    name = expiring(world, DELAY_MS - 1)
    plan = world.sweep(name, [world.coin(500_000)])
    assert refusal_of(world, plan) == "DELAY_RUNNING"
    world.later(DELAY_MS - 1)
    assert refusal_of(world, plan) == "APPROVALS_MISSING"


def test_a_longer_delay_that_comes_into_force_opens_no_box_that_has_closed(world: World) -> None:
    order = world.break_glass()
    plan = world.sweep(order, [world.coin(500_000)])
    world.later(DELAY_MS + BOX_MS)
    assert refusal_of(world, plan) == "BOX_CLOSED"
    rules = world.state.charter.break_glass
    assert rules is not None
    world.amend(break_glass=replace(rules, delay_ms=rules.delay_ms + 2 * BOX_MS))
    assert world.state.charter.version == 2
    world.later(BOX_MS)
    assert refusal_of(world, plan) == "BOX_CLOSED"


def test_a_box_that_waits_is_neither_moved_nor_prolonged_by_a_charter(world: World) -> None:
    order = world.break_glass()
    before = record_of(world, order)
    rules = world.state.charter.break_glass
    assert rules is not None
    world.amend(break_glass=replace(rules, delay_ms=rules.delay_ms + 1, box_ms=rules.box_ms - 1))
    assert world.state.charter.version == 2
    assert (record_of(world, order).opens_ms, record_of(world, order).closes_ms) == (before.opens_ms, before.closes_ms)
    world.later(DELAY_MS)
    world.log(world.sweep(order, [world.coin(500_000)]))


def test_words_from_before_a_smaller_quorum_open_no_box() -> None:
    unfreeze = builder.Quorum(group="admins", count=1)
    world = World.started(**builder.recovery_parts(unfreeze=unfreeze, loosening_delay_ms=HOUR_MS))
    world.make_vault(VAULT)
    order = world.break_glass(VAULT, "alice", "bob")
    rules = world.state.charter.break_glass
    assert rules is not None
    world.amend(break_glass=replace(rules, quorum=replace(rules.quorum, count=2)))
    world.later(world.charter.loosening_delay_ms)
    world.log(Tick())
    assert world.state.charter.version == 2
    assert box_of(world.state.charter, record_of(world, order), at_ms=world.time_ms) is None
    world.later(DELAY_MS)
    assert refusal_of(world, world.sweep(order, [world.coin(500_000)])) == "APPROVALS_MISSING"


def test_only_the_registered_address_can_be_ordered(world: World) -> None:
    elsewhere = world.order(world.recovery(destination=builder.ADDRESS))
    assert refusal_of(world, world.order_entry(elsewhere, "dave", "alice")) == "RECOVERY_ADDRESS"
    world.submit(world.creation("treasury"), "carol", "alice", "bob")
    world.make_vault("treasury-2")
    unregistered = world.order(world.recovery("treasury-2"))
    assert refusal_of(world, world.order_entry(unregistered, "dave")) == "RECOVERY_ADDRESS"


def test_a_charter_without_break_glass_registers_nothing() -> None:
    world = World.started()
    world.make_vault(VAULT)
    assert recovery_address(world.state.charter, VAULT) is None
    assert refusal_of(world, world.order_entry(world.order(world.recovery()), "dave")) == "RECOVERY_ADDRESS"


def test_the_first_entry_that_names_the_vault_is_its_recovery_address() -> None:
    addresses = (
        RecoveryAddress(vault="customer-1", address=builder.ADDRESS),
        RecoveryAddress(vault="customer-*", address=builder.RECOVERY),
    )
    charter = builder.charter(**builder.recovery_parts(break_glass=builder.break_glass(addresses=addresses)))
    assert recovery_address(charter, "customer-1") == builder.ADDRESS
    assert recovery_address(charter, "customer-2") == builder.RECOVERY
    assert recovery_address(charter, "treasury") is None


@pytest.mark.parametrize(
    ("targets", "code"),
    [
        ((Recovery(amount_sat=400_000), Change(amount_sat=99_000, index=0)), "PLAN_OUTPUTS"),
        ((Recovery(amount_sat=200_000), Recovery(amount_sat=299_000)), "PLAN_OUTPUTS"),
        ((Change(amount_sat=499_000, index=0),), "PLAN_OUTPUTS"),
        ((OrderPayment(position=0),), "PLAN_OUTPUTS"),
        ((Recovery(amount_sat=200),), "PLAN_FORM"),
        ((Recovery(amount_sat=440_000),), "FEE_OVER_ORDER"),
    ],
)
def test_a_sweep_has_one_output_and_keeps_the_fee_cap(world: World, targets: tuple[object, ...], code: str) -> None:
    order = world.break_glass()
    world.later(DELAY_MS)
    outputs = tuple(PlanOutput(target=target) for target in targets)  # type: ignore[arg-type]
    assert refusal_of(world, world.sweep(order, [world.coin(500_000)], outputs=outputs)) == code


def test_a_sweep_stands_alone_and_bumps_nothing(world: World) -> None:
    order, paid = world.break_glass(), world.pay(VAULT, 100_000)
    world.later(DELAY_MS)
    coin = world.coin(500_000)
    assert refusal_of(world, world.sweep(order, [coin], order_hashes=(order, paid))) == "PLAN_ORDERS"
    world.log(world.sweep(order, [coin]))
    name = world.state.plans_of(order)[0].hash
    assert refusal_of(world, world.sweep(order, [coin], fee_sat=2_000, bumps=name)) == "PLAN_ORDERS"
    world.log(world.sweep(order, [coin], fee_sat=2_000))


def test_only_members_of_the_quorum_approve_and_reject(world: World) -> None:
    people = (*builder.charter().people, builder.person("erin"))
    wider = World.started(**builder.recovery_parts(people=people))
    wider.make_vault(VAULT)
    order = wider.break_glass(VAULT, "alice")
    for verb in (Verb.APPROVE, Verb.REJECT):
        assert refusal_of(wider, wider.endorse("erin", verb, order)) == "NOT_AN_APPROVER"


def test_an_order_of_one_vault_moves_no_other(world: World) -> None:
    world.make_vault("customer-2")
    order = world.break_glass()
    world.later(DELAY_MS)
    assert refusal_of(world, world.sweep(order, [world.coin(500_000)], vault="customer-2")) == "PLAN_VAULT"


def test_a_withdrawal_is_not_paid_as_a_recovery(world: World) -> None:
    paid = world.pay(VAULT, 100_000)
    assert refusal_of(world, world.sweep(paid, [world.coin(500_000)])) == "PLAN_OUTPUTS"


def test_a_machine_does_not_ask_to_break_the_glass(world: World) -> None:
    assert refusal_of(world, world.order_entry(world.order(world.recovery()), "shop")) == "INITIATOR_NOT_ALLOWED"


def test_an_unknown_vault_and_a_fee_beyond_all_money_are_refused() -> None:
    world = World.started(**builder.recovery_parts())
    assert refusal_of(world, world.order_entry(world.order(world.recovery("customer-9")), "dave")) == "VAULT_UNKNOWN"
    world.make_vault(VAULT)
    dear = world.order(world.recovery(max_fee=22_000_000 * 100_000_000))
    assert refusal_of(world, world.order_entry(dear, "dave")) == "AMOUNT_INVALID"


def test_a_release_passes_freezes_and_ends_with_the_box_by_either_clock(world: World) -> None:
    order = world.break_glass()
    world.later(DELAY_MS)
    world.log(world.sweep(order, [world.coin(500_000)]))
    plan = world.state.plans_of(order)[0]
    world.freeze("dave")
    assert judge_release(world.state, plan, world.time_ms).allowed
    assert judge_release(world.state, plan, world.time_ms + BOX_MS - 1).allowed
    assert judge_release(world.state, plan, world.time_ms + BOX_MS).code is Code.BOX_CLOSED
    world.later(BOX_MS)
    world.log(Tick())
    assert judge_release(world.state, plan, world.time_ms - BOX_MS).code is Code.BOX_CLOSED


def test_a_rejection_closes_the_box(world: World) -> None:
    order = world.break_glass()
    world.later(DELAY_MS)
    world.log(world.sweep(order, [world.coin(500_000)]))
    plan = world.state.plans_of(order)[0]
    world.log(world.endorse("alice", Verb.REJECT, order))
    assert judge_release(world.state, plan, world.time_ms).code is Code.REJECTED
    assert refusal_of(world, world.sweep(order, [world.coin(500_000)])) == "REJECTED"


def test_a_withdrawal_stays_frozen_beside_an_open_box(world: World) -> None:
    paid, order = world.pay(VAULT, 100_000), world.break_glass()
    world.freeze("dave")
    world.later(DELAY_MS)
    assert refusal_of(world, world.plan([paid], [world.coin(500_000)])) == "FROZEN"
    world.log(world.sweep(order, [world.coin(500_000)]))


def test_the_orders_that_could_open_a_box_are_listed_until_they_end(world: World) -> None:
    first, second = world.break_glass(), world.break_glass(VAULT, "alice")
    assert [record.hash for record in world.state.break_glass_orders()] == [first, second]
    world.reject(first, "bob")
    assert [record.hash for record in world.state.break_glass_orders()] == [second]
    world.later(4 * 24 * HOUR_MS)
    third = world.break_glass()
    assert [record.hash for record in world.state.break_glass_orders()] == [third]


# --- the charter changes meanwhile -----------------------------------------------------------------------------------

ELSEWHERE = (RecoveryAddress(vault="customer-*", address=builder.ADDRESS),)


def test_another_recovery_address_waits_and_voids_what_was_ordered_for_the_old_one(world: World) -> None:
    """Changed and used in one go: the amendment waits, and nobody's signature moves with it to the new address."""
    order = world.break_glass()
    world.amend("alice", "bob", break_glass=builder.break_glass(addresses=ELSEWHERE))
    elsewhere = world.order(world.recovery(destination=builder.ADDRESS))
    assert refusal_of(world, world.order_entry(elsewhere, "dave", "alice", "bob", "carol")) == "RECOVERY_ADDRESS"
    world.later(DELAY_MS)
    world.log(world.sweep(order, [world.coin(500_000)]))
    plan = world.state.plans_of(order)[0]
    late = world.break_glass(expires_ms=world.time_ms + 20 * 24 * HOUR_MS)
    world.later(48 * HOUR_MS)
    world.log(Tick())
    assert recovery_address(world.state.charter, VAULT) == builder.ADDRESS
    assert refusal_of(world, world.sweep(late, [world.coin(500_000)])) == "RECOVERY_ADDRESS"
    assert judge_release(world.state, plan, world.time_ms).code is Code.RECOVERY_ADDRESS


def test_a_charter_that_ends_break_glass_closes_every_box(world: World) -> None:
    order = world.break_glass()
    world.later(DELAY_MS)
    world.log(world.sweep(order, [world.coin(500_000)]))
    plan = world.state.plans_of(order)[0]
    pending = world.break_glass(VAULT, "alice")
    world.amend("alice", "bob", break_glass=None)
    assert refusal_of(world, world.endorse("bob", Verb.APPROVE, pending)) == "NOT_AN_APPROVER"
    assert box_of(world.state.charter, record_of(world, order), at_ms=world.time_ms) is None
    assert judge_release(world.state, plan, world.time_ms).code is Code.RECOVERY_ADDRESS


def test_a_revoked_approver_closes_the_box(world: World) -> None:
    order = world.break_glass()
    world.later(DELAY_MS)
    people = tuple(
        person
        if person.name != "carol"
        else replace(
            person, keys=(builder.PersonKey(type=person.keys[0].type, public=builder.signing_key("new").public),)
        )
        for person in world.state.charter.people
    )
    world.amend("alice", "bob", people=people)
    world.later(48 * HOUR_MS)
    world.log(Tick())
    box = box_of(world.state.charter, record_of(world, order), at_ms=world.time_ms - 47 * HOUR_MS)
    assert box is None
