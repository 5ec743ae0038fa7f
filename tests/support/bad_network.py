"""A deployment whose every link runs through a faulty proxy: signers, people, and the coordinator's Bitcoin node."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from actor import BTC, Actor, ready, until
from cluster import FIVE, VAULT, Cluster, funded, running
from fault_proxy import FaultyLink
from payments import AMOUNT, all_payments_on_chain, approve_once, payee
from strongroom.ledger.order_messages import Withdraw
from strongroom.ledger.signed_messages import Verb
from strongroom.model.ids import OrderHash
from strongroom_client.demo.deployment import Deployment
from strongroom_client.errors import Aborted, DeadlineExceeded, Internal, NotFound, NotProven, Unavailable

PATIENCE_S = 120.0
PASSING = (Aborted, DeadlineExceeded, Internal, NotFound, NotProven, Unavailable)
"""What a client sees of a bad network, and tries again."""


@dataclass
class BadNetwork:
    """The processes of one deployment and the links between them."""

    cluster: Cluster
    signers: dict[str, FaultyLink] = field(default_factory=dict)
    """From each signer to the coordinator."""
    node: FaultyLink | None = None
    """From the coordinator to its Bitcoin node."""
    people: FaultyLink | None = None
    """From people to the coordinator."""
    orders: dict[str, OrderHash] = field(default_factory=dict)
    """Every order that was accepted, by the address it pays."""

    @property
    def deployment(self) -> Deployment:
        """The deployment as people see it: through their own link, where there is one."""
        if self.people is None:
            return self.cluster.deployment
        return replace(self.cluster.deployment, port=self.people.port)

    @property
    def links(self) -> list[FaultyLink]:
        found = [*self.signers.values(), self.node, self.people]
        return [link for link in found if link is not None]

    def lay(self) -> None:
        """Put a proxy into every link; call it before anything runs."""
        deployment = self.cluster.deployment
        for number, name in enumerate(self.cluster.signers):
            link = self.signers[name] = FaultyLink(deployment.port, seed=number)
            config = deployment.signer_folder(name) / "signer.toml"
            _replace_address(config, deployment.port, link.port)
        node_port = int((deployment.root / "node-port").read_text())
        self.node = FaultyLink(node_port, seed=100)
        _replace_address(deployment.coordinator_folder / "coordinator.toml", node_port, self.node.port)
        self.people = FaultyLink(deployment.port, seed=200)

    def heal(self) -> None:
        """Fair weather everywhere."""
        for link in self.links:
            link.heal()

    # --- work --------------------------------------------------------------------------------------------------------

    async def order(self, people: Sequence[Actor], *, before_submitting: Callable[[], None] = lambda: None) -> str:
        """Have a withdrawal ordered and approved by two, however often they must try; the address it pays.

        Args:
            people: who orders it, and who approves it.
            before_submitting: called once it is signed, before it is sent for the first time.
        """
        initiator, *approvers = people
        destination = payee()
        action = Withdraw(vault=VAULT, asset=BTC, amount=AMOUNT, destination=destination, max_fee=100_000)
        drafted = initiator.draft(action)

        said = []

        async def say() -> bool:
            said.append(await initiator.say(Verb.INITIATE, drafted.hash))
            return True

        async def submit() -> bool:
            await initiator.client.submit(drafted.data, said)
            return True

        await persistently(say)
        before_submitting()
        await persistently(submit)
        self.orders[destination] = drafted.hash
        for person in approvers[:2]:
            await persistently(lambda person=person: approve_once(person, drafted.hash))  # type: ignore[misc]
        return destination

    async def paid(self, people: Sequence[Actor], destination: str) -> None:
        """Mine whatever reaches the mempool until the order that pays this address counts as paid."""
        order = self.orders[destination]

        async def check() -> bool:
            status = await people[0].client.order(order)
            if status.status != "paid" and self.cluster.deployment.rpc("getrawmempool"):
                self.cluster.mine()
            return status.status == "paid"

        await persistently(check)

    async def holds(self, people: Sequence[Actor]) -> None:
        """Every accepted order is paid exactly once, every signer has the whole log and no alarm, the audit agrees."""
        await ready(people[0], timeout_s=PATIENCE_S)
        for destination in self.orders:
            await self.paid(people, destination)
        found = all_payments_on_chain(self.cluster, self.orders)
        assert not {destination: amounts for destination, amounts in found.items() if amounts != [AMOUNT]}

        async def level() -> bool:
            found = [self.cluster.signer_status(name) for name in self.cluster.signers]
            assert all(status["alarm"] is None for status in found)
            return all(status["connected"] for status in found) and len({status["size"] for status in found}) == 1

        await until(level, timeout_s=PATIENCE_S)
        assert self.cluster.audit()["verified"] is True


def _replace_address(config: Path, old: int, new: int) -> None:
    config.write_text(config.read_text().replace(f"127.0.0.1:{old}", f"127.0.0.1:{new}"))


async def persistently(attempt: Callable[[], Awaitable[bool]], *, timeout_s: float = PATIENCE_S) -> None:
    """Try until it succeeds, as a person or a server does on a bad network."""
    async with asyncio.timeout(timeout_s):
        while True:
            try:
                if await attempt():
                    return
            except PASSING:
                pass
            await asyncio.sleep(0.05)


@contextmanager
def bad_network(name: str) -> Iterator[BadNetwork]:
    """Five signers of whom three sign and four witness, everything running, every link through a proxy."""
    with running(funded(FIVE), name) as cluster:
        network = BadNetwork(cluster)
        network.lay()
        try:
            cluster.start()
            yield network
        finally:
            cluster.kill()
            for link in network.links:
                link.close()
