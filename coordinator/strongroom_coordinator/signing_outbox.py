"""What signing sessions ask of signers, gathered: one frame of a kind per signer for everything of one moment."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable
from functools import partial

from strongroom.api.signer.v1 import signer_link_service_pb2 as pb
from strongroom.ledger import codec
from strongroom.ledger.certificate_messages import Certificate
from strongroom.protocol.certificates import held_of
from strongroom.protocol.signed import SignedBody
from strongroom_coordinator.link import SignerLink
from strongroom_coordinator.link_frames import signed_pb
from strongroom_coordinator.terms import Terms

__all__ = ["Answered", "SigningOutbox"]

Answered = Callable[[SignerLink, tuple[int, ...], "asyncio.Future[pb.LinkRequest]"], None]
"""Takes the answer of a signer to a request about these entry indexes."""


class SigningOutbox:
    """Requests for commitments and shares that are not sent yet.

    Attributes:
        certificate: The newest of the term; it goes with a request for shares to a signer that lacks it.
    """

    def __init__(self, terms: Terms, *, commitments: Answered, shares: Answered) -> None:
        self._terms = terms
        self._commitments_answered = commitments
        self._shares_answered = shares
        self._asks: dict[str, list[int]] = defaultdict(list)
        self._sets: dict[str, list[pb.SigningSet]] = defaultdict(list)
        self._is_due = False
        self.certificate: Certificate | None = None

    def covers(self, index: int) -> bool:
        """Whether the newest certificate of the term covers this entry."""
        return self.certificate is not None and index < self.certificate.head.size

    def ask_commitments(self, signers: Iterable[str], index: int) -> None:
        """Ask holders for commitments to one plan."""
        for name in signers:
            self._asks[name].append(index)

    def ask_shares(self, signers: Iterable[str], index: int, commitments: Iterable[SignedBody]) -> None:
        """Ask the holders of a set for shares; the certificate must cover the plan."""
        signed = [signed_pb(item) for item in commitments]
        for name in signers:
            self._sets[name].append(pb.SigningSet(entry_index=index, commitments=signed))

    def take_asks(self) -> dict[str, list[int]]:
        """What is to be asked for commitments, for a batch that carries it."""
        asks, self._asks = dict(self._asks), defaultdict(list)
        return asks

    def clear(self) -> None:
        """Forget everything: the term is over."""
        self.certificate = None
        self._asks.clear()
        self._sets.clear()

    def flush_soon(self) -> None:
        """Send once everything that happens now has happened."""
        if not self._is_due:
            self._is_due = True
            asyncio.get_running_loop().call_soon(self.flush)

    def flush(self) -> None:
        """Send everything that was asked for since the last time."""
        self._is_due = False
        asks = self.take_asks()
        sets, self._sets = self._sets, defaultdict(list)
        for name, wanted in sets.items():
            self._send_release(name, wanted)
        for name, indexes in asks.items():
            self._send_commit(name, tuple(dict.fromkeys(indexes)))

    def _send_commit(self, name: str, indexes: tuple[int, ...]) -> None:
        link = self._terms.ready.get(name)
        if link is not None:
            future = link.post(pb.Commit(term=self._terms.term, entry_indexes=indexes))
            future.add_done_callback(partial(self._commitments_answered, link, indexes))

    def _send_release(self, name: str, wanted: list[pb.SigningSet]) -> None:
        link = self._terms.ready.get(name)
        if link is None:
            return
        rank = held_of(self.certificate).rank
        carried = b"" if self.certificate is None or link.given >= rank else codec.encode(self.certificate)
        link.given = max(link.given, rank)
        future = link.post(pb.Release(certificate=carried, sets=wanted))
        indexes = tuple(item.entry_index for item in wanted)
        future.add_done_callback(partial(self._shares_answered, link, indexes))
