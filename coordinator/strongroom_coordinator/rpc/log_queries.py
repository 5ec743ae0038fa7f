"""Reading the log itself: heads, charter, freezes, entries, and how the coordinator is doing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from functools import partial
from typing import Final

from strongroom.api.treasury.v1 import treasury_service_pb2 as pb
from strongroom.api.types.v1 import types_pb2
from strongroom.ledger import codec
from strongroom.model.errors import StrongroomError
from strongroom.wire.log_export import LogExportWriter
from strongroom_coordinator.errors import NotReady
from strongroom_coordinator.rpc.answers import certificate_bytes, record_pb, table_roots_pb
from strongroom_coordinator.rpc.errors import InvalidRequest
from strongroom_coordinator.rpc.evidence_queries import evidence_pb
from strongroom_coordinator.rpc.parts import Parts
from strongroom_coordinator.storage import ledger as ledger_rows

__all__ = ["LogQueries"]

CHUNK_BYTES: Final = 1 << 20


class LogQueries:
    """Answers what is asked about the log."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._founding = b""

    async def ledger(self) -> pb.GetLedgerResponse:
        """Charter, heads, checkpoint.

        Raises:
            NotReady: nothing is certified yet.
        """
        founding = await self._founding_entry()
        reader = self._parts.reader
        reading = reader.certified()
        size = reader.final_size()
        root = reader.source.replica.root_at(size) if size else None
        proof = reading.state.record_proof(b"charter", b"")
        return pb.GetLedgerResponse(
            log_id=self._parts.log_id,
            charter=record_pb(proof, reading),
            founding_entry=founding,
            certificate=certificate_bytes(reading.certificate),
            final_certificate=certificate_bytes(reader.source.final_certificate),
            final_head=types_pb2.LogHead(size=size if root else 0, root=root or b""),
            checkpoint=self._parts.checkpoint(),
            handovers=self._parts.handovers(),
        )

    async def _founding_entry(self) -> bytes:
        """The entry that the log id is of."""
        if not self._founding:
            self._parts.reader.certified()
            await self._parts.reader.source.stored()
            index = max(0, self._parts.founding.size - 1)
            found = await self._parts.storage.run(partial(ledger_rows.entries, start=index, end=index + 1))
            if not found:
                raise NotReady("the log is not stored here yet: try again in a moment")
            self._founding = found[0]
        return self._founding

    def freezes(self) -> pb.ListFreezesResponse:
        """The whole table of freezes."""
        reading = self._parts.reader.certified()
        state = reading.state
        return pb.ListFreezesResponse(
            records=[codec.encode(record) for record in state.freezes()],
            tables=table_roots_pb(state.table_roots()),
            rule_set=state.charter.rule_set,
            state_time_ms=state.time_ms,
            certificate=certificate_bytes(reading.certificate),
        )

    async def entries(self, first_index: int) -> AsyncIterator[pb.ReadLogResponse]:
        """Batches from the one that holds `first_index` on, up to the newest certified head.

        A response holds about 1 MiB, or one larger batch.

        Raises:
            InvalidRequest: the log is not that long.
        """
        reading = self._parts.reader.certified()
        end = reading.certificate.head.size
        if first_index > end:
            raise InvalidRequest("first_index", f"the certified log has {end} entries")
        await self._parts.reader.source.stored()
        index = await self._parts.storage.run(partial(ledger_rows.border_before, index=first_index))
        while index < end:
            read = partial(ledger_rows.batches, first_index=index, end_index=end, max_bytes=CHUNK_BYTES)
            found = await self._parts.storage.run(read)
            if not found:
                return
            yield pb.ReadLogResponse(
                batches=[
                    types_pb2.LogBatch(
                        first_index=batch.first_index, entries=batch.entries, certificate=batch.certificate or b""
                    )
                    for batch in found
                ]
            )
            index = found[-1].first_index + len(found[-1].entries)

    async def export(self) -> AsyncIterator[bytes]:
        """The file that `strongroom-signer recover` and `join` read, up to the newest certified head, in chunks.

        Raises:
            NotReady: nothing is certified yet, or recovery data is not at hand.
        """
        parts = self._parts
        reading, held = parts.reader.certified(), parts.sequencer.ledger.recovery
        end = reading.certificate.head.size
        if held.lacking(reading.state):
            raise NotReady("recovery data of a vault is still being asked for: try again in a moment")
        bodies = held.of_state(reading.state)
        await parts.reader.source.stored()
        writer = LogExportWriter(parts.log_id)
        yield writer.begin()
        index = 0
        while index < end:
            read = partial(ledger_rows.batches, first_index=index, end_index=end, max_bytes=CHUNK_BYTES)
            found = await parts.storage.run(read)
            if not found:
                raise NotReady("the log went another way while it was exported: export it again")
            for batch in found:
                for chunk in _chunks(writer.batch(batch.first_index, batch.entries, batch.certificate or b"")):
                    yield chunk
            index = found[-1].first_index + len(found[-1].entries)
        for piece in writer.recovery(bodies):
            yield piece
        yield writer.end()

    def status(self) -> pb.GetStatusResponse:
        """How the coordinator and each signer link are doing."""
        parts = self._parts
        try:
            certified = parts.reader.certified().certificate.head.size
        except StrongroomError:
            certified = 0
        return pb.GetStatusResponse(
            term=parts.sequencer.term,
            certified_size=certified,
            final_size=parts.reader.final_size(),
            leading=parts.sequencer.term > 0,
            signers=[self._signer(signer.name) for signer in parts.charter.signers],
            chain_height=max(parts.tracker.height, 0),
            chain_reachable=parts.tracker.is_reachable,
            queued=parts.sequencer.queued,
            version=parts.version,
        )

    def _signer(self, name: str) -> pb.SignerStatus:
        link, row = self._parts.links.links.get(name), self._parts.evidence.quarantined(name)
        quarantine = None if row is None else evidence_pb(row)
        if link is None:
            return pb.SignerStatus(name=name, quarantine=quarantine)
        # One that has stopped with an alarm is given nothing; what it holds it said when it came.
        term, size = link.held
        return pb.SignerStatus(
            name=name,
            connected=True,
            term=term,
            certified_size=size,
            last_refusal=link.hello.alarm,
            alarm=link.hello.alarm,
            version=link.hello.version,
            quarantine=quarantine,
        )


def _chunks(data: bytes) -> Iterator[bytes]:
    return (data[start : start + CHUNK_BYTES] for start in range(0, len(data), CHUNK_BYTES))
