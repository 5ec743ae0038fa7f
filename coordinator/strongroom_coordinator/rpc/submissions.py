"""Orders and endorsements on their way into the log, and the receipts for what the log holds already."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import partial

from sqlalchemy import Connection

from strongroom.api.types.v1 import types_pb2
from strongroom.ledger import codec
from strongroom.ledger.entry_messages import Endorse, Entry, OrderEntry
from strongroom.ledger.reasons import Refused
from strongroom.ledger.signed_messages import Endorsement, Signed, Verb
from strongroom.model.errors import StrongroomError
from strongroom_coordinator.rpc.answers import receipt_pb
from strongroom_coordinator.rpc.parts import Parts
from strongroom_coordinator.sequencer import Logged
from strongroom_coordinator.storage import ledger as ledger_rows

__all__ = ["Outcome", "Submissions"]

Outcome = types_pb2.Receipt | StrongroomError


class Submissions:
    """Gives receipts."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def submit(self, body: OrderEntry | Endorse) -> types_pb2.Receipt:
        """Log an order or endorsement and wait for its certificate; what was logged before gets a receipt as well.

        Raises:
            StrongroomError: whatever `Sequencer.submit` raises.
        """
        try:
            logged = await self._parts.sequencer.submit(body)
        except Refused as refusal:
            logged = await self._known(body, refusal)
        return receipt_pb(_order_hash(body), logged)

    async def submit_many(self, bodies: Sequence[OrderEntry | Endorse | StrongroomError]) -> list[Outcome]:
        """Log many; each has its own outcome in its place, malformed ones the error they came with."""
        good = [body for body in bodies if not isinstance(body, StrongroomError)]
        results = iter(await self._parts.sequencer.submit_many(good))
        outcomes: list[Outcome] = []
        for body in bodies:
            outcomes.append(body if isinstance(body, StrongroomError) else await self._outcome(body, next(results)))
        return outcomes

    async def _outcome(self, body: OrderEntry | Endorse, result: Logged | StrongroomError) -> Outcome:
        if isinstance(result, Refused):
            try:
                result = await self._known(body, result)
            except Refused as refusal:
                return refusal
        return result if isinstance(result, StrongroomError) else receipt_pb(_order_hash(body), result)

    async def _known(self, body: OrderEntry | Endorse, refusal: Refused) -> Logged:
        """The entry by which the log knows an endorsement already: same person, same word, other bytes.

        Raises:
            Refused: the refusal, where there is no such entry.
        """
        if refusal.reason != "ALREADY_KNOWN" or not isinstance(body, Endorse):
            raise refusal
        said = codec.decode(Endorsement, body.endorsement.body)
        reading = self._parts.reader.certified()
        record = reading.state.order(said.order_hash)
        earlier = (
            [one for one in record.endorsements if (one.person, one.verb) == (said.person, said.verb)] if record else []
        )
        if not earlier:
            raise refusal
        await self._parts.reader.source.stored()
        size = reading.certificate.head.size
        found = await self._parts.storage.run(partial(_find_said, said=said, time_ms=earlier[0].time_ms, size=size))
        if found is None:
            raise refusal
        path = self._parts.reader.source.replica.inclusion_path(found[0], size)
        return Logged(
            index=found[0],
            entry=found[1],
            size=size,
            certificate=reading.certificate,
            path=path,
            already_known=True,
        )


def _order_hash(body: OrderEntry | Endorse) -> bytes:
    if isinstance(body, OrderEntry):
        return hashlib.sha256(body.order).digest()
    return codec.decode(Endorsement, body.endorsement.body).order_hash


def _find_said(connection: Connection, *, said: Endorsement, time_ms: int, size: int) -> tuple[int, bytes] | None:
    """Find the entry that was logged at `time_ms` and holds this person's word; log time never falls, so bisect."""
    low, high = 0, size
    while low < high:
        middle = (low + high) // 2
        entry = ledger_rows.entries(connection, middle, middle + 1)
        if not entry:
            return None
        if codec.decode(Entry, entry[0]).time_ms < time_ms:
            low = middle + 1
        else:
            high = middle
    for index in range(low, size):
        data = ledger_rows.entries(connection, index, index + 1)
        entry_at = codec.decode(Entry, data[0]) if data else None
        if entry_at is None or entry_at.time_ms != time_ms:
            return None
        if any(_is_same(item, said) for item in _endorsements_in(entry_at)):
            return index, data[0]
    return None


def _endorsements_in(entry: Entry) -> tuple[Signed, ...]:
    match entry.body:
        case OrderEntry():
            return entry.body.endorsements
        case Endorse():
            return (entry.body.endorsement,)
        case _:
            return ()


def _is_same(item: Signed, said: Endorsement) -> bool:
    other = codec.decode(Endorsement, item.body)
    wanted: tuple[str, Verb, bytes] = (said.person, said.verb, said.order_hash)
    return (other.person, other.verb, other.order_hash) == wanted
