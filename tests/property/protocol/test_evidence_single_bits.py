"""One changed bit of a record is refused, or the record still proves the same of the same signer."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evidence_world import Case, flipped
from strongroom.protocol.evidence import EvidenceInvalid, verify_evidence
from strongroom.protocol.evidence_file import EvidenceFileInvalid, read_evidence_file, write_evidence_file
from strongroom.protocol.evidence_records import malformed_commitments, malformed_dealing, two_votes


@cache
def case() -> Case:
    return Case()


@cache
def record(kind: str) -> bytes:
    known = case()
    charter = known.world.charter_bytes
    match kind:
        case "wrong share":
            return known.wrong_share()
        case "no points":
            signed = known.malformed(lambda nonces: (bytes(66), nonces[1]))
            return malformed_commitments(charter=charter, commitments=signed, plan=known.plan_bytes)
        case "wrong number":
            signed = known.malformed(lambda nonces: nonces[:1])
            return malformed_commitments(charter=charter, commitments=signed, plan=known.plan_bytes)
        case "malformed dealing":
            signed = known.dealing(commitments=())
            return malformed_dealing(charter=charter, dealing=signed, terms=known.dealing_terms.encoded)
        case _:
            votes = known.vote("s1"), known.vote("s1", digest=b"x" * 32)
            return two_votes(charter=charter, signer="s1", votes=votes)


@pytest.mark.parametrize("kind", ["wrong share", "no points", "wrong number", "malformed dealing", "two votes"])
@settings(max_examples=150, deadline=None)
@given(bit=st.integers(0, 1_000_000))
def test_a_changed_bit_never_changes_what_is_proven(kind: str, bit: int) -> None:
    log_id = case().world.log_id
    honest = verify_evidence(record(kind), log_id=log_id)
    try:
        proven = verify_evidence(flipped(record(kind), bit), log_id=log_id)
    except EvidenceInvalid:
        return
    assert replace(proven, hash=honest.hash) == honest


@settings(max_examples=100, deadline=None)
@given(data=st.binary(max_size=400))
def test_random_bytes_prove_nothing(data: bytes) -> None:
    with pytest.raises(EvidenceInvalid):
        verify_evidence(data, log_id=case().world.log_id)


@settings(max_examples=150, deadline=None)
@given(bit=st.integers(0, 1_000_000))
def test_a_changed_bit_of_the_file_is_refused(bit: int) -> None:
    content = write_evidence_file(record("two votes"))
    try:
        data = read_evidence_file(flipped(content, bit))
    except EvidenceFileInvalid:
        return
    # White space between the parts of a JSON text means nothing.
    assert data == record("two votes")
