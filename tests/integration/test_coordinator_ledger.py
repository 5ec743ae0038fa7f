"""The coordinator's ledger half against real signers over mutual TLS: terms, batches, signing, and what goes wrong."""

from __future__ import annotations

from pathlib import Path

from coordinator_world import started
from strongroom.chains.bitcoin.transaction import parse


async def test_approved_withdrawal_is_planned_certified_and_signed(tmp_path: Path) -> None:
    async with started(tmp_path) as site:
        await site.make_vault("customer-1")
        order = await site.pay("customer-1", 100_000)
        transaction = parse(await site.signed(order))
        assert [output.amount_sat for output in transaction.outputs] == [100_000]
        assert len(transaction.inputs[0].witness[0]) == 64
