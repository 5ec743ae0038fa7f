"""Looks for values in the memory of a running process, in every form in which code may have left them there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

__all__ = ["flags_at", "forms_of", "found_in", "occurrences"]

_CHUNK = 1 << 24
_DIGIT_BITS = 30


def forms_of(secret: bytes) -> dict[str, bytes]:
    """The forms of a 32-byte value: its bytes, as limbs of a scalar in C, as hex, and as the digits of an integer."""
    number = int.from_bytes(secret, "big")
    digits = b"".join((number >> (_DIGIT_BITS * n) & (2**_DIGIT_BITS - 1)).to_bytes(4, "little") for n in range(8))
    return {"bytes": secret, "limbs": secret[::-1], "hex": secret.hex().encode(), "integer": digits}


def found_in(data: bytes, wanted: Mapping[str, bytes]) -> list[str]:
    """Names of the byte strings that lie in `data`."""
    return [label for label, value in wanted.items() if value in data]


def flags_at(pid: int, address: int) -> set[str]:
    """Flags of the mapping that holds an address: `lo` is locked, and never swapped out."""
    inside = False
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        head = line.split()[0]
        if not head.endswith(":"):
            start, end = (int(part, 16) for part in head.split("-"))
            inside = start <= address < end
        elif inside and head == "VmFlags:":
            return set(line.split()[1:])
    return set()


def occurrences(pid: int, wanted: Mapping[str, bytes]) -> dict[str, set[int]]:
    """Addresses at which each of the byte strings lies, by name; what was not found is left out."""
    found: dict[str, set[int]] = {}
    longest = max(map(len, wanted.values()))
    regions = Path(f"/proc/{pid}/maps").read_text().splitlines()
    try:
        memory = Path(f"/proc/{pid}/mem").open("rb", buffering=0)
    except PermissionError:
        pytest.skip("the memory of another process is for root, or who may trace it, to read")
    with memory:
        for line in regions:
            bounds, access = line.split()[:2]
            start, end = (int(part, 16) for part in bounds.split("-"))
            if "r" not in access or line.endswith(("[vvar]", "[vsyscall]")):
                continue
            for base in range(start, end, _CHUNK):
                try:
                    memory.seek(base)
                    data = memory.read(min(_CHUNK + longest, end - base))
                except OSError:
                    continue
                for label, value in wanted.items():
                    at = data.find(value)
                    while at >= 0:
                        found.setdefault(label, set()).add(base + at)
                        at = data.find(value, at + 1)
    return found
