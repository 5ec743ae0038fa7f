"""`strongroom withdraw`: create, look at, approve, reject, cancel and follow withdrawals."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import click
from rich.text import Text

from strongroom.chains.bitcoin.address import script_of
from strongroom.chains.bitcoin.networks import NETWORKS
from strongroom.ledger.charter import Asset, Charter
from strongroom.ledger.order_messages import CancelWithdraw, Withdraw
from strongroom.model.quantities import parse_decimal, parse_duration
from strongroom_client.answers import OrderStatus
from strongroom_client.cli.output import PathArgument, emit, group, json_option, wants_json
from strongroom_client.cli.shared import BadOption, profile_option, run, session
from strongroom_client.cli.shared_orders import approve as approve_order
from strongroom_client.cli.shared_orders import initiate, look, show_order
from strongroom_client.cli.shared_orders import reject as reject_order
from strongroom_client.cli.shared_sheet import UNVERIFIED, order_row, orders_table, sheet_data, sheet_parts
from strongroom_client.cli.shared_signing import signing_options
from strongroom_client.display import amount_text
from strongroom_client.order_kinds import kind_of
from strongroom_client.plain_text import plain
from strongroom_client.trust import Trust

__all__ = ["withdraw"]

withdraw = group("withdraw", "Create, look at, approve, reject, cancel and follow withdrawals.")

_KINDS: Final = ("withdraw", "cancel")
_STATUSES: Final = ("open", "payable", "paid", "never_will_be_paid", "done")
_ORDER_HELP: Final = "ORDER is its hash, its id, or at least 8 first digits of the hash."
_order = click.argument("order", metavar="ORDER")


@withdraw.command()
@click.option("--vault", required=True, help="The vault that pays.")
@click.option("--to", "destination", required=True, metavar="ADDRESS", help="The address to pay.")
@click.option("--amount", required=True, help='How much, in the asset\'s own unit: "0.5".')
@click.option("--asset", default="BTC", show_default=True, help="Symbol or id of the asset, as the charter lists it.")
@click.option("--max-fee", default=20_000, show_default=True, type=click.IntRange(1, 2**63), help="In satoshi.")
@click.option("--expires", default="24h", show_default=True, help="How long it may wait for its first plan.")
@click.option("--note", default="", help="For the people who approve, at most 200 bytes.")
@signing_options
@profile_option
@json_option
def create(
    *,
    vault: str,
    destination: str,
    amount: str,
    asset: str,
    max_fee: int,
    expires: str,
    note: str,
    yes: bool,
    passphrase_file: Path | None,
    profile: Path,
) -> None:
    """Order a withdrawal. Others approve it."""

    def action(trust: Trust) -> Withdraw:
        known = _asset(trust.charter, asset)
        _check_address(destination, known)
        return Withdraw(
            vault=vault,
            asset=known.id,
            amount=parse_decimal(amount, known.decimals),
            destination=destination,
            max_fee=max_fee,
        )

    initiate(profile, action, life_ms=parse_duration(expires), note=note, yes=yes, passphrase_file=passphrase_file)


@withdraw.command(help=f"Show one order and why it passes or not. {_ORDER_HELP}")
@_order
@profile_option
@json_option
def show(order: str, profile: Path) -> None:
    """Show one order."""
    show_order(profile, order)


@withdraw.command(help=f"Say why an order passes or not, with each signer's own view. {_ORDER_HELP}")
@_order
@profile_option
@json_option
def explain(order: str, profile: Path) -> None:
    """Explain one order."""
    sheet = run(look(profile, order)).sheet
    parts: list[Any] = [Text(line) for line in _explained(sheet_data(sheet))]
    emit(sheet_data(sheet), [*parts, *sheet_parts(sheet)])


@withdraw.command(help=f"Look at an order and approve exactly what you saw. {_ORDER_HELP}")
@_order
@signing_options
@profile_option
@json_option
def approve(*, order: str, yes: bool, passphrase_file: Path | None, profile: Path) -> None:
    """Approve an order."""
    approve_order(profile, order, kinds=_KINDS, yes=yes, passphrase_file=passphrase_file)


@withdraw.command(help=f"Reject an order for ever. {_ORDER_HELP}")
@_order
@click.option("--offline", is_flag=True, help="Ask no coordinator: write a file for the signers' operators.")
@click.option("--out", type=PathArgument, help="Where to write that file, if one is needed.")
@signing_options
@profile_option
@json_option
def reject(
    *, order: str, offline: bool, out: Path | None, yes: bool, passphrase_file: Path | None, profile: Path
) -> None:
    """Reject an order."""
    reject_order(profile, order, kinds=_KINDS, yes=yes, passphrase_file=passphrase_file, offline=offline, out=out)


@withdraw.command(help=f"Cancel a withdrawal: at once without a plan, else by a transaction. {_ORDER_HELP}")
@_order
@click.option("--max-fee", default=20_000, show_default=True, type=click.IntRange(1, 2**63), help="In satoshi.")
@click.option("--expires", default="24h", show_default=True, help="How long the cancellation may wait for its plan.")
@click.option("--note", default="", help="For people, at most 200 bytes.")
@signing_options
@profile_option
@json_option
def cancel(
    *,
    order: str,
    max_fee: int,
    expires: str,
    note: str,
    yes: bool,
    passphrase_file: Path | None,
    profile: Path,
) -> None:
    """Cancel a withdrawal."""
    target = run(_target(profile, order))

    def action(_: Trust) -> CancelWithdraw:
        return CancelWithdraw(order_hash=target.hash, max_fee=max_fee)

    initiate(profile, action, life_ms=parse_duration(expires), note=note, yes=yes, passphrase_file=passphrase_file)


@withdraw.command("list")
@click.option("--vault", default="", help="Only orders of this vault.")
@click.option("--status", "statuses", multiple=True, type=click.Choice(_STATUSES), help="May be given several times.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 1_000), help="Orders a page.")
@click.option("--page", "token", default="", metavar="TOKEN", help="The page to show, as the page before named it.")
@profile_option
@json_option
def list_orders(*, vault: str, statuses: tuple[str, ...], limit: int, token: str, profile: Path) -> None:
    """List orders, newest first. Each is proven; that the list is whole is the coordinator's word."""
    charter, page, following = run(_page(profile, vault, statuses, limit, token))
    rows = [(status, *_asks(status, charter)) for status in page]
    more = [f"More: add --page {following}"] if following else []
    emit(
        {
            "orders": [{**order_row(status), "asks": asks, "to": to} for status, asks, to in rows],
            "next_page": following or None,
        },
        [orders_table(rows) if rows else Text("No orders." if not more else "No orders on this page."), *more],
    )


@withdraw.command(help=f"Follow every change of one order or of all, until interrupted. {_ORDER_HELP}")
@click.argument("order", metavar="[ORDER]", required=False)
@click.option("--cursor", default=0, type=click.IntRange(0), help="Go on after this event.")
@click.option("--count", default=0, type=click.IntRange(0), help="End after so many events; 0 means never.")
@profile_option
@json_option
def watch(*, order: str | None, cursor: int, count: int, profile: Path) -> None:
    """Follow orders."""
    run(_watch(profile, order, cursor, count))


async def _target(profile: Path, order: str) -> OrderStatus:
    async with session(profile) as opened:
        status = await opened.find(order)
    if not isinstance(status.order.action, Withdraw):
        raise BadOption(
            f"order {status.hash.hex()[:16]} is a {kind_of(status.order).word}: only a withdrawal is cancelled"
        )
    return status


async def _page(
    profile: Path, vault: str, statuses: tuple[str, ...], limit: int, token: str
) -> tuple[Charter, list[OrderStatus], str]:
    async with session(profile) as opened:
        trust = await opened.client.trust()
        page, following = await opened.client.orders(vault=vault, statuses=statuses, page_size=limit, page_token=token)
        return trust.charter, page, plain(following)


async def _watch(profile: Path, order: str | None, cursor: int, count: int) -> None:
    async with session(profile) as opened:
        trust = await opened.client.trust()
        hashes = [(await opened.find(order)).hash] if order else []
        events = 0
        async for position, status in opened.client.watch_orders(cursor=cursor, hashes=hashes):
            _print_event(position, status, trust.charter)
            events += 1
            if count and events >= count:
                return


def _print_event(position: int, status: OrderStatus, charter: Charter) -> None:
    """One line for each event; its cursor resumes the watch after it."""
    asks, to = _asks(status, charter)
    if wants_json():
        event = {"cursor": position, **order_row(status), "asks": asks, "to": to, "waits_for": plain(status.waits_for)}
        click.echo(json.dumps(event))
        return
    state = status.proven.record.state.name.lower()
    told = f"{status.status.replace('_', ' ')} {plain(status.waits_for)}".strip()
    click.echo(f"cursor {position}  {status.hash.hex()[:16]}  {asks} {to}  {state}  [{UNVERIFIED}: {told}]")


def _asks(status: OrderStatus, charter: Charter) -> tuple[str, str]:
    """What an order asks for, and to whom, in a few words."""
    action = status.order.action
    match action:
        case Withdraw():
            return amount_text(charter, action.asset, action.amount).split(" (")[0], action.destination
        case CancelWithdraw():
            return "cancel", action.order_hash.hex()[:16]
        case _:
            return kind_of(status.order).word, ""


def _explained(data: dict[str, Any]) -> Iterable[str]:
    """The short answer."""
    judgement = data["judgement"]
    if data["payable_until_excluded"]:
        paid = " The coordinator says that it is paid (its word)." if data["coordinator"]["status"] == "paid" else ""
        yield f"It has a plan: payable until excluded.{paid}"
    elif judgement["allowed"]:
        yield f'Rule "{judgement["rule"]}" passes.' if judgement["rule"] else "It passes."
    else:
        yield f"It does not pass: {judgement['code']}."


def _asset(charter: Charter, name: str) -> Asset:
    """The charter's asset of that symbol or id.

    Raises:
        BadOption: the charter has none.
    """
    for asset in charter.assets:
        if name in (asset.symbol, asset.id):
            return asset
    known = ", ".join(asset.symbol for asset in charter.assets)
    raise BadOption(f"the charter knows no asset {name}: it has {known}")


def _check_address(destination: str, asset: Asset) -> None:
    """Refuse an address that is none of the asset's network, before anything is signed.

    Raises:
        BadAddress: it is not.
    """
    for network in NETWORKS:
        if network.asset_id == asset.id:
            script_of(destination, network)
