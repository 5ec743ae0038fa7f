"""Verification of ECDSA signatures over secp256k1, on libsecp256k1. Nothing here signs."""

from __future__ import annotations

import hashlib
from typing import Final

from coincurve._libsecp256k1 import ffi, lib
from coincurve.context import GLOBAL_CONTEXT

from strongroom.crypto.curve import Point
from strongroom.crypto.errors import InvalidInput, InvalidPoint
from strongroom.crypto.ripemd160 import ripemd160

__all__ = ["hash160", "verify"]

_CTX: Final = GLOBAL_CONTEXT.ctx
_SIGNATURE: Final = ffi.typeof("secp256k1_ecdsa_signature *")
_MAX_DER: Final = 72


def hash160(data: bytes) -> bytes:
    """RIPEMD-160 of SHA-256: the 20 bytes by which a script names a public key."""
    return ripemd160(hashlib.sha256(data).digest())


def verify(public_key: bytes, digest: bytes, signature: bytes) -> bool:
    """Whether a DER signature with low s is by this key.

    Args:
        public_key: 33 bytes, compressed.
        digest: The 32 bytes that were signed.
        signature: DER in its one strict form (BIP-66), at most 72 bytes; anything else is no signature.

    Raises:
        InvalidInput: the digest is not 32 bytes; the caller's fault.
    """
    if len(digest) != 32:
        raise InvalidInput("a digest has 32 bytes")
    try:
        key = Point.parse(public_key).key
    except InvalidPoint:
        return False
    parsed = ffi.new(_SIGNATURE)
    if not lib.secp256k1_ecdsa_signature_parse_der(_CTX, parsed, signature, len(signature)):
        return False
    # The library reads some encodings that are not strict; what it writes is the one that is.
    return _der(parsed) == signature and bool(lib.secp256k1_ecdsa_verify(_CTX, parsed, digest, key))


def _der(parsed: object) -> bytes:
    out = ffi.new(f"unsigned char[{_MAX_DER}]")
    size = ffi.new("size_t *", _MAX_DER)
    lib.secp256k1_ecdsa_signature_serialize_der(_CTX, out, size, parsed)
    return bytes(ffi.buffer(out, size[0]))
