"""`strongroom charter`, the part about the charter in force: what it is, and how it is amended."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import click
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from strongroom.ledger.charter import Charter, decode_charter, encode_charter
from strongroom.ledger.charter_changes import Change, changes, loosens
from strongroom.ledger.charter_check import check_charter
from strongroom.ledger.charter_source import charter_to_toml, parse_charter_toml
from strongroom.ledger.order_messages import AmendCharter
from strongroom.ledger.records import OrderState
from strongroom.ledger.signed_messages import Verb
from strongroom.model.quantities import duration_text, parse_duration, time_text
from strongroom_client.answers import OrderStatus
from strongroom_client.cli import revocation
from strongroom_client.cli.charter import charter, refuse_errors
from strongroom_client.cli.output import PathArgument, emit, json_option
from strongroom_client.cli.shared import BadOption, now_ms, profile_option, run, session
from strongroom_client.cli.shared_orders import approve as approve_order
from strongroom_client.cli.shared_orders import initiate, reject, show_order
from strongroom_client.cli.shared_signing import signing_options
from strongroom_client.files import read_bytes, read_text, write_new
from strongroom_client.trust import Trust

__all__ = ["charter"]

_KIND: Final = "amend-charter"
_ORDERS_LOOKED_AT: Final = 2_000
_LIVE: Final = (OrderState.OPEN, OrderState.SCHEDULED)


@charter.command()
@click.argument("old", type=PathArgument)
@click.argument("new", type=PathArgument)
@json_option
def diff(old: Path, new: Path) -> None:
    """Say in plain words what NEW changes against OLD, and what of it loosens. Sources or canonical charters."""
    # A source has no salt of its own, so it takes that of the canonical charter beside it.
    salt = next((_read(file, salt=b"").salt for file in (old, new) if file.suffix == ".bin"), bytes(32))
    before, after = _read(old, salt=salt), _read(new, salt=salt)
    found = changes(before, after)
    emit(_changes_data(found, before), _changes_parts(found, before))


@charter.command()
@click.option("--out", required=True, type=PathArgument, help="The file to write, .toml to edit or .bin; a new one.")
@profile_option
@json_option
def current(out: Path, profile: Path) -> None:
    """Write the charter in force, proven, to a file: the source from which an amendment is made."""
    trust = run(_trust(profile))
    now = trust.charter
    write_new(out, encode_charter(now) if out.suffix == ".bin" else charter_to_toml(now), mode=0o644)
    emit(
        {"charter": str(out), "version": now.version},
        f"Wrote {out}: version {now.version} of the charter of {now.organisation}. {_next_step(out)}",
    )


@charter.command()
@click.argument("file", type=PathArgument)
@click.option("--expires", default="7d", show_default=True, help="How long it may wait for approvals.")
@click.option("--handover", default="7d", show_default=True, help="How long a change of the signers may take when due.")
@click.option("--note", default="", help="For the people who approve, at most 200 bytes.")
@signing_options
@profile_option
@json_option
def propose(
    *, file: Path, expires: str, handover: str, note: str, yes: bool, passphrase_file: Path | None, profile: Path
) -> None:
    """Order that FILE becomes the next version of the charter; the admin quorum decides.

    What only tightens acts with the last approval. Anything that loosens makes all of it wait, and any administrator
    can still reject it: strongroom charter cancel.
    """
    life_ms, handover_ms = parse_duration(expires), parse_duration(handover)

    def action(trust: Trust) -> AmendCharter:
        now = trust.charter
        proposed = _next(file, now)
        refuse_errors(file, check_charter(proposed))
        if not changes(now, proposed):
            raise BadOption(f"{file} changes nothing: version {now.version} is in force and says the same")
        moved = (_witnesses(now), now.witness_quorum) != (_witnesses(proposed), proposed.witness_quorum)
        lapses_ms = now_ms() + life_ms + now.loosening_delay_ms + handover_ms if moved else 0
        return AmendCharter(charter=encode_charter(proposed), handover_expires_ms=lapses_ms)

    initiate(
        profile,
        action,
        life_ms=life_ms,
        note=note,
        yes=yes,
        passphrase_file=passphrase_file,
        unlogged=revocation.unlogged,
    )


@charter.command()
@click.argument("order", metavar="[ORDER]", required=False)
@click.option("--handed", type=PathArgument, help="A revocation that the log lacks, from whoever signed it before you.")
@click.option("--out", type=PathArgument, help="Where the file with your approval goes; else a name of the order.")
@signing_options
@profile_option
@json_option
def approve(
    *,
    order: str | None,
    handed: Path | None,
    out: Path | None,
    yes: bool,
    passphrase_file: Path | None,
    profile: Path,
) -> None:
    """Approve an amendment, after every change was shown in plain words.

    An amendment that takes a key away and loosens nothing acts at signers before it is logged: where the log does not
    take it, a file is written for the next administrator (--handed) and for the operators of the signers.
    """
    if (order is None) == (handed is None):
        raise BadOption("name the order, or the file with --handed")
    if handed is not None:
        revocation.approve_handed(profile, handed, out=out, yes=yes, passphrase_file=passphrase_file)
    elif order is not None:
        approve_order(
            profile, order, kinds=(_KIND,), yes=yes, passphrase_file=passphrase_file, unlogged=revocation.unlogged
        )


@charter.command()
@click.argument("order", metavar="ORDER")
@click.option("--offline", is_flag=True, help="Ask no coordinator: write a file for the signers' operators.")
@click.option("--out", type=PathArgument, help="Where that file goes; else a name of the order.")
@signing_options
@profile_option
@json_option
def cancel(
    *, order: str, offline: bool, out: Path | None, yes: bool, passphrase_file: Path | None, profile: Path
) -> None:
    """Reject an amendment as an administrator: proposed or waiting out its delay, it never acts."""
    reject(profile, order, kinds=(_KIND,), yes=yes, passphrase_file=passphrase_file, offline=offline, out=out)


@charter.command()
@click.argument("order", metavar="[ORDER]", required=False)
@profile_option
@json_option
def status(order: str | None, profile: Path) -> None:
    """Show the charter in force and what may follow it, or one amendment with all its changes. Proven."""
    if order is not None:
        show_order(profile, order)
        return
    trust, found = run(_amendments(profile))
    now = trust.charter
    rows = [_row(one) for one in found]
    emit(
        {"version": now.version, "organisation": now.organisation, "amendments": rows},
        [Text(f"Version {now.version} of the charter of {now.organisation} is in force."), _rows_table(rows)],
    )


@charter.command()
@click.argument("order", metavar="ORDER")
@click.option("--out", required=True, type=PathArgument, help="The file to write, .toml or .bin; a new one.")
@profile_option
@json_option
def proposed(order: str, out: Path, profile: Path) -> None:
    """Write the whole charter that an amendment asks for to a file, to read before approving it. Proven."""
    found = run(_order(profile, order))
    if not isinstance(found.order.action, AmendCharter):
        raise BadOption(f"order {found.hash.hex()[:16]} amends no charter")
    asked = decode_charter(found.order.action.charter)
    write_new(out, encode_charter(asked) if out.suffix == ".bin" else charter_to_toml(asked), mode=0o644)
    emit(
        {"charter": str(out), "version": asked.version, "order": found.hash.hex()},
        f"Wrote {out}: version {asked.version}, as order {found.hash.hex()[:16]} asks for it.",
    )


def _read(file: Path, *, salt: bytes) -> Charter:
    return decode_charter(read_bytes(file)) if file.suffix == ".bin" else parse_charter_toml(read_text(file), salt=salt)


def _next(file: Path, now: Charter) -> Charter:
    """The charter of a file as the next version. A source made from the one in force need not count by itself."""
    proposed = _read(file, salt=now.salt)
    if proposed.version not in (now.version, now.version + 1):
        raise BadOption(
            f"{file} is version {proposed.version}, and version {now.version} is in force: "
            "make the amendment from that one, `strongroom charter current` writes it"
        )
    return replace(proposed, version=now.version + 1)


def _witnesses(read: Charter) -> frozenset[tuple[str, bytes, bytes]]:
    return frozenset((signer.name, signer.vote_key, signer.witness_key) for signer in read.signers)


def _changes_data(found: tuple[Change, ...], before: Charter) -> dict[str, Any]:
    return {
        "changes": [{"loosens": one.loosens, "where": one.where, "text": one.text} for one in found],
        "loosens": loosens(found),
        "waits_ms": before.loosening_delay_ms if loosens(found) else 0,
    }


def _changes_parts(found: tuple[Change, ...], before: Charter) -> list[RenderableType]:
    if not found:
        return [Text("Nothing changes.")]
    table = Table(box=None, pad_edge=False, show_header=False)
    for one in sorted(found, key=lambda change: not change.loosens):
        label = Text("looser", style="bold yellow") if one.loosens else Text("tighter", style="green")
        table.add_row(label, Text(f"{one.where}: {one.text}"))
    delay = duration_text(before.loosening_delay_ms)
    waits = (
        f"Something loosens, so all of it waits {delay} after the last approval."
        if loosens(found)
        else ("Nothing loosens, so it acts with the last approval.")
    )
    return [table, Text(waits, style="bold")]


def _row(one: OrderStatus) -> dict[str, Any]:
    record = one.proven.record
    action = one.order.action
    said = {verb: [word.person for word in record.endorsements if word.verb is verb] for verb in Verb}
    return {
        "order": record.hash.hex(),
        "version": decode_charter(action.charter).version if isinstance(action, AmendCharter) else 0,
        "state": record.state.name.lower(),
        "proposed_by": said[Verb.INITIATE],
        "approved_by": said[Verb.APPROVE],
        "rejected_by": said[Verb.REJECT],
        "acts_ms": record.due_ms or None,
        "expires_ms": one.order.expires_ms if record.state is OrderState.OPEN else None,
        "final": one.proven.final,
    }


def _rows_table(rows: list[dict[str, Any]]) -> RenderableType:
    if not rows:
        return Text("Nobody has proposed an amendment.")
    table = Table(box=None, pad_edge=False)
    for column in ("order", "version", "state", "proposed by", "approved by", "when"):
        table.add_column(column, overflow="fold")
    for row in rows:
        when = f"acts at {time_text(row['acts_ms'])}" if row["acts_ms"] else ""
        if row["expires_ms"]:
            when = f"expires at {time_text(row['expires_ms'])}"
        who = [", ".join(row[part]) for part in ("proposed_by", "approved_by")]
        state = f"rejected by {row['rejected_by'][0]}" if row["rejected_by"] else row["state"]
        table.add_row(*map(Text, (row["order"][:16], str(row["version"]), state, *who, when)))
    return table


def _next_step(out: Path) -> str:
    """What a file of the charter in force is good for: canonical bytes are for comparing, a source for editing."""
    if out.suffix == ".bin":
        return "It is for programs and for comparing: to amend it, write a source with --out FILE.toml."
    return f"To amend it, edit it, then:\nstrongroom charter propose {out}"


async def _trust(profile: Path) -> Trust:
    async with session(profile) as opened:
        return await opened.client.trust()


async def _order(profile: Path, text: str) -> OrderStatus:
    async with session(profile) as opened:
        return await opened.find(text)


async def _amendments(profile: Path) -> tuple[Trust, list[OrderStatus]]:
    """The charter in force, and amendments: all that can still act first, then those among the newest orders."""
    async with session(profile) as opened:
        trust = await opened.client.trust()
        found: dict[bytes, OrderStatus] = {}
        # One that waits out its delay is not to be hidden behind newer orders.
        for listed in opened.orders(statuses=("open",)), opened.orders(most=_ORDERS_LOOKED_AT):
            async for one in listed:
                if isinstance(one.order.action, AmendCharter):
                    found.setdefault(one.hash, one)
        return trust, sorted(found.values(), key=lambda one: one.proven.record.state not in _LIVE)
