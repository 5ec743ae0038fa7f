"""Streams to signers without the manners of the honest link: whatever bytes a script wants, in the place of frames."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc

from strongroom.api.signer.v1 import signer_link_service_pb2 as pb
from strongroom_coordinator.link import LinkServer

SERVICE = "strongroom.api.signer.v1.SignerLinkService"
PATIENCE_S = 40.0

Script = Callable[["RawStream"], AsyncIterator[Any]]
"""What is sent on one stream, after the signer's Hello: frames, or bytes in their place."""


class RawStream:
    """One signer's stream, as a script sees it."""

    def __init__(self, hello: pb.Hello, frames: AsyncIterator[pb.LinkRequest]) -> None:
        self.hello = hello
        self._frames = frames

    async def read(self) -> pb.LinkRequest | None:
        """The next frame of the signer; None when it has ended the stream."""
        async with asyncio.timeout(PATIENCE_S):
            return await anext(self._frames, None)

    async def ended(self) -> None:
        """Wait until the signer has ended the stream, whatever it says before."""
        while await self.read() is not None:
            pass


class RawStreams:
    """Stands before the honest link: passes every stream on to it, or serves one of each signer with a script."""

    def __init__(self, link_server: LinkServer) -> None:
        self._honest = link_server
        self.script: Script | None = None
        self._met: set[str] = set()

    def speak(self, script: Script | None) -> None:
        """Serve the next stream of each signer with this script, or none with None."""
        self.script = script
        self._met.clear()

    def handlers(self) -> tuple[grpc.GenericRpcHandler, ...]:
        """For `grpc.aio.Server.add_generic_rpc_handlers`."""
        link = grpc.stream_stream_rpc_method_handler(
            self._serve, request_deserializer=pb.LinkRequest.FromString, response_serializer=_as_bytes
        )
        return (grpc.method_handlers_generic_handler(SERVICE, {"Link": link}),)

    async def _serve(self, frames: AsyncIterator[pb.LinkRequest], context: Any) -> AsyncIterator[Any]:
        incoming = aiter(frames)
        first = await anext(incoming, None)
        if first is None:
            return
        script = self.script
        if script is None or first.hello.signer in self._met:
            async for frame in self._honest.Link(_again(first, incoming), context):
                yield frame
            return
        self._met.add(first.hello.signer)
        async for item in script(RawStream(first.hello, incoming)):
            yield item


async def _again(first: pb.LinkRequest, rest: AsyncIterator[pb.LinkRequest]) -> AsyncIterator[pb.LinkRequest]:
    """The frames of a stream of which the first was read already."""
    yield first
    async for frame in rest:
        yield frame


def _as_bytes(item: Any) -> bytes:
    if isinstance(item, bytes):
        return item
    encoded: bytes = item.SerializeToString()
    return encoded
