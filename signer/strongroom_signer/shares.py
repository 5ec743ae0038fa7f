"""Key shares at rest: sealed under the storage key, one row per vault and epoch."""

from __future__ import annotations

from collections.abc import Callable

from strongroom.crypto.secret import SecretBytes, SecretScalar
from strongroom_signer.box import open_box, seal_box
from strongroom_signer.store import Store, Writer

__all__ = ["Shares"]


class Shares:
    """The shares of this signer; opened ones are kept in wiped memory until `close`."""

    def __init__(self, store: Store, storage_key: SecretBytes, *, random: Callable[[int], bytes]) -> None:
        self._store = store
        self._key = storage_key
        self._random = random
        self._open: dict[tuple[str, int], SecretScalar] = {}
        self._stored = set(store.share_names())

    def put(self, write: Writer, vault: str, epoch: int, share: SecretScalar) -> None:
        """Seal a new share as part of a commit; one that is there is never overwritten."""
        with SecretBytes(share.view()) as secret:
            write.add_share(vault, epoch, seal_box(self._key, _label(vault, epoch), secret, random=self._random))
        self._change(write, self._stored | {(vault, epoch)})

    def erase(self, write: Writer, vault: str, *, keep: int | None) -> None:
        """Overwrite and forget, as part of a commit, all shares of a vault but that of one epoch."""
        for name, epoch in tuple(self._stored):
            if name == vault and epoch != keep:
                write.remove_share(name, epoch)
                self._change(write, self._stored - {(name, epoch)})
                share = self._open.pop((name, epoch), None)
                if share is not None:
                    share.wipe()

    def _change(self, write: Writer, stored: set[tuple[str, int]]) -> None:
        """Know of these from now on, unless the commit fails."""
        before, self._stored = self._stored, stored

        def put_back() -> None:
            self._stored = before

        write.undo_with(put_back)

    def has(self, vault: str, epoch: int) -> bool:
        """Whether there is a share."""
        return (vault, epoch) in self._stored

    def has_any(self, vault: str) -> bool:
        """Whether there is a share of any epoch."""
        return any(name == vault for name, _ in self._stored)

    def get(self, vault: str, epoch: int) -> SecretScalar | None:
        """The share, None when this signer has none. It stays owned here: never wipe it.

        Raises:
            BoxDamaged: the stored share does not open.
        """
        known = self._open.get((vault, epoch))
        if known is not None:
            return known
        sealed = self._store.share(vault, epoch)
        if sealed is None:
            return None
        with open_box(self._key, _label(vault, epoch), sealed) as secret:
            share = SecretScalar.from_bytes(secret.view())
        self._open[vault, epoch] = share
        return share

    def close(self) -> None:
        """Overwrite every open share."""
        for share in self._open.values():
            share.wipe()
        self._open.clear()


def _label(vault: str, epoch: int) -> bytes:
    return f"strongroom/signer/share/{vault}/{epoch}".encode("ascii")
