"""The birth of a vault, each with a real key generation."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ledger_world import HOUR_MS, World, generate, group_sign, sign
from refusals import refusal_of
from strongroom.ledger.entry_messages import Trial, VaultSignature
from strongroom.ledger.key_material import key_hash, trial_message
from strongroom.ledger.records import OrderState
from strongroom.ledger.signed_messages import VaultStatement, Verb


@pytest.fixture
def world() -> World:
    return World.started()


def approved(world: World, name: str = "customer-1", *, signers: tuple[str, ...] = ("s1", "s2", "s3")) -> bytes:
    return world.submit(world.creation(name, signers), "carol", "alice", "bob")


def test_a_vault_has_the_key_its_holders_generated(world: World) -> None:
    order_hash = approved(world)
    entry = world.vault_entry(order_hash)
    world.log(entry)
    vault = world.state.vault("customer-1")
    assert vault is not None
    made = world.generated["customer-1"]
    assert vault.group_key == made.output.threshold_pubkey
    assert vault.public_shares == made.output.pubshares
    assert vault.chain_code == entry.key.chain_code
    assert (vault.recovery_hash, vault.key_hash) == (entry.recovery_hash, key_hash(entry.key))
    assert vault.host_keys == tuple(signer.host_key for signer in world.charter.signers)
    assert (vault.epoch, vault.highest_change, vault.born_ms) == (1, 0, world.time_ms)
    assert world.state.vault_by_key(vault.group_key) == vault
    record = world.state.order(order_hash)
    assert record is not None
    assert record.state is OrderState.DONE
    assert refusal_of(world, entry) == "VAULT_NAME_TAKEN"


def test_the_quorum_must_have_approved(world: World) -> None:
    order_hash = world.submit(world.creation("customer-1"), "carol", "alice")
    assert refusal_of(world, world.vault_entry(order_hash)) == "APPROVALS_MISSING"
    world.reject(order_hash, "bob")
    assert refusal_of(world, world.vault_entry(order_hash)) == "REJECTED"


def test_only_the_quorums_group_approves_a_new_vault(world: World) -> None:
    order_hash = world.submit(world.creation("customer-1"), "carol", "alice")
    assert refusal_of(world, world.endorse("dave", Verb.APPROVE, order_hash)) == "NOT_AN_APPROVER"


def test_the_order_must_ask_for_a_vault_and_be_in_date(world: World) -> None:
    order_hash = approved(world)
    entry = world.vault_entry(order_hash)
    assert refusal_of(world, replace(entry, order_hash=bytes(32))) == "ORDER_UNKNOWN"
    assert refusal_of(world, replace(entry, order_hash=world.freeze())) == "VAULT_ORDER_MISMATCH"
    world.later(72 * HOUR_MS)
    assert refusal_of(world, entry) == "ORDER_EXPIRED"


@pytest.mark.attack(
    line="coordinator", title="one key shown as two vaults", origin="mpcium: a forged result of key generation"
)
def test_one_generation_is_not_shown_as_two_vaults(world: World) -> None:
    """A transcript names no vault, so the same key could otherwise be born twice under two names."""
    world.log(world.vault_entry(approved(world, "customer-1"), label="one"))
    assert refusal_of(world, world.vault_entry(approved(world, "customer-2"), label="one")) == "GROUP_KEY_USED"


def test_two_orders_of_one_name_give_one_vault(world: World) -> None:
    first, second = approved(world), approved(world)
    world.log(world.vault_entry(first))
    assert refusal_of(world, world.vault_entry(second, label="other")) == "VAULT_NAME_TAKEN"


def test_the_holders_must_be_those_ordered_in_their_order(world: World) -> None:
    entry = world.vault_entry(approved(world))
    for signers, threshold in ((("s2", "s1", "s3"), 2), (("s1", "s2", "s3"), 1), (("s1", "s2"), 2)):
        other = generate(signers, threshold, "other holders")
        assert refusal_of(world, replace(entry, key=other.made.key)) == "VAULT_KEY"


def test_key_material_that_gives_no_shares_is_refused(world: World) -> None:
    """A threshold other than the number of coefficients, what is no point, and a share of nobody's secret."""
    entry = world.vault_entry(approved(world))
    group, slope = entry.key.commitments
    minus_group = bytes([group[0] ^ 1]) + group[1:]
    for commitments in ((group,), (group, slope, slope), (group, bytes(33)), (bytes(33), slope), (group, minus_group)):
        assert refusal_of(world, replace(entry, key=replace(entry.key, commitments=commitments))) == "VAULT_KEY"


@pytest.mark.parametrize("part", ["commitments", "chain_code", "recovery_hash"])
def test_what_the_holders_did_not_state_is_refused(world: World, part: str) -> None:
    entry = world.vault_entry(approved(world))
    group, slope = entry.key.commitments
    changed = {
        "commitments": replace(entry, key=replace(entry.key, commitments=(group, bytes([slope[0] ^ 1]) + slope[1:]))),
        "chain_code": replace(entry, key=replace(entry.key, chain_code=bytes(32))),
        "recovery_hash": replace(entry, recovery_hash=bytes(32)),
    }
    assert refusal_of(world, changed[part]) == "BAD_SIGNATURE"


def test_every_holder_states_that_it_holds_a_share(world: World) -> None:
    entry = world.vault_entry(approved(world))
    s1, s2, s3 = entry.statements
    for statements in ((s1, s2), (s1, s3, s2), (s1, s2, s2), (s1, s2, s3, s3)):
        assert refusal_of(world, replace(entry, statements=statements)) == "VAULT_STATEMENTS"
    assert (
        refusal_of(world, replace(entry, statements=(s1, s2, replace(s3, signature=s2.signature)))) == "BAD_SIGNATURE"
    )


def test_a_statement_for_another_order_is_refused(world: World) -> None:
    entry = world.vault_entry(approved(world))
    statement = VaultStatement(
        log_id=world.log_id,
        order_hash=bytes(32),
        recovery_hash=entry.recovery_hash,
        key_hash=key_hash(entry.key),
        signer="s3",
    )
    other = VaultSignature(signer="s3", signature=sign("vault", statement, "s3 vote").signature)
    assert refusal_of(world, replace(entry, statements=(*entry.statements[:2], other))) == "BAD_SIGNATURE"


def test_trials_cover_all_holders_with_new_subsets_of_the_threshold(world: World) -> None:
    entry = world.vault_entry(approved(world))
    first, second = entry.trials
    assert (first.signers, second.signers) == ((0, 1), (1, 2))
    for trials in (
        (first,),
        (first, first, second),
        (first, replace(second, signers=(2, 1))),
        (first, replace(second, signers=(0, 1, 2))),
        (first, replace(second, signers=(1, 3))),
        (first, replace(second, signers=(1, 1))),
    ):
        assert refusal_of(world, replace(entry, trials=trials)) == "VAULT_TRIALS"


def test_a_trial_signature_counts_for_its_own_subset_only(world: World) -> None:
    entry = world.vault_entry(approved(world))
    first, second = entry.trials
    swapped = (first, replace(second, signature=first.signature))
    assert refusal_of(world, replace(entry, trials=swapped)) == "BAD_SIGNATURE"
    made = world.generated["customer-1"]
    message = trial_message(world.log_id, entry.order_hash, entry.recovery_hash, (1, 2))
    by_others = Trial(signers=(1, 2), signature=group_sign(made.shares, made.output, (0, 2), message, ()))
    # Which subset made a Schnorr signature cannot be seen; that every holder can sign is each holder's own statement.
    world.log(replace(entry, trials=(first, by_others)))


@pytest.mark.parametrize("part", ["log_id", "order_hash", "recovery_hash"])
def test_a_trial_for_anything_else_is_refused(world: World, part: str) -> None:
    entry = world.vault_entry(approved(world))
    named = {"log_id": world.log_id, "order_hash": entry.order_hash, "recovery_hash": entry.recovery_hash}
    tried = world.generated["customer-1"].tried
    assert refusal_of(world, replace(entry, trials=tried(**{**named, part: b"\1" * 32}))) == "BAD_SIGNATURE"
    world.log(replace(entry, trials=tried(**named)))


def test_a_single_holder_vault_is_born_too(world: World) -> None:
    order_hash = world.submit(world.creation("customer-1", ("s2",), 1), "carol", "alice", "bob")
    world.log(world.vault_entry(order_hash))
    vault = world.state.vault("customer-1")
    assert vault is not None
    assert vault.signers == ("s2",)
