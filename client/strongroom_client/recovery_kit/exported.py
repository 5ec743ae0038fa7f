"""An exported log as the recovery kit relies on it: replayed whole, and held against what people compared.

No coordinator, signer or network is asked. The file is believed for its certificates and for the head that a person
compared with others, never for itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from strongroom.ledger.records import VaultRecord
from strongroom.ledger.recovery import recovery_hash
from strongroom.ledger.state import State
from strongroom.model.errors import Kind, StrongroomError
from strongroom.model.fingerprints import Compared, is_fingerprint
from strongroom.model.heads import PinnedHead, read_head
from strongroom.model.ids import LogId
from strongroom.protocol.recovery_kit_revoked import CharterInForce
from strongroom.wire.log_export import ExportedBatch, LogExportReader
from strongroom_client.audit import Auditor
from strongroom_client.files import FileProblem
from strongroom_client.log_files import AUDIT_FIRST_BYTES
from strongroom_client.orders import Seen
from strongroom_client.vote_claims import FalseClaim

__all__ = ["ExportRefused", "KitLog", "open_export", "parse_head"]


class ExportRefused(StrongroomError):
    """The exported log is not the one that people compared, is too old, or lacks what is asked of it."""

    reason = "KIT_EXPORT_REFUSED"
    kind = Kind.FAILED_PRECONDITION


@dataclass(frozen=True, slots=True, kw_only=True)
class KitLog:
    """An exported log after its replay.

    Attributes:
        log_id: What the file says it holds, proven by the entry that founds it.
        state: At its end.
        seen: Its last head, which is certified.
        final_head: The newest of its heads that no change of the term takes back, as people compare it, `SIZE:ROOT`;
            empty when it has none.
        recovery: Recovery data of current epochs in the file, by its SHA-256.
        false_claims: Signers whose votes name certificates that never were.
        compared_size: Size of the head that people compared; 0 where none was.
        founded: The charters that it began with, and began with again, each with the id that it then had.
    """

    log_id: LogId
    state: State
    seen: Seen
    final_head: str
    recovery: Mapping[bytes, bytes]
    false_claims: tuple[FalseClaim, ...]
    compared_size: int
    founded: tuple[CharterInForce, ...]

    @property
    def head(self) -> str:
        """Its last certified head as people compare it, `SIZE:ROOT`."""
        return f"{self.seen.size}:{self.seen.root.hex()}"

    def vault(self, name: str) -> VaultRecord:
        """A vault.

        Raises:
            ExportRefused: the log has none of this name.
        """
        found = self.state.vault(name)
        if found is None:
            known = ", ".join(vault.name for vault in self.state.vaults()) or "none"
            raise ExportRefused(f"the log has no vault {name}; it has {known}")
        return found

    def recovery_of(self, vault: VaultRecord) -> bytes:
        """Recovery data of a vault's current epoch.

        Raises:
            ExportRefused: it is not in the file.
        """
        data = self.recovery.get(vault.recovery_hash)
        if data is None:
            raise ExportRefused(
                f"the file has no recovery data of vault {vault.name}, epoch {vault.epoch}: take what "
                "`strongroom-signer export-log` of another signer wrote"
            )
        return data


def parse_head(text: str) -> PinnedHead:
    """Read `SIZE:ROOT`; spaces and capitals are taken.

    Raises:
        ExportRefused: it is not of that form.
    """
    head = read_head(text)
    if head is None:
        raise ExportRefused("a head is SIZE:ROOT, as `recovery-kit describe` shows it, the root with 64 hex digits")
    return head


def open_export(file: Path, *, fingerprint: str | None = None, head: PinnedHead | None = None) -> KitLog:
    """Replay an exported log.

    Args:
        file: What `strongroom-signer export-log` wrote.
        fingerprint: The charter's, as a person compared and typed it; None where nothing secret is at stake.
        head: A recent head as a person compared it.

    Raises:
        ExportRefused: it is another log, another history, or an old one.
        LogExportInvalid: the file is no whole exported log.
        AuditFailed: an entry or a certificate in it does not hold.
        FileProblem: it cannot be read.
    """
    try:
        with file.open("rb") as stream:
            # Looked at ahead, not read: an export may also come through a pipe.
            if stream.peek(len(AUDIT_FIRST_BYTES)).startswith(AUDIT_FIRST_BYTES):
                raise ExportRefused(
                    f"{file} is what `strongroom audit export` wrote, which has no recovery data of vaults: take a "
                    "file that `strongroom-signer export-log` of any signer wrote"
                )
            return _replayed(LogExportReader(stream.read), fingerprint, head)
    except OSError as error:
        raise FileProblem(f"cannot read {file}: {error.strerror or error}: check the path", path=str(file)) from error


def _replayed(reader: LogExportReader, fingerprint: str | None, head: PinnedHead | None) -> KitLog:
    if fingerprint is not None and not is_fingerprint(fingerprint, Compared.CHARTER, reader.log_id):
        raise ExportRefused(
            f"the file holds the log {reader.log_id.hex()}, not the one whose fingerprint you typed: compare again"
        )
    auditor = Auditor(reader.log_id)
    recovery: dict[bytes, bytes] = {}
    wanted: frozenset[bytes] | None = None
    for part in reader:
        if isinstance(part, ExportedBatch):
            auditor.take(part.first_index, part.entries, part.certificate)
            continue
        if wanted is None:
            # It stands after all batches: nothing is kept but what the state at their end names.
            wanted = frozenset(vault.recovery_hash for vault in auditor.state.vaults())
        name = recovery_hash(part.data)
        if name in wanted:
            recovery[name] = part.data
    summary = auditor.finish()
    if head is not None:
        _require_head(auditor, head)
    seen = Seen(size=summary.entries, root=summary.root)
    log_ids = (*(one.old_log_id for one in summary.restarts), reader.log_id)
    return KitLog(
        log_id=reader.log_id,
        state=auditor.state,
        seen=seen,
        final_head=summary.final_head,
        recovery=recovery,
        false_claims=summary.false_claims,
        compared_size=0 if head is None else head.size,
        founded=tuple(
            CharterInForce(log_id=log_id, charter=charter)
            for log_id, charter in zip(log_ids, auditor.founded, strict=True)
        ),
    )


def _require_head(auditor: Auditor, head: PinnedHead) -> None:
    if head.size > auditor.size:
        raise ExportRefused(
            f"the file ends after {auditor.size} entries, before the head at {head.size} that you compared: it is an "
            "old one; take the newest that anybody has"
        )
    if auditor.root_at(head.size) != head.root:
        raise ExportRefused(
            f"the file holds another history: its first {head.size} entries do not give the root that you compared"
        )
