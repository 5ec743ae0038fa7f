"""What signers send of their own accord: requests for entries, and words that their operators handed in."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import structlog

from strongroom.api.signer.v1 import signer_link_service_pb2 as pb
from strongroom.api.types.v1 import types_pb2
from strongroom.ledger.codec import NotCanonical
from strongroom.ledger.messages import Endorse, OrderEntry, Signed, SignerFreeze
from strongroom.model.errors import StrongroomError
from strongroom_coordinator.catch_up import serve_batches
from strongroom_coordinator.evidence_book import EvidenceBook
from strongroom_coordinator.ledger_copy import LedgerCopy
from strongroom_coordinator.link import SignerLink
from strongroom_coordinator.link_frames import signed_of
from strongroom_coordinator.sequencer import Sequencer

__all__ = ["SignerRequests"]

log = structlog.get_logger()


class SignerRequests:
    """Serves the requests of all signer links."""

    def __init__(self, ledger: LedgerCopy, sequencer: Sequencer, evidence: EvidenceBook) -> None:
        self._ledger = ledger
        self._sequencer = sequencer
        self._evidence = evidence

    async def serve(self, link: SignerLink, frame: pb.LinkRequest) -> Any | None:
        """Answer one request.

        Raises:
            StrongroomError: it failed; the link says so to the signer.
        """
        if frame.WhichOneof("body") == "fetch_batches":
            return await serve_batches(self._ledger, frame.fetch_batches)
        statements = [signed_of(item) for item in frame.raised.reinstatements]
        await self._evidence.operator_says(link.signer, statements)
        await self._log_words(link.signer, frame.raised)
        return None

    async def _log_words(self, signer: str, raised: pb.Raised) -> None:
        """Log each word on its own: one that is refused, or known already, must not hold back another."""
        outcomes = await self._sequencer.submit_many(_bodies(signer, raised))
        for outcome in outcomes:
            if isinstance(outcome, StrongroomError):
                log.warning("raised.refused", signer=signer, reason=outcome.reason, message=outcome.message)
            else:
                log.info("raised.logged", signer=signer, entry=outcome.index, already_known=outcome.already_known)


def _bodies(signer: str, raised: pb.Raised) -> list[Any]:
    makers: list[Callable[[], Any]] = [
        *(partial(_freeze, item) for item in raised.freezes),
        *(partial(_order_entry, item) for item in raised.orders),
        *(partial(_endorse, item) for item in raised.endorsements),
    ]
    bodies = []
    for make in makers:
        try:
            bodies.append(make())
        except NotCanonical as error:
            log.warning("raised.malformed", signer=signer, message=error.message)
    return bodies


def _freeze(item: types_pb2.SignedBody) -> SignerFreeze:
    return SignerFreeze(statement=_signed(item))


def _endorse(item: types_pb2.SignedBody) -> Endorse:
    return Endorse(endorsement=_signed(item))


def _order_entry(item: pb.HandedOrder) -> OrderEntry:
    return OrderEntry(order=item.order, endorsements=tuple(_signed(one) for one in item.endorsements))


def _signed(item: types_pb2.SignedBody) -> Signed:
    return Signed(body=item.body, signature=item.signature)
