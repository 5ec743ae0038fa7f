"""Amendments on the command line, against real proofs: proposed, shown in plain words, approved, cancelled."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from charter_builder import ADDRESS, HOUR_MS, charter, host_secret, person
from fake_treasury import Office, act, sign
from strongroom.ledger.charter import Charter, encode_charter
from strongroom.ledger.charter_source import charter_to_toml, parse_charter_toml
from strongroom.ledger.entry_messages import Tick
from strongroom.ledger.records import OrderState
from strongroom_client.cli import charter_amend, main

TIGHTER = 'loosening_delay = "2d"'
LOOSER = 'lapse = "24h"'


def edited(office: Office, *changes: tuple[str, str], name: str = "next.toml") -> Path:
    """The source of the charter in force, edited as a person would."""
    file = Path(name)
    file.unlink(missing_ok=True)
    act(office, "alice", "charter", "current", "--out", name)
    text = file.read_text()
    for before, after in changes:
        assert before in text
        text = text.replace(before, after)
    file.write_text(text)
    return file


def proposed(office: Office, *changes: tuple[str, str]) -> str:
    order: str = sign(office, "dave", "charter", "propose", str(edited(office, *changes)))["order"]
    return order


def state_of(office: Office, order: str) -> OrderState:
    record = office.world.state.order(bytes.fromhex(order))
    assert record is not None
    return record.state


def listed(office: Office) -> Any:
    return json.loads(act(office, "carol", "charter", "status", "--json").stdout)


def test_a_tightening_is_proposed_shown_approved_and_in_force(office: Office) -> None:
    order = proposed(office, (TIGHTER, 'loosening_delay = "3d"'))
    phrase = ("--passphrase-file", str(office.passphrase_file))
    shown = act(office, "alice", "charter", "approve", order, *phrase, typed="y\n").output
    told = (
        "Tighter",
        "the delay before a loosening becomes 3d, longer",
        "acts with the last approval",
        "2, where 1 is in",
    )
    assert all(words in shown for words in told), shown
    assert state_of(office, order) is OrderState.OPEN
    assert listed(office)["amendments"][0]["approved_by"] == ["alice"]
    sign(office, "bob", "charter", "approve", order)
    assert office.world.state.charter == replace(office.world.charter, version=2, loosening_delay_ms=72 * HOUR_MS)
    assert (listed(office)["version"], listed(office)["amendments"][0]["state"]) == (2, "done")


def test_the_whole_charter_that_an_amendment_asks_for_can_be_read_before_it_is_approved(office: Office) -> None:
    order = proposed(office, (LOOSER, 'lapse = "1h"'))
    act(office, "alice", "charter", "proposed", order, "--out", "asked.bin")
    act(office, "alice", "charter", "proposed", order, "--out", "asked.toml")
    asked = parse_charter_toml(Path("asked.toml").read_text(), salt=office.world.charter.salt)
    assert Path("asked.bin").read_bytes() == encode_charter(asked)
    assert asked == replace(office.world.charter, version=2, freeze_lapse_ms=HOUR_MS)


def test_a_loosening_is_shown_waits_and_is_in_force_then(office: Office) -> None:
    order = proposed(office, (LOOSER, 'lapse = "1h"'), (TIGHTER, 'loosening_delay = "3d"'))
    shown = act(office, "carol", "charter", "status", order).output
    told = "Looser", "lapses after 1h, shorter", "Tighter", "becomes 3d, longer", "Waits for"
    assert all(words in shown for words in told), shown
    facts = json.loads(act(office, "carol", "charter", "status", order, "--json").stdout)["facts"]
    assert all(any(words in text for text in facts.values()) for words in (told[1], told[3]))
    for name in ("alice", "bob"):
        sign(office, name, "charter", "approve", order)
    row = listed(office)["amendments"][0]
    assert (row["state"], row["order"], row["version"]) == ("scheduled", order, 2)
    assert "acts at" in act(office, "carol", "charter", "status").output
    assert "acts by itself at" in act(office, "carol", "charter", "status", order).output
    office.world.later(48 * HOUR_MS)
    office.world.log(Tick())
    office.world.log(Tick())
    assert (listed(office)["version"], listed(office)["amendments"][0]["state"]) == (2, "done")
    assert 'lapse = "1h"' in edited(office).read_text()


def test_an_amendment_that_can_still_act_is_listed_behind_any_number_of_ended_orders(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = proposed(office, (LOOSER, 'lapse = "1h"'))
    for name in ("alice", "bob"):
        sign(office, name, "charter", "approve", order)
    for why in ("one", "two", "three"):
        sign(office, "dave", "freeze", "--vault", "customer-1", "--why", why)
    monkeypatch.setattr(charter_amend, "_ORDERS_LOOKED_AT", 2)
    office.treasury.most_a_page = office.treasury.looked_at_a_page = 1
    assert [(row["order"], row["state"]) for row in listed(office)["amendments"]] == [(order, "scheduled")]


@pytest.mark.parametrize("approvers", [("bob",), ("bob", "carol")])
def test_an_administrator_cancels_it(office: Office, approvers: tuple[str, ...]) -> None:
    order = proposed(office, (LOOSER, 'lapse = "1h"'))
    for name in approvers:
        sign(office, name, "charter", "approve", order)
    assert sign(office, "alice", "charter", "cancel", order)["delivered"] is True
    assert state_of(office, order) is OrderState.REJECTED
    assert listed(office)["amendments"][0]["rejected_by"] == ["alice"]
    assert "rejected by alice" in act(office, "carol", "charter", "status").output
    phrase = ("--passphrase-file", str(office.passphrase_file))
    assert "nothing was signed" in act(office, "bob", "charter", "approve", order, "--yes", *phrase, code=4).output


def test_an_amendment_is_made_from_the_charter_in_force(office: Office) -> None:
    file = edited(office, (LOOSER, 'lapse = "2h"'), ("version = 1", "version = 3"))
    phrase = ("--passphrase-file", str(office.passphrase_file), "--yes")
    assert "and version 1 is in force" in act(office, "dave", "charter", "propose", str(file), *phrase, code=1).output
    same = edited(office, name="same.toml")
    assert "changes nothing" in act(office, "dave", "charter", "propose", str(same), *phrase, code=1).output
    wrong = edited(office, ('admin = { group = "admins", count = 2 }', 'admin = { group = "admins", count = 9 }'))
    assert "must not be adopted" in act(office, "dave", "charter", "propose", str(wrong), *phrase, code=4).output
    assert "SubmitOrder" not in office.treasury.calls


def test_a_source_that_names_the_next_version_is_taken_as_well(office: Office) -> None:
    file = edited(office, (TIGHTER, 'loosening_delay = "3d"'), ("version = 1", "version = 2"))
    order = sign(office, "dave", "charter", "propose", str(file))["order"]
    assert listed(office)["amendments"][0]["order"] == order


def test_a_person_removed_and_a_person_added_sign_by_the_charter_in_force(office: Office) -> None:
    world = office.world
    added = person("erin")
    people = (*(one for one in world.charter.people if one.name != "dave"), added)
    groups = tuple(
        replace(one, members=tuple("erin" if member == "dave" else member for member in one.members))
        for one in world.charter.groups
    )
    world.amend(initiator="dave", people=people, groups=groups)
    world.later(48 * HOUR_MS)
    world.log(Tick())
    world.log(Tick())
    pays = ("--vault", "customer-1", "--to", ADDRESS, "--amount", "0.01", "--expires", "5d")
    phrase = ("--passphrase-file", str(office.passphrase_file), "--yes")
    refused = act(office, "dave", "withdraw", "create", *pays, *phrase, code=4).output
    assert "does not list this key" in refused
    assert sign(office, "erin", "withdraw", "create", *pays)["order"]


# --- proofs ----------------------------------------------------------------------------------------------------------


@pytest.mark.attack(
    line="admin-quorum",
    title="a coordinator that shows people a charter which is not in force",
    origin="on paper: they approve against rules that are none",
)
@pytest.mark.parametrize("lie", ["older", "other", "absent"])
def test_a_charter_that_is_not_proven_is_not_shown(office: Office, lie: str) -> None:
    order = proposed(office, (TIGHTER, 'loosening_delay = "3d"'))
    old = office.treasury.record_proof(b"charter", b"", office.world.final)
    for name in ("alice", "bob"):
        sign(office, name, "charter", "approve", order)
    shown: list[int] = []

    def spoil(response: Any) -> None:
        shown.append(1)
        if lie == "absent":
            response.ClearField("charter")
        elif lie == "other":
            response.charter.record = response.charter.record.replace(b"treasury", b"treasurx")
        elif len(shown) > 1:
            # The one shown first was newer: this client saw it in force.
            response.charter.CopyFrom(old)

    office.treasury.lies["GetLedger"] = spoil
    words = ("charter", "approve", proposed_again(office), "--yes", "--passphrase-file", str(office.passphrase_file))
    result = act(office, "alice", *words, code=4)
    assert "NOT_PROVEN" in result.output


def proposed_again(office: Office) -> str:
    """Another amendment, put into the log past the client."""
    return office.world.amend("bob", initiator="carol", freeze_lapse_ms=HOUR_MS).hex()


# --- files -----------------------------------------------------------------------------------------------------------


def test_the_difference_of_two_files_is_told_in_plain_words(tmp_path: Path) -> None:
    old, new = tmp_path / "old.bin", tmp_path / "new.toml"
    old.write_bytes(encode_charter(charter()))
    new.write_text(charter_to_toml(charter(officers="admins", freeze_lapse_ms=48 * HOUR_MS)))
    result = CliRunner().invoke(main, ["charter", "diff", str(old), str(new)], env={"COLUMNS": "200"})
    told = "looser", "are group admins instead of group treasury", "tighter", "lapses after 2d, longer", "waits 2d"
    assert all(words in result.output for words in told), result.output
    data = json.loads(CliRunner().invoke(main, ["charter", "diff", str(new), str(old), "--json"]).stdout)
    assert (data["loosens"], data["waits_ms"], len(data["changes"])) == (True, 48 * HOUR_MS, 2)
    same = json.loads(CliRunner().invoke(main, ["charter", "diff", str(new), str(new), "--json"]).stdout)
    assert same == {"changes": [], "loosens": False, "waits_ms": 0}
    tighter = tmp_path / "tighter.toml"
    tighter.write_text(charter_to_toml(charter(freeze_lapse_ms=48 * HOUR_MS)))
    result = CliRunner().invoke(main, ["charter", "diff", str(old), str(tighter)], env={"COLUMNS": "200"})
    assert "acts with the last approval" in result.output


def test_the_charter_in_force_is_written_as_it_is(office: Office) -> None:
    assert "edit it" not in act(office, "alice", "charter", "current", "--out", "now.bin").output
    assert Path("now.bin").read_bytes() == office.world.charter_bytes
    assert "edit it" in act(office, "alice", "charter", "current", "--out", "beside.toml").output
    source = edited(office).read_text()
    assert parse_charter_toml(source, salt=office.world.charter.salt) == office.world.charter


def test_a_genesis_begins_with_version_one(office: Office) -> None:
    later: Charter = charter(version=2)
    Path("later.bin").write_bytes(encode_charter(later))
    Path("adoption.json").write_text("{}")
    result = CliRunner().invoke(main, ["charter", "genesis", "later.bin", "adoption.json", "--out", "genesis.bin"])
    assert result.exit_code == 1


def test_replacing_more_host_keys_than_a_vault_can_spare_is_warned_about(office: Office) -> None:
    keys = {one.name: one.host_key.hex() for one in office.world.charter.signers}
    fresh = {name: host_secret(f"{name}-new").public().hex() for name in keys}
    spared = [(keys["s1"], fresh["s1"])]
    one = sign(office, "dave", "charter", "propose", str(edited(office, *spared)))
    assert one["warnings"] == []
    many = sign(office, "dave", "charter", "propose", str(edited(office, *spared, (keys["s3"], fresh["s3"]))))
    (warning,) = many["warnings"]
    assert "vault customer-1: this replaces the host keys of s1, s3, 2 of 3 holders" in warning
    assert "2 of the old machines must still be there to deal" in warning
    assert state_of(office, many["order"]) is OrderState.OPEN
