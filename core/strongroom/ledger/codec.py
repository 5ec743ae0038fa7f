"""Canonical bytes: a strict, table-driven codec for the part of protobuf that ledger messages need.

Every message has exactly one encoding: `encode(decode(cls, data)) == data` for all bytes that `decode` takes. Fields
ascend by number, an explicit default is refused (zero, false, empty bytes, empty text, empty packed list), an enum is
always present and never 0, varints are minimal and at most 2^64-1, repeated numbers are packed, and an unknown field, a
second occurrence of a field that is not repeated, or a second alternative of a oneof is refused. Messages nest at most
8 deep, which is checked when a class is created, because a class can only nest classes that exist before it.

Text is UTF-8 made of U+0020-U+007E, U+00A1-U+00AC and U+00AE-U+017F: printable ASCII and precomposed Latin letters. No
combining mark is among them, so such text is in NFC by itself, and it holds no control, format, direction or separator
character but the plain space. A fixed list, because a rule that asks a Unicode library would let two library versions
disagree about an entry. Lengths of text are in bytes of UTF-8.

    @message
    class Payment:
        to: str = codec.text(1, max_length=128)
        amount: int = codec.amount(2)

makes a frozen, slotted, keyword-only dataclass. Its constructor refuses with `NotCanonical` what `decode` would refuse,
so every instance can be encoded. A `__post_init__` of the class runs after the fields are checked, in both ways of
making an instance; it may raise `NotCanonical`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final, TypeVar, dataclass_transform

from strongroom.ledger import codec_kinds as kinds
from strongroom.ledger.codec_kinds import SPAN, Fault, NotCanonical, ValueKind, with_length
from strongroom.ledger.codec_tables import REQUIRED, Field, checker, decoder, encoder

__all__ = [
    "MAX_DEPTH",
    "MAX_SIZE",
    "FieldRow",
    "NotCanonical",
    "amount",
    "boolean",
    "data",
    "decode",
    "describe",
    "embedded",
    "encode",
    "enum",
    "fixed",
    "message",
    "name",
    "oneof",
    "optional",
    "repeated",
    "repeated_fixed",
    "repeated_name",
    "repeated_text",
    "repeated_u64",
    "text",
    "u64",
]

MAX_DEPTH: Final = 8
MAX_SIZE: Final = 65_535
_MAX_FIELD_NUMBER: Final = 2_047  # a tag of at most two bytes

M = TypeVar("M")


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldRow:
    """One field as declared, for a comparison with a `.proto` descriptor.

    `kind` is one of u64, bool, enum, amount, bytes, fixed, name, text, message; `nested` the message or enum class;
    `oneof` the attribute that holds the alternative, or "".
    """

    number: int
    name: str
    kind: str
    nested: type[Any] | None
    repeated: bool
    packed: bool
    oneof: str
    optional: bool


@dataclass(frozen=True, slots=True)
class _Table:
    """What encode and decode need of one class, prepared once."""

    encode: Callable[[Any], bytes]
    decode: Callable[[bytes, int, int], Any]
    depth: int
    rows: tuple[FieldRow, ...]


_TABLES: dict[type[Any], _Table] = {}


def _one(number: int, kind: ValueKind, default: Any = REQUIRED) -> Any:
    return Field(kinds={number: kind}, default=default)


def _many(number: int, kind: ValueKind, minimum: int, maximum: int) -> Any:
    if not 0 <= minimum <= maximum or maximum < 1:
        raise TypeError(f"field {number}: minimum {minimum} and maximum {maximum} allow nothing")
    default = REQUIRED if minimum else ()
    return Field(kinds={number: kind}, default=default, minimum=minimum, maximum=maximum)


def u64(number: int) -> Any:
    """A number, 0 to 2^64-1; 0 is absent on the wire and the default."""
    return _one(number, kinds.u64(), 0)


def boolean(number: int) -> Any:
    """A truth value; False is absent on the wire and the default."""
    return _one(number, kinds.boolean(), False)


def enum(number: int, kind: type[IntEnum]) -> Any:
    """A member of `kind`, always present; members number from 1."""
    return _one(number, kinds.enum(kind))


def amount(number: int) -> Any:
    """A positive amount in the asset's smallest unit: an int here, 1 to 32 minimal big-endian bytes on the wire."""
    return _one(number, kinds.amount())


def name(number: int, *, optional: bool = False) -> Any:
    """A name `[a-z0-9-]{1,40}`; with `optional` also "", absent on the wire and the default."""
    return _one(number, kinds.name(), "" if optional else REQUIRED)


def text(number: int, *, max_length: int, optional: bool = False) -> Any:
    """Text of 1 to `max_length` bytes of UTF-8; with `optional` also "", absent on the wire and the default."""
    return _one(number, kinds.text(minimum=1, maximum=max_length), "" if optional else REQUIRED)


def fixed(number: int, size: int, *, optional: bool = False) -> Any:
    """Exactly `size` bytes; with `optional` also b"", absent on the wire and the default."""
    return _one(number, kinds.data(minimum=size, maximum=size, label="fixed"), b"" if optional else REQUIRED)


def data(number: int, *, max_length: int, optional: bool = False) -> Any:
    """Bytes, 1 to `max_length` of them; with `optional` also b"", absent on the wire and the default."""
    return _one(number, kinds.data(minimum=1, maximum=max_length), b"" if optional else REQUIRED)


def embedded(number: int, kind: type[Any]) -> Any:
    """A message of class `kind`, always present, be it of no bytes."""
    return _one(number, _nested(kind))


def optional(number: int, kind: type[Any]) -> Any:
    """A message of class `kind` or None, which is absent on the wire and the default."""
    return _one(number, _nested(kind), None)


def oneof(alternatives: Mapping[int, type[Any]]) -> Any:
    """Exactly one message among `alternatives`, which maps ascending field numbers to distinct message classes."""
    if len(set(alternatives.values())) < len(alternatives) or not alternatives:
        raise TypeError("a oneof needs alternatives of distinct classes")
    return Field(kinds={number: _nested(kind) for number, kind in alternatives.items()}, is_oneof=True)


def repeated(number: int, kind: type[Any], *, minimum: int, maximum: int) -> Any:
    """A tuple of `minimum` to `maximum` messages of class `kind`."""
    return _many(number, _nested(kind), minimum, maximum)


def repeated_fixed(number: int, size: int, *, minimum: int, maximum: int) -> Any:
    """A tuple of `minimum` to `maximum` byte strings of exactly `size` bytes."""
    return _many(number, kinds.data(minimum=size, maximum=size, label="fixed"), minimum, maximum)


def repeated_name(number: int, *, minimum: int, maximum: int) -> Any:
    """A tuple of `minimum` to `maximum` names `[a-z0-9-]{1,40}`."""
    return _many(number, kinds.name(), minimum, maximum)


def repeated_text(number: int, *, max_length: int, minimum: int, maximum: int) -> Any:
    """A tuple of `minimum` to `maximum` texts, each of 1 to `max_length` bytes of UTF-8."""
    return _many(number, kinds.text(minimum=1, maximum=max_length), minimum, maximum)


def repeated_u64(number: int, *, minimum: int, maximum: int) -> Any:
    """A tuple of `minimum` to `maximum` numbers, 0 to 2^64-1 each, packed on the wire."""
    return _many(number, kinds.u64(), minimum, maximum)


# The functions left out of `field_specifiers` always or mostly give a default, so type checkers let callers omit them.
@dataclass_transform(
    frozen_default=True, kw_only_default=True, field_specifiers=(enum, amount, name, text, fixed, data, embedded, oneof)
)
def message(cls: type[M]) -> type[M]:
    """Make a class of declared fields a frozen, slotted, keyword-only dataclass with one canonical encoding.

    Raises:
        TypeError: the declaration itself is wrong: numbers do not ascend, nesting is too deep, no field function.
    """
    fields = _declared(cls)
    own_check = cls.__dict__.get("__post_init__")
    check = checker(cls.__name__, fields, own_check)
    for attribute, field in fields.items():
        if field.default is REQUIRED:
            delattr(cls, attribute)
        else:
            setattr(cls, attribute, field.default)
    setattr(cls, "__post_init__", check)  # noqa: B010 - not an attribute that M is known to have
    made = dataclass(frozen=True, slots=True, kw_only=True)(cls)
    nested = [kind.nested for field in fields.values() for kind in field.kinds.values() if kind.label == "message"]
    depth = 1 + max((_TABLES[child].depth for child in nested if child is not None), default=0)
    if depth > MAX_DEPTH:
        raise TypeError(f"{cls.__name__} nests {depth} deep, more than {MAX_DEPTH}")
    rows = tuple(_rows(fields))
    _TABLES[made] = _Table(encoder(fields), decoder(made, fields, own_check), depth, rows)
    return made


def encode(instance: object) -> bytes:
    """Return the canonical bytes of a message."""
    return _table(type(instance)).encode(instance)


def decode(cls: type[M], data: bytes, *, max_size: int = MAX_SIZE) -> M:
    """Return the message of class `cls` whose encoding `data` is.

    Raises:
        NotCanonical: `data` is longer than `max_size` bytes or not the canonical bytes of such a message; its text
            names the field's path, the byte offset and what is wrong. Whoever made the bytes is at fault.
    """
    table = _table(cls)
    if type(data) is not bytes:
        raise TypeError(f"{cls.__name__} is decoded from bytes, not {type(data).__name__}")
    if len(data) > max_size:
        raise NotCanonical(f"{cls.__name__} is {len(data)} bytes, more than {max_size}", path=cls.__name__)
    try:
        instance: M = table.decode(data, 0, len(data))
    except Fault as fault:
        raise fault.refusal(cls.__name__) from None
    return instance


def describe(cls: type[Any]) -> tuple[FieldRow, ...]:
    """Return the declared fields of a message class, ascending by number; one row for each alternative of a oneof."""
    return _table(cls).rows


def _table(cls: type[Any]) -> _Table:
    table = _TABLES.get(cls)
    if table is None:
        raise TypeError(f"{cls.__name__} is not a message class")
    return table


def _nested(cls: type[Any]) -> ValueKind:
    table = _table(cls)

    def check(value: Any) -> None:
        if type(value) is not cls:
            raise Fault(f"must be a {cls.__name__}, not {type(value).__name__}")

    encode_body = table.encode
    return ValueKind(
        label="message",
        wire=SPAN,
        check=check,
        read=table.decode,
        write=lambda value: with_length(encode_body(value)),
        nested=cls,
    )


def _declared(cls: type[Any]) -> dict[str, Field]:
    """Return the fields of a class body; refuse a declaration that could not have one canonical encoding."""
    fields: dict[str, Field] = {}
    last = 0
    for attribute, annotation in inspect.get_annotations(cls).items():
        if "ClassVar" in str(annotation):
            continue
        field = cls.__dict__.get(attribute)
        if not isinstance(field, Field):
            raise TypeError(f"{cls.__name__}.{attribute} is declared without a codec function")
        for number in field.kinds:
            if not last < number <= _MAX_FIELD_NUMBER:
                raise TypeError(
                    f"{cls.__name__}.{attribute}: number {number} must be {last + 1} to {_MAX_FIELD_NUMBER}"
                )
            last = number
        fields[attribute] = field
    return fields


def _rows(fields: Mapping[str, Field]) -> list[FieldRow]:
    return [
        FieldRow(
            number=number,
            name=_snake(kind.nested) if field.is_oneof else attribute,
            kind=kind.label,
            nested=kind.nested,
            repeated=field.repeated,
            packed=field.packed,
            oneof=attribute if field.is_oneof else "",
            optional=field.default is not REQUIRED,
        )
        for attribute, field in fields.items()
        for number, kind in field.kinds.items()
    ]


def _snake(cls: type[Any] | None) -> str:
    letters = "" if cls is None else cls.__name__
    return "".join(f"_{c.lower()}" if c.isupper() and i else c.lower() for i, c in enumerate(letters))
