"""The output scripts of all vaults, derived ahead of use: which vault, branch and index a script belongs to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from strongroom.chains.bitcoin.keys import VaultKey
from strongroom.chains.bitcoin.policy import BRANCHES, MAX_INDEX

__all__ = ["GAP", "Location", "WatchedScripts"]

GAP: Final = 1_000
"""Scripts are known up to this far beyond the highest index that was asked for or seen."""

_P2TR_BYTES: Final = 34

Location = tuple[str, int, int]
"""Vault, branch and index."""


class WatchedScripts:
    """Scripts of the vaults. It only grows."""

    def __init__(self) -> None:
        self._keys: dict[str, VaultKey] = {}
        self._places: dict[bytes, Location] = {}
        self._derived: dict[tuple[str, int], int] = {}
        self._highest: dict[tuple[str, int], int] = {}

    def __contains__(self, vault: str) -> bool:
        return vault in self._keys

    def add_vault(self, name: str, key: VaultKey) -> None:
        """Watch a vault."""
        self._keys[name] = key
        for branch in BRANCHES:
            self._derived.setdefault((name, branch), 0)
            self._highest.setdefault((name, branch), -1)

    def find(self, script: bytes) -> Location | None:
        """Whose script this is; None for one that is not known."""
        return self._places.get(script) if len(script) == _P2TR_BYTES else None

    def key(self, vault: str) -> VaultKey:
        """The vault's key."""
        return self._keys[vault]

    def highest(self, vault: str, branch: int) -> int:
        """Highest index asked for or seen; -1 before any."""
        return self._highest.get((vault, branch), -1)

    def is_covered(self, vault: str, branch: int, index: int) -> bool:
        """Whether the script at this index is among those looked for."""
        return index < self._derived.get((vault, branch), 0)

    def note(self, vault: str, branch: int, index: int) -> bool:
        """Note that an index is in use; True if it is the highest so far. `derive` then has work."""
        if index <= self.highest(vault, branch):
            return False
        self._highest[vault, branch] = index
        return True

    def derive(self, vault: str, branch: int) -> Iterator[None]:
        """Derive up to the gap; yields now and then, so that the caller can let others work."""
        key = self._keys[vault]
        end = min(self._highest[vault, branch] + GAP, MAX_INDEX) + 1
        while (index := self._derived[vault, branch]) < end:
            self._places[key.derive(branch, index).script] = (vault, branch, index)
            self._derived[vault, branch] = index + 1
            if index % 256 == 255:
                yield
