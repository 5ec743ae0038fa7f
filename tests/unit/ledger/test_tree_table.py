from __future__ import annotations

import pytest

from strongroom.ledger import tree_table
from strongroom.ledger.merkle import EMPTY_ROOT, TreeRangeInvalid, leaf_hash, root_of

LEAVES = [leaf_hash(bytes([n])) for n in range(11)]


class Store(dict[bytes, bytes]):
    def put(self, key: bytes, value: bytes, /) -> None:
        self[key] = value


def filled(table: bytes = b"vaults", store: Store | None = None) -> Store:
    store = Store() if store is None else store
    for sequence, value in enumerate(LEAVES):
        tree_table.set_leaf(store, table, sequence, value)
    tree_table.rehash(store, table, range(len(LEAVES)))
    return store


def read_everything(store: Store) -> None:
    for sequence in range(11):
        tree_table.leaf(store, b"vaults", sequence)
        tree_table.inclusion_proof(store, b"vaults", sequence)


def test_an_empty_table_has_the_root_of_no_leaves() -> None:
    assert tree_table.size(Store(), b"t") == 0
    assert tree_table.root(Store(), b"t") == EMPTY_ROOT
    assert tree_table.rehash(Store(), b"t", set()) == EMPTY_ROOT


def test_tables_in_one_store_do_not_touch_each_other() -> None:
    """Names that are prefixes of each other, or look like a key's tail, are still two tables."""
    names = [b"v", b"vn", b"vs", b"vn\0" + bytes(8), b""]
    store = Store()
    for name in names:
        filled(name, store)
    for position, name in enumerate(names):
        tree_table.set_leaf(store, name, 0, leaf_hash(b"changed %d" % position))
        tree_table.rehash(store, name, {0})
    for position, name in enumerate(names):
        assert tree_table.root(store, name) == root_of([leaf_hash(b"changed %d" % position), *LEAVES[1:]])


def test_a_table_whose_name_spells_a_node_of_another_stays_apart() -> None:
    """Without a length in front, this name's size would be stored where leaf 115 of table "v" is."""
    store = Store()
    leaves = [leaf_hash(b"%d" % n) for n in range(120)]
    for sequence, value in enumerate(leaves):
        tree_table.set_leaf(store, b"v", sequence, value)
    filled(b"vn\0" + bytes(7), store)
    assert tree_table.rehash(store, b"v", range(120)) == root_of(leaves)
    assert tree_table.leaf(store, b"v", ord("s")) == leaves[ord("s")]


@pytest.mark.parametrize("sequence", [-1, 12, 2**64])
def test_a_leaf_that_leaves_a_gap_is_refused(sequence: int) -> None:
    store = filled()
    before = dict(store)
    with pytest.raises(TreeRangeInvalid):
        tree_table.set_leaf(store, b"vaults", sequence, LEAVES[0])
    assert store == before


@pytest.mark.parametrize("size", [0, 31, 33])
def test_a_leaf_hash_has_32_bytes(size: int) -> None:
    with pytest.raises(TreeRangeInvalid):
        tree_table.set_leaf(Store(), b"t", 0, bytes(size))


@pytest.mark.parametrize("sequence", [-1, 11])
def test_rehash_and_proofs_refuse_leaves_that_are_not_there(sequence: int) -> None:
    with pytest.raises(TreeRangeInvalid):
        tree_table.rehash(filled(), b"vaults", {sequence})
    with pytest.raises(TreeRangeInvalid):
        tree_table.inclusion_proof(filled(), b"vaults", sequence)


def test_only_nodes_of_complete_subtrees_are_stored() -> None:
    assert len(filled()) == 1 + 11 + 5 + 2 + 1


def test_a_damaged_store_is_noticed() -> None:
    store = filled()
    for key, value in list(store.items()):
        store[key] = value[:-1]
        with pytest.raises(tree_table.NodeMissing):
            read_everything(store)
        store[key] = value


def test_a_missing_rehash_after_an_append_is_noticed() -> None:
    store = filled()
    tree_table.set_leaf(store, b"vaults", 11, LEAVES[0])
    with pytest.raises(tree_table.NodeMissing):
        tree_table.root(store, b"vaults")
