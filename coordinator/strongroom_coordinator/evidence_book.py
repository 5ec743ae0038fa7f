"""Proven faults of signers: kept durably, shown to whoever asks, and a reason to ask others for shares.

Nobody is quarantined on this coordinator's own word. A record is made, verified as a third party would verify it, and
only then believed, stored in the database, and written to a file that can be mailed. A signer with an unsettled record
is left out of signing sets, across restarts, until its operator has signed that the matter is mended and an order of
the unfreeze quorum says so too. It still gets every batch and may vote: a vote is checked for itself, and to lose one
would cost the log more than a wrong share can.

A silent, slow or refusing signer has no record, so it is never quarantined.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import Final, Protocol

import structlog

from strongroom.ledger import codec
from strongroom.ledger.certificate_messages import Certificate
from strongroom.ledger.entry_messages import Plan, Restart
from strongroom.ledger.founding import statement_of
from strongroom.ledger.order_messages import ReinstateSigner
from strongroom.ledger.records import ElectorateStep, OrderState
from strongroom.ledger.replica import Batch
from strongroom.ledger.signed_messages import ReinstateStatement
from strongroom.ledger.state import State, decode_order
from strongroom.model.errors import StrongroomError
from strongroom.model.log_allowance import LogAllowance
from strongroom.protocol import evidence_records
from strongroom.protocol.evidence import Proven, evidence_log_id, verify_evidence
from strongroom.protocol.redistribution_terms import RedistributionTerms
from strongroom.protocol.release import ShareEvidence
from strongroom.protocol.signed import SignedBody
from strongroom_coordinator.background import Background
from strongroom_coordinator.clock import Clock
from strongroom_coordinator.evidence_files import EvidenceFiles
from strongroom_coordinator.evidence_making import share_case
from strongroom_coordinator.ledger_copy import LedgerCopy
from strongroom_coordinator.storage import evidence as rows
from strongroom_coordinator.storage.engine import Storage
from strongroom_coordinator.storage.evidence import EvidenceRow
from strongroom_coordinator.voters import Voters

__all__ = ["EvidenceBook"]

Steps = tuple[ElectorateStep, ...]

log = structlog.get_logger()

LOOK_AT_ONCE: Final = 2_000
"""Orders looked at for a reinstatement after one batch; the rest follow with the next batches."""
MAX_STATEMENTS: Final = 100
STOP_S: Final = 2.0


class HandoverProofs(Protocol):
    """What the book needs of the handovers; see `Handovers`."""

    def proofs(self) -> list[bytes]:
        """Canonical proofs that have been read."""

    async def all_proofs(self) -> list[bytes]:
        """The same, once those of all that are certified have been."""


class EvidenceBook:
    """Every unsettled record in memory, all of them in the database.

    Args:
        ledger: The copy of the log.
        voters: Whose keys can be convicted.
        charter: What the log is founded on: the canonical genesis charter, or the restart.
        handovers: Has canonical proofs of the handovers since.
        storage: The database.
        files: The folder of the files.
        clock: Wall time.
    """

    def __init__(
        self,
        *,
        ledger: LedgerCopy,
        voters: Voters,
        charter: evidence_records.Founded,
        handovers: HandoverProofs,
        storage: Storage,
        files: EvidenceFiles,
        clock: Clock,
    ) -> None:
        self._handovers = handovers
        self._ledger = ledger
        self._voters = voters
        self._charter = charter
        self._storage = storage
        self._files = files
        self._clock = clock
        self._background = Background("evidence.not_kept")
        self._watchers: list[Callable[[str], None]] = []
        self._allowances: dict[str, LogAllowance] = {}
        self._orders: dict[bytes, ReinstateSigner] = {}
        self._looked_at: int | None = None
        self._term = 0
        self._open: dict[bytes, EvidenceRow] = {}
        self._keys: dict[bytes, bytes] = {}
        """The vote key that each unsettled record convicts."""
        self._was_ignored = False
        """Whether the folder has a record that the log, as far as it was here, did not bear out."""
        self._load()

    def _load(self) -> None:
        """Read what is unsettled, and bring database and files to the same: either may have been lost."""
        for row, data in self._in_files():
            self._storage.run_sync(partial(rows.add, row=row, data=data))
        for row in self._storage.run_sync(rows.unsettled):
            self._take_in(row, self._storage.run_sync(partial(rows.data_of, name=row.hash)))

    async def log_founded(self) -> None:
        """The log has come, up to the entry that it is founded on: read what was ignored while it was not here.

        Raises:
            StorageFailed: the database refused, so a signer that was caught may not be known.
        """
        if not self._was_ignored:
            return
        for row, data in self._in_files():
            await self._storage.run(partial(rows.add, row=row, data=data))
        for row in await self._storage.run(rows.unsettled):
            if row.hash not in self._open:
                self._take_in(row, await self.data(row.hash))
                self._looked_at = None
                self._tell(row.signer)

    def _in_files(self) -> Iterator[tuple[EvidenceRow, bytes]]:
        """Records in the folder that hold, by the log as far as it is here."""
        self._was_ignored = False
        for data in self._files.read_all():
            try:
                proven = self._stored(data)
            except StrongroomError as error:
                self._was_ignored = True
                log.warning("evidence.file_ignored", reason=error.reason, message=error.message)
                continue
            yield self._row_of(proven, data, orders_before=0), data

    def _take_in(self, row: EvidenceRow, data: bytes | None) -> None:
        """Take an unsettled record of the database, and write its file where that is missing."""
        self._open[row.hash] = row
        if data is None:
            return
        with suppress(StrongroomError):
            self._keys[row.hash] = self._stored(data).vote_key
        if not self._files.has(row.hash):
            self._files.write(row.hash, data)

    def _stored(self, data: bytes) -> Proven:
        """What a record proves that may be of the log before it was founded anew: that key is guilty all the same.

        The log itself proves which ids it had, and the restart that an operator handed in names the one before: with an
        empty database there is no log yet when the records are first read, so those of earlier ids wait for it.
        """
        of = evidence_log_id(data)
        before = statement_of(self._charter).head.log_id if isinstance(self._charter, Restart) else None
        was_in_force = of == before or self._ledger.replica.state().kept_until_ms(of) > 0
        return verify_evidence(data, log_id=of if was_in_force else self._voters.log_id)

    # --- what others see -------------------------------------------------------------------------------------------

    def quarantined(self, signer: str) -> EvidenceRow | None:
        """The oldest unsettled record against a signer; None while there is none."""
        return next((row for row in self._open.values() if row.signer == signer and self._is_its_own(row)), None)

    def without(self, signers: Iterable[str]) -> list[str]:
        """These signers but for the quarantined ones."""
        left_out = {row.signer for row in self._open.values() if self._is_its_own(row)}
        return [name for name in signers if name not in left_out]

    def _is_its_own(self, row: EvidenceRow) -> bool:
        """Whether the key that it convicts is still that of the name: a machine that took the name over did nothing."""
        now = self._voters.vote_keys.get(row.signer)
        return now is None or self._keys.get(row.hash, now) == now

    def on_change(self, callback: Callable[[str], None]) -> None:
        """Call back with the name of each signer whose records changed."""
        self._watchers.append(callback)

    async def page(self, *, below: int | None, limit: int) -> list[EvidenceRow]:
        """Records found before the one with this number, newest first."""
        return await self._storage.run(partial(rows.page, below=below, limit=limit))

    async def data(self, name: bytes) -> bytes | None:
        """The bytes of a record; None when there is none of this name."""
        return await self._storage.run(partial(rows.data_of, name=name))

    # --- faults ----------------------------------------------------------------------------------------------------

    def wrong_share(self, plan: Plan, blame: ShareEvidence, *, is_certain: bool = True) -> None:
        """A signing session found a wrong share, or shares that do not fit and may prove a fault."""
        try:
            case = share_case(self._ledger, plan, blame)
        except StrongroomError as error:
            self._not_made(blame.signer, error, is_certain=is_certain)
            return
        made = partial(case.record, self._charter, ledger=self._ledger, storage=self._storage)
        self._background.spawn(self._take(blame.signer, made, is_certain=is_certain))

    def bad_commitments(self, signer: str, plan: Plan, commitments: SignedBody) -> None:
        """A signer was left out for its commitments; they may be what nobody honest signs, or just out of place."""

        async def made(steps: Steps) -> bytes:
            return evidence_records.malformed_commitments(
                charter=self._charter, steps=steps, commitments=commitments, plan=codec.encode(plan)
            )

        # What proves nothing says nothing of anybody.
        self._background.spawn(self._take(signer, made, is_certain=False))

    def two_votes(self, signer: str, first: SignedBody, second: SignedBody) -> None:
        """A signer voted for two heads at one term and size."""

        async def made(steps: Steps) -> bytes:
            return evidence_records.two_votes(charter=self._charter, steps=steps, signer=signer, votes=(first, second))

        self._background.spawn(self._take(signer, made))

    def bad_dealing(self, signer: str, terms: RedistributionTerms, dealing: SignedBody) -> None:
        """A signer dealt new shares in a way that everybody sees to be malformed."""

        async def made(steps: Steps) -> bytes:
            return evidence_records.malformed_dealing(
                charter=self._charter, steps=steps, dealing=dealing, terms=terms.encoded
            )

        self._background.spawn(self._take(signer, made))

    async def _proven(self, made: Callable[[Steps], Awaitable[bytes]], proofs: Iterable[bytes]) -> tuple[bytes, Proven]:
        data = await made(tuple(codec.decode(ElectorateStep, step) for step in proofs))
        return data, verify_evidence(data, log_id=self._voters.log_id)

    @staticmethod
    def _not_made(signer: str, error: StrongroomError, *, is_certain: bool) -> None:
        if is_certain:
            log.error("evidence.not_made", signer=signer, reason=error.reason, message=error.message)

    async def _take(self, signer: str, made: Callable[[Steps], Awaitable[bytes]], *, is_certain: bool = True) -> None:
        """Make a record, verify it, quarantine whom it convicts, and keep it.

        Args:
            signer: Who is at fault.
            made: Makes the record with the proofs of handovers that it is given.
            is_certain: Whether a record that does not hold is worth a line in the log.
        """
        try:
            known = self._handovers.proofs()
            try:
                data, proven = await self._proven(made, known)
            except StrongroomError:
                # The key at fault may have come with a handover whose proof is still being read.
                proofs = await self._handovers.all_proofs()
                if proofs == known:
                    raise
                data, proven = await self._proven(made, proofs)
        except StrongroomError as error:
            self._not_made(signer, error, is_certain=is_certain)
            return
        was_settled = await self.data(proven.hash) is not None
        if any(
            (row.signer, row.fault, self._keys.get(row.hash, proven.vote_key))
            == (proven.signer, str(proven.fault), proven.vote_key)
            for row in self._open.values()
        ):
            # One record of a kind is enough to keep it out; a liar must not fill the disk with its own convictions.
            log.warning("evidence.again", signer=proven.signer, fault=str(proven.fault), detail=proven.detail)
            return
        if was_settled:
            return
        self._keys[proven.hash] = proven.vote_key
        await self._keep(self._row_of(proven, data, orders_before=self._ledger.replica.state().orders_count), data)

    async def _keep(self, row: EvidenceRow, data: bytes) -> None:
        self._open[row.hash] = row
        self._looked_at = None
        log.error(
            "evidence.found",
            signer=row.signer,
            fault=row.fault,
            detail=row.detail,
            evidence=row.hash.hex(),
            file=str(self._files.path(row.hash)),
        )
        self._tell(row.signer)
        await self._storage.run(partial(rows.add, row=row, data=data))
        await asyncio.to_thread(self._files.write, row.hash, data)

    def _row_of(self, proven: Proven, data: bytes, *, orders_before: int) -> EvidenceRow:
        return EvidenceRow(
            number=0,
            hash=proven.hash,
            signer=proven.signer,
            fault=str(proven.fault),
            term=proven.term,
            plan_hash=proven.plan_hash,
            detail=proven.detail,
            size=len(data),
            found_ms=self._clock.wall_ms(),
            orders_before=orders_before,
        )

    # --- settling --------------------------------------------------------------------------------------------------

    async def operator_says(self, signer: str, statements: Iterable[SignedBody]) -> None:
        """Take what a signer's operator signed: that what its evidence shows is mended."""
        for signed in islice(statements, MAX_STATEMENTS):
            try:
                said = self._voters.open_word("reinstate", ReinstateStatement, signed, signer)
            except StrongroomError as error:
                if self._allowances.setdefault(signer, LogAllowance()).take(self._clock.monotonic()) >= 0:
                    log.warning("reinstatement.refused", signer=signer, reason=error.reason, message=error.message)
                continue
            row = self._open.get(said.evidence_hash)
            # What is settled, or never was here, is said again at every connection: nothing to do.
            if row is None or row.signer != signer or said.signer != signer or row.operator_cleared:
                continue
            body, signature = signed.body, signed.signature
            await self._storage.run(partial(rows.set_statement, name=row.hash, body=body, signature=signature))
            # Meanwhile the same may have been said again, or the order may have acted.
            row = self._open.get(said.evidence_hash)
            if row is not None and not row.operator_cleared:
                log.info("reinstatement.operator_agreed", signer=signer, evidence=row.hash.hex())
                self._settle(replace(row, operator_cleared=True))

    def certified(self, _: Batch, certificate: Certificate) -> None:
        """A batch was certified: an order that reinstates a signer may have acted."""
        if not self._open:
            return
        state = self._ledger.replica.state(certificate.head.size)
        if certificate.head.term != self._term:
            # A new term may have put other orders in the places of those looked at.
            self._term, self._looked_at = certificate.head.term, None
        self._look(state)
        for order_hash, wanted in tuple(self._orders.items()):
            row, record = self._open.get(wanted.evidence_hash), state.order(order_hash)
            acts = record is not None and record.state is OrderState.DONE
            if row is not None and acts and row.signer == wanted.signer and not row.order_hash:
                self._ledger.enqueue(partial(rows.set_order, name=row.hash, order_hash=order_hash))
                log.info("reinstatement.ordered", signer=row.signer, evidence=row.hash.hex(), order=order_hash.hex())
                self._settle(replace(row, order_hash=order_hash))

    def _look(self, state: State) -> None:
        """Find orders that reinstate a signer, among those that came after the oldest unsettled record."""
        if self._looked_at is None:
            self._looked_at = min(row.orders_before for row in self._open.values())
        end = min(state.orders_count, self._looked_at + LOOK_AT_ONCE)
        for sequence in range(self._looked_at, end):
            record = state.order_at(sequence)
            action = decode_order(record.order).action
            # Anybody may make orders without end for evidence that nobody has; a new record is looked for anew.
            if isinstance(action, ReinstateSigner) and action.evidence_hash in self._open:
                self._orders[record.hash] = action
        self._looked_at = max(end, self._looked_at)

    def _settle(self, row: EvidenceRow) -> None:
        if row.is_settled:
            del self._open[row.hash]
            self._keys.pop(row.hash, None)
            self._orders = {name: one for name, one in self._orders.items() if one.evidence_hash in self._open}
            log.info("signer.reinstated", signer=row.signer, evidence=row.hash.hex())
        else:
            self._open[row.hash] = row
        self._tell(row.signer)

    # --- tasks -----------------------------------------------------------------------------------------------------

    def _tell(self, signer: str) -> None:
        for callback in self._watchers:
            callback(signer)

    async def stop(self) -> None:
        """Give what was found a moment to be kept; what needs a part that has stopped already is given up."""
        await self._background.stop(patience_s=STOP_S)
