"""proto/strongroom/ledger/v1, the codec's declarations and google.protobuf say the same of every ledger message."""

from __future__ import annotations

import ast
import importlib.resources
import inspect
import re
import sys
from enum import IntEnum
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from grpc_tools import protoc
from hypothesis import given, settings
from hypothesis import strategies as st

from strongroom.ledger import (
    certificate_messages,
    charter,
    codec,
    entry_messages,
    order_messages,
    records,
    recovery,
    signed_messages,
)
from strongroom.protocol import evidence_records, recovery_kit_records

ROOT = Path(__file__).parents[3]
PACKAGE = "strongroom.ledger.v1"
FILES = ("messages", "charter", "records", "evidence", "recovery", "recovery_kit")
PROTO_TYPES = {
    descriptor_pb2.FieldDescriptorProto.TYPE_UINT64: {"u64"},
    descriptor_pb2.FieldDescriptorProto.TYPE_BOOL: {"bool"},
    descriptor_pb2.FieldDescriptorProto.TYPE_BYTES: {"bytes", "fixed", "amount"},
    descriptor_pb2.FieldDescriptorProto.TYPE_STRING: {"name", "text"},
    descriptor_pb2.FieldDescriptorProto.TYPE_ENUM: {"enum"},
    descriptor_pb2.FieldDescriptorProto.TYPE_MESSAGE: {"message"},
}


MODULES = (
    order_messages,
    signed_messages,
    certificate_messages,
    entry_messages,
    charter,
    records,
    recovery,
    evidence_records,
    recovery_kit_records,
)


def ledger_classes() -> list[type[Any]]:
    """Every message class that these modules declare."""
    found = {}
    for module in MODULES:
        for name, kind in inspect.getmembers(module, inspect.isclass):
            if kind.__module__ == module.__name__ and not issubclass(kind, IntEnum):
                found[name] = kind
    return [found[name] for name in sorted(found)]


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> descriptor_pool.DescriptorPool:
    """The compiled descriptors of proto/strongroom/ledger/v1."""
    out = tmp_path_factory.mktemp("descriptors") / "ledger.bin"
    includes = importlib.resources.files("grpc_tools") / "_proto"
    paths = [f"strongroom/ledger/v1/{name}.proto" for name in FILES]
    code = protoc.main(["protoc", f"-I{ROOT / 'proto'}", f"-I{includes}", f"--descriptor_set_out={out}", *paths])
    assert code == 0
    pool = descriptor_pool.DescriptorPool()
    for file in descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes()).file:
        pool.Add(file)
    return pool


def test_every_message_and_field_is_documented_alike(pool: descriptor_pool.DescriptorPool) -> None:
    for kind in ledger_classes():
        described = pool.FindMessageTypeByName(f"{PACKAGE}.{kind.__name__}")
        rows = codec.describe(kind)
        assert [field.number for field in described.fields] == [row.number for row in rows], kind.__name__
        for field, row in zip(described.fields, rows, strict=True):
            assert (field.name, field.is_repeated) == (row.name, row.repeated), kind.__name__
            assert row.kind in PROTO_TYPES[field.type], f"{kind.__name__}.{row.name}"
            oneof = field.containing_oneof.name if field.containing_oneof else ""
            assert oneof == row.oneof, f"{kind.__name__}.{row.name}"
            if field.message_type is not None:
                assert row.nested is not None
                assert field.message_type.name == row.nested.__name__


def test_no_documented_message_is_missing_from_the_codec(pool: descriptor_pool.DescriptorPool) -> None:
    declared = {kind.__name__ for kind in ledger_classes()}
    for name in FILES:
        file = pool.FindFileByName(f"strongroom/ledger/v1/{name}.proto")
        assert set(file.message_types_by_name) <= declared


def test_enums_have_the_same_members(pool: descriptor_pool.DescriptorPool) -> None:
    enums = (
        signed_messages.Verb,
        order_messages.Scope,
        order_messages.CustodyClass,
        order_messages.Scheme,
        signed_messages.KeyType,
        signed_messages.Verdict,
        records.OrderState,
    )
    for kind in enums:
        described = pool.FindEnumTypeByName(f"{PACKAGE}.{kind.__name__}")
        prefix = re.sub(r"(?<!^)([A-Z])", r"_\1", kind.__name__).upper() + "_"
        members = {value.name.removeprefix(prefix): value.number for value in described.values}
        assert members.pop("UNSPECIFIED") == 0
        assert members == {member.name: int(member) for member in kind}


def values(row: codec.FieldRow) -> st.SearchStrategy[Any]:
    """Raw google.protobuf values for one field of a random message."""
    names = st.text("abcdefghijklmnopqrstuvwxyz0123456789-", min_size=1, max_size=12)
    return {
        "u64": st.integers(1, 2**64 - 1),
        "bool": st.just(True),
        "name": names,
        "text": names,
        "amount": st.integers(1, 2**200).map(lambda n: n.to_bytes((n.bit_length() + 7) // 8, "big")),
        "bytes": st.binary(min_size=1, max_size=40),
    }[row.kind]


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_google_protobuf_writes_the_same_bytes(pool: descriptor_pool.DescriptorPool, data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(ledger_classes()))
    other = message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{PACKAGE}.{kind.__name__}"))
    message = build(kind, data)
    encoded = codec.encode(message)
    parsed = other.FromString(encoded)
    assert parsed.SerializeToString(deterministic=True) == encoded
    assert codec.decode(kind, encoded, max_size=1 << 24) == message


def build(kind: type[Any], data: st.DataObject) -> Any:
    """A random instance of a message class, built from its own description."""
    sizes = FIXED_SIZES[kind.__name__]
    arguments: dict[str, Any] = {}
    rows = codec.describe(kind)
    for oneof in {row.oneof for row in rows if row.oneof}:
        chosen = data.draw(st.sampled_from([row for row in rows if row.oneof == oneof]))
        assert chosen.nested is not None
        arguments[oneof] = build(chosen.nested, data)
    for row in rows:
        if not row.oneof:
            arguments[row.name] = one(row, sizes, data)
    return kind(**arguments)


def one(row: codec.FieldRow, sizes: dict[str, int], data: st.DataObject) -> Any:
    """A value for one field; repeated fields get one or two."""

    def single() -> Any:
        if row.kind == "enum":
            assert row.nested is not None
            return data.draw(st.sampled_from(list(row.nested)))
        if row.kind == "message":
            assert row.nested is not None
            return build(row.nested, data)
        if row.kind == "fixed":
            size = sizes[row.name]
            return data.draw(st.binary(min_size=size, max_size=size))
        if row.kind == "amount":
            return data.draw(st.integers(1, 2**200))
        return data.draw(values(row))

    return tuple(single() for _ in range(data.draw(st.integers(1, 2)))) if row.repeated else single()


@cache
def class_sources(module: str) -> dict[str, str]:
    """The source of each class of a module, by name."""
    source = inspect.getsource(sys.modules[module])
    return {
        node.name: ast.get_source_segment(source, node) or ""
        for node in ast.parse(source).body
        if isinstance(node, ast.ClassDef)
    }


def fixed_sizes(kind: type[Any]) -> dict[str, int]:
    """Byte lengths of the fixed fields, read from the class's own source so that a change there is seen here."""
    source = class_sources(kind.__module__)[kind.__name__]
    pattern = r"(\w+): [^=\n]+= codec\.(?:repeated_)?fixed\(\s*\d+,\s*(\d+)"
    return {name: int(size) for name, size in re.findall(pattern, source)}


FIXED_SIZES = {kind.__name__: fixed_sizes(kind) for kind in ledger_classes()}
