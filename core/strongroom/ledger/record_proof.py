"""Proof that a record stands in the replayed state whose digest a certificate covers.

A client checks names, rules and the state of orders with it instead of taking the coordinator's word: the record leads
to its table's root, the roots of all tables with log time and rule set number to the digest, and the digest to a vote.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from strongroom.ledger import merkle
from strongroom.ledger.merkle import ProofInvalid
from strongroom.ledger.records import TABLES

__all__ = ["RecordProofData", "TableRoot", "state_digest", "verify_record_proof"]

_DOMAIN: Final = b"strongroom/state/v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class TableRoot:
    """Number of records of a table and its Merkle root (32 bytes)."""

    count: int
    root: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordProofData:
    """One record and its path to the state digest.

    Attributes:
        table: name of the table, one of `records.TABLES`.
        record: canonical bytes of the record.
        sequence: its sequence number, from 0.
        path: sibling hashes from the record upwards.
        table_roots: count and root of each table, in the order of `records.TABLES`.
        rule_set: number of the rule set in force.
        time_ms: log time of the state.
    """

    table: bytes
    record: bytes
    sequence: int
    path: tuple[bytes, ...]
    table_roots: tuple[TableRoot, ...]
    rule_set: int
    time_ms: int


def state_digest(rule_set: int, time_ms: int, table_roots: Sequence[TableRoot]) -> bytes:
    """Return the state digest, 32 bytes: a hash over rule set, log time, and count and root of each table.

    Raises:
        ProofInvalid: not one root of 32 bytes for each table, or a number that does not fit.
    """
    if len(table_roots) != len(TABLES) or any(len(table.root) != merkle.HASH_SIZE for table in table_roots):
        raise ProofInvalid(f"a state digest covers {len(TABLES)} tables with a root of {merkle.HASH_SIZE} bytes each")
    numbers = (rule_set >> 32, time_ms >> 64, *(table.count >> 64 for table in table_roots))
    if any(numbers):
        raise ProofInvalid("a number of the state digest does not fit its field")
    tables = b"".join(table.count.to_bytes(8, "big") + table.root for table in table_roots)
    return sha256(_DOMAIN + rule_set.to_bytes(4, "big") + time_ms.to_bytes(8, "big") + tables).digest()


def verify_record_proof(proof: RecordProofData, digest: bytes) -> None:
    """Check that the record stands in the state with this digest.

    Raises:
        ProofInvalid: the proof does not show it; whoever sent it is at fault.
    """
    if proof.table not in TABLES:
        raise ProofInvalid("the proof names no table of the state")
    if state_digest(proof.rule_set, proof.time_ms, proof.table_roots) != digest:
        raise ProofInvalid("the tables' roots do not lead to the state digest")
    table = proof.table_roots[TABLES.index(proof.table)]
    merkle.verify_inclusion(merkle.leaf_hash(proof.record), proof.sequence, table.count, proof.path, table.root)
