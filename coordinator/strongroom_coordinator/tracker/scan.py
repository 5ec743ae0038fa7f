"""What one block means for the vaults and their plans. Pure: the findings are stored and applied by the tracker."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from strongroom.chains.bitcoin.block import Block
from strongroom.chains.bitcoin.transaction import Transaction
from strongroom_coordinator.storage.chain import CoinRow, OutcomeRow, SpendRow
from strongroom_coordinator.tracker.addresses import Location, WatchedScripts
from strongroom_coordinator.tracker.plan_book import Outpoint, PlanBook, TrackedPlan

__all__ = ["Findings", "scan_block"]


@dataclass(slots=True, kw_only=True)
class Findings:
    """What one block brought."""

    height: int
    block_hash: bytes
    coins: dict[Outpoint, CoinRow] = field(default_factory=dict)
    spends: list[SpendRow] = field(default_factory=list)
    outcomes: dict[bytes, OutcomeRow] = field(default_factory=dict)
    confirmed: dict[bytes, TrackedPlan] = field(default_factory=dict)
    """Plans whose own transaction is in the block."""
    conflicted: dict[bytes, TrackedPlan] = field(default_factory=dict)
    """Plans that can never confirm beside the block."""


def scan_block(
    block: Block,
    height: int,
    scripts: WatchedScripts,
    plans: PlanBook,
    is_coin: Callable[[Outpoint], bool],
) -> tuple[Findings, set[Location]]:
    """Look for coins and spends of the vaults.

    Args:
        block: A block of the active chain.
        height: Its height.
        scripts: The vaults' scripts.
        plans: The unsettled plans; not changed.
        is_coin: Whether an outpoint is a known coin of a vault.

    Returns:
        The findings, and where the coins lie; if one is the highest index so far, more scripts have to be derived and
        the block looked at again.
    """
    found = Findings(height=height, block_hash=block.header.hash)
    places: set[Location] = set()
    for position, transaction in enumerate(block.transactions):
        _spends(transaction, found, plans, is_coin)
        for vout, output in enumerate(transaction.outputs):
            place = scripts.find(output.script)
            if place is None:
                continue
            places.add(place)
            vault, branch, index = place
            row = CoinRow(
                txid=transaction.txid,
                vout=vout,
                vault=vault,
                branch=branch,
                index=index,
                amount_sat=output.amount_sat,
                height=height,
                coinbase=position == 0,
            )
            found.coins[row.outpoint] = row
    for plan_hash, plan in found.confirmed.items():
        found.outcomes[plan_hash] = OutcomeRow(plan_hash=plan_hash, height=height, txid=plan.txid)
    return found, places


def _spends(transaction: Transaction, found: Findings, plans: PlanBook, is_coin: Callable[[Outpoint], bool]) -> None:
    txid = transaction.txid
    own = plans.by_txid(txid)
    if own is not None:
        found.confirmed[own.hash] = own
    for item in transaction.inputs:
        outpoint = (item.txid, item.vout)
        if outpoint in found.coins or is_coin(outpoint):
            found.spends.append(SpendRow(outpoint=outpoint, by_txid=txid, height=found.height))
        for plan in plans.spending(outpoint):
            if plan.txid != txid:
                for excluded in (plan, *plans.descendants(plan).values()):
                    found.conflicted[excluded.hash] = excluded
                    found.outcomes[excluded.hash] = OutcomeRow(plan_hash=excluded.hash, height=found.height, txid=txid)
