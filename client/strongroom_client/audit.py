"""The whole log replayed by an auditor's own machine: every entry, rule, vote and digest judged again.

Nothing is taken from the coordinator but bytes. The log's founding must hash to the pinned log id: the genesis charter,
or the newest restart by its administrators. Every batch is applied by the code that signers run, so every approval,
rule, limit and plan is judged again; every certificate must carry w valid votes for exactly the root and the state
digest that the replay gives. With a Bitcoin node of the auditor's own, every transaction that spends a vault's coins
must have its plan in the log.

Spec: design, "Auditors"; docs/protocol/restart.md.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from strongroom.ledger import codec
from strongroom.ledger.certificate_messages import Certificate, Head
from strongroom.ledger.charter import Charter, decode_charter, log_id_of
from strongroom.ledger.checkpoint import cosigner_key, log_origin, open_checkpoint
from strongroom.ledger.electorate import Electorate
from strongroom.ledger.entry_messages import MAX_ENTRY_BYTES, Entry, Genesis, Plan, Recovery, Restart
from strongroom.ledger.founding import statement_of
from strongroom.ledger.plans import plan_hash, spend_of
from strongroom.ledger.replica import Batch, Preview, Replica
from strongroom.ledger.signed_messages import RestartApproval
from strongroom.ledger.state import State
from strongroom.ledger.view import MemoryStore
from strongroom.model.errors import Kind, StrongroomError
from strongroom.model.ids import LogId
from strongroom.protocol.certificates import false_claims, final_size_here, verify_certificate
from strongroom_client.trust import MAX_CERTIFICATE_BYTES
from strongroom_client.vote_claims import FalseClaim, FalseClaims

__all__ = ["AuditFailed", "AuditSummary", "Auditor", "PlannedSpend", "Restarted"]


class AuditFailed(StrongroomError):
    """The log, or the chain beside it, is not what it must be; the message says where the first difference is."""

    reason = "AUDIT_DISCREPANCY"
    kind = Kind.FAILED_PRECONDITION
    remedy = "keep the log, sign nothing, and call the administrators and the signers' operators"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedSpend:
    """One plan of the log as the chain must show it. Txids are in internal byte order."""

    entry_index: int
    vault: str
    order_hashes: tuple[bytes, ...]
    inputs: tuple[tuple[bytes, int, int, int, int], ...]
    """Each input: txid, output number, claimed satoshi, branch, index."""
    is_cancel: bool
    is_recovery: bool = False
    """It breaks the glass: its order may move coins by any number of transactions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Restarted:
    """Where administrators founded the log anew: the promise of one exact history does not span this entry.

    Attributes:
        entry_index: index of the entry: all entries before it were kept.
        old_log_id, new_log_id: the log id before and after.
        term: of the certificate of the head at which the log went on.
        time_ms: when the administrators say they made the statement.
        approved_by: who signed it.
    """

    entry_index: int
    old_log_id: LogId
    new_log_id: LogId
    term: int
    time_ms: int
    approved_by: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditSummary:
    """What a complete replay found."""

    log_id: LogId
    organisation: str
    entries: int
    batches: int
    certificates: int
    votes: int
    final_size: int
    final_root: bytes
    """Root over the first `final_size` entries; empty when none is final."""
    root: bytes
    state_digest: bytes
    time_ms: int
    orders: int
    vaults: int
    plans: int
    freezes: int
    checkpoint_size: int
    """Entries that the published checkpoint covers, often fewer than are final; 0 when there was none to verify."""
    cosigners: tuple[str, ...]
    """Signers whose cosignature of the published checkpoint was verified; empty when there was none to verify."""
    restarts: tuple[Restarted, ...]
    false_claims: tuple[FalseClaim, ...]
    """Signers whose votes name certificates that never were. The log is as good as without them."""

    @property
    def certified_head(self) -> str:
        """The head under the newest certificate, as people compare it, `SIZE:ROOT`."""
        return f"{self.entries}:{self.root.hex()}"

    @property
    def final_head(self) -> str:
        """The newest head that no change of the term takes back, as people compare it; empty when there is none."""
        return f"{self.final_size}:{self.final_root.hex()}" if self.final_size else ""


@dataclass(slots=True)
class Auditor:
    """Takes the log batch by batch, and raises at the first thing that is wrong.

    Args:
        log_id: the pinned log id.
        progress: called after each batch with the number of entries replayed.
    """

    log_id: LogId
    progress: Callable[[int], None] | None = None
    certificate: Certificate | None = None
    """Of the newest certified head; None before the first, and after a restart until the new log has one."""
    restarts: list[Restarted] = field(default_factory=list)
    founded: list[Charter] = field(default_factory=list)
    """The charters that the log began with, and began with again."""
    spends: dict[bytes, PlannedSpend] = field(default_factory=dict)
    """Every plan of the log, by the txid of its transaction."""
    _store: MemoryStore = field(default_factory=MemoryStore)
    _replica: Replica | None = None
    _genesis: Charter | None = None
    _witness_keys: set[tuple[str, bytes]] = field(default_factory=set)
    """Of every charter that was in force: what cosigned a checkpoint may be of signers that left since."""
    _batches: int = 0
    _certificates: int = 0
    _votes: int = 0
    _certified: int = 0
    _final: int = 0
    _term: int = 0
    _claims: FalseClaims = field(default_factory=FalseClaims)
    _digests: dict[int, bytes] = field(default_factory=dict)
    """State digest after each batch, by size: votes name heads that carry them."""

    @property
    def state(self) -> State:
        """The state after the last batch."""
        return self._log().state()

    @property
    def size(self) -> int:
        """Entries taken so far."""
        return self._log().size

    def root_at(self, size: int) -> bytes | None:
        """Root of the log's first `size` entries; None if it is shorter."""
        return self._log().root_at(size)

    @property
    def charter(self) -> Charter:
        """The genesis charter.

        Raises:
            AuditFailed: no batch was taken yet.
        """
        if self._genesis is None:
            raise AuditFailed("the log is empty: there is nothing to verify")
        return self._genesis

    def take(self, first_index: int, entries: tuple[bytes, ...], certificate: bytes) -> None:
        """Replay one batch; an empty certificate means that only a later head was certified.

        Raises:
            AuditFailed: the first thing in it that does not hold.
        """
        if self._replica is None:
            self._begin(first_index, entries)
        log = self._log()
        if first_index != log.size:
            raise AuditFailed(
                f"a batch begins at entry {first_index}, and the log has {log.size} so far: entries are missing",
                entry=str(log.size),
            )
        preview = self._replayed(Batch(first_index=first_index, entries=entries))
        plans = self._plans_of(preview)
        log.push(preview)
        self.spends.update(plans)
        signers = log.state().charter.signers
        self._witness_keys.update((signer.name, signer.witness_key) for signer in signers)
        self._batches += 1
        self._digests[preview.size] = preview.state_digest
        self._look_for_restart(preview)
        if certificate:
            self._check_certificate(certificate, preview)
            self._store.update(log.fold(preview.size))
            log.folded(preview.size)
        if self.progress is not None:
            self.progress(preview.size)

    def finish(self, *, checkpoint: bytes = b"") -> AuditSummary:
        """Say what the replay found; a published checkpoint must be of this very log.

        Raises:
            AuditFailed: it is not the pinned log, entries at the end have no certificate, or the checkpoint is of
                another log.
        """
        charter, log = self.charter, self._log()
        self._require_pinned()
        if self._certified != log.size:
            raise AuditFailed(
                f"entries {self._certified} to {log.size - 1} stand under no certificate", entry=str(self._certified)
            )
        checkpoint_size, cosigners = self._check_checkpoint(checkpoint) if checkpoint else (0, ())
        root, digest = log.head()
        state = log.state()
        return AuditSummary(
            log_id=self.log_id,
            organisation=charter.organisation,
            entries=log.size,
            batches=self._batches,
            certificates=self._certificates,
            votes=self._votes,
            final_size=self._final,
            final_root=(log.root_at(self._final) or b"") if self._final else b"",
            root=root,
            state_digest=digest,
            time_ms=state.time_ms,
            orders=state.orders_count,
            vaults=state.count(b"vaults"),
            plans=len(self.spends),
            freezes=len(state.freezes()),
            checkpoint_size=checkpoint_size,
            cosigners=cosigners,
            restarts=tuple(self.restarts),
            false_claims=self._claims.all(),
        )

    def _require_pinned(self) -> None:
        found = self.state.log_id
        if found != self.log_id:
            raise AuditFailed(
                f"this is another log than the one pinned here: {found.hex()}",
                pinned=self.log_id.hex(),
                found=found.hex(),
            )

    # --- one batch -------------------------------------------------------------------------------------------------

    def _log(self) -> Replica:
        if self._replica is None:
            self._replica = Replica(self._store, log_id=self.log_id)
        return self._replica

    def _begin(self, first_index: int, entries: tuple[bytes, ...]) -> None:
        """Take the id that the log began with out of its first entry: only where it arrives is compared."""
        if first_index != 0:
            return
        try:
            body = codec.decode(Entry, entries[0] if entries else b"", max_size=MAX_ENTRY_BYTES).body
            if not isinstance(body, Genesis):
                raise AuditFailed("it is no genesis")
            self._genesis = decode_charter(body.charter)
        except StrongroomError as error:
            raise AuditFailed(f"entry 0 cannot be the first of a log: {error.message}", entry="0") from error
        self.founded.append(self._genesis)
        self._replica = Replica(self._store, log_id=self.log_id, genesis_id=log_id_of(body.charter))

    def _look_for_restart(self, preview: Preview) -> None:
        """Begin the votes of a new log where administrators founded one; the entry has the certificate it starts at."""
        body = codec.decode(Entry, preview.batch.entries[0]).body
        if not isinstance(body, Restart):
            return
        statement = statement_of(body)
        approvals = [codec.decode(RestartApproval, signed.body) for signed in body.approvals]
        self.restarts.append(
            Restarted(
                entry_index=preview.batch.first_index,
                old_log_id=LogId(statement.head.log_id),
                new_log_id=self.state.log_id,
                term=statement.head.term,
                time_ms=statement.made_ms,
                approved_by=tuple(approval.person for approval in approvals),
            )
        )
        self.founded.append(self.state.charter)
        self._digests.clear()
        self._term = 0
        self.certificate = None
        # The entry needs no votes: its hash is the log id that is compared in the end, or that of one that was.
        self._certified = self._final = preview.size

    def _replayed(self, batch: Batch) -> Preview:
        try:
            return self._log().preview(batch)
        except StrongroomError as error:
            if error.reason == "RESTART_NOT_PINNED":
                raise AuditFailed(
                    f"entry {batch.first_index} founds the pinned log anew: compare the new log id with your "
                    "administrators, pin it with `strongroom restart accept`, and audit again",
                    entry=str(batch.first_index),
                ) from error
            index = error.facts.get("entry", str(batch.first_index))
            raise AuditFailed(
                f"entry {index} must not be in the log: {error.message} ({error.reason})", entry=index
            ) from error

    def _plans_of(self, preview: Preview) -> dict[bytes, PlannedSpend]:
        """The plans of a batch, each resolved again from the orders people signed."""
        state = State(preview.overlay, self.log_id)
        found: dict[bytes, PlannedSpend] = {}
        for position, data in enumerate(preview.batch.entries):
            body = codec.decode(Entry, data).body
            if not isinstance(body, Plan):
                continue
            index = preview.batch.first_index + position
            record = state.plan(plan_hash(codec.encode(body)))
            txid = spend_of(state, body).txid
            if record is None or record.txid != txid:
                raise AuditFailed(f"entry {index}: the plan's record is not that of its transaction", entry=str(index))
            found[txid] = PlannedSpend(
                entry_index=index,
                vault=body.vault,
                order_hashes=body.order_hashes,
                inputs=tuple((one.txid, one.vout, one.amount_sat, one.branch, one.index) for one in body.inputs),
                is_cancel=record.is_cancel,
                is_recovery=isinstance(body.outputs[0].target, Recovery),
            )
        return found

    # --- certificates ----------------------------------------------------------------------------------------------

    def _check_certificate(self, data: bytes, preview: Preview) -> None:
        at, log_id = str(preview.size), self.state.log_id
        try:
            certificate = codec.decode(Certificate, data, max_size=MAX_CERTIFICATE_BYTES)
            electorate = Electorate.of(self.state.witnesses)
            verify_certificate(certificate, log_id=log_id, electorate=electorate)
        except StrongroomError as error:
            raise AuditFailed(f"the certificate of size {at}: {error.message}", size=at) from error
        head = certificate.head
        expected = Head(
            log_id=log_id,
            term=head.term,
            size=preview.size,
            root=preview.root,
            state_digest=preview.state_digest,
        )
        if head != expected:
            what = next(
                name for name in ("size", "root", "state_digest") if getattr(head, name) != getattr(expected, name)
            )
            raise AuditFailed(
                f"the certificate of size {at} certifies another {what.replace('_', ' ')} than the replay gives",
                size=at,
                field=what,
            )
        if head.term < self._term:
            raise AuditFailed(f"the certificate of size {at} is of term {head.term}, after term {self._term}", size=at)
        self._look_at_claims(certificate)
        self._term = head.term
        self.certificate = certificate
        self._certified = preview.size
        self._certificates += 1
        self._votes += len(certificate.votes)
        self._final = max(self._final, final_size_here(certificate, self._head_at))

    def _head_at(self, size: int) -> tuple[bytes, bytes] | None:
        """What the replay gave at a size; None where no batch of it ends."""
        root, digest = self._log().root_at(size), self._digests.get(size)
        return None if root is None or digest is None else (root, digest)

    def _look_at_claims(self, certificate: Certificate) -> None:
        """Votes name the certificate that their author held; one of the same term must be of this very history.

        A single vote that names another proves a lie of its author alone: one signer must not be able to make a log
        unreadable. That a whole quorum names another history is what honest signers do when there are two.
        """
        false = false_claims(certificate, self._head_at)
        if len(false) == len(certificate.votes):
            raise AuditFailed(
                f"all votes for size {certificate.head.size} name certificates in the same term that are not of this "
                "history: two histories were certified",
                size=str(certificate.head.size),
                signer=false[0].signer,
            )
        self._claims.add(certificate.head.size, false)

    def _check_checkpoint(self, data: bytes) -> tuple[int, tuple[str, ...]]:
        """Verify the published checkpoint against the replay; return its size and who cosigned it.

        Who cosigned is told; how many suffice is for who relies on the checkpoint outside, one is enough to compare.
        """
        origin = log_origin(self.log_id)
        witnesses = [cosigner_key(self.log_id, name, key) for name, key in sorted(self._witness_keys)]
        try:
            opened = open_checkpoint(data, origin=origin, witnesses=witnesses, threshold=1)
        except StrongroomError as error:
            raise AuditFailed(f"the published checkpoint does not hold: {error.message}") from error
        size, root = opened.checkpoint.size, self._log().root_at(opened.checkpoint.size)
        if root != opened.checkpoint.root:
            what = "the log served here is shorter" if root is None else "the replay gives another root"
            raise AuditFailed(
                f"signers cosigned a history of {size} entries, and {what}: something is hidden or replaced",
                size=str(size),
            )
        return size, tuple(sorted(name.removeprefix(f"{origin}/") for name in opened.times_s))
