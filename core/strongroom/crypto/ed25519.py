"""Ed25519 signatures with one fixed, strict notion of what is valid.

Verifiers in the field differ on encodings above the field prime, on points of small order and on the cofactor.
Replaying a log must give every auditor the same answer for ever, so the points where they differ are decided here,
before libsodium's verification without cofactor is asked: A and R are canonical encodings of points that are not of
small order, and S is below the group order.

Spec: RFC 8032 section 5.1; the checks follow "Taming the Many EdDSAs" (Chalkias, Garillot, Nikolaenko), criteria of
strict verification.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NoReturn, Self

from nacl._sodium import ffi as _ffi
from nacl._sodium import lib as _sodium

from strongroom.crypto.errors import InvalidInput, SelfCheckFailed
from strongroom.crypto.secret import SecretBytes

__all__ = ["PUBLIC_SIZE", "SEED_SIZE", "SIGNATURE_SIZE", "SigningKey", "is_public_key", "verify"]

SEED_SIZE: Final = 32
PUBLIC_SIZE: Final = 32
SIGNATURE_SIZE: Final = 64
_SECRET_SIZE: Final = 64  # libsodium's secret key: the seed, then the public key

_FIELD: Final = 2**255 - 19
_ORDER: Final = 2**252 + 27742317777372353535851937790883648493
_WITHOUT_SIGN: Final = 2**255 - 1
# The y coordinates of the eight points of small order: the neutral point, those of order 2, of order 4 and of order 8.
_SMALL_ORDER_Y: Final = frozenset(
    {
        1,
        _FIELD - 1,
        0,
        2707385501144840649318225287225658788936804267575313519463743609750303402022,
        _FIELD - 2707385501144840649318225287225658788936804267575313519463743609750303402022,
    }
)


def verify(public: bytes, message: bytes, signature: bytes) -> bool:
    """Say whether the 64-byte `signature` over `message` is by the 32-byte key `public`.

    Anything of another length or form is simply not a valid signature.
    """
    if len(public) != PUBLIC_SIZE or len(signature) != SIGNATURE_SIZE:
        return False
    if int.from_bytes(signature[32:], "little") >= _ORDER:
        return False
    if not _is_strict_point(public) or not _is_strict_point(signature[:32]):
        return False
    signed = signature + message
    opened = _ffi.new("unsigned char[]", len(signed))
    length = _ffi.new("unsigned long long *")
    result: int = _sodium.crypto_sign_open(opened, length, signed, len(signed), public)
    return result == 0


def is_public_key(public: bytes) -> bool:
    """Say whether `public` is a key worth accepting: 32 canonical bytes of a point of the prime-order subgroup.

    Stricter than `verify` needs, for the moment a key is enrolled.
    """
    return (
        len(public) == PUBLIC_SIZE
        and _is_strict_point(public)
        and _sodium.crypto_core_ed25519_is_valid_point(public) == 1
    )


def _is_strict_point(encoded: bytes) -> bool:
    y = int.from_bytes(encoded, "little") & _WITHOUT_SIGN
    return y < _FIELD and y not in _SMALL_ORDER_Y


class SigningKey:
    """An Ed25519 signing key in a wiped buffer. It cannot be printed, copied or pickled."""

    __slots__ = ("_public", "_secret")

    def __init__(self, seed: SecretBytes) -> None:
        """Derive the key from a 32-byte seed; the seed stays the caller's.

        Raises:
            InvalidInput: the seed is not 32 bytes.
        """
        if len(seed) != SEED_SIZE:
            raise InvalidInput(f"an Ed25519 seed must be {SEED_SIZE} bytes, not {len(seed)}")
        public = _ffi.new("unsigned char[]", PUBLIC_SIZE)
        secret = _ffi.new("unsigned char[]", _SECRET_SIZE)
        try:
            _sodium.crypto_sign_seed_keypair(public, secret, _pointer(seed))
            self._secret = SecretBytes(_ffi.buffer(secret))
        finally:
            _sodium.sodium_memzero(secret, _SECRET_SIZE)
        self._public = bytes(_ffi.buffer(public))

    @classmethod
    def generate(cls, random: Callable[[int], bytes]) -> Self:
        """Make a fresh key from `random`, which returns as many fresh random bytes as asked for."""
        with SecretBytes.generate(SEED_SIZE, random) as seed:
            return cls(seed)

    @classmethod
    def erased(cls, public: bytes) -> Self:
        """Stand for a key whose secret half was erased for good; every signature raises SecretWiped."""
        key = cls.__new__(cls)
        key._public = public
        key._secret = SecretBytes(bytes(_SECRET_SIZE))
        key.wipe()
        return key

    @property
    def public(self) -> bytes:
        """The public key, 32 bytes."""
        return self._public

    @property
    def is_wiped(self) -> bool:
        """Whether nothing can be signed any more."""
        return self._secret.wiped

    def sign(self, message: bytes) -> bytes:
        """Return the 64-byte signature over `message`.

        The signature is verified before it is handed out: a faulty deterministic signature can reveal the key.

        Raises:
            SecretWiped: the key was wiped.
            SelfCheckFailed: the hardware or the memory is faulty; nothing was released.
        """
        signed = _ffi.new("unsigned char[]", SIGNATURE_SIZE + len(message))
        length = _ffi.new("unsigned long long *")
        _sodium.crypto_sign(signed, length, message, len(message), _pointer(self._secret))
        signature = bytes(_ffi.buffer(signed, SIGNATURE_SIZE))
        if not verify(self._public, message, signature):
            raise SelfCheckFailed("an Ed25519 signature made here does not verify: check this machine's memory")
        return signature

    def seed(self) -> SecretBytes:
        """Return a copy of the 32-byte seed with a lifetime of its own, for sealing at rest."""
        return SecretBytes(self._secret.view()[:SEED_SIZE])

    def wipe(self) -> None:
        """Overwrite the key; every later signature raises SecretWiped."""
        self._secret.wipe()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.wipe()

    def __repr__(self) -> str:
        return f"<SigningKey of {self._public.hex()}>"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("SigningKey cannot be copied, pickled or serialised: hand on the object itself")


def _pointer(secret: SecretBytes) -> Any:
    return _ffi.from_buffer("unsigned char[]", secret.view())
