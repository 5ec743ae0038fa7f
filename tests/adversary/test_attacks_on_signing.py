"""A dishonest coordinator tries to misuse nonces, commitments and key generation."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from actor import actors, ready, until
from cluster import VAULT, Cluster
from siege import attacked, besieged, heals

pytestmark = [pytest.mark.process, pytest.mark.slow]


@pytest.fixture(scope="module")
def siege() -> Iterator[Cluster]:
    with besieged("signing") as cluster:
        yield cluster


async def test_attack_release_replayed_under_one_nonce(siege: Cluster) -> None:
    """The first release is genuine; the second, word for word the same, finds the nonce used."""
    outcome = attacked(siege, "replay-release", "release-again", "NONCE_UNKNOWN")
    assert outcome.events[-1]["honest_shares"] == 3
    await heals(siege)


async def test_attack_used_nonce_with_another_partner(siege: Cluster) -> None:
    attacked(siege, "other-set", "release-again", "NONCE_UNKNOWN", by=1)


async def test_attack_substituted_commitments(siege: Cluster) -> None:
    attacked(siege, "swapped-commitments", "release", "COMMITMENTS_INVALID")
    await heals(siege)


async def test_attack_own_commitments_left_out(siege: Cluster) -> None:
    attacked(siege, "left-out", "release", "COMMITMENTS_INVALID")


async def test_attack_participants_in_another_order(siege: Cluster) -> None:
    attacked(siege, "reordered-set", "release", "COMMITMENTS_INVALID", by=2)


async def test_attack_mixed_epochs(siege: Cluster) -> None:
    attacked(siege, "other-epoch", "release", "COMMITMENTS_INVALID", by=2)


async def test_attack_nonce_of_one_payment_used_for_another(siege: Cluster) -> None:
    attacked(siege, "other-plan", "release", "NONCE_FOR_ANOTHER_CONTEXT", by=2)
    await heals(siege)


async def test_attack_many_parallel_sessions(siege: Cluster) -> None:
    attacked(siege, "many-sessions", "commit", "TOO_MANY_OPEN_NONCES")


async def test_attack_key_generation_that_nobody_ordered(siege: Cluster) -> None:
    attacked(siege, "no-order-keygen", "keygen", "KEYGEN_NOT_ORDERED", signed=False)
    await heals(siege)


async def test_attack_threshold_raised_in_key_generation(stopped_cluster: Cluster) -> None:
    """The vault's order is approved while one signer is away; then the cheater runs its key generation."""
    cluster = stopped_cluster
    away = cluster.signers[2]
    cluster.start(signers=cluster.signers[:2])
    async with actors(cluster.deployment, "alice", "bob", "carol") as (alice, bob, carol):
        await ready(alice)
        order = await alice.create_vault("customer-cold", signers=cluster.signers, threshold=2)
        await bob.approve(order)
        await carol.approve(order)
        cluster.coordinator.stop()
        cluster.deployment.start_signer(away)
        attacked(cluster, "raise-threshold", "raised-threshold", "DKG_MESSAGE_LENGTH_INVALID", signed=False)
        cluster.deployment.start_coordinator()
        await alice.wait_for_vault("customer-cold")
        names = [vault.record.name for vault in await alice.client.vaults()]
        assert sorted(names) == ["customer-cold", VAULT]

        async def shares() -> bool:
            held = [vault for vault in cluster.signer_status(away)["vaults"] if vault["has_share"]]
            return len(held) == 2

        await until(shares)
