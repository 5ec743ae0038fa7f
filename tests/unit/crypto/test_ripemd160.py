"""RIPEMD-160 gives what its authors published, on every machine alike."""

from __future__ import annotations

import hashlib

import pytest

from strongroom.crypto import bip32, ecdsa
from strongroom.crypto.ripemd160 import ripemd160

PUBLISHED = {
    b"": "9c1185a5c5e9fc54612808977ee8f548b2258d31",
    b"a": "0bdc9d2d256b3ee9daae347be6f4dc835a467ffe",
    b"abc": "8eb208f7e05d987a9b044a8e98c6b087f15a0bfc",
    b"message digest": "5d0689ef49d2fae572b881b123a85ffa21595f36",
    b"abcdefghijklmnopqrstuvwxyz": "f71c27109c692c1b56bbdceb5b9d2865b3708dbc",
    b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq": "12a053384a9c0c88e405a06c27dcf49ada62eb2b",
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789": "b0e20b6e3116640286ed3a87a5713079b21f5189",
    b"1234567890" * 8: "9b752e45573d4b39f4dbd3323cab82bf63326bfb",
}
"""The test values of the authors' paper, appendix B."""


@pytest.mark.parametrize("data", PUBLISHED)
def test_published_values(data: bytes) -> None:
    assert ripemd160(data).hex() == PUBLISHED[data]


@pytest.mark.slow
def test_published_value_of_a_million_bytes() -> None:
    assert ripemd160(b"a" * 1_000_000).hex() == "52783243c1697bdbe16d37f97f68f08325dc1528"


@pytest.mark.skipif("ripemd160" not in hashlib.algorithms_available, reason="this machine's OpenSSL has it not")
def test_every_length_of_two_blocks_agrees_with_openssl() -> None:
    for size in range(130):
        data = bytes(range(size))
        assert ripemd160(data) == hashlib.new("ripemd160", data, usedforsecurity=False).digest()


def test_keys_are_named_without_openssl(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where OpenSSL refuses the function, an entry that needs it must be judged as everywhere else."""
    key = bytes.fromhex("0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798")

    def refuse(name: str, *_: object, **__: object) -> None:
        raise ValueError(f"unsupported hash type {name}")

    monkeypatch.setattr(hashlib, "new", refuse)
    # The generator's key hash, as BIP-173 has it in its examples of addresses.
    assert ecdsa.hash160(key).hex() == "751e76e8199196d454941c45d1b3a323f1433bd6"
    assert bip32.fingerprint(key).hex() == "751e76e8"
