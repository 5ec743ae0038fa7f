"""Secrets in wiped buffers: scalars of secp256k1 and byte strings.

A secret never becomes a Python integer, and never a `bytes` object but at `expose()`, the one place to search for.
Wiping is best effort: CPython, hashlib and the kernel may hold copies that nobody here can reach.
"""

from __future__ import annotations

import hmac
import threading
from collections.abc import Callable
from typing import Any, Final, NoReturn, Self

from coincurve._libsecp256k1 import ffi, lib
from coincurve.context import GLOBAL_CONTEXT
from nacl._sodium import ffi as _sodium_ffi
from nacl._sodium import lib as _sodium

from strongroom.crypto.errors import InvalidScalar, SecretWiped

__all__ = ["Buffer", "SecretBytes", "SecretScalar", "scrub_digest"]

_CTX: Final = GLOBAL_CONTEXT.ctx
_COMPRESSED: Final = lib.SECP256K1_EC_COMPRESSED
_PUBKEY: Final = ffi.typeof("secp256k1_pubkey *")
_OUT33: Final = ffi.typeof("unsigned char[33]")
_SIZE_T: Final = ffi.typeof("size_t *")
_CHUNK_BYTES: Final = 16_384
_SLOT_SIZES: Final = (32, 64, 256)
_GENERATE_ATTEMPTS: Final = 16
_ZERO_DIGEST: Final = bytes(32)

ORDER: Final = 0xFFFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFE_BAAEDCE6_AF48A03B_BFD25E8C_D0364141

Buffer = bytes | bytearray | memoryview


class _Slot:
    """One fixed piece of locked memory, with the views that each library needs."""

    __slots__ = ("_chunk", "pointer", "size", "sodium_pointer", "view")

    def __init__(self, chunk: Any, offset: int, size: int) -> None:
        # A pointer into a buffer does not keep it: without this, a secret that outlives its arena when the interpreter
        # ends would be wiped in memory that is freed already.
        self._chunk = chunk
        pointer = chunk + offset
        self.pointer = pointer
        self.size = size
        self.view = ffi.buffer(pointer, size)
        self.sodium_pointer = _sodium_ffi.cast("void *", int(ffi.cast("uintptr_t", pointer)))

    def clear(self) -> None:
        _sodium.sodium_memzero(self.sodium_pointer, self.size)


class _Arena:
    """Slots of one size on pages that are locked once and never unlocked.

    Locking is per page and does not nest: unlocking one secret would unlock its neighbours, so slots are reused.
    """

    def __init__(self, slot_size: int) -> None:
        self._slot_size = slot_size
        self._chunks: list[Any] = []
        self._free: list[_Slot] = []

    def take(self) -> _Slot:
        try:
            return self._free.pop()
        except IndexError:
            self._grow()
            return self._free.pop()

    def give_back(self, slot: _Slot) -> None:
        slot.clear()
        self._free.append(slot)

    def _grow(self) -> None:
        chunk = _locked_buffer(_CHUNK_BYTES)
        self._chunks.append(chunk)
        for offset in range(0, _CHUNK_BYTES, self._slot_size):
            self._free.append(_Slot(chunk, offset, self._slot_size))


def _locked_buffer(size: int) -> Any:
    buffer = ffi.new("unsigned char[]", size)
    # Refused without CAP_IPC_LOCK or above RLIMIT_MEMLOCK; the secret is then only as safe as swap is.
    _sodium.sodium_mlock(_sodium_ffi.cast("void *", int(ffi.cast("uintptr_t", buffer))), size)
    return buffer


_ARENAS: Final = {size: _Arena(size) for size in _SLOT_SIZES}
_SCALARS: Final = _ARENAS[32]
# A slot given back twice would belong to two secrets. Reentrant: collecting garbage may wipe another one meanwhile.
_WIPING: Final = threading.RLock()


def scrub_digest(digest: bytes) -> None:
    """Overwrite the fresh `bytes` object of a hash digest in place, after it was copied into a wiped buffer.

    Only for the direct result of `digest()`: nothing else refers to that object, and it was never hashed or interned.
    """
    ffi.memmove(ffi.cast("char *", ffi.from_buffer(digest)), _ZERO_DIGEST, len(_ZERO_DIGEST))


def _refuse_copy(name: str) -> NoReturn:
    raise TypeError(f"{name} cannot be copied, pickled or serialised: hand on the object itself")


class _Secret:
    """Redaction, refusal to be copied, and wiping."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} redacted>"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return repr(self)

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        _refuse_copy(type(self).__name__)

    def __copy__(self) -> NoReturn:
        _refuse_copy(type(self).__name__)

    def __deepcopy__(self, memo: object) -> NoReturn:
        _refuse_copy(type(self).__name__)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.wipe()

    def __del__(self) -> None:
        self.wipe()

    def wipe(self) -> None:
        """Overwrite the secret; every later use raises SecretWiped. Wiping twice is harmless."""
        # Abstract: a secret that could not be wiped must fail, not pass silently.
        raise NotImplementedError(type(self).__name__)


class SecretScalar(_Secret):
    """A secret scalar of secp256k1, 1 <= value < n, in one wiped 32-byte slot.

    Arithmetic is in place and runs in libsecp256k1's constant-time scalar functions. A result of zero cannot be
    represented: the operation raises InvalidScalar and the secret is wiped. With secrets or hashes as inputs that
    happens with probability 2^-256; with a peer's input the caller must turn it into a refusal.
    """

    __slots__ = ("_public", "_slot")

    _slot: _Slot | None
    _public: bytes | None

    def __init__(self) -> None:
        raise TypeError("use SecretScalar.from_bytes or SecretScalar.generate")

    @classmethod
    def _adopt(cls, slot: _Slot) -> Self:
        """Take ownership of a slot that holds a valid scalar."""
        new = cls.__new__(cls)
        new._slot = slot
        new._public = None
        return new

    @classmethod
    def from_bytes(cls, data: Buffer) -> Self:
        """Copy a 32-byte big-endian scalar in. The caller wipes or drops its own copy.

        Raises:
            InvalidScalar: not 32 bytes, zero, or not below the group order.
        """
        if len(data) != 32:
            raise InvalidScalar(f"a secret scalar must be 32 bytes, not {len(data)}")
        slot = _SCALARS.take()
        ffi.memmove(slot.pointer, data, 32)
        if not lib.secp256k1_ec_seckey_verify(_CTX, slot.pointer):
            _SCALARS.give_back(slot)
            raise InvalidScalar("a secret scalar must be at least 1 and below the group order")
        return cls._adopt(slot)

    @classmethod
    def generate(cls, random: Callable[[int], bytes]) -> Self:
        """Draw a uniform scalar from `random`, which returns as many fresh random bytes as asked for.

        Raises:
            InvalidScalar: the source is broken: 16 draws in a row were out of range.
        """
        for _ in range(_GENERATE_ATTEMPTS):
            try:
                return cls.from_bytes(random(32))
            except InvalidScalar:
                continue
        raise InvalidScalar("the random source gave no valid scalar in 16 draws: check it before any key is made")

    def _live(self) -> _Slot:
        slot = self._slot
        if slot is None:
            raise SecretWiped("this secret scalar was wiped")
        return slot

    @property
    def pointer(self) -> Any:
        """The cffi pointer to the 32 bytes, for libsecp256k1 calls of this package only."""
        return self._live().pointer

    def view(self) -> Any:
        """The 32 bytes as a buffer without a copy, for hash inputs of this package. Never keep or convert it."""
        return self._live().view

    def expose(self) -> bytes:
        """The 32 bytes, in an object that nobody can wipe. For sealing at rest; search for callers of this name."""
        return bytes(self._live().view)

    def public(self) -> bytes:
        """The public key value*G, 33 bytes compressed. Computed in constant time once, then remembered."""
        if self._public is None:
            key = ffi.new(_PUBKEY)
            lib.secp256k1_ec_pubkey_create(_CTX, key, self._live().pointer)
            out = ffi.new(_OUT33)
            lib.secp256k1_ec_pubkey_serialize(_CTX, out, ffi.new(_SIZE_T, 33), key, _COMPRESSED)
            self._public = bytes(ffi.buffer(out))
        return self._public

    def clone(self) -> Self:
        """A second scalar of the same value with its own slot and its own lifetime."""
        slot = _SCALARS.take()
        ffi.memmove(slot.pointer, self._live().pointer, 32)
        return self._adopt(slot)

    def negate(self) -> None:
        """Replace the value by n - value."""
        self._public = None
        lib.secp256k1_ec_seckey_negate(_CTX, self._live().pointer)

    def add(self, other: SecretScalar) -> None:
        """Add another secret scalar in place."""
        self._public = None
        self._finish(lib.secp256k1_ec_seckey_tweak_add(_CTX, self._live().pointer, other._live().pointer))

    def add_public(self, value: int) -> None:
        """Add a public scalar, taken modulo n, in place."""
        self._public = None
        self._finish(lib.secp256k1_ec_seckey_tweak_add(_CTX, self._live().pointer, (value % ORDER).to_bytes(32, "big")))

    def multiply(self, other: SecretScalar) -> None:
        """Multiply by another secret scalar in place."""
        self._public = None
        self._finish(lib.secp256k1_ec_seckey_tweak_mul(_CTX, self._live().pointer, other._live().pointer))

    def multiply_public(self, value: int) -> None:
        """Multiply by a public scalar, taken modulo n, in place. Zero raises InvalidScalar."""
        self._public = None
        self._finish(lib.secp256k1_ec_seckey_tweak_mul(_CTX, self._live().pointer, (value % ORDER).to_bytes(32, "big")))

    def _finish(self, succeeded: int) -> None:
        if not succeeded:
            self.wipe()
            raise InvalidScalar("a secret scalar became zero: start again with fresh randomness")

    def wipe(self) -> None:
        """Overwrite the scalar; every later use raises SecretWiped. Wiping twice is harmless."""
        with _WIPING:
            slot, self._slot = getattr(self, "_slot", None), None
        if slot is not None:
            self._public = None
            _SCALARS.give_back(slot)

    @property
    def wiped(self) -> bool:
        """Whether the scalar is gone."""
        return self._slot is None

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SecretScalar):
            return NotImplemented
        return hmac.compare_digest(self._live().view, other._live().view)

    __hash__ = None  # type: ignore[assignment]  # a hash of a secret would be a fingerprint of it


class SecretBytes(_Secret):
    """A secret byte string (seed, passphrase, symmetric key) in a wiped buffer, best effort locked in memory."""

    __slots__ = ("_length", "_slot")

    _slot: _Slot | None
    _length: int

    def __init__(self, data: Buffer) -> None:
        """Copy `data` in. The caller wipes or drops its own copy; `take_over` does so for a bytearray."""
        self._slot = None
        self._length = len(data)
        slot = _slot_for(self._length)
        ffi.memmove(slot.pointer, data, self._length)
        self._slot = slot

    @classmethod
    def take_over(cls, data: bytearray) -> Self:
        """Copy a bytearray in, then overwrite the bytearray with zeros."""
        try:
            return cls(data)
        finally:
            data[:] = bytes(len(data))

    @classmethod
    def generate(cls, length: int, random: Callable[[int], bytes]) -> Self:
        """Draw `length` fresh random bytes."""
        drawn = random(length)
        if len(drawn) != length:
            raise InvalidScalar(f"the random source gave {len(drawn)} bytes where {length} were asked for")
        return cls(drawn)

    def _live(self) -> _Slot:
        slot = self._slot
        if slot is None:
            raise SecretWiped("these secret bytes were wiped")
        return slot

    def __len__(self) -> int:
        return self._length

    def view(self) -> memoryview:
        """The bytes as a read-only buffer without a copy, for hash and cipher inputs. Release it before wiping."""
        return memoryview(self._live().view)[: self._length].toreadonly()

    def expose(self) -> bytes:
        """The bytes, in an object that nobody can wipe. Search for callers of this name."""
        return bytes(self._live().view[: self._length])

    def wipe(self) -> None:
        """Overwrite the bytes; every later use raises SecretWiped. Wiping twice is harmless."""
        with _WIPING:
            slot, self._slot = getattr(self, "_slot", None), None
        if slot is not None:
            arena = _ARENAS.get(slot.size)
            if arena is None:
                slot.clear()
            else:
                arena.give_back(slot)

    @property
    def wiped(self) -> bool:
        """Whether the bytes are gone."""
        return self._slot is None

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SecretBytes):
            return NotImplemented
        return hmac.compare_digest(self.view(), other.view())

    __hash__ = None  # type: ignore[assignment]  # a hash of a secret would be a fingerprint of it


def _slot_for(length: int) -> _Slot:
    for size in _SLOT_SIZES:
        if length <= size:
            return _ARENAS[size].take()
    # Never of an arena's size, so that wiping cannot give it to an arena.
    return _Slot(_locked_buffer(length), 0, length)
