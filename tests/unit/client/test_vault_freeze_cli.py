"""Vaults, freezes, the profile and the status on the command line, against real proofs."""

from __future__ import annotations

import hashlib
import json
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import get_args, get_type_hints

import click
import pytest
from click.testing import CliRunner

from fake_treasury import Office, act, sign
from strongroom.ledger import codec
from strongroom.ledger.entry_messages import Tick
from strongroom.ledger.order_messages import Freeze, Order
from strongroom.ledger.records import OrderState
from strongroom.ledger.signed_messages import Endorsement, Verb
from strongroom.model.quantities import time_text
from strongroom_client.cli import main
from strongroom_client.errors import PinMismatch, ProfileProblem
from strongroom_client.order_kinds import ORDER_KINDS
from strongroom_client.orders import Seen
from strongroom_client.profile import Memory, Profile, load_profile, log_id_from_hex, save_profile
from strongroom_signer.operator_commands import parse_hand_in


def state_of(office: Office, order: str) -> OrderState:
    record = office.world.state.order(bytes.fromhex(order))
    assert record is not None
    return record.state


# --- vaults ----------------------------------------------------------------------------------------------------------


def test_a_vault_is_ordered_approved_and_waited_for(office: Office) -> None:
    words = ("vault", "create", "customer-2", "--class", "customer", "--signers", "s1,s2,s3", "--threshold", "2")
    order = sign(office, "carol", *words)["order"]
    shown = act(
        office, "alice", "vault", "approve", order, "--passphrase-file", str(office.passphrase_file), typed="y\n"
    ).output
    assert all(words in shown for words in ("customer-2", "s1, s2, s3", "2 of 3 must sign", "carol"))
    sign(office, "bob", "vault", "approve", order)
    assert "VAULT_NOT_FOUND" in act(office, "bob", "vault", "wait", "customer-2", "--timeout", "0s", code=1).output
    listed = json.loads(act(office, "bob", "vault", "list", "--json").stdout)
    assert listed["coming"] == [{"vault": "customer-2", "order": order, "waits_for": "approvals"}]
    assert "customer-2 is ordered; unverified" in act(office, "bob", "vault", "list").output
    office.world.settle(office.world.vault_entry(bytes.fromhex(order)))
    born = json.loads(act(office, "bob", "vault", "wait", "customer-2", "--json").stdout)
    assert (born["vault"], born["threshold"], born["final"], born["order"]) == ("customer-2", 2, True, order)
    listed = json.loads(act(office, "bob", "vault", "list", "--json").stdout)
    assert [vault["vault"] for vault in listed["vaults"]] == ["customer-1", "customer-2"]
    assert listed["coming"] == []
    assert json.loads(act(office, "bob", "vault", "show", "customer-1", "--json").stdout)["class"] == "customer"


def test_a_vault_of_unknown_signers_is_not_ordered(office: Office) -> None:
    words = ("vault", "create", "customer-2", "--signers", "s1,s9", "--threshold", "2", "--yes")
    assert "no signer s9" in act(office, "carol", *words, code=1).output
    assert "SubmitOrder" not in office.treasury.calls


@pytest.mark.parametrize(
    ("words", "title"),
    [
        (("refresh", "customer-1"), "New shares for the same holders"),
        (("reshare", "customer-1", "--signers", "s1,s2", "--threshold", "2"), "NEW HOLDERS OF A VAULT'S KEY"),
    ],
)
def test_new_shares_are_ordered_looked_at_approved_and_rejected(
    office: Office, words: tuple[str, ...], title: str
) -> None:
    order = sign(office, "carol", "vault", *words)["order"]
    phrase = ("--passphrase-file", str(office.passphrase_file))
    shown = act(office, "alice", "vault", "approve", order, *phrase, typed="y\n").output
    assert all(text in shown for text in (title, "customer-1", "carol"))
    assert sign(office, "bob", "vault", "reject", order)["order"] == order
    assert state_of(office, order) is OrderState.REJECTED


def test_every_kind_of_order_has_a_word_of_its_own_a_title_and_a_command() -> None:
    actions = get_args(get_type_hints(Order)["action"])
    assert set(ORDER_KINDS) == set(actions)
    assert len({kind.word for kind in ORDER_KINDS.values()}) == len(actions)
    assert len({kind.title for kind in ORDER_KINDS.values()}) == len(actions)
    for kind in ORDER_KINDS.values():
        command: click.Command = main
        for word in kind.command.split()[1:]:
            if not word.startswith("--"):
                assert isinstance(command, click.Group)
                found = command.get_command(click.Context(command), word)
                assert found is not None
                command = found
        flags = [word for word in kind.command.split() if word.startswith("--")]
        assert all(any(flag in option.opts for option in command.params) for flag in flags)


def test_a_withdrawal_is_not_approved_by_the_command_for_vaults(office: Office) -> None:
    world = office.world
    world.settle(world.order_entry(world.order(world.withdrawal("customer-1", 1_000_000)), "carol"))
    order = world.state.order_at(world.state.orders_count - 1).hash.hex()
    phrase = ("--passphrase-file", str(office.passphrase_file))
    refused = act(office, "alice", "vault", "approve", order, "--yes", *phrase, code=1).output
    assert "of the kind withdraw: use `strongroom withdraw`" in refused
    assert "BAD_OPTION" in refused
    assert "EndorseOrder" not in office.treasury.calls


def test_a_balance_is_marked_as_the_coordinators_word(office: Office) -> None:
    shown = act(office, "alice", "vault", "balance", "customer-1").output
    assert "unverified (coordinator's word)" in shown
    assert "1.5 BTC" in shown
    assert json.loads(act(office, "alice", "vault", "balance", "customer-1", "--json").stdout)["proven"] is False


# --- freezes ---------------------------------------------------------------------------------------------------------


def test_a_freeze_is_delivered_listed_and_lifted_by_the_quorum(office: Office) -> None:
    frozen = sign(office, "dave", "freeze", "--vault", "customer-1", "--why", "the laptop was stolen")
    assert (frozen["delivered"], frozen["scope"]) == (True, "vault customer-1")
    listed = json.loads(act(office, "alice", "freezes", "--json").stdout)["freezes"]
    assert [(one["freeze"], one["active"], one["by"]) for one in listed] == [(frozen["freeze"], True, "dave")]
    order = sign(office, "carol", "unfreeze", frozen["freeze"][:12])["order"]
    for person in ("alice", "bob"):
        sign(office, person, "unfreeze", order, "--approve")
    assert state_of(office, order) is OrderState.DONE
    listed = json.loads(act(office, "alice", "freezes", "--json").stdout)["freezes"]
    assert [(one["active"], one["holds"]) for one in listed] == [(False, "lifted")]


@pytest.mark.parametrize("offline", [False, True])
def test_a_freeze_that_is_not_delivered_becomes_a_file_for_signers(office: Office, offline: bool) -> None:
    office.treasury.deaf = True
    words = ["freeze", "--all", "--why", "stop", "--out", "freeze.json", *(["--offline"] if offline else [])]
    answer = sign(office, "dave", *words, code=0 if offline else 1)
    assert (answer["delivered"], answer["file"]) == (False, "freeze.json")
    content = json.loads(Path("freeze.json").read_text())
    order = codec.decode(Order, bytes.fromhex(content["order"]))
    said = codec.decode(Endorsement, bytes.fromhex(content["endorsements"][0]["body"]))
    assert isinstance(order.action, Freeze)
    assert order.action.why == "stop"
    assert (said.verb, said.person, said.order_hash.hex()) == (Verb.INITIATE, "dave", answer["order"])


def test_a_freeze_is_signed_even_if_no_coordinator_answers(office: Office) -> None:
    profile = load_profile(office.person("dave"))
    save_profile(office.person("dave"), replace(profile, coordinator="127.0.0.1:1"))
    answer = sign(office, "dave", "freeze", "--all", "--why", "stop", code=1)
    assert answer["delivered"] is False
    assert Path(answer["file"]).is_file()


def test_a_freeze_that_the_quorum_confirms_lasts(office: Office) -> None:
    frozen = sign(office, "dave", "freeze", "--all", "--why", "stop")["freeze"]
    for person in ("alice", "bob"):
        assert office.world.state.freezes()[0].lapses_ms > 0
        sign(office, person, "freeze", "--confirm", frozen)
    assert office.world.state.freezes()[0].lapses_ms == 0
    listed = json.loads(act(office, "alice", "freezes", "--json").stdout)["freezes"]
    assert listed[0]["holds"] == "until lifted"


def test_the_files_for_signers_are_those_that_signers_take(office: Office) -> None:
    office.treasury.deaf = True
    answer = sign(office, "dave", "freeze", "--all", "--why", "stop", code=1)
    taken = parse_hand_in(Path(answer["file"]).read_bytes())
    assert hashlib.sha256(taken.order).hexdigest() == answer["order"]
    assert len(taken.endorsements) == 1
    world = office.world
    world.settle(world.order_entry(world.order(world.withdrawal("customer-1", 1_000_000)), "carol"))
    order = world.state.order_at(world.state.orders_count - 1).hash.hex()
    answer = sign(office, "alice", "withdraw", "reject", order, code=1)
    taken = parse_hand_in(Path(answer["file"]).read_bytes())
    assert (taken.order, len(taken.endorsements)) == (b"", 1)


def test_the_table_of_freezes_says_how_old_it_is(office: Office) -> None:
    def shown() -> tuple[dict[str, int], str]:
        as_of: dict[str, int] = json.loads(act(office, "alice", "freezes", "--json").stdout)["as_of"]
        return as_of, " ".join(act(office, "alice", "freezes").output.split())

    world = office.world
    for expected in ("No freezes, ever.", "stop"):
        state = world.replica.state(world.final)
        as_of, text = shown()
        assert as_of == {"log_time_ms": state.time_ms, "size": world.final}
        assert expected in text
        assert f"As of log time {time_text(state.time_ms)}, at {world.final} entries." in text
        world.later(60_000)
        sign(office, "dave", "freeze", "--all", "--why", "stop")
        world.settle(Tick())


def test_a_freeze_says_what_it_stops(office: Office) -> None:
    for words in ((), ("--all", "--vault", "customer-1")):
        assert "BAD_OPTION" in act(office, "dave", "freeze", "--why", "x", *words, "--yes", code=1).output


# --- login, profile, status ------------------------------------------------------------------------------------------


def login(office: Office, *words: str, code: int = 0) -> str:
    profile = load_profile(office.person("alice"))
    command = ["login", "--coordinator", profile.coordinator, "--ca", str(profile.ca), "--key-dir"]
    command += [str(profile.key_folder), "--profile", "new/profile.toml"]
    defaults = {"--cert": str(profile.certificate), "--log-id": profile.log_id.hex()}
    given = dict(zip(words[::2], words[1::2], strict=True))
    for key, value in {**defaults, **given}.items():
        command += [key, value]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == code, result.output
    return result.output


def test_login_writes_a_private_profile_and_verifies_the_log(office: Office) -> None:
    output = login(office)
    assert "The coordinator serves the log of acme" in output
    file = Path("new/profile.toml")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert load_profile(file) == load_profile(office.person("alice"))
    assert Memory.beside(file, office.world.log_id).head() is not None


def test_login_says_when_the_coordinator_cannot_be_asked(office: Office) -> None:
    assert "Not verified yet" in login(office, "--coordinator", "127.0.0.1:1")


def test_login_refuses_a_coordinator_of_another_log(office: Office) -> None:
    refused = login(office, "--log-id", "ab" * 32, code=4)
    assert "Reason: PIN_MISMATCH" in refused
    assert "nothing was written" in refused
    # The right one is pinned afterwards without --replace-pin.
    assert "serves the log of acme" in login(office)


def test_login_refuses_certificates_of_others(office: Office) -> None:
    office.person("bob")
    assert "PROFILE_PROBLEM" in login(office, "--cert", str(office.root / "bob" / "cert.pem"), code=1)
    assert "PROFILE_PROBLEM" in login(office, "--log-id", "abcd", code=1)


def test_a_pin_is_not_replaced_by_accident(tmp_path: Path) -> None:
    first = Profile(
        coordinator="here:1", log_id=log_id_from_hex("11" * 32), ca=tmp_path, certificate=tmp_path, key_folder=tmp_path
    )
    other = replace(first, log_id=log_id_from_hex("22" * 32))
    file = tmp_path / "profile.toml"
    save_profile(file, first)
    with pytest.raises(PinMismatch):
        save_profile(file, other)
    assert load_profile(file).log_id == first.log_id
    save_profile(file, other, replace_pin=True)
    assert load_profile(file).log_id == other.log_id


@pytest.mark.parametrize("text", ["", "coordinator = 1", "x = ", 'coordinator = "a"\nextra = "b"'])
def test_a_profile_in_another_form_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "profile.toml"
    file.write_text(text)
    with pytest.raises(ProfileProblem):
        load_profile(file)


def test_paths_of_any_letters_survive_the_profile(tmp_path: Path) -> None:
    odd = tmp_path / 'a "quoted" \\ päth'
    profile = Profile(coordinator="here:1", log_id=log_id_from_hex("11" * 32), ca=odd, certificate=odd, key_folder=odd)
    save_profile(tmp_path / "profile.toml", profile)
    assert load_profile(tmp_path / "profile.toml") == profile


def test_memory_keeps_the_newest_head_and_ignores_damage(tmp_path: Path) -> None:
    log_id = log_id_from_hex("11" * 32)
    memory = Memory(file=tmp_path / "head.json", log_id=log_id)
    assert memory.head() is None
    memory.remember(Seen(size=5, root=bytes(32)))
    memory.remember(Seen(size=4, root=bytes(32)))
    assert memory.head() == Seen(size=5, root=bytes(32))
    assert Memory(file=memory.file, log_id=log_id_from_hex("22" * 32)).head() is None
    memory.file.write_text("{")
    assert memory.head() is None


def test_status_separates_what_is_proven_from_what_is_told(office: Office) -> None:
    told = json.loads(act(office, "alice", "status", "--json").stdout)
    assert told["final_size"] == office.world.final
    assert [signer["connected"] for signer in told["coordinator"]["signers"]] == [True, True, False]
    assert "nverified (coordinator's word)" in act(office, "alice", "status").output


def test_status_tells_who_is_connected_before_anything_is_certified(office: Office) -> None:
    office.treasury.starting = True
    told = json.loads(act(office, "alice", "status", "--json").stdout)
    assert (told["organisation"], told["final_size"], told["final_root"]) == (None, 0, None)
    assert [signer["connected"] for signer in told["coordinator"]["signers"]] == [True, True, False]
    assert "nothing certified now" in act(office, "alice", "status").output


def test_without_a_profile_the_command_says_what_to_do(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["status", "--profile", str(tmp_path / "none.toml")])
    assert result.exit_code == 1
    assert "strongroom login" in result.output


def test_the_log_that_ticks_stays_readable(office: Office) -> None:
    office.world.log(Tick())
    assert json.loads(act(office, "alice", "vault", "list", "--json").stdout)["vaults"][0]["final"] is True


# --- ceremonies that are watched -------------------------------------------------------------------------------------

NEW_VAULT = ("vault", "create", "customer-2", "--signers", "s1,s2,s3", "--threshold", "2")


def meanwhile(office: Office, *steps: Callable[[bytes], None]) -> None:
    """Do one of these with the next order after each look at it, as others would."""
    known, waiting = office.world.state.orders_count, list(steps)

    def act_on(_response: object) -> None:
        if waiting:
            waiting.pop(0)(office.world.state.order_at(known).hash)

    office.treasury.lies["GetOrder"] = act_on


def test_a_new_vault_is_watched_to_its_end_and_its_record_written(office: Office) -> None:
    world = office.world
    meanwhile(
        office,
        lambda order: world.settle(*(world.endorse(name, Verb.APPROVE, order) for name in ("alice", "bob"))),
        lambda order: world.settle(world.vault_entry(order)),
    )
    told = sign(office, "carol", *NEW_VAULT, "--watch", "--record", "record.json", "--page", "page.txt")
    told.pop("warnings", None)
    assert told == json.loads(Path("record.json").read_text())
    assert told["vaults"][0]["vault"] == "customer-2"
    assert (told["ordered_by"], told["approved_by"]) == ("carol", ["alice", "bob"])
    page = Path("page.txt").read_text()
    assert told["vaults"][0]["transcript_hash"] in page
    assert "Ordered by   carol\nApproved by  alice, bob\n" in page


def test_a_watched_order_that_is_rejected_ends_the_watch(office: Office) -> None:
    world = office.world
    meanwhile(office, lambda order: world.settle(world.endorse("alice", Verb.REJECT, order)))
    phrase = ("--yes", "--passphrase-file", str(office.passphrase_file))
    ended = act(office, "carol", *NEW_VAULT, "--watch", *phrase, code=4).output
    assert "CEREMONY_UNFINISHED" in ended
    assert "the order is rejected" in ended


def test_a_record_that_is_there_is_refused_before_anything_is_signed(office: Office) -> None:
    Path("record.json").write_text("{}")
    phrase = ("--yes", "--passphrase-file", str(office.passphrase_file))
    assert "there already" in act(office, "carol", *NEW_VAULT, "--record", "record.json", *phrase, code=1).output
    assert "SubmitOrder" not in office.treasury.calls
