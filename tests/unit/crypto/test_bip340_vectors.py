"""The published BIP340 vectors, and what BIP341 asks of keys."""

from __future__ import annotations

import csv
from typing import Any

import pytest

from crypto_vector_files import VECTORS, load
from strongroom.crypto import bip340
from strongroom.crypto.curve import Point
from strongroom.crypto.errors import InvalidInput, InvalidScalar
from strongroom.crypto.frost import Tweak, tweaked_key
from strongroom.crypto.secret import SecretScalar

with (VECTORS / "bips" / "bip-0340-test-vectors.csv").open(encoding="utf-8", newline="") as stream:
    ROWS = list(csv.DictReader(stream))
WALLET = load("bips", "bip-0341-wallet-test-vectors.json")


def test_every_published_case_is_present() -> None:
    assert len(ROWS) == 19
    assert sum(bool(row["secret key"]) for row in ROWS) == 8
    assert sum(row["verification result"] == "TRUE" for row in ROWS) == 9
    assert len(WALLET["scriptPubKey"]) == 7
    assert len(WALLET["keyPathSpending"][0]["inputSpending"]) == 7


@pytest.mark.parametrize("row", [row for row in ROWS if row["secret key"]], ids=lambda row: row["index"])
def test_signing_matches(row: dict[str, str]) -> None:
    secret = SecretScalar.from_bytes(bytes.fromhex(row["secret key"]))
    assert secret.public()[1:].hex().upper() == row["public key"]
    signature = bip340.sign(secret, bytes.fromhex(row["message"]), bytes.fromhex(row["aux_rand"]))
    assert signature.hex().upper() == row["signature"]


@pytest.mark.parametrize("row", [row for row in ROWS if row["secret key"]], ids=lambda row: row["index"])
def test_the_prefixed_scheme_is_bip340_under_its_own_prefix(row: dict[str, str]) -> None:
    secret = SecretScalar.from_bytes(bytes.fromhex(row["secret key"]))
    message, aux = bytes.fromhex(row["message"]), bytes.fromhex(row["aux_rand"])
    signature = bip340.sign_with_prefix(secret, message, aux, "BIP0340")
    assert signature.hex().upper() == row["signature"]
    other = bip340.sign_with_prefix(secret, message, aux, "BIP DKG/pop message")
    assert bip340.verify_with_prefix(secret.public()[1:], message, other, "BIP DKG/pop message")
    assert not bip340.verify(secret.public()[1:], message, other)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["index"])
def test_verification_matches(row: dict[str, str]) -> None:
    expected = row["verification result"] == "TRUE"
    fields = bytes.fromhex(row["public key"]), bytes.fromhex(row["message"]), bytes.fromhex(row["signature"])
    assert bip340.verify(*fields) is expected
    assert bip340.verify_with_prefix(*fields, "BIP0340") is expected


@pytest.mark.parametrize("length", [0, 31, 33])
def test_wrong_lengths_do_not_verify(length: int) -> None:
    row = ROWS[0]
    key, message, signature = (bytes.fromhex(row[name]) for name in ("public key", "message", "signature"))
    assert not bip340.verify(key[:length].ljust(length, b"\x00"), message, signature)
    assert not bip340.verify(key, message, signature[: 2 * length].ljust(2 * length, b"\x00"))
    assert not bip340.verify_with_prefix(key, message, signature[: 2 * length].ljust(2 * length, b"\x00"), "BIP0340")


def test_auxiliary_randomness_has_one_length() -> None:
    secret = SecretScalar.from_bytes(bytes.fromhex(ROWS[0]["secret key"]))
    for sign in (bip340.sign, lambda key, msg, aux: bip340.sign_with_prefix(key, msg, aux, "p")):
        with pytest.raises(InvalidInput, match="32 bytes, not 31"):
            sign(secret, b"", bytes(31))


@pytest.mark.parametrize("case", WALLET["scriptPubKey"], ids=lambda case: case["given"]["internalPubkey"][:8])
def test_taproot_tweaks_of_keys_match(case: dict[str, Any]) -> None:
    internal = bytes.fromhex(case["given"]["internalPubkey"])
    root = bytes.fromhex(case["intermediary"]["merkleRoot"] or "")
    tweak = bip340.tagged_hash("TapTweak", internal, root)
    assert tweak.hex() == case["intermediary"]["tweak"]
    for prefix in (b"\x02", b"\x03"):
        # An x-only tweak gives the same key whichever of the two points with this x the group key is.
        key = tweaked_key(prefix + internal, (Tweak(tweak, True),))
        assert key.point.xonly().hex() == case["intermediary"]["tweakedPubkey"]
    parity = 0 if key.point.has_even_y else 1
    for block in case["expected"].get("scriptPathControlBlocks", []):
        assert bytes.fromhex(block)[0] & 1 == parity


@pytest.mark.parametrize(
    "case", WALLET["keyPathSpending"][0]["inputSpending"], ids=lambda case: str(case["given"]["txinIndex"])
)
def test_tweaked_private_keys_match(case: dict[str, Any]) -> None:
    secret = SecretScalar.from_bytes(bytes.fromhex(case["given"]["internalPrivkey"]))
    assert secret.public()[1:].hex() == case["intermediary"]["internalPubkey"]
    tweak = bytes.fromhex(case["intermediary"]["tweak"])
    merkle_root = bytes.fromhex(case["given"]["merkleRoot"] or "")
    assert bip340.tagged_hash("TapTweak", secret.public()[1:], merkle_root) == tweak
    key = tweaked_key(secret.public(), (Tweak(tweak, True),))
    if secret.public()[0] == 3:
        secret.negate()
    secret.add_public(int.from_bytes(tweak, "big"))
    assert secret.expose().hex() == case["intermediary"]["tweakedPrivkey"]
    assert secret.public()[1:] == key.point.xonly()


def test_a_tweak_that_cancels_the_secret_is_refused() -> None:
    secret = SecretScalar.from_bytes(bytes(31) + b"\x05")
    with pytest.raises(InvalidScalar):
        secret.add_public(-5)
    assert secret.wiped


def test_tagged_hash_joins_its_pieces() -> None:
    assert bip340.tagged_hash("TapTweak", b"ab", b"c") == bip340.tagged_hash("TapTweak", b"abc")
    assert bip340.tagged_hash("TapTweak", b"abc") != bip340.tagged_hash("TapLeaf", b"abc")


def test_x_only_parsing_lifts_to_the_even_point() -> None:
    internal = bytes.fromhex(WALLET["scriptPubKey"][0]["given"]["internalPubkey"])
    assert Point.parse_xonly(internal).has_even_y
    assert Point.parse_xonly(internal).xonly() == internal
