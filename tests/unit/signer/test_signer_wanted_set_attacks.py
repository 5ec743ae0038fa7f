"""What a coordinator tries with votes of a witness set that does not decide alone, yet or any more."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from handover_cluster import ALL, HandoverCluster
from strongroom.api.signer.v1 import signer_link_service_pb2 as pb
from strongroom.ledger import codec
from strongroom.ledger.entry_messages import Tick
from strongroom.ledger.signed_messages import Refusal
from strongroom.protocol.certificates import BadCertificate


@pytest.fixture
async def handing(tmp_path: Path) -> AsyncIterator[HandoverCluster]:
    made = await HandoverCluster.wanted(tmp_path)
    yield made
    made.close()


TWO_DAYS_MS = 48 * 3_600_000


def refused_for(answer: object) -> str:
    assert isinstance(answer, pb.BatchRefused), answer
    return codec.decode(Refusal, answer.refusal.body).reason


@pytest.mark.attack(
    line="coordinator",
    title="all signers stopped by an alarm with votes of a witness set that is only wanted",
    origin="on paper: two sets of honest signers, each shown another batch, and neither votes twice",
)
async def test_attack_certificate_of_the_wanted_set_beside_one_of_the_set_in_force(handing: HandoverCluster) -> None:
    one, other = handing.rivals()
    by_old = handing.certify(one, handing.old, "s1", "s3")
    by_new = handing.certify(other, handing.new, "s2", "s4")
    for name in ALL:
        await handing.give(name, by_old, one)
        with pytest.raises(BadCertificate):
            await handing.give(name, by_new, other)
    assert handing.alarms() == {}
    for name in ALL:
        assert handing.held(name) == by_old
        assert handing.cluster.restart(name).alarm() == ("", "")
    handing.open_term()
    handing.cluster.world.replica.push(one)
    handing.cluster.world.log(Tick())
    handing.certify(handing.cluster.world.previews[-1], handing.both, *ALL)


@pytest.mark.attack(
    line="coordinator",
    title="signers stopped by an alarm with votes of the set before, while another takes over",
    origin="on paper: a signer that does not know the handover to be final takes the old set's word beside it",
)
async def test_attack_certificate_of_the_old_set_alone_beside_one_of_the_new(handing: HandoverCluster) -> None:
    """s4 knows neither that the first step is final nor that the second was certified by others."""
    handing.hand_over(told=("s1", "s2", "s3"))
    end = handing.end_of_handover()
    rival, _ = handing.rivals()
    by_new = handing.certify(end, handing.new, "s2", "s4")
    by_old = handing.certify(rival, handing.old, "s1", "s3")
    for name in ("s2", "s4"):
        await handing.give(name, by_new)
        assert handing.cluster.signers[name].copy.final_size < end.size - 2
        with pytest.raises(BadCertificate):
            await handing.give(name, by_old, rival)
    for name in ("s1", "s3"):
        with pytest.raises(BadCertificate):
            await handing.give(name, by_old)
        await handing.give(name, by_new, end)
    assert handing.alarms() == {}
    assert {handing.held(name) for name in ALL} == {by_new}


@pytest.mark.attack(
    line="coordinator",
    title="a time lock cut short: an old batch fetched under votes of a wanted witness set, then voted for",
    origin="on paper: what a signer fetches it stores, and what it stores it votes for, two days late",
)
async def test_attack_late_vote_for_a_batch_fetched_under_votes_of_the_wanted_set(handing: HandoverCluster) -> None:
    signer = handing.cluster.signers["s1"]
    late, _ = handing.rivals()
    by_new = handing.certify(late, handing.new, "s2", "s4")
    handing.cluster.clock.advance(TWO_DAYS_MS)
    before = (signer.copy.size, signer.store.size())
    with pytest.raises(BadCertificate):
        await handing.give("s1", by_new, late)
    with pytest.raises(BadCertificate):
        await handing.cluster.catch_up("s1", handing.fetcher("s2", late)).run(by_new)
    assert (signer.copy.size, signer.store.size()) == before
    assert refused_for(handing.cluster.ask("s1", handing.append(late))) == "BATCH_TIME_OFF"


@pytest.mark.attack(
    line="coordinator",
    title="a time lock cut short: an old batch fetched under votes of the old set alone while both decide",
    origin="on paper: a signer takes votes for possible, stores what they cover and votes for it two days late",
)
async def test_attack_late_vote_for_a_batch_fetched_under_votes_of_the_old_set(handing: HandoverCluster) -> None:
    handing.hand_over()
    late, _ = handing.rivals()
    by_old = handing.certify(late, handing.old, "s1", "s3")
    handing.cluster.clock.advance(TWO_DAYS_MS)
    for name in ("s2", "s4"):
        signer = handing.cluster.signers[name]
        before = (signer.copy.size, signer.store.size())
        with pytest.raises(BadCertificate):
            await handing.give(name, by_old, late)
        assert (signer.copy.size, signer.store.size()) == before
        assert refused_for(handing.cluster.ask(name, handing.append(late))) == "BATCH_TIME_OFF"
