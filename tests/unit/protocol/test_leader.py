"""How a coordinator collects statements and votes."""

from __future__ import annotations

from dataclasses import replace

import pytest

import protocol_world as world
from electorate_of import always, electorate
from strongroom.ledger.certificate_messages import Certificate
from strongroom.protocol.certificates import (
    NO_CERTIFICATE,
    BadVote,
    Held,
    head_hash,
    held_of,
    sign_vote,
    verify_certificate,
)
from strongroom.protocol.leader import DoubleVote, NewTermCollection, VoteCollection, next_term
from strongroom.protocol.signed import BadSignedBody, SignedBody
from strongroom.protocol.terms import BadStatements, check_opening, sign_new_term

HEAD = world.head_at([b"a", b"b"], term=2)
BELOW = world.head_at([b"a"], term=2)
CERTIFIED = frozenset({Held(term=2, size=1, head_hash=head_hash(BELOW))})


def statement(signer: str, held: Certificate | None, term: int = 4) -> SignedBody:
    return sign_new_term(
        world.KEYS[signer],
        log_id=world.LOG_ID,
        signer=signer,
        term=term,
        leader=world.LEADER,
        boot_id=world.BOOT,
        held=held_of(held),
    )


def collection() -> NewTermCollection:
    return NewTermCollection(log_id=world.LOG_ID, term=4, leader=world.LEADER, electorates=always(world.VOTE_KEYS, 2))


VOTERS = electorate(world.VOTE_KEYS, 2)


def votes() -> VoteCollection:
    return VoteCollection(head=HEAD, electorate=electorate(world.VOTE_KEYS, 2), certified=CERTIFIED.__contains__)


def test_the_next_term_is_above_every_term_heard_of() -> None:
    assert next_term([]) == 1
    assert next_term([3, 9, 2]) == 10


def test_a_term_opens_from_the_highest_certificates_and_passes_the_signers_check() -> None:
    low = world.certificate(world.head_at([b"a"], term=3), ["s1", "s2"])
    high = world.certificate(world.head_at([b"a", b"b"], term=3), ["s1", "s2"])
    collected = collection().add(statement("s1", None), None).add(statement("s3", low), low)
    assert collected.opening(VOTERS) is not None
    opening = collected.add(statement("s2", high), high).opening(VOTERS)
    assert opening is not None
    assert opening.base == high
    assert opening.statements == (statement("s2", high), statement("s3", low))
    check_opening(
        term=opening.term,
        leader=opening.leader,
        statements=opening.statements,
        base_certificate=opening.base,
        log_id=world.LOG_ID,
        electorates=always(world.VOTE_KEYS, 2),
    )


def test_a_statement_whose_bytes_nobody_has_can_be_left_out() -> None:
    high = world.certificate(world.head_at([b"a", b"b"], term=3), ["s1", "s2"])
    collected = collection().add(statement("s1", None), None).add(statement("s2", high), high)
    assert collected.opening(VOTERS, without={"s2"}) is None
    opening = collected.add(statement("s3", None), None).opening(VOTERS, without={"s2"})
    assert opening is not None
    assert opening.base is None


def test_a_statement_needs_the_certificate_it_names() -> None:
    one = world.certificate(world.head_at([b"a"], term=3), ["s1", "s2"])
    other = world.certificate(world.head_at([b"x"], term=3), ["s1", "s2"])
    for shown in (None, other):
        with pytest.raises(BadStatements):
            collection().add(statement("s1", one), shown)
    with pytest.raises(BadStatements):
        collection().add(statement("s1", None, term=5), None)
    with pytest.raises(BadSignedBody):
        collection().add(world.flipped(statement("s1", None)), None)


def test_contradicting_certificates_open_no_term() -> None:
    one = world.certificate(world.head_at([b"a"], term=3), ["s1", "s2"])
    other = world.certificate(world.head_at([b"x"], term=3), ["s1", "s3"])
    collected = collection().add(statement("s1", one), one).add(statement("s2", other), other)
    with pytest.raises(BadStatements):
        collected.opening(VOTERS)


def test_a_quorum_of_votes_is_a_certificate() -> None:
    collected = votes().add("s1", sign_vote(world.KEYS["s1"], HEAD, NO_CERTIFICATE))
    assert collected.certificate() is None
    made = collected.add("s3", sign_vote(world.KEYS["s3"], HEAD, NO_CERTIFICATE)).certificate()
    assert made is not None
    verify_certificate(made, log_id=world.LOG_ID, electorate=electorate(world.VOTE_KEYS, 2))


def test_a_vote_for_another_head_is_dissent_and_a_second_one_is_evidence() -> None:
    other = sign_vote(world.KEYS["s1"], replace(HEAD, state_digest=bytes(32)), NO_CERTIFICATE)
    mine = sign_vote(world.KEYS["s1"], HEAD, NO_CERTIFICATE)
    collected = votes().add("s1", other)
    assert set(collected.dissent) == {"s1"}
    assert not collected.votes
    assert collected.add("s1", other) is collected
    with pytest.raises(DoubleVote) as caught:
        collected.add("s1", mine)
    assert (caught.value.signer, caught.value.first, caught.value.second) == ("s1", other, mine)


@pytest.mark.parametrize(
    "made_up",
    [
        Held(term=2, size=1, head_hash=bytes(32)),
        Held(term=2, size=1, head_hash=head_hash(replace(BELOW, term=1))),
    ],
)
def test_a_vote_that_names_a_certificate_which_was_never_made_does_not_count(made_up: Held) -> None:
    """Above all it does not win against honest ones that name less."""
    lie = sign_vote(world.KEYS["s3"], HEAD, made_up)
    collected = votes().add("s3", lie)
    assert (set(collected.dissent), set(collected.votes)) == ({"s3"}, set())
    assert collected.add("s3", lie) is collected
    (true,) = CERTIFIED
    collected = collected.add("s1", sign_vote(world.KEYS["s1"], HEAD, NO_CERTIFICATE))
    assert collected.certificate() is None
    made = collected.add("s2", sign_vote(world.KEYS["s2"], HEAD, true)).certificate()
    assert made is not None
    assert [one.signer for one in made.votes] == ["s1", "s2"]
    with pytest.raises(DoubleVote):
        collected.add("s3", sign_vote(world.KEYS["s3"], HEAD, true))


def test_a_vote_may_name_a_certificate_of_an_earlier_term_that_nobody_else_knows() -> None:
    earlier = Held(term=1, size=1, head_hash=bytes(32))
    assert set(votes().add("s3", sign_vote(world.KEYS["s3"], HEAD, earlier)).votes) == {"s3"}


def test_a_vote_for_another_size_or_term_is_refused() -> None:
    for head in (replace(HEAD, size=9), replace(HEAD, term=9)):
        with pytest.raises(BadVote):
            votes().add("s1", sign_vote(world.KEYS["s1"], head, NO_CERTIFICATE))
