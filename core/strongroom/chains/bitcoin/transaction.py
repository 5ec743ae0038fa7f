"""Transactions in consensus serialisation: a strict parser, its inverse, ids and weight (BIP-141, BIP-144).

The parser takes exactly what the serialiser writes: canonical compact sizes, no trailing byte, no marker without a
witness, no amount outside 0 to 21 million coins. So `serialise(parse(raw)) == raw` for whatever it accepts.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import Final

from strongroom.chains.bitcoin.policy import MAX_MONEY_SAT
from strongroom.model.errors import Kind, StrongroomError

MAX_TRANSACTION_BYTES: Final = 4_000_000
"""No block, hence no transaction, is larger (BIP-141)."""

_INPUT_MIN_BYTES: Final = 41
_OUTPUT_MIN_BYTES: Final = 9


class InvalidTransaction(StrongroomError):
    """Bytes that are not one canonical transaction; the fault of whoever made them."""

    reason = "INVALID_TRANSACTION"
    kind = Kind.INVALID_ARGUMENT


@dataclass(frozen=True, slots=True, kw_only=True)
class TxInput:
    """One input. `txid` is 32 bytes in internal order, the order of the serialisation."""

    txid: bytes
    vout: int
    script_sig: bytes = b""
    sequence: int
    witness: tuple[bytes, ...] = ()

    @property
    def outpoint(self) -> bytes:
        """The 36 bytes that name the spent output."""
        return self.txid + struct.pack("<I", self.vout)


@dataclass(frozen=True, slots=True, kw_only=True)
class TxOutput:
    """One output: amount in satoshi and output script."""

    amount_sat: int
    script: bytes

    def serialise(self) -> bytes:
        """Amount, then the script with its compact size."""
        return struct.pack("<q", self.amount_sat) + sized(self.script)


@dataclass(frozen=True, kw_only=True)
class Transaction:
    """One transaction, with or without witnesses."""

    version: int
    inputs: tuple[TxInput, ...]
    outputs: tuple[TxOutput, ...]
    locktime: int

    @property
    def has_witness(self) -> bool:
        """True if any input carries a witness, so that the extended serialisation applies."""
        return any(item.witness for item in self.inputs)

    @cached_property
    def stripped(self) -> bytes:
        """Serialisation without witnesses: what the txid commits to."""
        return struct.pack("<I", self.version) + self._body() + struct.pack("<I", self.locktime)

    def _body(self) -> bytes:
        parts = [compact_size(len(self.inputs))]
        parts.extend(item.outpoint + sized(item.script_sig) + struct.pack("<I", item.sequence) for item in self.inputs)
        parts.append(compact_size(len(self.outputs)))
        parts.extend(item.serialise() for item in self.outputs)
        return b"".join(parts)

    def serialise(self) -> bytes:
        """Full serialisation, extended (BIP-144) when there is a witness."""
        if not self.has_witness:
            return self.stripped
        witnesses = b"".join(
            compact_size(len(item.witness)) + b"".join(map(sized, item.witness)) for item in self.inputs
        )
        stripped = self.stripped
        return stripped[:4] + b"\x00\x01" + stripped[4:-4] + witnesses + stripped[-4:]

    @cached_property
    def txid(self) -> bytes:
        """Double SHA-256 of the serialisation without witnesses, 32 bytes in internal order."""
        return double_sha256(self.stripped)

    @property
    def wtxid(self) -> bytes:
        """Double SHA-256 of the full serialisation, 32 bytes in internal order (BIP-141)."""
        return double_sha256(self.serialise())

    @property
    def weight(self) -> int:
        """Three times the size without witnesses plus the full size (BIP-141)."""
        return 3 * len(self.stripped) + len(self.serialise())

    @property
    def virtual_size(self) -> int:
        """Weight over 4, rounded up, in virtual bytes."""
        return -(-self.weight // 4)


def double_sha256(data: bytes) -> bytes:
    """SHA-256 of SHA-256: 32 bytes."""
    return sha256(sha256(data).digest()).digest()


def txid_text(txid: bytes) -> str:
    """Write a txid or block hash as people see it: 64 hex digits, byte order reversed.

    Raises:
        ValueError: not 32 bytes; the caller's fault.
    """
    if len(txid) != 32:
        raise ValueError("a transaction id has 32 bytes")
    return txid[::-1].hex()


def txid_bytes(text: str) -> bytes:
    """Read a displayed txid or block hash into its 32 bytes in internal order.

    Raises:
        InvalidTransaction: not 64 lower-case hex digits.
    """
    if len(text) != 64 or not set(text) <= set("0123456789abcdef"):
        raise InvalidTransaction("a transaction id is 64 lower-case hex digits")
    return bytes.fromhex(text)[::-1]


def compact_size(value: int) -> bytes:
    """Encode a count or length in 1, 3, 5 or 9 bytes."""
    if value < 0xFD:
        return value.to_bytes(1, "little")
    if value <= 0xFFFF:
        return b"\xfd" + value.to_bytes(2, "little")
    if value <= 0xFFFF_FFFF:
        return b"\xfe" + value.to_bytes(4, "little")
    return b"\xff" + value.to_bytes(8, "little")


def sized(data: bytes) -> bytes:
    """Prefix bytes with their compact size."""
    return compact_size(len(data)) + data


class Reader:
    """A cursor over bytes that refuses to read beyond the end. Counts must fit what is left."""

    __slots__ = ("_at", "_data")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def left(self) -> int:
        """Bytes not yet read."""
        return len(self._data) - self._at

    def take(self, size: int, what: str) -> bytes:
        """Read exactly `size` bytes; raises InvalidTransaction naming `what` if they are not there."""
        if size > self.left:
            raise InvalidTransaction(f"{what} ends early: {size} bytes needed, {self.left} left")
        start, self._at = self._at, self._at + size
        return self._data[start : self._at]

    def peek(self) -> int | None:
        """The next byte without reading it; None at the end."""
        return self._data[self._at] if self.left else None

    def u32(self, what: str) -> int:
        """Read 4 bytes, little-endian."""
        return int.from_bytes(self.take(4, what), "little")

    def compact_size(self, what: str) -> int:
        """Read a compact size; raises InvalidTransaction unless it is the shortest encoding."""
        first = self.take(1, what)[0]
        if first < 0xFD:
            return first
        width = {0xFD: 2, 0xFE: 4, 0xFF: 8}[first]
        value = int.from_bytes(self.take(width, what), "little")
        if value < {2: 0xFD, 4: 0x1_0000, 8: 0x1_0000_0000}[width]:
            raise InvalidTransaction(f"{what}: compact size is not in its shortest form")
        return value

    def count(self, what: str, item_min_bytes: int) -> int:
        """Read a count of items of at least `item_min_bytes` each; more than can follow is refused at once."""
        value = self.compact_size(what)
        if value * item_min_bytes > self.left:
            raise InvalidTransaction(f"{what}: {value} items cannot fit the {self.left} bytes left")
        return value

    def sized(self, what: str) -> bytes:
        """Read a byte string with its compact size."""
        return self.take(self.compact_size(what), what)

    def end(self, what: str) -> None:
        """Raise InvalidTransaction unless everything was read."""
        if self.left:
            raise InvalidTransaction(f"{what}: {self.left} bytes too many")


def parse(raw: bytes) -> Transaction:
    """Parse one transaction, strictly.

    Raises:
        InvalidTransaction: too large, too short, too long, a non-canonical encoding, no input, no output, an amount
            out of range, or the extended form without any witness. Whoever made the bytes is at fault.
    """
    if len(raw) > MAX_TRANSACTION_BYTES:
        raise InvalidTransaction(f"a transaction has at most {MAX_TRANSACTION_BYTES} bytes, not {len(raw)}")
    reader = Reader(raw)
    transaction = read_transaction(reader)
    reader.end("transaction")
    return transaction


def read_transaction(reader: Reader) -> Transaction:
    """Read one transaction, as strictly as `parse`, from a reader that may hold more after it.

    Raises:
        InvalidTransaction: as `parse`, trailing bytes aside.
    """
    version = reader.u32("version")
    extended = reader.peek() == 0
    if extended and reader.take(2, "marker and flag") != b"\x00\x01":
        raise InvalidTransaction("no input, or an unknown witness flag")
    bare = [_parse_input(reader) for _ in range(reader.count("inputs", _INPUT_MIN_BYTES))]
    outputs = tuple(_parse_output(reader) for _ in range(reader.count("outputs", _OUTPUT_MIN_BYTES)))
    if not bare or not outputs:
        raise InvalidTransaction("a transaction has at least one input and one output")
    witnesses = [_parse_witness(reader) for _ in bare] if extended else [()] * len(bare)
    if extended and not any(witnesses):
        raise InvalidTransaction("the extended form needs at least one witness")
    locktime = reader.u32("locktime")
    inputs = tuple(
        TxInput(txid=txid, vout=vout, script_sig=script, sequence=sequence, witness=witness)
        for (txid, vout, script, sequence), witness in zip(bare, witnesses, strict=True)
    )
    return Transaction(version=version, inputs=inputs, outputs=outputs, locktime=locktime)


def _parse_input(reader: Reader) -> tuple[bytes, int, bytes, int]:
    txid = reader.take(32, "input txid")
    vout = reader.u32("input index")
    script = reader.sized("input script")
    return txid, vout, script, reader.u32("sequence")


def _parse_output(reader: Reader) -> TxOutput:
    amount = int.from_bytes(reader.take(8, "amount"), "little")
    if amount > MAX_MONEY_SAT:
        raise InvalidTransaction("an amount lies between 0 and 21 million coins")
    return TxOutput(amount_sat=amount, script=reader.sized("output script"))


def _parse_witness(reader: Reader) -> tuple[bytes, ...]:
    return tuple(reader.sized("witness item") for _ in range(reader.count("witness", 1)))


def with_witnesses(transaction: Transaction, witnesses: Sequence[tuple[bytes, ...]]) -> Transaction:
    """The same transaction carrying `witnesses`, one per input.

    Raises:
        ValueError: not one witness per input; the caller's fault.
    """
    inputs = tuple(
        TxInput(txid=item.txid, vout=item.vout, script_sig=item.script_sig, sequence=item.sequence, witness=witness)
        for item, witness in zip(transaction.inputs, witnesses, strict=True)
    )
    return Transaction(
        version=transaction.version, inputs=inputs, outputs=transaction.outputs, locktime=transaction.locktime
    )
