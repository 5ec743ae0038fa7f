from __future__ import annotations

import base64
import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from strongroom.ledger.merkle import (
    EMPTY_ROOT,
    Frontier,
    ProofInvalid,
    TreeRangeInvalid,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    root_from_inclusion,
    root_of,
    subtree_root,
    verify_consistency,
    verify_inclusion,
)

VECTORS = Path(__file__).parents[2] / "vectors" / "rfc6962-merkle"
TREE: dict[str, Any] = json.loads((VECTORS / "reference-tree.json").read_text())
LEAVES = [leaf_hash(bytes.fromhex(data)) for data in TREE["leaf_inputs"]]
HASH = bytes(32)


def load(name: str) -> list[dict[str, Any]]:
    cases: list[dict[str, Any]] = json.loads((VECTORS / name).read_text())
    return cases


def unpacked(proof: list[str] | None) -> list[bytes]:
    return [base64.b64decode(part) for part in proof or ()]


def root_in(field: str | None) -> bytes:
    """Some cases hold short texts ("don't care 1") for hashes; as they are, only their length would be refused here."""
    raw = base64.b64decode(field or "")
    return raw if len(raw) in (0, 32) else sha256(raw).digest()


def node(level: int, index: int) -> bytes:
    return bytes.fromhex(TREE["node_hashes_by_level"][level][index])


@pytest.mark.parametrize("case", load("inclusion.json"), ids=lambda case: case["id"])
def test_inclusion_proofs_of_the_vectors(case: dict[str, Any]) -> None:
    leaf, root = root_in(case["leafHash"]), root_in(case["root"])
    proof = unpacked(case["proof"])
    if case["wantErr"]:
        with pytest.raises(ProofInvalid):
            verify_inclusion(leaf, case["leafIdx"], case["treeSize"], proof, root)
    else:
        verify_inclusion(leaf, case["leafIdx"], case["treeSize"], proof, root)


@pytest.mark.parametrize("case", load("consistency.json"), ids=lambda case: case["id"])
def test_consistency_proofs_of_the_vectors(case: dict[str, Any]) -> None:
    old, new = root_in(case["root1"]), root_in(case["root2"])
    proof = unpacked(case["proof"])
    if case["wantErr"]:
        with pytest.raises(ProofInvalid):
            verify_consistency(case["size1"], old, case["size2"], new, proof)
    else:
        verify_consistency(case["size1"], old, case["size2"], new, proof)


def test_the_vectors_hold_accepting_and_refusing_cases() -> None:
    for name in ("inclusion.json", "consistency.json"):
        verdicts = [case["wantErr"] for case in load(name)]
        assert (verdicts.count(False), verdicts.count(True)) == (6, 92)


def test_the_reference_tree_has_its_nodes_and_roots() -> None:
    stored: dict[tuple[int, int], bytes] = {}
    Frontier().extend(LEAVES, store=lambda level, index, value: stored.__setitem__((level, index), value))
    expected = {
        (level, index): bytes.fromhex(value)
        for level, row in enumerate(TREE["node_hashes_by_level"])
        for index, value in enumerate(row)
    }
    assert stored == expected
    for size, root in enumerate(TREE["root_by_size"]):
        assert root_of(LEAVES[:size]).hex() == root
        assert Frontier.load(node, size).root.hex() == root
        assert Frontier.load(node, size) == Frontier().extend(LEAVES[:size])


def test_the_reference_proofs_are_made_and_verified() -> None:
    assert TREE["inclusion_proofs"]
    assert TREE["consistency_proofs"]
    roots = [bytes.fromhex(root) for root in TREE["root_by_size"]]
    for case in TREE["inclusion_proofs"]:
        index, size = case["index"], case["size"]
        proof = inclusion_proof(node, index, size)
        assert [part.hex() for part in proof] == case["proof"]
        verify_inclusion(LEAVES[index], index, size, proof, roots[size])
    for case in TREE["consistency_proofs"]:
        old, new = case["size1"], case["size2"]
        proof = consistency_proof(node, old, new)
        assert [part.hex() for part in proof] == case["proof"]
        verify_consistency(old, roots[old], new, roots[new], proof)


def test_a_tree_is_consistent_with_itself_by_an_empty_proof_alone() -> None:
    verify_consistency(0, EMPTY_ROOT, 0, EMPTY_ROOT, ())
    verify_consistency(8, node(3, 0), 8, node(3, 0), ())
    assert consistency_proof(node, 8, 8) == consistency_proof(node, 0, 0) == ()
    with pytest.raises(ProofInvalid, match="hash of nothing"):
        verify_consistency(0, node(3, 0), 0, node(3, 0), ())
    with pytest.raises(ProofInvalid, match="must be empty"):
        verify_consistency(8, node(3, 0), 8, node(3, 0), (HASH,))
    with pytest.raises(ProofInvalid, match="differ"):
        verify_consistency(8, EMPTY_ROOT, 8, node(3, 0), ())


@pytest.mark.parametrize(("index", "size"), [(0, 1), (0, 8), (7, 8), (6, 7), (3, 5)])
def test_a_path_of_another_length_leads_to_no_root_at_all(index: int, size: int) -> None:
    proof = inclusion_proof(node, index, size)
    assert root_from_inclusion(LEAVES[index], index, size, proof).hex() == TREE["root_by_size"][size]
    with pytest.raises(ProofInvalid, match="longer than its path"):
        root_from_inclusion(LEAVES[index], index, size, (*proof, HASH))
    if proof:
        with pytest.raises(ProofInvalid, match="shorter than its path"):
            root_from_inclusion(LEAVES[index], index, size, proof[:-1])


def test_hashes_of_other_sizes_are_refused_everywhere() -> None:
    with pytest.raises(ProofInvalid, match="32 bytes"):
        verify_inclusion(LEAVES[0][:31], 0, 1, (), LEAVES[0][:31])
    with pytest.raises(ProofInvalid, match="32 bytes"):
        verify_inclusion(LEAVES[0], 0, 2, (b"\0" * 33,), HASH)
    with pytest.raises(ProofInvalid, match="32 bytes"):
        verify_consistency(1, b"", 1, b"", ())


@pytest.mark.parametrize(("index", "size"), [(0, 0), (1, 1), (-1, 5), (0, 2**64)])
def test_leaves_outside_a_tree_have_no_proof(index: int, size: int) -> None:
    with pytest.raises(TreeRangeInvalid):
        inclusion_proof(node, index, size)
    with pytest.raises(ProofInvalid):
        verify_inclusion(HASH, index, size, (), HASH)


@pytest.mark.parametrize(("old", "new"), [(2, 1), (-1, 1), (1, 2**64), (0, 8)])
def test_sizes_that_fall_overflow_or_start_from_nothing_have_no_proof(old: int, new: int) -> None:
    with pytest.raises(TreeRangeInvalid):
        consistency_proof(node, old, new)
    with pytest.raises(ProofInvalid):
        verify_consistency(old, HASH, new, HASH, ())


@pytest.mark.parametrize(("start", "end"), [(0, 0), (1, 3), (2, 6), (-2, 0), (3, 2)])
def test_a_range_that_is_no_subtree_has_no_hash(start: int, end: int) -> None:
    with pytest.raises(TreeRangeInvalid):
        subtree_root(node, start, end)


@pytest.mark.parametrize(("size", "hashes"), [(1, ()), (0, (HASH,)), (3, (HASH,)), (1, (b"",)), (-1, (HASH,))])
def test_a_frontier_that_cannot_be_is_refused(size: int, hashes: tuple[bytes, ...]) -> None:
    with pytest.raises(TreeRangeInvalid):
        Frontier(size, hashes)
