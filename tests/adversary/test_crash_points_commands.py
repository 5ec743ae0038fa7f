"""Kills the commands that write files: what they leave is whole or refused, and the same command again ends well."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import charter_builder as builder
from actor import Actor, actors
from cluster import Cluster, enrolled, funded, running
from crash_points import AFTER, BEFORE, CrashPoint
from crash_points_commands import (
    CLIENT_FILES,
    COORDINATOR_INIT,
    COORDINATOR_MIGRATE,
    COORDINATOR_RESTART,
    KIT_SIGNING,
    SIGNER_ENROL,
    SIGNER_INIT,
    SIGNER_JOIN,
    SIGNER_RECOVER,
    SIGNER_RESTART,
)
from crash_scenes import patiently
from kit_office import KitOffice
from new_signers import certify, exported_log
from restart_signers import LostDisks
from restarting import made_restart
from strongroom.chains.bitcoin.networks import REGTEST
from strongroom.crypto.seed_words import words_of
from strongroom.ledger import codec
from strongroom.ledger.founding import restart_log_id
from strongroom.ledger.order_messages import CreateVault, CustodyClass, Scheme
from strongroom.ledger.signed_messages import Verb
from strongroom.model.ids import LogId
from strongroom.protocol.recovery_kit_files import read_plan_file, write_word_file
from strongroom.protocol.recovery_kit_rounds import SweepHolder
from strongroom.protocol.recovery_kit_words import COMMITMENTS, SHARES
from strongroom.protocol.voter_state import VoterState
from strongroom.wire.restart_file import encode_restart_file
from strongroom_client.demo.processes import program
from strongroom_client.profile import load_profile
from strongroom_client.recovery_kit.exchange import Exchange
from strongroom_signer.log_copy import LogCopy
from strongroom_signer.store import Store

pytestmark = pytest.mark.process

SUPPORT = Path(__file__).parents[1] / "support"
REFUSED, BAD_USAGE = 4, 2


@pytest.fixture(scope="module")
def place() -> Iterator[Cluster]:
    """Enrolled, nothing running."""
    with running(enrolled(), "crash-f") as cluster:
        yield cluster


def sides(points: tuple[CrashPoint, ...], *, everyday: tuple[tuple[str, str], ...] = ()) -> list[Any]:
    """Both sides of each; those of `everyday` in every run of the tests."""
    return [
        pytest.param(
            point,
            side,
            id=f"{side}: {point.name}".replace(" ", "-"),
            marks=[
                pytest.mark.crash_point(daemon=point.daemon, point=point.name, side=side),
                *(() if (point.name, side) in everyday else (pytest.mark.campaign,)),
            ],
        )
        for point in points
        for side in (BEFORE, AFTER)
    ]


def killed(launcher: str, point: CrashPoint, side: str, *arguments: str, options: tuple[str, ...] = ()) -> None:
    """Run a command that ends at the point, by the signal that no process can catch."""
    command = [sys.executable, str(SUPPORT / launcher), "--crash", point.name, "--side", side, *options, "--"]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == -9, done.stderr[-2_000:]


def again(*command: str) -> subprocess.CompletedProcess[str]:
    """Run the command as people do."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)
    assert "Traceback" not in done.stderr
    return done


# --- a signer --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("point", "side"), sides(SIGNER_INIT))
def test_a_killed_signer_init_leaves_no_signer_that_is_half_made(
    place: Cluster, tmp_path: Path, point: CrashPoint, side: str
) -> None:
    phrase = ["--passphrase-file", str(place.deployment.passphrase_file)]

    def init(folder: str) -> list[str]:
        # The test's own standard output is a pipe of subprocess.run, and takes the words.
        return ["init", "--name", "east", "--data", str(tmp_path / folder), *phrase, "--words-fd", "1"]

    killed("signer_launcher.py", point, side, *init("first"), options=("--cheap",))
    launcher = [sys.executable, str(SUPPORT / "signer_launcher.py"), "--cheap", "--"]
    is_empty = (point, side) == (SIGNER_INIT[0], BEFORE)
    done = again(*launcher, *init("first"))
    assert done.returncode == (0 if is_empty else REFUSED)
    if not is_empty:
        assert "choose a new folder" in done.stderr
        assert again(*launcher, *init("second")).returncode == 0


@pytest.mark.parametrize(
    ("point", "side"), sides(SIGNER_ENROL, everyday=(("the log of a signer being enrolled is pinned", BEFORE),))
)
def test_a_killed_signer_enrolment_is_finished_by_the_same_command(
    place: Cluster, point: CrashPoint, side: str
) -> None:
    folder, root = place.deployment.signer_folder("north"), place.root
    unenrolled(folder)
    command = ["enrol", "--data", str(folder), "--charter", str(root / "charter.bin")]
    command += ["--fingerprint", place.deployment.log_id.hex(), "--cert", str(root / "signer-north.pem")]
    command += ["--ca", str(root / "pki" / "ca.pem"), "--coordinator", f"127.0.0.1:{place.deployment.port}"]
    killed("signer_launcher.py", point, side, *command)
    if (point, side) != (SIGNER_ENROL[-1], AFTER):
        assert again(program("strongroom-signer"), "check-config", "--data", str(folder)).returncode != 0
    assert again(program("strongroom-signer"), *command).returncode == 0
    assert again(program("strongroom-signer"), "check-config", "--data", str(folder)).returncode == 0


@pytest.fixture(scope="module")
def lost(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Cluster, list[str]]]:
    """A stopped deployment with a vault, and the arguments that recover its north from south's log."""
    with running(funded(), "crash-r") as cluster:
        exported = tmp_path_factory.mktemp("export") / "log"
        done = cluster.signer_command("south", "export-log", str(exported))
        assert done.returncode == 0, done.stderr
        command = ["recover", "--name", "north", "--log", str(exported)]
        command += ["--passphrase-file", str(cluster.deployment.passphrase_file)]
        yield (
            cluster,
            [*command, "--fingerprint", cluster.deployment.log_id.hex(), "--head", final_head(cluster, "south")],
        )


@pytest.mark.parametrize(("point", "side"), sides(SIGNER_RECOVER))
def test_a_killed_recovery_leaves_no_signer_that_is_half_made(
    lost: tuple[Cluster, list[str]], tmp_path: Path, point: CrashPoint, side: str
) -> None:
    cluster, arguments = lost
    words = cluster.deployment.sheet("north").read_text()

    def recover(folder: str, *launcher: str) -> subprocess.CompletedProcess[str]:
        program = [sys.executable, str(SUPPORT / "signer_launcher.py"), "--cheap", *launcher, "--"]
        command = [*program, *arguments, "--data", str(tmp_path / folder), "--words-fd", "0"]
        done = subprocess.run(command, input=words, capture_output=True, text=True, timeout=90, check=False)
        assert "Traceback" not in done.stderr
        return done

    assert recover("first", "--crash", point.name, "--side", side).returncode == -9
    is_whole = (point, side) == (SIGNER_RECOVER[-1], AFTER)
    run = [program("strongroom-signer"), "run", "--data", str(tmp_path / "first"), "--passphrase-file", "/dev/null"]
    done = again(*run)
    assert done.returncode != 0
    if not is_whole:
        assert not (tmp_path / "first" / "signer.toml").exists()
    again_there = recover("first")
    if (point, side) == (SIGNER_RECOVER[0], BEFORE):
        assert again_there.returncode == 0, again_there.stderr
        return
    assert again_there.returncode == REFUSED
    assert "choose a new folder" in again_there.stderr
    assert recover("second").returncode == 0


@pytest.fixture
def without_west() -> Iterator[Cluster]:
    """Two signers run and make the quorum; the third has its keys, and belongs to no log."""
    with running(enrolled(), "crash-j") as cluster:
        unenrolled(cluster.deployment.signer_folder("west"))
        cluster.deployment.start_coordinator()
        for name in ("north", "south"):
            cluster.deployment.start_signer(name)
        yield cluster


@pytest.mark.parametrize(("point", "side"), sides(SIGNER_JOIN))
async def test_a_killed_join_leaves_a_signer_with_no_log_or_with_all_of_it_that_then_votes(
    without_west: Cluster, tmp_path: Path, point: CrashPoint, side: str
) -> None:
    cluster, folder = without_west, without_west.deployment.signer_folder("west")
    keys = keys_of(folder)
    async with actors(cluster.deployment, "alice") as (alice,):
        await ordered(alice, "first")
        log, head = exported_log(cluster, "south", tmp_path / "log")
        command = ["join", "--data", str(folder), "--log", str(log), "--head", head]
        command += ["--fingerprint", cluster.deployment.log_id.hex()]
        killed("signer_launcher.py", point, side, *command)
        has_joined = side == AFTER
        assert pinned(folder) == (cluster.deployment.log_id if has_joined else None)
        assert (folder / "joining.db").exists() != has_joined
        done = again(program("strongroom-signer"), *command)
        assert done.returncode == (REFUSED if has_joined else 0), done.stderr
        assert ("belongs to a log already" in done.stderr) == has_joined
        assert pinned(folder) == cluster.deployment.log_id
        assert keys_of(folder) == keys
        assert not list(folder.glob("joining*"))
        certify(cluster, "west")
        cluster.deployment.start_signer("west")
        assert cluster.signer_status("west")["size"] >= int(head.partition(":")[0])
        # From here on nothing is certified without the vote of the one that joined.
        cluster.signer("north").kill()
        await ordered(alice, "second")


async def ordered(person: Actor, vault: str) -> None:
    """An order that a quorum has certified; what it is about does not matter."""
    action = CreateVault(
        name=vault,
        custody_class=CustodyClass.CUSTOMER,
        chain=REGTEST.caip2,
        scheme=Scheme.FROST_SECP256K1_BIP340,
        signers=("north", "south"),
        threshold=2,
    )
    draft = person.draft(action)
    said = await patiently(lambda: person.say(Verb.INITIATE, draft.hash))
    await patiently(lambda: person.client.submit(draft.data, [said]))


def keys_of(folder: Path) -> tuple[object, ...]:
    """Who a stopped signer is, with its keys as they are sealed."""
    store = Store.open(folder / "signer.db")
    try:
        return store.identity(), store.secret("vote"), store.secret("witness")
    finally:
        store.close()


def pinned(folder: Path) -> bytes | None:
    """The log that a stopped signer belongs to; None when it belongs to none."""
    store = Store.open(folder / "signer.db")
    try:
        pin = store.pin()
        return None if pin is None else pin.log_id
    finally:
        store.close()


@pytest.mark.parametrize(
    ("point", "side"), sides(SIGNER_RESTART, everyday=tuple((point.name, AFTER) for point in SIGNER_RESTART))
)
def test_a_killed_restart_leaves_a_signer_of_one_log_and_the_same_command_ends_well(
    tmp_path: Path, point: CrashPoint, side: str
) -> None:
    disks = LostDisks.started(tmp_path)
    restart = disks.restart()
    file, folder, log_id = tmp_path / "restart", disks.cluster.folders["s2"], restart_log_id(restart)
    file.write_bytes(encode_restart_file(restart))
    disks.close()
    command = ["restart", str(file), "--fingerprint", log_id.hex(), "--data", str(folder)]
    killed("signer_launcher.py", point, side, *command)
    assert belongs_to(folder) == (log_id if side == AFTER else disks.world.genesis_id)
    assert again(program("strongroom-signer"), *command).returncode == 0
    assert belongs_to(folder) == log_id


def belongs_to(folder: Path) -> bytes:
    """The log of which a stopped signer's whole database is."""
    store = Store.open(folder / "signer.db")
    try:
        pin = store.pin()
        assert pin is not None
        copy = LogCopy(store, LogId(pin.log_id))
        voter = codec.decode(VoterState, store.voter() or b"")
        assert (voter.log_id, copy.newest().log_id) == (pin.log_id, pin.log_id)
        assert voter.founded_size == copy.newest().founded_size
        return pin.log_id
    finally:
        store.close()


def final_head(cluster: Cluster, name: str) -> str:
    """The final head of a stopped signer, as its `status` would show it."""
    store = Store.open(cluster.deployment.signer_folder(name) / "signer.db")
    try:
        copy = LogCopy(store, cluster.deployment.log_id)
        return f"{copy.final_size}:{(copy.replica.root_at(copy.final_size) or b'').hex()}"
    finally:
        store.close()


def unenrolled(folder: Path) -> None:
    """The folder as `init` left it."""
    for name in ("cert.pem", "ca.pem", "signer.toml"):
        (folder / name).unlink(missing_ok=True)
    connection = sqlite3.connect(folder / "signer.db")
    with connection:
        connection.execute("DELETE FROM pin")
    connection.close()


# --- a coordinator ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("point", "side"), sides(COORDINATOR_INIT))
def test_a_killed_coordinator_init_leaves_no_coordinator_that_is_half_made(
    place: Cluster, tmp_path: Path, point: CrashPoint, side: str
) -> None:
    def init(folder: str) -> list[str]:
        tls = place.root / "coordinator-tls"
        command = ["init", "--data", str(tmp_path / folder), "--genesis", str(place.root / "genesis.bin")]
        command += ["--cert", str(tls / "cert.pem"), "--key", str(tls / "tls.key")]
        return [*command, "--ca", str(place.root / "pki" / "ca.pem"), "--bitcoin-cookie", str(tmp_path / "cookie")]

    killed("coordinator_launcher.py", point, side, *init("first"))
    is_whole = (point, side) == (COORDINATOR_INIT[-1], AFTER)
    check = [program("strongroom-coordinator"), "check-config", "--data", str(tmp_path / "first")]
    assert (again(*check).returncode == 0) == is_whole
    is_empty = (point, side) == (COORDINATOR_INIT[0], BEFORE)
    done = again(program("strongroom-coordinator"), *init("first"))
    assert done.returncode == (0 if is_empty else BAD_USAGE)
    if not is_empty and not is_whole:
        assert "choose a new folder" in done.stderr
        assert again(program("strongroom-coordinator"), *init("second")).returncode == 0


@pytest.mark.parametrize(
    ("point", "side"),
    sides(COORDINATOR_MIGRATE, everyday=(("half of a migration's tables are made", AFTER),)),
)
def test_a_killed_migration_is_done_by_the_same_command(place: Cluster, point: CrashPoint, side: str) -> None:
    folder = place.deployment.coordinator_folder
    for file in folder.glob("coordinator.db*"):
        file.unlink()
    killed("coordinator_launcher.py", point, side, "migrate", "--data", str(folder))
    assert again(program("strongroom-coordinator"), "migrate", "--data", str(folder)).returncode == 0
    assert again(program("strongroom-coordinator"), "check-config", "--data", str(folder)).returncode == 0


@pytest.mark.parametrize(
    ("point", "side"), sides(COORDINATOR_RESTART, everyday=(("a restart of the log is taken", BEFORE),))
)
def test_a_killed_restart_leaves_a_coordinator_of_one_log_and_the_same_command_ends_well(
    lost: tuple[Cluster, list[str]], tmp_path: Path, point: CrashPoint, side: str
) -> None:
    deployment, log = lost[0].deployment, tmp_path / "log"
    shutil.copy(lost[1][lost[1].index("--log") + 1], log)
    made = made_restart(deployment, log)
    folder = tmp_path / "coordinator"
    shutil.copytree(deployment.coordinator_folder, folder)
    command = ["restart", "--data", str(folder), str(made.file)]

    def log_id() -> str:
        return again(program("strongroom-coordinator"), "check-config", "--data", str(folder)).stdout.split()[-1]

    killed("coordinator_launcher.py", point, side, *command)
    assert log_id() == (made.old_log_id if side == BEFORE else made.log_id).hex()
    done = again(program("strongroom-coordinator"), *command)
    assert done.returncode == 0, done.stderr
    assert f"entries {made.entries + 1}, dropped 0" in done.stdout
    assert log_id() == made.log_id.hex()


# --- a person's tools ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("point", "side"), sides(CLIENT_FILES))
def test_a_killed_command_of_a_person_leaves_each_file_whole_or_not_there(
    place: Cluster, tmp_path: Path, point: CrashPoint, side: str
) -> None:
    {"profile.toml": login_again}.get(point.writes.split(",")[0], init_again)(place, tmp_path, point, side)


def init_again(place: Cluster, tmp_path: Path, point: CrashPoint, side: str) -> None:
    def init(folder: str) -> list[str]:
        phrase = ["--passphrase-file", str(place.deployment.passphrase_file)]
        return ["init", "--name", "dora", "--out", str(tmp_path / folder), *phrase]

    killed("client_launcher.py", point, side, *init("first"))
    is_empty = not any((tmp_path / "first").glob("[a-z]*"))
    assert is_empty == ((point, side) == (CLIENT_FILES[0], BEFORE))
    done = again(program("strongroom"), *init("first"))
    assert (done.returncode == 0) == is_empty
    if not is_empty:
        assert "choose an empty folder" in done.stderr
        assert again(program("strongroom"), *init("second")).returncode == 0


def login_again(place: Cluster, tmp_path: Path, point: CrashPoint, side: str) -> None:
    folder, file = place.deployment.person("alice"), tmp_path / "profile.toml"
    shutil.copy(folder / "profile.toml", file)
    before = load_profile(file)
    command = ["login", "--coordinator", "127.0.0.1:1", "--ca", str(place.root / "pki" / "ca.pem")]
    command += ["--cert", str(folder / "cert.pem"), "--key-dir", str(folder), "--profile", str(file)]
    command += ["--log-id", place.deployment.log_id.hex()]
    killed("client_launcher.py", point, side, *command)
    assert load_profile(file).coordinator == (before.coordinator if side == BEFORE else "127.0.0.1:1")
    assert again(program("strongroom"), *command).returncode == 0
    assert load_profile(file).coordinator == "127.0.0.1:1"


# --- the recovery kit ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("point", "side"), sides(KIT_SIGNING))
def test_a_killed_sweep_begins_again_with_fresh_nonces(tmp_path: Path, point: CrashPoint, side: str) -> None:
    office = KitOffice.opened(tmp_path)
    office.ordered()
    other = put_commitments(office, "exchange")
    launcher = [sys.executable, str(SUPPORT / "client_launcher.py"), "--crash", point.name, "--side", side, "--"]
    assert signs(office, "exchange", *launcher).returncode == -9
    written = {path.name for path in (tmp_path / "exchange").glob("s1.*")}
    names = ["s1.commitments", "s1.shares"]
    assert written == set(names[: KIT_SIGNING.index(point) + (side == AFTER)])
    if len(written) == len(names):
        assert combines(office, "exchange", other).returncode == 0
        return
    done = signs(office, "exchange", program("strongroom"))
    if written:
        # The nonces behind the commitments are gone: nobody can be made to use them again.
        assert done.returncode == 1
        assert "in an empty folder" in done.stderr
        (tmp_path / "second").mkdir()
        other = put_commitments(office, "second")
        assert signs(office, "second", program("strongroom")).returncode == 0
    assert combines(office, "second" if written else "exchange", other).returncode == 0


def put_commitments(office: KitOffice, folder: str) -> SweepHolder:
    """What s3 writes into an exchange folder."""
    opened = read_plan_file((office.root / "plan.json").read_bytes())
    holder = office.kit.holder(opened, "s3")
    (office.root / folder / "s3.commitments").write_bytes(write_word_file(COMMITMENTS, holder.commitments))
    return holder


def signs(office: KitOffice, folder: str, *launcher: str) -> subprocess.CompletedProcess[str]:
    """s1 signs, in a process of its own."""
    command = ["recovery-kit", "sign", "--log", str(office.log), "--signer", "s1", *office.pins, "--wait", "--yes"]
    for option in ("order", "plan"):
        command += [f"--{option}", office.path(f"{option}.json")]
    command += ["--exchange", office.path(folder), "--timeout", "20s", "--words-fd", "0"]
    words = " ".join(words_of(builder.host_secret("s1")))
    done = subprocess.run([*launcher, *command], input=words, capture_output=True, text=True, timeout=90, check=False)
    assert "Traceback" not in done.stderr
    return done


def combines(office: KitOffice, folder: str, other: SweepHolder) -> subprocess.CompletedProcess[str]:
    """s3 answers, and somebody combines."""
    words = Exchange(office.root / folder).read(COMMITMENTS, ("s1", "s3"))
    shares = write_word_file(SHARES, other.shares(words, aux32=bytes(32)))
    (office.root / folder / "s3.shares").write_bytes(shares)
    command = ["--plan", office.path("plan.json"), "--exchange", office.path(folder), "--out", office.path("tx")]
    return again(program("strongroom"), "recovery-kit", "combine", *command)
