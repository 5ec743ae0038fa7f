"""A coordinator for one test: the real gRPC service over mutual TLS, with a test on the other side of the stream."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from strongroom.api.signer.v1 import signer_link_service_pb2 as pb
from strongroom.api.signer.v1 import signer_link_service_pb2_grpc as pb_grpc

START = dt.datetime(2025, 1, 1, tzinfo=dt.UTC)
END = dt.datetime(2225, 1, 1, tzinfo=dt.UTC)


@dataclass(frozen=True)
class Authority:
    """A small certificate authority."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @classmethod
    def create(cls) -> Authority:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])
        builder = _dated(name, name, key.public_key()).add_extension(x509.BasicConstraints(True, None), critical=True)
        return cls(key, builder.sign(key, hashes.SHA256()))

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def issue(self, public: Any, *names: x509.GeneralName, start: dt.datetime = START, end: dt.datetime = END) -> bytes:
        """A certificate for a public key with these alternative names, PEM."""
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
        builder = _dated(subject, self.certificate.subject, public, start, end)
        builder = builder.add_extension(x509.SubjectAlternativeName(list(names)), critical=False)
        return builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    def issue_signer(self, folder: Path, name: str, organisation: str = "acme", **dates: dt.datetime) -> bytes:
        """The certificate of a signer for the key in its folder."""
        key = serialization.load_pem_private_key((folder / "tls.key").read_bytes(), password=None)
        uri = x509.UniformResourceIdentifier(f"spiffe://{organisation}/signer/{name}")
        return self.issue(key.public_key(), uri, **dates)


def _dated(
    subject: x509.Name, issuer: x509.Name, public: Any, start: dt.datetime = START, end: dt.datetime = END
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end)
    )


def key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


class LinkOfOneSigner:
    """The coordinator's end of one stream."""

    def __init__(self, hello: pb.Hello) -> None:
        self.hello = hello
        self.asked: asyncio.Queue[pb.LinkRequest] = asyncio.Queue()
        """Frames that answer nothing: FetchBatches and Raised."""
        self._out: asyncio.Queue[pb.LinkResponse | None] = asyncio.Queue()
        self._answers: dict[int, asyncio.Queue[pb.LinkRequest]] = {}
        self._sent = 0

    def send(self, body: Any, reply_to: int = 0, seq: int | None = None) -> int:
        """Send a frame; returns its number."""
        self._sent += 1
        frame = pb.LinkResponse(seq=seq or self._sent, reply_to=reply_to)
        kind = next(item.name for item in frame.DESCRIPTOR.fields if item.message_type == body.DESCRIPTOR)
        getattr(frame, kind).CopyFrom(body)
        self._answers[frame.seq] = asyncio.Queue()
        self._out.put_nowait(frame)
        return frame.seq

    async def answer(self, seq: int) -> pb.LinkRequest:
        """The next frame that answers frame `seq`."""
        async with asyncio.timeout(20):
            return await self._answers[seq].get()

    async def ask(self, body: Any) -> pb.LinkRequest:
        """Send a request and wait for its answer."""
        return await self.answer(self.send(body))

    async def next_asked(self) -> pb.LinkRequest:
        async with asyncio.timeout(20):
            return await self.asked.get()

    def end(self) -> None:
        """End the stream from this side."""
        self._out.put_nowait(None)

    def take(self, frame: pb.LinkRequest) -> None:
        if frame.reply_to:
            self._answers[frame.reply_to].put_nowait(frame)
        else:
            self.asked.put_nowait(frame)

    async def outgoing(self) -> AsyncIterator[pb.LinkResponse]:
        while (frame := await self._out.get()) is not None:
            yield frame


class LinkLeader(pb_grpc.SignerLinkServiceServicer):
    """Serves signers and hands every new link to the test."""

    def __init__(self, log_id: bytes, leader: bytes) -> None:
        self.log_id = log_id
        self.leader = leader
        self.links: asyncio.Queue[LinkOfOneSigner] = asyncio.Queue()
        self.port = 0
        self._server: grpc.aio.Server | None = None

    async def start(self, authority: Authority, port: int = 0) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = authority.issue(key.public_key(), x509.DNSName("localhost"))
        credentials = grpc.ssl_server_credentials(
            [(key_pem(key), certificate)], root_certificates=authority.pem, require_client_auth=True
        )
        self._server = grpc.aio.server()
        pb_grpc.add_SignerLinkServiceServicer_to_server(self, self._server)
        self.port = self._server.add_secure_port(f"localhost:{port}", credentials)
        await self._server.start()

    async def stop(self) -> None:
        if self._server is not None:
            await self._server.stop(grace=None)

    async def Link(self, request_iterator: AsyncIterator[pb.LinkRequest], context: Any) -> AsyncIterator[Any]:
        first = await anext(aiter(request_iterator))
        link = LinkOfOneSigner(first.hello)
        link.send(pb.Welcome(log_id=self.log_id, leader=self.leader, version="test", term=0))
        reader = asyncio.create_task(_read(request_iterator, link.take))
        self.links.put_nowait(link)
        try:
            async for frame in link.outgoing():
                yield frame
        finally:
            reader.cancel()

    async def next_link(self) -> LinkOfOneSigner:
        """The next signer that connects."""
        async with asyncio.timeout(20):
            return await self.links.get()


async def _read(frames: AsyncIterator[pb.LinkRequest], take: Callable[[pb.LinkRequest], None]) -> None:
    async for frame in frames:
        take(frame)
