"""Key generation between real participants and a relaying coordinator."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

import pytest

from keygen_world import ORDER, Generation, terms
from protocol_group import host_key
from protocol_world import LOG_ID, signing_key
from strongroom.crypto import bip340
from strongroom.crypto.errors import InvalidContribution, InvalidInput
from strongroom.ledger.key_material import public_shares, trial_message
from strongroom.protocol import keygen_coordinator as coordinator
from strongroom.protocol import keygen_participant as participant
from strongroom.protocol.keygen import SILENCE_MS, Fault, KeygenRefused, session_id
from strongroom.protocol.share_recovery import share_of
from strongroom.protocol.trials import covering_sets

E = TypeVar("E", bound=coordinator.Event)


@pytest.mark.parametrize(("n", "t"), [(1, 1), (2, 2), (3, 2), (5, 3), (4, 1)])
def test_a_vault_is_generated_whose_parts_verify(n: int, t: int) -> None:
    generation = Generation(n, t)
    vault = generation.generated().vault
    assert (vault.key.threshold, len(public_shares(vault.key))) == (t, n)
    assert vault.order_hash == ORDER
    assert [item.signer for item in vault.statements] == list(generation.terms.signers)
    assert {identifier for trial in vault.trials for identifier in trial.signers} == set(range(n))
    for trial in vault.trials:
        message = trial_message(LOG_ID, ORDER, vault.recovery_hash, trial.signers)
        assert bip340.verify(vault.key.commitments[0][1:], message, trial.signature)


def test_every_holder_recovers_its_share_from_its_host_key_and_what_lies_beside_the_log() -> None:
    generation = Generation()
    generated = generation.generated()
    assert hashlib.sha256(generated.recovery).digest() == generated.vault.recovery_hash
    for name, attempt in generation.holders.items():
        assert isinstance(attempt, participant.Holding)
        assert share_of(host_key(name), generated.recovery) == attempt.output.secshare


@pytest.mark.parametrize(("n", "t"), [(n, t) for n in range(1, 9) for t in range(1, n + 1)])
def test_trial_subsets_are_few_exact_and_cover_every_holder(n: int, t: int) -> None:
    subsets = covering_sets(range(n), t)
    assert len(subsets) == -(-n // t) == len(set(subsets))
    assert all(len(subset) == t and list(subset) == sorted(set(subset)) for subset in subsets)
    assert {identifier for subset in subsets for identifier in subset} == set(range(n))


def test_trial_subsets_need_a_sensible_threshold() -> None:
    for n, t in [(3, 0), (3, 4), (0, 0)]:
        with pytest.raises(InvalidInput):
            covering_sets(range(n), t)


def test_attempts_are_named_by_log_order_and_number() -> None:
    assert session_id(terms()) == hashlib.sha256(LOG_ID + ORDER + b"\x00\x00\x00\x01").digest()
    assert session_id(terms(attempt=2)) != session_id(terms())


def test_silence_ends_an_attempt_and_names_who_was_waited_for() -> None:
    generation = Generation()
    generation.tamper = lambda event: None if isinstance(event, coordinator.Round2Arrived) else event
    generation.run()
    state, commands = coordinator.step(generation.state, coordinator.DeadlinePassed(now_ms=SILENCE_MS))
    assert (state, commands) == (generation.state, ())
    state, commands = coordinator.step(state, coordinator.DeadlinePassed(now_ms=SILENCE_MS + 1))
    assert commands == (coordinator.AttemptFailed(failure="30 s of silence", suspects=("s1", "s2", "s3")),)
    assert coordinator.step(state, coordinator.DeadlinePassed(now_ms=10**9)) == (state, ())


Tamper = Callable[[coordinator.Event], coordinator.Event | None]


def from_holder(name: str, kind: type[E], change: Callable[[E], coordinator.Event | None]) -> Tamper:
    """Changes what one holder sends in one phase."""

    def tamper(event: coordinator.Event) -> coordinator.Event | None:
        if isinstance(event, kind) and getattr(event, "signer", None) == name:
            return change(event)
        return event

    return tamper


@pytest.mark.parametrize(
    "kind",
    [
        coordinator.Round1Arrived,
        coordinator.Round2Arrived,
        coordinator.StatementArrived,
        coordinator.TrialNonceArrived,
        coordinator.TrialShareArrived,
    ],
)
def test_one_silent_holder_is_named_in_every_phase(kind: type[coordinator.Event]) -> None:
    generation = Generation()
    generation.tamper = from_holder("s2", kind, lambda event: None)
    generation.run()
    _, commands = coordinator.step(generation.state, coordinator.DeadlinePassed(now_ms=SILENCE_MS + 1))
    assert commands == (coordinator.AttemptFailed(failure="30 s of silence", suspects=("s2",)),)


def test_a_refusal_ends_the_attempt() -> None:
    generation = Generation()
    state, _ = coordinator.step(
        generation.state, coordinator.HolderFailed(signer="s3", failure="ORDER_NOT_FINAL", now_ms=0)
    )
    assert state.outcome == coordinator.AttemptFailed(failure="ORDER_NOT_FINAL", suspects=("s3",))


def test_a_malformed_first_message_names_its_sender() -> None:
    generation = Generation()
    generation.tamper = from_holder(
        "s2", coordinator.Round1Arrived, lambda event: replace(event, message=b"\x09" * len(event.message))
    )
    assert generation.failed().suspects == ("s2",)


@pytest.mark.parametrize("kind", [coordinator.Round1Arrived, coordinator.Round2Arrived])
def test_a_message_of_the_wrong_length_ends_the_attempt(
    kind: type[coordinator.Round1Arrived | coordinator.Round2Arrived],
) -> None:
    generation = Generation()
    generation.tamper = from_holder("s2", kind, lambda event: replace(event, message=b"short"))
    assert generation.failed().failure


def test_a_wrong_transcript_signature_names_its_sender() -> None:
    generation = Generation()
    generation.tamper = from_holder("s1", coordinator.Round2Arrived, lambda event: replace(event, message=bytes(64)))
    assert generation.failed().suspects == ("s1",)


@pytest.mark.parametrize("part", ["signature", "recovery_hash"])
def test_a_wrong_statement_names_its_sender(part: str) -> None:
    def change(event: coordinator.StatementArrived) -> coordinator.Event:
        if part == "signature":
            return replace(event, signature=bytes(64))
        return replace(event, recovery_hash=bytes(32))

    generation = Generation()
    generation.tamper = from_holder("s3", coordinator.StatementArrived, change)
    assert generation.failed().suspects == ("s3",)


def test_a_wrong_trial_share_names_its_sender() -> None:
    generation = Generation()
    generation.tamper = from_holder(
        "s2", coordinator.TrialShareArrived, lambda event: replace(event, share=bytes(31) + b"\x01")
    )
    assert generation.failed().suspects == ("s2",)


@pytest.mark.parametrize("nonce", [bytes(66), b"\x02" + b"\xff" * 65, b"\x02" * 65, b""])
def test_a_trial_nonce_that_is_no_pair_of_points_names_its_sender_and_is_not_sent_on(nonce: bytes) -> None:
    generation = Generation()
    generation.tamper = from_holder("s3", coordinator.TrialNonceArrived, lambda event: replace(event, nonce=nonce))
    failed = generation.failed()
    assert (failed.suspects, failed.fault) == (("s3",), Fault.HOLDER)
    sent_on = [command for command in generation.commands_seen if isinstance(command, coordinator.AskTrialShares)]
    assert all(2 not in command.subset for command in sent_on)


def test_strangers_repetitions_and_early_messages_change_nothing() -> None:
    generation = Generation()
    for event in (
        coordinator.Round1Arrived(signer="zed", message=b"x", now_ms=0),
        coordinator.Round2Arrived(signer="s1", message=bytes(64), now_ms=0),
        coordinator.StatementArrived(signer="s1", signature=bytes(64), recovery_hash=bytes(32), now_ms=0),
        coordinator.TrialNonceArrived(signer="s1", subset=(0, 1), nonce=bytes(66), now_ms=0),
        coordinator.TrialShareArrived(signer="s1", subset=(0, 1), share=bytes(32), now_ms=0),
    ):
        assert coordinator.step(generation.state, event) == (generation.state, ())
    first = coordinator.Round1Arrived(signer="s1", message=b"first", now_ms=0)
    state, _ = coordinator.step(generation.state, first)
    assert coordinator.step(state, replace(first, message=b"second")) == (state, ())


def begin(attempt: int = 1, previous: participant.Attempt | None = None) -> participant.Dealt:
    dealt, _ = participant.begin(
        terms(attempt=attempt),
        signer="s1",
        host_key=host_key("s1"),
        random32=b"\x07" * 32,
        now_ms=0,
        previous=previous,
    )
    return dealt


def test_attempt_numbers_rise() -> None:
    first = begin(2)
    for number in (1, 2):
        with pytest.raises(KeygenRefused):
            begin(number, first)
    assert begin(3, first).terms.attempt == 3


def test_a_host_key_of_another_holder_is_refused() -> None:
    with pytest.raises(KeygenRefused):
        participant.begin(terms(), signer="s2", host_key=host_key("s1"), random32=b"\x07" * 32, now_ms=0)


def test_a_holder_refuses_messages_out_of_order_and_after_silence() -> None:
    dealt = begin()
    with pytest.raises(KeygenRefused):
        participant.finish(dealt, b"", vote_key=signing_key("s1"), now_ms=0)
    with pytest.raises(KeygenRefused):
        participant.trial_commit(dealt, (0, 1), random32=b"\x07" * 32, now_ms=0)
    with pytest.raises(KeygenRefused, match="silent"):
        participant.agree(dealt, b"", host_key=host_key("s1"), aux32=bytes(32), now_ms=SILENCE_MS + 1)


def holding() -> participant.Holding:
    generation = Generation()
    generation.run()
    attempt = generation.holders["s1"]
    assert isinstance(attempt, participant.Holding)
    return attempt


def test_a_holder_tries_only_its_own_subsets_and_each_nonce_once() -> None:
    mine = holding()
    for subset in [(1, 2), (0, 2), (0,), (0, 1, 2), (1, 0)]:
        with pytest.raises(KeygenRefused):
            participant.trial_commit(mine, subset, random32=b"\x07" * 32, now_ms=0)
    with pytest.raises(KeygenRefused):
        participant.trial_sign(mine, (0, 1), (b"", b""), now_ms=0)
    committed, nonce = participant.trial_commit(mine, (0, 1), random32=b"\x07" * 32, now_ms=0)
    signed, _ = participant.trial_sign(committed, (0, 1), (nonce, nonce), now_ms=0)
    with pytest.raises(KeygenRefused):
        participant.trial_sign(signed, (0, 1), (nonce, nonce), now_ms=0)
    with pytest.raises(InvalidInput):
        participant.trial_sign(committed, (0, 1), (nonce, nonce), now_ms=0)


def test_a_trial_without_the_own_nonce_is_refused() -> None:
    mine = holding()
    _, other = participant.trial_commit(mine, (0, 1), random32=b"\x08" * 32, now_ms=0)
    committed, _ = participant.trial_commit(mine, (0, 1), random32=b"\x07" * 32, now_ms=0)
    with pytest.raises(InvalidContribution):
        participant.trial_sign(committed, (0, 1), (other, other), now_ms=0)


def test_an_attempt_that_is_over_is_wiped_and_shows_nothing() -> None:
    committed, _ = participant.trial_commit(holding(), (0, 1), random32=b"\x07" * 32, now_ms=0)
    share = committed.output.secshare
    assert share is not None
    assert share.expose().hex() not in repr(committed)
    participant.wipe(committed)
    assert share.wiped
    participant.wipe(committed)
