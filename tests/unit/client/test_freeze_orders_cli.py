"""Orders that end a freeze on the command line, and what a freeze refuses before it writes anything."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from fake_treasury import Office, act, sign
from strongroom.ledger.records import OrderState
from strongroom_client.cli import freeze_ends


def frozen_and_ordered(office: Office) -> tuple[str, str]:
    """A freeze, and the order of its end."""
    freeze = sign(office, "dave", "freeze", "--vault", "customer-1", "--why", "look")["freeze"]
    return freeze, sign(office, "carol", "unfreeze", freeze)["order"]


@pytest.mark.parametrize("option", ["--approve", "--reject"])
def test_a_freezes_id_in_place_of_the_order_names_the_orders_of_its_end(office: Office, option: str) -> None:
    freeze, order = frozen_and_ordered(office)
    words = ("unfreeze", freeze, option, "--yes", "--passphrase-file", str(office.passphrase_file))
    refused = " ".join(act(office, "alice", *words, code=1).output.split())
    assert f"`strongroom unfreeze {order[:16]} {option}`" in refused
    assert "--confirm" not in refused
    assert "EndorseOrder" not in office.treasury.calls


def test_a_freeze_whose_end_nobody_ordered_says_so(office: Office) -> None:
    freeze = sign(office, "dave", "freeze", "--all", "--why", "look")["freeze"]
    words = ("unfreeze", freeze, "--approve", "--yes", "--passphrase-file", str(office.passphrase_file))
    assert "nobody has ordered its end" in act(office, "alice", *words, code=1).output


def test_an_order_of_an_unfreeze_is_rejected_for_ever(office: Office) -> None:
    _, order = frozen_and_ordered(office)
    answer = sign(office, "alice", "unfreeze", order, "--reject")
    assert (answer["verb"], answer["delivered"]) == ("reject", True)
    record = office.world.state.order(bytes.fromhex(order))
    assert record is not None
    assert record.state is OrderState.REJECTED
    assert json.loads(act(office, "alice", "freezes", "--json").stdout)["unfreezes"] == []


def test_one_order_is_not_approved_and_rejected_at_once(office: Office) -> None:
    _, order = frozen_and_ordered(office)
    words = ("unfreeze", order, "--reject", "--approve", "--yes", "--passphrase-file", str(office.passphrase_file))
    assert "not both" in act(office, "alice", *words, code=1).output


def test_the_freezes_list_the_orders_that_would_end_them(office: Office) -> None:
    freeze, order = frozen_and_ordered(office)
    sign(office, "alice", "unfreeze", order, "--approve")
    (told,) = json.loads(act(office, "bob", "freezes", "--json").stdout)["unfreezes"]
    assert (told["order"], told["freeze"], told["state"]) == (order, freeze, "open")
    assert len(told["waits_for"]) == 1
    shown = " ".join(act(office, "bob", "freezes").output.split())
    assert f"unfreeze {order[:16]} of freeze {freeze[:16]} waits for {told['waits_for'][0]}" in shown
    sign(office, "bob", "unfreeze", order, "--approve")
    assert json.loads(act(office, "bob", "freezes", "--json").stdout)["unfreezes"] == []


def test_the_order_of_an_unfreeze_is_listed_behind_any_number_of_ended_orders(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, order = frozen_and_ordered(office)
    for why in ("one", "two", "three"):
        sign(office, "dave", "freeze", "--vault", "customer-1", "--why", why)
    monkeypatch.setattr(freeze_ends, "_ORDERS_LOOKED_AT", 2)
    office.treasury.most_a_page = office.treasury.looked_at_a_page = 1
    (told,) = json.loads(act(office, "bob", "freezes", "--json").stdout)["unfreezes"]
    assert told["order"] == order


def test_the_command_of_another_kind_is_named_for_the_same_act(office: Office) -> None:
    _, order = frozen_and_ordered(office)
    phrase = ("--yes", "--passphrase-file", str(office.passphrase_file))
    for verb in ("approve", "reject"):
        refused = " ".join(act(office, "alice", "withdraw", verb, order, *phrase, code=1).output.split())
        assert f"use `strongroom unfreeze --{verb} {order[:16]}`" in refused


def test_a_key_that_the_charter_does_not_list_freezes_nothing_and_writes_nothing(office: Office) -> None:
    world = office.world
    office.person("dave")
    people = tuple(one for one in world.charter.people if one.name != "dave")
    groups = tuple(
        replace(group, members=tuple(name for name in group.members if name != "dave"))
        for group in world.charter.groups
    )
    world.amend("alice", "bob", initiator="carol", people=people, groups=groups)
    before = set(Path().iterdir())
    words = ("freeze", "--all", "--why", "stop", "--yes", "--passphrase-file", str(office.passphrase_file))
    assert "does not list this key" in act(office, "dave", *words, code=4).output
    assert "SubmitOrder" not in office.treasury.calls
    assert set(Path().iterdir()) == before


def test_the_file_of_a_freeze_is_handed_in_with_the_signers_folder(office: Office) -> None:
    office.treasury.deaf = True
    words = ("freeze", "--all", "--why", "stop", "--yes", "--passphrase-file", str(office.passphrase_file))
    for offline in ((), ("--offline",)):
        shown = " ".join(act(office, "dave", *words, *offline, code=0 if offline else 1).output.split())
        assert "strongroom-signer hand-in --data FOLDER freeze-" in shown
