"""What a client believes and why: a pinned log id, the founding it is the hash of, and proofs under certificates.

Nothing here takes the coordinator's word. The log id is the hash of the genesis charter, or of the restart by which the
administrators founded the log anew; either names the signers that the log began with, and each handover to others is
proven by votes of both. A certificate is a quorum of their votes; a record is proven by its path to a certified state
digest, an entry by its path to a certified root.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Generic, TypeVar

from strongroom.api.types.v1 import types_pb2
from strongroom.ledger import codec, merkle
from strongroom.ledger.certificate_messages import Certificate
from strongroom.ledger.charter import Charter, decode_charter, log_id_of
from strongroom.ledger.electorate import Electorate, witness_set_of
from strongroom.ledger.entry_messages import MAX_ENTRY_BYTES, Entry, Restart, RestartStatement
from strongroom.ledger.founding import founded_charter, founded_log_id, read_founding, statement_of
from strongroom.ledger.record_proof import RecordProofData, TableRoot, state_digest, verify_record_proof
from strongroom.ledger.records import (
    TABLES,
    CharterRecord,
    DestinationRecord,
    ElectorateStep,
    FreezeRecord,
    OrderRecord,
    VaultRecord,
)
from strongroom.ledger.state import DESTINATIONS
from strongroom.model.errors import StrongroomError
from strongroom.model.ids import LogId
from strongroom.protocol.certificates import BadCertificate, final_size, verify_certificate
from strongroom.protocol.electorates import KnownSet, follow_steps
from strongroom_client.errors import LogRestarted, NotProven, PinMismatch

__all__ = ["FreezeTable", "Proven", "ProvenEntry", "Trust"]

MAX_RECORD_BYTES = 1 << 20
MAX_CERTIFICATE_BYTES = 65_535
_MAX_STEPS = 1_000
_MAX_STEP_BYTES = 131_072

R = TypeVar("R", CharterRecord, FreezeRecord, OrderRecord, VaultRecord, DestinationRecord)

_TABLE_OF: dict[type[Any], bytes] = {
    CharterRecord: b"charter",
    FreezeRecord: b"freezes",
    VaultRecord: b"vaults",
    OrderRecord: b"orders",
    DestinationRecord: b"destinations",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Proven(Generic[R]):
    """A record that stands in a certified state.

    `final`: that state cannot vanish any more. Its certificate is of the same term as the final one, because all
    certificates of one term are of one history; one of an earlier term may be of a branch that a new term dropped,
    whatever its size.
    """

    record: R
    certified_size: int
    state_time_ms: int
    final: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvenEntry:
    """A log entry under a certificate."""

    entry: Entry
    index: int
    certified_size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FreezeTable:
    """Every freeze, past and present, as of the certified state at this size and log time."""

    records: tuple[FreezeRecord, ...]
    certified_size: int
    state_time_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """One log's roots of belief: its id, and the charter of the founding behind it, or one in force since."""

    log_id: LogId
    charter: Charter
    """The newest charter in force that was proven here."""
    witnesses: KnownSet
    """Whose votes certify: the founding's signers, and those who were proven to take over from them."""
    restarted_at: int = 0
    """Index of the entry that founded the log anew; 0 for a log that stands on its genesis."""
    log_id_before: LogId | None = None
    """Of the log that the pinned restart goes on from; None for a log that stands on its genesis."""
    destinations: int = 0
    """How many entries the address book has in the state that proved the charter."""

    @classmethod
    def from_founding_entry(cls, entry_bytes: bytes, *, pinned: LogId) -> Trust:
        """Take the charter out of the entry that the log is founded on, if that hashes to the pinned id.

        Raises:
            LogRestarted: it is a restart of the pinned log, which nobody here has compared yet.
            PinMismatch: it hashes to another id, or no log is founded on such an entry.
        """
        try:
            entry = read_founding(entry_bytes)
            served, statement = founded_log_id(entry), _statement_of(entry)
            _, charter = founded_charter(entry)
        except StrongroomError as error:
            raise PinMismatch(f"the entry that founds the coordinator's log is unusable: {error.message}") from error
        if served != pinned:
            raise _other_log(pinned, served, statement)
        return cls(
            log_id=pinned,
            charter=charter,
            witnesses=KnownSet.first(witness_set_of(charter)),
            restarted_at=0 if statement is None else statement.head.size,
            log_id_before=None if statement is None else LogId(statement.head.log_id),
        )

    @classmethod
    def from_charter(cls, charter_bytes: bytes, *, pinned: LogId) -> Trust:
        """Believe these charter bytes if they hash to the pinned id.

        Raises:
            PinMismatch: they do not.
            NotCanonical: they do, but are no charter of this release's rule set.
        """
        served = log_id_of(charter_bytes)
        if served != pinned:
            raise _other_log(pinned, served, None)
        charter = decode_charter(charter_bytes)
        return cls(log_id=pinned, charter=charter, witnesses=KnownSet.first(witness_set_of(charter)))

    def handed_over(self, steps: Iterable[bytes]) -> Trust:
        """Go over to the witnesses who came to vote since.

        Args:
            steps: Canonical `ElectorateStep` of every change from the founding on.

        Raises:
            NotProven: one is not proven. Those known here already are passed over.
        """
        steps = tuple(steps)
        if len(steps) > _MAX_STEPS:
            raise NotProven(f"the coordinator shows {len(steps)} changes of the witness set")
        try:
            decoded = [codec.decode(ElectorateStep, step, max_size=_MAX_STEP_BYTES) for step in steps]
            found = follow_steps(self.witnesses, decoded, log_id=self.log_id)
        except StrongroomError as error:
            raise NotProven(f"a change of the witness set is not proven: {error.message}") from error
        return replace(self, witnesses=found[-1]) if found else self

    def amended(self, proof: types_pb2.RecordProof, *, since: int = 0) -> Trust:
        """Go over to the charter in force, out of its own proven record.

        Args:
            proof: The record, under a certificate.
            since: Size of a final head; a charter that was in force before it may have been replaced by then.

        Raises:
            NotProven: it is not proven, or older than the one known here or than that head.
        """
        proven = self.record(CharterRecord, proof)
        record = proven.record
        if proven.certified_size < since:
            raise NotProven(
                f"the coordinator shows the charter of a log of {proven.certified_size} entries, and {since} are "
                "final: what came since is hidden"
            )
        try:
            charter = decode_charter(record.charter)
        except codec.NotCanonical as error:
            raise NotProven(f"the charter in force cannot be read here: {error.message}") from error
        if record.log_id != self.log_id or charter.version < self.charter.version:
            raise NotProven(
                f"the coordinator shows version {charter.version} of the charter, and version {self.charter.version} "
                "was in force before"
            )
        # The record's proof verified the roots of all tables, so this count is certified with it.
        book = next((table.count for table in proof.tables if table.table == DESTINATIONS.decode()), 0)
        return replace(self, charter=charter, destinations=book)

    @property
    def vote_keys(self) -> Mapping[str, bytes]:
        """Vote key (32 bytes) of each signer of the charter."""
        return {signer.name: signer.vote_key for signer in self.charter.signers}

    def certificate(self, data: bytes) -> Certificate:
        """Decode and verify a certificate.

        Raises:
            NotProven: it is not one.
        """
        try:
            certificate = codec.decode(Certificate, data, max_size=MAX_CERTIFICATE_BYTES)
            _verified(data, self.log_id, self.witnesses.possible(certificate.head.size))
        except StrongroomError as error:
            raise NotProven(f"the coordinator sent a certificate that does not hold: {error.message}") from error
        return certificate

    def final_size(self, data: bytes) -> int:
        """Size up to which a certificate's votes make the log final; 0 for an absent one.

        Raises:
            NotProven: it is there and does not hold.
        """
        return final_size(self.certificate(data)) if data else 0

    def is_final(self, certificate: Certificate, final_certificate: bytes) -> bool:
        """Whether the votes of another certificate (empty: none) make a verified certificate's head final.

        Raises:
            NotProven: the other one is there and does not hold.
        """
        if not final_certificate:
            return False
        later = self.certificate(final_certificate)
        return later.head.term == certificate.head.term and final_size(later) >= certificate.head.size

    def record(self, kind: type[R], proof: types_pb2.RecordProof) -> Proven[R]:
        """Verify that a record stands in a certified state, and decode it.

        Raises:
            NotProven: anything about it does not hold.
        """
        table = _TABLE_OF[kind]
        certificate = self.certificate(proof.certificate)
        data = RecordProofData(
            table=table,
            record=proof.record,
            sequence=proof.sequence,
            path=tuple(proof.path),
            table_roots=_table_roots(proof.tables),
            rule_set=proof.rule_set,
            time_ms=proof.state_time_ms,
        )
        try:
            verify_record_proof(data, certificate.head.state_digest)
            record = codec.decode(kind, proof.record, max_size=MAX_RECORD_BYTES)
        except StrongroomError as error:
            raise NotProven(f"the {kind.__name__} the coordinator sent is not proven: {error.message}") from error
        return Proven(
            record=record,
            certified_size=certificate.head.size,
            state_time_ms=proof.state_time_ms,
            final=self.is_final(certificate, proof.final_certificate),
        )

    def freezes(self, response: Any) -> FreezeTable:
        """Verify the whole table of freezes: completeness is proven because its root is computed from the records.

        Raises:
            NotProven: the records are not exactly the certified table.
        """
        certificate = self.certificate(response.certificate)
        roots = _table_roots(response.tables)
        table = roots[TABLES.index(b"freezes")]
        leaves = [merkle.leaf_hash(record) for record in response.records]
        try:
            digest = state_digest(response.rule_set, response.state_time_ms, roots)
            records = tuple(codec.decode(FreezeRecord, record) for record in response.records)
        except StrongroomError as error:
            raise NotProven(f"the table of freezes is not proven: {error.message}") from error
        if digest != certificate.head.state_digest or (table.count, table.root) != (
            len(leaves),
            merkle.root_of(leaves),
        ):
            raise NotProven("the freezes the coordinator sent are not the whole certified table")
        return FreezeTable(records=records, certified_size=certificate.head.size, state_time_ms=response.state_time_ms)

    def receipt(self, receipt: types_pb2.Receipt) -> ProvenEntry:
        """Verify that the entry of a receipt stands in the log under a certificate.

        Raises:
            NotProven: it does not.
        """
        proof = receipt.inclusion
        certificate = self.certificate(proof.certificate)
        try:
            merkle.verify_inclusion(
                merkle.leaf_hash(receipt.entry),
                proof.entry_index,
                certificate.head.size,
                tuple(proof.path),
                certificate.head.root,
            )
            entry = codec.decode(Entry, receipt.entry, max_size=MAX_ENTRY_BYTES)
        except StrongroomError as error:
            raise NotProven(f"the receipt does not prove that the log holds it: {error.message}") from error
        return ProvenEntry(entry=entry, index=proof.entry_index, certified_size=certificate.head.size)


def _statement_of(entry: Entry) -> RestartStatement | None:
    return statement_of(entry.body) if isinstance(entry.body, Restart) else None


def _other_log(pinned: LogId, served: LogId, statement: RestartStatement | None) -> StrongroomError:
    facts = {"pinned": pinned.hex(), "served": served.hex()}
    if statement is not None and statement.head.log_id == pinned:
        return LogRestarted(
            f"the coordinator serves a restart of your log, after {statement.head.size} entries: sign nothing until "
            "your administrators tell you the new log id on another channel, then run `strongroom restart accept`",
            **facts,
            entries=str(statement.head.size),
        )
    return PinMismatch(
        "the coordinator serves another log than the one pinned here; do not sign anything for it until the "
        "fingerprint has been compared with your colleagues",
        **facts,
    )


@lru_cache(maxsize=256)
def _verified(data: bytes, log_id: LogId, electorates: tuple[Electorate, ...]) -> None:
    """Verify a certificate; the records of one page share theirs, so that it is done once.

    Raises:
        NotCanonical, BadCertificate: it holds for no electorate; whoever sent it is at fault. Failures are not
            remembered.
    """
    certificate = codec.decode(Certificate, data, max_size=MAX_CERTIFICATE_BYTES)
    problem = BadCertificate(f"nobody is known here who certifies heads of size {certificate.head.size}")
    for electorate in electorates:
        try:
            verify_certificate(certificate, log_id=log_id, electorate=electorate)
        except BadCertificate as error:
            problem = error
        else:
            return
    raise problem


def _table_roots(tables: Sequence[types_pb2.TableRoot]) -> tuple[TableRoot, ...]:
    """Counts and roots in digest order.

    Raises:
        NotProven: not exactly the tables of the state, in their order.
    """
    if tuple(table.table.encode() for table in tables) != TABLES:
        raise NotProven("the proof does not name the tables of the state in their order")
    return tuple(TableRoot(count=table.count, root=table.root) for table in tables)
