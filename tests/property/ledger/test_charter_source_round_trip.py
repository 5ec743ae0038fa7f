"""Any charter that its source can express comes back the same from its source."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from charter_builder import ADDRESS, BTC, charter, person, rule
from strongroom.ledger.charter import (
    AddressBook,
    AnyDestination,
    Asset,
    AssetAmount,
    BreakGlassRules,
    Charter,
    Deny,
    Destinations,
    Fees,
    Group,
    Limit,
    LogQuotas,
    Quorum,
    RecoveryAddress,
)
from strongroom.ledger.charter_source import SourceInvalid, charter_to_toml, parse_charter_toml

letters = st.sampled_from([chr(c) for c in (*range(0x20, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x180))])
names = st.text(alphabet="abz019-", min_size=1, max_size=40)
u64 = st.integers(0, 2**64 - 1)
ASSETS = (
    Asset(symbol="BTC", id=BTC, decimals=8),
    Asset(symbol='a.b "é', id="odd", decimals=0),
    Asset(symbol="W", id="18", decimals=18),
)


def texts(max_bytes: int) -> st.SearchStrategy[str]:
    return st.text(alphabet=letters, min_size=1, max_size=max_bytes // 2)


def several(items: st.SearchStrategy[Any], least: int = 1) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(items, min_size=least, max_size=3, unique=True).map(tuple)


quorums = st.builds(Quorum, group=names, count=st.integers(1, 500))
amounts = st.lists(
    st.builds(AssetAmount, asset=st.sampled_from([a.id for a in ASSETS]), amount=st.integers(1, 2**256 - 1)),
    min_size=1,
    max_size=3,
    unique_by=lambda item: item.asset,
).map(tuple)
globs = several(st.text(alphabet="ab1-*", min_size=1, max_size=40))
targets = st.one_of(
    st.just(AnyDestination()), st.builds(Destinations, addresses=several(st.sampled_from([ADDRESS, "x", 'y"\\'])))
)
rules = st.builds(
    rule,
    name=texts(80),
    vaults=globs,
    to=st.one_of(targets, st.just(AddressBook())),
    maximum=amounts,
    limits=st.lists(st.builds(Limit, window_ms=u64, amounts=amounts), max_size=2).map(tuple),
    initiated=several(st.builds("{}:{}".format, st.sampled_from(["group", "person"]), names)),
    approvals=st.lists(quorums, max_size=2).map(tuple),
    delay_ms=u64,
    machine=st.booleans(),
)
denies = st.builds(
    Deny, name=texts(80), vaults=globs, to=targets, assets=several(st.sampled_from([a.id for a in ASSETS]), 0)
)
glass = st.builds(
    BreakGlassRules,
    quorum=quorums,
    delay_ms=u64,
    box_ms=u64,
    addresses=several(
        st.builds(RecoveryAddress, vault=st.text(alphabet="ab1-*", min_size=1, max_size=40), address=texts(128))
    ),
)
books = st.one_of(st.just((None, 0)), st.tuples(quorums, u64))


def with_book(book: tuple[Quorum | None, int], **parts: Any) -> Charter:
    return charter(destinations=book[0], destination_cooling_ms=book[1], **parts)


charters = st.builds(
    with_book,
    books,
    salt=st.binary(min_size=32, max_size=32),
    version=st.integers(1, 2**64 - 1),
    organisation=names,
    witness_quorum=st.integers(1, 2**64 - 1),
    people=several(st.builds(person, names, machine=st.booleans())),
    groups=several(st.builds(Group, name=names, members=several(names))),
    assets=st.just(ASSETS),
    rules=st.lists(rules, min_size=1, max_size=3).map(tuple),
    denies=st.lists(denies, max_size=2).map(tuple),
    admin=quorums,
    officers=names,
    freeze_lapse_ms=u64,
    loosening_delay_ms=u64,
    fees=st.builds(Fees, per_vbyte=u64, per_plan=u64, window_ms=u64, per_vault=u64),
    log=st.builds(LogQuotas, coordinator_bytes_per_day=u64, person_bytes_per_day=u64),
    unfreeze_delay_ms=u64,
    break_glass=st.one_of(st.none(), glass),
)


@given(book=charters)
@settings(max_examples=60, deadline=None)
def test_a_charter_comes_back_from_its_source(book: Charter) -> None:
    assert parse_charter_toml(charter_to_toml(book), salt=book.salt) == book


@given(text=st.text(max_size=200))
@settings(max_examples=150, deadline=None)
def test_any_other_text_is_refused_and_nothing_else_is_raised(text: str) -> None:
    with suppress(SourceInvalid):
        parse_charter_toml(text, salt=bytes(32))


@given(position=st.integers(0, 3_000), junk=st.sampled_from(['"', "[", "]", "=", "0", "\n", "x", "{", "-", "1.5"]))
@settings(max_examples=150, deadline=None)
def test_a_changed_source_is_read_or_refused(position: int, junk: str) -> None:
    source = charter_to_toml(charter())
    at = position % len(source)
    with suppress(SourceInvalid):
        parse_charter_toml(source[:at] + junk + source[at + 1 :], salt=bytes(32))
