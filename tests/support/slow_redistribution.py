"""Share redistribution once more, in plain integers and from the formulas alone, to hold the real one against.

For tests only: it keeps every secret as a number, and shares no code with the package.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

P = 2**256 - 2**32 - 977
N = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
Affine = tuple[int, int] | None
G: Affine = (
    0x79BE667EF9DCBBAC55A06295CE870B07029BFCDB2DCE28D959F2815B16F81798,
    0x483ADA7726A3C4655DA4FBFC0E1108A8FD17B448A68554199C47D08FFB10D4B8,
)


def add(left: Affine, right: Affine) -> Affine:
    if left is None or right is None:
        return right if left is None else left
    if left[0] == right[0]:
        if (left[1] + right[1]) % P == 0:
            return None
        slope = 3 * left[0] * left[0] * pow(2 * left[1], -1, P)
    else:
        slope = (right[1] - left[1]) * pow(right[0] - left[0], -1, P)
    x = (slope * slope - left[0] - right[0]) % P
    return x, (slope * (left[0] - x) - left[1]) % P


@lru_cache(maxsize=4096)
def times(scalar: int, point: Affine = G) -> Affine:
    result: Affine = None
    while scalar:
        if scalar & 1:
            result = add(result, point)
        point = add(point, point)
        scalar >>= 1
    return result


def encode(point: Affine) -> bytes:
    if point is None:
        return bytes(33)
    return bytes([2 + point[1] % 2]) + point[0].to_bytes(32, "big")


def decode(data: bytes) -> Affine:
    x = int.from_bytes(data[1:], "big")
    y = pow(x**3 + 7, (P + 1) // 4, P)
    assert len(data) == 33
    assert y * y % P == (x**3 + 7) % P
    return x, y if y % 2 == data[0] % 2 else P - y


def tagged(tag: str, data: bytes) -> int:
    prefix = hashlib.sha256(tag.encode()).digest()
    return int.from_bytes(hashlib.sha256(prefix + prefix + data).digest(), "big")


def at_zero(values: Mapping[int, int]) -> int:
    """The constant term of the polynomial through these values, given by identifier."""
    total = 0
    for own, value in values.items():
        weight = 1
        for other in values:
            if other != own:
                weight = weight * (other + 1) * pow(other - own, -1, N) % N
        total += weight * value
    return total % N


def evaluate(coefficients: Sequence[int], identifier: int) -> int:
    return sum(value * (identifier + 1) ** power for power, value in enumerate(coefficients)) % N


def pad(
    secret: int, peer: bytes, *, pubnonce: bytes, host_key: bytes, dealer: int, receiver: int, context: bytes
) -> int:
    shared = hashlib.sha256(encode(times(secret, decode(peer)))).digest()
    binding = pubnonce + host_key + dealer.to_bytes(4, "big") + receiver.to_bytes(4, "big") + context
    return tagged("strongroom/redistribution/pad", shared + binding) % N


@dataclass(frozen=True)
class SlowDealing:
    """A dealing and the coefficients behind it."""

    coefficients: tuple[int, ...]
    commitments: tuple[bytes, ...]
    pubnonce: bytes
    encrypted_shares: tuple[bytes, ...]


def deal(
    share: int, dealer: int, random32: bytes, *, host_keys: Sequence[bytes], threshold: int, context: bytes
) -> SlowDealing:
    """The dealing that the real dealer must make of the same randomness."""
    identity = dealer.to_bytes(4, "big")
    seed = tagged("strongroom/redistribution/seed", share.to_bytes(32, "big") + random32 + identity + context)
    seed_bytes = seed.to_bytes(32, "big")
    others = [
        tagged("strongroom/redistribution/coefficient", seed_bytes + power.to_bytes(4, "big"))
        for power in range(1, threshold)
    ]
    secnonce = tagged("strongroom/redistribution/nonce", seed_bytes)
    return deal_of((share, *others), secnonce, dealer, host_keys=host_keys, context=context)


def deal_of(
    coefficients: Sequence[int], secnonce: int, dealer: int, *, host_keys: Sequence[bytes], context: bytes
) -> SlowDealing:
    """The dealing of any polynomial, an honest one or not."""
    pubnonce = encode(times(secnonce))
    encrypted = []
    for receiver, host_key in enumerate(host_keys):
        mask = pad(
            secnonce,
            host_key,
            pubnonce=pubnonce,
            host_key=host_key,
            dealer=dealer,
            receiver=receiver,
            context=context,
        )
        encrypted.append(((evaluate(coefficients, receiver) + mask) % N).to_bytes(32, "big"))
    return SlowDealing(
        coefficients=tuple(coefficients),
        commitments=tuple(encode(times(value % N)) for value in coefficients[1:]),
        pubnonce=pubnonce,
        encrypted_shares=tuple(encrypted),
    )


def received(
    host_secret: int,
    receiver: int,
    dealings: Mapping[int, tuple[bytes, bytes]],
    *,
    context: bytes,
) -> int:
    """A new share from the host key alone.

    Args:
        host_secret: The receiver's host secret.
        receiver: Its identifier.
        dealings: Public nonce and the encrypted share meant for this receiver, by dealer.
        context: The 32 bytes of the redistribution.
    """
    host_key = encode(times(host_secret))
    parts = {
        dealer: int.from_bytes(encrypted, "big")
        - pad(
            host_secret,
            pubnonce,
            pubnonce=pubnonce,
            host_key=host_key,
            dealer=dealer,
            receiver=receiver,
            context=context,
        )
        for dealer, (pubnonce, encrypted) in dealings.items()
    }
    return at_zero(parts)


def subsets(values: Mapping[int, int], size: int) -> list[dict[int, int]]:
    """Every subset of this size."""
    return [dict(part) for part in itertools.combinations(values.items(), size)]
