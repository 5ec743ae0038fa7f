"""What years bring to one vault, with real daemons: disks die, machines are added, and the address stays the same."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from actor import Actor, actors, funded_vault, ready, until
from cluster import COINS, VAULT, Cluster, prepared, running, session_folder
from new_signers import admit, exported_log, in_force, join, lose_disk, recover
from payments import approved, paid, payee
from strongroom_client.answers import derive_address
from strongroom_client.demo.deployment import Deployment, Shape

pytestmark = pytest.mark.process


def _quick(source: str) -> str:
    changed = source.replace('loosening_delay = "2d"', 'loosening_delay = "1500ms"')
    assert changed != source
    return changed


QUICK = Shape(edit=_quick)


@cache
def template() -> Deployment:
    """A stopped deployment whose charter can be loosened within seconds, with a funded 2-of-3 vault; use a copy."""
    deployment = Deployment(root=session_folder() / "years", shape=QUICK)
    deployment.enrol()
    return prepared(deployment, _fund)


async def _fund(deployment: Deployment) -> None:
    async with actors(deployment, *QUICK.treasury) as people:
        await funded_vault(deployment, people, VAULT, coins=COINS)


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with running(template(), "years") as cluster:
        cluster.start()
        yield cluster


async def pays(cluster: Cluster, people: tuple[Actor, ...]) -> None:
    await paid(cluster, people[0], await approved(people, payee()), timeout_s=90)


async def address(actor: Actor) -> str:
    (vault,) = await actor.client.vaults()
    return derive_address(vault, 0)


async def sees(cluster: Cluster, name: str, alarm: str) -> None:
    async def shown() -> bool:
        return (cluster.signer_status(name)["alarm"] or "") == alarm

    await until(shown, timeout_s=90)


async def test_a_vault_outlives_its_machines(cluster: Cluster, tmp_path: Path) -> None:
    async with actors(cluster.deployment, *QUICK.treasury) as people:
        await ready(people[0])
        first_address = await address(people[0])
        await pays(cluster, people)

        # A disk dies. The words on paper and the log of another signer bring the share back, an amendment the votes.
        lose_disk(cluster, "south")
        found = recover(cluster, "south", *exported_log(cluster, "north", tmp_path / "log-1"))
        assert found["shares"] == [{"vault": VAULT, "epoch": 1}]
        cluster.plain_signer("south")
        await sees(cluster, "south", "NOT_A_WITNESS")
        await admit(cluster, people, "south")
        await sees(cluster, "south", "")
        cluster.signer("west").stop()
        await pays(cluster, people)
        cluster.deployment.start_signer("west")

        # Two machines are added, which the first charter never heard of.
        for name in ("east", "middle"):
            joined = join(cluster, name, *exported_log(cluster, "north", tmp_path / f"log-{name}"))
            assert joined["admitted"] is False
            cluster.deployment.start_signer(name)
        await admit(cluster, people, "east", "middle", quorum=4)
        assert (await in_force(people[0])).witness_quorum == 4
        cluster.signer("south").stop()
        await pays(cluster, people)
        cluster.deployment.start_signer("south")

        assert await address(people[0]) == first_address
    await asyncio.to_thread(cluster.audit)
