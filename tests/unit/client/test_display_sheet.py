"""What an approver is shown: every field of the signed bytes, judged by proven records, with its warnings."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import charter_builder as builder
from ledger_world import DAY_MS, DESTINATION, HOUR_MS, World
from strongroom.ledger.charter import Charter
from strongroom.ledger.order_messages import Order, ReshareVault, Withdraw
from strongroom.ledger.records import FreezeRecord, OrderState
from strongroom.ledger.rules import Code
from strongroom.ledger.signed_messages import Verdict, View
from strongroom.ledger.state import decode_order
from strongroom.model.quantities import time_text
from strongroom_client.answers import ExplainedOrder, OrderStatus, SignerView
from strongroom_client.display import OrderSheet, facts_of, make_sheet, same_payment
from strongroom_client.plain_text import plain
from strongroom_client.trust import Proven, Trust


@pytest.fixture(scope="module")
def world() -> World:
    made = World.started()
    made.make_vault("customer-1")
    return made


def trust_of(world: World, charter: Charter | None = None) -> Trust:
    return replace(Trust.from_charter(world.charter_bytes, pinned=world.log_id), charter=charter or world.charter)


def status_of(
    world: World, order_hash: bytes, *, status: str = "open", final: bool = True, **changes: Any
) -> OrderStatus:
    record = world.state.order(order_hash)
    assert record is not None
    record = replace(record, **changes)
    return OrderStatus(
        proven=Proven(record=record, certified_size=world.replica.size, state_time_ms=world.time_ms, final=final),
        order=decode_order(record.order),
        status=status,
        waits_for="",
        plans=(),
        submitted_ms=0,
        updated_ms=0,
    )


def sheet_of(world: World, status: OrderStatus, *, now_ms: int | None = None, **known: Any) -> OrderSheet:
    return make_sheet(trust_of(world), status, now_ms=world.time_ms if now_ms is None else now_ms, **known)


def ordered(world: World, amount: int = 1_000_000, *approvers: str) -> bytes:
    return world.submit(world.withdrawal("customer-1", amount), "shop", *approvers)


def test_every_field_of_a_withdrawal_is_shown(world: World) -> None:
    status = status_of(world, world.submit(world.withdrawal("customer-1", 123_456_789), "shop", note="rent"))
    facts = {fact.key: fact.text for fact in sheet_of(world, status).facts}
    assert facts["amount"] == "1.23456789 BTC (123,456,789 smallest units)"
    assert (facts["destination"], facts["vault"], facts["note"]) == (DESTINATION, "customer-1", "rent")
    assert (facts["max_fee"], facts["asset"], facts["id"]) == ("20,000 sat", builder.BTC, status.order.id.hex())
    shown = {field for field in Withdraw.__dataclass_fields__ if field in facts}
    assert shown == set(Withdraw.__dataclass_fields__), "a field of the signed bytes is not shown"


def test_an_asset_that_the_charter_does_not_know_is_not_scaled(world: World) -> None:
    status = status_of(world, ordered(world))
    strange = replace(builder.charter().assets[0], id="bip122:00000000000000000000000000000000/slip44:0")
    charter = replace(world.charter, assets=(strange,))
    facts = {fact.key: fact.text for fact in facts_of(status.order, charter)}
    assert facts["amount"] == f"1000000 smallest units of {builder.BTC}"
    sheet = make_sheet(trust_of(world, charter), status, now_ms=world.time_ms)
    assert any("does not know this asset" in warning for warning in sheet.warnings)


def test_what_is_missing_is_counted_from_the_proven_record(world: World) -> None:
    sheet = sheet_of(world, status_of(world, ordered(world, 1_000_000, "alice")))
    assert (sheet.initiator, [said.person for said in sheet.approvals]) == ("shop", ["alice"])
    assert (sheet.judgement.allowed, sheet.judgement.code) == (False, Code.APPROVALS_MISSING)
    sheet = sheet_of(world, status_of(world, ordered(world, 1_000_000, "alice", "bob")))
    assert (sheet.judgement.allowed, sheet.judgement.rule) == (True, "daily customer withdrawals")


def test_a_claim_that_it_passes_does_not_change_what_is_judged_here(world: World) -> None:
    told = ExplainedOrder(allowed=True, rule="x", missing=(), tried=(), views=(), silent=())
    sheet = sheet_of(world, status_of(world, ordered(world), status="paid"), explanation=told)
    assert sheet.judgement.code is Code.APPROVALS_MISSING


@pytest.mark.parametrize(
    ("left_ms", "warning"),
    [(DAY_MS, ""), (10 * 60_000, "it expires in 10m"), (0, "it has expired"), (-1, "it has expired")],
)
def test_an_expiry_that_is_near_is_warned_of(world: World, left_ms: int, warning: str) -> None:
    status = status_of(world, ordered(world))
    sheet = sheet_of(world, status, now_ms=status.order.expires_ms - left_ms)
    assert [text for text in sheet.warnings if "expire" in text] == ([warning] if warning else [])
    assert sheet.has_ended == (left_ms <= 0)


def test_a_rejected_order_has_ended(world: World) -> None:
    order = ordered(world)
    world.reject(order, "bob")
    sheet = sheet_of(world, status_of(world, order))
    assert (sheet.rejected_by, sheet.judgement.code, sheet.has_ended) == ("bob", Code.REJECTED, True)


def test_an_order_with_a_plan_is_payable_whatever_its_expiry_and_the_coordinators_word(world: World) -> None:
    order = ordered(world, 2_000_000, "alice", "bob")
    world.log_plan([order], [world.coin(3_000_000)])
    status = status_of(world, order, status="never_will_be_paid")
    sheet = sheet_of(world, status, now_ms=status.order.expires_ms + HOUR_MS)
    assert (sheet.is_payable, sheet.state, sheet.has_ended) == (True, OrderState.PLANNED, False)
    assert any(warning.endswith("only a cancellation does") for warning in sheet.warnings)
    paid = sheet_of(world, status_of(world, order, status="paid"))
    assert any(warning.endswith("the coordinator says that it is (its word)") for warning in paid.warnings)


def test_twins_are_those_that_can_still_pay(world: World) -> None:
    mine, open_twin, other, dead = (ordered(world, amount) for amount in (5_000, 5_000, 6_000, 5_000))
    world.reject(dead, "alice")
    others = [status_of(world, one) for one in (mine, open_twin, other, dead)]
    sheet = sheet_of(world, status_of(world, mine), others=others)
    assert [twin.hash for twin in sheet.twins] == [open_twin]
    late = status_of(world, mine).order.expires_ms + 1
    assert sheet_of(world, status_of(world, mine), others=others, now_ms=late).twins == ()


def test_a_payment_that_a_restart_ended_can_still_pay(world: World) -> None:
    mine, lapsed = ordered(world, 7_000), ordered(world, 7_000)
    ended = status_of(world, lapsed, status="payable", state=OrderState.LAPSED)
    sheet = sheet_of(world, status_of(world, mine), others=[ended], now_ms=world.time_ms)
    assert [twin.hash for twin in sheet.twins] == [lapsed]
    assert any("both would pay" in warning for warning in sheet.warnings)
    shown = sheet_of(world, ended, now_ms=world.time_ms + 40 * DAY_MS)
    assert (shown.is_payable, shown.is_lost, shown.has_ended) == (True, True, True)
    assert any("lost with the log before may pay it" in warning for warning in shown.warnings)
    assert not any("it has a plan" in warning for warning in shown.warnings)
    assert "a transaction that was lost may pay it" in shown.judgement.missing[0]


def test_an_order_that_lapsed_and_pays_nobody_is_made_again(world: World) -> None:
    creation = world.submit(world.creation("customer-9"), "carol")
    sheet = sheet_of(world, status_of(world, creation, state=OrderState.LAPSED))
    assert (sheet.is_payable, sheet.is_lost) == (False, False)
    assert "make a new one" in sheet.judgement.missing[0]


def test_a_twin_that_the_coordinator_calls_paid_is_still_named(world: World) -> None:
    first, second = ordered(world, 7_000, "alice", "bob"), ordered(world, 7_000)
    world.log_plan([first], [world.coin(100_000)])
    sheet = sheet_of(world, status_of(world, second), others=[status_of(world, first, status="paid")])
    assert any("says it is paid (its word)" in warning for warning in sheet.warnings)


def test_payments_are_the_same_by_asset_amount_and_address_only(world: World) -> None:
    base = decode_order(world.order(world.withdrawal("customer-1", 1)))
    assert isinstance(base.action, Withdraw)
    for changes, same in (({"vault": "other"}, True), ({"amount": 2}, False), ({"destination": "x"}, False)):
        other: Order = replace(base, action=replace(base.action, **changes))
        assert same_payment(base, other) is same


def freeze(**changes: Any) -> FreezeRecord:
    made = World.started()
    made.freeze("dave", changes.pop("vault", ""))
    return replace(made.state.freezes()[0], **changes)


@pytest.mark.parametrize(
    ("record", "counts"),
    [
        (freeze(), True),
        (freeze(lifted=True), False),
        (freeze(lapses_ms=1), False),
        (freeze(lapses_ms=0), True),
    ],
)
def test_only_standing_freezes_count(world: World, record: FreezeRecord, counts: bool) -> None:
    sheet = sheet_of(world, status_of(world, ordered(world, 1_000, "alice", "bob")), freezes=[record])
    assert (sheet.judgement.code is Code.FROZEN) is counts
    assert sheet.judgement.allowed is not counts


def view(signer: str, world: World, verdict: Verdict, **changes: Any) -> SignerView:
    fields: dict[str, Any] = {"head_size": world.replica.size, "time_ms": world.time_ms, "reasons": ()}
    made = View(
        log_id=world.log_id,
        order_hash=bytes(32),
        head_root=bytes(32),
        verdict=verdict,
        signer=signer,
        **{**fields, **changes},
    )
    return SignerView(signer=signer, view=made)


def test_views_that_disagree_lag_or_lead_are_warned_of(world: World) -> None:
    views = (
        view("s1", world, Verdict.UNKNOWN_ORDER),
        view("s2", world, Verdict.WAITING, time_ms=world.time_ms - HOUR_MS),
        view("s3", world, Verdict.WAITING, head_size=world.replica.size + 9),
    )
    told = ExplainedOrder(allowed=False, rule="", missing=(), tried=(), views=views, silent=())
    status = status_of(world, ordered(world))
    warnings = sheet_of(world, status, explanation=told).warnings
    assert any("s1 does not know this order" in text for text in warnings)
    assert any("view of signer s2 is of" in text for text in warnings)
    assert any(f"s3 holds {world.replica.size + 8} entries" in text for text in warnings)
    assert not any("s3 holds" in text for text in sheet_of(world, status, explanation=told, newest_size=10**6).warnings)


def test_why_a_signer_does_not_know_an_order_is_told_as_far_as_it_says_or_shows(world: World) -> None:
    size = world.replica.size
    status = status_of(world, ordered(world))
    views = (
        view("s1", world, Verdict.UNKNOWN_ORDER, head_size=size - 1, reasons=("this signer has stopped: AN_ALARM",)),
        view("s2", world, Verdict.UNKNOWN_ORDER, head_size=size - 1),
        view("s3", world, Verdict.UNKNOWN_ORDER, head_size=status.proven.certified_size),
    )
    told = ExplainedOrder(allowed=False, rule="", missing=(), tried=(), views=views, silent=())
    stopped, behind, other = (
        text.split("does not know this order: ")[1]
        for text in sheet_of(world, status, explanation=told).warnings
        if "does not know" in text
    )
    assert stopped == "this signer has stopped: AN_ALARM; ask its operator why"
    assert behind.startswith(f"it holds {size - 1} entries of the {status.proven.certified_size} that are shown")
    assert other == "the coordinator may show different histories"


@pytest.mark.parametrize(
    ("alarm", "shorter"), [("CERTIFICATES_CONFLICT", 1), ("FINAL_HEAD_CONTRADICTED", 1), ("OWN_VOTE_UNKNOWN", 0)]
)
def test_a_signer_that_stopped_over_two_histories_or_on_another_one_says_so(
    world: World, alarm: str, shorter: int
) -> None:
    status = status_of(world, ordered(world))
    size = status.proven.certified_size - shorter
    why = (f"this signer has stopped: {alarm}",)
    views = (view("s1", world, Verdict.UNKNOWN_ORDER, head_size=size, reasons=why),)
    told = ExplainedOrder(allowed=False, rule="", missing=(), tried=(), views=views, silent=())
    said = [text for text in sheet_of(world, status, explanation=told).warnings if "does not know" in text]
    assert [text.split("; ")[-1] for text in said] == ["the coordinator may show different histories"]


def test_a_record_that_is_not_final_is_said_to_be(world: World) -> None:
    status = status_of(world, ordered(world), final=False)
    assert "what is shown is certified but not final yet" in sheet_of(world, status).warnings


@given(st.text())
def test_plain_text_is_printable_and_bounded(text: str) -> None:
    shown = plain(text, max_length=50)
    assert shown.isprintable()
    assert len(shown) <= 51
    if text.isprintable() and len(text) <= 50:
        assert shown == text


# --- new shares ------------------------------------------------------------------------------------------------------


def test_looser_holders_are_shown_with_the_time_at_which_they_can_begin() -> None:
    world = World.started()
    world.make_vault("customer-1")
    vault = world.state.vault("customer-1")
    assert vault is not None
    action = ReshareVault(vault="customer-1", signers=("s1", "s2", "s3"), threshold=1, absent=())
    open_order = world.submit(action, "alice", "bob")
    told = sheet_of(world, status_of(world, open_order), vaults=(vault,))
    facts = {fact.key: fact.text for fact in told.facts}
    assert "fewer together" in facts["looser"]
    assert facts["waits"].startswith("2d after the last approval")
    assert facts["earliest"] == f"not before {time_text(world.time_ms + 2 * DAY_MS)}, if its approvals came now"
    assert told.judgement.code is Code.APPROVALS_MISSING
    world.approve(open_order, "carol")
    approved = sheet_of(world, status_of(world, open_order), vaults=(vault,))
    assert approved.judgement.code is Code.DELAY_RUNNING
    begins = time_text(world.time_ms + 2 * DAY_MS)
    assert {fact.key: fact.text for fact in approved.facts}["earliest"].startswith(f"wait until {begins}")
    later = sheet_of(world, status_of(world, open_order), now_ms=world.time_ms + 2 * DAY_MS, vaults=(vault,))
    assert later.judgement.allowed
    assert "earliest" not in {fact.key for fact in later.facts}


def test_a_refresh_waits_for_nothing_and_of_unknown_vaults_nothing_is_told() -> None:
    world = World.started()
    world.make_vault("customer-1")
    vault = world.state.vault("customer-1")
    assert vault is not None
    order = world.refreshing()
    facts = {fact.key: fact.text for fact in sheet_of(world, status_of(world, order), vaults=(vault,)).facts}
    assert facts["waits"].startswith("nothing")
    assert not {"looser", "earliest"} & facts.keys()
    blind = {fact.key for fact in sheet_of(world, status_of(world, order)).facts}
    assert not {"waits", "looser", "earliest"} & blind
