"""Small secrets inside the database, sealed under the storage key.

The storage key itself lies in the passphrase-sealed file. The associated data names what a box holds, so a box moved to
another row does not open.

Spec: XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha), libsodium's IETF variant; 24 random bytes of nonce come first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from nacl._sodium import ffi as _ffi
from nacl._sodium import lib as _sodium

from strongroom.crypto.secret import SecretBytes
from strongroom.model.errors import Kind, StrongroomError

__all__ = ["KEY_SIZE", "BoxDamaged", "open_box", "seal_box"]

KEY_SIZE: Final = 32
_NONCE_SIZE: Final = 24
_TAG_SIZE: Final = 16


class BoxDamaged(StrongroomError):
    """A sealed secret does not open under the storage key: the database is damaged, or of another signer."""

    reason = "STORED_SECRET_DAMAGED"
    kind = Kind.DATA_LOSS


def seal_box(key: SecretBytes, what: bytes, secret: SecretBytes, *, random: Callable[[int], bytes]) -> bytes:
    """Seal `secret` under the 32-byte `key`; `what` must be given again to open it."""
    nonce = random(_NONCE_SIZE)
    ciphertext = _ffi.new("unsigned char[]", len(secret) + _TAG_SIZE)
    _sodium.crypto_aead_xchacha20poly1305_ietf_encrypt(
        ciphertext,
        _ffi.NULL,
        _pointer(secret),
        len(secret),
        what,
        len(what),
        _ffi.NULL,
        nonce,
        _pointer(key),
    )
    return nonce + bytes(_ffi.buffer(ciphertext))


def open_box(key: SecretBytes, what: bytes, box: bytes) -> SecretBytes:
    """Open a box that `seal_box` made with the same key and `what`.

    Raises:
        BoxDamaged: the box was changed, moved, or sealed under another key.
    """
    size = len(box) - _NONCE_SIZE - _TAG_SIZE
    if size < 1:
        raise BoxDamaged(f"the sealed {_label(what)} is only {len(box)} bytes long: restore signer.db from its disk")
    plaintext = _ffi.new("unsigned char[]", size)
    try:
        failed = _sodium.crypto_aead_xchacha20poly1305_ietf_decrypt(
            plaintext,
            _ffi.NULL,
            _ffi.NULL,
            box[_NONCE_SIZE:],
            size + _TAG_SIZE,
            what,
            len(what),
            box[:_NONCE_SIZE],
            _pointer(key),
        )
        if failed:
            raise BoxDamaged(
                f"the sealed {_label(what)} does not open: signer.db and signer.sealed are not of the same signer, "
                "or the database is damaged"
            )
        return SecretBytes(_ffi.buffer(plaintext))
    finally:
        _sodium.sodium_memzero(plaintext, size)


def _label(what: bytes) -> str:
    return what.decode("ascii", "backslashreplace")


def _pointer(secret: SecretBytes) -> Any:
    return _ffi.from_buffer("unsigned char[]", secret.view())
