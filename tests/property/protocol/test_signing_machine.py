"""Whatever the order of events, t honest holders sign, and nobody is asked twice for one nonce."""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from signing_world import Signers
from strongroom.protocol.commitments import commitments_hash
from strongroom.protocol.signing import (
    COMMITMENTS_LIFETIME_MS,
    PATIENCE_MS,
    AskCommitments,
    AskShares,
    Blame,
    Command,
    CommitmentsArrived,
    DeadlinePassed,
    Event,
    Failed,
    RefusalArrived,
    SharesArrived,
    Signed,
    SigningState,
    begin,
    step,
)

SILENT, WRONG, REFUSING, GARBAGE = "silent", "wrong", "refusing", "garbage"


class SigningMachine(RuleBasedStateMachine):
    """The coordinator's session against holders of which n - t at most are silent, wrong, refusing or garbled."""

    state: SigningState
    signers: Signers

    @initialize(
        shape=st.sampled_from([(2, 2), (3, 2), (4, 2), (4, 3), (5, 3)]),
        faults=st.lists(st.sampled_from([SILENT, WRONG, REFUSING, GARBAGE]), max_size=3),
        order=st.randoms(use_true_random=False),
    )
    def start(self, shape: tuple[int, int], faults: list[str], order: object) -> None:
        n, t = shape
        self.signers = Signers.of(n, t)
        names = list(self.signers.names)
        order.shuffle(names)  # type: ignore[attr-defined]
        self.faults = dict(zip(names, faults[: n - t], strict=False))
        order.shuffle(names)  # type: ignore[attr-defined]
        self.now = 0
        self.pending: list[tuple[str, AskShares | None]] = []
        self.sets: list[AskShares] = []
        self.blamed: set[str] = set()
        self.state, commands = begin(
            self.signers.task, vote_keys=self.signers.vote_keys, preference=tuple(names), now_ms=0
        )
        self.obey(commands)

    def obey(self, commands: tuple[Command, ...]) -> None:
        for command in commands:
            match command:
                case AskCommitments():
                    self.pending += [(name, None) for name in command.signers]
                case AskShares():
                    self.sets.append(command)
                    self.pending += [(name, command) for name in command.signers]
                case Blame():
                    self.blamed.add(command.evidence.signer)
                case Signed() | Failed():
                    pass

    def happens(self, event: Event) -> None:
        self.state, commands = step(self.state, event)
        self.obey(commands)

    @rule(which=st.integers(min_value=0, max_value=99))
    @precondition(lambda self: self.pending)
    def somebody_answers(self, which: int) -> None:
        name, asked = self.pending.pop(which % len(self.pending))
        fault = self.faults.get(name)
        if fault == SILENT and (asked or which % 2):
            return
        if fault == REFUSING and (asked or which % 2):
            self.happens(RefusalArrived(signer=name, refusal="LOCAL_LIMIT", now_ms=self.now))
            return
        following = self.signers.commit(name)
        if asked is None:
            self.happens(CommitmentsArrived(signer=name, signed=following, now_ms=self.now))
            return
        if fault == GARBAGE:
            self.happens(SharesArrived(signer=name, signed=following, next_commitments=following, now_ms=self.now))
            return
        shares = self.signers.share(name, asked, wrong=fault == WRONG)
        more = following if which % 3 else None
        self.happens(SharesArrived(signer=name, signed=shares, next_commitments=more, now_ms=self.now))

    @rule(wait=st.sampled_from([1, PATIENCE_MS, COMMITMENTS_LIFETIME_MS]))
    def time_passes(self, wait: int) -> None:
        self.now += wait
        self.happens(DeadlinePassed(now_ms=self.now))

    @invariant()
    def no_commitments_are_in_two_sets(self) -> None:
        used = [commitments_hash([item]) for asked in getattr(self, "sets", []) for item in asked.commitments]
        assert len(used) == len(set(used))

    @invariant()
    def sets_are_few_and_exact(self) -> None:
        if not hasattr(self, "sets"):
            return
        group = self.signers.task.group
        assert len(self.sets) <= len(group.signers) - group.threshold + 1
        assert all(len(asked.signers) == group.threshold for asked in self.sets)

    @invariant()
    def only_who_is_wrong_is_blamed(self) -> None:
        assert all(self.faults[name] == WRONG for name in getattr(self, "blamed", ()))

    def teardown(self) -> None:
        """From any state on, the honest ones answer, time passes, and the session ends with a valid signature."""
        if not hasattr(self, "state"):
            return
        for _ in range(60):
            if self.state.outcome is not None:
                break
            while self.pending and self.state.outcome is None:
                self.somebody_answers(1)
                self.no_commitments_are_in_two_sets()
            self.now += PATIENCE_MS
            self.happens(DeadlinePassed(now_ms=self.now))
        assert isinstance(self.state.outcome, Signed)
        assert self.signers.signature_is_valid(self.state.outcome.signatures)
        self.sets_are_few_and_exact()
        self.only_who_is_wrong_is_blamed()


SigningMachine.TestCase.settings = settings(
    max_examples=60, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestSigningMachine = SigningMachine.TestCase
