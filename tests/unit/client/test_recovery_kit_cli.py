"""The recovery kit on the command line, from an exported log and files alone."""

from __future__ import annotations

import getpass
import json
import os
import termios
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

import strongroom_client.cli.recovery_kit as commands
from charter_builder import RECOVERY, host_secret
from kit_office import KitOffice
from kit_world import SAFE, VAULT
from paper import typed
from restart_world import RestartWorld
from strongroom.chains.bitcoin.transaction import parse, txid_text
from strongroom.crypto.seed_words import words_of
from strongroom.ledger import codec
from strongroom.ledger.entry_messages import Tick
from strongroom.ledger.signed_messages import Verb
from strongroom.model.fingerprints import Compared, spoken
from strongroom.protocol.recovery_kit_files import read_plan_file, write_plan_file, write_word_file
from strongroom.protocol.recovery_kit_plan import OpenedPlan, open_plan
from strongroom.protocol.recovery_kit_records import SweepShares
from strongroom.protocol.recovery_kit_rounds import SweepHolder, holder_share
from strongroom.protocol.recovery_kit_words import COMMITMENTS, SHARES, sign_word
from strongroom_client.cli import main
from strongroom_client.files import FileProblem
from strongroom_client.recovery_kit import words as words_module
from strongroom_client.recovery_kit.exchange import Exchange, ExchangeIncomplete
from strongroom_client.recovery_kit.exported import open_export
from strongroom_client.recovery_kit.words import NoTerminalForWords, host_key


@pytest.fixture
def office(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> KitOffice:
    # It would turn core dumps of the test run off; the test with real processes looks at what it does.
    monkeypatch.setattr(commands, "harden", lambda: None)
    monkeypatch.chdir(tmp_path)
    return KitOffice.opened(tmp_path)


@pytest.fixture
def ready(office: KitOffice) -> KitOffice:
    office.ordered()
    return office


def planned(office: KitOffice) -> OpenedPlan:
    return read_plan_file(Path(office.path("plan.json")).read_bytes())


def other_holder(office: KitOffice, *, folder: str = "exchange") -> SweepHolder:
    """s3, whose commitments lie in the exchange folder."""
    holder = office.kit.holder(planned(office), "s3")
    content = write_word_file(COMMITMENTS, holder.commitments)
    (office.root / folder / "s3.commitments").write_bytes(content)
    return holder


def finish(office: KitOffice, other: SweepHolder) -> None:
    """s3 answers what s1 committed to."""
    opened = planned(office)
    words = Exchange(office.root / "exchange").read(COMMITMENTS, opened.names)
    shares = write_word_file(SHARES, other.shares(words, aux32=bytes(32)))
    (office.root / "exchange" / "s3.shares").write_bytes(shares)


# --- the whole way ---------------------------------------------------------------------------------------------------


def test_a_vault_is_moved_with_words_and_an_exported_log(ready: KitOffice) -> None:
    other = other_holder(ready)
    done = ready.sign("s1")
    assert f"Move everything of vault {VAULT}" in done.stdout
    assert SAFE in done.stdout
    finish(ready, other)
    told = ready.json("combine", "--plan", ready.path("plan.json"), "--exchange", ready.path("exchange"), "--out", "tx")
    transaction = parse(bytes.fromhex(Path("tx").read_text().strip()))
    assert told["txid"] == txid_text(transaction.txid)
    assert (told["amount_sat"], told["destination"]) == (transaction.outputs[0].amount_sat, SAFE)
    assert sorted(path.name for path in (ready.root / "exchange").iterdir()) == [
        "s1.commitments", "s1.shares", "s3.commitments", "s3.shares"
    ]  # fmt: skip


def test_nothing_secret_is_written_or_shown(ready: KitOffice) -> None:
    other_holder(ready)
    shown = ready.sign("s1").output
    share = holder_share(ready.kit.vault, "s1", host_secret("s1"), ready.kit.recovery)
    secrets = [host_secret("s1").expose(), share.expose()]
    files = [path.read_bytes() for path in ready.root.rglob("*") if path.is_file()]
    for content in (*files, shown.encode()):
        for secret in secrets:
            assert secret not in content
            assert secret.hex().encode() not in content
    assert not [word for word in words_of(host_secret("s1")) if f" {word} " in shown]


def test_describe_says_what_to_compare_and_how_to_look_for_coins(office: KitOffice) -> None:
    told = office.json("describe", "--log", str(office.log))
    assert (told["log_id"], told["certified_head"], told["admins_wanted"]) == (
        office.world.log_id.hex(),
        office.head,
        2,
    )
    (vault,) = told["vaults"]
    assert (vault["vault"], vault["threshold"], vault["holders"]) == (VAULT, 2, ["s1", "s2", "s3"])
    assert vault["recovery_data"] is True
    assert vault["deposits"].startswith("tr(tpub")
    scan = json.loads(office.run("scan", "--log", str(office.log), "--vault", VAULT, "--search", "50").stdout)
    assert scan == [{"desc": vault["deposits"], "range": 49}, {"desc": vault["change"], "range": 49}]
    shown = office.run("describe", "--log", str(office.log)).stdout
    final = office.world.final  # type: ignore[attr-defined]
    assert told["final_head"] == f"{final}:{(office.world.replica.root_at(final) or b'').hex()}"
    assert told["final_head"] != told["certified_head"]
    assert told["read_aloud"] == spoken(Compared.CHARTER, office.world.log_id)
    lines = {" ".join(line.split()) for line in shown.splitlines()}
    assert {f"certified head {office.head}", f"final head {told['final_head']}"} <= lines
    assert f"read aloud {told['read_aloud']}" in lines
    assert "2 of s1, s2, s3 sign" in shown
    empty = office.export(b"\1" * 40, name="without")
    assert "cannot be moved with it" in office.run("describe", "--log", str(empty)).stdout


def test_what_is_signed_stands_below_the_log_it_is_judged_by(ready: KitOffice, monkeypatch: pytest.MonkeyPatch) -> None:
    """All may have one old log, of which those who hold it agree: its age and its people tell."""
    pins = {"head": ready.head}
    ready.world.freeze("dave", why="the order is not ours")
    ready.world.log(Tick())
    ready.export()
    shown = ready.sign("s1", code=4, timeout="1s", **pins).stdout
    lines = [" ".join(line.split()) for line in shown.splitlines()]
    size = ready.world.replica.size
    assert lines[0] == f"By the log of {ready.world.charter.organisation}, {size} entries"
    assert lines[1].endswith("less than a day before now")
    assert lines[2] == f"compared up to entry {size - 2}, 2 entries before its end"
    assert lines[3] == "administers 2 of alice, bob, carol"
    assert lines[4] == "FROZEN all vaults by dave: the order is not ours"
    assert lines[5].startswith(f"Move everything of vault {VAULT}")
    monkeypatch.setattr(commands, "now_ms", lambda: ready.world.time_ms + 5 * 86_400_000)
    (ready.root / "exchange" / "s1.commitments").unlink()
    assert "5 days before now" in ready.sign("s1", code=4, timeout="1s").stdout


def test_a_key_that_was_revoked_by_hand_approves_nothing(ready: KitOffice) -> None:
    """A coordinator kept the revocation out of the log; who has its file need not believe the log."""
    world = ready.world
    charter = world.state.charter
    people = tuple(
        replace(person, keys=(replace(person.keys[0], public=bytes([9]) * 32),)) if person.name == "bob" else person
        for person in charter.people
    )
    order = world.order(world.amendment(people=people))

    def written(*names: str, name: str = "revocation.json") -> str:
        said = [world.endorsement(names[0], Verb.INITIATE, order)]
        said += [world.endorsement(person, Verb.APPROVE, order) for person in names[1:]]
        signed = [{"body": one.body.hex(), "signature": one.signature.hex()} for one in said]
        Path(ready.path(name)).write_text(json.dumps({"v": 1, "order": order.hex(), "endorsements": signed}))
        return ready.path(name)

    done = ready.sign("s1", code=4, revoked=written("dave", "alice", "carol"))
    assert "bob approves with a key that was revoked by hand" in done.stderr
    # Whose key it is stands there before anything is judged by it.
    bob = next(person.keys[0].public for person in charter.people if person.name == "bob")
    assert f"bob: {bob.hex()}\n  approved by  alice, carol\n" in done.stdout
    alone = written("dave", "alice", name="alone.json")
    assert "the administrators have not approved it" in ready.sign("s1", code=4, revoked=alone).stderr
    Path(alone).write_text("{}")
    assert "what is handed to signers" in ready.sign("s1", code=1, revoked=alone).stderr
    assert not list((ready.root / "exchange").iterdir())


# --- the export ------------------------------------------------------------------------------------------------------


def test_an_export_is_held_against_what_people_compared(ready: KitOffice) -> None:
    other = "0" * 64
    size = ready.world.replica.size
    for options, why in (
        ({"fingerprint": other}, "not the one whose fingerprint you typed"),
        ({"head": f"{size}:{other}"}, "another history"),
        ({"head": f"{size + 1}:{other}"}, "it is an old one"),
        ({"head": "7"}, "a head is SIZE:ROOT"),
    ):
        assert why in ready.sign("s1", code=4, **options).stderr
    assert not list((ready.root / "exchange").iterdir())


def test_an_older_export_is_told_by_the_head(ready: KitOffice) -> None:
    old = (ready.root / "log").read_bytes()
    (ready.root / "old").write_bytes(old)
    ready.world.log(Tick())
    assert "it is an old one" in ready.sign("s1", code=4, log=ready.path("old")).stderr


def test_a_changed_export_is_refused(ready: KitOffice) -> None:
    data = ready.log.read_bytes()
    for broken in (data[:-1], data[:-60] + b"\0" + data[-59:], data + b"\0"):
        ready.log.write_bytes(broken)
        assert "LOG_EXPORT_INVALID" in ready.sign("s1", code=1).stderr


def test_an_export_that_no_certificate_vouches_for_is_refused(ready: KitOffice) -> None:
    world: Any = ready.world
    size = max(world.certificates)
    vote = world.certificates[size].votes[0]
    world.certificates[size] = replace(world.certificates[size], votes=(vote,))
    ready.export()
    assert "AUDIT_DISCREPANCY" in ready.sign("s1", code=4).stderr


def test_a_log_that_was_founded_anew_is_as_good_under_its_new_fingerprint(office: KitOffice) -> None:
    world: Any = office.world
    before = world.log_id
    world.found(RestartWorld(world).restart(certificate=world.newest), s2="s2-new", s3="s3-new")
    world.log(Tick())
    office.export()
    had = open_export(office.log).founded
    assert [(one.log_id, one.charter.version) for one in had] == [(before, 1), (world.log_id, 2)]
    office.ordered()
    assert "not the one whose fingerprint you typed" in office.sign("s1", code=4, fingerprint=before.hex()).stderr
    other = other_holder(office)
    office.sign("s1")
    finish(office, other)
    told = office.json(
        "combine", "--plan", office.path("plan.json"), "--exchange", office.path("exchange"), "--out", "tx"
    )
    assert told["vault"] == VAULT


def test_recovery_data_must_be_in_the_file(ready: KitOffice) -> None:
    ready.export(b"\1" * 40)
    assert "no recovery data of vault customer-1, epoch 1" in ready.sign("s1", code=4).stderr
    assert "no recovery data" in ready.plan(name="other.json", code=4).stderr


def test_a_missing_export_is_said_so(office: KitOffice) -> None:
    assert "cannot read" in office.run("describe", "--log", office.path("nowhere"), code=1).stderr


def test_what_was_compared_is_asked_for(ready: KitOffice) -> None:
    key = ("--key", ready.path("alice"), "--passphrase-file", ready.path("passphrase"))
    ready.order(name="second.json")
    answers = f"{ready.world.log_id.hex()}\n{ready.head}\ny\n"
    done = ready.run("approve", ready.path("second.json"), "--log", str(ready.log), *key, typed=answers)
    assert "Log fingerprint" in done.stderr
    assert "alice" in done.stdout


# --- order and approvals ---------------------------------------------------------------------------------------------


def test_an_order_is_judged_when_it_is_made(office: KitOffice) -> None:
    log = ("--log", str(office.log))
    rest = ("--max-fee", "5000", "--out", office.path("order.json"))
    for vault, to, why in (("nothing", SAFE, "no vault nothing"), (VAULT, "bcrt1nowhere", "DESTINATION_INVALID|bcrt1")):
        done = office.run("order", *log, "--vault", vault, "--to", to, *rest, code=4)
        assert any(part in done.stderr for part in why.split("|"))
    done = office.run("order", *log, "--vault", VAULT, "--to", SAFE, *rest, "--expires", "31d", code=4)
    assert "30 days" in done.stderr
    assert not Path(office.path("order.json")).exists()


def test_only_administrators_approve_and_each_once(office: KitOffice) -> None:
    office.order()
    office.approve("alice")
    before = Path(office.path("order.json")).read_bytes()
    assert "does not ask for the approval of dave" in office.approve("dave", code=4).stderr
    assert "alice approves twice" in office.approve("alice", code=4).stderr
    assert Path(office.path("order.json")).read_bytes() == before
    assert "alice, bob" in office.approve("bob").stdout


def test_who_is_not_sure_signs_nothing(ready: KitOffice) -> None:
    ready.order(name="second.json")
    before = Path(ready.path("second.json")).read_bytes()
    key = ("--key", ready.path("alice"), "--passphrase-file", ready.path("passphrase"))
    ready.run("approve", ready.path("second.json"), "--log", str(ready.log), *key, *ready.pins, typed="n\n", code=1)
    assert Path(ready.path("second.json")).read_bytes() == before


def test_without_the_quorum_nobody_signs(office: KitOffice) -> None:
    office.order()
    office.approve("alice")
    office.plan()
    assert "1 more of the administrators must approve" in office.sign("s1", code=4).stderr
    assert not list((office.root / "exchange").iterdir())


# --- the plan --------------------------------------------------------------------------------------------------------


def test_a_plan_that_pays_another_address_or_fee_is_not_signed(ready: KitOffice) -> None:
    good = planned(ready).plan
    for change, why in (
        (replace(good, destination=RECOVERY), "the order names"),
        (replace(good, amount_sat=good.amount_sat - 30_000), "a fee of"),
    ):
        Path(ready.path("plan.json")).write_bytes(write_plan_file(open_plan(codec.encode(change))))
        assert why in ready.sign("s1", code=4).stderr
    assert not list((ready.root / "exchange").iterdir())


def test_too_many_or_too_few_signers_make_no_plan(ready: KitOffice) -> None:
    for signers in (("s1",), ("s1", "s2", "s3"), ()):
        assert "2 holders sign for this vault" in ready.plan(name="other.json", signers=signers, code=4).stderr
    assert "no holders of vault customer-1: s9" in ready.plan(name="other.json", signers=("s1", "s9"), code=4).stderr


def test_what_is_left_is_said(ready: KitOffice) -> None:
    coins = ready.coins(90_000, 200)
    given = ["--order", ready.path("order.json"), "--coins", str(coins), "--fee-rate", "5", "--signer", "s1"]
    given += ["--signer", "s2", "--out", ready.path("other.json")]
    assert "Left: 1 coins of 200 sat" in ready.run("plan", "--log", str(ready.log), *given).stdout


# --- signing ---------------------------------------------------------------------------------------------------------


def test_words_of_another_signer_sign_nothing(ready: KitOffice) -> None:
    assert "words of s2, not of s1" in ready.sign("s1", words_of_signer="s2", code=4).stderr
    assert "has s1, s3 sign, not s2" in ready.sign("s2", code=4).stderr
    assert "another time or signer" in ready.sign("s1", words_of_signer="x", code=4).stderr
    assert not list((ready.root / "exchange").iterdir())


def test_a_folder_is_for_one_attempt(ready: KitOffice) -> None:
    other_holder(ready)
    ready.sign("s1")
    assert "in an empty folder" in ready.sign("s1", code=1).stderr
    assert "is no folder" in ready.sign("s1", code=1, exchange=ready.path("nowhere")).stderr


def test_who_does_not_come_in_time_ends_the_attempt(ready: KitOffice) -> None:
    done = ready.sign("s1", code=4, timeout="200ms")
    assert "Waiting for the commitments of s3" in done.stderr
    assert "begin again" in done.stderr
    assert not (ready.root / "exchange" / "s1.shares").exists()


def test_a_file_that_is_still_growing_is_waited_for(ready: KitOffice) -> None:
    folder = Exchange(ready.root / "exchange")
    (ready.root / "exchange" / "s3.commitments").write_bytes(b'{"kind": ')
    assert folder.missing(COMMITMENTS, ("s3",)) == ("s3",)
    with pytest.raises(ExchangeIncomplete):
        folder.wait(COMMITMENTS, ("s3",), timeout_s=0, told=lambda missing: None)


def test_carried_files_are_asked_for(ready: KitOffice, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def carried(text: str, **_: Any) -> str:
        asked.append(text)
        if len(asked) == 2:
            other_holder(ready)
        return ""

    monkeypatch.setattr(click, "prompt", carried)
    folder = Exchange(ready.root / "exchange")
    commands._await(folder, folder.path(COMMITMENTS, "s1"), ("s3",), wait=False, timeout_s=0)
    assert len(asked) == 2
    assert "Carry s1.commitments to s3" in asked[0]


def test_a_cheating_holder_is_named_and_nothing_is_sent(ready: KitOffice) -> None:
    other = other_holder(ready)
    ready.sign("s1")
    finish(ready, other)
    path = ready.root / "exchange" / "s3.shares"
    word = codec.decode(SweepShares, bytes.fromhex(json.loads(path.read_bytes())["body"]))
    lie = replace(word, shares=(word.shares[0], bytes(31) + b"\1"))
    path.write_bytes(write_word_file(SHARES, sign_word(SHARES, lie, host_secret("s3"), bytes(32))))
    given = ("--plan", ready.path("plan.json"), "--exchange", ready.path("exchange"), "--out", ready.path("tx"))
    assert "the signature shares of s3 are wrong" in ready.run("combine", *given, code=1).stderr
    assert not Path(ready.path("tx")).exists()
    path.unlink()
    assert "the shares of s3 are not in" in ready.run("combine", *given, code=4).stderr


def test_a_file_that_cannot_be_read_makes_nobody_wait_without_a_word(ready: KitOffice) -> None:
    folder = Exchange(ready.root / "exchange")
    path = folder.path(COMMITMENTS, "s3")
    assert folder.missing(COMMITMENTS, ("s3",)) == ("s3",)
    os.mkfifo(path)
    assert folder.missing(COMMITMENTS, ("s3",)) == ("s3 (s3.commitments is no plain file)",)
    with pytest.raises(FileProblem, match="no plain file"):
        folder.read(COMMITMENTS, ("s3",))
    path.unlink()
    path.symlink_to(ready.root / "order.json")
    (told,) = folder.missing(COMMITMENTS, ("s3",))
    assert told.startswith("s3 (its file is there and cannot be read: ")
    with pytest.raises(FileProblem, match="cannot read"):
        folder.read(COMMITMENTS, ("s3",))


def test_what_expired_while_the_others_were_waited_for_is_not_signed(
    ready: KitOffice, monkeypatch: pytest.MonkeyPatch
) -> None:
    other_holder(ready)
    wait, later = Exchange.wait, commands.now_ms() + 8 * 24 * 3_600_000

    def days(self: Exchange, *given: Any, **options: Any) -> None:
        wait(self, *given, **options)
        monkeypatch.setattr(commands, "now_ms", lambda: later)

    monkeypatch.setattr(Exchange, "wait", days)
    assert "expired" in ready.sign("s1", code=4).stderr
    assert not (ready.root / "exchange" / "s1.shares").exists()


# --- words -----------------------------------------------------------------------------------------------------------


def test_words_come_from_a_terminal_or_a_pipe_and_from_nowhere_else(tmp_path: Path) -> None:
    file = tmp_path / "words"
    file.write_text("abandon " * 24)
    with file.open() as opened, pytest.raises(NoTerminalForWords, match="is no pipe"), host_key(opened.fileno(), "s1"):
        pass
    with pytest.raises(NoTerminalForWords, match="not an open descriptor"), host_key(999, "s1"):
        pass
    reader, writer = os.pipe()
    os.write(writer, b"x" * 2_000)
    os.close(writer)
    with pytest.raises(NoTerminalForWords, match="more than 1024 bytes"), host_key(reader, "s1"):
        pass
    os.close(reader)


def test_no_words_are_held_while_the_others_are_waited_for() -> None:
    words = words_of(host_secret("s1"))
    with typed(list(words)) as pipe:
        opened = host_key(pipe, "s1")
        opened.__enter__()
    try:
        held = opened.gen.gi_frame.f_locals  # type: ignore[attr-defined]
        assert set(held) == {"descriptor", "name", "host"}
    finally:
        opened.__exit__(None, None, None)


def test_a_terminal_shows_nothing_from_the_first_word_to_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two lines as well, when somebody pastes them all."""
    _, terminal = os.openpty()
    monkeypatch.setattr(words_module, "TERMINAL", os.ttyname(terminal))
    words = words_of(host_secret("s1"))
    lines, echoes = iter([" ".join(words[:12]), " ".join(words[12:])]), []

    def line(prompt: str) -> str:
        echoes.append(termios.tcgetattr(terminal)[3] & termios.ECHO)
        return next(lines)

    monkeypatch.setattr(getpass, "getpass", line)
    with host_key(None, "s1"):
        assert termios.tcgetattr(terminal)[3] & termios.ECHO
    assert echoes == [0, 0]


def test_typed_words_are_asked_for_again_when_they_are_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    words = words_of(host_secret("s1"))
    lines = iter([" ".join(words[:10]), f"{words[10]} xyzzy {words[12]}", " ".join(words[11:])])
    monkeypatch.setattr(getpass, "getpass", lambda prompt: next(lines))
    with host_key(None, "s1") as host:
        assert host.public() == host_secret("s1").public()
    assert host.wiped

    def shown(prompt: str) -> str:
        warnings.warn("Can not control echo on the terminal.", getpass.GetPassWarning, stacklevel=2)
        raise AssertionError("went on")

    monkeypatch.setattr(getpass, "getpass", shown)
    with pytest.raises(NoTerminalForWords, match="no terminal"), host_key(None, "s1"):
        pass


def test_the_commands_are_there() -> None:
    shown = CliRunner().invoke(main, ["recovery-kit", "--help"]).output
    assert all(name in shown for name in ("describe", "scan", "order", "approve", "plan", "sign", "combine"))


def test_an_export_may_come_through_a_pipe(office: KitOffice) -> None:
    pipe = office.root / "pipe"
    os.mkfifo(pipe)
    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(pipe.write_bytes, office.log.read_bytes())
        told = office.json("describe", "--log", str(pipe))
        writing.result(timeout=10)
    assert told["certified_head"] == office.head
