"""Segwit addresses: bech32 for witness version 0, bech32m above (BIP173, BIP350). Decoding is strict."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Final

from strongroom.crypto.errors import InvalidEncoding

__all__ = ["InvalidBech32", "decode", "decode_segwit", "encode", "encode_segwit"]

_ALPHABET: Final = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_VALUES: Final = {letter: value for value, letter in enumerate(_ALPHABET)}
_GENERATOR: Final = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_CHECKSUM_LETTERS: Final = 6
_MAX_LETTERS: Final = 90
BECH32: Final = 1
BECH32M: Final = 0x2BC830A3


class InvalidBech32(InvalidEncoding):
    """A string is not bech32, bech32m or a segwit address; whoever wrote it is at fault."""

    reason: ClassVar[str] = "BECH32_INVALID"


def _polymod(values: Iterable[int]) -> int:
    checksum = 1
    for value in values:
        top = checksum >> 25
        checksum = (checksum & 0x1FFFFFF) << 5 ^ value
        for bit, generator in enumerate(_GENERATOR):
            if top >> bit & 1:
                checksum ^= generator
    return checksum


def _expanded(hrp: str) -> list[int]:
    codes = hrp.encode("ascii")
    return [code >> 5 for code in codes] + [0] + [code & 31 for code in codes]


def encode(hrp: str, values: Iterable[int], constant: int) -> str:
    """Join a human-readable part and 5-bit values with the checksum of `constant` (BECH32 or BECH32M).

    Raises:
        InvalidBech32: the human-readable part or the length is not allowed, or a value has more than 5 bits.
    """
    data = list(values)
    _check_hrp(hrp)
    if hrp != hrp.lower():
        raise InvalidBech32("the human-readable part must be in lower case to be encoded")
    if any(not 0 <= value < 32 for value in data):
        raise InvalidBech32("a value has more than 5 bits")
    if len(hrp) + 1 + len(data) + _CHECKSUM_LETTERS > _MAX_LETTERS:
        raise InvalidBech32(f"the string would be longer than {_MAX_LETTERS} letters")
    checksum = _polymod([*_expanded(hrp), *data, *bytes(_CHECKSUM_LETTERS)]) ^ constant
    tail = (checksum >> 5 * (_CHECKSUM_LETTERS - 1 - position) & 31 for position in range(_CHECKSUM_LETTERS))
    return hrp + "1" + "".join(_ALPHABET[value] for value in (*data, *tail))


def decode(text: str) -> tuple[str, list[int], int]:
    """Split a string into human-readable part (lower case), 5-bit values, and its constant (BECH32 or BECH32M).

    Raises:
        InvalidBech32: wrong letters, mixed case, too long or short, or neither checksum fits.
    """
    if len(text) > _MAX_LETTERS:
        raise InvalidBech32(f"the string is longer than {_MAX_LETTERS} letters")
    if not text.isascii():
        # Before any case folding: some letters outside ASCII have an ASCII letter as their lower case.
        raise InvalidBech32("the string has a letter outside ASCII")
    if text not in (text.lower(), text.upper()):
        raise InvalidBech32("the string mixes upper and lower case")
    hrp, separator, data = text.lower().rpartition("1")
    if not separator:
        raise InvalidBech32("the separator 1 is missing")
    _check_hrp(hrp)
    if len(data) < _CHECKSUM_LETTERS:
        raise InvalidBech32("the checksum is too short")
    try:
        values = [_VALUES[letter] for letter in data]
    except KeyError as error:
        raise InvalidBech32(f"{error.args[0]!r} is no bech32 letter") from None
    constant = _polymod([*_expanded(hrp), *values])
    if constant not in (BECH32, BECH32M):
        raise InvalidBech32("the checksum does not match: a letter is wrong")
    return hrp, values[:-_CHECKSUM_LETTERS], constant


def _check_hrp(hrp: str) -> None:
    if not hrp:
        raise InvalidBech32("the human-readable part is empty")
    if any(not 33 <= ord(letter) <= 126 for letter in hrp):
        raise InvalidBech32("the human-readable part has a letter out of range")


def encode_segwit(hrp: str, version: int, program: bytes) -> str:
    """Encode a witness program as an address in lower case.

    Raises:
        InvalidBech32: the version is not 0 to 16, or the program's length is not allowed for it.
    """
    _check_program(version, len(program))
    return encode(hrp, [version, *_to_5_bits(program)], BECH32 if version == 0 else BECH32M)


def decode_segwit(hrp: str, address: str) -> tuple[int, bytes]:
    """Decode an address of the network `hrp` into witness version and program.

    Raises:
        InvalidBech32: malformed, of another network, or the wrong checksum kind for its version.
    """
    found, values, constant = decode(address)
    if found != hrp:
        raise InvalidBech32(f"the address starts with {found!r}, not {hrp!r}")
    if not values:
        raise InvalidBech32("the address holds no witness version")
    version, program = values[0], _to_8_bits(values[1:])
    _check_program(version, len(program))
    if constant != (BECH32 if version == 0 else BECH32M):
        raise InvalidBech32("the checksum is of the other kind: version 0 takes bech32, all others bech32m")
    return version, program


def _check_program(version: int, length: int) -> None:
    if not 0 <= version <= 16:
        raise InvalidBech32(f"the witness version must be 0 to 16, not {version}")
    if not 2 <= length <= 40:
        raise InvalidBech32(f"the witness program must be 2 to 40 bytes, not {length}")
    if version == 0 and length not in (20, 32):
        raise InvalidBech32(f"a witness program of version 0 must be 20 or 32 bytes, not {length}")


def _to_5_bits(data: bytes) -> list[int]:
    padding = -len(data) * 8 % 5
    number = int.from_bytes(data, "big") << padding
    count = (len(data) * 8 + padding) // 5
    return [number >> 5 * (count - 1 - position) & 31 for position in range(count)]


def _to_8_bits(values: list[int]) -> bytes:
    padding = len(values) * 5 % 8
    number = 0
    for value in values:
        number = number << 5 | value
    if padding > 4:
        raise InvalidBech32("the data ends in more than 4 bits of padding")
    if number & (1 << padding) - 1:
        raise InvalidBech32("the padding is not zero")
    return (number >> padding).to_bytes(len(values) * 5 // 8, "big")
