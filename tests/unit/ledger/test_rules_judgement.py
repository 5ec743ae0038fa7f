"""Judging withdrawals and quorums by a charter."""

from __future__ import annotations

from typing import Any

import pytest

from charter_builder import ADDRESS, BTC, COIN, HOUR_MS, charter, paying_only, person, rule, signing_key, with_rules
from strongroom.ledger.charter import AnyDestination, AssetAmount, Charter, Deny, Group, Limit, Quorum
from strongroom.ledger.rules import (
    Code,
    Endorsed,
    Judgement,
    Withdrawal,
    glob_match,
    judge_quorum,
    judge_withdrawal,
    may_initiate,
    named_approver,
    person_key_known,
)
from strongroom.ledger.signed_messages import Verb

T0 = 1_800_000_000_000
FAR = T0 + 7 * 24 * HOUR_MS
PAYMENT = Withdrawal(vault="customer-1", asset=BTC, amount=COIN, destination=ADDRESS)


def said(who: str, verb: Verb = Verb.APPROVE, *, at: int = T0, until: int = FAR, key: bytes | None = None) -> Endorsed:
    return Endorsed(person=who, key=key or signing_key(who).public, verb=verb, expires_ms=until, time_ms=at)


def started(who: str = "shop", *, until: int = FAR) -> Endorsed:
    return said(who, Verb.INITIATE, until=until)


def judge(
    *endorsements: Endorsed,
    book: Charter | None = None,
    payment: Withdrawal = PAYMENT,
    at: int = T0 + 1_000,
    used: int = 0,
) -> Judgement:
    return judge_withdrawal(
        book or charter(), payment, endorsements, at_ms=at, window_total=lambda vaults, asset, window_ms: used
    )


def test_two_approvals_of_the_group_let_the_order_pass() -> None:
    judgement = judge(started(), said("alice"), said("bob"))
    assert judgement == Judgement(
        allowed=True, code=Code.ALLOWED, rule="daily customer withdrawals", missing=(), tried=()
    )


def test_a_missing_approval_is_named_with_its_group() -> None:
    judgement = judge(started(), said("alice"))
    assert (judgement.allowed, judgement.code) == (False, Code.APPROVALS_MISSING)
    assert judgement.missing == ("1 more approval from group treasury",)
    assert judge(started()).missing == ("2 more approvals from group treasury",)


def test_the_initiator_never_counts_as_an_approver() -> None:
    judgement = judge(started("alice"), said("alice"), said("bob"))
    assert judgement.code is Code.APPROVALS_MISSING
    assert judge(started("alice"), said("carol"), said("bob")).allowed


@pytest.mark.attack(
    line="person", title="one person with many keys", origin="limits from a central interface, downgraded"
)
def test_one_person_with_two_keys_counts_once() -> None:
    two_keys = person("alice")
    second = signing_key("alice second").public
    two_keys = type(two_keys)(
        name="alice", keys=(*two_keys.keys, type(two_keys.keys[0])(type=two_keys.keys[0].type, public=second))
    )
    book = charter(people=(two_keys, *charter().people[1:]))
    assert judge(started(), said("alice"), said("alice", key=second), book=book).code is Code.APPROVALS_MISSING


def test_one_person_in_two_groups_takes_one_place() -> None:
    book = charter(
        groups=(*charter().groups, Group(name="risk", members=("alice",))),
        rules=(rule(approvals=(Quorum(group="treasury", count=1), Quorum(group="risk", count=1))),),
    )
    assert judge(started(), said("alice"), book=book).missing == ("1 more approval from group risk",)
    assert judge(started(), said("alice"), said("bob"), book=book).allowed
    assert judge(started(), said("bob"), said("alice"), book=book).allowed


def test_an_expired_approval_does_not_count_from_its_expiry_on() -> None:
    until = T0 + 5_000
    assert judge(started(), said("alice", until=until), said("bob"), at=until - 1).allowed
    assert judge(started(), said("alice", until=until), said("bob"), at=until).code is Code.APPROVALS_MISSING


@pytest.mark.attack(
    line="person", title="a key that the charter no longer lists", origin="on paper: endorsements of a revoked key"
)
def test_an_approval_by_a_key_no_longer_in_the_charter_does_not_count() -> None:
    stranger = signing_key("alice of last year").public
    assert judge(started(), said("alice", key=stranger), said("bob")).code is Code.APPROVALS_MISSING
    assert not person_key_known(charter(), "alice", stranger)
    assert not person_key_known(charter(), "bob", signing_key("alice").public)
    assert person_key_known(charter(), "alice", signing_key("alice").public)


def test_an_expired_initiation_does_not_count() -> None:
    judgement = judge(started(until=T0 + 10), said("alice"), said("bob"), at=T0 + 10)
    assert judgement.code is Code.INITIATOR_NOT_ALLOWED
    assert "no longer counts" in judgement.missing[0]


def test_only_whom_the_rule_names_may_initiate() -> None:
    book = with_rules(rule(initiated=("person:dave",)))
    assert judge(started("shop"), said("alice"), said("bob"), book=book).code is Code.INITIATOR_NOT_ALLOWED
    assert judge(started("dave"), said("alice"), said("bob"), book=book).allowed
    assert judge(said("alice"), said("bob")).code is Code.INITIATOR_NOT_ALLOWED
    assert judge(started("shop"), book=book).missing[0] == "initiated by shop, but only person:dave may"
    assert may_initiate(book, "dave", PAYMENT)
    assert not may_initiate(book, "shop", PAYMENT)


def test_a_person_and_a_group_of_one_name_are_not_taken_for_each_other() -> None:
    namesake = Group(name="shop", members=("dave",))
    of_group = charter(groups=(*charter().groups, namesake), rules=(rule(initiated=("group:shop",)),))
    of_person = charter(groups=(*charter().groups, namesake), rules=(rule(initiated=("person:shop",)),))
    assert [may_initiate(of_group, who, PAYMENT) for who in ("dave", "shop")] == [True, False]
    assert [may_initiate(of_person, who, PAYMENT) for who in ("dave", "shop")] == [False, True]


def test_a_name_that_is_nobodys_in_the_charter_initiates_nothing() -> None:
    assert not may_initiate(with_rules(rule(initiated=("person:ghost",))), "ghost", PAYMENT)


@pytest.mark.parametrize("parts", [{"vaults": ("treasury",)}, {"to": paying_only("elsewhere")}])
def test_a_rule_about_another_vault_or_destination_gives_nobody_a_say(parts: dict[str, Any]) -> None:
    book = with_rules(rule(**parts))
    assert not may_initiate(book, "shop", PAYMENT)
    assert not named_approver(book, "alice", PAYMENT)


@pytest.mark.parametrize(
    ("payment", "code"),
    [
        (Withdrawal(vault="treasury", asset=BTC, amount=COIN, destination=ADDRESS), Code.NO_RULE_MATCHES),
        (
            Withdrawal(vault="customer-1", asset="eip155:1/slip44:60", amount=1, destination=ADDRESS),
            Code.NO_RULE_MATCHES,
        ),
        (Withdrawal(vault="customer-1", asset=BTC, amount=5 * COIN // 2 + 1, destination=ADDRESS), Code.OVER_MAXIMUM),
    ],
)
def test_what_no_rule_allows_is_denied(payment: Withdrawal, code: Code) -> None:
    assert judge(started(), said("alice"), said("bob"), payment=payment).code is code


def test_an_asset_that_the_rule_does_not_list_is_told_as_that_alone() -> None:
    payment = Withdrawal(vault="customer-1", asset="eip155:1/slip44:60", amount=1, destination=ADDRESS)
    judgement = judge(started(), said("alice"), said("bob"), payment=payment)
    assert judgement.missing == ("the rule does not allow eip155:1/slip44:60",)


def test_the_maximum_itself_is_allowed() -> None:
    payment = Withdrawal(vault="customer-1", asset=BTC, amount=5 * COIN // 2, destination=ADDRESS)
    assert judge(started(), said("alice"), said("bob"), payment=payment).allowed


def test_a_literal_list_of_addresses_binds_the_destination() -> None:
    book = with_rules(rule(to=paying_only("bcrt1qother")))
    judgement = judge(started(), said("alice"), said("bob"), book=book)
    assert judgement.code is Code.NO_RULE_MATCHES
    assert judge(started(), said("alice"), said("bob"), book=with_rules(rule(to=paying_only("x", ADDRESS)))).allowed


def test_a_prohibition_wins_over_every_rule() -> None:
    deny = Deny(name="never there", vaults=("*",), to=paying_only(ADDRESS), assets=())
    judgement = judge(started(), said("alice"), said("bob"), book=charter(denies=(deny,)))
    assert (judgement.code, judgement.rule) == (Code.DENIED, "never there")


@pytest.mark.parametrize(
    "deny",
    [
        Deny(name="other vault", vaults=("treasury",), to=AnyDestination(), assets=()),
        Deny(name="other address", vaults=("*",), to=paying_only("elsewhere"), assets=()),
        Deny(name="other asset", vaults=("*",), to=AnyDestination(), assets=("eip155:1/slip44:60",)),
    ],
)
def test_a_prohibition_that_does_not_match_changes_nothing(deny: Deny) -> None:
    assert judge(started(), said("alice"), said("bob"), book=charter(denies=(deny,))).allowed


def test_a_rejection_by_a_named_approver_ends_the_order_for_ever() -> None:
    rejection = said("dave", Verb.REJECT, until=T0 + 10)
    judgement = judge(started(), said("alice"), said("bob"), rejection, at=T0 + 10_000)
    assert judgement.code is Code.REJECTED
    assert judge(started(), said("alice"), said("bob"), said("alice", Verb.REJECT)).code is Code.REJECTED


def test_a_rejection_by_someone_no_matching_rule_names_changes_nothing() -> None:
    assert judge(started(), said("alice"), said("bob"), said("shop", Verb.REJECT)).allowed
    smaller = rule(
        name="small", maximum=(AssetAmount(asset=BTC, amount=1),), approvals=(Quorum(group="integrations", count=1),)
    )
    assert not named_approver(with_rules(smaller, rule()), "shop", PAYMENT)
    assert named_approver(with_rules(smaller, rule()), "dave", PAYMENT)


def test_a_rejection_never_counts_as_an_approval() -> None:
    """Above the maximum nobody is an approver whose word ends the order, and still it counts for nothing."""
    payment = Withdrawal(vault="customer-1", asset=BTC, amount=5 * COIN, destination=ADDRESS)
    judgement = judge(started(), said("alice"), said("bob", Verb.REJECT), payment=payment)
    assert judgement.missing == ("maximum per order: 5 BTC of 2.5 BTC", "1 more approval from group treasury")


def test_a_limit_counts_what_was_planned_before_and_this_order() -> None:
    assert judge(started(), said("alice"), said("bob"), used=39 * COIN).allowed
    judgement = judge(started(), said("alice"), said("bob"), used=39 * COIN + 1)
    assert judgement.code is Code.OVER_LIMIT
    assert judgement.missing == ("limit 24h: 40.00000001 BTC of 40 BTC",)


def test_a_limit_that_names_other_assets_only_does_not_bind_the_payment() -> None:
    other = Limit(window_ms=HOUR_MS, amounts=(AssetAmount(asset="eip155:1/slip44:60", amount=1),))
    book = with_rules(rule(limits=(other, *rule().limits)))
    assert judge(started(), said("alice"), said("bob"), book=book).allowed


def test_each_window_is_asked_for_with_the_globs_of_the_rule() -> None:
    asked: list[tuple[tuple[str, ...], str, int]] = []
    week = Limit(window_ms=7 * 24 * HOUR_MS, amounts=(AssetAmount(asset=BTC, amount=90 * COIN),))
    book = with_rules(rule(vaults=("customer-*", "treasury"), limits=(*rule().limits, week)))

    def total(vaults: tuple[str, ...], asset: str, window_ms: int) -> int:
        asked.append((vaults, asset, window_ms))
        return 0

    endorsements = (started(), said("alice"), said("bob"))
    judge_withdrawal(book, PAYMENT, endorsements, at_ms=T0, window_total=total)
    globs = ("customer-*", "treasury")
    assert asked == [(globs, BTC, 24 * HOUR_MS), (globs, BTC, 7 * 24 * HOUR_MS)]


def test_without_windows_limits_are_left_out() -> None:
    endorsements = (started(), said("alice"), said("bob"))
    assert judge_withdrawal(with_rules(rule(limits=())), PAYMENT, endorsements, at_ms=T0, window_total=None).allowed


def test_an_asset_without_a_limit_and_a_rule_without_approvals_allow_nothing() -> None:
    endorsements = (started(), said("alice"), said("bob"))
    assert judge(*endorsements, book=with_rules(rule(limits=()))).code is Code.OVER_LIMIT
    assert judge(*endorsements, book=with_rules(rule(approvals=()))).code is Code.APPROVALS_MISSING
    nobody = with_rules(rule(approvals=(Quorum(group="treasury", count=0),)))
    assert judge(*endorsements, book=nobody).code is Code.APPROVALS_MISSING


def test_the_delay_runs_from_the_last_approval_that_was_needed() -> None:
    book = with_rules(rule(delay_ms=600_000))
    endorsements = (started(), said("alice", at=T0 + 1), said("bob", at=T0 + 50), said("carol", at=T0 + 999_000))
    waiting = judge(*endorsements, book=book, at=T0 + 600_049)
    assert waiting.code is Code.DELAY_RUNNING
    assert waiting.missing == ("wait until 2027-01-15 08:10:01 UTC (delay 10m)",)
    assert judge(*endorsements, book=book, at=T0 + 600_050).allowed


def test_the_delay_starts_anew_when_a_needed_approval_was_replaced_by_a_later_one() -> None:
    book = with_rules(rule(delay_ms=600_000))
    endorsements = (started(), said("alice", until=T0 + 1_000), said("bob"), said("carol", at=T0 + 400_000))
    assert judge(*endorsements, book=book, at=T0 + 999_999).code is Code.DELAY_RUNNING
    assert judge(*endorsements, book=book, at=T0 + 1_000_000).allowed


def test_a_delay_to_come_is_told_with_the_missing_approvals() -> None:
    judgement = judge(started(), book=with_rules(rule(delay_ms=600_000)))
    assert judgement.missing == ("2 more approvals from group treasury", "then 10m of waiting (delay)")


def test_machines_approve_only_machine_rules() -> None:
    machine_quorum = (Quorum(group="integrations", count=1),)
    endorsements = (started("dave"), said("shop"))
    starts = ("group:treasury",)
    human = with_rules(rule(approvals=machine_quorum, initiated=starts))
    assert judge(*endorsements, book=human).code is Code.APPROVALS_MISSING
    assert not named_approver(human, "shop", PAYMENT)
    assert judge(*endorsements, book=with_rules(rule(approvals=machine_quorum, initiated=starts, machine=True))).allowed


def test_the_first_rule_that_passes_is_shown_with_those_tried_before() -> None:
    book = with_rules(
        rule(name="four eyes", approvals=(Quorum(group="admins", count=3),)), rule(name="two eyes"), rule(name="third")
    )
    judgement = judge(started(), said("alice"), said("bob"), book=book)
    assert (judgement.rule, judgement.allowed) == ("two eyes", True)
    assert judgement.tried == ('"four eyes": 1 more approval from group admins',)


def test_the_closest_rule_is_explained_not_the_first() -> None:
    book = with_rules(
        rule(name="elsewhere", vaults=("treasury",), approvals=(Quorum(group="treasury", count=1),)),
        rule(name="too small", maximum=(AssetAmount(asset=BTC, amount=1),)),
        rule(name="needs four", approvals=(Quorum(group="treasury", count=4),)),
        rule(name="needs two"),
    )
    judgement = judge(started(), said("alice"), book=book)
    assert judgement.rule == "needs two"
    assert len(judgement.tried) == 4


def test_every_line_fits_a_signed_view() -> None:
    name = "é" * 40
    book = with_rules(rule(name=name, vaults=tuple(f"customer-{i}-of-a-long-list-*" for i in range(60))))
    judgement = judge(started("bob"), book=book)
    assert judgement.missing
    assert all(len(line.encode()) <= 200 for line in (*judgement.missing, *judgement.tried))


def test_a_quorum_of_the_charter_counts_people_of_its_group_without_the_initiator() -> None:
    quorum = Quorum(group="admins", count=2)

    def ask(*endorsements: Endorsed) -> Judgement:
        return judge_quorum(charter(), quorum, endorsements, at_ms=T0 + 1)

    assert ask(started("dave"), said("alice"), said("bob")).allowed
    assert ask(started("alice"), said("alice"), said("bob")).missing == ("1 more approval from group admins",)
    assert ask(started("dave"), said("alice"), said("dave"), said("shop")).code is Code.APPROVALS_MISSING
    assert ask(said("alice"), said("bob")).code is Code.INITIATOR_NOT_ALLOWED
    assert ask(started("dave"), said("alice"), said("bob"), said("carol", Verb.REJECT)).code is Code.REJECTED
    assert ask(started("dave"), said("alice"), said("bob"), said("shop", Verb.REJECT)).allowed


def test_a_quorum_of_nobody_is_never_met_and_machines_never_count() -> None:
    endorsements = (started("dave"), said("shop"))
    for quorum in (
        Quorum(group="integrations", count=1),
        Quorum(group="admins", count=0),
        Quorum(group="none", count=0),
    ):
        assert not judge_quorum(charter(), quorum, endorsements, at_ms=T0).allowed


@pytest.mark.parametrize(
    ("pattern", "name", "matches"),
    [
        ("customer-*", "customer-1", True),
        ("customer-*", "customer-", True),
        ("customer-*", "customer", False),
        ("customer-1", "customer-1", True),
        ("customer-1", "customer-10", False),
        ("*", "", True),
        ("*-eu-*", "hot-eu-1", True),
        ("customer-*", "treasury-10", False),
        ("*-eu", "hot-us-1", False),
        ("*-eu-*", "hot-us-1", False),
        ("a*a", "a", False),
        ("a*a", "aa", True),
        ("a*b*c", "axbxbxc", True),
        ("*ab", "aab", True),
        ("a**b", "ab", True),
        ("", "", True),
        ("", "a", False),
        ("customer-?", "customer-1", False),
        ("customer-[1]", "customer-1", False),
    ],
)
def test_globs_know_only_the_star(pattern: str, name: str, matches: bool) -> None:
    assert glob_match(pattern, name) is matches
