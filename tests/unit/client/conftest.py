"""The fake coordinator that the client's tests talk to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from fake_treasury import CertifiedWorld, Office, open_office
from strongroom.ledger.entry_messages import Tick


@pytest.fixture
def office(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Office]:
    """A fake coordinator with one vault, and the working folder moved to a place of its own."""
    monkeypatch.chdir(tmp_path)
    world = CertifiedWorld.started()
    world.make_vault("customer-1")
    world.log(Tick())
    opened, server = open_office(tmp_path, world)
    yield opened
    server.stop(None).wait()
