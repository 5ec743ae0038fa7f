"""`strongroom break-glass`: a whole vault to the recovery address that the charter registers for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich.table import Table
from rich.text import Text

from strongroom.ledger.break_glass import recovery_address
from strongroom.ledger.charter import Charter
from strongroom.ledger.order_messages import BreakGlass
from strongroom.model.quantities import parse_duration
from strongroom_client.answers import OrderStatus
from strongroom_client.cli.output import PathArgument, emit, group, json_option
from strongroom_client.cli.shared import BadOption, now_ms, profile_option, run, session
from strongroom_client.cli.shared_orders import approve as approve_order
from strongroom_client.cli.shared_orders import initiate, show_order
from strongroom_client.cli.shared_orders import reject as reject_order
from strongroom_client.cli.shared_sheet import UNVERIFIED, order_row
from strongroom_client.cli.shared_signing import signing_options
from strongroom_client.display_recovery import box_line
from strongroom_client.trust import Trust

__all__ = ["break_glass"]

break_glass = group("break-glass", "Move a whole vault to its recovery address, whatever freeze is in force.")

_KIND = "break-glass"
_order = click.argument("order", metavar="ORDER")


@break_glass.command("order")
@click.argument("vault", metavar="VAULT")
@click.option(
    "--max-fee", default=200_000, show_default=True, type=click.IntRange(1, 2**63), help="Satoshi, each time."
)
@click.option("--expires", default="6d", show_default=True, help="It ends then, whatever its box.")
@click.option("--note", default="", help="For the people who approve, at most 200 bytes.")
@signing_options
@profile_option
@json_option
def order_it(
    *,
    vault: str,
    max_fee: int,
    expires: str,
    note: str,
    yes: bool,
    passphrase_file: Path | None,
    profile: Path,
) -> None:
    """Order that the glass be broken for a vault. The charter's larger quorum approves it; then a delay runs."""

    def action(trust: Trust) -> BreakGlass:
        address = recovery_address(trust.charter, vault)
        if address is None:
            raise BadOption(f"the charter registers no recovery address for vault {vault}")
        return BreakGlass(vault=vault, destination=address, max_fee=max_fee)

    initiate(profile, action, life_ms=parse_duration(expires), note=note, yes=yes, passphrase_file=passphrase_file)


@break_glass.command()
@_order
@signing_options
@profile_option
@json_option
def approve(*, order: str, yes: bool, passphrase_file: Path | None, profile: Path) -> None:
    """Look at such an order and approve exactly what you saw."""
    approve_order(profile, order, kinds=(_KIND,), yes=yes, passphrase_file=passphrase_file)


@break_glass.command()
@_order
@click.option("--offline", is_flag=True, help="Ask no coordinator: write a file for the signers' operators.")
@click.option("--out", type=PathArgument, help="Where to write that file, if one is needed.")
@signing_options
@profile_option
@json_option
def reject(
    *, order: str, offline: bool, out: Path | None, yes: bool, passphrase_file: Path | None, profile: Path
) -> None:
    """Reject such an order for ever: that closes its box at once. Any one of the quorum may."""
    reject_order(profile, order, kinds=(_KIND,), yes=yes, passphrase_file=passphrase_file, offline=offline, out=out)


@break_glass.command()
@_order
@profile_option
@json_option
def show(order: str, profile: Path) -> None:
    """Show such an order, its box and its transactions."""
    show_order(profile, order)


@break_glass.command("list")
@profile_option
@json_option
def list_orders(profile: Path) -> None:
    """List the orders that have not ended, and whether their box is open."""
    charter, found = run(_open(profile))
    now = now_ms()
    table = Table(box=None, pad_edge=False)
    for column in ("order", "vault", "to", "approvals", "box", UNVERIFIED):
        table.add_column(column, overflow="fold", no_wrap=column == "order")
    rows = [_data(status, charter, now) for status in found]
    for row in rows:
        cells = (row["order"][:16], row["vault"], row["destination"], str(row["approvals"]), row["box"] or "closed")
        table.add_row(*map(Text, cells), Text(row["status"]))
    told = Text(f"That these are all is {UNVERIFIED}.", style="dim")
    emit({"break_glass": rows}, [table, told] if rows else "No order to break the glass is open.")


def _data(status: OrderStatus, charter: Charter, now: int) -> dict[str, Any]:
    action = status.order.action
    vault, destination = (action.vault, action.destination) if isinstance(action, BreakGlass) else ("", "")
    return {
        **order_row(status),
        "vault": vault,
        "destination": destination,
        "box": box_line(charter, status.proven.record, now) or None,
    }


async def _open(profile: Path) -> tuple[Charter, list[OrderStatus]]:
    async with session(profile) as opened:
        return (await opened.client.trust()).charter, await opened.client.break_glass()
