"""Merkle trees of RFC 6962 over SHA-256: roots, an appendable frontier, proofs and their verification.

A leaf hash is SHA-256(0x00 || data), a node hash SHA-256(0x01 || left || right), the root of no leaves SHA-256 of
nothing. Nodes are addressed by (level, index): the node (l, i) covers the leaves [i*2^l, (i+1)*2^l) and exists once all
of them do. Verification raises instead of answering, so that a forgotten result cannot pass for a valid proof.

Spec: RFC 9162 section 2.1 (the same tree as RFC 6962).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, Self

from strongroom.model.errors import Kind, StrongroomError

__all__ = [
    "EMPTY_ROOT",
    "HASH_SIZE",
    "MAX_TREE_SIZE",
    "Frontier",
    "NodeSource",
    "ProofInvalid",
    "TreeRangeInvalid",
    "consistency_proof",
    "inclusion_proof",
    "leaf_hash",
    "node_hash",
    "root_from_inclusion",
    "root_of",
    "subtree_root",
    "verify_consistency",
    "verify_inclusion",
]

HASH_SIZE: Final = 32
MAX_TREE_SIZE: Final = 2**64 - 1
EMPTY_ROOT: Final = sha256(b"").digest()

NodeSource = Callable[[int, int], bytes]
"""Returns the 32-byte hash of the complete node (level, index); raises when it has none."""


class ProofInvalid(StrongroomError):
    """An inclusion or consistency proof does not prove what it is said to. Whoever sent it is at fault."""

    reason = "PROOF_INVALID"
    kind = Kind.INVALID_ARGUMENT


class TreeRangeInvalid(StrongroomError):
    """A proof or hash was asked for outside of the tree: the caller is at fault."""

    reason = "TREE_RANGE_INVALID"
    kind = Kind.INVALID_ARGUMENT


def leaf_hash(data: bytes) -> bytes:
    """Return the hash of one leaf's bytes, 32 bytes."""
    return sha256(b"\0" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of an inner node from its children's hashes, 32 bytes."""
    return sha256(b"\1" + left + right).digest()


def root_of(leaf_hashes: Iterable[bytes]) -> bytes:
    """Return the root over leaf hashes in order, 32 bytes."""
    return Frontier().extend(leaf_hashes).root


@dataclass(frozen=True, slots=True)
class Frontier:
    """The right edge of a tree: all that is needed to append to it, in O(log size) memory.

    Attributes:
        size: Number of leaves.
        hashes: The roots of the complete subtrees that make up the tree, largest first: one for each 1 bit of `size`.
    """

    size: int = 0
    hashes: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.size <= MAX_TREE_SIZE or len(self.hashes) != self.size.bit_count():
            raise TreeRangeInvalid(f"a frontier of {self.size} leaves cannot have {len(self.hashes)} hashes")
        if any(len(part) != HASH_SIZE for part in self.hashes):
            raise TreeRangeInvalid(f"a frontier's hashes must be {HASH_SIZE} bytes each")

    @classmethod
    def load(cls, node: NodeSource, size: int) -> Self:
        """Read the frontier of the first `size` leaves from stored nodes."""
        hashes = []
        start = 0
        for level in range(size.bit_length() - 1, -1, -1):
            if size >> level & 1:
                hashes.append(node(level, start >> level))
                start += 1 << level
        return cls(size, tuple(hashes))

    @property
    def root(self) -> bytes:
        """The root, 32 bytes."""
        if not self.hashes:
            return EMPTY_ROOT
        root = self.hashes[-1]
        for left in reversed(self.hashes[:-1]):
            root = node_hash(left, root)
        return root

    def append(self, leaf: bytes) -> Frontier:
        """Return the frontier with one more leaf hash."""
        return self.extend((leaf,))

    def extend(self, leaves: Iterable[bytes], *, store: Callable[[int, int, bytes], None] | None = None) -> Frontier:
        """Return the frontier with more leaf hashes.

        Args:
            leaves: Leaf hashes in order.
            store: Called with (level, index, hash) of each node this completes, leaves included.
        """
        hashes = list(self.hashes)
        size = self.size
        for leaf in leaves:
            level, index, current = 0, size, leaf
            if store is not None:
                store(level, index, current)
            while index & 1:
                current = node_hash(hashes.pop(), current)
                level, index = level + 1, index >> 1
                if store is not None:
                    store(level, index, current)
            hashes.append(current)
            size += 1
        return Frontier(size, tuple(hashes))


def subtree_root(node: NodeSource, start: int, end: int) -> bytes:
    """Return the hash over the leaves [start, end), where `start` is a multiple of a power of two >= end - start.

    Raises:
        TreeRangeInvalid: the range is empty or not so aligned.
    """
    count = end - start
    if count < 1 or start < 0 or start & ((1 << (count - 1).bit_length()) - 1):
        raise TreeRangeInvalid(f"leaves {start} to {end} are no subtree")
    result = b""
    while count:  # the complete subtrees of the range from right to left, so that each joins what is to its right
        level = (count & -count).bit_length() - 1
        count -= 1 << level
        part = node(level, (start + count) >> level)
        result = node_hash(part, result) if result else part
    return result


def inclusion_proof(node: NodeSource, index: int, size: int) -> tuple[bytes, ...]:
    """Return the proof that leaf `index` is in the tree of the first `size` leaves, from the leaf upwards.

    Raises:
        TreeRangeInvalid: there is no such leaf.
    Spec: RFC 9162 section 2.1.3.1.
    """
    if not 0 <= index < size <= MAX_TREE_SIZE:
        raise TreeRangeInvalid(f"no leaf {index} in a tree of {size}")
    return tuple(_path(node, index, 0, size))


def _path(node: NodeSource, index: int, start: int, end: int) -> list[bytes]:
    above = []
    while end - start > 1:
        split = start + _largest_power_below(end - start)
        if index < split:
            above.append(subtree_root(node, split, end))
            end = split
        else:
            above.append(subtree_root(node, start, split))
            start = split
    return above[::-1]


def consistency_proof(node: NodeSource, old_size: int, new_size: int) -> tuple[bytes, ...]:
    """Return the proof that the tree of `new_size` leaves extends the tree of `old_size`; empty for equal sizes.

    Raises:
        TreeRangeInvalid: the sizes fall, or the old tree is empty and the new one is not: there is nothing to prove.
    Spec: RFC 9162 section 2.1.4.1.
    """
    if not (0 < old_size <= new_size <= MAX_TREE_SIZE or old_size == new_size == 0):
        raise TreeRangeInvalid(f"there is no consistency proof from size {old_size} to size {new_size}")
    if old_size == new_size:
        return ()
    above = []
    start, end = 0, new_size
    while old_size != end:
        split = start + _largest_power_below(end - start)
        if old_size <= split:
            above.append(subtree_root(node, split, end))
            end = split
        else:
            above.append(subtree_root(node, start, split))
            start = split
    if start:  # else the old root itself is a node of the path, and the verifier has it
        above.append(subtree_root(node, start, end))
    return tuple(above[::-1])


def _largest_power_below(count: int) -> int:
    return 1 << (count - 1).bit_length() - 1


def root_from_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes]) -> bytes:
    """Return the root that `proof` leads to from the leaf hash `leaf` at `index` in a tree of `size` leaves.

    Raises:
        ProofInvalid: the proof has the wrong length for this index and size.
    Spec: RFC 9162 section 2.1.3.2.
    """
    if not 0 <= index < size <= MAX_TREE_SIZE:
        raise ProofInvalid(f"a tree of {size} leaves has no leaf {index}")
    _check_hashes((leaf, *proof))
    remaining, last = index, size - 1
    result = leaf
    for sibling in proof:
        if last == 0:
            raise ProofInvalid("the inclusion proof is longer than its path")
        if remaining & 1 or remaining == last:
            result = node_hash(sibling, result)
            while not remaining & 1 and remaining:
                remaining, last = remaining >> 1, last >> 1
        else:
            result = node_hash(result, sibling)
        remaining, last = remaining >> 1, last >> 1
    if last:
        raise ProofInvalid("the inclusion proof is shorter than its path")
    return result


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """Check that the leaf hash `leaf` is at `index` in the tree of `size` leaves with this root.

    Raises:
        ProofInvalid: the proof does not show it.
    """
    if root_from_inclusion(leaf, index, size, proof) != root:
        raise ProofInvalid(f"the inclusion proof of leaf {index} leads to another root at size {size}")


def verify_consistency(old_size: int, old_root: bytes, new_size: int, new_root: bytes, proof: Sequence[bytes]) -> None:
    """Check that the tree (new_size, new_root) extends the tree (old_size, old_root).

    Every tree extends the empty one, so a proof from size 0 would show nothing; it is refused, and a caller that starts
    from nothing must say so itself.

    Raises:
        ProofInvalid: the proof does not show it.
    Spec: RFC 9162 section 2.1.4.2.
    """
    if not (0 < old_size <= new_size <= MAX_TREE_SIZE or old_size == new_size == 0):
        raise ProofInvalid(f"there is no consistency proof from size {old_size} to size {new_size}")
    _check_hashes((old_root, new_root, *proof))
    if old_size == new_size:
        _verify_same(new_size, old_root, new_root, proof)
        return
    if old_size & (old_size - 1) == 0:  # the old root is itself a node of the path, so the proof leaves it out
        proof = (old_root, *proof)
    if _fold(old_size, new_size, proof) != (old_root, new_root):
        raise ProofInvalid(f"the consistency proof from size {old_size} to {new_size} leads to other roots")


def _fold(old_size: int, new_size: int, path: Sequence[bytes]) -> tuple[bytes, bytes]:
    """Return the old and the new root that a consistency path leads to."""
    if not path:
        raise ProofInvalid("the consistency proof is empty")
    remaining, last = old_size - 1, new_size - 1
    while remaining & 1:
        remaining, last = remaining >> 1, last >> 1
    old = new = path[0]
    for sibling in path[1:]:
        if last == 0:
            raise ProofInvalid("the consistency proof is longer than its path")
        if remaining & 1 or remaining == last:
            old, new = node_hash(sibling, old), node_hash(sibling, new)
            while not remaining & 1 and remaining:
                remaining, last = remaining >> 1, last >> 1
        else:
            new = node_hash(new, sibling)
        remaining, last = remaining >> 1, last >> 1
    if last:
        raise ProofInvalid("the consistency proof is shorter than its path")
    return old, new


def _verify_same(size: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> None:
    if proof:
        raise ProofInvalid(f"a consistency proof from size {size} to itself must be empty")
    if size == 0 and old_root != EMPTY_ROOT:
        raise ProofInvalid("the root of no leaves must be the hash of nothing")
    if old_root != new_root:
        raise ProofInvalid(f"two roots of one size {size} differ")


def _check_hashes(hashes: Iterable[bytes]) -> None:
    if any(len(part) != HASH_SIZE for part in hashes):
        raise ProofInvalid(f"every hash in and around a proof must be {HASH_SIZE} bytes")
