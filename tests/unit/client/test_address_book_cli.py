"""The address book and break-glass on the command line, against real proofs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import charter_builder as builder
from fake_treasury import CertifiedWorld, Office, act, open_office, sign
from ledger_world import DESTINATION, HOUR_MS
from strongroom.api.treasury.v1 import treasury_service_pb2 as pb
from strongroom.chains.bitcoin.address import address_of
from strongroom.chains.bitcoin.networks import REGTEST
from strongroom.ledger.entry_messages import Tick
from strongroom_client.display_recovery import box_line

ADDRESSES = [address_of(b"\x00\x14" + bytes([number]) * 20, REGTEST) for number in range(5)]


@pytest.fixture
def office(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Office]:
    monkeypatch.chdir(tmp_path)
    world = CertifiedWorld.started(**builder.recovery_parts())
    world.make_vault("customer-1")
    world.log(Tick())
    opened, server = open_office(tmp_path, world)
    yield opened
    server.stop(None).wait()


def told(office: Office, *words: str) -> Any:
    return json.loads(act(office, "dave", *words, "--json").stdout)


def listed(office: Office, *words: str) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = told(office, "address-book", "list", *words)["entries"]
    return entries


# --- the address book ------------------------------------------------------------------------------------------------


def test_an_entry_is_ordered_approved_listed_and_removed(office: Office) -> None:
    order = sign(office, "dave", "address-book", "add", DESTINATION, "--label", "exchange")["order"]
    shown = act(office, "alice", "address-book", "show", order).output
    assert all(words in shown for words in (DESTINATION, "exchange", "none: nobody showed whose it is", "24h after"))
    assert listed(office) == []
    for person in ("alice", "bob"):
        sign(office, person, "address-book", "approve", order)
    [entry] = listed(office)
    assert (entry["address"], entry["network"], entry["order"]) == (DESTINATION, "regtest", order)
    assert entry["payable"] is False
    assert entry["state"].startswith("cooling off until")
    sign(office, "carol", "address-book", "remove", DESTINATION, "--why", "not ours")
    assert listed(office) == []
    [gone] = listed(office, "--all")
    assert gone["removed_by"] == "carol"
    shown = act(office, "dave", "address-book", "list").output
    assert "Entries 1 to 1 of 1, 1 of them removed and not shown" in shown


def test_the_order_of_a_withdrawal_shows_what_the_address_book_says(office: Office) -> None:
    office.world.add_destination()
    office.world.log(Tick())
    words = ("withdraw", "create", "--vault", "customer-1", "--to", DESTINATION, "--amount", "0.001")
    order = sign(office, "alice", *words)["order"]
    data = told(office, "withdraw", "show", order)
    assert data["facts"]["address_book"].startswith("exchange: cooling off until")
    assert data["judgement"]["code"] == "APPROVALS_MISSING"
    sign(office, "bob", "withdraw", "approve", order)
    assert told(office, "withdraw", "show", order)["judgement"]["code"] == "COOLING_OFF"


def test_an_address_of_another_network_is_not_ordered(office: Office) -> None:
    act(office, "dave", "address-book", "add", "tb1qnot", "--label", "x", "--yes", code=1)
    assert "SubmitOrder" not in office.treasury.calls


def test_a_proof_that_is_no_base64_is_refused_before_anything_is_signed(office: Office) -> None:
    words = ("address-book", "add", DESTINATION, "--label", "x", "--proof", "smp!!", "--yes")
    assert "BIP-322" in act(office, "dave", *words, code=1).output
    assert "SubmitOrder" not in office.treasury.calls


def test_the_text_to_sign_names_the_log_and_the_address(office: Office) -> None:
    text = told(office, "address-book", "message", DESTINATION)["message"]
    assert text == f"strongroom address book of {office.world.log_id.hex()}: {DESTINATION}"


def filled(office: Office) -> None:
    for address in ADDRESSES:
        office.world.add_destination(address)
    office.world.log(Tick())


def test_a_long_book_is_listed_page_by_page(office: Office) -> None:
    filled(office)
    first = told(office, "address-book", "list", "--limit", "2")
    assert ([entry["address"] for entry in first["entries"]], first["total"]) == (ADDRESSES[:2], 5)
    second = told(office, "address-book", "list", "--limit", "3", "--page", first["next_page"])
    assert [entry["address"] for entry in second["entries"]] == ADDRESSES[2:]
    assert second["next_page"] is None
    assert "Entries 1 to 2 of 5." in act(office, "dave", "address-book", "list", "--limit", "2").output


def hide_the_last(answer: pb.ListDestinationsResponse) -> pb.ListDestinationsResponse:
    return pb.ListDestinationsResponse(records=answer.records[:-1])


def hide_all(answer: pb.ListDestinationsResponse) -> pb.ListDestinationsResponse:
    return pb.ListDestinationsResponse()


def hide_the_first(answer: pb.ListDestinationsResponse) -> pb.ListDestinationsResponse:
    return pb.ListDestinationsResponse(records=answer.records[1:])


def hide_one_between(answer: pb.ListDestinationsResponse) -> pb.ListDestinationsResponse:
    return pb.ListDestinationsResponse(records=[answer.records[0], *answer.records[2:]])


def change_one(answer: pb.ListDestinationsResponse) -> pb.ListDestinationsResponse:
    answer.records[0].record = answer.records[0].record[:-1]
    return answer


@pytest.mark.parametrize("lie", [hide_all, hide_the_first, hide_the_last, hide_one_between, change_one])
def test_a_coordinator_that_hides_or_changes_an_entry_is_caught(office: Office, lie: Any) -> None:
    filled(office)
    office.treasury.lies["ListDestinations"] = lie
    assert "NOT_PROVEN" in act(office, "dave", "address-book", "list", code=4).output


def test_another_entry_in_place_of_the_one_asked_for_is_caught(office: Office) -> None:
    filled(office)
    words = ("withdraw", "create", "--vault", "customer-1", "--to", ADDRESSES[0], "--amount", "0.001")
    order = sign(office, "alice", *words)["order"]
    other = office.treasury.record_proof(
        b"destinations", f"{REGTEST.caip2} {ADDRESSES[1]}".encode(), office.world.final
    )
    office.treasury.lies["ListDestinations"] = lambda _: pb.ListDestinationsResponse(records=[other])
    assert "NOT_PROVEN" in act(office, "dave", "withdraw", "show", order, code=4).output


# --- break-glass -----------------------------------------------------------------------------------------------------


def test_the_glass_is_ordered_approved_and_shown_everywhere(office: Office) -> None:
    order = sign(office, "dave", "break-glass", "order", "customer-1")["order"]
    shown = act(office, "alice", "break-glass", "show", order).output
    assert all(words in shown for words in ("BREAK-GLASS", builder.RECOVERY, "everything it holds", "opens 1h after"))
    assert told(office, "status")["break_glass"] == []
    for person in ("alice", "bob", "carol"):
        sign(office, person, "break-glass", "approve", order)
    [box] = told(office, "status")["break_glass"]
    assert (box["vault"], box["destination"], box["open"]) == ("customer-1", builder.RECOVERY, False)
    assert box["closes_ms"] - box["opens_ms"] == 6 * HOUR_MS
    assert "the box opens at" in act(office, "dave", "status").output
    assert "break-glass of vault customer-1" in act(office, "dave", "vault", "list").output
    [row] = told(office, "break-glass", "list")["break_glass"]
    assert (row["order"], row["approvals"], row["destination"]) == (order, 3, builder.RECOVERY)
    sign(office, "alice", "break-glass", "reject", order)
    assert told(office, "break-glass", "list")["break_glass"] == []
    assert told(office, "status")["break_glass"] == []


def test_an_open_box_is_called_open(office: Office) -> None:
    order = office.world.break_glass()
    office.world.log(Tick())
    record = office.world.state.order(order)
    assert record is not None
    now = record.accepted_ms + HOUR_MS
    assert box_line(office.world.charter, record, now).startswith("THE BOX IS OPEN until")
    assert box_line(office.world.charter, record, now + 6 * HOUR_MS).startswith("the box closed at")


def test_a_vault_without_a_recovery_address_is_not_ordered(office: Office) -> None:
    refused = act(office, "dave", "break-glass", "order", "treasury", "--yes", code=1).output
    assert "registers no recovery address for vault treasury" in refused
    assert "SubmitOrder" not in office.treasury.calls


def test_a_freeze_is_shown_by_status_vaults_and_new_withdrawals(office: Office) -> None:
    office.world.freeze("dave", why="looks odd")
    office.world.log(Tick())
    [freeze] = told(office, "status")["freezes"]
    assert (freeze["vault"], freeze["by"], freeze["why"]) == (None, "dave", "looks odd")
    assert "frozen: all vaults, by dave" in act(office, "dave", "status").output
    assert told(office, "vault", "list")["vaults"][0]["frozen"] is True
    assert "FROZEN" in act(office, "dave", "vault", "list").output
    office.world.add_destination()
    office.world.log(Tick())
    words = ("withdraw", "create", "--vault", "customer-1", "--to", DESTINATION, "--amount", "0.001")
    warned = sign(office, "alice", *words)["warnings"]
    assert any("frozen: all vaults, by dave" in line for line in warned)


def test_a_freeze_of_another_vault_does_not_stop_this_one(office: Office) -> None:
    office.world.make_vault("customer-2")
    office.world.freeze("dave", vault="customer-2")
    office.world.log(Tick())
    frozen = {vault["vault"]: vault["frozen"] for vault in told(office, "vault", "list")["vaults"]}
    assert frozen == {"customer-1": False, "customer-2": True}
    [freeze] = told(office, "status")["freezes"]
    assert freeze["vault"] == "customer-2"
