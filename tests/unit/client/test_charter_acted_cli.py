"""Amendments that have acted: what they changed, and nothing that they would wait for."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fake_treasury import Office, act
from strongroom.ledger.entry_messages import Tick
from strongroom_client.cli import replaced_charter

HOUR_MS = 3_600_000


def acted(office: Office, **parts: Any) -> str:
    """An amendment that only tightens, in force."""
    order = office.world.amend(initiator="carol", **parts)
    office.world.settle(Tick())
    assert office.world.state.charter.version > 1
    return order.hex()


def facts(office: Office, order: str) -> dict[str, str]:
    told: dict[str, str] = json.loads(act(office, "bob", "charter", "status", order, "--json").stdout)["facts"]
    return told


def test_an_amendment_in_force_shows_what_it_changed_and_awaits_nothing(office: Office) -> None:
    order = acted(office, loosening_delay_ms=72 * HOUR_MS)
    shown = act(office, "bob", "charter", "status", order).output
    for word in ("Beware", "Missing", "Waits for", "waits"):
        assert word not in shown
    told = facts(office, order)
    assert told["version"] == "2, in force"
    assert told["replaced"] == "version 1"
    assert "tighter" in told
    assert "looser" not in told


def test_each_amendment_is_held_against_the_version_before_it(office: Office) -> None:
    first = acted(office, loosening_delay_ms=72 * HOUR_MS)
    second = acted(office, loosening_delay_ms=96 * HOUR_MS)
    assert facts(office, first)["version"] == "2, it was in force; version 3 is now"
    assert facts(office, second)["replaced"] == "version 2"
    assert facts(office, first)["tighter"] != facts(office, second)["tighter"]


def test_where_the_version_before_is_not_proven_no_change_is_told(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    acted(office, loosening_delay_ms=72 * HOUR_MS)
    second = acted(office, loosening_delay_ms=96 * HOUR_MS)
    monkeypatch.setattr(replaced_charter, "_ORDERS_LOOKED_AT", 0)
    told = facts(office, second)
    assert told["version"] == "3, in force"
    assert not {"replaced", "tighter", "looser", "stale", "waits"} & set(told)
