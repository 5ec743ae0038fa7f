"""A coordinator that lies: the client proves it wrong, says so, and signs nothing."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

import charter_builder as builder
from fake_treasury import CertifiedWorld, Office, act, sign
from ledger_world import DESTINATION
from strongroom.chains.bitcoin.networks import REGTEST
from strongroom.ledger import codec, merkle
from strongroom.ledger.entry_messages import Tick
from strongroom.ledger.order_messages import Order, Withdraw
from strongroom.ledger.record_proof import TableRoot, state_digest
from strongroom.ledger.records import OrderRecord, OrderState, VaultRecord
from strongroom.ledger.signed_messages import View
from strongroom.protocol.certificates import held_of
from strongroom.protocol.signed import sign_body
from strongroom_client.answers import same_count
from strongroom_client.errors import NotProven, remote_error
from strongroom_client.profile import load_profile
from strongroom_client.treasury import TreasuryClient
from strongroom_client.trust import Trust

Lie = Callable[[Office, Any], None]

BYBIT = "Bybit 2025: approvers were shown a harmless payment and signed another one"
ROLLED_BACK = "on paper: an approver is shown the log as it was before a freeze or a rejection"
RECEIPTS = "on paper: a word is said to be delivered and never reaches the log"
VIEWS = "on paper: what signers would say of an order, made up or left out by who passes it on"
TERMINAL = "on paper: text of the coordinator that rewrites what the terminal shows"


def ordered(office: Office) -> str:
    """A withdrawal that carol initiated, final in the log."""
    world = office.world
    order = world.order(world.withdrawal("customer-1", 50_000_000))
    world.settle(world.order_entry(order, "carol"))
    key = world.state.order_at(world.state.orders_count - 1).hash
    return key.hex()


def other_amount(record: bytes) -> bytes:
    """The record with an order that pays less, as a lying display would show it."""
    decoded = codec.decode(OrderRecord, record)
    order = codec.decode(Order, decoded.order)
    assert isinstance(order.action, Withdraw)
    return codec.encode(replace(decoded, order=codec.encode(replace(order, action=replace(order.action, amount=1)))))


def altered_amount(_: Office, response: Any) -> None:
    response.order.record.record = other_amount(response.order.record.record)


def missing_rejection(_: Office, response: Any) -> None:
    decoded = codec.decode(OrderRecord, response.order.record.record)
    response.order.record.record = codec.encode(replace(decoded, state=OrderState.PLANNED))


def certificate_of_one(office: Office, response: Any) -> None:
    certificate = office.world.certificates[office.world.final]
    response.order.record.certificate = codec.encode(replace(certificate, votes=certificate.votes[:1]))


def certificate_with_a_forged_vote(office: Office, response: Any) -> None:
    certificate = office.world.certificates[office.world.final]
    first = certificate.votes[0]
    forged = replace(first, signature=bytes([first.signature[0] ^ 1]) + first.signature[1:])
    response.order.record.certificate = codec.encode(replace(certificate, votes=(forged, certificate.votes[1])))


def certificate_by_strangers(office: Office, response: Any) -> None:
    certificate = office.world.certificates[office.world.final]
    made = office.world.certify(certificate.head, held_of(None), ("s1", "stranger"))
    response.order.record.certificate = codec.encode(made)


def no_certificate(_: Office, response: Any) -> None:
    response.order.record.certificate = b""


def certificate_of_another_head(office: Office, response: Any) -> None:
    first = min(office.world.certificates)
    response.order.record.certificate = codec.encode(office.world.certificates[first])


def another_table(_: Office, response: Any) -> None:
    tables = list(response.order.record.tables)
    del response.order.record.tables[:]
    response.order.record.tables.extend(reversed(tables))


def another_order(office: Office, response: Any) -> None:
    world = office.world
    other = world.order(world.withdrawal("customer-1", 7_000_000))
    world.settle(world.order_entry(other, "dave"))
    key = world.state.order_at(world.state.orders_count - 1)
    response.order.CopyFrom(office.treasury.view(key))


def order_swapped_below_its_hash(office: Office, response: Any) -> None:
    """Even a digest that enough signers certified does not let other bytes stand under the order's hash."""
    forge(office, response.order.record, other_amount(response.order.record.record))


def forge(office: Office, proof: Any, record: bytes) -> None:
    """Put a record into a state that enough signers certified, as if they had all gone bad."""
    world = office.world
    proof.record = record
    place = [table.table for table in proof.tables].index("orders")
    leaf = merkle.leaf_hash(proof.record)
    root = merkle.root_from_inclusion(leaf, proof.sequence, proof.tables[place].count, tuple(proof.path))
    proof.tables[place].root = root
    roots = tuple(TableRoot(count=table.count, root=table.root) for table in proof.tables)
    digest = state_digest(proof.rule_set, proof.state_time_ms, roots)
    head = replace(world.certificates[world.final].head, state_digest=digest)
    proof.certificate = codec.encode(world.certify(head, held_of(None)))


def attack(title: str, origin: str = BYBIT) -> pytest.MarkDecorator:
    """What a dishonest coordinator does to people who approve, or look."""
    return pytest.mark.attack(line="coordinator", title=title, origin=origin)


def told(lie: Lie, title: str) -> Any:
    return pytest.param(lie, id=lie.__name__, marks=attack(title))


ORDER_LIES = (
    told(order_swapped_below_its_hash, "other bytes shown under an order's hash, certified by a quorum"),
    told(altered_amount, "another amount shown to an approver than the order's"),
    told(missing_rejection, "another state of an order shown to an approver"),
    told(certificate_of_one, "an order shown to an approver under one signer's vote"),
    told(certificate_with_a_forged_vote, "an order shown to an approver under a forged vote"),
    told(certificate_by_strangers, "an order shown to an approver under a stranger's vote"),
    told(no_certificate, "an order shown to an approver without a certificate"),
    told(certificate_of_another_head, "an order shown to an approver under the certificate of another head"),
    told(another_table, "an order proven to an approver out of another table"),
    told(another_order, "another order shown to an approver than the one asked for"),
)


@pytest.mark.parametrize("lie", ORDER_LIES)
def test_an_order_that_is_not_proven_is_not_shown_and_not_signed(office: Office, lie: Lie) -> None:
    order = ordered(office)
    office.treasury.lies["GetOrder"] = lambda response: lie(office, response)
    phrase = ("--passphrase-file", str(office.passphrase_file))
    result = act(office, "alice", "withdraw", "approve", order, "--yes", *phrase, code=4)
    assert "Reason: NOT_PROVEN" in result.output
    assert DESTINATION not in result.output
    assert "EndorseOrder" not in office.treasury.calls


@attack("an order of another log listed among this one's")
def test_an_order_of_another_log_is_not_listed_even_if_certified(office: Office) -> None:
    ordered(office)

    def lie(response: Any) -> None:
        view = response.orders[0]
        record = codec.decode(OrderRecord, view.record.record)
        foreign = codec.encode(replace(codec.decode(Order, record.order), log_id=bytes(32)))
        digest = hashlib.sha256(foreign).digest()
        forge(office, view.record, codec.encode(replace(record, order=foreign, hash=digest)))
        view.order_hash = digest

    office.treasury.lies["ListOrders"] = lie
    assert "another log" in act(office, "alice", "withdraw", "list", code=4).output


def test_an_order_that_cannot_be_looked_at_can_still_be_rejected_by_file(office: Office) -> None:
    order = ordered(office)
    office.treasury.lies["GetOrder"] = lambda response: altered_amount(office, response)
    result = act(office, "alice", "withdraw", "reject", order, "--yes", code=4)
    assert "--offline" in result.output
    assert sign(office, "alice", "withdraw", "reject", order, "--offline")["delivered"] is False


@attack("an approver led to another log")
def test_another_log_is_refused_by_the_pin(office: Office) -> None:
    order = ordered(office)
    other = CertifiedWorld.started(organisation="evil")
    genesis = other.batches[0].entries[0]

    def lie(response: Any) -> None:
        response.founding_entry = genesis

    office.treasury.lies["GetLedger"] = lie
    phrase = ("--passphrase-file", str(office.passphrase_file))
    result = act(office, "alice", "withdraw", "approve", order, "--yes", *phrase, code=4)
    assert "Reason: PIN_MISMATCH" in result.output
    assert "EndorseOrder" not in office.treasury.calls


@attack("a freeze left out of what an approver is shown", ROLLED_BACK)
def test_a_freeze_left_out_of_the_table_is_noticed(office: Office) -> None:
    order = ordered(office)
    office.world.freeze("dave")
    office.world.log(Tick())

    def lie(response: Any) -> None:
        del response.records[:]

    office.treasury.lies["ListFreezes"] = lie
    assert "NOT_PROVEN" in act(office, "alice", "freezes", code=4).output
    assert "NOT_PROVEN" in act(office, "alice", "withdraw", "show", order, code=4).output


def test_a_freeze_of_the_vault_is_shown_to_approvers(office: Office) -> None:
    order = ordered(office)
    office.world.freeze("dave", "customer-1", why="the laptop was stolen")
    office.world.log(Tick())
    shown = json.loads(act(office, "alice", "withdraw", "show", order, "--json").stdout)
    assert any("dave froze vault customer-1: the laptop was stolen" in warning for warning in shown["warnings"])
    assert (shown["judgement"]["allowed"], shown["judgement"]["code"]) == (False, "FROZEN")
    assert shown["judgement"]["rule"] == "daily customer withdrawals"


@attack("a receipt for another entry than a person's word", RECEIPTS)
def test_a_receipt_for_another_entry_does_not_count_as_delivered(office: Office) -> None:
    order = ordered(office)

    def lie(response: Any) -> None:
        response.receipt.CopyFrom(office.treasury.receipt(0))
        response.receipt.already_known = True

    office.treasury.lies["EndorseOrder"] = lie
    answer = sign(office, "alice", "withdraw", "reject", order, code=1)
    assert answer["delivered"] is False
    assert "NOT_PROVEN" in answer["problem"]


@attack("a rejection answered with the receipt of an approval", RECEIPTS)
def test_already_known_is_believed_only_for_the_same_word_of_the_same_person(office: Office) -> None:
    """A rejection is answered with the proven entry of an approval by the same person."""
    order = ordered(office)
    sign(office, "alice", "withdraw", "approve", order)
    approval = office.world.replica.size - 2

    def lie(response: Any) -> None:
        response.receipt.CopyFrom(office.treasury.receipt(approval))
        response.receipt.already_known = True

    office.treasury.lies["EndorseOrder"] = lie
    answer = sign(office, "alice", "withdraw", "reject", order, code=1)
    assert (answer["delivered"], answer["already_known"]) == (False, False)


@attack("a receipt without its certificate", RECEIPTS)
def test_a_receipt_without_its_certificate_is_no_receipt(office: Office) -> None:
    order = ordered(office)

    def lie(response: Any) -> None:
        response.receipt.inclusion.certificate = b""

    office.treasury.lies["EndorseOrder"] = lie
    assert "NOT_PROVEN" in act(
        office, "alice", "withdraw", "approve", order, "--yes", "--passphrase-file", str(office.passphrase_file), code=4
    ).output  # fmt: skip


@attack("an older log shown to an approver than before", ROLLED_BACK)
def test_a_head_older_than_one_proven_before_is_refused(office: Office) -> None:
    order = ordered(office)
    act(office, "alice", "withdraw", "show", order)
    early = sorted(office.world.certificates)[1]
    later = codec.encode(office.world.certificates[sorted(office.world.certificates)[2]])

    def lie(response: Any) -> None:
        response.final_head.size = early
        response.final_head.root = office.world.replica.root_at(early)
        response.final_certificate = later

    office.treasury.lies["GetLedger"] = lie
    result = act(office, "alice", "withdraw", "show", order, code=4)
    assert "has proven" in result.output


@attack("an approver's word bound to a head that is not final", ROLLED_BACK)
def test_a_head_that_votes_do_not_make_final_is_not_named_in_an_endorsement(office: Office) -> None:
    order = ordered(office)

    def lie(response: Any) -> None:
        response.final_head.size = office.world.replica.size
        response.final_head.root = office.world.replica.root_at(office.world.replica.size)

    office.treasury.lies["GetLedger"] = lie
    assert "NOT_PROVEN" in act(office, "alice", "withdraw", "show", order, code=4).output


def test_no_final_head_is_no_lie_before_one_was_proven_and_is_one_after(office: Office) -> None:
    order = ordered(office)

    def nothing_final(response: Any) -> None:
        response.final_head.size = 0
        response.final_head.root = b""
        response.final_certificate = b""

    office.treasury.lies["GetLedger"] = nothing_final
    assert "NOT_FINAL_YET" in act(office, "alice", "withdraw", "show", order, code=1).output
    del office.treasury.lies["GetLedger"]
    act(office, "alice", "withdraw", "show", order)
    office.treasury.lies["GetLedger"] = nothing_final
    assert "NOT_PROVEN" in act(office, "alice", "withdraw", "show", order, code=4).output


@pytest.mark.parametrize("root", [b"", bytes(32)])
async def test_no_final_head_is_none_to_endorse_on_once_one_was_proven(office: Office, root: bytes) -> None:
    profile = load_profile(office.person("alice"))

    def nothing_final(response: Any) -> None:
        response.final_head.size = 0
        response.final_head.root = root
        response.final_certificate = b""

    async with TreasuryClient.connect(profile.endpoint, log_id=profile.log_id) as client:
        await client.seen()
        office.treasury.lies["GetLedger"] = nothing_final
        with pytest.raises(NotProven) as caught:
            await client.seen()
        assert caught.value.reason == "NOT_PROVEN"


@attack("a signer's judgement forged by the coordinator, or taken from another order", VIEWS)
def test_a_view_under_a_wrong_key_or_of_another_order_is_refused(office: Office) -> None:
    order = ordered(office)

    def signed_by_another(response: Any) -> None:
        view = codec.decode(View, response.explanation.views[0].body)
        forged = sign_body("view", view, builder.signing_key("mallory"))
        response.explanation.views[0].signature = forged.signature

    def of_another_order(response: Any) -> None:
        view = replace(codec.decode(View, response.explanation.views[0].body), order_hash=bytes(32))
        made = sign_body("view", view, builder.signing_key(f"{view.signer} vote"))
        response.explanation.views[0].body = made.body
        response.explanation.views[0].signature = made.signature

    for lie in (signed_by_another, of_another_order):
        office.treasury.lies["ExplainOrder"] = lie
        assert "NOT_PROVEN" in act(office, "alice", "withdraw", "show", order, code=4).output


@attack("signers' judgements left out by the coordinator", VIEWS)
def test_views_that_are_left_out_are_named(office: Office) -> None:
    order = ordered(office)

    def lie(response: Any) -> None:
        del response.explanation.views[1:]

    office.treasury.lies["ExplainOrder"] = lie
    shown = json.loads(act(office, "alice", "withdraw", "show", order, "--json").stdout)
    assert "no signed view came from s2, s3" in shown["warnings"]


@attack("an old state shown while a signer is known to be ahead of it", ROLLED_BACK)
def test_a_signer_that_is_ahead_of_what_is_shown_is_named(office: Office) -> None:
    """The coordinator shows an old state, and cannot change what a signer says of the log it holds."""
    order = ordered(office)

    def lie(response: Any) -> None:
        view = codec.decode(View, response.explanation.views[0].body)
        ahead = replace(view, head_size=office.world.replica.size + 3)
        made = sign_body("view", ahead, builder.signing_key(f"{view.signer} vote"))
        response.explanation.views[0].body, response.explanation.views[0].signature = made.body, made.signature

    honest = json.loads(act(office, "alice", "withdraw", "show", order, "--json").stdout)
    assert honest["warnings"] == []
    office.treasury.lies["ExplainOrder"] = lie
    shown = json.loads(act(office, "alice", "withdraw", "show", order, "--json").stdout)
    assert [warning for warning in shown["warnings"] if "the coordinator shows" in warning]


@attack("text that moves an approver's cursor", TERMINAL)
def test_words_of_the_coordinator_cannot_move_the_cursor(office: Office) -> None:
    order = ordered(office)

    def lie(response: Any) -> None:
        response.order.waits_for = "\x1b[2J\x1b[HAmount 0.0001 BTC\u202e\r"
        plan = response.order.plans.add()
        plan.stage = "\x9bA"

    office.treasury.lies["GetOrder"] = lie
    for words in ((), ("--json",)):
        output = act(office, "alice", "withdraw", "show", order, *words).output
        assert not {"\x1b", "\x9b", "\u202e", "\r"} & set(output)


def test_errors_of_the_coordinator_cannot_move_the_cursor() -> None:
    error = remote_error("NOT_FOUND", "\x1b[1mgone\x07", "X\x1bY", {"a": "\u202eb"})
    assert not {"\x1b", "\x07", "\u202e"} & set(error.message + error.remote_reason + error.facts["a"])


@pytest.mark.attack(
    line="coordinator",
    title="an address or record that is not proven",
    origin="mpcium: a forged result of key generation",
)
def test_an_address_is_derived_from_a_proven_vault_only(office: Office) -> None:
    key = office.world.vault_key("customer-1")
    shown = act(office, "alice", "vault", "address", "customer-1", "--index", "3").output.strip()
    assert shown == key.derive(0, 3).address(REGTEST)

    def lie(response: Any) -> None:
        record = codec.decode(VaultRecord, response.vaults[0].record.record)
        other = office.world.generated["customer-1"].output.pubshares[0]
        response.vaults[0].record.record = codec.encode(replace(record, group_key=other))

    office.treasury.lies["ListVaults"] = lie
    assert "NOT_PROVEN" in act(office, "alice", "vault", "address", "customer-1", "--index", "3", code=4).output


@attack("a deposit address of a vault that is not final", "mpcium: a forged result of key generation")
def test_an_address_of_a_vault_that_is_not_final_is_not_shown(office: Office) -> None:
    def lie(response: Any) -> None:
        response.vaults[0].record.final_certificate = b""

    office.treasury.lies["ListVaults"] = lie
    shown = act(office, "alice", "vault", "address", "customer-1", "--index", "0", code=1).output
    assert "NOT_FINAL_YET" in shown
    assert "What to do: try again in a moment" in shown


@attack("a record of a dropped term shown as final", ROLLED_BACK)
def test_votes_of_another_term_do_not_make_a_record_final(office: Office) -> None:
    """A certificate that a new term dropped must not look final because the new term went beyond its size."""
    world = office.world
    trust = Trust.from_founding_entry(world.batches[0].entries[0], pinned=world.log_id)
    dropped = world.certificates[world.final]
    assert trust.is_final(dropped, codec.encode(world.newest))
    world.term = 2
    world.log(Tick())
    world.log(Tick())
    assert world.newest.head.term == 2
    assert trust.final_size(codec.encode(world.newest)) > dropped.head.size
    assert not trust.is_final(dropped, codec.encode(world.newest))


def test_a_certificate_of_another_log_is_not_believed(office: Office) -> None:
    world = office.world
    trust = Trust.from_founding_entry(world.batches[0].entries[0], pinned=world.log_id)
    other = CertifiedWorld.started(organisation="twin")
    with pytest.raises(NotProven):
        trust.certificate(codec.encode(other.newest))
    assert trust.certificate(codec.encode(world.newest)) == world.newest


def test_fewer_results_than_items_are_noticed(office: Office) -> None:
    with pytest.raises(NotProven):
        same_count([object()], [object(), object()])
