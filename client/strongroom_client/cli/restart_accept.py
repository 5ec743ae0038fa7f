"""`strongroom restart accept`: a person compares the new log id, and pins it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from strongroom.ledger import codec
from strongroom.ledger.entry_messages import Entry, Restart
from strongroom.ledger.founding import founded_log_id, read_founding, restart_entry, statement_of
from strongroom.model.fingerprints import Compared, is_fingerprint
from strongroom.model.quantities import time_text
from strongroom_client.cli.charter_view import fingerprint_text
from strongroom_client.cli.output import PathArgument, Refused, emit, json_option
from strongroom_client.cli.shared import profile_option, run, session
from strongroom_client.orders import Seen
from strongroom_client.profile import Memory, load_profile, save_profile
from strongroom_client.restarting import read_restart
from strongroom_client.trust import Trust

__all__ = ["accept"]


@click.command()
@click.argument("file", metavar="[FILE]", required=False, type=PathArgument)
@click.option("--fingerprint", required=True, help="The new log id, as your administrators told you: digits or hex.")
@click.option(
    "--despite-lost-entries", is_flag=True, help="Although this machine has proven entries that are given up."
)
@profile_option
@json_option
def accept(*, file: Path | None, fingerprint: str, despite_lost_entries: bool, profile: Path) -> None:
    """Pin the log that yours was restarted as, out of FILE or as the coordinator serves it.

    Compare the new log id with your administrators on another channel first: whoever can swap it here chooses the
    history that you believe from now on.
    """
    known = load_profile(profile)
    entry = run(_served(profile)) if file is None else restart_entry(read_restart(file))
    served = founded_log_id(entry)
    if not is_fingerprint(fingerprint, Compared.CHARTER, served):
        where = "the coordinator serves" if file is None else f"{file} is of"
        raise Refused(f"{where} the log {served.hex()}, not the one that you typed: compare again, and sign nothing")
    if served == known.log_id:
        emit({"log_id": served.hex(), "replaced": None}, "Your profile pins this log already.")
        return
    if not isinstance(entry.body, Restart):
        raise Refused("that log is no restart of another one: `strongroom login --replace-pin` pins it")
    statement = statement_of(entry.body)
    head = statement.head
    _require_history(
        Memory.beside(profile, known.log_id).head(), Seen(size=head.size, root=head.root), despite_lost_entries
    )
    skipped = "" if head.log_id == known.log_id else "It was restarted more than once since you last looked.\n"
    Trust.from_founding_entry(codec.encode(entry), pinned=served)
    save_profile(profile, replace(known, log_id=served), replace_pin=True)
    emit(
        {
            "log_id": served.hex(),
            "replaced": known.log_id.hex(),
            "entries": head.size,
            "made_ms": statement.made_ms,
            "restarted_once": not skipped,
        },
        f"{skipped}Pinned the log that goes on from {head.size} entries, restarted at {time_text(statement.made_ms)}:\n"
        f"{fingerprint_text(served)}\n"
        "Orders without a plan have ended, and every vault is frozen until the unfreeze quorum lifts it. A transaction "
        "that was lost may pay what ended, and the chain need not show it yet: nobody orders such a payment again "
        "before every coin of before is spent.",
    )


def _require_history(seen: Seen | None, kept: Seen, despite_lost_entries: bool) -> None:
    """Whether what this machine has proven final is kept."""
    if seen is not None and seen.size == kept.size and seen.root != kept.root:
        raise Refused("this machine has proven another log of as many entries: the restart is of another history")
    if seen is not None and seen.size > kept.size and not despite_lost_entries:
        raise Refused(
            f"this machine has proven that {seen.size} entries were final, and the restart keeps {kept.size}: tell "
            "your administrators before you accept it with --despite-lost-entries",
            final=str(seen.size),
            kept=str(kept.size),
        )


async def _served(profile: Path) -> Entry:
    async with session(profile) as opened:
        return read_founding((await opened.client.ledger()).founding_entry)
