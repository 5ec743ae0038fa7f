"""A hostile coordinator that asks three real signers for commitments and shares in whatever order it likes.

It opens terms and lets certificates get lost, puts sets together from open, used, foreign and altered commitments,
sends the same batch again, and holds the vote key of a partner. Clocks jump, operators freeze and thaw, processes stop,
and die at each moment of a release.
"""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from release_world import MOMENTS, NAMES, Broken, ReleaseWorld
from signer_world import VAULT
from strongroom.api.signer.v1 import signer_link_service_pb2 as pb
from strongroom.protocol.release import aggregate
from strongroom_signer.daemon import confirm_alarm
from strongroom_signer.frames import signed_to_pb

__all__ = ["ReleaseMachine"]

MOST_PLANS = 5
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None
"""What a killed process leaves is copied while the files are open, so that nothing here needs a disk."""
JUMPS = [(30_001, 30_001), (30_001, 30_001), (30_000, 30_000), (-1, 0), (-20_000, -1), (20_000, 1), (0, 10_000)]
"""By how much the wall clock and the monotonic clock move; 30 s and more between them stop a signer."""

who = st.sampled_from(NAMES)
which = st.integers(min_value=0, max_value=99)
own_kinds = st.sampled_from(["open", "open", "used", "another plan", "another plan", "an earlier life", "altered"])
their_kinds = st.sampled_from(["open", "open", "used", "another plan", "altered", "the other's points"])
shapes = st.sampled_from(["in order", "in order", "in order", "in order", "reversed", "alone", "three", "own twice"])
proofs = st.sampled_from(["newest", "newest", "newest", "none", "none", "oldest", "too few votes"])
kinds = st.tuples(own_kinds, their_kinds, shapes)
betweens = st.sampled_from(
    [
        "nothing",
        "nothing",
        "nothing",
        "time passes",
        "the clock goes back",
        "a freeze",
        "a freeze",
        "the link ends",
        "a restart",
        "a term begins",
        "a plan is logged",
    ]
)
moments = st.sampled_from(["never", "never", "never", *MOMENTS])


def when(holds: Callable[[ReleaseWorld], Any]) -> Callable[[Any], Any]:
    """A rule for worlds in which this holds."""
    return precondition(lambda machine: holds(machine.world))


class ReleaseMachine(RuleBasedStateMachine):
    """Everything a coordinator can do to get one share too many."""

    seen: ClassVar[Counter[str]] = Counter()
    """How often shares were given, and every reason why not, over all runs: only to be refused shows nothing."""

    world: ReleaseWorld | None = None

    @initialize()
    def starts(self) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="strongroom-release-", dir=MEMORY))
        self.world = ReleaseWorld(self.root, self.seen)
        self.requests: list[tuple[str, pb.Release]] = []
        self.world.log_plan(40_000)
        self.world.certify()
        self.world.log_plan(50_000)

    # --- the log ------------------------------------------------------------------------------------------------------

    @rule(amount=st.integers(20_000, 90_000), coins=st.integers(1, 2), asks=st.booleans(), votes=which)
    @when(lambda world: world.is_open and len(world.plans) < MOST_PLANS)
    def a_plan_is_logged(self, amount: int, coins: int, asks: bool, votes: int) -> None:
        """All vote; whether there is a certificate is the coordinator's to say."""
        if self.world.is_open and self.world.can_vote():
            self.world.log_plan(amount, coins, asks=asks)
            if votes % 2:
                self.world.certify(votes)

    @rule(votes=which)
    @when(lambda world: world.is_open and world.cluster.votes)
    def the_newest_batch_is_certified(self, votes: int) -> None:
        self.world.certify(votes)

    @rule(name=who, proof=proofs)
    def a_certificate_is_shown(self, name: str, proof: str) -> None:
        if certificate := self.world.proof(proof):
            self.world.ask(name, pb.Certify(certificate=certificate))

    @rule(names=st.permutations(NAMES), shown=st.booleans(), ticks=st.booleans())
    def a_term_begins(self, names: list[str], shown: bool, ticks: bool) -> None:
        for name in names if shown else ():
            self.a_certificate_is_shown(name, "newest")
        self.world.begin_term(names)
        if ticks and self.world.can_vote():
            self.world.tick()

    @rule(name=who)
    @when(lambda world: world.is_open)
    def one_promises_a_term_that_nobody_opens(self, name: str) -> None:
        cluster = self.world.cluster
        cluster.term += 1
        self.world.ask(name, pb.Promise(term=cluster.term, leader=cluster.leader))
        self.world.enters(name, cluster.term)
        self.world.is_open = False

    # --- signing ------------------------------------------------------------------------------------------------------

    @rule(name=who, at=which, times=st.integers(1, 4), of_last_term=st.booleans())
    @when(lambda world: world.plans)
    def commitments_are_asked_for(self, name: str, at: int, times: int, of_last_term: bool) -> None:
        for _ in range(times):
            self.world.commit(name, self.plan(at), self.world.terms[name] - of_last_term)

    @rule(
        asked=st.lists(st.tuples(st.permutations(NAMES), which, betweens, proofs, moments), min_size=1, max_size=4),
        ticks=st.sampled_from([True, True, False]),
        again=st.booleans(),
    )
    @when(lambda world: world.plans)
    def shares_are_asked_for(self, asked: list[tuple[list[str], int, str, str, str]], ticks: bool, again: bool) -> None:
        """Each with open commitments of two signers, something that happens between the rounds, and perhaps twice."""
        if ticks and self.world.is_open and self.world.can_vote():
            self.world.tick()
        for names, at, between, proof, dies in asked:
            if not self.world.plans:
                return
            chosen = self.world.signing_set(names[0], names[1], self.plan(at), -1, "open", "open", "in order")
            self.happens(between, names[0])
            self.release(names[0], proof, [chosen], dies)
            if again:
                self.an_old_request_is_sent_again(-1, names[0])

    def happens(self, between: str, name: str) -> None:
        match between:
            case "time passes":
                self.clocks_move((30_001, 30_001))
            case "the clock goes back":
                self.clocks_move((-1, 0))
            case "a freeze":
                self.an_operator_freezes(name, "")
            case "the link ends":
                self.a_link_ends(name)
            case "a restart":
                self.a_process_stops_and_starts(name)
            case "a term begins":
                self.a_term_begins(list(NAMES), shown=True, ticks=True)
            case "a plan is logged":
                self.a_plan_is_logged(30_000, 1, asks=False, votes=0)

    @rule(asked=st.lists(st.tuples(st.permutations(NAMES), which, which, kinds), min_size=1, max_size=4), dies=moments)
    @when(lambda world: world.plans)
    def sets_are_mixed(self, asked: list[tuple[list[str], int, int, tuple[str, str, str]]], dies: str) -> None:
        for names, at, pick, what in asked:
            chosen = self.world.signing_set(names[0], names[1], self.plan(at), pick, *what)
            self.release(names[0], "newest", [chosen], dies)

    @rule(names=st.permutations(NAMES), at=st.tuples(which, which), is_same=st.booleans(), proof=proofs, dies=moments)
    @when(lambda world: len(world.plans) > 1)
    def shares_for_two_plans_are_asked_for(
        self, names: list[str], at: tuple[int, int], is_same: bool, proof: str, dies: str
    ) -> None:
        """Each with commitments of its own, or both with the same ones."""
        first, second = map(self.plan, at)
        if first == second:
            return
        sets = [self.world.signing_set(*names[:2], index, -1, "open", "open", "in order") for index in (first, second)]
        if is_same:
            sets[1] = pb.SigningSet(entry_index=second, commitments=sets[0].commitments)
        self.release(names[0], proof, sets, dies)

    def release(self, name: str, proof: str, sets: list[pb.SigningSet], dies: str) -> None:
        request = pb.Release(certificate=self.world.proof(proof), sets=sets)
        self.requests.append((name, request))
        if dies == "never":
            self.world.release(name, request)
        else:
            self.world.release_and_die(name, request, dies)

    @rule(at=which, name=st.none() | who)
    @precondition(lambda self: getattr(self, "requests", None))
    def an_old_request_is_sent_again(self, at: int, name: str | None) -> None:
        """To whom it was for, or to another."""
        first, request = self.requests[at % len(self.requests)]
        self.world.release(name or first, request)

    def plan(self, at: int) -> int:
        return self.world.plans[at % len(self.world.plans)]

    # --- what else happens --------------------------------------------------------------------------------------------

    @rule(name=who)
    def a_process_stops_and_starts(self, name: str) -> None:
        self.world.cluster.restart(name)
        self.world.lives[name] += 1

    @rule(name=who)
    def a_process_is_killed(self, name: str) -> None:
        self.world.kill(name)

    @rule(name=who)
    def a_link_ends(self, name: str) -> None:
        self.world.cluster.signers[name].service.link_ended()
        self.world.lives[name] += 1

    @rule(jump=st.sampled_from(JUMPS))
    def clocks_move(self, jump: tuple[int, int]) -> None:
        wall, monotonic = jump
        self.world.clock.wall += wall
        self.world.clock.monotonic += monotonic

    @rule(name=who)
    @when(lambda world: any(signer.alarm()[0] for signer in world.cluster.signers.values()))
    def an_operator_confirms_the_clock(self, name: str) -> None:
        if confirm_alarm(self.world.cluster.signers[name].store, "CLOCK_DRIFT"):
            self.a_process_stops_and_starts(name)

    @rule(name=who, vault=st.sampled_from(["", VAULT]))
    @when(lambda world: not any(world.frozen.values()))
    def an_operator_freezes(self, name: str, vault: str) -> None:
        inbox = self.world.cluster.signers[name].inbox
        if self.world.frozen[name]:
            return
        self.world.frozen[name][inbox.freeze(vault, "looks wrong")] = self.world.clock.wall

    @rule(name=who)
    @when(lambda world: any(world.frozen.values()))
    def an_operator_thaws(self, name: str) -> None:
        while self.world.frozen[name]:
            freeze, _ = self.world.frozen[name].popitem()
            self.world.cluster.signers[name].inbox.thaw(freeze)

    @rule()
    @when(lambda world: not world.went_on)
    def an_honest_coordinator_goes_on(self) -> None:
        """From any state on, the next plan is signed."""
        world = self.world
        for name in NAMES:
            self.an_operator_thaws(name)
        world.clock.advance(max(world.log.time_ms - world.clock.wall, 0))
        for name in NAMES:
            world.cluster.signers[name].voting.watch_clocks()
            self.an_operator_confirms_the_clock(name)
        self.a_term_begins(list(NAMES), shown=True, ticks=True)
        if not world.can_vote():
            raise Broken("the signers do not go on")
        world.went_on = True
        index = world.log_plan(30_000)
        world.certify()
        for name in NAMES[1:]:
            world.commit(name, index)
        asked = pb.SigningSet(entry_index=index, commitments=[signed_to_pb(item.sent) for item in world.made[-2:]])
        request = pb.Release(certificate=world.proof("newest"), sets=[asked])
        given = [item for name in NAMES[1:] for item in world.release(name, request)]
        aggregate(given[0][0], {shares.signer: shares for _, shares in given})

    # --- what always holds --------------------------------------------------------------------------------------------

    @invariant()
    def nobody_holds_what_it_must_not(self) -> None:
        if self.world is not None:
            self.world.look()

    def teardown(self) -> None:
        if self.world is not None:
            self.world.cluster.close()
            shutil.rmtree(self.root)
