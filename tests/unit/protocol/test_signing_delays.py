"""How long holders that are silent, slow, gone or lying can delay a signature, on a simulated clock."""

from __future__ import annotations

import heapq
import itertools
from dataclasses import dataclass, field
from random import Random

import pytest

from signing_world import Signers
from strongroom.protocol.signing import (
    AskCommitments,
    AskShares,
    Command,
    CommitmentsArrived,
    DeadlinePassed,
    Demote,
    Event,
    PlanCertified,
    RefusalArrived,
    SharesArrived,
    Signed,
    SignerGone,
    SigningState,
    begin,
    step,
)

ROUND_TRIP_MS = 10
HEDGE_MS = 100
NO_VOTE, NO_COMMITMENTS, NO_SHARE, LEAVES = "no vote", "vote without commitments", "no share", "leaves before its share"
SLOW, WRONG, REFUSES = "slow", "wrong share", "refuses its share"
FAULTS = (NO_VOTE, NO_COMMITMENTS, NO_SHARE, LEAVES, SLOW, WRONG, REFUSES)


@dataclass
class Simulation:
    """One plan, from the batch that holds it to its signature; every message and answer takes half a round trip."""

    n: int
    t: int
    faults: dict[str, str]
    preference: tuple[str, ...] = ()
    now: int = 0
    sets: int = 0
    asked: set[str] = field(default_factory=set)
    demoted: set[str] = field(default_factory=set)

    def run(self) -> int:
        """The milliseconds from the batch to the signature; the certificate comes after one round trip."""
        self.signers = Signers.of(self.n, self.t)
        self._due: list[tuple[int, int, Event]] = []
        self._count = itertools.count()
        self.state: SigningState
        self.state, commands = begin(
            self.signers.task,
            vote_keys=self.signers.vote_keys,
            preference=self.preference,
            now_ms=0,
            hedge_ms=HEDGE_MS,
            certified=False,
        )
        self._obey(commands)
        self._at(ROUND_TRIP_MS, PlanCertified(now_ms=ROUND_TRIP_MS))
        while self.state.outcome is None:
            self.now, _, event = heapq.heappop(self._due)
            self.state, commands = step(self.state, event)
            self._obey(commands)
        assert isinstance(self.state.outcome, Signed)
        assert self.signers.signature_is_valid(self.state.outcome.signatures)
        return self.now

    def _at(self, when: int, event: Event) -> None:
        heapq.heappush(self._due, (when, next(self._count), event))

    def _obey(self, commands: tuple[Command, ...]) -> None:
        for command in commands:
            match command:
                case AskCommitments():
                    self.asked |= set(command.signers)
                    for name in command.signers:
                        self._commit(name)
                    self._at(self.now + HEDGE_MS, DeadlinePassed(now_ms=self.now + HEDGE_MS))
                case AskShares():
                    self.sets += 1
                    for name in command.signers:
                        self._share(name, command)
                    self._at(self.now + HEDGE_MS, DeadlinePassed(now_ms=self.now + HEDGE_MS))
                case Demote():
                    self.demoted |= set(command.signers)

    def _answer_time(self, name: str) -> int:
        return self.now + ROUND_TRIP_MS * (30 if self.faults.get(name) == SLOW else 1)

    def _commit(self, name: str) -> None:
        fault, when = self.faults.get(name), self._answer_time(name)
        if fault == NO_COMMITMENTS:
            self._at(when, RefusalArrived(signer=name, refusal="ANSWER_INCOMPLETE", now_ms=when))
        elif fault != NO_VOTE:
            self._at(when, CommitmentsArrived(signer=name, signed=self.signers.commit(name), now_ms=when))

    def _share(self, name: str, asked: AskShares) -> None:
        fault, when = self.faults.get(name), self._answer_time(name)
        if fault == LEAVES:
            self._at(when, SignerGone(signer=name, now_ms=when))
        elif fault == REFUSES:
            self._at(when, RefusalArrived(signer=name, refusal="LOCAL_FREEZE", now_ms=when))
        elif fault != NO_SHARE:
            signed = self.signers.share(name, asked, wrong=fault == WRONG)
            following = self.signers.commit(name)
            self._at(when, SharesArrived(signer=name, signed=signed, next_commitments=following, now_ms=when))


def names(n: int) -> list[str]:
    return [f"s{number + 1}" for number in range(n)]


@pytest.mark.parametrize(("n", "t"), [(3, 2), (5, 3), (9, 5)])
def test_honest_holders_sign_in_two_round_trips_and_nobody_else_is_asked(n: int, t: int) -> None:
    simulation = Simulation(n, t, {})
    assert simulation.run() == 2 * ROUND_TRIP_MS
    assert (len(simulation.asked), simulation.sets, simulation.demoted) == (t, 1, set())


@pytest.mark.parametrize("fault", FAULTS)
def test_one_faulty_holder_costs_one_hedge_and_two_round_trips_at_most(fault: str) -> None:
    """Late commitments are noticed a hedge after they were asked for, late shares a hedge after theirs were."""
    simulation = Simulation(9, 5, {"s1": fault})
    normal = 2 * ROUND_TRIP_MS
    assert simulation.run() <= normal + HEDGE_MS + 2 * ROUND_TRIP_MS
    assert simulation.demoted == {"s1"}


def test_four_of_nine_each_silent_in_another_step_cost_less_than_one_hedge() -> None:
    """No vote, a vote without commitments, commitments without a share, and a link that breaks before the share.

    The incomplete vote is noticed at once, and then nobody waits: everybody is asked, the set with the silent and the
    leaving one is overtaken by one of the honest.
    """
    faults = dict(zip(names(4), (NO_VOTE, NO_COMMITMENTS, NO_SHARE, LEAVES), strict=True))
    simulation = Simulation(9, 5, faults, preference=tuple(names(9)))
    assert simulation.run() == 4 * ROUND_TRIP_MS
    assert simulation.sets == 2


def test_four_of_nine_silent_without_a_sign_cost_one_hedge_and_three_round_trips() -> None:
    """Nothing tells that these four will not answer; one hedge pays for all of them."""
    faults = dict(zip(names(4), (NO_VOTE, NO_SHARE, NO_VOTE, NO_SHARE), strict=True))
    simulation = Simulation(9, 5, faults, preference=tuple(names(9)))
    assert simulation.run() <= HEDGE_MS + 3 * ROUND_TRIP_MS


@pytest.mark.parametrize("shape", [(3, 2), (5, 3), (7, 5), (9, 5)])
def test_whatever_up_to_n_minus_t_holders_do_one_hedge_is_paid_and_one_round_trip_for_each_of_them(
    shape: tuple[int, int],
) -> None:
    n, t = shape
    for seed in range(60):
        random = Random(seed)
        order = names(n)
        random.shuffle(order)
        faulty = random.sample(order, n - t)
        simulation = Simulation(n, t, {name: random.choice(FAULTS) for name in faulty}, preference=tuple(order))
        took = simulation.run()
        assert took <= HEDGE_MS + (3 + len(faulty)) * ROUND_TRIP_MS, (seed, simulation.faults)
        departures = sum(simulation.state.departures.values())
        assert simulation.sets <= n - t + 1 + departures
        assert simulation.demoted <= set(faulty)
