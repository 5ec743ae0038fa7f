"""Blocks in consensus serialisation, parsed strictly and checked against their own header."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from strongroom.chains.bitcoin.transaction import (
    InvalidTransaction,
    Reader,
    Transaction,
    compact_size,
    double_sha256,
    read_transaction,
)
from strongroom.model.errors import Kind, StrongroomError

HEADER_BYTES: Final = 80
MAX_BLOCK_BYTES: Final = 4_000_000
_TRANSACTION_MIN_BYTES: Final = 60


class InvalidBlock(StrongroomError):
    """Bytes that are not one block consistent with its own header; whoever sent them is at fault."""

    reason = "INVALID_BLOCK"
    kind = Kind.INVALID_ARGUMENT


@dataclass(frozen=True, kw_only=True)
class BlockHeader:
    """The 80 bytes that are hashed. Hashes are 32 bytes in internal order, `time_s` is Unix seconds."""

    version: int
    previous: bytes
    merkle_root: bytes
    time_s: int
    bits: int
    nonce: int

    def serialise(self) -> bytes:
        """The 80 bytes of the header."""
        return (
            struct.pack("<I", self.version)
            + self.previous
            + self.merkle_root
            + struct.pack("<III", self.time_s, self.bits, self.nonce)
        )

    @cached_property
    def hash(self) -> bytes:
        """Double SHA-256 of the header, 32 bytes in internal order."""
        return double_sha256(self.serialise())

    @property
    def target(self) -> int:
        """The number that the hash, read little-endian, may not exceed."""
        exponent, mantissa = self.bits >> 24, self.bits & 0x7F_FFFF
        return mantissa >> 8 * (3 - exponent) if exponent <= 3 else mantissa << 8 * (exponent - 3)

    @property
    def meets_target(self) -> bool:
        """True if the header carries the proof of work that it claims itself."""
        return int.from_bytes(self.hash, "little") <= self.target


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A header and the transactions that it commits to."""

    header: BlockHeader
    transactions: tuple[Transaction, ...]

    def serialise(self) -> bytes:
        """Header, count and transactions with their witnesses."""
        body = b"".join(transaction.serialise() for transaction in self.transactions)
        return self.header.serialise() + compact_size(len(self.transactions)) + body


def parse_header(raw: bytes) -> BlockHeader:
    """Parse 80 bytes.

    Raises:
        InvalidBlock: another length.
    """
    if len(raw) != HEADER_BYTES:
        raise InvalidBlock(f"a block header has {HEADER_BYTES} bytes, not {len(raw)}")
    version = int.from_bytes(raw[:4], "little")
    time_s, bits, nonce = struct.unpack("<III", raw[68:])
    return BlockHeader(
        version=version, previous=raw[4:36], merkle_root=raw[36:68], time_s=time_s, bits=bits, nonce=nonce
    )


def parse_block(raw: bytes) -> Block:
    """Parse a whole block and check its transactions against the header's merkle root.

    Proof of work beyond the header's own target, scripts and amounts are a node's business, not checked here.

    Raises:
        InvalidBlock: too large, cut, trailing bytes, a malformed transaction, a merkle root that does not match or
            can stand for two lists of transactions, or a hash above the header's own target.
    """
    if len(raw) > MAX_BLOCK_BYTES:
        raise InvalidBlock(f"a block has at most {MAX_BLOCK_BYTES} bytes, not {len(raw)}")
    header = parse_header(raw[:HEADER_BYTES])
    reader = Reader(raw[HEADER_BYTES:])
    try:
        count = reader.count("transactions", _TRANSACTION_MIN_BYTES)
        transactions = tuple(read_transaction(reader) for _ in range(count))
        reader.end("block")
    except InvalidTransaction as error:
        raise InvalidBlock(f"a transaction of the block is malformed: {error.message}") from error
    if not transactions or merkle_root([item.txid for item in transactions]) != header.merkle_root:
        raise InvalidBlock("the transactions do not match the header's merkle root")
    if not header.meets_target:
        raise InvalidBlock("the header's hash is above its own target")
    return Block(header=header, transactions=transactions)


def merkle_root(leaves: Sequence[bytes]) -> bytes:
    """The root over 32-byte hashes, a lone last one being paired with itself.

    Raises:
        InvalidBlock: no leaf, or two equal neighbours, by which a longer list could imitate a shorter one's root.
    """
    if not leaves:
        raise InvalidBlock("a block has at least one transaction")
    level = list(leaves)
    while len(level) > 1:
        if any(level[at] == level[at + 1] for at in range(0, len(level) - 1, 2)):
            raise InvalidBlock("the list of transactions repeats itself")
        if len(level) % 2:
            level.append(level[-1])
        level = [double_sha256(level[at] + level[at + 1]) for at in range(0, len(level), 2)]
    return level[0]
