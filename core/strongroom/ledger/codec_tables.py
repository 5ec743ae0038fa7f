"""The three closures of a message class: check an instance's values, encode it, decode it.

They are built once, when the class is created. An audit decodes every entry ever logged, so nothing here looks at types
or annotations at run time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Final

from strongroom.ledger.codec_kinds import SPAN, Fault, ValueKind, read_varint, with_length, write_varint

REQUIRED: Final = object()


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One declared attribute: its alternatives by number (one, unless it is a oneof), and how often it occurs.

    A default stands for absence on the wire; `maximum` is 0 for a field that is not repeated.
    """

    kinds: Mapping[int, ValueKind]
    default: Any = REQUIRED
    minimum: int = 0
    maximum: int = 0
    is_oneof: bool = False

    @property
    def repeated(self) -> bool:
        """Whether the value is a tuple."""
        return self.maximum > 0

    @property
    def packed(self) -> bool:
        """Whether the numbers of the tuple share one length-prefixed span."""
        return self.repeated and all(kind.wire != SPAN for kind in self.kinds.values())


def checker(root: str, fields: Mapping[str, Field], then: Callable[[Any], None] | None) -> Callable[[Any], None]:
    """Return the `__post_init__` that refuses values which `decode` would refuse, then runs the class's own check."""
    checks = [(attribute, _value_check(field)) for attribute, field in fields.items()]

    def check(instance: Any) -> None:
        for attribute, check_value in checks:
            try:
                check_value(getattr(instance, attribute))
            except Fault as fault:
                fault.steps.append(attribute)
                raise fault.refusal(root) from None
        if then is not None:
            then(instance)

    return check


def _value_check(field: Field) -> Callable[[Any], None]:
    if field.is_oneof:
        return _alternative_check({kind.nested for kind in field.kinds.values() if kind.nested is not None})
    check_one = next(iter(field.kinds.values())).check
    if field.repeated:
        return _items_check(field, check_one)
    if field.default is REQUIRED:
        return check_one
    default = field.default

    def check_unless_absent(value: Any) -> None:
        if value != default or type(value) is not type(default):
            check_one(value)

    return check_unless_absent


def _alternative_check(allowed: set[type[Any]]) -> Callable[[Any], None]:
    names = ", ".join(sorted(cls.__name__ for cls in allowed))

    def check(value: Any) -> None:
        if type(value) not in allowed:
            raise Fault(f"must be one of {names}, not {type(value).__name__}")

    return check


def _items_check(field: Field, check_one: Callable[[Any], None]) -> Callable[[Any], None]:
    def check(value: Any) -> None:
        if type(value) is not tuple:
            raise Fault(f"must be a tuple, not {type(value).__name__}")
        if not field.minimum <= len(value) <= field.maximum:
            raise _count_fault(field, len(value))
        for index, item in enumerate(value):
            try:
                check_one(item)
            except Fault as fault:
                raise _step(fault, f"[{index}]") from None

    return check


def _count_fault(field: Field, count: int, offset: int | None = None) -> Fault:
    return Fault(f"must have {field.minimum} to {field.maximum} items, not {count}", offset)


def encoder(fields: Mapping[str, Field]) -> Callable[[Any], bytes]:
    """Return the function from an instance to its canonical bytes."""
    rows = [(attrgetter(attribute), _writer(field)) for attribute, field in fields.items()]

    def encode(instance: Any) -> bytes:
        return b"".join([write(get(instance)) for get, write in rows])

    return encode


def _tag(number: int, kind: ValueKind) -> bytes:
    return write_varint(number << 3 | kind.wire)


def _writer(field: Field) -> Callable[[Any], bytes]:
    number, kind = next(iter(field.kinds.items()))
    if field.is_oneof:
        by_type = {kind.nested: (_tag(number, kind), kind.write) for number, kind in field.kinds.items()}

        def write_alternative(value: Any) -> bytes:
            tag, write = by_type[type(value)]
            return tag + write(value)

        return write_alternative
    write = kind.write
    if field.packed:
        packed_tag = write_varint(number << 3 | SPAN)
        return lambda value: packed_tag + with_length(b"".join(map(write, value))) if value else b""
    tag = _tag(number, kind)
    if field.repeated:
        return lambda value: b"".join([tag + write(item) for item in value])
    if field.default is REQUIRED:
        return lambda value: tag + write(value)
    default = field.default
    return lambda value: b"" if value == default else tag + write(value)


def _read_packed(read_one: Callable[[int], Any]) -> Callable[[bytes, int, int], tuple[Any, ...]]:
    def read(data: bytes, start: int, stop: int) -> tuple[Any, ...]:
        if start == stop:
            raise Fault("an empty list must be absent")
        items = []
        while start < stop:
            number, start = read_varint(data, start, stop)
            items.append(read_one(number))
        return tuple(items)

    return read


_SINGLE, _REPEATED, _ONEOF = range(3)


def _tag_rows(fields: Mapping[str, Field]) -> dict[int, tuple[int, int, int, bool, Any, Callable[..., Any]]]:
    """Return, for each tag: number, index of the attribute, how to store, span or varint, refused zero, reader."""
    rows = {}
    for index, field in enumerate(fields.values()):
        store = _ONEOF if field.is_oneof else _REPEATED if field.repeated and not field.packed else _SINGLE
        for number, kind in field.kinds.items():
            span = kind.wire == SPAN or field.packed
            read = _read_packed(kind.read) if field.packed else kind.read
            zero = REQUIRED if span else field.default
            rows[number << 3 | (SPAN if span else kind.wire)] = (number, index, store, span, zero, read)
    return rows


def _completer(fields: Mapping[str, Field]) -> Callable[[list[Any], int], None]:
    """Return the function that refuses missing fields and turns the lists among `values` into tuples."""
    required = [
        (i, a) for i, (a, field) in enumerate(fields.items()) if field.default is REQUIRED and not field.repeated
    ]
    lists = [(i, a, field) for i, (a, field) in enumerate(fields.items()) if field.repeated]

    def complete(values: list[Any], stop: int) -> None:
        for index, attribute in required:
            if values[index] is None:
                raise _step(Fault("is missing", stop), attribute)
        for index, attribute, field in lists:
            items = tuple(values[index] or ())
            if not field.minimum <= len(items) <= field.maximum:
                raise _step(_count_fault(field, len(items), stop), attribute)
            values[index] = items

    return complete


def decoder(  # noqa: C901, PLR0915 - it holds the one flat loop below
    cls: type[Any], fields: Mapping[str, Field], then: Callable[[Any], None] | None
) -> Callable[[bytes, int, int], Any]:
    """Return the function from `data[start:stop]` to an instance of `cls`. It raises `Fault`."""
    rows = _tag_rows(fields)
    attributes = tuple(fields)
    ordered = tuple(fields.values())
    blank = [None if field.repeated or field.default is REQUIRED else field.default for field in ordered]
    complete = _completer(fields)
    setters = [cls.__dict__[attribute].__set__ for attribute in attributes]
    new = object.__new__

    # One flat loop: a call for each of its steps would double the time of an audit.
    def decode(data: bytes, start: int, stop: int) -> Any:  # noqa: C901, PLR0912, PLR0915 - flat, see above
        values: list[Any] = blank.copy()
        position = start
        previous = 0
        while position < stop:
            begin = position
            tag = data[position]
            position += 1
            if tag > 127:
                tag, position = read_varint(data, begin, stop)
            row = rows.get(tag)
            if row is None:
                raise Fault(f"field {tag >> 3} of wire type {tag & 7} is unknown here", begin)
            number, index, store, span, zero, read = row
            if number <= previous and (number < previous or store != _REPEATED):
                raise Fault(f"field {number} comes after field {previous}", begin)
            previous = number
            try:
                if position < stop and data[position] < 128:
                    size = data[position]
                    position += 1
                else:
                    size, position = read_varint(data, position, stop)
                if span:
                    after = position + size
                    if after > stop:
                        raise Fault(f"says {size} bytes, {stop - position} are left")
                    value = read(data, position, after)
                    position = after
                else:
                    value = read(size)
                    if value == zero:
                        raise Fault("a zero value must be absent")
            except Fault as fault:
                if store == _REPEATED:
                    fault.steps.append(f"[{len(values[index] or ())}]")
                fault.steps.append(attributes[index])
                if fault.offset is None:
                    fault.offset = position
                raise
            if store == _SINGLE:
                values[index] = value
            elif values[index] is None:
                values[index] = [value] if store == _REPEATED else value
            elif store == _REPEATED:
                values[index].append(value)
            else:
                raise Fault(f"field {number} is a second alternative of {attributes[index]}", begin)
        complete(values, stop)
        instance = new(cls)
        for put, value in zip(setters, values, strict=True):
            put(instance, value)
        if then is not None:
            then(instance)
        return instance

    return decode


def _step(fault: Fault, attribute: str) -> Fault:
    fault.steps.append(attribute)
    return fault
