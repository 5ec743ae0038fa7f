"""The address book: who adds and removes, and when a payment to an entry passes."""

from __future__ import annotations

from dataclasses import replace

import pytest

import charter_builder as builder
from ledger_world import DAY_MS, DESTINATION, HOUR_MS, World
from refusals import refusal_of
from strongroom.chains.bitcoin.address import address_of, script_of
from strongroom.chains.bitcoin.message_signature import to_sign
from strongroom.chains.bitcoin.networks import REGTEST, SIGNET
from strongroom.chains.bitcoin.sighash import default_digests
from strongroom.chains.bitcoin.transaction import TxOutput
from strongroom.crypto import bip340
from strongroom.crypto.secret import SecretScalar
from strongroom.ledger.address_book import ownership_message
from strongroom.ledger.charter import AssetAmount
from strongroom.ledger.entry_messages import Tick
from strongroom.ledger.judge import judge_order, judge_release
from strongroom.ledger.judgement import Code, Judgement
from strongroom.ledger.order_messages import CancelWithdraw
from strongroom.ledger.reasons import Refused
from strongroom.ledger.records import DestinationRecord, OrderState
from strongroom.ledger.signed_messages import Verb
from strongroom.model.ids import LogId

VAULT = "customer-1"
COOLING_MS = 24 * HOUR_MS
OTHER = builder.RECOVERY


@pytest.fixture
def world() -> World:
    world = World.started(**builder.recovery_parts())
    world.make_vault(VAULT)
    return world


def entry(world: World, address: str = DESTINATION) -> DestinationRecord:
    found = world.state.destination(world.addition().chain, address)
    assert found is not None
    return found


def judged(world: World, order_hash: bytes) -> Judgement:
    record = world.state.order(order_hash)
    assert record is not None
    return judge_order(world.state, record, world.time_ms)


def test_an_entry_is_made_by_the_quorum_and_is_paid_after_its_cooling_off(world: World) -> None:
    listed = world.submit(world.addition(), "dave", "alice")
    assert world.state.destination(world.addition().chain, DESTINATION) is None
    world.later(HOUR_MS)
    world.approve(listed, "bob")
    found = entry(world)
    assert (found.added_ms, found.usable_ms) == (world.time_ms, world.time_ms + COOLING_MS)
    assert (found.label, found.is_proven, found.removed_ms) == ("exchange", False, 0)
    order = world.pay(VAULT, 100_000, "alice")
    plan = world.plan([order], [world.coin(200_000)])
    world.later(COOLING_MS - 1)
    assert refusal_of(world, plan) == "COOLING_OFF"
    assert judged(world, order).missing[0].startswith("wait until")
    world.later(1)
    world.log(plan)


def test_a_destination_that_was_never_added_matches_no_rule(world: World) -> None:
    order = world.order(world.withdrawal(VAULT, 100_000))
    with pytest.raises(Refused, match=f"{DESTINATION} is not in the address book") as refused:
        world.log(world.order_entry(order, "shop", "alice"))
    assert refused.value.reason == "NO_RULE_MATCHES"


def test_a_rule_that_pays_any_destination_minds_neither_cooling_off_nor_removal() -> None:
    world = World.started(**builder.recovery_parts(rules=(builder.book_rule(), builder.rule())))
    world.make_vault(VAULT)
    world.add_destination()
    assert entry(world).usable_ms > world.time_ms
    cooling = world.pay(VAULT, 100_000, "alice", "bob")
    assert judged(world, cooling).allowed
    world.remove_destination(DESTINATION, "dave")
    assert judged(world, cooling).allowed
    removed = world.pay(VAULT, 100_001, "alice", "bob")
    assert judged(world, removed).allowed
    world.log_plan([cooling, removed], [world.coin(400_000)])


@pytest.mark.parametrize("person", ["alice", "bob", "carol", "dave"])
def test_any_one_who_adds_or_freezes_removes_at_once(world: World, person: str) -> None:
    world.add_destination()
    world.later(COOLING_MS)
    order = world.pay(VAULT, 100_000, "alice")
    plan = world.plan([order], [world.coin(200_000)])
    world.remove_destination(DESTINATION, person)
    assert (entry(world).removed_ms, entry(world).removed_by) == (world.time_ms, person)
    assert refusal_of(world, plan) == "NO_RULE_MATCHES"
    assert judged(world, order).missing[0] == f"{DESTINATION} is not in the address book"


def test_a_machine_and_whoever_is_neither_does_not_remove(world: World) -> None:
    world.add_destination()
    assert refusal_of(world, world.order_entry(world.order(world.removal()), "shop")) == "INITIATOR_NOT_ALLOWED"
    alone = World.started(**builder.recovery_parts(officers="admins"))
    alone.add_destination()
    assert refusal_of(alone, alone.order_entry(alone.order(alone.removal()), "dave")) == "INITIATOR_NOT_ALLOWED"


def test_whoever_adds_removes_though_no_officer_and_a_machine_among_the_officers_does_not() -> None:
    groups = (*builder.charter().groups, builder.Group(name="guards", members=("shop", "dave")))
    world = World.started(**builder.recovery_parts(officers="guards", groups=groups))
    world.add_destination()
    assert refusal_of(world, world.order_entry(world.order(world.removal()), "shop")) == "INITIATOR_NOT_ALLOWED"
    world.remove_destination(DESTINATION, "alice")
    assert entry(world).removed_by == "alice"


def test_a_charter_that_closes_the_address_book_leaves_nobody_to_approve(world: World) -> None:
    world.add_destination()
    pending = world.submit(world.addition(OTHER), "dave", "alice")
    closed = {"destinations": None, "destination_cooling_ms": 0, "rules": (builder.rule(),)}
    world.amend("alice", "bob", **closed)
    world.later(48 * HOUR_MS)
    world.log(Tick())
    assert world.state.charter.destinations is None
    refused = refusal_of(world, world.endorse("bob", Verb.APPROVE, pending, expires_ms=world.time_ms + HOUR_MS))
    assert refused == "NOT_AN_APPROVER"
    assert judged(world, pending).code is Code.NO_RULE_MATCHES
    world.remove_destination(DESTINATION, "dave")
    assert entry(world).removed_by == "dave"


def test_a_plan_of_a_removed_destination_is_not_released(world: World) -> None:
    world.add_destination()
    world.later(COOLING_MS)
    order, coin = world.pay(VAULT, 100_000, "alice"), world.coin(200_000)
    record = world.planned([order], [coin])
    bump = world.planned([order], [coin], fee_sat=2_000, bumps=record.hash)
    for plan in (record, bump):
        assert judge_release(world.state, plan, world.time_ms).allowed
    # Long after the order expired, a bump still ends a payment that waits for its block.
    assert judge_release(world.state, bump, world.time_ms + 10 * DAY_MS).allowed
    world.remove_destination()
    for plan in (record, bump):
        assert judge_release(world.state, plan, world.time_ms).code is Code.NO_RULE_MATCHES


def test_a_bump_to_a_destination_that_stands_passes_a_charter_that_would_let_nobody_pay_it_now(world: World) -> None:
    """Only what was taken back is looked at again: a key, or the address itself."""
    world.add_destination()
    world.later(COOLING_MS)
    order, coin = world.pay(VAULT, 100_000, "alice"), world.coin(200_000)
    record = world.planned([order], [coin])
    bump = world.planned([order], [coin], fee_sat=2_000, bumps=record.hash)
    less = (AssetAmount(asset=builder.BTC, amount=50_000),)
    world.amend("alice", "bob", rules=tuple(replace(one, maximum=less) for one in world.state.charter.rules))
    assert not judge_release(world.state, record, world.time_ms).allowed
    assert judge_release(world.state, bump, world.time_ms).allowed


def test_an_entry_added_again_cools_off_again(world: World) -> None:
    world.add_destination()
    world.later(COOLING_MS)
    world.remove_destination()
    world.add_destination()
    order = world.pay(VAULT, 100_000, "alice")
    assert refusal_of(world, world.plan([order], [world.coin(200_000)])) == "COOLING_OFF"
    assert world.state.count(b"destinations") == 2
    assert world.state.destination_at(0).removed_ms
    world.later(COOLING_MS)
    world.log_plan([order], [world.coin(200_000)])


def test_an_order_made_in_time_does_not_outlive_a_removal(world: World) -> None:
    world.add_destination()
    world.later(COOLING_MS)
    order = world.pay(VAULT, 100_000, "alice")
    world.remove_destination()
    world.add_destination()
    assert judged(world, order).code is Code.COOLING_OFF


def test_two_orders_for_one_address_make_one_entry_with_the_first_time(world: World) -> None:
    first = world.submit(world.addition(label="one"), "dave", "alice")
    second = world.submit(world.addition(label="two"), "dave", "alice")
    world.approve(first, "bob")
    before = entry(world)
    world.later(HOUR_MS)
    world.approve(second, "bob")
    assert entry(world) == before
    assert world.state.count(b"destinations") == 1


def test_what_stands_is_not_added_and_what_does_not_is_not_removed(world: World) -> None:
    world.add_destination()
    assert refusal_of(world, world.order_entry(world.order(world.addition()), "dave")) == "DESTINATION_KNOWN"
    assert refusal_of(world, world.order_entry(world.order(world.removal(OTHER)), "dave")) == "DESTINATION_UNKNOWN"
    world.remove_destination()
    assert refusal_of(world, world.order_entry(world.order(world.removal()), "dave")) == "DESTINATION_UNKNOWN"


def test_an_entry_of_one_chain_is_no_entry_of_another(world: World) -> None:
    """Chains share address texts, so an entry is looked up on the chain of the asset that is paid."""
    foreign = world.order(world.addition(chain=SIGNET.caip2))
    assert refusal_of(world, world.order_entry(foreign, "dave")) == "CHAIN_UNKNOWN"
    world.add_destination()
    assert world.state.destination_of(world.withdrawal(VAULT, 1_000)) == entry(world)
    assert world.state.destination_of(world.withdrawal(VAULT, 1_000, asset=SIGNET.asset_id)) is None


@pytest.mark.parametrize(
    ("parts", "code"),
    [
        ({"address": "bcrt1qwrong"}, "DESTINATION_INVALID"),
        ({"chain": "eip155:1"}, "CHAIN_UNKNOWN"),
        ({"proof": bytes(66)}, "OWNERSHIP_NOT_PROVEN"),
    ],
)
def test_an_addition_that_could_never_be_paid_or_proves_nothing_is_refused(
    world: World, parts: dict[str, object], code: str
) -> None:
    action = world.addition(str(parts.pop("address", DESTINATION)), **parts)
    assert refusal_of(world, world.order_entry(world.order(action), "dave")) == code


def test_without_a_quorum_in_the_charter_nobody_adds() -> None:
    world = World.started()
    assert refusal_of(world, world.order_entry(world.order(world.addition()), "dave")) == "ADDRESS_BOOK_CLOSED"


def test_a_rejection_by_a_member_of_the_quorum_ends_an_addition(world: World) -> None:
    listed = world.submit(world.addition(), "dave", "alice")
    world.reject(listed, "carol")
    record = world.state.order(listed)
    assert record is not None
    assert record.state is OrderState.REJECTED
    assert refusal_of(world, world.endorse("bob", Verb.APPROVE, listed)) == "ORDER_ENDED"


def test_only_members_of_the_quorum_approve_and_words_over_a_removal_are_none(world: World) -> None:
    listed = world.submit(world.addition(), "alice", "bob")
    assert refusal_of(world, world.endorse("dave", Verb.APPROVE, listed)) == "NOT_AN_APPROVER"
    world.approve(listed, "carol")
    removed = world.remove_destination()
    assert refusal_of(world, world.endorse("bob", Verb.REJECT, removed)) == "NOT_AN_APPROVER"


def test_who_watched_over_an_entry_still_ends_payments_to_it_after_its_removal(world: World) -> None:
    world.add_destination()
    world.later(COOLING_MS)
    order = world.pay(VAULT, 100_000, "alice")
    world.log_plan([order], [world.coin(200_000)])
    world.remove_destination()
    world.submit(CancelWithdraw(order_hash=order, max_fee=20_000), "carol")
    record = world.state.order(order)
    assert record is not None
    assert record.state is OrderState.EXCLUDING


def test_nobody_initiates_a_payment_to_a_removed_entry(world: World) -> None:
    world.add_destination()
    world.later(COOLING_MS)
    world.remove_destination()
    order = world.order(world.withdrawal(VAULT, 100_000))
    with pytest.raises(Refused, match=f"{DESTINATION} is not in the address book") as refused:
        world.log(world.order_entry(order, "shop", "alice"))
    assert refused.value.reason == "NO_RULE_MATCHES"


def test_the_address_book_is_kept_under_a_freeze(world: World) -> None:
    world.freeze("dave")
    world.add_destination()
    world.remove_destination()
    assert entry(world).removed_ms


def owned() -> tuple[str, SecretScalar]:
    """A taproot address and the secret of its output key."""
    secret = SecretScalar.from_bytes(bytes(31) + b"\x07")
    return address_of(b"\x51\x20" + secret.public()[1:], REGTEST), secret


def proof_of(log_id: LogId, address: str, secret: SecretScalar) -> bytes:
    """What the owner of an address signs to show that it is theirs."""
    script = script_of(address, REGTEST)
    to_be_signed = to_sign(script, ownership_message(log_id, address))
    digest = default_digests(to_be_signed, (TxOutput(amount_sat=0, script=script),))[0]
    return b"\x01\x40" + bip340.sign(secret, digest, bytes(32))


def test_an_entry_whose_owner_signed_for_it_is_marked_so(world: World) -> None:
    address, secret = owned()
    world.add_destination(address, proof=proof_of(world.log_id, address, secret))
    assert entry(world, address).is_proven


def test_a_proof_serves_one_log_and_one_address(world: World) -> None:
    address, secret = owned()
    foreign = proof_of(LogId(bytes(32)), address, secret)
    action = world.addition(address, proof=foreign)
    assert refusal_of(world, world.order_entry(world.order(action), "dave")) == "OWNERSHIP_NOT_PROVEN"
    action = world.addition(OTHER, proof=proof_of(world.log_id, address, secret))
    assert refusal_of(world, world.order_entry(world.order(action), "dave")) == "OWNERSHIP_NOT_PROVEN"
