"""The signers' real code takes exactly the steps that the searched model takes, with real keys and signatures."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import combinations

import pytest

import protocol_world as world
from electorate_of import always, certificate_by, electorate
from strongroom.ledger.certificate_messages import Certificate
from strongroom.model.errors import StrongroomError
from strongroom.protocol import voter
from strongroom.protocol.certificates import VerifiedVote, held_of, verify_vote
from strongroom.protocol.signed import SignedBody
from strongroom.protocol.terms import VerifiedStatement, highest_held, verify_new_term
from strongroom.protocol.voter_state import Alarmed, Known, VoterRefused, VoterState, initial_state
from term_model import (
    NO_CERTIFICATE,
    Log,
    Signer,
    State,
    Step,
    World,
    adopt,
    bases,
    certificates,
    promise,
    start,
    take,
    vote,
)
from term_model import Certificate as Named

CASE = World(n=3, t=2, w=2, terms=3)
KEYS = {name: world.VOTE_KEYS[name] for name in world.NAMES[: CASE.n]}


def log_of(log: Log, final_size: int = 0) -> world.ToyLog:
    return world.ToyLog(tuple(entry.encode() for entry in log), final_size=final_size)


class RealSigners:
    """Three signers, and everything that any of them ever signed."""

    def __init__(self) -> None:
        self.names = tuple(KEYS)
        self.states = {name: initial_state(world.LOG_ID, name, KEYS[name]) for name in self.names}
        self.statements: dict[int, dict[str, SignedBody]] = {}
        self.votes: dict[Named, dict[str, VerifiedVote]] = {}
        self.certificates: dict[Named, Certificate] = {}
        for index in range(CASE.n):
            assert self.act(Step(index, "promise", 1, ""))
        for index in range(CASE.n):
            assert self.act(Step(index, "adopt", 1, NO_CERTIFICATE))

    def act(self, step: Step) -> bool:
        """Ask a signer for the step; whether it took it. A refused step must leave its state as it was."""
        name = self.names[step.signer]
        before = self.states[name]
        try:
            after = self._try(step, name, before)
        except VoterRefused:
            return False
        self.states[name] = after
        return after != before

    def _try(self, step: Step, name: str, state: VoterState) -> VoterState:
        argument = step.argument
        if step.act == "promise":
            after, signed = voter.promise(
                state, world.KEYS[name], term=step.term, leader=world.LEADER, boot_id=world.BOOT
            )
            self.statements.setdefault(step.term, {})[name] = signed
            return after
        if step.act == "vote":
            assert isinstance(argument, str)
            head = world.head_at(log_of(argument).batches, term=step.term)
            after, signed = voter.vote(state, world.KEYS[name], head, log_of(argument))
            seen = verify_vote(name, signed, log_id=world.LOG_ID, electorate=electorate(KEYS))
            cast = self.votes.setdefault((step.term, argument), {})
            cast[name] = seen
            if len(cast) == CASE.w:
                made = certificate_by(cast.values(), CASE.w)
                self.certificates[step.term, argument] = made
            return after
        assert isinstance(argument, tuple)
        if step.act == "take":
            certificate = self.certificates[argument]
            taken, outcome = voter.take_certificate(
                state, certificate, log_of(argument[1]), electorates=always(KEYS, CASE.w)
            )
            assert not isinstance(outcome, Alarmed), outcome
            return state if isinstance(outcome, Known) else taken
        return self._adopt(state, step.term, argument)

    def _adopt(self, state: VoterState, term: int, base: Named) -> VoterState:
        """Try every opening of the term from this base; opening and adopting count as one step."""
        refusal: VoterRefused | None = None
        for chosen in combinations(self.statements.get(term, {}).values(), CASE.w):
            verified = [self._verified(item, term) for item in chosen]
            certificate = self.certificates.get(base)
            if highest_held(verified) != held_of(certificate):
                continue
            try:
                opened, outcome = voter.open_term(
                    state,
                    term=term,
                    leader=world.LEADER,
                    statements=chosen,
                    base_certificate=certificate,
                    electorates=always(KEYS, CASE.w),
                )
                assert not isinstance(outcome, Alarmed), outcome
                stored = state.held_in_term.size if state.held_in_term and state.term == term else 0
                kept = next((log for (at, log) in self.certificates if at == term and len(log) == stored), base[1])
                adopted, judged = voter.adopt(
                    opened, log_of(kept if stored else base[1]), electorates=always(KEYS, CASE.w)
                )
                assert not isinstance(judged, Alarmed), judged
                return adopted
            except VoterRefused as error:
                refusal = error
        raise refusal or VoterRefused("no statements lead to this base")

    @staticmethod
    def _verified(signed: SignedBody, term: int) -> VerifiedStatement:
        return verify_new_term(signed, log_id=world.LOG_ID, term=term, leader=world.LEADER, electorates=always(KEYS))

    def held(self, index: int) -> tuple[int, int]:
        return held_of(self.states[self.names[index]].held).rank


def model_started() -> State:
    """The model starts with term 1 open; the real signers made statements for it."""
    return tuple(signer._replace(statements=(NO_CERTIFICATE, *signer.statements[1:])) for signer in start(CASE))


def judged_by_model(state: State, step: Step) -> Signer | None:
    signer, argument = state[step.signer], step.argument
    if step.act == "promise":
        return promise(CASE, signer, step.term)
    if step.act == "vote":
        assert isinstance(argument, str)
        return vote(CASE, signer, step.term, argument)
    assert isinstance(argument, tuple)
    if step.act == "take":
        return take(CASE, signer, argument)
    return adopt(CASE, signer, step.term, argument)


def is_two_batches_at_once(state: State, step: Step) -> bool:
    """The model's coordinator appends one batch at a time; the real one may append more."""
    if step.act != "vote":
        return False
    signer = state[step.signer]
    base = signer.bases[step.term - 1]
    cast = signer.votes[step.term - 1]
    held = signer.held[1] if signer.held[0] == step.term else ""
    lowest = max(len(base[1]) if base else 0, len(cast[-1][0]) if cast else 0, len(held))
    return len(step.argument) > lowest + 1


def candidates(state: State) -> list[Step]:
    """Every step one could ask for, allowed or not, that the network's words make possible."""
    known = certificates(CASE, state)
    found = []
    for index in range(CASE.n):
        for term in range(1, CASE.terms + 1):
            found.append(Step(index, "promise", term, ""))
            found += [Step(index, "adopt", term, base) for base in bases(CASE, state, term, known)]
            found += [Step(index, "vote", term, log) for log in CASE.proposals(term)]
        found += [Step(index, "take", item[0], item) for item in known]
    return [step for step in found if not is_two_batches_at_once(state, step)]


@pytest.mark.parametrize("seed", range(1_000, 1_150))
def test_the_real_signers_take_and_refuse_what_the_model_does(seed: int) -> None:
    chooser = random.Random(seed)
    real, state = RealSigners(), model_started()
    taken = refused = 0
    for _ in range(60):
        asked = candidates(state)
        allowed = [item for item in asked if judged_by_model(state, item) not in (None, state[item.signer])]
        step = chooser.choice(allowed if allowed and chooser.random() < 0.5 else asked)
        expected = judged_by_model(state, step)
        accepted = real.act(step)
        assert accepted == (expected is not None and expected != state[step.signer]), step
        taken, refused = taken + accepted, refused + (not accepted)
        if expected is not None:
            state = (*state[: step.signer], expected, *state[step.signer + 1 :])
        mine = state[step.signer]
        own = real.states[real.names[step.signer]]
        assert own.term == mine.term
        assert real.held(step.signer) == (mine.held[0], len(mine.held[1]))
        for size in (1, 2):
            released = mine.held[0] == mine.term and size <= len(mine.held[1])
            assert voter.releasable(own, size) == released
    assert taken > 10
    assert refused > 10


def test_a_stopped_signer_takes_no_step() -> None:
    real = RealSigners()
    for name, own in real.states.items():
        real.states[name] = replace(own, alarm="OWN_VOTE_UNKNOWN", alarm_detail="restored")
    for step in candidates(model_started()):
        assert not real.act(step)


def test_refusals_are_errors_with_their_own_reasons() -> None:
    kinds = [kind for kind in VoterRefused.__subclasses__() if issubclass(kind, StrongroomError)]
    assert len({kind.reason for kind in kinds}) == len(kinds) > 8
