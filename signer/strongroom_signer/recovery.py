"""The recovery data beside the log: what this signer holds of it, lacks of it, and need not keep.

A signer votes for a head, or holds its certificate, only when it has stored the recovery data of the current epoch of
every vault in that state. So w signers have it before a vault is used, and it can be had from any of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha256

from strongroom.ledger.codec import NotCanonical
from strongroom.ledger.recovery import decode_recovery, hashes_written
from strongroom.ledger.replica import Preview
from strongroom.ledger.state import VAULTS, State
from strongroom.model.errors import Kind, StrongroomError
from strongroom_signer.store import Store, Writer

__all__ = ["RecoveryBook", "RecoveryMissing"]


class RecoveryMissing(StrongroomError):
    """Recovery data did not come with the entry that names it, or is malformed; the coordinator is at fault."""

    reason = "RECOVERY_DATA_MISSING"
    kind = Kind.FAILED_PRECONDITION


class RecoveryBook:
    """Which recovery data is stored; the data itself stays in the database."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._held = set(store.recovery_hashes())

    def lacking(self, state: State) -> tuple[bytes, ...]:
        """Hashes of what this state needs and is not stored here."""
        return tuple(vault.recovery_hash for vault in state.vaults() if vault.recovery_hash not in self._held)

    def lacking_of(self, preview: Preview) -> frozenset[bytes]:
        """Hashes of what a batch brings a need for."""
        return hashes_written(preview.overlay.writes) - self._held

    def checked(self, wanted: Iterable[bytes], given: Sequence[bytes]) -> dict[bytes, bytes]:
        """Pick what is wanted out of what the coordinator gave, by hash.

        Raises:
            RecoveryMissing: something wanted is not among it, or is malformed.
        """
        by_hash = {sha256(data).digest(): data for data in given}
        found: dict[bytes, bytes] = {}
        for one in wanted:
            data = by_hash.get(one)
            if data is None:
                raise RecoveryMissing(f"the recovery data {one.hex()} was not sent with the entry that names it")
            try:
                decode_recovery(data)
            except NotCanonical as error:
                raise RecoveryMissing(f"the recovery data {one.hex()} is malformed: {error.message}") from error
            found[one] = data
        return found

    def add(self, write: Writer, recovery: dict[bytes, bytes]) -> None:
        """Keep it, as part of a commit."""
        if recovery:
            write.add_recovery(recovery)
            self._change(write, self._held | recovery.keys())

    def remove_stale(self, write: Writer, states: Sequence[State]) -> None:
        """Delete, as part of a commit, what none of these states needs: all that this signer may go on from.

        They follow one another: the first has the fewest vaults.
        """
        if len(self._held) <= states[0].count(VAULTS):
            return
        needed = {vault.recovery_hash for state in states for vault in state.vaults()}
        stale = self._held - needed
        if stale:
            write.remove_recovery(stale)
            self._change(write, self._held - stale)

    def _change(self, write: Writer, held: set[bytes]) -> None:
        """Know of this from now on, unless the commit fails."""
        before, self._held = self._held, held

        def put_back() -> None:
            self._held = before

        write.undo_with(put_back)
