"""All benchmarks: one table of figures beside the targets of the design, and a JSON file with every raw figure.

    python tests/bench/main.py [--quick] [--out bench-results.json] [--only latency,throughput,...]

Real daemons as processes on this machine, mutual TLS, durable writes; see docs/benchmarks.md for what each figure is.
The exit code is 0 when everything was measured, whether or not the targets are met; 1 when something failed.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import math
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "support"))

import bench_custody as custody
import bench_machine
import lifecycle
import microbench_frost
import replay_rate
from bench_report import Better, Figure, percentile, report, spread, table

from actor import COIN, Actor, actors, ready, until
from strongroom_client.demo.deployment import Deployment

SUITES: Final = ("frost", "replay", "lifecycle", "latency", "throughput", "keygen")


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How much is measured."""

    latency: int
    one_by_one: int
    batched: int
    keys: int
    replayed: int
    vaults: int


FULL: Final = Counts(latency=100, one_by_one=600, batched=2_000, keys=5, replayed=6_000, vaults=lifecycle.VAULTS)
QUICK: Final = Counts(latency=15, one_by_one=150, batched=500, keys=1, replayed=1_500, vaults=20)
KEYGEN_TARGETS_MS: Final = {"generate 3-of-5": 300.0, "generate 15-of-21": 2_000.0, "refresh 15-of-21": 2_000.0}
"""The design's targets for a key generation; a refresh of as many holders must not take longer."""


@dataclass(slots=True, kw_only=True)
class Results:
    """Figures in the order they are shown, raw numbers by name, and what failed."""

    figures: list[Figure] = field(default_factory=list)
    raw: dict[str, Any] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, what: str, measured: float, unit: str, better: Better, target: float | None) -> None:
        """Add one figure."""
        self.figures.append(Figure(name=name, what=what, measured=measured, unit=unit, better=better, target=target))

    def miss(self, name: str, what: str, unit: str, better: Better, target: float) -> None:
        """Add a figure that could not be measured: it counts as missed."""
        self.add(name, what, math.nan, unit, better, target)


# --- in this process --------------------------------------------------------------------------------------------------


def measure_frost(results: Results) -> None:
    """FROST operations against their own curve calls."""
    rows = microbench_frost.run()
    results.raw["frost"] = rows
    for group in dict.fromkeys(str(row["group"]) for row in rows):
        worst = max((row for row in rows if row["group"] == group), key=lambda row: float(str(row["ratio"])))
        results.add(
            f"frost_{group}",
            f"FROST {group}: worst operation ({worst['operation']}) / its curve calls",
            float(str(worst["ratio"])),
            "x",
            Better.LOWER,
            microbench_frost.TARGET_RATIO,
        )


def measure_replay(results: Results, counts: Counts) -> None:
    """Replay of a log of batched withdrawals."""
    with contextlib.redirect_stdout(sys.stderr):
        figures = replay_rate.run(counts.replayed)
    results.raw["replay"] = figures
    target = float(replay_rate.TARGET_PER_S)
    apply_only = float(figures["entries_per_s_without_signatures"])
    results.add("replay_apply", "replay: apply and digest alone", apply_only, "entries/s", Better.HIGHER, target)
    whole = float(figures["entries_per_s"])
    results.add("replay", "replay: with every signature checked", whole, "entries/s", Better.HIGHER, None)


def measure_lifecycle(results: Results, counts: Counts) -> None:
    """Making, handing on and recovering keys: the pure protocol, all parties one after the other."""
    rows = lifecycle.run()
    results.raw["lifecycle"] = rows
    for row in rows:
        if row["step"] == lifecycle.ALL:
            name = row["what"].replace(" ", "_").replace("-", "_")
            target = KEYGEN_TARGETS_MS.get(row["what"])
            what = f"{row['what']}, every party's work added up"
            results.add(f"lifecycle_{name}", what, row["ms"], "ms", Better.LOWER, target)
    together = lifecycle.many(counts.vaults)
    results.raw["lifecycle_many"] = together
    for verb in ("generate", "refresh", "sign"):
        what = f"{verb} 2-of-3 for {counts.vaults:,} vaults, one after the other"
        results.add(f"lifecycle_many_{verb}", what, together[f"{verb}_s"], "s", Better.LOWER, None)


# --- with real processes ----------------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def _running(made: Deployment, orders_per_plan: int) -> AsyncIterator[tuple[Actor, ...]]:
    try:
        await asyncio.to_thread(made.start_node)
        await custody.set_orders_per_plan(made, orders_per_plan)
        await asyncio.gather(*(asyncio.to_thread(made.start_signer, name) for name in made.shape.signers))
        async with actors(made, *made.shape.treasury) as people:
            await _leading(people[0])
            yield people
    finally:
        await asyncio.to_thread(made.stop)


async def _leading(person: Actor) -> None:
    """Wait until the coordinator leads the log with every signer, and people can name a final head."""

    async def leads() -> bool:
        status = await person.client.status()
        return bool(status.leading and all(signer.connected for signer in status.signers))

    await until(leads)
    await ready(person)


async def measure_three(results: Results, counts: Counts, root: Path, suites: set[str]) -> None:
    """Key generation, latency and throughput of a 2-of-3 vault."""
    made = custody.deployment(root, signers=3, witness_quorum=2)
    async with _running(made, 1) as people:
        keys = counts.keys if "keygen" in suites else 1
        taken, vaults = await custody.generate_keys(made, people, threshold=2, count=keys)
        if "keygen" in suites:
            results.raw["keygen_2_of_3_ms"] = taken
            results.add(
                "keygen_2_of_3", "key generation 2-of-3, median", percentile(taken, 50), "ms", Better.LOWER, None
            )
        if not suites & {"latency", "throughput"}:
            return
        vault, name = vaults[0], vaults[0].record.name
        progress("funding the vault with small deposits")
        wanted = counts.latency + counts.one_by_one
        await custody.fan_out(made, people[0], vault, count=wanted + 20)
        if "latency" in suites:
            progress(f"{counts.latency} withdrawals, one after the other")
            _latency(results, await custody.latencies(made, people, name, count=counts.latency))
        if "throughput" in suites:
            progress(f"{counts.one_by_one} withdrawals with a transaction each")
            _throughput(
                results,
                "one_by_one",
                "withdrawals, one transaction each",
                await custody.bulk(made, people, name, count=counts.one_by_one),
                100.0,
            )
            await custody.fan_out(made, people[0], vault, count=20, amount_sat=COIN)
            await custody.set_orders_per_plan(made, 500)
            await _leading(people[0])
            await people[0].wait_for_coins(name, 20 * COIN)
            progress(f"{counts.batched} withdrawals, up to 500 in a transaction")
            _throughput(
                results,
                "batched",
                "withdrawals, up to 500 in a transaction",
                await custody.bulk(made, people, name, count=counts.batched),
                None,
            )


def _latency(results: Results, found: list[custody.Latency]) -> None:
    signed, receipt = [one.signed for one in found], [one.receipt for one in found]
    rounds = [one.rounds for one in found]
    results.raw["latency_ms"] = {"signed": signed, "rounds": rounds, "receipt": receipt, "spread": spread(signed)}
    what = "last approval -> signed transaction, 2-of-3, idle"
    results.add("latency_p50", f"{what}, p50", percentile(signed, 50), "ms", Better.LOWER, 25.0)
    results.add("latency_p99", f"{what}, p99", percentile(signed, 99), "ms", Better.LOWER, 100.0)
    what = "- of it both rounds with the signers, p50"
    results.add("rounds_p50", what, percentile(rounds, 50), "ms", Better.LOWER, None)
    what = "last approval -> its proven receipt, p50"
    results.add("receipt_p50", what, percentile(receipt, 50), "ms", Better.LOWER, None)


def _throughput(results: Results, name: str, what: str, run: custody.Run, target: float | None) -> None:
    results.raw[name] = {
        "orders": run.orders,
        "seconds": run.seconds,
        "transactions": run.plans,
        "entered_s": run.entered_s,
        "cpu_ms_per_order": {name: round(used / run.orders * 1000, 2) for name, used in run.cpu_s.items()},
        "signed_after_s": run.signed_after_s,
    }
    results.add(name, what, run.per_second, "/s", Better.HIGHER, target)


async def measure_five(results: Results, counts: Counts, root: Path) -> None:
    """Key generation 3-of-5."""
    made = custody.deployment(root, signers=5, witness_quorum=4)
    async with _running(made, 500) as people:
        taken, _ = await custody.generate_keys(made, people, threshold=3, count=counts.keys)
    results.raw["keygen_3_of_5_ms"] = taken
    results.add("keygen_3_of_5", "key generation 3-of-5, median", percentile(taken, 50), "ms", Better.LOWER, 300.0)


# --- the command ------------------------------------------------------------------------------------------------------


def progress(text: str) -> None:
    """Say on standard error what is being done."""
    sys.stderr.write(f"  ... {text}\n")
    sys.stderr.flush()


@contextlib.contextmanager
def _failing_alone(results: Results, name: str) -> Iterator[None]:
    """Let the other suites be measured when one fails; the failure is shown, and the exit code tells."""
    try:
        yield
    except Exception as error:
        # Whatever a suite fails on, the others still have figures to give.
        results.failures[name] = f"{type(error).__name__}: {error}"


def _work(counts: Counts, root: Path, suites: set[str]) -> dict[str, Callable[[Results], Any]]:
    work: dict[str, Callable[[Results], Any]] = {}
    if "frost" in suites:
        work["frost"] = measure_frost
    if "replay" in suites:
        work["replay"] = lambda results: measure_replay(results, counts)
    if "lifecycle" in suites:
        work["lifecycle"] = lambda results: measure_lifecycle(results, counts)
    if suites & {"latency", "throughput", "keygen"}:
        work["2-of-3"] = lambda results: asyncio.run(measure_three(results, counts, root / "three", suites))
    if "keygen" in suites:
        work["3-of-5"] = lambda results: asyncio.run(measure_five(results, counts, root / "five"))
    return work


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, write. Returns the exit code."""
    parser = argparse.ArgumentParser(description="Measure the whole system and print figures beside their targets.")
    parser.add_argument("--quick", action="store_true", help="smaller counts: for a look, not for a record")
    parser.add_argument("--out", type=Path, help="write everything as JSON to this file")
    parser.add_argument("--only", default=",".join(SUITES), help=f"some of {','.join(SUITES)}")
    parser.add_argument("--keep", type=Path, help="keep data folders and logs of the daemons in this new folder")
    options = parser.parse_args(arguments)
    suites = set(options.only.split(","))
    if not suites <= set(SUITES):
        parser.error(f"--only: unknown {', '.join(sorted(suites - set(SUITES)))}")
    counts = QUICK if options.quick else FULL
    results = Results()
    with contextlib.ExitStack() as stack:
        root = options.keep or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="strongroom-bench-")))
        root.mkdir(parents=True, exist_ok=True)
        context = {**bench_machine.facts(root), "quick": options.quick}
        started = time.monotonic()
        for name, measure in _work(counts, root, suites).items():
            progress(name)
            with _failing_alone(results, name):
                measure(results)
        context["took_s"] = round(time.monotonic() - started, 1)
    _show(results, context)
    if options.out is not None:
        document = report(results.figures, context={**context, "failures": results.failures}, raw=results.raw)
        options.out.write_text(json.dumps(document, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    return 1 if results.failures else 0


def _show(results: Results, context: dict[str, Any]) -> None:
    machine = context["machine"]
    sys.stdout.write(
        f"{machine['processor']}, {machine['cores']} cores, {machine['memory_mib']} MiB, {machine['kernel']}, "
        f"{machine['python']}, {machine['fsyncs_per_s']:,} durable writes/s; commit {context['commit']}; "
        f"{context['took_s']:.0f} s\n\n{table(results.figures)}\n"
    )
    for name, failure in results.failures.items():
        sys.stdout.write(f"\nNOT MEASURED: {name}: {failure}\n")


if __name__ == "__main__":
    sys.exit(main())
