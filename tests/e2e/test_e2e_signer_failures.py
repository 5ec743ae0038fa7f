"""Signers that are down, die in the middle, come back, or were started wrongly."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from actor import actors, ready, until
from cluster import Cluster
from payments import AMOUNT, approved, connected, paid, payee, payments_on_chain

pytestmark = pytest.mark.process


async def caught_up(cluster: Cluster, name: str) -> None:
    """Wait until a signer holds as much of the log as the longest."""

    async def check() -> bool:
        sizes = [cluster.signer_status(other)["certified_size"] for other in cluster.signers]
        status = cluster.signer_status(name)
        return bool(status["connected"]) and status["certified_size"] == max(sizes)

    await until(check)
    assert cluster.signer_status(name)["alarm"] is None


@pytest.mark.parametrize("absent", ["north", "west"])
async def test_payments_go_on_while_one_signer_is_down(stopped_cluster: Cluster, absent: str) -> None:
    stopped_cluster.start(signers=[name for name in stopped_cluster.signers if name != absent])
    destination = payee()
    async with actors(stopped_cluster.deployment, "alice", "bob", "carol") as people:
        await paid(stopped_cluster, people[0], await approved(people, destination))
        stopped_cluster.plain_signer(absent)
        await caught_up(stopped_cluster, absent)
    assert payments_on_chain(stopped_cluster, destination) == [AMOUNT]


@pytest.mark.attack(
    line="machine",
    title="a signer killed around each round",
    origin="nonce reuse (sBTC, sig-net): two messages under one nonce give the share",
)
async def test_payments_go_on_while_one_signer_hangs(cluster: Cluster) -> None:
    """Its connection stays open and it answers nothing; the others vote and sign, and it catches up afterwards."""
    destination = payee()
    hanging = cluster.signers[0]
    async with actors(cluster.deployment, "alice", "bob", "carol") as people:
        await ready(people[0])
        os.kill(cluster.signer(hanging).pid, signal.SIGSTOP)
        try:
            await paid(cluster, people[0], await approved(people, destination))
        finally:
            os.kill(cluster.signer(hanging).pid, signal.SIGCONT)
        await caught_up(cluster, hanging)
    assert payments_on_chain(cluster, destination) == [AMOUNT]


async def test_a_signer_whose_clock_is_off_does_not_vote(stopped_cluster: Cluster) -> None:
    """Two minutes ahead it refuses every new batch; with a right clock it votes again."""
    cluster = stopped_cluster
    off, right, other = cluster.signers
    cluster.start(signers=[right, other])
    cluster.launch_signer(off, "--shift-ms", "120000")
    destination = payee()
    async with actors(cluster.deployment, "alice", "bob", "carol") as people:
        await ready(people[0])
        await until(lambda: connected(people[0], 3))
        cluster.signer(other).stop()
        ordering = asyncio.create_task(approved(people, destination))
        await asyncio.to_thread(
            cluster.coordinator.wait_for, "batch.refused", where={"signer": off, "reason": "BATCH_TIME_OFF"}
        )
        assert not ordering.done()
        cluster.signer(off).stop()
        cluster.plain_signer(off)
        await paid(cluster, people[0], await ordering)
    assert payments_on_chain(cluster, destination) == [AMOUNT]


def test_a_wrong_passphrase_is_said_in_clear_words(stopped_cluster: Cluster, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text("not the right one\n")
    done = stopped_cluster.signer_command("north", "run", "--passphrase-file", str(wrong))
    assert done.returncode == 3
    assert "passphrase" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.attack(
    line="machine",
    title="two daemons on one share",
    origin="nonce reuse (sBTC, sig-net): two messages under one nonce give the share",
)
def test_a_second_daemon_on_a_signers_folder_is_refused(stopped_cluster: Cluster) -> None:
    stopped_cluster.start(signers=["north"], coordinator=False, node=False)
    phrase = str(stopped_cluster.deployment.passphrase_file)
    done = stopped_cluster.signer_command("north", "run", "--passphrase-file", phrase)
    assert done.returncode != 0
    assert "another" in done.stderr
    assert "Traceback" not in done.stderr
    assert stopped_cluster.signer("north").running
