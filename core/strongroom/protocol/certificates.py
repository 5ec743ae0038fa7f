"""Votes, certificates, and what w votes make final.

A vote is one signer's word, in one term, for one head: log size, Merkle root and state digest. w votes for the same
head are a certificate. A certificate can still vanish, when too few signers hold it and a new term starts from a lower
one. A head is final, and cannot vanish, once w votes of one term, each for a batch beyond it, each name a certificate
of that same term at or above it. Votes of other terms and certificates of earlier terms never count towards it.

Spec: design, "The ledger", terms and finality.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from strongroom.crypto import ed25519
from strongroom.crypto.ed25519 import SigningKey
from strongroom.ledger import codec
from strongroom.ledger.messages import Certificate, CertificateVote, Head, Vote
from strongroom.ledger.pae import pae
from strongroom.model.errors import Kind, StrongroomError
from strongroom.model.ids import LogId, SignerName
from strongroom.protocol.signed import SignedBody, open_body, sign_body

__all__ = [
    "NO_CERTIFICATE",
    "BadCertificate",
    "BadVote",
    "Held",
    "VerifiedVote",
    "certificate_from_votes",
    "final_from_votes",
    "final_size",
    "head_hash",
    "head_of",
    "held_by",
    "held_of",
    "sign_vote",
    "verify_certificate",
    "verify_vote",
    "vote_body",
]

_HEAD_TAG: Final = b"strongroom/head/v1"


class BadVote(StrongroomError):
    """A vote is malformed or not by the signer it is said to be by; its sender is at fault."""

    reason = "VOTE_INVALID"
    kind = Kind.INVALID_ARGUMENT


class BadCertificate(StrongroomError):
    """A certificate does not carry w valid votes of known signers for its head; its sender is at fault."""

    reason = "CERTIFICATE_INVALID"
    kind = Kind.INVALID_ARGUMENT


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """Names the highest certificate somebody holds: term, size and head hash (32 bytes); 0, 0 and empty for none."""

    term: int
    size: int
    head_hash: bytes

    @property
    def rank(self) -> tuple[int, int]:
        """Certificates are ordered by term and then by size."""
        return self.term, self.size

    @property
    def is_well_formed(self) -> bool:
        """Whether all three parts are there, or none."""
        if self.term == 0:
            return self.size == 0 and not self.head_hash
        return self.size > 0 and len(self.head_hash) == 32


NO_CERTIFICATE: Final = Held(term=0, size=0, head_hash=b"")


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedVote:
    """A vote whose signature was verified, with the bytes that prove it."""

    signer: SignerName
    vote: Vote
    signed: SignedBody

    @property
    def head(self) -> Head:
        """The head it is for."""
        return head_of(self.vote)

    @property
    def held(self) -> Held:
        """The highest certificate its author held when it voted."""
        return _named(self.vote)


def head_hash(head: Head) -> bytes:
    """SHA-256 of `strongroom/head/v1` and the head's canonical bytes; 32 bytes."""
    return hashlib.sha256(_HEAD_TAG + codec.encode(head)).digest()


def head_of(vote: Vote) -> Head:
    """The head a vote is for."""
    return Head(log_id=vote.log_id, term=vote.term, size=vote.size, root=vote.root, state_digest=vote.state_digest)


def held_of(certificate: Certificate | None) -> Held:
    """How votes and NEWTERM statements name this certificate."""
    if certificate is None:
        return NO_CERTIFICATE
    head = certificate.head
    return Held(term=head.term, size=head.size, head_hash=head_hash(head))


def vote_body(head: Head, held: Held) -> Vote:
    """The body of a vote for `head` by a signer that holds `held`."""
    return Vote(
        log_id=head.log_id,
        term=head.term,
        size=head.size,
        root=head.root,
        state_digest=head.state_digest,
        held_term=held.term,
        held_size=held.size,
        held_head=held.head_hash,
    )


def sign_vote(key: SigningKey, head: Head, held: Held) -> SignedBody:
    """Sign a vote. Whether it may be cast is decided in `voter`, and it is stored before it is sent."""
    return sign_body("vote", vote_body(head, held), key)


def verify_vote(signer: str, signed: SignedBody, *, log_id: LogId, vote_keys: Mapping[str, bytes]) -> VerifiedVote:
    """Verify a vote that arrived under the name `signer`.

    Raises:
        BadVote: the signer is unknown, or the vote cannot be by an honest one.
        BadSignedBody: signature, encoding or log id are wrong.
    """
    key = vote_keys.get(signer)
    if key is None:
        raise BadVote(f"{signer!r} is no signer of this charter", signer=signer)
    vote = open_body("vote", Vote, signed, log_id=log_id, public_key=key)
    problem = _problem_of(vote)
    if problem:
        raise BadVote(f"vote of {signer}: {problem}", signer=signer)
    return VerifiedVote(signer=SignerName(signer), vote=vote, signed=signed)


def certificate_from_votes(votes: Iterable[VerifiedVote], *, witness_quorum: int) -> Certificate:
    """Make the certificate of w votes for one head, out of w or more.

    Of more than w votes those are taken that name the highest certificates, because they make the most final.

    Raises:
        BadCertificate: fewer than w different signers, or votes for different heads; the caller's fault.
    """
    by_signer = {vote.signer: vote for vote in votes}
    if len(by_signer) < witness_quorum:
        raise BadCertificate(f"a certificate needs votes of {witness_quorum} signers, there are {len(by_signer)}")
    heads = {vote.head for vote in by_signer.values()}
    if len(heads) != 1:
        raise BadCertificate("the votes are for different heads")
    best = sorted(by_signer.values(), key=lambda vote: (vote.held.rank, vote.signer), reverse=True)[:witness_quorum]
    return Certificate(
        head=heads.pop(),
        votes=tuple(
            CertificateVote(
                signer=item.signer,
                held_term=item.vote.held_term,
                held_size=item.vote.held_size,
                held_head=item.vote.held_head,
                signature=item.signed.signature,
            )
            for item in sorted(best, key=lambda vote: vote.signer)
        ),
    )


def verify_certificate(
    certificate: Certificate, *, log_id: LogId, vote_keys: Mapping[str, bytes], witness_quorum: int
) -> None:
    """Check a certificate: exactly w different known signers in ascending order, each vote well formed and signed.

    Args:
        certificate: What is to be believed.
        log_id: The log it must be for.
        vote_keys: Vote key (32 bytes) of every signer of the charter in force.
        witness_quorum: w of that charter.

    Raises:
        BadCertificate: the first thing that is wrong; whoever sent it is at fault.
    """
    head = certificate.head
    if head.log_id != log_id:
        raise BadCertificate("the certificate is for another log", log_id=head.log_id.hex(), expected=log_id.hex())
    if len(certificate.votes) != witness_quorum:
        raise BadCertificate(f"a certificate has exactly {witness_quorum} votes, this one has {len(certificate.votes)}")
    previous = ""
    for item in certificate.votes:
        if item.signer <= previous:
            raise BadCertificate(f"signers must ascend: {item.signer!r} stands after {previous!r}")
        previous = item.signer
        key = vote_keys.get(item.signer)
        if key is None:
            raise BadCertificate(f"{item.signer!r} is no signer of this charter", signer=item.signer)
        vote = vote_body(head, held_by(item))
        problem = _problem_of(vote)
        if problem:
            raise BadCertificate(f"vote of {item.signer}: {problem}", signer=item.signer)
        if not ed25519.verify(key, pae("vote", codec.encode(vote)), item.signature):
            raise BadCertificate(f"the vote of {item.signer} does not verify under its vote key", signer=item.signer)


def held_by(item: CertificateVote) -> Held:
    """The certificate that one vote of a certificate names."""
    return Held(term=item.held_term, size=item.held_size, head_hash=item.held_head)


def final_size(certificate: Certificate) -> int:
    """Size up to which the votes of a verified certificate make the log final; 0 when they make nothing final.

    The log up to any size at or below this one is final. The vote that names the least certificate decides, and a vote
    that names one of an earlier term makes the whole certificate say nothing about finality.
    """
    term = certificate.head.term
    if any(item.held_term != term for item in certificate.votes):
        return 0
    return min(item.held_size for item in certificate.votes)


def final_from_votes(votes: Iterable[VerifiedVote], *, term: int, witness_quorum: int) -> int:
    """Size up to which verified votes, perhaps for different heads of `term`, make the log final; 0 for nothing.

    Votes of other terms are ignored, and so are certificates of other terms that a vote names. A signer counts once,
    with the highest certificate it named.
    """
    named: dict[str, int] = {}
    for item in votes:
        if item.vote.term == term and item.vote.held_term == term:
            named[item.signer] = max(named.get(item.signer, 0), item.vote.held_size)
    if len(named) < witness_quorum:
        return 0
    return sorted(named.values(), reverse=True)[witness_quorum - 1]


def _named(vote: Vote) -> Held:
    return Held(term=vote.held_term, size=vote.held_size, head_hash=vote.held_head)


def _problem_of(vote: Vote) -> str:
    """What no honest signer would ever sign, or nothing."""
    held = _named(vote)
    if vote.term < 1 or vote.size < 1:
        return "terms and sizes start at 1"
    if not held.is_well_formed:
        return "the certificate it names is incomplete"
    if held.rank >= (vote.term, vote.size):
        return "it names a certificate that is not below the head it is for"
    return ""
