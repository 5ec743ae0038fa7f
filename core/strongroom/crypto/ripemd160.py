"""RIPEMD-160 in plain Python, because what OpenSSL allows differs between machines.

Every signer must judge an entry alike, and newer OpenSSL has this function only where somebody switched it on. It
names public keys in scripts and extended keys here; no secret ever goes through it, and nothing long.

Spec: Dobbertin, Bosselaers, Preneel, "RIPEMD-160: A Strengthened Version of RIPEMD" (1996), appendix A.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Final

__all__ = ["ripemd160"]

_MASK: Final = 0xFFFFFFFF
_BLOCK: Final = 64
_START: Final = (0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476, 0xC3D2E1F0)

_FUNCTIONS: Final[tuple[Callable[[int, int, int], int], ...]] = (
    lambda x, y, z: x ^ y ^ z,
    lambda x, y, z: (x & y) | (~x & z),
    lambda x, y, z: (x | ~y) ^ z,
    lambda x, y, z: (x & z) | (y & ~z),
    lambda x, y, z: x ^ (y | ~z),
)

# A line of 16 is a round: its words of the block, and how far each step turns.
_LEFT_WORDS: Final = (
    (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15),
    (7, 4, 13, 1, 10, 6, 15, 3, 12, 0, 9, 5, 2, 14, 11, 8),
    (3, 10, 14, 4, 9, 15, 8, 1, 2, 7, 0, 6, 13, 11, 5, 12),
    (1, 9, 11, 10, 0, 8, 12, 4, 13, 3, 7, 15, 14, 5, 6, 2),
    (4, 0, 5, 9, 7, 12, 2, 10, 14, 1, 3, 8, 11, 6, 15, 13),
)
_RIGHT_WORDS: Final = (
    (5, 14, 7, 0, 9, 2, 11, 4, 13, 6, 15, 8, 1, 10, 3, 12),
    (6, 11, 3, 7, 0, 13, 5, 10, 14, 15, 8, 12, 4, 9, 1, 2),
    (15, 5, 1, 3, 7, 14, 6, 9, 11, 8, 12, 2, 10, 0, 4, 13),
    (8, 6, 4, 1, 3, 11, 15, 0, 5, 12, 2, 13, 9, 7, 10, 14),
    (12, 15, 10, 4, 1, 5, 8, 7, 6, 2, 13, 14, 0, 3, 9, 11),
)
_LEFT_TURNS: Final = (
    (11, 14, 15, 12, 5, 8, 7, 9, 11, 13, 14, 15, 6, 7, 9, 8),
    (7, 6, 8, 13, 11, 9, 7, 15, 7, 12, 15, 9, 11, 7, 13, 12),
    (11, 13, 6, 7, 14, 9, 13, 15, 14, 8, 13, 6, 5, 12, 7, 5),
    (11, 12, 14, 15, 14, 15, 9, 8, 9, 14, 5, 6, 8, 6, 5, 12),
    (9, 15, 5, 11, 6, 8, 13, 12, 5, 12, 13, 14, 11, 8, 5, 6),
)
_RIGHT_TURNS: Final = (
    (8, 9, 9, 11, 13, 15, 15, 5, 7, 7, 8, 11, 14, 14, 12, 6),
    (9, 13, 15, 7, 12, 8, 9, 11, 7, 7, 12, 7, 6, 15, 13, 11),
    (9, 7, 15, 11, 8, 6, 6, 14, 12, 13, 5, 14, 13, 13, 7, 5),
    (15, 5, 8, 11, 14, 14, 6, 14, 6, 9, 12, 9, 12, 5, 15, 8),
    (8, 5, 12, 9, 12, 5, 14, 6, 8, 13, 6, 5, 15, 13, 11, 11),
)
_LEFT_CONSTANTS: Final = (0x00000000, 0x5A827999, 0x6ED9EBA1, 0x8F1BBCDC, 0xA953FD4E)
_RIGHT_CONSTANTS: Final = (0x50A28BE6, 0x5C4DD124, 0x6D703EF3, 0x7A6D76E9, 0x00000000)

_Mix = Callable[[int, int, int], int]
_Round = tuple[_Mix, int, tuple[int, ...], tuple[int, ...]]
_LEFT: Final[tuple[_Round, ...]] = tuple(zip(_FUNCTIONS, _LEFT_CONSTANTS, _LEFT_WORDS, _LEFT_TURNS, strict=True))
_RIGHT: Final[tuple[_Round, ...]] = tuple(
    zip(_FUNCTIONS[::-1], _RIGHT_CONSTANTS, _RIGHT_WORDS, _RIGHT_TURNS, strict=True)
)


def ripemd160(data: bytes) -> bytes:
    """The RIPEMD-160 hash of some bytes; 20 bytes."""
    padding = b"\x80" + bytes(-(len(data) + 9) % _BLOCK) + struct.pack("<Q", len(data) * 8)
    padded = data + padding
    state: tuple[int, ...] = _START
    for first in range(0, len(padded), _BLOCK):
        state = _compressed(state, struct.unpack_from("<16I", padded, first))
    return struct.pack("<5I", *state)


def _compressed(state: tuple[int, ...], block: tuple[int, ...]) -> tuple[int, ...]:
    left = _line(state, block, _LEFT)
    right = _line(state, block, _RIGHT)
    return tuple((state[(n + 1) % 5] + left[(n + 2) % 5] + right[(n + 3) % 5]) & _MASK for n in range(5))


def _line(state: tuple[int, ...], block: tuple[int, ...], rounds: tuple[_Round, ...]) -> tuple[int, ...]:
    """One of the two lines of 80 steps."""
    a, b, c, d, e = state
    for function, constant, words, turns in rounds:
        for word, amount in zip(words, turns, strict=True):
            mixed = _turned((a + function(b, c, d) + block[word] + constant) & _MASK, amount)
            a, b, c, d, e = e, (mixed + e) & _MASK, b, _turned(c, 10), d
    return a, b, c, d, e


def _turned(value: int, by: int) -> int:
    return ((value << by) | (value >> (32 - by))) & _MASK
