"""The charter's TOML source: strict, complete in its complaints, and the same charter when written back."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from charter_builder import ADDRESS, BTC, charter, paying_only, rule
from strongroom.ledger.charter import (
    AnyDestination,
    AssetAmount,
    Deny,
    Destinations,
    Quorum,
    decode_charter,
    encode_charter,
)
from strongroom.ledger.charter_check import check_charter
from strongroom.ledger.charter_source import SourceInvalid, charter_to_toml, parse_charter_toml

EXAMPLE = Path(__file__).parents[3] / "docs" / "examples" / "charter.example.toml"
SALT = bytes(range(32))


def problems_of(text: str) -> list[str]:
    with pytest.raises(SourceInvalid) as caught:
        parse_charter_toml(text, salt=SALT)
    assert caught.value.reason == "CHARTER_SOURCE_INVALID"
    return [str(problem) for problem in caught.value.problems]


def problems_after(old: str, new: str) -> list[str]:
    source = charter_to_toml(charter())
    assert old in source
    return problems_of(source.replace(old, new, 1))


def test_the_example_is_a_charter_without_findings() -> None:
    example = parse_charter_toml(EXAMPLE.read_text(), salt=SALT)
    assert check_charter(example).findings == ()
    assert decode_charter(encode_charter(example)) == example
    assert example.rules[0].maximum == (AssetAmount(asset=BTC, amount=50_000_000),)
    assert example.rules[1].limits[1].window_ms == 7 * 24 * 3_600_000
    assert example.rules[1].approvals == (Quorum(group="treasury", count=2), Quorum(group="admins", count=1))
    assert example.rules[2].to == Destinations(addresses=(ADDRESS,))
    assert example.denies[0].assets == (BTC,)
    assert [person.name for person in example.people if person.machine] == ["shop"]


def test_a_charter_written_as_source_reads_back_the_same() -> None:
    denies = (
        Deny(name='a "quoted" \\ name', vaults=("*",), to=paying_only(ADDRESS), assets=(BTC,)),
        Deny(name="é", vaults=("a*", "b"), to=AnyDestination(), assets=()),
    )
    book = charter(
        denies=denies, rules=(rule(to=paying_only(ADDRESS)), rule(name="2", approvals=(), limits=(), machine=True))
    )
    assert parse_charter_toml(charter_to_toml(book), salt=book.salt) == book


def test_all_problems_are_reported_at_once_with_their_lines() -> None:
    source = charter_to_toml(charter())
    for old, new in (
        ('name = "alice"', 'name = "Alice"'),
        ('BTC = "2.5"', "BTC = 2.5"),
        ('delay = "0s"', 'delay = "soon"\nurgent = true'),
        ("per_vbyte = 200", 'per_vbyte = "200"'),
    ):
        source = source.replace(old, new, 1)
    lines = source.splitlines()
    problems = problems_of(source)
    places = [re.match(r"(.*) \(line (\d+)\)", problem) for problem in problems]
    found = {place.group(1): lines[int(place.group(2)) - 1] for place in places if place}
    assert found == {
        "person 1.name": 'name = "Alice"',
        "rule 1.max.BTC": "max = { BTC = 2.5 }",
        "rule 1.delay": 'delay = "soon"',
        "rule 1.urgent": "urgent = true",
        "fees.per_vbyte": 'per_vbyte = "200"',
    }


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('BTC = "2.5"', 'BTC = "2.500000001"', "9 decimals"),
        ('BTC = "2.5"', 'BTC = "0"', "out of range"),
        ('BTC = "2.5"', 'BTC = "1e3"', "not an amount"),
        ('BTC = "2.5"', 'ETH = "2.5"', "ETH is not the symbol"),
        ('max = { BTC = "2.5" }', "max = {}", "names no asset"),
        ('max = { BTC = "2.5" }', "", "rule 1.max (line"),
        ('to = "any"', 'to = "own-vaults"', '"own-vaults" is not in rule set 1'),
        ('to = "any"', 'to = "all"', '"all" is not known'),
        ('to = "any"', 'to = "adress-book"', 'write "any", "address-book" or a list'),
        ("[amendments]", "[address_book]\n\n[amendments]", "address_book.add"),
        ("[amendments]", "[address_book]\nwhen = 1\n[amendments]", "address_book.when"),
        ("[amendments]", "[break_glass]\n\n[amendments]", "break_glass.quorum"),
        ("[amendments]", '[break_glass]\naddresses = [{ vault = "Cold", address = "x" }]\n[amendments]', "form"),
        ("[amendments]", "[break_glass]\naddresses = []\n[amendments]", "1 to 100"),
        ('lapse = "24h"', 'lapse = "24h"\nunfreeze_delay = 1', "freeze.unfreeze_delay"),
        ('to = "any"', "to = []", "1 to 500 items"),
        ('to = "any"', f'to = ["{ADDRESS}", "{ADDRESS}"]', "twice"),
        ('vaults = ["customer-*"]', 'vaults = ["Customer-*"]', "form"),
        ('vaults = ["customer-*"]', "vaults = [1]", "must be a str"),
        ('"group:treasury"', '"treasury"', "form"),
        ('window = "24h", ', "", "limits 1.window"),
        ("count = 2", "count = true", "not true or false"),
        ("count = 2", "count = 0", "1 to 500"),
        ("decimals = 8", "decimals = 37", "0 to 36"),
        ("decimals = 8", "decimals = 8.0", "a number with a point"),
        ('symbol = "BTC"', 'symbol = "window"', "own meaning"),
        ("ed25519:", "ED25519:", "form"),
        ("[quorums]", "[quorums]\nowner = 1", "quorums.owner"),
        ("machine = true", 'machine = "yes"', "true or false"),
        ("version = 1", "version = 1979-05-27", "a date or time"),
        ("[fees]", "[[fees]]", "must be a table, not a list"),
        ('organisation = "acme"', 'organisation = "acme"\nperson = "bob"', "is not TOML"),
        ('name = "daily customer withdrawals"', 'name = "emoji \U0001f600"', "character outside"),
        ('name = "daily customer withdrawals"', f'name = "{"x" * 81}"', "80 bytes"),
    ],
)
def test_a_wrong_part_is_refused_with_its_place(old: str, new: str, words: str) -> None:
    problems = problems_after(old, new)
    assert any(words in problem for problem in problems), problems


def test_an_empty_source_misses_every_section() -> None:
    missing = {problem.partition(":")[0] for problem in problems_of("")}
    assert missing >= {
        "version",
        "organisation",
        "person",
        "group",
        "signer",
        "asset",
        "rule",
        "quorums",
        "fees",
        "log",
    }


def test_what_is_not_toml_is_refused_with_the_parsers_place() -> None:
    assert "line 2" in problems_of("version = 1\nname = \n")[0]
    assert "longer" in problems_of("#" * 1_000_001)[0]
    assert "not TOML" in problems_of("a = " + "[" * 5_000)[0]
