"""libbitcoinkernel on regtest: the consensus engine of Bitcoin Core, as the one judge of blocks and scripts."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import pbk
from pbk.script import PrecomputedTransactionData, ScriptVerifyException

from strongroom.chains.bitcoin.block import Block, parse_block
from strongroom.chains.bitcoin.transaction import Transaction, TxOutput
from strongroom_regtest.errors import Rejected

_REASON: Final = re.compile(
    r"(?:Block validation error: |ConnectBlock \S+ failed, |AcceptBlock FAILED \(|AcceptBlock: )(.+)"
)


class BlockRefused(Exception):
    """The kernel does not connect a block; the message is its reason."""


class Kernel:
    """The kernel's chain state in a folder that only one process may open."""

    def __init__(self, folder: Path) -> None:
        """Open or create the chain state.

        Raises:
            RuntimeError: another process uses the folder, or its data is damaged.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self._log: list[str] = []
        self._valid: dict[bytes, bool] = {}
        self._logging: Any = pbk.LoggingConnection(self._log.append)
        callbacks = pbk.ValidationInterfaceCallbacks(block_checked=self._block_checked)
        self._manager: Any = pbk.load_chainman(str(folder), pbk.ChainType.REGTEST, callbacks)
        self._chain: Any = self._manager.get_active_chain()
        self._log.clear()

    def _block_checked(self, _user_data: object, block: Any, state: Any) -> None:
        self._valid[bytes(block.block_hash)] = state.validation_mode == pbk.ValidationMode.VALID

    @property
    def height(self) -> int:
        """Height of the active chain's tip."""
        return int(self._chain.height)

    def hash_at(self, height: int) -> bytes:
        """Hash of the active chain's block at a height."""
        return bytes(self._chain.block_tree_entries[height].block_hash)

    def block_at(self, height: int) -> Block:
        """The active chain's block at a height, read from disk."""
        return parse_block(bytes(self._manager.blocks[self._chain.block_tree_entries[height]]))

    def blocks_from(self, height: int) -> Iterator[Block]:
        """The active chain's blocks from a height up to the tip."""
        for at in range(height, self.height + 1):
            yield self.block_at(at)

    def knows(self, block_hash: bytes) -> bool:
        """True if the kernel has the header of a block, on whatever branch."""
        return pbk.BlockHash(block_hash) in self._manager.block_tree_entries

    def submit(self, raw: bytes) -> bool:
        """Hand over a block. True if the kernel had not stored it before; a side branch is stored, not connected.

        Raises:
            BlockRefused: the block breaks a consensus rule; with the kernel's reason where its log names one.
        """
        self._log.clear()
        self._valid.clear()
        try:
            block = pbk.Block(raw)
            is_new = bool(self._manager.process_block(block))
        except (pbk.ProcessBlockException, RuntimeError) as error:
            raise BlockRefused(self._reason()) from error
        if self._valid.get(bytes(block.block_hash)) is False:
            raise BlockRefused(self._reason())
        return is_new

    def _reason(self) -> str:
        for line in self._log:
            found = _REASON.search(line)
            if found:
                return found.group(1).strip()
        return "rejected"

    def check_scripts(self, transaction: Transaction, spent: Sequence[TxOutput]) -> None:
        """Run the script of every input with all consensus flags.

        Raises:
            Rejected: an input's script fails.
        """
        kernel_transaction = pbk.Transaction(transaction.serialise())
        outputs = [pbk.TransactionOutput(pbk.ScriptPubkey(item.script), item.amount_sat) for item in spent]
        precomputed = PrecomputedTransactionData(kernel_transaction, outputs)
        for position, output in enumerate(spent):
            try:
                passed = pbk.ScriptPubkey(output.script).verify(
                    output.amount_sat, kernel_transaction, precomputed, position, pbk.ScriptVerificationFlags.ALL
                )
            except ScriptVerifyException as error:
                raise Rejected("mempool-script-verify-flag-failed", f"input {position}: {error}") from error
            if not passed:
                raise Rejected("mempool-script-verify-flag-failed", f"input {position}")

    def close(self) -> None:
        """Write everything to disk and release the folder. The kernel does so when its last reference goes."""
        self._chain = None
        self._manager = None
        self._logging = None
