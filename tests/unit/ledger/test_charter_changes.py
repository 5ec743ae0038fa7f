"""What an amendment changes, in plain words, and which changes loosen."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest

from charter_builder import ADDRESS, BTC, COIN, HOUR_MS, charter, paying_only, person, rule, signer, signing_key
from strongroom.ledger.charter import (
    AddressBook,
    AnyDestination,
    Asset,
    AssetAmount,
    BreakGlassRules,
    Charter,
    Deny,
    Fees,
    Group,
    Limit,
    LogQuotas,
    PersonKey,
    Quorum,
    RecoveryAddress,
)
from strongroom.ledger.charter_changes import _BREAK_GLASS, _CHARTER, _FEES, _LOG, changes, loosens
from strongroom.ledger.charter_changes_rules import _RULE
from strongroom.ledger.signed_messages import KeyType

OTHER = "bcrt1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3qzf4jry"
DENY = Deny(name="no", vaults=("customer-*",), to=paying_only(ADDRESS), assets=(BTC,))
FOUR = Quorum(group="treasury", count=4)


def key(label: str) -> PersonKey:
    return PersonKey(type=KeyType.ED25519, public=signing_key(label).public)


def amount(coins: int) -> tuple[AssetAmount, ...]:
    return (AssetAmount(asset=BTC, amount=coins * COIN // 10),)


def limit(hours: int, coins: int) -> Limit:
    return Limit(window_ms=hours * HOUR_MS, amounts=(AssetAmount(asset=BTC, amount=coins * COIN),))


def without(name: str, *, everywhere: bool = True) -> Charter:
    """The charter without a person, or with the person in no group."""
    base = charter()
    groups = tuple(replace(one, members=tuple(m for m in one.members if m != name)) for one in base.groups)
    people = tuple(one for one in base.people if one.name != name)
    return replace(base, groups=groups, people=people if everywhere else base.people)


def with_person(name: str, **parts: Any) -> Charter:
    base = charter()
    return replace(base, people=tuple(replace(one, **parts) if one.name == name else one for one in base.people))


def group(name: str, *members: str) -> Charter:
    base = charter()
    groups = tuple(replace(one, members=members) if one.name == name else one for one in base.groups)
    return replace(base, groups=groups)


def ruled(**parts: Any) -> Charter:
    return charter(rules=(rule(**parts),))


TWO = Quorum(group="admins", count=2)
BOOK = charter(destinations=TWO, destination_cooling_ms=24 * HOUR_MS)
GLASS = BreakGlassRules(
    quorum=TWO, delay_ms=2 * HOUR_MS, box_ms=6 * HOUR_MS, addresses=(RecoveryAddress(vault="*", address=ADDRESS),)
)


def glass(**parts: Any) -> Charter:
    return charter(break_glass=replace(GLASS, **parts))


S1 = signer("s1")
SIGNERS = (S1, signer("s2"), signer("s3"))
TWO_KEYS = with_person("alice", keys=(key("alice"), key("alice 2")))

LOOSER: list[tuple[str, Charter, Charter]] = [
    ("person erin: is added, with key ", charter(), charter(people=(*charter().people, person("erin")))),
    ("person alice: gets the key", charter(), TWO_KEYS),
    ("person alice: its machine goes from False to True", charter(), with_person("alice", machine=True)),
    ("group admins: dave joins", charter(), group("admins", "alice", "bob", "carol", "dave")),
    ("group treasury: dave leaves, and can no longer refuse", charter(), without("dave", everywhere=False)),
    ("signer s4: is added", charter(), charter(signers=(*SIGNERS, signer("s4")))),
    ("signer s3: is removed", charter(), charter(signers=SIGNERS[:2])),
    (
        "signer s1: its host key becomes",
        charter(),
        charter(signers=(replace(S1, host_key=signer("s9").host_key), *SIGNERS[1:])),
    ),
    (
        "signer s1: its vote key becomes",
        charter(),
        charter(signers=(replace(S1, vote_key=signer("s9").vote_key), *SIGNERS[1:])),
    ),
    (
        "signer s1: its witness key becomes",
        charter(),
        charter(signers=(replace(S1, witness_key=signer("s9").witness_key), *SIGNERS[1:])),
    ),
    ("witness quorum: goes from 3 of 3 to 2 of 3", charter(witness_quorum=3), charter()),
    (
        "witness quorum: goes from 2 of 3 to 3 of 4",
        charter(),
        charter(witness_quorum=3, signers=(*SIGNERS, signer("s4"))),
    ),
    ("asset X: is added", charter(), charter(assets=(*charter().assets, Asset(symbol="X", id="x", decimals=1)))),
    ("asset BTC: its decimals goes from 8 to 7", charter(), charter(assets=(Asset(symbol="BTC", id=BTC, decimals=7),))),
    ('rule "more": is added', charter(), charter(rules=(rule(), rule(name="more")))),
    ("is about vaults *", charter(), ruled(vaults=("*",))),
    ("is about vaults customer-1", charter(), ruled(vaults=("customer-1",))),
    ("pays to any address instead of", ruled(to=paying_only(ADDRESS)), charter()),
    (f"pays to {OTHER} as well", ruled(to=paying_only(ADDRESS)), ruled(to=paying_only(ADDRESS, OTHER))),
    ("allows 2.6 BTC in one order instead of 2.5 BTC", charter(), ruled(maximum=amount(26))),
    ("allows 1 smallest units of x", charter(), ruled(maximum=(*amount(25), AssetAmount(asset="x", amount=1)))),
    ("limits become none instead of 40 BTC in 24h", charter(), ruled(limits=())),
    ("limits become 41 BTC in 24h", charter(), ruled(limits=(limit(24, 41),))),
    ("limits become 40 BTC in 23h", charter(), ruled(limits=(limit(23, 40),))),
    (
        "limits become 40 BTC in 24h instead of 40 BTC in 24h, 80 BTC in 7d",
        ruled(limits=(limit(24, 40), limit(168, 80))),
        charter(),
    ),
    (
        "limits become 40 BTC in 24h, 1 smallest units of x in 1h",
        charter(),
        ruled(limits=(limit(24, 40), Limit(window_ms=HOUR_MS, amounts=(AssetAmount(asset="x", amount=1),)))),
    ),
    ("person:dave may initiate", charter(), ruled(initiated=("group:integrations", "group:treasury", "person:dave"))),
    ("asks for 1 approval by group treasury", charter(), ruled(approvals=(Quorum(group="treasury", count=1),))),
    ("asks for no approval instead of 2 approvals by group treasury", charter(), ruled(approvals=())),
    ("asks for 2 approvals by group admins", charter(), ruled(approvals=(Quorum(group="admins", count=2),))),
    ("waits 0s after the last approval, shorter", ruled(delay_ms=HOUR_MS), charter()),
    ("machines may approve", charter(), ruled(machine=True)),
    ("machines no longer approve", ruled(machine=True), charter()),
    ('prohibition "no": is removed', charter(denies=(DENY,)), charter()),
    (
        'prohibition "no": no longer covers',
        charter(denies=(DENY,)),
        charter(denies=(replace(DENY, vaults=("customer-1",)),)),
    ),
    (
        'prohibition "no": no longer covers',
        charter(denies=(replace(DENY, to=AnyDestination()),)),
        charter(denies=(DENY,)),
    ),
    (
        'prohibition "no": no longer covers',
        charter(denies=(DENY,)),
        charter(denies=(replace(DENY, to=paying_only(OTHER)),)),
    ),
    ('prohibition "no": no longer covers', charter(denies=(replace(DENY, assets=()),)), charter(denies=(DENY,))),
    ('prohibition "no": no longer covers', charter(denies=(DENY,)), charter(denies=(replace(DENY, assets=("x",)),))),
    (
        "quorum for amendments (admin): goes from 2 of group admins to 1",
        charter(),
        charter(admin=Quorum(group="admins", count=1)),
    ),
    (
        "quorum for amendments (admin): goes from 2 of group admins to 4 of group treasury",
        charter(),
        charter(admin=FOUR),
    ),
    ("quorum for new vaults: goes", charter(), charter(vault_creation=Quorum(group="admins", count=1))),
    ("quorum for lifting freezes: goes", charter(), charter(unfreeze=Quorum(group="admins", count=1))),
    ("officers, who may freeze,: are group admins", charter(), charter(officers="admins")),
    ("a freeze by one person lapses after 23h, shorter", charter(), charter(freeze_lapse_ms=23 * HOUR_MS)),
    ("the delay before a loosening becomes 47h, shorter", charter(), charter(loosening_delay_ms=47 * HOUR_MS)),
    (
        "the most for one virtual byte goes to 201 sat, up",
        charter(),
        charter(fees=replace(charter().fees, per_vbyte=201)),
    ),
    ("the most for one transaction goes to", charter(), charter(fees=replace(charter().fees, per_plan=1_000_001))),
    ("the most for one vault in the window", charter(), charter(fees=replace(charter().fees, per_vault=10_000_001))),
    (
        "the window for the fees of a vault becomes 23h",
        charter(),
        charter(fees=replace(charter().fees, window_ms=23 * HOUR_MS)),
    ),
    ("the coordinator may write", charter(), charter(log=replace(charter().log, coordinator_bytes_per_day=5))),
    ("each person may write", charter(), charter(log=replace(charter().log, person_bytes_per_day=5))),
    (
        "an approved unfreeze lifts a freeze after 1h, shorter",
        charter(unfreeze_delay_ms=2 * HOUR_MS),
        charter(unfreeze_delay_ms=HOUR_MS),
    ),
    ("an address is payable 1h after it was added", BOOK, replace(BOOK, destination_cooling_ms=HOUR_MS)),
    ("address book: 2 of group admins may add", charter(destinations=None), charter(destinations=TWO)),
    ("address book: nobody may add", charter(destinations=TWO), charter(destinations=None)),
    (
        "quorum for the address book: goes from 2 of group admins to 1",
        charter(destinations=TWO),
        charter(destinations=Quorum(group="admins", count=1)),
    ),
    ("pays to addresses of the address book instead of", ruled(to=paying_only(ADDRESS)), ruled(to=AddressBook())),
    ("instead of addresses of the address book", ruled(to=AddressBook()), ruled(to=paying_only(ADDRESS))),
    ("pays to any address instead of addresses of the address book", ruled(to=AddressBook()), charter()),
    ("break-glass: 2 of group admins may move", charter(break_glass=None), charter(break_glass=GLASS)),
    ("quorum for break-glass: goes from 2", charter(break_glass=GLASS), glass(quorum=Quorum(group="admins", count=1))),
    ("the box opens 1h after", charter(break_glass=GLASS), glass(delay_ms=HOUR_MS)),
    ("the box stays open for 7h, longer", charter(break_glass=GLASS), glass(box_ms=7 * HOUR_MS)),
    (
        f"break-glass: moves x to {OTHER}",
        charter(break_glass=GLASS),
        glass(addresses=(RecoveryAddress(vault="x", address=OTHER),)),
    ),
    ("charter: its organisation goes from acme to other", charter(), charter(organisation="other")),
]

TIGHTER: list[tuple[str, Charter, Charter]] = [
    (
        "an approved unfreeze lifts a freeze after 3h, longer",
        charter(unfreeze_delay_ms=2 * HOUR_MS),
        charter(unfreeze_delay_ms=3 * HOUR_MS),
    ),
    ("an address is payable 25h after it was added", BOOK, replace(BOOK, destination_cooling_ms=25 * HOUR_MS)),
    (
        "quorum for the address book: goes from 2 of group admins to 3",
        charter(destinations=TWO),
        charter(destinations=Quorum(group="admins", count=3)),
    ),
    ("pays to addresses of the address book instead of any address", charter(), ruled(to=AddressBook())),
    ("break-glass: nobody may move", charter(break_glass=GLASS), charter(break_glass=None)),
    ("quorum for break-glass: goes from 2", charter(break_glass=GLASS), glass(quorum=Quorum(group="admins", count=3))),
    ("the box opens 3h after", charter(break_glass=GLASS), glass(delay_ms=3 * HOUR_MS)),
    ("the box stays open for 5h, shorter", charter(break_glass=GLASS), glass(box_ms=5 * HOUR_MS)),
    ("person dave: is removed", charter(), without("dave")),
    ("group treasury: dave leaves with the charter", charter(), without("dave")),
    ("machine shop: is removed", charter(), replace(charter(), people=charter().people[:-1])),
    ("person alice: loses the key", TWO_KEYS, charter()),
    (
        "person alice: has the same keys in another order",
        TWO_KEYS,
        with_person("alice", keys=(key("alice 2"), key("alice"))),
    ),
    (
        "group extra: is new, with dave",
        charter(),
        charter(groups=(*charter().groups, Group(name="extra", members=("dave",)))),
    ),
    ("group extra: is removed", charter(groups=(*charter().groups, Group(name="extra", members=("dave",)))), charter()),
    ("group admins: has the same members in another order", charter(), group("admins", "bob", "alice", "carol")),
    ("witness quorum: goes from 2 of 3 to 3 of 3", charter(), charter(witness_quorum=3)),
    ("asset X: is removed", charter(assets=(*charter().assets, Asset(symbol="X", id="x", decimals=1))), charter()),
    ("people: stand in another order", charter(), charter(people=charter().people[::-1])),
    ("groups: stand in another order", charter(), charter(groups=charter().groups[::-1])),
    ("signers: stand in another order", charter(), charter(signers=SIGNERS[::-1])),
    (
        "rules: stand in another order",
        charter(rules=(rule(), rule(name="more"))),
        charter(rules=(rule(name="more"), rule())),
    ),
    ('rule "more": is removed', charter(rules=(rule(), rule(name="more"))), charter()),
    ("instead of any address", charter(), ruled(to=paying_only(ADDRESS))),
    (f"no longer pays to {OTHER}", ruled(to=paying_only(ADDRESS, OTHER)), ruled(to=paying_only(ADDRESS))),
    (
        "lists its addresses in another order",
        ruled(to=paying_only(ADDRESS, OTHER)),
        ruled(to=paying_only(OTHER, ADDRESS)),
    ),
    ("allows 2.4 BTC in one order instead of 2.5 BTC", charter(), ruled(maximum=amount(24))),
    (
        "lists its maxima in another order",
        ruled(maximum=(*amount(25), AssetAmount(asset="x", amount=1))),
        ruled(maximum=(AssetAmount(asset="x", amount=1), *amount(25))),
    ),
    ("limits become 39 BTC in 24h", charter(), ruled(limits=(limit(24, 39),))),
    ("limits become 40 BTC in 25h", charter(), ruled(limits=(limit(25, 40),))),
    ("limits become 40 BTC in 24h, 80 BTC in 7d", charter(), ruled(limits=(limit(24, 40), limit(168, 80)))),
    ("group:treasury may no longer initiate", charter(), ruled(initiated=("group:integrations",))),
    ("lists who initiates in another order", charter(), ruled(initiated=("group:treasury", "group:integrations"))),
    ("names its vaults in another order", ruled(vaults=("a", "b")), ruled(vaults=("b", "a"))),
    ("asks for 3 approvals by group treasury", charter(), ruled(approvals=(Quorum(group="treasury", count=3),))),
    (
        "and 1 approval by group admins",
        charter(),
        ruled(approvals=(*rule().approvals, Quorum(group="admins", count=1))),
    ),
    ("waits 1h after the last approval, longer", charter(), ruled(delay_ms=HOUR_MS)),
    ('prohibition "no": is added', charter(), charter(denies=(DENY,))),
    ('prohibition "no": covers all', charter(denies=(DENY,)), charter(denies=(replace(DENY, vaults=("*",)),))),
    ('prohibition "no": covers all', charter(denies=(DENY,)), charter(denies=(replace(DENY, to=AnyDestination()),))),
    (
        'prohibition "no": covers all',
        charter(denies=(DENY,)),
        charter(denies=(replace(DENY, to=paying_only(ADDRESS, OTHER)),)),
    ),
    ('prohibition "no": covers all', charter(denies=(DENY,)), charter(denies=(replace(DENY, assets=()),))),
    (
        "prohibitions: stand in another order",
        charter(denies=(DENY, replace(DENY, name="b"))),
        charter(denies=(replace(DENY, name="b"), DENY)),
    ),
    (
        "quorum for amendments (admin): goes from 2 of group admins to 3",
        charter(),
        charter(admin=Quorum(group="admins", count=3)),
    ),
    ("quorum for new vaults: goes", charter(), charter(vault_creation=Quorum(group="admins", count=3))),
    ("quorum for lifting freezes: goes", charter(), charter(unfreeze=Quorum(group="admins", count=3))),
    ("a freeze by one person lapses after 25h, longer", charter(), charter(freeze_lapse_ms=25 * HOUR_MS)),
    ("the delay before a loosening becomes 49h, longer", charter(), charter(loosening_delay_ms=49 * HOUR_MS)),
    (
        "the most for one virtual byte goes to 199 sat, down",
        charter(),
        charter(fees=replace(charter().fees, per_vbyte=199)),
    ),
    ("the most for one transaction goes to", charter(), charter(fees=replace(charter().fees, per_plan=999_999))),
    ("the most for one vault in the window", charter(), charter(fees=replace(charter().fees, per_vault=9_999_999))),
    (
        "the window for the fees of a vault becomes 25h",
        charter(),
        charter(fees=replace(charter().fees, window_ms=25 * HOUR_MS)),
    ),
]


@pytest.mark.parametrize(("words", "old", "new"), LOOSER)
def test_what_may_let_something_pass_loosens(words: str, old: Charter, new: Charter) -> None:
    found = changes(old, new)
    told = [change for change in found if words in f"{change.where}: {change.text}"]
    assert [change.loosens for change in told] == [True], found
    assert loosens(found)


@pytest.mark.parametrize(("words", "old", "new"), TIGHTER)
def test_what_only_stops_more_tightens(words: str, old: Charter, new: Charter) -> None:
    found = changes(old, new)
    assert [change for change in found if words in f"{change.where}: {change.text}"], found
    assert not loosens(found), found


def test_the_version_alone_is_no_change() -> None:
    assert changes(charter(), charter(version=2)) == ()


AUDITED = rule(name="audited", maximum=amount(10), approvals=(Quorum(group="admins", count=1),))
LARGE = rule(name="large", maximum=amount(50), approvals=(Quorum(group="treasury", count=2),))


@pytest.mark.parametrize(
    "narrower",
    [(LARGE,), (replace(AUDITED, maximum=amount(5)), LARGE), (replace(AUDITED, to=paying_only(ADDRESS)), LARGE)],
)
def test_narrowing_a_rule_loosens_where_its_approvers_lose_a_no(narrower: tuple[Any, ...]) -> None:
    """Erin refuses small payments as an approver of the audited rule; the other rule does not name her."""
    admins = Group(name="admins", members=("alice", "bob", "carol", "erin"))
    base = charter(people=(*charter().people, person("erin")), groups=(*charter().groups[:2], admins))
    found = changes(replace(base, rules=(AUDITED, LARGE)), replace(base, rules=narrower))
    told = [change.text for change in found if change.loosens]
    assert told == ['erin can no longer refuse what it was about and rule "large" still pays']


@pytest.mark.parametrize(
    "other",
    [
        replace(LARGE, vaults=("treasury",)),
        replace(LARGE, to=paying_only(OTHER)),
        replace(LARGE, maximum=(AssetAmount(asset="x", amount=1),)),
        replace(LARGE, approvals=(Quorum(group="everyone", count=2),)),
    ],
)
def test_removing_a_rule_tightens_where_no_other_rule_pays_the_same_without_its_approvers(other: Any) -> None:
    admins = Group(name="admins", members=("alice", "bob", "carol", "erin"))
    everyone = Group(name="everyone", members=("alice", "bob", "carol", "dave", "erin"))
    base = charter(people=(*charter().people, person("erin")), groups=(*charter().groups[:2], admins, everyone))
    audited = replace(AUDITED, to=paying_only(ADDRESS))
    assert not loosens(changes(replace(base, rules=(audited, other)), replace(base, rules=(other,))))


def test_a_rule_that_is_about_the_same_takes_nobodys_no() -> None:
    admins = Group(name="admins", members=("alice", "bob", "carol", "erin"))
    base = charter(people=(*charter().people, person("erin")), groups=(*charter().groups[:2], admins))
    slower = replace(AUDITED, delay_ms=HOUR_MS)
    assert not loosens(changes(replace(base, rules=(AUDITED, LARGE)), replace(base, rules=(slower, LARGE))))


def test_an_approver_removed_with_the_rule_is_a_revocation() -> None:
    admins = Group(name="admins", members=("alice", "bob", "carol", "erin"))
    base = charter(people=(*charter().people, person("erin")), groups=(*charter().groups[:2], admins))
    assert not loosens(changes(replace(base, rules=(AUDITED, LARGE)), charter(rules=(LARGE,))))


@pytest.mark.parametrize(
    ("old", "new"),
    [(charter(), without("dave")), (without("dave"), charter()), (charter(), charter(signers=SIGNERS[1:]))],
)
def test_what_comes_or_goes_puts_nothing_in_another_order(old: Charter, new: Charter) -> None:
    assert not [change for change in changes(old, new) if "another order" in change.text]


def test_one_loosening_change_makes_the_whole_amendment_loosen() -> None:
    both = replace(without("dave"), loosening_delay_ms=HOUR_MS)
    found = changes(charter(), both)
    assert {change.loosens for change in found} == {True, False}
    assert loosens(found)


@pytest.mark.parametrize(
    ("table", "cls"),
    [(_CHARTER, Charter), (_RULE, type(rule())), (_FEES, Fees), (_BREAK_GLASS, BreakGlassRules), (_LOG, LogQuotas)],
)
def test_every_field_is_known_by_the_name_it_has(table: dict[str, Any], cls: type[Any]) -> None:
    """A field that is left out loosens whenever it changes; one that is misspelt would as well, unnoticed."""
    alike = {"salt", "version", "rule_set", "organisation", "name"}
    assert set(table) == {field.name for field in fields(cls)} - alike


def test_a_prohibition_is_compared_in_every_field() -> None:
    assert {field.name for field in fields(Deny)} == {"name", "vaults", "to", "assets"}
