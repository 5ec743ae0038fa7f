"""`strongroom freeze`, `unfreeze` and `freezes`: stopping the vaults, and letting them go again."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any, Final

import click
from rich.table import Table
from rich.text import Text

from strongroom.ledger.order_messages import Freeze, Scope, Unfreeze
from strongroom.ledger.records import FreezeRecord
from strongroom.ledger.signed_messages import Verb
from strongroom.model.errors import StrongroomError
from strongroom.model.quantities import parse_duration, time_text
from strongroom_client.answers import Receipt, frozen_by
from strongroom_client.cli.freeze_ends import PendingUnfreeze, pending_unfreezes
from strongroom_client.cli.output import PathArgument, emit, json_option
from strongroom_client.cli.shared import BadOption, Session, now_ms, profile_option, run, session
from strongroom_client.cli.shared_orders import approve as approve_order
from strongroom_client.cli.shared_orders import check_key, initiate, offline_seen
from strongroom_client.cli.shared_orders import reject as reject_order
from strongroom_client.cli.shared_signing import (
    acted,
    confirm,
    deliver,
    hand_in_text,
    report_delivery,
    sign,
    signing_options,
    unlock,
    write_hand_in,
)
from strongroom_client.display import freeze_holds
from strongroom_client.orders import DraftedOrder, Seen, draft
from strongroom_client.profile import load_profile
from strongroom_client.trust import FreezeTable, Trust

__all__ = ["freeze", "freezes", "unfreeze"]

_LIFE_MS: Final = 24 * 3_600_000
_SHORTEST_PREFIX: Final = 8
_UNFREEZES: Final = ("unfreeze",)


@click.command()
@click.option("--vault", default="", help="The vault to stop.")
@click.option("--all", "everything", is_flag=True, help="Stop all vaults.")
@click.option("--why", default="", help="For everybody to read, at most 200 bytes.")
@click.option("--confirm", "confirmed", metavar="FREEZE_ID", help="Approve a freeze that stands, so that it lasts.")
@click.option("--offline", is_flag=True, help="Ask no coordinator: write a file for the signers' operators.")
@click.option("--out", type=PathArgument, help="Where to write that file, if one is needed.")
@signing_options
@profile_option
@json_option
def freeze(
    *,
    vault: str,
    everything: bool,
    why: str,
    confirmed: str | None,
    offline: bool,
    out: Path | None,
    yes: bool,
    passphrase_file: Path | None,
    profile: Path,
) -> None:
    """Stop plans and signatures of one vault or of all. Any one officer may; it lapses unless a quorum confirms it."""
    if confirmed is not None:
        approve_order(profile, confirmed, kinds=("freeze",), yes=yes, passphrase_file=passphrase_file)
        return
    if bool(vault) == everything or not why:
        raise BadOption("say --vault NAME or --all, and --why")
    known = load_profile(profile)
    action = Freeze(scope=Scope.ALL if everything else Scope.VAULT, vault=vault, why=why)
    drafted = draft(action, log_id=known.log_id, expires_ms=now_ms() + _LIFE_MS, random=secrets.token_bytes)
    where = "all vaults" if everything else f"vault {vault}"
    confirm(f"Freeze {where}?", yes=yes)
    with unlock(known, passphrase_file) as key:
        trust, seen = (None, offline_seen(profile, known.log_id)) if offline else run(_seen_or_remembered(profile))
        if trust is not None:
            check_key(trust, key)
        signed = sign(key, Verb.INITIATE, drafted.hash, log_id=known.log_id, seen=seen)
        data = {"order": drafted.hash.hex(), "freeze": drafted.hash.hex(), "scope": where, "person": key.name}
        text = hand_in_text(drafted.data, [signed])
        if offline:
            _report_offline(drafted, data, write_hand_in(out, "freeze", drafted.hash, text))
            return

        async def send(opened: Session) -> Receipt:
            return await opened.client.submit(drafted.data, [signed])

        delivery = run(deliver(profile, drafted.hash, send, acted))
        report_delivery(
            f"Freeze of {where} by {key.name} (freeze id {drafted.hash.hex()})",
            delivery,
            data,
            lambda: write_hand_in(out, "freeze", drafted.hash, text),
        )


def _report_offline(drafted: DraftedOrder, data: dict[str, str], path: Path) -> None:
    emit(
        {**data, "delivered": False, "file": str(path)},
        f"Wrote {path}. It is NOT delivered: give it to the operators of the signers.\n"
        f"Each of them runs: strongroom-signer hand-in --data FOLDER {path.name}. It acts there at once.\n"
        f"Freeze id: {drafted.hash.hex()}",
    )


async def _seen_or_remembered(profile: Path) -> tuple[Trust | None, Seen]:
    """The charter in force if it can be had, and the newest head: no silent coordinator keeps anybody from a freeze."""
    trust = None
    try:
        async with session(profile) as opened:
            trust = await opened.client.trust()
            return trust, await opened.seen()
    except StrongroomError:
        return trust, offline_seen(profile, load_profile(profile).log_id)


@click.command()
@click.argument("freeze_id", metavar="FREEZE_OR_ORDER")
@click.option("--expires", default="24h", show_default=True, help="How long it may wait for approvals.")
@click.option("--note", default="", help="For the people who approve, at most 200 bytes.")
@click.option("--approve", "is_approval", is_flag=True, help="The argument is the order of an unfreeze: approve it.")
@click.option("--reject", "is_rejection", is_flag=True, help="The argument is the order of an unfreeze: reject it.")
@click.option(
    "--out", type=PathArgument, help="Where the file for the signers' operators goes, if a rejection needs one."
)
@signing_options
@profile_option
@json_option
def unfreeze(
    *,
    freeze_id: str,
    expires: str,
    note: str,
    is_approval: bool,
    is_rejection: bool,
    out: Path | None,
    yes: bool,
    passphrase_file: Path | None,
    profile: Path,
) -> None:
    """Order the end of a freeze, or approve or reject such an order; the charter's unfreeze quorum decides."""
    if is_approval and is_rejection:
        raise BadOption("say --approve or --reject, not both")
    if is_approval or is_rejection:
        run(_require_order(profile, freeze_id, "--approve" if is_approval else "--reject"))
    if is_approval:
        approve_order(profile, freeze_id, kinds=_UNFREEZES, yes=yes, passphrase_file=passphrase_file)
        return
    if is_rejection:
        reject_order(
            profile, freeze_id, kinds=_UNFREEZES, yes=yes, passphrase_file=passphrase_file, offline=False, out=out
        )
        return
    found = [record for record in run(_freezes(profile)).records if record.id.hex().startswith(freeze_id.lower())]
    if len(found) != 1:
        raise BadOption(f"{len(found)} freezes have an id that begins so: `strongroom freezes` lists them")

    def action(_: Trust) -> Unfreeze:
        return Unfreeze(freeze=found[0].id)

    initiate(profile, action, life_ms=parse_duration(expires), note=note, yes=yes, passphrase_file=passphrase_file)


@click.command()
@profile_option
@json_option
def freezes(profile: Path) -> None:
    """List every freeze, past and present. The table is proven to be whole."""
    (shown, ordered), now = run(_freezes_and_ends(profile)), now_ms()
    table = Table(box=None, pad_edge=False)
    for column in ("freeze", "stops", "by", "since", "holds", "why"):
        table.add_column(column, overflow="fold")
    for record in shown.records:
        data = _data(record, now)
        cells = (data["freeze"][:16], data["stops"], data["by"], time_text(record.since_ms), data["holds"], record.why)
        table.add_row(*map(Text, cells))
    # A coordinator can give an old answer again; how old it is, it cannot hide.
    as_of = f"As of log time {time_text(shown.state_time_ms)}, at {shown.certified_size} entries."
    emit(
        {
            "freezes": [_data(record, now) for record in shown.records],
            "unfreezes": [one.data() for one in ordered],
            "as_of": {"log_time_ms": shown.state_time_ms, "size": shown.certified_size},
        },
        [table, *(Text(one.line(), style="bold yellow") for one in ordered), Text(as_of)]
        if shown.records
        else f"No freezes, ever. {as_of}",
    )


def _data(record: FreezeRecord, now: int) -> dict[str, Any]:
    if not freeze_holds(record, now):
        holds = "lifted" if record.lifted else "lapsed"
    else:
        holds = f"until {time_text(record.lapses_ms)}" if record.lapses_ms else "until lifted"
    return {
        "freeze": record.id.hex(),
        "stops": f"vault {record.vault}" if record.vault else "all vaults",
        "by": frozen_by(record),
        "since_ms": record.since_ms,
        "lapses_ms": record.lapses_ms or None,
        "lifted": record.lifted,
        "active": freeze_holds(record, now),
        "holds": holds,
        "why": record.why,
    }


async def _freezes_and_ends(profile: Path) -> tuple[FreezeTable, list[PendingUnfreeze]]:
    async with session(profile) as opened:
        return await opened.client.freeze_table(), await pending_unfreezes(opened)


async def _require_order(profile: Path, text: str, option: str) -> None:
    """Refuse a freeze's id where the order that ends it is meant, and name that order.

    Raises:
        BadOption: it is the id of a freeze.
    """
    digits = text.strip().lower().replace(" ", "")
    async with session(profile) as opened:
        if len(digits) < _SHORTEST_PREFIX:
            return
        stand = [one.id for one in (await opened.client.freeze_table()).records if one.id.hex().startswith(digits)]
        if not stand:
            return
        orders = [one.status.hash.hex() for one in await pending_unfreezes(opened) if one.freeze in stand]
    if not orders:
        hint = f"nobody has ordered its end: `strongroom unfreeze {digits[:16]}` orders it"
    else:
        hint = "name the order of its end: " + ", ".join(f"`strongroom unfreeze {one[:16]} {option}`" for one in orders)
    raise BadOption(f"{digits[:16]} is a freeze, not the order that ends it; {hint}", orders=",".join(orders))


async def _freezes(profile: Path) -> FreezeTable:
    async with session(profile) as opened:
        return await opened.client.freeze_table()
