"""Targets of what brings a lost signer back: sheets of words, exported logs, and what its operator types."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO

from fuzz_files import exported_world
from fuzz_target import scratch, target, text_of, total

from strongroom.crypto.secret import SecretBytes
from strongroom.crypto.seed_words import secret_of, unknown_positions, words_of
from strongroom.ledger import codec
from strongroom.wire.log_export import ExportedBatch, ExportedRecovery, LogExportReader, LogExportWriter
from strongroom_signer.restore import _Replay, parse_head
from strongroom_signer.store import Store

_FOLDER = scratch("fuzz-recovery-")


def written_again(reader: LogExportReader, parts: list[ExportedBatch | ExportedRecovery]) -> bytes:
    writer = LogExportWriter(reader.log_id)
    pieces = [writer.begin()]
    for part in parts:
        if isinstance(part, ExportedBatch):
            pieces.append(writer.batch(part.first_index, part.entries, part.certificate))
    pieces += writer.recovery([part.data for part in parts if isinstance(part, ExportedRecovery)])
    return b"".join([*pieces, writer.end()])


def export_seeds() -> Iterator[bytes]:
    world = exported_world()
    writer = LogExportWriter(world.log_id)
    pieces = [writer.begin()]
    for preview in world.previews:
        certificate = codec.encode(world.certificates[preview.size])
        pieces.append(writer.batch(preview.batch.first_index, preview.batch.entries, certificate))
    pieces += writer.recovery([b"\1" * 40, b"\2" * 40])
    whole = b"".join([*pieces, writer.end()])
    yield whole
    yield whole[:-7]
    empty = LogExportWriter(world.log_id)
    yield empty.begin() + empty.end()


@target(
    "strongroom.wire.log_export:LogExportReader.__init__",
    "strongroom.wire.log_export:LogExportReader.__iter__",
    "strongroom_signer.restore:_Replay.take_all",
    "strongroom_signer.restore:_Replay._verified",
    seeds=export_seeds,
    max_bytes=12_000,
)
def recovery_export(data: bytes) -> None:
    """An exported log, frame by frame, and replayed into a new signer's database."""
    reader = total(LogExportReader, BytesIO(data).read)
    if reader is None:
        return
    parts = total(list, reader)
    if parts is not None and written_again(reader, parts) != data:
        raise ValueError("the file was read, and is not what would be written")
    file = _FOLDER / "signer.db"
    for left in _FOLDER.iterdir():
        left.unlink()
    store = Store.create(file)
    try:
        total(_Replay(store, reader.log_id).take_all, LogExportReader(BytesIO(data).read))
    finally:
        store.close()


def sheet_seeds() -> Iterator[bytes]:
    words = words_of(SecretBytes(bytes(range(32))))
    yield " ".join(words).encode()
    yield " ".join(word[:4].upper() for word in words).encode()
    yield " ".join([*words[:5], "xylophonist", *words[6:]]).encode()
    yield f"12:{'ab' * 32}".encode()


@target(
    "strongroom.crypto.seed_words:secret_of",
    "strongroom.crypto.seed_words:unknown_positions",
    "strongroom_signer.restore:parse_head",
    seeds=sheet_seeds,
    max_bytes=512,
)
def sheet_of_words(data: bytes) -> None:
    """Words as typed, and the head that an operator types with them."""
    text = text_of(data)
    typed = text.split()
    unknown_positions(typed)
    secret = total(secret_of, typed)
    if secret is not None and secret_of(words_of(secret)) != secret:
        raise ValueError("the words give a secret that has other words")
    total(parse_head, text)
