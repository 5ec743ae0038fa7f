"""Partially signed transactions (BIP-174, version 0, with the taproot fields of BIP-371) made from a spend.

For the world only: auditors, watch wallets, explorers. Nothing here reads a PSBT; signers take plans from the log.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from typing import Final

from strongroom.chains.bitcoin.keys import DerivedKey, VaultKey
from strongroom.chains.bitcoin.policy import CHANGE_BRANCH, SIGNATURE_BYTES
from strongroom.chains.bitcoin.spend import Spend
from strongroom.chains.bitcoin.transaction import TxOutput, sized

_MAGIC: Final = b"psbt\xff"
_GLOBAL_UNSIGNED_TX: Final = 0x00
_IN_WITNESS_UTXO: Final = 0x01
_IN_TAP_KEY_SIG: Final = 0x13
_IN_TAP_BIP32_DERIVATION: Final = 0x16
_IN_TAP_INTERNAL_KEY: Final = 0x17
_OUT_TAP_INTERNAL_KEY: Final = 0x05
_OUT_TAP_BIP32_DERIVATION: Final = 0x07
_SEPARATOR: Final = b"\x00"


def psbt_of(
    spend: Spend, *, signatures: Mapping[int, bytes] | None = None, change: Mapping[int, int] | None = None
) -> bytes:
    """Serialise a spend as a PSBT.

    Args:
        spend: the spend.
        signatures: 64-byte key path signatures by input position, as far as they exist.
        change: change index (branch 1) by output position, so that watchers recognise the vault's own outputs.

    Raises:
        ValueError: a position that does not exist, a signature of another length, or a change index whose script is
            not that of its output; the caller's fault.
    """
    signatures, change = signatures or {}, change or {}
    if not (signatures.keys() <= set(range(len(spend.inputs))) and change.keys() <= set(range(len(spend.outputs)))):
        raise ValueError("a signature or change index names a position that does not exist")
    parts = [_MAGIC, _entry(_GLOBAL_UNSIGNED_TX, b"", spend.unsigned_transaction().stripped), _SEPARATOR]
    for position, (key, spent) in enumerate(zip(spend.keys, spend.spent_outputs, strict=True)):
        parts += [*_input_entries(spend.vault_key, key, spent, signatures.get(position)), _SEPARATOR]
    for position, output in enumerate(spend.outputs):
        if position in change:
            key = spend.vault_key.derive(CHANGE_BRANCH, change[position])
            if key.script != output.script:
                raise ValueError(f"output {position} does not pay to change index {change[position]}")
            parts += [
                _entry(_OUT_TAP_INTERNAL_KEY, b"", key.internal_key),
                _entry(_OUT_TAP_BIP32_DERIVATION, key.internal_key, _derivation(spend.vault_key, key)),
            ]
        parts.append(_SEPARATOR)
    return b"".join(parts)


def _input_entries(vault: VaultKey, key: DerivedKey, spent: TxOutput, signature: bytes | None) -> Iterable[bytes]:
    yield _entry(_IN_WITNESS_UTXO, b"", spent.serialise())
    if signature is not None:
        if len(signature) != SIGNATURE_BYTES:
            raise ValueError(f"a key path signature has {SIGNATURE_BYTES} bytes, not {len(signature)}")
        yield _entry(_IN_TAP_KEY_SIG, b"", signature)
    yield _entry(_IN_TAP_BIP32_DERIVATION, key.internal_key, _derivation(vault, key))
    yield _entry(_IN_TAP_INTERNAL_KEY, b"", key.internal_key)


def _entry(kind: int, key_data: bytes, value: bytes) -> bytes:
    return sized(bytes([kind]) + key_data) + sized(value)


def _derivation(vault: VaultKey, key: DerivedKey) -> bytes:
    no_leaf_hashes = b"\x00"
    return no_leaf_hashes + vault.fingerprint + struct.pack("<II", key.branch, key.index)
