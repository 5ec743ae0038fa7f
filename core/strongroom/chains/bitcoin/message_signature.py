"""Signed messages of Bitcoin addresses: the simple form of BIP-322, for P2WPKH and the key path of P2TR.

The owner signs a virtual transaction that no chain takes: its only input spends an output that commits to the message
and has the address's own script. Other scripts are refused, because nothing here runs scripts.
"""

from __future__ import annotations

import struct
from typing import Final

from strongroom.chains.bitcoin.policy import ScriptType, script_type
from strongroom.chains.bitcoin.sighash import SIGHASH_ALL, SIGHASH_DEFAULT, signature_message, taproot_digest
from strongroom.chains.bitcoin.transaction import (
    InvalidTransaction,
    Reader,
    Transaction,
    TxInput,
    TxOutput,
    double_sha256,
    sized,
)
from strongroom.crypto import bip340, ecdsa

__all__ = ["to_sign", "to_spend", "verify_simple"]

_TAG: Final = "BIP0322-signed-message"
_OP_RETURN: Final = b"\x6a"


def to_spend(script: bytes, message: bytes) -> Transaction:
    """The virtual transaction whose one output has the address's script; its input commits to the message."""
    committed = b"\x00\x20" + bip340.tagged_hash(_TAG, message)
    challenge = TxInput(txid=bytes(32), vout=0xFFFF_FFFF, script_sig=committed, sequence=0)
    return Transaction(version=0, inputs=(challenge,), outputs=(TxOutput(amount_sat=0, script=script),), locktime=0)


def to_sign(script: bytes, message: bytes) -> Transaction:
    """The virtual transaction that the owner signs: it spends `to_spend` and pays nobody."""
    spent = TxInput(txid=to_spend(script, message).txid, vout=0, sequence=0)
    return Transaction(version=0, inputs=(spent,), outputs=(TxOutput(amount_sat=0, script=_OP_RETURN),), locktime=0)


def verify_simple(script: bytes, message: bytes, proof: bytes) -> bool:
    """Whether `proof`, a serialised witness stack, is a simple BIP-322 signature of the script's owner.

    Args:
        script: The address's output script; one that is neither P2WPKH nor P2TR has no such signature here.
        message: What was signed.
        proof: The bytes behind the prefix and the base64 of the signature's text form.
    """
    stack = _stack(proof)
    match script_type(script):
        case ScriptType.P2TR:
            return len(stack) == 1 and _key_path_holds(script, message, stack[0])
        case ScriptType.P2WPKH:
            return len(stack) == 2 and _public_key_hash_holds(script, message, *stack)
        case _:
            return False


def _stack(proof: bytes) -> tuple[bytes, ...]:
    """The items of a serialised witness; none for bytes that are no such stack."""
    reader = Reader(proof)
    try:
        stack = tuple(reader.sized("a witness item") for _ in range(reader.count("the witness", 1)))
    except InvalidTransaction:
        return ()
    return () if reader.left else stack


def _key_path_holds(script: bytes, message: bytes, signature: bytes) -> bool:
    """A BIP-340 signature by the output key; a hash type byte may only say SIGHASH_ALL (BIP-341)."""
    if signature[64:] not in (b"", bytes([SIGHASH_ALL])):
        return False
    kind = signature[64] if signature[64:] else SIGHASH_DEFAULT
    spent = (TxOutput(amount_sat=0, script=script),)
    digest = taproot_digest(signature_message(to_sign(script, message), spent, 0, kind))
    return bip340.verify(script[2:], digest, signature[:64])


def _public_key_hash_holds(script: bytes, message: bytes, signature: bytes, public_key: bytes) -> bool:
    """An ECDSA signature with SIGHASH_ALL by the compressed key whose hash is in the script (BIP-143)."""
    if signature[-1:] != bytes([SIGHASH_ALL]) or ecdsa.hash160(public_key) != script[2:]:
        return False
    digest = _segwit_digest(to_sign(script, message), script_code=b"\x76\xa9\x14" + script[2:] + b"\x88\xac")
    return ecdsa.verify(public_key, digest, signature[:-1])


def _segwit_digest(transaction: Transaction, *, script_code: bytes) -> bytes:
    """What SIGHASH_ALL of the only input commits to, the spent amount being 0 (BIP-143); 32 bytes."""
    spent = transaction.inputs[0]
    sequence = struct.pack("<I", spent.sequence)
    outputs = b"".join(output.serialise() for output in transaction.outputs)
    return double_sha256(
        struct.pack("<i", transaction.version)
        + double_sha256(spent.outpoint)
        + double_sha256(sequence)
        + spent.outpoint
        + sized(script_code)
        + struct.pack("<q", 0)
        + sequence
        + double_sha256(outputs)
        + struct.pack("<II", transaction.locktime, SIGHASH_ALL)
    )
