"""Ceremonies over real links: log time is brought on for those who wait for it, and a rejection ends what runs."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import select

from coordinator_world import SIGNERS, Site
from strongroom.ledger.entry_messages import Tick
from strongroom.ledger.order_messages import RefreshShares, ReshareVault
from strongroom.ledger.signed_messages import Verb
from strongroom_coordinator.storage.schema import redistribution
from strongroom_coordinator.subjects import decode_entry, subjects_of

DELAY_MS = 1_000
VAULT = "customer-1"


async def test_a_loosening_reshare_acts_in_a_log_where_nothing_else_happens(tmp_path: Path) -> None:
    async with Site(tmp_path, loosening_delay_ms=DELAY_MS) as site:
        await site.start_coordinator()
        await site.start_signers(*SIGNERS)
        await site.make_vault(VAULT)
        action = ReshareVault(vault=VAULT, signers=SIGNERS, threshold=1, absent=())
        logged = await site.submit(action, "alice", "bob", "carol")
        order = subjects_of(decode_entry(logged.entry).body)[0]
        for name in SIGNERS:
            signer = site.signers[name].signer
            await site.until(lambda signer=signer: signer.copy.size > logged.index)
            signer.redistribution.accept(order)

        def epoch() -> int:
            vault = site.side.sequencer.replica.state().vault(VAULT)
            return 0 if vault is None else vault.epoch

        await site.until(lambda: epoch() == 2)
        entries = [
            decode_entry(entry)
            for batch in await site.side.ledger.batches(logged.index + 1, 2**40, max_bytes=2**30)
            for entry in batch.entries
        ]
        assert entries[-1].time_ms >= decode_entry(logged.entry).time_ms + DELAY_MS
        # A few entries of time, not one per look: one that asks for it each second, and one that makes it final.
        seconds = (entries[-1].time_ms - decode_entry(logged.entry).time_ms) / 1000
        assert sum(isinstance(entry.body, Tick) for entry in entries) <= 6 + 2 * seconds


async def test_what_people_reject_while_it_runs_asks_nobody_any_more(tmp_path: Path) -> None:
    """One holder is away, so that both ceremonies wait; a rejection ends them though it never comes."""
    async with Site(tmp_path) as site:
        await site.start_coordinator()
        await site.start_signers(*SIGNERS)
        await site.make_vault(VAULT)
        await site.stop_signer("s3")
        refresh = await site.submit(RefreshShares(vaults=(VAULT,), absent=()), "alice", "bob", "carol")
        birth = await site.submit(site.world.creation("customer-2"), "carol", "alice", "bob")
        orders = [subjects_of(decode_entry(logged.entry).body)[0] for logged in (refresh, birth)]
        sides = (site.side.redistributions, site.side.keygen)
        for side, order, words in zip(sides, orders, ("awaited: s3", "s3 is away"), strict=True):
            await site.until(lambda side=side, order=order, words=words: words in side.progress(order))
            await site.side.sequencer.submit(site.endorse("bob", Verb.REJECT, order))
            await site.until(lambda side=side, order=order: not side.progress(order) and order not in side._running)
        assert not [row for row in await stored(site) if row]


async def stored(site: Site) -> list[object]:
    """What is kept of redistributions once the one that was ended is forgotten."""
    tidying = site.side.redistributions._tidying
    if tidying is not None:
        await tidying
    return await site.side.storage.run(lambda connection: connection.execute(select(redistribution)).fetchall())
