"""Targets of what brings a lost signer back: sheets of words, exported logs, and what its operator types."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from io import BytesIO

from fuzz_files import exported_world
from fuzz_target import scratch, target, text_of, total

from ledger_world import World
from restart_world import RestartWorld
from strongroom.crypto.secret import SecretBytes
from strongroom.crypto.seed_words import secret_of, unknown_positions, words_of
from strongroom.ledger import codec
from strongroom.ledger.entry_messages import Restart
from strongroom.ledger.founding import founded_log_id, read_founding, restart_entry, restart_log_id, statement_of
from strongroom.ledger.replica import Batch
from strongroom.protocol.restart import judge_restart, with_approval
from strongroom.wire.log_export import ExportedBatch, ExportedRecovery, LogExportReader, LogExportWriter
from strongroom.wire.restart_file import decode_restart_file, encode_restart_file
from strongroom_signer.log_replay import _Replay, parse_head
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
    "strongroom_signer.log_replay:_Replay.take_all",
    "strongroom_signer.log_replay:_Replay._verified",
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


@lru_cache(maxsize=1)
def founded_world() -> tuple[RestartWorld, Restart]:
    world = RestartWorld(World.started())
    return world, world.restart()


def restart_seeds() -> Iterator[bytes]:
    _, restart = founded_world()
    yield encode_restart_file(restart)
    yield encode_restart_file(replace(restart, approvals=()))
    yield encode_restart_file(replace(restart, certificate=None))


@target(
    "strongroom.wire.restart_file:decode_restart_file",
    "strongroom.ledger.founding:statement_of",
    "strongroom.ledger.founding:read_founding",
    "strongroom.protocol.restart:with_approval",
    seeds=restart_seeds,
    max_bytes=8_000,
)
def restart_file(data: bytes) -> None:
    """A restart file, judged by the log that it follows, and as the entry that founds it anew."""
    restart = total(decode_restart_file, data)
    if restart is None:
        return
    if encode_restart_file(restart) != data:
        raise ValueError("the file was read, and is not what would be written")
    world, right = founded_world()
    founding = total(judge_restart, world.state, restart)
    if founding is not None and statement_of(restart).head != statement_of(right).head:
        raise ValueError("a statement was taken that keeps another log")
    for approval in restart.approvals:
        total(with_approval, world.state, right, approval)
    entry = codec.encode(restart_entry(restart))
    if founded_log_id(read_founding(entry)) != restart_log_id(restart):
        raise ValueError("the entry of a restart does not found the log that it names")
    replica = world.pinned(restart)
    preview = total(replica.preview, Batch(first_index=replica.size, entries=(entry,)))
    if preview is not None and (founding is None or founding.missing):
        raise ValueError("an entry was taken that does not hold as a file")


def sheet_seeds() -> Iterator[bytes]:
    words = words_of(SecretBytes(bytes(range(32))))
    yield " ".join(words).encode()
    yield " ".join(word[:4].upper() for word in words).encode()
    yield " ".join([*words[:5], "xylophonist", *words[6:]]).encode()
    yield f"12:{'ab' * 32}".encode()


@target(
    "strongroom.crypto.seed_words:secret_of",
    "strongroom.crypto.seed_words:unknown_positions",
    "strongroom_signer.log_replay:parse_head",
    "strongroom.model.heads:read_head",
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
