"""Public points and public scalars of secp256k1, on libsecp256k1.

Multiplication here is variable time: public scalars only. A secret times a point goes through `ecdh`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, Final

from coincurve._libsecp256k1 import ffi, lib
from coincurve.context import GLOBAL_CONTEXT

from strongroom.crypto.errors import InvalidInput, InvalidPoint
from strongroom.crypto.secret import ORDER, SecretScalar

__all__ = ["GENERATOR", "INFINITY", "ORDER", "Point", "ecdh", "lagrange_coefficients"]

_CTX: Final = GLOBAL_CONTEXT.ctx
_COMPRESSED: Final = lib.SECP256K1_EC_COMPRESSED
_PUBKEY: Final = ffi.typeof("secp256k1_pubkey *")
_PUBKEY_LIST: Final = ffi.typeof("secp256k1_pubkey *[]")
_OUT32: Final = ffi.typeof("unsigned char[32]")
_OUT33: Final = ffi.typeof("unsigned char[33]")
_SIZE_T: Final = ffi.typeof("size_t *")
_NULL: Final = ffi.NULL
_ZERO33: Final = bytes(33)


class Point:
    """A public point, the point at infinity included. Immutable; equal points compare and hash equal."""

    __slots__ = ("_encoded", "_key")

    def __init__(self, key: Any, encoded: bytes | None = None) -> None:
        """For this package: wrap a filled `secp256k1_pubkey`, or None for infinity. Others use `parse`."""
        self._key = key
        self._encoded = encoded

    @classmethod
    def parse(cls, encoded: bytes) -> Point:
        """Parse 33 bytes in compressed form. Infinity is refused.

        Raises:
            InvalidPoint: not 33 bytes, another prefix than 02 or 03, x not below the field size, or not on the curve.
        """
        key = ffi.new(_PUBKEY)
        if len(encoded) != 33 or not lib.secp256k1_ec_pubkey_parse(_CTX, key, encoded, 33):
            raise InvalidPoint("not a compressed point of 33 bytes on the curve")
        return cls(key, encoded)

    @classmethod
    def parse_or_infinity(cls, encoded: bytes) -> Point:
        """Parse 33 bytes in compressed form, 33 zero bytes standing for infinity. Raises InvalidPoint."""
        return INFINITY if encoded == _ZERO33 else cls.parse(encoded)

    @classmethod
    def parse_xonly(cls, encoded: bytes) -> Point:
        """Parse 32 bytes as the x coordinate of the point with even y. Raises InvalidPoint."""
        if len(encoded) != 32:
            raise InvalidPoint("not an x coordinate of 32 bytes")
        return cls.parse(b"\x02" + encoded)

    @classmethod
    def generator_times(cls, scalar: int) -> Point:
        """scalar*G for a public scalar, taken modulo n."""
        scalar %= ORDER
        if scalar == 0:
            return INFINITY
        key = ffi.new(_PUBKEY)
        lib.secp256k1_ec_pubkey_create(_CTX, key, scalar.to_bytes(32, "big"))
        return cls(key)

    @classmethod
    def public_of(cls, secret: SecretScalar) -> Point:
        """secret*G, in constant time."""
        key = ffi.new(_PUBKEY)
        lib.secp256k1_ec_pubkey_create(_CTX, key, secret.pointer)
        return cls(key)

    @classmethod
    def sum(cls, points: Iterable[Point]) -> Point:
        """The sum of any number of points; of none, infinity."""
        keys = [point._key for point in points if point._key is not None]
        if not keys:
            return INFINITY
        if len(keys) == 1:
            return cls(keys[0])
        total = ffi.new(_PUBKEY)
        if not lib.secp256k1_ec_pubkey_combine(_CTX, total, ffi.new(_PUBKEY_LIST, keys), len(keys)):
            return INFINITY
        return cls(total)

    def __add__(self, other: Point) -> Point:
        return Point.sum((self, other))

    def __mul__(self, scalar: int) -> Point:
        """Multiply by a public scalar, taken modulo n. Variable time."""
        scalar %= ORDER
        if scalar == 0 or self._key is None:
            return INFINITY
        if scalar == 1:
            return self
        product = ffi.new(_PUBKEY, self._key[0])
        lib.secp256k1_ec_pubkey_tweak_mul(_CTX, product, scalar.to_bytes(32, "big"))
        return Point(product)

    __rmul__ = __mul__

    def __neg__(self) -> Point:
        if self._key is None:
            return self
        negated = ffi.new(_PUBKEY, self._key[0])
        lib.secp256k1_ec_pubkey_negate(_CTX, negated)
        return Point(negated)

    def plus_generator_times(self, scalar: int) -> Point:
        """This point plus scalar*G for a public scalar."""
        return Point.sum((self, Point.generator_times(scalar)))

    @property
    def is_infinity(self) -> bool:
        """Whether this is the point at infinity."""
        return self._key is None

    def serialise(self) -> bytes:
        """33 bytes compressed; 33 zero bytes for infinity."""
        encoded = self._encoded
        if encoded is None:
            if self._key is None:
                return _ZERO33
            out = ffi.new(_OUT33)
            lib.secp256k1_ec_pubkey_serialize(_CTX, out, ffi.new(_SIZE_T, 33), self._key, _COMPRESSED)
            encoded = self._encoded = bytes(ffi.buffer(out))
        return encoded

    def xonly(self) -> bytes:
        """The x coordinate, 32 bytes. Raises InvalidPoint for infinity, which has none."""
        if self._key is None:
            raise InvalidPoint("the point at infinity has no x coordinate")
        return self.serialise()[1:]

    @property
    def has_even_y(self) -> bool:
        """Whether y is even. Raises InvalidPoint for infinity, which has no y."""
        if self._key is None:
            raise InvalidPoint("the point at infinity has no y coordinate")
        return self.serialise()[0] == 2

    @property
    def key(self) -> Any:
        """The `secp256k1_pubkey *`, for libsecp256k1 calls of this package only."""
        return self._key

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Point):
            return NotImplemented
        return self.serialise() == other.serialise()

    def __hash__(self) -> int:
        return hash(self.serialise())

    def __repr__(self) -> str:
        return f"Point({self.serialise().hex()})"


INFINITY: Final = Point(None)
GENERATOR: Final = Point.generator_times(1)


def ecdh(secret: SecretScalar, point: Point) -> SecretScalar:
    """SHA-256 of the compressed point secret*point, in constant time.

    Returned in a scalar's slot, since that is the wiped 32-byte buffer at hand; a digest at or above the group order or
    zero (probability 2^-128) raises InvalidScalar.
    """
    if point.is_infinity:
        raise InvalidPoint("the peer's point is the point at infinity")
    out = ffi.new(_OUT32)
    try:
        lib.secp256k1_ecdh(_CTX, out, point.key, secret.pointer, _NULL, _NULL)
        return SecretScalar.from_bytes(ffi.buffer(out))
    finally:
        ffi.memmove(out, _ZERO33, 32)


@lru_cache(maxsize=512)
def lagrange_coefficients(ids: tuple[int, ...]) -> tuple[int, ...]:
    """The coefficients that interpolate a polynomial at zero from its values at id + 1, in the order of `ids`.

    Raises:
        InvalidInput: identifiers repeat.
    Spec: BIP-445, DeriveInterpolatingValue. Public integers modulo the group order; remembered per signer set.
    """
    if len(set(ids)) != len(ids):
        raise InvalidInput("signer identifiers repeat")
    return tuple(_lagrange_coefficient(ids, own) for own in ids)


def _lagrange_coefficient(ids: Sequence[int], own: int) -> int:
    numerator = denominator = 1
    for other in ids:
        if other != own:
            numerator = numerator * (other + 1) % ORDER
            denominator = denominator * (other - own) % ORDER
    return numerator * pow(denominator, -1, ORDER) % ORDER
