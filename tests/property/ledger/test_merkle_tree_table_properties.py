from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strongroom.ledger import tree_table
from strongroom.ledger.merkle import leaf_hash, root_of, verify_inclusion

TABLE = b"orders"


class Overlay:
    """A view that keeps its own changes and reads through to a parent."""

    def __init__(self, parent: Overlay | None = None) -> None:
        self.parent = parent
        self.held: dict[bytes, bytes] = {}

    def get(self, key: bytes) -> bytes | None:
        if key in self.held or self.parent is None:
            return self.held.get(key)
        return self.parent.get(key)

    def put(self, key: bytes, value: bytes) -> None:
        self.held[key] = value

    def fold(self) -> None:
        assert self.parent is not None
        self.parent.held.update(self.held)


def change(view: Overlay, model: list[bytes], wanted: list[int], mark: int) -> bytes:
    """Append or change leaves as `wanted` says, modulo the size, and rehash once."""
    dirty = set()
    for step, number in enumerate(wanted):
        sequence = number % (len(model) + 1)
        value = leaf_hash(b"%d/%d" % (mark, step))
        tree_table.set_leaf(view, TABLE, sequence, value)
        model[sequence : sequence + 1] = [value]
        dirty.add(sequence)
    return tree_table.rehash(view, TABLE, dirty)


# Small numbers change old leaves, numbers that are one below a multiple of many sizes append.
BATCH = st.lists(st.integers(0, 200), max_size=40)


@given(st.lists(st.tuples(BATCH, st.booleans()), max_size=6))
@settings(max_examples=80, deadline=None)
def test_any_changes_give_the_root_of_a_tree_built_afresh(batches: list[tuple[list[int], bool]]) -> None:
    view = Overlay()
    model: list[bytes] = []
    for mark, (wanted, keep) in enumerate(batches):
        before = tree_table.root(view, TABLE), tree_table.size(view, TABLE)
        assert before == (root_of(model), len(model))
        overlay, attempt = Overlay(view), list(model)
        after = change(overlay, attempt, wanted, mark)
        assert after == tree_table.root(overlay, TABLE) == root_of(attempt)
        assert tree_table.size(overlay, TABLE) == len(attempt)
        assert (tree_table.root(view, TABLE), tree_table.size(view, TABLE)) == before
        if keep:
            overlay.fold()
            model = attempt
    for sequence, value in enumerate(model):
        assert tree_table.leaf(view, TABLE, sequence) == value
        proof = tree_table.inclusion_proof(view, TABLE, sequence)
        verify_inclusion(value, sequence, len(model), proof, root_of(model))


@given(st.integers(1, 300), st.integers(1, 40), st.randoms(use_true_random=False))
@settings(max_examples=30, deadline=None)
def test_a_large_table_takes_appends_and_changes_together(first: int, more: int, random: object) -> None:
    view = Overlay()
    model: list[bytes] = []
    change(view, model, [], 0)
    for sequence in range(first):
        tree_table.set_leaf(view, TABLE, sequence, leaf_hash(b"%d" % sequence))
        model.append(leaf_hash(b"%d" % sequence))
    assert tree_table.rehash(view, TABLE, range(first)) == root_of(model)
    dirty = set()
    for sequence in [first // 2, 0, *range(first, first + more)]:
        value = leaf_hash(b"new %d" % sequence)
        tree_table.set_leaf(view, TABLE, sequence, value)
        model[sequence : sequence + 1] = [value]
        dirty.add(sequence)
    assert tree_table.rehash(view, TABLE, dirty) == root_of(model)


def test_leaving_a_change_out_of_rehash_is_noticed() -> None:
    """The property above would not hold for a rehash that ignores what it is given."""
    view = Overlay()
    model: list[bytes] = []
    change(view, model, [0, 1, 2, 3, 4], 0)
    tree_table.set_leaf(view, TABLE, 1, leaf_hash(b"changed"))
    model[1] = leaf_hash(b"changed")
    assert tree_table.rehash(view, TABLE, {2}) != root_of(model)
    with pytest.raises(AssertionError):
        assert tree_table.root(view, TABLE) == root_of(model)
