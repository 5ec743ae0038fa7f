"""What a coordinator tries with votes of a witness set that does not decide alone, yet or any more."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from handover_cluster import ALL, HandoverCluster
from strongroom.ledger.messages import Tick
from strongroom.protocol.certificates import BadCertificate


@pytest.fixture
async def handing(tmp_path: Path) -> AsyncIterator[HandoverCluster]:
    made = await HandoverCluster.wanted(tmp_path)
    yield made
    made.close()


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
