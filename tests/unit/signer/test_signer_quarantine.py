"""Evidence against a signer, as it sees it: its operator's word is kept, and given only where it is asked for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from signer_world import Cluster
from strongroom.api.signer.v1 import signer_link_service_pb2 as pb
from strongroom.ledger.signed_messages import ReinstateStatement
from strongroom.protocol.signed import open_body
from strongroom_signer import quarantine
from strongroom_signer.frames import BadFrame, notice_of
from strongroom_signer.quarantine import Notice, Quarantine, TooManyReinstatements
from strongroom_signer.status_answer import status_of
from strongroom_signer.status_view import _quarantine_lines

EVIDENCE = bytes(range(32))


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    made = Cluster.started(tmp_path)
    yield made
    made.close()


def notice(**changed: object) -> Notice:
    parts: dict[str, object] = {
        "evidence_hash": EVIDENCE,
        "fault": "wrong-share",
        "detail": "the share is wrong",
        "operator_cleared": False,
        "ordered": False,
        **changed,
    }
    return Notice(**parts)  # type: ignore[arg-type]


def quarantine_of(cluster: Cluster, name: str = "s1") -> Quarantine:
    return cluster.signers[name].quarantine


def test_a_statement_is_given_once_the_coordinator_waits_for_it(cluster: Cluster) -> None:
    kept = quarantine_of(cluster)
    kept.reinstate(EVIDENCE)
    assert kept.to_raise() == ()
    kept.notice = notice()
    (signed,) = kept.to_raise()
    key = cluster.vote_keys["s1"]
    said = open_body("reinstate", ReinstateStatement, signed, log_id=cluster.world.log_id, public_key=key)
    assert (said.signer, said.evidence_hash) == ("s1", EVIDENCE)
    raised = cluster.signers["s1"].service.raised()
    assert raised is not None
    assert [item.body for item in raised.reinstatements] == [signed.body]
    kept.notice = notice(operator_cleared=True)
    assert kept.to_raise() == ()


def test_nothing_is_said_that_the_operator_did_not_say(cluster: Cluster) -> None:
    kept = quarantine_of(cluster)
    kept.notice = notice()
    assert kept.to_raise() == ()
    kept.reinstate(bytes(32))
    assert kept.to_raise() == ()


def test_the_operators_word_outlives_a_restart(cluster: Cluster) -> None:
    quarantine_of(cluster).reinstate(EVIDENCE)
    again = cluster.restart("s1").quarantine
    again.notice = notice()
    assert len(again.to_raise()) == 1


def test_the_statements_that_are_kept_are_bounded_and_one_may_be_made_again(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quarantine, "MAX_REINSTATEMENTS", 1)
    kept = quarantine_of(cluster)
    for _ in range(2):
        kept.reinstate(EVIDENCE)
    with pytest.raises(TooManyReinstatements):
        kept.reinstate(bytes(32))
    kept.notice = notice(evidence_hash=bytes(32))
    assert kept.to_raise() == ()


def test_a_signer_without_its_vote_key_states_nothing(cluster: Cluster) -> None:
    kept = quarantine_of(cluster)
    kept.reinstate(EVIDENCE)
    kept.notice = notice()
    cluster.signers["s1"].keys.vote.wipe()
    assert kept.to_raise() == ()


def test_a_quarantined_signer_still_votes(cluster: Cluster) -> None:
    quarantine_of(cluster).notice = notice()
    cluster.tick()
    assert cluster.signers["s1"].alarm() == ("", "")


def test_the_status_shows_what_the_coordinator_says(cluster: Cluster) -> None:
    signer = cluster.signers["s1"]
    assert not status_of(signer, connected=True, last_error="").HasField("quarantine")
    signer.quarantine.notice = notice(operator_cleared=True)
    status = status_of(signer, connected=True, last_error="")
    first, second = _quarantine_lines(status.quarantine)
    assert "wrong-share, the share is wrong" in first
    assert second.endswith("it waits for an order to reinstate")


@pytest.mark.parametrize(
    "told",
    [
        pb.Quarantined(evidence_hash=b"short"),
        pb.Quarantined(evidence_hash=EVIDENCE, fault="x" * 41),
        pb.Quarantined(evidence_hash=EVIDENCE, detail="x" * 401),
        pb.Quarantined(evidence_hash=EVIDENCE, detail="\x1b[2J"),
        pb.Quarantined(evidence_hash=EVIDENCE, fault="two\nlines"),
    ],
)
def test_a_malformed_notice_is_refused(told: pb.Quarantined) -> None:
    with pytest.raises(BadFrame):
        notice_of(told)


def test_an_empty_notice_ends_the_quarantine() -> None:
    assert notice_of(pb.Quarantined()) is None
    told = pb.Quarantined(evidence_hash=EVIDENCE, fault="two-votes", detail="x", ordered=True)
    assert notice_of(told) == notice(fault="two-votes", detail="x", ordered=True)
