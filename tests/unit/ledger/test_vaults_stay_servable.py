"""No order of entries leaves a vault with holders or a threshold that the witnesses in force cannot serve."""

from __future__ import annotations

from dataclasses import replace

import pytest

import charter_builder as builder
from handover_world import HandoverWorld
from ledger_world import DAY_MS, HOUR_MS, World
from refusals import refusal_of
from strongroom.chains.bitcoin.networks import REGTEST, SIGNET
from strongroom.ledger.charter import Asset, Charter, CharterSigner, encode_charter
from strongroom.ledger.handlers.amending import check_amendment
from strongroom.ledger.mutable_state import MutableState
from strongroom.ledger.records import CharterRecord, VaultRecord, WitnessPhase
from strongroom.ledger.vault_fit import problem_of_holders, problems_of_successor
from strongroom.ledger.view import Overlay
from strongroom.protocol.redistribution_orders import redistribution_terms
from strongroom.protocol.redistribution_terms import RedistributionRefused

VAULT = "customer-1"


def signers(*names: str) -> tuple[CharterSigner, ...]:
    return tuple(builder.signer(name) for name in names)


FOUR = signers("s1", "s2", "s3", "s4")
OTHER_COIN = Asset(symbol="LTC", id="bip122:12a765e31ffd4059bada1e25190f6e98/slip44:2", decimals=8)
ALL = ("s1", "s2", "s3", "s5")


def joint(world: World, charter: Charter, voters: tuple[str, ...]) -> HandoverWorld:
    handing = HandoverWorld(world)
    handing.want(charter)
    world.log(handing.first(voters))
    assert world.state.witnesses.phase is WitnessPhase.JOINT
    return handing


def vault_of(world: World) -> VaultRecord:
    found = world.state.vault(VAULT)
    assert found is not None
    return found


def under(world: World, **parts: object) -> MutableState:
    """The newest state with another charter in force, however it came about."""
    state = MutableState(Overlay(world.state._view), world.log_id)
    changed = replace(state.charter, **{"version": 2, **parts})  # type: ignore[arg-type]
    state.change_charter(CharterRecord(log_id=world.log_id, charter=encode_charter(changed), since_ms=1), changed)
    return state


@pytest.mark.attack(
    line="coordinator",
    title="new shares kept back until both witness sets rule, for holders whom the next charter removes",
    origin="on paper: two orders of the administrators that contradict each other, logged in the wrong sequence",
)
def test_no_new_epoch_for_holders_whom_a_joint_change_removes() -> None:
    world = World.started(signers=FOUR, witness_quorum=3)
    world.make_vault(VAULT, ("s1", "s2", "s3", "s4"), 2)
    order = world.resharing(("s3", "s4"), 2)
    world.later(2 * DAY_MS)
    kept_back = world.epoch_entry(order)
    handing = HandoverWorld(world)
    joint(world, handing.next_charter(*signers("s1", "s2", "s5"), quorum=2), ALL)
    assert refusal_of(world, kept_back) == "VAULT_SIGNERS"
    record = world.state.order(order)
    assert record is not None
    with pytest.raises(RedistributionRefused, match="cannot act"):
        redistribution_terms(world.state, record, VAULT, 1)
    world.log(handing.second(ALL))
    assert [one.name for one in world.state.charter.signers] == ["s1", "s2", "s5"]
    world.amend("alice", "bob", freeze_lapse_ms=25 * HOUR_MS)


@pytest.mark.attack(
    line="coordinator",
    title="new shares kept back until the witness quorum is below their threshold",
    origin="on paper: the threshold was checked when the order was accepted, and never again",
)
def test_no_new_epoch_with_a_threshold_above_a_lowered_witness_quorum() -> None:
    world = World.started(witness_quorum=3)
    handing = HandoverWorld(world)
    world.make_vault(VAULT)
    order = world.resharing(("s1", "s2", "s3"), 3)
    world.later(2 * DAY_MS)
    kept_back = world.epoch_entry(order)
    handing.hand_over(handing.next_charter(*world.state.charter.signers, quorum=2), ("s1", "s2", "s3"))
    assert refusal_of(world, kept_back) == "VAULT_SIGNERS"
    world.amend("alice", "bob", freeze_lapse_ms=25 * HOUR_MS)


def test_no_new_epoch_of_those_present_whom_a_joint_change_removes() -> None:
    """An absent holder has no share yet, so it does not count among those who stay."""
    world = World.started(signers=FOUR, witness_quorum=3)
    world.make_vault(VAULT, ("s1", "s2", "s3"), 2)
    kept_back = world.epoch_entry(world.refreshing(absent=["s1"]))
    joint(world, HandoverWorld(world).next_charter(*signers("s1", "s2", "s5"), quorum=2), ALL)
    assert refusal_of(world, kept_back) == "VAULT_SIGNERS"


def test_no_vault_with_a_threshold_above_the_quorum_of_a_joint_change() -> None:
    world = World.started(signers=FOUR, witness_quorum=4)
    order = world.submit(world.creation(VAULT, ("s1", "s2", "s3"), 3), "carol", "alice", "bob")
    joint(world, HandoverWorld(world).next_charter(*FOUR[:3], quorum=2), ("s1", "s2", "s3", "s4"))
    assert refusal_of(world, world.vault_entry(order)) == "VAULT_SIGNERS"


@pytest.mark.parametrize(
    ("holders", "threshold", "absent", "problem"),
    [
        (("s1", "s1"), 1, (), "twice"),
        (("s1", "s9"), 1, (), "no signer s9"),
        (("s1", "s2"), 0, (), "is 0"),
        (("s1", "s2"), 3, (), "2 of the 3 holders"),
        (("s1", "s2"), 2, ("s2",), "1 of the 2 holders"),
        (("s1", "s2", "s3", "s4"), 4, (), "the witness quorum 3 is below"),
    ],
)
def test_holders_that_cannot_serve_are_told_why(
    holders: tuple[str, ...], threshold: int, absent: tuple[str, ...], problem: str
) -> None:
    state = World.started(signers=FOUR, witness_quorum=3).state
    found = problem_of_holders(state, VAULT, signers=holders, threshold=threshold, chain=REGTEST.caip2, absent=absent)
    assert problem in (found or "")
    able = problem_of_holders(state, VAULT, signers=("s1", "s2", "s3"), threshold=3, chain=REGTEST.caip2)
    assert able is None


@pytest.mark.attack(
    line="admin-quorum",
    title="a vault that cannot be served any more keeps a stolen key from being revoked",
    origin="on paper: every amendment was judged by what is broken already",
)
def test_a_vault_that_is_broken_already_is_in_no_revocations_way() -> None:
    world = World.started(signers=FOUR, witness_quorum=3)
    world.make_vault(VAULT, ("s1", "s2", "s3"), 3)
    vault = vault_of(world)
    for parts in ({"signers": signers("s3", "s4", "s5")}, {"signers": FOUR[:3], "witness_quorum": 2}, {}):
        state = under(world, **parts)
        # Its coin is not in the charter either.
        state.change_vault(replace(vault, chain=SIGNET.caip2))
        check_amendment(state, replace(state.charter, version=3, freeze_lapse_ms=25 * HOUR_MS))


def test_what_is_broken_must_not_become_worse() -> None:
    world = World.started(signers=FOUR, witness_quorum=3)
    world.make_vault(VAULT, ("s1", "s2", "s3"), 3)
    vault = vault_of(world)
    state = under(world, signers=FOUR[1:], witness_quorum=2)
    broken = state.charter

    def problems(**parts: object) -> str:
        return " and ".join(problems_of_successor(state, replace(broken, **parts), vault))  # type: ignore[arg-type]

    assert not problems(freeze_lapse_ms=1)
    assert "1 of the 3 holders" in problems(signers=FOUR[2:])
    assert "2 of the 3 holders" in problems(signers=(FOUR[0], *FOUR[2:])), "as many, but not the same"
    assert "below the threshold" in problems(witness_quorum=1)
    assert "coin" in problems(assets=(OTHER_COIN,))
    assert not problems(signers=FOUR, witness_quorum=3)
    state = under(world, witness_quorum=4)
    assert not problems(signers=FOUR, witness_quorum=3), "lower, and still enough"
