from __future__ import annotations

import dataclasses
import unicodedata
from enum import IntEnum
from typing import Any, ClassVar

import pytest

from codec_samples import Child, Empty, Everything, Parent, Verb, child, everything
from strongroom.ledger import codec
from strongroom.ledger.codec import NotCanonical, decode, encode, message
from strongroom.model.errors import Kind


def field(number: int, payload: bytes) -> bytes:
    """One length-prefixed field with a small number and payload."""
    return bytes((number << 3 | 2, len(payload))) + payload


# The required fields of `Everything` one by one, so that a test can leave one out or put one wrong.
PARTS = {
    1: field(1, b"hot-1"),
    2: field(2, b"x"),
    3: field(3, b"\x05"),
    6: b"\x30\x02",
    7: field(7, bytes(32)),
    8: field(8, b"body"),
    9: field(9, b""),
    12: field(12, b"abcd"),
    2047: b"\xfa\x7f\x00",
}


def built(**changes: bytes) -> bytes:
    """The bytes of PARTS in order, with `f<number>` set to other bytes."""
    parts = PARTS | {int(name[1:]): value for name, value in changes.items()}
    return b"".join(parts[number] for number in sorted(parts))


def refusal(data: bytes, cls: type[Any] = Everything) -> NotCanonical:
    with pytest.raises(NotCanonical) as caught:
        decode(cls, data)
    return caught.value


def test_the_least_message_decodes_to_its_values_and_back() -> None:
    decoded = decode(Everything, built())
    assert decoded == everything(asset="x", amount=5)
    assert (decoded.height, decoded.flag, decoded.maybe, decoded.items, decoded.ints) == (0, False, None, (), ())
    assert decoded.head == b""
    assert encode(decoded) == built()


def test_a_full_message_decodes_to_its_values_and_back() -> None:
    full = everything(
        height=2**64 - 1,
        flag=True,
        verb=Verb.CANCEL,
        amount=2**256 - 1,
        maybe=child(number=1, tag=b"t", note="caf\u00e9"),
        items=(Parent(child=child(), word=Empty()), Parent(child=child(number=7), word=child())),
        hashes=(b"abcd", b"abcd", b"efgh"),
        names=("alice", "bob"),
        ints=(0, 1, 2**64 - 1),
        notes=("one", "two"),
        head=b"hd",
        action=Parent(child=child(), word=child(number=9)),
    )
    assert decode(Everything, encode(full)) == full


def test_a_refusal_names_path_offset_and_fault() -> None:
    items = field(11, field(1, b"") + field(3, b"")) + field(11, field(1, b"\x08\x00") + field(3, b""))
    data = built(f11=items)
    error = refusal(data)
    offset = data.index(b"\x08\x00") + 2
    assert error.facts == {"path": "Everything.items[1].child.number", "offset": str(offset)}
    assert str(error) == f"Everything.items[1].child.number at byte {offset}: a zero value must be absent"
    assert (error.reason, error.kind) == ("NOT_CANONICAL", Kind.INVALID_ARGUMENT)


@pytest.mark.attack(
    line="coordinator",
    title="other encodings of one message",
    origin="on paper: two builds that read one entry differently",
)
@pytest.mark.parametrize(
    ("changes", "path", "fault"),
    [
        ({"f1": b""}, "vault", "is missing"),
        ({"f6": b""}, "verb", "is missing"),
        ({"f9": b""}, "child", "is missing"),
        ({"f12": b""}, "hashes", "1 to 3 items, not 0"),
        ({"f2047": b""}, "action", "is missing"),
        ({"f1": field(1, b"")}, "vault", "1 to 40 characters"),
        ({"f1": field(1, b"Hot")}, "vault", "1 to 40 characters"),
        ({"f1": field(1, b"hot\n")}, "vault", "1 to 40 characters"),
        ({"f1": field(1, b"x" * 41)}, "vault", "1 to 40 characters"),
        ({"f2": field(2, b"")}, "asset", "1 to 128 bytes"),
        ({"f2": b"\x12\x81\x01" + b"x" * 129}, "asset", "1 to 128 bytes"),
        ({"f2": field(2, b"\xff")}, "asset", "not UTF-8"),
        ({"f2": field(2, b"\xc0\x80")}, "asset", "not UTF-8"),
        ({"f2": field(2, b"\xed\xa0\x80")}, "asset", "not UTF-8"),
        ({"f2": field(2, "e\u0301".encode())}, "asset", "outside"),
        ({"f3": field(3, b"")}, "amount", "1 to 32 bytes"),
        ({"f3": field(3, b"\0")}, "amount", "begin with a zero"),
        ({"f3": field(3, b"\0\1")}, "amount", "begin with a zero"),
        ({"f3": field(3, b"\1" * 33)}, "amount", "1 to 32 bytes"),
        ({"f4": b"\x20\x00"}, "height", "must be absent"),
        ({"f4": b"\x20\x81\x00"}, "height", "longer than it needs"),
        ({"f4": b"\x20" + b"\xff" * 9 + b"\x02"}, "height", "above 2^64-1"),
        ({"f4": b"\x20" + b"\xff" * 10 + b"\x01"}, "height", "longer than 10 bytes"),
        ({"f5": b"\x28\x00"}, "flag", "must be absent"),
        ({"f5": b"\x28\x02"}, "flag", "0 or 1"),
        ({"f6": b"\x30\x00"}, "verb", "0 is no Verb"),
        ({"f6": b"\x30\x03"}, "verb", "3 is no Verb"),
        ({"f7": field(7, bytes(31))}, "digest", "must be 32 bytes, not 31"),
        ({"f7": field(7, bytes(33))}, "digest", "must be 32 bytes, not 33"),
        ({"f8": field(8, b"")}, "body", "1 to 200 bytes"),
        ({"f8": b"\x42\xc9\x01" + bytes(201)}, "body", "1 to 200 bytes"),
        ({"f9": field(9, b"\x20\x01")}, "child", "field 4 of wire type 0 is unknown"),
        ({"f9": field(9, b"\x12\x00")}, "child.tag", "1 to 20 bytes"),
        ({"f9": field(9, b"\x1a\x00")}, "child.note", "1 to 30 bytes"),
        ({"f9": field(9, b"\x12\x05ab")}, "child.tag", "5 bytes, 2 are left"),
        ({"f9": field(9, b"\x12")}, "child.tag", "cut short"),
        ({"f9": field(9, b"\x08")}, "child.number", "cut short"),
        ({"f9": field(9, b"\x08\x80")}, "child.number", "cut short"),
        ({"f12": field(12, b"abcd") * 4}, "hashes", "1 to 3 items, not 4"),
        ({"f12": field(12, b"abcd") + field(12, b"abc")}, "hashes[1]", "must be 4 bytes"),
        ({"f13": field(13, b"a") + field(13, b"")}, "names[1]", "1 to 40"),
        ({"f15": field(15, b"")}, "ints", "empty list must be absent"),
        ({"f15": field(15, b"\x01\x80\x00")}, "ints", "longer than it needs"),
        ({"f15": field(15, b"\x01\x80")}, "ints", "cut short"),
        ({"f15": field(15, b"\x01" * 7)}, "ints", "0 to 6 items, not 7"),
        ({"f16": b"\x82\x01\x00"}, "notes[0]", "1 to 9 bytes"),
        ({"f17": b"\x8a\x01\x00"}, "head", "must be 2 bytes"),
        ({"f17": b"\x8a\x81\x00\x02ab"}, "", "longer than it needs"),
    ],
)
def test_everything_but_the_one_encoding_is_refused(changes: dict[str, bytes], path: str, fault: str) -> None:
    error = refusal(built(**changes))
    assert error.facts["path"] == f"Everything.{path}".rstrip(".")
    assert fault in str(error)


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"f14": b"\x70\x01"}, "field 14 of wire type 0 is unknown"),
        ({"f4": field(4, b"\x01")}, "field 4 of wire type 2 is unknown"),
        ({"f4": b"\x21" + bytes(8)}, "field 4 of wire type 1 is unknown"),
        ({"f4": b"\x25" + bytes(4)}, "field 4 of wire type 5 is unknown"),
        ({"f4": b"\x23\x24"}, "field 4 of wire type 3 is unknown"),
        ({"f15": b"\x78\x01"}, "field 15 of wire type 0 is unknown"),
        ({"f1": PARTS[1] * 2}, "field 1 comes after field 1"),
        ({"f4": b"\x20\x01\x20\x02"}, "field 4 comes after field 4"),
        ({"f15": field(15, b"\x01") * 2}, "field 15 comes after field 15"),
        ({"f9": PARTS[9] * 2}, "field 9 comes after field 9"),
        ({"f1": PARTS[2], "f2": PARTS[1]}, "field 1 comes after field 2"),
        ({"f13": field(13, b"a") + PARTS[12]}, "field 12 comes after field 13"),
        ({"f20": b"\xa2\x01\x00"}, "field 2047 is a second alternative of action"),
        ({"f0": b"\x02\x00"}, "field 0 of wire type 2 is unknown"),
        ({"f2047": PARTS[2047] + b"\0"}, "field 0 of wire type 0 is unknown"),
        ({"f2047": b"\xfa\xff\xff\xff\xff\xff\xff\xff\xff\x7f\x00"}, "above 2^64-1"),
    ],
)
def test_fields_out_of_place_are_refused(changes: dict[str, bytes], fault: str) -> None:
    assert fault in str(refusal(built(**changes)))


def test_every_cut_of_a_message_is_refused() -> None:
    whole = encode(everything(names=("a", "b"), ints=(1, 2), maybe=child(number=300)))
    for length in range(len(whole)):
        refusal(whole[:length])


def test_a_length_beyond_its_own_message_is_refused_even_when_bytes_follow() -> None:
    """The inner length may not reach into the outer message."""
    error = refusal(built(f9=field(9, b"\x12\x03ab")))
    assert error.facts["path"] == "Everything.child.tag"


def test_the_size_cap_comes_before_any_work() -> None:
    whole = built()
    assert decode(Everything, whole, max_size=len(whole)) == decode(Everything, whole)
    with pytest.raises(NotCanonical, match="more than"):
        decode(Everything, whole, max_size=len(whole) - 1)
    with pytest.raises(NotCanonical, match="65536 bytes, more than 65535"):
        decode(Everything, bytes(65_536))


def test_only_bytes_are_decoded_and_only_messages_encoded() -> None:
    for wrong in (bytearray(built()), memoryview(built()), "x"):
        with pytest.raises(TypeError):
            decode(Everything, wrong)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        decode(int, b"")
    with pytest.raises(TypeError):
        encode(5)


@pytest.mark.parametrize(
    ("changes", "path", "fault"),
    [
        ({"vault": "Hot"}, "vault", "1 to 40"),
        ({"vault": "hot\n"}, "vault", "1 to 40"),
        ({"vault": "\ud800"}, "vault", "1 to 40"),
        ({"vault": b"hot"}, "vault", "must be a str"),
        ({"asset": ""}, "asset", "1 to 128 bytes"),
        ({"asset": "\u00e9" * 65}, "asset", "1 to 128 bytes of UTF-8, not 130"),
        ({"asset": "\ud800"}, "asset", "outside"),
        ({"asset": "a\u200db"}, "asset", "outside"),
        ({"amount": 0}, "amount", "1 to 2^256-1"),
        ({"amount": -1}, "amount", "1 to 2^256-1"),
        ({"amount": 2**256}, "amount", "1 to 2^256-1"),
        ({"amount": True}, "amount", "must be an int"),
        ({"height": -1}, "height", "0 to 2^64-1"),
        ({"height": 2**64}, "height", "0 to 2^64-1"),
        ({"height": 1.0}, "height", "must be an int"),
        ({"height": False}, "height", "must be an int"),
        ({"height": Verb.REJECT}, "height", "must be an int"),
        ({"flag": 0}, "flag", "must be a bool"),
        ({"flag": 1}, "flag", "must be a bool"),
        ({"verb": 2}, "verb", "must be a Verb"),
        ({"verb": None}, "verb", "must be a Verb"),
        ({"digest": bytes(31)}, "digest", "must be 32 bytes"),
        ({"digest": b""}, "digest", "must be 32 bytes"),
        ({"digest": bytearray(32)}, "digest", "must be bytes"),
        ({"body": b""}, "body", "1 to 200"),
        ({"child": None}, "child", "must be a Child"),
        ({"child": Empty()}, "child", "must be a Child"),
        ({"maybe": Empty()}, "maybe", "must be a Child"),
        ({"maybe": b""}, "maybe", "must be a Child"),
        ({"items": [Parent(child=child(), word=Empty())]}, "items", "must be a tuple"),
        ({"items": (child(),)}, "items[0]", "must be a Parent"),
        ({"hashes": ()}, "hashes", "1 to 3 items"),
        ({"hashes": (b"abcd",) * 4}, "hashes", "1 to 3 items"),
        ({"hashes": (b"abcd", b"x")}, "hashes[1]", "must be 4 bytes"),
        ({"names": ("a", "B")}, "names[1]", "1 to 40"),
        ({"ints": (1, -1)}, "ints[1]", "0 to 2^64-1"),
        ({"notes": ("",)}, "notes[0]", "1 to 9"),
        ({"head": b"x"}, "head", "must be 2 bytes"),
        ({"head": ""}, "head", "must be bytes"),
        ({"action": None}, "action", "must be one of Child, Empty, Parent"),
        ({"action": everything()}, "action", "must be one of"),
    ],
)
def test_a_value_that_could_not_be_decoded_cannot_be_constructed(
    changes: dict[str, Any], path: str, fault: str
) -> None:
    with pytest.raises(NotCanonical) as caught:
        everything(**changes)
    assert caught.value.facts == {"path": f"Everything.{path}"}
    assert fault in str(caught.value)


def test_a_message_is_frozen_slotted_and_keyword_only() -> None:
    one = child(number=1)
    with pytest.raises(dataclasses.FrozenInstanceError):
        one.number = 2  # type: ignore[misc]
    assert not hasattr(one, "__dict__")
    with pytest.raises(TypeError):
        Parent(one, one)  # type: ignore[call-arg]
    assert hash(one) == hash(decode(Child, encode(one)))
    with pytest.raises(NotCanonical):
        dataclasses.replace(one, number=-1)


def test_the_allowed_characters_are_nfc_stable_and_visible() -> None:
    """What the fixed list promises, checked against this Python's Unicode tables; also for any two side by side."""
    allowed = []
    for code in range(0x250):
        try:
            child(note=chr(code))
        except NotCanonical:
            continue
        allowed.append(chr(code))
    assert allowed == [chr(c) for c in (*range(0x20, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x180))]
    for one in allowed:
        assert unicodedata.category(one)[0] in "LMNPSZ"
        assert unicodedata.combining(one) == 0
        for two in allowed:
            assert unicodedata.is_normalized("NFC", one + two)
    assert [c for c in allowed if unicodedata.category(c).startswith(("Z", "M"))] == [" "]


@pytest.mark.parametrize(
    "character", ["\u202e", "\u2066", "\u2028", "\u0301", "\ufeff", "\U0001f600", "\u0400", "\u3000"]
)
def test_other_characters_are_refused_in_both_directions(character: str) -> None:
    with pytest.raises(NotCanonical):
        child(note=f"a{character}")
    refusal(field(3, f"a{character}".encode()), Child)


def test_a_class_check_runs_on_construction_and_on_decoding() -> None:
    @message
    class Ordered:
        """Two numbers of which the second is higher."""

        LIMIT: ClassVar[int] = 5
        low: int = codec.u64(1)
        high: int = codec.u64(2)

        def __post_init__(self) -> None:
            if self.low >= self.high:
                raise NotCanonical("low must be below high", path="Ordered")

        @property
        def span(self) -> int:
            return self.high - self.low

    assert decode(Ordered, b"\x08\x01\x10\x03").span == 2
    assert Ordered(low=1, high=3).LIMIT == 5
    with pytest.raises(NotCanonical, match="below"):
        Ordered(low=3, high=3)
    with pytest.raises(NotCanonical, match="below"):
        decode(Ordered, b"\x08\x03\x10\x03")


def declared(**fields: Any) -> type[Any]:
    made = type("Declared", (), {"__annotations__": dict.fromkeys(fields, "Any"), **fields})
    return message(made)


def test_declarations_without_one_encoding_are_refused() -> None:
    class Zero(IntEnum):
        UNSET = 0

    declared(a=codec.u64(1), b=codec.u64(2047))
    with pytest.raises(TypeError, match="number 1 must be"):
        declared(a=codec.u64(2), b=codec.u64(1))
    with pytest.raises(TypeError, match="number 1 must be"):
        declared(a=codec.u64(1), b=codec.u64(1))
    with pytest.raises(TypeError, match="number 3 must be"):
        declared(a=codec.oneof({2: Child, 5: Empty}), b=codec.u64(3))
    with pytest.raises(TypeError, match="number 2048"):
        declared(a=codec.u64(2048))
    with pytest.raises(TypeError, match="number 0"):
        declared(a=codec.u64(0))
    with pytest.raises(TypeError, match="without a codec function"):
        declared(a=5)
    with pytest.raises(TypeError, match="distinct"):
        codec.oneof({1: Child, 2: Child})
    with pytest.raises(TypeError, match="members must number"):
        codec.enum(1, Zero)
    with pytest.raises(TypeError, match="not a message class"):
        codec.embedded(1, int)
    with pytest.raises(TypeError, match="allow nothing"):
        codec.repeated_u64(1, minimum=2, maximum=1)


def test_messages_nest_eight_deep_and_no_deeper() -> None:
    inner: type[Any] = Empty
    for _ in range(7):
        inner = declared(a=codec.embedded(1, inner))
    data = b""
    for _ in range(7):
        data = field(1, data)
    assert encode(decode(inner, data)) == data
    with pytest.raises(TypeError, match="nests 9 deep"):
        declared(a=codec.embedded(1, inner))


def test_the_description_lists_every_number() -> None:
    rows = {row.number: row for row in codec.describe(Everything)}
    assert list(rows) == [*range(1, 14), 15, 16, 17, 20, 21, 2047]
    assert rows[6].nested is Verb
    assert (rows[11].kind, rows[11].nested, rows[11].repeated, rows[11].packed) == ("message", Parent, True, False)
    assert (rows[15].kind, rows[15].repeated, rows[15].packed) == ("u64", True, True)
    assert [(rows[n].oneof, rows[n].name, rows[n].nested) for n in (20, 21, 2047)] == [
        ("action", "child", Child),
        ("action", "parent", Parent),
        ("action", "empty", Empty),
    ]
    assert [n for n, row in rows.items() if row.optional] == [4, 5, 10, 11, 13, 15, 16, 17]
