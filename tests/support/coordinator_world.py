"""A coordinator's ledger half and real signers in one process, connected by real gRPC over mutual TLS on loopback.

    async with Site(tmp_path) as site:              # three signers s1..s3, w = 2
        await site.start_coordinator()
        await site.start_signers("s1", "s2", "s3")
        await site.make_vault("customer-1")
        paid = await site.pay("customer-1", 100_000)
        raw = await site.signed(paid)

Votes, certificates, key generation, nonces and shares are the real ones. Plans come from a source that claims coins
that no chain has: signers need no chain.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Self

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

import charter_builder as builder
import signer_world
from ledger_world import World
from ports import own_port
from strongroom.api.signer.v1 import signer_link_service_pb2_grpc
from strongroom.crypto.secret import SecretBytes
from strongroom.ledger import codec
from strongroom.ledger.entry_messages import Endorse, Entry, OrderEntry, OrderPayment, Plan, PlanInput, PlanOutput
from strongroom.ledger.judge import judge_order
from strongroom.ledger.order_messages import Withdraw
from strongroom.ledger.pae import pae
from strongroom.ledger.records import OrderState
from strongroom.ledger.signed_messages import Endorsement, Signed, Verb
from strongroom.ledger.state import State, decode_order
from strongroom_coordinator.app import server_options
from strongroom_coordinator.clock import SystemClock
from strongroom_coordinator.config import CoordinatorConfig
from strongroom_coordinator.data_folder import GenesisFile
from strongroom_coordinator.ledger_side import LedgerSide, build_ledger_side
from strongroom_coordinator.sequencer import Logged
from strongroom_coordinator.storage.engine import Storage
from strongroom_coordinator.storage.migrating import migrate
from strongroom_coordinator.subjects import subjects_of
from strongroom_signer import clock as signer_clock
from strongroom_signer.assembly import Signer, open_signer
from strongroom_signer.config import SignerConfig
from strongroom_signer.link import Endpoint, Link
from strongroom_signer.logs import open_log

SIGNERS = ("s1", "s2", "s3")


class TestAuthority:
    """Issues TLS certificates for tests."""

    __test__ = False

    def __init__(self, organisation: str = "acme") -> None:
        self.organisation = organisation
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{organisation} test authority")])
        certificate = (
            self._builder(self._name, self._key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.pem = certificate.public_bytes(serialization.Encoding.PEM)

    def issue(self, role: str, name: str, *, organisation: str = "") -> tuple[bytes, bytes]:
        """Key and certificate, PEM."""
        key = ec.generate_private_key(ec.SECP256R1())
        uri = f"spiffe://{organisation or self.organisation}/{role}/{name}"
        names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(uri)]
        if role == "coordinator":
            names += [x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))]
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = (
            self._builder(subject, key.public_key())
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return private, certificate.public_bytes(serialization.Encoding.PEM)

    def _builder(self, subject: x509.Name, public: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(minutes=5))
            .not_valid_after(now + timedelta(days=1))
        )


@dataclass
class RunningSigner:
    """A signer's parts and its task."""

    signer: Signer
    task: asyncio.Task[None]


@dataclass
class RunningCoordinator:
    """A coordinator's ledger half behind a gRPC server."""

    side: LedgerSide
    server: grpc.aio.Server
    port: int
    tasks: list[asyncio.Task[None]]
    signed: dict[bytes, bytes] = field(default_factory=dict)
    signed_event: asyncio.Event = field(default_factory=asyncio.Event)

    async def stop(self) -> None:
        await self.side.stop()
        await self.server.stop(0)
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        self.side.storage.close()


class Site:
    """An organisation: its people, its signers' folders, and coordinators."""

    def __init__(self, root: Path, **charter: Any) -> None:
        self.root = root
        self.clock = SystemClock()
        self.world = World(charter=builder.charter(**charter), time_ms=self.clock.wall_ms())
        self.genesis = GenesisFile(genesis=self.world.genesis(), charter=self.world.charter, log_id=self.world.log_id)
        self.authority = TestAuthority()
        self.signers: dict[str, RunningSigner] = {}
        self.coordinators: list[RunningCoordinator] = []
        self.planning = True
        self.boasts: dict[str, Callable[[Any], Any]] = {}
        """What a signer says of itself instead of the truth."""
        self.corrupted: dict[str, Callable[[Signer], Signer]] = {}
        """Signers in an attacker's hands: what becomes of their parts when they start."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for name in tuple(self.signers):
            await self.stop_signer(name)
        for coordinator in self.coordinators:
            await coordinator.stop()

    # --- daemons -----------------------------------------------------------------------------------------------------

    @property
    def coordinator(self) -> RunningCoordinator:
        """The one that was started last."""
        return self.coordinators[-1]

    @property
    def side(self) -> LedgerSide:
        return self.coordinator.side

    async def start_coordinator(
        self, folder: str = "coordinator", *, port: int = 0, clock: Any = None, **config: Any
    ) -> RunningCoordinator:
        path = self.root / folder
        path.mkdir(exist_ok=True)
        url = f"sqlite:///{path}/coordinator.db"
        migrate(url)
        settings = replace(CoordinatorConfig(listen="127.0.0.1:0", tick_ms=50, keygen_retry_ms=50), **config)
        side = build_ledger_side(
            Storage.open(url),
            self.genesis,
            settings,
            clock=clock or self.clock,
            random=os.urandom,
            evidence_folder=path / "evidence",
        )
        side.sequencer.plan_source = self.plans
        server = grpc.aio.server(options=server_options())
        signer_link_service_pb2_grpc.add_SignerLinkServiceServicer_to_server(side.links, server)
        key, certificate = self.authority.issue("coordinator", "coordinator")
        bound = server.add_secure_port(
            f"127.0.0.1:{port or own_port()}",
            grpc.ssl_server_credentials([(key, certificate)], self.authority.pem, True),
        )
        await server.start()
        tasks = [asyncio.create_task(side.ledger.run()), asyncio.create_task(side.sequencer.run())]
        running = RunningCoordinator(side=side, server=server, port=bound, tasks=tasks)

        def note(plan_hash: bytes, _txid: bytes, raw: bytes) -> None:
            running.signed[plan_hash] = raw
            running.signed_event.set()

        side.sessions.on_signed(note)
        self.coordinators.append(running)
        return running

    async def stop_coordinator(self) -> None:
        """Stop the newest coordinator, as a crash would leave it."""
        await self.coordinators.pop().stop()

    async def start_signers(self, *names: str, port: int = 0) -> None:
        for name in names or SIGNERS:
            self.start_signer(name, port=port)

    def start_signer(
        self, name: str, *, port: int = 0, clock: Any = None, random: Any = os.urandom, label: str = ""
    ) -> Signer:
        """Start a signer; a label of its own makes it another machine of the same name."""
        folder = self.root / (label or name)
        if not folder.exists():
            signer_world.make_folder(self.root, self.world, name, label)
        log = open_log(stream=io.StringIO(), raise_on_secret=True)
        address = f"127.0.0.1:{port or self.coordinator.port}"
        signer = self.corrupted.get(name, _honestly)(
            open_signer(
                folder,
                SignerConfig(coordinator=address, free_disk_floor_bytes=0),
                SecretBytes(signer_world.PASSPHRASE),
                clock=clock or signer_clock.SystemClock(),
                random=random,
                log=log,
            )
        )
        key, certificate = self.authority.issue("signer", name)
        link = Link(
            Endpoint(address=address, authority=self.authority.pem, certificate=certificate, key=key),
            service=signer.service,
            catch_up=signer.catch_up,
            hello=lambda: self.boasts.get(name, _honestly)(signer.hello()),
            random=random,
            log=log,
        )
        self.signers[name] = RunningSigner(signer, asyncio.create_task(link.run()))
        return signer

    async def stop_signer(self, name: str) -> None:
        running = self.signers.pop(name)
        running.task.cancel()
        await asyncio.gather(running.task, return_exceptions=True)
        running.signer.close()

    # --- people ------------------------------------------------------------------------------------------------------

    def endorsement(self, person: str, verb: Verb, order_hash: bytes) -> Signed:
        """An endorsement that names the newest certified head."""
        certificate = self.side.sequencer.certificate
        assert certificate is not None
        now = self.clock.wall_ms()
        body = codec.encode(
            Endorsement(
                log_id=self.world.log_id,
                verb=verb,
                order_hash=order_hash,
                head_size=certificate.head.size,
                head_root=certificate.head.root,
                expires_ms=now + 86_400_000,
                person=person,
                key=builder.signing_key(person).public,
            )
        )
        return Signed(body=body, signature=builder.signing_key(person).sign(pae("endorsement", body)))

    def order(self, action: Any) -> bytes:
        self.world.time_ms = self.clock.wall_ms()
        return self.world.order(action, id=os.urandom(16))

    def order_entry(self, order: bytes, initiator: str, *approvers: str) -> OrderEntry:
        digest = hashlib.sha256(order).digest()
        said = [self.endorsement(initiator, Verb.INITIATE, digest)]
        said += [self.endorsement(person, Verb.APPROVE, digest) for person in approvers]
        return OrderEntry(order=order, endorsements=tuple(said))

    def endorse(self, person: str, verb: Verb, order_hash: bytes) -> Endorse:
        return Endorse(endorsement=self.endorsement(person, verb, order_hash))

    async def genesis_logged(self) -> None:
        await self.until(lambda: self.side.sequencer.certificate is not None and self.side.sequencer.term > 0)

    async def submit(self, action: Any, initiator: str, *approvers: str) -> Logged:
        await self.genesis_logged()
        return await asyncio.wait_for(
            self.side.sequencer.submit(self.order_entry(self.order(action), initiator, *approvers)), 20
        )

    async def make_vault(self, name: str, signers: tuple[str, ...] = SIGNERS, threshold: int = 2) -> None:
        """Order and approve a vault, and wait until every holder has its share."""
        await self.submit(self.world.creation(name, signers, threshold), "carol", "alice", "bob")
        await self.until(
            lambda: all(
                self.signers[holder].signer.shares.has(name, 0) or self.signers[holder].signer.shares.has(name, 1)
                for holder in signers
                if holder in self.signers
            )
        )

    async def pay(self, vault: str, amount_sat: int, *approvers: str) -> bytes:
        """Submit an approved withdrawal and return its hash."""
        action = self.world.withdrawal(vault, amount_sat)
        logged = await self.submit(action, "shop", *(approvers or ("alice", "bob")))
        return subjects_of(codec.decode(Entry, logged.entry).body)[0]

    async def signed(self, order_hash: bytes, timeout_s: float = 20) -> bytes:
        """Wait for a final transaction of an order."""

        def transaction() -> bytes | None:
            record = self.side.sequencer.replica.state().order(order_hash)
            plans = () if record is None else record.plans
            return next((self.coordinator.signed[plan] for plan in plans if plan in self.coordinator.signed), None)

        async with asyncio.timeout(timeout_s):
            while (raw := transaction()) is None:
                self.coordinator.signed_event.clear()
                await self.coordinator.signed_event.wait()
        return raw

    async def pay_until(self, vault: str, condition: Callable[[], Any], timeout_s: float = 60) -> None:
        """Pay again and again until something holds that comes of a certain signer's part in a payment.

        Whoever answers first signs: one that is slow for a while has no part in any number of payments.
        """
        async with asyncio.timeout(timeout_s):
            while not condition():
                await self.signed(await self.pay(vault, 50_000), timeout_s)

    def ask_first(self, name: str) -> None:
        """Let every plan from here on prefer this holder, while it answers in time."""
        standing: Any = self.side.sessions._standing
        standing.order = lambda names, _plan: sorted(names, key=lambda one: one != name)

    def ask_in_turn(self) -> None:
        """Let plans prefer whom they like again."""
        standing: Any = self.side.sessions._standing
        del standing.order

    def plans(self, state: State, now_ms: int) -> Sequence[Plan]:
        """One plan per payable order, with a coin of its own that pays it exactly."""
        if not self.planning:
            return ()
        made = []
        for record in state.open_orders():
            action = decode_order(record.order).action
            ready = record.state is OrderState.OPEN and isinstance(action, Withdraw)
            if not ready or not isinstance(action, Withdraw) or not judge_order(state, record, now_ms).allowed:
                continue
            coin = PlanInput(
                txid=hashlib.sha256(b"coin" + record.hash).digest(),
                vout=0,
                amount_sat=action.amount + 1_000,
                branch=0,
                index=0,
            )
            made.append(
                Plan(
                    vault=action.vault,
                    order_hashes=(record.hash,),
                    inputs=(coin,),
                    outputs=(PlanOutput(target=OrderPayment(position=0)),),
                    bumps=b"",
                )
            )
        return made

    # --- waiting -----------------------------------------------------------------------------------------------------

    async def until(self, condition: Callable[[], Any], timeout_s: float = 20) -> None:
        """Wait until something holds; fails the test when it does not in time, or when a daemon died."""
        async with asyncio.timeout(timeout_s):
            while not condition():
                for task in (*self.coordinator.tasks, *(item.task for item in self.signers.values())):
                    if task.done() and not task.cancelled():
                        task.result()
                await asyncio.sleep(0.005)


def _honestly(anything: Any) -> Any:
    return anything


@asynccontextmanager
async def started(root: Path, **config: Any) -> AsyncIterator[Site]:
    """A site with a coordinator and all signers."""
    async with Site(root) as site:
        await site.start_coordinator(**config)
        await site.start_signers()
        yield site
