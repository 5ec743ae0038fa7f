"""Reading the published vectors of the secp256k1 core."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

VECTORS = Path(__file__).resolve().parent.parent / "vectors"


def load(folder: str, name: str) -> Any:
    """One JSON file of vectors."""
    return json.loads((VECTORS / folder / name).read_text(encoding="utf-8"))


def unhex(text: str | None) -> bytes | None:
    """Bytes of a hex string, None staying None."""
    return None if text is None else bytes.fromhex(text)


def pick(pool: list[str], indices: list[int]) -> tuple[bytes, ...]:
    """The chosen entries of a pool of hex strings."""
    return tuple(bytes.fromhex(pool[index]) for index in indices)
