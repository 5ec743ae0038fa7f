"""Amounts, durations and times as text."""

from __future__ import annotations

import pytest

from strongroom.model.quantities import (
    BadQuantity,
    decimal_text,
    duration_text,
    parse_decimal,
    parse_duration,
    time_text,
)


@pytest.mark.parametrize(
    ("text", "decimals", "amount"),
    [("2.5", 8, 250_000_000), ("0.00000001", 8, 1), ("40", 8, 4_000_000_000), ("7", 0, 7), ("1.50", 2, 150)],
)
def test_amounts_are_read_without_rounding(text: str, decimals: int, amount: int) -> None:
    assert parse_decimal(text, decimals) == amount


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0",
        "0.0",
        "-1",
        "+1",
        "1e3",
        "1_000",
        "1,5",
        ".5",
        "5.",
        "01",
        " 1",
        "1 ",
        "1.000000001",
        "inf",
        "٣",
        "9" * 101,
    ],
)
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(BadQuantity):
        parse_decimal(text, 8)


def test_an_amount_is_below_two_to_the_256() -> None:
    assert parse_decimal(str(2**256 - 1), 0) == 2**256 - 1
    with pytest.raises(BadQuantity):
        parse_decimal(str(2**256), 0)


@pytest.mark.parametrize(
    ("amount", "decimals", "text"), [(250_000_000, 8, "2.5"), (100, 2, "1"), (1, 8, "0.00000001"), (70, 0, "70")]
)
def test_amounts_are_written_as_people_do(amount: int, decimals: int, text: str) -> None:
    assert decimal_text(amount, decimals) == text


@pytest.mark.parametrize(
    ("text", "ms"),
    [("24h", 86_400_000), ("10m", 600_000), ("0s", 0), ("7d", 604_800_000), ("250ms", 250), ("90s", 90_000)],
)
def test_durations_are_read(text: str, ms: int) -> None:
    assert parse_duration(text) == ms


@pytest.mark.parametrize("text", ["", "24", "h", "1.5h", "-1s", "1 h", "1H", "1h30m", "01s", "9999999999999999999999d"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(BadQuantity):
        parse_duration(text)


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (86_400_000, "24h"),
        (172_800_000, "2d"),
        (604_800_000, "7d"),
        (90_000, "90s"),
        (0, "0s"),
        (5_400_000, "90m"),
        (1, "1ms"),
    ],
)
def test_durations_are_written_in_the_largest_unit_that_divides(ms: int, text: str) -> None:
    assert duration_text(ms) == text


def test_a_time_is_never_shown_too_early() -> None:
    assert time_text(0) == "1970-01-01 00:00:00 UTC"
    assert time_text(1) == "1970-01-01 00:00:01 UTC"
    assert time_text(253_402_300_799_000) == "the year 10000 or later"
    assert time_text(2**64 - 1) == "the year 10000 or later"
