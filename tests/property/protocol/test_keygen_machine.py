"""Key generation under loss, reordering, repetition and lies: all or nothing, and nobody honest is ever proven faulty.

Messages stand in two bags, those to holders and those to the coordinator, and are delivered in any order, lost, or, on
their way to the coordinator, repeated. Faulty holders send anything. In a second machine the coordinator lies instead.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from keygen_world import ORDER, Generation
from protocol_group import host_key
from protocol_world import LOG_ID
from strongroom.crypto import bip340, chilldkg
from strongroom.ledger.key_material import public_shares, trial_message
from strongroom.model.errors import StrongroomError
from strongroom.protocol import keygen_coordinator as coordinator
from strongroom.protocol import keygen_participant as participant
from strongroom.protocol.keygen import SILENCE_MS, Fault
from strongroom.protocol.share_recovery import share_of

pytestmark = pytest.mark.slow

SHAPES = st.sampled_from([(2, 2), (3, 2), (3, 3), (4, 2)])
MASKS = st.integers(min_value=1, max_value=255)
PLACES = st.integers(min_value=0, max_value=2_000)


def garbled(data: bytes, place: int, mask: int) -> bytes:
    """One byte changed, or, for a large mask, the end cut off."""
    if mask > 250:
        return data[: place % (len(data) + 1)]
    changed = bytearray(data)
    changed[place % len(data)] ^= mask
    return bytes(changed)


def changed(event: Any, place: int, mask: int) -> Any:
    """What a faulty holder says instead: one of the parts of its answer garbled."""
    names = [name for name in ("message", "signature", "recovery_hash", "nonce", "share") if hasattr(event, name)]
    if not names:
        return event
    name = names[place % len(names)]
    return replace(event, **{name: garbled(getattr(event, name), place, mask)})


class KeygenMachine(RuleBasedStateMachine):
    """An honest coordinator, a network that loses, reorders and repeats, and faulty holders."""

    @initialize(shape=SHAPES, faulty=st.sets(st.sampled_from(["s1", "s2", "s3", "s4"]), max_size=2))
    def start(self, shape: tuple[int, int], faulty: set[str]) -> None:
        self.generation = Generation(*shape)
        self.faulty = faulty & set(self.generation.terms.signers)
        self.to_holders: list[tuple[str, coordinator.Command]] = []
        self.to_coordinator: list[coordinator.Event] = []
        self.network_failed = False
        commands, self.generation.waiting = self.generation.waiting, []
        self.send(tuple(commands))

    def send(self, commands: tuple[coordinator.Command, ...]) -> None:
        for command in commands:
            self.to_holders += [(name, command) for name in self.generation.asked(command)]

    def happens(self, event: coordinator.Event) -> None:
        before = self.generation.state
        self.generation.state, commands = coordinator.step(before, event)
        if before.outcome is not None:
            assert self.generation.state.outcome is before.outcome
            assert commands == ()
        self.send(commands)

    def asked(self, command: coordinator.Command, place: int, mask: int) -> coordinator.Command:
        """What reaches the holder of a command; an honest coordinator's reaches it as it is."""
        return command

    @rule(which=PLACES, place=PLACES, mask=MASKS, lies=st.booleans())
    @precondition(lambda self: getattr(self, "to_holders", ()))
    def a_holder_is_asked(self, which: int, place: int, mask: int, lies: bool = False) -> None:
        name, command = self.to_holders.pop(which % len(self.to_holders))
        try:
            answer = self.generation.answer(name, self.asked(command, place, mask))
        except StrongroomError as error:
            answer = coordinator.HolderFailed(signer=name, failure=error.message, now_ms=self.generation.now)
        self.to_coordinator.append(changed(answer, place, mask) if lies and name in self.faulty else answer)

    @rule(which=PLACES, again=st.booleans())
    @precondition(lambda self: getattr(self, "to_coordinator", ()))
    def an_answer_arrives(self, which: int, again: bool) -> None:
        place = which % len(self.to_coordinator)
        event = self.to_coordinator[place]
        if not again:
            del self.to_coordinator[place]
        self.happens(event)

    @rule(which=PLACES, fault=st.sampled_from(list(Fault)), suspect=st.integers(-1, 4))
    @precondition(lambda self: getattr(self, "faulty", ()))
    def a_faulty_holder_accuses(self, which: int, fault: Fault, suspect: int) -> None:
        signer = sorted(self.faulty)[which % len(self.faulty)]
        now = self.generation.now
        if self.generation.state.dealt is not None:
            transcript = self.generation.state.dealt.transcript
            received = chilldkg.investigation_of(transcript, self.generation.terms.signers.index(signer)).received
            self.happens(
                coordinator.ComplaintArrived(
                    signer=signer, encrypted_share=received[0], pubshare=received[1], now_ms=now
                )
            )
        self.happens(coordinator.VerdictArrived(signer=signer, fault=fault, suspect=suspect, now_ms=now))

    @rule(which=PLACES, towards_holders=st.booleans())
    def the_network_loses(self, which: int, towards_holders: bool) -> None:
        bag: list[Any] = self.to_holders if towards_holders else self.to_coordinator
        if bag and which % 8 == 0:
            del bag[which % len(bag)]
            self.network_failed = True

    @rule(wait=st.sampled_from([100, 1_000, SILENCE_MS // 2]))
    def time_passes(self, wait: int) -> None:
        self.generation.now += wait
        self.network_failed = self.network_failed or self.generation.now > SILENCE_MS
        self.happens(coordinator.DeadlinePassed(now_ms=self.generation.now))

    @invariant()
    def nobody_honest_is_proven_faulty(self) -> None:
        outcome = getattr(self, "generation", None) and self.generation.state.outcome
        if not isinstance(outcome, coordinator.AttemptFailed):
            return
        match outcome.fault:
            case Fault.HOLDER:
                assert set(outcome.suspects) <= self.faulty
            case Fault.HOLDER_OR_COORDINATOR:
                # The finder alone is convinced; with an honest coordinator one of the two is at fault.
                assert self.faulty & {*outcome.suspects, outcome.found_by}
            case Fault.COORDINATOR | Fault.OWN_MACHINE:
                assert outcome.found_by in self.faulty

    @invariant()
    def a_share_is_held_only_of_a_certified_key(self) -> None:
        if not hasattr(self, "generation"):
            return
        held = {
            name: attempt
            for name, attempt in self.generation.holders.items()
            if isinstance(attempt, participant.Holding)
        }
        assert len({attempt.made.recovery for attempt in held.values()}) <= 1
        for name, attempt in held.items():
            assert attempt.made.key.commitments[0] == attempt.output.threshold_pubkey
            assert share_of(host_key(name), attempt.made.recovery) == attempt.output.secshare

    def teardown(self) -> None:
        """Everything still on its way arrives, then time runs out: all hold a working key, or the attempt failed."""
        if not hasattr(self, "generation"):
            return
        for _ in range(400):
            if self.to_holders:
                self.a_holder_is_asked(0, 0, 4)
            elif self.to_coordinator:
                self.an_answer_arrives(0, again=False)
            else:
                break
        self.generation.now += SILENCE_MS + 1
        self.happens(coordinator.DeadlinePassed(now_ms=self.generation.now))
        self.nobody_honest_is_proven_faulty()
        self.a_share_is_held_only_of_a_certified_key()
        outcome = self.generation.state.outcome
        assert outcome is not None
        if isinstance(outcome, coordinator.Generated):
            self.everybody_can_sign(outcome)
        else:
            assert self.faulty or self.network_failed, outcome

    def everybody_can_sign(self, generated: coordinator.Generated) -> None:
        """Every holder recovers its share from what lies beside the log, and every trial verifies."""
        vault = generated.vault
        shares = public_shares(vault.key)
        for holder, name in enumerate(self.generation.terms.signers):
            assert share_of(host_key(name), generated.recovery).public() == shares[holder]
        for trial in vault.trials:
            message = trial_message(LOG_ID, ORDER, vault.recovery_hash, trial.signers)
            assert bip340.verify(vault.key.commitments[0][1:], message, trial.signature)


class LyingCoordinatorMachine(KeygenMachine):
    """The coordinator changes what it relays, to each holder differently: no share of a key that not all certified."""

    def asked(self, command: coordinator.Command, place: int, mask: int) -> coordinator.Command:
        self.network_failed = True
        if mask % 4 == 0:
            return command
        match command:
            case coordinator.SendRound2() | coordinator.SendFinish() | coordinator.Investigate():
                return replace(command, message=garbled(command.message, place, mask))
            case coordinator.AskTrialShares():
                nonces = list(command.nonces)
                nonces[place % len(nonces)] = garbled(nonces[place % len(nonces)], place, mask)
                return replace(command, nonces=tuple(nonces))
            case _:
                return command

    def nobody_honest_is_proven_faulty(self) -> None:
        """Whom a lying coordinator accuses counts for nothing."""


KeygenMachine.TestCase.settings = settings(
    max_examples=80, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
LyingCoordinatorMachine.TestCase.settings = KeygenMachine.TestCase.settings
TestKeygenMachine = KeygenMachine.TestCase
TestLyingCoordinatorMachine = LyingCoordinatorMachine.TestCase
