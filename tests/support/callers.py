"""Callers of every kind at a coordinator's door: certificates of any form, raw calls of every method, raw sockets."""

from __future__ import annotations

import datetime as dt
import socket
import ssl
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from google.rpc import error_details_pb2, status_pb2

from strongroom.api.integration.v1 import integration_service_pb2
from strongroom.api.treasury.v1 import treasury_service_pb2
from strongroom_client.channel import Endpoint

TREASURY = treasury_service_pb2.DESCRIPTOR.services_by_name["TreasuryService"]
INTEGRATION = integration_service_pb2.DESCRIPTOR.services_by_name["IntegrationService"]
LINK = "/strongroom.api.signer.v1.SignerLinkService/Link"
ANSWERS_WITHIN_S = 60.0
DAY = dt.timedelta(days=1)


@dataclass(frozen=True)
class Identity:
    """A TLS key and certificate, PEM."""

    key: bytes
    certificate: bytes

    @property
    def serial(self) -> int:
        return x509.load_pem_x509_certificate(self.certificate).serial_number

    @classmethod
    def of(cls, endpoint: Endpoint) -> Identity:
        return cls(endpoint.key_file.read_bytes(), endpoint.cert_file.read_bytes())


class Issuer:
    """An authority that issues whatever is asked for: the organisation's own, stolen for the test, or a stranger's."""

    def __init__(self, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
        self.certificate, self.key = certificate, key

    @classmethod
    def of(cls, pki: Path) -> Issuer:
        key = serialization.load_pem_private_key((pki / "ca.key").read_bytes(), password=None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        return cls(x509.load_pem_x509_certificate((pki / "ca.pem").read_bytes()), key)

    @classmethod
    def stranger(cls, of: Issuer) -> Issuer:
        """Another authority under the very same name."""
        key = ec.generate_private_key(ec.SECP256R1())
        now = dt.datetime.now(dt.UTC)
        name = of.certificate.subject
        builder = _dated(name, name, key, now - DAY, now + DAY)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        return cls(builder.sign(key, hashes.SHA256()), key)

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def issue(
        self,
        *uris: str,
        hosts: Sequence[str] = (),
        start: dt.timedelta = -DAY,
        end: dt.timedelta = DAY,
        server: bool = False,
        key: ec.EllipticCurvePrivateKey | None = None,
    ) -> Identity:
        """A certificate for these URIs, valid from now + `start` to now + `end`."""
        key = key or ec.generate_private_key(ec.SECP256R1())
        now = dt.datetime.now(dt.UTC)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "somebody")])
        builder = _dated(subject, self.certificate.subject, key, now + start, now + end)
        names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(uri) for uri in uris]
        names += [x509.IPAddress(ip_address(host)) for host in hosts]
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        usage = ExtendedKeyUsageOID.SERVER_AUTH if server else ExtendedKeyUsageOID.CLIENT_AUTH
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        certificate = builder.sign(self.key, hashes.SHA256())
        return Identity(_pem(key), certificate.public_bytes(serialization.Encoding.PEM))

    def list_like(self, pem: bytes, *, start: dt.timedelta, end: dt.timedelta) -> bytes:
        """The successor of a revocation list, with nothing else changed but how long it is valid."""
        crl = x509.load_pem_x509_crl(pem)
        number = crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
        now = dt.datetime.now(dt.UTC)
        builder = x509.CertificateRevocationListBuilder().issuer_name(crl.issuer)
        builder = builder.last_update(now + start).next_update(now + end)
        for entry in crl:
            builder = builder.add_revoked_certificate(entry)
        builder = builder.add_extension(x509.CRLNumber(number + 1), critical=False)
        return builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    def self_signed(self, uri: str) -> Identity:
        """A certificate that its own key signed, in the name of this authority."""
        key = ec.generate_private_key(ec.SECP256R1())
        return Issuer(self.certificate, key).issue(uri, key=key)


def _dated(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, start: dt.datetime, end: dt.datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end)
    )


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


# --- calls ------------------------------------------------------------------------------------------------------------


def channel(port: int, authority: bytes, identity: Identity | None) -> grpc.aio.Channel:
    """A channel under a certificate, or under none."""
    credentials = (
        grpc.ssl_channel_credentials(authority)
        if identity is None
        else grpc.ssl_channel_credentials(authority, identity.key, identity.certificate)
    )
    return grpc.aio.secure_channel(f"127.0.0.1:{port}", credentials)


async def outcome(call: Any) -> tuple[str, str]:
    """Status code and stable reason of a call with raw bytes; ("OK", "") when it was answered."""
    try:
        if hasattr(call, "read"):
            await call.read()
        else:
            await call
    except grpc.aio.AioRpcError as error:
        return error.code().name, _reason(error)
    return "OK", ""


async def called(channel: grpc.aio.Channel, service: Any, method: Any, request: bytes = b"") -> tuple[str, str]:
    """Call one method of a service with a request of raw bytes."""
    path = f"/{service.full_name}/{method.name}"
    if method.server_streaming:
        return await outcome(channel.unary_stream(path)(request, timeout=ANSWERS_WITHIN_S))
    return await outcome(channel.unary_unary(path)(request, timeout=ANSWERS_WITHIN_S))


async def linked(channel: grpc.aio.Channel, hello: bytes) -> tuple[str, str]:
    """Open a signer's link with one raw frame, and say how it ended, or that it was welcomed."""
    stream = channel.stream_stream(LINK)(timeout=ANSWERS_WITHIN_S)
    try:
        await stream.write(hello)
        answer = await stream.read()
        if answer is not grpc.aio.EOF:
            return "OK", ""
        return (await stream.code()).name, str(await stream.details())
    except grpc.aio.AioRpcError as error:
        return error.code().name, str(error.details())
    finally:
        stream.cancel()


def _reason(error: grpc.aio.AioRpcError) -> str:
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            info = error_details_pb2.ErrorInfo()
            if status_pb2.Status.FromString(value).details[0].Unpack(info):
                return info.reason
    return ""


# --- raw sockets ------------------------------------------------------------------------------------------------------


def said_to_socket(port: int, data: bytes, *, context: ssl.SSLContext | None = None) -> bytes:
    """What the port answers to bytes until it closes the connection, or a refusal of the handshake as text."""
    plain = socket.create_connection(("127.0.0.1", port), timeout=ANSWERS_WITHIN_S)
    try:
        with plain if context is None else context.wrap_socket(plain, server_hostname="127.0.0.1") as stream:
            stream.sendall(data)
            answer = b""
            while len(answer) < 1_000_000 and (chunk := stream.recv(65_536)):
                answer += chunk
            return answer
    except ssl.SSLError as error:
        return f"refused: {error.reason}".encode()
    except ConnectionError:
        return b"refused: closed"
    finally:
        plain.close()


def tls(authority: Path, identity: Endpoint | None, *, at_most: ssl.TLSVersion | None = None) -> ssl.SSLContext:
    """A TLS client that speaks at most this version, and HTTP/1.1 instead of HTTP/2."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(authority)
    context.set_alpn_protocols(["http/1.1"])
    if identity is not None:
        context.load_cert_chain(identity.cert_file, identity.key_file)
    if at_most is not None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            context.minimum_version = ssl.TLSVersion.TLSv1
            context.maximum_version = at_most
        context.set_ciphers("ALL:@SECLEVEL=0")
    return context
