"""Withdrawals a second while one of five signers is bad, beside those with all good: at most a fifth may be lost.

    python tests/bench/with_bad_signers.py [--count 300] [--rounds 3] [--out FILE]

Five signers of whom three sign and four witness, as real processes. In each round every kind of badness has a run of
its own, with a run of all good before it, so that a machine that slows down slows both. The liar comes last: it is
convicted within its first run, which shows what that costs, and left out in those that follow.

The exit code is 0 when every kind loses at most a fifth in the median of its runs, 1 when one loses more.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "support"))

import bench_custody as custody
import bench_machine

from actor import Actor, actors, ready, until
from cluster import Cluster
from rogue import turn_rogue

BAD: Final = "middle"
GOOD: Final = "all good"
LOSS: Final = 0.2
"""What the design lets one bad signer cost."""
KINDS: Final = {
    "down": "one is down",
    "silent-release": "one gives no shares and never answers",
    "silent-vote": "one never votes and never answers",
    "late-release": "one answers three seconds late",
    "share-wrong": "one gives wrong shares",
}
"""In this order: who lies is convicted, and stays left out."""


@contextlib.asynccontextmanager
async def _running(root: Path) -> AsyncIterator[tuple[Cluster, tuple[Actor, ...]]]:
    made = custody.deployment(root, signers=5, witness_quorum=4)
    cluster = Cluster(made)
    try:
        await asyncio.to_thread(made.start_node)
        await custody.set_orders_per_plan(made, 1)
        await asyncio.gather(*(asyncio.to_thread(made.start_signer, name) for name in made.shape.signers))
        async with actors(made, *made.shape.treasury) as people:
            yield cluster, people
    finally:
        await asyncio.to_thread(cluster.kill)


async def _leads_with(person: Actor, connected: int) -> None:
    async def leads() -> bool:
        status = await person.client.status()
        return bool(status.leading) and sum(one.connected for one in status.signers) == connected

    await until(leads, timeout_s=60.0)
    await ready(person)


async def _become(cluster: Cluster, person: Actor, kind: str) -> None:
    """Have the bad one be so, and everybody else as they are."""
    if kind == "down":
        await asyncio.to_thread(cluster.signer(BAD).stop)
        await _leads_with(person, 4)
        return
    if kind == GOOD:
        await asyncio.to_thread(cluster.plain_signer, BAD)
    else:
        await asyncio.to_thread(turn_rogue, cluster, BAD, kind)
    await _leads_with(person, 5)


async def _measured(root: Path, *, count: int, rounds: int) -> dict[str, list[tuple[float, float]]]:
    """By kind: orders a second in each run, and in the run of all good before it."""
    found: dict[str, list[tuple[float, float]]] = {kind: [] for kind in KINDS}
    async with _running(root) as (cluster, people):
        await _leads_with(people[0], 5)
        _, vaults = await custody.generate_keys(cluster.deployment, people, threshold=3, count=1)
        vault, name = vaults[0], vaults[0].record.name
        for kind, runs in found.items():
            for number in range(rounds):
                await custody.fan_out(cluster.deployment, people[0], vault, count=2 * count + 20)
                speeds = []
                for now in (GOOD, kind):
                    await _become(cluster, people[0], now)
                    run = await custody.bulk(cluster.deployment, people, name, count=count)
                    speeds.append(run.per_second)
                sys.stderr.write(f"  ... {kind} {number + 1}/{rounds}: {speeds[1]:.0f} of {speeds[0]:.0f} a second\n")
                runs.append((speeds[0], speeds[1]))
    return found


def lost(runs: Sequence[tuple[float, float]]) -> float:
    """The part that is lost, in the median of the runs; negative when it was quicker."""
    return 1.0 - median(bad / good for good, bad in runs)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=300, help="withdrawals in each run")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each kind")
    parser.add_argument("--out", type=Path, help="write every raw figure to this file, as JSON")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="sr-bad-") as folder:
        context = bench_machine.facts(Path(folder))
        found = asyncio.run(_measured(Path(folder) / "five", count=options.count, rounds=options.rounds))
    for kind, runs in found.items():
        good, bad = (median(run[place] for run in runs) for place in (0, 1))
        verdict = "yes" if lost(runs) <= LOSS else "NO"
        speeds = f"{bad:>8.1f} /s beside{good:>8.1f} /s, lost {lost(runs):>6.1%}"
        sys.stdout.write(f"{KINDS[kind]:<42}{speeds}  within a fifth: {verdict}\n")
    if options.out is not None:
        document: dict[str, Any] = {"context": context, "count": options.count, "runs": found}
        options.out.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return 0 if all(lost(runs) <= LOSS for runs in found.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
