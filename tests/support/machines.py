"""Daemons on machines that a test changes under them: started through `machine_launcher.py`, and what they said."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from actor import until
from cluster import Cluster
from strongroom_client.demo.processes import Daemon, program, run_program

LAUNCHER = Path(__file__).with_name("machine_launcher.py")
PATIENCE_S = 90.0
"""For anything that a slow machine may take long for."""


def signer_on(cluster: Cluster, name: str, *options: str, arguments: Sequence[str] = ()) -> Daemon:
    """Start a signer through the launcher, in place of one that ran before; `arguments` go to its own command."""
    command = [sys.executable, str(LAUNCHER), "signer", *options, "--", *cluster.signer_arguments(name), *arguments]
    daemon = Daemon(f"signer {name}", command, cluster.root / "logs" / f"signer-{name}.log")
    cluster.deployment.signers[name] = daemon
    daemon.start(timeout_s=PATIENCE_S)
    return daemon


def coordinator_on(cluster: Cluster, *options: str) -> Daemon:
    """Start the coordinator through the launcher, in place of one that ran before."""
    folder = str(cluster.deployment.coordinator_folder)
    command = [sys.executable, str(LAUNCHER), "coordinator", *options, "--", "run", "--data", folder]
    cluster.deployment.coordinator = Daemon("coordinator", command, cluster.root / "logs" / "coordinator.log")
    cluster.deployment.coordinator.start(timeout_s=PATIENCE_S)
    return cluster.deployment.coordinator


def said(daemon: Daemon, event: str, after: int = 0, **where: Any) -> dict[str, Any]:
    """Wait for a line of the daemon's log."""
    return daemon.wait_for(event, where=where, after=after, timeout_s=PATIENCE_S)


async def ends(daemon: Daemon) -> list[dict[str, Any]]:
    """Wait until a daemon has ended by itself; what it said without being JSON is among its last events as `text`."""

    async def ended() -> bool:
        return not daemon.running

    await until(ended, timeout_s=PATIENCE_S)
    daemon.kill()
    return daemon.events


async def alarmed(cluster: Cluster, name: str, reason: str | None) -> dict[str, Any]:
    """Wait until a running signer shows its operator this alarm, or none."""

    async def shown() -> dict[str, Any] | None:
        status = cluster.signer_status(name)
        return status if status["alarm"] == reason else None

    status: dict[str, Any] = await until(shown, timeout_s=PATIENCE_S)
    return status


def empty_coordinator(cluster: Cluster) -> None:
    """Take the stopped coordinator's database away, and do what its operator is told to do then."""
    folder = cluster.deployment.coordinator_folder
    for path in folder.glob("coordinator.db*"):
        path.unlink()
    run_program([program("strongroom-coordinator"), "migrate", "--data", str(folder)])


def copy_folder(folder: Path, to: Path) -> Path:
    """A copy of a data folder as an image of the disk has it, write-ahead files included."""
    shutil.rmtree(to, ignore_errors=True)
    shutil.copytree(folder, to, ignore=shutil.ignore_patterns("*.sock"))
    return to


def put_back(copy: Path, folder: Path) -> None:
    """Restore a data folder from a copy."""
    shutil.rmtree(folder)
    shutil.copytree(copy, folder)
