"""`strongroom audit`: replay the whole history on this machine, and keep a copy of it."""

from __future__ import annotations

import json
import os
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from strongroom.api.types.v1 import types_pb2
from strongroom.model.ids import LogId
from strongroom.model.quantities import time_text
from strongroom_client.audit import AuditFailed, Auditor, AuditSummary, Restarted
from strongroom_client.audit_chain import DEFAULT_GAP, BitcoinRpc, ChainSummary, verify_chain
from strongroom_client.cli.blame import blame
from strongroom_client.cli.output import PathArgument, emit, group, json_option
from strongroom_client.cli.shared import BadOption, pinned_log_id, profile_option, run, session
from strongroom_client.files import FileExists, FileProblem
from strongroom_client.log_files import AUDIT_KIND, held_log_id, replay_file
from strongroom_client.plain_text import counted
from strongroom_client.profile import load_profile
from strongroom_client.typed_log_id import LOG_ID_FORMS
from strongroom_client.vote_claims import claim_words, claims_data

__all__ = ["audit"]

audit = group("audit", "Replay and keep the whole history.")
audit.add_command(blame)


@audit.command()
@click.option("--bitcoin-rpc", metavar="URL", help="Your own Bitcoin node: http://HOST:PORT.")
@click.option("--bitcoin-cookie", type=PathArgument, help="Its cookie file.")
@click.option(
    "--gap", default=DEFAULT_GAP, show_default=True, type=click.IntRange(1, 1_000_000), help="Unused indices."
)
@click.option("--from-file", type=PathArgument, help="Replay an exported log; asks no coordinator.")
@click.option("--log-id", metavar="LOG_ID", help=f"The log's fingerprint, when there is no profile: {LOG_ID_FORMS}.")
@profile_option
@json_option
def verify(
    *,
    bitcoin_rpc: str | None,
    bitcoin_cookie: Path | None,
    gap: int,
    from_file: Path | None,
    log_id: str | None,
    profile: Path,
) -> None:
    """Replay the whole log, and hold the chain against it. Exit code 4 and the first difference if there is one."""
    if (bitcoin_rpc is None) != (bitcoin_cookie is None):
        raise BadOption("--bitcoin-rpc and --bitcoin-cookie go together")
    if log_id is not None and from_file is None:
        raise BadOption("--log-id goes with --from-file: a coordinator is asked with the profile's log")
    pinned = (
        load_profile(profile).log_id
        if from_file is None
        else pinned_log_id(log_id, profile, partial(held_log_id, from_file))
    )
    started = time.monotonic()
    with _progress() as progress:
        task = progress.add_task("replaying the log", total=None)
        auditor = Auditor(pinned, progress=lambda entries: progress.update(task, completed=entries))
        if from_file is not None:
            summary = replay_file(auditor, from_file)
        else:
            summary = run(_from_coordinator(auditor, profile))
        replayed_s = time.monotonic() - started
        chain = None
        if bitcoin_rpc is not None and bitcoin_cookie is not None:
            chain = _chain(auditor, BitcoinRpc(url=bitcoin_rpc, cookie_file=bitcoin_cookie), gap, progress)
    emit(_data(summary, chain, replayed_s), _words(summary, chain, replayed_s))


@audit.command()
@click.option("--out", required=True, type=PathArgument, help="The file to write; it must not be there yet.")
@profile_option
@json_option
def export(*, out: Path, profile: Path) -> None:
    """Keep the whole log with its certificates in one file, for `audit verify --from-file`."""
    entries = run(_export(out, profile))
    emit({"file": str(out), "entries": entries}, f"Wrote {counted(entries, 'entry')} to {out}.")


async def _from_coordinator(auditor: Auditor, profile: Path) -> AuditSummary:
    """Replay what the coordinator serves; the checkpoint is asked for first, so that the log must reach it."""
    async with session(profile) as opened:
        checkpoint = (await opened.client.ledger()).checkpoint
        async for batch in opened.client.read_log():
            auditor.take(batch.first_index, tuple(batch.entries), batch.certificate)
        summary = auditor.finish(checkpoint=checkpoint.encode())
        remembered = opened.memory.head()
        if remembered is not None and auditor.root_at(remembered.size) != remembered.root:
            raise AuditFailed(
                f"this machine has proven another log of {remembered.size} entries before: the history was replaced",
                size=str(remembered.size),
            )
        return summary


async def _export(out: Path, profile: Path) -> int:
    """Write the log line by line; a broken export leaves a file without its end line, which does not verify."""
    async with session(profile) as opened:
        checkpoint = (await opened.client.ledger()).checkpoint
        try:
            descriptor = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError as error:
            raise FileExists(f"{out} is there already and is not overwritten", path=str(out)) from error
        except OSError as error:
            raise FileProblem(f"cannot write {out}: {error.strerror or error}", path=str(out)) from error
        with os.fdopen(descriptor, "w", encoding="ascii") as stream:
            log_id: LogId = opened.profile.log_id
            stream.write(json.dumps({"kind": AUDIT_KIND, "v": 1, "log_id": log_id.hex()}) + "\n")
            size = 0
            async for line, reached in _exported(opened.client.read_log()):
                stream.write(line)
                size = reached
            stream.write(json.dumps({"end": size, "checkpoint": checkpoint}) + "\n")
            stream.flush()
            os.fsync(stream.fileno())
        return size


async def _exported(batches: AsyncIterator[types_pb2.LogBatch]) -> AsyncIterator[tuple[str, int]]:
    async for batch in batches:
        content = {
            "first_index": batch.first_index,
            "entries": [entry.hex() for entry in batch.entries],
            "certificate": batch.certificate.hex(),
        }
        yield json.dumps(content) + "\n", batch.first_index + len(batch.entries)


def _chain(auditor: Auditor, node: BitcoinRpc, gap: int, progress: Progress) -> ChainSummary:
    task: TaskID = progress.add_task("walking the chain", total=None)

    def moved(height: int, last: int) -> None:
        progress.update(task, completed=height, total=last or 1)

    return verify_chain(auditor.state.vaults(), auditor.spends, node, gap=gap, progress=moved)


@contextmanager
def _progress() -> Iterator[Progress]:
    """Progress on standard error, and only on a terminal: programs get none."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        yield progress


def _data(summary: AuditSummary, chain: ChainSummary | None, replayed_s: float) -> dict[str, Any]:
    return {
        "verified": True,
        "log_id": summary.log_id.hex(),
        "organisation": summary.organisation,
        "entries": summary.entries,
        "batches": summary.batches,
        "certificates": summary.certificates,
        "votes": summary.votes,
        "final_size": summary.final_size,
        "certified_head": summary.certified_head,
        "final_head": summary.final_head,
        "root": summary.root.hex(),
        "state_digest": summary.state_digest.hex(),
        "orders": summary.orders,
        "vaults": summary.vaults,
        "plans": summary.plans,
        "freezes": summary.freezes,
        "checkpoint_size": summary.checkpoint_size or None,
        "cosigners": list(summary.cosigners),
        "false_claims": claims_data(summary.false_claims),
        "restarts": [
            {
                "entry": one.entry_index,
                "old_log_id": one.old_log_id.hex(),
                "log_id": one.new_log_id.hex(),
                "term": one.term,
                "time_ms": one.time_ms,
                "approved_by": list(one.approved_by),
            }
            for one in summary.restarts
        ],
        "seconds": round(replayed_s, 3),
        "chain": None
        if chain is None
        else {
            "height": chain.height,
            "spends": chain.spends,
            "paid_orders": chain.paid_orders,
            "cancelled_plans": chain.cancelled_plans,
            "deposits": chain.deposits,
            "balance_sat": dict(chain.balance_sat),
        },
    }


def _words(summary: AuditSummary, chain: ChainSummary | None, replayed_s: float) -> str:
    lines = [
        f"Verified: the log of {summary.organisation}, {counted(summary.entries, 'entry')} in "
        f"{counted(summary.batches, 'batch')}, replayed in {replayed_s:.1f} s.",
        f"  {counted(summary.certificates, 'certificate')} with {counted(summary.votes, 'vote')}, each for the root "
        "and the state digest that the replay gives",
        f"  {counted(summary.orders, 'order')}, {counted(summary.vaults, 'vault')}, {counted(summary.plans, 'plan')}, "
        f"{counted(summary.freezes, 'freeze')}, each judged again",
        f"  final: the first {counted(summary.final_size, 'entry')}",
        *_checkpoint_words(summary),
        f"  certified head  {summary.certified_head}",
        f"  final head      {summary.final_head or 'none'}",
        f"  state digest    {summary.state_digest.hex()}",
        *map(_restart_words, summary.restarts),
        *claim_words(summary.false_claims),
    ]
    if chain is None:
        lines.append("The chain was not looked at: add --bitcoin-rpc and --bitcoin-cookie of a node of your own.")
    else:
        lines.append(
            f"Verified: blocks 0 to {chain.height}. Vault coins are spent by {counted(chain.spends, 'transaction')}, "
            f"and each is a plan of the log with the same amounts; {counted(chain.paid_orders, 'withdrawal')} paid, "
            "none twice."
        )
        lines += [f"  {name}: {amount} sat" for name, amount in sorted(chain.balance_sat.items())]
    return "\n".join(lines)


def _restart_words(one: Restarted) -> str:
    return (
        f"RESTARTED at entry {one.entry_index} ({time_text(one.time_ms)}) by {', '.join(one.approved_by)}, out of log "
        f"{one.old_log_id.hex()}.\n"
        f"  Entries beyond {one.entry_index} may have been lost there: the promise of one exact history does not span "
        "this entry. Hold the chain against the log."
    )


def _checkpoint_words(summary: AuditSummary) -> Iterator[str]:
    """Its own size is told: cosigners vouch for nothing beyond it, and more may be final by now."""
    if summary.cosigners:
        size, names = counted(summary.checkpoint_size, "entry"), ", ".join(summary.cosigners)
        yield f"  the published checkpoint, of {size}, is cosigned by {names}"
