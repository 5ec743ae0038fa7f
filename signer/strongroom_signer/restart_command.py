"""`restart`: shows its operator what the administrators signed, and pins it for whoever types its fingerprint."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Final, TextIO

from strongroom.ledger.records import PlanRecord
from strongroom.model.fingerprints import Compared, spoken
from strongroom.model.ids import LogId
from strongroom.model.quantities import time_text
from strongroom.protocol.restart import Founding
from strongroom.wire.restart_file import MAX_FILE_BYTES
from strongroom_signer.clock import Clock
from strongroom_signer.config import BadConfig
from strongroom_signer.kept_words import revoked_in
from strongroom_signer.restarting import Restarted, RestartRefused, restart

__all__ = ["add", "restart_log"]


_ASKED: Final = "Did this signer follow this restart before, or was its folder put back from a copy since it last ran?"
"""Such a folder cannot tell by itself: its vote key would vote twice in the new log."""


def add(command: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    sub = command(
        "restart", "follow the administrators' restart of a log whose vote states were lost; the daemon is stopped"
    )
    sub.add_argument("file", type=Path, help="the restart file, with the approvals of the administrators")
    sub.add_argument("--log", type=Path, help="what another signer's `export-log` wrote, if this one lacks entries")
    sub.add_argument("--fingerprint", help="the new log id as you compared it, in hex or as read aloud; asked for")


def restart_log(options: argparse.Namespace, *, clock: Clock, tell: TextIO) -> tuple[dict[str, Any], str]:
    """Show the restart, ask for its fingerprint, and pin it.

    Args:
        options: The command line.
        clock: The own clock.
        tell: Where the restart is shown before its fingerprint is asked for.
    """

    def typed(name: str, founding: Founding, log_id: LogId) -> str:
        if options.fingerprint:
            return str(options.fingerprint)
        tell.write(f"{_told(name, founding)}\n")
        if not sys.stdin.isatty():
            raise BadConfig("give --fingerprint: the new log id that you compared with the other operators")
        answer = input(f"{_ASKED} [yes/no] ").strip().lower()
        if answer != "no":
            raise RestartRefused(
                "nothing changed: a folder that was put back does not know what its vote key signed. If this signer "
                "followed this restart before, set it up anew from its words (`recover`)"
            )
        return input("Fingerprint of the restart, as the administrators read it to you: ")

    with options.file.open("rb") as file:
        data = file.read(MAX_FILE_BYTES + 1)
    with nullcontext() if options.log is None else options.log.open("rb") as exported:
        done = restart(options.data, file=data, exported=exported, typed=typed, now_ms=clock.wall_ms())
    return _facts(done), _text(done)


def _told(name: str, founding: Founding) -> str:
    """What the operator reads before typing. The new fingerprint is not in it: it comes from other people."""
    head = founding.head
    lines = [
        f"The administrators found the log anew, for signer {name} too:",
        f"  log id so far   {head.log_id.hex()}",
        f"  what stays      {head.size} entries (term {head.term}); what came after is lost",
        f"    root          {head.root.hex()}",
        f"  signed at       {time_text(founding.made_ms)}, by {', '.join(founding.approved)}",
        "  changes         " + ("none" if not founding.changes else ""),
        *(f"    {change.where}: {change.text}" for change in founding.changes),
        "  Orders without a plan end, and every vault is frozen until the unfreeze quorum thaws it.",
    ]
    return "\n".join(line.rstrip() for line in lines)


def _plan_facts(plan: PlanRecord) -> dict[str, Any]:
    return {
        "txid": plan.txid[::-1].hex(),
        "vault": plan.vault,
        "orders": [name.hex() for name in plan.order_hashes],
        "inputs": [f"{one.txid[::-1].hex()}:{one.vout}" for one in plan.outpoints],
    }


def _revoked(done: Restarted) -> tuple[str, ...]:
    """The keys that a dropped amendment took, and that count no more at this signer."""
    word = None if done.dropped is None else done.dropped.revocation
    return () if word is None else tuple(sorted(key.hex() for key in revoked_in([word])))


def _lost(done: Restarted) -> Iterator[str]:
    """What the administrators must hear of before anything is ordered again."""
    plans = () if done.dropped is None else done.dropped.plans
    if plans:
        yield "Plans among them, each of which may have been signed elsewhere. Tell the administrators:"
    for plan in plans:
        facts = _plan_facts(plan)
        yield f"  {facts['txid']} of vault {plan.vault}"
        yield from (f"    order {order}" for order in facts["orders"])
        yield from (f"    spends {point}" for point in facts["inputs"])
    if _revoked(done):
        yield "An amendment among them took keys of people. They count no more here; amend the new charter alike:"
    yield from (f"  {key}" for key in _revoked(done))


def _facts(done: Restarted) -> dict[str, Any]:
    founding = done.founding
    facts: dict[str, Any] = {
        "name": done.name,
        "log_id": done.log_id.hex(),
        "read_aloud": spoken(Compared.CHARTER, done.log_id),
        "size": done.size,
        "dropped": 0 if done.dropped is None else len(done.dropped.entries),
        "dropped_plans": [] if done.dropped is None else [_plan_facts(plan) for plan in done.dropped.plans],
        "revoked_keys": list(_revoked(done)),
        "is_new": founding is not None,
    }
    if founding is not None:
        facts |= {
            "previous_log_id": founding.head.log_id.hex(),
            "kept": founding.head.size,
            "term": founding.head.term,
            "made_ms": founding.made_ms,
            "approved": list(founding.approved),
            "changes": [{"where": change.where, "text": change.text} for change in founding.changes],
            "alarm": done.alarm,
        }
    return facts


def _text(done: Restarted) -> str:
    if done.founding is None:
        return f"{done.name} follows this restart already: log {done.log_id.hex()}."
    lines = [
        _told(done.name, done.founding),
        f"{done.name} belongs to the log that begins there:",
        f"  log id          {done.log_id.hex()}",
        f"    read aloud    {spoken(Compared.CHARTER, done.log_id)}",
        f"  entries         {done.size}",
    ]
    if done.dropped is not None and done.dropped.entries:
        lines.append(f"{len(done.dropped.entries)} entries that only this signer and lost ones knew are gone.")
    lines += _lost(done)
    if done.alarm:
        lines.append(f"The alarm {done.alarm} ended with the log before: make sure that this machine runs once only.")
    lines.append("Run the daemon when the coordinator leads the new log. Keep the restart file: `enrol` takes it.")
    return "\n".join(lines)
