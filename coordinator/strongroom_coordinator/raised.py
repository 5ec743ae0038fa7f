"""What signers send of their own accord: requests for entries, and words that their operators handed in."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from functools import partial
from itertools import chain, islice
from typing import Any, Final

import structlog

from strongroom.api.signer.v1 import signer_link_service_pb2 as pb
from strongroom.api.types.v1 import types_pb2
from strongroom.ledger.codec import NotCanonical
from strongroom.ledger.entry_messages import Endorse, OrderEntry, SignerFreeze
from strongroom.ledger.signed_messages import Signed
from strongroom.model.errors import StrongroomError
from strongroom.model.log_allowance import LogAllowance
from strongroom_coordinator.catch_up import serve_batches, serve_recovery
from strongroom_coordinator.evidence_book import EvidenceBook
from strongroom_coordinator.ledger_copy import LedgerCopy
from strongroom_coordinator.link import SignerLink
from strongroom_coordinator.link_frames import signed_of
from strongroom_coordinator.sequencer import Sequencer

__all__ = ["SignerRequests"]

log = structlog.get_logger()

MAX_WORDS: Final = 10_000
"""Taken from one frame: more than an inbox holds. A frame has room for millions, and each would cost work."""
MAX_MALFORMED: Final = 16
"""Words of one frame that may be malformed; a sound signer sends none, so nothing is read behind them."""


class SignerRequests:
    """Serves the requests of all signer links."""

    def __init__(self, ledger: LedgerCopy, sequencer: Sequencer, evidence: EvidenceBook) -> None:
        self._ledger = ledger
        self._sequencer = sequencer
        self._evidence = evidence
        self._allowances: dict[str, LogAllowance] = {}

    async def serve(self, link: SignerLink, frame: pb.LinkRequest) -> Any | None:
        """Answer one request.

        Raises:
            StrongroomError: it failed; the link says so to the signer.
        """
        if frame.WhichOneof("body") == "fetch_batches":
            return await serve_batches(self._ledger, frame.fetch_batches)
        if frame.WhichOneof("body") == "fetch_recovery":
            return serve_recovery(self._ledger, frame.fetch_recovery)
        await self._evidence.operator_says(link.signer, map(signed_of, frame.raised.reinstatements))
        await self._log_words(link.signer, frame.raised)
        return None

    async def _log_words(self, signer: str, raised: pb.Raised) -> None:
        """Log each word on its own: one that is refused, or known already, must not hold back another."""
        bodies, problems = _bodies(raised)
        if problems and self._may_log(signer):
            log.warning("raised.malformed", signer=signer, words=len(problems), message=problems[0])
        outcomes = await self._sequencer.submit_many(bodies)
        for outcome in outcomes:
            if isinstance(outcome, StrongroomError):
                if self._may_log(signer):
                    log.warning("raised.refused", signer=signer, reason=outcome.reason, message=outcome.message)
            elif not outcome.already_known or self._may_log(signer):
                log.info("raised.logged", signer=signer, entry=outcome.index, already_known=outcome.already_known)

    def _may_log(self, signer: str) -> bool:
        """Whether what the log did not take up from this signer may be another line."""
        allowance = self._allowances.setdefault(signer, LogAllowance())
        left = allowance.take(asyncio.get_running_loop().time())
        if left == 0:
            log.warning("raised.muted", signer=signer, for_s=allowance.window_s)
        return left > 0


def _bodies(raised: pb.Raised) -> tuple[list[Any], list[str]]:
    """Entry bodies of the words in a frame, and what is wrong with those that are malformed."""
    makers: Iterable[Callable[[], Any]] = chain(
        (partial(_freeze, item) for item in raised.freezes),
        (partial(_order_entry, item) for item in raised.orders),
        (partial(_endorse, item) for item in raised.endorsements),
    )
    bodies: list[Any] = []
    problems: list[str] = []
    for make in islice(makers, MAX_WORDS):
        try:
            bodies.append(make())
        except NotCanonical as error:
            problems.append(error.message)
            if len(problems) >= MAX_MALFORMED:
                break
    return bodies, problems


def _freeze(item: types_pb2.SignedBody) -> SignerFreeze:
    return SignerFreeze(statement=_signed(item))


def _endorse(item: types_pb2.SignedBody) -> Endorse:
    return Endorse(endorsement=_signed(item))


def _order_entry(item: pb.HandedOrder) -> OrderEntry:
    return OrderEntry(order=item.order, endorsements=tuple(_signed(one) for one in item.endorsements))


def _signed(item: types_pb2.SignedBody) -> Signed:
    return Signed(body=item.body, signature=item.signature)
