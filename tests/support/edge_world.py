"""The whole coordinator over real signers and a real regtest node in one process, called through the client SDK.

async with edge_site(tmp_path) as site:
    await site.make_vault("customer-1")
    address = await site.integrator().address("customer-1", 0)
    site.node.mine(101, address)
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2_grpc
from sqlalchemy import Connection

import charter_builder as builder
from coordinator_world import RunningCoordinator, Site
from ledger_world import DESTINATION
from regtest_process import RegtestProcess
from strongroom.api.signer.v1 import signer_link_service_pb2_grpc
from strongroom.chains.bitcoin.keys import VaultKey
from strongroom.chains.bitcoin.transaction import txid_bytes
from strongroom.ledger import codec
from strongroom.ledger.pae import pae
from strongroom.ledger.plans import vault_key_of
from strongroom.ledger.records import VaultRecord
from strongroom.ledger.signed_messages import Endorsement, Verb
from strongroom.model.ids import OrderHash
from strongroom.protocol.signed import SignedBody
from strongroom_client import IntegrationClient, TreasuryClient
from strongroom_client.orders import Seen
from strongroom_coordinator.app import server_options
from strongroom_coordinator.chain.json_rpc import JsonRpcNode
from strongroom_coordinator.config import CoordinatorConfig
from strongroom_coordinator.ledger_side import build_ledger_side
from strongroom_coordinator.revocations import Revocations
from strongroom_coordinator.rpc.server import EdgeSide, add_services, build_edge_side
from strongroom_coordinator.storage import chain
from strongroom_coordinator.storage.engine import Storage
from strongroom_coordinator.storage.migrating import migrate

MINER = DESTINATION


class EdgeSite(Site):
    """A site whose coordinator has both halves and a node."""

    def __init__(self, root: Path, node: RegtestProcess, **charter: Any) -> None:
        super().__init__(root, **charter)
        self.node = node
        self.edges: list[EdgeSide] = []
        self._clients: list[Any] = []

    @property
    def edge(self) -> EdgeSide:
        return self.edges[-1]

    async def start_coordinator(self, folder: str = "coordinator", **config: Any) -> Any:  # type: ignore[override]
        path = self.root / folder
        path.mkdir(exist_ok=True)
        url = f"sqlite:///{path}/coordinator.db"
        migrate(url)
        settings = replace(
            CoordinatorConfig(listen="127.0.0.1:0", tick_ms=50, keygen_retry_ms=50, bitcoin_poll_ms=50), **config
        )
        side = build_ledger_side(
            Storage.open(url),
            self.genesis,
            settings,
            clock=self.clock,
            random=os.urandom,
            evidence_folder=path / "evidence",
        )
        node = JsonRpcNode(self.node.url, self.node.cookie_file)
        revocations = Revocations.none(self.clock)
        edge = build_edge_side(side, self.world.charter, settings, node=node, clock=self.clock, revocations=revocations)
        server = grpc.aio.server(options=server_options(), interceptors=edge.interceptors)
        health_servicer = health.aio.HealthServicer()
        signer_link_service_pb2_grpc.add_SignerLinkServiceServicer_to_server(side.links, server)
        health_pb2_grpc.add_HealthServicer_to_server(health_servicer, server)
        add_services(server, edge)
        key, certificate = self.authority.issue("coordinator", "coordinator")
        port = server.add_secure_port(
            "127.0.0.1:0", grpc.ssl_server_credentials([(key, certificate)], self.authority.pem, True)
        )
        await server.start()
        tasks = [asyncio.create_task(one()) for one in (side.ledger.run, side.sequencer.run)]
        at_the_edge = [*edge.work(), lambda: edge.report_health(health_servicer)]
        edge_tasks = [asyncio.create_task(one()) for one in at_the_edge]
        running = _running(side, server, port, tasks, edge, edge_tasks)
        self.coordinators.append(running)
        self.edges.append(edge)
        return running

    async def close_clients(self) -> None:
        for client in self._clients:
            await client.close()
        self._clients = []

    # --- clients ---------------------------------------------------------------------------------------------------

    def channel(self, role: str, name: str, *, organisation: str = "") -> grpc.aio.Channel:
        key, certificate = self.authority.issue(role, name, organisation=organisation)
        credentials = grpc.ssl_channel_credentials(self.authority.pem, key, certificate)
        channel = grpc.aio.secure_channel(f"127.0.0.1:{self.coordinator.port}", credentials)
        self._clients.append(channel)
        return channel

    def treasury(self, name: str = "alice", *, role: str = "person") -> TreasuryClient:
        return TreasuryClient(self.channel(role, name), self.world.log_id)

    def integrator(self, name: str = "shop", *, role: str = "integrator") -> IntegrationClient:
        return IntegrationClient(self.channel(role, name), self.world.log_id)

    def say(self, person: str, verb: Verb, order_hash: bytes, seen: Seen, **parts: Any) -> SignedBody:
        """An endorsement as a client signs it."""
        fields: dict[str, Any] = {
            "log_id": self.world.log_id,
            "verb": verb,
            "order_hash": order_hash,
            "head_size": seen.size,
            "head_root": seen.root,
            "expires_ms": self.clock.wall_ms() + 86_400_000,
            "person": person,
            "key": builder.signing_key(person).public,
        }
        body = codec.encode(Endorsement(**{**fields, **parts}))
        return SignedBody(body=body, signature=builder.signing_key(person).sign(pae("endorsement", body)))

    @staticmethod
    def world_key(record: VaultRecord) -> VaultKey:
        return vault_key_of(record)

    # --- chain -----------------------------------------------------------------------------------------------------

    async def mine(self, count: int = 1, address: str = MINER) -> None:
        """Mine blocks and wait until the tracker has followed them."""
        await asyncio.to_thread(self.node.mine, count, address)
        height = await asyncio.to_thread(self.node.call, "getblockcount")
        await self.followed(height)

    async def followed(self, height: int) -> None:
        """Wait until the tracker has followed a block: it knows of what is in it before its database does."""
        tip = await asyncio.to_thread(self.node.call, "getblockhash", height)

        def stored(connection: Connection) -> bool:
            return chain.block_hash(connection, height) == txid_bytes(tip)

        async with asyncio.timeout(60):
            while True:
                if await self.edge.parts.storage.run(stored):
                    return
                await asyncio.sleep(0.02)

    async def fund(self, vault: str, *, coins: int = 1) -> None:
        """Give a vault mature coins of 50 BTC each on its first deposit address."""
        address = await self.integrator().address(vault, 0)
        await self.mine(coins, address)
        await self.mine(100)

    async def status_of(self, order_hash: bytes, *wanted: str, timeout_s: float = 60) -> Any:
        """Wait until an order has one of these statuses; returns it."""
        client = self.treasury()
        async with asyncio.timeout(timeout_s):
            while True:
                status = await client.order(OrderHash(order_hash))
                if status.status in wanted:
                    return status
                await asyncio.sleep(0.02)


def _running(
    side: Any,
    server: Any,
    port: int,
    tasks: list[asyncio.Task[None]],
    edge: EdgeSide,
    edge_tasks: list[asyncio.Task[None]],
) -> Any:
    running = RunningCoordinator(side=side, server=server, port=port, tasks=[*tasks, *edge_tasks])
    ends: Callable[[], Any] = running.stop

    async def stop() -> None:
        # As the daemon does: whoever asks the node ends before the connections to it are closed.
        for task in edge_tasks:
            task.cancel()
        await asyncio.gather(*edge_tasks, return_exceptions=True)
        await edge.stop()
        await ends()

    running.stop = stop  # type: ignore[method-assign]

    def note(plan_hash: bytes, _txid: bytes, raw: bytes) -> None:
        running.signed[plan_hash] = raw
        running.signed_event.set()

    side.sessions.on_signed(note)
    return running


@asynccontextmanager
async def edge_site(
    root: Path, *signers: str, config: dict[str, Any] | None = None, **charter: Any
) -> AsyncIterator[EdgeSite]:
    """A started site with a node, a coordinator and connected signers."""
    (root / "node").mkdir()
    with RegtestProcess(root / "node") as node:
        async with EdgeSite(root, node, **charter) as site:
            await site.start_coordinator(**(config or {}))
            await site.start_signers(*signers)
            await site.genesis_logged()
            try:
                yield site
            finally:
                await site.close_clients()
