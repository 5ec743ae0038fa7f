"""From what a signing session or a vote showed to a record that convinces a third party.

Everything that a record needs of the log is taken in the moment of the fault, from the state that the newest
certificate covers: a term that ends a moment later must not take the proof with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from strongroom.ledger.certificate_messages import Certificate
from strongroom.ledger.entry_messages import Plan
from strongroom.ledger.record_proof import RecordProofData
from strongroom.ledger.records import ElectorateStep
from strongroom.ledger.signed_messages import Shares
from strongroom.protocol import evidence_records
from strongroom.protocol.release import ShareEvidence
from strongroom.protocol.signed import decode_claimed
from strongroom_coordinator.errors import NotReady
from strongroom_coordinator.ledger_copy import LedgerCopy
from strongroom_coordinator.storage import ledger as rows
from strongroom_coordinator.storage.engine import Storage

__all__ = ["ShareCase", "share_case"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShareCase:
    """A wrong share with all that proves it, but for the entry's bytes, which are in the database."""

    blame: ShareEvidence
    entry_index: int
    entry_path: tuple[bytes, ...]
    certificate: Certificate
    vault: RecordProofData
    orders: tuple[bytes, ...]

    async def record(
        self,
        charter: evidence_records.Founded,
        steps: tuple[ElectorateStep, ...],
        *,
        ledger: LedgerCopy,
        storage: Storage,
    ) -> bytes:
        """The record as canonical bytes, unverified.

        Raises:
            NotReady: the entry is not stored any more.
            NotCanonical: a part is too large for a record.
        """
        await ledger.stored()
        index = self.entry_index
        found = await storage.run(partial(rows.entries, start=index, end=index + 1))
        if not found:
            raise NotReady(f"entry {index} is not in the database any more")
        return evidence_records.wrong_share(
            charter=charter,
            steps=steps,
            shares=self.blame.shares,
            commitments=self.blame.commitments,
            plan_entry=found[0],
            entry_path=self.entry_path,
            certificate=self.certificate,
            vault=self.vault,
            orders=self.orders,
        )


def share_case(ledger: LedgerCopy, plan: Plan, blame: ShareEvidence) -> ShareCase:
    """Gather what proves a wrong share.

    Raises:
        NotReady: no certificate of the share's term covers its plan here.
    """
    shares = decode_claimed(Shares, "shares", blame.shares)
    certificate, replica = ledger.certificate, ledger.replica
    if certificate is None or certificate.head.term != shares.term or certificate.head.size <= shares.entry_index:
        raise NotReady(f"no certificate of term {shares.term} covers entry {shares.entry_index} here")
    size = certificate.head.size
    if not replica.is_border(size):
        raise NotReady(f"the state at {size} entries is not here any more")
    state = replica.state(size)
    records = [state.order(order_hash) for order_hash in plan.order_hashes]
    return ShareCase(
        blame=blame,
        entry_index=shares.entry_index,
        entry_path=replica.inclusion_path(shares.entry_index, size),
        certificate=certificate,
        vault=state.record_proof(b"vaults", plan.vault.encode("ascii")),
        orders=tuple(record.order for record in records if record is not None),
    )
