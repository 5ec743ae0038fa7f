"""Daemons on machines that a test changes under them: started through `machine_launcher.py`, and what they said."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from actor import until
from cluster import Cluster
from strongroom_client.demo.processes import Daemon

LAUNCHER = Path(__file__).with_name("machine_launcher.py")
PATIENCE_S = 90.0
"""For anything that a slow machine may take long for."""


def signer_on(cluster: Cluster, name: str, *options: str) -> Daemon:
    """Start a signer through the launcher, in place of one that ran before."""
    command = [sys.executable, str(LAUNCHER), "signer", *options, "--", *cluster.signer_arguments(name)]
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
