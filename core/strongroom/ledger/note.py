"""Signed notes: a text, a blank line, and signature lines by named keys.

Supported signature types are 0x01, Ed25519 over the text, and 0x04, timestamped Ed25519 cosignatures of a checkpoint.
Signatures by keys that the reader does not know are kept and ignored, as the format asks; a signature by a known key
that does not verify spoils the whole note.

Spec: C2SP signed-note v1.0.0; C2SP tlog-cosignature, Ed25519 signed message.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, Self

from strongroom.crypto import ed25519
from strongroom.crypto.ed25519 import SigningKey
from strongroom.model.errors import Kind, StrongroomError

__all__ = [
    "MAX_TIME_S",
    "Note",
    "NoteInvalid",
    "NoteSignature",
    "SignatureType",
    "Verified",
    "VerifierKey",
    "cosign_text",
    "sign_text",
    "verify_note",
]

MAX_NOTE_SIZE: Final = 262_144
MAX_SIGNATURES: Final = 64  # the format asks readers to take at least 16
MAX_TIME_S: Final = 2**63 - 1
_KEY_ID_SIZE: Final = 4
_TIME_SIZE: Final = 8
_LINE_START: Final = "\u2014 "
_HEX_KEY_ID: Final = re.compile("[0-9a-f]{8}")
_NOT_IN_NAMES: Final = re.compile("[\\s+\x00-\x1f\ud800-\udfff]")
_CONTROL: Final = re.compile("[\x00-\x09\x0b-\x1f]")


class NoteInvalid(StrongroomError):
    """A signed note, a verifier key or one of their parts is malformed or not signed as it must be."""

    reason = "NOTE_INVALID"
    kind = Kind.INVALID_ARGUMENT


class SignatureType(IntEnum):
    """The signature type identifier byte of a key."""

    ED25519 = 0x01
    COSIGNATURE_V1 = 0x04


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifierKey:
    """A named Ed25519 public key (32 bytes) for one signature type."""

    name: str
    type: SignatureType
    public: bytes

    def __post_init__(self) -> None:
        _check_name(self.name)
        if len(self.public) != ed25519.PUBLIC_SIZE:
            raise NoteInvalid(f"the public key of {self.name} must be {ed25519.PUBLIC_SIZE} bytes")

    @property
    def key_id(self) -> bytes:
        """The 4 bytes that tell this key from others of its name."""
        return hashlib.sha256(self.name.encode() + b"\n" + bytes((self.type,)) + self.public).digest()[:_KEY_ID_SIZE]

    def encode(self) -> str:
        """Return the verifier key's text form: name, key id in hex and base64 of type and key, joined by plus."""
        return f"{self.name}+{self.key_id.hex()}+{_to_base64(bytes((self.type,)) + self.public)}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a verifier key's text form.

        Raises:
            NoteInvalid: the text is malformed, of another signature type, or its key id is not that of its key.
        """
        parts = text.split("+", 2)  # base64 may hold a plus, name and id cannot
        if len(parts) != 3 or not _HEX_KEY_ID.fullmatch(parts[1]):
            raise NoteInvalid("a verifier key must be a name, 8 hex digits and base64, joined by '+'")
        name, key_id, material = parts[0], parts[1], _from_base64(parts[2])
        if not material or material[0] not in tuple(SignatureType):
            raise NoteInvalid(f"the verifier key {name} has no signature type known here (1 or 4)")
        key = cls(name=name, type=SignatureType(material[0]), public=material[1:])
        if key.key_id.hex() != key_id:
            raise NoteInvalid(f"the verifier key {name} names key id {key_id}, its key has {key.key_id.hex()}")
        return key


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteSignature:
    """One signature line: the key's name and id, and the bytes its signature type defines."""

    name: str
    key_id: bytes
    signature: bytes

    def __post_init__(self) -> None:
        _check_name(self.name)
        if len(self.key_id) != _KEY_ID_SIZE or not self.signature:
            raise NoteInvalid(f"a signature by {self.name} needs a key id of {_KEY_ID_SIZE} bytes and a signature")

    @property
    def line(self) -> str:
        """The signature line, newline included."""
        return f"{_LINE_START}{self.name} {_to_base64(self.key_id + self.signature)}\n"

    @classmethod
    def parse(cls, line: str) -> Self:
        """Read a signature line without its newline.

        Raises:
            NoteInvalid: the line is malformed.
        """
        parts = line.removeprefix(_LINE_START).split(" ")
        if not line.startswith(_LINE_START) or len(parts) != 2:
            raise NoteInvalid("a signature line must be an em dash, a key name and base64, apart by one space each")
        blob = _from_base64(parts[1])
        return cls(name=parts[0], key_id=blob[:_KEY_ID_SIZE], signature=blob[_KEY_ID_SIZE:])


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """A text that ends in a newline, and its signatures."""

    text: str
    signatures: tuple[NoteSignature, ...]

    def __post_init__(self) -> None:
        if not self.text.endswith("\n") or _CONTROL.search(self.text):
            raise NoteInvalid("a note's text must end in a newline and hold no other control character")
        if not 1 <= len(self.signatures) <= MAX_SIGNATURES:
            raise NoteInvalid(f"a note must have 1 to {MAX_SIGNATURES} signatures, not {len(self.signatures)}")

    def encode(self) -> bytes:
        """Return the note's bytes."""
        return (self.text + "\n" + "".join(signature.line for signature in self.signatures)).encode()

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read a note; whom its signatures are by is for `verify_note` to say.

        Raises:
            NoteInvalid: the bytes are malformed or more than 262,144.
        """
        if len(data) > MAX_NOTE_SIZE:
            raise NoteInvalid(f"a note is at most {MAX_NOTE_SIZE} bytes, not {len(data)}")
        try:
            whole = data.decode("utf-8")
        except UnicodeDecodeError:
            raise NoteInvalid("a note must be UTF-8") from None
        text, blank, lines = whole.rpartition("\n\n")
        if not blank or not lines.endswith("\n"):
            raise NoteInvalid("a note must be a text, a blank line and signature lines, each ending in a newline")
        signatures = tuple(NoteSignature.parse(line) for line in lines[:-1].split("\n"))
        return cls(text=text + "\n", signatures=signatures)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """A signature that verified: by which key, and for a cosignature at which Unix time in seconds (else None)."""

    key: VerifierKey
    time_s: int | None


def sign_text(text: str, key: SigningKey, *, name: str) -> NoteSignature:
    """Return the signature of type 0x01 over a note's text, which ends in a newline."""
    verifier = VerifierKey(name=name, type=SignatureType.ED25519, public=key.public)
    return NoteSignature(name=name, key_id=verifier.key_id, signature=key.sign(text.encode()))


def cosign_text(text: str, key: SigningKey, *, name: str, time_s: int) -> NoteSignature:
    """Return the timestamped cosignature of type 0x04 over a checkpoint's text.

    Raises:
        NoteInvalid: the time is not 1 to 2^63-1 seconds.
    """
    verifier = VerifierKey(name=name, type=SignatureType.COSIGNATURE_V1, public=key.public)
    signature = key.sign(_cosigned(text, time_s))
    return NoteSignature(name=name, key_id=verifier.key_id, signature=time_s.to_bytes(_TIME_SIZE, "big") + signature)


def verify_note(note: Note, keys: Iterable[VerifierKey]) -> tuple[Verified, ...]:
    """Return the signatures by known keys, one for each key that signed; the first where a key signed twice.

    Raises:
        NoteInvalid: a signature that names a known key does not verify, or no known key signed at all.
    """
    known = {(key.name, key.key_id): key for key in keys}
    verified: dict[VerifierKey, Verified] = {}
    for signature in note.signatures:
        key = known.get((signature.name, signature.key_id))
        if key is not None:
            verified.setdefault(key, _verify(note.text, key, signature.signature))
    if not verified:
        raise NoteInvalid("no key known here signed the note")
    return tuple(verified.values())


def _verify(text: str, key: VerifierKey, signature: bytes) -> Verified:
    time_s = None
    message = text.encode()
    if key.type is SignatureType.COSIGNATURE_V1:
        time_s = int.from_bytes(signature[:_TIME_SIZE], "big")
        signature = signature[_TIME_SIZE:]
        message = _cosigned(text, time_s)
    if not ed25519.verify(key.public, message, signature):
        raise NoteInvalid(f"the signature by {key.name} does not verify: do not use this note")
    return Verified(key=key, time_s=time_s)


def _cosigned(text: str, time_s: int) -> bytes:
    if not 0 < time_s <= MAX_TIME_S:
        raise NoteInvalid("the time of a cosignature must be 1 to 2^63-1 seconds")
    return f"cosignature/v1\ntime {time_s}\n{text}".encode()


def _check_name(name: str) -> None:
    # A lone surrogate has no UTF-8, so a name with one could never stand in a note.
    if not name or _NOT_IN_NAMES.search(name):
        raise NoteInvalid("a key name must be UTF-8, and not be empty or hold spaces, control characters or '+'")


def _to_base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _from_base64(text: str) -> bytes:
    try:
        data = base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        data = b""
    # Python lets unused low bits and surplus padding pass; there must be one spelling only.
    if not data or _to_base64(data) != text:
        raise NoteInvalid("not canonical base64")
    return data
