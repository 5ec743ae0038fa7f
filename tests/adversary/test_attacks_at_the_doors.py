"""Who is refused at the doors of real daemons: strangers, old and revoked certificates, callers of another kind.

A certificate grants calls and never authority, so these doors keep out readers and nuisances; that no coin moves for
them is shown elsewhere. Every test ends with people being served as before, by the same process.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import os
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from actor import Actor, actors, ready, until
from callers import DAY, INTEGRATION, TREASURY, Identity, Issuer, called, channel, linked, said_to_socket, tls
from cluster import Cluster, funded, running
from payments import approved, connected, paid, payee, payments_on_chain
from strongroom.api.signer.v1 import signer_link_service_pb2 as link_pb
from strongroom.model.errors import StrongroomError
from strongroom_client.demo.processes import Daemon
from strongroom_client.errors import RemoteError
from strongroom_client.pki import Authority
from strongroom_coordinator.rpc.interceptor import SAY_AGAIN_S, may_call

pytestmark = [pytest.mark.process, pytest.mark.slow]

DOORS = "on paper: a certificate of another kind opens a service"
OLD_TLS = "TLS 1.0 and 1.1: BEAST and downgrades"
REVOKED = "Heartbleed 2014: stolen TLS keys stay good until their certificates are revoked"
ROLES = ("person", "integrator", "signer", "auditor", "coordinator")
AMOUNT = 100_000


def attack(title: str, origin: str = DOORS) -> pytest.MarkDecorator:
    return pytest.mark.attack(line="stranger", title=title, origin=origin)


@pytest.fixture(scope="module")
def site() -> Iterator[Cluster]:
    """Three signers and a coordinator that goes by a revocation list."""
    with running(funded(), "doors") as cluster:
        cluster.deployment.strongroom("pki", "renew-revocations", str(cluster.root / "pki"))
        put_everywhere(cluster)
        config = cluster.deployment.coordinator_folder / "coordinator.toml"
        config.write_text(config.read_text().replace("[ledger]", 'revoked = "crl.pem"\n\n[ledger]', 1))
        for name in cluster.signers:
            config = cluster.deployment.signer_folder(name) / "signer.toml"
            config.write_text(config.read_text().replace('revoked = ""', 'revoked = "crl.pem"', 1))
        cluster.start()
        yield cluster


@asynccontextmanager
async def served_as_before(cluster: Cluster) -> AsyncIterator[Actor]:
    """Around an attack: the coordinator is the same process, all signers stay connected, and a person is served."""
    pid = cluster.coordinator.pid
    async with actors(cluster.deployment, "alice") as (alice,):
        await ready(alice)
        await until(lambda: connected(alice, 3))
        yield alice
        assert cluster.coordinator.running
        assert cluster.coordinator.pid == pid
        await until(lambda: connected(alice, 3))


async def served(actor: Actor) -> None:
    """Answered at the first call, as before the attack; that the log is led at that very moment is not promised."""
    await actor.client.status()
    await ready(actor)


def now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def publish(cluster: Cluster, write: Callable[[Authority, Path], Any]) -> None:
    """Write a list with the organisation's authority and bring it to the coordinator."""
    folder = cluster.root / "pki"
    write(Authority.open(folder), folder)
    put(cluster, (folder / "crl.pem").read_bytes())


def put(cluster: Cluster, content: bytes) -> None:
    """Bring a list to the coordinator."""
    _put_into(cluster.deployment.coordinator_folder, content)


def put_everywhere(cluster: Cluster) -> None:
    """Bring the authority's list to the coordinator and to every signer."""
    content = (cluster.root / "pki" / "crl.pem").read_bytes()
    for folder in (cluster.deployment.coordinator_folder, *map(cluster.deployment.signer_folder, cluster.signers)):
        _put_into(folder, content)


def _put_into(folder: Path, content: bytes) -> None:
    (folder / "crl.new").write_bytes(content)
    (folder / "crl.new").replace(folder / "crl.pem")


async def published(cluster: Cluster, write: Callable[[Authority, Path], Any]) -> None:
    """The same, and wait until the coordinator goes by it."""
    mark = len(cluster.coordinator.events)
    publish(cluster, write)
    await asyncio.to_thread(cluster.coordinator.wait_for, "revocations.read", after=mark, timeout_s=60)


def issuer(cluster: Cluster) -> Issuer:
    return Issuer.of(cluster.root / "pki")


def uri(role: str, name: str, organisation: str = "acme") -> str:
    return f"spiffe://{organisation}/{role}/{name}"


async def refused_at(cluster: Cluster, identity: Identity | None) -> set[tuple[str, str]]:
    """How each service answers this caller: treasury, integration and signer link."""
    async with channel(cluster.deployment.port, issuer(cluster).pem, identity) as opened:
        answers = {
            await called(opened, TREASURY, TREASURY.methods_by_name["GetLedger"]),
            await called(opened, INTEGRATION, INTEGRATION.methods_by_name["GetLedger"]),
        }
        code, _ = await linked(opened, hello(cluster, "west"))
        return answers | {(code, "link")}


def hello(cluster: Cluster, name: str) -> bytes:
    said = link_pb.Hello(signer=name, log_id=cluster.deployment.log_id, boot_id=os.urandom(16), version="0", rule_set=1)
    return link_pb.LinkRequest(seq=1, hello=said).SerializeToString()


# --- the handshake ----------------------------------------------------------------------------------------------------

NO_HANDSHAKE = {("UNAVAILABLE", ""), ("UNAVAILABLE", "link")}


def stranger(cluster: Cluster) -> Identity:
    return Issuer.stranger(issuer(cluster)).issue(uri("person", "alice"))


HANDSHAKES: dict[str, tuple[str, Callable[[Cluster], Identity | None]]] = {
    "none": ("no certificate at all", lambda _: None),
    "stranger": ("a certificate of a stranger's authority with the organisation's name", stranger),
    "self-signed": (
        "a self-signed certificate with the right name",
        lambda c: issuer(c).self_signed(uri("person", "alice")),
    ),
    "expired": ("an expired certificate", lambda c: issuer(c).issue(uri("person", "alice"), start=-2 * DAY, end=-DAY)),
    "early": (
        "a certificate that is not yet valid",
        lambda c: issuer(c).issue(uri("person", "alice"), start=DAY, end=2 * DAY),
    ),
    "server": (
        "the coordinator's own certificate, used by a client",
        lambda c: Identity(
            (c.root / "coordinator-tls" / "tls.key").read_bytes(),
            (c.root / "coordinator-tls" / "cert.pem").read_bytes(),
        ),
    ),
}


@pytest.mark.parametrize("case", [pytest.param(name, marks=attack(title)) for name, (title, _) in HANDSHAKES.items()])
async def test_the_handshake_refuses(site: Cluster, case: str) -> None:
    async with served_as_before(site):
        assert await refused_at(site, HANDSHAKES[case][1](site)) == NO_HANDSHAKE


@pytest.mark.parametrize(
    "case",
    [
        pytest.param("tls-1.1", marks=attack("a connection over TLS 1.1", OLD_TLS)),
        pytest.param("http-1", marks=attack("HTTP/1.1 under a good certificate")),
        pytest.param("plaintext", marks=attack("a plaintext HTTP/2 connection")),
        pytest.param("garbage", marks=attack("garbage bytes at the port")),
    ],
)
async def test_bytes_that_are_no_call_are_refused(site: Cluster, case: str) -> None:
    authority, alice = site.root / "pki" / "ca.pem", site.deployment.endpoint("alice")
    request = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9)
    sent: tuple[bytes, ssl.SSLContext | None] = {
        "tls-1.1": (preface, tls(authority, alice, at_most=ssl.TLSVersion.TLSv1_1)),
        "http-1": (request, tls(authority, alice)),
        "plaintext": (preface, None),
        "garbage": (os.urandom(100_000), None),
    }[case]
    async with served_as_before(site):
        data, context = sent
        answer = await asyncio.to_thread(said_to_socket, site.deployment.port, data, context=context)
        # A TLS alert, or nothing: no HTTP of either version.
        assert answer.startswith((b"refused:", b"\x15\x03")) or answer == b"", answer[:100]


@pytest.mark.campaign
@attack("hundreds of connections that say nothing", "Slowloris 2009")
async def test_silent_connections_keep_nobody_out(site: Cluster) -> None:
    async with served_as_before(site) as alice:
        silent = [socket.create_connection(("127.0.0.1", site.deployment.port), timeout=60) for _ in range(300)]
        try:
            # Half of them begin a handshake and never go on.
            for one in silent[::2]:
                one.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
            async with actors(site.deployment, "bob") as (bob,):
                await served(bob)
            await served(alice)
        finally:
            for one in silent:
                one.close()


# --- the role ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "role",
    [
        pytest.param(role, marks=attack(f"every method of every service called with a certificate of role {role}"))
        for role in ROLES
    ],
)
async def test_each_service_refuses_callers_of_another_kind(site: Cluster, role: str) -> None:
    """All methods of all services: a caller gets through to exactly those that its role may call."""
    name = {"person": "alice", "integrator": "shop", "signer": "west"}.get(role, "eve")
    async with served_as_before(site):
        mark, begun = len(site.coordinator.events), time.monotonic()
        identity = issuer(site).issue(uri(role, name))
        async with channel(site.deployment.port, issuer(site).pem, identity) as opened:
            for service in (TREASURY, INTEGRATION):
                for method in service.methods:
                    allowed = may_call(role, service.full_name, method.name)
                    if allowed and method.server_streaming:
                        continue
                    answer = await called(opened, service, method)
                    assert (answer != ("PERMISSION_DENIED", "ROLE_NOT_ALLOWED")) is allowed, (method.name, answer)
            if role != "signer":
                code, detail = await linked(opened, hello(site, "west"))
                assert code == "UNAUTHENTICATED"
                assert "is no signer of this charter" in detail
        serial = {"serial": f"{identity.serial:x}"}
        await asyncio.to_thread(site.coordinator.wait_for, "rpc.refused", where=serial, after=mark)
        # One line a minute, however often it is refused.
        refused = refusals_of(site, identity, mark)
        assert len(refused) <= 1 + (time.monotonic() - begun) // SAY_AGAIN_S
        assert {line["reason"] for line in refused} == {"ROLE_NOT_ALLOWED"}


def refusals_of(cluster: Cluster, identity: Identity, after: int) -> list[dict[str, Any]]:
    """Lines of the coordinator's log about calls refused under this certificate."""
    lines = [line for line in cluster.coordinator.events[after:] if line.get("event") == "rpc.refused"]
    return [line for line in lines if line["serial"] == f"{identity.serial:x}"]


WRONG_NAMES: dict[str, tuple[str, Callable[[Issuer], Identity], str]] = {
    "organisation": (
        "a certificate of the same authority for another organisation",
        lambda i: i.issue(uri("person", "alice", "other")),
        "ROLE_NOT_ALLOWED",
    ),
    "two": (
        "a certificate that names two parties",
        lambda i: i.issue(uri("person", "alice"), uri("integrator", "shop")),
        "NOT_IDENTIFIED",
    ),
    "none": ("a certificate that names nobody", lambda i: i.issue(), "NOT_IDENTIFIED"),
    "unknown": (
        "a certificate of a role that does not exist",
        lambda i: i.issue(uri("admin", "root")),
        "NOT_IDENTIFIED",
    ),
    "deeper": (
        "a certificate whose name goes on after the name",
        lambda i: i.issue(uri("person", "alice/../../signer/west")),
        "NOT_IDENTIFIED",
    ),
}


@pytest.mark.parametrize("case", [pytest.param(name, marks=attack(entry[0])) for name, entry in WRONG_NAMES.items()])
async def test_a_certificate_must_name_one_party_of_this_organisation(site: Cluster, case: str) -> None:
    _, make, reason = WRONG_NAMES[case]
    code = {"ROLE_NOT_ALLOWED": "PERMISSION_DENIED", "NOT_IDENTIFIED": "UNAUTHENTICATED"}[reason]
    async with served_as_before(site):
        assert await refused_at(site, make(issuer(site))) == {(code, reason), ("UNAUTHENTICATED", "link")}


@attack("a signer's certificate for a name that the charter does not list")
async def test_a_signer_that_the_charter_does_not_list_is_refused(site: Cluster) -> None:
    async with served_as_before(site):
        identity = issuer(site).issue(uri("signer", "eve"))
        async with channel(site.deployment.port, issuer(site).pem, identity) as opened:
            assert (await linked(opened, hello(site, "eve")))[0] == "UNAUTHENTICATED"
            assert (await linked(opened, hello(site, "west")))[0] == "UNAUTHENTICATED"


# --- revocation -------------------------------------------------------------------------------------------------------


@attack("a revoked certificate, on a connection and a watch that stood before", REVOKED)
async def test_a_revoked_certificate_is_refused_at_once(site: Cluster) -> None:
    mark, begun = len(site.coordinator.events), time.monotonic()
    async with served_as_before(site), actors(site.deployment, "bob", "carol") as (bob, carol):
        watch = asyncio.create_task(_watched(bob))
        await served(bob)
        site.deployment.strongroom("pki", "revoke", str(site.root / "pki"), "--cert", str(_cert(site, "bob")))
        put(site, (site.root / "pki" / "crl.pem").read_bytes())
        await asyncio.to_thread(site.coordinator.wait_for, "revocations.read", after=mark, timeout_s=60)
        with pytest.raises(RemoteError) as caught:
            await bob.client.status()
        assert caught.value.remote_reason == "CERTIFICATE_REVOKED"
        # The watch ends with its next event, and tells nothing of it.
        await carol.pay("customer-hot", payee(), AMOUNT)
        assert await watch == "CERTIFICATE_REVOKED"
        async with actors(site.deployment, "bob") as (again,):
            with pytest.raises(RemoteError) as caught:
                await again.client.status()
            assert caught.value.remote_reason == "CERTIFICATE_REVOKED"
        await served(carol)
        identity = Identity.of(site.deployment.endpoint("bob"))
        assert ("UNAUTHENTICATED", "CERTIFICATE_REVOKED") in await refused_at(site, identity)
        lines = refusals_of(site, identity, mark)
        assert 1 <= len(lines) <= 1 + (time.monotonic() - begun) // SAY_AGAIN_S
        assert {line["reason"] for line in lines} == {"CERTIFICATE_REVOKED"}
    # Bob gets another certificate for the rest of the tests.
    _cert(site, "bob").unlink()
    card = str(site.deployment.person("bob") / "card.json")
    issue = ("pki", "issue", str(site.root / "pki"), "--card", card, "--role", "person")
    site.deployment.strongroom(*issue, "--out", str(_cert(site, "bob")))
    async with actors(site.deployment, "bob") as (bob,):
        await served(bob)


async def _watched(actor: Actor) -> str:
    try:
        async for _ in actor.client.watch_orders():
            pass
    except RemoteError as error:
        return error.remote_reason
    return ""


def _cert(cluster: Cluster, person: str) -> Path:
    return cluster.deployment.person(person) / "cert.pem"


@pytest.mark.campaign
@attack("a thief with a signer's TLS key, and how revocation ends it", REVOKED)
async def test_a_stolen_tls_key_of_a_signer_is_a_nuisance_until_it_is_revoked(site: Cluster) -> None:
    """The thief has no vote key: it can push the signer off its link again and again, and nothing else."""
    folder = site.deployment.signer_folder("west")
    stolen = Identity((folder / "tls.key").read_bytes(), (folder / "cert.pem").read_bytes())
    pid = site.coordinator.pid
    async with actors(site.deployment, "alice", "bob", "carol") as people:
        await until(lambda: connected(people[0], 3))
        async with channel(site.deployment.port, issuer(site).pem, stolen) as opened:
            mark = len(site.coordinator.events)
            thief = asyncio.create_task(_pretend(opened, site))
            where = {"signer": "west"}
            await asyncio.to_thread(site.coordinator.wait_for, "link.opened", where=where, after=mark, timeout_s=60)
            destination = payee()
            await paid(site, people[0], await approved(people, destination, AMOUNT))
            assert payments_on_chain(site, destination) == [AMOUNT]
            await published(site, lambda authority, pki: authority.revoke(pki, [stolen.serial], now=now()))
            assert await asyncio.wait_for(thief, 60) in ("UNAVAILABLE", "UNAUTHENTICATED")
            code, detail = await linked(opened, hello(site, "west"))
            assert code == "UNAUTHENTICATED"
            assert detail.startswith("CERTIFICATE_REVOKED")
        # Its operator makes another key and gets a certificate for it; the vote key never left the machine.
        site.signer("west").stop()
        fresh = issuer(site).issue(uri("signer", "west"))
        (folder / "tls.key").write_bytes(fresh.key)
        (folder / "cert.pem").write_bytes(fresh.certificate)
        site.deployment.start_signer("west")
        await until(lambda: connected(people[0], 3))
        destination = payee()
        await paid(site, people[0], await approved(people, destination, AMOUNT))
        assert payments_on_chain(site, destination) == [AMOUNT]
    assert site.coordinator.pid == pid


async def _pretend(opened: grpc.aio.Channel, cluster: Cluster) -> str:
    """Be the signer west as far as a TLS key goes: greet, take what comes, answer nothing, and dial again."""
    while True:
        stream = opened.stream_stream("/strongroom.api.signer.v1.SignerLinkService/Link")()
        try:
            await stream.write(hello(cluster, "west"))
            while await stream.read() is not grpc.aio.EOF:
                pass
            code, detail = (await stream.code()).name, str(await stream.details())
        except grpc.aio.AioRpcError as error:
            code, detail = error.code().name, str(error.details())
        if "CERTIFICATE_REVOKED" in detail:
            return code
        await asyncio.sleep(0.05)


@pytest.mark.campaign
@attack("a revocation list that another authority signed", REVOKED)
async def test_a_forged_list_changes_nothing(site: Cluster, tmp_path: Path) -> None:
    good = (site.deployment.coordinator_folder / "crl.pem").read_bytes()
    impostor = Authority.create(tmp_path, "acme", now=now())
    mark = len(site.coordinator.events)
    async with served_as_before(site) as alice:
        put(site, impostor.revoke(tmp_path, [Identity.of(site.deployment.endpoint("alice")).serial], now=now()).pem)
        await asyncio.to_thread(site.coordinator.wait_for, "revocations.not_read", after=mark, timeout_s=60)
        await served(alice)
        put(site, good)
        await asyncio.to_thread(site.coordinator.wait_for, "revocations.read", after=mark, timeout_s=60)


@pytest.mark.campaign
@attack("an older revocation list put back, so that who was revoked comes in again", REVOKED)
async def test_an_older_list_is_not_taken(site: Cluster) -> None:
    old = (site.deployment.coordinator_folder / "crl.pem").read_bytes()
    eve = issuer(site).issue(uri("auditor", "eve"))
    async with served_as_before(site):
        await published(site, lambda authority, pki: authority.revoke(pki, [eve.serial], now=now()))
        mark = len(site.coordinator.events)
        put(site, old)
        await asyncio.to_thread(site.coordinator.wait_for, "revocations.not_read", after=mark, timeout_s=60)
        assert ("UNAUTHENTICATED", "CERTIFICATE_REVOKED") in await refused_at(site, eve)
        put(site, (site.root / "pki" / "crl.pem").read_bytes())


@pytest.mark.campaign
@attack("a revocation list that is kept from being renewed", REVOKED)
async def test_an_expired_list_lets_nobody_in_until_it_is_renewed(site: Cluster) -> None:
    async with served_as_before(site) as alice:
        mark = len(site.coordinator.events)
        current = (site.root / "pki" / "crl.pem").read_bytes()
        put(site, issuer(site).list_like(current, start=-2 * DAY, end=-DAY))
        await asyncio.to_thread(site.coordinator.wait_for, "revocations.expired", after=mark, timeout_s=60)
        with pytest.raises(StrongroomError) as caught:
            await alice.client.status()
        assert getattr(caught.value, "remote_reason", "") == "REVOCATION_LIST_EXPIRED"
        await published(site, lambda authority, pki: authority.revoke(pki, (), now=now()))
        await ready(alice)


# --- who the signers dial ---------------------------------------------------------------------------------------------


@pytest.mark.campaign
@attack("a coordinator with a stolen TLS key that was revoked", REVOKED)
async def test_signers_leave_a_coordinator_whose_certificate_is_revoked(site: Cluster) -> None:
    """The key moved no coin before, either; now nobody listens to it, until there is another certificate."""
    folder = site.deployment.coordinator_folder
    old = (folder / "cert.pem").read_bytes()
    marks = {name: len(site.signer(name).events) for name in site.signers}
    async with actors(site.deployment, "alice") as (alice,):
        await ready(alice)
        await until(lambda: connected(alice, 3))
        site.deployment.strongroom("pki", "revoke", str(site.root / "pki"), "--cert", str(folder / "cert.pem"))
        put_everywhere(site)
        await until(lambda: connected(alice, 0))
        for name, mark in marks.items():
            # The link is ended, and every further dial comes to nothing.
            lines = [await _refused_by(site.signer(name), after=mark)]
            lines.append(await _refused_by(site.signer(name), after=site.signer(name).events.index(lines[0]) + 1))
            assert all("CERTIFICATE_REVOKED" in line["message"] for line in lines)
    hosts = ("--host", "127.0.0.1", "--host", "localhost")
    fresh = site.root / "fresh-tls"
    issue = ("pki", "issue-coordinator", str(site.root / "pki"), *hosts, "--out", str(fresh))
    site.deployment.strongroom(*issue)
    site.coordinator.stop()
    assert old == (folder / "cert.pem").read_bytes()
    (folder / "cert.pem").write_bytes((fresh / "cert.pem").read_bytes())
    (folder / "key.pem").write_bytes((fresh / "tls.key").read_bytes())
    site.deployment.start_coordinator()
    async with actors(site.deployment, "alice") as (alice,):
        await until(lambda: connected(alice, 3))


async def _refused_by(signer: Daemon, *, after: int) -> dict[str, Any]:
    where = {"reason": "COORDINATOR_REFUSED"}
    return await asyncio.to_thread(signer.wait_for, "link.failed", where=where, after=after, timeout_s=120)


FALSE_SERVERS: dict[str, tuple[str, Callable[[Issuer], Identity]]] = {
    "stranger": (
        "a false coordinator under a stranger's authority",
        lambda i: Issuer.stranger(i).issue(uri("coordinator", "coordinator"), hosts=["127.0.0.1"], server=True),
    ),
    "expired": (
        "a false coordinator under an expired certificate",
        lambda i: i.issue(
            uri("coordinator", "coordinator"), hosts=["127.0.0.1"], server=True, start=-2 * DAY, end=-DAY
        ),
    ),
    "elsewhere": (
        "a false coordinator under a certificate for another host",
        lambda i: i.issue(uri("coordinator", "coordinator"), hosts=["192.0.2.1"], server=True),
    ),
    "person": (
        "a false coordinator under a person's certificate",
        lambda i: i.issue(uri("person", "carol"), hosts=["127.0.0.1"]),
    ),
    "role": (
        "a false coordinator under a server certificate of another role",
        lambda i: i.issue(uri("signer", "north"), hosts=["127.0.0.1"], server=True),
    ),
}


@pytest.mark.campaign
@pytest.mark.parametrize("case", [pytest.param(name, marks=attack(entry[0])) for name, entry in FALSE_SERVERS.items()])
async def test_a_signer_dials_no_false_coordinator(site: Cluster, case: str) -> None:
    """Somebody else listens at the coordinator's address: no signer says a word to it."""
    pids = {name: site.signer(name).pid for name in site.signers}
    site.coordinator.stop()
    identity = FALSE_SERVERS[case][1](issuer(site))
    heard: list[Any] = []
    async with _listening(site, identity, heard):
        for name in site.signers:
            # The first line may be of a dial that met nobody at all.
            mark = len(site.signer(name).events)
            for _ in range(2):
                await asyncio.to_thread(site.signer(name).wait_for, "link.failed", after=mark, timeout_s=120)
                mark = len(site.signer(name).events)
    assert heard == []
    site.deployment.start_coordinator()
    async with actors(site.deployment, "alice") as (alice,):
        await until(lambda: connected(alice, 3), timeout_s=120)
    assert {name: site.signer(name).pid for name in site.signers} == pids


@asynccontextmanager
async def _listening(cluster: Cluster, identity: Identity, heard: list[Any]) -> AsyncIterator[None]:
    """A server at the coordinator's address that takes down whatever it hears."""

    class Ear(grpc.GenericRpcHandler):
        def service(self, handler_call_details: Any) -> Any:
            heard.append(handler_call_details.method)
            return None

    server = grpc.aio.server()
    server.add_generic_rpc_handlers((Ear(),))
    credentials = grpc.ssl_server_credentials([(identity.key, identity.certificate)])
    server.add_secure_port(f"127.0.0.1:{cluster.deployment.port}", credentials)
    await server.start()
    try:
        yield
    finally:
        await server.stop(0)
