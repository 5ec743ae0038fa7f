"""Who may open a signer link: the certificate's role and name, the log, and one connection per signer."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest
from structlog.testing import capture_logs

from coordinator_world import TestAuthority
from strongroom.api.signer.v1 import signer_link_service_pb2 as pb
from strongroom.api.signer.v1 import signer_link_service_pb2_grpc as pb_grpc
from strongroom_coordinator.app import server_options
from strongroom_coordinator.link import LinkServer, SignerLink

LOG_ID = b"\x07" * 32
LEADER = b"\x09" * 16


@dataclass
class Served:
    """A link server on loopback."""

    links: LinkServer
    authority: TestAuthority
    port: int
    changes: list[tuple[str, bool]] = field(default_factory=list)

    @asynccontextmanager
    async def dial(
        self, role: str = "signer", name: str = "s1", *, organisation: str = "", authority: TestAuthority | None = None
    ) -> AsyncIterator[Any]:
        key, certificate = (authority or self.authority).issue(role, name, organisation=organisation)
        credentials = grpc.ssl_channel_credentials(self.authority.pem, key, certificate)
        async with grpc.aio.secure_channel(f"127.0.0.1:{self.port}", credentials) as channel:
            yield pb_grpc.SignerLinkServiceStub(channel).Link()


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    links = LinkServer(
        log_id=LOG_ID, organisation="acme", leader=LEADER, version="1", signers=lambda: frozenset({"s1", "s2"})
    )
    authority = TestAuthority()
    server = grpc.aio.server(options=server_options())
    pb_grpc.add_SignerLinkServiceServicer_to_server(links, server)
    key, certificate = authority.issue("coordinator", "coordinator")
    port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([(key, certificate)], authority.pem, True))
    await server.start()
    found = Served(links=links, authority=authority, port=port)
    links.on_change(lambda link, connected: found.changes.append((link.signer, connected)))
    yield found
    links.stop()
    await server.stop(0)


def hello(name: str = "s1", **parts: Any) -> pb.LinkRequest:
    fields = {"signer": name, "log_id": LOG_ID, "boot_id": bytes(16), "version": "1", "rule_set": 1, **parts}
    return pb.LinkRequest(seq=1, hello=pb.Hello(**fields))


async def refusal(call: Any, first: pb.LinkRequest) -> grpc.StatusCode:
    """How the server ends a link that begins with this frame."""
    await call.write(first)
    code: grpc.StatusCode = await call.code()
    return code


async def test_signer_is_welcomed(served: Served) -> None:
    async with served.dial() as call:
        await call.write(hello(term=4, size=9))
        frame = await call.read()
        assert (frame.seq, frame.reply_to, frame.welcome.log_id, frame.welcome.leader) == (1, 0, LOG_ID, LEADER)
        assert served.links.links["s1"].hello.size == 9


@pytest.mark.parametrize(
    ("role", "name", "organisation"),
    [
        ("person", "s1", ""),
        ("integrator", "s1", ""),
        ("coordinator", "s1", ""),
        ("signer", "s9", ""),
        ("signer", "s1", "other"),
    ],
)
async def test_certificate_of_anything_but_a_signer_of_the_charter_is_refused(
    served: Served, role: str, name: str, organisation: str
) -> None:
    async with served.dial(role, name, organisation=organisation) as call:
        assert await refusal(call, hello(name)) is grpc.StatusCode.UNAUTHENTICATED
    assert not served.links.links


async def test_name_in_hello_must_be_the_certificates(served: Served) -> None:
    async with served.dial("signer", "s1") as call:
        assert await refusal(call, hello("s2")) is grpc.StatusCode.INVALID_ARGUMENT
    assert not served.changes


async def test_signer_of_another_log_is_refused(served: Served) -> None:
    async with served.dial() as call:
        assert await refusal(call, hello(log_id=bytes(32))) is grpc.StatusCode.INVALID_ARGUMENT


async def test_certificate_of_another_authority_gets_no_connection(served: Served) -> None:
    async with served.dial(authority=TestAuthority()) as call:
        assert await call.code() is grpc.StatusCode.UNAVAILABLE


async def test_newest_connection_of_a_signer_wins(served: Served) -> None:
    async with served.dial() as older, served.dial() as newer:
        await older.write(hello())
        await older.read()
        await newer.write(hello(term=2))
        await newer.read()
        with pytest.raises(grpc.aio.AioRpcError, match="newer connection"):
            await older.read()
        assert served.links.links["s1"].hello.term == 2
    assert served.changes[:3] == [("s1", True), ("s1", False), ("s1", True)]


async def test_signer_that_breaks_the_numbering_loses_its_link(served: Served) -> None:
    async with served.dial() as call:
        await call.write(hello())
        await call.read()
        await call.write(pb.LinkRequest(seq=7, fetch_batches=pb.FetchBatches(end_index=1)))
        with pytest.raises(grpc.aio.AioRpcError, match="seq 7"):
            await call.read()
    assert served.changes == [("s1", True), ("s1", False)]


async def test_request_fails_when_the_signer_leaves(served: Served) -> None:
    asked: asyncio.Queue[asyncio.Future[Any]] = asyncio.Queue()

    def ask(link: SignerLink, connected: bool) -> None:
        if connected:
            asked.put_nowait(link.post(pb.Promise(term=1, leader=LEADER)))

    served.links.on_change(ask)
    async with served.dial() as call:
        await call.write(hello())
        future = await asked.get()
        await call.read()
        assert (await call.read()).WhichOneof("body") == "promise"
    async with asyncio.timeout(60):
        await asyncio.wait([future])
    assert "ended" in str(future.exception())


async def test_waiting_for_signers_ends_with_the_last_one_needed(served: Served) -> None:
    waiting = asyncio.create_task(served.links.until(lambda names: len(names) >= 2))
    async with served.dial("signer", "s1") as first, served.dial("signer", "s2") as second:
        await first.write(hello("s1"))
        await first.read()
        assert not waiting.done()
        await second.write(hello("s2"))
        await second.read()
        async with asyncio.timeout(60):
            await waiting


async def test_a_defect_while_serving_is_answered_and_the_link_goes_on(served: Served) -> None:
    async def serve(link: SignerLink, frame: pb.LinkRequest) -> Any:
        raise ZeroDivisionError

    served.links.serve_requests(serve)
    async with served.dial() as call:
        await call.write(hello())
        await call.read()
        for seq in (2, 3):
            await call.write(pb.LinkRequest(seq=seq, fetch_batches=pb.FetchBatches(first_index=1, end_index=2)))
            frame = await call.read()
            assert (frame.reply_to, frame.failed.reason) == (seq, "INTERNAL_ERROR")


async def test_a_defect_while_reading_is_logged_and_ends_the_link(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    def receive(link: SignerLink, frame: pb.LinkRequest, serve: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(SignerLink, "receive", receive)
    with capture_logs() as logs:
        async with served.dial() as call:
            await call.write(hello())
            await call.read()
            await call.write(pb.LinkRequest(seq=2, raised=pb.Raised()))
            assert await call.code() is grpc.StatusCode.UNAVAILABLE
    assert [item["signer"] for item in logs if item["event"] == "link.defect"] == ["s1"]


async def test_neither_refused_callers_nor_signers_that_talk_nonsense_fill_the_log(served: Served) -> None:
    with capture_logs() as events:
        for _ in range(3):
            async with served.dial("person", "alice") as call:
                assert await refusal(call, hello()) is grpc.StatusCode.UNAUTHENTICATED
        key, certificate = served.authority.issue("person", "bob")
        credentials = grpc.ssl_channel_credentials(served.authority.pem, key, certificate)
        async with grpc.aio.secure_channel(f"127.0.0.1:{served.port}", credentials) as channel:
            for _ in range(60):
                call = pb_grpc.SignerLinkServiceStub(channel).Link()
                assert await refusal(call, hello()) is grpc.StatusCode.UNAUTHENTICATED
        async with served.dial() as call:
            await call.write(hello())
            await call.read()
            for seq in range(2, 402):
                # Nobody serves requests here, and the Welcome asked for nothing.
                await call.write(pb.LinkRequest(seq=seq, reply_to=1, certified=pb.Certified()))
            await call.write(pb.LinkRequest(seq=402, fetch_batches=pb.FetchBatches(end_index=1)))
            assert (await call.read()).failed.reason == "NOT_READY"
    said = Counter(event["event"] for event in events)
    assert 30 < said["link.refused"] < 50
    assert 0 < said["link.late_reply_dropped"] < 150
    assert said["link.muted"] == 2


async def test_bytes_that_are_no_frame_end_the_call_without_a_stack_in_the_log(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    for role in ("person", "signer"):
        key, certificate = served.authority.issue(role, "s1")
        credentials = grpc.ssl_channel_credentials(served.authority.pem, key, certificate)
        async with grpc.aio.secure_channel(f"127.0.0.1:{served.port}", credentials) as channel:
            method = channel.stream_stream("/strongroom.api.signer.v1.SignerLinkService/Link")
            with capture_logs() as events:
                first = method()
                await first.write(b"\xff\xff\xff")
                assert await first.code() is grpc.StatusCode.INVALID_ARGUMENT
            assert [event["event"] for event in events] == ["link.refused"]
            if role == "signer":
                later = method()
                with capture_logs() as events:
                    await later.write(hello().SerializeToString())
                    await later.read()
                    await later.write(b"\xff\xff\xff")
                    assert await later.code() is grpc.StatusCode.UNAVAILABLE
                assert "link.misbehaviour" in [event["event"] for event in events]
                assert "link.defect" not in [event["event"] for event in events]
    assert "DecodeError" not in caplog.text
