"""Secrets at rest: one JSON file format, sealed with a passphrase.

    {"v": 1, "kind": ..., "public": {...}, "argon2id": {"memory_kib": ..., "passes": ...},
     "salt": hex, "nonce": hex, "ciphertext": hex}

The key is Argon2id (version 1.3, one lane) of the passphrase and the 16-byte salt; the cipher is XChaCha20-Poly1305
(IETF) with a 24-byte nonce. The associated data covers everything readable but salt and nonce, which the key and the
cipher themselves depend on, so no part of a file can be changed or moved into another file unnoticed.

A file is input from outside: sizes and costs have ceilings that hold before any work is done.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from nacl._sodium import ffi as _ffi
from nacl._sodium import lib as _sodium

from strongroom.crypto.errors import InvalidInput
from strongroom.crypto.secret import SecretBytes
from strongroom.model.errors import Kind, StrongroomError

__all__ = [
    "PEOPLE",
    "SIGNER",
    "Cost",
    "NotEnoughMemory",
    "Sealed",
    "SealedFileDamaged",
    "WrongPassphrase",
    "open_sealed",
    "parse",
    "seal",
]

VERSION: Final = 1
MAX_FILE_SIZE: Final = 262_144
MAX_SECRET_SIZE: Final = 65_536
MAX_PASSPHRASE_SIZE: Final = 1_024
MAX_MEMORY_KIB: Final = 1_048_576  # 1 GiB
MAX_PASSES: Final = 16
_MIN_MEMORY_KIB: Final = 8  # libsodium's minimum
_MAX_PUBLIC_PARTS: Final = 16
_SALT_SIZE: Final = 16
_NONCE_SIZE: Final = 24
_TAG_SIZE: Final = 16
_KEY_SIZE: Final = 32
_ARGON2ID13: Final = 2  # libsodium's crypto_pwhash_ALG_ARGON2ID13

_NAME = re.compile(r"[a-z0-9_-]{1,40}")
_PUBLIC_VALUE = re.compile(r"[\x20-\x7e]{1,1024}")
_HEX = re.compile(r"(?:[0-9a-f]{2})+")


class WrongPassphrase(StrongroomError):
    """The passphrase does not open the file, or somebody changed the file: the cipher cannot tell which."""

    reason = "WRONG_PASSPHRASE"
    kind = Kind.UNAUTHENTICATED
    remedy = "type it again; if it is surely right, the file was changed: take it from a copy"


class SealedFileDamaged(StrongroomError):
    """The file is not a sealed file of the expected kind; restore it from a backup."""

    reason = "SEALED_FILE_DAMAGED"
    kind = Kind.DATA_LOSS


class NotEnoughMemory(StrongroomError):
    """The machine could not spare the memory that the file's cost asks for."""

    reason = "NOT_ENOUGH_MEMORY"
    kind = Kind.RESOURCE_EXHAUSTED


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one guess of the passphrase costs: memory in KiB, and passes over it."""

    memory_kib: int
    passes: int

    def __post_init__(self) -> None:
        if type(self.memory_kib) is not int or not _MIN_MEMORY_KIB <= self.memory_kib <= MAX_MEMORY_KIB:
            raise InvalidInput(f"argon2id memory_kib must be {_MIN_MEMORY_KIB} to {MAX_MEMORY_KIB}")
        if type(self.passes) is not int or not 1 <= self.passes <= MAX_PASSES:
            raise InvalidInput(f"argon2id passes must be 1 to {MAX_PASSES}")


PEOPLE: Final = Cost(memory_kib=65_536, passes=2)
SIGNER: Final = Cost(memory_kib=262_144, passes=3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealed:
    """The readable parts of a sealed file. Nothing vouches for them before `open_sealed` took the same bytes."""

    kind: str
    public: Mapping[str, str]
    cost: Cost
    salt: bytes
    nonce: bytes
    ciphertext: bytes


def seal(
    kind: str,
    public: Mapping[str, str],
    secret: SecretBytes,
    passphrase: SecretBytes,
    *,
    cost: Cost,
    random: Callable[[int], bytes],
) -> bytes:
    """Return the bytes of a sealed file.

    Args:
        kind: What the secret is, `[a-z0-9_-]{1,40}`; `open_sealed` must name it again.
        public: Readable parts, such as the public key: at most 16, names `[a-z0-9_-]{1,40}`, printable ASCII values.
        secret: 1 to 65,536 bytes.
        passphrase: 1 to 1,024 bytes.
        cost: `PEOPLE` or `SIGNER`.
        random: Returns as many fresh random bytes as asked for.

    Raises:
        InvalidInput: an argument is out of its range.
        NotEnoughMemory: the machine cannot spare the memory that the cost asks for.
    """
    problem = _public_problem(kind, public)
    if problem:
        raise InvalidInput(problem)
    if not 1 <= len(secret) <= MAX_SECRET_SIZE:
        raise InvalidInput(f"a sealed secret must be 1 to {MAX_SECRET_SIZE} bytes")
    salt, nonce = random(_SALT_SIZE), random(_NONCE_SIZE)
    if len(salt) != _SALT_SIZE or len(nonce) != _NONCE_SIZE:
        raise InvalidInput("the random source gave fewer bytes than asked for")
    associated = _associated_data(kind, public, cost)
    ciphertext = _ffi.new("unsigned char[]", len(secret) + _TAG_SIZE)
    with _derive(passphrase, salt, cost) as key:
        _sodium.crypto_aead_xchacha20poly1305_ietf_encrypt(
            ciphertext,
            _ffi.NULL,
            _pointer(secret),
            len(secret),
            associated,
            len(associated),
            _ffi.NULL,
            nonce,
            _pointer(key),
        )
    content = {
        "v": VERSION,
        "kind": kind,
        "public": dict(public),
        "argon2id": {"memory_kib": cost.memory_kib, "passes": cost.passes},
        "salt": salt.hex(),
        "nonce": nonce.hex(),
        "ciphertext": bytes(_ffi.buffer(ciphertext)).hex(),
    }
    return (json.dumps(content, indent=2) + "\n").encode("ascii")


def open_sealed(data: bytes, passphrase: SecretBytes, *, kind: str) -> SecretBytes:
    """Return the secret inside the sealed file `data`, which must be of this kind.

    Raises:
        SealedFileDamaged: the file is malformed, of another kind, or asks for more work than the ceilings allow.
        WrongPassphrase: the passphrase is wrong, or the file was changed.
        NotEnoughMemory: the machine cannot spare the memory that the cost asks for.
    """
    sealed = parse(data)
    if sealed.kind != kind:
        raise SealedFileDamaged(f"this sealed file holds a {sealed.kind}, not a {kind}: give the right file")
    associated = _associated_data(sealed.kind, sealed.public, sealed.cost)
    size = len(sealed.ciphertext) - _TAG_SIZE
    plaintext = _ffi.new("unsigned char[]", size)
    with _derive(passphrase, sealed.salt, sealed.cost) as key:
        failed = _sodium.crypto_aead_xchacha20poly1305_ietf_decrypt(
            plaintext,
            _ffi.NULL,
            _ffi.NULL,
            sealed.ciphertext,
            len(sealed.ciphertext),
            associated,
            len(associated),
            sealed.nonce,
            _pointer(key),
        )
    try:
        if failed:
            raise WrongPassphrase(f"the passphrase does not open this {kind} file, or the file was changed")
        return SecretBytes(_ffi.buffer(plaintext))
    finally:
        _sodium.sodium_memzero(plaintext, size)


def parse(data: bytes) -> Sealed:
    """Return the readable parts of a sealed file, as yet unauthenticated.

    Raises:
        SealedFileDamaged: the bytes are not a sealed file of version 1 within the ceilings.
    """
    if len(data) > MAX_FILE_SIZE:
        raise SealedFileDamaged(f"a sealed file is at most {MAX_FILE_SIZE} bytes, not {len(data)}")
    content = _object(_parse_json(data), "file", {"v", "kind", "public", "argon2id", "salt", "nonce", "ciphertext"})
    if type(content["v"]) is not int or content["v"] != VERSION:
        raise SealedFileDamaged(f"sealed files of version {VERSION} are known here, not the version this file names")
    problem = _public_problem(content["kind"], content["public"])
    if problem:
        raise SealedFileDamaged(problem)
    parameters = _object(content["argon2id"], "argon2id", {"memory_kib", "passes"})
    try:
        cost = Cost(memory_kib=parameters["memory_kib"], passes=parameters["passes"])
    except InvalidInput as problem_with_cost:
        raise SealedFileDamaged(problem_with_cost.message) from None
    return Sealed(
        kind=content["kind"],
        public=content["public"],
        cost=cost,
        salt=_hex(content["salt"], "salt", _SALT_SIZE, _SALT_SIZE),
        nonce=_hex(content["nonce"], "nonce", _NONCE_SIZE, _NONCE_SIZE),
        ciphertext=_hex(content["ciphertext"], "ciphertext", _TAG_SIZE + 1, _TAG_SIZE + MAX_SECRET_SIZE),
    )


def _derive(passphrase: SecretBytes, salt: bytes, cost: Cost) -> SecretBytes:
    if not 1 <= len(passphrase) <= MAX_PASSPHRASE_SIZE:
        raise InvalidInput(f"a passphrase must be 1 to {MAX_PASSPHRASE_SIZE} bytes")
    key = _ffi.new("unsigned char[]", _KEY_SIZE)
    try:
        failed = _sodium.crypto_pwhash(
            key,
            _KEY_SIZE,
            _ffi.from_buffer("char[]", passphrase.view()),
            len(passphrase),
            salt,
            cost.passes,
            cost.memory_kib * 1024,
            _ARGON2ID13,
        )
        if failed:
            raise NotEnoughMemory(f"argon2id needs {cost.memory_kib} KiB of free memory: free some and try again")
        return SecretBytes(_ffi.buffer(key))
    finally:
        _sodium.sodium_memzero(key, _KEY_SIZE)


def _associated_data(kind: str, public: Mapping[str, str], cost: Cost) -> bytes:
    covered = {
        "argon2id": {"memory_kib": cost.memory_kib, "passes": cost.passes},
        "kind": kind,
        "public": dict(public),
        "v": VERSION,
    }
    return b"strongroom/sealed\n" + json.dumps(covered, sort_keys=True, separators=(",", ":")).encode("ascii")


def _public_problem(kind: Any, public: Any) -> str:
    if type(kind) is not str or not _NAME.fullmatch(kind):
        return "kind must be 1 to 40 characters of a-z, 0-9, '_' and '-'"
    if not isinstance(public, Mapping) or len(public) > _MAX_PUBLIC_PARTS:
        return f"public must be an object of at most {_MAX_PUBLIC_PARTS} parts"
    for name, value in public.items():
        if type(name) is not str or not _NAME.fullmatch(name):
            return "a name in public must be 1 to 40 characters of a-z, 0-9, '_' and '-'"
        if type(value) is not str or not _PUBLIC_VALUE.fullmatch(value):
            return f"public.{name} must be 1 to 1024 characters of printable ASCII"
    return ""


def _parse_json(data: bytes) -> Any:
    try:
        return json.loads(
            data.decode("ascii"), object_pairs_hook=_unique, parse_float=_no_number, parse_constant=_no_number
        )
    except (ValueError, RecursionError):
        raise SealedFileDamaged("the file is not JSON in ASCII") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    if len(set(names)) < len(names):
        raise SealedFileDamaged("the file names a part twice")
    return dict(pairs)


def _no_number(text: str) -> Any:
    raise SealedFileDamaged("the file holds a number that is not an integer")


def _object(value: Any, where: str, names: set[str]) -> dict[str, Any]:
    if type(value) is not dict or set(value) != names:
        raise SealedFileDamaged(f"{where} must be an object of exactly {', '.join(sorted(names))}")
    return value


def _hex(value: Any, where: str, minimum: int, maximum: int) -> bytes:
    if type(value) is not str or not _HEX.fullmatch(value) or not 2 * minimum <= len(value) <= 2 * maximum:
        raise SealedFileDamaged(f"{where} must be {minimum} to {maximum} bytes of lowercase hex")
    return bytes.fromhex(value)


def _pointer(secret: SecretBytes) -> Any:
    return _ffi.from_buffer("unsigned char[]", secret.view())
