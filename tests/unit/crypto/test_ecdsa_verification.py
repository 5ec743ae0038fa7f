"""ECDSA verification: strict DER, low s, the right key."""

from __future__ import annotations

import hashlib

import pytest
from coincurve import PrivateKey

from strongroom.crypto import ecdsa
from strongroom.crypto.errors import InvalidInput

ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
KEY = PrivateKey(bytes(31) + b"\x05")
PUBLIC = KEY.public_key.format(compressed=True)
DIGEST = hashlib.sha256(b"message").digest()
SIGNATURE = KEY.sign(DIGEST, hasher=None)


def der(r: int, s: int) -> bytes:
    parts = [value.to_bytes((value.bit_length() + 8) // 8, "big") for value in (r, s)]
    body = b"".join(b"\x02" + bytes([len(part)]) + part for part in parts)
    return b"\x30" + bytes([len(body)]) + body


def numbers() -> tuple[int, int]:
    size = SIGNATURE[3]
    return int.from_bytes(SIGNATURE[4 : 4 + size], "big"), int.from_bytes(SIGNATURE[6 + size :], "big")


def test_a_signature_verifies_under_its_key_and_digest_only() -> None:
    assert der(*numbers()) == SIGNATURE
    assert ecdsa.verify(PUBLIC, DIGEST, SIGNATURE)
    assert not ecdsa.verify(PUBLIC, hashlib.sha256(b"other").digest(), SIGNATURE)
    assert not ecdsa.verify(PrivateKey(bytes(31) + b"\x06").public_key.format(), DIGEST, SIGNATURE)


def test_high_s_is_refused() -> None:
    r, s = numbers()
    assert not ecdsa.verify(PUBLIC, DIGEST, der(r, ORDER - s))


@pytest.mark.parametrize("damaged", [b"", SIGNATURE[:-1], SIGNATURE + b"\x00", b"\x31" + SIGNATURE[1:]])
def test_what_is_not_strict_der_is_refused(damaged: bytes) -> None:
    assert not ecdsa.verify(PUBLIC, DIGEST, damaged)


@pytest.mark.parametrize("key", [b"", PUBLIC[:-1], b"\x04" + PUBLIC[1:], b"\x02" + b"\xff" * 32])
def test_what_is_no_compressed_point_is_no_key(key: bytes) -> None:
    assert not ecdsa.verify(key, DIGEST, SIGNATURE)


def test_a_digest_of_another_length_is_the_callers_fault() -> None:
    with pytest.raises(InvalidInput):
        ecdsa.verify(PUBLIC, DIGEST[:-1], SIGNATURE)
