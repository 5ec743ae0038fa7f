"""The wallet examples of BIP-341: output keys, addresses, messages and digests of key path spends."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from strongroom.chains.bitcoin.address import address_of, script_of
from strongroom.chains.bitcoin.keys import taproot_output_key
from strongroom.chains.bitcoin.networks import MAINNET
from strongroom.chains.bitcoin.sighash import shared_hashes, signature_message, taproot_digest
from strongroom.chains.bitcoin.transaction import Transaction, TxOutput, parse, with_witnesses
from strongroom.crypto import bip340

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "bips" / "bip-0341-wallet-test-vectors.json").read_text())
KEY_PATH = VECTORS["keyPathSpending"][0]


def _unsigned() -> Transaction:
    return parse(bytes.fromhex(KEY_PATH["given"]["rawUnsignedTx"]))


def _spent() -> list[TxOutput]:
    return [
        TxOutput(amount_sat=item["amountSats"], script=bytes.fromhex(item["scriptPubKey"]))
        for item in KEY_PATH["given"]["utxosSpent"]
    ]


@pytest.mark.parametrize("case", VECTORS["scriptPubKey"], ids=lambda case: case["expected"]["bip350Address"])
def test_output_key_and_address_of_a_taproot_output(case: dict[str, Any]) -> None:
    merkle_root = case["intermediary"]["merkleRoot"]
    internal_key = bytes.fromhex(case["given"]["internalPubkey"])
    tweak, output_key = taproot_output_key(internal_key, bytes.fromhex(merkle_root) if merkle_root else b"")
    assert tweak.hex() == case["intermediary"]["tweak"]
    assert output_key.hex() == case["intermediary"]["tweakedPubkey"]
    script = bytes.fromhex(case["expected"]["scriptPubKey"])
    assert script == b"\x51\x20" + output_key
    assert address_of(script, MAINNET) == case["expected"]["bip350Address"]
    assert script_of(case["expected"]["bip350Address"], MAINNET) == script


def test_shared_hashes_of_the_example_transaction() -> None:
    expected = KEY_PATH["intermediary"]
    hashes = shared_hashes(_unsigned(), _spent())
    assert hashes.amounts.hex() == expected["hashAmounts"]
    assert hashes.outputs.hex() == expected["hashOutputs"]
    assert hashes.prevouts.hex() == expected["hashPrevouts"]
    assert hashes.scripts.hex() == expected["hashScriptPubkeys"]
    assert hashes.sequences.hex() == expected["hashSequences"]


def test_an_input_or_a_spent_output_that_is_not_there_has_no_message() -> None:
    with pytest.raises(ValueError, match="need as many spent outputs"):
        shared_hashes(_unsigned(), _spent()[:-1])
    for index in (-1, len(_spent())):
        with pytest.raises(ValueError, match=f"has no input {index}"):
            signature_message(_unsigned(), _spent(), index, 0)


@pytest.mark.parametrize("case", KEY_PATH["inputSpending"], ids=lambda case: f"hash-type-{case['given']['hashType']}")
def test_message_and_digest_of_a_key_path_input(case: dict[str, Any]) -> None:
    given, intermediary = case["given"], case["intermediary"]
    message = signature_message(_unsigned(), _spent(), given["txinIndex"], given["hashType"])
    assert message.hex() == intermediary["sigMsg"]
    digest = taproot_digest(message)
    assert digest.hex() == intermediary["sigHash"]
    output_key = _spent()[given["txinIndex"]].script[2:]
    signature = bytes.fromhex(case["expected"]["witness"][0])[:64]
    assert bip340.verify(output_key, digest, signature)


def test_signed_example_transaction_is_the_unsigned_one_with_its_witnesses() -> None:
    full = bytes.fromhex(KEY_PATH["auxiliary"]["fullySignedTx"])
    signed = parse(full)
    assert signed.serialise() == full
    assert signed.weight == 3 * len(signed.stripped) + len(full)
    rebuilt = with_witnesses(signed, [item.witness for item in signed.inputs])
    assert rebuilt == signed


def test_single_without_its_output_is_refused() -> None:
    transaction = _unsigned()
    last = len(transaction.inputs) - 1
    with pytest.raises(ValueError, match="SIGHASH_SINGLE"):
        signature_message(transaction, _spent(), last, 0x03)


@pytest.mark.parametrize("hash_type", [0x04, 0x80, 0x84, 0xFF])
def test_undefined_hash_types_are_refused(hash_type: int) -> None:
    with pytest.raises(ValueError, match="not defined"):
        signature_message(_unsigned(), _spent(), 0, hash_type)


def test_an_annex_enters_the_message() -> None:
    plain = signature_message(_unsigned(), _spent(), 4, 0x00)
    with_annex = signature_message(_unsigned(), _spent(), 4, 0x00, annex=b"\x50data")
    assert len(with_annex) == len(plain) + 32
    with pytest.raises(ValueError, match="0x50"):
        signature_message(_unsigned(), _spent(), 4, 0x00, annex=b"data")
