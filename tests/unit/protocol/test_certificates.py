"""Votes, certificates and finality."""

from __future__ import annotations

from dataclasses import replace

import pytest

import protocol_world as world
from electorate_of import certificate_by, electorate
from strongroom.ledger.certificate_messages import Certificate, CertificateVote, Head
from strongroom.ledger.pae import pae
from strongroom.ledger.signed_messages import Vote
from strongroom.protocol.certificates import (
    NO_CERTIFICATE,
    BadCertificate,
    BadVote,
    Held,
    VerifiedVote,
    false_claims,
    final_from_votes,
    final_size,
    final_size_here,
    head_hash,
    held_of,
    sign_vote,
    verify_certificate,
    verify_vote,
)
from strongroom.protocol.signed import MAX_BODY_BYTES, BadSignedBody, SignedBody, decode_claimed

HEAD = world.head_at([b"a", b"b"], term=2)


def verify(certificate: Certificate, quorum: int = 2) -> None:
    verify_certificate(certificate, log_id=world.LOG_ID, electorate=electorate(world.VOTE_KEYS, quorum))


def vote_of(signer: str, head: Head = HEAD, held: Held = NO_CERTIFICATE) -> VerifiedVote:
    signed = sign_vote(world.KEYS[signer], head, held)
    return verify_vote(signer, signed, log_id=world.LOG_ID, electorate=electorate(world.VOTE_KEYS))


def held(term: int, size: int) -> Held:
    return Held(term=term, size=size, head_hash=b"h" * 32)


def test_votes_of_a_quorum_make_a_certificate_that_verifies() -> None:
    made = certificate_by([vote_of("s3"), vote_of("s1")], 2)
    verify(made)
    assert [vote.signer for vote in made.votes] == ["s1", "s3"]
    assert held_of(made) == Held(term=2, size=2, head_hash=head_hash(HEAD))


def test_of_more_than_a_quorum_the_votes_with_the_highest_certificates_are_taken() -> None:
    votes = [vote_of("s1", held=held(1, 1)), vote_of("s2"), vote_of("s3", held=held(2, 1))]
    assert [vote.signer for vote in certificate_by(votes, 2).votes] == ["s1", "s3"]


@pytest.mark.attack(
    line="coordinator",
    title="forwarded identity: a vote under another name",
    origin="mpcium: the sender named in a message was believed",
)
def test_a_vote_under_another_name_is_refused() -> None:
    signed = sign_vote(world.KEYS["s1"], HEAD, NO_CERTIFICATE)
    with pytest.raises(BadSignedBody):
        verify_vote("s2", signed, log_id=world.LOG_ID, electorate=electorate(world.VOTE_KEYS))
    with pytest.raises(BadVote):
        verify_vote("stranger", signed, log_id=world.LOG_ID, electorate=electorate(world.VOTE_KEYS))


def test_a_changed_signature_and_another_log_are_refused() -> None:
    signed = sign_vote(world.KEYS["s1"], HEAD, NO_CERTIFICATE)
    with pytest.raises(BadSignedBody):
        verify_vote("s1", world.flipped(signed), log_id=world.LOG_ID, electorate=electorate(world.VOTE_KEYS))
    other = sign_vote(world.KEYS["s1"], replace(HEAD, log_id=bytes(32)), NO_CERTIFICATE)
    with pytest.raises(BadSignedBody):
        verify_vote("s1", other, log_id=world.LOG_ID, electorate=electorate(world.VOTE_KEYS))


@pytest.mark.parametrize(
    "bad",
    [
        held(2, 2),
        held(2, 3),
        held(3, 1),
        Held(term=1, size=0, head_hash=b"h" * 32),
        Held(term=0, size=1, head_hash=b""),
    ],
    ids=["itself", "larger", "later term", "empty", "no term"],
)
def test_a_vote_that_names_an_impossible_certificate_is_refused(bad: Held) -> None:
    with pytest.raises(BadVote):
        vote_of("s1", held=bad)


@pytest.mark.parametrize("head", [replace(HEAD, term=0), replace(HEAD, size=0)], ids=["term 0", "size 0"])
def test_a_vote_before_the_first_term_or_for_an_empty_log_is_refused(head: Head) -> None:
    with pytest.raises(BadVote, match="start at 1"):
        vote_of("s1", head)


@pytest.mark.parametrize("signed", [True, False], ids=["signed", "not signed"])
def test_a_body_above_the_maximum_is_refused_before_its_signature_is_looked_at(signed: bool) -> None:
    body = bytes(MAX_BODY_BYTES + 1)
    signature = world.KEYS["s1"].sign(pae("vote", body)) if signed else bytes(64)
    with pytest.raises(BadSignedBody, match="above 131072"):
        verify_vote(
            "s1",
            SignedBody(body=body, signature=signature),
            log_id=world.LOG_ID,
            electorate=electorate(world.VOTE_KEYS),
        )
    with pytest.raises(BadSignedBody, match="more than 131072"):
        decode_claimed(Vote, "vote", SignedBody(body=body, signature=signature))


def test_votes_for_different_heads_make_no_certificate() -> None:
    other = world.head_at([b"a", b"x"], term=2)
    with pytest.raises(BadCertificate):
        certificate_by([vote_of("s1"), vote_of("s2", other)], 2)
    with pytest.raises(BadCertificate):
        certificate_by([vote_of("s1"), vote_of("s1")], 2)


def test_a_certificate_needs_exactly_a_quorum_of_ascending_different_known_signers() -> None:
    good = world.certificate(HEAD, ["s1", "s2"])
    first, second = good.votes
    for votes in [(first,), (second, first), (first, first), (*good.votes, world.certificate(HEAD, ["s3"]).votes[0])]:
        with pytest.raises(BadCertificate):
            verify(replace(good, votes=votes))
    with pytest.raises(BadCertificate, match="no signer"):
        verify(replace(good, votes=(first, replace(second, signer="zed"))))


def test_votes_for_another_head_do_not_certify_this_one() -> None:
    good = world.certificate(HEAD, ["s1", "s2"])
    for other in [
        replace(HEAD, term=3),
        replace(HEAD, size=3),
        replace(HEAD, root=bytes(32)),
        replace(HEAD, state_digest=bytes(32)),
        replace(HEAD, log_id=bytes(32)),
    ]:
        with pytest.raises(BadCertificate):
            verify(replace(good, head=other))
    with pytest.raises(BadCertificate):
        verify(
            replace(good, votes=(good.votes[0], replace(good.votes[1], held_term=1, held_size=1, held_head=b"h" * 32)))
        )


def certificate_signed_by(head: Head, held: Held) -> Certificate:
    """A certificate whose votes are truly signed, whatever they say."""
    return Certificate(
        head=head,
        votes=tuple(
            CertificateVote(
                signer=name,
                held_term=held.term,
                held_size=held.size,
                held_head=held.head_hash,
                signature=sign_vote(world.KEYS[name], head, held).signature,
            )
            for name in ("s1", "s2")
        ),
    )


def test_a_certificate_truly_signed_for_another_log_is_refused() -> None:
    verify(certificate_signed_by(HEAD, NO_CERTIFICATE))
    with pytest.raises(BadCertificate, match="another log"):
        verify(certificate_signed_by(replace(HEAD, log_id=bytes(32)), NO_CERTIFICATE))


def test_a_certificate_of_votes_that_no_honest_signer_casts_is_refused() -> None:
    with pytest.raises(BadCertificate, match="not below the head"):
        verify(certificate_signed_by(HEAD, held(2, 9)))


def test_a_certificate_makes_final_what_its_least_vote_names_in_the_same_term() -> None:
    head = world.head_at([b"a", b"b", b"c"], term=2)
    votes = [vote_of("s1", head, held(2, 2)), vote_of("s2", head, held(2, 1))]
    assert final_size(certificate_by(votes, 2)) == 1


def test_a_certificate_of_an_earlier_term_makes_nothing_final() -> None:
    head = world.head_at([b"a", b"b", b"c"], term=2)
    votes = [vote_of("s1", head, held(2, 2)), vote_of("s2", head, held(1, 2))]
    assert final_size(certificate_by(votes, 2)) == 0


def test_finality_counts_one_term_and_each_signer_once() -> None:
    far = world.head_at([b"a", b"b", b"c"], term=2)
    farther = world.head_at([b"a", b"b", b"c", b"d"], term=2)
    later = world.head_at([b"a", b"b", b"c"], term=3)
    one = vote_of("s1", far, held(2, 2))
    assert final_from_votes([one], term=2, electorate=electorate(world.VOTE_KEYS, 2)) == 0
    assert (
        final_from_votes([one, vote_of("s1", farther, held(2, 3))], term=2, electorate=electorate(world.VOTE_KEYS, 2))
        == 0
    )
    assert (
        final_from_votes([one, vote_of("s2", later, held(2, 2))], term=2, electorate=electorate(world.VOTE_KEYS, 2))
        == 0
    )
    assert (
        final_from_votes([one, vote_of("s2", farther, held(2, 3))], term=2, electorate=electorate(world.VOTE_KEYS, 2))
        == 2
    )
    assert (
        final_from_votes([one, vote_of("s2", far, held(1, 2))], term=2, electorate=electorate(world.VOTE_KEYS, 2)) == 0
    )


def test_a_vote_for_a_head_that_the_own_replay_did_not_give_makes_nothing_final_here() -> None:
    below, head = world.head_at([b"a"], term=2), world.head_at([b"a", b"b", b"c"], term=2)
    own = {1: (below.root, below.state_digest)}.get
    true = Held(term=2, size=1, head_hash=head_hash(below))
    for claim, final, is_lie in (
        (true, 1, False),
        (replace(true, head_hash=bytes(32)), 0, True),
        # Of another term, or where nothing is at hand to compare: no lie that could be shown, and nothing final.
        (replace(true, term=1), 0, False),
        (replace(true, size=2), 0, False),
    ):
        made = certificate_by([vote_of("s1", head, true), vote_of("s2", head, claim)], 2)
        assert final_size_here(made, own) == final
        assert [one.signer for one in false_claims(made, own)] == (["s2"] if is_lie else [])
