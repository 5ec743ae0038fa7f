"""The recovery data beside the log: given to signers with the entries that name it, and to who lacks it by its hash.

It says nothing that is secret and proves itself by its hash. What no state needs any more is deleted here too, so that
the words of an epoch that is over stay worth nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from strongroom.ledger.codec import NotCanonical
from strongroom.ledger.entry_messages import Epoch, Vault
from strongroom.ledger.recovery import decode_recovery, hashes_written, recovery_hash
from strongroom.ledger.replica import Preview, Replica
from strongroom.ledger.state import VAULTS, State
from strongroom_coordinator.subjects import decode_entry

__all__ = ["MAX_ASKED", "RecoveryBook"]

MAX_ASKED: Final = 100
"""Hashes in one question, as signers take them."""
MAX_ANSWER_BYTES: Final = 1024 * 1024


class RecoveryBook:
    """All recovery data that is held here, in memory; the ledger's copy writes it to the database."""

    def __init__(self, held: dict[bytes, bytes]) -> None:
        self._held = held
        self._offered: set[bytes] = set()

    def offer(self, data: bytes) -> bytes:
        """Keep the recovery data of an entry that is not in the log yet, until `settle`; returns its hash."""
        name = recovery_hash(data)
        self._held[name] = data
        self._offered.add(name)
        return name

    def settle(self, name: bytes) -> None:
        """Say that the entry of this recovery data was logged, or never will be."""
        self._offered.discard(name)

    def put_back(self, entries: Iterable[bytes]) -> None:
        """Keep what these entries name, which a term dropped: they are to be logged again."""
        self._offered.update(name for name in _named(entries) if name in self._held)

    def take(self, wanted: Iterable[bytes], given: Iterable[bytes]) -> dict[bytes, bytes]:
        """Keep what is wanted out of what a signer gave; returns it by its hash, to be stored."""
        missing = frozenset(wanted) - self._held.keys()
        found = {name: data for data in given if (name := recovery_hash(data)) in missing and _is_sound(data)}
        self._held |= found
        return found

    def lacking(self, state: State) -> tuple[bytes, ...]:
        """Hashes of what a state needs and is not held here."""
        return tuple(vault.recovery_hash for vault in state.vaults() if vault.recovery_hash not in self._held)

    def of_state(self, state: State) -> tuple[bytes, ...]:
        """The recovery data of every vault in a state, as far as it is held."""
        names = {vault.recovery_hash for vault in state.vaults()}
        return tuple(self._held[name] for name in names if name in self._held)

    def of_batch(self, preview: Preview) -> tuple[bytes, ...]:
        """What signers must be given with a batch."""
        wanted = sorted(hashes_written(preview.overlay.writes)) if _names_recovery(preview.batch.entries) else ()
        return tuple(self._held[name] for name in wanted if name in self._held)

    def named_in(self, entries: Iterable[bytes]) -> dict[bytes, bytes]:
        """What these entries name, as far as it is held."""
        return {name: self._held[name] for name in _named(entries) if name in self._held}

    def answer(self, hashes: Sequence[bytes]) -> tuple[bytes, ...]:
        """What is held of this, at most about 1 MiB."""
        found: list[bytes] = []
        total = 0
        for name in hashes[:MAX_ASKED]:
            data = self._held.get(name)
            if data is not None and (not found or total + len(data) <= MAX_ANSWER_BYTES):
                found.append(data)
                total += len(data)
        return tuple(found)

    def drop_stale(self, replica: Replica, final: int) -> tuple[bytes, ...]:
        """Forget what no state from the final one on needs; returns the hashes, to be deleted from the database."""
        if len(self._held) <= replica.state(final).count(VAULTS):
            return ()
        states = [replica.state(size) for size in replica.batch_borders() if size >= final]
        needed = {vault.recovery_hash for state in states for vault in state.vaults()}
        self._offered -= needed
        stale = tuple(name for name in self._held if name not in needed | self._offered)
        for name in stale:
            del self._held[name]
        return stale


def _names_recovery(entries: Iterable[bytes]) -> bool:
    return any(True for _ in _named(entries))


def _named(entries: Iterable[bytes]) -> Iterable[bytes]:
    bodies = (decode_entry(entry).body for entry in entries)
    return (body.recovery_hash for body in bodies if isinstance(body, Vault | Epoch))


def _is_sound(data: bytes) -> bool:
    try:
        decode_recovery(data)
    except NotCanonical:
        return False
    return True
