"""An exported log replayed into an empty database: how far it goes without certificates, or without anything final."""

from __future__ import annotations

import io
from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import charter_builder as builder
from fake_treasury import CertifiedWorld
from strongroom.ledger import codec
from strongroom.ledger.certificate_messages import Certificate, Head
from strongroom.ledger.entry_messages import Tick
from strongroom.model.heads import PinnedHead
from strongroom.protocol.certificates import NO_CERTIFICATE, held_of
from strongroom.protocol.voter_state import stored_state
from strongroom.wire.log_export import LogExportReader, LogExportWriter
from strongroom_signer.log_replay import RecoveryRefused, Replayed, _Replay, replay_export
from strongroom_signer.store import Store

PER_BATCH = 4_096
"""What a batch counts for beside its entries."""


class Exported:
    """A log of many empty batches, and how much of its file was read."""

    def __init__(self, batches: int) -> None:
        self.world = CertifiedWorld.started()
        self.first = len(self.world.previews)
        for _ in range(batches):
            # Their certificates are made by the test.
            super(CertifiedWorld, self.world).log(Tick())
        self.read = 0

    def certificate(self, position: int) -> Certificate:
        """One whose votes name no other, so that nothing is final by it."""
        preview = self.world.previews[position]
        head = Head(
            log_id=self.world.log_id, term=9, size=preview.size, root=preview.root, state_digest=preview.state_digest
        )
        return self.world.certify(head, NO_CERTIFICATE)

    def replay(self, root: Path, certified: Collection[int]) -> Replayed:
        """Replay the file with certificates after these of the empty batches, counted from 1."""
        newest = self.world.previews[-1]
        store = Store.create(root / "signer.db")
        try:
            reader = LogExportReader(io.BufferedReader(Pieces(self._pieces(certified)), 1).read)
            return replay_export(store, reader, PinnedHead(size=newest.size, root=newest.root))
        finally:
            store.close()

    def _pieces(self, certified: Collection[int]) -> Iterator[bytes]:
        writer = LogExportWriter(self.world.log_id)
        yield writer.begin()
        for position, preview in enumerate(self.world.previews):
            self.read = position - self.first + 1
            is_certified = self.read in certified
            known = codec.encode(self.certificate(position)) if is_certified else b""
            yield writer.batch(preview.batch.first_index, preview.batch.entries, known)
        yield writer.end()


class Pieces(io.RawIOBase):
    """A stream of pieces that are made as they are read."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
        self._rest = self._rest or next(self._pieces, b"")
        count = min(len(buffer), len(self._rest))
        buffer[:count], self._rest = self._rest[:count], self._rest[count:]
        return count


@pytest.mark.attack(
    line="coordinator",
    title="an exported log without end and without certificates, for a signer that recovers or joins",
    origin="on paper: memory and disk filled by many small batches that nobody vouches for",
)
def test_attack_an_endless_log_without_certificates_is_refused_early(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("strongroom_signer.log_replay.MAX_UNCERTIFIED_BYTES", 20 * PER_BATCH)
    exported = Exported(100)
    with pytest.raises(RecoveryRefused, match="without a certificate"):
        exported.replay(tmp_path, {100})
    assert exported.read <= 22


def test_certificates_on_the_way_let_a_log_be_as_long_as_it_likes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("strongroom_signer.log_replay.MAX_UNCERTIFIED_BYTES", 20 * PER_BATCH)
    replayed = Exported(60).replay(tmp_path, {1, *range(12, 61, 12)})
    assert replayed.replica.folded_size == 0


def test_attack_recovery_data_without_end_is_not_kept(tmp_path: Path) -> None:
    """What no vault of the log names takes no room, however much of it a stream brings."""
    world = CertifiedWorld.started()
    world.make_vault("customer-1")
    world.log(Tick())
    (good,) = world.recovery_data.values()
    writer = LogExportWriter(world.log_id)
    pieces = [writer.begin()]
    for first, entries, certificate in world.logged():
        pieces.append(writer.batch(first, entries, certificate))
    junk = [bytes([number]) * 1_000 for number in range(100)]
    pieces += [*writer.recovery([good, *junk]), writer.end()]
    store = Store.create(tmp_path / "signer.db")
    try:
        reader = LogExportReader(io.BytesIO(b"".join(pieces)).read)
        bodies, _ = _Replay(store, reader.log_id).take_all(reader)
    finally:
        store.close()
    assert bodies == [good]


def test_a_lie_in_a_vote_keeps_no_log_from_being_taken_over(tmp_path: Path) -> None:
    world = CertifiedWorld.started()
    held = held_of(world.newest)
    size = world.log(Tick()).size
    head = world.certificates[size].head
    honest, lying = world.certify(head, held), world.certify(head, replace(held, head_hash=bytes(32)))
    world.certificates[size] = replace(honest, votes=(honest.votes[0], lying.votes[1]))
    store = Store.create(tmp_path / "signer.db")
    try:
        reader = LogExportReader(io.BytesIO(world.exported()).read)
        replayed = replay_export(store, reader, PinnedHead(size=size, root=head.root))
        replayed.stand(store, "s1", builder.signing_key("s1 vote 2").public)
        state = stored_state(store.voter() or b"")
    finally:
        store.close()
    assert state.held is not None
    assert state.held.head == head


def test_thousands_of_batches_of_which_none_is_final_are_replayed(tmp_path: Path) -> None:
    exported = Exported(1_200)
    replayed = exported.replay(tmp_path, {1_200})
    assert replayed.replica.head() == exported.world.replica.head()
    assert replayed.replica.folded_size == 0
