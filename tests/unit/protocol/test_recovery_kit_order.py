"""Who may have a vault swept, judged by a holder alone: each check by what passes without it."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import pytest

import charter_builder as builder
from kit_world import SAFE, VAULT, Kit
from ledger_world import DAY_MS
from strongroom.chains.bitcoin.policy import MAX_MONEY_SAT
from strongroom.ledger.charter import Group
from strongroom.ledger.entry_messages import Tick
from strongroom.ledger.judge import judge_order
from strongroom.ledger.judgement import Code
from strongroom.ledger.reasons import Refused
from strongroom.ledger.records import OrderState
from strongroom.ledger.signed_messages import Verb
from strongroom.protocol.recovery_kit_order import (
    MAX_APPROVALS,
    JudgedSweep,
    SweepOrderRefused,
    judge_sweep,
    may_approve,
    read_sweep,
    require_quorum,
)


@pytest.fixture(scope="module")
def kit() -> Kit:
    return Kit.started()


def judge(kit: Kit, order: bytes, *people: str, now_ms: int = 0, **parts: Any) -> JudgedSweep:
    said = tuple(kit.world.endorsement(name, Verb.APPROVE, order, **parts) for name in people or ("alice", "bob"))
    return judge_sweep(kit.world.state, order, said, now_ms=now_ms or kit.world.time_ms)


def test_two_administrators_sweep_a_vault(kit: Kit) -> None:
    order = kit.order()
    judged = judge(kit, order, "carol", "alice")
    assert (judged.action.vault, judged.action.destination) == (VAULT, SAFE)
    assert (judged.approved, judged.wanted) == (("alice", "carol"), 2)
    assert judged.hash == hashlib.sha256(order).digest()
    assert judged.vault == kit.vault
    require_quorum(judged)


def test_one_administrator_is_not_enough(kit: Kit) -> None:
    with pytest.raises(SweepOrderRefused, match=r"^1 more .* it has alice$"):
        require_quorum(judge(kit, kit.order(), "alice"))
    with pytest.raises(SweepOrderRefused, match=r"^2 more .* it has no approval$"):
        require_quorum(read_sweep(kit.world.state, kit.order(), now_ms=kit.world.time_ms))


@pytest.mark.parametrize(
    ("parts", "why"),
    [
        ({"vault": "customer-2"}, "no vault customer-2"),
        ({"destination": SAFE.upper()}, "canonical spelling"),
        ({"destination": "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"}, "not an address of regtest"),
        ({"max_fee": MAX_MONEY_SAT + 1}, "no maximum of a fee"),
    ],
)
def test_an_order_must_fit_the_log(kit: Kit, parts: dict[str, object], why: str) -> None:
    with pytest.raises(SweepOrderRefused, match=why):
        judge(kit, kit.order(**parts))


def test_other_orders_are_none(kit: Kit) -> None:
    now = kit.world.time_ms
    payment = kit.world.withdrawal(VAULT, 50_000)
    for order, why in (
        (kit.world.order(payment), "does not ask for a sweep"),
        (kit.order()[:-1], "malformed"),
        (kit.world.order(kit.judged().action, log_id=bytes(32)), "another log"),
        (kit.world.order(kit.judged().action, expires_ms=now), "has expired"),
        (kit.world.order(kit.judged().action, expires_ms=now + 30 * DAY_MS + 1), "more than 30 days"),
    ):
        with pytest.raises(SweepOrderRefused, match=why):
            read_sweep(kit.world.state, order, now_ms=now)
    longest = kit.world.order(kit.judged().action, expires_ms=now + 30 * DAY_MS)
    assert read_sweep(kit.world.state, longest, now_ms=now).approved == ()


def test_a_clock_before_the_log_judges_nothing(kit: Kit) -> None:
    with pytest.raises(SweepOrderRefused, match="clock"):
        judge(kit, kit.order(), now_ms=kit.world.time_ms - 1)


def test_approvals_are_of_this_order_by_different_administrators(kit: Kit) -> None:
    order = kit.order()
    world = kit.world
    good = kit.approvals(order, "alice")
    for said, why in (
        (world.endorsement("bob", Verb.APPROVE, kit.order()), "another order"),
        (world.endorsement("bob", Verb.REJECT, order), "bob does not approve"),
        (world.endorsement("bob", Verb.INITIATE, order), "bob does not approve"),
        (world.endorsement("dave", Verb.APPROVE, order), "not of group admins"),
        (world.endorsement("shop", Verb.APPROVE, order), "not of group admins"),
        (world.endorsement("alice", Verb.APPROVE, order), "alice approves twice"),
        (world.endorsement("bob", Verb.APPROVE, order, label="mallory"), "no such key of bob"),
        (world.endorsement("bob", Verb.APPROVE, order, log_id=bytes(32)), "another log"),
        (world.endorsement("bob", Verb.APPROVE, order, expires_ms=world.time_ms), "has expired"),
        (world.endorsement("bob", Verb.APPROVE, order, expires_ms=world.time_ms + 8 * DAY_MS), "more than 7 days"),
        (replace(world.endorsement("bob", Verb.APPROVE, order), signature=bytes(64)), "does not verify"),
        (replace(good[0], body=good[0].body[:-1]), "ENTRY_MALFORMED|at byte"),
    ):
        with pytest.raises(SweepOrderRefused, match=why):
            judge_sweep(world.state, order, (*good, said), now_ms=world.time_ms)


def test_an_approval_that_saw_a_longer_log_shows_that_the_export_is_old(kit: Kit) -> None:
    size = kit.world.replica.size
    with pytest.raises(SweepOrderRefused, match="newest exported log") as caught:
        judge(kit, kit.order(), head_size=size + 1)
    assert caught.value.facts["why"] == "ENDORSEMENT_HEAD"
    with pytest.raises(SweepOrderRefused, match="another root"):
        judge(kit, kit.order(), head_root=bytes(32))


def test_there_are_so_many_approvals_and_no_more(kit: Kit) -> None:
    order = kit.order()
    said = kit.approvals(order, "alice") * (MAX_APPROVALS + 1)
    with pytest.raises(SweepOrderRefused, match="65 approvals"):
        judge_sweep(kit.world.state, order, said, now_ms=kit.world.time_ms)


def test_a_revoked_key_counts_no_more() -> None:
    kit = Kit.started()
    order = kit.order()
    said = kit.approvals(order, "bob", "carol")
    assert judge_sweep(kit.world.state, order, said, now_ms=kit.world.time_ms).approved == ("bob", "carol")
    people = tuple(person for person in kit.world.state.charter.people if person.name != "bob")
    groups = tuple(
        Group(name=group.name, members=tuple(name for name in group.members if name != "bob"))
        for group in kit.world.state.charter.groups
    )
    kit.world.amend("alice", "carol", people=people, groups=groups)
    kit.world.later(kit.world.state.charter.loosening_delay_ms)
    kit.world.log(Tick())
    assert kit.world.state.charter.version == 2
    with pytest.raises(SweepOrderRefused, match="no such key of bob"):
        judge_sweep(kit.world.state, order, said, now_ms=kit.world.time_ms)


def test_an_approval_by_a_key_that_was_revoked_by_hand_voids_the_order(kit: Kit) -> None:
    order, world = kit.order(), kit.world
    said = kit.approvals(order, "alice", "bob", "carol")
    bob, dave = builder.signing_key("bob").public, builder.signing_key("dave").public
    with pytest.raises(SweepOrderRefused, match="bob approves with a key that was revoked by hand"):
        judge_sweep(world.state, order, said, now_ms=world.time_ms, revoked={bob})
    judged = judge_sweep(world.state, order, said, now_ms=world.time_ms, revoked={dave})
    assert judged.approved == ("alice", "bob", "carol")


def test_who_may_approve_is_known_before_anything_is_signed(kit: Kit) -> None:
    state = kit.world.state
    key = {name: builder.signing_key(name).public for name in ("alice", "bob", "dave", "shop")}
    assert may_approve(state, "alice", key["alice"])
    assert not may_approve(state, "alice", key["bob"])
    assert not may_approve(state, "dave", key["dave"])
    assert not may_approve(state, "shop", key["shop"])


def test_no_log_takes_such_an_order(kit: Kit) -> None:
    order = kit.order()
    with pytest.raises(Refused) as caught:
        kit.world.log(kit.world.order_entry(order, "dave", "alice", "bob"))
    assert caught.value.reason == "ORDER_NEVER_LOGGED"
    payment = kit.world.pay(VAULT, 50_000)
    earlier = kit.world.state.order(payment)
    assert earlier is not None
    forged = replace(earlier, order=order, state=OrderState.OPEN)
    judgement = judge_order(kit.world.state, forged, kit.world.time_ms)
    assert (judgement.allowed, judgement.code) == (False, Code.DENIED)
