"""`charter check`: every error and warning, and the arithmetic of the witness quorum."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from charter_builder import (
    ADDRESS,
    BTC,
    COIN,
    HOUR_MS,
    RECOVERY,
    book_rule,
    break_glass,
    charter,
    paying_only,
    person,
    recovery_parts,
    rule,
    signer,
)
from strongroom.chains.bitcoin.networks import MAINNET, REGTEST, SIGNET
from strongroom.ledger.charter import (
    AnyDestination,
    Asset,
    AssetAmount,
    Charter,
    Deny,
    Fees,
    Group,
    Limit,
    LogQuotas,
    Quorum,
    RecoveryAddress,
)
from strongroom.ledger.charter_check import Level, check_charter, default_witness_quorum, first_error
from strongroom.ledger.charter_check_rules import address_problem
from strongroom.model.quantities import MAX_DECIMALS


def errors_of(book: Charter) -> list[str]:
    return [f"{finding.where}: {finding.what}" for finding in check_charter(book).errors]


def warnings_of(book: Charter) -> list[str]:
    found = check_charter(book).findings
    return [f"{finding.where}: {finding.what}" for finding in found if finding.level is Level.WARNING]


def limit(amount: int, window_ms: int = HOUR_MS) -> Limit:
    return Limit(window_ms=window_ms, amounts=(AssetAmount(asset=BTC, amount=amount),))


def deny(**parts: Any) -> Deny:
    defaults: dict[str, Any] = {"name": "no", "vaults": ("*",), "to": paying_only(ADDRESS), "assets": ()}
    return Deny(**{**defaults, **parts})


def test_a_sound_charter_has_no_findings() -> None:
    report = check_charter(charter())
    assert report.ok
    assert report.findings == ()


def recovering(**parts: Any) -> Charter:
    return charter(**recovery_parts(**parts))


def glass(denies: tuple[Deny, ...] = (), **parts: Any) -> Charter:
    return recovering(denies=denies, break_glass=break_glass(**parts))


def registered(*entries: tuple[str, str]) -> Charter:
    return glass(addresses=tuple(RecoveryAddress(vault=vault, address=address) for vault, address in entries))


def test_an_address_book_and_break_glass_are_sound() -> None:
    assert check_charter(recovering(unfreeze_delay_ms=HOUR_MS)).findings == ()


ALICE, BOB, CAROL, DAVE, SHOP = charter().people
S1, S2, S3 = charter().signers
MACHINES = (Quorum(group="integrations", count=1),)
QUARTER_MS = 90 * 24 * HOUR_MS


def quotas(**parts: int) -> Charter:
    return charter(log=replace(LogQuotas(coordinator_bytes_per_day=16 * 65_535, person_bytes_per_day=65_535), **parts))


def many_globs(count: int) -> Charter:
    """Rules, prohibitions and recovery addresses with so many globs together."""
    addresses = tuple((f"customer-{number}", RECOVERY) for number in range(50))
    rules = tuple(rule(name=f"rule {number}", vaults=("customer-*",) * 40) for number in range(10))
    return replace(registered(*addresses), rules=rules, denies=(deny(vaults=("old-*",) * (count - 450)),))


ERRORS: list[tuple[str, Charter]] = [
    (
        "signer s1 (host key), signer s2 (host key): share",
        charter(signers=(S1, replace(S2, host_key=bytes([S1.host_key[0] ^ 1]) + S1.host_key[1:]), S3)),
    ),
    ("version: is 0", charter(version=0)),
    ("2 is not known here", charter(rule_set=2)),
    ("1 of 3 signers", charter(witness_quorum=1)),
    ("4 of 3 signers", charter(witness_quorum=4)),
    ("2 of 4 signers", charter(witness_quorum=2, signers=(S1, S2, S3, signer("s4")))),
    (
        "person alice: stands there 2 times",
        charter(people=(ALICE, BOB, CAROL, DAVE, SHOP, replace(person("erin"), name="alice"))),
    ),
    ("signer s1: stands there 2 times", charter(signers=(S1, S2, replace(S3, name="s1")))),
    ("rule daily customer withdrawals: stands there 2 times", charter(rules=(rule(), rule()))),
    ("asset BTC: stands there 2 times", charter(assets=(charter().assets[0], Asset(symbol="BTC", id="x", decimals=8)))),
    (
        f"asset id {BTC}: stands there 2 times",
        charter(assets=(charter().assets[0], Asset(symbol="XBT", id=BTC, decimals=8))),
    ),
    (
        "person alice, person dave: share the key",
        charter(people=(ALICE, BOB, CAROL, replace(ALICE, name="dave"), SHOP)),
    ),
    (
        "signer s1 (vote key), signer s1 (witness key): share",
        charter(signers=(replace(S1, vote_key=S1.witness_key), S2, S3)),
    ),
    ("signer s1 (host key), signer s2 (host key): share", charter(signers=(S1, replace(S2, host_key=S1.host_key), S3))),
    (
        "person alice, signer s1 (vote key): share",
        charter(signers=(replace(S1, vote_key=ALICE.keys[0].public), S2, S3)),
    ),
    ("its vote key is not an Ed25519 key", charter(signers=(replace(S1, vote_key=bytes(32)), S2, S3))),
    ("its host key is not a point", charter(signers=(replace(S1, host_key=b"\x05" + bytes(32)), S2, S3))),
    (
        f"person alice: {'ff' * 32} is not an Ed25519 key",
        charter(people=(replace(ALICE, keys=(replace(ALICE.keys[0], public=b"\xff" * 32),)), BOB, CAROL, DAVE, SHOP)),
    ),
    (
        "charter: is ",
        charter(
            rules=tuple(
                rule(name=f"rule {number}", to=paying_only(*(f"bcrt1q{row:034}" for row in range(500))))
                for number in range(3)
            )
        ),
    ),
    (
        f"{REGTEST.caip2}/slip44:60 is not known",
        charter(assets=(Asset(symbol="BTC", id=f"{REGTEST.caip2}/slip44:60", decimals=8),)),
    ),
    (
        f"has more than {MAX_DECIMALS} decimals",
        charter(assets=(Asset(symbol="BTC", id="x", decimals=MAX_DECIMALS + 1),)),
    ),
    (
        "has two amounts for one asset in one limit",
        charter(rules=(rule(limits=(Limit(window_ms=HOUR_MS, amounts=(AssetAmount(asset=BTC, amount=COIN),) * 2),)),)),
    ),
    ("person:erin may initiate, but does not exist", charter(rules=(rule(initiated=("person:erin",)),))),
    ("machine:alice may initiate, but does not exist", charter(rules=(rule(initiated=("machine:alice",)),))),
    ("erin is not a person", charter(groups=(*charter().groups, Group(name="x", members=("erin",))))),
    ("names someone twice", charter(groups=(*charter().groups, Group(name="x", members=("bob", "bob"))))),
    (
        "of mainnet, which is refused until a release freezes rule set 1",
        charter(assets=(Asset(symbol="BTC", id=MAINNET.asset_id, decimals=8),)),
    ),
    ("of signet, which is refused", charter(assets=(Asset(symbol="BTC", id=SIGNET.asset_id, decimals=8),))),
    (
        "eip155:1/slip44:60 is not known",
        charter(assets=(*charter().assets, Asset(symbol="ETH", id="eip155:1/slip44:60", decimals=18))),
    ),
    ("has 6 decimals", charter(assets=(Asset(symbol="BTC", id=BTC, decimals=6),))),
    ("quorums.admin: nobody is not a group", charter(admin=Quorum(group="nobody", count=2))),
    ("quorums.unfreeze: asks for nobody", charter(unfreeze=Quorum(group="admins", count=0))),
    (
        "quorums.vault_creation: asks for 4 of group admins, in which 3",
        charter(vault_creation=Quorum(group="admins", count=4)),
    ),
    (
        "quorums.admin: asks for 1 of group integrations, in which 0",
        charter(admin=Quorum(group="integrations", count=1)),
    ),
    ("freeze.officers: nobody is not a group", charter(officers="nobody")),
    ("freeze.officers: group integrations has no people", charter(officers="integrations")),
    ("has a maximum for BTC but no limit", charter(rules=(rule(limits=()),))),
    ("limit over no time", charter(rules=(rule(limits=(limit(40 * COIN, 0),)),))),
    ("two maxima for one asset", charter(rules=(rule(maximum=rule().maximum * 2),))),
    (
        "is not an asset of the charter",
        charter(rules=(rule(maximum=(*rule().maximum, AssetAmount(asset="x", amount=1))),)),
    ),
    ("pays outside without any approval", charter(rules=(rule(approvals=()),))),
    ("pays outside without any approval", charter(rules=(rule(approvals=(), machine=True),))),
    ("asks for 1 of group integrations, in which 0", charter(rules=(rule(approvals=MACHINES),))),
    ("no machine is among its approvers", charter(rules=(rule(machine=True),))),
    (
        "asks for 5 of group treasury, in which 4",
        charter(rules=(rule(approvals=(Quorum(group="treasury", count=5),)),)),
    ),
    ("asks for nobody", charter(rules=(rule(approvals=(Quorum(group="treasury", count=0),)),))),
    (
        "asks for 4 approvals, and 4 people may give one",
        charter(rules=(rule(approvals=(Quorum(group="treasury", count=4),), initiated=("group:treasury",)),)),
    ),
    (
        "asks for 5 approvals, and 4 people may give one",
        charter(rules=(rule(approvals=(Quorum(group="treasury", count=2), Quorum(group="admins", count=3))),)),
    ),
    ("group:nobody may initiate, but does not exist", charter(rules=(rule(initiated=("group:nobody",)),))),
    ("alice may initiate, but does not exist", charter(rules=(rule(initiated=("alice",)),))),
    ("a delay of 7d", charter(rules=(rule(delay_ms=7 * 24 * HOUR_MS),))),
    ('no vault name can match "Customer"', charter(rules=(rule(vaults=("Customer",)),))),
    ("bcrt1qnot is no address", charter(rules=(rule(to=paying_only(ADDRESS, "bcrt1qnot")),))),
    ("is no address", charter(denies=(deny(to=paying_only("elsewhere")),))),
    ('deny "no": x is not an asset', charter(denies=(deny(assets=("x",)),))),
    ("fees.per_vbyte: is 0", charter(fees=replace(charter().fees, per_vbyte=0))),
    ("fees.window: is 0", charter(fees=Fees(per_vbyte=1, per_plan=1, window_ms=0, per_vault=1))),
    ("log.person_bytes_per_day: is 65534, less than an amendment", quotas(person_bytes_per_day=65_534)),
    ("log.coordinator_bytes_per_day: is 1048559, too little", quotas(coordinator_bytes_per_day=16 * 65_535 - 1)),
    ("amendments.loosening_delay: is 2161h", charter(loosening_delay_ms=QUARTER_MS + HOUR_MS)),
    ("freeze.lapse: is 2161h", charter(freeze_lapse_ms=QUARTER_MS + HOUR_MS)),
    ("freeze.unfreeze_delay: is 2161h", charter(unfreeze_delay_ms=QUARTER_MS + HOUR_MS)),
    ("address_book.cooling_off: is 2161h", recovering(destination_cooling_ms=QUARTER_MS + HOUR_MS)),
    ("names vaults by 501 globs", many_globs(501)),
    ("freeze.lapse: is 0", charter(freeze_lapse_ms=0)),
    ('rule "known destinations": pays the address book, to which nobody', charter(rules=(book_rule(),))),
    ("address_book: has a cooling-off, and nobody", charter(destination_cooling_ms=HOUR_MS)),
    ("address_book.cooling_off: is 0", recovering(destination_cooling_ms=0)),
    ("address_book.add: nobody is not a group", recovering(destinations=Quorum(group="nobody", count=2))),
    ("address_book.add: asks for 4 of group admins", recovering(destinations=Quorum(group="admins", count=4))),
    (
        "break_glass.quorum: asks for 4 of group treasury, in which 3",
        glass(quorum=Quorum(group="treasury", count=4)),
    ),
    (
        "break_glass.quorum: is 2, no more than the 2 who lift a freeze",
        glass(quorum=Quorum(group="treasury", count=2)),
    ),
    ("break_glass.box: is 0", glass(box_ms=0)),
    ("break_glass.box: ends 7d after", glass(delay_ms=24 * HOUR_MS, box_ms=6 * 24 * HOUR_MS)),
    ("bcrt1qnot is no address", registered(("customer-*", "bcrt1qnot"))),
    ("break_glass.addresses: Cold: no vault name", registered(("Cold", RECOVERY))),
    ("is never used", registered(("customer-*", RECOVERY), ("customer-1", ADDRESS))),
    ("is prohibited by this charter", glass(denies=(deny(to=paying_only(RECOVERY)),))),
]


@pytest.mark.parametrize(("words", "book"), ERRORS, ids=[words for words, _ in ERRORS])
def test_a_charter_that_must_not_be_adopted_is_refused(words: str, book: Charter) -> None:
    found = errors_of(book)
    assert any(words in error for error in found), found
    assert not check_charter(book).ok
    assert first_error(book) in check_charter(book).errors


WARNINGS: list[tuple[str, Charter]] = [
    ("is all 3 signers, so none may be down", charter(witness_quorum=3)),
    ("quorums.unfreeze: is one person", charter(unfreeze=Quorum(group="admins", count=1))),
    ("below its own maximum", charter(rules=(rule(limits=(limit(COIN),)),))),
    ("never lets anything pass", charter(denies=(deny(to=AnyDestination()),))),
    ("never lets anything pass", charter(rules=(rule(to=paying_only(ADDRESS)),), denies=(deny(vaults=("cust*",)),))),
    ("meets no rule", charter(denies=(deny(vaults=("treasury",)),))),
    (
        "meets no rule",
        charter(rules=(rule(to=paying_only(ADDRESS)),), denies=(deny(vaults=("treasury",), to=paying_only(ADDRESS)),)),
    ),
    (
        "meets no rule",
        charter(
            rules=(rule(to=paying_only(ADDRESS)),),
            denies=(deny(to=paying_only("2N3oefVeg6stiTb5Kh3ozCSkaqmx91FDbsm")),),
        ),
    ),
    ("is below per_plan", charter(fees=replace(charter().fees, per_vault=1))),
    ("address_book.add: is one person", recovering(destinations=Quorum(group="admins", count=1))),
    ("address_book: is paid by no rule", recovering(rules=(rule(),))),
    ("break_glass.delay: is 0", glass(delay_ms=0)),
    ("no reshare that loosens can act", charter(loosening_delay_ms=30 * 24 * HOUR_MS)),
    ("no shorter than the time after which a freeze", charter(unfreeze_delay_ms=24 * HOUR_MS)),
    (
        'fewer than rule "known destinations" asks for',
        recovering(
            rules=(book_rule(approvals=(Quorum(group="treasury", count=4),), initiated=("person:shop",)),),
        ),
    ),
]


@pytest.mark.parametrize(("words", "book"), WARNINGS, ids=[words for words, _ in WARNINGS])
def test_a_charter_that_is_odd_is_warned_of(words: str, book: Charter) -> None:
    assert check_charter(book).ok, errors_of(book)
    assert any(words in warning for warning in warnings_of(book))


def test_what_a_charter_may_just_contain_is_no_error() -> None:
    wide = charter(
        loosening_delay_ms=QUARTER_MS, freeze_lapse_ms=QUARTER_MS, unfreeze_delay_ms=QUARTER_MS, log=quotas().log
    )
    for book in (wide, recovering(destination_cooling_ms=QUARTER_MS), many_globs(500)):
        assert check_charter(book).ok, errors_of(book)
        assert first_error(book) is None


def test_a_prohibition_that_narrows_a_rule_is_no_finding() -> None:
    for narrowing in (deny(vaults=("*-1",)), deny(vaults=("*-1",), to=AnyDestination(), assets=(BTC,))):
        for to in (AnyDestination(), paying_only(ADDRESS)):
            assert check_charter(charter(rules=(rule(to=to),), denies=(narrowing,))).findings == ()


def test_a_prohibition_of_an_asset_that_no_rule_allows_is_warned_of() -> None:
    book = charter(
        assets=(*charter().assets, Asset(symbol="SBTC", id=SIGNET.asset_id, decimals=8)),
        denies=(deny(assets=(SIGNET.asset_id,)),),
    )
    assert any('deny "no": is about assets that no rule allows' in warning for warning in warnings_of(book))


def test_an_address_is_one_of_any_network_that_an_asset_is_of() -> None:
    first, second = (Asset(symbol=one.name, id=one.asset_id, decimals=8) for one in (REGTEST, MAINNET))
    unknown = Asset(symbol="x", id="x", decimals=8)
    for assets in ((first, second), (second, first), (first, unknown), (unknown, first)):
        assert address_problem(ADDRESS, charter(assets=assets)) == ""
    for assets in ((second,), (second, unknown)):
        assert address_problem(ADDRESS, charter(assets=assets))


def test_machines_may_approve_a_rule_marked_so() -> None:
    book = charter(rules=(rule(approvals=MACHINES, machine=True, initiated=("group:treasury",)),))
    assert check_charter(book).findings == ()
    itself = charter(rules=(rule(approvals=MACHINES, machine=True, initiated=("person:shop",)),))
    assert any("who initiates" in finding.do for finding in check_charter(itself).errors)


def test_other_networks_can_be_allowed_by_the_caller() -> None:
    book = charter(assets=(Asset(symbol="BTC", id=SIGNET.asset_id, decimals=8),))
    found = [f.what for f in check_charter(book, networks_allowed=("regtest", "signet")).errors]
    assert not any("refused until" in what for what in found)


@pytest.mark.parametrize(
    ("n", "t", "w"), [(3, 2, 2), (5, 3, 4), (21, 15, 18), (1, 1, 1), (2, 2, 2), (7, 4, 6), (7, 5, 6), (3, 3, 3)]
)
def test_the_default_witness_quorum(n: int, t: int, w: int) -> None:
    assert default_witness_quorum(n, t) == w


@pytest.mark.parametrize("n", range(1, 30))
def test_the_default_witness_quorum_is_in_range_and_spares_a_signer(n: int) -> None:
    for t in range(1, n + 1):
        w = default_witness_quorum(n, t)
        assert n // 2 + 1 <= w <= n
        assert w >= n - t + 1
        assert t + w - n - 1 >= 0
        assert w >= t


def test_the_facts_say_who_may_be_down_and_how_many_bad_signers_are_survived() -> None:
    signers = tuple(signer(f"s{i}") for i in range(5))
    facts = check_charter(charter(signers=signers, witness_quorum=4)).facts
    assert facts["signers (n)"] == "5"
    assert facts["witness quorum (w)"] == "4"
    assert facts["signers that may be down"] == "1"
    assert facts["threshold 3: bad signers survived beside a bad coordinator"] == "1"
    assert facts["threshold 3: witness quorum for one history beside 2 bad signers"] == "4"
    assert facts["threshold 1: bad signers survived beside a bad coordinator"] == (
        "none: the coordinator alone can pay against the rules"
    )
    assert facts["threshold 5"] == "refused: the witness quorum is below 5"
    assert "threshold 5: bad signers survived beside a bad coordinator" not in facts
    assert facts["threshold 3: default witness quorum"] == "4"
