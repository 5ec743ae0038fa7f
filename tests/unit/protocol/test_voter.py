"""What a signer says, and what it refuses to say, about the log."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

import protocol_world as world
from electorate_of import always, electorate
from strongroom.ledger import codec
from strongroom.ledger.certificate_messages import Certificate, CertificateVote, Head
from strongroom.ledger.signed_messages import Signed
from strongroom.model.ids import LogId
from strongroom.protocol import voter
from strongroom.protocol.certificates import BadCertificate, Held, VerifiedVote, held_of, verify_vote
from strongroom.protocol.signed import SignedBody
from strongroom.protocol.terms import MAX_TERM_STEP, BadStatements, highest_held, sign_new_term, verify_new_term
from strongroom.protocol.voter_state import (
    Adopted,
    Alarm,
    Alarmed,
    BaseNotAdopted,
    BaseNotStored,
    Behind,
    HeadNotOwn,
    Keep,
    Known,
    Missing,
    NotAnExtension,
    Opened,
    OpenedTerm,
    SecondBase,
    SizeNotRising,
    StaleTerm,
    Taken,
    TermNotOpen,
    TermPromised,
    TermTooFar,
    VoteAlreadyCast,
    VoterState,
    VoterStopped,
    initial_state,
    stored_state,
)

OTHER_LEADER = b"leader-process-2"
VOTERS = always(world.VOTE_KEYS, 2)
S1 = world.KEYS["s1"]


def statement(signer: str, term: int, held: Certificate | None = None, leader: bytes = world.LEADER) -> SignedBody:
    return sign_new_term(
        world.KEYS[signer],
        log_id=world.LOG_ID,
        signer=signer,
        term=term,
        leader=leader,
        boot_id=world.BOOT,
        held=held_of(held),
    )


def promise(state: VoterState, term: int, leader: bytes = world.LEADER) -> tuple[VoterState, SignedBody]:
    return voter.promise(state, S1, term=term, leader=leader, boot_id=world.BOOT)


def open_term(
    state: VoterState,
    term: int,
    statements: Sequence[SignedBody],
    base: Certificate | None,
    leader: bytes = world.LEADER,
) -> tuple[VoterState, Opened | Alarmed]:
    return voter.open_term(
        state,
        term=term,
        leader=leader,
        statements=statements,
        base_certificate=base,
        electorates=VOTERS,
    )


def take(state: VoterState, certificate: Certificate, log: world.ToyLog) -> tuple[VoterState, object]:
    return voter.take_certificate(state, certificate, log, electorates=VOTERS)


def joined(term: int, base: Certificate | None, log: world.ToyLog) -> VoterState:
    """A signer that joined a term as a latecomer and adopted its base."""
    opened, _ = open_term(
        initial_state(world.LOG_ID, "s1", world.VOTE_KEYS["s1"]),
        term,
        [statement("s2", term, base), statement("s3", term, base)],
        base,
    )
    adopted, outcome = voter.adopt(opened, log, electorates=VOTERS)
    assert isinstance(outcome, Adopted)
    return adopted


class ForgetfulLog(world.ToyLog):
    """A log that has all its entries, but neither roots nor batch ends below its last one."""

    def root_at(self, size: int) -> bytes | None:
        return super().root_at(size) if size == self.size else None


class OneBatchLog(world.ToyLog):
    """A log that was sent all its entries in one batch: it has a state at its end only."""

    def digest_at(self, size: int) -> bytes | None:
        return super().digest_at(size) if size == self.size else None


FRESH = initial_state(world.LOG_ID, "s1", world.VOTE_KEYS["s1"])
EMPTY = world.ToyLog()


def test_the_state_survives_encoding() -> None:
    state, _ = promise(joined(1, None, EMPTY), 2)
    assert codec.decode(VoterState, codec.encode(state)) == state
    stopped, _ = voter.raise_alarm(state, Alarm.OWN_VOTE_UNKNOWN, "seen in a certificate")
    assert codec.decode(VoterState, codec.encode(stopped)) == stopped


def test_a_promise_moves_the_term_and_names_what_is_held() -> None:
    base = world.certificate(world.head_at([b"a"], term=1), ["s2", "s3"])
    state, signed = promise(joined(2, base, world.ToyLog((b"a",))), 7)
    seen = verify_new_term(
        signed, log_id=world.LOG_ID, term=7, leader=world.LEADER, electorates=always(world.VOTE_KEYS)
    )
    assert (state.term, state.adopted, seen.held) == (7, False, held_of(base))


def test_one_statement_a_term_and_the_same_bytes_when_asked_again() -> None:
    state, signed = promise(FRESH, 3)
    assert promise(state, 3) == (state, signed)
    with pytest.raises(TermPromised):
        promise(state, 3, leader=OTHER_LEADER)
    with pytest.raises(StaleTerm):
        promise(state, 2)


def test_a_promise_goes_no_further_than_the_step_allows() -> None:
    state, _ = promise(FRESH, MAX_TERM_STEP)
    assert state.term == MAX_TERM_STEP
    with pytest.raises(TermTooFar):
        promise(FRESH, MAX_TERM_STEP + 1)


def test_a_promise_is_refused_for_a_term_joined_without_one() -> None:
    state = joined(4, None, EMPTY)
    with pytest.raises(TermPromised):
        promise(state, 4)


def test_a_term_opens_with_the_highest_certificate_by_term_and_then_size() -> None:
    low = world.certificate(world.head_at([b"a", b"b", b"c"], term=1), ["s1", "s2"])
    high = world.certificate(world.head_at([b"a", b"b"], term=2), ["s2", "s3"])
    both = [statement("s2", 3, low), statement("s3", 3, high)]
    _, outcome = open_term(FRESH, 3, both, high)
    assert outcome == Opened(base=high.head)
    with pytest.raises(BadStatements):
        open_term(FRESH, 3, both, low)
    with pytest.raises(BadStatements):
        open_term(FRESH, 3, both, None)


def test_a_term_needs_a_quorum_of_different_signers_for_exactly_this_term_and_leader() -> None:
    good = [statement("s2", 3), statement("s3", 3)]
    for bad in (
        good[:1],
        [good[0], good[0]],
        [*good, statement("s4", 3)],
        [good[0], statement("s3", 4)],
        [good[0], statement("s3", 3, leader=OTHER_LEADER)],
    ):
        with pytest.raises(BadStatements):
            open_term(FRESH, 3, bad, None)
    with pytest.raises(BadStatements):
        open_term(FRESH, 3, good, None, leader=OTHER_LEADER)


def test_a_base_certificate_is_verified() -> None:
    base = world.certificate(world.head_at([b"a"], term=1), ["s2", "s3"])
    forged = replace(base, votes=(replace(base.votes[0], signature=bytes(64)), base.votes[1]))
    with pytest.raises(BadCertificate):
        open_term(FRESH, 3, [statement("s2", 3, base), statement("s3", 3)], forged)


def test_one_base_a_term_and_the_same_statements_again_change_nothing() -> None:
    first = [statement("s2", 3), statement("s3", 3)]
    state, _ = open_term(FRESH, 3, first, None)
    state, _ = voter.adopt(state, EMPTY, electorates=VOTERS)
    assert open_term(state, 3, list(reversed(first)), None) == (state, Opened(base=None))
    with pytest.raises(SecondBase):
        open_term(state, 3, [statement("s2", 3), statement("s4", 3)], None)


def test_a_term_is_not_opened_by_one_statement_too_many_though_it_repeats_a_signer() -> None:
    first, second = statement("s2", 3), statement("s3", 3)
    with pytest.raises(BadStatements, match="same signer"):
        open_term(FRESH, 3, [first, second, second], None)


def test_a_statement_by_no_signer_of_the_charter_opens_nothing() -> None:
    stranger = sign_new_term(
        S1, log_id=world.LOG_ID, signer="zed", term=3, leader=world.LEADER, boot_id=world.BOOT, held=held_of(None)
    )
    with pytest.raises(BadStatements, match="no signer of this charter"):
        open_term(FRESH, 3, [statement("s2", 3), stranger], None)


@pytest.mark.parametrize(
    "held",
    [
        Held(term=1, size=0, head_hash=b"h" * 32),
        Held(term=1, size=1, head_hash=b""),
        Held(term=0, size=1, head_hash=b""),
        Held(term=0, size=0, head_hash=b"h" * 32),
        Held(term=3, size=1, head_hash=b"h" * 32),
        Held(term=4, size=1, head_hash=b"h" * 32),
    ],
    ids=["no size", "no head", "size without term", "head without term", "of the new term", "of a later term"],
)
def test_a_statement_that_names_an_impossible_certificate_is_refused(held: Held) -> None:
    signed = sign_new_term(
        world.KEYS["s2"],
        log_id=world.LOG_ID,
        signer="s2",
        term=3,
        leader=world.LEADER,
        boot_id=world.BOOT,
        held=held,
    )
    with pytest.raises(BadStatements, match="impossible certificate"):
        verify_new_term(signed, log_id=world.LOG_ID, term=3, leader=world.LEADER, electorates=always(world.VOTE_KEYS))


def test_no_statements_make_no_base() -> None:
    with pytest.raises(BadStatements):
        highest_held([])


def test_an_opening_below_the_own_term_is_refused() -> None:
    state, _ = promise(FRESH, 5)
    with pytest.raises(StaleTerm):
        open_term(state, 4, [statement("s2", 4), statement("s3", 4)], None)


def test_a_base_is_adopted_only_when_it_is_stored() -> None:
    base = world.certificate(world.head_at([b"a", b"b"], term=1), ["s2", "s3"])
    state, _ = open_term(FRESH, 2, [statement("s2", 2, base), statement("s3", 2)], base)
    assert voter.missing(state, base.head, EMPTY) == Missing(keep=0, end=2)
    for log in (EMPTY, world.ToyLog((b"a",)), world.ToyLog((b"a", b"x"))):
        with pytest.raises(BaseNotStored):
            voter.adopt(state, log, electorates=VOTERS)
    with pytest.raises(BaseNotAdopted):
        voter.vote(state, S1, world.head_at([b"a", b"b", b"c"], term=2), world.ToyLog((b"a", b"b", b"c")))
    adopted, outcome = voter.adopt(state, world.ToyLog((b"a", b"b", b"old")), electorates=VOTERS)
    assert (adopted.held, outcome) == (base, Adopted(truncate_to=2))


def test_nothing_is_missing_below_a_head_that_the_log_holds() -> None:
    log = world.ToyLog((b"a", b"b"))
    for keep in Keep:
        assert voter.missing(FRESH, world.head_at([b"a"], term=1), log, keep=keep) is None


def test_a_base_is_not_adopted_while_no_own_batch_ends_there() -> None:
    base = world.certificate(world.head_at([b"a"], term=1), ["s2", "s3"])
    state, _ = open_term(FRESH, 2, [statement("s2", 2, base), statement("s3", 2)], base)
    with pytest.raises(BaseNotStored):
        voter.adopt(state, OneBatchLog((b"a", b"b")), electorates=VOTERS)


def test_nothing_is_adopted_before_a_base_was_accepted() -> None:
    promised, _ = promise(FRESH, 3)
    for state in (FRESH, promised):
        with pytest.raises(TermNotOpen):
            voter.adopt(state, EMPTY, electorates=VOTERS)


def test_a_base_adopted_again_drops_nothing_that_was_stored_since() -> None:
    base = world.certificate(world.head_at([b"a"], term=1), ["s2", "s3"])
    state = joined(2, base, world.ToyLog((b"a",)))
    log = world.ToyLog((b"a", b"b"))
    state, _ = voter.vote(state, S1, world.head_at(log.batches, term=2), log)
    assert voter.adopt(state, log, electorates=VOTERS) == (state, Adopted(truncate_to=None))


def test_what_a_lower_base_leaves_out_is_no_longer_held() -> None:
    low = world.certificate(world.head_at([b"a"], term=1), ["s2", "s3"])
    high = world.certificate(world.head_at([b"a", b"b"], term=1), ["s2", "s3"])
    log = world.ToyLog((b"a", b"b"))
    state, _ = take(joined(1, None, EMPTY), high, log)
    state, _ = open_term(state, 2, [statement("s2", 2, low), statement("s3", 2, low)], low)
    assert state.held == high
    state, outcome = voter.adopt(state, log, electorates=VOTERS)
    assert (state.held, outcome) == (low, Adopted(truncate_to=1))


def test_fetching_tries_the_whole_log_then_the_certificate_held_then_only_what_is_final() -> None:
    first = world.certificate(world.head_at([b"a", b"b"], term=1), ["s2", "s3"])
    log = world.ToyLog((b"a", b"b", b"c"), final_size=1)
    state, _ = take(joined(1, None, EMPTY), first, log)
    target = world.head_at([b"a", b"b", b"x", b"y"], term=1)
    assert voter.missing(state, target, log) == Missing(keep=3, end=4)
    assert voter.missing(state, target, log, keep=Keep.HELD) == Missing(keep=2, end=4)
    assert voter.missing(state, target, log, keep=Keep.FINAL) == Missing(keep=1, end=4)
    assert voter.missing(state, world.head_at([b"a", b"b", b"x"], term=1), log) == Missing(keep=2, end=3)
    assert voter.missing(state, world.head_at([b"a", b"b"], term=1), log) is None


def test_a_vote_is_repeated_byte_for_byte_and_never_given_twice() -> None:
    state = joined(2, None, EMPTY)
    log = world.ToyLog((b"a",))
    state, signed = voter.vote(state, S1, world.head_at([b"a"], term=2), log)
    assert voter.vote(state, S1, world.head_at([b"a"], term=2), log) == (state, signed)
    with pytest.raises(VoteAlreadyCast):
        voter.vote(state, S1, world.head_at([b"x"], term=2), world.ToyLog((b"x",)))


def test_votes_rise_and_extend_base_and_last_vote() -> None:
    base = world.certificate(world.head_at([b"a"], term=1), ["s2", "s3"])
    state = joined(2, base, world.ToyLog((b"a",)))
    with pytest.raises(SizeNotRising):
        voter.vote(state, S1, world.head_at([b"a"], term=2), world.ToyLog((b"a",)))
    with pytest.raises(NotAnExtension):
        voter.vote(state, S1, world.head_at([b"x", b"y"], term=2), world.ToyLog((b"x", b"y")))
    log = world.ToyLog((b"a", b"b", b"c"))
    state, _ = voter.vote(state, S1, world.head_at(log.batches, term=2), log)
    with pytest.raises(SizeNotRising):
        voter.vote(state, S1, world.head_at([b"a", b"b"], term=2), world.ToyLog((b"a", b"b")))
    forked = world.ToyLog((b"a", b"b", b"x", b"d"))
    with pytest.raises(NotAnExtension):
        voter.vote(state, S1, world.head_at(forked.batches, term=2), forked)


def test_a_vote_is_only_for_the_own_head_in_the_own_term() -> None:
    log = world.ToyLog((b"a",))
    state = joined(2, None, EMPTY)
    head = world.head_at([b"a"], term=2)
    for other in (
        replace(head, root=bytes(32)),
        replace(head, state_digest=bytes(32)),
        replace(head, log_id=bytes(32)),
    ):
        with pytest.raises(HeadNotOwn):
            voter.vote(state, S1, other, log)
    with pytest.raises(HeadNotOwn):
        voter.vote(state, S1, head, world.ToyLog((b"a", b"b")))
    with pytest.raises(StaleTerm):
        voter.vote(state, S1, replace(head, term=1), log)
    with pytest.raises(TermNotOpen):
        voter.vote(state, S1, replace(head, term=3), log)
    promised, _ = promise(state, 3)
    with pytest.raises(StaleTerm):
        voter.vote(promised, S1, head, log)
    with pytest.raises(TermNotOpen):
        voter.vote(promised, S1, replace(head, term=3), log)


def test_a_vote_of_an_earlier_term_binds_nobody_to_its_batch() -> None:
    lost = world.ToyLog((b"x", b"y"))
    state, _ = voter.vote(joined(2, None, EMPTY), S1, world.head_at(lost.batches, term=2), lost)
    state, _ = open_term(state, 3, [statement("s2", 3), statement("s3", 3)], None)
    state, _ = voter.adopt(state, lost, electorates=VOTERS)
    log = world.ToyLog((b"a",))
    _, signed = voter.vote(state, S1, world.head_at(log.batches, term=3), log)
    assert seen_by_others(signed).head == world.head_at(log.batches, term=3)


def test_a_vote_names_the_certificate_held() -> None:
    base = world.certificate(world.head_at([b"a"], term=1), ["s2", "s3"])
    log = world.ToyLog((b"a", b"b"))
    _, signed = voter.vote(joined(2, base, world.ToyLog((b"a",))), S1, world.head_at(log.batches, term=2), log)
    assert seen_by_others(signed).held == held_of(base)


def seen_by_others(signed: SignedBody) -> VerifiedVote:
    return verify_vote("s1", signed, log_id=world.LOG_ID, electorate=electorate(world.VOTE_KEYS))


def test_shares_may_go_out_only_under_a_held_certificate_of_the_own_term() -> None:
    log = world.ToyLog((b"a",))
    state = joined(2, None, EMPTY)
    assert not voter.releasable(state, 1)
    state, outcome = take(state, world.certificate(world.head_at([b"a"], term=2), ["s2", "s3"]), log)
    assert outcome == Taken(truncate_to=None)
    assert voter.releasable(state, 1)
    assert not voter.releasable(state, 2)
    promised, _ = promise(state, 3)
    assert not voter.releasable(promised, 1)


def test_a_certificate_is_held_only_with_its_entries() -> None:
    certificate = world.certificate(world.head_at([b"a", b"b"], term=2), ["s2", "s3"])
    state = joined(2, None, EMPTY)
    for log in (EMPTY, world.ToyLog((b"a",)), world.ToyLog((b"a", b"x"))):
        assert take(state, certificate, log) == (state, Behind())
    after, _ = take(state, certificate, world.ToyLog((b"a", b"b")))
    assert after.held == certificate
    assert take(after, certificate, world.ToyLog((b"a", b"b"))) == (after, Known())


def test_a_forged_certificate_is_not_taken() -> None:
    good = world.certificate(world.head_at([b"a"], term=2), ["s2", "s3"])
    forged = replace(good, votes=(replace(good.votes[0], signature=bytes(64)), good.votes[1]))
    with pytest.raises(BadCertificate):
        take(joined(2, None, EMPTY), forged, world.ToyLog((b"a",)))


def test_certificates_of_a_term_that_extend_each_other_are_taken_in_turn() -> None:
    first = world.certificate(world.head_at([b"a"], term=2), ["s2", "s3"])
    second = world.certificate(world.head_at([b"a", b"b"], term=2), ["s2", "s3"])
    log = world.ToyLog((b"a", b"b"))
    state, _ = take(joined(2, None, EMPTY), first, log)
    state, outcome = take(state, second, log)
    assert (state.held, outcome) == (second, Taken(truncate_to=None))


def test_a_certificate_where_no_own_batch_ends_is_not_held_and_its_batches_are_fetched() -> None:
    certificate = world.certificate(world.head_at([b"a"], term=2), ["s2", "s3"])
    state, log = joined(2, None, EMPTY), OneBatchLog((b"a", b"b"))
    assert take(state, certificate, log) == (state, Behind())
    assert voter.missing(state, certificate.head, log) == Missing(keep=0, end=1)


def test_an_older_certificate_of_the_term_is_known_though_its_root_is_not_at_hand() -> None:
    log = ForgetfulLog((b"a", b"b"))
    state, _ = take(joined(2, None, EMPTY), world.certificate(world.head_at(log.batches, term=2), ["s2", "s3"]), log)
    assert take(state, world.certificate(world.head_at([b"a"], term=2), ["s2", "s3"]), log) == (state, Known())


def test_a_certificate_below_the_own_term_is_refused() -> None:
    state, _ = promise(FRESH, 3)
    with pytest.raises(StaleTerm):
        take(state, world.certificate(world.head_at([b"a"], term=2), ["s2", "s3"]), world.ToyLog((b"a",)))


def test_a_certificate_of_a_higher_term_moves_the_signer_there_before_its_entries_are_stored() -> None:
    certificate = world.certificate(world.head_at([b"a"], term=5), ["s2", "s3"])
    state, outcome = take(joined(2, None, EMPTY), certificate, EMPTY)
    assert (state.term, state.adopted, state.held, outcome) == (5, False, None, Behind())
    with pytest.raises(TermNotOpen):
        voter.vote(state, S1, world.head_at([b"a"], term=5), world.ToyLog((b"a",)))
    state, outcome = take(state, certificate, world.ToyLog((b"a",)))
    assert (state.held, outcome) == (certificate, Taken(truncate_to=None))


def test_joining_by_certificate_drops_what_lies_beyond_it_and_the_base_may_follow() -> None:
    certificate = world.certificate(world.head_at([b"a"], term=5), ["s2", "s3"])
    state, outcome = take(joined(2, None, EMPTY), certificate, world.ToyLog((b"a", b"old")))
    assert outcome == Taken(truncate_to=1)
    state, _ = open_term(state, 5, [statement("s2", 5), statement("s3", 5)], None)
    state, adopted = voter.adopt(state, world.ToyLog((b"a",)), electorates=VOTERS)
    assert (state.held, adopted) == (certificate, Adopted(truncate_to=None))
    log = world.ToyLog((b"a", b"b"))
    state, _ = voter.vote(state, S1, world.head_at(log.batches, term=5), log)
    other_base = world.certificate(world.head_at([b"x"], term=1), ["s2", "s3"])
    own_base = world.certificate(world.head_at([b"a"], term=1), ["s2", "s3"])
    late, _ = take(joined(2, None, EMPTY), certificate, world.ToyLog((b"a",)))
    agreed, _ = open_term(late, 5, [statement("s2", 5, own_base), statement("s3", 5)], own_base)
    agreed, adopted = voter.adopt(agreed, world.ToyLog((b"a",)), electorates=VOTERS)
    assert (agreed.held, adopted) == (certificate, Adopted(truncate_to=None))
    late, _ = open_term(late, 5, [statement("s2", 5, other_base), statement("s3", 5)], other_base)
    with pytest.raises(NotAnExtension):
        voter.adopt(late, world.ToyLog((b"a",)), electorates=VOTERS)


def test_who_voted_for_a_losing_batch_follows_the_certificate_but_votes_no_more_in_the_term() -> None:
    state, _ = voter.vote(joined(2, None, EMPTY), S1, world.head_at([b"x"], term=2), world.ToyLog((b"x",)))
    certificate = world.certificate(world.head_at([b"a"], term=2), ["s2", "s3"])
    assert voter.missing(state, certificate.head, world.ToyLog((b"x",))) == Missing(keep=0, end=1)
    state, outcome = take(state, certificate, world.ToyLog((b"a",)))
    assert outcome == Taken(truncate_to=None)
    log = world.ToyLog((b"a", b"b"))
    with pytest.raises(NotAnExtension):
        voter.vote(state, S1, world.head_at(log.batches, term=2), log)


def test_another_state_digest_under_the_same_entries_stops_the_signer() -> None:
    certificate = world.certificate(world.head_at([b"a"], term=2), ["s2", "s3"])
    state, outcome = take(joined(2, None, EMPTY), certificate, world.ToyLog((b"a",), lying_digest=True))
    assert isinstance(outcome, Alarmed)
    assert outcome.alarm is Alarm.STATE_DIGEST_MISMATCH
    assert state.held is None
    stopped = state
    with pytest.raises(VoterStopped):
        promise(stopped, 9)
    with pytest.raises(VoterStopped):
        take(stopped, certificate, world.ToyLog((b"a",)))
    with pytest.raises(VoterStopped):
        voter.adopt(stopped, EMPTY, electorates=VOTERS)
    with pytest.raises(VoterStopped):
        voter.vote(stopped, S1, world.head_at([b"a"], term=2), world.ToyLog((b"a",)))
    with pytest.raises(VoterStopped):
        open_term(stopped, 9, [statement("s2", 9), statement("s3", 9)], None)
    assert not voter.releasable(replace(state, held=certificate), 1)


def test_another_state_digest_at_the_base_stops_the_signer() -> None:
    base = world.certificate(world.head_at([b"a"], term=1), ["s2", "s3"])
    state, _ = open_term(FRESH, 2, [statement("s2", 2, base), statement("s3", 2)], base)
    _, outcome = voter.adopt(state, world.ToyLog((b"a",), lying_digest=True), electorates=VOTERS)
    assert isinstance(outcome, Alarmed)
    assert outcome.alarm is Alarm.STATE_DIGEST_MISMATCH


def test_two_certificates_of_one_term_that_contradict_each_other_stop_the_signer() -> None:
    one = world.certificate(world.head_at([b"a", b"b"], term=2), ["s2", "s3"])
    log = world.ToyLog((b"a", b"b"))
    state, _ = take(joined(2, None, EMPTY), one, log)
    for batches, own in [((b"a", b"x"), log), ((b"x",), log), ((b"x", b"y", b"z"), world.ToyLog((b"x", b"y", b"z")))]:
        stopped, outcome = take(state, world.certificate(world.head_at(batches, term=2), ["s2", "s3"]), own)
        assert isinstance(outcome, Alarmed)
        assert (outcome.alarm, stopped.alarm) == (Alarm.CERTIFICATES_CONFLICT, "CERTIFICATES_CONFLICT")


def test_an_older_certificate_of_the_term_is_known() -> None:
    log = world.ToyLog((b"a", b"b"))
    state, _ = take(joined(2, None, EMPTY), world.certificate(world.head_at([b"a", b"b"], term=2), ["s2", "s3"]), log)
    assert take(state, world.certificate(world.head_at([b"a"], term=2), ["s2", "s3"]), log) == (state, Known())


def test_a_base_or_certificate_against_what_is_final_stops_the_signer() -> None:
    log = world.ToyLog((b"a", b"b"), final_size=2)
    state, _ = take(joined(1, None, EMPTY), world.certificate(world.head_at([b"a", b"b"], term=1), ["s2", "s3"]), log)
    low = world.certificate(world.head_at([b"a"], term=1), ["s2", "s3"])
    opened, _ = open_term(state, 2, [statement("s2", 2, low), statement("s3", 2)], low)
    _, outcome = voter.adopt(opened, log, electorates=VOTERS)
    assert isinstance(outcome, Alarmed)
    assert outcome.alarm is Alarm.FINAL_HEAD_CONTRADICTED
    fork = world.certificate(world.head_at([b"x", b"y"], term=2), ["s2", "s3"])
    _, taken = take(state, fork, log)
    assert isinstance(taken, Alarmed)
    assert taken.alarm is Alarm.FINAL_HEAD_CONTRADICTED
    opened, _ = open_term(state, 3, [statement("s2", 3, fork), statement("s3", 3)], fork)
    _, judged = voter.adopt(opened, log, electorates=VOTERS)
    assert isinstance(judged, Alarmed)
    assert judged.alarm is Alarm.FINAL_HEAD_CONTRADICTED


def test_a_signer_that_sees_a_vote_of_its_own_it_does_not_hold_stops() -> None:
    before = joined(2, None, EMPTY)
    log = world.ToyLog((b"a",))
    after, signed = voter.vote(before, S1, world.head_at([b"a"], term=2), log)
    certificate = world.certificate(world.head_at([b"a"], term=2), ["s1", "s2"])
    assert voter.inspect_certificate(after, certificate) is None
    stopped, outcome = take(before, certificate, log)
    assert isinstance(outcome, Alarmed)
    assert (outcome.alarm, stopped.alarm) == (Alarm.OWN_VOTE_UNKNOWN, "OWN_VOTE_UNKNOWN")
    seen = seen_by_others(signed)
    assert voter.inspect_vote(after, seen) is None
    assert voter.inspect_vote(before, seen) is not None
    other = world.certificate(world.head_at([b"x"], term=2), ["s1", "s2"])
    assert voter.inspect_certificate(after, other) is not None
    later, _ = promise(after, 9)
    assert isinstance(
        take(later, world.certificate(world.head_at([b"a", b"b"], term=3), ["s1", "s2"]), log)[1], Alarmed
    )
    _, outcome = open_term(before, 3, [statement("s2", 3, certificate), statement("s3", 3)], certificate)
    assert isinstance(outcome, Alarmed)


def test_own_votes_below_the_last_one_are_no_surprise() -> None:
    state, log = joined(2, None, EMPTY), world.ToyLog((b"a",))
    state, first = voter.vote(state, S1, world.head_at(log.batches, term=2), log)
    log = world.ToyLog((b"a", b"b"))
    state, _ = voter.vote(state, S1, world.head_at(log.batches, term=2), log)
    certificate = world.certificate(world.head_at([b"a"], term=2), ["s1", "s2"])
    assert voter.inspect_vote(state, seen_by_others(first)) is None
    assert take(state, certificate, log)[1] == Taken(truncate_to=None)


def test_a_signer_that_sees_a_promise_of_its_own_it_does_not_hold_stops() -> None:
    state, own = promise(FRESH, 3)
    _, outcome = open_term(state, 3, [own, statement("s2", 3)], None)
    assert outcome == Opened(base=None)
    stopped, outcome = open_term(FRESH, 3, [own, statement("s2", 3)], None)
    assert isinstance(outcome, Alarmed)
    assert (outcome.alarm, stopped.alarm) == (Alarm.OWN_STATEMENT_UNKNOWN, "OWN_STATEMENT_UNKNOWN")


def test_a_signer_that_sees_another_promise_of_its_own_for_the_same_term_stops() -> None:
    state, _ = promise(FRESH, 3)
    other = [statement("s1", 3, leader=OTHER_LEADER), statement("s2", 3, leader=OTHER_LEADER)]
    _, outcome = open_term(state, 3, other, None, leader=OTHER_LEADER)
    assert isinstance(outcome, Alarmed)
    assert outcome.alarm is Alarm.OWN_STATEMENT_UNKNOWN


def test_a_signer_that_sees_a_later_promise_of_its_own_than_it_holds_stops() -> None:
    state, _ = promise(FRESH, 3)
    _, outcome = open_term(state, 4, [statement("s1", 4), statement("s2", 4)], None)
    assert isinstance(outcome, Alarmed)
    assert outcome.alarm is Alarm.OWN_STATEMENT_UNKNOWN


def test_the_first_alarm_stays() -> None:
    state, _ = voter.raise_alarm(FRESH, Alarm.OWN_VOTE_UNKNOWN, "first")
    _, outcome = voter.raise_alarm(state, Alarm.CERTIFICATES_CONFLICT, "second")
    assert outcome == Alarmed(alarm=Alarm.OWN_VOTE_UNKNOWN, detail="first")


def test_after_a_certificate_of_the_term_votes_extend_it_and_not_an_own_losing_batch() -> None:
    lost = world.ToyLog((b"x",))
    state, _ = voter.vote(joined(2, None, EMPTY), S1, world.head_at(lost.batches, term=2), lost)
    state, _ = take(state, world.certificate(world.head_at([b"a"], term=2), ["s2", "s3"]), world.ToyLog((b"a",)))
    back = world.ToyLog((b"x", b"y"))
    with pytest.raises(NotAnExtension):
        voter.vote(state, S1, world.head_at(back.batches, term=2), back)


def test_a_state_with_two_certificates_of_two_large_sets_is_read_back() -> None:
    """Base and certificate held are of 200 votes each, where two sets of 100 signers all decide."""
    big = 2**63
    votes = tuple(
        CertificateVote(signer=f"s{n:039}", held_term=big - 1, held_size=big, held_head=bytes(32), signature=bytes(64))
        for n in range(200)
    )
    head = Head(log_id=bytes(32), term=big, size=big, root=bytes(32), state_digest=bytes(32))
    large = Certificate(head=head, votes=votes)
    opened = OpenedTerm(statements_hash=bytes(32), base=large, electorates=(bytes(32),) * 64)
    state = replace(
        initial_state(LogId(bytes(32)), "s1", bytes(32)),
        term=big,
        opened=opened,
        adopted=True,
        held=large,
        promise=Signed(body=bytes(400), signature=bytes(64)),
        last_vote=Signed(body=bytes(400), signature=bytes(64)),
        alarm_detail="x" * 400,
    )
    data = codec.encode(state)
    assert len(data) > codec.MAX_SIZE
    assert stored_state(data) == state


# --- what votes in a certificate claim -------------------------------------------------------------------------------


def certified(votes: dict[str, Held], term: int = 2) -> Certificate:
    """A certificate of three entries whose authors name these certificates as held."""
    head = world.head_at([b"a", b"b", b"c"], term=term)
    cast = tuple(world.certificate(head, [name], held).votes[0] for name, held in votes.items())
    return Certificate(head=head, votes=cast)


TRUE = held_of(world.certificate(world.head_at([b"a", b"b"], term=2), ["s1", "s2"]))


def test_a_certificate_with_a_claim_that_the_own_log_refutes_is_refused() -> None:
    log = world.ToyLog((b"a", b"b", b"c"))
    for lie in (replace(TRUE, head_hash=bytes(32)), replace(TRUE, size=1)):
        with pytest.raises(BadCertificate, match="the vote of s3 names a certificate of size"):
            voter.require_true_claims(certified({"s2": TRUE, "s3": lie}), log)
    voter.require_true_claims(certified({"s2": TRUE, "s3": TRUE}), log)


def test_a_claim_that_the_own_log_cannot_judge_keeps_no_certificate_out() -> None:
    """Of an earlier term, of a batch that is not stored as one here, or below what is final here."""
    unknown = replace(TRUE, head_hash=bytes(32))
    earlier = certified({"s2": replace(TRUE, term=1), "s3": replace(unknown, term=1)})
    for certificate, log in (
        (earlier, world.ToyLog((b"a", b"b", b"c"))),
        (certified({"s2": TRUE, "s3": unknown}), OneBatchLog((b"a", b"b", b"c"))),
        (certified({"s2": TRUE, "s3": unknown}), world.ToyLog((b"a", b"b", b"c"), final_size=3)),
    ):
        voter.require_true_claims(certificate, log)
