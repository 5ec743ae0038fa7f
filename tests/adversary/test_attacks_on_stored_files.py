"""Files of a stopped daemon are damaged: it names the file, does not start, and votes by nothing that changed."""

from __future__ import annotations

import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from actor import actors, until
from cluster import Cluster, funded, running
from machines import PATIENCE_S, copy_folder
from payments import AMOUNT, approved, connected, paid, payee, payments_on_chain
from strongroom_client.demo.processes import Daemon, program

pytestmark = [pytest.mark.process, pytest.mark.slow, pytest.mark.campaign]

FAILING = "on paper: a failing disk, read as if nothing had been there"


def flip_middle(path: Path) -> None:
    data = bytearray(path.read_bytes())
    middle = len(data) // 2 // 4096 * 4096
    end = min(middle + 4096, len(data))
    data[middle:end] = bytes(byte ^ 0x5A for byte in data[middle:end])
    path.write_bytes(data)


def empty(path: Path) -> None:
    path.write_bytes(b"")


DAMAGE: dict[str, Callable[[Path], None]] = {
    "a flipped page": flip_middle,
    "an empty file": empty,
    "no file": Path.unlink,
}
SIGNER_FILES = ("signer.db", "signer.sealed", "signer.toml", "cert.pem", "ca.pem", "tls.key")
COORDINATOR_FILES = ("coordinator.db", "coordinator.toml", "genesis.bin", "cert.pem", "ca.pem", "key.pem")


@pytest.fixture(scope="module")
def lying() -> Iterator[Cluster]:
    """A deployment in which nothing runs."""
    with running(funded(), "damaged") as cluster:
        yield cluster


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        pytest.param(
            name,
            damage,
            marks=pytest.mark.attack(line="machine", title=f"{damage} in place of a signer's {name}", origin=FAILING),
        )
        for name in SIGNER_FILES
        for damage in DAMAGE
    ],
)
def test_a_signer_names_the_damaged_file_and_does_not_start(lying: Cluster, name: str, damage: str) -> None:
    copy = copied_signer(lying)
    DAMAGE[damage](copy.folder / name)
    refused_at_the_start(copy, name)


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        pytest.param(
            name,
            damage,
            marks=pytest.mark.attack(
                line="machine", title=f"{damage} in place of a coordinator's {name}", origin=FAILING
            ),
        )
        for name in COORDINATOR_FILES
        for damage in DAMAGE
    ],
)
def test_a_coordinator_names_the_damaged_file_and_does_not_start(lying: Cluster, name: str, damage: str) -> None:
    copy = copied_coordinator(lying)
    DAMAGE[damage](copy.folder / name)
    refused_at_the_start(copy, name)


@pytest.mark.parametrize("copied", [pytest.param(role, id=role) for role in ("signer", "coordinator")])
def test_the_same_copy_of_a_folder_starts_when_nothing_in_it_is_damaged(lying: Cluster, copied: str) -> None:
    """What every refusal above is held against: the damage is all that is wrong with the copy."""
    copy = copied_signer(lying) if copied == "signer" else copied_coordinator(lying)
    daemon = Daemon(f"copied {copied}", copy.command, lying.root / "logs" / f"copied-{copied}.log")
    lying.extra.append(daemon)
    daemon.start(timeout_s=PATIENCE_S)
    assert daemon.stop() == 0


@dataclass(frozen=True)
class Copy:
    """A data folder beside that of a daemon, and how a daemon is started on it."""

    folder: Path
    command: list[str]


def copied_signer(lying: Cluster) -> Copy:
    folder = copy_folder(lying.deployment.signer_folder(lying.signers[0]), lying.root / "copied-s")
    phrase = ["--passphrase-file", str(lying.deployment.passphrase_file)]
    return Copy(folder, [program("strongroom-signer"), "run", "--data", str(folder), *phrase])


def copied_coordinator(lying: Cluster) -> Copy:
    folder = copy_folder(lying.deployment.coordinator_folder, lying.root / "copied-c")
    return Copy(folder, [program("strongroom-coordinator"), "run", "--data", str(folder)])


def refused_at_the_start(copy: Copy, damaged: str) -> None:
    done = subprocess.run(copy.command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert done.returncode in (1, 2), done
    said_once = [line for line in done.stderr.splitlines() if line.startswith("strongroom-")]
    assert len(said_once) == 1, done.stderr
    # By its path, because the name alone is often a part of another word, of a setting say; and no file but this one.
    files = {*SIGNER_FILES, *COORDINATOR_FILES}
    assert {name for name in files if str(copy.folder / name) in said_once[0]} == {damaged}, done.stderr
    assert "Traceback" not in done.stderr
    assert "daemon.ready" not in done.stderr


def start_by_hand(cluster: Cluster, name: str) -> subprocess.CompletedProcess[str]:
    return cluster.signer_command(name, "run", "--passphrase-file", str(cluster.deployment.passphrase_file))


@pytest.mark.attack(
    line="machine",
    title="the write-ahead file of a killed signer removed",
    origin="on paper: the database then opens as it was some votes ago",
)
async def test_a_killed_signer_without_its_newest_commits_does_not_start(lying: Cluster) -> None:
    name = lying.signers[0]
    lying.start()
    await pays_in(lying)
    for signer in lying.signers:
        lying.signer(signer).kill()
    folder = lying.deployment.signer_folder(name)
    log = folder / "signer.db-wal"
    kept = log.read_bytes()
    for damage in (Path.unlink, empty):
        log.write_bytes(kept)
        damage(log)
        done = start_by_hand(lying, name)
        assert done.returncode == 1
        assert "signer.db-wal is missing or empty" in done.stderr
        assert "Traceback" not in done.stderr
    log.write_bytes(kept)
    lying.start(coordinator=False, node=False)
    await pays_in(lying)


async def pays_in(cluster: Cluster) -> None:
    destination = payee()
    async with actors(cluster.deployment, "alice", "bob", "carol") as people:
        await until(lambda: connected(people[0], 3), timeout_s=PATIENCE_S)
        order = await until(lambda: approved(people, destination), timeout_s=PATIENCE_S)
        await paid(cluster, people[0], order, timeout_s=PATIENCE_S)
    assert payments_on_chain(cluster, destination) == [AMOUNT]


@pytest.mark.attack(line="machine", title="bits of the state changed on a signer's disk", origin=FAILING)
async def test_a_row_that_changed_on_disk_stops_the_signer_when_it_is_read(lying: Cluster) -> None:
    """Every row of the replayed state is another one, and well-formed for SQLite: nothing is voted or signed by it."""
    name = lying.signers[0]
    folder = lying.deployment.signer_folder(name)
    if name in lying.deployment.signers and lying.signer(name).running:
        lying.signer(name).stop()
    lying.plain_signer(name).stop()
    assert changed_rows(folder / "signer.db") > 0
    done = start_by_hand(lying, name)
    assert done.returncode == 1
    assert "is not what was written" in done.stderr
    assert "Traceback" not in done.stderr


def changed_rows(path: Path) -> int:
    """Change one bit in each row of the folded state, as no SQLite would notice."""
    with sqlite3.connect(path) as damage:
        rows = damage.execute("SELECT key, value FROM state").fetchall()
        for key, value in rows:
            damage.execute("UPDATE state SET value = ? WHERE key = ?", (bytes([value[0] ^ 1]) + value[1:], key))
    damage.close()
    return len(rows)
