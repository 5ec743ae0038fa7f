"""Administrators found a log anew without a coordinator: what they sign is held against a log of their own."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import charter_builder as builder
from fake_treasury import CertifiedWorld, Office, act, open_office, sign
from ledger_world import randomness
from restart_world import RestartWorld, approval
from strongroom.ledger.charter_source import charter_to_toml
from strongroom.ledger.entry_messages import Restart, Tick
from strongroom.ledger.founding import restart_log_id
from strongroom.ledger.records import OrderState
from strongroom.model.fingerprints import Compared, spoken
from strongroom.wire.cards import make_signer_card
from strongroom.wire.restart_file import decode_restart_file, encode_restart_file
from strongroom_client.cli import main
from strongroom_client.pki import make_request

LOST = ("s2", "s3")
CHOSEN = "on paper: who founds a log anew chooses what is kept, and who decides from there on"


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    world = CertifiedWorld.started()
    world.make_vault("customer-1")
    world.submit(world.withdrawal("customer-1", 50_000_000), "shop", "alice")
    world.log(Tick())
    opened, server = open_office(tmp_path, world)
    (tmp_path / "log").write_bytes(world.exported())
    for name in LOST:
        card = make_signer_card(
            name,
            host=builder.host_secret(name),
            vote=builder.signing_key(f"{name}-new vote"),
            witness=builder.signing_key(f"{name}-new witness"),
            certificate_request=make_request(name)[1],
            aux32=randomness("card"),
        )
        (tmp_path / f"{name}.json").write_text(card)
    yield opened
    server.stop(0)


def told(office: Office, person: str, *words: str, code: int = 0) -> Any:
    result = act(office, person, "restart", *words, "--json", code=code)
    return json.loads(result.stdout or result.stderr)


def drafted(office: Office, *more: str, out: str = "draft", log: str = "log", code: int = 0) -> Any:
    cards = [part for name in LOST for part in ("--card", str(office.root / f"{name}.json"))]
    words = ("--log", str(office.root / log), "--out", str(office.root / out))
    return told(office, "alice", "draft", *words, *cards, *more, code=code)


def approved(
    office: Office, person: str, *more: str, file: str = "draft", log: str = "log", out: str = "", code: int = 0
) -> Any:
    office.person(person)
    words = ["restart", "approve", str(office.root / file), "--log", str(office.root / log)]
    words += ["--key", str(office.root / person), "--out", str(office.root / (out or f"by-{person}"))]
    return sign(office, person, *words, *more, code=code)


def finished(office: Office, *files: str, code: int = 0) -> Any:
    names = [str(office.root / file) for file in files]
    words = ("--log", str(office.root / "log"), "--out", str(office.root / "restart.bin"))
    return told(office, "carol", "finish", *names, *words, code=code)


def test_a_quorum_founds_the_log_anew(office: Office) -> None:
    world = office.world
    draft = drafted(office)
    assert (draft["entries"], draft["term"]) == (world.replica.size, 1)
    assert draft["certified_head"] == f"{world.replica.size}:{world.replica.head()[0].hex()}"
    assert {one["where"] for one in draft["changes"]} == {"signer s2", "signer s3"}
    assert (draft["approved_by"], draft["missing"], draft["new_log_id"]) == ([], 2, None)
    assert (draft["frozen_vaults"], draft["lapsing_orders"]) == (["customer-1"], 1)

    by_alice = approved(office, "alice", "--fingerprint", draft["read_aloud"])
    assert (by_alice["approved_by"], by_alice["missing"]) == (["alice"], 1)
    approved(office, "bob")
    made = finished(office, "by-bob", "by-alice")
    restart = decode_restart_file((office.root / "restart.bin").read_bytes())
    assert made["new_log_id"] == restart_log_id(restart).hex()
    assert made["new_log_id_read_aloud"] == spoken(Compared.CHARTER, restart_log_id(restart))
    assert (made["approved_by"], made["statement"]) == (["alice", "bob"], draft["statement"])

    world.found(restart, s2="s2-new", s3="s3-new")
    world.settle(Tick())
    assert world.log_id == restart_log_id(restart)
    assert world.state.active_freeze("customer-1", world.time_ms) is not None
    assert [one.state for one in map(world.state.order_at, range(world.state.orders_count))][-1] is OrderState.LAPSED


def test_approvals_one_after_the_other_make_the_same_file(office: Office) -> None:
    drafted(office)
    approved(office, "alice", out="first")
    approved(office, "bob", file="first", out="both")
    one = finished(office, "both")
    (office.root / "restart.bin").rename(office.root / "other.bin")
    approved(office, "bob")
    assert finished(office, "by-bob", "first")["new_log_id"] == one["new_log_id"]
    assert (office.root / "other.bin").read_bytes() == (office.root / "restart.bin").read_bytes()


def test_of_more_approvals_than_needed_those_of_the_first_names_are_taken(office: Office) -> None:
    drafted(office)
    for name in ("carol", "bob", "alice"):
        approved(office, name)
    assert finished(office, "by-carol", "by-bob", "by-alice")["approved_by"] == ["alice", "bob"]


def test_too_few_approvals_are_named(office: Office) -> None:
    drafted(office)
    approved(office, "alice")
    refused = finished(office, "by-alice", code=4)
    assert "1 of 2 approvals: ask for 1 more, from bob, carol" in refused["error"]["message"]
    assert not (office.root / "restart.bin").exists()


def test_a_file_without_a_log_is_shown_and_nothing_of_it_believed(office: Office) -> None:
    drafted(office)
    shown = told(office, "bob", "show", str(office.root / "draft"))
    assert (shown["judged"], shown["approvals"], shown["entries"]) == (False, 0, office.world.replica.size)
    judged = told(office, "bob", "show", str(office.root / "draft"), "--log", str(office.root / "log"))
    assert (judged["judged"], judged["may_approve"]) == (True, ["alice", "bob", "carol"])
    text = act(office, "bob", "restart", "show", str(office.root / "draft")).stdout
    assert "Nothing of this is judged" in text


def test_the_sheet_says_what_ends_and_who_is_missing(office: Office) -> None:
    drafted(office)
    approved(office, "carol")
    text = act(
        office, "bob", "restart", "show", str(office.root / "by-carol"), "--log", str(office.root / "log")
    ).stdout
    for part in ("1 order without a plan", "customer-1", "signer s2", "1, from alice, bob", "carol", "given up"):
        assert part in text


# --- what is refused ---


def newer(office: Office) -> None:
    office.world.log(Tick())
    (office.root / "newer").write_bytes(office.world.exported())


@pytest.mark.attack(line="admin-quorum", title="a restart of the log at an older head", origin=CHOSEN)
def test_a_statement_that_gives_up_a_certificate_at_hand_is_refused(office: Office) -> None:
    drafted(office)
    newer(office)
    refused = approved(office, "alice", log="newer", code=4)
    assert "draft it again from this log" in refused_text(office, "draft", "newer")
    assert refused is None
    assert not (office.root / "by-alice").exists()


def test_a_log_that_ends_before_the_statement_judges_nothing(office: Office) -> None:
    newer(office)
    drafted(office, log="newer")
    assert "take a newer one" in refused_text(office, "draft", "log")


def test_a_certificate_of_the_same_head_in_a_later_term_is_higher(office: Office) -> None:
    drafted(office)
    world = office.world
    again = RestartWorld(world)
    again.term = 2
    world.certificates[world.replica.size] = again.certificate(("s1", "s2"))
    (office.root / "later").write_bytes(world.exported())
    assert "of term 2" in refused_text(office, "draft", "later")


def refused_text(office: Office, file: str, log: str) -> str:
    shown = told(office, "bob", "show", str(office.root / file), "--log", str(office.root / log), code=4)
    message: str = shown["error"]["message"]
    return message


def write(office: Office, restart: Restart, name: str = "draft") -> None:
    (office.root / name).write_bytes(encode_restart_file(restart))


def test_a_statement_of_the_future_is_not_approved(office: Office) -> None:
    world = RestartWorld(office.world)
    said = world.statement(made_ms=office.world.time_ms + 3_600_000)
    write(office, world.restart(statement=said, approvers=()))
    assert "clock" in refused_text(office, "draft", "log")
    approved(office, "alice", code=4)


def test_a_statement_of_another_log_is_refused(office: Office) -> None:
    other = CertifiedWorld.started(organisation="evil")
    write(office, RestartWorld(other).restart(approvers=()))
    assert other.log_id.hex() in refused_text(office, "draft", "log")


@pytest.mark.attack(line="admin-quorum", title="a restart as a way around the loosening delay", origin=CHOSEN)
def test_a_charter_that_changes_a_rule_is_refused(office: Office) -> None:
    world = RestartWorld(office.world)
    write(office, world.restart(world.new_charter(rules=(builder.rule(delay_ms=1_000),)), approvers=()))
    refused = told(office, "bob", "show", str(office.root / "draft"), "--log", str(office.root / "log"), code=4)
    assert refused["error"]["reason"] == "RESTART_CHARTER"


def test_a_forged_approval_hides_no_true_one(office: Office) -> None:
    drafted(office)
    approved(office, "bob")
    read = decode_restart_file((office.root / "draft").read_bytes())
    forged = Restart(
        statement=read.statement, certificate=read.certificate, approvals=(approval(read, "alice", label="x"),)
    )
    write(office, forged, "forged")
    assert finished(office, "forged", "by-bob", code=4)["error"]["reason"] in ("KEY_UNKNOWN", "BAD_SIGNATURE")


def test_approvals_of_different_statements_are_not_joined(office: Office) -> None:
    drafted(office)
    drafted(office, "--witness-quorum", "3", out="other")
    approved(office, "alice")
    approved(office, "bob", file="other")
    assert "different statements" in finished(office, "by-alice", "by-bob", code=4)["error"]["message"]


def test_a_fingerprint_that_was_not_agreed_on_stops_the_approval(office: Office) -> None:
    drafted(office)
    approved(office, "alice", "--fingerprint", "00" * 32, code=4)
    assert not (office.root / "by-alice").exists()


def test_nobody_approves_twice_and_nobody_else_approves(office: Office) -> None:
    drafted(office)
    approved(office, "alice")
    approved(office, "alice", file="by-alice", out="twice", code=4)
    approved(office, "dave", code=4)
    assert not (office.root / "twice").exists()
    assert not (office.root / "by-dave").exists()


def test_more_approvals_than_needed_would_make_another_restart(office: Office) -> None:
    drafted(office)
    approved(office, "alice", out="first")
    approved(office, "bob", file="first", out="both")
    approved(office, "carol", file="both", code=4)


def test_a_log_of_another_organisation_is_not_taken(office: Office) -> None:
    (office.root / "evil").write_bytes(CertifiedWorld.started(organisation="evil").exported())
    assert drafted(office, log="evil", code=4)["error"]["reason"] == "AUDIT_DISCREPANCY"


@pytest.mark.parametrize("spoil", [lambda data: data[:-1], lambda data: b"x" + data, lambda data: data + b"x"])
def test_a_damaged_file_is_no_restart(office: Office, spoil: Any) -> None:
    drafted(office)
    file = office.root / "draft"
    file.write_bytes(spoil(file.read_bytes()))
    refused = told(office, "bob", "show", str(file), code=1)
    assert refused["error"]["reason"] == "RESTART_FILE_INVALID"


def test_the_charter_may_be_given_instead_of_cards(office: Office, tmp_path: Path) -> None:
    source = tmp_path / "next.toml"
    source.write_text(charter_to_toml(RestartWorld(office.world).new_charter()))
    words = ("--log", str(tmp_path / "log"), "--out", str(tmp_path / "draft"), "--charter", str(source))
    made = told(office, "alice", "draft", *words)
    assert {one["where"] for one in made["changes"]} == {"signer s2", "signer s3"}


def test_a_card_that_changes_nothing_is_told_and_the_next_command_is_whole(office: Office) -> None:
    unchanged = make_signer_card(
        "s1",
        host=builder.host_secret("s1"),
        vote=builder.signing_key("s1 vote"),
        witness=builder.signing_key("s1 witness"),
        certificate_request=make_request("s1")[1],
        aux32=bytes(32),
    )
    (office.root / "s1.json").write_text(unchanged)
    assert drafted(office)["unchanged_cards"] == []
    assert drafted(office, "--card", str(office.root / "s1.json"), out="other")["unchanged_cards"] == ["s1"]
    cards = [part for name in (*LOST, "s1") for part in ("--card", str(office.root / f"{name}.json"))]
    out = office.root / "a draft"
    words = ("restart", "draft", "--log", str(office.root / "log"), "--out", str(out), *cards)
    shown = act(office, "alice", *words).stdout
    assert "The card of s1 has the keys that the charter has: nothing changes by it." in shown
    assert "The card of s2" not in shown
    (hint,) = [line for line in shown.splitlines() if line.strip().startswith("strongroom restart approve")]
    office.person("alice")
    given = shlex.split(hint.replace("KEY_FOLDER", str(office.root / "alice")))[1:]
    done = CliRunner().invoke(main, [*given, "--yes", "--passphrase-file", str(office.passphrase_file)])
    assert done.exit_code == 0, done.output
    assert "strongroom restart finish" in done.stdout
    assert (office.root / "a draft.NAME").exists()
