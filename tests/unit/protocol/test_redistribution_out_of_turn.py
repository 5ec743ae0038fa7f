"""What a redistribution's coordinator gets late, twice, from others or from another attempt changes nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from protocol_world import signing_key
from redistribution_groups import signed_with
from redistribution_world import Ceremony, numbered
from strongroom.ledger import codec
from strongroom.ledger.entry_messages import Trial, VaultSignature
from strongroom.ledger.key_material import key_hash, public_shares
from strongroom.protocol import redistribution_coordinator as coordinator
from strongroom.protocol import redistribution_events as events
from strongroom.protocol import redistribution_snapshot as snapshots
from strongroom.protocol.keygen import SILENCE_MS, trial_of
from strongroom.protocol.redistribution_state import Step
from strongroom.protocol.redistribution_terms import RedistributionRefused
from strongroom.protocol.signed import sign_body


@pytest.mark.parametrize(
    "change",
    [
        {"absent": ("s1", "s2"), "signers": ("n1", "n2", "n3")},
        {"absent": ("n1",), "signers": ("s1", "s2", "n1"), "threshold": 3},
    ],
)
def test_absent_holders_leave_enough_to_deal_and_enough_to_sign(change: Any) -> None:
    ceremony = Ceremony()
    with pytest.raises(RedistributionRefused):
        coordinator.begin(replace(ceremony.terms, **change), vote_keys=ceremony.vote_keys)


def test_a_dealers_first_dealing_counts_and_nothing_that_it_sends_after_it_was_left_out() -> None:
    ceremony = Ceremony()
    for dealing in (ceremony.deal("s1"), replace(ceremony.deal("s2"), signature=bytes(64))):
        name = "s1" if not ceremony.state.dealings else "s2"
        ceremony.happens(events.DealingArrived(signer=name, dealing=dealing, now_ms=0))
    before = ceremony.state
    assert (before.dealings.keys(), before.left_out.keys()) == ({"s1"}, {"s2"})
    for name in ("s1", "s2"):
        event = events.DealingArrived(signer=name, dealing=ceremony.deal(name), now_ms=0)
        assert coordinator.step(before, event) == (before, ())


def receiving(ceremony: Ceremony) -> None:
    """Two have dealt, their dealings are chosen, and nobody has stated."""
    for name in ("s1", "s2"):
        ceremony.happens(events.DealingArrived(signer=name, dealing=ceremony.deal(name), now_ms=0))
    ceremony.happens(events.DeadlinePassed(now_ms=SILENCE_MS + 1))
    assert ceremony.state.chosen == ("s1", "s2")
    ceremony.waiting.clear()


def test_a_late_dealing_is_kept_as_a_spare_and_a_late_bad_one_disturbs_nobody() -> None:
    for good in (True, False):
        ceremony = Ceremony()
        receiving(ceremony)
        made, late = ceremony.state.made, ceremony.deal("s3")
        late = late if good else replace(late, signature=bytes(64))
        ceremony.happens(events.DealingArrived(signer="s3", dealing=late, now_ms=SILENCE_MS + 2))
        assert ceremony.waiting == []
        assert (ceremony.state.made is made, ceremony.state.chosen) == (True, ("s1", "s2"))
        assert ("s3" in ceremony.state.dealings, "s3" in ceremony.state.left_out) == (good, not good)


def test_who_is_no_new_holder_neither_states_nor_disputes() -> None:
    ceremony = Ceremony(2, 3, 2, signers=("s1", "n1"))
    receiving(ceremony)
    state, made = ceremony.state, ceremony.state.made
    assert made is not None
    statement = state.terms.statement("s2", made)
    stated = events.StatementArrived(
        signer="s2",
        recovery_hash=made.recovery_hash,
        key_hash=key_hash(made.key),
        signature=sign_body("epoch", statement, signing_key("s2")).signature,
        now_ms=0,
    )
    for event in (stated, events.Disputed(signer="s2", dealers=("s1",), now_ms=0)):
        assert coordinator.step(state, event) == (state, ())
    kept = codec.decode(snapshots.KeptRedistribution, snapshots.snapshot(state))
    foreign = replace(kept, statements=(VaultSignature(signer="s2", signature=stated.signature),))
    with pytest.raises(snapshots.SnapshotUnusable):
        snapshots.resume(state.terms, codec.encode(foreign), vote_keys=ceremony.vote_keys, now_ms=0)


def half_tried() -> Ceremony:
    """The first subset has signed, and a member of the second is away."""
    ceremony = Ceremony()
    ceremony.tamper = lambda event: (
        None if isinstance(event, events.TrialShareArrived) and event.subset == (1, 2) else event
    )
    ceremony.run()
    assert ceremony.state.trials is not None
    assert ceremony.state.trials.signatures.keys() == {(0, 1)}
    ceremony.tamper = lambda event: event
    return ceremony


def unheard(event: events.Event) -> events.Event | None:
    """Statements are lost on their way."""
    return None if isinstance(event, events.StatementArrived) else event


def test_who_failed_to_deal_is_no_trouble_any_more_once_it_is_asked_to_receive() -> None:
    ceremony = Ceremony(2, 4, 2, signers=("s1", "s2", "s3"))
    ceremony.down, ceremony.tamper = {"s3", "s4"}, unheard
    command = ceremony.waiting.pop(0)
    for name in ("s3", "s4", "s1", "s2"):
        ceremony.happens(ceremony.answer(name, command))
    assert [ceremony.asked(one) for one in ceremony.waiting] == [("s1", "s2", "s3")]
    # Who gets no share is not asked for anything now, and what went wrong with it is still to be seen.
    assert ceremony.state.failures.keys() == {"s4"}


def test_only_who_failed_is_asked_again_and_only_after_its_rest() -> None:
    for tamper in (unheard, lambda event: None):
        ceremony = Ceremony()
        ceremony.down, ceremony.tamper = set(), tamper
        ceremony.run()
        ceremony.happens(ceremony.failed("s2", "no link"))
        ceremony.happens(events.DeadlinePassed(now_ms=coordinator.RETRY_MS - 1))
        assert ceremony.waiting == []
        assert ceremony.state.failures.keys() == {"s2"}
        ceremony.happens(events.DeadlinePassed(now_ms=coordinator.RETRY_MS))
        assert [ceremony.asked(one) for one in ceremony.waiting] == [("s2",)]
        assert not ceremony.state.failures


def test_each_that_failed_rests_for_a_time_of_its_own() -> None:
    ceremony = Ceremony()
    ceremony.tamper = unheard
    ceremony.run()
    ceremony.happens(ceremony.failed("s1", "no link"))
    ceremony.now = 1
    ceremony.happens(ceremony.failed("s2", "no link"))
    ceremony.happens(events.DeadlinePassed(now_ms=coordinator.RETRY_MS))
    assert [ceremony.asked(one) for one in ceremony.waiting] == [("s1",)]
    assert ceremony.state.failures.keys() == {"s2"}


def test_a_failure_breaks_the_trials_of_its_own_subsets_alone() -> None:
    ceremony = Ceremony()
    ceremony.tamper = lambda event: None if isinstance(event, events.TrialNonceArrived) else event
    ceremony.run()
    assert ceremony.state.under_way == {(0, 1), (1, 2)}
    ceremony.happens(ceremony.failed("s1", "no link"))
    assert ceremony.state.under_way == {(1, 2)}


def test_no_subset_tries_while_a_member_has_dropped_its_share() -> None:
    ceremony = Ceremony()
    held: list[events.Event] = []

    def hold(event: events.Event) -> events.Event | None:
        if isinstance(event, events.StatementArrived) and event.signer != "s1":
            held.append(event)
            return None
        return event

    ceremony.tamper = hold
    ceremony.run()
    late = SILENCE_MS + 1
    for event in held:
        ceremony.happens(replace(event, now_ms=late))
    asked = [(type(one), ceremony.asked(one)) for one in ceremony.waiting]
    assert asked == [(events.AskTrialNonces, ("s2", "s3")), (events.SendDealings, ("s1",))]
    assert ceremony.state.under_way == {(1, 2)}


def test_who_has_tried_is_not_awaited_while_another_subset_tries() -> None:
    ceremony = half_tried()
    assert coordinator.progress(ceremony.state).awaited == ("s2", "s3")
    # Of a trial that is done the signature alone is stored.
    ceremony.restart_coordinator()
    assert ceremony.state.step is Step.TRYING
    assert coordinator.progress(ceremony.state).awaited == ("s2", "s3")


def test_a_subset_that_has_signed_is_not_asked_again() -> None:
    ceremony = half_tried()
    asked = next(one for one in ceremony.commands_seen if isinstance(one, events.SendDealings))
    for name in ("s1", "s2"):
        ceremony.happens(ceremony.answer(name, asked))
    assert ceremony.waiting == []


def test_only_those_who_still_have_to_try_are_asked_after_a_restart() -> None:
    ceremony = half_tried()
    ceremony.restart_coordinator()
    assert ceremony.state.outcome is None
    assert [(type(one), ceremony.asked(one)) for one in ceremony.waiting] == [(events.SendDealings, ("s2", "s3"))]
    ceremony.completed()


def test_nonces_that_come_again_start_nothing() -> None:
    ceremony = Ceremony()
    arrived: list[events.Event] = []
    while not any(isinstance(command, events.AskTrialShares) for command in ceremony.waiting):
        command = ceremony.waiting.pop(0)
        for name in ceremony.asked(command):
            arrived.append(ceremony.answer(name, command))
            ceremony.happens(arrived[-1])
    before = list(ceremony.waiting)
    nonces = [event for event in arrived if isinstance(event, events.TrialNonceArrived)]
    for event in nonces:
        ceremony.happens(event)
    assert ceremony.waiting == before


def test_statements_of_some_alone_begin_no_trial_after_a_restart() -> None:
    ceremony = Ceremony()
    ceremony.down = {"s3"}
    ceremony.run()
    ceremony.restart_coordinator()
    assert ceremony.state.trials is None
    assert ceremony.state.step is Step.RECEIVING
    assert ceremony.state.statements.keys() == {"s1", "s2"}


def test_an_empty_snapshot_is_bound_to_its_attempt_too() -> None:
    ceremony = Ceremony()
    data = snapshots.snapshot(ceremony.state)
    snapshots.resume(ceremony.terms, data, vote_keys=ceremony.vote_keys, now_ms=0)
    with pytest.raises(snapshots.SnapshotUnusable):
        snapshots.resume(replace(ceremony.terms, attempt=2), data, vote_keys=ceremony.vote_keys, now_ms=0)


def test_dealings_that_were_all_stored_before_any_was_chosen_are_chosen_after_a_restart() -> None:
    ceremony = Ceremony()
    ceremony.completed()
    kept = codec.decode(snapshots.KeptRedistribution, snapshots.snapshot(ceremony.state))
    data = codec.encode(replace(kept, chosen=(), statements=(), trials=()))
    state, commands = snapshots.resume(ceremony.terms, data, vote_keys=ceremony.vote_keys, now_ms=0)
    assert [type(one) for one in commands] == [events.SendDealings]
    assert state.chosen == ceremony.holders


def test_a_true_signature_of_a_subset_that_tries_nothing_is_not_taken_from_a_snapshot() -> None:
    ceremony = Ceremony()
    done = ceremony.completed()
    shares = numbered(ceremony.after(done), ceremony.terms.signers)
    sharing = replace(ceremony.before, shares=shares, public_shares=public_shares(done.made.key))
    signature = signed_with(sharing, (0, 2), trial_of(ceremony.terms, done.made, (0, 2)))
    kept = codec.decode(snapshots.KeptRedistribution, snapshots.snapshot(ceremony.state))
    odd = replace(kept, trials=(Trial(signers=(0, 2), signature=signature),))
    with pytest.raises(snapshots.SnapshotUnusable):
        snapshots.resume(ceremony.terms, codec.encode(odd), vote_keys=ceremony.vote_keys, now_ms=0)
