"""Blame that anybody can check: what a record proves, and every way in which one could be forged."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest

import charter_builder as builder
from evidence_world import SECOND, TERM, Case
from ledger_world import World
from strongroom.ledger import codec
from strongroom.ledger.entry_messages import Entry
from strongroom.ledger.plans import plan_hash
from strongroom.ledger.signed_messages import Shares
from strongroom.model.ids import LogId
from strongroom.protocol.evidence import EvidenceInvalid, Fault, verify_evidence
from strongroom.protocol.evidence_file import (
    MAX_FILE_BYTES,
    EvidenceFileInvalid,
    read_evidence_file,
    write_evidence_file,
)
from strongroom.protocol.evidence_records import (
    Evidence,
    MalformedCommitments,
    TwoVotes,
    Word,
    evidence_hash,
    malformed_commitments,
    two_votes,
    wrong_share,
)
from strongroom.protocol.signed import SignedBody

ORIGIN = "on paper: one list of commitments shown to a signer, another to its judge"


@pytest.fixture(scope="module")
def case() -> Case:
    return Case()


def refusal(case: Case, data: bytes) -> str:
    with pytest.raises(EvidenceInvalid) as caught:
        verify_evidence(data, log_id=case.world.log_id)
    return caught.value.message


# --- what is proven ---------------------------------------------------------------------------------------------------


def test_a_wrong_share_names_its_sender_and_its_input(case: Case) -> None:
    data = case.wrong_share()
    proven = verify_evidence(data, log_id=case.world.log_id)
    assert (proven.signer, proven.fault, proven.term) == ("s2", Fault.WRONG_SHARE, TERM)
    assert proven.plan_hash == case.plan_hash
    assert proven.hash == hashlib.sha256(data).digest() == evidence_hash(data)
    assert "input 1 " in proven.detail


def test_too_few_shares_under_the_right_context_name_their_sender(case: Case) -> None:
    own = {name: case.commit(name) for name in ("s1", "s2")}
    commitments = [item.signed for item in own.values()]
    shares = case.share("s1", own["s1"], commitments, shares=(SECOND,))
    proven = verify_evidence(wrong_share(**case.parts(shares, commitments)), log_id=case.world.log_id)
    assert (proven.signer, proven.detail) == ("s1", "1 shares for a plan of 2 inputs")


def test_commitments_that_are_no_points_need_no_plan(case: Case) -> None:
    signed = case.malformed(lambda nonces: (nonces[0], b"\x02" + b"\xff" * 32 + nonces[1][33:]))
    data = malformed_commitments(charter=case.world.charter_bytes, commitments=signed, plan=case.plan_bytes)
    assert case.plan_bytes not in data
    proven = verify_evidence(data, log_id=case.world.log_id)
    assert (proven.signer, proven.fault) == ("s3", Fault.MALFORMED_COMMITMENTS)
    assert proven.detail == "its commitment for input 1 is no pair of points"


def test_a_wrong_number_of_commitments_is_proven_by_the_plan(case: Case) -> None:
    signed = case.malformed(lambda nonces: nonces[:1])
    data = malformed_commitments(charter=case.world.charter_bytes, commitments=signed, plan=case.plan_bytes)
    proven = verify_evidence(data, log_id=case.world.log_id)
    assert proven.detail == "1 commitments for a plan of 2 inputs"


@pytest.mark.attack(
    line="holders",
    title="a signer votes for two heads at one term and size",
    origin="on paper: a key used in two copies of one machine",
)
def test_two_votes_are_proven_alike_in_either_order(case: Case) -> None:
    votes = case.vote("s1"), case.vote("s1", root=b"x" * 32)
    first, second = (
        two_votes(charter=case.world.charter_bytes, signer="s1", votes=pair) for pair in (votes, (votes[1], votes[0]))
    )
    assert first == second
    proven = verify_evidence(first, log_id=case.world.log_id)
    assert (proven.signer, proven.fault, proven.term) == ("s1", Fault.TWO_VOTES, TERM)


def test_two_votes_make_one_record(case: Case) -> None:
    first, second = sorted((case.vote("s1"), case.vote("s1", root=b"x" * 32)), key=lambda vote: vote.body)
    words = [Word(body=vote.body, signature=vote.signature) for vote in (second, first)]
    fault = TwoVotes(signer="s1", first=words[0], second=words[1])
    data = codec.encode(Evidence(version=1, charter=case.world.charter_bytes, fault=fault))
    assert "not in the order of a canonical record" in refusal(case, data)


# --- framing ----------------------------------------------------------------------------------------------------------


@pytest.mark.attack(
    line="coordinator", title="a right share shown as a wrong one", origin="multi-party-sig #124: false blame"
)
def test_a_right_share_is_no_evidence(case: Case) -> None:
    own = {name: case.commit(name) for name in ("s1", "s2")}
    commitments = [item.signed for item in own.values()]
    shares = case.share("s2", own["s2"], commitments)
    assert "every share of s2 in the record is right" in refusal(case, wrong_share(**case.parts(shares, commitments)))


@pytest.mark.attack(
    line="coordinator",
    title="a right share shown beside another set's commitments",
    origin="multi-party-sig #124: commitments swapped to blame an honest signer",
)
def test_other_commitments_than_the_signer_named_are_refused(case: Case) -> None:
    own = {name: case.commit(name) for name in ("s1", "s2")}
    shares = case.share("s2", own["s2"], [item.signed for item in own.values()])
    swapped = [case.commit("s1").signed, own["s2"].signed]
    assert "for other commitments" in refusal(case, wrong_share(**case.parts(shares, swapped)))


@pytest.mark.attack(
    line="coordinator", title="a share of one session shown as that of another", origin="on paper: a replayed share"
)
def test_a_share_of_another_session_is_refused(case: Case) -> None:
    first = {name: case.commit(name) for name in ("s1", "s2")}
    share_then = case.share("s2", first["s2"], [item.signed for item in first.values()])
    now = [case.commit(name).signed for name in ("s1", "s2")]
    assert "for other commitments" in refusal(case, wrong_share(**case.parts(share_then, now)))


@pytest.mark.attack(
    line="coordinator",
    title="a right share judged under another vault's key",
    origin="on paper: a vault's name given again in a branch of the log that was dropped",
)
def test_another_vaults_record_is_refused(case: Case) -> None:
    other = Case(world=World.started())
    other.world.make_vault("customer-2")
    own = {name: other.commit(name) for name in ("s1", "s2")}
    commitments = [item.signed for item in own.values()]
    shares = other.share("s2", own["s2"], commitments)
    data = wrong_share(**other.parts(shares, commitments, vault=other.vault_proof("customer-2")))
    assert "the record proves vault customer-2" in refusal(other, data)


@pytest.mark.attack(
    line="coordinator",
    title="a certificate of another term under which the log held something else",
    origin="on paper: blame by way of a branch of the log that was dropped",
)
def test_a_certificate_of_another_term_is_refused(case: Case) -> None:
    assert "the certificate is of term 5" in refusal(case, case.wrong_share(certificate=case.certificate(term=5)))


@pytest.mark.attack(
    line="coordinator", title="the commitments that another signer malformed shown against an honest one", origin=ORIGIN
)
def test_malformed_commitments_of_another_member_blame_nobody_else(case: Case) -> None:
    shares, commitments = case.round("s2")
    bad = case.malformed(lambda nonces: (nonces[0], bytes(66)), signer="s1")
    digest = hashlib.sha256()
    for body in (bad.body, commitments[1].body):
        digest.update(len(body).to_bytes(8, "big") + body)
    signed = case.resigned(Shares, "shares", shares, "s2", commitments_hash=digest.digest())
    assert "contribution of s1" in refusal(case, wrong_share(**case.parts(signed, [bad, commitments[1]])))


@pytest.mark.attack(line="holders", title="a wrong share signed in another signer's name", origin=ORIGIN)
def test_a_share_that_another_key_signed_names_nobody(case: Case) -> None:
    shares, commitments = case.round("s2")
    forged = case.resigned(Shares, "shares", shares, "s1")
    assert "does not verify" in refusal(case, wrong_share(**case.parts(forged, commitments)))


@pytest.mark.attack(
    line="holders",
    title="commitments in order shown as malformed, beside another plan",
    origin="on paper: the number of inputs taken from a plan of the accuser's choice",
)
def test_commitments_in_order_are_no_evidence(case: Case) -> None:
    honest = case.commit("s3").signed

    def record(plan: bytes) -> bytes:
        return malformed_commitments(charter=case.world.charter_bytes, commitments=honest, plan=plan)

    assert "in order" in refusal(case, record(case.plan_bytes))
    other = case.world.plan(list(case.orders), [case.world.coin(200_000)], fee_sat=1_000)
    assert "for another plan" in refusal(case, record(codec.encode(other)))
    assert "for another plan" in refusal(case, record(b""))


@pytest.mark.attack(
    line="coordinator", title="one vote, or votes for two batches, shown as two votes", origin="on paper: false blame"
)
@pytest.mark.parametrize(
    ("second", "said"),
    [
        (lambda case: case.vote("s1"), "for the same head"),
        (lambda case: case.vote("s1", size=8, root=b"x" * 32), "different terms or sizes"),
        (lambda case: case.vote("s2", root=b"x" * 32), "does not verify"),
    ],
)
def test_votes_that_every_signer_gives_are_no_evidence(
    case: Case, second: Callable[[Case], SignedBody], said: str
) -> None:
    data = two_votes(charter=case.world.charter_bytes, signer="s1", votes=(case.vote("s1"), second(case)))
    assert said in refusal(case, data)


# --- every other part of a record ------------------------------------------------------------------------------------


def other_root(case: Case) -> dict[str, Any]:
    return {"certificate": case.certificate(root=b"x" * 32)}


def other_digest(case: Case) -> dict[str, Any]:
    return {"certificate": case.certificate(state_digest=b"x" * 32)}


def short_head(case: Case) -> dict[str, Any]:
    return {"certificate": case.certificate(size=case.index)}


def one_vote(case: Case) -> dict[str, Any]:
    certificate = case.certificate()
    return {"certificate": type(certificate)(head=certificate.head, votes=certificate.votes[:1])}


def another_entry(case: Case) -> dict[str, Any]:
    index = case.index + 1
    entry = case.world.previews[-1].batch.entries[-1]
    return {"plan_entry": entry, "entry_path": case.world.replica.inclusion_path(index, case.world.replica.size)}


def other_orders(case: Case) -> dict[str, Any]:
    return {"orders": (case.world.order(case.world.withdrawal("customer-1", 5_000)),)}


def other_charter(case: Case) -> dict[str, Any]:
    return {"charter": World(charter=builder.charter(salt=bytes(32))).charter_bytes}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (other_root, "does not hold"),
        (other_digest, "do not lead to the state digest"),
        (short_head, "does not hold"),
        (one_vote, "exactly 2 votes"),
        (another_entry, "does not hold"),
        (other_orders, "are not those of the plan"),
        (other_charter, "is of log"),
    ],
)
def test_every_part_of_a_record_is_checked(case: Case, change: Callable[[Case], dict[str, Any]], said: str) -> None:
    assert said in refusal(case, case.wrong_share(**change(case)))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"plan_hash": bytes(32)}, "is not the plan that the share is for"),
        ({"vault_epoch": 2}, "the share is of epoch 2, the record proves epoch 1"),
        ({"signers": ("s2", "s3")}, "for another set of signers"),
        ({"signers": ("s1", "s2", "s3")}, "for another set of signers"),
    ],
)
def test_a_share_that_names_another_context_proves_nothing(case: Case, changed: dict[str, Any], said: str) -> None:
    shares, commitments = case.round("s2")
    other = case.resigned(Shares, "shares", shares, "s2", **changed)
    assert said in refusal(case, wrong_share(**case.parts(other, commitments)))


def test_a_share_of_somebody_outside_the_set_proves_nothing(case: Case) -> None:
    shares, commitments = case.round("s2")
    stranger = case.resigned(Shares, "shares", shares, "s3", signer="s3")
    assert "for another set of signers" in refusal(case, wrong_share(**case.parts(stranger, commitments)))


def test_a_share_for_an_entry_that_is_no_plan_proves_nothing(case: Case) -> None:
    shares, commitments = case.round("s2")
    other = case.resigned(Shares, "shares", shares, "s2", entry_index=case.index + 1)
    said = refusal(case, wrong_share(**case.parts(other, commitments, **another_entry(case))))
    assert f"entry {case.index + 1} is not the plan" in said


def test_a_share_that_names_an_entry_which_is_no_plan_by_its_very_hash_proves_nothing(case: Case) -> None:
    shares, commitments = case.round("s2")
    part = another_entry(case)
    named = plan_hash(codec.encode(codec.decode(Entry, part["plan_entry"]).body))
    other = case.resigned(Shares, "shares", shares, "s2", entry_index=case.index + 1, plan_hash=named)
    said = refusal(case, wrong_share(**case.parts(other, commitments, **part)))
    assert f"entry {case.index + 1} is not the plan" in said


def test_a_record_holds_no_plan_beside_commitments_that_need_none(case: Case) -> None:
    """Else one fault would make two records."""
    signed = case.malformed(lambda nonces: (nonces[0], bytes(66)))
    word = Word(body=signed.body, signature=signed.signature)
    fault = MalformedCommitments(commitments=word, plan=case.plan_bytes)
    data = codec.encode(Evidence(version=1, charter=case.world.charter_bytes, fault=fault))
    assert "beside commitments that need none" in refusal(case, data)


def test_a_record_of_another_log_is_refused(case: Case) -> None:
    with pytest.raises(EvidenceInvalid, match="is of log"):
        verify_evidence(case.wrong_share(), log_id=LogId(bytes(32)))


def test_an_unknown_version_is_refused(case: Case) -> None:
    record = codec.decode(Evidence, case.wrong_share(), max_size=1 << 20)
    later = codec.encode(Evidence(version=2, charter=record.charter, fault=record.fault))
    assert "version 2" in refusal(case, later)


@pytest.mark.parametrize("data", [b"", b"\x00", b"{}", bytes(100), b"\x08\x01"])
def test_bytes_that_are_no_record_are_refused(case: Case, data: bytes) -> None:
    assert refusal(case, data)


# --- the file ---------------------------------------------------------------------------------------------------------


def test_the_file_gives_the_record_back(case: Case) -> None:
    data = case.wrong_share()
    assert read_evidence_file(write_evidence_file(data)) == data


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"\xff",
        b"[" * 100_000,
        b'{"kind": "strongroom-evidence", "v": 1, "hash": "00", "evidence": "00"}',
        b'{"kind": "strongroom-evidence", "v": true, "hash": "00", "evidence": "00"}',
        b'{"kind": "strongroom-log", "v": 1, "hash": "00", "evidence": "00"}',
        b'{"kind": "strongroom-evidence", "v": 1, "hash": "00", "evidence": "0 0"}',
        b'{"kind": "strongroom-evidence", "v": 1, "hash": "00", "evidence": "00", "signer": "s1"}',
    ],
)
def test_a_file_that_is_something_else_is_refused(content: bytes) -> None:
    with pytest.raises(EvidenceFileInvalid):
        read_evidence_file(content)


@pytest.mark.parametrize(
    "changed",
    [
        {"signer": "s1"},
        {"kind": "strongroom-log"},
        {"v": 2},
        {"v": True},
        {"hash": "00" * 32},
        {"hash": None},
        {"evidence": ""},
        {"evidence": None},
        {"evidence": "0"},
        {"evidence": "0 00"},
    ],
)
def test_a_file_with_one_part_that_is_not_as_it_was_written_is_refused(case: Case, changed: dict[str, Any]) -> None:
    content = json.loads(write_evidence_file(case.wrong_share()))
    said = {"hash": hashlib.sha256(b"").hexdigest()} if changed == {"evidence": ""} else {}
    assert read_evidence_file(json.dumps(content).encode())
    with pytest.raises(EvidenceFileInvalid):
        read_evidence_file(json.dumps({**content, **said, **changed}).encode())


def test_a_record_is_written_in_lower_case_in_an_object_of_a_bounded_file(case: Case) -> None:
    written = write_evidence_file(case.wrong_share())
    content = json.loads(written)
    upper = {**content, "evidence": content["evidence"].upper()}
    for other in (json.dumps(upper).encode(), json.dumps(list(content)).encode(), written + b" " * MAX_FILE_BYTES):
        with pytest.raises(EvidenceFileInvalid):
            read_evidence_file(other)
