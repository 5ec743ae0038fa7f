"""Whatever the order of events, t honest holders sign, and nobody is asked twice for one nonce."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from signing_world import Signers
from strongroom.ledger import codec
from strongroom.ledger.signed_messages import Commitments
from strongroom.protocol.commitments import commitments_hash
from strongroom.protocol.signed import SignedBody, sign_body
from strongroom.protocol.signing import (
    COMMITMENTS_LIFETIME_MS,
    HEDGE_MS,
    MAX_DEPARTURES,
    AskCommitments,
    AskShares,
    Blame,
    Command,
    CommitmentsArrived,
    DeadlinePassed,
    Event,
    Failed,
    PlanCertified,
    RefusalArrived,
    SharesArrived,
    Signed,
    SignerGone,
    SignerReturned,
    SigningState,
    begin,
    step,
)

pytestmark = pytest.mark.slow

NONCE_AGE_MS = 30_000
"""So long a signer keeps a nonce."""
SHAPES = [(1, 1), (2, 2), (3, 2), (4, 2), (5, 3), (5, 4), (6, 4), (7, 5), (9, 5), (9, 7)]
FAULTS = ["honest", "silent", "wrong", "garbage", "refusal", "replay", "stranger", "leaves", "bare", "another plan"]


class SigningMachine(RuleBasedStateMachine):
    """The coordinator's session against t honest holders and n - t that do anything, now this and now that."""

    state: SigningState
    signers: Signers

    @initialize(
        shape=st.sampled_from(SHAPES),
        seed=st.integers(min_value=0, max_value=2**32),
        certified=st.booleans(),
        absent=st.booleans(),
    )
    def start(self, shape: tuple[int, int], seed: int, certified: bool, absent: bool) -> None:
        n, t = shape
        self.random = Random(seed)
        self.signers = Signers.of(n, t)
        names = list(self.signers.names)
        self.random.shuffle(names)
        self.honest = frozenset(names[:t])
        self.faulty = names[t:]
        self.random.shuffle(names)
        self.now = 0
        self.pending: list[tuple[str, AskShares | None]] = []
        self.sets: list[AskShares] = []
        self.nonces: dict[str, list[tuple[int, bytes]]] = {name: [] for name in names}
        self.away = set(self.faulty[:1]) if absent else set()
        self.departures = 0
        self.wrong: set[str] = set()
        self.blamed: set[str] = set()
        self.state, commands = begin(
            self.signers.task,
            vote_keys=self.signers.vote_keys,
            preference=tuple(names),
            now_ms=0,
            certified=certified,
            absent=frozenset(self.away),
        )
        self.obey(commands)

    def obey(self, commands: tuple[Command, ...]) -> None:
        for command in commands:
            match command:
                case AskCommitments():
                    owing = {name for name, _ in self.pending}
                    assert not owing & set(command.signers)
                    assert not self.away & set(command.signers)
                    self.pending += [(name, None) for name in command.signers]
                case AskShares():
                    assert self.state.certified
                    self.sets.append(command)
                    self.pending += [(name, command) for name in command.signers]
                case Blame():
                    self.blamed.add(command.evidence.signer)

    def happens(self, event: Event) -> None:
        self.state, commands = step(self.state, event)
        self.obey(commands)

    def commit(self, name: str) -> SignedBody:
        """Fresh commitments; a signer keeps no more than n - t + 1 for one plan, each for 30 s."""
        group = self.signers.task.group
        kept = [item for item in self.nonces[name] if self.now - item[0] <= NONCE_AGE_MS]
        assert name in self.faulty or len(kept) <= max(len(group.signers) - group.threshold, 1)
        made = self.signers.commit(name)
        self.nonces[name] = [*kept, (self.now, made.body)]
        return made

    def share(self, name: str, asked: AskShares, *, wrong: bool = False) -> SignedBody:
        signed = self.signers.share(name, asked, wrong=wrong)
        self.nonces[name] = [item for item in self.nonces[name] if item[1] != self.signers.shares_made[-1]]
        return signed

    # --- what holders do ---------------------------------------------------------------------------------------------

    @rule(which=st.integers(min_value=0, max_value=99), fault=st.sampled_from(FAULTS))
    @precondition(lambda self: self.pending)
    def somebody_answers(self, which: int, fault: str) -> None:
        name, asked = self.pending.pop(which % len(self.pending))
        if name in self.honest:
            fault = "honest"
        match fault:
            case "silent":
                return
            case "leaves":
                self.leaves(name, owed=True)
            case "refusal":
                self.happens(RefusalArrived(signer=name, refusal="LOCAL_LIMIT", now_ms=self.now))
            case _ if asked is None:
                self.answers_with_commitments(name, fault)
            case _:
                self.answers_with_shares(name, asked, fault)

    def answers_with_commitments(self, name: str, fault: str) -> None:
        signed = self.commit(name)
        used = [item for asked in self.sets for item in asked.commitments]
        own = [item for item in used if codec.decode(Commitments, item.body).signer == name]
        if fault == "replay" and own:
            signed = self.random.choice(own)
        elif fault == "stranger" and used:
            signed = self.random.choice(used)
        elif fault == "another plan":
            message = codec.decode(Commitments, signed.body)
            key = self.signers.owners.vote_keys[name]
            signed = sign_body("commitments", replace(message, plan_hash=bytes(32)), key)
        elif fault == "garbage":
            signed = SignedBody(body=signed.body[:-1], signature=signed.signature)
        self.happens(CommitmentsArrived(signer=name, signed=signed, now_ms=self.now))

    def answers_with_shares(self, name: str, asked: AskShares, fault: str) -> None:
        if fault == "garbage":
            signed = following = self.commit(name)
        else:
            if fault == "wrong":
                self.wrong.add(name)
            signed = self.share(name, asked, wrong=fault == "wrong")
            following = self.commit(name)
        more = {"bare": None, "replay": asked.commitments[0]}.get(fault, following)
        self.happens(SharesArrived(signer=name, signed=signed, next_commitments=more, now_ms=self.now))

    @rule(which=st.integers(min_value=0, max_value=99))
    @precondition(lambda self: set(self.faulty) - self.away)
    def somebody_leaves(self, which: int) -> None:
        here = [name for name in self.faulty if name not in self.away]
        name = here[which % len(here)]
        self.leaves(name, owed=any(owing == name for owing, _ in self.pending))

    def leaves(self, name: str, *, owed: bool) -> None:
        self.away.add(name)
        self.departures += owed
        self.pending = [item for item in self.pending if item[0] != name]
        self.nonces[name] = []
        self.happens(SignerGone(signer=name, now_ms=self.now))

    @rule(which=st.integers(min_value=0, max_value=99))
    @precondition(lambda self: self.away)
    def somebody_returns(self, which: int) -> None:
        name = sorted(self.away)[which % len(self.away)]
        self.away.remove(name)
        self.happens(SignerReturned(signer=name, now_ms=self.now))

    @rule(which=st.integers(min_value=0, max_value=99))
    @precondition(lambda self: set(self.faulty) - self.away)
    def somebody_commits_unasked(self, which: int) -> None:
        here = [name for name in self.faulty if name not in self.away]
        name = here[which % len(here)]
        signed = self.commit(name)
        # If it was asked, this is its answer.
        self.pending = [item for item in self.pending if item != (name, None)]
        self.happens(CommitmentsArrived(signer=name, signed=signed, now_ms=self.now))

    # --- what else happens -------------------------------------------------------------------------------------------

    @rule()
    def the_plan_is_certified(self) -> None:
        self.happens(PlanCertified(now_ms=self.now))

    @rule(wait=st.sampled_from([1, HEDGE_MS, COMMITMENTS_LIFETIME_MS]), all_busy=st.booleans())
    def time_passes(self, wait: int, all_busy: bool) -> None:
        self.now += wait
        busy = frozenset(self.signers.names) if all_busy else frozenset()
        self.happens(DeadlinePassed(now_ms=self.now, busy=busy))

    # --- what always holds -------------------------------------------------------------------------------------------

    @invariant()
    def no_commitments_are_in_two_sets(self) -> None:
        used = [commitments_hash([item]) for asked in getattr(self, "sets", []) for item in asked.commitments]
        assert len(used) == len(set(used))

    @invariant()
    def sets_are_few_and_exact(self) -> None:
        if not hasattr(self, "sets"):
            return
        group = self.signers.task.group
        most = len(group.signers) - group.threshold + 1
        assert len(self.sets) <= most + self.departures
        assert len(self.sets) <= most + MAX_DEPARTURES * len(self.faulty)
        assert all(len(asked.signers) == group.threshold for asked in self.sets)

    @invariant()
    def a_holder_owes_one_answer_at_most(self) -> None:
        owing = [name for name, _ in getattr(self, "pending", [])]
        assert len(owing) == len(set(owing))

    @invariant()
    def no_honest_holder_is_blamed_or_left_out(self) -> None:
        if hasattr(self, "state"):
            assert self.blamed <= self.wrong
            assert not self.honest & set(self.state.out)

    def teardown(self) -> None:
        """From any state on, the honest ones answer, the hedge passes once, and there is a valid signature."""
        if not hasattr(self, "state"):
            return
        self.happens(PlanCertified(now_ms=self.now))
        self.deliver_honest()
        self.now += HEDGE_MS
        self.happens(DeadlinePassed(now_ms=self.now))
        self.deliver_honest()
        assert isinstance(self.state.outcome, Signed)
        assert self.signers.signature_is_valid(self.state.outcome.signatures)
        assert len(self.signers.shares_made) == len(set(self.signers.shares_made))
        self.no_commitments_are_in_two_sets()
        self.sets_are_few_and_exact()
        self.no_honest_holder_is_blamed_or_left_out()

    def deliver_honest(self) -> None:
        while self.state.outcome is None:
            index = next((at for at, (name, _) in enumerate(self.pending) if name in self.honest), None)
            if index is None:
                return
            self.somebody_answers(index, "honest")
            self.a_holder_owes_one_answer_at_most()


SigningMachine.TestCase.settings = settings(
    max_examples=60,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestSigningMachine = SigningMachine.TestCase


def test_a_session_that_fails_says_why() -> None:
    """Below t willing holders nothing can be signed, and the session ends instead of asking for ever."""
    signers = Signers.of(5, 3)
    state, _ = begin(signers.task, vote_keys=signers.vote_keys, preference=(), now_ms=0)
    for name in ("s1", "s2", "s3"):
        state, _ = step(state, RefusalArrived(signer=name, refusal="LOCAL_FREEZE", now_ms=0))
    assert state.outcome == Failed(reasons=dict.fromkeys(("s1", "s2", "s3"), "LOCAL_FREEZE"))
