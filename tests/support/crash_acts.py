"""What happens in a deployment while one of its daemons is about to end: keys, freezes, rejections, lone batches."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from typing import Any

from actor import Actor, burn_address, until
from cluster import VAULT
from crash_scenes import PATIENCE_S, Scene, patiently
from payments import approve_once
from strongroom.chains.bitcoin.networks import REGTEST
from strongroom.ledger.order_messages import CreateVault, CustodyClass, RefreshShares, Scheme
from strongroom.ledger.signed_messages import Verb
from strongroom.model.ids import OrderHash
from strongroom_client.demo.processes import program, run_program
from strongroom_client.orders import Action

People = tuple[Actor, ...]

COLD = "cold"
"""A second vault, to freeze."""
SHARED = "shared"
"""A vault of the two running signers, whose shares are renewed."""


# --- orders that stay open -------------------------------------------------------------------------------------------


async def approved(people: People, action: Action) -> OrderHash:
    """An order approved by all, each step repeated until it is acknowledged."""
    initiator, *approvers = people
    order = initiator.draft(action)
    said = await patiently(lambda: initiator.say(Verb.INITIATE, order.hash))
    await patiently(lambda: initiator.client.submit(order.data, [said]))
    for person in approvers:
        await patiently(lambda person=person: approve_once(person, order.hash))
    return order.hash


async def open_order(people: People, **options: Any) -> OrderHash:
    """An order that waits for its approvals."""
    initiator = people[0]
    order = initiator.draft(initiator.withdrawal(VAULT, burn_address(7), 50_000), **options)
    said = await patiently(lambda: initiator.say(Verb.INITIATE, order.hash))
    await patiently(lambda: initiator.client.submit(order.data, [said]))
    return order.hash


async def rejected(actor: Actor, order: OrderHash) -> None:
    """Wait until the log holds a rejection of the order."""

    async def is_rejected() -> bool:
        proven = (await actor.client.order(order)).proven
        return any(one.verb is Verb.REJECT for one in proven.record.endorsements)

    await until(is_rejected, timeout_s=PATIENCE_S)


async def lone_batch(scene: Scene, saying: Awaitable[Any]) -> None:
    """Let one signer store a batch alone, and end the coordinator that made it."""
    cluster = scene.cluster

    async def rests() -> bool:
        """A tick follows an order, so that it becomes final, and another batch must not be taken for the one wanted."""
        status = cluster.signer_status(scene.victim)
        return bool(status["size"] == status["certified_size"] and status["final_size"] >= final)

    final = cluster.signer_status(scene.victim)["size"]
    await until(rests, timeout_s=PATIENCE_S)
    before = cluster.signer_status(scene.victim)["size"]
    with hanging(scene):
        task = asyncio.ensure_future(saying)

        async def stored() -> bool:
            return bool(cluster.signer_status(scene.victim)["size"] > before)

        await until(stored, timeout_s=PATIENCE_S)
        cluster.coordinator.kill()
    await asyncio.gather(task, return_exceptions=True)


@contextmanager
def hanging(scene: Scene) -> Iterator[None]:
    """The other signer answers nothing meanwhile."""
    pid = scene.cluster.signer(scene.helper).pid
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


# --- key generation --------------------------------------------------------------------------------------------------


async def new_vault(scene: Scene, people: People, name: str = "") -> None:
    """A vault of the two running signers, final, with both shares sealed."""
    name = name or f"vault-{len(scene.vaults)}"
    scene.vaults.append(name)
    vault = CreateVault(
        name=name,
        custody_class=CustodyClass.CUSTOMER,
        chain=REGTEST.caip2,
        scheme=Scheme.FROST_SECP256K1_BIP340,
        signers=scene.signers,
        threshold=2,
    )
    await approved(people, vault)
    await people[0].wait_for_vault(name, timeout_s=PATIENCE_S)

    async def sealed() -> bool:
        return all(has_share(scene, signer, name) for signer in scene.signers)

    await until(sealed, timeout_s=PATIENCE_S)


async def shared_vault(scene: Scene, people: People) -> None:
    """The vault whose shares are renewed, made when it is first wanted."""
    if SHARED not in scene.vaults:
        await new_vault(scene, people, SHARED)


async def new_shares(scene: Scene, people: People) -> None:
    """The two running signers get new shares of a vault of theirs, both sealed; the older ones are gone."""
    before = (await people[0].wait_for_vault(SHARED, timeout_s=PATIENCE_S)).record.epoch
    await approved(people, RefreshShares(vaults=(SHARED,), absent=()))
    await share_sealed(scene, SHARED, before + 1)


async def share_sealed(scene: Scene, vault: str, epoch: int) -> None:
    """Wait until the two running signers hold their shares of an epoch of a vault, the newest that they know."""

    async def sealed() -> bool:
        return all(epoch_of(scene, signer, vault) == epoch for signer in scene.signers)

    await until(sealed, timeout_s=PATIENCE_S)


def epoch_of(scene: Scene, signer: str, vault: str) -> int:
    """The epoch of which a running signer holds a share; 0 when it holds none of the current one."""
    status = scene.status(signer)
    return max(
        (item["epoch"] for item in status.get("vaults", ()) if item["name"] == vault and item["has_share"]), default=0
    )


def has_share(scene: Scene, signer: str, vault: str) -> bool:
    """Whether a signer runs and holds its share of a vault."""
    status = scene.status(signer)
    return any(item["name"] == vault and item["has_share"] for item in status.get("vaults", ()))


# --- words handed in -------------------------------------------------------------------------------------------------


async def cold_vault(scene: Scene, people: People) -> None:
    """The second vault, made when it is first wanted."""
    if COLD not in scene.vaults:
        await new_vault(scene, people, COLD)


async def operator(scene: Scene, command: str, *arguments: str) -> None:
    """What the operator of the first signer types; whether it was answered does not matter."""
    await asyncio.to_thread(scene.cluster.signer_command, scene.victim, command, *arguments)


def freezes(scene: Scene, why: str) -> list[dict[str, Any]]:
    """The first signer's own freezes for this reason."""
    return [freeze for freeze in scene.status(scene.victim).get("local_freezes", ()) if freeze["why"] == why]


async def freeze_logged(scene: Scene, why: str) -> None:
    """Wait until the one freeze for this reason stands in the log."""

    async def is_logged() -> bool:
        return [freeze["logged"] for freeze in freezes(scene, why)] == [True]

    await until(is_logged, timeout_s=PATIENCE_S)


# --- signers that come and go ----------------------------------------------------------------------------------------


async def with_the_spare(scene: Scene, people: People) -> None:
    """The third signer helps with one order, and is gone again."""
    await asyncio.to_thread(scene.cluster.plain_signer, scene.spare)
    await scene.pay(people)
    scene.cluster.signer(scene.spare).kill()


# --- another coordinator ---------------------------------------------------------------------------------------------


@contextmanager
def emptied_coordinator(scene: Scene) -> Iterator[None]:
    """In place of the coordinator, which does not run: one that knows nothing but the genesis; then the first again."""
    deployment = scene.cluster.deployment
    folder = deployment.coordinator_folder
    away = folder.with_name("first-coordinator")
    shutil.move(folder, away)
    node_port = (scene.cluster.root / "node-port").read_text().strip()
    command = [program("strongroom-coordinator"), "init", "--data", str(folder)]
    command += ["--genesis", str(away / "genesis.bin"), "--listen", f"127.0.0.1:{deployment.port}"]
    command += ["--cert", str(away / "cert.pem"), "--key", str(away / "key.pem"), "--ca", str(away / "ca.pem")]
    command += ["--bitcoin-rpc", f"http://127.0.0.1:{node_port}"]
    command += ["--bitcoin-cookie", str(scene.cluster.root / "node" / ".cookie")]
    run_program(command)
    shutil.copy(away / "coordinator.toml", folder / "coordinator.toml")
    scene.plain_coordinator()
    try:
        yield
    finally:
        scene.cluster.coordinator.kill()
        shutil.rmtree(folder)
        shutil.move(away, folder)
