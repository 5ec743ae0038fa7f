"""What `doctor` finds on a signer's machine, and how it ends."""

from __future__ import annotations

import os
import shutil
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from coordinator_world import TestAuthority
from signer_world import PASSPHRASE, VAULT, Cluster, FakeClock, open_folder
from strongroom.api.operator.v1 import operator_service_pb2 as pb
from strongroom.ledger.signed_messages import Verb
from strongroom.ledger.state import State
from strongroom.protocol.signed import SignedBody
from strongroom.protocol.voter_state import VoterStopped
from strongroom_signer import doctor
from strongroom_signer.config import Seal, SealKind, SignerConfig, render_config
from strongroom_signer.doctor import Finding, Level
from strongroom_signer.doctor_voting import alarm_of, handed_in_of, quarantine_of, stored_alarms, stored_words
from strongroom_signer.inbox import GRACE_MS
from strongroom_signer.offline_freeze import freeze_offline
from strongroom_signer.status_answer import status_of
from strongroom_signer.status_view import status_facts, status_text
from strongroom_signer.store import Store

DAY_MS = 86_400_000


class Machine:
    """The folder of a stopped signer with a share, enrolled, and a coordinator's port that answers."""

    def __init__(self, root: Path, port: int) -> None:
        cluster = Cluster.started(root)
        cluster.close()
        self.folder, self.phrase, self.port = cluster.folders["s1"], root / "phrase", port
        self.phrase.write_bytes(PASSPHRASE + b"\n")
        authority = TestAuthority()
        key, certificate = authority.issue("signer", "s1")
        for name, data in (("tls.key", key), ("cert.pem", certificate), ("ca.pem", authority.pem)):
            (self.folder / name).write_bytes(data)
            (self.folder / name).chmod(0o600)
        self.folder.chmod(0o700)
        self.clock = FakeClock(wall=time.time_ns() // 1_000_000)
        self.configure()

    def configure(self, **parts: Any) -> None:
        config = {"coordinator": f"127.0.0.1:{self.port}", "free_disk_floor_bytes": 0, **parts}
        (self.folder / "signer.toml").write_text(render_config(SignerConfig(**config)))

    def store(self) -> Store:
        return Store.open(self.folder / "signer.db")

    def examined(self, **parts: Any) -> dict[str, Finding]:
        given = {"passphrase_file": self.phrase, **parts}
        found = doctor.examine(self.folder, clock=self.clock, random=os.urandom, **given)
        assert len({one.check for one in found}) == len(found)
        return {one.check: one for one in found}


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield Machine(tmp_path, listening.getsockname()[1])


def levels(found: dict[str, Finding]) -> dict[str, Level]:
    return {name: one.level for name, one in found.items()}


def test_a_stopped_signer_is_looked_at_in_its_folder(machine: Machine) -> None:
    found = machine.examined()
    assert levels(found) == {
        "config": Level.OK,
        "permissions": Level.OK,
        "seal": Level.OK,
        "daemon": Level.WARNING,
        "database": Level.OK,
        "certificate": Level.WARNING,
        "authority": Level.WARNING,
        "identity": Level.OK,
        "coordinator": Level.OK,
        "clock": Level.UNKNOWN,
        "freezes": Level.OK,
        "quarantine": Level.UNKNOWN,
        "inbox": Level.OK,
        "epochs": Level.OK,
        "backup": Level.WARNING,
        "disk": Level.OK,
    }
    assert "0 days" in found["certificate"].detail
    assert VAULT in found["backup"].detail
    assert doctor.exit_code(tuple(found.values())) == 5
    facts = doctor.facts_of(tuple(found.values()))
    assert facts["health"] == "warning"
    text = doctor.text_of(tuple(found.values()))
    assert "run `backup verify`" in text
    assert PASSPHRASE.decode() not in text


def test_what_is_proven_is_no_warning_any_more(machine: Machine) -> None:
    store = machine.store()
    with store.commit() as write:
        write.note_backup(VAULT, 1, 1)
    store.close()
    assert machine.examined()["backup"].level is Level.OK


def test_a_share_of_an_older_epoch_or_none_is_told(machine: Machine) -> None:
    store = machine.store()
    with store.commit() as write:
        write.remove_share(VAULT, 1)
    store.close()
    found = machine.examined()
    assert found["epochs"].level is Level.WARNING
    assert VAULT in found["epochs"].detail


def test_a_freeze_placed_while_the_daemon_is_down_is_told(machine: Machine) -> None:
    freeze_offline(machine.folder, vault="", why="a stolen laptop", clock=machine.clock, random=os.urandom)
    found = machine.examined()["freezes"]
    assert found.level is Level.WARNING
    assert "all vaults by this signer's operator: a stolen laptop" in found.detail


def test_a_frozen_signer_is_told_that_it_gives_no_share(tmp_path: Path) -> None:
    cluster = Cluster.started(tmp_path)
    signer = cluster.signers["s1"]

    def running() -> Finding:
        return doctor._freezes(doctor._told_freezes(status_of(signer, connected=True, last_error="")))

    assert running().level is Level.OK
    signer.inbox.freeze(VAULT, "odd words")
    assert f"no share for {VAULT} by this signer's operator: odd words" in running().detail
    cluster.world.freeze("dave")
    cluster.tick(3)
    assert running().level is Level.WARNING
    assert "all vaults by dave: looks wrong" in running().detail
    stopped = doctor._standing(signer.store, State(signer.store, cluster.world.log_id), cluster.clock)
    assert doctor._freezes(stopped) == running()
    cluster.close()


def test_the_alarm_of_a_copy_that_was_stopped_is_found_in_its_folder(tmp_path: Path) -> None:
    """The vote that its database does not hold stopped it; it stands again before the link opens."""
    cluster = Cluster.started(tmp_path)
    cluster.signers["s1"].close()
    shutil.copytree(cluster.folders["s1"], tmp_path / "copy")
    cluster.signers["s1"] = open_folder(cluster.folders["s1"], cluster.clock)
    cluster.tick(names=("s1", "s2"))
    assert cluster.certificate is not None
    copy = open_folder(tmp_path / "copy", cluster.clock)
    assert not list(stored_alarms(copy.store))
    with pytest.raises(VoterStopped):
        copy.voting.settle(cluster.certificate)
    copy.close()
    store = Store.open(tmp_path / "copy" / "signer.db")
    (found,) = stored_alarms(store)
    store.close()
    cluster.close()
    assert (found.check, found.level) == ("alarm", Level.FAILED)
    assert found.detail.startswith("OWN_VOTE_UNKNOWN: ")
    assert "`recover`" in found.do


def test_a_word_that_the_log_lacks_is_told_running_and_stopped(tmp_path: Path) -> None:
    cluster = Cluster.started(tmp_path)
    signer, world = cluster.signers["s1"], cluster.world

    def running() -> Finding:
        return handed_in_of(status_of(signer, connected=True, last_error=""))

    assert (running().level, [one.level for one in stored_words(signer.store)][1]) == (Level.OK, Level.OK)
    order = world.pay("customer-1", 100_000)
    cluster.sync()
    said = world.endorsement("carol", Verb.REJECT, order)
    signer.inbox.hand_in(b"", [SignedBody.of(said)])
    assert running().level is Level.WARNING
    stopped = list(stored_words(signer.store))[1]
    assert (stopped.level, "rejection" in stopped.detail) == (Level.WARNING, True)
    cluster.wait(GRACE_MS)
    assert running().level is Level.FAILED
    assert "does not vote: the log has lacked a rejection" in running().detail
    assert "NO VOTES" in status_text(status_of(signer, connected=True, last_error=""))
    cluster.close()


def test_a_quarantine_and_what_lifts_it_are_told() -> None:
    assert quarantine_of(pb.GetStatusResponse(connected=True)).level is Level.OK
    assert quarantine_of(pb.GetStatusResponse()).level is Level.UNKNOWN
    told = pb.Quarantine(evidence_hash=bytes(32), fault="wrong-share", detail="the share is wrong")
    found = quarantine_of(pb.GetStatusResponse(connected=True, quarantine=told))
    assert (found.level, "wrong-share" in found.detail) == (Level.WARNING, True)
    assert f"`reinstate {'00' * 32}`" in found.do
    told.operator_cleared = True
    assert "unfreeze quorum" in quarantine_of(pb.GetStatusResponse(connected=True, quarantine=told)).do


def test_files_that_others_may_read_fail(machine: Machine) -> None:
    (machine.folder / "signer.db").chmod(0o640)
    found = machine.examined()
    assert found["permissions"].level is Level.FAILED
    assert "signer.db (640)" in found["permissions"].detail
    assert doctor.exit_code(tuple(found.values())) == 1
    (machine.folder / "tls.key").unlink()
    assert "tls.key" in machine.examined()["permissions"].detail


def test_a_key_file_that_others_may_read_fails(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who can read it has the share."""
    seal = Seal(kind=SealKind.KEY_FILE, key_file="stick/seal.key")
    monkeypatch.setattr(doctor, "load_seal", lambda folder: seal)
    (found,) = doctor.permissions(machine.folder)
    assert found.level is Level.OK
    key = machine.folder / "stick" / "seal.key"
    key.parent.mkdir()
    key.write_bytes(bytes(32))
    key.chmod(0o644)
    (found,) = doctor.permissions(machine.folder)
    assert (found.level, "seal.key (644)" in found.detail) == (Level.FAILED, True)


def test_a_seal_is_tried_when_what_opens_it_is_given(machine: Machine, tmp_path: Path) -> None:
    assert machine.examined(passphrase_file=None)["seal"].level is Level.UNKNOWN
    (tmp_path / "other").write_bytes(b"another passphrase\n")
    found = machine.examined(passphrase_file=tmp_path / "other")
    assert found["seal"].level is Level.FAILED
    assert "WRONG_PASSPHRASE" in found["seal"].detail


def test_a_full_disk_a_dead_coordinator_and_expired_certificates_fail(machine: Machine) -> None:
    machine.configure(free_disk_floor_bytes=1 << 60, coordinator="127.0.0.1:1")
    machine.clock.advance(2 * DAY_MS)
    found = machine.examined()
    failed = {name for name, level in levels(found).items() if level is Level.FAILED}
    assert failed == {"disk", "coordinator", "certificate", "authority", "identity"}
    machine.configure(free_disk_floor_bytes=int(doctor._free_bytes(machine.folder) * 0.7))
    assert machine.examined()["disk"].level is Level.WARNING


def test_a_certificate_of_somebody_else_or_none_fails(machine: Machine) -> None:
    (machine.folder / "cert.pem").write_bytes(TestAuthority().issue("signer", "s2")[1])
    assert machine.examined()["identity"].level is Level.FAILED
    (machine.folder / "cert.pem").write_bytes(b"no certificate")
    assert machine.examined()["certificate"].level is Level.FAILED


def test_a_database_that_is_damaged_fails_and_is_not_to_be_restored(machine: Machine) -> None:
    data = bytearray((machine.folder / "signer.db").read_bytes())
    data[100:4_000] = bytes(3_900)
    (machine.folder / "signer.db").write_bytes(data)
    found = machine.examined()
    assert found["database"].level is Level.FAILED
    assert "never" in found["database"].do or "do not restore" in found["database"].do


def test_without_a_sound_configuration_that_is_all_there_is_to_say(machine: Machine) -> None:
    (machine.folder / "signer.toml").write_text("[nothing]\n")
    assert levels(machine.examined()) == {"config": Level.FAILED}


# --- what the daemon says --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ahead_ms", "level"),
    [
        (None, Level.UNKNOWN),
        (4_999, Level.OK),
        (-4_999, Level.OK),
        (5_000, Level.WARNING),
        (-59_999, Level.WARNING),
        (60_000, Level.FAILED),
        (-3_600_000, Level.FAILED),
    ],
)
def test_clocks_that_differ_are_told_before_the_signer_stops_voting(ahead_ms: int | None, level: Level) -> None:
    status = pb.GetStatusResponse() if ahead_ms is None else pb.GetStatusResponse(clock_ahead_ms=ahead_ms)
    found = doctor._clock(status)
    assert found.level is level
    if ahead_ms is not None:
        assert ("behind" in found.detail) == (ahead_ms < 0)


def test_alarms_retirement_and_a_lost_link_are_told() -> None:
    assert alarm_of(pb.GetStatusResponse(signer="s1")).level is Level.OK
    assert alarm_of(pb.GetStatusResponse(alarm="CLOCK_DRIFT", alarm_message="x")).level is Level.FAILED
    assert alarm_of(pb.GetStatusResponse(alarm="SIGNER_RETIRED", alarm_message="x")).level is Level.WARNING
    assert "`recover`" in alarm_of(pb.GetStatusResponse(alarm="OWN_VOTE_UNKNOWN", alarm_message="x")).do
    assert doctor._reach(pb.GetStatusResponse(connected=True)).level is Level.OK
    lost = doctor._reach(pb.GetStatusResponse(last_error="no route"))
    assert (lost.level, "no route" in lost.detail) == (Level.FAILED, True)


@pytest.mark.parametrize("connected", [True, False])
def test_another_daemon_with_this_tls_key_is_no_fault_of_the_network(connected: bool) -> None:
    """The two are connected in turns."""
    status = pb.GetStatusResponse(signer="s1", connected=connected, replaced_ago_s=0)
    found = doctor._reach(status)
    assert found.level is Level.FAILED
    assert "another daemon used this signer's TLS key" in found.detail
    assert "find the copy and stop it" in found.do
    assert "LINK TAKEN" in status_text(status)
    assert status_facts(status)["replaced_ago_s"] == 0
    long_ago = pb.GetStatusResponse(connected=True, replaced_ago_s=doctor.REPLACED_FAILS_S)
    assert doctor._reach(long_ago).level is Level.OK


def test_exit_codes_say_the_worst() -> None:
    def ended(*found: Level) -> int:
        return doctor.exit_code([Finding(check=str(n), level=level, detail="") for n, level in enumerate(found)])

    assert ended(Level.OK, Level.UNKNOWN) == 0
    assert ended(Level.OK, Level.WARNING) == 5
    assert ended(Level.FAILED, Level.WARNING) == 1
