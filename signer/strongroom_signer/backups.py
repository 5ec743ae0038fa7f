"""Which shares the words on paper are known to give back, and for which that was not proven yet."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from strongroom.ledger.records import VaultRecord
from strongroom.ledger.state import State
from strongroom.model.errors import Kind, StrongroomError
from strongroom_signer.clock import Clock
from strongroom_signer.log_copy import LogCopy

__all__ = ["BackupNoteRefused", "Backups"]


class BackupNoteRefused(StrongroomError):
    """The vault has another epoch by now, or is none of this signer's: verify the backup again."""

    reason = "BACKUP_NOTE_REFUSED"
    kind = Kind.FAILED_PRECONDITION


class Backups:
    """The notes of `backup verify`, held against the newest final state."""

    def __init__(self, copy: LogCopy, name: str, clock: Clock) -> None:
        self._copy = copy
        self._name = name
        self._clock = clock

    def held(self) -> tuple[VaultRecord, ...]:
        """Every final vault that counts this signer among its holders."""
        return tuple(vault for vault in self._final_vaults() if self._name in vault.signers)

    def with_recovery_data(self) -> Iterator[tuple[VaultRecord, bytes]]:
        """Each of them with the recovery data beside the log; empty when it is not here."""
        for vault in self.held():
            yield vault, self._copy.store.recovery(vault.recovery_hash) or b""

    def unverified(self) -> tuple[VaultRecord, ...]:
        """Those whose current epoch no `backup verify` has proven yet."""
        noted = self._copy.store.backups()
        return tuple(vault for vault in self.held() if noted.get(vault.name) != vault.epoch)

    def note(self, proven: Iterable[tuple[str, int]]) -> None:
        """Note vaults and epochs that were proven.

        Raises:
            BackupNoteRefused: one is not a current epoch of a vault held here; nothing is noted.
        """
        held = {(vault.name, vault.epoch) for vault in self.held()}
        with self._copy.store.commit() as write:
            for vault, epoch in proven:
                if (vault, epoch) not in held:
                    raise BackupNoteRefused(f"this signer holds no share of vault {vault}, epoch {epoch}: verify again")
                write.note_backup(vault, epoch, self._clock.wall_ms())

    def _final_vaults(self) -> Iterable[VaultRecord]:
        state: State = self._copy.final()
        return state.vaults() if self._copy.final_size else ()
