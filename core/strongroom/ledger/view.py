"""Key-value views: the only way in which replayed state is stored.

The final state lies in a store of the owner (a table of the signer's or coordinator's database, a dict for an audit).
Each batch after it is an overlay, so undoing a batch means dropping its overlay. Nothing is ever deleted from a view: a
key is written, or written again.

Nothing bounds how many batches may be certified and not yet final: who leads may open a term for each, and one signer
that is down and one that is bad are enough to keep anything from becoming final for as long as they like. Reading is
therefore a loop, never a recursion, and an overlay may read many others' writes from one merged copy.
"""

from __future__ import annotations

from collections.abc import ItemsView
from typing import Protocol

__all__ = ["KeyValue", "MemoryStore", "Overlay"]


class KeyValue(Protocol):
    """The reading half of a store or an overlay."""

    def get(self, key: bytes, /) -> bytes | None:
        """Return the value under `key`, or None."""


class MemoryStore:
    """A store in memory, for audits and tests."""

    __slots__ = ("_values",)

    def __init__(self) -> None:
        self._values: dict[bytes, bytes] = {}

    def get(self, key: bytes, /) -> bytes | None:
        """Return the value under `key`, or None."""
        return self._values.get(key)

    def put(self, key: bytes, value: bytes, /) -> None:
        """Store `value` under `key`."""
        self._values[key] = value

    def update(self, writes: dict[bytes, bytes]) -> None:
        """Store many values, as an owner does with what `Replica.fold` returns."""
        self._values.update(writes)

    def items(self) -> ItemsView[bytes, bytes]:
        """Everything stored."""
        return self._values.items()


class Overlay:
    """Writes over a parent that stays as it is. Writes since `begin` can be dropped without a trace.

    Attributes:
        parent: what is read where nothing was written; its content must not change under the overlay. That of an
            overlay that `merge` was called for lies below all that was merged.
        writes: everything written and kept.
    """

    __slots__ = ("_open", "_pending", "_readable", "parent", "writes")

    def __init__(self, parent: KeyValue) -> None:
        self.parent = parent
        self.writes: dict[bytes, bytes] = {}
        self._readable = self.writes
        self._pending: dict[bytes, bytes] = {}
        self._open = False

    def get(self, key: bytes, /) -> bytes | None:
        """Return the value under `key`, or None."""
        value = self._pending.get(key) if self._open else None
        view: KeyValue = self
        while value is None and isinstance(view, Overlay):
            value = view._readable.get(key)
            view = view.parent
        return view.get(key) if value is None else value

    def merge(self, down_to: KeyValue) -> None:
        """Answer for the overlays between this one and `down_to` as well, from one copy; `down_to` is read next.

        Args:
            down_to: a parent of a parent, or what all of them lie over. What is in between stays as it is, and nothing
                may be written here any more.
        """
        between = [self.writes]
        view = self.parent
        while view is not down_to and isinstance(view, Overlay):
            between.append(view._readable)
            view = view.parent
        merged: dict[bytes, bytes] = {}
        for writes in reversed(between):
            merged.update(writes)
        self._readable = merged
        self.parent = view

    def put(self, key: bytes, value: bytes, /) -> None:
        """Write `value` under `key`."""
        if self._open:
            self._pending[key] = value
        else:
            self.writes[key] = value

    def begin(self) -> None:
        """From here on, writes wait for `commit` or `rollback`."""
        if self._open:
            raise RuntimeError("an overlay takes one entry at a time")
        self._open = True

    def commit(self) -> None:
        """Keep what was written since `begin`."""
        self.writes.update(self._pending)
        self._close()

    def rollback(self) -> None:
        """Forget what was written since `begin`."""
        self._close()

    def _close(self) -> None:
        self._pending.clear()
        self._open = False
