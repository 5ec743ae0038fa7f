"""BIP-322 simple signatures: the specification's own examples, and what is no such signature."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from coincurve import PrivateKey

from strongroom.chains.bitcoin import message_signature
from strongroom.chains.bitcoin.address import script_of
from strongroom.chains.bitcoin.message_signature import to_sign, to_spend, verify_simple
from strongroom.chains.bitcoin.networks import MAINNET
from strongroom.chains.bitcoin.policy import ScriptType, script_type
from strongroom.chains.bitcoin.sighash import signature_message, taproot_digest
from strongroom.chains.bitcoin.transaction import TxOutput
from strongroom.crypto import bip340
from strongroom.crypto.secret import SecretScalar

VECTORS = json.loads(
    (Path(__file__).parents[2] / "vectors/bips/bip-0322-basic-test-vectors.json").read_text(encoding="utf-8")
)
HERE = {ScriptType.P2WPKH, ScriptType.P2TR}


def proof_of(text: str) -> bytes:
    return base64.b64decode(text.removeprefix("smp"), validate=True)


def cases(name: str) -> list[Any]:
    return [pytest.param(case, id=str(case.get("description", case["message"]))[:50]) for case in VECTORS[name]]


@pytest.mark.parametrize("case", cases("tx_hashes"))
def test_the_virtual_transactions_are_those_of_the_specification(case: dict[str, str]) -> None:
    script, message = script_of(case["address"], MAINNET), case["message"].encode()
    assert bip340.tagged_hash("BIP0322-signed-message", message).hex() == case["message_hash"]
    assert to_spend(script, message).txid[::-1].hex() == case["to_spend_tx_hash"]
    assert to_sign(script, message).txid[::-1].hex() == case["to_sign_tx_hash"]


@pytest.mark.parametrize("case", cases("simple"))
def test_the_examples_of_the_scripts_that_are_known_here_verify_and_no_others(case: dict[str, Any]) -> None:
    script, message = script_of(case["address"], MAINNET), case["message"].encode()
    for text in case["bip322_signatures"]:
        assert verify_simple(script, message, proof_of(text)) == (script_type(script) in HERE)
        assert not verify_simple(script, message + b".", proof_of(text))


def test_some_example_of_each_known_script_was_tried() -> None:
    tried = {script_type(script_of(case["address"], MAINNET)) for case in VECTORS["simple"]}
    assert tried >= HERE


@pytest.mark.parametrize("case", cases("error"))
def test_what_the_specification_refuses_is_refused(case: dict[str, str]) -> None:
    try:
        proof = proof_of(case["signature"])
    except ValueError:
        return  # no base64: it never gets this far
    assert not verify_simple(script_of(case["address"], MAINNET), case["message"].encode(), proof)


def segwit() -> tuple[bytes, bytes, bytes]:
    case = VECTORS["simple"][0]
    return script_of(case["address"], MAINNET), case["message"].encode(), proof_of(case["bip322_signatures"][0])


def test_a_stack_with_more_or_other_items_is_refused() -> None:
    script, message, proof = segwit()
    assert verify_simple(script, message, proof)
    key = proof[-33:]
    for changed in (
        proof + b"\x00",
        b"\x03" + proof[1:] + b"\x01\x00",
        b"\x01" + proof[1:-34],
        proof[:-34] + b"\x21" + bytes([key[0] ^ 1]) + key[1:],
        proof[:-1],
        b"",
    ):
        assert not verify_simple(script, message, changed), changed.hex()


def test_a_signature_by_another_key_is_refused() -> None:
    script, message, _ = segwit()
    other = PrivateKey(bytes(31) + b"\x05")
    code = b"\x76\xa9\x14" + script[2:] + b"\x88\xac"
    digest = message_signature._segwit_digest(to_sign(script, message), script_code=code)
    signature = other.sign(digest, hasher=None) + b"\x01"
    proof = b"\x02" + bytes([len(signature)]) + signature + b"\x21" + other.public_key.format()
    assert not verify_simple(script, message, proof)


def test_a_hash_type_that_commits_to_less_is_refused() -> None:
    script, message, proof = segwit()
    size = proof[1]
    for kind in (0x00, 0x02, 0x03, 0x81):
        assert not verify_simple(script, message, proof[: 1 + size] + bytes([kind]) + proof[2 + size :])


def taproot(suffix: bytes = b"", kind: int = 0) -> tuple[bytes, bytes]:
    """A script and a signature over "hello" made here, with a hash type byte appended."""
    secret = SecretScalar.from_bytes(bytes(31) + b"\x07")
    script = b"\x51\x20" + secret.public()[1:]
    message = signature_message(to_sign(script, b"hello"), (TxOutput(amount_sat=0, script=script),), 0, kind)
    return script, bip340.sign(secret, taproot_digest(message), bytes(32)) + suffix


@pytest.mark.parametrize(
    ("suffix", "kind", "holds"),
    [(b"", 0, True), (b"\x01", 1, True), (b"\x00", 0, False), (b"\x02", 2, False), (b"\x01\x01", 1, False)],
)
def test_a_key_path_signature_says_all_or_nothing_of_its_hash_type(suffix: bytes, kind: int, holds: bool) -> None:
    script, signature = taproot(suffix, kind)
    proof = b"\x01" + bytes([len(signature)]) + signature
    assert verify_simple(script, b"hello", proof) is holds
    assert not verify_simple(script, b"hello", b"\x02" + proof[1:] + b"\x00")
