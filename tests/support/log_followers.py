"""Signers that follow the log: clients hear of an entry when a quorum has it, and the others come after in time."""

from __future__ import annotations

from functools import partial

from actor import Actor, until
from cluster import Cluster

__all__ = ["all_hold", "holds"]


async def all_hold(cluster: Cluster, actor: Actor, *names: str) -> None:
    """Wait until these running signers, or all, hold what is certified now, and know as final what is final now."""
    told = await actor.client.status()
    for name in names or cluster.signers:
        await until(partial(holds, cluster, name, certified=told.certified_size, final=told.final_size))


async def holds(cluster: Cluster, name: str, *, certified: int, final: int = 0) -> bool:
    """Whether a running signer holds so many entries as certified and knows that so many are final."""
    status = cluster.signer_status(name)
    return bool(status["certified_size"] >= certified and status["final_size"] >= final)
