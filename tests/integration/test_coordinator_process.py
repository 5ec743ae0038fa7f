"""The command strongroom-coordinator as a process: init, check, run, stop, and its exit codes."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest
import structlog

from coordinator_world import TestAuthority
from ledger_world import World
from strongroom.ledger import codec
from strongroom_coordinator.clock import SystemClock
from strongroom_coordinator.main import run

PROGRAM = [sys.executable, "-c", "from strongroom_coordinator.main import main; main()"]


@pytest.fixture(autouse=True)
def own_log_settings() -> Iterator[None]:
    """The command configures the process's log; other tests get theirs back."""
    yield
    structlog.reset_defaults()


@pytest.fixture
def inputs(tmp_path: Path) -> dict[str, Path]:
    """What an operator hands to `init`."""
    world, authority = World(), TestAuthority()
    key, certificate = authority.issue("coordinator", "coordinator")
    contents = {
        "genesis": codec.encode(world.genesis()),
        "cert": certificate,
        "key": key,
        "ca": authority.pem,
        "bitcoin-cookie": b"user:password",
    }
    paths = {name: tmp_path / f"given-{name}" for name in contents}
    for name, path in paths.items():
        path.write_bytes(contents[name])
    return paths


def command(name: str, data: Path, **options: Path | str) -> int:
    arguments = [name, "--data", str(data)]
    for option, value in options.items():
        arguments += [f"--{option}", str(value)]
    return run(arguments, clock=SystemClock(), random=os.urandom)


def initialised(data: Path, inputs: dict[str, Path], listen: str = "127.0.0.1:0") -> int:
    return command("init", data, **inputs, listen=listen)


def test_init_fills_a_folder_that_check_config_accepts(
    tmp_path: Path, inputs: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "data"
    assert initialised(data, inputs) == 0
    assert World().log_id.hex() in capsys.readouterr().out
    assert (data / "key.pem").stat().st_mode & 0o777 == 0o600
    assert command("check-config", data) == 0
    assert command("migrate", data) == 0


def test_init_overwrites_nothing(tmp_path: Path, inputs: dict[str, Path]) -> None:
    data = tmp_path / "data"
    assert initialised(data, inputs) == 0
    before = {path.name: path.read_bytes() for path in data.iterdir() if path.is_file()}
    assert initialised(data, inputs, listen="127.0.0.1:1") == 2
    assert {path.name: path.read_bytes() for path in data.iterdir() if path.is_file()} == before


@pytest.mark.parametrize("broken", ["genesis", "cert", "key", "ca"])
def test_init_refuses_a_file_that_does_not_belong(
    tmp_path: Path, inputs: dict[str, Path], broken: str, capsys: pytest.CaptureFixture[str]
) -> None:
    inputs[broken].write_bytes(TestAuthority().issue("signer", "s1")[broken == "cert"])
    data = tmp_path / "data"
    assert initialised(data, inputs) == 2
    assert not (data / "coordinator.toml").exists()
    assert "BAD_CONFIG" in capsys.readouterr().err


def test_run_without_schema_says_migrate(
    tmp_path: Path, inputs: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "data"
    assert initialised(data, inputs) == 0
    (data / "coordinator.db").unlink()
    assert command("run", data) == 1
    assert "strongroom-coordinator migrate" in capsys.readouterr().err


@pytest.mark.process
def test_a_port_in_use_is_told_in_one_line_and_what_to_do_in_another(tmp_path: Path, inputs: dict[str, Path]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        data = tmp_path / "data"
        assert initialised(data, inputs, listen) == 0
        done = subprocess.run([*PROGRAM, "run", "--data", str(data)], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    *events, told, what_to_do = done.stderr.splitlines()
    assert all(line.startswith("{") for line in events), done.stderr
    assert "BAD_CONFIG" in told
    assert f"{listen} cannot be listened on: Address already in use" in told
    assert what_to_do.startswith("What to do: ")
    assert "GRPC" not in done.stderr


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        run(["--version"], clock=SystemClock(), random=os.urandom)
    assert stopped.value.code == 0
    assert capsys.readouterr().out == f"strongroom-coordinator {version('strongroom')}\n"


@pytest.mark.process
def test_daemon_runs_until_it_is_told_to_stop(tmp_path: Path, inputs: dict[str, Path]) -> None:
    data = tmp_path / "data"
    assert initialised(data, inputs) == 0
    with subprocess.Popen([*PROGRAM, "run", "--data", str(data)], stderr=subprocess.PIPE, text=True) as daemon:
        try:
            assert daemon.stderr is not None
            lines = map(json.loads, daemon.stderr)
            assert next(lines)["event"] == "revocations.none"
            ready = next(line for line in lines if line["event"] == "daemon.ready")
            assert int((data / "listen.port").read_text()) == ready["port"]
            second = subprocess.run(
                [*PROGRAM, "run", "--data", str(data)], stderr=subprocess.PIPE, text=True, timeout=60, check=False
            )
            assert (second.returncode, "DATA_FOLDER_BUSY" in second.stderr) == (1, True)
            daemon.send_signal(signal.SIGTERM)
            assert daemon.wait(timeout=60) == 0
            assert "daemon.stopped" in daemon.stderr.read()
        finally:
            daemon.kill()
