"""What counts as an attack on daemons ran daemons."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import real_processes

SUPPORT = Path(real_processes.__file__).parent

ATTACKS = """
import subprocess, sys
import pytest

pytestmark = pytest.mark.process
LAUNCHER = [sys.executable, {launcher!r}, "--help"]

def attack(title):
    return pytest.mark.attack(line="machine", title=title, origin="on paper")

@pytest.fixture(scope="module")
def siege():
    with subprocess.Popen(["signer_launcher.py"], executable="/bin/cat", stdin=subprocess.PIPE) as process:
        yield process
        process.stdin.close()

@attack("by a program of another kind")
def test_other():
    subprocess.run([sys.executable, "-c", ""], check=True)

@attack("in one process")
def test_none():
    pass

@pytest.mark.attack(line="machine", title="not tried", origin="on paper")
def test_skipped():
    pytest.skip("no such machine")

@attack("by a command")
def test_started():
    assert subprocess.run(LAUNCHER, capture_output=True).returncode == 0

@attack("among daemons")
def test_running(siege):
    pass
"""


@pytest.mark.slow
def test_an_attack_that_is_marked_process_and_ran_none_fails(tmp_path: Path) -> None:
    file = tmp_path / "test_attacks_of_a_trial.py"
    file.write_text(ATTACKS.format(launcher=str(SUPPORT / "signer_launcher.py")))
    (tmp_path / "conftest.py").write_text((SUPPORT.parent / "conftest.py").read_text())
    (tmp_path / "pytest.ini").write_text(f"[pytest]\nmarkers = process: runs daemons\npythonpath = {SUPPORT}\n")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-ra",
        "--promise",
        "-p",
        "no:xdist",
        "-p",
        "no:cacheprovider",
        ".",
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)
    assert "2 failed, 2 passed, 1 skipped" in done.stdout, done.stdout + done.stderr
    assert "BROKEN: by a program of another kind" in done.stdout
    assert "BROKEN: in one process" in done.stdout
    assert "neither a signer nor the coordinator ran as a process" in done.stdout


@pytest.mark.parametrize(
    ("command", "ours"),
    [
        (["/somewhere/bin/strongroom-signer", "run", "--data", "x"], True),
        (["ip", "netns", "exec", "host-1", "/bin/strongroom-coordinator", "run"], True),
        ([sys.executable, Path("/tests/support/machine_launcher.py"), "signer"], True),
        (["strongroom-regtest", "--datadir", "x"], False),
        (["strongroom", "demo"], False),
        ([b"/bin/cat", b"strongroom-signer.log"], False),
    ],
)
def test_programs_are_known_by_their_names(command: list[str | bytes | Path], ours: bool) -> None:
    assert real_processes.is_ours(command) is ours
