"""Addresses have one spelling and one script; everything else is refused with its reason."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pbk
import pytest

from strongroom.chains.bitcoin.address import BadAddress, address_of, script_of
from strongroom.chains.bitcoin.keys import taproot_output_key
from strongroom.chains.bitcoin.networks import BY_CAIP2, BY_NAME, MAINNET, NETWORKS, REGTEST, SIGNET, TESTNET4
from strongroom.crypto import bech32, bip32

VECTORS = Path(__file__).parents[2] / "vectors" / "bips"
DERIVED = [case for case in json.loads((VECTORS / "bip-0086-vectors.json").read_text()) if "internal_key" in case]
GOOD = [
    ("1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa", MAINNET, "76a91462e907b15cbf27d5425399ebf6f0fb50ebb88f1888ac"),
    ("3P14159f73E4gFr7JterCCQh9QjiTjiZrG", MAINNET, "a914e9c3dd0c07aac76179ebc76a6c78d4d67c6c160a87"),
    ("bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", MAINNET, "0014751e76e8199196d454941c45d1b3a323f1433bd6"),
    (
        "tb1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3q0sl5k7",
        SIGNET,
        "00201863143c14c5166804bd19203356da136c985678cd4d27a1b8c6329604903262",
    ),
    (
        "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0",
        MAINNET,
        "512079be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798",
    ),
    ("mipcBbFg9gMiCh81Kj8tqqdgoZub1ZJRfn", REGTEST, "76a914243f1394f44554f4ce3fd68649c19adc483ce92488ac"),
    ("2MzQwSSnBHWHqSAqtTVQ6v47XtaisrJa1Vc", TESTNET4, "a9144e9f39ca4688ff102128ea4ccda34105324305b087"),
]
BAD = [
    ("", "printable ASCII"),
    (" bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", "printable ASCII"),
    ("bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4\n", "printable ASCII"),
    ("bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t\u0434", "printable ASCII"),
    ("bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t5", "checksum"),
    ("BC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KV8F3T4", "canonical"),
    ("bc1qW508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", "mixes"),
    ("tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx", "not an address of mainnet"),
    ("mipcBbFg9gMiCh81Kj8tqqdgoZub1ZJRfn", "not an address of mainnet"),
    ("1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNb", "checksum"),
    ("1A1zP1eP5QGefi2DMPTfTL5SLmv7Divf0a", "base58"),
    ("11A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa", "checksum|payload"),
    ("ltc1qw508d6qejxtdg4y5r3zarvary0c5xw7kgmn4n9", "neither|base58"),
    ("bc1q", "too short|separator|checksum"),
    (bech32.encode_segwit("bc", 2, bytes(32)), "witness version 2"),
    (bech32.encode_segwit("bc", 16, b"\x00\x01"), "witness version 16"),
    (bech32.encode_segwit("bc", 1, b"\x4e\x73"), "32 bytes"),
    (bip32.base58check_encode(b"\x00" + bytes(19)), "payload"),
    (bip32.base58check_encode(b"\x00" + bytes(21)), "payload"),
    (bip32.base58check_encode(b"\x30" + bytes(20)), "not an address of mainnet"),
]


@pytest.mark.parametrize(("address", "network", "script"), GOOD)
def test_every_kind_of_address_reads_and_writes_the_same(address: str, network: Any, script: str) -> None:
    assert script_of(address, network).hex() == script
    assert address_of(bytes.fromhex(script), network) == address


@pytest.mark.parametrize(("address", "why"), BAD)
def test_bad_addresses_are_refused_with_their_reason(address: str, why: str) -> None:
    with pytest.raises(BadAddress, match=why):
        script_of(address, MAINNET)


def test_every_single_letter_error_in_an_address_is_found() -> None:
    for address in ("bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080", "mipcBbFg9gMiCh81Kj8tqqdgoZub1ZJRfn"):
        for position, letter in enumerate(address):
            changed = address[:position] + ("q" if letter != "q" else "p") + address[position + 1 :]
            with pytest.raises(BadAddress):
                script_of(changed, REGTEST)


@pytest.mark.parametrize("case", json.loads((VECTORS / "bip-0350-vectors.json").read_text())["valid_addresses"])
def test_segwit_vectors_are_accepted_only_in_the_five_kinds(case: dict[str, str]) -> None:
    address, script = case["address"], bytes.fromhex(case["script_pubkey"])
    network = MAINNET if address.lower().startswith("bc1") else SIGNET
    supported = script[0] == 0 or (script[0] == 0x51 and len(script) == 34)
    if supported and address == address.lower():
        assert script_of(address, network) == script
    else:
        with pytest.raises(BadAddress):
            script_of(address, network)


@pytest.mark.parametrize("script", [b"", b"\x6a", b"\x51", b"\x52\x20" + bytes(32), b"\x00\x15" + bytes(21)])
def test_scripts_without_an_address_are_refused(script: bytes) -> None:
    with pytest.raises(BadAddress, match="none of"):
        address_of(script, MAINNET)


@pytest.mark.parametrize("case", DERIVED, ids=lambda case: case["address"])
def test_taproot_addresses_of_bip_86(case: dict[str, str]) -> None:
    child = bip32.ExtendedPublicKey.parse(case["xpub"])
    internal_key = child.public_key[1:]
    assert internal_key.hex() == case["internal_key"]
    _, output_key = taproot_output_key(internal_key)
    assert output_key.hex() == case["output_key"]
    assert address_of(bytes.fromhex(case["scriptPubKey"]), MAINNET) == case["address"]
    assert script_of(case["address"], MAINNET) == b"\x51\x20" + output_key


@pytest.mark.parametrize(
    ("network", "chain"),
    [
        (MAINNET, pbk.ChainType.MAINNET),
        (TESTNET4, pbk.ChainType.TESTNET_4),
        (SIGNET, pbk.ChainType.SIGNET),
        (REGTEST, pbk.ChainType.REGTEST),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_chain_ids_follow_the_kernels_genesis_blocks(network: Any, chain: Any, tmp_path: Path) -> None:
    manager = pbk.load_chainman(str(tmp_path), chain, pbk.ValidationInterfaceCallbacks())
    genesis = str(manager.get_active_chain().block_tree_entries[0].block_hash)
    assert network.genesis_hash == genesis
    assert network.caip2 == f"bip122:{genesis[:32]}"
    assert network.asset_id == f"{network.caip2}/slip44:0"


def test_networks_are_found_by_name_and_chain_id() -> None:
    assert all(BY_NAME[network.name] is network and BY_CAIP2[network.caip2] is network for network in NETWORKS)
    assert len(BY_CAIP2) == len(NETWORKS)
