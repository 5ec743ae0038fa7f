"""A signer of a test deployment in an attacker's hands, whose lie can be changed while it runs.

    west = turn_rogue(cluster, "west")
    west.lies("share-wrong")
    ...
    west.told("share-wrong")            # fails unless the lie was really told

The lies are listed by `python tests/adversary/rogue_signer.py --list`.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from actor import until
from cluster import Cluster
from strongroom_client.demo.processes import Daemon

ROGUE = Path(__file__).parents[1] / "adversary" / "rogue_signer.py"


@dataclass
class Rogue:
    """The running liar."""

    name: str
    daemon: Daemon
    file: Path
    mark: int = 0

    def lies(self, lie: str) -> None:
        """From now on tell this lie; "" is the truth."""
        self.mark = len(self.daemon.events)
        fresh = self.file.with_suffix(".new")
        fresh.write_text(lie)
        fresh.replace(self.file)

    def told(self, lie: str, *, timeout_s: float = 60.0) -> dict[str, Any]:
        """Wait until the lie was told since it was ordered."""
        return self.daemon.wait_for("lie.told", where={"lie": lie}, after=self.mark, timeout_s=timeout_s)

    def has_told(self, lie: str) -> bool:
        """Whether the lie was told since it was ordered."""
        return any(line.get("event") == "lie.told" and line["lie"] == lie for line in self.daemon.events[self.mark :])


async def asked_for_the_log(
    cluster: Cluster, rogue: Rogue, lie: str, *, pay: Callable[[], Awaitable[Any]], restart: Callable[[], None]
) -> None:
    """Have a coordinator without a database ask the liar for the log, for nobody else there has the newest entries.

    Args:
        cluster: Two honest signers and the liar, all running; the honest ones are started anew on the way.
        rogue: The liar; it tells the lie from then on.
        lie: What it says when it is asked for the log.
        pay: Has something paid with two of the signers.
        restart: Starts the coordinator without its database.
    """
    behind, away = (name for name in cluster.signers if name != rogue.name)
    cluster.signer(behind).stop()
    await pay()

    async def both_hold_all() -> bool:
        found = [cluster.signer_status(name) for name in (away, rogue.name)]
        return len({size for status in found for size in (status["size"], status["certified_size"])}) == 1

    await until(both_hold_all)
    cluster.signer(away).stop()
    rogue.lies(lie)
    await asyncio.to_thread(restart)
    await asyncio.to_thread(cluster.deployment.start_signer, behind)
    await asyncio.to_thread(rogue.told, lie)
    await asyncio.to_thread(cluster.deployment.start_signer, away)


def turn_rogue(cluster: Cluster, name: str, lie: str = "") -> Rogue:
    """Stop a signer if it runs, and start the liar on its folder."""
    earlier = cluster.deployment.signers.pop(name, None)
    if earlier is not None and earlier.running:
        earlier.stop()
    file = cluster.root / f"lie-of-{name}"
    file.write_text(lie)
    command = [sys.executable, str(ROGUE), "--lies", str(file), "--", *cluster.signer_arguments(name)]
    daemon = Daemon(f"rogue signer {name}", command, cluster.root / "logs" / f"signer-{name}.log")
    cluster.deployment.signers[name] = daemon
    daemon.start()
    return Rogue(name, daemon, file)
