"""Votes, terms and a signer's own words where two witness sets decide, and after one took over from the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

import protocol_world as world
from electorate_of import witness_set
from strongroom.ledger.certificate_messages import Certificate, CertificateVote, Head
from strongroom.ledger.electorate import Electorate
from strongroom.model.ids import LogId
from strongroom.protocol import voter
from strongroom.protocol.certificates import (
    NO_CERTIFICATE,
    BadCertificate,
    Held,
    VerifiedVote,
    certificate_from_votes,
    final_from_votes,
    held_of,
    sign_vote,
    verify_certificate,
    verify_vote,
)
from strongroom.protocol.electorates import Electorates
from strongroom.protocol.leader import NewTermCollection, VoteCollection
from strongroom.protocol.signed import SignedBody
from strongroom.protocol.terms import BadStatements, check_opening, sign_new_term
from strongroom.protocol.voter_state import (
    Adopted,
    BaseElectorate,
    Opened,
    OpenedTerm,
    Taken,
    VoterState,
    WitnessesReplaced,
    initial_state,
)

NEW_S3 = "s3-new"
"""Label of the key with which another machine speaks as s3."""


def key_of(label: str) -> bytes:
    return world.signing_key(label).public


def named(label: str) -> str:
    return label.split("-", maxsplit=1)[0]


def set_of(*labels: str, quorum: int) -> Electorate:
    return Electorate(witness_set({named(label): key_of(label) for label in labels}, quorum))


OLD = set_of("s1", "s2", "s3", quorum=2)
NEW = set_of("s2", NEW_S3, "s4", quorum=2)
BOTH = Electorate(*OLD.sets, *NEW.sets)
BATCHES = (b"a", b"b", b"c", b"d")
NAMED = (Held(term=1, size=1, head_hash=bytes(32)), Held(term=1, size=2, head_hash=bytes(32)))


def head(size: int, term: int = 1) -> Head:
    return world.head_at(BATCHES[:size], term=term)


def vote(label: str, of: Head, held: Held = NO_CERTIFICATE) -> VerifiedVote:
    signed = sign_vote(world.signing_key(label), of, held)
    return verify_vote(named(label), signed, log_id=world.LOG_ID, electorate=BOTH)


def certificate(of: Head, *labels: str, held: Held = NO_CERTIFICATE) -> Certificate:
    """Of these very votes, whether they are enough or not."""
    votes = [
        CertificateVote(
            signer=named(label),
            held_term=held.term,
            held_size=held.size,
            held_head=held.head_hash,
            signature=sign_vote(world.signing_key(label), of, held).signature,
        )
        for label in sorted(labels)
    ]
    return Certificate(head=of, votes=tuple(votes))


def verify(made: Certificate, electorate: Electorate = BOTH) -> None:
    verify_certificate(made, log_id=world.LOG_ID, electorate=electorate)


# --- certificates -----------------------------------------------------------------------------------------------------


def test_two_sets_certify_with_a_quorum_of_each() -> None:
    verify(certificate(head(1), "s1", "s2", "s4"))
    verify(certificate(head(1), "s1", "s2", NEW_S3))
    for short in (("s1", "s2"), ("s2", "s4"), ("s1", "s2", "s3")):
        with pytest.raises(BadCertificate, match="lacks 1 votes"):
            verify(certificate(head(1), *short))


def test_a_vote_counts_for_the_set_that_has_its_key_only() -> None:
    with pytest.raises(BadCertificate, match="lacks 1"):
        verify(certificate(head(1), "s1", NEW_S3, "s4"))
    with pytest.raises(BadCertificate, match="does not verify"):
        verify(certificate(head(1), "s1", NEW_S3), OLD)


def test_a_certificate_of_two_sets_has_no_more_votes_than_both_quorums() -> None:
    five = Electorate(*OLD.sets, *set_of("s2", "s4", "s5", "s6", "s7", quorum=2).sets)
    verify(certificate(head(1), "s1", "s2", "s4"), five)
    verify(certificate(head(1), "s1", "s3", "s4", "s5"), five)
    with pytest.raises(BadCertificate, match="at most 4"):
        verify(certificate(head(1), "s1", "s2", "s4", "s5", "s6"), five)


def test_the_votes_that_make_the_most_final_are_taken_of_each_set() -> None:
    low, high = NAMED
    votes = [vote("s1", head(3), low), vote("s2", head(3), high), vote("s3", head(3), high), vote("s4", head(3), low)]
    made = certificate_from_votes(votes, electorate=BOTH)
    assert [one.signer for one in made.votes] == ["s2", "s3", "s4"]
    verify(made)
    with pytest.raises(BadCertificate, match="2 and 2"):
        certificate_from_votes(votes[:3], electorate=BOTH)


def test_finality_needs_a_quorum_of_each_set() -> None:
    low, high = NAMED
    votes = [vote("s1", head(3), high), vote("s2", head(3), high), vote("s4", head(3), low)]
    assert final_from_votes(votes, term=1, electorate=OLD) == 2
    assert final_from_votes(votes, term=1, electorate=BOTH) == 1
    assert final_from_votes(votes[:2], term=1, electorate=BOTH) == 0


def test_a_wanted_set_is_collected_beside_the_one_in_force() -> None:
    votes = VoteCollection(head=head(1), electorate=OLD, both=BOTH, certified=lambda held: False)
    for label in ("s1", "s4"):
        votes = votes.add(named(label), sign_vote(world.signing_key(label), head(1), NO_CERTIFICATE))
    assert votes.certificate() is None
    votes = votes.add("s2", sign_vote(world.signing_key("s2"), head(1), NO_CERTIFICATE))
    made, both = votes.certificate(), votes.handover()
    assert made is not None
    assert [one.signer for one in made.votes] == ["s1", "s2"]
    assert both is not None
    verify(both)
    assert votes.could_certify(("s3",))
    assert not votes.could_certify(("s3", "s1"))


# --- terms ------------------------------------------------------------------------------------------------------------


def statement(label: str, term: int, held: Certificate | None) -> SignedBody:
    return sign_new_term(
        world.signing_key(label),
        log_id=world.LOG_ID,
        signer=named(label),
        term=term,
        leader=world.LEADER,
        boot_id=world.BOOT,
        held=held_of(held),
    )


AT_HANDOVER = Electorates(history=((0, OLD), (2, BOTH), (4, NEW)))
BASE = certificate(head(2), "s1", "s2", "s4")
LOW = certificate(head(1), "s1", "s2")


def opening(statements: Sequence[SignedBody], base: Certificate | None) -> None:
    check_opening(
        term=5,
        leader=world.LEADER,
        statements=statements,
        base_certificate=base,
        log_id=world.LOG_ID,
        electorates=AT_HANDOVER,
    )


def test_a_base_that_both_decided_needs_statements_of_both() -> None:
    opening([statement("s1", 5, BASE), statement("s2", 5, LOW), statement("s4", 5, None)], BASE)
    with pytest.raises(BadStatements, match="2 and 2"):
        opening([statement("s1", 5, BASE), statement("s2", 5, BASE)], BASE)
    with pytest.raises(BadStatements, match="2 and 2"):
        opening([statement("s2", 5, BASE), statement("s4", 5, BASE)], BASE)


def test_a_base_of_the_old_set_needs_no_others() -> None:
    opening([statement("s1", 5, LOW), statement("s2", 5, None)], LOW)


def test_a_signer_that_does_not_decide_may_name_the_base_and_do_nothing_else() -> None:
    """A new signer may hold a head of the old set's that none of those who answer holds."""
    two = [statement("s1", 5, None), statement("s2", 5, None)]
    opening([*two, statement("s4", 5, LOW)], LOW)
    with pytest.raises(BadStatements, match="stand beside"):
        opening([*two, statement("s4", 5, None)], None)
    with pytest.raises(BadStatements, match="stand beside"):
        opening([statement("s1", 5, LOW), statement("s2", 5, None), statement("s4", 5, LOW)], LOW)
    with pytest.raises(BadStatements, match="stand beside"):
        opening([*two, statement("s4", 5, LOW), statement(NEW_S3, 5, LOW)], LOW)
    with pytest.raises(BadStatements, match="exactly 2"):
        opening([statement("s1", 5, None), statement("s4", 5, LOW)], LOW)


def test_a_leader_lets_the_signer_that_names_the_base_stand_beside_those_who_decide() -> None:
    collection = NewTermCollection(log_id=world.LOG_ID, term=5, leader=world.LEADER, electorates=AT_HANDOVER)
    collection = collection.add(statement("s4", 5, LOW), LOW)
    assert collection.base() is None
    collection = collection.add(statement("s1", 5, None), None).add(statement("s2", 5, None), None)
    base = collection.base()
    assert base == held_of(LOW)
    made = collection.opening(OLD)
    assert made is not None
    assert len(made.statements) == 3
    opening(made.statements, made.base)
    alone = collection.opening(OLD, without=("s4",))
    assert alone is not None
    assert (len(alone.statements), alone.base) == (2, None)
    assert collection.opening(set_of("s1", "s7", quorum=2)) is None


# --- a signer's own words ---------------------------------------------------------------------------------------------


FRESH = initial_state(LogId(world.LOG_ID), "s9", key_of("s9"))
LOG = world.ToyLog(BATCHES)


def opened(
    state: VoterState, statements: Sequence[SignedBody], base: Certificate | None, known: Electorates
) -> VoterState:
    state, outcome = voter.open_term(
        state, term=5, leader=world.LEADER, statements=statements, base_certificate=base, electorates=known
    )
    assert isinstance(outcome, Opened)
    return state


def test_a_base_is_adopted_only_by_those_whom_the_stored_entries_name() -> None:
    """Without the entries each electorate is possible; with them only one is."""
    both = certificate(head(3), "s1", "s2", "s4")
    said = [statement("s1", 5, both), statement("s2", 5, None), statement("s4", 5, None)]
    unknown = Electorates(history=((0, OLD),), ahead=(BOTH, NEW))
    state = opened(FRESH, said, both, unknown)
    assert state.opened is not None
    assert state.opened.electorates == (BOTH.digest,)
    with pytest.raises(BaseElectorate):
        voter.adopt(state, LOG, electorates=Electorates(history=((0, OLD), (3, NEW))))
    _, outcome = voter.adopt(state, LOG, electorates=Electorates(history=((0, OLD), (2, BOTH), (4, NEW))))
    assert isinstance(outcome, Adopted)


def test_a_base_that_a_certificate_of_the_term_was_taken_above_is_held_to_the_same() -> None:
    high = certificate(head(3, term=5), "s1", "s2")
    state = replace(
        FRESH,
        term=5,
        held=high,
        opened=OpenedTerm(statements_hash=bytes(32), base=LOW, electorates=(NEW.digest,)),
    )
    with pytest.raises(BaseElectorate):
        voter.adopt(state, LOG, electorates=Electorates.always(OLD))


def test_a_certificate_is_held_only_by_those_whom_the_stored_entries_name() -> None:
    made = certificate(head(3), "s1", "s2")
    state, outcome = voter.take_certificate(FRESH, made, LOG, electorates=Electorates.always(OLD))
    assert isinstance(outcome, Taken)
    assert state.held == made
    with pytest.raises(BadCertificate):
        voter.take_certificate(FRESH, made, LOG, electorates=Electorates(history=((0, OLD), (2, BOTH)), ahead=(OLD,)))


def test_a_certificate_below_the_one_held_is_judged_by_those_whom_the_stored_entries_name() -> None:
    """Votes of another set for another branch are no contradiction, even where that set may rule further on."""
    known = Electorates(history=((0, OLD), (5, BOTH)), ahead=(NEW,))
    state = replace(FRESH, term=1, held=certificate(head(3), "s1", "s2"))
    for size in (2, 3):
        other = world.head_at([b"x", b"y", b"z"][:size], term=1)
        with pytest.raises(BadCertificate):
            voter.take_certificate(state, certificate(other, "s2", "s4"), LOG, electorates=known)
        stopped, _ = voter.take_certificate(state, certificate(other, "s1", "s2"), LOG, electorates=known)
        assert stopped.alarm == "CERTIFICATES_CONFLICT"


def test_a_base_is_compared_only_once_those_who_decide_about_it_opened_the_term() -> None:
    """A false digest, or another root below what is final, is no alarm when others than those say so."""
    false = certificate(replace(head(3), state_digest=bytes(32)), "s1", "s2")
    other = certificate(world.head_at([b"x"], term=1), "s1", "s2")
    for base, log in ((false, LOG), (other, replace(LOG, final_size=1)), (LOW, replace(LOG, final_size=2))):
        state = replace(
            FRESH, term=5, opened=OpenedTerm(statements_hash=bytes(32), base=base, electorates=(NEW.digest,))
        )
        with pytest.raises(BaseElectorate):
            voter.adopt(state, log, electorates=Electorates.always(OLD))
        stopped, _ = voter.adopt(state, log, electorates=Electorates.always(NEW))
        assert stopped.alarm


@pytest.mark.attack(
    line="coordinator+signers",
    title="vote keys of signers that left, leaked later, lead a signer back or stop it",
    origin="on paper: a long-range fork under keys that nobody guards any more",
)
def test_words_of_a_set_that_was_replaced_for_good_are_refused_without_an_alarm() -> None:
    """Old keys, leaked years later, can neither lead a signer back nor stop it."""
    known = Electorates(history=((0, OLD), (2, BOTH), (3, NEW)), final_size=4)
    log = replace(LOG, final_size=4)
    other = world.head_at([b"x"], term=9)
    for leaked in (certificate(head(1, term=9), "s1", "s3"), certificate(other, "s1", "s3")):
        with pytest.raises(WitnessesReplaced):
            voter.take_certificate(FRESH, leaked, log, electorates=known)
        said = [statement("s1", 10, leaked), statement("s3", 10, None)]
        with pytest.raises(WitnessesReplaced):
            voter.open_term(
                FRESH, term=10, leader=world.LEADER, statements=said, base_certificate=leaked, electorates=known
            )
    said = [statement("s1", 10, None), statement("s3", 10, None)]
    with pytest.raises(WitnessesReplaced):
        voter.open_term(FRESH, term=10, leader=world.LEADER, statements=said, base_certificate=None, electorates=known)
    ahead = world.head_at([*BATCHES, b"e"], term=9)
    with pytest.raises(BadCertificate):
        voter.take_certificate(FRESH, certificate(ahead, "s1", "s3"), log, electorates=known)


def test_a_vote_of_another_machine_under_the_own_name_is_no_lost_memory() -> None:
    fresh = initial_state(LogId(world.LOG_ID), "s3", key_of(NEW_S3))
    by_old_machine = certificate(head(1), "s1", "s3")
    state, outcome = voter.take_certificate(fresh, by_old_machine, LOG, electorates=Electorates.always(OLD))
    assert isinstance(outcome, Taken)
    assert not state.alarm
    mine = certificate(head(3), "s1", "s2", NEW_S3)
    stopped, _ = voter.take_certificate(fresh, mine, LOG, electorates=Electorates.always(BOTH))
    assert stopped.alarm == "OWN_VOTE_UNKNOWN"


def test_a_statement_of_another_machine_under_the_own_name_is_no_lost_memory() -> None:
    fresh = initial_state(LogId(world.LOG_ID), "s3", key_of(NEW_S3))
    state = opened(fresh, [statement("s1", 5, None), statement("s3", 5, None)], None, Electorates.always(OLD))
    assert not state.alarm
