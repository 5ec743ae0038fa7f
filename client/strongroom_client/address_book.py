"""The address book as a client believes it: every entry proven, and on every page how many there are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from strongroom.api.types.v1 import types_pb2
from strongroom.ledger.records import DestinationRecord
from strongroom_client.errors import NotProven
from strongroom_client.trust import Proven, Trust

__all__ = ["BookPage", "entry_of", "page_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BookPage:
    """Entries of one page in the order in which they were made.

    Attributes:
        entries: the entries, without a gap between them.
        first: place of the first of them in the whole table, from 0.
        total: how many the table has; proven, unless the page is empty.
        next_token: what to ask for the next page with; empty at the end of the table.
    """

    entries: tuple[Proven[DestinationRecord], ...]
    first: int
    total: int
    next_token: str


def page_of(trust: Trust, proofs: Sequence[types_pb2.RecordProof], next_token: str) -> BookPage:
    """Verify one page.

    Raises:
        NotProven: a record is not proven, one between them is missing, or the end is no end.
    """
    entries = tuple(trust.record(DestinationRecord, proof) for proof in proofs)
    first = proofs[0].sequence if proofs else 0
    if [proof.sequence for proof in proofs] != list(range(first, first + len(proofs))):
        raise NotProven("the page of the address book has a gap: an entry is hidden")
    # Each proof verified its own table roots, so the count in it is certified too.
    total = _count(proofs[-1]) if proofs else 0
    if not next_token and first + len(proofs) != total:
        raise NotProven(f"the address book has {total} entries, and the coordinator ends the list before the last")
    return BookPage(entries=entries, first=first, total=total, next_token=next_token)


def entry_of(
    trust: Trust, proofs: Sequence[types_pb2.RecordProof], *, chain: str, address: str
) -> Proven[DestinationRecord] | None:
    """Verify the one entry that was asked for; None is the coordinator's word that there is none.

    Raises:
        NotProven: it is another entry, or not proven.
    """
    if not proofs:
        return None
    proven = trust.record(DestinationRecord, proofs[0])
    if len(proofs) != 1 or (proven.record.chain, proven.record.address) != (chain, address):
        raise NotProven("the coordinator answered with another entry of the address book than the one asked for")
    return proven


def _count(proof: types_pb2.RecordProof) -> int:
    return next((table.count for table in proof.tables if table.table == proof.table), 0)
