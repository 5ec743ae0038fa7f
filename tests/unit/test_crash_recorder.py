"""The judge of recorded frames finds a nonce in two shares and two votes at one place, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from crash_recorder import Record
from strongroom.api.signer.v1 import signer_link_service_pb2 as pb
from strongroom.api.types.v1 import types_pb2
from strongroom.ledger import codec
from strongroom.ledger.signed_messages import Commitments, Shares, Vote
from strongroom.protocol.commitments import commitments_hash
from strongroom.protocol.signed import SignedBody

LOG = bytes(32)
NONCE = b"\x02" * 66


def commitments(session: int, nonce: bytes = NONCE) -> SignedBody:
    body = Commitments(
        log_id=LOG,
        term=1,
        entry_index=7,
        plan_hash=LOG,
        vault_epoch=1,
        boot_id=bytes(16),
        session=bytes([session] * 16),
        nonces=(nonce,),
        signer="north",
    )
    return SignedBody(body=codec.encode(body), signature=bytes(64))


def share(chosen: SignedBody, value: int) -> bytes:
    body = Shares(
        log_id=LOG,
        term=1,
        certified_size=8,
        entry_index=7,
        plan_hash=LOG,
        vault_epoch=1,
        signers=("north",),
        commitments_hash=commitments_hash([chosen]),
        shares=(bytes([value] * 32),),
        signer="north",
    )
    return codec.encode(body)


def read_record(*files: Path) -> Record:
    record = Record()
    record.read(*files)
    return record


def write(file: Path, *frames: tuple[str, Any]) -> Path:
    lines = [
        json.dumps({"kind": kind, "signer": "north", "frame": frame.SerializeToString().hex()})
        for kind, frame in frames
    ]
    file.write_text("\n".join(lines) + "\n")
    return file


def asked(chosen: SignedBody) -> tuple[str, Any]:
    one = types_pb2.SignedBody(body=chosen.body, signature=chosen.signature)
    return "to", pb.LinkResponse(release=pb.Release(sets=[pb.SigningSet(entry_index=7, commitments=[one])]))


def released(body: bytes) -> tuple[str, Any]:
    shares = types_pb2.SignedBody(body=body, signature=bytes(64))
    return "from", pb.LinkRequest(released=pb.Released(results=[pb.ShareResult(entry_index=7, shares=shares)]))


def voted(size: int, root: int) -> tuple[str, Any]:
    body = Vote(
        log_id=LOG, term=3, size=size, root=bytes([root] * 32), state_digest=bytes(32), held_term=0, held_size=0
    )
    vote = types_pb2.SignedBody(body=codec.encode(body), signature=bytes(64))
    return "from", pb.LinkRequest(voted=pb.Voted(vote=vote))


def test_one_share_seen_at_both_ends_of_the_link_is_one(tmp_path: Path) -> None:
    one = commitments(1)
    frames = (asked(one), released(share(one, 5)), voted(9, 1), voted(9, 1), voted(10, 2))
    record = read_record(write(tmp_path / "a", *frames), write(tmp_path / "b", *frames))
    assert not record.used_twice
    assert not record.voted_twice
    assert record.sessions == {("north", bytes([1] * 16))}


def test_a_nonce_in_two_shares_is_found_whatever_its_session_is_called(tmp_path: Path) -> None:
    first, second = commitments(1), commitments(2)
    frames = (asked(first), asked(second), released(share(first, 5)), released(share(second, 6)))
    assert read_record(write(tmp_path / "a", *frames)).used_twice == [NONCE]


def test_two_votes_at_one_place_are_found(tmp_path: Path) -> None:
    record = read_record(write(tmp_path / "a", voted(9, 1)), write(tmp_path / "b", voted(9, 2)))
    assert record.voted_twice == [("north", 3, 9)]


def test_a_record_goes_on_where_it_stopped_and_leaves_a_line_that_is_not_whole(tmp_path: Path) -> None:
    first, second = commitments(1), commitments(2)
    file = write(tmp_path / "a", asked(first), released(share(first, 5)))
    record = read_record(file)
    text = write(tmp_path / "b", asked(second), released(share(second, 6))).read_text()
    with file.open("a") as stream:
        stream.write(text[:-10])
    record.read(file)
    assert not record.used_twice
    with file.open("a") as stream:
        stream.write(text[-10:])
    record.read(file)
    assert record.used_twice == [NONCE]
