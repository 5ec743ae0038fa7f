"""The file in which a record of evidence travels: JSON that can be mailed, with the record in hex.

The name of the record stands beside it to notice a file that was cut or mistyped on the way. It proves nothing: what a
record proves is seen by `evidence.verify_evidence` alone.
"""

from __future__ import annotations

import json
from typing import Final

from strongroom.model.errors import Kind, StrongroomError
from strongroom.protocol.evidence_records import MAX_EVIDENCE_BYTES, evidence_hash

__all__ = ["MAX_FILE_BYTES", "EvidenceFileInvalid", "read_evidence_file", "write_evidence_file"]

MAX_FILE_BYTES: Final = 2 * MAX_EVIDENCE_BYTES + 1_024
_KIND: Final = "strongroom-evidence"
_VERSION: Final = 1


class EvidenceFileInvalid(StrongroomError):
    """The file is not one in which evidence travels, or was damaged on the way; ask for it again."""

    reason = "EVIDENCE_FILE_INVALID"
    kind = Kind.INVALID_ARGUMENT
    remedy = "get the file again"


def write_evidence_file(data: bytes) -> bytes:
    """The content of the file that holds a record (canonical bytes): one JSON object and a line end."""
    content = {"kind": _KIND, "v": _VERSION, "hash": evidence_hash(data).hex(), "evidence": data.hex()}
    return json.dumps(content, indent=1).encode("ascii") + b"\n"


def read_evidence_file(content: bytes) -> bytes:
    """The record in a file, as bytes whose form and claims nobody has checked yet.

    Raises:
        EvidenceFileInvalid: the file is too large, no such JSON, or its record is not the one that its hash names.
    """
    if len(content) > MAX_FILE_BYTES:
        raise EvidenceFileInvalid(f"an evidence file is at most {MAX_FILE_BYTES} bytes")
    try:
        parsed = json.loads(content.decode("ascii"))
    except (ValueError, RecursionError):
        raise EvidenceFileInvalid("the file is not JSON") from None
    if not isinstance(parsed, dict) or set(parsed) != {"kind", "v", "hash", "evidence"}:
        raise EvidenceFileInvalid("the file must hold kind, v, hash and evidence, and nothing else")
    if parsed["kind"] != _KIND or type(parsed["v"]) is not int or parsed["v"] != _VERSION:
        raise EvidenceFileInvalid(f"the file is no {_KIND} of version {_VERSION}")
    data, name = _bytes(parsed["evidence"], "evidence"), _bytes(parsed["hash"], "hash")
    if evidence_hash(data) != name:
        raise EvidenceFileInvalid("the record in the file is not the one that its hash names: it was changed")
    return data


def _bytes(value: object, where: str) -> bytes:
    digits = value if isinstance(value, str) else ""
    # `bytes.fromhex` takes spaces, which no writer of this file makes.
    if not digits or set(digits) - set("0123456789abcdef") or len(digits) % 2:
        raise EvidenceFileInvalid(f"{where}: must be lower-case hex")
    return bytes.fromhex(digits)
