"""Message classes with every kind of field, and the same messages as google.protobuf sees them."""

from __future__ import annotations

from enum import IntEnum
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import Message

from strongroom.ledger import codec
from strongroom.ledger.codec import FieldRow, message


class Verb(IntEnum):
    APPROVE = 1
    REJECT = 2
    CANCEL = 300


@message
class Empty:
    """A message without fields."""


@message
class Child:
    """A message of optional parts."""

    number: int = codec.u64(1)
    tag: bytes = codec.data(2, max_length=20, optional=True)
    note: str = codec.text(3, max_length=30, optional=True)


@message
class Parent:
    """One more level, and a oneof among others."""

    child: Child = codec.embedded(1, Child)
    word: Child | Empty = codec.oneof({2: Child, 3: Empty})


@message
class Everything:
    """One field of each kind."""

    vault: str = codec.name(1)
    asset: str = codec.text(2, max_length=128)
    amount: int = codec.amount(3)
    height: int = codec.u64(4)
    flag: bool = codec.boolean(5)
    verb: Verb = codec.enum(6, Verb)
    digest: bytes = codec.fixed(7, 32)
    body: bytes = codec.data(8, max_length=200)
    child: Child = codec.embedded(9, Child)
    maybe: Child | None = codec.optional(10, Child)
    items: tuple[Parent, ...] = codec.repeated(11, Parent, minimum=0, maximum=5)
    hashes: tuple[bytes, ...] = codec.repeated_fixed(12, 4, minimum=1, maximum=3)
    names: tuple[str, ...] = codec.repeated_name(13, minimum=0, maximum=4)
    ints: tuple[int, ...] = codec.repeated_u64(15, minimum=0, maximum=6)
    notes: tuple[str, ...] = codec.repeated_text(16, max_length=9, minimum=0, maximum=3)
    head: bytes = codec.fixed(17, 2, optional=True)
    action: Child | Parent | Empty = codec.oneof({20: Child, 21: Parent, 2047: Empty})


def child(number: int = 0, tag: bytes = b"", note: str = "") -> Child:
    return Child(number=number, tag=tag, note=note)


def everything(**changes: Any) -> Everything:
    values: dict[str, Any] = {
        "vault": "hot-1",
        "asset": "bip122:regtest/slip44:0",
        "amount": 10**9,
        "verb": Verb.REJECT,
        "digest": bytes(32),
        "body": b"body",
        "child": child(),
        "hashes": (b"abcd",),
        "action": Empty(),
    }
    return Everything(**(values | changes))


_PB = descriptor_pb2.FieldDescriptorProto
_TYPES = {
    "u64": _PB.TYPE_UINT64,
    "bool": _PB.TYPE_BOOL,
    "enum": _PB.TYPE_ENUM,
    "amount": _PB.TYPE_BYTES,
    "bytes": _PB.TYPE_BYTES,
    "fixed": _PB.TYPE_BYTES,
    "name": _PB.TYPE_STRING,
    "text": _PB.TYPE_STRING,
    "message": _PB.TYPE_MESSAGE,
}


def protobuf_class(cls: type[Any]) -> type[Message]:
    """Return google.protobuf's class for a codec message, from a descriptor built of its described fields."""
    file = descriptor_pb2.FileDescriptorProto(name=f"{cls.__name__}.proto", package="sample", syntax="proto3")
    _add(file, cls, set())
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"sample.{cls.__name__}"))


def _add(file: descriptor_pb2.FileDescriptorProto, cls: type[Any], done: set[type[Any]]) -> None:
    if cls in done:
        return
    done.add(cls)
    rows = codec.describe(cls)
    target = file.message_type.add(name=cls.__name__)
    for group in dict.fromkeys(row.oneof for row in rows if row.oneof):
        target.oneof_decl.add(name=group)
    for row in rows:
        _add_field(target, row)
    for row in rows:
        if row.kind == "message" and row.nested is not None:
            _add(file, row.nested, done)
        elif row.kind == "enum" and row.nested is not None and row.nested not in done:
            done.add(row.nested)
            added = file.enum_type.add(name=row.nested.__name__)
            added.value.add(name="UNSPECIFIED", number=0)
            for member in row.nested:
                added.value.add(name=member.name, number=member.value)


def _add_field(target: descriptor_pb2.DescriptorProto, row: FieldRow) -> None:
    label = _PB.LABEL_REPEATED if row.repeated else _PB.LABEL_OPTIONAL
    name = f"{row.oneof}_{row.name}" if row.oneof else row.name
    field = target.field.add(name=name, number=row.number, type=_TYPES[row.kind], label=label)
    if row.nested is not None:
        field.type_name = f".sample.{row.nested.__name__}"
    if row.oneof:
        field.oneof_index = [decl.name for decl in target.oneof_decl].index(row.oneof)


def to_protobuf(instance: Any, target: Message) -> None:
    """Copy a codec message into google.protobuf's, field by field."""
    for row in codec.describe(type(instance)):
        value = getattr(instance, row.oneof or row.name)
        name = f"{row.oneof}_{row.name}" if row.oneof else row.name
        if row.oneof and type(value) is not row.nested:
            continue
        if row.kind == "amount":
            value = value.to_bytes((value.bit_length() + 7) // 8, "big")
        if row.kind == "message" and row.repeated:
            for item in value:
                to_protobuf(item, getattr(target, name).add())
        elif row.kind == "message":
            if value is not None:
                getattr(target, name).SetInParent()
                to_protobuf(value, getattr(target, name))
        elif row.repeated:
            getattr(target, name).extend(value)
        else:
            setattr(target, name, value)
