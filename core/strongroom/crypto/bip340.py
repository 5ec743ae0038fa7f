"""BIP340 Schnorr signatures and tagged hashes."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from coincurve._libsecp256k1 import ffi, lib
from coincurve.context import GLOBAL_CONTEXT

from strongroom.crypto.curve import ORDER, Point
from strongroom.crypto.errors import InvalidInput, InvalidPoint, SelfCheckFailed
from strongroom.crypto.secret import SecretScalar, scrub_digest

if TYPE_CHECKING:
    from hashlib import _Hash

__all__ = [
    "mask_with_hash",
    "secret_tagged_hash",
    "sign",
    "sign_with_prefix",
    "tagged_hash",
    "tagged_hash_int",
    "verify",
    "verify_with_prefix",
]

_CTX: Final = GLOBAL_CONTEXT.ctx
_KEYPAIR: Final = ffi.typeof("secp256k1_keypair *")
_XONLY: Final = ffi.typeof("secp256k1_xonly_pubkey *")
_OUT64: Final = ffi.typeof("unsigned char[64]")
_EXTRAPARAMS_MAGIC: Final = b"\xda\x6f\xb3\x8c"
_ZEROS: Final = bytes(96)


@lru_cache(maxsize=256)
def _tagged_state(tag: str) -> _Hash:
    digest = hashlib.sha256(tag.encode()).digest()
    return hashlib.sha256(digest + digest)


def tagged_hash(tag: str, *data: Any) -> bytes:
    """SHA-256(SHA-256(tag) || SHA-256(tag) || data), 32 bytes; several pieces of data are hashed as one.

    Spec: BIP340, tagged hashes. The pieces are not separated: the caller fixes their lengths.
    """
    state = _tagged_state(tag).copy()
    for piece in data:
        state.update(piece)
    return state.digest()


def tagged_hash_int(tag: str, *data: Any) -> int:
    """The tagged hash as a public scalar modulo the group order. Never for a hash over a secret."""
    return int.from_bytes(tagged_hash(tag, *data), "big") % ORDER


def secret_tagged_hash(tag: str, *data: Any) -> SecretScalar:
    """The tagged hash as a secret scalar.

    A digest out of range (probability 2^-128) raises InvalidScalar instead of being reduced: no integer is formed.
    """
    digest = tagged_hash(tag, *data)
    try:
        return SecretScalar.from_bytes(digest)
    finally:
        scrub_digest(digest)


def mask_with_hash(secret: SecretScalar, tag: str, randomness: bytes) -> bytearray:
    """Mask a scalar: secret XOR TH(tag, randomness), 32 bytes, in a bytearray that the caller overwrites after use.

    Byte by byte, so that the secret never forms an integer; the integers below 256 are singletons of the interpreter.
    """
    masked = bytearray(tagged_hash(tag, randomness))
    # In place: a bytearray that grows leaves copies of its first bytes in freed memory.
    for position, byte in enumerate(memoryview(secret.view())):
        masked[position] ^= byte
    return masked


def sign(secret: SecretScalar, msg: bytes, aux32: bytes) -> bytes:
    """Sign a message of any length with BIP340; the signature has 64 bytes.

    Args:
        secret: The signing key.
        msg: The message itself, of any length.
        aux32: 32 bytes of fresh randomness (protects against side channels; safety does not rest on it).

    Raises:
        InvalidInput: aux32 is not 32 bytes.
        SelfCheckFailed: the result did not verify, as after a hardware fault. Nothing is released.
    Spec: BIP340, default signing.
    """
    if len(aux32) != 32:
        raise InvalidInput(f"auxiliary randomness must be 32 bytes, not {len(aux32)}")
    pair = ffi.new(_KEYPAIR)
    try:
        lib.secp256k1_keypair_create(_CTX, pair, secret.pointer)
        aux = ffi.from_buffer(aux32)
        params = ffi.new("secp256k1_schnorrsig_extraparams *")
        ffi.memmove(params.magic, _EXTRAPARAMS_MAGIC, 4)
        params.noncefp = ffi.NULL
        params.ndata = aux
        out = ffi.new(_OUT64)
        made = lib.secp256k1_schnorrsig_sign_custom(_CTX, out, msg, len(msg), pair, params)
    finally:
        ffi.memmove(pair, _ZEROS, ffi.sizeof("secp256k1_keypair"))
    signature = bytes(ffi.buffer(out))
    if not made or not verify(secret.public()[1:], msg, signature):
        raise SelfCheckFailed("a BIP340 signature made here does not verify: check this machine's memory")
    return signature


def verify(pubkey32: bytes, msg: bytes, sig64: bytes) -> bool:
    """Whether `sig64` is a BIP340 signature of `msg` under the x-only key; anything malformed is False."""
    if len(pubkey32) != 32 or len(sig64) != 64:
        return False
    key = ffi.new(_XONLY)
    if not lib.secp256k1_xonly_pubkey_parse(_CTX, key, pubkey32):
        return False
    return bool(lib.secp256k1_schnorrsig_verify(_CTX, sig64, msg, len(msg), key))


def sign_with_prefix(secret: SecretScalar, msg: bytes, aux32: bytes, prefix: str) -> bytes:
    """Sign as BIP340 does, with the tags "<prefix>/aux", "<prefix>/nonce" and "<prefix>/challenge"; 64 bytes.

    libsecp256k1 has BIP340's tags built in, so that this is made of its scalar operations.

    Raises:
        InvalidInput: aux32 is not 32 bytes.
        SelfCheckFailed: the result did not verify. Nothing is released.
    Spec: ChillDKG, proof of possession.
    """
    if len(aux32) != 32:
        raise InvalidInput(f"auxiliary randomness must be 32 bytes, not {len(aux32)}")
    public = secret.public()
    with secret.clone() as key:
        if public[0] == 3:
            key.negate()
        masked = mask_with_hash(key, f"{prefix}/aux", aux32)
        try:
            nonce = secret_tagged_hash(f"{prefix}/nonce", masked, public[1:], msg)
        finally:
            masked[:] = _ZEROS[:32]
        with nonce:
            commitment = nonce.public()
            if commitment[0] == 3:
                nonce.negate()
            key.multiply_public(tagged_hash_int(f"{prefix}/challenge", commitment[1:], public[1:], msg))
            nonce.add(key)
            # Together with the commitment this is the signature: public from here on.
            signature = commitment[1:] + nonce.expose()
    if not verify_with_prefix(public[1:], msg, signature, prefix):
        raise SelfCheckFailed("a signature made here does not verify: check this machine's memory")
    return signature


def verify_with_prefix(pubkey32: bytes, msg: bytes, sig64: bytes, prefix: str) -> bool:
    """Whether `sig64` was made by `sign_with_prefix` for the x-only key; anything malformed is False."""
    if len(sig64) != 64:
        return False
    try:
        key = Point.parse_xonly(pubkey32)
    except InvalidPoint:
        return False
    response = int.from_bytes(sig64[32:], "big")
    if response >= ORDER:
        return False
    challenge = tagged_hash_int(f"{prefix}/challenge", sig64[:32], pubkey32, msg)
    commitment = (key * (ORDER - challenge)).plus_generator_times(response)
    return not commitment.is_infinity and commitment.has_even_y and commitment.xonly() == sig64[:32]
