"""Whoever judges evidence makes the plan's transaction from the bytes of its orders alone, whatever they order."""

from __future__ import annotations

from dataclasses import replace

import pytest

import charter_builder as builder
from ledger_world import World
from strongroom.chains.bitcoin import policy
from strongroom.ledger.entry_messages import Plan
from strongroom.ledger.records import VaultRecord
from strongroom.protocol.evidence import EvidenceInvalid, _transaction
from strongroom.protocol.evidence_records import OrderBytes


@pytest.fixture
def world() -> World:
    made = World.started(**builder.recovery_parts(rules=(builder.rule(),)))
    made.make_vault("customer-1")
    return made


def vault(world: World) -> VaultRecord:
    found = world.state.vault("customer-1")
    assert found is not None
    return found


def bytes_of(world: World, plan: Plan) -> list[OrderBytes]:
    records = [world.state.order(one) for one in plan.order_hashes]
    return [OrderBytes(order=record.order) for record in records if record is not None]


def assert_same_as_the_log(world: World, plan: Plan, record_txid: bytes) -> None:
    assert _transaction(plan, vault(world), bytes_of(world, plan)).txid == record_txid


def test_a_payment_a_cancellation_and_a_recovery_give_the_transactions_that_the_log_has(world: World) -> None:
    coin = world.coin(400_000)
    payment = world.pay("customer-1", 100_000)
    plan = world.plan([payment], [coin])
    assert_same_as_the_log(world, plan, world.planned([payment], [coin]).txid)
    cancel = world.cancel(payment)
    cancelling = world.plan([cancel], [coin], fee_sat=9_000)
    assert_same_as_the_log(world, cancelling, world.planned([cancel], [coin], fee_sat=9_000).txid)
    recovery = world.break_glass()
    spend = _transaction(moving := world.sweep(recovery, [world.coin(500_000)]), vault(world), bytes_of(world, moving))
    assert [output.amount_sat for output in spend.outputs] == [499_000]


def test_a_plan_whose_orders_do_not_belong_together_is_no_evidence(world: World) -> None:
    coin = world.coin(400_000)
    payment = world.pay("customer-1", 100_000)
    plan = world.plan([payment], [coin])
    world.log(plan)
    recovery, freeze = world.break_glass(), world.freeze()
    cancel = world.cancel(payment)
    for orders in ((cancel, payment), (recovery, payment), (freeze,), (payment, freeze)):
        mixed = replace(plan, order_hashes=orders)
        with pytest.raises(EvidenceInvalid, match="orders that pay nobody"):
            _transaction(mixed, vault(world), bytes_of(world, mixed))
    with pytest.raises(EvidenceInvalid, match="not those of the plan"):
        _transaction(plan, vault(world), bytes_of(world, replace(plan, order_hashes=(cancel,))))


def test_a_chain_or_a_change_that_nobody_knows_is_no_evidence(world: World) -> None:
    payment = world.pay("customer-1", 100_000)
    plan = world.plan([payment], [world.coin(400_000)])
    orders = bytes_of(world, plan)
    with pytest.raises(EvidenceInvalid, match="knows no chain"):
        _transaction(plan, replace(vault(world), chain="bip122:nowhere"), orders)
    far = world.plan([payment], [world.coin(400_000)], change_index=policy.MAX_INDEX + 1)
    with pytest.raises(EvidenceInvalid, match="at no index"):
        _transaction(far, vault(world), orders)
