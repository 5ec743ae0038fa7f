"""Fingerprints as people compare them."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.model.fingerprints import Compared, is_fingerprint, spoken

VALUE = bytes(range(32))
SPOKEN = spoken(Compared.CHARTER, VALUE)


def test_the_digits_are_the_documented_hash() -> None:
    digest = hashlib.sha256(b"strongroom/spoken/v1\0charter\0" + VALUE).digest()
    digits = f"{int.from_bytes(digest, 'big') % 10**40:040d}"
    assert SPOKEN.split() == [digits[i : i + 5] for i in range(0, 40, 5)]


@given(st.binary(min_size=32, max_size=32))
def test_every_fingerprint_is_eight_groups_of_five_digits(value: bytes) -> None:
    groups = spoken(Compared.CHARTER, value).split(" ")
    assert [len(group) for group in groups] == [5] * 8
    assert all(group.isascii() and group.isdigit() for group in groups)


def test_the_same_bytes_in_another_role_read_differently() -> None:
    assert SPOKEN != spoken(Compared.KEY_PARAMETERS, VALUE)


@pytest.mark.parametrize(
    "typed",
    [
        VALUE.hex(),
        VALUE.hex().upper(),
        " ".join(VALUE.hex()[i : i + 4] for i in range(0, 64, 4)),
        SPOKEN,
        SPOKEN.replace(" ", ""),
        SPOKEN.replace(" ", "-"),
        f"  {SPOKEN}\n",
    ],
)
def test_it_is_taken_as_people_copy_it(typed: str) -> None:
    assert is_fingerprint(typed, Compared.CHARTER, VALUE)


@pytest.mark.parametrize(
    "typed",
    [
        "",
        VALUE.hex()[:-1],
        VALUE.hex() + "0",
        SPOKEN[:-6],
        SPOKEN[6:],
        SPOKEN[:-1] + str((int(SPOKEN[-1]) + 1) % 10),
        spoken(Compared.KEY_PARAMETERS, VALUE),
        "\u0661\u0662",
    ],
)
def test_part_of_it_or_another_one_is_refused(typed: str) -> None:
    assert not is_fingerprint(typed, Compared.CHARTER, VALUE)
