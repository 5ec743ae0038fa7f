"""Targets of evidence: records of what a signer did, and the files in which they travel."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from fuzz_target import target, total

from evidence_world import Case
from strongroom.ledger import codec
from strongroom.protocol.evidence import evidence_log_id, verify_evidence
from strongroom.protocol.evidence_file import read_evidence_file, write_evidence_file
from strongroom.protocol.evidence_records import (
    Evidence,
    evidence_hash,
    malformed_commitments,
    malformed_dealing,
    two_votes,
)


@lru_cache(maxsize=1)
def case() -> Case:
    return Case()


@lru_cache(maxsize=1)
def records() -> tuple[bytes, ...]:
    made = case()
    charter, plan = made.world.charter_bytes, made.plan_bytes
    short = made.malformed(lambda nonces: nonces[:1])
    return (
        made.wrong_share(),
        malformed_commitments(charter=charter, commitments=short, plan=plan),
        two_votes(charter=charter, signer="s1", votes=(made.vote("s1"), made.vote("s1", root=b"x" * 32))),
        malformed_dealing(charter=charter, dealing=made.dealing(commitments=()), terms=made.dealing_terms.encoded),
    )


def record_seeds() -> Iterator[bytes]:
    yield from records()


@target(
    "strongroom.protocol.evidence:evidence_log_id",
    "strongroom.protocol.evidence:verify_evidence",
    seeds=record_seeds,
    max_bytes=8_192,
)
def evidence_record(data: bytes) -> None:
    """A record of evidence: it proves something of a signer of this log, or nothing."""
    total(evidence_log_id, data)
    proven = total(verify_evidence, data, log_id=case().world.log_id)
    if proven is None:
        return
    if codec.encode(codec.decode(Evidence, data, max_size=1 << 24)) != data or proven.hash != evidence_hash(data):
        raise ValueError("a record has two encodings or two names")
    if proven.signer not in case().vote_keys:
        raise ValueError("a record names somebody who is no signer")


def file_seeds() -> Iterator[bytes]:
    yield write_evidence_file(b"a record")


@target("strongroom.protocol.evidence_file:read_evidence_file", seeds=file_seeds, max_bytes=2_048)
def evidence_file(data: bytes) -> None:
    """The file of a record: the record whose name stands beside it."""
    found = total(read_evidence_file, data)
    if found is not None and read_evidence_file(write_evidence_file(found)) != found:
        raise ValueError("a record changes in its file")
