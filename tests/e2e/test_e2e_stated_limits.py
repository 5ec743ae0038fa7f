"""What the documentation says does not hold, shown on real daemons: a charter that tolerates no bad signer.

Nor one that forgets: a signer whose disk is an old copy is as bad as one that was stolen.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cluster import Cluster
from forgetful_signers import two_votes_of_who_forgot

pytestmark = [pytest.mark.process, pytest.mark.slow]


def test_one_stolen_signer_of_three_and_the_coordinator_pay_an_order_twice_as_the_charter_check_says(
    cluster: Cluster,
) -> None:
    """2-of-3 with two witnesses: one may be down, none may be bad. Both transactions are good, and pay the one order.

    Nobody did anything wrong but the thieves: each honest signer saw one history, approved and certified by a quorum.
    """
    source = cluster.root / "charter.toml"
    facts = json.loads(cluster.deployment.strongroom("charter", "check", str(source), "--json"))["facts"]
    assert facts["signers (n)"] == "3"
    assert facts["witness quorum (w)"] == "2"
    assert facts["signers that may be down"] == "1"
    assert facts["threshold 2: bad signers survived beside a bad coordinator"] == "0"

    *honest, stolen = cluster.signers
    cluster.deployment.signers.pop(stolen).stop()
    (cluster.root / "stolen").write_text(stolen)
    outcome = cluster.cheat("mole-pays-on-both-histories")

    made = [line for line in outcome.events if line["event"] == "finished"]
    assert [line["signer"] for line in made] == sorted(honest)
    assert len({line["payee"] for line in made}) == 1
    for line in made:
        (answer,) = cluster.deployment.rpc("testmempoolaccept", [line["raw"]])
        assert answer["allowed"], answer
    sent = {cluster.deployment.rpc("sendrawtransaction", line["raw"]) for line in made}
    assert len(sent) == 2
    assert sent == set(cluster.deployment.rpc("getrawmempool"))


async def test_a_signer_restored_from_an_old_copy_votes_twice_as_the_threat_model_says(
    cluster: Cluster, tmp_path: Path
) -> None:
    """Its first vote was kept back, so nothing reminds it: a second one, and two certified histories of 2-of-3."""
    forgetful, first, second = await two_votes_of_who_forgot(cluster, tmp_path)
    assert set(first["by"]) & set(second["by"]) == {forgetful}
    assert (first["certified"], second["certified"]) == (True, True)
