"""The Merkle tree of the log, its nodes kept in the key space of the state so that undoing a batch undoes both.

Only complete nodes are stored; everything else follows from them. The root at the end of each batch is stored as well,
because endorsements name such roots and each is checked.

Spec: RFC 9162 section 2.1.
"""

from __future__ import annotations

from typing import Final

from strongroom.ledger import merkle
from strongroom.ledger.merkle import NodeSource
from strongroom.ledger.tree_table import NodeMissing, ReadView, View

__all__ = ["append", "keep_root", "leaf", "node_source", "root_at"]

_NODE: Final = b"log/n"
_ROOT: Final = b"log/r"


def _node_key(level: int, index: int) -> bytes:
    return _NODE + bytes((level,)) + index.to_bytes(8, "big")


def node_source(view: ReadView) -> NodeSource:
    """Return the reader of stored nodes. It raises NodeMissing where the store has none."""

    def node(level: int, index: int) -> bytes:
        value = view.get(_node_key(level, index))
        if value is None or len(value) != merkle.HASH_SIZE:
            raise NodeMissing(f"node ({level}, {index}) of the log is missing: check the store")
        return value

    return node


def append(view: View, index: int, leaf_hash: bytes) -> None:
    """Store leaf `index`, which is the size of the tree before, and every node it completes."""
    node = node_source(view)
    level, current = 0, leaf_hash
    view.put(_node_key(level, index), current)
    while index & 1:
        current = merkle.node_hash(node(level, index - 1), current)
        level, index = level + 1, index >> 1
        view.put(_node_key(level, index), current)


def leaf(view: ReadView, index: int) -> bytes:
    """Return the leaf hash of entry `index`, 32 bytes."""
    return node_source(view)(0, index)


def root_at(view: ReadView, size: int) -> bytes:
    """Return the root over the first `size` entries, 32 bytes."""
    kept = view.get(_ROOT + size.to_bytes(8, "big"))
    if kept is not None:
        return kept
    return merkle.Frontier.load(node_source(view), size).root


def keep_root(view: View, size: int) -> bytes:
    """Store and return the root at `size`, the end of a batch."""
    root = root_at(view, size)
    view.put(_ROOT + size.to_bytes(8, "big"), root)
    return root
