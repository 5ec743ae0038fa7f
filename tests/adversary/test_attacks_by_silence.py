"""A signer process that takes a request and never answers it, in every step but signing itself.

Silence proves nothing, so nobody is blamed for it. Payments go on beside it, and what needs every holder - a key
generation, new shares - is done as soon as the silent one speaks. Silence in signing: `test_attacks_on_robustness.py`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from actor import Actor, actors, ready, until
from cluster import VAULT, Cluster, funded, running
from payments import approved, connected, paid, payee, payments_on_chain
from rogue import Rogue, asked_for_the_log, turn_rogue
from share_epochs import finished, has_epoch
from siege import nobody_is_blamed
from strongroom.ledger.order_messages import RefreshShares
from strongroom_client.demo.processes import program, run_program

pytestmark = [pytest.mark.process, pytest.mark.slow, pytest.mark.campaign]

STUCK = "session stuck: a party that accepts and never answers"
AMOUNT = 100_000
SIGNED_WITHIN_S = 15.0
"""From the last approval to the final transaction; for a machine that does other things too."""
ATTEMPT_S = 8.0
"""How long this coordinator waits for an answer in a ceremony; as long as it takes on a busy machine."""
TRIES = 12
HONEST = ("north", "south")


@dataclass
class Site:
    """Two honest signers, and west."""

    cluster: Cluster
    west: Rogue

    async def pay(self, people: tuple[Actor, ...]) -> None:
        """One payment, signed within the bound and paid exactly once."""
        destination, coordinator = payee(), self.cluster.coordinator
        mark = len(coordinator.events)
        order = await approved(people, destination, AMOUNT)
        begun = time.monotonic()
        await asyncio.to_thread(coordinator.wait_for, "plan.signed", after=mark, timeout_s=SIGNED_WITHIN_S)
        assert time.monotonic() - begun < SIGNED_WITHIN_S
        await paid(self.cluster, people[0], order)
        assert payments_on_chain(self.cluster, destination) == [AMOUNT]

    def restart(self, *, emptied: bool = False) -> None:
        """Start the coordinator anew, on request without its database."""
        # A signer that confirms nothing must not hold up the end of the daemon either.
        assert self.cluster.coordinator.stop() == 0
        if emptied:
            folder = self.cluster.deployment.coordinator_folder
            for path in folder.glob("coordinator.db*"):
                path.unlink()
            run_program([program("strongroom-coordinator"), "migrate", "--data", str(folder)])
        self.cluster.deployment.start_coordinator()

    async def met(self, lie: str) -> None:
        """Wait until west was silent where it was told to be."""
        await asyncio.to_thread(self.west.told, lie, timeout_s=60)


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with running(funded(), "silence") as cluster:
        config = cluster.deployment.coordinator_folder / "coordinator.toml"
        ceremonies = f"\n[signing]\nkeygen_timeout_ms = {int(ATTEMPT_S * 1000)}\nkeygen_retry_ms = 500\n"
        config.write_text(config.read_text() + ceremonies)
        cluster.start(signers=[name for name in cluster.signers if name != "west"])
        yield Site(cluster, turn_rogue(cluster, "west"))


@asynccontextmanager
async def beside_silence(site: Site, restarted: Collection[str] = ()) -> AsyncIterator[tuple[Actor, ...]]:
    """Around a silence: every signer is the same process, nobody is blamed, and all three are level afterwards.

    Args:
        site: What it is kept in.
        restarted: Signers that the block itself starts anew.
    """
    cluster = site.cluster
    before = {name: cluster.signer(name).pid for name in cluster.signers if name not in restarted}
    async with actors(cluster.deployment, "alice", "bob", "carol") as people:
        await ready(people[0])
        await until(lambda: connected(people[0], 3))
        try:
            yield people
        finally:
            site.west.lies("")
        assert {name: cluster.signer(name).pid for name in before if cluster.signer(name).running} == before
        nobody_is_blamed(cluster)
        await site.pay(people)


def silent(step: str, title: str) -> Any:
    return pytest.param(f"silent-{step}", id=step, marks=pytest.mark.attack(line="holders", title=title, origin=STUCK))


@pytest.mark.parametrize(
    "lie",
    [
        silent("promise", "a signer process that never answers when a term is asked for"),
        silent("open-term", "a signer process that never answers when a term is opened"),
        silent("certify", "a signer process that never confirms a certificate"),
    ],
)
async def test_a_term_opens_and_payments_go_on(site: Site, lie: str) -> None:
    async with beside_silence(site) as people:
        site.west.lies(lie)
        for _ in range(TRIES):
            site.restart()
            await ready(people[0])
            await site.pay(people)
            if site.west.has_told(lie):
                break
        await site.met(lie)
        await site.pay(people)


@pytest.mark.attack(
    line="holders", title="a signer process that never gives the log to a coordinator that lost its disk", origin=STUCK
)
async def test_an_emptied_coordinator_gets_the_log_from_the_others(site: Site) -> None:
    async with beside_silence(site, restarted=HONEST) as people:
        before = (await people[0].client.ledger()).final_head
        emptied = partial(site.restart, emptied=True)
        await asked_for_the_log(site.cluster, site.west, "silent-fetch", pay=lambda: site.pay(people), restart=emptied)
        await ready(people[0], timeout_s=120)
        assert (await people[0].client.ledger()).final_head.size >= before.size
        await site.pay(people)


@pytest.mark.parametrize(
    "lie",
    [
        silent("keygen-round1", "a signer process that never deals in a key generation"),
        silent("keygen-round2", "a signer process that never signs the transcript of a key generation"),
        silent("keygen-finish", "a signer process that never states what came of a key generation"),
        silent("trial-commit", "a signer process that never commits to the trial signature of a new key"),
        silent("trial-sign", "a signer process that never gives its share of a trial signature"),
    ],
)
async def test_a_key_generation_ends_and_names_nobody_and_succeeds_later(site: Site, lie: str) -> None:
    cluster, vault = site.cluster, f"customer-{lie}"
    async with beside_silence(site) as people:
        mark = len(cluster.coordinator.events)
        site.west.lies(lie)
        alice, *others = people
        order = await alice.create_vault(vault, signers=cluster.signers, threshold=2)
        for other in others:
            await other.approve(order)
        await site.met(lie)
        await site.pay(people)
        failed = await asyncio.to_thread(cluster.coordinator.wait_for, "keygen.failed", after=mark, timeout_s=60)
        assert (failed["suspects"], failed["fault"], failed["found_by"]) == ([], "unproven", None)
        assert failed["message"] == f"no key within {ATTEMPT_S:g} s, waiting for west"
        assert vault not in [known.record.name for known in await alice.client.vaults()]
        site.west.lies("")
        await alice.wait_for_vault(vault, timeout_s=90)


@pytest.mark.parametrize(
    "lie",
    [
        silent("deal", "a signer process that never deals new shares"),
        silent("receive", "a signer process that never states its new share"),
        silent("epoch-trial-commit", "a signer process that never commits to the trial signature of new shares"),
        silent("epoch-trial-sign", "a signer process that never gives its share of the trial signature of new shares"),
    ],
)
async def test_new_shares_wait_for_the_silent_one_alone(site: Site, lie: str) -> None:
    cluster = site.cluster
    async with beside_silence(site) as people:
        alice, *others = people
        epoch = (await alice.wait_for_vault(VAULT)).record.epoch
        site.west.lies(lie)
        order = await alice.submit(RefreshShares(vaults=(VAULT,), absent=()))
        for other in others:
            await other.approve(order)
        await site.met(lie)
        await site.pay(people)
        assert (await alice.wait_for_vault(VAULT)).record.epoch == epoch
        site.west.lies("")
        await finished(alice, order)
        for name in cluster.signers:
            await until(lambda name=name: has_epoch(cluster, name, epoch + 1))
