"""Evidence against signers that came by a handover, or into a log founded anew: from the log id alone as well."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest

import charter_builder as builder
from evidence_world import TERM, Case
from handover_world import HandoverWorld, signer
from ledger_world import World
from restart_world import RestartWorld
from strongroom.ledger import codec
from strongroom.ledger.certificate_messages import Certificate
from strongroom.ledger.entry_messages import Tick
from strongroom.ledger.records import ElectorateStep
from strongroom.ledger.signed_messages import Commitments, Shares, Vote
from strongroom.model.ids import LogId
from strongroom.protocol.commitments import commitments_hash
from strongroom.protocol.evidence import EvidenceInvalid, Fault, Proven, verify_evidence
from strongroom.protocol.evidence_records import Evidence, two_votes, wrong_share
from strongroom.protocol.signed import SignedBody, sign_body

NEW = ("s1", "s2", "s4")


def vote(log_id: LogId, label: str, root: bytes) -> SignedBody:
    said = Vote(
        log_id=log_id, term=9, size=7, root=root, state_digest=b"d" * 32, held_term=0, held_size=0, held_head=b""
    )
    return sign_body("vote", said, builder.signing_key(f"{label} vote"))


def votes(log_id: LogId, *labels: str) -> tuple[SignedBody, SignedBody]:
    first, second = labels if len(labels) == 2 else labels * 2
    return vote(log_id, first, b"a" * 32), vote(log_id, second, b"b" * 32)


@dataclass
class After:
    """A certified plan, and then s4 in the place of s3, and another machine that is s2."""

    case: Case
    handover: HandoverWorld
    step: ElectorateStep

    @property
    def log_id(self) -> LogId:
        return self.case.world.log_id

    def certificate(self, *labels: str, **parts: Any) -> Certificate:
        self.handover.term = TERM
        return self.handover.certificate(labels, **parts)

    def wrong_share(self, *, steps: tuple[ElectorateStep, ...] | None = None, **changed: Any) -> bytes:
        """s1 gives a wrong share after the handover, together with the machine that became s2."""
        case = self.case
        own = case.commit("s1")
        commitments = [own.signed, case.commit("s2").signed]
        honest = case.share("s1", own, commitments)
        bad = case.resigned(Shares, "shares", honest, "s1", shares=(bytes(31) + b"\x02",) * 2)
        parts = {"certificate": self.certificate("s1", "s2", "s4"), **changed}
        return wrong_share(**case.parts(bad, commitments, **parts), steps=(self.step,) if steps is None else steps)


@pytest.fixture
def after() -> After:
    case = Case(World.started())
    handover = HandoverWorld(case.world)
    charter = handover.next_charter(*(signer(name) for name in NEW), quorum=3)
    handover.want(charter)
    voters = ("s1", "s2", "s3", "s4")
    handover.world.log(handover.first(voters))
    second = handover.second(voters)
    handover.world.log(second)
    handover.world.log(Tick())
    return After(case, handover, handover.step(second))


def proven(after: After, data: bytes) -> Proven:
    return verify_evidence(data, log_id=after.log_id)


def refusal(after: After, data: bytes) -> str:
    with pytest.raises(EvidenceInvalid) as caught:
        proven(after, data)
    return caught.value.message


def test_two_votes_of_a_signer_that_came_later_convict_it_by_the_proof_of_the_handover(after: After) -> None:
    told = {"charter": after.case.world.charter_bytes, "signer": "s4", "votes": votes(after.log_id, "s4")}
    found = proven(after, two_votes(**told, steps=(after.step,)))
    assert (found.signer, found.fault) == ("s4", Fault.TWO_VOTES)
    assert found.vote_key == builder.signing_key("s4 vote").public
    assert "'s4' is no signer of this log" in refusal(after, two_votes(**told))


def test_a_signer_that_left_is_still_to_blame_for_its_key(after: After) -> None:
    told = {"charter": after.case.world.charter_bytes, "signer": "s3", "votes": votes(after.log_id, "s3")}
    assert proven(after, two_votes(**told, steps=(after.step,))).signer == "s3"


def test_two_machines_of_one_name_do_not_convict_each_other() -> None:
    handover = HandoverWorld()
    charter = handover.next_charter(signer("s1"), signer("s2"), signer("s3", "s3-2"), quorum=2)
    handover.want(charter)
    voters = ("s1", "s2")
    handover.world.log(handover.first(voters))
    second = handover.second(voters)
    handover.world.log(second)
    log_id = handover.world.log_id
    told: dict[str, Any] = {"charter": handover.world.charter_bytes, "signer": "s3", "steps": (handover.step(second),)}
    for pair in (("s3", "s3-2"), ("s3-2", "s3")):
        with pytest.raises(EvidenceInvalid, match="does not verify"):
            verify_evidence(two_votes(**told, votes=votes(log_id, *pair)), log_id=log_id)
    found = verify_evidence(two_votes(**told, votes=votes(log_id, "s3-2")), log_id=log_id)
    assert found.vote_key == builder.signing_key("s3-2 vote").public


def test_a_share_of_one_machine_that_names_commitments_of_another_of_its_name_proves_nothing() -> None:
    case = Case(World.started())
    handover = HandoverWorld(case.world)
    handover.want(handover.next_charter(signer("s1"), signer("s2", "s2-2"), signer("s3"), quorum=2))
    voters = ("s1", "s3")
    handover.world.log(handover.first(voters))
    second = handover.second(voters)
    handover.world.log(second)
    handover.world.log(Tick())
    after = After(case, handover, handover.step(second))
    first, own = case.commit("s1"), case.commit("s2")
    honest = case.share("s2", own, [first.signed, own.signed])

    def record(committed_by: str, shared_by: str) -> bytes:
        """A wrong share of s2, by one of its keys, for commitments by one of them."""
        named = [first.signed, case.resigned(Commitments, "commitments", own.signed, committed_by)]
        changed = {"shares": (bytes(31) + b"\x02",) * 2, "commitments_hash": commitments_hash(named)}
        bad = case.resigned(Shares, "shares", honest, shared_by, **changed)
        return wrong_share(**case.parts(bad, named, certificate=after.certificate(*voters)), steps=(after.step,))

    for label in ("s2", "s2-2"):
        assert proven(after, record(label, label)).vote_key == builder.signing_key(f"{label} vote").public
    for committed_by, shared_by in (("s2", "s2-2"), ("s2-2", "s2")):
        assert refusal(after, record(committed_by, shared_by))


def test_a_wrong_share_under_the_new_set_convicts_its_sender(after: After) -> None:
    found = proven(after, after.wrong_share())
    assert (found.signer, found.fault) == ("s1", Fault.WRONG_SHARE)
    assert refusal(after, after.wrong_share(steps=()))


@pytest.mark.attack(
    line="holders",
    title="signers that left certify another history, under which an honest share is wrong",
    origin="on paper: leaked keys of an old witness set frame a signer",
)
def test_signers_that_left_prove_nothing_in_a_term_after_them(after: After) -> None:
    since = after.step.record.since_size
    short = replace(after.handover.head(since - 1), term=TERM)
    alone = after.certificate("s1", "s2", head=short)
    assert "others had replaced" in refusal(after, after.wrong_share(certificate=alone))
    # Nor beyond the place where others took over.
    assert refusal(after, after.wrong_share(certificate=after.certificate("s1", "s2")))


def test_proofs_that_do_not_lead_from_the_charter_are_refused(after: After) -> None:
    told = {"charter": after.case.world.charter_bytes, "signer": "s4", "votes": votes(after.log_id, "s4")}
    twice = two_votes(**told, steps=(after.step, after.step))
    assert "leads nowhere" in refusal(after, twice)
    other = After(after.case, HandoverWorld(), after.step)
    forged = other.handover
    charter = forged.next_charter(*(signer(name) for name in ("s1", "s2", "s9")), quorum=2)
    forged.want(charter)
    forged.world.log(forged.first(("s1", "s2", "s9")))
    second = forged.second(("s1", "s2", "s9"))
    forged.world.log(second)
    good = codec.decode(Evidence, two_votes(**told, steps=(forged.step(second),)), max_size=1 << 20)
    assert good.steps
    assert refusal(after, codec.encode(good))


def test_evidence_in_a_log_that_was_founded_anew_names_its_new_signers() -> None:
    world = RestartWorld()
    restart = world.restart()
    world.found(restart)
    log_id = world.world.log_id
    told: dict[str, Any] = {"charter": restart, "signer": "s2", "votes": votes(log_id, "s2-new")}
    data = two_votes(**told)
    assert verify_evidence(data, log_id=log_id).signer == "s2"
    with pytest.raises(EvidenceInvalid, match="is of log"):
        verify_evidence(data, log_id=world.genesis_id)
    both = codec.decode(Evidence, data, max_size=1 << 20)
    doubled = Evidence(version=1, charter=world.world.charter_bytes, steps=(), restart=both.restart, fault=both.fault)
    with pytest.raises(EvidenceInvalid, match="founded on"):
        verify_evidence(codec.encode(doubled), log_id=log_id)
