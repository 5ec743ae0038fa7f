"""Certificates: what a vote covers, when votes certify a head, and what they make final.

Spec: design, "The ledger", terms and finality.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from strongroom.ledger import codec
from strongroom.ledger.certificate_messages import Certificate, CertificateVote, Head
from strongroom.ledger.electorate import Electorate
from strongroom.ledger.signed_messages import Vote
from strongroom.model.errors import Kind, StrongroomError
from strongroom.model.ids import LogId

__all__ = [
    "NO_CERTIFICATE",
    "BadCertificate",
    "Held",
    "false_claims",
    "final_size",
    "final_size_here",
    "head_hash",
    "head_of",
    "held_by",
    "held_in",
    "held_of",
    "verify_certificate",
    "vote_body",
    "vote_problem",
]

_HEAD_TAG: Final = b"strongroom/head/v1"


class BadCertificate(StrongroomError):
    """A certificate does not carry a quorum of valid votes of known signers for its head; its sender is at fault."""

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


def held_in(vote: Vote) -> Held:
    """The certificate that a vote names as held."""
    return Held(term=vote.held_term, size=vote.held_size, head_hash=vote.held_head)


def held_by(item: CertificateVote) -> Held:
    """The certificate that one vote of a certificate names."""
    return Held(term=item.held_term, size=item.held_size, head_hash=item.held_head)


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


def vote_problem(vote: Vote) -> str:
    """What no honest signer would ever sign, or nothing."""
    held = held_in(vote)
    if vote.term < 1 or vote.size < 1:
        return "terms and sizes start at 1"
    if not held.is_well_formed:
        return "the certificate it names is incomplete"
    if held.rank >= (vote.term, vote.size):
        return "it names a certificate that is not below the head it is for"
    return ""


def verify_certificate(certificate: Certificate, *, log_id: LogId, electorate: Electorate) -> None:
    """Check a certificate: different known signers in ascending order, each vote well formed and signed.

    Of one witness set there are exactly as many votes as its quorum. Of two, a quorum of each, each vote counts for at
    least one, and there are no more than the two quorums together.

    Args:
        certificate: What is to be believed.
        log_id: The log it must be for.
        electorate: Whose votes count for heads of that size.

    Raises:
        BadCertificate: the first thing that is wrong; whoever sent it is at fault.
    """
    head = certificate.head
    if head.log_id != log_id:
        raise BadCertificate("the certificate is for another log", log_id=head.log_id.hex(), expected=log_id.hex())
    count, most = len(certificate.votes), electorate.most_votes
    if len(electorate.sets) == 1 and count != most:
        raise BadCertificate(f"a certificate has exactly {most} votes, this one has {count}")
    if count > most:
        raise BadCertificate(f"a certificate of two witness sets has at most {most} votes, this one has {count}")
    voters: dict[str, bytes] = {}
    previous = ""
    for item in certificate.votes:
        if item.signer <= previous:
            raise BadCertificate(f"signers must ascend: {item.signer!r} stands after {previous!r}")
        previous = item.signer
        voters[item.signer] = _vote_key(item, head, electorate)
    missing = electorate.missing(voters)
    if any(missing):
        raise BadCertificate(f"the certificate lacks {max(missing)} votes of one witness set")


def _vote_key(item: CertificateVote, head: Head, electorate: Electorate) -> bytes:
    if not electorate.keys_of(item.signer):
        raise BadCertificate(f"{item.signer!r} is no signer of this charter", signer=item.signer)
    vote = vote_body(head, held_by(item))
    problem = vote_problem(vote)
    if problem:
        raise BadCertificate(f"vote of {item.signer}: {problem}", signer=item.signer)
    key = electorate.key_that_signed(item.signer, "vote", codec.encode(vote), item.signature)
    if key is None:
        raise BadCertificate(f"the vote of {item.signer} does not verify under its vote key", signer=item.signer)
    return key


OwnHead = Callable[[int], tuple[bytes, bytes] | None]
"""Root and state digest that an own replay gave at a size; None where no batch ends, or where it is not at hand."""


def false_claims(certificate: Certificate, own: OwnHead) -> tuple[CertificateVote, ...]:
    """Votes that name a certificate of the very term of this one which the own history shows never to have been.

    All heads that one term certifies are of one history, and that of a verified certificate whose head is the own is
    the own history. A quorum of votes proves a history; the claim of a single one proves no more than that its author
    lies. So nothing may be stopped by it.

    Args:
        certificate: Verified, of a head that the own replay gave.
        own: What the own replay gave further down. What it does not show is compared with nothing.
    """
    return tuple(item for item in certificate.votes if _is_of(item, certificate.head, own) is False)


def final_size_here(certificate: Certificate, own: OwnHead) -> int:
    """The same as `final_size`, of votes that each name a head which the own replay gave; 0 when one of them does not.

    Args:
        certificate: Verified, of a head that the own replay gave.
        own: What the own replay gave further down.
    """
    if not all(_is_of(item, certificate.head, own) for item in certificate.votes):
        return 0
    return final_size(certificate)


def _is_of(item: CertificateVote, head: Head, own: OwnHead) -> bool | None:
    """Whether the certificate that a vote names is of the own history; None when that cannot be said here.

    One of an earlier term may have vanished since, and says nothing.
    """
    if item.held_term != head.term:
        return None
    given = own(item.held_size)
    if given is None:
        return None
    root, digest = given
    held = Head(log_id=head.log_id, term=head.term, size=item.held_size, root=root, state_digest=digest)
    return head_hash(held) == item.held_head


def final_size(certificate: Certificate) -> int:
    """Size up to which the votes of a verified certificate make the log final; 0 when they make nothing final.

    The log up to any size at or below this one is final. The vote that names the least certificate decides, so that a
    quorum of each set names one as high; and a vote that names one of an earlier term makes the whole certificate say
    nothing about finality.
    """
    term = certificate.head.term
    if any(item.held_term != term for item in certificate.votes):
        return 0
    return min(item.held_size for item in certificate.votes)
