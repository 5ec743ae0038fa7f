"""A Merkle tree over dense sequence numbers whose leaves may change, kept in any key-value view.

The shape is that of the log (RFC 6962), so one proof code serves both. Only nodes of complete subtrees are stored; what
lies above them on the right edge follows from O(log size) of them. A table never shrinks: undoing means dropping the
overlay that the changes were written to.

The order of calls: `set_leaf` for each record that changed, then one `rehash` with their sequence numbers. In between,
`root` and `inclusion_proof` answer for neither the old nor the new state.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Protocol

from strongroom.ledger.merkle import (
    HASH_SIZE,
    MAX_TREE_SIZE,
    Frontier,
    NodeSource,
    TreeRangeInvalid,
    node_hash,
)
from strongroom.ledger.merkle import (
    inclusion_proof as _inclusion_proof,
)
from strongroom.model.errors import Kind, StrongroomError

__all__ = ["NodeMissing", "ReadView", "View", "inclusion_proof", "leaf", "rehash", "root", "set_leaf", "size"]

_SIZE_KEY: Final = b"s"
_NODE_KEY: Final = b"n"


class ReadView(Protocol):
    """The reading half of a key-value store or an overlay over one."""

    def get(self, key: bytes, /) -> bytes | None:
        """Return the value under `key`, or None."""


class View(ReadView, Protocol):
    """A key-value store, or an overlay that keeps what is put to itself."""

    def put(self, key: bytes, value: bytes, /) -> None:
        """Store `value` under `key`, in place of what was there."""


class NodeMissing(StrongroomError):
    """A stored node of a table is missing or malformed: the store is damaged, or `rehash` was left out."""

    reason = "TABLE_NODE_MISSING"
    kind = Kind.DATA_LOSS


def size(view: ReadView, table: bytes) -> int:
    """Return the number of leaves of `table`."""
    stored = view.get(_key(table, _SIZE_KEY))
    if stored is None:
        return 0
    if len(stored) != 8:
        raise NodeMissing(f"the size of table {_shown(table)} is stored in {len(stored)} bytes, not 8")
    return int.from_bytes(stored, "big")


def leaf(view: ReadView, table: bytes, sequence: int) -> bytes:
    """Return the leaf hash at `sequence`, 32 bytes.

    Raises:
        NodeMissing: there is no such leaf.
    """
    return _source(view, table)(0, sequence)


def set_leaf(view: View, table: bytes, sequence: int, leaf_hash: bytes) -> None:
    """Change the leaf at `sequence`, or append it if `sequence` is the table's size.

    Raises:
        TreeRangeInvalid: `sequence` would leave a gap, or `leaf_hash` is not 32 bytes.
    """
    count = size(view, table)
    if not 0 <= sequence <= count or count >= MAX_TREE_SIZE:
        raise TreeRangeInvalid(f"leaf {sequence} of table {_shown(table)} would leave a gap: its size is {count}")
    if len(leaf_hash) != HASH_SIZE:
        raise TreeRangeInvalid(f"a leaf hash must be {HASH_SIZE} bytes, not {len(leaf_hash)}")
    view.put(_node_key(table, 0, sequence), leaf_hash)
    if sequence == count:
        view.put(_key(table, _SIZE_KEY), (count + 1).to_bytes(8, "big"))


def rehash(view: View, table: bytes, dirty: Iterable[int]) -> bytes:
    """Bring the nodes above the changed or appended leaves `dirty` up to date and return the new root, 32 bytes.

    Raises:
        TreeRangeInvalid: a sequence number in `dirty` has no leaf.
    """
    count = size(view, table)
    indices = set(dirty)
    if indices and not (min(indices) >= 0 and max(indices) < count):
        raise TreeRangeInvalid(f"table {_shown(table)} has {count} leaves; rehash was asked for others")
    node = _source(view, table)
    level = 0
    while indices:
        level += 1
        complete = count >> level
        indices = {index >> 1 for index in indices if index >> 1 < complete}
        for index in indices:
            value = node_hash(node(level - 1, 2 * index), node(level - 1, 2 * index + 1))
            view.put(_node_key(table, level, index), value)
    return root(view, table)


def root(view: ReadView, table: bytes) -> bytes:
    """Return the root of `table`, 32 bytes; that of an empty table is SHA-256 of nothing."""
    return Frontier.load(_source(view, table), size(view, table)).root


def inclusion_proof(view: ReadView, table: bytes, sequence: int) -> tuple[bytes, ...]:
    """Return the proof of the leaf at `sequence`, which `merkle.verify_inclusion` checks against `size` and `root`.

    Raises:
        TreeRangeInvalid: there is no such leaf.
    """
    return _inclusion_proof(_source(view, table), sequence, size(view, table))


def _source(view: ReadView, table: bytes) -> NodeSource:
    def node(level: int, index: int) -> bytes:
        value = view.get(_node_key(table, level, index))
        if value is None or len(value) != HASH_SIZE:
            raise NodeMissing(f"node ({level}, {index}) of table {_shown(table)} is missing: check the store")
        return value

    return node


def _key(table: bytes, kind: bytes) -> bytes:
    # The length in front keeps the keys of two tables apart whatever their names are.
    return bytes((len(table),)) + table + kind


def _node_key(table: bytes, level: int, index: int) -> bytes:
    return _key(table, _NODE_KEY) + bytes((level,)) + index.to_bytes(8, "big")


def _shown(table: bytes) -> str:
    return table.decode("ascii", "backslashreplace")
