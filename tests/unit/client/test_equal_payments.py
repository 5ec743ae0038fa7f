"""Nobody orders or approves one payment twice unwarned: equal orders are found wherever the coordinator lists them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fake_treasury import CertifiedWorld, Office, act, open_office, sign
from strongroom.api.types.v1 import types_pb2
from strongroom.ledger.entry_messages import Tick
from strongroom_client.cli import other_payments

TO = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"
UNSEEN = "there are more orders than were looked at"


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    world = CertifiedWorld.started()
    world.make_vault("customer-1")
    world.make_vault("customer-2")
    world.settle(Tick())
    opened, server = open_office(tmp_path, world)
    yield opened
    server.stop(0)


def pay(office: Office, vault: str, amount: str = "0.5") -> Any:
    return sign(office, "alice", "withdraw", "create", "--vault", vault, "--to", TO, "--amount", amount)


def buried(office: Office) -> str:
    """An open payment from one vault, behind orders of the other that can never be paid, each on a page of its own."""
    twin = str(pay(office, "customer-1")["order"])
    for amount in ("0.1", "0.2", "0.3"):
        order = pay(office, "customer-2", amount)["order"]
        sign(office, "bob", "withdraw", "reject", order)
    office.treasury.looked_at_a_page = 1
    return twin


def unseen(office: Office, order: str) -> list[str]:
    shown = json.loads(act(office, "bob", "withdraw", "show", order, "--json").stdout)
    return [line for line in shown["warnings"] if UNSEEN in line]


def test_an_equal_open_payment_of_another_vault_is_found_behind_empty_pages(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    twin = buried(office)
    monkeypatch.setattr(other_payments, "_OWN_LOOKED_AT", 1)
    monkeypatch.setattr(other_payments, "_RECENT_PAGES", 1)
    ordered = pay(office, "customer-2")
    assert any(line.startswith(f"order {twin[:16]} pays the same") for line in ordered["warnings"])
    shown = json.loads(act(office, "bob", "withdraw", "show", ordered["order"], "--json").stdout)
    assert any(line.startswith(f"order {twin[:16]} pays the same") for line in shown["warnings"])
    assert not any(UNSEEN in line for line in (*ordered["warnings"], *shown["warnings"]))


@pytest.mark.parametrize(("vault", "unasked"), [("customer-1", "_RECENT_PAGES"), ("customer-2", "_OWN_PAGES")])
def test_an_equal_payment_of_any_vault_is_found_though_it_is_called_ended(
    office: Office, vault: str, unasked: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(other_payments, unasked, 0)
    twin = pay(office, "customer-1")["order"]
    told = office.treasury._status
    never = types_pb2.PAYMENT_STATUS_NEVER_WILL_BE_PAID
    monkeypatch.setattr(office.treasury, "_status", lambda one: never if one.hash.hex() == twin else told(one))
    assert any(line.startswith(f"order {twin[:16]}") for line in pay(office, vault)["warnings"])


def test_who_looked_at_too_few_orders_is_told(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    order = pay(office, "customer-1")["order"]
    assert unseen(office, order) == []
    office.treasury.most_a_page = 1
    monkeypatch.setattr(other_payments, "_LIVE_LOOKED_AT", 1)
    pay(office, "customer-2", "0.4")
    assert len(unseen(office, order)) == 1
    assert sum(UNSEEN in line for line in pay(office, "customer-1")["warnings"]) == 1


@pytest.mark.attack(
    line="coordinator",
    title="a list of orders that never ends and never shows one",
    origin="on paper: a client kept busy until somebody pays without looking",
)
def test_a_list_that_never_ends_is_given_up_and_said_so(office: Office) -> None:
    def endless(response: Any) -> Any:
        del response.orders[:]
        response.next_page_token = "1"
        return response

    office.treasury.lies["ListOrders"] = endless
    assert any(UNSEEN in line for line in pay(office, "customer-1")["warnings"])


def test_a_vault_that_is_ordered_is_listed_behind_empty_pages(office: Office) -> None:
    words = ("vault", "create", "customer-3", "--signers", "s1,s2,s3", "--threshold", "2")
    order = sign(office, "carol", *words)["order"]
    buried(office)
    listed = json.loads(act(office, "bob", "vault", "list", "--json").stdout)
    assert [one["order"] for one in listed["coming"]] == [order]
    assert listed["coming_is_whole"] is True


def test_an_empty_page_names_the_next_one(office: Office) -> None:
    twin = buried(office)
    words = ("withdraw", "list", "--status", "open")
    shown = act(office, "bob", *words).stdout
    assert "No orders on this page." in shown
    token, pages = "", 0
    while True:
        page = json.loads(act(office, "bob", *words, *(("--page", token) if token else ()), "--json").stdout)
        token, pages = page["next_page"], pages + 1
        if page["orders"]:
            break
        assert f"--page {token}" in shown or pages > 1
    assert (page["orders"][0]["order"], pages) == (twin, 4)
