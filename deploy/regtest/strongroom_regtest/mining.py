"""Blocks for regtest: the coinbase, the witness commitment, and the few hashes of its proof of work."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from strongroom.chains.bitcoin.block import Block, BlockHeader, merkle_root
from strongroom.chains.bitcoin.transaction import Transaction, TxInput, TxOutput, double_sha256, sized

REGTEST_BITS: Final = 0x207F_FFFF
HALVING_BLOCKS: Final = 150
COINBASE_MATURITY: Final = 100
MAX_BLOCK_WEIGHT: Final = 4_000_000
COINBASE_RESERVED_WEIGHT: Final = 8_000
_BLOCK_VERSION: Final = 0x2000_0000
_WITNESS_COMMITMENT: Final = bytes.fromhex("6a24aa21a9ed")
_WITNESS_RESERVED: Final = bytes(32)


def subsidy_sat(height: int) -> int:
    """New coins of the block at `height` on regtest, in satoshi."""
    halvings = height // HALVING_BLOCKS
    return 0 if halvings >= 64 else 50_0000_0000 >> halvings


def make_block(
    *,
    previous: bytes,
    height: int,
    time_s: int,
    script: bytes,
    transactions: Sequence[Transaction],
    fees_sat: int,
    extra: bytes,
) -> Block:
    """Build and mine a block paying subsidy and fees to `script`.

    `extra` (at most 32 bytes) goes into the coinbase's input, so that two blocks of equal content differ.
    """
    coinbase = _coinbase(height, script, subsidy_sat(height) + fees_sat, transactions, extra)
    every = (coinbase, *transactions)
    header = BlockHeader(
        version=_BLOCK_VERSION,
        previous=previous,
        merkle_root=merkle_root([item.txid for item in every]),
        time_s=time_s,
        bits=REGTEST_BITS,
        nonce=0,
    )
    while not header.meets_target:
        header = replace(header, nonce=header.nonce + 1)
    return Block(header=header, transactions=every)


def _coinbase(height: int, script: bytes, amount_sat: int, others: Sequence[Transaction], extra: bytes) -> Transaction:
    witness_root = merkle_root([bytes(32), *(item.wtxid for item in others)])
    commitment = _WITNESS_COMMITMENT + double_sha256(witness_root + _WITNESS_RESERVED)
    return Transaction(
        version=2,
        inputs=(
            TxInput(
                txid=bytes(32),
                vout=0xFFFF_FFFF,
                script_sig=_push_height(height) + sized(extra),
                sequence=0xFFFF_FFFF,
                witness=(_WITNESS_RESERVED,),
            ),
        ),
        outputs=(TxOutput(amount_sat=amount_sat, script=script), TxOutput(amount_sat=0, script=commitment)),
        locktime=0,
    )


def _push_height(height: int) -> bytes:
    """The height as the first item of the coinbase's input script (BIP-34)."""
    if height <= 16:
        return bytes([0x50 + height]) if height else b"\x00"
    number = height.to_bytes(height.bit_length() // 8 + 1, "little")
    return struct.pack("B", len(number)) + number
