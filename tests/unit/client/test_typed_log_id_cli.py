"""A log id in the digits that people read to each other, wherever one is typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from fake_treasury import Office, act
from strongroom.model.fingerprints import Compared, spoken
from strongroom.model.ids import LogId
from strongroom_client.cli import main
from strongroom_client.errors import PinMismatch, ProfileProblem
from strongroom_client.log_files import held_log_id
from strongroom_client.profile import load_profile
from strongroom_client.typed_log_id import log_id_of_typed

LOG = LogId(bytes(range(32)))
DIGITS = spoken(Compared.CHARTER, LOG)


def login(office: Office, log_id: str, *, coordinator: str = "") -> Result:
    profile = load_profile(office.person("alice"))
    words = ["--coordinator", coordinator or profile.coordinator, "--ca", str(profile.ca)]
    words += ["--cert", str(profile.certificate), "--key-dir", str(profile.key_folder), "--log-id", log_id]
    return CliRunner().invoke(main, ["login", *words, "--profile", "new/profile.toml"])


@pytest.mark.parametrize("typed", [DIGITS, DIGITS.replace(" ", ""), DIGITS.replace(" ", "-"), LOG.hex(), LOG.hex(":")])
def test_either_form_is_taken_as_people_copy_it(typed: str) -> None:
    assert log_id_of_typed(typed, lambda: LOG) == LOG


def test_digits_of_another_log_are_refused() -> None:
    with pytest.raises(PinMismatch):
        log_id_of_typed(DIGITS, lambda: LogId(bytes(32)))


@pytest.mark.parametrize("typed", ["", DIGITS[:-1], DIGITS + "0", "ab" * 31, "٣" * 40])
def test_what_has_neither_form_is_refused_and_nothing_asked(typed: str) -> None:
    def unasked() -> LogId:
        raise AssertionError(typed)

    with pytest.raises(ProfileProblem):
        log_id_of_typed(typed, unasked)


def test_login_takes_the_digits_and_prints_both_forms(office: Office) -> None:
    log_id = office.world.log_id
    result = login(office, spoken(Compared.CHARTER, log_id))
    assert result.exit_code == 0, result.output
    assert load_profile(Path("new/profile.toml")).log_id == log_id
    assert log_id.hex() in result.output
    assert spoken(Compared.CHARTER, log_id) in result.output


def test_login_pins_nothing_when_the_coordinator_serves_other_digits(office: Office) -> None:
    result = login(office, DIGITS)
    assert "PIN_MISMATCH" in result.output
    assert not Path("new/profile.toml").exists()


def test_login_by_digits_needs_a_coordinator_that_answers(office: Office) -> None:
    result = login(office, spoken(Compared.CHARTER, office.world.log_id), coordinator="127.0.0.1:1")
    assert result.exit_code == 1
    assert "64 hexadecimal digits" in result.output
    assert not Path("new/profile.toml").exists()


def test_an_exported_log_is_verified_by_the_digits(office: Office) -> None:
    act(office, "alice", "audit", "export", "--out", "log.jsonl")
    log_id = office.world.log_id
    assert held_log_id(Path("log.jsonl")) == log_id
    words = ("audit", "verify", "--from-file", "log.jsonl", "--log-id")
    told = json.loads(act(office, "alice", *words, spoken(Compared.CHARTER, log_id), "--json").stdout)
    assert told["log_id"] == log_id.hex()
    assert "PIN_MISMATCH" in act(office, "alice", *words, DIGITS, code=4).output


def test_a_signers_export_is_verified_by_the_digits(office: Office) -> None:
    Path("log").write_bytes(office.world.exported())
    log_id = office.world.log_id
    words = ("audit", "verify", "--from-file", "log", "--log-id", spoken(Compared.CHARTER, log_id), "--json")
    assert json.loads(act(office, "alice", *words).stdout)["log_id"] == log_id.hex()


def test_a_file_that_claims_the_digits_of_another_log_does_not_verify(office: Office) -> None:
    act(office, "alice", "audit", "export", "--out", "log.jsonl")
    text = Path("log.jsonl").read_text().replace(office.world.log_id.hex(), LOG.hex(), 1)
    Path("forged.jsonl").write_text(text)
    words = ("audit", "verify", "--from-file", "forged.jsonl", "--log-id", DIGITS)
    assert act(office, "alice", *words, code=4).output
