"""Orders for new shares, and the entries that begin an epoch, each by a real redistribution."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import pytest

import charter_builder as builder
from ledger_world import DAY_MS, HOUR_MS, World, group_sign, sign, state_without
from refusals import refusal_of
from strongroom.ledger.charter import Quorum
from strongroom.ledger.entry_messages import Tick, Trial, VaultSignature
from strongroom.ledger.handlers.epochs import apply_epoch
from strongroom.ledger.handlers.position import Position
from strongroom.ledger.handlers.resharing import ChangeShares
from strongroom.ledger.judge import judge_order
from strongroom.ledger.key_changes import NewHolders, trusts_all_present
from strongroom.ledger.key_material import key_hash, public_shares, trial_message
from strongroom.ledger.mutable_state import MutableState
from strongroom.ledger.order_messages import RefreshShares, ReshareVault
from strongroom.ledger.reasons import Refused
from strongroom.ledger.records import OrderState, VaultRecord
from strongroom.ledger.signed_messages import EpochStatement, Verb
from strongroom.protocol.share_recovery import share_of

FIVE = tuple(builder.signer(f"s{number}") for number in range(1, 6))


@pytest.fixture
def world() -> World:
    made = World.started()
    made.make_vault("customer-1")
    return made


@pytest.fixture
def wide() -> World:
    """Five signers, and a vault of three of them."""
    made = World.started(signers=FIVE, witness_quorum=4)
    made.make_vault("customer-1", ("s1", "s2", "s3"), 2)
    return made


def vault_of(world: World, name: str = "customer-1") -> VaultRecord:
    found = world.state.vault(name)
    assert found is not None
    return found


def state_of(world: World, order: bytes) -> OrderState:
    record = world.state.order(order)
    assert record is not None
    return record.state


# --- refresh ---------------------------------------------------------------------------------------------------------


def test_a_refresh_gives_new_shares_of_the_same_key(world: World) -> None:
    before, order = vault_of(world), world.refreshing()
    world.later(HOUR_MS)
    entry = world.epoch_entry(order)
    world.log(entry)
    after = vault_of(world)
    assert (after.epoch, after.epoch_order, after.epoch_ms, after.changing) == (2, order, world.time_ms, b"")
    assert (after.group_key, after.chain_code, after.signers) == (before.group_key, before.chain_code, before.signers)
    assert set(after.public_shares).isdisjoint(before.public_shares)
    assert (after.recovery_hash, after.key_hash) == (entry.recovery_hash, key_hash(entry.key))
    assert state_of(world, order) is OrderState.DONE
    recovery = world.recovery_data[after.recovery_hash]
    for name, public in zip(after.signers, after.public_shares, strict=True):
        assert share_of(builder.host_secret(name), recovery).public() == public
    assert refusal_of(world, entry) == "EPOCH_ORDER_MISMATCH"


def test_a_refresh_follows_a_refresh(world: World) -> None:
    for epoch in (2, 3, 4):
        world.log(world.epoch_entry(world.refreshing()))
        assert vault_of(world).epoch == epoch


def test_an_order_for_several_vaults_has_acted_when_all_have_their_epoch(world: World) -> None:
    world.make_vault("customer-2", ("s1", "s3"), 1)
    order = world.refreshing("customer-1", "customer-2")
    world.log(world.epoch_entry(order, "customer-2"))
    assert state_of(world, order) is OrderState.OPEN
    world.log(world.epoch_entry(order, "customer-1"))
    assert state_of(world, order) is OrderState.DONE
    assert [vault.epoch for vault in world.state.vaults()] == [2, 2]


def test_a_frozen_vault_is_refreshed_all_the_same(world: World) -> None:
    world.freeze()
    world.log(world.epoch_entry(world.refreshing()))
    assert vault_of(world).epoch == 2


def test_an_absent_holder_is_not_waited_for_and_can_recover_later(world: World) -> None:
    order = world.refreshing(absent=["s2"])
    entry = world.epoch_entry(order)
    assert [one.signer for one in entry.statements] == ["s1", "s3"]
    world.log(entry)
    vault = vault_of(world)
    share = share_of(builder.host_secret("s2"), world.recovery_data[vault.recovery_hash])
    assert share.public() == vault.public_shares[1]


# --- reshare ---------------------------------------------------------------------------------------------------------


def test_a_reshare_gives_the_key_to_others_after_the_loosening_delay(wide: World) -> None:
    before = vault_of(wide)
    order = wide.resharing(("s5", "s1", "s4", "s2", "s3"), 3)
    assert refusal_of(wide, wide.epoch_entry(order)) == "DELAY_RUNNING"
    wide.later(2 * DAY_MS - 1)
    assert refusal_of(wide, wide.epoch_entry(order)) == "DELAY_RUNNING"
    wide.later(1)
    wide.log(wide.epoch_entry(order))
    after = vault_of(wide)
    assert (after.signers, after.threshold, after.epoch) == (("s5", "s1", "s4", "s2", "s3"), 3, 2)
    assert after.group_key == before.group_key
    # Back to few takes as long: nobody is new, and no fewer of them sign together, but fewer may be lost.
    order = wide.resharing(("s4", "s1", "s5"), 3)
    wide.later(2 * DAY_MS)
    wide.log(wide.epoch_entry(order))
    assert vault_of(wide).signers == ("s4", "s1", "s5")


@pytest.mark.parametrize(
    ("signers", "threshold", "waits"),
    [
        (("s1", "s2", "s3"), 2, False),
        (("s3", "s1", "s2"), 2, False),
        (("s3", "s1", "s2"), 3, True),
        (("s1", "s2"), 2, True),
        (("s1", "s2", "s3"), 1, True),
        (("s1", "s2", "s4"), 2, True),
        (("s1", "s2", "s3", "s4"), 4, True),
    ],
)
@pytest.mark.attack(
    line="admin-quorum",
    title="a vault left with no holder to spare, in minutes",
    origin="on paper: 2 of 5 becomes 4 of 4, the old shares are erased, and the next lost disk is the coin",
)
def test_only_the_same_holders_and_threshold_act_at_once(
    wide: World, signers: tuple[str, ...], threshold: int, waits: bool
) -> None:
    order = wide.resharing(signers, threshold)
    record = wide.state.order(order)
    assert record is not None
    assert judge_order(wide.state, record, wide.time_ms).code == ("DELAY_RUNNING" if waits else "ALLOWED")


@pytest.mark.parametrize(
    ("signers", "threshold", "absent", "trusting"),
    [
        (("s1", "s2", "s3"), 2, (), False),
        (("s1", "s2", "s3"), 2, ("s3",), True),
        (("s1", "s2", "s3", "s4"), 2, ("s4",), False),
        (("s1", "s2", "s3", "s4"), 2, ("s3", "s4"), True),
        (("s1", "s2"), 2, ("s3",), False),
        (("s1", "s2"), 1, ("s2",), False),
    ],
)
def test_a_bad_holder_could_spoil_an_absent_ones_share_among_fewer_than_twice_the_threshold_less_one(
    signers: tuple[str, ...], threshold: int, absent: tuple[str, ...], trusting: bool
) -> None:
    assert trusts_all_present(NewHolders(signers=signers, threshold=threshold, absent=absent)) == trusting


def test_the_delay_runs_from_the_last_approval_that_was_needed(wide: World) -> None:
    """The words of the quorum may be older than any word lives when the delay has passed."""
    action = ReshareVault(vault="customer-1", signers=("s1", "s2", "s4"), threshold=2, absent=())
    order = wide.submit(action, "alice", "bob", expires_ms=wide.time_ms + 10 * DAY_MS)
    wide.later(DAY_MS)
    wide.approve(order, "carol")
    wide.later(2 * DAY_MS - 1)
    assert refusal_of(wide, wide.epoch_entry(order)) == "DELAY_RUNNING"
    wide.later(1)
    wide.log(wide.epoch_entry(order))


def test_a_quorum_that_is_not_complete_runs_out(wide: World) -> None:
    action = RefreshShares(vaults=("customer-1",), absent=())
    order = wide.submit(action, "alice", "bob")
    wide.later(2 * DAY_MS)
    wide.approve(order, "carol")
    assert refusal_of(wide, replace(wide.epoch_entry(wide.refreshing()), order_hash=order)) == "INITIATOR_NOT_ALLOWED"


# --- who may, and what is refused ------------------------------------------------------------------------------------


def test_only_administrators_order_new_shares_and_the_quorum_must_approve(world: World) -> None:
    action = RefreshShares(vaults=("customer-1",), absent=())
    order = world.order(action)
    assert refusal_of(world, world.order_entry(order, "dave")) == "INITIATOR_NOT_ALLOWED"
    assert refusal_of(world, world.order_entry(order, "alice", "dave")) == "NOT_AN_APPROVER"
    waiting = world.submit(action, "alice", "bob")
    entry = replace(world.epoch_entry(world.refreshing()), order_hash=waiting)
    assert refusal_of(world, entry) == "APPROVALS_MISSING"
    world.reject(waiting, "carol")
    assert refusal_of(world, entry) == "REJECTED"


@pytest.mark.parametrize(
    ("action", "reason"),
    [
        (RefreshShares(vaults=("nowhere",), absent=()), "VAULT_UNKNOWN"),
        (RefreshShares(vaults=("customer-1", "customer-1"), absent=()), "VAULT_SIGNERS"),
        (RefreshShares(vaults=("customer-1",), absent=("s1", "s1")), "VAULT_SIGNERS"),
        (RefreshShares(vaults=("customer-1",), absent=("s4",)), "VAULT_SIGNERS"),
        (RefreshShares(vaults=("customer-1",), absent=("s1", "s2")), "VAULT_SIGNERS"),
        (ReshareVault(vault="customer-1", signers=("s1", "s9"), threshold=1, absent=()), "VAULT_SIGNERS"),
        (ReshareVault(vault="customer-1", signers=("s1", "s1"), threshold=1, absent=()), "VAULT_SIGNERS"),
        (ReshareVault(vault="customer-1", signers=("s1", "s2"), threshold=0, absent=()), "VAULT_SIGNERS"),
        (ReshareVault(vault="customer-1", signers=("s1", "s2"), threshold=3, absent=()), "VAULT_SIGNERS"),
        (ReshareVault(vault="customer-1", signers=("s1", "s2", "s4"), threshold=3, absent=("s4",)), "VAULT_SIGNERS"),
        (ReshareVault(vault="customer-1", signers=("s4", "s5"), threshold=1, absent=("s1", "s2")), "VAULT_SIGNERS"),
    ],
)
def test_an_order_that_could_not_end_is_refused(wide: World, action: RefreshShares | ReshareVault, reason: str) -> None:
    assert refusal_of(wide, wide.order_entry(wide.order(action), "alice")) == reason


def test_no_threshold_is_above_the_witness_quorum(wide: World) -> None:
    everyone = tuple(signer.name for signer in FIVE)
    action = ReshareVault(vault="customer-1", signers=everyone, threshold=5, absent=())
    assert refusal_of(wide, wide.order_entry(wide.order(action), "alice")) == "VAULT_SIGNERS"


def test_a_vault_has_one_order_for_new_shares_at_a_time(world: World) -> None:
    world.make_vault("customer-2")
    first = world.refreshing()
    for again in (
        RefreshShares(vaults=("customer-2", "customer-1"), absent=()),
        ReshareVault(vault="customer-1", signers=("s1", "s2"), threshold=2, absent=()),
    ):
        assert refusal_of(world, world.order_entry(world.order(again), "alice", "bob", "carol")) == "VAULT_CHANGING"
        waiting = world.submit(again, "alice", "bob")
        assert refusal_of(world, world.endorse("carol", Verb.APPROVE, waiting)) == "VAULT_CHANGING"
    world.log(world.epoch_entry(first))
    world.log(world.epoch_entry(world.refreshing("customer-2", "customer-1")))


@pytest.mark.attack(
    line="person",
    title="an administrator's order for new shares that nobody approves, against everybody else's",
    origin="on paper: an unapproved order holds a lock",
)
def test_an_order_that_nobody_approved_is_in_nobodys_way(world: World) -> None:
    world.submit(RefreshShares(vaults=("customer-1",), absent=()), "alice")
    assert vault_of(world).changing == b""
    world.log(world.epoch_entry(world.refreshing()))
    assert vault_of(world).epoch == 2


def test_an_order_that_could_not_end_any_more_is_not_approved(wide: World) -> None:
    action = ReshareVault(vault="customer-1", signers=("s1", "s2", "s4"), threshold=2, absent=("s1",))
    order = wide.resharing(("s1", "s4"), 2)
    wide.later(2 * DAY_MS)
    waiting = wide.submit(action, "alice", "bob")
    wide.log(wide.epoch_entry(order))
    assert refusal_of(wide, wide.endorse("carol", Verb.APPROVE, waiting)) == "VAULT_SIGNERS"
    assert state_of(wide, waiting) is OrderState.OPEN


def test_a_later_approval_takes_no_vault_again_that_has_its_epoch() -> None:
    world = World.started(admin=Quorum(group="admins", count=1))
    for name in ("customer-1", "customer-2"):
        world.make_vault(name)
    order = world.submit(RefreshShares(vaults=("customer-1", "customer-2"), absent=()), "alice", "bob")
    world.log(world.epoch_entry(order))
    world.approve(order, "carol")
    assert vault_of(world).changing == b""
    world.log(world.epoch_entry(order, "customer-2"))
    assert state_of(world, order) is OrderState.DONE


def test_an_order_takes_its_vault_by_the_words_of_its_quorum_alone(world: World) -> None:
    """A charter that asks for fewer makes no order of earlier words act."""
    action = RefreshShares(vaults=("customer-1",), absent=())
    waiting = world.submit(action, "alice", "bob", expires_ms=world.time_ms + 20 * DAY_MS)
    donor = world.submit(action, "alice", "bob", "carol", expires_ms=world.time_ms + 20 * DAY_MS)
    entry = replace(world.epoch_entry(donor), order_hash=waiting)
    world.amend("bob", "carol", initiator="alice", admin=Quorum(group="admins", count=1))
    world.later(2 * DAY_MS)
    world.log(Tick())
    assert world.state.charter.admin.count == 1
    assert refusal_of(world, entry) == "EPOCH_ORDER_MISMATCH"


def test_an_order_for_several_vaults_has_acted_though_one_has_newer_shares_by_another(world: World) -> None:
    world.make_vault("customer-2")
    order = world.refreshing("customer-1", "customer-2")
    world.log(world.epoch_entry(order))
    world.log(world.epoch_entry(world.refreshing("customer-1")))
    world.log(world.epoch_entry(order, "customer-2"))
    assert state_of(world, order) is OrderState.DONE


def test_an_order_that_was_rejected_or_has_expired_is_in_nobodys_way(world: World) -> None:
    action = RefreshShares(vaults=("customer-1",), absent=())
    world.reject(world.submit(action, "alice"), "bob")
    second = world.submit(action, "bob", "alice")
    world.later(4 * DAY_MS)
    third = world.submit(action, "carol", "alice", "bob")
    assert vault_of(world).changing == third
    world.log(world.epoch_entry(third))
    assert state_of(world, second) is OrderState.OPEN


def test_an_approved_order_that_is_rejected_frees_its_vault_at_once(world: World) -> None:
    first = world.refreshing()
    assert vault_of(world).changing == first
    world.log(world.endorse("carol", Verb.REJECT, first))
    assert state_of(world, first) is OrderState.REJECTED
    second = world.refreshing()
    assert vault_of(world).changing == second


@pytest.mark.attack(
    line="coordinator",
    title="an order for new shares used twice, or for another vault",
    origin="design: two generations of shares of one epoch",
)
def test_an_order_gives_each_vault_it_names_one_epoch(world: World) -> None:
    world.make_vault("customer-2")
    order = world.refreshing("customer-1", "customer-2")
    entry, again = world.epoch_entry(order), world.epoch_entry(order)
    assert refusal_of(world, replace(entry, vault="customer-9")) == "EPOCH_ORDER_MISMATCH"
    assert refusal_of(world, replace(entry, vault="customer-2")) == "VAULT_KEY"
    assert refusal_of(world, replace(entry, order_hash=bytes(32))) == "ORDER_UNKNOWN"
    assert refusal_of(world, replace(entry, order_hash=world.freeze())) == "EPOCH_ORDER_MISMATCH"
    waiting = world.submit(RefreshShares(vaults=("customer-2",), absent=()), "alice")
    assert refusal_of(world, replace(entry, order_hash=waiting)) == "EPOCH_ORDER_MISMATCH"
    world.log(entry)
    assert refusal_of(world, again) == "EPOCH_ORDER_MISMATCH"


@pytest.mark.attack(
    line="coordinator",
    title="threshold raised, key exchanged or holders substituted in a new epoch",
    origin="threshold raising: one coefficient more makes a key need more signers than is said",
)
def test_the_new_key_material_is_of_the_same_key_and_the_ordered_holders(wide: World) -> None:
    entry = wide.epoch_entry(wide.refreshing())
    group, slope = entry.key.commitments
    changed = {
        "raised": replace(entry.key, commitments=(group, slope, slope)),
        "raised and said": replace(entry.key, commitments=(group, slope, slope), threshold=3),
        "lowered": replace(entry.key, commitments=(group,), threshold=1),
        "other key": replace(entry.key, commitments=(slope, group)),
        "other chain code": replace(entry.key, chain_code=bytes(32)),
        "other holder": replace(entry.key, host_keys=(*entry.key.host_keys[:2], FIVE[4].host_key)),
        "more holders": replace(entry.key, host_keys=(*entry.key.host_keys, FIVE[4].host_key)),
        "other order": replace(entry.key, host_keys=tuple(reversed(entry.key.host_keys))),
    }
    for what, key in changed.items():
        assert refusal_of(wide, replace(entry, key=key)) == "VAULT_KEY", what
    other = wide.epoch_entry(wide.state.vault("customer-1").changing)  # type: ignore[union-attr]
    assert refusal_of(wide, replace(entry, key=other.key)) == "BAD_SIGNATURE"
    assert refusal_of(wide, replace(entry, recovery_hash=other.recovery_hash)) == "BAD_SIGNATURE"
    wide.log(entry)


@pytest.mark.attack(
    line="holders",
    title="a new epoch without all who must hold it",
    origin="forget-and-forgive, 2020: old shares deleted though some never got a new one",
)
def test_every_holder_that_is_not_excused_states_and_tries(world: World) -> None:
    entry = world.epoch_entry(world.refreshing())
    s1, s2, s3 = entry.statements
    for statements in ((s1, s2), (s1, s3, s2), (s1, s2, s2), (s1, s2, s3, s3)):
        assert refusal_of(world, replace(entry, statements=statements)) == "VAULT_STATEMENTS"
    forged = (s1, s2, replace(s3, signature=s2.signature))
    assert refusal_of(world, replace(entry, statements=forged)) == "BAD_SIGNATURE"
    first, second = entry.trials
    for trials in ((first,), (first, first), (first, replace(second, signers=(1, 3)))):
        assert refusal_of(world, replace(entry, trials=trials)) == "VAULT_TRIALS"
    assert refusal_of(world, replace(entry, trials=(first, replace(second, signature=bytes(64))))) == "BAD_SIGNATURE"


@pytest.mark.parametrize("part", ["log_id", "order_hash", "vault", "epoch", "recovery_hash", "key_hash", "signer"])
def test_a_statement_about_anything_else_is_refused(world: World, part: str) -> None:
    entry = world.epoch_entry(world.refreshing())
    statement = EpochStatement(
        log_id=world.log_id,
        order_hash=entry.order_hash,
        vault="customer-1",
        epoch=2,
        recovery_hash=entry.recovery_hash,
        key_hash=key_hash(entry.key),
        signer="s3",
    )
    others = {"vault": "customer-2", "epoch": 3, "signer": "s2"}
    said = replace(statement, **{part: others.get(part, bytes(32))})  # type: ignore[arg-type]
    last = VaultSignature(signer="s3", signature=sign("epoch", said, "s3 vote").signature)
    assert refusal_of(world, replace(entry, statements=(*entry.statements[:2], last))) == "BAD_SIGNATURE"


@pytest.mark.parametrize("part", ["log_id", "order_hash", "recovery_hash"])
def test_a_trial_for_anything_else_is_refused(world: World, part: str) -> None:
    entry = world.epoch_entry(world.refreshing())
    named = {"log_id": world.log_id, "order_hash": entry.order_hash, "recovery_hash": entry.recovery_hash}

    def tried(**place: bytes) -> tuple[Trial, ...]:
        made = [world.shares["customer-1", 2][name] for name in ("s1", "s2", "s3")]
        output = replace(world.generated["customer-1"].output, pubshares=public_shares(entry.key))

        def signature(subset: tuple[int, ...]) -> bytes:
            return group_sign(made, output, subset, trial_message(**place, identifiers=subset), ())

        return tuple(replace(one, signature=signature(one.signers)) for one in entry.trials)

    assert refusal_of(world, replace(entry, trials=tried(**{**named, part: b"\1" * 32}))) == "BAD_SIGNATURE"
    world.log(replace(entry, trials=tried(**named)))


def test_a_holder_that_is_excused_cannot_be_counted(wide: World) -> None:
    order = wide.refreshing(absent=["s2"])
    entry = wide.epoch_entry(order)
    (only,) = entry.trials
    assert only.signers == (0, 2)
    assert refusal_of(wide, replace(entry, trials=(replace(only, signers=(0, 1)),))) == "VAULT_TRIALS"


def test_a_rejection_ends_an_order_for_new_shares(world: World) -> None:
    order = world.submit(RefreshShares(vaults=("customer-1",), absent=()), "alice", "bob")
    world.log(world.endorse("carol", Verb.REJECT, order))
    assert state_of(world, order) is OrderState.REJECTED


# --- holders that leave the charter in between -----------------------------------------------------------------------


def test_no_epoch_begins_for_a_holder_that_the_charter_has_no_more(wide: World) -> None:
    entry = wide.epoch_entry(wide.resharing(("s1", "s2", "s4"), 2))
    wide.later(wide.state.charter.loosening_delay_ms)
    at = Position(index=wide.state.size, time_ms=wide.time_ms)
    with pytest.raises(Refused) as caught:
        apply_epoch(cast(MutableState, state_without(wide.state, "s4")), entry, at)
    assert caught.value.reason == "VAULT_SIGNERS"
    assert "s4" in caught.value.message


def test_old_holders_that_the_charter_has_no_more_do_not_count_as_dealers(wide: World) -> None:
    order = ChangeShares(action=ReshareVault(vault="customer-1", signers=("s1", "s4"), threshold=2, absent=()))
    at = Position(index=wide.state.size, time_ms=wide.time_ms)
    order.check(state_without(wide.state, "s3"), at)
    with pytest.raises(Refused) as caught:
        order.check(state_without(wide.state, "s2", "s3"), at)
    assert caught.value.reason == "VAULT_SIGNERS"
    assert "1 holders of customer-1 can deal" in caught.value.message
