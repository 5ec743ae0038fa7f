"""How fast a log is replayed: decode, apply with all signature checks, hashes and state digest, folded batch by batch.

    python tests/bench/replay_rate.py [entries]

The log is what batched withdrawals leave: for each order its entry with the initiation, two approvals as entries of
their own, and one plan for every 100 orders. The target of the design is 5,000 entries a second for apply and digest
alone; the signature checks, which are most of the work, are timed apart.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import charter_builder as builder
from ledger_world import DAY_MS, World
from strongroom.crypto import ed25519
from strongroom.ledger.charter import AssetAmount, Fees, Limit, LogQuotas
from strongroom.ledger.pae import pae
from strongroom.ledger.replica import Batch, Replica
from strongroom.ledger.signed_messages import Verb
from strongroom.ledger.state import forget_decoded
from strongroom.ledger.view import MemoryStore

ORDERS_PER_PLAN = 100
TARGET_PER_S = 5_000


def build(entries: int) -> World:
    """A log of about this many entries."""
    limit = Limit(window_ms=DAY_MS, amounts=(AssetAmount(asset=builder.BTC, amount=10**15),))
    world = World.started(
        rules=(builder.rule(limits=(limit,)),),
        fees=Fees(per_vbyte=200, per_plan=10**6, window_ms=DAY_MS, per_vault=10**9),
        log=LogQuotas(coordinator_bytes_per_day=10**12, person_bytes_per_day=10**12),
    )
    world.make_vault("customer-1")
    for _ in range(max(1, entries // (3 * ORDERS_PER_PLAN + 1))):
        orders = [world.order(world.withdrawal("customer-1", 10_000)) for _ in range(ORDERS_PER_PLAN)]
        world.log(*(world.order_entry(order, "shop") for order in orders))
        world.later(100)
        approvals = [world.endorse(person, Verb.APPROVE, order) for person in ("alice", "bob") for order in orders]
        hashes = [record.hash for record in world.state.open_orders()]
        world.log(*approvals, world.plan(hashes, [world.coin(2_000_000)], fee_sat=10_000))
        world.later(100)
    return world


def replay(world: World, batches: list[Batch]) -> float:
    """Replay from nothing; return the seconds it took."""
    forget_decoded()
    base = MemoryStore()
    replica = Replica(base, log_id=world.log_id)
    started = time.perf_counter()
    for batch in batches:
        replica.push(replica.preview(batch))
        base.update(replica.fold(replica.size))
        replica.folded(replica.size)
    seconds = time.perf_counter() - started
    if replica.head() != world.replica.head():
        raise RuntimeError("the replay came to another head")
    return seconds


def signature_seconds(world: World, count: int) -> float:
    """Seconds that `count` strict signature checks take here."""
    signed = world.endorsement("alice", Verb.APPROVE, bytes(32))
    key, message = builder.signing_key("alice").public, pae("endorsement", signed.body)
    started = time.perf_counter()
    for _ in range(count):
        ed25519.verify(key, message, signed.signature)
    return time.perf_counter() - started


def run(entries: int = 6_000) -> dict[str, Any]:
    """Measure, print a table, and return the figures."""
    world = build(entries)
    batches = world.batches
    count = sum(len(batch.entries) for batch in batches)
    signatures = count - len(batches) // 2  # one in each entry but the plans
    whole = min(replay(world, batches) for _ in range(3))
    checks = signature_seconds(world, signatures)
    alone = max(whole - checks, 1e-9)
    figures: dict[str, Any] = {
        "entries": count,
        "bytes": sum(len(entry) for batch in batches for entry in batch.entries),
        "entries_per_s": round(count / whole),
        "entries_per_s_without_signatures": round(count / alone),
        "signature_check_us": round(checks / signatures * 1e6, 1),
        "target_entries_per_s": TARGET_PER_S,
    }
    width = max(map(len, figures))
    sys.stdout.write("".join(f"{name:<{width}}  {value:>12,}\n" for name, value in figures.items()))
    return figures


if __name__ == "__main__":
    run(*map(int, sys.argv[1:2]))
