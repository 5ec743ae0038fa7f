"""Reading the log as clients may see it: certified and final states, with the certificates that prove them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from strongroom.ledger.certificate_messages import Certificate
from strongroom.ledger.replica import Replica
from strongroom.ledger.state import State
from strongroom.protocol.certificates import final_size
from strongroom_coordinator.errors import NotReady

__all__ = ["LogReader", "LogSource", "Reading"]


class LogSource(Protocol):
    """The coordinator's copy of the log, as far as reading it goes."""

    @property
    def replica(self) -> Replica:
        """Everything replayed; the newest batch may not be certified."""

    @property
    def certificate(self) -> Certificate | None:
        """Of the newest certified head."""

    @property
    def final_certificate(self) -> Certificate | None:
        """The newest certificate whose votes made a head final."""

    async def stored(self) -> None:
        """Wait until everything certified so far is in the database."""

    async def certificate_at(self, size: int) -> Certificate | None:
        """The stored certificate of the head of exactly this size."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One state with the certificate whose head carries its digest, and the one that makes it final, if there is."""

    state: State
    certificate: Certificate
    final_certificate: Certificate | None


class LogReader:
    """Hands out states at the heads that are certified or final."""

    def __init__(self, source: LogSource) -> None:
        self.source = source

    def certified(self) -> Reading:
        """The newest certified state.

        Raises:
            NotReady: nothing is certified yet.
        """
        certificate = self.source.certificate
        if certificate is None or not self.source.replica.is_border(certificate.head.size):
            raise NotReady("nothing is certified yet: try again in a moment")
        return self._reading(certificate)

    async def final(self) -> Reading:
        """The newest state that no term can drop; the certified one while there is no such.

        Raises:
            NotReady: nothing is certified yet.
        """
        size = self.final_size()
        border = self.source.replica.border_up_to(size) or 0
        certificate = await self.source.certificate_at(border) if border else None
        if certificate is None or not self.source.replica.is_border(border):
            return self.certified()
        return self._reading(certificate)

    def newest_state(self) -> State:
        """The newest certified state, or the empty one.

        Nothing here is proven to anybody, so a missing certificate is no obstacle.
        """
        certificate = self.source.certificate
        replica = self.source.replica
        if certificate is not None and replica.is_border(certificate.head.size):
            return replica.state(certificate.head.size)
        return replica.state(replica.folded_size)

    def final_size(self) -> int:
        """Size up to which the newest final certificate makes the log final; 0 for none."""
        certificate = self.source.final_certificate
        return 0 if certificate is None else final_size(certificate)

    def _reading(self, certificate: Certificate) -> Reading:
        size = certificate.head.size
        return Reading(
            state=self.source.replica.state(size),
            certificate=certificate,
            final_certificate=self.source.final_certificate if self.final_size() >= size else None,
        )
