"""The shares of one vault in tests: who holds which epoch, running or on disk, and orders that begin the next one."""

from __future__ import annotations

import asyncio
import sqlite3
from argparse import Namespace
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from actor import Actor, until
from cluster import VAULT, Cluster
from strongroom.ledger.order_messages import RefreshShares, ReshareVault
from strongroom.ledger.records import OrderState
from strongroom.model.ids import OrderHash
from strongroom_signer.operator_commands import DaemonRefused, ask


def shares_of(cluster: Cluster, name: str) -> dict[int, bytes]:
    """Epoch and sealed share of the vault in a stopped signer's database."""
    database = cluster.deployment.signer_folder(name) / "signer.db"
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
        return dict(connection.execute("SELECT epoch, sealed FROM share WHERE vault = ?", (VAULT,)))


def bytes_on_disk(folder: Path) -> bytes:
    """Everything that the files of a folder hold."""
    return b"".join(file.read_bytes() for file in sorted(folder.iterdir()) if file.is_file())


async def has_epoch(cluster: Cluster, name: str, epoch: int) -> bool:
    """Whether a running signer has its share of this epoch, the newest that it knows."""
    vaults: list[dict[str, Any]] = cluster.signer_status(name)["vaults"]
    return any(one["name"] == VAULT and one["epoch"] == epoch and one["has_share"] for one in vaults)


async def finished(actor: Actor, order: OrderHash, *, timeout_s: float = 90.0) -> None:
    """Wait until an order has acted, and that is final."""

    async def is_done() -> bool:
        status = await actor.client.order(order)
        return status.proven.record.state is OrderState.DONE and status.proven.final

    await until(is_done, timeout_s=timeout_s)


async def share_anew(
    cluster: Cluster,
    people: tuple[Actor, ...],
    action: RefreshShares | ReshareVault,
    *,
    accepted_by: Iterable[str] = (),
) -> None:
    """Have new shares ordered, accepted by these operators, approved and made."""
    first, *others = people
    order = await first.submit(action)
    for name in accepted_by:
        await until(lambda name=name: accepts(cluster, name, order))
    await asyncio.gather(*(other.approve(order) for other in others[:2]))
    await finished(first, order)


async def accepts(cluster: Cluster, name: str, order: OrderHash) -> bool:
    """An operator accepts an order for new shares; False while the signer's log does not have it yet."""
    socket = cluster.deployment.signer_folder(name) / "operator.sock"
    try:
        ask(Namespace(command="accept", order_hash=order.hex()), socket)
    except DaemonRefused as refusal:
        if "is no order for new shares in this signer's log" not in refusal.message:
            raise
        return False
    return True
