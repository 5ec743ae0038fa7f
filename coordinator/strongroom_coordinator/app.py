"""The running daemon: one gRPC server over mutual TLS for signers, people and integrators, and the tasks behind it."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

import grpc
import structlog
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from strongroom.api.signer.v1 import signer_link_service_pb2_grpc
from strongroom.model.errors import StrongroomError
from strongroom_coordinator.chain.json_rpc import JsonRpcNode
from strongroom_coordinator.clock import Clock
from strongroom_coordinator.config import CoordinatorConfig
from strongroom_coordinator.data_folder import TlsFiles, load_genesis, load_tls, storage_url
from strongroom_coordinator.errors import BadConfig
from strongroom_coordinator.ledger_side import LedgerSide, build_ledger_side
from strongroom_coordinator.revocations import Revocations
from strongroom_coordinator.rpc.server import EdgeSide, add_services, build_edge_side
from strongroom_coordinator.storage.engine import Storage

__all__ = ["serve", "server_options"]

log = structlog.get_logger()

MAX_MESSAGE_BYTES: Final = 16 * 1024 * 1024
MAX_CALLS_AT_ONCE: Final = 256
"""On one connection; further calls wait. Each may hold a message that is still arriving."""
DRAIN_S: Final = 5.0
STOPPED, FAILED = 0, 1


def server_options() -> list[tuple[str, Any]]:
    """Options of the gRPC server: bounds on messages and calls, and pings that notice a dead peer."""
    return [
        ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
        ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
        ("grpc.max_concurrent_streams", MAX_CALLS_AT_ONCE),
        ("grpc.keepalive_time_ms", 10_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        ("grpc.http2.min_recv_ping_interval_without_data_ms", 5_000),
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.so_reuseport", 0),
    ]


async def serve(folder: Path, config: CoordinatorConfig, *, clock: Clock, random: Callable[[int], bytes]) -> int:
    """Run until SIGTERM or SIGINT, and return the exit code.

    Raises:
        BadConfig: a file or address cannot be used.
        BadSchema, StorageFailed: the database cannot be used.
        FinalContradicted: it is of another log.
    """
    genesis = load_genesis(folder / config.genesis)
    tls = load_tls(folder, config, organisation=genesis.charter.organisation)
    revoked = None if config.revoked is None else folder / config.revoked
    revocations = Revocations(revoked, tls.certificate_authority, clock)
    if revoked is None:
        log.warning("revocations.none", effect="no stolen certificate is refused: set revoked in [server]")
    storage = Storage.open(storage_url(folder, config))
    try:
        side = build_ledger_side(
            storage, genesis, config, clock=clock, random=random, evidence_folder=folder / "evidence"
        )
        node = JsonRpcNode(config.bitcoin_rpc, folder / config.bitcoin_cookie)
        edge = build_edge_side(side, genesis.charter, config, node=node, clock=clock, revocations=revocations)
        side.links.guard(revocations)
        return await _Daemon(folder, config, tls, side, edge, revocations=revocations).run()
    finally:
        storage.close()


class _Daemon:
    """Starts in order, runs, and stops in the opposite order."""

    def __init__(
        self,
        folder: Path,
        config: CoordinatorConfig,
        tls: TlsFiles,
        side: LedgerSide,
        edge: EdgeSide,
        *,
        revocations: Revocations,
    ) -> None:
        self._folder = folder
        self._config = config
        self._side = side
        self._edge = edge
        self._revocations = revocations
        self._server = grpc.aio.server(options=server_options(), interceptors=edge.interceptors)
        self._health = health.aio.HealthServicer()
        self._credentials = grpc.ssl_server_credentials(
            [(tls.key, tls.certificate)],
            root_certificates=tls.certificate_authority,
            require_client_auth=True,
        )
        self._stop = asyncio.Event()

    async def run(self) -> int:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(_log_defect)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        loop.add_signal_handler(signal.SIGHUP, self._revocations.look)
        await self._start()
        failed = False
        try:
            async with asyncio.TaskGroup() as tasks:
                running = [tasks.create_task(work()) for work in self._work()]
                tasks.create_task(self._wait_for_stop(running))
        except* StrongroomError as failures:
            failed = True
            for failure in _leaves(failures):
                log.error("daemon.failed", reason=getattr(failure, "reason", ""), message=str(failure))
        finally:
            await self._health.set("", health_pb2.HealthCheckResponse.NOT_SERVING)
            await self._edge.stop()
            await self._side.stop()
            await self._server.stop(1.0)
        log.info("daemon.stopped")
        return FAILED if failed else STOPPED

    async def _wait_for_stop(self, running: list[asyncio.Task[Any]]) -> None:
        await self._stop.wait()
        await self._drain()
        for task in running:
            task.cancel()

    def _work(self) -> list[Callable[[], Any]]:
        """Everything that runs as long as the daemon does; one that fails ends it."""
        health = partial(self._edge.report_health, self._health)
        return [self._side.ledger.run, self._side.sequencer.run, *self._edge.work(), health, self._revocations.run]

    async def _start(self) -> None:
        signer_link_service_pb2_grpc.add_SignerLinkServiceServicer_to_server(self._side.links, self._server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        add_services(self._server, self._edge)
        # Asked first: gRPC would write its own line about it, which is no JSON.
        why = _bind_problem(self._config.listen)
        if why:
            raise BadConfig("server.listen", [f"{self._config.listen} cannot be listened on: {why}"])
        try:
            port = self._server.add_secure_port(self._config.listen, self._credentials)
        except RuntimeError as error:
            raise BadConfig("server.listen", [f"{self._config.listen} cannot be listened on: {error}"]) from None
        await self._server.start()
        (self._folder / "listen.port").write_text(f"{port}\n", encoding="ascii")
        await self._health.set("", health_pb2.HealthCheckResponse.SERVING)
        log.info("daemon.ready", port=port, log_id=self._side.voters.log_id.hex())

    async def _drain(self) -> None:
        """Let what was taken in reach its certificate, take nothing new, and store what was certified."""
        log.info("daemon.stopping")
        await self._health.set("", health_pb2.HealthCheckResponse.NOT_SERVING)
        try:
            async with asyncio.timeout(DRAIN_S):
                await self._side.sequencer.drained()
                await self._side.ledger.stored()
        except TimeoutError:
            log.warning("daemon.drain_timed_out")


def _log_defect(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log what a callback or a forgotten task raised as one event like every other, so that no defect goes unseen."""
    log.error("daemon.defect", message=context.get("message"), exc_info=context.get("exception"))


def _bind_problem(address: str) -> str:
    """Why the system lets nobody listen on any address of this name; empty when it does."""
    host, _, port = address.rpartition(":")
    why = "the name has no address"
    try:
        for family, kind, protocol, _, where in socket.getaddrinfo(
            host.strip("[]"), int(port), type=socket.SOCK_STREAM
        ):
            try:
                # A kernel without IPv6 makes no such socket, and may listen on the next address.
                with socket.socket(family, kind, protocol) as tried:
                    # As gRPC does: connections of a daemon that just stopped do not hold the port.
                    tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    tried.bind(where)
            except OSError as error:
                why = error.strerror or type(error).__name__
            else:
                return ""
    except OSError as error:
        why = error.strerror or type(error).__name__
    return why


def _leaves(group: BaseExceptionGroup[Any]) -> list[BaseException]:
    found: list[BaseException] = []
    for error in group.exceptions:
        found += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found
