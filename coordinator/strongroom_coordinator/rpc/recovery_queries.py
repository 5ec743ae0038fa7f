"""Reading what stands beside payments: the address book, and orders to break the glass."""

from __future__ import annotations

from typing import Final

from strongroom.api.types.v1 import types_pb2
from strongroom.ledger.records import DestinationRecord
from strongroom.ledger.state import destination_name
from strongroom_coordinator.rpc.answers import record_pb
from strongroom_coordinator.rpc.parts import Parts
from strongroom_coordinator.rpc.requests import Page
from strongroom_coordinator.views import OrderOverview

__all__ = ["LIST", "RecoveryQueries"]

LIST: Final = "destinations"
_TABLE: Final = b"destinations"


class RecoveryQueries:
    """Answers what is asked about the address book and break-glass."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def destinations(self, page: Page) -> tuple[list[types_pb2.RecordProof], int | None]:
        """One page of the address book in the order in which entries were made, and where the next one begins."""
        reading = self._parts.reader.certified()
        count, start = reading.state.count(_TABLE), page.start or 0
        end = min(start + page.size, count)
        proofs = [record_pb(reading.state.record_proof_at(_TABLE, place), reading) for place in range(start, end)]
        return proofs, end if end < count else None

    def destination(self, chain: str, address: str) -> list[types_pb2.RecordProof]:
        """The newest entry of one address; nothing when the address book never had it."""
        reading = self._parts.reader.certified()
        entry: DestinationRecord | None = reading.state.destination(chain, address)
        if entry is None:
            return []
        return [record_pb(reading.state.record_proof(_TABLE, destination_name(chain, address)), reading)]

    async def break_glass(self) -> list[OrderOverview]:
        """Orders to break the glass that have not ended by a word, in order of acceptance."""
        state = self._parts.reader.certified().state
        return await self._parts.views.orders([record.hash for record in state.break_glass_orders()])
