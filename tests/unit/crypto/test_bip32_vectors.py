"""The published BIP32 vectors as far as public derivation reaches, and BIP328's synthetic extended keys.

The vectors' hardened steps need private keys, which nothing here derives; those rows are checked for parsing and
encoding, and every unhardened row against its parent row.
"""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from crypto_vector_files import load
from strongroom.crypto import bip32
from strongroom.crypto.bip32 import ExtendedPublicKey, InvalidChild, InvalidExtendedKey
from strongroom.crypto.curve import Point
from strongroom.crypto.errors import InvalidInput, InvalidPoint

VECTORS = load("bips", "bip-0032-vectors.json")
SYNTHETIC = load("bips", "bip-0328-vectors.json")
CHAINS = [chain for vector in VECTORS["valid"] for chain in vector["chains"]]


def unhardened_steps() -> list[Any]:
    steps = []
    for vector in VECTORS["valid"]:
        rows = {chain["path"]: chain["xpub"] for chain in vector["chains"]}
        for path, xpub in rows.items():
            parent, _, step = path.rpartition("/")
            if step and step[-1].isdigit() and parent in rows:
                steps.append(pytest.param(rows[parent], int(step), xpub, id=f"{vector['vector']}:{path}"))
    return steps


def test_every_published_case_is_present() -> None:
    assert len(CHAINS) == 17
    assert len(VECTORS["invalid"]) == 16
    assert len(unhardened_steps()) == 6
    assert len(SYNTHETIC) == 3


@pytest.mark.parametrize("chain", CHAINS, ids=lambda chain: chain["path"])
def test_extended_public_keys_survive_parsing(chain: dict[str, str]) -> None:
    parsed = ExtendedPublicKey.parse(chain["xpub"])
    assert parsed.encode() == chain["xpub"]
    assert parsed.depth == chain["path"].count("/")


@pytest.mark.parametrize("chain", CHAINS, ids=lambda chain: chain["path"])
def test_extended_private_keys_are_refused(chain: dict[str, str]) -> None:
    with pytest.raises(InvalidExtendedKey, match="not the version of an extended public key"):
        ExtendedPublicKey.parse(chain["xprv"])


@pytest.mark.parametrize(("parent", "index", "expected"), unhardened_steps())
def test_public_derivation_matches(parent: str, index: int, expected: str) -> None:
    key = ExtendedPublicKey.parse(parent)
    derived = key.child(index)
    assert derived.encode() == expected
    step = bip32.child(key.public_key, key.chain_code, index)
    tweaked = Point.parse(key.public_key).plus_generator_times(int.from_bytes(step.tweak, "big"))
    assert tweaked.serialise() == step.public_key == derived.public_key


@pytest.mark.parametrize("case", VECTORS["invalid"], ids=lambda case: case["reason"])
def test_invalid_extended_keys_are_refused(case: dict[str, str]) -> None:
    with pytest.raises(InvalidExtendedKey):
        ExtendedPublicKey.parse(case["key"])


@pytest.mark.parametrize(
    ("reason", "message"),
    [
        ("pubkey version / prvkey mismatch", "not a compressed point"),
        ("invalid pubkey prefix 04", "not a compressed point"),
        ("invalid pubkey prefix 01", "not a compressed point"),
        ("zero depth with non-zero parent fingerprint", "depth 0"),
        ("zero depth with non-zero index", "depth 0"),
        ("unknown extended key version", "not the version"),
        ("invalid checksum", "checksum"),
    ],
)
def test_invalid_public_keys_are_refused_for_their_reason(reason: str, message: str) -> None:
    keys = [case["key"] for case in VECTORS["invalid"] if case["reason"] == reason]
    assert keys
    found = []
    for key in keys:
        with pytest.raises(InvalidExtendedKey) as refused:
            ExtendedPublicKey.parse(key)
        found.append(message in str(refused.value))
    assert any(found)


@pytest.mark.parametrize("case", SYNTHETIC, ids=lambda case: case["aggregate_pubkey"][:8])
def test_synthetic_extended_keys_match(case: dict[str, Any]) -> None:
    code = hashlib.sha256(b"MuSig2MuSig2MuSig2").digest()
    key = ExtendedPublicKey.root(bytes.fromhex(case["aggregate_pubkey"]), code, mainnet=True)
    assert key.encode() == case["xpub"]


@pytest.mark.parametrize("index", [-1, 1 << 31, 1 << 32])
def test_hardened_and_impossible_children_are_refused(index: int) -> None:
    key = ExtendedPublicKey.parse(CHAINS[0]["xpub"])
    with pytest.raises(InvalidChild):
        bip32.child(key.public_key, key.chain_code, index)


def test_malformed_parents_are_refused() -> None:
    key = ExtendedPublicKey.parse(CHAINS[0]["xpub"])
    with pytest.raises(InvalidPoint):
        bip32.child(b"\x04" + key.public_key[1:], key.chain_code, 0)
    with pytest.raises(InvalidInput, match="32 bytes, not 31"):
        bip32.child(key.public_key, key.chain_code[:31], 0)


def test_the_deepest_key_has_no_children() -> None:
    key = ExtendedPublicKey(
        version=bip32.MAINNET_VERSION,
        depth=255,
        parent_fingerprint=b"abcd",
        index=0,
        chain_code=bytes(32),
        public_key=Point.generator_times(7).serialise(),
    )
    with pytest.raises(InvalidChild, match="255"):
        key.child(0)


@pytest.mark.parametrize("payload", [b"", b"\x00", b"\x00\x00abc", bytes(range(40))])
def test_base58check_keeps_leading_zeros(payload: bytes) -> None:
    assert bip32.base58check_decode(bip32.base58check_encode(payload)) == payload


@pytest.mark.parametrize("text", ["", "1", "0OIl", "é", "1" * 201, CHAINS[0]["xpub"] + " "])
def test_base58check_refuses_other_strings(text: str) -> None:
    with pytest.raises(InvalidExtendedKey):
        bip32.base58check_decode(text)
