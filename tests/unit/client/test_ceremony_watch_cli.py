"""Watching a ceremony: watches that end early, vaults' names in place of orders, and weak numbers of vaults."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from fake_treasury import Office, act, sign
from strongroom_client.cli import ceremony
from strongroom_client.vault_warnings import weak_numbers

NEW_VAULT = ("vault", "create", "customer-2", "--signers", "s1,s2,s3", "--threshold", "2")


def unasked(office: Office) -> tuple[str, ...]:
    return ("--yes", "--passphrase-file", str(office.passphrase_file))


def the_order(office: Office) -> str:
    """The newest order of the log."""
    world = office.world
    found: str = world.state.order_at(world.state.orders_count - 1).hash.hex()
    return found


def test_a_watch_whose_time_is_over_says_how_to_go_on(office: Office) -> None:
    ended = act(office, "carol", *NEW_VAULT, "--watch", "--timeout", "0s", *unasked(office), code=1).output
    assert "the order goes on without you" in ended
    assert f"strongroom vault watch {the_order(office)}" in ended
    assert "WATCH_ENDED" in ended


def test_a_watch_that_is_interrupted_says_how_to_go_on(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(ceremony.asyncio, "sleep", interrupted)
    ended = act(office, "carol", *NEW_VAULT, "--watch", "--json", *unasked(office), code=1)
    error = json.loads(ended.stderr)["error"]
    assert (error["reason"], error["facts"]["order"]) == ("WATCH_ENDED", the_order(office))
    assert "strongroom vault watch" in error["message"]


def test_standard_error_of_a_watch_in_json_holds_the_error_alone(office: Office) -> None:
    ended = act(office, "carol", *NEW_VAULT, "--watch", "--timeout", "0s", "--json", *unasked(office), code=1)
    assert json.loads(ended.stderr)["error"]["facts"]["order"] == the_order(office)


def test_a_vaults_name_is_watched_as_the_newest_order_about_its_key(office: Office) -> None:
    order = sign(office, "carol", *NEW_VAULT)["order"]
    ended = act(office, "bob", "vault", "watch", "customer-2", "--timeout", "0s", "--json", code=1)
    assert json.loads(ended.stderr)["error"]["facts"]["order"] == order
    done = json.loads(act(office, "bob", "vault", "watch", "customer-1", "--json").stdout)
    assert done["vaults"][0]["vault"] == "customer-1"
    assert "no vault customer-9" in act(office, "bob", "vault", "watch", "customer-9", code=1).output


def test_a_vault_of_threshold_one_is_warned_of_when_ordered_shown_and_approved(office: Office) -> None:
    words = ("vault", "create", "customer-3", "--signers", "s1,s2,s3", "--threshold", "1")
    assert "1 holder alone signs" in act(office, "carol", *words, *unasked(office)).output
    order = the_order(office)
    assert "1 holder alone signs" in act(office, "alice", "vault", "approve", order, *unasked(office)).output
    assert any("1 holder alone" in line for line in sign(office, "carol", *words)["warnings"])


def test_a_vault_that_is_shown_tells_of_its_numbers(office: Office) -> None:
    shown = json.loads(act(office, "alice", "vault", "show", "customer-1", "--json").stdout)
    assert shown["warnings"] == list(weak_numbers(office.world.charter, shown["threshold"]))


@pytest.mark.parametrize(
    ("quorum", "threshold", "weak"), [(3, 2, False), (2, 2, True), (2, 1, False), (3, 3, False), (2, 3, True)]
)
def test_a_witness_quorum_below_half_of_signers_and_threshold_is_warned_of(
    office: Office, quorum: int, threshold: int, weak: bool
) -> None:
    charter = replace(office.world.charter, witness_quorum=quorum)
    assert len(charter.signers) == 3
    told = weak_numbers(charter, threshold)
    assert any("two histories" in line for line in told) is weak
    assert any("alone signs" in line for line in told) is (threshold == 1)


def test_only_a_withdrawal_is_said_to_have_no_plan(office: Office) -> None:
    order = sign(office, "carol", *NEW_VAULT)["order"]
    assert "it has no plan" not in act(office, "bob", "withdraw", "show", order).output
    world = office.world
    world.settle(world.order_entry(world.order(world.withdrawal("customer-1", 1_000_000)), "carol"))
    assert "open: it has no plan" in act(office, "bob", "withdraw", "show", the_order(office)).output


def test_approving_where_nobody_can_be_asked_names_the_option(office: Office) -> None:
    order = sign(office, "carol", *NEW_VAULT)["order"]
    refused = act(office, "alice", "vault", "approve", order, typed="", code=1).output
    assert "give --yes" in refused
    assert "EndorseOrder" not in office.treasury.calls


def test_a_no_is_no_lack_of_a_terminal(office: Office) -> None:
    order = sign(office, "carol", *NEW_VAULT)["order"]
    assert "give --yes" not in act(office, "alice", "vault", "approve", order, typed="n\n", code=1).output
