"""Public points: strict parsing, infinity, and agreement with the group law."""

from __future__ import annotations

import pytest

from strongroom.crypto.curve import GENERATOR, INFINITY, ORDER, Point, ecdh, lagrange_coefficients
from strongroom.crypto.errors import InvalidInput, InvalidPoint
from strongroom.crypto.secret import SecretScalar

FIELD = 2**256 - 2**32 - 977
G = GENERATOR.serialise()


@pytest.mark.parametrize(
    "encoded",
    [
        b"",
        G[:32],
        G + b"\x00",
        b"\x04" + G[1:],
        b"\x00" * 33,
        b"\x01" + G[1:],
        b"\x02" + FIELD.to_bytes(32, "big"),
        b"\x02" + (FIELD + 1).to_bytes(32, "big"),
        b"\x02" + bytes(31) + b"\x05",
    ],
)
def test_malformed_points_are_refused(encoded: bytes) -> None:
    with pytest.raises(InvalidPoint):
        Point.parse(encoded)


@pytest.mark.parametrize("encoded", [b"", G, G[1:32], FIELD.to_bytes(32, "big"), bytes(31) + b"\x05"])
def test_malformed_x_coordinates_are_refused(encoded: bytes) -> None:
    with pytest.raises(InvalidPoint):
        Point.parse_xonly(encoded)


def test_uncompressed_and_hybrid_points_are_refused() -> None:
    full = bytes.fromhex(
        "0479be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"
        "483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8"
    )
    for prefix in (b"\x04", b"\x06", b"\x07"):
        with pytest.raises(InvalidPoint):
            Point.parse(prefix + full[1:])


def test_infinity_is_neutral_and_has_no_coordinates() -> None:
    assert Point.parse_or_infinity(bytes(33)) == INFINITY
    assert INFINITY.serialise() == bytes(33)
    assert GENERATOR + INFINITY == GENERATOR
    assert -INFINITY == INFINITY
    assert INFINITY * 5 == INFINITY
    assert Point.sum(()) == INFINITY
    assert GENERATOR + -GENERATOR == INFINITY
    assert Point.generator_times(0) == Point.generator_times(ORDER) == GENERATOR * ORDER == INFINITY
    with pytest.raises(InvalidPoint, match="no x"):
        INFINITY.xonly()
    with pytest.raises(InvalidPoint, match="no y"):
        _ = INFINITY.has_even_y
    with pytest.raises(InvalidPoint, match="infinity"):
        ecdh(SecretScalar.from_bytes(bytes(31) + b"\x01"), INFINITY)


def test_scalars_are_taken_modulo_the_order() -> None:
    assert GENERATOR * (ORDER + 3) == GENERATOR * 3 == GENERATOR + GENERATOR + GENERATOR
    assert GENERATOR * -1 == -GENERATOR
    assert 3 * GENERATOR == Point.generator_times(3)
    assert GENERATOR * 1 == GENERATOR


def test_operations_leave_their_operands_alone() -> None:
    point = Point.generator_times(9)
    before = point.serialise()
    for result in (point * 7, -point, point + GENERATOR, point.plus_generator_times(2)):
        assert result != point
    assert Point.parse(before) == point
    assert Point.parse(point.serialise()) == point


def test_points_compare_by_value() -> None:
    assert len({Point.generator_times(2), GENERATOR + GENERATOR, INFINITY}) == 2
    assert GENERATOR != G
    assert repr(GENERATOR) == f"Point({G.hex()})"


def test_both_sides_share_one_ecdh_secret() -> None:
    one, two = (SecretScalar.from_bytes(bytes(31) + bytes((value,))) for value in (5, 6))
    assert ecdh(one, Point.public_of(two)) == ecdh(two, Point.public_of(one))
    assert ecdh(one, GENERATOR) != ecdh(two, GENERATOR)


def test_interpolation_needs_distinct_identifiers() -> None:
    assert lagrange_coefficients((0,)) == (1,)
    assert lagrange_coefficients((0, 1)) == (2, ORDER - 1)
    with pytest.raises(InvalidInput, match="repeat"):
        lagrange_coefficients((0, 1, 0))
