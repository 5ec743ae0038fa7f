"""`export-log`, `backup verify` and `recover`: what an operator does so that a lost disk loses nothing.

The first two work whether the daemon runs or not: the folder's lock says which. The words are typed into the command
and never go to the daemon.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from strongroom.api.operator.v1 import operator_service_pb2 as pb
from strongroom.crypto.errors import InvalidScalar
from strongroom.crypto.sealed import Cost
from strongroom.crypto.secret import SecretBytes, SecretScalar
from strongroom.crypto.seed_words import WordsInvalid
from strongroom.ledger import codec
from strongroom.ledger.records import VaultRecord
from strongroom.model.errors import Kind, StrongroomError
from strongroom.model.heads import PinnedHead
from strongroom.model.ids import LogId
from strongroom.protocol.backup import ShareNotRecovered, prove_backup
from strongroom_signer.assembly import NotEnrolled
from strongroom_signer.backups import Backups
from strongroom_signer.clock import Clock
from strongroom_signer.config import BadConfig, Seal, load_config
from strongroom_signer.enrolment import DATABASE_FILE
from strongroom_signer.joining import join
from strongroom_signer.keys import public_host_keys
from strongroom_signer.log_copy import LogCopy
from strongroom_signer.log_download import add_source, log_source
from strongroom_signer.log_export import export, write_export
from strongroom_signer.log_replay import parse_head
from strongroom_signer.operator_commands import operator_stub
from strongroom_signer.process import FolderInUse, FolderLock
from strongroom_signer.restore import Recovered, recover
from strongroom_signer.seed_words import ask_words
from strongroom_signer.store import Store
from strongroom_signer.unseal import add_seal_options

__all__ = ["BackupNotGood", "add", "backup_verify", "export_log", "join_log", "recover_signer"]

STREAM_TIMEOUT_S = 3_600.0


class BackupNotGood(StrongroomError):
    """The words do not give this signer's shares: they are another sheet's, or it has newer words."""

    reason = "BACKUP_NOT_GOOD"
    kind = Kind.FAILED_PRECONDITION
    remedy = "look for the newest sheet; with none, make a new backup while the signer still runs"


def add(command: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the commands to the parser."""
    words = "an open pipe that gives the words, not the terminal"
    exported = command("export-log", "write the log and the recovery data to one file; for recovery and auditors")
    exported.add_argument("file", type=Path, help="the file to make")
    exported.add_argument(
        "--replace", action="store_true", help="overwrite a file of that name, once the new one is whole"
    )
    backup = command("backup", "prove that the words on paper give this signer's shares")
    backup.add_argument("action", choices=["verify"], help="asks for the words and checks every vault")
    backup.add_argument("--words-fd", type=int, metavar="FD", help=words)
    newer = command(
        "rotate-words", "make new words and a card with the new host key; the daemon is stopped", passphrase=True
    )
    newer.add_argument("--words-fd", type=int, metavar="FD", help="an open pipe that takes the words, not the terminal")
    again = command("recover", "make a lost signer again from its words and an exported log", passphrase=True)
    again.add_argument("--name", required=True, help="the signer's name in the charter")
    add_source(again)
    again.add_argument("--fingerprint", help="the log id, as for `enrol`; asked for when left out")
    again.add_argument(
        "--head", metavar="SIZE:ROOT", help="a recent head, as at least two others read it to you; asked for as well"
    )
    again.add_argument("--words-fd", type=int, metavar="FD", help=words)
    add_seal_options(again)
    joins = command("join", "take over the log as it stands, as a new signer that the first charter does not name")
    add_source(joins)
    joins.add_argument("--fingerprint", help="the log id, as for `enrol`; asked for when left out")
    joins.add_argument("--head", metavar="SIZE:ROOT", help="a recent head, as for `recover`; asked for when left out")


# --- export-log ------------------------------------------------------------------------------------------------------


def export_log(options: argparse.Namespace) -> tuple[dict[str, Any], str]:
    """Export from the stopped signer's database, or through the running daemon."""
    with _stopped(options.data) as store:
        pieces = _pieces_of_daemon(options.data) if store is None else export(store, _pinned(store))
        size = write_export(options.file, pieces, replace=options.replace)
    return {"file": str(options.file), "bytes": size}, f"Wrote {size} bytes to {options.file}."


def _pieces_of_daemon(folder: Path) -> Iterator[bytes]:
    with operator_stub(_socket(folder)) as stub:
        for piece in stub.ExportLog(pb.ExportLogRequest(), timeout=STREAM_TIMEOUT_S):
            yield piece.data


# --- backup verify ---------------------------------------------------------------------------------------------------


def backup_verify(
    options: argparse.Namespace, *, clock: Clock, random: Callable[[int], bytes]
) -> tuple[dict[str, Any], str]:
    """Ask for the words and prove them against every vault that this signer holds a share of.

    Raises:
        BackupNotGood: the words are not this signer's, or do not give a share; what they do give is noted all the same.
    """
    with _host_key(options.words_fd) as host, _stopped(options.data) as store:
        if store is None:
            with operator_stub(_socket(options.data)) as stub:
                known = tuple(stub.GetStatus(pb.GetStatusRequest(), timeout=STREAM_TIMEOUT_S).host_keys)
                _require_known(host, known)
                answers = stub.ListRecoveryData(pb.ListRecoveryDataRequest(), timeout=STREAM_TIMEOUT_S)
                vaults = ((codec.decode(VaultRecord, one.vault), one.recovery) for one in answers)
                proven, problems = _prove(host, known, vaults, random)
                notes = [pb.BackupNote(vault=vault, epoch=epoch) for vault, epoch in proven]
                stub.NoteBackup(pb.NoteBackupRequest(notes=notes), timeout=STREAM_TIMEOUT_S)
        else:
            known = public_host_keys(options.data, store)
            _require_known(host, known)
            backups = Backups(LogCopy(store, _pinned(store)), store.identity().name, clock)
            proven, problems = _prove(host, known, backups.with_recovery_data(), random)
            backups.note(proven)
    if problems:
        raise BackupNotGood("; ".join(problems))
    return _proven_facts(proven)


def _prove(
    host: SecretScalar,
    known: Collection[bytes],
    vaults: Iterator[tuple[VaultRecord, bytes]],
    random: Callable[[int], bytes],
) -> tuple[list[tuple[str, int]], list[str]]:
    proven: list[tuple[str, int]] = []
    problems: list[str] = []
    for vault, recovery in vaults:
        if host.public() not in vault.host_keys and any(key in vault.host_keys for key in known):
            continue  # Of this signer's other sheet, while its words are being replaced.
        try:
            prove_backup(host, vault, recovery, random=random)
        except ShareNotRecovered as error:
            problems.append(error.message)
        else:
            proven.append((vault.name, vault.epoch))
    return proven, problems


def _require_known(host: SecretScalar, known: Collection[bytes]) -> None:
    if host.public() not in known:
        raise BackupNotGood("these are 24 good words, but not this signer's: take the right sheet")


def _proven_facts(proven: list[tuple[str, int]]) -> tuple[dict[str, Any], str]:
    facts = {"verified": [{"vault": vault, "epoch": epoch} for vault, epoch in proven]}
    if not proven:
        return facts, "The words are this signer's. It holds no share yet: verify again when it does."
    lines = [f"  {vault}, epoch {epoch}" for vault, epoch in proven]
    return facts, "\n".join(["The words give this signer's share of:", *lines])


# --- recover ---------------------------------------------------------------------------------------------------------


def recover_signer(
    options: argparse.Namespace,
    passphrase: SecretBytes,
    *,
    seal: Seal,
    cost: Cost,
    clock: Clock,
    random: Callable[[int], bytes],
) -> tuple[dict[str, Any], str]:
    """Make a signer again."""
    fingerprint, head = _compared(options)
    with log_source(options) as exported:
        found = recover(
            options.data,
            options.name,
            ask_host=lambda: _host_key(options.words_fd, again=True),
            exported=exported,
            fingerprint=fingerprint,
            head=head,
            passphrase=passphrase,
            cost=cost,
            now_ms=clock.wall_ms(),
            random=random,
            seal=seal,
        )
    facts = {
        "name": found.name,
        "card": str(found.card),
        "size": found.size,
        "final_size": found.final_size,
        "shares": [{"vault": vault, "epoch": epoch} for vault, epoch in found.shares],
        "without": list(found.without),
    }
    return facts, _recovered_text(found)


def _recovered_text(found: Recovered) -> str:
    shares = ", ".join(f"{vault} (epoch {epoch})" for vault, epoch in found.shares) or "none"
    lines = [
        f"{found.name} is here again: {found.size} entries replayed, {found.final_size} of them final.",
        f"  shares          {shares}",
    ]
    if found.without:
        lines.append(f"  not from these words: {', '.join(found.without)} (another sheet of this signer, or repair)")
    lines += [
        f"Hand {found.card} to the administrators: its vote and link keys are new, and count for nothing until an",
        "order admits them. When its certificate comes back, run `enrol` and `run`. Never start the old folder again.",
    ]
    return "\n".join(lines)


# --- join ------------------------------------------------------------------------------------------------------------


def join_log(options: argparse.Namespace, *, clock: Clock) -> tuple[dict[str, Any], str]:
    """Take over a log as a new signer."""
    fingerprint, head = _compared(options)
    with log_source(options) as exported:
        joined = join(options.data, exported=exported, fingerprint=fingerprint, head=head, now_ms=clock.wall_ms())
    facts = {
        "name": joined.name,
        "log_id": joined.log_id.hex(),
        "size": joined.size,
        "final_size": joined.final_size,
        "admitted": joined.admitted,
    }
    lines = [
        f"{joined.name} holds the log {joined.log_id.hex()}:",
        f"  {joined.size} entries replayed, {joined.final_size} of them final, your head among them.",
        "When its certificate comes back, run `enrol` and `run`.",
    ]
    if not joined.admitted:
        lines.append("The coordinator lets it in when an amendment of the charter has admitted it; then it votes.")
    return facts, "\n".join(lines)


# --- shared ----------------------------------------------------------------------------------------------------------


@contextmanager
def _stopped(folder: Path) -> Iterator[Store | None]:
    """The database of a signer that is stopped; None when its daemon runs."""
    try:
        lock = FolderLock(folder)
    except FolderInUse:
        yield None
        return
    with lock:
        store = Store.open(folder / DATABASE_FILE)
        try:
            yield store
        finally:
            store.close()


def _pinned(store: Store) -> LogId:
    pin = store.pin()
    if pin is None:
        raise NotEnrolled("this signer belongs to no log yet: run `strongroom-signer enrol`")
    return LogId(pin.log_id)


def _socket(folder: Path) -> Path:
    return folder / load_config(folder).operator_socket


@contextmanager
def _host_key(descriptor: int | None, *, again: bool = False) -> Iterator[SecretScalar]:
    """The host secret key of the words; wiped at the end.

    Args:
        descriptor: A pipe that gives them in place of a person.
        again: Whether a person who made a slip is asked again: before it lies a replay that took minutes.
    """
    while True:
        try:
            host = _host_of_words(descriptor)
            break
        except (WordsInvalid, BackupNotGood) as error:
            if not again or descriptor is not None:
                raise
            sys.stderr.write(f"{error.message}: once more\n")
    with host:
        yield host


def _host_of_words(descriptor: int | None) -> SecretScalar:
    with ask_words(descriptor=descriptor) as secret:
        try:
            return SecretScalar.from_bytes(secret.view())
        except InvalidScalar:
            raise BackupNotGood("no signer was ever made with these words") from None


def _compared(options: argparse.Namespace) -> tuple[str, PinnedHead]:
    """The fingerprint and the recent head that the operator compared with others."""
    fingerprint = options.fingerprint or _asked("Charter fingerprint, as compared on a second channel: ")
    return fingerprint, parse_head(options.head or _asked("Recent head SIZE:ROOT, as others read it to you: "))


def _asked(question: str) -> str:
    if not sys.stdin.isatty():
        raise BadConfig("give --fingerprint and --head: what you compared with the other operators")
    return input(question)
