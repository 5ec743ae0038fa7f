"""Votes, certificates, and what a quorum of votes makes final.

A vote is one signer's word, in one term, for one head: log size, Merkle root and state digest. Votes of a quorum for
the same head are a certificate. A certificate can still vanish, when too few signers hold it and a new term starts from
a lower one. A head is final, and cannot vanish, once a quorum's votes of one term, each for a batch beyond it, each
name a certificate of that same term at or above it. Votes of other terms and certificates of earlier terms never count
towards it.

Spec: design, "The ledger", terms and finality.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

from strongroom.crypto.ed25519 import SigningKey
from strongroom.ledger.certificate_messages import Certificate, CertificateVote, Head
from strongroom.ledger.certification import (
    NO_CERTIFICATE,
    BadCertificate,
    Held,
    false_claims,
    final_size,
    final_size_here,
    head_hash,
    head_of,
    held_by,
    held_in,
    held_of,
    verify_certificate,
    vote_body,
    vote_problem,
)
from strongroom.ledger.electorate import Electorate
from strongroom.ledger.signed_messages import Vote
from strongroom.model.errors import Kind, StrongroomError
from strongroom.model.ids import LogId, SignerName
from strongroom.protocol.signed import BadSignedBody, SignedBody, open_body, sign_body

__all__ = [
    "NO_CERTIFICATE",
    "BadCertificate",
    "BadVote",
    "Held",
    "VerifiedVote",
    "certificate_from_votes",
    "false_claims",
    "final_from_votes",
    "final_size",
    "final_size_here",
    "head_hash",
    "head_of",
    "held_by",
    "held_of",
    "open_under",
    "sign_vote",
    "verify_certificate",
    "verify_vote",
    "vote_body",
]


M = TypeVar("M")


class BadVote(StrongroomError):
    """A vote is malformed or not by the signer it is said to be by; its sender is at fault."""

    reason = "VOTE_INVALID"
    kind = Kind.INVALID_ARGUMENT


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedVote:
    """A vote whose signature was verified, with the key it verified under and the bytes that prove it."""

    signer: SignerName
    key: bytes
    vote: Vote
    signed: SignedBody

    @property
    def head(self) -> Head:
        """The head it is for."""
        return head_of(self.vote)

    @property
    def held(self) -> Held:
        """The highest certificate its author held when it voted."""
        return held_in(self.vote)


def sign_vote(key: SigningKey, head: Head, held: Held) -> SignedBody:
    """Sign a vote. Whether it may be cast is decided in `voter`, and it is stored before it is sent."""
    return sign_body("vote", vote_body(head, held), key)


def open_under(kind: str, cls: type[M], signed: SignedBody, *, log_id: LogId, keys: Sequence[bytes]) -> tuple[M, bytes]:
    """Open a signed body under whichever of several keys it verifies; at least one is given.

    Returns:
        The message and the key.

    Raises:
        BadSignedBody: it verifies under none; says what is wrong under the last.
    """
    for key in keys[:-1]:
        with suppress(BadSignedBody):
            return open_body(kind, cls, signed, log_id=log_id, public_key=key), key
    return open_body(kind, cls, signed, log_id=log_id, public_key=keys[-1]), keys[-1]


def verify_vote(signer: str, signed: SignedBody, *, log_id: LogId, electorate: Electorate) -> VerifiedVote:
    """Verify a vote that arrived under the name `signer`.

    Raises:
        BadVote: the signer is unknown, or the vote cannot be by an honest one.
        BadSignedBody: signature, encoding or log id are wrong.
    """
    keys = electorate.keys_of(signer)
    if not keys:
        raise BadVote(f"{signer!r} is no signer of this charter", signer=signer)
    vote, key = open_under("vote", Vote, signed, log_id=log_id, keys=keys)
    problem = vote_problem(vote)
    if problem:
        raise BadVote(f"vote of {signer}: {problem}", signer=signer)
    return VerifiedVote(signer=SignerName(signer), key=key, vote=vote, signed=signed)


def certificate_from_votes(votes: Iterable[VerifiedVote], *, electorate: Electorate) -> Certificate:
    """Make the certificate of a quorum's votes for one head, out of that many or more.

    Of more votes than needed those are taken that name the highest certificates, because they make the most final.

    Raises:
        BadCertificate: too few different signers, or votes for different heads; the caller's fault.
    """
    by_signer = {vote.signer: vote for vote in votes}
    if not electorate.is_quorum({vote.signer: vote.key for vote in by_signer.values()}):
        need = " and ".join(str(part.quorum) for part in electorate.sets)
        raise BadCertificate(f"a certificate needs votes of {need} signers, there are {len(by_signer)}")
    heads = {vote.head for vote in by_signer.values()}
    if len(heads) != 1:
        raise BadCertificate("the votes are for different heads")
    best = sorted(by_signer.values(), key=lambda vote: (vote.held.rank, vote.signer), reverse=True)
    chosen = electorate.chosen((vote.signer, vote.key) for vote in best)
    return Certificate(
        head=heads.pop(),
        votes=tuple(
            CertificateVote(
                signer=name,
                held_term=by_signer[SignerName(name)].vote.held_term,
                held_size=by_signer[SignerName(name)].vote.held_size,
                held_head=by_signer[SignerName(name)].vote.held_head,
                signature=by_signer[SignerName(name)].signed.signature,
            )
            for name in sorted(chosen)
        ),
    )


def final_from_votes(votes: Iterable[VerifiedVote], *, term: int, electorate: Electorate) -> int:
    """Size up to which verified votes, perhaps for different heads of `term`, make the log final; 0 for nothing.

    Votes of other terms are ignored, and so are certificates of other terms that a vote names. A signer counts once,
    with the highest certificate it named.
    """
    named: dict[tuple[str, bytes], int] = {}
    for item in votes:
        if item.vote.term == term and item.vote.held_term == term:
            author = (item.signer, item.key)
            named[author] = max(named.get(author, 0), item.vote.held_size)
    for size in sorted(set(named.values()), reverse=True):
        if electorate.is_quorum({name: key for (name, key), most in named.items() if most >= size}):
            return size
    return 0
