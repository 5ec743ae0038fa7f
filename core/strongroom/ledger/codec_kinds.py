"""What a single field value may be on the wire: one `ValueKind` per kind, each a check, a reader and a writer.

The kinds are built once, when a message class is created; reading and writing are plain closures after that.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final

from strongroom.model.errors import Kind, StrongroomError

U64_MAX: Final = 2**64 - 1
AMOUNT_MAX_SIZE: Final = 32
VARINT: Final = 0  # protobuf wire type
SPAN: Final = 2  # protobuf wire type: a length, then that many bytes

_NAME = re.compile(rb"[a-z0-9-]{1,40}")
# A fixed list instead of Unicode categories, because a category may change with the Unicode version a Python carries.
_TEXT = re.compile("[\u0020-\u007e\u00a1-\u00ac\u00ae-\u017f]+")
_ONE_BYTE: Final = tuple(bytes([n]) for n in range(128))


class NotCanonical(StrongroomError):
    """Bytes that are not the one encoding of a message, or a value that no message may hold.

    Whoever made the bytes or the value is at fault. `facts` carries `path` and, for bytes, `offset`.
    """

    reason = "NOT_CANONICAL"
    kind = Kind.INVALID_ARGUMENT


class Fault(Exception):
    """A refusal on its way up, never seen outside the codec: each enclosing message adds its step to the path."""

    def __init__(self, what: str, offset: int | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.offset = offset
        self.steps: list[str] = []

    def refusal(self, root: str) -> NotCanonical:
        """Return the public error for a message of class name `root`."""
        path = root + "".join(step if step[0] == "[" else "." + step for step in reversed(self.steps))
        if self.offset is None:
            return NotCanonical(f"{path}: {self.what}", path=path)
        return NotCanonical(f"{path} at byte {self.offset}: {self.what}", path=path, offset=str(self.offset))


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueKind:
    """How one value is checked, read and written.

    `read` takes `(data, start, stop)` for SPAN and the number for VARINT; `write` returns the value with its length
    prefix, without the tag. `nested` is the message class, or the enum, behind the value.
    """

    label: str
    wire: int
    check: Callable[[Any], None]
    read: Callable[..., Any]
    write: Callable[[Any], bytes]
    nested: type[Any] | None = None


def write_varint(number: int) -> bytes:
    """Return the minimal base-128 encoding of `number`, 0 to 2^64-1."""
    if number < 128:
        return _ONE_BYTE[number]
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def read_varint(data: bytes, start: int, stop: int) -> tuple[int, int]:
    """Read a minimal varint of at most 2^64-1 in `data[start:stop]`; return it and the offset behind it."""
    number = shift = 0
    position = start
    while position < stop:
        byte = data[position]
        position += 1
        number |= (byte & 127) << shift
        if byte < 128:
            if byte == 0 and shift:
                raise Fault("varint is longer than it needs to be", start)
            if number > U64_MAX:
                raise Fault("varint is above 2^64-1", start)
            return number, position
        shift += 7
        if shift > 63:
            raise Fault("varint is longer than 10 bytes", start)
    raise Fault("varint is cut short", start)


def with_length(payload: bytes) -> bytes:
    """Return `payload` behind its length."""
    return write_varint(len(payload)) + payload


def _number(value: Any) -> None:
    if type(value) is not int:
        raise Fault(f"must be an int, not {type(value).__name__}")
    if not 0 <= value <= U64_MAX:
        raise Fault("must be 0 to 2^64-1")


def u64() -> ValueKind:
    """An unsigned 64-bit number."""
    return ValueKind(label="u64", wire=VARINT, check=_number, read=lambda number: number, write=write_varint)


def boolean() -> ValueKind:
    """A truth value: 0 or 1 on the wire."""

    def check(value: Any) -> None:
        if type(value) is not bool:
            raise Fault(f"must be a bool, not {type(value).__name__}")

    def read(number: int) -> bool:
        if number > 1:
            raise Fault("a bool must be 0 or 1")
        return number == 1

    return ValueKind(label="bool", wire=VARINT, check=check, read=read, write=lambda value: b"\1" if value else b"\0")


def enum(kind: type[IntEnum]) -> ValueKind:
    """A member of `kind`; the number 0 stands for "unset" in protobuf and is nobody's value here."""
    members = {int(member): member for member in kind}
    if not members or min(members) < 1 or max(members) > 2**31 - 1:
        raise TypeError(f"{kind.__name__}: members must number 1 to 2^31-1")

    def check(value: Any) -> None:
        if type(value) is not kind:
            raise Fault(f"must be a {kind.__name__}, not {type(value).__name__}")

    def read(number: int) -> IntEnum:
        member = members.get(number)
        if member is None:
            raise Fault(f"{number} is no {kind.__name__}")
        return member

    return ValueKind(
        label="enum", wire=VARINT, check=check, read=read, write=lambda v: write_varint(int(v)), nested=kind
    )


def data(*, minimum: int, maximum: int, label: str = "bytes") -> ValueKind:
    """Bytes of `minimum` to `maximum` length."""
    wanted = f"must be {minimum} bytes" if minimum == maximum else f"must be {minimum} to {maximum} bytes"

    def check(value: Any) -> None:
        if type(value) is not bytes:
            raise Fault(f"must be bytes, not {type(value).__name__}")
        if not minimum <= len(value) <= maximum:
            raise Fault(f"{wanted}, not {len(value)}")

    def read(source: bytes, start: int, stop: int) -> bytes:
        if not minimum <= stop - start <= maximum:
            raise Fault(f"{wanted}, not {stop - start}")
        return source[start:stop]

    return ValueKind(label=label, wire=SPAN, check=check, read=read, write=with_length)


def amount() -> ValueKind:
    """A positive number below 2^256 as its minimal big-endian bytes, 1 to 32 of them."""

    def check(value: Any) -> None:
        if type(value) is not int:
            raise Fault(f"must be an int, not {type(value).__name__}")
        if not 0 < value < 1 << 8 * AMOUNT_MAX_SIZE:
            raise Fault("an amount must be 1 to 2^256-1")

    def read(source: bytes, start: int, stop: int) -> int:
        if not 1 <= stop - start <= AMOUNT_MAX_SIZE:
            raise Fault(f"an amount must be 1 to {AMOUNT_MAX_SIZE} bytes, not {stop - start}")
        if source[start] == 0:
            raise Fault("an amount must not begin with a zero byte")
        return int.from_bytes(source[start:stop], "big")

    def write(value: int) -> bytes:
        return with_length(value.to_bytes((value.bit_length() + 7) // 8, "big"))

    return ValueKind(label="amount", wire=SPAN, check=check, read=read, write=write)


def name() -> ValueKind:
    """A name: 1 to 40 characters of a-z, 0-9 and hyphen."""
    wanted = "a name must be 1 to 40 characters of a-z, 0-9 and '-'"

    def check(value: Any) -> None:
        if type(value) is not str:
            raise Fault(f"must be a str, not {type(value).__name__}")
        if not _NAME.fullmatch(value.encode("utf-8", "replace")):
            raise Fault(wanted)

    def read(source: bytes, start: int, stop: int) -> str:
        if not _NAME.fullmatch(source, start, stop):
            raise Fault(wanted)
        return source[start:stop].decode("ascii")

    return ValueKind(label="name", wire=SPAN, check=check, read=read, write=lambda v: with_length(v.encode("ascii")))


def text(*, minimum: int, maximum: int) -> ValueKind:
    """Text of `minimum` to `maximum` UTF-8 bytes; see the codec's docstring for the characters allowed."""

    def check_text(value: str, size: int) -> None:
        if not minimum <= size <= maximum:
            raise Fault(f"must be {minimum} to {maximum} bytes of UTF-8, not {size}")
        if value and not _TEXT.fullmatch(value):
            raise Fault("has a character outside U+0020-U+007E, U+00A1-U+00AC and U+00AE-U+017F")

    def check(value: Any) -> None:
        if type(value) is not str:
            raise Fault(f"must be a str, not {type(value).__name__}")
        check_text(value, len(value.encode("utf-8", "surrogatepass")))

    def read(source: bytes, start: int, stop: int) -> str:
        try:
            value = source[start:stop].decode("utf-8")
        except UnicodeDecodeError:
            raise Fault("is not UTF-8") from None
        check_text(value, stop - start)
        return value

    return ValueKind(label="text", wire=SPAN, check=check, read=read, write=lambda v: with_length(v.encode("utf-8")))
