"""`make demo` holds from its first key to its last audit."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from strongroom_client.demo.cheats import CHEATS
from strongroom_client.demo.processes import program

pytestmark = [pytest.mark.process, pytest.mark.slow]

CHEATER = Path(__file__).parents[1] / "adversary" / "cheating_coordinator.py"


def test_the_demonstration_pays_audits_and_sees_every_fraud_refused(tmp_path: Path) -> None:
    command = [program("strongroom"), "demo", "--cheater", str(CHEATER), "--dir", str(tmp_path / "demo")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode == 0, done.stdout[-4_000:] + done.stderr[-2_000:]
    told = " ".join(done.stdout.split())
    assert told.count("paid in transaction") == 3
    assert told.count(" refuses: ") == 3 * len(CHEATS)
    assert "0 signature shares released" in told
    assert "3 withdrawals, none twice" in told


def test_a_folder_in_use_is_not_taken(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("")
    command = [program("strongroom"), "demo", "--dir", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode != 0
    assert "BAD_OPTION" in done.stderr
