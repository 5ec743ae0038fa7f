"""Reading evidence against signers: what there is, and each record in chunks."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp

from strongroom.api.treasury.v1 import treasury_service_pb2 as pb
from strongroom_coordinator.rpc.errors import NoSuchThing
from strongroom_coordinator.rpc.parts import Parts
from strongroom_coordinator.rpc.requests import Page, page_token
from strongroom_coordinator.storage.evidence import EvidenceRow

__all__ = ["EvidenceQueries", "evidence_pb"]

CHUNK_BYTES: Final = 1 << 20
LIST: Final = "evidence"


def evidence_pb(row: EvidenceRow) -> pb.EvidenceSummary:
    """One record without its bytes."""
    found = Timestamp()
    found.FromMilliseconds(row.found_ms)
    return pb.EvidenceSummary(
        hash=row.hash,
        signer=row.signer,
        fault=row.fault,
        term=row.term,
        plan_hash=row.plan_hash,
        detail=row.detail,
        size=row.size,
        find_time=found,
        operator_cleared=row.operator_cleared,
        order_hash=row.order_hash,
    )


class EvidenceQueries:
    """Answers what is asked about evidence."""

    def __init__(self, parts: Parts) -> None:
        self._book = parts.evidence

    async def page(self, page: Page) -> pb.ListEvidenceResponse:
        """One page of records, newest first."""
        found = await self._book.page(below=page.start, limit=page.size + 1)
        shown = found[: page.size]
        rest = shown[-1].number if len(found) > page.size else None
        return pb.ListEvidenceResponse(
            evidence=[evidence_pb(row) for row in shown], next_page_token=page_token(LIST, rest)
        )

    async def record(self, name: bytes) -> AsyncIterator[pb.GetEvidenceResponse]:
        """The bytes of one record.

        Raises:
            NoSuchThing: there is none of this hash.
        """
        data = await self._book.data(name)
        if data is None:
            raise NoSuchThing(f"there is no evidence {name.hex()}", evidence=name.hex())
        for start in range(0, len(data), CHUNK_BYTES):
            yield pb.GetEvidenceResponse(chunk=data[start : start + CHUNK_BYTES])
