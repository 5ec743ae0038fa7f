"""One regtest node: kernel, index and mempool held together. Not thread-safe; the server serialises calls."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from strongroom.chains.bitcoin.block import Block
from strongroom.chains.bitcoin.transaction import Transaction
from strongroom_regtest.coins import ChainIndex
from strongroom_regtest.errors import Code, RpcError
from strongroom_regtest.journal import Journal
from strongroom_regtest.kernel import BlockRefused, Kernel
from strongroom_regtest.mempool import Entry, Mempool
from strongroom_regtest.mining import COINBASE_RESERVED_WEIGHT, MAX_BLOCK_WEIGHT, make_block

ESTIMATE_BLOCKS = 6
"""How many recent blocks the fee estimate looks at."""


class Node:
    """A regtest node over a data folder. The mempool lives in memory only; the index is rebuilt from the blocks."""

    def __init__(self, folder: Path, clock: Callable[[], int]) -> None:
        """Open the folder and index its active chain; `clock` gives Unix seconds.

        Raises:
            RuntimeError: another process uses the folder, or its data is damaged.
        """
        self.kernel = Kernel(folder)
        self._journal = Journal(folder / "blocks.journal")
        self.clock = clock
        self.started_s = clock()
        self.chain = ChainIndex()
        self.mempool = Mempool(self.chain, self.kernel.check_scripts)
        self._recover()
        for block in self.kernel.blocks_from(0):
            self.chain.connect(block)

    def _recover(self) -> None:
        for raw in self._journal.take():
            with suppress(BlockRefused):
                self.kernel.submit(raw)

    def submit_block(self, block: bytes) -> bool:
        """Hand a block to the kernel and follow its active chain. True if it was new.

        Raises:
            BlockRefused: with the kernel's reason.
        """
        try:
            is_new = self.kernel.submit(block)
        finally:
            self._follow()
        if is_new:
            self._journal.append(block)
        return is_new

    def _follow(self) -> None:
        returned: list[Transaction] = []
        while self.chain.height > self.kernel.height or self.chain.hash_at(self.chain.height) != self.kernel.hash_at(
            self.chain.height
        ):
            returned = [*self.chain.disconnect().transactions[1:], *returned]
        for block in self.kernel.blocks_from(self.chain.height + 1):
            self.chain.connect(block)
            self.mempool.confirm(block.transactions[1:])
        if returned:
            self.mempool.rebuild(returned)

    def mine(self, script: bytes, transactions: Sequence[Entry]) -> Block:
        """Mine one block on the tip with these mempool transactions, and connect it.

        Raises:
            RpcError: the kernel refused the block, which then is a defect of this node's mempool.
        """
        block = self._block_on(self.chain.height, script, transactions)
        try:
            self.submit_block(block.serialise())
        except BlockRefused as error:
            raise RpcError(Code.MISC_ERROR, f"ProcessNewBlock, block not accepted: {error}") from error
        return block

    def mine_fork(self, height: int, count: int, script: bytes) -> list[Block]:
        """Mine `count` empty blocks on the block at `height`; once they are the longer chain the kernel switches."""
        blocks: list[Block] = []
        previous = self.chain.hash_at(height)
        time_s = max(self.clock(), self.chain.at(height).block.header.time_s + 1)
        for at in range(height + 1, height + 1 + count):
            block = make_block(
                previous=previous,
                height=at,
                time_s=time_s,
                script=script,
                transactions=(),
                fees_sat=0,
                extra=os.urandom(8),
            )
            try:
                self.submit_block(block.serialise())
            except BlockRefused as error:
                raise RpcError(Code.MISC_ERROR, f"ProcessNewBlock, block not accepted: {error}") from error
            blocks.append(block)
            previous, time_s = block.header.hash, time_s + 1
        return blocks

    def _block_on(self, height: int, script: bytes, transactions: Sequence[Entry]) -> Block:
        return make_block(
            previous=self.chain.hash_at(height),
            height=height + 1,
            time_s=max(self.clock(), self.chain.median_time_past(height) + 1),
            script=script,
            transactions=[entry.transaction for entry in transactions],
            fees_sat=sum(entry.fee_sat for entry in transactions),
            extra=os.urandom(8),
        )

    def template(self) -> list[Entry]:
        """The mempool's transactions for the next block: highest own fee rate first, parents before children."""
        chosen: list[Entry] = []
        included: set[bytes] = set()
        room = MAX_BLOCK_WEIGHT - COINBASE_RESERVED_WEIGHT
        waiting = sorted(self.mempool.entries(), key=lambda entry: entry.fee_sat / entry.virtual_size, reverse=True)
        while waiting:
            left: list[Entry] = []
            for entry in waiting:
                if not self.mempool.parents(entry.transaction) <= included:
                    left.append(entry)
                elif entry.transaction.weight <= room:
                    room -= entry.transaction.weight
                    included.add(entry.transaction.txid)
                    chosen.append(entry)
            if len(left) == len(waiting):
                break
            waiting = left
        return chosen

    def estimate_sat_per_kvb(self) -> int | None:
        """Median fee rate of the last blocks' transactions, in satoshi per 1,000 virtual bytes; None without any."""
        rates = []
        for height in range(max(1, self.chain.height - ESTIMATE_BLOCKS + 1), self.chain.height + 1):
            indexed = self.chain.at(height)
            for position in range(1, len(indexed.block.transactions)):
                size = indexed.block.transactions[position].virtual_size
                rates.append(-(-indexed.fee_sat(position) * 1_000 // size))
        return sorted(rates)[len(rates) // 2] if rates else None

    def close(self) -> None:
        """Write the chain state to disk and release the folder."""
        self.kernel.close()
        self._journal.clear()
        self._journal.close()
