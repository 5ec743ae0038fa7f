"""The revocation lists that the door goes by: read at the start, and again whenever the file changes or on SIGHUP.

gRPC for Python checks no lists in the TLS handshake, so every call is checked: its certificate is looked up before any
handler sees it, on connections that stood before the list came as well.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import structlog
from cryptography import x509

from strongroom.model.errors import StrongroomError
from strongroom.wire.revocation import MAX_LIST_BYTES, BadRevocationList, RevocationLists
from strongroom_coordinator.clock import Clock
from strongroom_coordinator.errors import BadConfig

__all__ = ["Revocations"]

log = structlog.get_logger()

LOOK_S: Final = 1.0
"""How often the file is looked at."""
SAY_AGAIN_S: Final = 3_600.0
EXPIRES_SOON: Final = timedelta(days=7)


class Revocations:
    """Says of each peer's certificate whether it is still good; without a file everyone is.

    Args:
        path: The lists, PEM; None for none.
        authorities: `ca.pem`: everyone in it must have a list in the file.
        clock: The time, against which a list expires.

    Raises:
        BadConfig: the file is missing, or no valid set of lists. An expired list is one: it lets nobody in.
    """

    def __init__(self, path: Path | None, authorities: bytes, clock: Clock) -> None:
        self._path = path
        self._authorities = authorities
        self._clock = clock
        self._lists: RevocationLists | None = None
        self._seen: tuple[int, int, int] | None = None
        self._look_now = asyncio.Event()
        self._watchers: list[Callable[[], None]] = []
        self._said = -SAY_AGAIN_S
        self._has_expired = False
        if path is not None:
            try:
                self._seen = _stamp(path)
                self._lists = self._read(path)
            except (OSError, BadRevocationList) as error:
                raise BadConfig("server.revoked", [f"{path}: {_words(error)}"]) from None

    @classmethod
    def none(cls, clock: Clock) -> Revocations:
        """Lists that revoke nothing."""
        return cls(None, b"", clock)

    def check(self, certificate: x509.Certificate) -> None:
        """Let a peer's certificate pass; the handshake has verified its chain.

        Raises:
            CertificateRevoked: it is revoked.
            RevocationListExpired: the list is too old to say.
        """
        if self._lists is not None:
            self._lists.check(certificate, self._now())

    def on_change(self, callback: Callable[[], None]) -> None:
        """Call back when other lists have come into force, and when those in force have expired."""
        self._watchers.append(callback)

    def look(self) -> None:
        """Read the file again now, changed or not (SIGHUP)."""
        self._seen = None
        self._look_now.set()

    async def run(self) -> None:
        """Follow the file until cancelled."""
        while True:
            try:
                async with asyncio.timeout(LOOK_S):
                    await self._look_now.wait()
            except TimeoutError:
                pass  # time to look by itself
            self._look_now.clear()
            self.refresh()

    def refresh(self) -> None:
        """Take the file's lists if they changed and hold; keep those in force otherwise, and say so."""
        path, before = self._path, self._lists
        if path is None or before is None:
            return
        try:
            stamp = _stamp(path)
            if stamp != self._seen:
                self._seen = stamp
                fresh = self._read(path)
                fresh.require_not_older(before)
                self._lists = fresh
                self._said = -SAY_AGAIN_S
                log.info("revocations.read", revoked=fresh.count, next_update=fresh.next_update.isoformat())
                self._tell()
        except (OSError, BadRevocationList) as error:
            log.error("revocations.not_read", path=str(path), message=_words(error))
        self._watch_expiry()

    def _tell(self) -> None:
        for callback in self._watchers:
            callback()

    def _watch_expiry(self) -> None:
        if self._lists is None:
            return
        until = self._lists.next_update
        left = until - self._now()
        expired = left < timedelta(0)
        if expired and not self._has_expired:
            self._said = -SAY_AGAIN_S
            self._tell()
        self._has_expired = expired
        if left > EXPIRES_SOON or self._clock.monotonic() - self._said < SAY_AGAIN_S:
            return
        self._said = self._clock.monotonic()
        if expired:
            log.error("revocations.expired", next_update=until.isoformat(), effect="nobody is let in")
        else:
            log.warning("revocations.expire_soon", next_update=until.isoformat())

    def _read(self, path: Path) -> RevocationLists:
        with path.open("rb") as file:
            data = file.read(MAX_LIST_BYTES + 1)
        return RevocationLists.parse(data, authorities=self._authorities, now=self._now())

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock.wall_ms() / 1000, UTC)


def _stamp(path: Path) -> tuple[int, int, int]:
    """What changes when a file is replaced or written to."""
    found = path.stat()
    return found.st_ino, found.st_mtime_ns, found.st_size


def _words(error: OSError | BadRevocationList) -> str:
    return error.message if isinstance(error, StrongroomError) else f"cannot be read: {error.strerror}"
