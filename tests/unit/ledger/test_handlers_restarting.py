"""A log is founded anew: only as its administrators signed, from a certified head, and where it is pinned."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace

import pytest

import charter_builder as builder
from large_charter import charter_of_size
from ledger_world import DAY_MS, HOUR_MS, World
from restart_world import RestartWorld, approval
from strongroom.ledger import codec
from strongroom.ledger.charter import Charter, encode_charter
from strongroom.ledger.electorate import Electorate
from strongroom.ledger.entry_messages import Entry, Restart, Tick
from strongroom.ledger.founding import (
    NotFounding,
    founded_charter,
    founded_log_id,
    read_founding,
    restart_entry,
    restart_log_id,
)
from strongroom.ledger.handlers.restarting import FREEZE_REASON
from strongroom.ledger.order_messages import Scope, Unfreeze
from strongroom.ledger.pae import pae
from strongroom.ledger.reasons import Refused
from strongroom.ledger.records import OrderState, WitnessPhase
from strongroom.ledger.replica import Batch, Replica
from strongroom.ledger.signed_messages import RestartApproval, Signed, Verb
from strongroom.ledger.view import MemoryStore
from strongroom.model.ids import LogId

AFTER = ("s1", "s2:s2-new")
"""Who certifies in the log that was founded anew."""


@pytest.fixture
def world() -> RestartWorld:
    return RestartWorld()


def refusal(world: RestartWorld, restart: Restart) -> str:
    with pytest.raises(Refused) as caught:
        world.tried(restart)
    return caught.value.reason


def signed_again(restart: Restart, *people: str) -> Restart:
    """The same restart with the approvals that fit it."""
    return replace(restart, approvals=tuple(approval(restart, person) for person in people or ("alice", "bob")))


# --- what it is ------------------------------------------------------------------------------------------------------


def test_a_restart_puts_its_charter_and_its_own_hash_in_force(world: RestartWorld) -> None:
    charter = world.new_charter()
    restart = world.restart(charter)
    before = world.state.size
    world.found(restart)
    state = world.state
    assert (state.log_id, state.charter) == (restart_log_id(restart), charter)
    assert state.log_id != world.genesis_id
    assert (state.size, state.founded_size) == (before + 1, before + 1)
    record = state.witnesses
    assert (record.number, record.phase, record.since_size) == (1, WitnessPhase.STEADY, before + 1)
    assert state.electorates() == ((0, record),)
    assert Electorate.of(record) == Electorate.of_charter(charter)


def test_a_log_that_was_never_founded_anew_begins_at_its_genesis(world: RestartWorld) -> None:
    assert (world.state.founded_size, world.state.log_id) == (0, world.genesis_id)


def test_the_log_id_names_certificate_and_approvals_too(world: RestartWorld) -> None:
    one = world.restart()
    other = signed_again(one, "alice", "carol")
    assert one.statement == other.statement
    assert restart_log_id(one) != restart_log_id(other)
    held = world.restart(certificate=world.certificate(("s1", "s3")))
    assert restart_log_id(held) != restart_log_id(one)


def test_everybody_makes_the_same_entry_of_a_restart(world: RestartWorld) -> None:
    restart = world.restart()
    entry = restart_entry(restart)
    assert entry == restart_entry(codec.decode(Restart, codec.encode(restart)))
    read = read_founding(codec.encode(entry))
    assert founded_log_id(read) == restart_log_id(restart)
    assert founded_charter(read)[1] == world.new_charter()


def test_a_log_is_founded_on_a_genesis_or_a_restart_only(world: RestartWorld) -> None:
    genesis = read_founding(world.world.batches[0].entries[0])
    assert founded_log_id(genesis) == world.genesis_id
    assert founded_charter(genesis)[1] == world.state.charter
    tick = world.world.entry(Tick())
    with pytest.raises(NotFounding):
        read_founding(tick)
    decoded = codec.decode(Entry, tick)
    for read in (founded_log_id, founded_charter):
        with pytest.raises(NotFounding):
            read(decoded)


def test_replay_from_the_genesis_gives_the_same_state(world: RestartWorld) -> None:
    world.world.make_vault("customer-1")
    world.world.pay("customer-1", 100_000)
    world.found(world.restart())
    world.world.log(Tick())
    replayed = Replica(MemoryStore(), log_id=world.world.log_id, genesis_id=world.genesis_id)
    for batch in world.world.batches:
        replayed.push(replayed.preview(batch))
    replayed.require_founded()
    assert replayed.head() == world.world.replica.head()
    assert replayed.state().electorates() == world.state.electorates()


# --- who must have pinned it -----------------------------------------------------------------------------------------


def test_a_log_that_goes_on_never_takes_a_restart(world: RestartWorld) -> None:
    restart = world.restart()
    with pytest.raises(Refused) as caught:
        world.world.replica.preview(world.founding(restart))
    assert caught.value.reason == "RESTART_NOT_PINNED"
    assert caught.value.facts["log_id"] == restart_log_id(restart).hex()


def test_a_log_that_was_founded_anew_takes_no_further_restart_unless_it_is_pinned(world: RestartWorld) -> None:
    world.found(world.restart())
    again = world.restart(world.new_charter(key="newer"), statement=None)
    with pytest.raises(Refused) as caught:
        world.world.replica.preview(world.founding(again))
    assert caught.value.reason == "RESTART_NOT_PINNED"


def test_a_replay_that_never_reaches_the_pinned_founding_is_of_another_log(world: RestartWorld) -> None:
    replica = world.pinned(world.restart())
    with pytest.raises(Refused) as caught:
        replica.require_founded()
    assert caught.value.reason == "WRONG_LOG"


def test_another_restart_than_the_pinned_one_leads_to_another_log(world: RestartWorld) -> None:
    pinned, other = world.restart(), world.restart(approvers=("alice", "carol"))
    replica = world.pinned(other, log_id=restart_log_id(pinned))
    replica.push(replica.preview(world.founding(other)))
    with pytest.raises(Refused) as caught:
        replica.require_founded()
    assert caught.value.reason == "WRONG_LOG"


# --- its head --------------------------------------------------------------------------------------------------------


def test_a_statement_about_another_log_is_refused(world: RestartWorld) -> None:
    other = World.started(organisation="other")
    head = replace(world.head(), log_id=other.log_id)
    assert refusal(world, world.restart(statement=world.statement(head=head))) == "WRONG_LOG"


@pytest.mark.parametrize(
    "part", [{"size": 2}, {"root": bytes(32)}, {"state_digest": bytes(32)}], ids=["size", "root", "state"]
)
def test_a_statement_must_name_the_head_that_the_log_ends_at(world: RestartWorld, part: dict[str, object]) -> None:
    head = replace(world.head(), **part)  # type: ignore[arg-type]
    assert refusal(world, world.restart(statement=world.statement(head=head))) == "RESTART_HEAD"


def test_a_restart_stands_right_behind_the_head_that_it_names(world: RestartWorld) -> None:
    early = world.restart()
    world.world.log(Tick())
    assert refusal(world, early) == "RESTART_HEAD"


def test_a_statement_is_not_older_than_the_log(world: RestartWorld) -> None:
    statement = world.statement(made_ms=world.world.time_ms - 1)
    assert refusal(world, world.restart(statement=statement)) == "ENTRY_TIME_FELL"


def test_a_head_without_a_certificate_is_no_place_to_begin(world: RestartWorld) -> None:
    restart = signed_again(replace(world.restart(), certificate=None))
    assert refusal(world, restart) == "RESTART_CERTIFICATE"
    unnamed = world.restart(statement=world.statement(head=replace(world.head(), term=0)))
    assert unnamed.certificate is None
    assert refusal(world, unnamed) == "RESTART_CERTIFICATE"


def test_a_certificate_of_another_head_does_not_count(world: RestartWorld) -> None:
    other = replace(world.head(), term=7)
    assert refusal(world, world.restart(certificate=world.certificate(("s1", "s2"), head=other))) == (
        "RESTART_CERTIFICATE"
    )


def test_a_certificate_needs_the_witness_quorum(world: RestartWorld) -> None:
    assert refusal(world, world.restart(voters=("s1",))) == "RESTART_CERTIFICATE"


def test_a_certificate_of_the_new_signers_does_not_certify_the_old_log(world: RestartWorld) -> None:
    assert refusal(world, world.restart(voters=("s1", "s2:s2-new"))) == "RESTART_CERTIFICATE"


def test_a_log_founded_anew_in_which_nothing_was_certified_can_be_founded_again(world: RestartWorld) -> None:
    world.found(world.restart())
    head = replace(world.head(), term=0)
    charter = world.new_charter(key="newer")
    world.found(world.restart(statement=world.statement(charter, head=head)))
    assert world.state.founded_size == 3
    assert world.state.charter == charter


def test_a_head_that_names_a_term_shows_its_certificate(world: RestartWorld) -> None:
    world.found(world.restart())
    charter = world.new_charter(key="newer")
    restart = signed_again(replace(world.restart(charter, voters=AFTER), certificate=None))
    assert refusal(world, restart) == "RESTART_CERTIFICATE"


def test_no_certificate_is_needed_right_behind_a_founding_only(world: RestartWorld) -> None:
    world.found(world.restart())
    world.world.log(Tick())
    head = replace(world.head(), term=0)
    restart = world.restart(statement=world.statement(world.new_charter(key="newer"), head=head))
    assert refusal(world, restart) == "RESTART_CERTIFICATE"


def test_a_log_can_be_founded_anew_again_from_what_was_certified_since(world: RestartWorld) -> None:
    world.found(world.restart())
    first = world.world.log_id
    world.world.log(Tick())
    world.found(world.restart(world.new_charter(key="newer"), voters=AFTER))
    assert world.state.log_id not in (first, world.genesis_id)
    assert len(world.state.freezes()) == 2


# --- its charter -----------------------------------------------------------------------------------------------------


def other_rules(old: Charter) -> dict[str, object]:
    (rule,) = old.rules
    return {"rules": (replace(rule, maximum=(replace(rule.maximum[0], amount=10 * builder.COIN),)),)}


def other_people(old: Charter) -> dict[str, object]:
    return {"people": (*old.people, builder.person("mallory"))}


def no_delay(old: Charter) -> dict[str, object]:
    return {"loosening_delay_ms": HOUR_MS}


def other_admins(old: Charter) -> dict[str, object]:
    return {"admin": replace(old.admin, count=1)}


@pytest.mark.parametrize("change", [other_rules, other_people, no_delay, other_admins])
def test_a_restart_changes_signers_and_nothing_else(
    world: RestartWorld, change: Callable[[Charter], dict[str, object]]
) -> None:
    charter = world.new_charter(**change(world.state.charter))
    assert refusal(world, world.restart(charter)) == "RESTART_CHARTER"


def test_a_restart_leaves_no_signer_out_and_brings_no_host_key(world: RestartWorld) -> None:
    first, second, third = world.new_charter().signers
    foreign = builder.signer("s4")
    for signers, quorum in (
        ((first, second), 2),
        ((first, second, third, foreign), 3),
        ((first, second, foreign), 2),
        ((first, second, replace(third, host_key=foreign.host_key)), 2),
    ):
        charter = world.new_charter(signers=signers, witness_quorum=quorum)
        assert refusal(world, world.restart(charter)) == "RESTART_CHARTER"


def test_a_restart_may_change_the_witness_quorum(world: RestartWorld) -> None:
    world.found(world.restart(world.new_charter(witness_quorum=3)))
    assert world.state.witnesses.current.quorum == 3


def test_a_restart_may_leave_the_signers_as_they_are(world: RestartWorld) -> None:
    charter = world.new_charter(lost=())
    world.found(world.restart(charter))
    assert world.state.charter == charter


def test_the_charter_of_a_restart_follows_the_one_in_force(world: RestartWorld) -> None:
    assert refusal(world, world.restart(world.new_charter(version=3))) == "AMENDMENT_VERSION"
    assert refusal(world, world.restart(world.new_charter(organisation="other"))) == "AMENDMENT_IDENTITY"


def test_a_signer_gets_no_key_that_somebody_had(world: RestartWorld) -> None:
    first, second, third = world.new_charter().signers
    of_another = world.state.charter.signers[1].vote_key
    charter = world.new_charter(signers=(first, second, replace(third, vote_key=of_another)))
    assert refusal(world, world.restart(charter)) == "AMENDMENT_KEY_USED"


def test_a_vault_keeps_holders_enough(world: RestartWorld) -> None:
    world.world.make_vault("customer-1")
    first, *_ = world.new_charter().signers
    charter = world.new_charter(signers=(first, builder.signer("s4"), builder.signer("s5")))
    assert refusal(world, world.restart(charter)) == "AMENDMENT_VAULTS"


# --- its approvals ---------------------------------------------------------------------------------------------------


def with_approvals(restart: Restart, *approvals: Signed) -> Restart:
    return replace(restart, approvals=approvals)


def bent(restart: Restart, person: str, label: str = "", **parts: object) -> Signed:
    """An approval with other parts, well signed."""
    body = codec.decode(RestartApproval, approval(restart, person, label=label).body)
    changed = codec.encode(replace(body, **parts))  # type: ignore[arg-type]
    return Signed(body=changed, signature=builder.signing_key(label or person).sign(pae("restart", changed)))


def test_an_approval_names_the_log_that_ends(world: RestartWorld) -> None:
    restart = world.restart()
    alice = bent(restart, "alice", log_id=bytes(32))
    assert refusal(world, with_approvals(restart, alice, approval(restart, "bob"))) == "WRONG_LOG"


def test_an_approval_is_of_this_very_statement(world: RestartWorld) -> None:
    restart, other = world.restart(), world.restart(world.new_charter(lost=("s3",)))
    assert refusal(world, with_approvals(restart, approval(other, "alice"), approval(restart, "bob"))) == (
        "RESTART_APPROVALS"
    )


def test_an_approval_needs_a_key_of_the_charter(world: RestartWorld) -> None:
    restart = world.restart()
    alice = approval(restart, "alice", label="stolen")
    assert refusal(world, with_approvals(restart, alice, approval(restart, "bob"))) == "KEY_UNKNOWN"


def test_an_approval_is_signed_by_its_key(world: RestartWorld) -> None:
    restart = world.restart()
    alice = replace(approval(restart, "alice"), signature=approval(restart, "bob").signature)
    assert refusal(world, with_approvals(restart, alice, approval(restart, "bob"))) == "BAD_SIGNATURE"


def test_only_administrators_approve(world: RestartWorld) -> None:
    assert refusal(world, world.restart(approvers=("alice", "dave"))) == "RESTART_APPROVALS"


def test_nobody_approves_twice(world: RestartWorld) -> None:
    assert refusal(world, world.restart(approvers=("alice", "alice"))) == "RESTART_APPROVALS"


def test_approvals_stand_in_one_order_only(world: RestartWorld) -> None:
    assert refusal(world, world.restart(approvers=("bob", "alice"))) == "RESTART_APPROVALS"


@pytest.mark.parametrize("approvers", [(), ("alice",), ("alice", "bob", "carol")])
def test_exactly_the_admin_quorum_approves(world: RestartWorld, approvers: tuple[str, ...]) -> None:
    assert refusal(world, world.restart(approvers=approvers)) == "RESTART_APPROVALS"


def test_the_administrators_are_those_of_the_charter_in_force_before(world: RestartWorld) -> None:
    people = tuple(one for one in world.state.charter.people if one.name != "bob")
    groups = tuple(
        replace(group, members=tuple(name for name in group.members if name != "bob"))
        for group in world.state.charter.groups
    )
    world.world.amend("alice", "carol", initiator="dave", people=people, groups=groups)
    assert world.state.charter.version == 2
    assert refusal(world, world.restart(approvers=("alice", "bob"))) in ("KEY_UNKNOWN", "RESTART_APPROVALS")
    world.found(world.restart(approvers=("alice", "carol")))


# --- its entry -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("part", [{"salt": bytes(16)}, {"time_ms": 1_750_000_000_001}], ids=["salt", "time"])
def test_the_entry_of_a_restart_is_the_one_that_its_file_gives(world: RestartWorld, part: dict[str, object]) -> None:
    restart = world.restart()
    entry = codec.encode(replace(restart_entry(restart), **part))  # type: ignore[arg-type]
    with pytest.raises(Refused) as caught:
        world.pinned(restart).preview(Batch(first_index=1, entries=(entry,)))
    assert caught.value.reason == "RESTART_ENTRY"


def test_a_restart_is_alone_in_its_batch(world: RestartWorld) -> None:
    restart = world.restart()
    founding = codec.encode(restart_entry(restart))
    tick = world.world.entry(Tick())
    for entries in ((tick, founding), (founding, tick)):
        with pytest.raises(Refused) as caught:
            world.pinned(restart).preview(Batch(first_index=1, entries=entries))
        assert caught.value.reason == "BATCH_MALFORMED"


# --- what becomes of the rest ----------------------------------------------------------------------------------------


def test_everything_is_frozen_until_the_unfreeze_quorum_thaws_it(world: RestartWorld) -> None:
    world.world.make_vault("customer-1")
    world.found(world.restart())
    (freeze,) = world.state.freezes()
    assert (freeze.id, freeze.scope, freeze.why) == (world.world.log_id, Scope.ALL, FREEZE_REASON)
    assert (freeze.person, freeze.signer, freeze.lapses_ms, freeze.lifted) == ("", "", 0, False)
    order = world.world.pay("customer-1", 100_000)
    world.world.later(60 * DAY_MS)
    world.world.log(Tick())
    assert world.state.active_freeze("customer-1", world.world.time_ms) == freeze
    order = world.world.pay("customer-1", 100_000)
    plan = world.world.plan([order], [world.world.coin(200_000)])
    with pytest.raises(Refused) as caught:
        world.world.log(plan)
    assert caught.value.reason == "FROZEN"
    lifting = world.world.submit(Unfreeze(freeze=freeze.id), "dave", "alice")
    world.world.approve(lifting, "carol")
    world.world.log(plan)


def test_an_order_without_a_plan_ends_since_a_lost_plan_may_have_paid_it(world: RestartWorld) -> None:
    world.world.make_vault("customer-1")
    order = world.world.pay("customer-1", 100_000)
    world.found(world.restart())
    record = world.state.order(order)
    assert record is not None
    assert (record.state, record.ended_ms) == (OrderState.LAPSED, world.world.time_ms)
    assert order not in {one.hash for one in world.state.open_orders()}


def test_an_open_glass_is_closed_by_the_founding_whatever_was_swept() -> None:
    """Its plans pass every freeze, to an address that an amendment among what was lost may have changed."""
    world = RestartWorld(World.started(**builder.recovery_parts()))
    world.world.make_vault("customer-1")
    swept, waiting = world.world.break_glass(), world.world.break_glass()
    world.world.later(2 * HOUR_MS)
    world.world.log(world.world.sweep(swept, [world.world.coin(900_000)]))
    world.found(world.restart())
    for order in (swept, waiting):
        record = world.state.order(order)
        assert record is not None
        assert record.state is OrderState.LAPSED
        with pytest.raises(Refused) as caught:
            world.world.log(world.world.sweep(order, [world.world.coin(800_000)]))
        assert caught.value.reason == "LAPSED"
    assert [record.hash for record in world.state.acted_at(world.state.size - 1)] == [swept, waiting]
    assert not tuple(world.state.break_glass_orders())


def test_a_glass_that_was_swept_is_closed_by_the_founding_though_its_order_had_expired() -> None:
    """A bump of its plan asks for no order that lives, and passes the freeze that the founding brings."""
    world = RestartWorld(World.started(**builder.recovery_parts()))
    world.world.make_vault("customer-1")
    order, coin = world.world.break_glass(), world.world.coin(900_000)
    world.world.later(2 * HOUR_MS)
    sweep = world.world.sweep(order, [coin])
    world.world.log(sweep)
    world.world.later(60 * DAY_MS)
    world.world.log(Tick())
    world.found(world.restart())
    record = world.state.order(order)
    assert record is not None
    assert record.state is OrderState.LAPSED


def test_an_order_that_had_expired_before_is_none_that_a_lost_plan_paid(world: RestartWorld) -> None:
    world.world.make_vault("customer-1")
    orders = [
        world.world.submit(
            world.world.withdrawal("customer-1", 100_000), "shop", expires_ms=world.world.time_ms + HOUR_MS + more
        )
        for more in (0, 1)
    ]
    world.world.later(HOUR_MS)
    world.world.log(Tick())
    world.found(world.restart())
    records = [world.state.order(order) for order in orders]
    assert [record.state for record in records if record is not None] == [OrderState.OPEN, OrderState.LAPSED]


def test_an_order_with_a_plan_stays_payable_by_plans_that_exclude_it(world: RestartWorld) -> None:
    world.world.make_vault("customer-1")
    order, coin = world.world.pay("customer-1", 100_000), world.world.coin(200_000)
    plan = world.world.log_plan([order], [coin])
    world.found(world.restart())
    record = world.state.order(order)
    assert record is not None
    assert (record.state, record.plans) == (OrderState.PLANNED, (plan,))
    lifting = world.world.submit(Unfreeze(freeze=world.world.log_id), "dave", "alice")
    world.world.approve(lifting, "carol")
    world.world.log(world.world.plan([order], [coin], fee_sat=2_000, bumps=plan))


def test_a_scheduled_amendment_ends_and_does_not_act_at_the_restart(world: RestartWorld) -> None:
    fees = replace(world.state.charter.fees, per_plan=9_000_000)
    order = world.world.amend("alice", "bob", initiator="carol", fees=fees)
    world.world.later(world.state.charter.loosening_delay_ms)
    world.found(world.restart())
    record = world.state.order(order)
    assert record is not None
    assert (record.state, record.due_ms) == (OrderState.LAPSED, 0)
    assert world.state.charter.fees != fees
    assert world.state.next_due_ms is None
    assert record in world.state.acted_at(world.state.size - 1)


def test_a_change_of_the_witness_set_under_way_is_given_up(world: RestartWorld) -> None:
    signers = (*world.state.charter.signers[:2], builder.signer("s4"))
    order = world.want(world.next_charter(*signers, quorum=2))
    world.world.log(world.first(("s1", "s2", "s4")))
    assert world.state.witnesses.phase is WitnessPhase.JOINT
    world.found(world.restart(voters=("s1", "s2", "s4")))
    record = world.state.order(order)
    assert record is not None
    assert record.state is OrderState.LAPSED
    assert (world.state.witnesses.phase, world.state.next_charter) == (WitnessPhase.STEADY, b"")
    assert {one.name for one in world.state.witnesses.current.signers} == {"s1", "s2", "s3"}


def test_a_wanted_change_does_not_lapse_at_the_restart_but_ends_with_it(world: RestartWorld) -> None:
    signers = (*world.state.charter.signers[:2], builder.signer("s4"))
    order = world.want(world.next_charter(*signers, quorum=2), for_ms=HOUR_MS)
    world.world.later(2 * HOUR_MS)
    world.found(world.restart())
    record = world.state.order(order)
    assert record is not None
    assert (record.state, world.state.next_charter) == (OrderState.LAPSED, b"")


def test_what_was_signed_for_the_log_before_is_worth_nothing(world: RestartWorld) -> None:
    world.world.make_vault("customer-1")
    old_order = world.world.order(world.world.withdrawal("customer-1", 100_000))
    old_entry = world.world.order_entry(old_order, "shop", "alice", "bob")
    freeze = world.world.signer_freeze("s1")
    adopted = world.world.submit(world.world.withdrawal("customer-1", 50_000), "shop", "alice")
    word = world.world.endorse("bob", Verb.APPROVE, adopted)
    world.found(world.restart())
    for body in (old_entry, freeze, word):
        with pytest.raises(Refused) as caught:
            world.world.log(body)
        assert caught.value.reason == "WRONG_LOG"


def test_an_order_that_lapsed_cannot_be_made_again_under_its_id(world: RestartWorld) -> None:
    world.world.make_vault("customer-1")
    order = world.world.order(world.world.withdrawal("customer-1", 100_000), id=bytes(16))
    world.world.log(world.world.order_entry(order, "shop", "alice", "bob"))
    world.found(world.restart())
    again = world.world.order(world.world.withdrawal("customer-1", 100_000), id=bytes(16))
    with pytest.raises(Refused) as caught:
        world.world.log(world.world.order_entry(again, "shop", "alice", "bob"))
    assert caught.value.reason == "ORDER_ID_TAKEN"
    assert world.state.order(hashlib.sha256(order).digest()) is not None


def test_a_charter_as_large_as_it_may_be_fits_an_entry(world: RestartWorld) -> None:
    big = RestartWorld(World.started(denies=charter_of_size(world.state.charter, 39_000).denies))
    assert 30_000 < len(encode_charter(big.state.charter)) <= 40_000
    big.found(big.restart())
    assert big.state.log_id != big.genesis_id


def test_the_pinned_id_alone_does_not_choose_the_genesis(world: RestartWorld) -> None:
    """A file whose genesis is another one cannot arrive at the pinned id."""
    other = World.started(organisation="other")
    replica = Replica(MemoryStore(), log_id=restart_log_id(world.restart()), genesis_id=LogId(other.log_id))
    replica.push(replica.preview(other.batches[0]))
    with pytest.raises(Refused) as caught:
        replica.preview(Batch(first_index=1, entries=(codec.encode(restart_entry(world.restart())),)))
    assert caught.value.reason == "WRONG_LOG"
