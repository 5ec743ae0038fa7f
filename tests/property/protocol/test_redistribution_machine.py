"""Redistribution under loss, reordering, repetition, lies and kills: enough shares of exactly one epoch, always.

Messages stand in two bags, those to holders and those to the coordinator, and are delivered in any order, lost, or
repeated. Signers and the coordinator are killed at any message; a signer keeps its sealed share, its host key and the
log, the coordinator what it stored last. Faulty dealers sign bad dealings, faulty receivers accuse anybody and give
garbage.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

import slow_redistribution as slow
from protocol_world import signing_key
from redistribution_world import Ceremony, numbered
from strongroom.ledger import codec
from strongroom.ledger.signed_messages import Dealing
from strongroom.protocol import redistribution_coordinator as coordinator
from strongroom.protocol import redistribution_events as events
from strongroom.protocol import redistribution_snapshot as snapshots
from strongroom.protocol.keygen import SILENCE_MS, Fault
from strongroom.protocol.signed import sign_body

pytestmark = pytest.mark.slow

SHAPES = st.sampled_from(
    [
        (2, 3, 2, ("s1", "s2", "s3"), ()),
        (2, 3, 2, ("s1", "s2", "n1"), ()),
        (2, 4, 2, ("s1", "s2", "s3", "s4"), ("s4",)),
        (2, 3, 3, ("s1", "n1", "n2"), ()),
        (1, 2, 1, ("s2", "s1"), ()),
    ]
)
PLACES = st.integers(min_value=0, max_value=2_000)


def bad_dealing(event: events.DealingArrived, place: int) -> events.DealingArrived:
    """Another dealing, signed by its dealer: a wrong share, a commitment to something else, or no dealing at all."""
    if place % 5 == 0:
        return replace(event, dealing=replace(event.dealing, body=event.dealing.body[: place % 40]))
    body = codec.decode(Dealing, event.dealing.body, max_size=10_000)
    if place % 5 == 1 and body.commitments:
        body = replace(body, commitments=(body.pubnonce, *body.commitments[1:]))
    elif place % 5 == 2:
        body = replace(body, pubnonce=bytes(33))
    else:
        shares = list(body.encrypted_shares)
        shares[place % len(shares)] = (place + 1).to_bytes(32, "big")
        body = replace(body, encrypted_shares=tuple(shares))
    return replace(event, dealing=sign_body("dealing", body, signing_key(event.signer)))


def lie(event: events.Event, place: int, chosen: tuple[str, ...]) -> events.Event:
    """What a faulty holder says instead."""
    match event:
        case events.DealingArrived():
            return bad_dealing(event, place)
        case events.StatementArrived() if place % 3 == 0:
            return replace(event, signature=bytes(64))
        case events.StatementArrived() if place % 3 == 1:
            return replace(event, recovery_hash=bytes(32))
        case events.StatementArrived():
            accused = chosen[place % len(chosen) :] if chosen else ("x",)
            return events.Disputed(signer=event.signer, dealers=accused[:1], now_ms=event.now_ms)
        case events.TrialNonceArrived():
            return replace(event, nonce=bytes(66 if place % 2 else 65))
        case events.TrialShareArrived():
            return replace(event, share=(place + 1).to_bytes(32, "big"))
        case _:
            return event


class RedistributionMachine(RuleBasedStateMachine):
    """One vault, one order, as many attempts as it takes."""

    @initialize(shape=SHAPES, faulty=st.sets(st.sampled_from(["s1", "s2", "s3", "n1"]), max_size=1))
    def start(self, shape: Any, faulty: set[str]) -> None:
        t, n, new_t, signers, absent = shape
        self.shape = {"t": t, "n": n, "new_t": new_t, "signers": signers, "absent": absent}
        self.faulty = faulty & {*signers, *(f"s{holder + 1}" for holder in range(n))}
        self.attempt = 1
        self.final: events.Completed | None = None
        self.applied: dict[str, int] = {}
        self.open_attempt()

    def open_attempt(self) -> None:
        self.ceremony = Ceremony(**self.shape, attempt=self.attempt)
        self.now = getattr(self, "now", 0)
        self.ceremony.now = self.now
        self.to_holders: list[tuple[str, events.Command]] = []
        self.to_coordinator: list[events.Event] = []
        self.stored = snapshots.snapshot(self.ceremony.state)
        self.stored_old = self.stored
        self.send()

    def send(self) -> None:
        """What the machine wants is on its way; the runner has stored the state by then."""
        ceremony = self.ceremony
        for command in ceremony.waiting:
            if isinstance(command, events.Completed) and self.final is None:
                self.final = command
            self.to_holders += [(name, command) for name in ceremony.asked(command)]
        ceremony.waiting = []
        self.stored_old, self.stored = self.stored, snapshots.snapshot(ceremony.state)
        if isinstance(ceremony.state.outcome, events.Failed) and self.final is None:
            self.attempt += 1
            self.open_attempt()

    def happens(self, event: events.Event) -> None:
        before = self.ceremony.state
        self.ceremony.happens(event)
        if before.outcome is not None:
            assert self.ceremony.state is before
        self.send()

    # --- messages --------------------------------------------------------------------------------------------------

    @rule(which=PLACES, place=PLACES, lies=st.booleans())
    @precondition(lambda self: getattr(self, "to_holders", ()))
    def a_holder_is_asked(self, which: int, place: int, lies: bool) -> None:
        name, command = self.to_holders.pop(which % len(self.to_holders))
        answer = self.ceremony.answer(name, command)
        if lies and name in self.faulty:
            answer = lie(answer, place, self.ceremony.state.chosen)
        self.to_coordinator.append(answer)

    @rule(which=PLACES, again=st.booleans())
    @precondition(lambda self: getattr(self, "to_coordinator", ()))
    def an_answer_arrives(self, which: int, again: bool) -> None:
        place = which % len(self.to_coordinator)
        event = self.to_coordinator[place]
        if not again:
            del self.to_coordinator[place]
        self.happens(event)

    @rule(which=PLACES)
    @precondition(lambda self: getattr(self, "to_holders", ()))
    def a_link_breaks(self, which: int) -> None:
        name, _ = self.to_holders.pop(which % len(self.to_holders))
        self.to_coordinator.append(self.ceremony.failed(name, "the link broke"))

    @rule(wait=st.sampled_from([100, coordinator.RETRY_MS, SILENCE_MS + 1]))
    def time_passes(self, wait: int) -> None:
        self.now += wait
        self.ceremony.now = self.now
        self.happens(events.DeadlinePassed(now_ms=self.now))

    @rule(which=PLACES)
    def a_holder_is_back(self, which: int) -> None:
        holders = sorted(self.ceremony.vote_keys)
        self.happens(events.HolderReady(signer=holders[which % len(holders)], now_ms=self.now))

    # --- kills -----------------------------------------------------------------------------------------------------

    @rule(which=PLACES)
    def a_signer_is_killed(self, which: int) -> None:
        holders = sorted(self.ceremony.vote_keys)
        name = holders[which % len(holders)]
        self.ceremony.restart_signer(name)
        lost = [item for item in self.to_holders if item[0] == name]
        self.to_holders = [item for item in self.to_holders if item[0] != name]
        self.to_coordinator += [self.ceremony.failed(name, "killed") for _ in lost]

    @rule(before_storing=st.booleans())
    def the_coordinator_is_killed(self, before_storing: bool) -> None:
        """Everything on its way is lost, and what happened last, if it was not stored yet."""
        ceremony = self.ceremony
        data = self.stored_old if before_storing else self.stored
        ceremony.state, commands = snapshots.resume(ceremony.terms, data, vote_keys=ceremony.vote_keys, now_ms=self.now)
        self.to_holders, self.to_coordinator = [], []
        ceremony.waiting = list(commands)
        self.send()

    @rule(which=PLACES)
    @precondition(lambda self: getattr(self, "final", None) is not None)
    def a_signer_applies_the_final_epoch(self, which: int) -> None:
        """It recovers the share, seals it, and erases the old one, in one commit."""
        assert self.final is not None
        holders = sorted(self.ceremony.vote_keys)
        name = holders[which % len(holders)]
        if name in self.ceremony.terms.signers:
            recovered = self.ceremony.after(self.final, lost=self.lost())
            if name not in recovered:
                return
            self.applied[name] = recovered[name]
        self.ceremony.shares.pop(name, None)

    def lost(self) -> tuple[str, ...]:
        """Who may have been dealt a bad share that nobody could find: an absent holder, which is repaired later."""
        return self.ceremony.terms.absent if self.faulty else ()

    # --- what holds ------------------------------------------------------------------------------------------------

    @invariant()
    def enough_shares_of_exactly_one_epoch_are_there(self) -> None:
        if not hasattr(self, "ceremony"):
            return
        ceremony = self.ceremony
        secret = ceremony.before.secret
        if self.final is None:
            old = {
                ceremony.holders.index(name): int.from_bytes(share.expose(), "big")
                for name, share in ceremony.shares.items()
            }
            assert len(old) == len(ceremony.holders)
            assert slow.at_zero(old) == secret
            return
        assert self.final.made.key.commitments[0] == ceremony.terms.group_key
        applied = numbered(self.applied, ceremony.terms.signers)
        if len(applied) >= ceremony.terms.threshold:
            assert slow.at_zero(applied) == secret

    @invariant()
    def nobody_honest_is_proven_bad(self) -> None:
        if not hasattr(self, "ceremony"):
            return
        state = self.ceremony.state
        for name, left_out in state.left_out.items():
            if left_out.fault is Fault.HOLDER:
                assert name in self.faulty
            else:
                assert self.faulty & {name, *left_out.found_by}
        for name, failure in state.failures.items():
            if failure.fault is Fault.HOLDER:
                assert name in self.faulty

    def teardown(self) -> None:
        """Faults and losses end; the epoch is made, and every new holder has its share of it."""
        if not hasattr(self, "ceremony"):
            return
        for _ in range(600):
            if self.final is not None:
                break
            if self.to_holders:
                name, command = self.to_holders.pop(0)
                self.to_coordinator.append(self.ceremony.answer(name, command))
            elif self.to_coordinator:
                self.an_answer_arrives(0, again=False)
            else:
                self.time_passes(coordinator.RETRY_MS)
            self.nobody_honest_is_proven_bad()
        assert self.final is not None, coordinator.progress(self.ceremony.state)
        shares = numbered(self.ceremony.after(self.final, lost=self.lost()), self.ceremony.terms.signers)
        for part in slow.subsets(shares, self.ceremony.terms.threshold):
            assert slow.at_zero(part) == self.ceremony.before.secret


RedistributionMachine.TestCase.settings = settings(
    max_examples=100, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestRedistributionMachine = RedistributionMachine.TestCase
