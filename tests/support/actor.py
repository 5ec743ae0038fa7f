"""People and servers that act through the SDK against real daemons."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from os import urandom
from typing import Any

from strongroom.chains.bitcoin.address import address_of
from strongroom.chains.bitcoin.networks import REGTEST
from strongroom.crypto.secret import SecretBytes
from strongroom.ledger.order_messages import (
    CancelWithdraw,
    CreateVault,
    CustodyClass,
    Freeze,
    Scheme,
    Scope,
    Unfreeze,
    Withdraw,
)
from strongroom.ledger.records import VaultRecord
from strongroom.ledger.signed_messages import Endorsement, Verb
from strongroom.model.ids import OrderHash
from strongroom.protocol.signed import SignedBody
from strongroom_client.answers import OrderStatus, Receipt, derive_address
from strongroom_client.demo.deployment import Deployment
from strongroom_client.errors import DeadlineExceeded, NotFound, NotProven, Unavailable
from strongroom_client.orders import Action, DraftedOrder, draft, endorsement
from strongroom_client.person_key import PersonKey
from strongroom_client.treasury import TreasuryClient
from strongroom_client.trust import Proven

BTC = REGTEST.asset_id
COIN = 100_000_000
DAY_MS = 24 * 3_600_000


class Actor:
    """One person with an open key and a connection."""

    def __init__(self, name: str, key: PersonKey, client: TreasuryClient, deployment: Deployment) -> None:
        self.name, self.key, self.client, self.deployment = name, key, client, deployment

    async def say(self, verb: Verb, order: OrderHash) -> SignedBody:
        """Sign one verb on one order."""
        body = endorsement(
            verb,
            order,
            log_id=self.deployment.log_id,
            seen=await self.client.seen(),
            now_ms=int(time.time() * 1000),
            person=self.name,
            key=self.key.public,
        )
        return self.sign(body)

    def sign(self, body: Endorsement) -> SignedBody:
        """Sign an endorsement's body."""
        return SignedBody.of(self.key.sign_endorsement(body))

    def draft(self, action: Action, *, expires_in_ms: int = DAY_MS, note: str = "") -> DraftedOrder:
        """Make order bytes."""
        expires = int(time.time() * 1000) + expires_in_ms
        return draft(action, log_id=self.deployment.log_id, expires_ms=expires, random=urandom, note=note)

    async def submit(self, action: Action, **options: Any) -> OrderHash:
        """Initiate an order."""
        order = self.draft(action, **options)
        receipt = await self.client.submit(order.data, [await self.say(Verb.INITIATE, order.hash)])
        return receipt.order_hash

    async def approve(self, order: OrderHash) -> Receipt:
        """Approve an order."""
        return await self.client.endorse(await self.say(Verb.APPROVE, order))

    async def reject(self, order: OrderHash) -> Receipt:
        """Reject an order."""
        return await self.client.endorse(await self.say(Verb.REJECT, order))

    async def pay(
        self, vault: str, destination: str, amount: int, *, max_fee: int = 100_000, **options: Any
    ) -> OrderHash:
        """Initiate a withdrawal."""
        return await self.submit(self.withdrawal(vault, destination, amount, max_fee=max_fee), **options)

    def withdrawal(self, vault: str, destination: str, amount: int, *, max_fee: int = 100_000) -> Withdraw:
        """What a withdrawal's order says."""
        return Withdraw(vault=vault, asset=BTC, amount=amount, destination=destination, max_fee=max_fee)

    async def cancel(self, order: OrderHash) -> OrderHash:
        """Cancel a withdrawal."""
        return await self.submit(CancelWithdraw(order_hash=order, max_fee=100_000))

    async def create_vault(self, name: str, *, signers: tuple[str, ...], threshold: int) -> OrderHash:
        """Ask for a new vault."""
        return await self.submit(
            CreateVault(
                name=name,
                custody_class=CustodyClass.CUSTOMER,
                chain=REGTEST.caip2,
                scheme=Scheme.FROST_SECP256K1_BIP340,
                signers=signers,
                threshold=threshold,
            )
        )

    async def freeze(self, vault: str = "", why: str = "looks wrong") -> OrderHash:
        """Freeze one vault, or everything."""
        return await self.submit(Freeze(scope=Scope.VAULT if vault else Scope.ALL, vault=vault, why=why))

    async def unfreeze(self, freeze: bytes) -> OrderHash:
        """Ask to lift a freeze."""
        return await self.submit(Unfreeze(freeze=freeze))

    async def wait_for_order(
        self, order: OrderHash, wanted: Callable[[OrderStatus], bool], *, timeout_s: float = 60.0
    ) -> OrderStatus:
        """Watch an order until it is as wanted."""
        async with asyncio.timeout(timeout_s):
            status = await self.client.order(order)
            if wanted(status):
                return status
            async for _, status in self.client.watch_orders(hashes=[order]):
                if wanted(status):
                    return status
        raise AssertionError("the watch ended")

    async def wait_for_vault(self, name: str, *, timeout_s: float = 60.0) -> Proven[VaultRecord]:
        """Wait until a vault is final."""

        async def find() -> Proven[VaultRecord] | None:
            return next((v for v in await self.client.vaults() if v.record.name == name and v.final), None)

        vault: Proven[VaultRecord] = await until(find, timeout_s=timeout_s)
        return vault

    async def wait_for_coins(self, vault: str, amount: int, *, timeout_s: float = 60.0) -> None:
        """Wait until the coordinator has seen that many confirmed satoshi."""

        async def enough() -> bool:
            return (await self.client.balance(vault)).confirmed >= amount

        await until(enough, timeout_s=timeout_s)


async def until(probe: Callable[[], Awaitable[Any]], *, timeout_s: float = 60.0) -> Any:
    """Ask again until the answer is true; for states that no watch reports."""
    async with asyncio.timeout(timeout_s):
        while True:
            try:
                answer = await probe()
            except (DeadlineExceeded, NotFound, NotProven, Unavailable):
                answer = None
            if answer:
                return answer
            await asyncio.sleep(0.05)


@asynccontextmanager
async def actors(deployment: Deployment, *names: str) -> AsyncIterator[tuple[Actor, ...]]:
    """Open the keys and connections of some people."""
    phrase = deployment.passphrase_file.read_bytes().strip()
    opened = []
    try:
        for name in names:
            with SecretBytes(phrase) as secret:
                key = PersonKey.open(deployment.person(name), secret)
            client = TreasuryClient.connect(deployment.endpoint(name), log_id=deployment.log_id)
            opened.append(Actor(name, key, client, deployment))
        yield tuple(opened)
    finally:
        for actor in opened:
            actor.key.wipe()
            await actor.client.close()


async def ready(actor: Actor, *, timeout_s: float = 60.0) -> None:
    """Wait until the coordinator leads and the log has a final head."""

    async def leads() -> bool:
        return bool((await actor.client.status()).leading and await actor.client.seen())

    await until(leads, timeout_s=timeout_s)


async def funded_vault(
    deployment: Deployment,
    people: tuple[Actor, ...],
    name: str = "customer-hot",
    *,
    coins: int = 3,
    signers: tuple[str, ...] | None = None,
    threshold: int = 2,
) -> Proven[VaultRecord]:
    """Create a vault by its order, wait until it is final, and mine coins to its first addresses."""
    first, *others = people
    await ready(first)
    order = await first.create_vault(name, signers=signers or deployment.shape.signers, threshold=threshold)
    for other in others[:2]:
        await other.approve(order)
    vault = await first.wait_for_vault(name)
    await give_coins(deployment, first, vault, coins)
    return vault


async def give_coins(deployment: Deployment, actor: Actor, vault: Proven[VaultRecord], coins: int) -> None:
    """Mine coins to the first addresses of a vault, and wait until the coordinator has them in its database."""
    name = vault.record.name
    for index in range(coins):
        deployment.rpc("generatetoaddress", 1, derive_address(vault, index))
    deployment.rpc("generatetoaddress", 100, burn_address())
    await actor.wait_for_coins(name, coins * 50 * COIN)
    await until(lambda: _are_stored(deployment, name, coins))


async def _are_stored(deployment: Deployment, vault: str, coins: int) -> bool:
    """Whether the coordinator's database has the coins: its answers come from memory, a copy of its folder does not."""
    database = deployment.coordinator_folder / "coordinator.db"
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        found = connection.execute("SELECT count(*) FROM chain_coin WHERE vault = ?", (vault,)).fetchone()
    return bool(found[0] >= coins)


def burn_address(tag: int = 1) -> str:
    """A regtest address whose key nobody needs."""
    return address_of(b"\x00\x14" + tag.to_bytes(20, "big"), REGTEST)
