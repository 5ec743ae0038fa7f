"""The published BIP173 and BIP350 vectors: strings and segwit addresses, valid and invalid."""

from __future__ import annotations

from typing import Any

import pytest

from crypto_vector_files import load
from strongroom.crypto import bech32
from strongroom.crypto.bech32 import InvalidBech32

BIP173 = load("bips", "bip-0173-vectors.json")
BIP350 = load("bips", "bip-0350-vectors.json")
NETWORKS = ("bc", "tb")
# Under BIP173 these versions had a bech32 checksum; BIP350 took that back.
OUTDATED = {
    "bc1pw508d6qejxtdg4y5r3zarvary0c5xw7kw508d6qejxtdg4y5r3zarvary0c5xw7k7grplx",
    "BC1SW50QA3JX3S",
    "bc1zw508d6qejxtdg4y5r3zarvaryvg6kdaj",
}


def script(version: int, program: bytes) -> str:
    opcode = 0x50 + version if version else 0
    return (bytes((opcode, len(program))) + program).hex()


def invalid_strings() -> list[Any]:
    return [
        pytest.param(case["string"], id=f"{bip}-{index}")
        for bip, vectors in (("173", BIP173), ("350", BIP350))
        for index, case in enumerate(vectors["invalid_strings"])
    ]


def test_every_published_case_is_present() -> None:
    counts = [
        {
            kind: len(vectors[kind])
            for kind in ("valid_strings", "invalid_strings", "valid_addresses", "invalid_addresses")
        }
        for vectors in (BIP173, BIP350)
    ]
    assert list(counts[0].values()) == [7, 12, 6, 10]
    assert list(counts[1].values()) == [7, 14, 8, 15]
    assert {case["address"] for case in BIP173["valid_addresses"]} >= OUTDATED


@pytest.mark.parametrize("text", BIP173["valid_strings"])
def test_bech32_strings_survive_decoding(text: str) -> None:
    hrp, values, constant = bech32.decode(text)
    assert constant == bech32.BECH32
    assert bech32.encode(hrp, values, constant) == text.lower()


@pytest.mark.parametrize("text", BIP350["valid_strings"])
def test_bech32m_strings_survive_decoding(text: str) -> None:
    hrp, values, constant = bech32.decode(text)
    assert constant == bech32.BECH32M
    assert bech32.encode(hrp, values, constant) == text.lower()


@pytest.mark.parametrize("text", invalid_strings())
def test_invalid_strings_are_refused(text: str) -> None:
    with pytest.raises(InvalidBech32):
        bech32.decode(text)


@pytest.mark.parametrize("case", BIP350["valid_addresses"], ids=lambda case: case["address"])
def test_addresses_match(case: dict[str, str]) -> None:
    hrp = case["address"][:2].lower()
    version, program = bech32.decode_segwit(hrp, case["address"])
    assert script(version, program) == case["script_pubkey"]
    assert bech32.encode_segwit(hrp, version, program) == case["address"].lower()
    other = NETWORKS[1 - NETWORKS.index(hrp)]
    with pytest.raises(InvalidBech32, match="starts with"):
        bech32.decode_segwit(other, case["address"])


@pytest.mark.parametrize("case", BIP173["valid_addresses"], ids=lambda case: case["address"])
def test_outdated_addresses_are_refused_and_the_others_match(case: dict[str, str]) -> None:
    hrp = case["address"][:2].lower()
    if case["address"] in OUTDATED:
        with pytest.raises(InvalidBech32, match="other kind"):
            bech32.decode_segwit(hrp, case["address"])
    else:
        assert script(*bech32.decode_segwit(hrp, case["address"])) == case["script_pubkey"]


@pytest.mark.parametrize("case", BIP173["invalid_addresses"] + BIP350["invalid_addresses"], ids=lambda c: c["reason"])
def test_invalid_addresses_are_refused_on_every_network(case: dict[str, str]) -> None:
    for hrp in NETWORKS:
        with pytest.raises(InvalidBech32):
            bech32.decode_segwit(hrp, case["string"])


def test_letters_that_only_fold_to_ascii_are_refused() -> None:
    address = BIP173["valid_addresses"][0]["address"]
    folded = address.replace("K", "\N{KELVIN SIGN}")
    assert folded.lower() == address.lower()
    with pytest.raises(InvalidBech32, match="outside ASCII"):
        bech32.decode_segwit("bc", folded)


@pytest.mark.parametrize(("version", "length"), [(-1, 32), (17, 32), (0, 19), (0, 33), (1, 1), (1, 41), (16, 0)])
def test_impossible_witness_programs_are_not_encoded(version: int, length: int) -> None:
    with pytest.raises(InvalidBech32):
        bech32.encode_segwit("bc", version, bytes(length))


@pytest.mark.parametrize(("hrp", "values"), [("", [1]), ("BC", [1]), ("b c", [1]), ("bc", [32]), ("bc", [0] * 83)])
def test_impossible_strings_are_not_encoded(hrp: str, values: list[int]) -> None:
    with pytest.raises(InvalidBech32):
        bech32.encode(hrp, values, bech32.BECH32M)
