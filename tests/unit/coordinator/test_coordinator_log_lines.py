"""The coordinator's log: lines that are read together with those of signers."""

from __future__ import annotations

import io
import json
from datetime import datetime

import pytest
import structlog

from strongroom_coordinator.logs import configure
from strongroom_signer.logs import open_log


def test_the_time_of_a_line_stands_under_the_key_of_the_signers_lines(capsys: pytest.CaptureFixture[str]) -> None:
    stream, before = io.StringIO(), structlog.get_config()
    open_log(stream=stream).info("link.opened")
    try:
        configure()
        structlog.get_logger().info("link.opened")
    finally:
        structlog.configure(**before)
    ours, theirs = json.loads(capsys.readouterr().err), json.loads(stream.getvalue())
    assert set(ours) == set(theirs)
    written = [datetime.fromisoformat(line["time"]) for line in (theirs, ours)]
    assert written == sorted(written)
