"""Payments in tests: ordered, approved, followed to the chain, and counted there."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import count

from actor import Actor, burn_address, until
from cluster import VAULT, Cluster
from strongroom.chains.bitcoin.address import address_of, script_of
from strongroom.chains.bitcoin.block import parse_block
from strongroom.chains.bitcoin.networks import REGTEST
from strongroom.ledger.signed_messages import Verb
from strongroom.model.ids import OrderHash
from strongroom_client.answers import OrderStatus
from strongroom_client.errors import RemoteError

AMOUNT = 25_000_000
_PAYEES = count(1_000)


def payee() -> str:
    """An address that no other payment goes to."""
    return burn_address(next(_PAYEES))


async def approved(people: tuple[Actor, ...], destination: str, amount: int = AMOUNT) -> OrderHash:
    """A withdrawal initiated by the first person and approved by the next two, who wait while nobody leads the log."""
    initiator, *approvers = people
    order = initiator.draft(initiator.withdrawal(VAULT, destination, amount))
    said = await until(lambda: initiator.say(Verb.INITIATE, order.hash))
    await until(lambda: initiator.client.submit(order.data, [said]), timeout_s=120.0)
    for person in approvers[:2]:
        await approve_again(person, order.hash)
    return order.hash


async def paid(cluster: Cluster, actor: Actor, order: OrderHash, *, timeout_s: float = 60.0) -> OrderStatus:
    """Mine whatever reaches the mempool until the order counts as paid."""

    async def check() -> OrderStatus | None:
        status = await actor.client.order(order)
        if status.status == "paid":
            return status
        if cluster.deployment.rpc("getrawmempool"):
            cluster.mine()
        return None

    status: OrderStatus = await until(check, timeout_s=timeout_s)
    return status


async def approve_again(actor: Actor, order: OrderHash, *, timeout_s: float = 60.0) -> None:
    """Approve while the coordinator may be restarting: an endorsement can be sent as often as one likes."""

    await until(lambda: approve_once(actor, order), timeout_s=timeout_s)


def payments_on_chain(cluster: Cluster, destination: str) -> list[int]:
    """Amounts that confirmed transactions paid to an address, from every block of the active chain."""
    return all_payments_on_chain(cluster, [destination])[destination]


def all_payments_on_chain(cluster: Cluster, destinations: Iterable[str]) -> dict[str, list[int]]:
    """The same for many addresses, with one reading of the chain."""
    amounts: dict[bytes, list[int]] = {script_of(one, REGTEST): [] for one in destinations}
    for height in range(1, cluster.deployment.rpc("getblockcount") + 1):
        raw = cluster.deployment.rpc("getblock", cluster.deployment.rpc("getblockhash", height), 0)
        for transaction in parse_block(bytes.fromhex(raw)).transactions:
            for output in transaction.outputs:
                if output.script in amounts:
                    amounts[output.script].append(output.amount_sat)
    return {address_of(script, REGTEST): found for script, found in amounts.items()}


async def connected(actor: Actor, count: int) -> bool:
    """Whether the coordinator sees exactly so many signers."""
    status = await actor.client.status()
    return sum(1 for signer in status.signers if signer.connected) == count


async def approve_once(actor: Actor, order: OrderHash) -> bool:
    """Approve; that the log knows it already, or that the order was planned since, is as good."""
    try:
        await actor.approve(order)
    except RemoteError as error:
        if error.remote_reason not in ("ALREADY_KNOWN", "ORDER_ENDED"):
            raise
    return True
