"""The commands that set an organisation up, from keys to the genesis of its log."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from cryptography import x509

from charter_builder import charter as built_charter
from charter_builder import host_secret, seed, signing_key
from strongroom.crypto import ed25519
from strongroom.ledger.charter import decode_charter, encode_charter, log_id_of
from strongroom.ledger.codec import decode
from strongroom.ledger.entry_messages import Genesis
from strongroom.ledger.pae import pae
from strongroom.ledger.signed_messages import Adopt
from strongroom.wire.cards import make_signer_card, parse_card
from strongroom_client.cli import main
from strongroom_client.pki import identity_of, make_request

PHRASE = "correct horse battery staple"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pass").write_text(f"{PHRASE}\n")
    return tmp_path


def run(*words: str, code: int = 0, typed: str | None = None) -> Result:
    result = CliRunner().invoke(main, words, input=typed)
    assert result.exit_code == code, (words, result.exit_code, result.output, result.exception)
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result


def run_json(*words: str, code: int = 0) -> Any:
    return json.loads(run(*words, "--json", code=code).stdout)


def init(name: str, *options: str) -> None:
    run("init", "--name", name, "--out", name, "--passphrase-file", "pass", *options)


def write_signer_card(name: str) -> None:
    card = make_signer_card(
        name,
        host=host_secret(name),
        vote=signing_key(f"{name} vote"),
        witness=signing_key(f"{name} witness"),
        certificate_request=make_request(name)[1],
        aux32=seed("aux"),
    )
    Path(f"{name}.json").write_text(card)


def enrol(*people: str) -> list[str]:
    """Make the cards of people, a machine and three signers; return their paths."""
    for name in people:
        init(name)
    init("shop", "--machine")
    for name in ("s1", "s2", "s3"):
        write_signer_card(name)
    return [*(f"{name}/card.json" for name in (*people, "shop")), "s1.json", "s2.json", "s3.json"]


def test_from_cards_to_a_genesis_that_the_admin_quorum_adopted(here: Path) -> None:
    cards = enrol("alice", "bob", "carol")
    run("charter", "new", "--organisation", "acme", "--out", "charter.toml", *cards)
    checked = run_json("charter", "check", "charter.toml")
    assert (checked["ok"], checked["findings"]) == (True, [])
    built = run_json("charter", "build", "charter.toml", "--out", "charter.bin")
    data = Path("charter.bin").read_bytes()
    assert built["log_id"] == log_id_of(data).hex() == run("charter", "fingerprint", "charter.bin").stdout.strip()
    for name in ("carol", "alice"):
        words = ("adopt", "charter.bin", "--key", name, "--out", f"{name}.adopt", "--passphrase-file", "pass")
        assert run_json("charter", *words)["person"] == name
    made = run_json("charter", "genesis", "charter.bin", "carol.adopt", "alice.adopt", "--out", "genesis.bin")
    assert made["adopted_by"] == ["alice", "carol"]
    genesis = decode(Genesis, Path("genesis.bin").read_bytes())
    assert genesis.charter == data
    for signed, name in zip(genesis.adoptions, ("alice", "carol"), strict=True):
        key = parse_card(Path(f"{name}/card.json").read_text()).keys["person"]
        assert decode(Adopt, signed.body) == Adopt(log_id=log_id_of(data), person=name, key=key)
        assert ed25519.verify(key, pae("adopt", signed.body), signed.signature)


def test_two_builds_of_one_source_never_share_a_log_id(here: Path) -> None:
    run("charter", "new", "--organisation", "acme", "--out", "charter.toml", *enrol("alice", "bob"))
    first = run_json("charter", "build", "charter.toml", "--out", "1.bin")["log_id"]
    assert run_json("charter", "build", "charter.toml", "--out", "2.bin")["log_id"] != first


@pytest.mark.parametrize(("people", "approvals"), [(("alice", "bob"), 2), (("alice", "bob", "carol", "dave"), 2)])
def test_a_new_charter_has_no_findings_and_the_default_quorum(
    here: Path, people: tuple[str, ...], approvals: int
) -> None:
    run("charter", "new", "--organisation", "acme", "--threshold", "2", "--out", "charter.toml", *enrol(*people))
    report = run_json("charter", "check", "charter.toml")
    assert report["ok"]
    assert report["facts"]["witness quorum (w)"] == "2"
    run("charter", "build", "charter.toml", "--out", "charter.bin")
    built = decode_charter(Path("charter.bin").read_bytes())
    assert built.rules[0].approvals[0].count == approvals


def test_without_a_machine_one_of_two_people_approves(here: Path) -> None:
    cards = [card for card in enrol("alice", "bob") if "shop" not in card]
    run("charter", "new", "--organisation", "acme", "--out", "charter.toml", *cards)
    assert run_json("charter", "check", "charter.toml")["ok"]


@pytest.mark.parametrize("left_out", ["alice/card.json", "signers"])
def test_too_few_cards_make_no_charter(here: Path, left_out: str) -> None:
    cards = enrol("alice", "bob")
    kept = [card for card in cards if card != left_out and not (left_out == "signers" and card.startswith("s"))]
    result = run("charter", "new", "--organisation", "acme", "--out", "charter.toml", *kept, code=1)
    assert "CARDS_INCOMPLETE" in result.stderr
    assert not Path("charter.toml").exists()


def test_check_refuses_with_every_error_and_exit_code_four(here: Path) -> None:
    run("charter", "new", "--organisation", "acme", "--out", "charter.toml", *enrol("alice", "bob"))
    source = Path("charter.toml").read_text()
    mainnet = source.replace("bip122:0f9188f13cb7b2c71f2a335e3a4fc328", "bip122:000000000019d6689c085ae165831e93")
    Path("main.toml").write_text(mainnet.replace("witness_quorum = 2", "witness_quorum = 9"))
    result = run("charter", "check", "main.toml", code=4)
    assert "9 of 3 signers" in result.stdout
    assert "until a release freezes rule set 1" in result.stdout
    assert "CHECK_FAILED" in result.stderr
    report = run_json("charter", "check", "main.toml", code=4)
    assert [finding["level"] for finding in report["findings"]] == ["error", "error"]
    refused = run("charter", "build", "main.toml", "--out", "main.bin", code=4)
    assert "until a release freezes rule set 1" in refused.stderr
    assert not Path("main.bin").exists()


def test_a_source_with_mistakes_names_them_and_exits_with_four(here: Path) -> None:
    Path("charter.toml").write_text('version = "1"\n')
    result = run("charter", "check", "charter.toml", code=4)
    assert "version (line 1): must be a whole number" in result.stderr
    assert "CHARTER_SOURCE_INVALID" in result.stderr


def test_show_prints_the_rules_and_a_source_that_reads_back(here: Path) -> None:
    Path("charter.bin").write_bytes(encode_charter(built_charter()))
    shown = run("charter", "show", "charter.bin").stdout
    assert "at most 2.5 BTC per order" in shown
    assert "approved by 2 of group treasury" in shown
    assert built_charter().signers[0].host_key.hex() in shown
    content = run_json("charter", "show", "charter.bin")
    assert content["log_id"] == log_id_of(Path("charter.bin").read_bytes()).hex()
    Path("again.toml").write_text(content["source"])
    assert run_json("charter", "check", "again.toml")["ok"]


@pytest.mark.parametrize("command", ["show", "fingerprint", "check"])
def test_a_file_that_is_no_charter_is_refused(here: Path, command: str) -> None:
    Path("charter.bin").write_bytes(b"junk")
    assert "NOT_CANONICAL" in run("charter", command, "charter.bin", code=1).stderr
    assert "FILE_PROBLEM" in run("charter", command, "nothing.bin", code=1).stderr


def adopted_charter(*people: str) -> bytes:
    run("charter", "new", "--organisation", "acme", "--out", "charter.toml", *enrol(*people))
    run("charter", "build", "charter.toml", "--out", "charter.bin")
    return Path("charter.bin").read_bytes()


def adopt(name: str, charter: str = "charter.bin", *, out: str | None = None, code: int = 0) -> Result:
    words = ("--key", name, "--out", out or f"{name}.adopt", "--passphrase-file", "pass")
    return run("charter", "adopt", charter, *words, code=code)


def test_an_adoption_can_be_bound_to_a_compared_fingerprint(here: Path) -> None:
    log_id = log_id_of(adopted_charter("alice", "bob")).hex()
    words = ("charter", "adopt", "charter.bin", "--key", "alice", "--out", "a.adopt", "--passphrase-file", "pass")
    refused = run(*words, "--fingerprint", "0" * 64, code=4)
    assert "not the one given" in refused.stderr
    assert not Path("a.adopt").exists()
    spoken = " ".join(log_id[i : i + 4] for i in range(0, 64, 4)).upper()
    run(*words, "--fingerprint", spoken)
    assert Path("a.adopt").exists()


def test_one_adoption_is_not_a_quorum(here: Path) -> None:
    adopted_charter("alice", "bob", "carol")
    adopt("alice")
    result = run("charter", "genesis", "charter.bin", "alice.adopt", "--out", "genesis.bin", code=4)
    assert "1 of 2 adoptions: ask for more, from bob, carol" in result.stderr
    twice = run("charter", "genesis", "charter.bin", "alice.adopt", "alice.adopt", "--out", "genesis.bin", code=1)
    assert "second adoption by alice" in twice.stderr
    assert not Path("genesis.bin").exists()


def test_an_adoption_of_another_charter_or_changed_or_by_another_key_is_refused(here: Path) -> None:
    adopted_charter("alice", "bob")
    adopt("alice")
    run("charter", "build", "charter.toml", "--out", "other.bin")
    adopt("bob", "other.bin")
    other = run("charter", "genesis", "charter.bin", "alice.adopt", "bob.adopt", "--out", "genesis.bin", code=1)
    assert "bob.adopt does not adopt this charter" in other.stderr
    content = json.loads(Path("alice.adopt").read_text())
    content["signature"] = "00" * 64
    Path("forged.adopt").write_text(json.dumps(content))
    forged = run("charter", "genesis", "charter.bin", "forged.adopt", "--out", "genesis.bin", code=1)
    assert "ADOPTION_INVALID" in forged.stderr
    Path("junk.adopt").write_text('{"kind": "adopt"}')
    junk = run("charter", "genesis", "charter.bin", "junk.adopt", "--out", "genesis.bin", code=1)
    assert "is not an adoption file" in junk.stderr


def test_a_key_that_the_charter_does_not_list_adopts_nothing(here: Path) -> None:
    adopted_charter("alice", "bob")
    init("mallory")
    assert "nothing was signed" in adopt("mallory", code=4).stderr
    assert not Path("mallory.adopt").exists()


def test_a_person_outside_the_admin_group_cannot_adopt_for_it(here: Path) -> None:
    adopted_charter("alice", "bob")
    adopt("alice")
    adopt("shop")
    result = run("charter", "genesis", "charter.bin", "alice.adopt", "shop.adopt", "--out", "genesis.bin", code=1)
    assert "not by a key of someone in group admins" in result.stderr


def test_a_wrong_passphrase_has_its_own_exit_code(here: Path) -> None:
    adopted_charter("alice", "bob")
    Path("pass").write_text("wrong")
    assert "WRONG_PASSPHRASE" in adopt("alice", code=3).stderr
    assert (
        "1 to 1024 bytes" in run("init", "--name", "x", "--out", "x", "--passphrase-file", "/dev/null", code=1).stderr
    )


def test_a_passphrase_is_asked_for_twice_when_new_and_never_shown(here: Path) -> None:
    typed = run("init", "--name", "alice", "--out", "alice", typed=f"{PHRASE}\n{PHRASE}\n")
    assert PHRASE not in typed.output
    run("init", "--name", "bob", "--out", "bob", typed=f"{PHRASE}\nother\n", code=1)
    assert not Path("bob").exists()


def test_init_overwrites_nothing_and_refuses_odd_names(here: Path) -> None:
    init("alice")
    card = Path("alice/card.json").read_text()
    again = run("init", "--name", "alice", "--out", "alice", "--passphrase-file", "pass", code=1)
    assert "FILE_EXISTS" in again.stderr
    assert Path("alice/card.json").read_text() == card
    odd = run("init", "--name", "Alice", "--out", "b", "--passphrase-file", "pass", "--json", code=1)
    error = json.loads(odd.stderr)["error"]
    assert error["reason"] == "BAD_OPTION"
    assert "1 to 40 of a-z, 0-9" in error["message"]
    assert not Path("b").exists()


def test_nothing_is_overwritten_by_charter_and_pki_commands(here: Path) -> None:
    cards = enrol("alice", "bob")
    Path("taken").write_text("precious")
    run("charter", "new", "--organisation", "acme", "--out", "charter.toml", *cards)
    for words in (
        ("charter", "new", "--organisation", "acme", *cards),
        ("charter", "build", "charter.toml"),
    ):
        assert "FILE_EXISTS" in run(*words, "--out", "taken", code=1).stderr
    assert Path("taken").read_text() == "precious"
    assert [path.name for path in here.iterdir() if path.name.startswith(".")] == []


def test_certificates_are_issued_from_cards(here: Path) -> None:
    init("alice")
    run("pki", "init", "--out", "PKI", "--organisation", "acme")
    issued = run_json("pki", "issue", "PKI", "--card", "alice/card.json", "--role", "person", "--out", "alice/cert.pem")
    assert issued["identity"] == "spiffe://acme/person/alice"
    certificate = x509.load_pem_x509_certificate(Path("alice/cert.pem").read_bytes())
    assert identity_of(certificate) == "spiffe://acme/person/alice"
    coordinator = run_json(
        "pki", "issue-coordinator", "PKI", "--host", "127.0.0.1", "--host", "localhost", "--out", "c"
    )
    assert coordinator["identity"] == "spiffe://acme/coordinator/coordinator"
    modes = {path.name: path.stat().st_mode & 0o777 for path in Path("c").iterdir()}
    assert modes == {"tls.key": 0o600, "cert.pem": 0o644, "ca.pem": 0o644}
    refused = run("pki", "issue", "PKI", "--card", "alice/card.json", "--role", "signer", "--out", "x.pem", code=4)
    assert "CERTIFICATE_REFUSED" in refused.stderr


def test_help_version_completion_and_usage() -> None:
    assert run("--version").stdout.startswith("strongroom, version ")
    assert run("-h").stdout == run("--help").stdout
    for shell in ("zsh", "fish"):
        assert "_STRONGROOM_COMPLETE" in run("completion", shell).stdout
    run("charter", "new", code=2)
    run("nonsense", code=2)
    assert "Usage:" in CliRunner().invoke(main, []).output


def test_every_command_has_help_and_those_that_do_something_have_json() -> None:
    for group_name in ("charter", "pki"):
        listed = CliRunner().invoke(main, [group_name, "-h"]).output.partition("Commands:")[2]
        commands = [line.split()[0] for line in listed.splitlines() if line.strip()]
        assert len(commands) >= 3
        for command in commands:
            assert "--json" in run(group_name, command, "-h").stdout
    assert "--json" in run("init", "-h").stdout
