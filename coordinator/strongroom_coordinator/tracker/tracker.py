"""The tracker: follows the best chain on one node, keeps coins and plans up to date, and broadcasts what is signed.

Everything it says is the coordinator's word: no rule of the ledger rests on it. Its rows can be rebuilt from the node,
so a lost database costs a scan of the chain and nothing else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from functools import partial
from typing import Final

import structlog

from strongroom.chains.bitcoin.networks import Network
from strongroom.chains.bitcoin.policy import CHANGE_BRANCH, DEPOSIT_BRANCH
from strongroom.ledger.certificate_messages import Certificate
from strongroom.ledger.entry_messages import Vault
from strongroom.ledger.order_messages import CancelWithdraw, CreateVault
from strongroom.ledger.plans import vault_key_of
from strongroom.ledger.records import VaultRecord
from strongroom.ledger.replica import Batch
from strongroom.ledger.state import decode_order
from strongroom.model.errors import Kind, StrongroomError
from strongroom_coordinator.chain.node import BitcoinNode
from strongroom_coordinator.clock import Clock
from strongroom_coordinator.coins import Coin
from strongroom_coordinator.reading import LogReader
from strongroom_coordinator.storage import chain as rows
from strongroom_coordinator.storage.engine import Storage
from strongroom_coordinator.subjects import decode_entry
from strongroom_coordinator.tracker.addresses import WatchedScripts
from strongroom_coordinator.tracker.broadcaster import Broadcaster
from strongroom_coordinator.tracker.claims import ClaimCheck
from strongroom_coordinator.tracker.coin_book import CoinBook, coin_of, is_mature
from strongroom_coordinator.tracker.errors import AddressIndexTooFar, WrongNetwork
from strongroom_coordinator.tracker.feed import Bell
from strongroom_coordinator.tracker.follower import Follower
from strongroom_coordinator.tracker.plan_book import Outpoint, PlanBook, TrackedPlan
from strongroom_coordinator.tracker.plan_loader import PlanLoader

__all__ = ["Tracker"]

log = structlog.get_logger()

MAX_INDEX_JUMP: Final = 100_000
RATE_TARGET_BLOCKS: Final = 3
RATE_LIFETIME_S: Final = 30.0


class Tracker:
    """Coins, deposits and plans as one chain node shows them.

    Args:
        node: The chain node.
        network: The network of the vaults.
        storage: The database.
        reader: The log.
        clock: Wall and monotonic time.
        confirmations: Blocks on top, the containing one included, after which a payment counts as paid.
        poll_ms: How often the node is asked.
        fee_rate_sat_per_vb: Where the node gives no estimate.
        bump_after_s: How long a plan may wait in the mempool before it is replaced.
    """

    def __init__(
        self,
        *,
        node: BitcoinNode,
        network: Network,
        storage: Storage,
        reader: LogReader,
        clock: Clock,
        confirmations: int,
        poll_ms: int,
        fee_rate_sat_per_vb: int,
        bump_after_s: int,
    ) -> None:
        self._node = node
        self.network = network
        self._storage = storage
        self._reader = reader
        self._clock = clock
        self.confirmations = confirmations
        self._poll_s = poll_ms / 1000
        self._default_rate = fee_rate_sat_per_vb
        self._bump_after_s = bump_after_s
        self.scripts = WatchedScripts()
        self.coins_known = CoinBook()
        self.plans = PlanBook()
        self.displaced: set[bytes] = set()
        """Orders one of whose plans a block excludes; they may need another plan."""
        self.order_bell = Bell()
        self.deposit_bell = Bell()
        self._born_at: dict[str, int] = {}
        """Vaults whose birth we saw, and how far the chain was followed then: no block up to there pays them."""
        self._rate: int | None = None
        self._rate_until = 0.0
        self._network_checked = False
        self.is_reachable = False
        self.problem = "not asked yet"
        self._wanted = asyncio.Event()
        self._changed: list[Callable[[], None]] = []
        self._version = 0
        self._free: dict[str, tuple[int, list[Coin]]] = {}
        self._lock = asyncio.Lock()
        self._follower = Follower(self, node, storage, clock)
        self._broadcaster = Broadcaster(self, node, storage, clock)
        self.claims = ClaimCheck(self, node, storage, clock)
        self._loader = PlanLoader(self, storage, reader, clock)

    # --- life ------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Follow the chain and broadcast, until cancelled.

        Raises:
            StorageFailed: the database refused; nobody may go on half blind.
        """
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow())
            tasks.create_task(self._announce())

    async def stop(self) -> None:
        """End the watches that wait for news."""
        self.order_bell.close()
        self.deposit_bell.close()

    def on_change(self, callback: Callable[[], None]) -> None:
        """Call back when coins or plans changed, so that something may be plannable now."""
        self._changed.append(callback)

    def changed(self) -> None:
        """Say that coins or plans changed."""
        self._version += 1
        for callback in self._changed:
            callback()

    # --- what the log and the signers bring ------------------------------------------------------------------------

    def certified(self, batch: Batch, certificate: Certificate) -> None:
        """Take note of the plans of a batch that got its certificate."""
        for entry in batch.entries:
            body = decode_entry(entry).body
            if isinstance(body, Vault):
                self._note_birth(body.order_hash)
        if self._loader.take(batch):
            self.changed()

    def _note_birth(self, order_hash: bytes) -> None:
        record = self._reader.newest_state().order(order_hash)
        action = None if record is None else decode_order(record.order).action
        if isinstance(action, CreateVault):
            self._born_at[action.name] = self.height

    def signed(self, plan_hash: bytes, txid: bytes, raw_transaction: bytes) -> None:
        """Broadcast a plan's final transaction."""
        plan = self.plans.get(plan_hash)
        if plan is not None and plan.txid == txid:
            plan.raw_transaction = raw_transaction
            plan.since_ms = self._clock.wall_ms()
            self.changed()
        self._wanted.set()

    async def log_stored(self) -> None:
        """Wait until the rows of everything certified are written, so that ours come after them."""
        await self._reader.source.stored()

    async def reload_plans(self) -> None:
        """Take up plans that are unsettled again."""
        await self._loader.sync()
        self._broadcaster.check_all()

    def orders_of(self, plan_hash: bytes) -> tuple[bytes, ...]:
        """Orders that a plan is about; for a cancellation's plan also the order that it excludes."""
        state = self._reader.newest_state()
        record = state.plan(plan_hash)
        if record is None:
            return ()
        if not record.is_cancel:
            return record.order_hashes
        cancel = state.order(record.order_hashes[0])
        action = None if cancel is None else decode_order(cancel.order).action
        return (*record.order_hashes, *((action.order_hash,) if isinstance(action, CancelWithdraw) else ()))

    # --- what the planner and the views ask ------------------------------------------------------------------------

    @property
    def height(self) -> int:
        """Height of the last block followed; -1 before the first."""
        return self._follower.height

    @property
    def version(self) -> int:
        """Rises with every change of coins or plans."""
        return self._version

    @property
    def fee_rate_sat_per_vb(self) -> int:
        """The rate that new plans should pay."""
        return self._rate or self._default_rate

    def coins(self, vault: str) -> list[Coin]:
        """Coins that a new plan may spend: confirmed, mature ones that no plan spends, and own unconfirmed change."""
        known = self._free.get(vault)
        if known is None or known[0] != self._version:
            known = (self._version, self._free_coins(vault))
            self._free[vault] = known
        return known[1]

    def _free_coins(self, vault: str) -> list[Coin]:
        height = self.height
        confirmed = [
            coin_of(row)
            for row in self.coins_known.of_vault(vault)
            if is_mature(row, height) and not self.plans.is_reserved(row.outpoint)
        ]
        return confirmed + [coin for owner, coin in self.plans.spendable_change() if owner == vault]

    def coin(self, vault: str, outpoint: Outpoint) -> Coin | None:
        """A coin that exists, whoever plans to spend it: unspent in the chain, or change of a plan that may confirm."""
        row = self.coins_known.get(outpoint)
        if row is not None:
            return coin_of(row) if row.vault == vault and is_mature(row, self.height) else None
        return next((coin for coin in self.plans.change_of(vault, outpoint[0]) if coin.outpoint == outpoint), None)

    def outputs_of(self, vault: str, txid: bytes) -> list[Coin]:
        """A vault's coins that a transaction made and that exist, whoever plans to spend them."""
        if self.plans.by_txid(txid) is not None:
            return self.plans.change_of(vault, txid)
        return [coin_of(row) for row in self.coins_known.of_transaction(txid) if row.vault == vault]

    def stuck(self) -> list[TrackedPlan]:
        """Plans that wait in the mempool for longer than they should."""
        limit = self._clock.wall_ms() - self._bump_after_s * 1000
        return [plan for plan in self.plans if plan.is_broadcast and plan.since_ms <= limit]

    async def watch_index(self, vault: str, index: int) -> None:
        """Watch the deposit address at an index from now on, and remember that.

        Raises:
            AddressIndexTooFar: it is more than 100,000 beyond every index in use.
        """
        highest = self.scripts.highest(vault, DEPOSIT_BRANCH)
        if index > highest + MAX_INDEX_JUMP:
            raise AddressIndexTooFar(
                f"index {index} of vault {vault} is too far beyond {highest}, the highest in use: take the next ones",
                vault=vault,
                highest=str(highest),
            )
        if vault not in self.scripts:
            await self._watch_vaults()
        if vault not in self.scripts or index <= highest:
            return
        covered = self.scripts.is_covered(vault, DEPOSIT_BRANCH, index)
        await self.note_index(vault, DEPOSIT_BRANCH, index)
        await self._storage.run(partial(rows.set_watched, highest={(vault, DEPOSIT_BRANCH): index}, rescan=not covered))
        if not covered:
            self.rescan()

    async def note_index(self, vault: str, branch: int, index: int) -> None:
        """An index is in use: derive further scripts, letting others work meanwhile."""
        if self.scripts.note(vault, branch, index):
            for _ in self.scripts.derive(vault, branch):
                await asyncio.sleep(0)

    def note_settled(self, height: int, orders: Iterable[bytes]) -> None:
        """A block that was followed earlier turns out to settle these orders' plans: tell of its depth from now on."""
        self._follower.note_settled(height, orders)

    def rescan(self) -> None:
        """Read the whole chain again, from the next poll on."""
        self._follower.rescan_wanted = True

    # --- tasks -----------------------------------------------------------------------------------------------------

    async def _follow(self) -> None:
        await self._loader.load_settled()
        await self._follower.load()
        while True:
            await self.poll()
            await asyncio.sleep(self._poll_s)

    async def poll(self) -> None:
        """Ask the node for news once. A node that is down or on another network is noted, and asked again later."""
        try:
            async with self._lock:
                await self._check_network()
                await self._watch_vaults()
                await self._loader.sync()
                await self._follower.follow()
                if self._follower.is_at_tip:
                    await self.claims.check()
                await self._refresh_rate()
        except StrongroomError as error:
            if error.kind not in (Kind.UNAVAILABLE, Kind.FAILED_PRECONDITION):
                raise
            self._unreachable(error)
            return
        if not self.is_reachable:
            log.info("chain.reached", height=self.height)
            self.is_reachable, self.problem = True, ""
            self._broadcaster.check_all()
        self._wanted.set()

    def _unreachable(self, error: StrongroomError) -> None:
        if self.is_reachable or self.problem != error.message:
            log.warning("chain.unreachable", reason=error.reason, message=error.message)
        self.is_reachable, self.problem = False, error.message

    async def _announce(self) -> None:
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            try:
                await self._broadcaster.announce()
            except StrongroomError as error:
                if error.kind is not Kind.UNAVAILABLE:
                    raise
                self._unreachable(error)

    async def _check_network(self) -> None:
        if self._network_checked:
            return
        found = await self._node.block_hash_at(0)
        if found is None or found[::-1].hex() != self.network.genesis_hash:
            name = await self._node.chain_name()
            raise WrongNetwork(f"the chain node is on {name}, the vaults are on {self.network.name}: change [bitcoin]")
        self._network_checked = True

    async def _watch_vaults(self) -> None:
        """Watch vaults that were born, and the change indexes that plans took."""
        for vault in tuple(self._reader.newest_state().vaults()):
            if vault.name not in self.scripts:
                await self._watch_vault(vault)
            await self._watch_change(vault.name, vault.highest_change - 1)

    async def _watch_change(self, vault: str, index: int) -> None:
        """Watch change up to an index; blocks that were read while it was too far ahead are read again."""
        is_late = self.height >= 0 and not self.scripts.is_covered(vault, CHANGE_BRANCH, max(index, 0))
        await self.note_index(vault, CHANGE_BRANCH, index)
        if is_late:
            highest = {(vault, CHANGE_BRANCH): index}
            await self._storage.run(partial(rows.set_watched, highest=highest, rescan=True))
            self.rescan()

    async def _watch_vault(self, vault: VaultRecord) -> None:
        highest = await self._storage.run(rows.watched)
        if vault.name in self.scripts:
            return
        self.scripts.add_vault(vault.name, vault_key_of(vault))
        for branch in (DEPOSIT_BRANCH, CHANGE_BRANCH):
            self.scripts.note(vault.name, branch, highest.get((vault.name, branch), -1))
            for _ in self.scripts.derive(vault.name, branch):
                await asyncio.sleep(0)
        if (vault.name, DEPOSIT_BRANCH) not in highest:
            # Blocks were read without its scripts, if it was no news when we came to know it, or just then.
            is_late = self.height > self._born_at.get(vault.name, -1)
            await self._storage.run(
                partial(rows.set_watched, highest={(vault.name, DEPOSIT_BRANCH): -1}, rescan=is_late)
            )
            if is_late:
                self.rescan()

    async def _refresh_rate(self) -> None:
        now = self._clock.monotonic()
        if now < self._rate_until:
            return
        self._rate = await self._node.fee_rate(RATE_TARGET_BLOCKS)
        self._rate_until = now + RATE_LIFETIME_S

    def new_highest(self, found: Iterable[tuple[str, int, int]]) -> list[tuple[str, int, int]]:
        """Those of the places whose index is the highest so far."""
        return [place for place in found if place[2] > self.scripts.highest(place[0], place[1])]
