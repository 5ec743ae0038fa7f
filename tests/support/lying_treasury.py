"""A hostile treasury service: the TLS identity of a real coordinator, its true answers, and lies in some of them.

    with lying_treasury(cluster, "bob") as treasury:
        treasury.lies["GetOrder"] = spoil                   # changes the true answer in place
        treasury.run("withdraw", "approve", order.hex())    # the real program of bob, who is led to this service

Every call is passed on to the real coordinator, so whatever is not lied about is true, with genuine proofs.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import message_factory

from cluster import Cluster
from strongroom.api.treasury.v1 import treasury_service_pb2 as pb
from strongroom_client.demo.processes import program

SERVICE = pb.DESCRIPTOR.services_by_name["TreasuryService"]
TIMEOUT_S = 60.0


@dataclass
class LyingTreasury:
    """The running service, and the person who is led to it."""

    cluster: Cluster
    person: str
    upstream: grpc.Channel
    lies: dict[str, Callable[[Any], None]] = field(default_factory=dict)
    """By the name of a method: what is done to its true answer."""
    calls: list[str] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    port: int = 0

    def ask(self, name: str, request: Any) -> Any:
        """The real coordinator's answer to a call."""
        return _decoded(name, self._true_answer(name, request.SerializeToString()))

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the person's program against this service; it signs without a question if it signs at all."""
        folder, phrase = self.cluster.deployment.person(self.person), self.cluster.deployment.passphrase_file
        profile = folder / "misled.toml"
        real = f"127.0.0.1:{self.cluster.deployment.port}"
        profile.write_text((folder / "profile.toml").read_text().replace(real, f"127.0.0.1:{self.port}"))
        command = [program("strongroom"), *arguments, "--yes", "--passphrase-file", str(phrase)]
        return subprocess.run(
            [*command, "--profile", str(profile)], capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )

    # --- as a service ------------------------------------------------------------------------------------------------

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        """The handler of a method, in bytes on both sides."""
        name = details.method.rsplit("/", 1)[1]
        if SERVICE.methods_by_name[name].server_streaming:
            return grpc.unary_stream_rpc_method_handler(lambda request, context: self._stream(name, request, context))
        return grpc.unary_unary_rpc_method_handler(lambda request, context: self._answer(name, request, context))

    def _answer(self, name: str, request: bytes, context: grpc.ServicerContext) -> bytes:
        self.calls.append(name)
        try:
            answer = self._true_answer(name, request)
        except grpc.RpcError as error:
            _fail(context, error)
        lie = self.lies.get(name)
        if lie is None:
            return answer
        spoilt = _decoded(name, answer)
        lie(spoilt)
        self.told.append(name)
        encoded: bytes = spoilt.SerializeToString()
        return encoded

    def _stream(self, name: str, request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        self.calls.append(name)
        try:
            yield from self.upstream.unary_stream(_path(name))(request, timeout=TIMEOUT_S)
        except grpc.RpcError as error:
            _fail(context, error)

    def _true_answer(self, name: str, request: bytes) -> bytes:
        answer: bytes = self.upstream.unary_unary(_path(name))(request, timeout=TIMEOUT_S)
        return answer


def _path(name: str) -> str:
    return f"/{SERVICE.full_name}/{name}"


def _decoded(name: str, answer: bytes) -> Any:
    return message_factory.GetMessageClass(SERVICE.methods_by_name[name].output_type).FromString(answer)


def _fail(context: Any, error: Any) -> Any:
    """Fail a call as the real service failed it. It raises."""
    context.set_trailing_metadata(error.trailing_metadata() or ())
    context.abort(error.code(), error.details())


@contextmanager
def lying_treasury(cluster: Cluster, person: str) -> Iterator[LyingTreasury]:
    """Serve on a free port of the loopback device, before a running coordinator."""
    deployment = cluster.deployment
    folder, authority = deployment.coordinator_folder, deployment.root / "pki" / "ca.pem"
    channel = grpc.secure_channel(
        f"127.0.0.1:{deployment.port}", _client_credentials(authority, deployment.person(person))
    )
    treasury = LyingTreasury(cluster, person, channel)
    server = grpc.server(ThreadPoolExecutor(max_workers=4))
    server.add_generic_rpc_handlers((_Handlers(treasury),))
    stolen = ((folder / "key.pem").read_bytes(), (folder / "cert.pem").read_bytes())
    credentials = grpc.ssl_server_credentials(
        [stolen], root_certificates=(folder / "ca.pem").read_bytes(), require_client_auth=True
    )
    treasury.port = server.add_secure_port("127.0.0.1:0", credentials)
    server.start()
    try:
        yield treasury
    finally:
        server.stop(None).wait()
        channel.close()


def _client_credentials(authority: Path, person: Path) -> grpc.ChannelCredentials:
    return grpc.ssl_channel_credentials(
        root_certificates=authority.read_bytes(),
        private_key=(person / "tls.key").read_bytes(),
        certificate_chain=(person / "cert.pem").read_bytes(),
    )


class _Handlers(grpc.GenericRpcHandler):
    """What grpc asks for handlers."""

    def __init__(self, treasury: LyingTreasury) -> None:
        self._treasury = treasury

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        return self._treasury.service(handler_call_details)
