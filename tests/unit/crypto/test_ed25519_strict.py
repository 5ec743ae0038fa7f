from __future__ import annotations

import copy
import hashlib
import json
import pickle
from pathlib import Path

import pytest

from strongroom.crypto import ed25519
from strongroom.crypto.ed25519 import SigningKey, is_public_key, verify
from strongroom.crypto.errors import InvalidInput, SecretWiped
from strongroom.crypto.secret import SecretBytes

VECTORS = Path(__file__).parents[2] / "vectors" / "wycheproof" / "ed25519_test.json"
P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
Point = tuple[int, int]


def add(a: Point, b: Point) -> Point:
    k = D * a[0] * b[0] * a[1] * b[1]
    x = (a[0] * b[1] + b[0] * a[1]) * pow(1 + k, -1, P)
    y = (a[1] * b[1] + a[0] * b[0]) * pow(1 - k, -1, P)
    return x % P, y % P


def multiply(point: Point, times: int) -> Point:
    result = (0, 1)
    while times:
        if times & 1:
            result = add(result, point)
        point = add(point, point)
        times >>= 1
    return result


def lift(y: int) -> Point | None:
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    return None if (x * x - square) % P else (x, y)


def encode(point: Point) -> bytes:
    return (point[1] | (point[0] & 1) << 255).to_bytes(32, "little")


def base_point() -> Point:
    """The point with y = 4/5 and even x (RFC 8032 section 5.1)."""
    point = lift(4 * pow(5, -1, P) % P)
    assert point is not None
    return point if point[0] % 2 == 0 else (P - point[0], point[1])


BASE = base_point()


def torsion() -> set[Point]:
    """All points of small order, found without the table under test."""
    for y in range(2, 1000):
        point = lift(y)
        if point is not None:
            low = multiply(point, L)
            if multiply(low, 4) != (0, 1):
                return {multiply(low, k) for k in range(8)}
    raise AssertionError("no point of order 8 found")


def challenge(r: bytes, a: bytes, message: bytes) -> int:
    return int.from_bytes(hashlib.sha512(r + a + message).digest(), "little") % L


def key(number: int = 1) -> SigningKey:
    return SigningKey(SecretBytes(bytes([number]) * 32))


def wycheproof() -> list[tuple[int, bytes, bytes, bytes, bool]]:
    return [
        (
            test["tcId"],
            bytes.fromhex(group["publicKey"]["pk"]),
            bytes.fromhex(test["msg"]),
            bytes.fromhex(test["sig"]),
            test["result"] == "valid",
        )
        for group in json.loads(VECTORS.read_text())["testGroups"]
        for test in group["tests"]
    ]


def test_every_wycheproof_vector_gets_the_expected_verdict() -> None:
    cases = wycheproof()
    assert (len(cases), sum(valid for *_, valid in cases)) == (151, 88)
    assert [number for number, public, message, sig, valid in cases if verify(public, message, sig) is not valid] == []


def test_rfc_8032_first_vector_is_reproduced() -> None:
    """RFC 8032 section 7.1, TEST 1."""
    seed = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
    signer = SigningKey(SecretBytes(seed))
    assert signer.public.hex() == "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
    assert signer.sign(b"").hex() == (
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b"
        "d25bf5f0595bbe24655141438e7a100b"
    )


def test_a_signature_verifies_only_for_its_key_and_message() -> None:
    signature = key(1).sign(b"message")
    assert verify(key(1).public, b"message", signature)
    assert not verify(key(2).public, b"message", signature)
    assert not verify(key(1).public, b"massage", signature)
    for position in range(64):
        changed = bytearray(signature)
        changed[position] ^= 1
        assert not verify(key(1).public, b"message", bytes(changed))


@pytest.mark.parametrize("size", [0, 31, 33, 64])
def test_other_lengths_are_not_signatures(size: int) -> None:
    assert not verify(bytes(size), b"", key().sign(b""))
    assert not verify(key().public, b"", bytes(size) + b"x")


def test_the_table_of_small_order_points_is_complete() -> None:
    points = torsion()
    assert len(points) == 8
    assert {y for _, y in points} == ed25519._SMALL_ORDER_Y


def test_small_order_public_keys_are_refused_in_every_encoding() -> None:
    """For A of small order, R = s*B - h*A can be made to satisfy the equation for any message whose h is 0 mod 8."""
    refused = 0
    for a in torsion():
        for sign in (0, 1):
            encoded = bytearray(encode(a))
            encoded[31] = encoded[31] & 127 | sign << 7
            public = bytes(encoded)
            for nonce in range(1, 40):
                r = encode(multiply(BASE, nonce))
                if challenge(r, public, b"any") % 8 == 0:
                    assert not verify(public, b"any", r + nonce.to_bytes(32, "little"))
                    refused += 1
    assert refused > 16


def test_small_order_r_is_refused_though_the_equation_holds() -> None:
    secret = 12345
    public = encode(multiply(BASE, secret))
    for r in torsion():
        encoded = encode(r)
        s = challenge(encoded, public, b"m") * secret % L
        assert not verify(public, b"m", encoded + s.to_bytes(32, "little"))


def test_a_point_outside_the_prime_order_group_verifies_without_cofactor_only() -> None:
    """A = a*B + T: the equation without cofactor holds exactly when h*T vanishes. Enrolment refuses such a key."""
    low = next(point for point in torsion() if multiply(point, 4) != (0, 1))
    secret = 777
    public = encode(add(multiply(BASE, secret), low))
    assert not is_public_key(public)
    seen = set()
    for nonce in range(1, 60):
        r = encode(multiply(BASE, nonce))
        h = challenge(r, public, b"m")
        s = (nonce + h * secret) % L
        verdict = verify(public, b"m", r + s.to_bytes(32, "little"))
        assert verdict is (h % 8 == 0)
        seen.add(verdict)
    assert seen == {True, False}


def test_encodings_above_the_field_prime_are_refused() -> None:
    for y in range(19):
        for sign in (0, 1):
            encoded = (y + P | sign << 255).to_bytes(32, "little")
            assert not is_public_key(encoded)
            assert not verify(encoded, b"m", key().sign(b"m"))
            assert not verify(key().public, b"m", encoded + bytes(32))


def test_s_at_or_above_the_group_order_is_refused() -> None:
    signature = key().sign(b"m")
    s = int.from_bytes(signature[32:], "little")
    assert not verify(key().public, b"m", signature[:32] + (s + L).to_bytes(32, "little"))
    assert not verify(key().public, b"m", signature[:32] + L.to_bytes(32, "little"))


class TrustingLibrary:
    """A library that takes every signature, as one with other ideas of validity might take these."""

    @staticmethod
    def crypto_sign_open(*arguments: object) -> int:
        return 0


def test_the_strict_checks_do_not_lean_on_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    signature, public = key().sign(b"m"), key().public
    monkeypatch.setattr(ed25519, "_sodium", TrustingLibrary)
    assert verify(public, b"m", signature)
    loose = [(y + P | sign << 255).to_bytes(32, "little") for y in range(19) for sign in (0, 1)]
    loose += [(y | sign << 255).to_bytes(32, "little") for _, y in torsion() for sign in (0, 1)]
    for encoded in loose:
        assert not verify(encoded, b"m", signature)
        assert not verify(public, b"m", encoded + signature[32:])
    for s in (L, L + 1, 2**256 - 1):
        assert not verify(public, b"m", signature[:32] + s.to_bytes(32, "little"))
    assert verify(public, b"m", signature[:32] + (L - 1).to_bytes(32, "little"))


def test_enrolment_takes_real_keys_only() -> None:
    assert is_public_key(key().public)
    assert not is_public_key(bytes(31))
    assert not is_public_key(encode((0, 1)))
    off_curve = next(y for y in range(2, 100) if lift(y) is None)
    assert not is_public_key(off_curve.to_bytes(32, "little"))


def test_a_signing_key_shows_and_copies_nothing_secret() -> None:
    seed = b"\xa7" * 32
    signer = SigningKey(SecretBytes(seed))
    assert seed.hex() not in repr(signer) + str(signer) + f"{signer}"
    for attempt in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError):
            attempt(signer)


def test_a_wiped_key_signs_nothing() -> None:
    with key() as signer:
        signer.sign(b"m")
    with pytest.raises(SecretWiped):
        signer.sign(b"m")


def test_the_seed_makes_the_same_key_again_and_other_lengths_are_refused() -> None:
    assert SigningKey(key(5).seed()).public == key(5).public
    assert SigningKey.generate(lambda size: b"\5" * size).public == key(5).public
    with pytest.raises(InvalidInput):
        SigningKey(SecretBytes(bytes(31)))
