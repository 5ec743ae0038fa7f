"""Founding a log anew gives nobody what the log before would have refused: no coin, no rule, no vote, no silence."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import charter_builder as builder
from ledger_world import DAY_MS, HOUR_MS, Coin, World
from restart_signers import NAMES, LostDisks
from restart_world import RestartWorld, approval
from signer_world import VAULT
from strongroom.api.signer.v1 import signer_link_service_pb2 as pb
from strongroom.ledger import codec
from strongroom.ledger.certificate_messages import Certificate
from strongroom.ledger.entry_messages import Restart, Tick
from strongroom.ledger.founding import restart_log_id
from strongroom.ledger.order_messages import Unfreeze
from strongroom.ledger.reasons import Refused
from strongroom.ledger.records import OrderState
from strongroom.ledger.signed_messages import Verb
from strongroom.protocol.signed import BadSignedBody
from strongroom_signer.store import Store

ON_PAPER = "on paper: whoever may found a log anew may try to leave something out of it, or to bring something in"
REPLAYED = "on paper: a log restarted after a disaster, where every old approved order is fresh again"
ROLLED_BACK = "on paper: signers made to go back to before a payment, so that it is made twice"


def attack(line: str, title: str, origin: str = ON_PAPER) -> Any:
    return pytest.mark.attack(line=line, title=title, origin=origin)


@pytest.fixture
def world() -> RestartWorld:
    world = RestartWorld()
    world.world.make_vault(VAULT)
    return world


@pytest.fixture
def lost(tmp_path: Path) -> Iterator[LostDisks]:
    lost = LostDisks.started(tmp_path, recovered=())
    yield lost
    lost.close()


@pytest.fixture
def recovered(tmp_path: Path) -> Iterator[LostDisks]:
    recovered = LostDisks.started(tmp_path)
    yield recovered
    recovered.close()


def refusal(world: RestartWorld, *bodies: Any) -> str:
    with pytest.raises(Refused) as caught:
        world.world.log(*bodies)
    return caught.value.reason


def not_founded(world: RestartWorld, restart: Restart) -> str:
    with pytest.raises(Refused) as caught:
        world.tried(restart)
    return caught.value.reason


def thaw(world: RestartWorld) -> None:
    lifting = world.world.submit(Unfreeze(freeze=world.world.log_id), "dave", "alice")
    world.world.approve(lifting, "carol")


# --- a payment made twice, or taken back ------------------------------------------------------------------------------


@attack("admin-quorum", "a payment rolled back by a restart from before it", ROLLED_BACK)
def test_a_signer_refuses_a_restart_that_would_make_it_forget_a_certificate(lost: LostDisks) -> None:
    store = lost.cluster.signers["s1"].store
    size = store.certified_size()
    assert size > 3
    for earlier in (size - 1, size - 2):
        certificate = codec.decode(Certificate, store.certificate(earlier) or b"")
        restart = lost.restart(certificate=certificate)
        lost.pin("s1", restart)
        assert lost.reason == "RESTART_LOSES_CERTIFICATE"
        lost.start("s1")
        store = lost.cluster.signers["s1"].store
    assert lost.cluster.signers["s1"].copy.log_id == lost.world.genesis_id


@attack("approval-quorum", "an order that a lost plan may have paid, planned again after a restart", ROLLED_BACK)
def test_an_order_that_may_have_been_paid_is_never_planned_again(world: RestartWorld) -> None:
    order = world.world.pay(VAULT, 100_000)
    world.found(world.restart())
    thaw(world)
    assert refusal(world, world.world.plan([order], [world.world.coin(200_000)])) == "LAPSED"
    assert refusal(world, world.world.endorse("carol", Verb.APPROVE, order)) == "ORDER_ENDED"


@attack("coordinator", "a planned order paid by a second plan beside the first after a restart", ROLLED_BACK)
def test_a_planned_order_is_paid_by_no_plan_beside_the_first(world: RestartWorld) -> None:
    order = world.world.pay(VAULT, 100_000)
    world.world.log_plan([order], [world.world.coin(200_000)])
    world.found(world.restart())
    thaw(world)
    assert refusal(world, world.world.plan([order], [world.world.coin(300_000)])) == "PLAN_CONFLICT"


@attack(
    "coordinator", "an order paid twice, by a plan that a restart lost and by one of another coin of its first plan"
)
@pytest.mark.parametrize(
    ("kind", "reason"), [("plan", "PLAN_CONFLICT"), ("bump", "BUMP_MISMATCH"), ("cancellation", "PLAN_CONFLICT")]
)
def test_no_plan_stands_beside_one_that_was_lost(world: RestartWorld, kind: str, reason: str) -> None:
    order, a, b = world.world.pay(VAULT, 100_000), world.world.coin(200_000), world.world.coin(200_000)
    first = world.world.log_plan([order], [a, b])
    restart, size = world.restart(), world.state.size
    world.world.log_plan([order], [a])  # signed, kept back, and known to lost disks alone
    world.lose(size)
    world.found(restart)
    thaw(world)
    about = world.world.cancel(order) if kind == "cancellation" else order
    bumps = first if kind == "bump" else b""
    if kind == "bump":
        world.world.later(20 * DAY_MS)
    assert refusal(world, world.world.plan([about], [b], fee_sat=2_000, bumps=bumps)) == reason
    world.world.log(world.world.plan([about], [a, b], fee_sat=2_000, bumps=bumps))


@attack("coordinator", "what a cancellation gave back after a restart, spent by a lost plan of the cancelled order")
def test_a_cancellation_is_no_transaction_that_a_lost_plan_spends(world: RestartWorld) -> None:
    orders, coin = [world.world.pay(VAULT, 100_000), world.world.pay(VAULT, 100_000)], world.world.coin(500_000)
    world.world.log_plan(orders, [coin])
    restart, size = world.restart(), world.state.size
    between = world.world.planned([world.world.cancel(orders[1])], [coin], fee_sat=2_000)
    world.world.log_plan([orders[0]], [Coin(between.txid, 0, 498_000, branch=1)])
    world.lose(size)
    world.found(restart)
    thaw(world)
    excluding = world.world.plan([world.world.cancel(orders[0])], [coin], fee_sat=2_000)
    assert refusal(world, replace(excluding, locktime=0)) == "PLAN_FORM"
    assert world.world.planned(excluding.order_hashes, [coin], fee_sat=2_000).txid != between.txid


@attack("coordinator", "a vault spent right after a restart, before anybody looked at the chain", ROLLED_BACK)
def test_nothing_is_planned_before_the_unfreeze_quorum_has_looked(world: RestartWorld) -> None:
    order = world.world.pay(VAULT, 100_000)
    coin = world.world.coin(200_000)
    plan = world.world.log_plan([order], [coin])
    world.found(world.restart())
    world.world.later(300 * DAY_MS)
    bump = world.world.plan([order], [coin], fee_sat=2_000, bumps=plan)
    assert refusal(world, bump) == "FROZEN"
    lifting = world.world.submit(Unfreeze(freeze=world.world.log_id), "dave", "alice")
    assert world.state.order(lifting) is not None
    assert refusal(world, bump) == "FROZEN"


# --- words of the log before ------------------------------------------------------------------------------------------


@attack("coordinator", "an approved order of the log before submitted to the one that was founded anew", REPLAYED)
def test_an_approved_order_of_the_log_before_is_worth_nothing(world: RestartWorld) -> None:
    order = world.world.order(world.world.withdrawal(VAULT, 100_000))
    entry = world.world.order_entry(order, "shop", "alice", "bob")
    world.found(world.restart())
    assert refusal(world, entry) == "WRONG_LOG"


@attack("coordinator", "an approval of the log before added to an order that a restart ended", REPLAYED)
def test_an_endorsement_of_the_log_before_is_worth_nothing(world: RestartWorld) -> None:
    order = world.world.submit(world.world.withdrawal(VAULT, 100_000), "shop", "alice")
    word = world.world.endorse("bob", Verb.APPROVE, order)
    world.found(world.restart())
    assert refusal(world, word) == "WRONG_LOG"


@attack("person", "an order that was rejected revived by a restart", REPLAYED)
def test_a_rejected_order_stays_rejected(world: RestartWorld) -> None:
    order = world.world.pay(VAULT, 100_000)
    world.world.reject(order, "dave")
    world.found(world.restart())
    thaw(world)
    record = world.state.order(order)
    assert record is not None
    assert record.state is OrderState.REJECTED
    assert refusal(world, world.world.plan([order], [world.world.coin(200_000)])) == "REJECTED"


@attack("admin-quorum", "a freeze taken away by a restart")
def test_a_freeze_outlives_a_restart(world: RestartWorld) -> None:
    freeze = world.world.freeze("dave", why="an attack")
    world.world.approve(freeze, "alice", "bob")
    world.found(world.restart())
    thaw(world)
    order = world.world.pay(VAULT, 100_000)
    assert refusal(world, world.world.plan([order], [world.world.coin(200_000)])) == "FROZEN"


# --- rules and delays ------------------------------------------------------------------------------------------------


@attack("admin-quorum", "looser rules brought into force by a restart, without the loosening delay")
@pytest.mark.parametrize("part", ["rules", "admin", "people", "loosening_delay_ms", "fees", "officers", "unfreeze"])
def test_a_restart_brings_no_rule_into_force(part: str) -> None:
    world = RestartWorld()
    old = world.state.charter
    mallory = builder.person("mallory")
    changed: dict[str, Any] = {
        "rules": (replace(old.rules[0], name="other"),),
        "admin": replace(old.admin, count=1),
        "people": (*old.people, mallory),
        "loosening_delay_ms": HOUR_MS,
        "fees": replace(old.fees, per_plan=2_000_000),
        "officers": "admins",
        "unfreeze": replace(old.unfreeze, count=1),
    }
    assert not_founded(world, world.restart(world.new_charter(**{part: changed[part]}))) == "RESTART_CHARTER"


@attack("admin-quorum", "an amendment that waits made to act at once by a restart")
def test_a_scheduled_amendment_never_acts_by_a_restart(world: RestartWorld) -> None:
    fees = replace(world.state.charter.fees, per_plan=9_000_000)
    order = world.world.amend("alice", "bob", initiator="carol", fees=fees)
    world.world.later(30 * DAY_MS)
    world.found(world.restart())
    world.world.later(30 * DAY_MS)
    world.world.log(Tick())
    record = world.state.order(order)
    assert record is not None
    assert record.state is OrderState.LAPSED
    assert world.state.charter.fees != fees


@attack("admin-quorum", "a restart dated ahead, so that every delay is over when it is pinned")
def test_a_signer_pins_no_restart_from_the_future(lost: LostDisks) -> None:
    restart = lost.restart(made_ms=lost.cluster.clock.wall_ms() + 30 * DAY_MS)
    lost.pin("s1", restart)
    assert lost.reason == "RESTART_REFUSED"


@attack("person", "a log founded anew by one administrator, or by one who signs twice, or with a stolen key")
@pytest.mark.parametrize("approvers", [("alice",), ("alice", "alice"), ("alice", "dave")])
def test_fewer_than_the_admin_quorum_found_no_log(world: RestartWorld, approvers: tuple[str, ...]) -> None:
    assert not_founded(world, world.restart(approvers=approvers)) == "RESTART_APPROVALS"


@attack("person", "a restart approved by a key that was revoked")
def test_a_revoked_administrator_founds_no_log(world: RestartWorld) -> None:
    old = world.state.charter
    people = tuple(one for one in old.people if one.name != "bob")
    groups = tuple(replace(one, members=tuple(name for name in one.members if name != "bob")) for one in old.groups)
    world.world.amend("alice", "carol", initiator="dave", people=people, groups=groups)
    assert not_founded(world, world.restart(approvers=("alice", "bob"))) in ("KEY_UNKNOWN", "RESTART_APPROVALS")


# --- votes and histories ---------------------------------------------------------------------------------------------


@attack("coordinator", "a restart slipped into the log as a batch to vote for")
def test_no_signer_votes_for_a_restart(lost: LostDisks) -> None:
    restart = lost.restart()
    batch = lost.world.founding(restart)
    size = lost.cluster.signers["s1"].copy.size
    answer = lost.cluster.ask(
        "s1",
        pb.Append(
            term=lost.cluster.term,
            first_index=size,
            entries=batch.entries,
            size=size + 1,
            root=bytes(32),
            certificate=codec.encode(lost.certificate),
        ),
    )
    assert not isinstance(answer, pb.Voted)
    assert "RESTART_NOT_PINNED" in str(answer)


@attack("machine", "a second vote by a signer whose restart is pinned again")
def test_pinning_a_restart_again_gives_no_second_vote(recovered: LostDisks) -> None:
    restart = recovered.restart()
    for name in NAMES:
        recovered.pin(name, restart)
    recovered.go_on(restart)
    recovered.cluster.open_term()
    recovered.cluster.tick(1)
    voted = {name: recovered.cluster.signers[name].voting.state for name in NAMES}
    assert all(state.last_vote is not None for state in voted.values())
    for name in NAMES:
        recovered.pin(name, restart)
        recovered.start(name)
        assert recovered.cluster.signers[name].voting.state == voted[name]


@attack("machine", "a second vote in the log before, by a signer that follows its restart")
def test_a_signer_that_follows_a_restart_says_nothing_in_the_log_before(recovered: LostDisks) -> None:
    cluster, old = recovered.cluster, recovered.certificate
    promised = cluster.ask("s1", pb.Promise(term=cluster.term + 1, leader=cluster.leader))
    opening = pb.OpenTerm(
        term=cluster.term + 1, statements=[promised.statement] * 2, base_certificate=codec.encode(old)
    )
    restart = recovered.restart()
    for name in NAMES:
        recovered.pin(name, restart)
    recovered.go_on(restart)
    with pytest.raises(BadSignedBody):
        cluster.ask("s1", opening)


@attack("coordinator+signers", "two histories under one log id, from one statement with different approvals")
def test_one_log_id_is_one_founding_entry(world: RestartWorld) -> None:
    one = world.restart()
    other = replace(one, approvals=tuple(approval(one, person) for person in ("alice", "carol")))
    assert one.statement == other.statement
    assert restart_log_id(one) != restart_log_id(other)
    replica = world.pinned(one)
    replica.push(replica.preview(world.founding(other)))
    with pytest.raises(Refused) as caught:
        replica.require_founded()
    assert caught.value.reason == "WRONG_LOG"


@attack("admin-quorum", "one head founded anew twice, each time with other signers that suffice")
@pytest.mark.parametrize("places", [(0, 1), (3, 4)])
def test_no_restart_leaves_out_the_signers_of_another(places: tuple[int, int]) -> None:
    signers = tuple(builder.signer(f"s{number}") for number in range(1, 6))
    world = RestartWorld(World.started(signers=signers, witness_quorum=4))
    chosen = tuple(signers[place] for place in places)
    charter = world.new_charter(lost=(), signers=chosen, witness_quorum=2)
    restart = world.restart(charter, voters=("s1", "s2", "s3", "s4"))
    assert not_founded(world, restart) == "RESTART_CHARTER"
    assert world.tried(world.restart(world.new_charter(lost=("s5",)), voters=("s1", "s2", "s3", "s4")))


@attack("coordinator", "a log founded anew from entries that no quorum ever certified")
def test_nobody_founds_a_log_on_entries_without_a_certificate(world: RestartWorld) -> None:
    made_up = replace(world.restart(), certificate=None)
    made_up = replace(made_up, approvals=tuple(approval(made_up, person) for person in ("alice", "bob")))
    assert not_founded(world, made_up) == "RESTART_CERTIFICATE"
    assert not_founded(world, world.restart(voters=("s1", "s2:s2-new"))) == "RESTART_CERTIFICATE"


@attack("coordinator", "a restart of the operator's log with another fingerprint than the administrators read out")
def test_an_operator_who_compares_pins_no_other_restart(lost: LostDisks) -> None:
    meant, other = lost.restart(), lost.restart(approvers=("alice", "carol"))
    lost.pin("s1", other, fingerprint=restart_log_id(meant).hex())
    assert lost.reason == "RESTART_REFUSED"
    store = Store.open(lost.cluster.folders["s1"] / "signer.db")
    pin = store.pin()
    store.close()
    assert pin is not None
    assert pin.log_id == lost.world.genesis_id
    lost.pin("s1", meant)
    lost.pin("s1", other)
    assert lost.reason == "RESTART_OF_ANOTHER_LOG"
