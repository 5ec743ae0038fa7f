"""The link to the coordinator: dialled out, mutual TLS, one bidirectional stream of numbered frames.

When the stream ends for whatever reason the signer dials again, with growing pauses; nothing that matters lives in the
connection. What happens on one stream: `link_session`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import grpc
from cryptography import x509

from strongroom.api.signer.v1 import signer_link_service_pb2 as pb
from strongroom.api.signer.v1 import signer_link_service_pb2_grpc as pb_grpc
from strongroom.ledger.reasons import StateDamaged
from strongroom_signer.catch_up import CatchUp, Source
from strongroom_signer.coordinator_check import CoordinatorCheck, CoordinatorRefused, pem_of
from strongroom_signer.frames import BadFrame
from strongroom_signer.link_session import LinkFailed, LinkMisused, LinkReplaced, LinkSession, ended
from strongroom_signer.logs import Log
from strongroom_signer.refusals import printable
from strongroom_signer.service import Service
from strongroom_signer.store import StoreFailed

__all__ = ["Endpoint", "Link", "LinkFailed", "LinkMisused"]

MAX_MESSAGE_BYTES: Final = 16 * 1024 * 1024
FIRST_PAUSE_S: Final = 0.2
LONGEST_PAUSE_S: Final = 15.0

_OPTIONS: Final = (
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.max_pings_without_data", 0),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where to dial, and with which TLS identity (PEM)."""

    address: str
    authority: bytes
    certificate: bytes
    key: bytes
    check: CoordinatorCheck | None = None
    """Holds the coordinator's certificate against revocation lists; None when there are none."""


class Link:
    """Keeps one session with the coordinator going."""

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        service: Service,
        catch_up: Callable[[Source], CatchUp],
        hello: Callable[[], pb.Hello],
        random: Callable[[int], bytes],
        log: Log,
    ) -> None:
        self._endpoint = endpoint
        self._service = service
        self._catch_up = catch_up
        self._hello = hello
        self._random = random
        self._log = log
        self._session: LinkSession | None = None
        self._was_welcomed = False
        self._pinned: x509.Certificate | None = None
        self._replaced_at: float | None = None
        self.last_error = ""

    @property
    def is_connected(self) -> bool:
        """Whether the coordinator has welcomed this signer."""
        return self._session is not None

    @property
    def coordinator_ms(self) -> int | None:
        """The clock of the connected coordinator by its own word; None while there is none."""
        return None if self._session is None else self._session.coordinator_ms

    @property
    def replaced_ago_s(self) -> int | None:
        """Seconds since another connection with this signer's TLS key took the link; None when none did."""
        return None if self._replaced_at is None else int(asyncio.get_running_loop().time() - self._replaced_at)

    def raise_words(self) -> None:
        """Hand what was handed in here to the coordinator at once, if there is one."""
        if self._session is not None:
            self._session.raise_soon.set()

    def recheck(self) -> None:
        """End the session if the coordinator's certificate has been revoked since it began."""
        check, session = self._endpoint.check, self._session
        if check is not None and session is not None and self._pinned is not None:
            try:
                check.require_good(self._pinned)
            except CoordinatorRefused as error:
                session.refuse(error)

    async def run(self) -> None:
        """Dial, serve, and dial again, until cancelled.

        Raises:
            StoreFailed: the database failed; the daemon must stop.
        """
        pause = FIRST_PAUSE_S
        while True:
            self._was_welcomed = False
            try:
                await self._serve_once()
            except (StoreFailed, StateDamaged):
                raise
            except (LinkFailed, BadFrame, CoordinatorRefused) as error:
                # A session always ends with an error; what counts for the pause is whether there was one, and how it
                # ended: who breaks rules is not dialled at once, again and again, and two daemons with one TLS key
                # do not take the link from each other several times a second.
                if self._was_welcomed and not isinstance(error, LinkMisused | LinkReplaced | BadFrame):
                    pause = FIRST_PAUSE_S
                if isinstance(error, LinkReplaced):
                    self._replaced_at = asyncio.get_running_loop().time()
                # Perhaps the coordinator's own words, and shown to the operator as long as they are the last.
                self.last_error = printable(error.message)
                self._log.warning("link.failed", reason=error.reason, message=error.message, pause_s=round(pause, 2))
            # Between half and one and a half times the pause, so that signers do not come back in step.
            await asyncio.sleep(pause * (0.5 + int.from_bytes(self._random(2), "big") / 0xFFFF))
            pause = min(pause * 2, LONGEST_PAUSE_S)

    async def _serve_once(self) -> None:
        check, trusted = self._endpoint.check, self._endpoint.authority
        self._pinned = None
        if check is not None:
            self._pinned = await check.verified()
            trusted = pem_of(self._pinned)
        credentials = grpc.ssl_channel_credentials(
            root_certificates=trusted,
            private_key=self._endpoint.key,
            certificate_chain=self._endpoint.certificate,
        )
        async with grpc.aio.secure_channel(self._endpoint.address, credentials, options=_OPTIONS) as channel:
            session = LinkSession(
                pb_grpc.SignerLinkServiceStub(channel).Link(), self._service, self._catch_up, self._log
            )
            try:
                await session.greet(self._hello())
                self._session = session
                self._was_welcomed = True
                self.last_error = ""
                self._log.info("link.opened", coordinator=self._endpoint.address, leader=session.leader)
                await session.serve()
            except grpc.aio.AioRpcError as error:
                raise ended(error.details()) from None
            finally:
                self._session = None
                self._service.link_ended()
                await session.close()
