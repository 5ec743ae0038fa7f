"""The coordinator's copy of the log: replayed state in memory, certified batches in the database.

Nothing here is shown to a client before w signers hold it durably, so the database may follow a moment later: a copy
that lost its end, or everything, is rebuilt from the signers.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import structlog
from sqlalchemy import Connection

from strongroom.ledger import codec
from strongroom.ledger.certificate_messages import Certificate, Head
from strongroom.ledger.entry_messages import Endorse, Epoch, OrderEntry, Plan, SignerFreeze, Vault
from strongroom.ledger.reasons import Refused
from strongroom.ledger.replica import Batch, Preview, Replica
from strongroom.model.errors import Kind, StrongroomError
from strongroom.protocol.certificates import final_size
from strongroom_coordinator.errors import DAMAGED, StorageFailed
from strongroom_coordinator.founding import FINAL_CERTIFICATE, LOG_ID, founding_batch
from strongroom_coordinator.recovery import RecoveryBook
from strongroom_coordinator.storage import ledger as rows
from strongroom_coordinator.storage import plans
from strongroom_coordinator.storage.engine import Storage
from strongroom_coordinator.subjects import decode_entry, subjects_in, subjects_of
from strongroom_coordinator.voters import Voters

__all__ = ["FinalContradicted", "LedgerCopy"]

log = structlog.get_logger()


class FinalContradicted(StrongroomError):
    """What w signers hold contradicts what was final here: more signers are bad or restored than the charter survives.

    Nobody should lead on from here; the operators of the signers must compare their heads.
    """

    reason = "FINAL_HEAD_CONTRADICTED"
    kind = Kind.DATA_LOSS


@dataclass(frozen=True, slots=True)
class _Write:
    """One step of the database, and what to do in memory once it is durable."""

    work: Callable[[Connection], None]
    then: Callable[[], None]


class LedgerCopy:
    """Replica, newest certificates, and the order in which they reach the database.

    Attributes:
        replica: Everything replayed, a batch in flight included.
        certificate: Of the newest certified head; None for the empty log.
        final_certificate: The newest certificate whose votes made a head final.
        recovery: The recovery data beside the log.
    """

    def __init__(self, storage: Storage, voters: Voters) -> None:
        """Replay what is stored beyond the folded state; `run` must then be running for anything to be written.

        Raises:
            StorageFailed: the database cannot be read.
            FinalContradicted: the database is of another log.
        """
        self._storage = storage
        self._voters = voters
        self._writes: asyncio.Queue[_Write] = asyncio.Queue()
        self._asked = self._written = 0
        """How many writes were ever asked for here, and how many of them, the first ones, are durable."""
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()
        """Who waits until so many are."""
        self._unstored: list[Batch] = []
        self._dropped: list[bytes] = []
        self._on_founded: list[Callable[[], Awaitable[None]]] = []
        self.recovery = RecoveryBook({})
        founding = voters.founding
        self.replica = Replica(storage.key_value(), log_id=founding.log_id, genesis_id=founding.genesis.log_id)
        voters.read(lambda: self.replica)
        self._kept = 0
        """Entries below a restart that is not reached yet, for which certificates of the log before it are stored."""
        self.certificate: Certificate | None = None
        self.final_certificate: Certificate | None = None
        self.decided_final_size = self.replica.folded_size
        """Entries that no term can drop; the database may follow a moment later."""
        storage.run_sync(self._load)

    def _load(self, connection: Connection) -> None:
        known = rows.read_meta(connection, LOG_ID)
        if known is None:
            rows.write_meta(connection, LOG_ID, self._voters.log_id)
        elif known != self._voters.log_id:
            raise FinalContradicted(f"the database holds the log {known.hex()}, the founding is of another one")
        try:
            for stored in rows.all_batches(connection, self.replica.folded_size):
                self.replica.push(self.replica.preview(Batch(first_index=stored.first_index, entries=stored.entries)))
            self.recovery = RecoveryBook(rows.all_recovery(connection))
            newest = _decoded(rows.newest_certificate(connection))
            if self.is_founded:
                # One at or below the founding entry is of the log before it, and kept for those who replay that.
                is_own = newest is not None and newest.head.size > self._voters.founding.size
                self.certificate = newest if is_own else None
            else:
                self._kept = self.replica.size
            self.final_certificate = _decoded(rows.read_meta(connection, FINAL_CERTIFICATE))
        except StorageFailed:
            raise
        except StrongroomError as error:
            raise StorageFailed(f"what the database holds does not replay: {error.message}; {DAMAGED}") from error

    # --- what it holds ---------------------------------------------------------------------------------------------

    @property
    def is_founded(self) -> bool:
        """Whether the own log reaches the entry that it is founded on."""
        return self.replica.folded_size >= self._voters.founding.size

    @property
    def certified_size(self) -> int:
        """Entries below the newest certificate; never below what is final."""
        return max(self.final_size, self._kept, 0 if self.certificate is None else self.certificate.head.size)

    @property
    def final_size(self) -> int:
        """Entries that no term can drop."""
        return self.replica.folded_size

    def holds(self, head: Head) -> bool:
        """Whether the own replay gave exactly this head."""
        if not self.replica.is_border(head.size):
            return False
        return self.replica.head(head.size) == (head.root, head.state_digest)

    async def entry_of_subject(self, subject: bytes) -> tuple[int, bytes] | None:
        """Index and bytes of the certified entry about this, if there is one."""
        await self.stored()
        return await self._storage.run(lambda connection: rows.entry_of_subject(connection, subject))

    async def batches(self, first_index: int, end_index: int, *, max_bytes: int) -> list[rows.StoredBatch]:
        """Certified batches from a border on."""
        await self.stored()
        end = min(end_index, self.certified_size)
        return await self._storage.run(
            lambda connection: rows.batches(connection, first_index, end, max_bytes=max_bytes)
        )

    async def certificate_at(self, size: int) -> Certificate | None:
        """The stored certificate of the head of exactly this size."""
        await self.stored()
        return _decoded(await self._storage.run(lambda connection: rows.certificate_at(connection, size)))

    # --- what changes it -------------------------------------------------------------------------------------------

    def append(self, preview: Preview) -> None:
        """Take a batch that is not certified yet as the newest."""
        self.replica.push(preview)
        self._unstored.append(preview.batch)

    def abandon(self) -> None:
        """Drop what is not certified."""
        self._unstored.clear()
        if self.replica.size > self.certified_size:
            self.replica.truncate(self.certified_size)

    def certify(self, certificate: Certificate, then: Callable[[], None] | None = None) -> int:
        """Take a verified certificate of a head that this copy holds, and store what it covers.

        Args:
            certificate: The certificate.
            then: Called when all of it is durable here.

        Returns:
            How far the log is final now.
        """
        size = certificate.head.size
        is_own = self.is_founded
        if is_own:
            self.certificate = certificate
        else:
            self._kept = size
        final = self.replica.border_up_to(final_size(certificate)) or 0
        if is_own and final > self.decided_final_size:
            self.final_certificate = certificate
        encoded = codec.encode(certificate)

        def beside(connection: Connection, *, advances: bool) -> None:
            rows.save_certificate(connection, size=size, term=certificate.head.term, certificate=encoded)
            if advances and is_own:
                rows.write_meta(connection, FINAL_CERTIFICATE, encoded)

        self._store(size, final, beside, then)
        return self.decided_final_size

    def on_founded(self, callback: Callable[[], Awaitable[None]]) -> None:
        """Have this done when a copy that lacked the founding entry has got it, before any term opens."""
        self._on_founded.append(callback)

    async def found(self) -> bool:
        """Take the entry that the log is founded on, where the own copy ends just before it, and store it as final.

        Returns:
            Whether it is there now; it is not when the entries below are another log's.

        Raises:
            StorageFailed: what is to be done then could not be.
        """
        batch = founding_batch(self._voters.founding)
        if batch is not None and not self.is_founded:
            try:
                self.append(self.replica.preview(batch))
            except Refused as refusal:
                log.error("founding.refused", reason=refusal.reason, message=refusal.message)
                return False
            self._store(batch.size, batch.size)
            await self.stored()
            self._kept = 0
            # What people said in the log before is worth nothing in this one.
            self._dropped.clear()
            for callback in self._on_founded:
                await callback()
        return self.is_founded

    def _store(
        self,
        size: int,
        final: int,
        beside: Callable[..., None] | None = None,
        then: Callable[[], None] | None = None,
    ) -> None:
        """Store the batches below a size, and what is final with them, in one commit."""
        batches = [batch for batch in self._unstored if batch.first_index < size]
        self._unstored = [batch for batch in self._unstored if batch.first_index >= size]
        advances = final > self.decided_final_size
        self.decided_final_size = max(final, self.decided_final_size)
        folded = self.replica.fold(final) if advances else {}
        planned = self._planned(batches)
        recovery = self.recovery.named_in(entry for batch in batches for entry in batch.entries)
        stale = self.recovery.drop_stale(self.replica, final) if advances else ()

        def work(connection: Connection) -> None:
            for batch in batches:
                rows.save_batch(
                    connection,
                    first_index=batch.first_index,
                    entries=batch.entries,
                    subjects=subjects_in(batch.first_index, batch.entries),
                )
            plans.add(connection, planned)
            rows.save_recovery(connection, recovery)
            rows.drop_recovery(connection, stale)
            if advances:
                rows.save_folded(connection, folded)
            if beside is not None:
                beside(connection, advances=advances)

        def done() -> None:
            self._note_folded(folded, final)
            if then is not None:
                then()

        self._asked += 1
        self._writes.put_nowait(_Write(work, done))

    def keep_recovery(self, recovery: Mapping[bytes, bytes]) -> None:
        """Store recovery data that was fetched, by its SHA-256."""
        self.enqueue(lambda connection: rows.save_recovery(connection, recovery))

    def _planned(self, batches: list[Batch]) -> list[plans.NewPlan]:
        """Every plan of these batches, as its progress begins."""
        state = self.replica.state()
        found = []
        for batch in batches:
            for offset, data in enumerate(batch.entries):
                entry = decode_entry(data)
                record = state.plan(subjects_of(entry.body)[0]) if isinstance(entry.body, Plan) else None
                if record is not None:
                    found.append(
                        plans.NewPlan(
                            plan_hash=record.hash,
                            txid=record.txid,
                            entry_index=batch.first_index + offset,
                            vault=record.vault,
                            time_ms=entry.time_ms,
                        )
                    )
        return found

    def _note_folded(self, folded: Mapping[bytes, bytes], final: int) -> None:
        if final > self.replica.folded_size:
            self._storage.key_value().learned(folded)
            self.replica.folded(final)

    async def cut(self, size: int, certificate: Certificate | None) -> None:
        """Drop everything beyond `size`, certified or not: the base of a new term is below it.

        Raises:
            FinalContradicted: it was final.
        """
        while self._written < self._asked:
            # Nothing beyond `size` may follow what is dropped here.
            await self.stored()
        if size < self.replica.folded_size:
            raise FinalContradicted(
                f"the new term begins at {size}, but the log was final up to {self.replica.folded_size}: stop, and "
                "compare the heads of all signers"
            )
        self._unstored.clear()
        end = self.certified_size
        if self.replica.size > size:
            self.replica.truncate(size)
        self.certificate = certificate if self.is_founded else None
        self._kept = min(self._kept, size)
        if end > size:
            self._dropped += await self._storage.run(partial(_drop_from, size))
            self.recovery.put_back(self._dropped)

    def take_dropped(self) -> list[Any]:
        """What people and signers said in entries that term changes dropped here: to be logged again, once."""
        dropped, self._dropped = self._dropped, []
        bodies = (decode_entry(entry).body for entry in dropped)
        return [body for body in bodies if isinstance(body, OrderEntry | Endorse | SignerFreeze | Vault | Epoch)]

    # --- the database follows --------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Write what was certified, in order; several waiting batches share one commit.

        Raises:
            StorageFailed: the database refused. The copy must not be used further: fail closed.
        """
        while True:
            writes = [await self._writes.get()]
            while not self._writes.empty():
                writes.append(self._writes.get_nowait())
            await self._storage.run(partial(_perform, tuple(writes)))
            for write in writes:
                write.then()
            self._written += len(writes)
            while self._waiting and self._waiting[0][0] <= self._written:
                _, waiting = self._waiting.popleft()
                if not waiting.done():
                    waiting.set_result(None)

    def enqueue(self, work: Callable[[Connection], None]) -> None:
        """Write something else after everything certified so far."""
        self._asked += 1
        self._writes.put_nowait(_Write(work, lambda: None))

    async def stored(self) -> None:
        """Wait until everything certified so far is durable here.

        What is certified meanwhile is not waited for: a log that grows faster than single commits take never rests.
        """
        if self._written < self._asked:
            waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append((self._asked, waiting))
            await waiting


def _perform(writes: tuple[_Write, ...], connection: Connection) -> None:
    for write in writes:
        write.work(connection)


def _drop_from(size: int, connection: Connection) -> list[bytes]:
    dropped = list(rows.entries(connection, size, 2**62))
    rows.drop_from(connection, size)
    plans.drop_from(connection, size)
    return dropped


def _decoded(data: bytes | None) -> Certificate | None:
    return None if data is None else codec.decode(Certificate, data)
