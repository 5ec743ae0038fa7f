"""Handing over from one witness set to the next: what is logged when, and what proves it to signers that lag.

This coordinator decides nothing by it: a signer takes a handover for the votes it carries.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import pairwise
from typing import Final

import structlog
from sqlalchemy import Connection

from strongroom.api.signer.v1 import signer_link_service_pb2 as pb
from strongroom.ledger import codec
from strongroom.ledger.certificate_messages import Certificate, StateSummary, TableSummary
from strongroom.ledger.entry_messages import Handover
from strongroom.ledger.records import ElectorateStep, WitnessPhase, WitnessRecord
from strongroom.model.errors import StrongroomError
from strongroom.protocol.certificates import BadCertificate, final_size
from strongroom_coordinator.errors import SignerFailed
from strongroom_coordinator.ledger_copy import LedgerCopy
from strongroom_coordinator.link import LinkServer, SignerLink
from strongroom_coordinator.storage import ledger as rows
from strongroom_coordinator.storage.engine import Storage
from strongroom_coordinator.subjects import decode_entry
from strongroom_coordinator.voters import Voters

__all__ = ["Handovers"]

log = structlog.get_logger()

TICK_S: Final = 10.0
"""While a change waits for votes of signers that are there, time itself is logged this often for them to vote on."""


class Handovers:
    """Knows which step of a change is due, and keeps the proofs of those that are over.

    Attributes:
        both: The newest certificate by the set in force and the wanted one.
    """

    def __init__(self, *, ledger: LedgerCopy, voters: Voters, links: LinkServer, storage: Storage) -> None:
        self._ledger = ledger
        self._voters = voters
        self._links = links
        self._storage = storage
        self._tasks: set[asyncio.Task[None]] = set()
        self._refused: Certificate | None = None
        self.both: Certificate | None = None
        self._on_told: list[Callable[[], None]] = []
        self._steps: tuple[tuple[int, bytes], ...] = ()
        self._number = 1
        storage.run_sync(self._read)
        links.on_change(self._link_changed)

    def proofs(self) -> list[bytes]:
        """Canonical ElectorateStep for each change that is over, in order, and for one that is joint now."""
        begun = self._begun()
        return [step for _, step in self._steps] + ([] if begun is None else [codec.encode(begun)])

    async def all_proofs(self) -> list[bytes]:
        """Like `proofs`, once the entries of all changes that are certified have been read."""
        if self._tasks:
            await asyncio.wait(tuple(self._tasks))
        return self.proofs()

    @property
    def number(self) -> int:
        """Number of the newest witness set that took over for good, its proof at hand; 1 for the first."""
        return self._number

    # --- what is due -------------------------------------------------------------------------------------------------

    def due(self) -> Handover | None:
        """The entry that takes the next step of a change, as soon as there are the votes for it."""
        record = self._voters.record
        if record is None or record.next is None:
            return None
        wants_final = record.phase is WitnessPhase.JOINT
        certificate = self._ledger.final_certificate if wants_final else self.both
        if certificate is None or certificate == self._refused or not self._fits(certificate, record):
            return None
        if not wants_final:
            return Handover(certificate=certificate)
        if final_size(certificate) < record.since_size:
            return None
        return Handover(certificate=certificate, summary=self._summary(certificate.head.size))

    def refused(self, handover: Handover) -> None:
        """The ledger does not take this one: it is not tried again."""
        self._refused = handover.certificate

    def waits(self) -> bool:
        """Whether a wanted change waits for votes on a newer head, and signers enough to vote for it are there."""
        wanted = self._voters.wanted
        return wanted is not None and wanted.could_be_quorum(self._links.links)

    def _fits(self, certificate: Certificate, record: WitnessRecord) -> bool:
        head = certificate.head
        return head.size >= record.since_size and self._ledger.holds(head)

    def _summary(self, size: int) -> StateSummary:
        state = self._ledger.replica.state(size)
        tables = tuple(TableSummary(count=table.count, root=table.root) for table in state.table_roots())
        return StateSummary(rule_set=state.charter.rule_set, time_ms=state.time_ms, tables=tables)

    # --- proofs of what is over --------------------------------------------------------------------------------------

    def note_progress(self, *_: object) -> None:
        """More is certified, or final: perhaps a handover."""
        record = self._voters.record
        if record is not None and record.number != self._number:
            task = asyncio.create_task(self._read_again())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _read_again(self) -> None:
        await self._ledger.stored()
        await self._storage.run(self._read)
        for link in self._links.links.values():
            self._tell(link)
        for callback in self._on_told:
            callback()

    def on_told(self, callback: Callable[[], None]) -> None:
        """Call back when signers were told of a handover: those that could not judge a certificate now can."""
        self._on_told.append(callback)

    def _read(self, connection: Connection) -> None:
        """Take the proofs out of the entries that ended each change.

        Such an entry proves by the certificate in it, so it need not be final itself: the votes that make it so may be
        those of signers who need the proof first.
        """
        certified = self._ledger.replica.state(self._ledger.certified_size)
        if certified.charter_record is None or certified.log_id != self._voters.log_id:
            return
        history = certified.electorates()
        steps = []
        for (_, joint), (size, after) in pairwise(history):
            if after.phase is not WitnessPhase.STEADY:
                continue
            entry = next(iter(rows.entries(connection, size - 1, size)), None)
            body = None if entry is None else decode_entry(entry).body
            if isinstance(body, Handover) and body.summary is not None:
                step = ElectorateStep(certificate=body.certificate, record=joint, summary=body.summary)
                steps.append((size, codec.encode(step)))
        self._steps = tuple(steps)
        final = self._ledger.replica.state(self._ledger.final_size)
        self._number = 1 if final.charter_record is None else final.witnesses.number

    def _link_changed(self, link: SignerLink, connected: bool) -> None:
        if connected:
            self._tell(link)

    def told_in_vain(self, link: SignerLink, error: StrongroomError) -> None:
        """A signer could not judge a certificate: perhaps it has lagged since before a handover."""
        if isinstance(error, SignerFailed) and error.code == BadCertificate.reason:
            self._tell(link)

    def _tell(self, link: SignerLink) -> None:
        """Give a signer the proofs it may lack, before any certificate that needs them."""
        known = sum(size <= link.hello.size for size, _ in self._steps)
        lacking = self.proofs()[known:]
        if lacking and link.is_open:
            link.tell(pb.Witnesses(steps=lacking))

    def _begun(self) -> ElectorateStep | None:
        """The proof that both sets rule now, while they do."""
        certificate = self._ledger.certificate
        if certificate is None or not self._ledger.holds(certificate.head):
            return None
        record = self._ledger.replica.state(certificate.head.size).witnesses
        if record.phase is not WitnessPhase.JOINT:
            return None
        summary = self._summary(certificate.head.size)
        return ElectorateStep(certificate=certificate, record=record, summary=summary)

    async def stop(self) -> None:
        """Cancel what is under way."""
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
