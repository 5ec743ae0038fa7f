"""Heads with the votes that certify them, and the witness sets whose votes count."""

from __future__ import annotations

from strongroom.ledger import codec
from strongroom.ledger.codec import message

__all__ = [
    "MAX_CERTIFICATE_VOTES",
    "Certificate",
    "CertificateVote",
    "Head",
    "StateSummary",
    "TableSummary",
    "Witness",
    "WitnessSet",
]

MAX_CERTIFICATE_VOTES = 200
"""Two witness sets of 100 signers each, when the one takes over from the other."""


@message
class Head:
    """What a certificate certifies. Its hash is `head_hash`."""

    log_id: bytes = codec.fixed(1, 32)
    term: int = codec.u64(2)
    size: int = codec.u64(3)
    root: bytes = codec.fixed(4, 32)
    state_digest: bytes = codec.fixed(5, 32)


@message
class CertificateVote:
    """One signer's vote in a certificate; the rest of the VOTE body is the certificate's head."""

    signer: str = codec.name(1)
    held_term: int = codec.u64(2)
    held_size: int = codec.u64(3)
    held_head: bytes = codec.fixed(4, 32, optional=True)
    signature: bytes = codec.fixed(5, 64)


@message
class Certificate:
    """Votes for one head, signers in ascending order of name: of w signers, or of both quorums during a handover."""

    head: Head = codec.embedded(1, Head)
    votes: tuple[CertificateVote, ...] = codec.repeated(2, CertificateVote, minimum=1, maximum=MAX_CERTIFICATE_VOTES)


@message
class Witness:
    """One signer as a voter."""

    name: str = codec.name(1)
    vote_key: bytes = codec.fixed(2, 32)
    """Ed25519."""


@message
class WitnessSet:
    """Signers whose votes count, and how many of them make a quorum."""

    signers: tuple[Witness, ...] = codec.repeated(1, Witness, minimum=1, maximum=100)
    quorum: int = codec.u64(2)


@message
class TableSummary:
    """Number of records of a table of the state and its Merkle root."""

    count: int = codec.u64(1)
    root: bytes = codec.fixed(2, 32)


@message
class StateSummary:
    """What a state digest is the hash of: rule set, log time, and every table in digest order."""

    rule_set: int = codec.u64(1)
    time_ms: int = codec.u64(2)
    tables: tuple[TableSummary, ...] = codec.repeated(3, TableSummary, minimum=1, maximum=32)
