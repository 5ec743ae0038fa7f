"""Reads the best chain block by block, and takes blocks back when the chain reorganises."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final

import structlog
from sqlalchemy import Connection

from strongroom.chains.bitcoin.block import Block
from strongroom.chains.bitcoin.policy import DEPOSIT_BRANCH
from strongroom_coordinator.chain.node import BitcoinNode
from strongroom_coordinator.clock import Clock
from strongroom_coordinator.storage import chain as rows
from strongroom_coordinator.storage import events
from strongroom_coordinator.storage.chain import CoinRow, DepositRow
from strongroom_coordinator.storage.engine import Storage
from strongroom_coordinator.tracker.scan import Findings, scan_block

if TYPE_CHECKING:
    from strongroom_coordinator.tracker.tracker import Tracker

__all__ = ["Follower"]

log = structlog.get_logger()

BLOCKS_AT_ONCE: Final = 50


@dataclass(slots=True)
class _Chunk:
    """Some blocks in a row, and the indexes that they showed to be in use."""

    blocks: list[Findings] = field(default_factory=list)
    highest: dict[tuple[str, int], int] = field(default_factory=dict)


class Follower:
    """Follows the chain for a tracker, whose books it keeps."""

    def __init__(self, tracker: Tracker, node: BitcoinNode, storage: Storage, clock: Clock) -> None:
        self._tracker = tracker
        self._node = node
        self._storage = storage
        self._clock = clock
        self._tip_hash = b""
        self._recent: dict[int, list[bytes]] = {}
        self.height = -1
        self.is_at_tip = False
        """Every block of the node is followed, and the node lacks none that it knows of."""
        self.rescan_wanted = False

    async def load(self) -> None:
        """Take up where the database says we stopped."""
        self.rescan_wanted = await self._storage.run(rows.rescan_is_wanted) or self.rescan_wanted
        await self._load_coins()
        tip = await self._storage.run(rows.tip)
        if tip is not None:
            self.height, self._tip_hash = tip
        first = self.height - self._tracker.confirmations + 2
        for row in await self._storage.run(partial(rows.settled_from, height=first)):
            self._recent.setdefault(row.height, []).extend(self._tracker.orders_of(row.plan_hash))

    def note_settled(self, height: int, orders: Iterable[bytes]) -> None:
        """Orders whose plan was settled by a block that is followed already."""
        self._recent.setdefault(height, []).extend(orders)

    async def _load_coins(self) -> None:
        coins = await self._storage.run(rows.unspent)
        self._tracker.coins_known.clear()
        for coin in coins:
            self._tracker.coins_known.add(coin)

    async def follow(self) -> None:
        """Bring everything to the node's tip."""
        if self.rescan_wanted:
            self.rescan_wanted = False
            log.info("chain.rescan_begun", height=self.height)
            await self._undo(0, reorganised=False)
        tip = await self._node.tip()
        self.is_at_tip = tip.block_hash == self._tip_hash and not tip.is_syncing
        if tip.block_hash == self._tip_hash:
            return
        await self._leave_abandoned_blocks()
        while self.height < tip.height:
            chunk = await self._read(tip.height)
            if not chunk.blocks:
                return
            await self._store(chunk)
        self.is_at_tip = tip.block_hash == self._tip_hash and not tip.is_syncing
        log.debug("chain.followed", height=self.height)

    # --- forwards --------------------------------------------------------------------------------------------------

    async def _read(self, until: int) -> _Chunk:
        """Read the next blocks; ends early when the chain changed meanwhile, which the next poll sorts out."""
        chunk = _Chunk()
        while self.height < until and len(chunk.blocks) < BLOCKS_AT_ONCE:
            block = await self._node.block_at(self.height + 1)
            if block is None or (self.height >= 0 and block.header.previous != self._tip_hash):
                break
            found = await self._scan(block, self.height + 1, chunk)
            self._apply(found)
            chunk.blocks.append(found)
        return chunk

    async def _scan(self, block: Block, height: int, chunk: _Chunk) -> Findings:
        tracker = self._tracker
        while True:
            found, places = scan_block(
                block, height, tracker.scripts, tracker.plans, lambda point: point in tracker.coins_known
            )
            new = tracker.new_highest(places)
            if not new:
                return found
            for vault, branch, index in new:
                await tracker.note_index(vault, branch, index)
                chunk.highest[vault, branch] = max(index, chunk.highest.get((vault, branch), -1))

    def _apply(self, found: Findings) -> None:
        tracker = self._tracker
        for coin in found.coins.values():
            tracker.coins_known.add(coin)
        for spend in found.spends:
            tracker.coins_known.remove(spend.outpoint)
        for plan in found.conflicted.values():
            tracker.plans.remove(plan.hash)
            tracker.plans.conflicted[plan.hash] = found.outcomes[plan.hash].txid
            tracker.displaced.update(plan.record.order_hashes)
            log.warning("plan.excluded", plan=plan.hash.hex(), height=found.height)
        for plan in found.confirmed.values():
            tracker.plans.remove(plan.hash)
            tracker.displaced.difference_update(plan.record.order_hashes)
            log.info("plan.confirmed", plan=plan.hash.hex(), height=found.height)
        self.height, self._tip_hash = found.height, found.block_hash

    async def _store(self, chunk: _Chunk) -> None:
        touched = [(found, self._orders_touched(found)) for found in chunk.blocks]
        now_ms = self._clock.wall_ms()
        # Plan rows are written with their batches; this must come after them.
        await self._tracker.log_stored()
        await self._storage.run(partial(self._write, touched=touched, highest=chunk.highest, now_ms=now_ms))
        self._tracker.changed()
        self._tracker.order_bell.ring()
        self._tracker.deposit_bell.ring()

    def _orders_touched(self, found: Findings) -> dict[str, set[bytes]]:
        """Orders to tell watchers about, by what happened to them."""
        confirmed = {order for plan in found.confirmed.values() for order in self._tracker.orders_of(plan.hash)}
        excluded = {order for plan in found.conflicted.values() for order in self._tracker.orders_of(plan.hash)}
        depth = self._tracker.confirmations
        deeper = {order for height, orders in self._recent.items() if height > found.height - depth for order in orders}
        self._recent = {height: orders for height, orders in self._recent.items() if height > found.height - depth}
        self._recent[found.height] = [*confirmed, *excluded]
        return {"confirmed": confirmed, "excluded": excluded, "deeper": deeper}

    def _write(
        self,
        connection: Connection,
        *,
        touched: list[tuple[Findings, dict[str, set[bytes]]]],
        highest: dict[tuple[str, int], int],
        now_ms: int,
    ) -> None:
        for found, orders in touched:
            rows.add_block(connection, found.height, found.block_hash)
            rows.add_coins(connection, found.coins.values())
            rows.mark_spent(connection, found.spends)
            rows.add_outcomes(connection, list(found.outcomes.values()), own=set(found.confirmed), now_ms=now_ms)
            rows.add_deposits(connection, self._deposits(connection, found))
            for kind, hashes in orders.items():
                events.append(connection, sorted(hashes), kind=kind, time_ms=now_ms)
        rows.set_watched(connection, highest)

    def _deposits(self, connection: Connection, found: Findings) -> list[DepositRow]:
        """New deposits of a block, and those that it confirms further."""
        new = [coin for coin in found.coins.values() if coin.branch == DEPOSIT_BRANCH]
        # After a rescan the feed holds them already.
        new = [coin for coin in new if rows.newest_deposit(connection, *coin.outpoint) != (found.height, False)]
        depth = self._tracker.confirmations
        older: Iterable[CoinRow] = ()
        if depth > 1:
            recent = rows.coins_from(connection, found.height - depth + 1)
            older = (coin for coin in recent if coin.branch == DEPOSIT_BRANCH and coin.height < found.height)
        return [self._deposit(coin, removed=False) for coin in (*new, *older)]

    def _deposit(self, coin: CoinRow, *, removed: bool) -> DepositRow:
        key = self._tracker.scripts.key(coin.vault).derive(coin.branch, coin.index)
        return DepositRow(
            vault=coin.vault,
            index=coin.index,
            address=key.address(self._tracker.network),
            amount_sat=coin.amount_sat,
            txid=coin.txid,
            vout=coin.vout,
            height=None if removed else coin.height,
            removed=removed,
        )

    # --- backwards -------------------------------------------------------------------------------------------------

    async def _leave_abandoned_blocks(self) -> None:
        """Find the last block that we and the node have in common, and undo what came after it."""
        height = self.height
        while height >= 0:
            ours = await self._storage.run(partial(rows.block_hash, height=height))
            if ours is not None and ours == await self._node.block_hash_at(height):
                break
            height -= 1
        if height < self.height:
            log.warning("chain.reorganised", from_height=self.height, fork_height=height)
            await self._undo(height + 1, reorganised=True)

    async def _undo(self, height: int, *, reorganised: bool) -> None:
        """Take back all blocks from `height` on. A rescan tells nobody that deposits vanished, because they did not."""
        now_ms = self._clock.wall_ms()
        settled = await self._storage.run(partial(rows.settled_from, height=height))
        orders = sorted({order for row in settled for order in self._tracker.orders_of(row.plan_hash)})

        def work(connection: Connection) -> None:
            gone = rows.coins_from(connection, height) if reorganised else []
            removed = [self._deposit(coin, removed=True) for coin in gone if coin.branch == DEPOSIT_BRANCH]
            rows.add_deposits(connection, removed)
            rows.undo_from(connection, height)
            if not reorganised:
                rows.rescan_begun(connection)
            events.append(connection, orders if reorganised else (), kind="unsettled", time_ms=now_ms)

        await self._tracker.log_stored()
        await self._storage.run(work)
        for row in settled:
            self._tracker.plans.conflicted.pop(row.plan_hash, None)
        self._recent = {at: found for at, found in self._recent.items() if at < height}
        tip = await self._storage.run(rows.tip)
        self.height, self._tip_hash = (-1, b"") if tip is None else tip
        await self._load_coins()
        await self._tracker.reload_plans()
        self._tracker.order_bell.ring()
        self._tracker.deposit_bell.ring()
