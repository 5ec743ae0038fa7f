"""A process that holds a share leaves no core dump and no readable file, and nobody may look into it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROBE = """
import ctypes, os, resource, sys
from strongroom_client.recovery_kit.hardening import harden
harden()
assert resource.getrlimit(resource.RLIMIT_CORE) == (0, 0)
assert ctypes.CDLL(None).prctl(3, 0, 0, 0, 0) == 0
open(sys.argv[1], "w").close()
assert os.stat(sys.argv[1]).st_mode & 0o777 == 0o600
from pathlib import Path
from strongroom_client.files import replace_file, write_new
shared = Path(sys.argv[1] + ".commitments")
write_new(shared, b"for the others", mode=0o644)
assert os.stat(shared).st_mode & 0o777 == 0o644
replace_file(shared, b"for the others", mode=0o644)
assert os.stat(shared).st_mode & 0o777 == 0o644
write_new(Path(sys.argv[1] + ".own"), b"")
assert os.stat(sys.argv[1] + ".own").st_mode & 0o777 == 0o600
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel is asked as Linux answers")
def test_core_dumps_and_debuggers_are_off_and_files_are_private_but_what_others_must_read(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROBE, str(tmp_path / "file")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
