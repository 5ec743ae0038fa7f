"""What an order for new shares hands on: the same at everybody who reads the same log, and nothing for other orders."""

from __future__ import annotations

from dataclasses import replace

import pytest

import charter_builder as builder
from ledger_world import World, state_without
from strongroom.ledger.order_messages import RefreshShares
from strongroom.ledger.records import OrderRecord
from strongroom.protocol.redistribution_orders import key_change_of, redistribution_terms, waiting_vaults
from strongroom.protocol.redistribution_terms import RedistributionRefused

FIVE = tuple(builder.signer(f"s{number}") for number in range(1, 6))


@pytest.fixture
def world() -> World:
    made = World.started(signers=FIVE, witness_quorum=4)
    made.make_vault("customer-1", ("s1", "s2", "s3"), 2)
    made.make_vault("customer-2", ("s1", "s2", "s3"), 2)
    return made


def record_of(world: World, order: bytes) -> OrderRecord:
    record = world.state.order(order)
    assert record is not None
    return record


def waiting(world: World, order: bytes) -> list[str]:
    return [vault.name for vault in waiting_vaults(world.state, record_of(world, order))]


def test_only_orders_for_new_shares_ask_for_any(world: World) -> None:
    refresh = record_of(world, world.refreshing("customer-1"))
    assert isinstance(key_change_of(refresh), RefreshShares)
    payment = record_of(world, world.pay("customer-1", 10_000))
    assert key_change_of(payment) is None
    assert waiting_vaults(world.state, payment) == ()
    with pytest.raises(RedistributionRefused, match="asks for no new shares of customer-1"):
        redistribution_terms(world.state, payment, "customer-1", 1)


def test_the_terms_are_those_of_the_vault_the_order_and_the_charter(world: World) -> None:
    order = world.refreshing("customer-1", "customer-2")
    vault = world.state.vault("customer-2")
    assert vault is not None
    terms = redistribution_terms(world.state, record_of(world, order), "customer-2", 7)
    assert (terms.log_id, terms.order_hash, terms.vault, terms.attempt) == (world.log_id, order, "customer-2", 7)
    assert (terms.epoch, terms.key_hash) == (2, vault.key_hash)
    assert (terms.holders, terms.public_shares, terms.threshold_before) == (vault.signers, vault.public_shares, 2)
    assert (terms.group_key, terms.chain_code) == (vault.group_key, vault.chain_code)
    assert (terms.signers, terms.threshold, terms.absent) == (("s1", "s2", "s3"), 2, ())
    assert terms.host_keys == tuple(signer.host_key for signer in FIVE[:3])


def test_an_order_waits_for_its_own_vaults_until_each_has_its_epoch(world: World) -> None:
    order = world.refreshing("customer-1")
    assert waiting(world, order) == ["customer-1"]
    with pytest.raises(RedistributionRefused, match="asks for no new shares of customer-2"):
        redistribution_terms(world.state, record_of(world, order), "customer-2", 1)
    with pytest.raises(RedistributionRefused, match="asks for no new shares of nothing"):
        redistribution_terms(world.state, record_of(world, order), "nothing", 1)
    world.log(world.epoch_entry(order))
    assert waiting(world, order) == []
    with pytest.raises(RedistributionRefused, match="or has acted"):
        redistribution_terms(world.state, record_of(world, order), "customer-1", 1)


def test_an_order_whose_vault_another_order_has_taken_waits_for_nothing(world: World) -> None:
    first = world.refreshing("customer-1")
    world.log(world.epoch_entry(first))
    second = world.refreshing("customer-1")
    assert waiting(world, first) == []
    assert waiting(world, second) == ["customer-1"]


def test_a_vault_that_the_state_lacks_waits_for_nothing(world: World) -> None:
    """A term may drop the vault under an order that another reader still holds."""
    record = record_of(world, world.refreshing("customer-1"))
    assert waiting_vaults(World.started(signers=FIVE, witness_quorum=4).state, record) == ()


def test_a_new_holder_that_the_charter_has_no_more_gets_nothing(world: World) -> None:
    record = record_of(world, world.resharing(("s1", "s2", "s4"), 2))
    with pytest.raises(RedistributionRefused, match="cannot act on customer-1 any more: the charter has no signer s4"):
        redistribution_terms(state_without(world.state, "s4"), record, "customer-1", 1)


def test_an_old_holder_that_the_charter_has_no_more_is_absent_once(world: World) -> None:
    record = record_of(world, world.resharing(("s1", "s2", "s4"), 2))
    assert redistribution_terms(world.state, record, "customer-1", 1).absent == ()
    terms = redistribution_terms(state_without(world.state, "s3"), record, "customer-1", 1)
    assert (terms.absent, terms.candidates) == (("s3",), ("s1", "s2"))
    other = record_of(world, world.resharing(("s1", "s2", "s4"), 2, vault="customer-2", absent=("s3",)))
    terms = redistribution_terms(state_without(world.state, "s3"), other, "customer-2", 1)
    assert terms.absent == ("s3",)


def test_nothing_is_dealt_where_too_few_are_left_to_deal_or_to_sign(world: World) -> None:
    record = record_of(world, world.refreshing("customer-1"))
    terms = redistribution_terms(world.state, record, "customer-1", 1)
    assert terms.checked() is terms
    with pytest.raises(RedistributionRefused, match="1 old holders may deal, 2 have to"):
        replace(terms, holders=("a", "b", "s3"), absent=("a", "b")).checked()
    with pytest.raises(RedistributionRefused, match="1 new holders are there, 2 have to sign"):
        replace(terms, signers=("a", "b", "s3"), absent=("a", "b")).checked()
