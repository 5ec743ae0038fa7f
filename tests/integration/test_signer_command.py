"""The command `strongroom-signer` from init to a stopped daemon, and everything it refuses."""

from __future__ import annotations

import datetime as dt
import io
import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

import charter_builder as builder
from ledger_world import START_MS, World
from link_leader import Authority
from paper import words_pipe
from signer_world import CHEAP, PASSPHRASE, FakeClock
from strongroom.ledger.charter import Charter, CharterSigner, encode_charter, log_id_of
from strongroom.ledger.signed_messages import Verb
from strongroom.wire.cards import parse_card
from strongroom_signer.main import run
from strongroom_signer.operator_commands import BadHandInFile, parse_hand_in

COORDINATOR = "127.0.0.1:1"


class Terminal:
    """Runs commands in this process and keeps what they wrote."""

    def __init__(self, root: Path) -> None:
        self.folder = root / "s1"
        self.phrase = root / "phrase"
        self.phrase.write_bytes(PASSPHRASE + b"\n")
        self.clock = FakeClock()
        self.out = self.err = ""
        self.words: list[str] = []

    def run(self, *arguments: str, phrase: Path | None = None) -> int:
        out, err = io.StringIO(), io.StringIO()
        extra = ["--data", str(self.folder)]
        if arguments[0] in {"init", "enrol", "run"}:
            extra += ["--passphrase-file", str(phrase or self.phrase)]
        if arguments[0] == "init":
            with words_pipe() as (pipe, self.words):
                code = self._run([*arguments, *extra, "--words-fd", str(pipe)], out, err)
        else:
            code = self._run([*arguments, *extra], out, err)
        self.out, self.err = out.getvalue(), err.getvalue()
        return code

    def _run(self, arguments: list[str], out: io.StringIO, err: io.StringIO) -> int:
        return run(arguments, clock=self.clock, random=os.urandom, cost=CHEAP, out=out, err=err)


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    return Terminal(tmp_path)


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority.create()


def charter_for(folder: Path) -> Charter:
    """A charter that lists the signer of a folder as s1."""
    card = parse_card((folder / "card.json").read_text())
    mine = CharterSigner(
        name=card.name, host_key=card.keys["host"], vote_key=card.keys["vote"], witness_key=card.keys["witness"]
    )
    charter = builder.charter()
    return replace(charter, signers=(mine, *charter.signers[1:]))


def enrol_arguments(root: Path, folder: Path, authority: Authority, charter: Charter, **parts: Any) -> list[str]:
    data = encode_charter(charter)
    files = {
        "charter": data,
        "cert": parts.pop("cert", None) or authority.issue_signer(folder, "s1"),
        "ca": authority.pem,
    }
    arguments = ["enrol", "--coordinator", COORDINATOR]
    for name, content in files.items():
        (root / name).write_bytes(content)
        arguments += [f"--{name}", str(root / name)]
    return [*arguments, "--fingerprint", parts.pop("fingerprint", log_id_of(data).hex())]


@pytest.fixture
def enrolled(terminal: Terminal, authority: Authority, tmp_path: Path) -> Terminal:
    assert terminal.run("init", "--name", "s1") == 0
    charter = charter_for(terminal.folder)
    assert terminal.run(*enrol_arguments(tmp_path, terminal.folder, authority, charter)) == 0, terminal.err
    return terminal


# --- init ---


def test_init_writes_private_files_and_a_card_that_verifies(terminal: Terminal) -> None:
    assert terminal.run("init", "--name", "s1") == 0
    for name in ("signer.sealed", "signer.db", "tls.key"):
        assert stat.S_IMODE((terminal.folder / name).stat().st_mode) == 0o600, name
    assert stat.S_IMODE(terminal.folder.stat().st_mode) == 0o700
    assert parse_card((terminal.folder / "card.json").read_text()).name == "s1"


def test_init_never_touches_a_folder_with_a_signer(terminal: Terminal) -> None:
    assert terminal.run("init", "--name", "s1") == 0
    before = (terminal.folder / "signer.sealed").read_bytes()
    assert terminal.run("init", "--name", "s1") == 4
    assert "ALREADY_INITIALISED" in terminal.err
    assert (terminal.folder / "signer.sealed").read_bytes() == before


@pytest.mark.parametrize("name", ["", "S1", "a b", "x" * 41, "ä"])
def test_init_refuses_names_that_no_charter_takes(terminal: Terminal, name: str) -> None:
    assert terminal.run("init", "--name", name) == 2
    assert not (terminal.folder / "signer.sealed").exists()


def test_init_refuses_a_short_passphrase(terminal: Terminal, tmp_path: Path) -> None:
    (tmp_path / "short").write_bytes(b"1234567\n")
    assert terminal.run("init", "--name", "s1", phrase=tmp_path / "short") == 2


# --- enrol ---


def test_enrol_pins_the_log_and_shows_what_to_compare(enrolled: Terminal, authority: Authority, tmp_path: Path) -> None:
    charter = charter_for(enrolled.folder)
    assert log_id_of(encode_charter(charter)).hex() in enrolled.out
    assert "host keys  2/3" in enrolled.out
    assert (enrolled.folder / "signer.toml").is_file()


def test_fingerprint_may_be_typed_in_groups_and_capitals(
    terminal: Terminal, authority: Authority, tmp_path: Path
) -> None:
    terminal.run("init", "--name", "s1")
    charter = charter_for(terminal.folder)
    digits = log_id_of(encode_charter(charter)).hex().upper()
    grouped = " ".join(digits[start : start + 8] for start in range(0, 64, 8))
    assert terminal.run(*enrol_arguments(tmp_path, terminal.folder, authority, charter, fingerprint=grouped)) == 0


def test_enrol_refuses_another_fingerprint(terminal: Terminal, authority: Authority, tmp_path: Path) -> None:
    terminal.run("init", "--name", "s1")
    charter = charter_for(terminal.folder)
    wrong = enrol_arguments(tmp_path, terminal.folder, authority, charter, fingerprint="00" * 32)
    assert terminal.run(*wrong) == 4
    assert "WRONG_CHARTER" in terminal.err
    assert terminal.run("run") == 2
    assert not (terminal.folder / "signer.toml").exists()


def test_enrol_refuses_a_charter_without_this_signers_keys(
    terminal: Terminal, authority: Authority, tmp_path: Path
) -> None:
    terminal.run("init", "--name", "s1")
    assert terminal.run(*enrol_arguments(tmp_path, terminal.folder, authority, builder.charter())) == 4
    assert "card.json" in terminal.err


def test_enrol_refuses_a_second_log(enrolled: Terminal, authority: Authority, tmp_path: Path) -> None:
    other = replace(charter_for(enrolled.folder), salt=bytes(32))
    assert enrolled.run(*enrol_arguments(tmp_path, enrolled.folder, authority, other)) == 4
    assert "ALREADY_ENROLLED" in enrolled.err


def test_enrol_again_renews_the_certificate(enrolled: Terminal, authority: Authority, tmp_path: Path) -> None:
    charter = charter_for(enrolled.folder)
    before = (enrolled.folder / "cert.pem").read_bytes()
    assert enrolled.run(*enrol_arguments(tmp_path, enrolled.folder, authority, charter)) == 0
    assert (enrolled.folder / "cert.pem").read_bytes() != before


def test_enrol_refuses_certificates_of_others(terminal: Terminal, authority: Authority, tmp_path: Path) -> None:
    terminal.run("init", "--name", "s1")
    charter = charter_for(terminal.folder)
    elsewhere = tmp_path / "other"
    elsewhere.mkdir()
    Terminal(elsewhere).run("init", "--name", "s1")
    over = dt.datetime.fromtimestamp(START_MS / 1000, dt.UTC) - dt.timedelta(days=1)
    wrong = {
        "name": authority.issue_signer(terminal.folder, "s2"),
        "organisation": authority.issue_signer(terminal.folder, "s1", "other"),
        "key": authority.issue_signer(elsewhere / "s1", "s1"),
        "authority": Authority.create().issue_signer(terminal.folder, "s1"),
        "time": authority.issue_signer(terminal.folder, "s1", end=over),
        "form": b"no certificate",
    }
    for what, certificate in wrong.items():
        assert terminal.run(*enrol_arguments(tmp_path, terminal.folder, authority, charter, cert=certificate)) == 2, (
            what
        )
        assert "TLS_CERTIFICATE_INVALID" in terminal.err, what


def test_wrong_passphrase_has_its_own_exit_code(enrolled: Terminal, tmp_path: Path) -> None:
    (tmp_path / "wrong").write_bytes(b"another passphrase")
    assert enrolled.run("run", phrase=tmp_path / "wrong") == 3
    assert "WRONG_PASSPHRASE" in enrolled.err


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"], clock=FakeClock(), random=os.urandom) == 0
    assert capsys.readouterr().out == f"strongroom-signer {version('strongroom')}\n"


# --- check-config ---


def test_check_config_says_what_is_right(enrolled: Terminal) -> None:
    assert enrolled.run("check-config", "--json") == 0
    assert json.loads(enrolled.out)["signer"] == "s1"


def test_check_config_names_an_asset_that_the_charter_lacks(enrolled: Terminal) -> None:
    with (enrolled.folder / "signer.toml").open("a") as file:
        file.write('[limits."bip122:000000000019d6689c085ae165831e93/slip44:0"]\nper_order = "1"\n')
    assert enrolled.run("check-config") == 2
    assert "slip44:0" in enrolled.err


def test_check_config_names_every_mistake_at_once(enrolled: Terminal) -> None:
    with (enrolled.folder / "signer.toml").open("a") as file:
        file.write('[limits."bip122:000000000019d6689c085ae165831e93/slip44:0"]\nper_order = "1"\n')
    enrolled.folder.chmod(0o755)
    (enrolled.folder / "signer.sealed").chmod(0o644)
    (enrolled.folder / "cert.pem").unlink()
    assert enrolled.run("check-config", "--json") == 2
    error = json.loads(enrolled.err)["error"]
    assert error["reason"] == "BAD_CONFIG"
    for part in ("slip44:0", "(755)", "signer.sealed (644)", "cert.pem cannot be read"):
        assert part in error["message"]


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda folder: folder.chmod(0o750), "FOLDER_EXPOSED"),
        (lambda folder: (folder / "cert.pem").unlink(), "TLS_CERTIFICATE_INVALID"),
    ],
)
def test_check_config_gives_one_mistake_its_own_reason(
    enrolled: Terminal, spoil: Callable[[Path], None], reason: str
) -> None:
    spoil(enrolled.folder)
    assert enrolled.run("check-config") == 2
    assert reason in enrolled.err


def test_a_file_that_is_not_there_has_a_reason(enrolled: Terminal, tmp_path: Path) -> None:
    missing = str(tmp_path / "nofile.json")
    arguments = ["enrol", "--coordinator", COORDINATOR, "--charter", missing, "--cert", missing, "--ca", missing]
    assert enrolled.run(*arguments, "--fingerprint", "00", "--json") == 2
    error = json.loads(enrolled.err)["error"]
    assert error["reason"] == "FILE_UNUSABLE"
    assert "nofile.json" in error["message"]


def test_errors_are_json_when_asked_for(terminal: Terminal) -> None:
    assert terminal.run("check-config", "--json") == 2
    assert json.loads(terminal.err)["error"]["reason"] == "BAD_CONFIG"


# --- the daemon as a process ---


@contextmanager
def running(folder: Path, phrase: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", "from strongroom_signer.main import main; main()", "run"]
    command += ["--data", str(folder), "--passphrase-file", str(phrase)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            wait_for(process, "daemon.ready")
            yield process
        finally:
            process.kill()


def wait_for(process: subprocess.Popen[str], event: str) -> list[dict[str, Any]]:
    assert process.stderr is not None
    lines = []
    for line in process.stderr:
        lines.append(json.loads(line))
        if lines[-1]["event"] == event:
            return lines
    raise AssertionError(f"{event} never came: {lines}")


@pytest.mark.process
def test_daemon_serves_its_operator_and_stops_gracefully(enrolled: Terminal) -> None:
    with running(enrolled.folder, enrolled.phrase) as process:
        assert stat.S_IMODE((enrolled.folder / "operator.sock").stat().st_mode) == 0o600
        assert enrolled.run("status", "--json") == 0
        status = json.loads(enrolled.out)
        assert (status["signer"], status["connected"], status["size"]) == ("s1", False, 0)
        assert enrolled.run("freeze", "--why", "I saw something", "--json") == 0
        identifier = json.loads(enrolled.out)["freeze_id"]
        assert enrolled.run("status") == 0
        assert identifier in enrolled.out
        assert enrolled.run("thaw", identifier) == 0
        assert enrolled.run("thaw", identifier) == 4
        assert "LOCAL_FREEZE_UNKNOWN" in enrolled.err
        assert enrolled.run("freeze", "--vault", "NOT A NAME", "--why", "x") == 4
        assert enrolled.run("run") == 4
        assert "FOLDER_IN_USE" in enrolled.err
        assert enrolled.run("check-config") == 0, enrolled.err
        (enrolled.folder / "cert.pem").rename(enrolled.folder / "away.pem")
        assert enrolled.run("check-config") == 2
        assert "TLS_CERTIFICATE_INVALID" in enrolled.err
        (enrolled.folder / "away.pem").rename(enrolled.folder / "cert.pem")
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 0
    assert not (enrolled.folder / "operator.sock").exists()
    assert enrolled.run("status") == 1
    assert "DAEMON_NOT_RUNNING" in enrolled.err


def test_a_daemon_in_a_folder_that_others_can_enter_warns_of_it(enrolled: Terminal, tmp_path: Path) -> None:
    enrolled.folder.chmod(0o755)
    (tmp_path / "wrong").write_bytes(b"not the passphrase\n")
    assert enrolled.run("run", phrase=tmp_path / "wrong") == 3
    warned = json.loads(enrolled.err.splitlines()[0])
    assert (warned["event"], warned["level"], "(755)" in warned["detail"]) == ("folder.exposed", "warning", True)


@pytest.mark.process
def test_killed_daemon_starts_again_with_its_freezes(enrolled: Terminal) -> None:
    with running(enrolled.folder, enrolled.phrase) as process:
        assert enrolled.run("freeze", "--why", "I saw something") == 0
        process.kill()
        process.wait(timeout=60)
    with running(enrolled.folder, enrolled.phrase):
        assert enrolled.run("status", "--json") == 0
        assert len(json.loads(enrolled.out)["local_freezes"]) == 1


@pytest.mark.process
def test_freeze_with_one_command_while_the_daemon_is_down(enrolled: Terminal) -> None:
    assert enrolled.run("freeze", "--why", "the office burns", "--json") == 0
    told = json.loads(enrolled.out)
    assert told["daemon"] is False
    with running(enrolled.folder, enrolled.phrase):
        assert enrolled.run("status", "--json") == 0
        [freeze] = json.loads(enrolled.out)["local_freezes"]
        assert (freeze["id"], freeze["why"], freeze["vault"]) == (told["freeze_id"], "the office burns", None)


def test_a_freeze_needs_no_sound_configuration(enrolled: Terminal) -> None:
    (enrolled.folder / "signer.toml").write_text("this is not TOML")
    assert enrolled.run("freeze", "--why", "everything is broken", "--vault", "customer-1") == 0
    assert "Once it does, it gives no shares for vault customer-1" in enrolled.out


@pytest.mark.process
def test_a_daemon_that_hangs_is_to_be_stopped_first(enrolled: Terminal) -> None:
    with running(enrolled.folder, enrolled.phrase):
        (enrolled.folder / "operator.sock").unlink()
        assert enrolled.run("freeze", "--why", "it hangs") == 1
        assert "DAEMON_SILENT" in enrolled.err


@pytest.mark.process
def test_daemon_that_others_may_not_look_into(enrolled: Terminal) -> None:
    with running(enrolled.folder, enrolled.phrase) as process:
        limits = Path(f"/proc/{process.pid}/limits").read_text()
        core = next(line for line in limits.splitlines() if line.startswith("Max core file size"))
        assert core.split()[4:6] == ["0", "0"]


# --- hand-in files ---


def test_hand_in_file_is_read_strictly() -> None:
    world = World.started()
    said = world.endorsement("alice", Verb.REJECT, bytes(32))
    good = {"v": 1, "endorsements": [{"body": said.body.hex(), "signature": said.signature.hex()}]}
    assert parse_hand_in(json.dumps(good).encode()).endorsements[0].body == said.body
    wrong: list[Any] = [
        [],
        {**good, "v": 2},
        {**good, "more": 1},
        {"v": 1},
        {**good, "endorsements": []},
        {**good, "endorsements": [{"body": "zz", "signature": "00"}]},
        {**good, "endorsements": [{"body": "00"}]},
        {**good, "order": 5},
    ]
    for content in wrong:
        with pytest.raises(BadHandInFile):
            parse_hand_in(json.dumps(content).encode())
    with pytest.raises(BadHandInFile):
        parse_hand_in(b"\xff")
