"""Taproot key path digests (BIP-341): what a signature of an input commits to.

`default_digests` is what signing uses: SIGHASH_DEFAULT, no annex, every input of a transaction at once. The general
`signature_message` exists for checking against the specification's own examples of the other hash types.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from strongroom.chains.bitcoin.transaction import Transaction, TxOutput, sized

SIGHASH_DEFAULT: Final = 0x00
SIGHASH_ALL: Final = 0x01
SIGHASH_NONE: Final = 0x02
SIGHASH_SINGLE: Final = 0x03
SIGHASH_ANYONECANPAY: Final = 0x80

_HASH_TYPES: Final = frozenset({0x00, 0x01, 0x02, 0x03, 0x81, 0x82, 0x83})
_EPOCH: Final = b"\x00"
_TAG: Final = sha256(b"TapSighash").digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedHashes:
    """The five 32-byte hashes that every input's message of one transaction has in common."""

    prevouts: bytes
    amounts: bytes
    scripts: bytes
    sequences: bytes
    outputs: bytes


def shared_hashes(transaction: Transaction, spent: Sequence[TxOutput]) -> SharedHashes:
    """Hash what all messages share; `spent` holds the spent output of each input, in input order.

    Raises:
        ValueError: not one spent output per input; the caller's fault.
    """
    inputs = transaction.inputs
    if len(spent) != len(inputs):
        raise ValueError(f"{len(inputs)} inputs need as many spent outputs, not {len(spent)}")
    return SharedHashes(
        prevouts=sha256(b"".join(item.outpoint for item in inputs)).digest(),
        amounts=sha256(b"".join(struct.pack("<q", output.amount_sat) for output in spent)).digest(),
        scripts=sha256(b"".join(sized(output.script) for output in spent)).digest(),
        sequences=sha256(b"".join(struct.pack("<I", item.sequence) for item in inputs)).digest(),
        outputs=sha256(b"".join(output.serialise() for output in transaction.outputs)).digest(),
    )


def signature_message(
    transaction: Transaction,
    spent: Sequence[TxOutput],
    index: int,
    hash_type: int,
    *,
    annex: bytes | None = None,
    shared: SharedHashes | None = None,
) -> bytes:
    """The epoch byte and the message of BIP-341 for the key path spend of input `index`.

    Raises:
        ValueError: an unknown hash type, an index out of range, SIGHASH_SINGLE without its output, or an annex that
            does not start with 0x50; the caller's fault.
    """
    if hash_type not in _HASH_TYPES:
        raise ValueError(f"hash type {hash_type:#04x} is not defined")
    if not 0 <= index < len(transaction.inputs):
        raise ValueError(f"the transaction has no input {index}")
    if annex is not None and annex[:1] != b"\x50":
        raise ValueError("an annex starts with 0x50")
    hashes = shared if shared is not None else shared_hashes(transaction, spent)
    outputs_mode = hash_type & 3
    parts = [_EPOCH, bytes([hash_type]), struct.pack("<II", transaction.version, transaction.locktime)]
    if not hash_type & SIGHASH_ANYONECANPAY:
        parts += [hashes.prevouts, hashes.amounts, hashes.scripts, hashes.sequences]
    if outputs_mode not in (SIGHASH_NONE, SIGHASH_SINGLE):
        parts.append(hashes.outputs)
    parts.append(b"\x01" if annex is not None else b"\x00")
    if hash_type & SIGHASH_ANYONECANPAY:
        item = transaction.inputs[index]
        parts += [item.outpoint, spent[index].serialise(), struct.pack("<I", item.sequence)]
    else:
        parts.append(struct.pack("<I", index))
    if annex is not None:
        parts.append(sha256(sized(annex)).digest())
    if outputs_mode == SIGHASH_SINGLE:
        if index >= len(transaction.outputs):
            raise ValueError(f"SIGHASH_SINGLE needs an output {index}")
        parts.append(sha256(transaction.outputs[index].serialise()).digest())
    return b"".join(parts)


def taproot_digest(message: bytes) -> bytes:
    """Tagged hash `TapSighash` of a `signature_message`: the 32 bytes that are signed."""
    return sha256(_TAG + _TAG + message).digest()


def default_digests(transaction: Transaction, spent: Sequence[TxOutput]) -> tuple[bytes, ...]:
    """The 32-byte digest of every input under SIGHASH_DEFAULT without annex.

    The messages differ in their last four bytes only, so everything before is hashed once.

    Raises:
        ValueError: not one spent output per input; the caller's fault.
    """
    shared = shared_hashes(transaction, spent)
    first = signature_message(transaction, spent, 0, SIGHASH_DEFAULT, shared=shared)
    midstate = sha256(_TAG + _TAG + first[:-4])
    digests = []
    for index in range(len(transaction.inputs)):
        state = midstate.copy()
        state.update(struct.pack("<I", index))
        digests.append(state.digest())
    return tuple(digests)
