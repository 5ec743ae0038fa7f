"""The coins of the active chain and the place of every transaction, kept in memory beside the kernel.

The kernel validates but answers no question about single coins. This index follows the active chain block by block and
can step back, so a mempool can be judged against exactly the coins that the next block may spend.
"""

from __future__ import annotations

from collections.abc import Container, Iterator
from dataclasses import dataclass

from strongroom.chains.bitcoin.block import Block
from strongroom.chains.bitcoin.transaction import Transaction

Outpoint = tuple[bytes, int]
"""Transaction id in internal order, and output index."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Coin:
    """An unspent output of the active chain."""

    amount_sat: int
    script: bytes
    height: int
    is_coinbase: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexedBlock:
    """A connected block, what it spent (per transaction after the first), and the fees of its transactions."""

    block: Block
    spent: tuple[tuple[Coin, ...], ...]

    def fee_sat(self, position: int) -> int:
        """Fee of the transaction at `position`, which is not the coinbase."""
        outputs = self.block.transactions[position].outputs
        return sum(coin.amount_sat for coin in self.spent[position - 1]) - sum(item.amount_sat for item in outputs)


class ChainIndex:
    """Blocks of the active chain by height, its coins, and where each transaction is."""

    def __init__(self) -> None:
        self._blocks: list[IndexedBlock] = []
        self._heights: dict[bytes, int] = {}
        self._coins: dict[Outpoint, Coin] = {}
        self._places: dict[bytes, tuple[int, int]] = {}

    @property
    def height(self) -> int:
        """Height of the last connected block; -1 before the genesis block."""
        return len(self._blocks) - 1

    def at(self, height: int) -> IndexedBlock:
        """The block at a height of the active chain; the caller knows that the height exists."""
        return self._blocks[height]

    def hash_at(self, height: int) -> bytes:
        """Hash of the block at a height of the active chain."""
        return self._blocks[height].block.header.hash

    def height_of(self, block_hash: bytes) -> int | None:
        """Height of a block of the active chain; None if it is not in it."""
        return self._heights.get(block_hash)

    def coin(self, outpoint: Outpoint) -> Coin | None:
        """The unspent coin at an outpoint; None if spent or never made."""
        return self._coins.get(outpoint)

    def coins_paying(self, scripts: Container[bytes]) -> Iterator[tuple[Outpoint, Coin]]:
        """Every unspent coin at one of these output scripts."""
        return ((outpoint, coin) for outpoint, coin in self._coins.items() if coin.script in scripts)

    @property
    def coins_count(self) -> int:
        """Number of all unspent coins."""
        return len(self._coins)

    def has_unspent_output_of(self, transaction: Transaction) -> bool:
        """True if the transaction is in the chain and at least one output of it is unspent."""
        return any((transaction.txid, vout) in self._coins for vout in range(len(transaction.outputs)))

    def place_of(self, txid: bytes) -> tuple[int, int] | None:
        """Height and position of a transaction of the active chain."""
        return self._places.get(txid)

    def median_time_past(self, height: int) -> int:
        """Median of the times of the eleven blocks that end at `height` (BIP-113)."""
        times = sorted(item.block.header.time_s for item in self._blocks[max(0, height - 10) : height + 1])
        return times[len(times) // 2]

    def connect(self, block: Block) -> None:
        """Append a block that the kernel has accepted."""
        height = len(self._blocks)
        spent: list[tuple[Coin, ...]] = []
        for position, transaction in enumerate(block.transactions):
            if position:
                spent.append(tuple(self._coins.pop((item.txid, item.vout)) for item in transaction.inputs))
            # The coinbase of the genesis block cannot be spent: consensus leaves it out of the coins.
            if height:
                self._add_outputs(transaction, height, is_coinbase=position == 0)
            self._places[transaction.txid] = (height, position)
        self._blocks.append(IndexedBlock(block=block, spent=tuple(spent)))
        self._heights[block.header.hash] = height

    def disconnect(self) -> Block:
        """Take back the last block and give it to the caller."""
        indexed = self._blocks.pop()
        block = indexed.block
        del self._heights[block.header.hash]
        for position in range(len(block.transactions) - 1, -1, -1):
            transaction = block.transactions[position]
            for vout in range(len(transaction.outputs)):
                self._coins.pop((transaction.txid, vout), None)
            if position:
                for item, coin in zip(transaction.inputs, indexed.spent[position - 1], strict=True):
                    self._coins[(item.txid, item.vout)] = coin
            del self._places[transaction.txid]
        return block

    def _add_outputs(self, transaction: Transaction, height: int, *, is_coinbase: bool) -> None:
        for vout, output in enumerate(transaction.outputs):
            if output.script[:1] != b"\x6a":
                self._coins[(transaction.txid, vout)] = Coin(
                    amount_sat=output.amount_sat, script=output.script, height=height, is_coinbase=is_coinbase
                )
