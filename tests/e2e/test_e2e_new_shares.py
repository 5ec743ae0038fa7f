"""New shares with real processes: refreshed while payments go on, killed at any moment, and with holders away."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from actor import Actor, actors, funded_vault, until
from cluster import FIVE, VAULT, Cluster, made, running, template
from log_followers import all_hold
from payments import AMOUNT, approved, paid, payee
from share_epochs import bytes_on_disk, finished, has_epoch, shares_of
from strongroom.ledger.order_messages import RefreshShares, ReshareVault
from strongroom.model.ids import OrderHash
from strongroom_client.answers import derive_address
from strongroom_client.demo.deployment import Deployment

pytestmark = pytest.mark.process


async def refreshing(people: tuple[Actor, ...], *, absent: tuple[str, ...] = ()) -> OrderHash:
    """An approved order to refresh the vault; nothing is waited for."""
    first, *others = people
    order = await first.submit(RefreshShares(vaults=(VAULT,), absent=absent))
    for person in others[:2]:
        await person.approve(order)
    return order


async def accepted(cluster: Cluster, actor: Actor, name: str, order: OrderHash) -> None:
    """An operator accepts an order for new shares by the command, once the signer's own log holds it."""
    await all_hold(cluster, actor, name)
    done = cluster.signer_command(name, "accept", order.hex())
    assert done.returncode == 0, done.stderr


async def test_a_vault_is_refreshed_while_it_pays_and_old_shares_are_gone_from_the_disks(
    stopped_cluster: Cluster,
) -> None:
    cluster, names = stopped_cluster, stopped_cluster.signers
    old = {name: shares_of(cluster, name)[1] for name in names}
    assert all(old[name] in bytes_on_disk(cluster.deployment.signer_folder(name)) for name in names)
    cluster.start()
    async with actors(cluster.deployment, *cluster.deployment.shape.treasury) as people:
        alice = people[0]
        before = await alice.wait_for_vault(VAULT)
        payments = [await approved(people, payee(), AMOUNT)]
        order = await refreshing(people)
        payments.append(await approved(people, payee(), AMOUNT))
        await finished(alice, order)
        after = await alice.wait_for_vault(VAULT)
        assert after.record.epoch == 2
        assert [derive_address(after, index) for index in range(3)] == [
            derive_address(before, index) for index in range(3)
        ]
        payments.append(await approved(people, payee(), AMOUNT))
        for payment in payments:
            await paid(cluster, alice, payment)
        for name in names:
            await until(lambda name=name: has_epoch(cluster, name, 2))
        # A signer erases what it has of the old epoch once it knows the new one to be final.
        await all_hold(cluster, alice)
    cluster.audit()
    cluster.stop()
    for name in names:
        assert set(shares_of(cluster, name)) == {2}
        assert old[name] not in bytes_on_disk(cluster.deployment.signer_folder(name))


async def test_holders_come_one_after_another_and_a_killed_coordinator_goes_on(cluster: Cluster) -> None:
    """Two that hold shares are there at first, then the coordinator dies, then the third comes."""
    _, second, third = cluster.signers
    cluster.signer(third).kill()
    async with actors(cluster.deployment, *cluster.deployment.shape.treasury) as people:
        alice = people[0]
        order = await refreshing(people)

        async def awaits_the_third() -> bool:
            line = (await alice.client.order(order)).waits_for
            return f"awaited: {third}" in line

        await until(awaits_the_third, timeout_s=60)
        cluster.restart_coordinator(kill=True)
        cluster.signer(second).kill()
        cluster.launch_signer(second)
        cluster.launch_signer(third)
        await finished(alice, order)
        await paid(cluster, alice, await approved(people, payee(), AMOUNT))
        for name in cluster.signers:
            await until(lambda name=name: has_epoch(cluster, name, 2))


async def test_a_lost_holder_is_excused_and_a_later_refresh_brings_it_back(cluster: Cluster) -> None:
    *present, third = cluster.signers
    cluster.signer(third).kill()
    async with actors(cluster.deployment, *cluster.deployment.shape.treasury) as people:
        alice = people[0]
        order = await refreshing(people, absent=(third,))
        for name in present:
            # Two of three, and one away: each of the two could spoil the third one's share.
            await accepted(cluster, alice, name, order)
        await finished(alice, order)
        await paid(cluster, alice, await approved(people, payee(), AMOUNT))
        cluster.launch_signer(third)
        # It was away for the whole of it, and has its share all the same: from its words and what lies beside the log.
        await until(lambda: has_epoch(cluster, third, 2))
        await finished(alice, await refreshing(people))
        await until(lambda: has_epoch(cluster, third, 3))


# --- reshare ---------------------------------------------------------------------------------------------------------

DELAY_MS = 2_000
OLD = ("north", "south", "west")
NEW = ("middle", "south", "north", "east", "west")


def _quick(source: str) -> str:
    """The proposed charter with a loosening delay that a test can wait out."""
    changed = source.replace('loosening_delay = "2d"', f'loosening_delay = "{DELAY_MS}ms"')
    assert changed != source
    return changed


@cache
def five() -> Deployment:
    """A stopped deployment of five signers, and a vault that three of them hold; use a copy."""
    shape = replace(FIVE, edit=_quick)
    return template("new-shares", shape, lambda root: made(root, shape, _make_vault))


async def _make_vault(deployment: Deployment) -> None:
    async with actors(deployment, *deployment.shape.treasury) as people:
        await funded_vault(deployment, people, VAULT, coins=3, signers=OLD, threshold=2)


@pytest.fixture
def cluster_of_five() -> Iterator[Cluster]:
    with running(five(), "reshare") as made:
        made.start()
        yield made


async def test_a_vault_of_three_is_given_to_five_once_its_operators_accept(
    cluster_of_five: Cluster, tmp_path: Path
) -> None:
    cluster = cluster_of_five
    async with actors(cluster.deployment, *cluster.deployment.shape.treasury) as people:
        alice, *others = people
        before = await alice.wait_for_vault(VAULT)
        order = await alice.submit(ReshareVault(vault=VAULT, signers=NEW, threshold=3, absent=()))
        for person in others[:2]:
            await person.approve(order)

        async def asks_the_operators() -> bool:
            return "strongroom-signer accept" in (await alice.client.order(order)).waits_for

        await until(asks_the_operators, timeout_s=60)
        for name in OLD:
            await accepted(cluster, alice, name, order)
        await finished(alice, order)
        after = await alice.wait_for_vault(VAULT)
        assert (after.record.signers, after.record.threshold, after.record.epoch) == (NEW, 3, 2)
        assert derive_address(after, 0) == derive_address(before, 0)
        await paid(cluster, alice, await approved(people, payee(), AMOUNT))
        record, page = tmp_path / "record.json", tmp_path / "record.txt"
        told = cluster.command("alice", "vault", "watch", order.hex(), "--record", str(record), "--page", str(page))
        assert told == json.loads(record.read_text())
        assert told["vaults"][0]["participants"] == list(NEW)
        assert told["vaults"][0]["transcript_hash"] in page.read_text()
    cluster.audit()
