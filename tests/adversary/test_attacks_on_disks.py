"""Disks fill up, stop taking writes, are damaged: a daemon says so, does nothing it could not note down, and goes on.

The signer under attack lies on a small disk of its own. With one other signer running, the organisation needs it for
every payment, so a payment that arrives shows that it works again.
"""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from actor import actors, until
from cluster import VAULT, Cluster, funded, running
from machines import PATIENCE_S, alarmed, ends, said, signer_on
from payments import AMOUNT, approve_again, approved, connected, paid, payee, payments_on_chain
from small_disk import SmallDisk, small_disk
from strongroom.model.ids import OrderHash
from strongroom_client.demo.processes import program

pytestmark = [pytest.mark.process, pytest.mark.slow, pytest.mark.campaign]

FULL = "on paper: an attacker fills the signers' disks, or a log does"
FAILING = "on paper: a failing disk, read as if nothing had been there"
FLOOR = 4 << 20


@pytest.fixture(scope="module")
def crippled() -> Iterator[tuple[Cluster, SmallDisk]]:
    """Two running signers of three, so that both are needed; the first one lies on a small disk."""
    with running(funded(), "disk") as cluster:
        first, second, _ = cluster.signers
        set_floor(cluster, first, FLOOR)
        with small_disk(cluster.deployment.signer_folder(first)) as disk:
            cluster.start(signers=[first, second])
            yield cluster, disk
            cluster.kill()


def set_floor(cluster: Cluster, name: str, floor: int) -> None:
    path = cluster.deployment.signer_folder(name) / "signer.toml"
    lines = [
        f"free_disk_floor_bytes = {floor}" if line.startswith("free_disk_floor_bytes") else line
        for line in path.read_text().splitlines()
    ]
    path.write_text("\n".join(lines) + "\n")


async def pays(cluster: Cluster) -> None:
    """With both signers: an order is paid, once."""
    destination = payee()
    async with actors(cluster.deployment, "alice", "bob", "carol") as people:
        await until(lambda: connected(people[0], 2), timeout_s=PATIENCE_S)
        order = await until(lambda: ordered(people, destination), timeout_s=PATIENCE_S)
        await paid(cluster, people[0], order, timeout_s=PATIENCE_S)
    assert payments_on_chain(cluster, destination) == [AMOUNT]


async def ordered(people: Any, destination: str) -> OrderHash:
    return await approved(people, destination)


def no_traceback(cluster: Cluster) -> None:
    for path in (cluster.root / "logs").glob("*.log"):
        assert "Traceback" not in path.read_text(errors="replace"), path.name


@pytest.mark.attack(line="machine", title="a signer's disk filled to below its floor", origin=FULL)
async def test_below_its_floor_a_signer_does_not_vote_and_goes_on_by_itself(
    crippled: tuple[Cluster, SmallDisk],
) -> None:
    cluster, disk = crippled
    name = cluster.signers[0]
    daemon = cluster.signer(name)
    pid, mark = daemon.pid, len(daemon.events)
    destination = payee()
    async with actors(cluster.deployment, "alice", "bob", "carol") as people:
        await until(lambda: connected(people[0], 2), timeout_s=PATIENCE_S)
        disk.fill(leave=FLOOR // 2)
        ordering = asyncio.create_task(approved(people, destination))
        line = await asyncio.to_thread(said, daemon, "request.refused", mark, reason="DISK_LOW")
        assert "free some disk" in line["message"]
        status = await alarmed(cluster, name, "DISK_LOW")
        assert "bytes are free" in status["alarm_message"]
        assert not ordering.done()
        disk.free()
        await alarmed(cluster, name, None)
        await paid(cluster, people[0], await ordering, timeout_s=PATIENCE_S)
    assert payments_on_chain(cluster, destination) == [AMOUNT]
    assert daemon.pid == pid
    assert daemon.running
    no_traceback(cluster)


@pytest.mark.attack(line="machine", title="a signer's disk that fills up in the middle of a vote", origin=FULL)
async def test_a_disk_that_fills_up_under_a_vote_costs_only_the_vote(crippled: tuple[Cluster, SmallDisk]) -> None:
    """The floor was passed, and then there was no room: nothing is stored, no vote leaves, and the signer stays up."""
    await _filled_under(crippled, "Append", stops=False)


@pytest.mark.attack(line="machine", title="a signer's disk that fills up in the middle of a release", origin=FULL)
async def test_a_disk_that_fills_up_under_a_release_costs_only_the_share(crippled: tuple[Cluster, SmallDisk]) -> None:
    """No mark, no share: the signer stops, because its memory is ahead of its disk, and starts when there is room."""
    await _filled_under(crippled, "Release", stops=True)


async def _filled_under(crippled: tuple[Cluster, SmallDisk], request: str, *, stops: bool) -> None:
    cluster, disk = crippled
    name = cluster.signers[0]
    set_floor(cluster, name, 0)
    cluster.signer(name).stop()
    released = released_by(cluster, name)
    daemon = signer_on(cluster, name, "--fill-at", request, "--ballast", str(disk.ballast))
    destination = payee()
    async with actors(cluster.deployment, "alice", "bob", "carol") as people:
        await until(lambda: connected(people[0], 2), timeout_s=PATIENCE_S)
        order = await people[0].pay(VAULT, destination, AMOUNT)
        await people[1].approve(order)
        approving = asyncio.create_task(approve_again(people[2], order, timeout_s=PATIENCE_S))
        if stops:
            events = await ends(daemon)
            text = " ".join(str(line) for line in events[-4:])
            assert "STORE_FAILED" in text
            assert "is full: free space" in text
            assert "Traceback" not in text
            assert released_by(cluster, name) == released
            disk.free()
            signer_on(cluster, name)
        else:
            line = await asyncio.to_thread(said, daemon, "request.refused", reason="DISK_FULL")
            assert "free space; nothing was voted or signed" in line["message"]
            assert daemon.running
            assert cluster.signer_status(name)["shares_released"] == released
            disk.free()
        await approving
        await paid(cluster, people[0], order, timeout_s=PATIENCE_S)
    assert payments_on_chain(cluster, destination) == [AMOUNT]
    set_floor(cluster, name, FLOOR)
    no_traceback(cluster)


def released_by(cluster: Cluster, name: str) -> int:
    """Shares that the stopped signer's database counts."""
    path = cluster.deployment.signer_folder(name) / "signer.db"
    copy = path.parent.parent / "look.db"
    shutil.copy(path, copy)
    wal = path.with_name("signer.db-wal")
    if wal.exists():
        shutil.copy(wal, copy.with_name("look.db-wal"))
    look = sqlite3.connect(copy)
    row = look.execute("SELECT value FROM counter WHERE name = 'shares_released'").fetchone()
    look.close()
    return row[0] if row else 0


@pytest.mark.attack(line="machine", title="a signer started on a disk with no room at all", origin=FULL)
async def test_a_signer_on_a_full_disk_says_so_and_starts_when_there_is_room(
    crippled: tuple[Cluster, SmallDisk],
) -> None:
    cluster, disk = crippled
    name = cluster.signers[0]
    cluster.signer(name).stop()
    disk.fill()
    done = start_by_hand(cluster, name)
    assert done.returncode == 1
    assert "is full: free space" in done.stderr
    assert "Traceback" not in done.stderr
    disk.free()
    cluster.plain_signer(name)
    await pays(cluster)


def start_by_hand(cluster: Cluster, name: str) -> subprocess.CompletedProcess[str]:
    return cluster.signer_command(name, "run", "--passphrase-file", str(cluster.deployment.passphrase_file))


@pytest.mark.attack(line="machine", title="a signer's disk that stops taking writes under it", origin=FAILING)
async def test_a_signer_whose_disk_turned_read_only_stops_and_signs_nothing(
    crippled: tuple[Cluster, SmallDisk],
) -> None:
    cluster, disk = crippled
    name = cluster.signers[0]
    daemon = cluster.plain_signer(name)
    destination = payee()
    async with actors(cluster.deployment, "alice", "bob", "carol") as people:
        await until(lambda: connected(people[0], 2), timeout_s=PATIENCE_S)
        disk.fail()
        ordering = asyncio.create_task(approved(people, destination))
        events = await ends(daemon)
        text = " ".join(str(line) for line in events[-4:])
        assert "STORE_FAILED" in text
        assert "check the disk" in text
        assert "Traceback" not in text
        refused = await asyncio.to_thread(start_by_hand, cluster, name)
        assert refused.returncode == 1
        assert "Traceback" not in refused.stderr
        assert str(disk.folder) in refused.stderr
        disk.mend()
        cluster.plain_signer(name)
        await paid(cluster, people[0], await ordering, timeout_s=PATIENCE_S)
    assert payments_on_chain(cluster, destination) == [AMOUNT]


@pytest.mark.attack(
    line="machine", title="a coordinator's disk that fills up between an order and its payment", origin=FULL
)
async def test_a_coordinator_on_a_full_disk_stops_and_loses_no_order() -> None:
    with running(funded(), "full-c") as cluster, small_disk(cluster.deployment.coordinator_folder) as disk:
        cluster.start()
        destination = payee()
        async with actors(cluster.deployment, "alice", "bob", "carol") as people:
            order = await people[0].pay(VAULT, destination, AMOUNT)
            await people[1].approve(order)
            coordinator = cluster.coordinator
            disk.fill()
            approving = asyncio.create_task(approve_again(people[2], order, timeout_s=2 * PATIENCE_S))
            events = await ends(coordinator)
            text = " ".join(str(line) for line in events)
            assert "STORAGE_FAILED" in text
            assert "full" in text
            assert "Traceback" not in text, [line["text"] for line in events if "text" in line]
            disk.free()
            cluster.deployment.start_coordinator()
            await approving
            await paid(cluster, people[0], order, timeout_s=PATIENCE_S)
            assert payments_on_chain(cluster, destination) == [AMOUNT]
        no_traceback(cluster)
        cluster.kill()


# --- damage ----------------------------------------------------------------------------------------------------------


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
    folder = lying.root / "damaged-signer"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(lying.deployment.signer_folder(lying.signers[0]), folder)
    DAMAGE[damage](folder / name)
    phrase = ["--passphrase-file", str(lying.deployment.passphrase_file)]
    refused_at_the_start([program("strongroom-signer"), "run", "--data", str(folder), *phrase], folder / name)


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
    folder = lying.root / "damaged-coordinator"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(lying.deployment.coordinator_folder, folder)
    DAMAGE[damage](folder / name)
    refused_at_the_start([program("strongroom-coordinator"), "run", "--data", str(folder)], folder / name)


def refused_at_the_start(command: list[str], damaged: Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert done.returncode in (1, 2), done
    said_once = [line for line in done.stderr.splitlines() if line.startswith("strongroom-")]
    assert len(said_once) == 1, done.stderr
    assert damaged.name in done.stderr or damaged.name.split(".")[0] in done.stderr, done.stderr
    assert "Traceback" not in done.stderr
    assert "daemon.ready" not in done.stderr


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
        order = await until(lambda: ordered(people, destination), timeout_s=PATIENCE_S)
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
