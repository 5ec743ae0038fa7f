"""The main job by the commands that people type, and what they see when something is refused."""

from __future__ import annotations

import asyncio
import json

import pytest

from actor import actors, ready
from cluster import VAULT, Cluster
from payments import payee, payments_on_chain
from strongroom_client.demo.processes import DaemonFailed

pytestmark = pytest.mark.process


def test_a_vault_is_ordered_approved_and_paid_from_by_commands_alone(enrolled_cluster: Cluster) -> None:
    cluster = enrolled_cluster
    cluster.start()
    asyncio.run(first_final_head(cluster))
    signers = ",".join(cluster.signers)
    created = cluster.command("alice", "vault", "create", VAULT, "--signers", signers, "--threshold", "2", signs=True)
    for person in ("bob", "carol"):
        cluster.command(person, "vault", "approve", created["order"], signs=True)
    cluster.command("alice", "vault", "wait", VAULT)
    address = cluster.command("alice", "vault", "address", VAULT, "--index", "0")["address"]
    cluster.deployment.rpc("generatetoaddress", 1, address)
    cluster.mine(100)
    destination = payee()
    arguments = ["--vault", VAULT, "--to", destination, "--amount", "0.25"]
    ordered = cluster.command("alice", "withdraw", "create", *arguments, signs=True)["order"]
    for person in ("bob", "carol"):
        cluster.command(person, "withdraw", "approve", ordered, signs=True)
    while cluster.command("alice", "withdraw", "show", ordered)["status"] != "paid":
        if cluster.deployment.rpc("getrawmempool"):
            cluster.mine()
    assert payments_on_chain(cluster, destination) == [25_000_000]
    verdict = cluster.audit()
    assert (verdict["verified"], verdict["chain"]["paid_orders"]) == (True, 1)


async def first_final_head(cluster: Cluster) -> None:
    """Whoever orders names a final head, which a new log has a moment after its first certificate."""
    async with actors(cluster.deployment, "alice") as (alice,):
        await ready(alice)


def test_a_refused_command_says_why_and_exits_with_four(cluster: Cluster) -> None:
    arguments = ["--vault", VAULT, "--to", payee(), "--amount", "0.25"]
    ordered = cluster.command("alice", "withdraw", "create", *arguments, signs=True)["order"]
    with pytest.raises(DaemonFailed) as refused:
        cluster.command("alice", "withdraw", "approve", ordered, signs=True)
    assert "code 4" in refused.value.message
    assert "INITIATOR_CANNOT_APPROVE" in refused.value.message


def test_what_an_approver_sees_is_decoded_from_the_bytes_and_carries_each_signers_view(cluster: Cluster) -> None:
    destination = payee()
    arguments = ["--vault", VAULT, "--to", destination, "--amount", "0.25"]
    ordered = cluster.command("alice", "withdraw", "create", *arguments, signs=True)["order"]
    shown = json.dumps(cluster.command("bob", "withdraw", "show", ordered))
    assert destination in shown
    assert all(name in shown for name in cluster.signers)
