"""A plan made to be stuck, over hundreds of orders and all coins of a vault: an honest coordinator gets them paid."""

from __future__ import annotations

from collections import Counter

import pytest

from actor import actors, ready, until
from cluster import Cheated, Cluster
from siege import attacked
from strongroom.chains.bitcoin.address import script_of
from strongroom.chains.bitcoin.block import parse_block
from strongroom.chains.bitcoin.networks import REGTEST
from strongroom.model.ids import OrderHash

pytestmark = [pytest.mark.process, pytest.mark.slow, pytest.mark.campaign]


BLOCKED = "on paper: one order that may no longer be paid blocks a batch and all coins of a vault for good"


@pytest.mark.attack(line="coordinator", title="an expired order in a poisoned batch of 500", origin=BLOCKED)
async def test_one_expired_order_among_500_holds_up_none_of_the_others(cluster: Cluster) -> None:
    await _others_are_paid_once(cluster, attacked(cluster, "expired-in-batch", "commit", "ORDER_EXPIRED"))


@pytest.mark.attack(line="coordinator", title="a cancelled order in a poisoned batch of 500", origin=BLOCKED)
async def test_one_cancelled_order_among_500_holds_up_none_of_the_others(cluster: Cluster) -> None:
    """The cancellation excludes the plan by a coin that all orders need; what is left of it pays the others."""
    await _others_are_paid_once(cluster, attacked(cluster, "cancelled-in-batch", "commit", "CANCELLED"))


async def _others_are_paid_once(cluster: Cluster, outcome: Cheated) -> None:
    """An honest coordinator pays 499 of the 500 orders once each, and the last one never."""
    planned = next(line for line in outcome.events if line["event"] == "planned")
    wanted = Counter({script_of(payee, REGTEST): 1 for payee in planned["payees"]})
    assert len(wanted) == 499
    last = script_of(planned["last"], REGTEST)
    height = cluster.deployment.rpc("getblockcount")
    cluster.deployment.start_coordinator()
    async with actors(cluster.deployment, "alice") as (alice,):
        await ready(alice)

        async def everybody_is_paid() -> bool:
            if cluster.deployment.rpc("getrawmempool"):
                cluster.mine()
            return paid_since(cluster, height).keys() >= wanted.keys()

        await until(everybody_is_paid, timeout_s=180)

        async def last_is_over() -> bool:
            cluster.mine()
            status = await alice.client.order(OrderHash(bytes.fromhex(planned["order"])))
            return status.status == "never_will_be_paid"

        await until(last_is_over, timeout_s=60)
    paid = paid_since(cluster, height)
    assert {script: paid[script] for script in wanted} == dict(wanted)
    assert paid[last] == 0
    assert all(cluster.signer_status(name)["alarm"] is None for name in cluster.signers)


def paid_since(cluster: Cluster, height: int) -> Counter[bytes]:
    """How many outputs of the blocks above `height` pay each script."""
    paid: Counter[bytes] = Counter()
    for at in range(height + 1, cluster.deployment.rpc("getblockcount") + 1):
        raw = cluster.deployment.rpc("getblock", cluster.deployment.rpc("getblockhash", at), 0)
        for transaction in parse_block(bytes.fromhex(raw)).transactions:
            paid.update(output.script for output in transaction.outputs)
    return paid
