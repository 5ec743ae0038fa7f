"""New shares over real links: a quiet log's time is brought on for those who wait for it."""

from __future__ import annotations

from pathlib import Path

from coordinator_world import SIGNERS, Site
from strongroom.ledger.messages import ReshareVault, Tick
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
        # A few entries of time, not one per look.
        assert sum(isinstance(entry.body, Tick) for entry in entries) <= 8
