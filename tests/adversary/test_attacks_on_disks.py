"""Disks fill up, or stop taking writes: a daemon says so, does nothing it could not note down, and goes on.

The signer under attack lies on a small disk of its own. With one other signer running, the organisation needs it for
every payment, so a payment that arrives shows that it works again.
"""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
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


@pytest.fixture(scope="module")
def coordinators_disk() -> Iterator[tuple[Cluster, SmallDisk]]:
    """Everything runs; the coordinator lies on a small disk."""
    with running(funded(), "disk-c") as cluster, small_disk(cluster.deployment.coordinator_folder) as disk:
        cluster.start()
        yield cluster, disk
        cluster.kill()


@pytest.mark.attack(
    line="machine", title="a coordinator's disk that fills up between an order and its payment", origin=FULL
)
async def test_a_coordinator_on_a_full_disk_stops_and_loses_no_order(
    coordinators_disk: tuple[Cluster, SmallDisk],
) -> None:
    await _stopped_by_its_disk(coordinators_disk, SmallDisk.fill, SmallDisk.free, {"full"})


@pytest.mark.attack(line="machine", title="a coordinator's disk that stops taking writes under it", origin=FAILING)
async def test_a_coordinator_whose_disk_turned_read_only_stops_and_loses_no_order(
    coordinators_disk: tuple[Cluster, SmallDisk],
) -> None:
    await _stopped_by_its_disk(coordinators_disk, SmallDisk.fail, refused_then_mended, {"disk I/O error", "readonly"})


def refused_then_mended(disk: SmallDisk) -> None:
    """While the disk takes no writes, a start ends with the reason; mend it then."""
    done = subprocess.run(
        [program("strongroom-coordinator"), "run", "--data", str(disk.folder)],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode in (1, 2), done
    assert "Traceback" not in done.stderr
    assert str(disk.folder) in "".join(done.stderr.splitlines()[-2:])
    disk.mend()


async def _stopped_by_its_disk(
    coordinators_disk: tuple[Cluster, SmallDisk],
    breaks: Callable[[SmallDisk], None],
    heals: Callable[[SmallDisk], None],
    words: set[str],
) -> None:
    """Between an order's last approval and its payment: the coordinator ends with one reason and starts when it can."""
    cluster, disk = coordinators_disk
    destination = payee()
    async with actors(cluster.deployment, "alice", "bob", "carol") as people:
        await until(lambda: connected(people[0], 3), timeout_s=PATIENCE_S)
        order = await people[0].pay(VAULT, destination, AMOUNT)
        await people[1].approve(order)
        coordinator = cluster.coordinator
        mark = len(coordinator.events)
        breaks(disk)
        approving = asyncio.create_task(approve_again(people[2], order, timeout_s=2 * PATIENCE_S))
        events = (await ends(coordinator))[mark:]
        # Two of its tasks may meet the disk in one moment, and each says so.
        lines = [line for line in events if line.get("reason") == "STORAGE_FAILED"]
        assert lines
        assert all("coordinator.db" in line["message"] for line in lines)
        assert all(any(word in line["message"] for word in words) for line in lines), lines
        assert not [line["text"] for line in events if "text" in line]
        await asyncio.to_thread(heals, disk)
        cluster.deployment.start_coordinator()
        await approving
        await paid(cluster, people[0], order, timeout_s=PATIENCE_S)
    assert payments_on_chain(cluster, destination) == [AMOUNT]
    no_traceback(cluster)
