"""A holder, or the coordinator, spoils key generations: who is named, and to whom, and the next attempt can succeed."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from actor import Actor, actors, ready, until
from cluster import Cluster, enrolled, running
from rogue import Rogue, turn_rogue
from strongroom_client.demo.processes import Daemon

pytestmark = [pytest.mark.process, pytest.mark.slow]

PROGRAM = Path(__file__).parents[1] / "support" / "garbling_coordinator.py"
VICTIM, OTHER, LIAR = "north", "south", "west"


@pytest.fixture(scope="module")
def site() -> Iterator[tuple[Cluster, Rogue]]:
    """Three signers, one of them in an attacker's hands, and no vault yet."""
    with running(enrolled(), "ceremony") as cluster:
        cluster.start(signers=(VICTIM, OTHER))
        yield cluster, turn_rogue(cluster, LIAR)


def garbling(cluster: Cluster, how: str) -> Path:
    """Run the coordinator's folder with the garbling program; returns the switch, which is on."""
    switch = cluster.root / "garble"
    switch.touch()
    cluster.coordinator.stop()
    command = [sys.executable, str(PROGRAM), "--victim", VICTIM, "--how", how, "--switch", str(switch)]
    command += ["--", "run", "--data", str(cluster.deployment.coordinator_folder)]
    cluster.deployment.coordinator = Daemon("coordinator", command, cluster.root / "logs" / "coordinator.log")
    cluster.deployment.coordinator.start()
    return switch


async def ordered(people: tuple[Actor, ...], name: str) -> Any:
    alice, bob, carol = people
    await ready(alice)
    order = await alice.create_vault(name, signers=(VICTIM, OTHER, LIAR), threshold=2)
    await bob.approve(order)
    await carol.approve(order)
    return order


def failed(cluster: Cluster, **where: Any) -> dict[str, Any]:
    return cluster.coordinator.wait_for("keygen.failed", where=where, timeout_s=90)


def found(cluster: Cluster, mark: int, **where: Any) -> dict[str, Any]:
    return cluster.signer(VICTIM).wait_for("keygen.fault_found", where=where, after=mark, timeout_s=90)


@pytest.mark.attack(
    line="holders",
    title="a wrong encrypted share dealt to another holder's daemon",
    origin="on paper: a participant that stops every key generation and is never named",
)
async def test_who_deals_a_wrong_share_is_named_to_people_and_operators(site: tuple[Cluster, Rogue]) -> None:
    cluster, west = site
    mark = len(cluster.signer(VICTIM).events)
    west.lies("keygen-wrong-share")
    async with actors(cluster.deployment, "alice", "bob", "carol") as people:
        order = await ordered(people, "customer-1")
        west.told("keygen-wrong-share")
        line = failed(cluster, found_by=VICTIM)
        assert (line["suspects"], line["fault"]) == ([LIAR], "holder or coordinator")
        assert line["proven"].startswith(f"proven to {VICTIM} alone: {LIAR} is at fault, or the coordinator")
        line = found(cluster, mark, suspects=[LIAR])
        assert line["level"] == "error"

        # Each attempt fails for this reason, unless somebody was too slow for an attempt to come so far.
        async def operator_is_told() -> bool:
            told = cluster.signer_status(VICTIM)["last_keygen_failure"]
            return f"the share that {LIAR} dealt this signer does not match its commitments" in told

        async def people_are_told() -> bool:
            waits_for = (await people[0].client.order(order)).waits_for
            found = f"the share that {LIAR} dealt {VICTIM} does not match its commitments" in waits_for
            return found and f"{LIAR} is at fault, or the coordinator" in waits_for

        await until(operator_is_told)
        await until(people_are_told)
        west.lies("")
        await people[0].wait_for_vault("customer-1", timeout_s=120)


def garbles(how: str, title: str) -> Any:
    origin = "on paper: a coordinator that stops key generations and has a holder blamed for it"
    marks = [pytest.mark.campaign, pytest.mark.attack(line="coordinator", title=title, origin=origin)]
    return pytest.param(how, marks=marks)


@pytest.mark.parametrize(
    "how",
    [
        garbles("share", "a share garbled on its way to a signer's daemon"),
        garbles("accusing", "a share garbled on its way, and an honest holder accused of it"),
        garbles("investigation", "junk in place of an investigation message"),
    ],
)
async def test_a_garbling_coordinator_is_found_out_as_far_as_can_be(site: tuple[Cluster, Rogue], how: str) -> None:
    """The holder learns that the coordinator is at fault, or that it or another is; no vault comes of it meanwhile."""
    cluster, west = site
    vault = f"customer-{how}"
    west.lies("keygen-wrong-share" if how == "investigation" else "")
    mark = len(cluster.signer(VICTIM).events)
    pids = {name: cluster.signer(name).pid for name in cluster.signers}
    switch = garbling(cluster, how)
    async with actors(cluster.deployment, "alice", "bob", "carol") as people:
        await ordered(people, vault)
        line = found(cluster, mark)
        if how == "accusing":
            assert (line["fault"], line["suspects"]) == ("holder or coordinator", [OTHER])
            assert "or the coordinator" in line["proven"]
        else:
            assert (line["fault"], line["suspects"]) == ("coordinator", [])
            assert line["proven"].startswith(f"proven to {VICTIM} alone: the coordinator is at fault")
        assert vault not in [known.record.name for known in await people[0].client.vaults()]
        assert {name: cluster.signer(name).pid for name in cluster.signers} == pids
        switch.unlink()
        west.lies("")
        await people[0].wait_for_vault(vault, timeout_s=120)
