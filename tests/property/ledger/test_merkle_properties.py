from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strongroom.ledger.merkle import (
    EMPTY_ROOT,
    Frontier,
    ProofInvalid,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    verify_consistency,
    verify_inclusion,
)

SIZES = st.integers(0, 70)


def leaves(count: int, seed: int = 0) -> list[bytes]:
    return [leaf_hash(b"%d/%d" % (seed, number)) for number in range(count)]


def definition(hashes: Sequence[bytes]) -> bytes:
    """MTH of RFC 9162 section 2.1.1, written as the recursion that defines it."""
    if not hashes:
        return EMPTY_ROOT
    if len(hashes) == 1:
        return hashes[0]
    split = 1
    while split * 2 < len(hashes):
        split *= 2
    return sha256(b"\1" + definition(hashes[:split]) + definition(hashes[split:])).digest()


class Nodes(dict[tuple[int, int], bytes]):
    """Every complete node of a tree, as the frontier announces them."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.hashes = leaves(count)
        self.frontier = Frontier().extend(self.hashes, store=self.keep)

    def keep(self, level: int, index: int, value: bytes) -> None:
        assert (level, index) not in self
        self[level, index] = value

    def source(self, level: int, index: int) -> bytes:
        return self[level, index]


@given(SIZES, SIZES)
def test_appending_in_parts_gives_the_root_of_the_definition(first: int, second: int) -> None:
    hashes = leaves(first + second)
    frontier = Frontier().extend(hashes[:first])
    assert frontier.root == definition(hashes[:first])
    one_by_one = frontier
    for part in hashes[first:]:
        one_by_one = one_by_one.append(part)
    assert frontier.extend(hashes[first:]) == one_by_one
    assert one_by_one.root == definition(hashes)
    assert frontier.size == first


@given(st.data())
@settings(max_examples=60)
def test_every_inclusion_proof_verifies_for_its_leaf_alone(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 70))
    nodes = Nodes(size)
    index = data.draw(st.integers(0, size - 1))
    proof = inclusion_proof(nodes.source, index, size)
    root = nodes.frontier.root
    verify_inclusion(nodes.hashes[index], index, size, proof, root)
    other = data.draw(st.integers(0, size + 3))
    if other != index:
        with pytest.raises(ProofInvalid):
            verify_inclusion(nodes.hashes[index], other, size, proof, root)


@given(st.data())
@settings(max_examples=60)
def test_every_consistency_proof_verifies_for_its_sizes_alone(data: st.DataObject) -> None:
    new = data.draw(st.integers(1, 70))
    old = data.draw(st.integers(1, new))
    nodes = Nodes(new)
    old_root = definition(nodes.hashes[:old])
    proof = consistency_proof(nodes.source, old, new)
    verify_consistency(old, old_root, new, nodes.frontier.root, proof)
    forked = definition([*leaves(old, seed=1)[:1], *nodes.hashes[1:old]])
    with pytest.raises(ProofInvalid):
        verify_consistency(old, forked, new, nodes.frontier.root, proof)
    if proof:
        position = data.draw(st.integers(0, len(proof) - 1))
        for changed in (
            [*proof[:position], bytes(32), *proof[position + 1 :]],
            [*proof[:position], *proof[position + 1 :]],
            [*proof[:position], bytes(32), *proof[position:]],
        ):
            with pytest.raises(ProofInvalid):
                verify_consistency(old, old_root, new, nodes.frontier.root, changed)
