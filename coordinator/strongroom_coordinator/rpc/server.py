"""The half of the daemon that faces people, integrators and the chain, built in one place."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Final

from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection

from strongroom.api.integration.v1 import integration_service_pb2_grpc
from strongroom.api.treasury.v1 import treasury_service_pb2_grpc
from strongroom.chains.bitcoin.networks import NETWORKS, Network
from strongroom.ledger.certificate_messages import Certificate
from strongroom.ledger.charter import Charter
from strongroom.ledger.replica import Batch
from strongroom_coordinator.chain.node import BitcoinNode
from strongroom_coordinator.clock import Clock
from strongroom_coordinator.config import CoordinatorConfig
from strongroom_coordinator.errors import BadConfig
from strongroom_coordinator.ledger_side import LedgerSide
from strongroom_coordinator.planner import Planner
from strongroom_coordinator.reading import LogReader
from strongroom_coordinator.revocations import Revocations
from strongroom_coordinator.rpc.integration import IntegrationService
from strongroom_coordinator.rpc.interceptor import INTEGRATION, LINK, TREASURY, Border
from strongroom_coordinator.rpc.parts import Parts
from strongroom_coordinator.rpc.treasury import TreasuryService
from strongroom_coordinator.tracker import Tracker
from strongroom_coordinator.tracker.journal import OrderJournal
from strongroom_coordinator.views import Views

__all__ = ["EdgeSide", "add_services", "build_edge_side", "network_of"]

LOOK_S: Final = 0.1
_HEALTH = "grpc.health.v1.Health"
_REFLECTION = "grpc.reflection.v1alpha.ServerReflection"


def network_of(charter: Charter) -> Network:
    """The Bitcoin network whose coin the charter lists.

    Raises:
        BadConfig: none, or several; one coordinator follows one.
    """
    assets = {asset.id for asset in charter.assets}
    found = [network for network in NETWORKS if network.asset_id in assets]
    if len(found) != 1:
        raise BadConfig("charter", [f"lists the coins of {len(found)} Bitcoin networks, one is needed"])
    return found[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeSide:
    """Tracker, planner, views and services."""

    parts: Parts
    journal: OrderJournal
    node: BitcoinNode
    organisation: str
    revocations: Revocations

    @property
    def interceptors(self) -> list[Any]:
        """For `grpc.aio.server`."""
        return [Border(self.organisation, self.revocations)]

    def work(self) -> list[Callable[[], Any]]:
        """Everything that runs as long as the daemon does; one that fails ends it."""
        return [self.parts.tracker.run, self.journal.run, self._look_again]

    async def _look_again(self) -> None:
        """Wake the sequencer when time alone may have made an order pass."""
        planner, clock = self.parts.planner, self.parts.clock
        while True:
            await asyncio.sleep(LOOK_S)
            if planner.wants_look(clock.wall_ms()):
                self.parts.sequencer.wake()

    async def report_health(self, health: Any) -> None:
        """Keep the services' health up to date: they serve while a term is open."""
        serving = None
        while True:
            now = self.parts.sequencer.term > 0
            if now != serving:
                serving = now
                await _set_health(health, serving)
            await asyncio.sleep(LOOK_S)

    async def stop(self) -> None:
        """End the watches and the chain's tasks."""
        await self.parts.tracker.stop()
        await self.node.close()


def build_edge_side(
    side: LedgerSide,
    charter: Charter,
    config: CoordinatorConfig,
    *,
    node: BitcoinNode,
    clock: Clock,
    revocations: Revocations,
) -> EdgeSide:
    """Wire this half to the ledger half.

    Raises:
        BadConfig: the charter is not about exactly one Bitcoin network.
    """
    reader = LogReader(side.ledger)
    tracker = Tracker(
        node=node,
        network=network_of(charter),
        storage=side.storage,
        reader=reader,
        clock=clock,
        confirmations=config.bitcoin_confirmations,
        poll_ms=config.bitcoin_poll_ms,
        fee_rate_sat_per_vb=config.fee_rate_sat_per_vbyte,
        bump_after_s=config.bump_after_s,
    )
    planner = Planner(tracker, max_orders=config.max_orders_per_plan, refusals=side.sessions.refusals)
    journal = OrderJournal(side.storage, reader, clock, tracker.order_bell)

    def certified(batch: Batch, certificate: Certificate) -> None:
        tracker.certified(batch, certificate)
        journal.certified()

    side.sequencer.plan_source = planner.plans
    side.sequencer.on_certified(certified)
    side.sessions.on_signed(tracker.signed)
    side.sessions.on_refused(side.sequencer.wake)
    tracker.on_change(side.sequencer.wake)
    views = Views(
        reader=reader,
        tracker=tracker,
        storage=side.storage,
        clock=clock,
        log_now=lambda: side.sequencer.log_now_ms,
        reason=planner.reason,
        progress=side.progress,
        refusals=side.sessions.refusals,
    )
    parts = Parts(
        founding=side.voters.founding,
        reader=reader,
        sequencer=side.sequencer,
        storage=side.storage,
        tracker=tracker,
        planner=planner,
        views=views,
        links=side.links,
        clock=clock,
        version=version("strongroom"),
        handovers=side.handovers.proofs,
        checkpoint=side.cosignatures.checkpoint,
        refusals=side.sessions.refusals,
        evidence=side.evidence,
    )
    return EdgeSide(parts=parts, journal=journal, node=node, organisation=charter.organisation, revocations=revocations)


def add_services(server: Any, edge: EdgeSide) -> None:
    """Add the services for people and integrators, and reflection over everything that is served."""
    treasury_service_pb2_grpc.add_TreasuryServiceServicer_to_server(TreasuryService(edge.parts), server)
    integration_service_pb2_grpc.add_IntegrationServiceServicer_to_server(IntegrationService(edge.parts), server)
    reflection.enable_server_reflection((TREASURY, INTEGRATION, LINK, _HEALTH, _REFLECTION), server)


async def _set_health(health: Any, serving: bool) -> None:
    statuses = health_pb2.HealthCheckResponse
    for service in (TREASURY, INTEGRATION):
        await health.set(service, statuses.SERVING if serving else statuses.NOT_SERVING)
