"""Which final head the coordinator publishes, of those that signers cosigned."""

from __future__ import annotations

import hashlib

import pytest

import charter_builder as builder
from strongroom.ledger.checkpoint import Checkpoint, cosign, cosigner_key, log_origin, open_checkpoint
from strongroom.ledger.electorate import Electorate
from strongroom.model.ids import LogId
from strongroom_coordinator.cosignatures import Cosignatures

LOG = LogId(bytes(range(32)))
ELECTORATE = Electorate.of_charter(builder.charter())
KEYS = {name: builder.signing_key(f"{name} witness") for name in ("s1", "s2", "s3")}


def root_at(size: int) -> bytes:
    return hashlib.sha256(size.to_bytes(8, "big")).digest()


def published(heads: dict[int, tuple[str, ...]]) -> tuple[int, list[str]]:
    """Let signers cosign heads; return the size and the cosigners of what is published then."""
    book = Cosignatures(
        log_id=LOG,
        witness_keys=lambda: {name: (key.public,) for name, key in KEYS.items()},
        root_at=root_at,
        electorate=lambda: ELECTORATE,
    )
    for size, cosigners in heads.items():
        book.note_final(size)
        made = Checkpoint(origin=log_origin(LOG), size=size, root=root_at(size))
        for signer in cosigners:
            name = cosigner_key(LOG, signer, KEYS[signer].public).name
            book.add(signer, cosign(made, KEYS[signer], name=name, time_s=1_700_000_000).line)
    witnesses = [cosigner_key(LOG, name, key.public) for name, key in KEYS.items()]
    opened = open_checkpoint(book.checkpoint().encode(), origin=log_origin(LOG), witnesses=witnesses, threshold=1)
    return opened.checkpoint.size, sorted(name.rpartition("/")[2] for name in opened.times_s)


@pytest.mark.parametrize(
    ("heads", "size"),
    [
        ({18: ("s1", "s2", "s3"), 22: ("s1", "s2"), 23: ("s1",)}, 22),
        ({18: ("s1", "s2", "s3"), 22: ("s1", "s2", "s3")}, 22),
        ({18: ("s1", "s2", "s3"), 22: ("s2",)}, 18),
        ({18: ("s1",), 22: ("s2",)}, 22),
    ],
    ids=["a signer that stopped does not hold it back", "the newest of whole ones", "a quorum first", "none has one"],
)
def test_the_newest_head_that_a_quorum_cosigned_is_published(heads: dict[int, tuple[str, ...]], size: int) -> None:
    assert published(heads) == (size, list(heads[size]))
