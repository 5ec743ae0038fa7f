"""Frames from the coordinator are checked before anything else sees them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strongroom.api.signer.v1 import signer_link_service_pb2 as pb
from strongroom.api.types.v1 import types_pb2
from strongroom_signer.frames import BadFrame, batches_of, request_of

SIGNED = types_pb2.SignedBody(body=b"x", signature=bytes(64))
UNSIGNED = types_pb2.SignedBody(body=b"x", signature=bytes(63))

GOOD: dict[str, Any] = {
    "promise": pb.Promise(term=1, leader=bytes(16)),
    "open_term": pb.OpenTerm(term=1, statements=[SIGNED]),
    "append": pb.Append(term=1, first_index=4, entries=[b"e"], size=5, root=bytes(32)),
    "commit": pb.Commit(term=1, entry_indexes=[4]),
    "release": pb.Release(sets=[pb.SigningSet(entry_index=4, commitments=[SIGNED])]),
    "keygen_round1": pb.KeygenRound1(order_hash=bytes(32), attempt=1),
    "keygen_round2": pb.KeygenRound2(order_hash=bytes(32), attempt=1, message=b"m"),
    "keygen_finish": pb.KeygenFinish(order_hash=bytes(32), attempt=1, message=b"m"),
    "trial_commit": pb.TrialCommit(order_hash=bytes(32), attempt=1, signers=[0, 1]),
    "trial_sign": pb.TrialSign(order_hash=bytes(32), attempt=1, signers=[0], nonces=[bytes(66)]),
    "explain": pb.Explain(order_hash=bytes(32)),
    "fetch_batches": pb.FetchBatches(first_index=0, end_index=1),
    "fetch_recovery": pb.FetchRecovery(hashes=[bytes(32)]),
}


def frame(kind: str, body: Any) -> pb.LinkResponse:
    made = pb.LinkResponse(seq=1)
    getattr(made, kind).CopyFrom(body)
    return made


@pytest.mark.parametrize("kind", GOOD)
def test_well_formed_requests_are_read(kind: str) -> None:
    assert request_of(frame(kind, GOOD[kind]))


@pytest.mark.parametrize(
    ("kind", "body", "where"),
    [
        ("promise", pb.Promise(term=1, leader=bytes(15)), "promise.leader"),
        ("open_term", pb.OpenTerm(term=1), "open_term.statements"),
        ("open_term", pb.OpenTerm(term=1, statements=[UNSIGNED]), "open_term.statements"),
        ("open_term", pb.OpenTerm(term=1, statements=[SIGNED], base_certificate=b"x"), "base_certificate"),
        ("append", pb.Append(term=1, first_index=0, entries=[], size=0, root=bytes(32)), "append.entries"),
        ("append", pb.Append(term=1, first_index=0, entries=[b""], size=1, root=bytes(32)), "append.entries"),
        ("append", pb.Append(term=1, first_index=0, entries=[bytes(65_536)], size=1, root=bytes(32)), "append.entries"),
        ("append", pb.Append(term=1, first_index=0, entries=[b"e"] * 4_097, size=4_097, root=bytes(32)), "entries"),
        ("append", pb.Append(term=1, first_index=0, entries=[b"e"], size=2, root=bytes(32)), "append.size"),
        ("append", pb.Append(term=1, first_index=0, entries=[b"e"], size=1, root=bytes(31)), "append.root"),
        ("append", pb.Append(term=1, entries=[b"e"], size=1, root=bytes(32), certificate=b"x"), "append.certificate"),
        ("append", pb.Append(term=1, entries=[b"e"], size=1, root=bytes(32), commit_for=[1] * 4_097), "commit_for"),
        ("commit", pb.Commit(term=1), "commit.entry_indexes"),
        ("release", pb.Release(), "release.sets"),
        ("release", pb.Release(sets=[pb.SigningSet(entry_index=1)]), "commitments"),
        ("release", pb.Release(sets=[pb.SigningSet(entry_index=1, commitments=[SIGNED])] * 2), "release.sets"),
        ("certify", pb.Certify(), "certify.certificate"),
        ("keygen_round1", pb.KeygenRound1(order_hash=bytes(31)), "keygen_round1.order_hash"),
        ("keygen_round2", pb.KeygenRound2(order_hash=bytes(32)), "keygen_round2.message"),
        ("trial_sign", pb.TrialSign(order_hash=bytes(32), signers=[0], nonces=[]), "trial_sign.nonces"),
        ("trial_sign", pb.TrialSign(order_hash=bytes(32), signers=[0], nonces=[b"x"]), "trial_sign.nonces"),
        ("explain", pb.Explain(), "explain.order_hash"),
        ("fetch_batches", pb.FetchBatches(first_index=2, end_index=2), "end_index"),
        ("append", pb.Append(first_index=2**63, entries=[b"e"], size=2**63 + 1, root=bytes(32)), "append.first_index"),
        ("append", pb.Append(entries=[b"e"], size=1, root=bytes(32), commit_for=[2**63]), "append.commit_for"),
        ("commit", pb.Commit(term=1, entry_indexes=[2**63]), "commit.entry_indexes"),
        ("release", pb.Release(sets=[pb.SigningSet(entry_index=2**63, commitments=[SIGNED])]), "sets.entry_index"),
        ("fetch_batches", pb.FetchBatches(first_index=2**63, end_index=2**64 - 1), "fetch_batches.first_index"),
        ("append", pb.Append(entries=[b"e"], size=1, root=bytes(32), recovery_data=[b""]), "append.recovery_data"),
        ("append", pb.Append(entries=[b"e"], size=1, root=bytes(32), recovery_data=[bytes(40_001)]), "recovery_data"),
        ("append", pb.Append(entries=[b"e"], size=1, root=bytes(32), recovery_data=[bytes(40_000)] * 105), "together"),
        ("fetch_recovery", pb.FetchRecovery(), "fetch_recovery.hashes"),
        ("fetch_recovery", pb.FetchRecovery(hashes=[bytes(31)]), "fetch_recovery.hashes"),
        ("fetch_recovery", pb.FetchRecovery(hashes=[bytes(32)] * 101), "fetch_recovery.hashes"),
        ("welcome", pb.Welcome(), "no request"),
        ("batches", pb.Batches(), "no request"),
    ],
)
def test_field_out_of_its_range_is_named(kind: str, body: Any, where: str) -> None:
    with pytest.raises(BadFrame) as error:
        request_of(frame(kind, body))
    assert where in error.value.message


def test_empty_frame_is_no_request() -> None:
    with pytest.raises(BadFrame):
        request_of(pb.LinkResponse(seq=1))


def test_batches_must_follow_one_another() -> None:
    first = types_pb2.LogBatch(first_index=0, entries=[b"a", b"b"])
    assert len(batches_of(pb.Batches(batches=[first, types_pb2.LogBatch(first_index=2, entries=[b"c"])]))) == 2
    for wrong in (3, 1, 0):
        with pytest.raises(BadFrame):
            batches_of(pb.Batches(batches=[first, types_pb2.LogBatch(first_index=wrong, entries=[b"c"])]))
    with pytest.raises(BadFrame):
        batches_of(pb.Batches(batches=[types_pb2.LogBatch(first_index=0, entries=[b"c"], certificate=b"x")]))


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_are_a_request_or_refused(data: bytes) -> None:
    made = pb.LinkResponse()
    try:
        made.MergeFromString(data)
    except Exception:  # protobuf's own refusal, before this code sees anything
        return
    try:
        request_of(made)
    except BadFrame:
        return
