"""Whose votes count for a head, and how many: one witness set or, while one takes over from another, both.

With two sets a quorum of each is needed. The same name may stand in both with different vote keys: a machine that was
replaced. A word then counts for each set under whose key it verifies.

Spec: docs/protocol/witnesses.md.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Final

from strongroom.crypto import ed25519
from strongroom.ledger import codec
from strongroom.ledger.certificate_messages import Witness, WitnessSet
from strongroom.ledger.charter import Charter
from strongroom.ledger.pae import pae
from strongroom.ledger.records import WitnessPhase, WitnessRecord

__all__ = ["Electorate", "witness_set_of"]

_HASH_TAG: Final = b"strongroom/electorate/v1"


class Electorate:
    """One or two witness sets; immutable.

    Attributes:
        sets: The sets, of each of which a quorum is needed.
        names: Every signer of any of them.
        digest: 32 bytes that name this electorate.
    """

    __slots__ = ("_by_set", "_keys", "digest", "names", "sets")

    def __init__(self, *sets: WitnessSet) -> None:
        """Take one set or two.

        Raises:
            ValueError: none or more; a defect of the caller.
        """
        if not 1 <= len(sets) <= 2:
            raise ValueError("an electorate has one witness set or two")
        self.sets: Final = sets
        self._by_set = tuple({one.name: one.vote_key for one in part.signers} for part in sets)
        self.names: Final = frozenset(name for part in self._by_set for name in part)
        self._keys = {
            name: tuple(dict.fromkeys(part[name] for part in self._by_set if name in part)) for name in self.names
        }
        digest = hashlib.sha256(_HASH_TAG)
        for part in sets:
            data = codec.encode(part)
            digest.update(len(data).to_bytes(8, "big") + data)
        self.digest: Final = digest.digest()

    @classmethod
    def of(cls, record: WitnessRecord) -> Electorate:
        """Who certifies heads of the state that holds this record."""
        return _electorate(record)

    @classmethod
    def of_charter(cls, charter: Charter) -> Electorate:
        """The signers of a charter, and its witness quorum."""
        return cls(witness_set_of(charter))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Electorate) and other.digest == self.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def __repr__(self) -> str:
        sets = " and ".join(f"{part.quorum} of {', '.join(one.name for one in part.signers)}" for part in self.sets)
        return f"<Electorate {sets}>"

    @property
    def most_votes(self) -> int:
        """Number of votes that suffices whoever they are by; a certificate of two sets may have fewer."""
        return sum(part.quorum for part in self.sets)

    @property
    def fewest_signers(self) -> int:
        """Number of signers below which no quorum can be."""
        return max(part.quorum for part in self.sets)

    def keys_of(self, name: str) -> tuple[bytes, ...]:
        """The vote keys (32 bytes) this name has here: none, one, or two."""
        return self._keys.get(name, ())

    def has(self, name: str, key: bytes) -> bool:
        """Whether words of this name under this vote key count."""
        return key in self.keys_of(name)

    def key_that_signed(self, name: str, kind: str, body: bytes, signature: bytes) -> bytes | None:
        """Which of the name's keys a signature over a body of this kind verifies under; None for none."""
        data = pae(kind, body)
        return next((key for key in self.keys_of(name) if ed25519.verify(key, data, signature)), None)

    def missing(self, words: Mapping[str, bytes]) -> tuple[int, ...]:
        """How many more words each set needs, given the vote key under which each name's word verified."""
        return tuple(
            max(0, part.quorum - sum(known.get(name) == key for name, key in words.items()))
            for part, known in zip(self.sets, self._by_set, strict=True)
        )

    def is_quorum(self, words: Mapping[str, bytes]) -> bool:
        """Whether these words, by the vote keys they verified under, are a quorum of every set."""
        return not any(self.missing(words))

    def could_be_quorum(self, names: Iterable[str]) -> bool:
        """Whether words of these names, under whatever key, could be a quorum of every set."""
        asked = frozenset(names)
        return all(
            len(asked & known.keys()) >= part.quorum for part, known in zip(self.sets, self._by_set, strict=True)
        )

    def chosen(self, ranked: Iterable[tuple[str, bytes]]) -> frozenset[str]:
        """Of words from the best on, as name and key, the names of the first quorum of each set.

        All are taken of a set that has no quorum among them.
        """
        words = tuple(ranked)
        taken: set[str] = set()
        for part, known in zip(self.sets, self._by_set, strict=True):
            taken.update([name for name, key in words if known.get(name) == key][: part.quorum])
        return frozenset(taken)


@lru_cache(maxsize=64)
def _electorate(record: WitnessRecord) -> Electorate:
    if record.phase is WitnessPhase.JOINT and record.next is not None:
        return Electorate(record.current, record.next)
    return Electorate(record.current)


def witness_set_of(charter: Charter) -> WitnessSet:
    """The signers of a charter as witnesses, with its quorum."""
    return WitnessSet(
        signers=tuple(Witness(name=one.name, vote_key=one.vote_key) for one in charter.signers),
        quorum=charter.witness_quorum,
    )
