from __future__ import annotations

import dataclasses
from typing import Any

from google.protobuf.message import Message
from hypothesis import given, settings
from hypothesis import strategies as st

from codec_samples import Child, Empty, Everything, Parent, Verb, protobuf_class, to_protobuf
from strongroom.ledger.codec import NotCanonical, decode, encode

U64 = st.one_of(st.integers(0, 300), st.integers(0, 2**64 - 1), st.sampled_from([127, 128, 2**63, 2**64 - 1]))
CHARACTERS = st.one_of(
    st.characters(min_codepoint=0x20, max_codepoint=0x7E),
    st.characters(min_codepoint=0xAE, max_codepoint=0x17F),
)
NAMES = st.from_regex(r"[a-z0-9-]{1,40}", fullmatch=True)
CHILDREN = st.builds(Child, number=U64, tag=st.binary(max_size=20), note=st.text(CHARACTERS, max_size=15))
PARENTS = st.builds(Parent, child=CHILDREN, word=st.one_of(CHILDREN, st.just(Empty())))


def tuples(items: st.SearchStrategy[Any], least: int, most: int) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(items, min_size=least, max_size=most).map(tuple)


MESSAGES = st.builds(
    Everything,
    vault=NAMES,
    asset=st.text(CHARACTERS, min_size=1, max_size=60),
    amount=st.one_of(st.integers(1, 300), st.integers(1, 2**256 - 1)),
    height=U64,
    flag=st.booleans(),
    verb=st.sampled_from(Verb),
    digest=st.binary(min_size=32, max_size=32),
    body=st.binary(min_size=1, max_size=200),
    child=CHILDREN,
    maybe=st.none() | CHILDREN,
    items=tuples(PARENTS, 0, 5),
    hashes=tuples(st.binary(min_size=4, max_size=4), 1, 3),
    names=tuples(NAMES, 0, 4),
    ints=tuples(U64, 0, 6),
    notes=tuples(st.text(CHARACTERS, min_size=1, max_size=4), 0, 3),
    head=st.sampled_from([b"", b"hd"]),
    action=st.one_of(CHILDREN, PARENTS, st.just(Empty())),
)
ORACLE = protobuf_class(Everything)


def reserialised(data: bytes) -> bytes:
    parsed: Message = ORACLE.FromString(data)
    return parsed.SerializeToString(deterministic=True)


@given(MESSAGES)
@settings(max_examples=150, deadline=None)
def test_every_message_has_the_bytes_that_protobuf_gives_it(instance: Everything) -> None:
    data = encode(instance)
    assert decode(Everything, data) == instance
    theirs = ORACLE()
    to_protobuf(instance, theirs)
    assert theirs.SerializeToString(deterministic=True) == data
    assert reserialised(data) == data


@given(MESSAGES, st.data())
@settings(max_examples=300, deadline=None)
def test_changed_bytes_are_refused_or_are_the_one_encoding_of_something_else(
    instance: Everything, data: st.DataObject
) -> None:
    changed = bytearray(encode(instance))
    for _ in range(data.draw(st.integers(1, 3))):
        position = data.draw(st.integers(0, len(changed) - 1))
        kind = data.draw(st.sampled_from(["set", "insert", "delete", "swap"]))
        if kind == "set":
            changed[position] = data.draw(st.integers(0, 255))
        elif kind == "insert":
            changed.insert(position, data.draw(st.sampled_from([0, 1, 2, 8, 127, 128, 255])))
        elif kind == "delete" and len(changed) > 1:
            del changed[position]
        else:
            changed = changed[position:] + changed[:position]
    check_any(bytes(changed))


@given(st.binary(max_size=120))
@settings(max_examples=300, deadline=None)
def test_arbitrary_bytes_raise_nothing_but_the_typed_refusal(data: bytes) -> None:
    check_any(data)
    for cls in (Child, Parent, Empty):
        try:
            decoded = decode(cls, data)
        except NotCanonical:
            continue
        assert encode(decoded) == data


def check_any(data: bytes) -> None:
    try:
        decoded = decode(Everything, data)
    except NotCanonical:
        return
    assert encode(decoded) == data
    assert dataclasses.replace(decoded) == decoded
    assert reserialised(data) == data
