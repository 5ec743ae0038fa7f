"""A signer whose disk is put back to an old copy between two votes, asked by a coordinator that kept the first back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from attack_cases import helped
from cluster import Cluster
from machines import copy_folder, put_back

__all__ = ["two_votes_of_who_forgot"]


async def two_votes_of_who_forgot(cluster: Cluster, tmp_path: Path) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """Who forgot, and what came of the two heads at one place; each was voted for by it, which is checked here."""
    if cluster.coordinator.running:
        cluster.coordinator.stop()
    forgetful = max(cluster.deployment.signers)
    folder = cluster.deployment.signer_folder(forgetful)
    cluster.signer(forgetful).stop()
    old = copy_folder(folder, tmp_path / "old")
    cluster.deployment.start_signer(forgetful)

    def restore() -> None:
        cluster.signer(forgetful).kill()
        put_back(old, folder)
        cluster.deployment.start_signer(forgetful)

    outcome = await helped(cluster, "ask-who-forgot", restore, restarted={forgetful})
    first, second = sorted((line for line in outcome.events if line["event"] == "voted"), key=lambda one: one["which"])
    assert first["place"] == second["place"]
    assert first["root"] != second["root"]
    return forgetful, first, second
