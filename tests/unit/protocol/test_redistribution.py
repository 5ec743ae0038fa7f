"""A redistribution ends whenever enough holders are there, says whom it waits for, and goes on after any restart."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import pytest

import slow_redistribution as slow
from protocol_group import host_key
from protocol_world import signing_key
from redistribution_world import Ceremony, names, numbered
from strongroom.crypto import bip340
from strongroom.crypto.chilldkg_errors import HostSeckeyError, ThresholdOrCountError
from strongroom.crypto.errors import InvalidInput
from strongroom.ledger import codec
from strongroom.ledger.entry_messages import MAX_RECOVERY_BYTES
from strongroom.ledger.key_material import key_hash, public_shares, trial_message
from strongroom.ledger.recovery import RedistributedRecovery, decode_recovery, key_of_redistribution
from strongroom.protocol import redistribution as signer
from strongroom.protocol import redistribution_coordinator as coordinator
from strongroom.protocol import redistribution_events as events
from strongroom.protocol import redistribution_snapshot as snapshots
from strongroom.protocol.keygen import SILENCE_MS, Fault
from strongroom.protocol.redistribution_state import Step
from strongroom.protocol.redistribution_terms import RedistributionRefused, RedistributionTerms
from strongroom.protocol.share_recovery import share_of
from strongroom.protocol.trials import TrialRefused, covering_sets

RESHARES = [
    pytest.param(1, 1, 1, names(1), id="1-of-1-refreshed"),
    pytest.param(2, 3, 2, names(3), id="2-of-3-refreshed"),
    pytest.param(2, 3, 2, ("s1", "s2", "n1"), id="one-replaced"),
    pytest.param(2, 3, 3, ("s1", "s2", "s3", "n1", "n2"), id="2-of-3-to-3-of-5"),
    pytest.param(3, 5, 2, ("s1", "s4", "s5"), id="3-of-5-to-2-of-3"),
    pytest.param(2, 2, 1, ("n1", "n2"), id="nobody-stays-and-the-threshold-is-1"),
    pytest.param(1, 2, 2, ("n1", "s1"), id="1-of-2-to-2-of-2"),
    pytest.param(2, 3, 2, ("s3", "s2", "s1"), id="another-order"),
]


@pytest.mark.parametrize(("t", "n", "new_t", "signers"), RESHARES)
def test_new_holders_get_shares_of_the_same_key(t: int, n: int, new_t: int, signers: tuple[str, ...]) -> None:
    ceremony = Ceremony(t, n, new_t, signers=signers)
    done = ceremony.completed()
    shares = ceremony.after(done)
    for part in slow.subsets(numbered(shares, signers), new_t):
        assert slow.at_zero(part) == ceremony.before.secret
    key = done.made.key
    assert (key.commitments[0], key.chain_code) == (ceremony.terms.group_key, ceremony.terms.chain_code)
    assert (key.threshold, key.host_keys) == (new_t, ceremony.terms.host_keys)
    assert public_shares(key) == tuple(slow.encode(slow.times(shares[name])) for name in signers)
    assert [one.signer for one in done.statements] == list(signers)
    for trial in done.trials:
        place = (ceremony.terms.log_id, ceremony.terms.order_hash)
        message = trial_message(*place, done.made.recovery_hash, trial.signers)
        assert bip340.verify(key.commitments[0][1:], message, trial.signature)
    assert {identifier for trial in done.trials for identifier in trial.signers} == set(range(len(signers)))


def test_the_largest_vault_fits_into_its_recovery_data() -> None:
    ceremony = Ceremony(1, 100, 67, signers=names(100, "n"))
    ceremony.state, commands = coordinator.step(
        ceremony.state, events.DealingArrived(signer="s1", dealing=ceremony.deal("s1"), now_ms=0)
    )
    for name in ceremony.holders[1:]:
        ceremony.state, commands = coordinator.step(ceremony.state, ceremony.failed(name, "away"))
    assert isinstance(commands[0], events.SendDealings)
    made = ceremony.state.made
    assert made is not None
    assert len(made.recovery) < 10_000
    assert len(snapshots.snapshot(ceremony.state)) < 10_000
    source = decode_recovery(made.recovery).source
    assert isinstance(source, RedistributedRecovery)
    full = replace(source, dealers=tuple(range(100)), pubnonces=source.pubnonces * 100, commitments=source.commitments)
    assert len(codec.encode(full)) < 20_000 < MAX_RECOVERY_BYTES
    with host_key("n100") as own, share_of(own, made.recovery) as share:
        assert share.public() == public_shares(made.key)[99]


def test_the_key_follows_from_the_recovery_data() -> None:
    done = Ceremony().completed()
    source = decode_recovery(done.made.recovery).source
    assert isinstance(source, RedistributedRecovery)
    assert key_of_redistribution(source) == done.made.key
    assert (source.vault, source.epoch) == ("customer-cold", 2)


# --- who is waited for -----------------------------------------------------------------------------------------------


def test_enough_dealers_are_enough_and_a_silent_one_is_waited_for_half_a_minute() -> None:
    ceremony = Ceremony()
    silent = {"s3"}
    ceremony.tamper = lambda event: None if event.signer in silent else event  # type: ignore[union-attr]
    ceremony.run()
    before = coordinator.progress(ceremony.state)
    assert (before.step, before.done, before.awaited, before.optional) == (Step.DEALING, ("s1", "s2"), (), ("s3",))
    ceremony.later(SILENCE_MS)
    assert ceremony.state.step is Step.DEALING
    ceremony.later(1)
    assert coordinator.progress(ceremony.state).awaited == ("s3",)
    assert ceremony.state.chosen == ("s1", "s2")
    # It is a new holder too, and has to state; its link comes up.
    silent.clear()
    ceremony.happens(ceremony.failed("s3", "no answer"))
    ceremony.happens(events.HolderReady(signer="s3", now_ms=ceremony.now))
    assert len(ceremony.completed().statements) == 3


def test_dealers_that_all_answered_are_not_waited_for() -> None:
    ceremony = Ceremony(2, 4, 2, signers=("s1", "s2"))
    ceremony.down = {"s3", "s4"}
    assert len(ceremony.completed().statements) == 2


def test_too_few_dealers_are_awaited_by_name_and_asked_again() -> None:
    ceremony = Ceremony()
    ceremony.down = {"s1", "s2"}
    ceremony.run()
    shown = coordinator.progress(ceremony.state)
    assert (shown.step, shown.done, shown.awaited) == (Step.DEALING, ("s3",), ("s1", "s2"))
    assert shown.troubles == {"s1": "no link", "s2": "no link"}
    ceremony.later(SILENCE_MS * 10)
    assert ceremony.state.step is Step.DEALING
    ceremony.down = {"s1"}
    ceremony.later()
    assert ceremony.state.chosen == ("s2", "s3")
    assert coordinator.progress(ceremony.state).awaited == ("s1",)


def test_holders_may_answer_one_after_the_other_over_days() -> None:
    ceremony = Ceremony(2, 3, 2)
    ceremony.down = set(ceremony.holders)
    ceremony.run()
    for name in ceremony.holders:
        ceremony.down = set(ceremony.holders) - {name}
        ceremony.later(24 * 3_600_000)
    for name in reversed(ceremony.holders):
        ceremony.down = set(ceremony.holders) - {name}
        ceremony.later(24 * 3_600_000)
    assert len(ceremony.state.statements) == 3
    ceremony.down = set()
    ceremony.later(24 * 3_600_000)
    # Who stated days ago has dropped its share from memory, and gets the dealings once more before it is asked to try.
    ceremony.completed()


def test_absent_holders_are_neither_asked_nor_waited_for_and_recover_later() -> None:
    ceremony = Ceremony(2, 4, 2, absent=("s4",))
    done = ceremony.completed()
    assert all("s4" not in ceremony.asked(command) for command in ceremony.commands_seen)
    assert [one.signer for one in done.statements] == ["s1", "s2", "s3"]
    assert [trial.signers for trial in done.trials] == [(0, 1), (1, 2)]
    assert slow.at_zero({3: ceremony.after(done)["s4"], 1: ceremony.after(done)["s2"]}) == ceremony.before.secret


def test_a_lost_machine_is_repaired_by_the_others() -> None:
    """Its signer is new, with another host key and no share: it refuses to deal, and gets one."""
    ceremony = Ceremony(2, 3, 2)
    del ceremony.shares["s3"]
    done = ceremony.completed()
    assert ceremony.state.chosen == ("s1", "s2")
    assert slow.at_zero({0: ceremony.after(done)["s1"], 2: ceremony.after(done)["s3"]}) == ceremony.before.secret


@pytest.mark.parametrize(
    ("present", "t", "expected"),
    [
        (range(3), 2, ((0, 1), (1, 2))),
        (range(4), 2, ((0, 1), (2, 3))),
        ((0, 2, 4), 2, ((0, 2), (2, 4))),
        (range(5), 5, ((0, 1, 2, 3, 4),)),
        ((3,), 1, ((3,),)),
    ],
)
def test_covering_sets_cover_all_with_as_few_as_can_be(present: Any, t: int, expected: Any) -> None:
    assert covering_sets(tuple(present), t) == expected
    for wrong in (0, len(present) + 1):
        with pytest.raises(InvalidInput):
            covering_sets(tuple(present), wrong)


# --- restarts --------------------------------------------------------------------------------------------------------


def test_a_signer_that_lost_its_memory_between_statement_and_trial_gets_the_dealings_again() -> None:
    ceremony = Ceremony()
    while not any(isinstance(command, events.AskTrialNonces) for command in ceremony.waiting):
        command = ceremony.waiting.pop(0)
        for name in ceremony.asked(command):
            ceremony.happens(ceremony.answer(name, command))
    ceremony.restart_signer("s2")
    ceremony.run()
    assert ceremony.state.step is Step.TRYING
    assert coordinator.progress(ceremony.state).troubles.keys() == {"s2"}
    ceremony.later()
    ceremony.completed()


@pytest.mark.parametrize("after", range(14))
def test_a_restarted_coordinator_goes_on_from_what_it_stored(after: int) -> None:
    ceremony = Ceremony(2, 3, 2)
    given = 0
    while ceremony.waiting and given < after:
        command = ceremony.waiting.pop(0)
        for name in ceremony.asked(command):
            if given < after:
                ceremony.happens(ceremony.answer(name, command))
                given += 1
    ceremony.restart_coordinator()
    dealt = dict(ceremony.state.dealings)
    done = ceremony.completed()
    assert dealt.items() <= ceremony.state.dealings.items()
    assert slow.at_zero(numbered(ceremony.after(done), ceremony.terms.signers)) == ceremony.before.secret


def test_a_finished_ceremony_that_was_not_logged_is_finished_again_after_a_restart() -> None:
    ceremony = Ceremony()
    done = ceremony.completed()
    ceremony.restart_coordinator()
    assert ceremony.completed() == done


def test_a_snapshot_serves_for_its_own_terms_only_and_every_part_is_verified() -> None:
    ceremony = Ceremony()
    ceremony.completed()
    data = snapshots.snapshot(ceremony.state)

    def resumed(kept: bytes, of: RedistributionTerms = ceremony.terms) -> None:
        snapshots.resume(of, kept, vote_keys=ceremony.vote_keys, now_ms=0)

    resumed(data)
    for other in (replace(ceremony.terms, attempt=2), replace(ceremony.terms, epoch=3)):
        with pytest.raises(snapshots.SnapshotUnusable):
            resumed(data, other)
    kept = codec.decode(snapshots.KeptRedistribution, data, max_size=snapshots.MAX_SNAPSHOT_BYTES)
    first, second = kept.dealings[:2]
    for change in (
        {"dealings": (replace(first, signer="s2"), replace(second, signer="s1"), *kept.dealings[2:])},
        {"dealings": (replace(first, signature=bytes(64)), *kept.dealings[1:])},
        {"dealings": kept.dealings[1:]},
        {"dealings": (replace(first, signer="s9"), *kept.dealings[1:])},
        {"chosen": ("s1",)},
        {"chosen": ("s1", "s2")},
        {"statements": (replace(kept.statements[0], signature=bytes(64)), *kept.statements[1:])},
        {"statements": (replace(kept.statements[0], signer="s9"), *kept.statements[1:])},
        {"trials": (replace(kept.trials[0], signature=bytes(64)), *kept.trials[1:])},
        {"trials": (replace(kept.trials[0], signers=(0, 2)), *kept.trials[1:])},
        {"left_out": (snapshots.KeptLeftOut(signer="s1", problem="x", fault="unproven"),)},
        {"left_out": (snapshots.KeptLeftOut(signer="s4", problem="x", fault="anything"),)},
    ):
        with pytest.raises(snapshots.SnapshotUnusable):
            resumed(codec.encode(replace(kept, **change)))  # type: ignore[arg-type]
    with pytest.raises(snapshots.SnapshotUnusable):
        resumed(data[:-1])


def test_the_transcript_hash_names_all_that_was_said() -> None:
    one, same, other = Ceremony(), Ceremony(), Ceremony(attempt=2)
    hashes = []
    for ceremony in (one, same, other):
        ceremony.completed()
        hashes.append(snapshots.transcript_hash(ceremony.state))
    assert hashes[0] == hashes[1] != hashes[2]
    assert len(hashes[0]) == 32


# --- what does not fit -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"attempt": 0}, RedistributionRefused),
        ({"epoch": 1}, RedistributionRefused),
        ({"signers": ("s1", "s1", "s3")}, RedistributionRefused),
        ({"holders": ("s1", "s2")}, RedistributionRefused),
        ({"signers": ("s1", "s2")}, RedistributionRefused),
        ({"absent": ("s1", "s2")}, RedistributionRefused),
        ({"threshold": 4}, ThresholdOrCountError),
        ({"threshold": 0}, ThresholdOrCountError),
        ({"threshold_before": 4}, InvalidInput),
    ],
)
def test_terms_under_which_nothing_can_end_are_refused_by_both_sides(change: Any, expected: Any) -> None:
    ceremony = Ceremony()
    wrong = replace(ceremony.terms, **change)
    with pytest.raises(expected):
        coordinator.begin(wrong, vote_keys=ceremony.vote_keys)
    with pytest.raises(expected):
        ceremony.deal("s1", wrong)
    ceremony.terms = wrong
    with pytest.raises(expected):
        ceremony.receive("s3", ())


def test_terms_that_differ_anywhere_have_another_hash() -> None:
    base = Ceremony().terms
    other = hashlib.sha256(b"other").digest()
    changes: list[dict[str, Any]] = [
        {"log_id": other},
        {"order_hash": other},
        {"vault": "another"},
        {"attempt": 2},
        {"epoch": 3},
        {"key_hash": other},
        {"holders": ("s1", "s3", "s2")},
        {"threshold": 3},
        {"signers": ("s1", "s3", "s2")},
        {"host_keys": base.host_keys[::-1]},
    ]
    hashes = {replace(base, **change).hash for change in changes}
    assert len(hashes | {base.hash}) == len(changes) + 1


def test_who_is_not_asked_for_neither_deals_nor_receives() -> None:
    ceremony = Ceremony(2, 3, 2, signers=("s1", "n1"), absent=("s3",))
    ceremony.shares["n1"] = ceremony.shares["s3"]
    for stranger in ("n1", "s3"):
        with pytest.raises(RedistributionRefused):
            ceremony.deal(stranger)
    dealings = [ceremony.deal(name) for name in ("s1", "s2")]
    for stranger in ("s2", "s3", "x"):
        with pytest.raises(RedistributionRefused):
            ceremony.receive(stranger, dealings)
    with host_key("someone else") as wrong, pytest.raises(RedistributionRefused, match="host key"):
        signer.receive(
            ceremony.terms,
            dealings,
            signer="s1",
            host_key=wrong,
            vote_key=signing_key("s1"),
            vote_keys=ceremony.vote_keys,
            now_ms=0,
        )
    with host_key("s3") as own, pytest.raises(HostSeckeyError):
        share_of(own, ceremony.completed().made.recovery)


def test_trials_are_of_the_own_subsets_with_a_nonce_each_and_for_a_while() -> None:
    ceremony = Ceremony()
    holding, _ = ceremony.receive("s1", [ceremony.deal(name) for name in ceremony.holders])
    for subset in ((1, 2), (0, 2), (0,), ()):
        with pytest.raises(TrialRefused):
            signer.trial_commit(holding, subset, random32=ceremony.random(32), now_ms=0)
    with pytest.raises(TrialRefused):
        signer.trial_sign(holding, (0, 1), (b"", b""), now_ms=0)
    holding, _ = signer.trial_commit(holding, (0, 1), random32=ceremony.random(32), now_ms=SILENCE_MS)
    for call in (
        lambda: signer.trial_commit(holding, (0, 1), random32=ceremony.random(32), now_ms=2 * SILENCE_MS + 1),
        lambda: signer.trial_sign(holding, (0, 1), (b"", b""), now_ms=2 * SILENCE_MS + 1),
    ):
        with pytest.raises(RedistributionRefused, match="too long"):
            call()
    signer.wipe(holding)
    signer.wipe(holding)
    assert holding.trier.share.wiped
    assert all(nonce.used for nonce in holding.trier.nonces.values())


def test_a_nonce_of_a_trial_signs_once() -> None:
    ceremony = Ceremony()
    dealings = [ceremony.deal(name) for name in ceremony.holders]
    holdings = [ceremony.receive(name, dealings)[0] for name in ("s1", "s2")]
    committed = [signer.trial_commit(one, (0, 1), random32=ceremony.random(32), now_ms=0) for one in holdings]
    nonces = tuple(public for _, public in committed)
    first, _ = signer.trial_sign(committed[0][0], (0, 1), nonces, now_ms=0)
    with pytest.raises(TrialRefused):
        signer.trial_sign(first, (0, 1), nonces, now_ms=0)
    with pytest.raises(InvalidInput):
        signer.trial_sign(committed[0][0], (0, 1), nonces, now_ms=0)


def test_the_machine_takes_nothing_from_strangers_out_of_order_or_after_the_end() -> None:
    ceremony = Ceremony()
    state = ceremony.state
    for event in (
        events.DealingArrived(signer="x", dealing=ceremony.deal("s1"), now_ms=0),
        events.HolderFailed(signer="x", failure="", now_ms=0),
        events.StatementArrived(signer="s1", recovery_hash=b"", key_hash=b"", signature=b"", now_ms=0),
        events.Disputed(signer="s1", dealers=("s2",), now_ms=0),
        events.TrialNonceArrived(signer="s1", subset=(0, 1), nonce=b"", now_ms=0),
        events.TrialShareArrived(signer="s1", subset=(0, 1), share=b"", now_ms=0),
        events.HolderReady(signer="s1", now_ms=0),
        events.DeadlinePassed(now_ms=10**9),
    ):
        assert coordinator.step(state, event) == (state, ())
    ceremony.completed()
    done = ceremony.state
    for event in (ceremony.failed("s1", "late"), events.DeadlinePassed(now_ms=10**12)):
        assert coordinator.step(done, event) == (done, ())


def test_what_is_stated_about_another_share_is_asked_for_again() -> None:
    ceremony = Ceremony()
    lied: list[str] = []

    def another_hash(event: events.Event) -> events.Event:
        if isinstance(event, events.StatementArrived) and event.signer not in lied:
            lied.append(event.signer)
            field = ("recovery_hash", "key_hash", "signature")[len(lied) - 1]
            return replace(event, **{field: bytes(len(getattr(event, field)))})
        return event

    ceremony.tamper = another_hash
    ceremony.run()
    assert ceremony.state.statements == {}
    faults = {name: failure.fault for name, failure in ceremony.state.failures.items()}
    assert faults == {"s1": Fault.UNPROVEN, "s2": Fault.UNPROVEN, "s3": Fault.HOLDER}
    ceremony.later()
    assert key_hash(ceremony.completed().made.key)


def test_a_dispute_after_a_restart_of_the_coordinator_goes_on_with_the_other_dealings() -> None:
    ceremony = Ceremony()
    ceremony.tamper = lambda event: None if isinstance(event, events.StatementArrived) else event
    ceremony.run()
    ceremony.restart_coordinator()
    ceremony.tamper = lambda event: event
    ceremony.happens(events.Disputed(signer="s1", dealers=("s3",), now_ms=0))
    ceremony.completed()
    assert ceremony.state.chosen == ("s1", "s2")


def test_a_dealer_that_failed_while_it_was_not_needed_is_asked_when_another_is_left_out() -> None:
    ceremony = Ceremony()
    ceremony.down = {"s1"}
    ceremony.tamper = lambda event: None if isinstance(event, events.StatementArrived) else event
    ceremony.run()
    assert ceremony.state.chosen == ("s2", "s3")
    ceremony.down, ceremony.tamper = set(), lambda event: event
    ceremony.happens(events.Disputed(signer="s1", dealers=("s3",), now_ms=0))
    ceremony.completed()
    assert ceremony.state.chosen == ("s1", "s2")


def test_a_late_dealing_does_not_hide_that_its_dealer_still_owes_a_statement() -> None:
    ceremony = Ceremony()
    late = ceremony.deal("s3")
    ceremony.tamper = lambda event: None if isinstance(event, events.DealingArrived) and event.signer == "s3" else event
    ceremony.run()
    ceremony.down = {"s3"}
    ceremony.later(SILENCE_MS + 1)
    assert "s3" in ceremony.state.failures
    ceremony.happens(events.DealingArrived(signer="s3", dealing=late, now_ms=ceremony.now))
    ceremony.down, ceremony.tamper = set(), lambda event: event
    ceremony.later()
    ceremony.completed()
