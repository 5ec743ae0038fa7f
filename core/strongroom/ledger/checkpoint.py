"""Checkpoints of the log: origin, size and root as a text that witnesses cosign.

The log itself does not sign: votes certify a head inside, and cosignatures of type 0x04 by the signers' witness keys
show a final head to the world. Extension lines are refused, because no cosigner vouches for them.

Spec: C2SP tlog-checkpoint v1.0.0, tlog-cosignature (Ed25519).
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Self

from strongroom.crypto.ed25519 import SigningKey
from strongroom.ledger.merkle import EMPTY_ROOT, HASH_SIZE, MAX_TREE_SIZE
from strongroom.ledger.note import (
    Note,
    NoteInvalid,
    NoteSignature,
    SignatureType,
    VerifierKey,
    cosign_text,
    verify_note,
)

__all__ = [
    "Checkpoint",
    "OpenedCheckpoint",
    "cosign",
    "cosigner_key",
    "log_origin",
    "open_checkpoint",
    "publish",
]

_LOG_ID_SIZE: Final = 32
_SIZE: Final = re.compile("0|[1-9][0-9]{0,19}")
_ROOT: Final = re.compile("[A-Za-z0-9+/]{43}=")
_ORIGIN: Final = re.compile("[!-*,-~]{1,200}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A head of a log: its origin (printable ASCII without space and plus), tree size, and 32-byte root."""

    origin: str
    size: int
    root: bytes

    def __post_init__(self) -> None:
        if not _ORIGIN.fullmatch(self.origin):
            raise NoteInvalid("a checkpoint's origin must be 1 to 200 printable ASCII characters without space and '+'")
        if not 0 <= self.size <= MAX_TREE_SIZE:
            raise NoteInvalid("a checkpoint's size must be 0 to 2^64-1")
        if len(self.root) != HASH_SIZE:
            raise NoteInvalid(f"a checkpoint's root must be {HASH_SIZE} bytes, not {len(self.root)}")
        if self.size == 0 and self.root != EMPTY_ROOT:
            raise NoteInvalid("a checkpoint of size 0 must have the root of no leaves")

    @property
    def text(self) -> str:
        """The note text: three lines, each ending in a newline."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode('ascii')}\n"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a note text as a checkpoint.

        Raises:
            NoteInvalid: the text is not exactly the three lines of a checkpoint.
        """
        lines = text.split("\n")
        if len(lines) != 4 or lines[3]:
            raise NoteInvalid("a checkpoint must be three lines: origin, size and root; extension lines are refused")
        if not _SIZE.fullmatch(lines[1]):
            raise NoteInvalid("a checkpoint's size must be a decimal number without leading zeroes")
        if not _ROOT.fullmatch(lines[2]):
            raise NoteInvalid("a checkpoint's root must be base64 of 32 bytes")
        try:
            root = base64.b64decode(lines[2], validate=True)
        except binascii.Error:
            raise NoteInvalid("a checkpoint's root must be base64 of 32 bytes") from None
        parsed = cls(origin=lines[0], size=int(lines[1]), root=root)
        if parsed.text != text:
            raise NoteInvalid("a checkpoint's root must be canonical base64")
        return parsed


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedCheckpoint:
    """A checkpoint that enough known witnesses cosigned: each one's name, and its Unix time in seconds."""

    checkpoint: Checkpoint
    times_s: Mapping[str, int]


def log_origin(log_id: bytes) -> str:
    """Return the origin of the log with this 32-byte id: `strongroom/` and the id in hex."""
    if len(log_id) != _LOG_ID_SIZE:
        raise NoteInvalid(f"a log id must be {_LOG_ID_SIZE} bytes, not {len(log_id)}")
    return f"strongroom/{log_id.hex()}"


def cosigner_key(log_id: bytes, signer: str, public: bytes) -> VerifierKey:
    """Return the verifier key of a signer's witness key (32 bytes), named `<origin>/<signer>`."""
    return VerifierKey(name=f"{log_origin(log_id)}/{signer}", type=SignatureType.COSIGNATURE_V1, public=public)


def cosign(checkpoint: Checkpoint, key: SigningKey, *, name: str, time_s: int) -> NoteSignature:
    """Return the cosignature of type 0x04 that says: at `time_s` this was the largest consistent head seen.

    The caller must know that it is so: the head is final, and no larger one was cosigned before.

    Args:
        checkpoint: The head.
        key: The witness key, used for nothing else.
        name: The cosigner's name, as in its verifier key.
        time_s: Unix time in seconds, 1 to 2^63-1.
    """
    return cosign_text(checkpoint.text, key, name=name, time_s=time_s)


def publish(checkpoint: Checkpoint, signatures: Sequence[NoteSignature]) -> bytes:
    """Return the checkpoint as a signed note."""
    return Note(text=checkpoint.text, signatures=tuple(signatures)).encode()


def open_checkpoint(data: bytes, *, origin: str, witnesses: Iterable[VerifierKey], threshold: int) -> OpenedCheckpoint:
    """Return the checkpoint in a signed note, if at least `threshold` witnesses of distinct names cosigned it.

    A witness whose key was replaced has two keys under its name, and counts once.

    Raises:
        NoteInvalid: the note or its text is malformed, of another log, wrongly signed by a witness, or cosigned by too
            few. Whoever sent it is at fault.
        ValueError: `threshold` is below 1, or `witnesses` are not distinct cosigner keys.
    """
    keys = tuple(witnesses)
    if threshold < 1 or any(key.type is not SignatureType.COSIGNATURE_V1 for key in keys):
        raise ValueError("open_checkpoint needs a threshold of at least 1 and witness keys of type 0x04")
    if len({key.public for key in keys}) < len(keys):
        raise ValueError("open_checkpoint needs witnesses of distinct keys")
    note = Note.parse(data)
    checkpoint = Checkpoint.parse(note.text)
    if checkpoint.origin != origin:
        raise NoteInvalid(f"the checkpoint is of log {checkpoint.origin}, not of {origin}")
    times = {verified.key.name: verified.time_s for verified in verify_note(note, keys) if verified.time_s is not None}
    if len(times) < threshold:
        raise NoteInvalid(f"{len(times)} known witnesses cosigned the checkpoint, {threshold} are needed")
    return OpenedCheckpoint(checkpoint=checkpoint, times_s=times)
