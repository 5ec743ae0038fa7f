"""The signing session, one situation at a time."""

from __future__ import annotations

from dataclasses import replace

import pytest

from protocol_world import flipped
from signing_world import Signers, asked_for_commitments, the_set
from strongroom.ledger import codec
from strongroom.ledger.signed_messages import Commitments
from strongroom.protocol.release import evidence_holds
from strongroom.protocol.signed import SignedBody, sign_body
from strongroom.protocol.signing import (
    BUSY_MS,
    COMMITMENTS_LIFETIME_MS,
    HEDGE_MS,
    LEFT_TOO_OFTEN,
    MAX_DEPARTURES,
    AskShares,
    Blame,
    Command,
    CommitmentsArrived,
    DeadlinePassed,
    Demote,
    Failed,
    PlanCertified,
    RefusalArrived,
    SharesArrived,
    Signed,
    SignerGone,
    SignerReturned,
    SigningState,
    awaited,
    begin,
    step,
)


class Session:
    """Drives `step` and remembers the last commands."""

    def __init__(self, n: int, t: int, preference: tuple[str, ...] = (), *, certified: bool = True) -> None:
        self.signers = Signers.of(n, t)
        self.now = 0
        self.state: SigningState
        self.commands: tuple[Command, ...]
        self.state, self.commands = begin(
            self.signers.task,
            vote_keys=self.signers.vote_keys,
            preference=preference,
            now_ms=0,
            certified=certified,
        )

    def committed(self, *names: str) -> None:
        for name in names:
            self.commitments(name, self.signers.commit(name))

    def commitments(self, name: str, signed: SignedBody) -> None:
        self.state, self.commands = step(self.state, CommitmentsArrived(signer=name, signed=signed, now_ms=self.now))

    def shared(self, name: str, asked: AskShares, *, wrong: bool = False, more: bool = True) -> None:
        signed = self.signers.share(name, asked, wrong=wrong)
        following = self.signers.commit(name) if more else None
        self.state, self.commands = step(
            self.state, SharesArrived(signer=name, signed=signed, next_commitments=following, now_ms=self.now)
        )

    def refused(self, name: str, reason: str = "LOCAL_LIMIT") -> None:
        self.state, self.commands = step(self.state, RefusalArrived(signer=name, refusal=reason, now_ms=self.now))

    def gone(self, name: str) -> None:
        self.state, self.commands = step(self.state, SignerGone(signer=name, now_ms=self.now))

    def returned(self, name: str) -> None:
        self.state, self.commands = step(self.state, SignerReturned(signer=name, now_ms=self.now))

    def later(self, milliseconds: int = HEDGE_MS) -> None:
        self.now += milliseconds
        self.state, self.commands = step(self.state, DeadlinePassed(now_ms=self.now))

    def certified(self) -> None:
        self.state, self.commands = step(self.state, PlanCertified(now_ms=self.now))

    @property
    def demoted(self) -> tuple[str, ...]:
        return tuple(name for item in self.commands if isinstance(item, Demote) for name in item.signers)

    @property
    def is_signed(self) -> bool:
        outcome = self.state.outcome
        return isinstance(outcome, Signed) and self.signers.signature_is_valid(outcome.signatures)


def test_the_preferred_holders_sign_and_nobody_else_is_asked() -> None:
    session = Session(3, 2, preference=("s3", "s1"))
    assert asked_for_commitments(session.commands) == ("s3", "s1")
    session.committed("s3")
    assert session.commands == ()
    session.committed("s1")
    asked = the_set(session.commands)
    assert asked.signers == ("s1", "s3")
    session.shared("s3", asked)
    session.shared("s1", asked)
    assert session.is_signed


@pytest.mark.attack(
    line="holders", title="a silent or lying holder", origin="session stuck: a party that accepts and never answers"
)
def test_all_idle_holders_are_asked_when_one_is_late() -> None:
    session = Session(5, 2)
    session.committed("s1")
    session.later(HEDGE_MS - 1)
    assert session.commands == ()
    session.later(1)
    assert session.demoted == ("s2",)
    assert asked_for_commitments(session.commands) == ("s3", "s4", "s5")
    session.committed("s4")
    assert the_set(session.commands).signers == ("s1", "s4")


def test_after_the_hedge_a_set_opens_whenever_there_are_enough_commitments() -> None:
    """Two sets stand open, each with a silent member; nobody waits for either."""
    session = Session(5, 2)
    session.committed("s1", "s2")
    first = the_set(session.commands)
    session.shared("s1", first)
    session.later()
    session.committed("s3")
    second = the_set(session.commands)
    assert second.signers == ("s1", "s3")
    session.shared("s1", second)
    assert session.commands == ()
    session.committed("s4")
    third = the_set(session.commands)
    assert third.signers == ("s1", "s4")
    session.shared("s4", third)
    session.shared("s1", third)
    assert session.is_signed
    assert set(awaited(session.state)) == {"s2", "s3", "s5"}


def test_a_holder_that_is_at_work_is_waited_for_longer_but_not_for_ever() -> None:
    session = Session(3, 2)
    session.committed("s1")
    for now, demoted in ((HEDGE_MS, ()), (BUSY_MS - 1, ()), (BUSY_MS, ("s2",))):
        event = DeadlinePassed(now_ms=now, busy=frozenset(("s2", "zed")))
        session.state, session.commands = step(session.state, event)
        assert session.demoted == demoted
    assert asked_for_commitments(session.commands) == ("s3",)


def test_a_holder_at_work_is_waited_for_as_long_as_this_session_was_told() -> None:
    session = Session(3, 2)
    session.committed("s1")
    session.state = replace(session.state, busy_ms=3 * BUSY_MS)
    for now, demoted in ((2 * BUSY_MS, ()), (3 * BUSY_MS, ("s2",))):
        event = DeadlinePassed(now_ms=now, busy=frozenset(("s2",)))
        session.state, session.commands = step(session.state, event)
        assert session.demoted == demoted


def test_before_the_certificate_no_set_is_opened_and_nobody_is_late() -> None:
    session = Session(3, 2, certified=False)
    session.committed("s1")
    session.later()
    assert session.commands == ()
    session.certified()
    assert session.demoted == ("s2",)
    assert asked_for_commitments(session.commands) == ("s3",)
    other = Session(3, 2, certified=False)
    other.committed("s1", "s2")
    assert other.commands == ()
    other.later()
    other.certified()
    assert the_set(other.commands).signers == ("s1", "s2")


def test_an_absent_holder_is_not_asked_and_costs_no_hedge() -> None:
    signers = Signers.of(3, 2)
    state, commands = begin(
        signers.task, vote_keys=signers.vote_keys, preference=(), now_ms=0, absent=frozenset(("s1", "zed"))
    )
    assert asked_for_commitments(commands) == ("s2", "s3")
    assert not state.hedged
    assert state.gone == {"s1"}


def test_a_holder_that_leaves_too_often_while_it_is_waited_for_is_left_out() -> None:
    session = Session(3, 2)
    for times in range(1, MAX_DEPARTURES + 1):
        session.gone("s2")
        assert session.demoted == ("s2",)
        assert (session.state.out == {"s2": LEFT_TOO_OFTEN}) == (times == MAX_DEPARTURES)
        session.returned("s2")
    assert asked_for_commitments(session.commands) == ()
    session.committed("s1", "s3")
    assert the_set(session.commands).signers == ("s1", "s3")


def test_a_holder_that_is_silent_in_the_second_round_is_replaced_by_fresh_commitments() -> None:
    session = Session(3, 2)
    session.committed("s1", "s2")
    first = the_set(session.commands)
    session.shared("s1", first)
    session.later()
    assert asked_for_commitments(session.commands) == ("s3",)
    session.committed("s3")
    second = the_set(session.commands)
    session.shared("s3", second)
    session.shared("s1", second)
    assert session.is_signed


def test_late_shares_of_an_older_set_still_complete_it() -> None:
    session = Session(3, 2)
    session.committed("s1", "s2")
    first = the_set(session.commands)
    session.shared("s1", first)
    session.later()
    session.committed("s3")
    session.shared("s2", first)
    assert session.is_signed


def test_a_wrong_share_is_blamed_and_the_rest_go_on_at_once() -> None:
    session = Session(3, 2)
    session.committed("s1", "s2")
    first = the_set(session.commands)
    session.shared("s2", first, wrong=True)
    session.shared("s1", first)
    (blame,) = [item for item in session.commands if isinstance(item, Blame)]
    assert blame.evidence.signer == "s2"
    assert evidence_holds(blame.evidence, task=session.signers.task, vote_keys=session.signers.vote_keys)
    assert asked_for_commitments(session.commands) == ("s3",)
    session.committed("s3")
    second = the_set(session.commands)
    assert second.signers == ("s1", "s3")
    session.shared("s1", second)
    session.shared("s3", second)
    assert session.is_signed


def test_who_gave_a_wrong_share_to_a_stalled_set_is_found_before_it_is_used_again() -> None:
    session = Session(4, 3)
    session.committed("s1", "s2", "s3")
    first = the_set(session.commands)
    session.shared("s1", first)
    session.shared("s2", first, wrong=True)
    session.later()
    assert asked_for_commitments(session.commands) == ("s4",)
    session.committed("s4")
    assert [item.evidence.signer for item in session.commands if isinstance(item, Blame)] == ["s2"]
    assert not any(isinstance(item, AskShares) for item in session.commands)
    session.shared("s3", first)
    second = the_set(session.commands)
    assert second.signers == ("s1", "s3", "s4")
    for name in second.signers:
        session.shared(name, second)
    assert session.is_signed


def test_a_refusal_moves_to_another_holder_and_too_many_end_the_session() -> None:
    session = Session(3, 2)
    session.refused("s1")
    assert asked_for_commitments(session.commands) == ("s3",)
    session.refused("s3", "LOCAL_FREEZE")
    assert session.commands[-1] == Failed(reasons={"s1": "LOCAL_LIMIT", "s3": "LOCAL_FREEZE"})
    before = session.state
    session.committed("s2")
    assert session.state == before
    assert not session.commands


def test_a_refusal_of_shares_closes_the_set() -> None:
    session = Session(3, 2)
    session.committed("s1", "s2")
    first = the_set(session.commands)
    session.shared("s1", first)
    session.refused("s2")
    assert asked_for_commitments(session.commands) == ("s3",)
    session.committed("s3")
    second = the_set(session.commands)
    for name in second.signers:
        session.shared(name, second)
    assert session.is_signed


def test_a_holder_that_leaves_loses_its_commitments_and_may_return() -> None:
    session = Session(3, 2)
    session.committed("s1", "s2")
    first = the_set(session.commands)
    session.gone("s2")
    session.gone("s3")
    session.shared("s1", first)
    assert session.commands == ()
    session.returned("s2")
    assert asked_for_commitments(session.commands) == ("s2",)
    session.committed("s2")
    second = the_set(session.commands)
    for name in second.signers:
        session.shared(name, second)
    assert session.is_signed


def test_old_commitments_are_asked_for_again() -> None:
    session = Session(3, 2)
    session.committed("s1")
    session.refused("s2")
    session.later(COMMITMENTS_LIFETIME_MS)
    assert asked_for_commitments(session.commands) == ("s1",)
    session.committed("s3")
    assert session.commands == ()
    session.committed("s1")
    assert the_set(session.commands).signers == ("s1", "s3")


def test_commitments_that_were_used_put_who_sends_them_again_out() -> None:
    session = Session(2, 2)
    mine = session.signers.commit("s1")
    session.commitments("s1", mine)
    session.committed("s2")
    first = the_set(session.commands)
    signed = session.signers.share("s1", first)
    session.state, session.commands = step(
        session.state, SharesArrived(signer="s1", signed=signed, next_commitments=mine, now_ms=0)
    )
    assert "s1" not in session.state.fresh
    assert set(session.state.out) == {"s1"}


@pytest.mark.parametrize("kind", ["signature", "task", "author", "points"])
def test_malformed_commitments_put_their_sender_out(kind: str) -> None:
    session = Session(3, 2)
    good = session.signers.commit("s2")
    message = codec.decode(Commitments, good.body)
    key = session.signers.owners.vote_keys["s2"]
    bad = {
        "signature": flipped(good),
        "task": sign_body("commitments", replace(message, term=message.term + 1), key),
        "author": session.signers.commit("s3"),
        "points": sign_body("commitments", replace(message, nonces=(b"\x05" * 66,)), key),
    }[kind]
    session.committed("s1")
    session.commitments("s2", bad)
    assert set(session.state.out) == {"s2"}
    assert asked_for_commitments(session.commands) == ("s3",)


def test_malformed_shares_put_their_sender_out() -> None:
    session = Session(3, 2)
    session.committed("s1", "s2")
    first = the_set(session.commands)
    signed = session.signers.share("s2", first)
    for bad in (flipped(signed), session.signers.share("s1", first)):
        state, _ = step(session.state, SharesArrived(signer="s2", signed=bad, next_commitments=None, now_ms=0))
        assert set(state.out) == {"s2"}


def test_strangers_and_repetitions_change_nothing() -> None:
    session = Session(3, 2)
    before = session.state
    session.commitments("zed", session.signers.commit("s1"))
    session.refused("zed")
    assert session.state == before
    session.committed("s1", "s2")
    first = the_set(session.commands)
    session.shared("s1", first)
    again = session.state
    session.state, session.commands = step(
        session.state,
        SharesArrived(
            signer="s1",
            signed=again.sets[0].shares[again.sets[0].chosen.signers[0]].signed,
            next_commitments=None,
            now_ms=0,
        ),
    )
    assert (session.state, session.commands) == (again, ())


def test_a_busy_holder_gets_no_second_set_before_it_answers() -> None:
    session = Session(3, 2)
    session.committed("s1", "s2")
    session.later()
    session.committed("s1", "s2")
    assert session.commands == ()
    assert not session.state.fresh
