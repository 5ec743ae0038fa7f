"""What libraries have to say on standard error is no line of a daemon's log, and its operator sees none of it."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

NOTED = """
import {package}.main
import grpc
from concurrent import futures
try:
    grpc.server(futures.ThreadPoolExecutor(1)).add_insecure_port("256.1.1.1:99999")
except RuntimeError:
    print("refused")
"""


@pytest.mark.parametrize("package", ["strongroom_signer", "strongroom_coordinator"])
def test_grpc_writes_no_notes_of_its_own(package: str) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GRPC_")}
    ran = subprocess.run(
        [sys.executable, "-c", NOTED.format(package=package)],
        capture_output=True,
        text=True,
        env=environment,
        timeout=120,
        check=True,
    )
    assert (ran.stdout, ran.stderr) == ("refused\n", "")
