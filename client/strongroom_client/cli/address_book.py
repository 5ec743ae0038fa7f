"""`strongroom address-book`: the addresses that rules with `to = "address-book"` pay."""

from __future__ import annotations

import base64
import binascii
from pathlib import Path
from typing import Any

import click
from rich.table import Table
from rich.text import Text

from strongroom.chains.bitcoin.address import script_of
from strongroom.chains.bitcoin.networks import BY_CAIP2, BY_NAME
from strongroom.ledger.address_book import ownership_message
from strongroom.ledger.order_messages import AddDestination, RemoveDestination
from strongroom.model.quantities import parse_duration, time_text
from strongroom_client.address_book import BookPage
from strongroom_client.cli.output import PathArgument, emit, group, json_option
from strongroom_client.cli.shared import BadOption, now_ms, profile_option, run, session
from strongroom_client.cli.shared_orders import approve as approve_order
from strongroom_client.cli.shared_orders import initiate, show_order
from strongroom_client.cli.shared_orders import reject as reject_order
from strongroom_client.cli.shared_signing import signing_options
from strongroom_client.display_recovery import entry_text
from strongroom_client.plain_text import plain
from strongroom_client.profile import load_profile
from strongroom_client.trust import Proven, Trust

__all__ = ["address_book"]

address_book = group("address-book", "The addresses that rules may pay: add with a quorum and time, remove at once.")

_KIND = "add-destination"
_PREFIX = "smp"
"""Of a BIP-322 simple signature in text form; older ones go without it."""
_address = click.argument("address", metavar="ADDRESS")
_order = click.argument("order", metavar="ORDER")
_network = click.option("--network", type=click.Choice(sorted(BY_NAME)), default="regtest", show_default=True)


@address_book.command()
@_address
@click.option("--label", required=True, help="What people call it, at most 80 bytes.")
@click.option("--proof", default="", help="The owner's BIP-322 simple signature over what `message` prints.")
@_network
@click.option("--expires", default="24h", show_default=True, help="How long it may wait for approvals.")
@click.option("--note", default="", help="For the people who approve, at most 200 bytes.")
@signing_options
@profile_option
@json_option
def add(
    *,
    address: str,
    label: str,
    proof: str,
    network: str,
    expires: str,
    note: str,
    yes: bool,
    passphrase_file: Path | None,
    profile: Path,
) -> None:
    """Order a new entry. Others approve it; then it cools off before it can be paid."""
    script_of(address, BY_NAME[network])
    stack = _proof_bytes(proof)

    def action(_: Trust) -> AddDestination:
        return AddDestination(chain=BY_NAME[network].caip2, address=address, label=label, proof=stack)

    initiate(profile, action, life_ms=parse_duration(expires), note=note, yes=yes, passphrase_file=passphrase_file)


@address_book.command()
@_address
@profile_option
@json_option
def message(address: str, profile: Path) -> None:
    """Print the text that the owner of an address signs (BIP-322, simple) to show that it is theirs."""
    text = ownership_message(load_profile(profile).log_id, address).decode("ascii")
    emit({"address": address, "message": text}, text)


@address_book.command()
@_order
@signing_options
@profile_option
@json_option
def approve(*, order: str, yes: bool, passphrase_file: Path | None, profile: Path) -> None:
    """Look at the order of a new entry and approve exactly what you saw."""
    approve_order(profile, order, kinds=(_KIND,), yes=yes, passphrase_file=passphrase_file)


@address_book.command()
@_order
@click.option("--out", type=PathArgument, help="Where to write the file for the signers' operators, if one is needed.")
@signing_options
@profile_option
@json_option
def reject(*, order: str, out: Path | None, yes: bool, passphrase_file: Path | None, profile: Path) -> None:
    """Reject the order of a new entry for ever."""
    reject_order(profile, order, kinds=(_KIND,), yes=yes, passphrase_file=passphrase_file, offline=False, out=out)


@address_book.command()
@_order
@profile_option
@json_option
def show(order: str, profile: Path) -> None:
    """Show the order of an entry."""
    show_order(profile, order)


@address_book.command()
@_address
@click.option("--why", required=True, help="For everybody to read, at most 200 bytes.")
@_network
@signing_options
@profile_option
@json_option
def remove(*, address: str, why: str, network: str, yes: bool, passphrase_file: Path | None, profile: Path) -> None:
    """Take an address out at once; what was ordered to it is paid no more. Any one who may add or freeze, may."""

    def action(_: Trust) -> RemoveDestination:
        return RemoveDestination(chain=BY_NAME[network].caip2, address=address, why=why)

    initiate(profile, action, life_ms=parse_duration("24h"), note="", yes=yes, passphrase_file=passphrase_file)


@address_book.command("list")
@click.option("--all", "everything", is_flag=True, help="Removed entries as well.")
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1, 1_000), help="Entries a page.")
@click.option("--page", "token", default="", metavar="TOKEN", help="The page to show, as the page before named it.")
@profile_option
@json_option
def list_entries(*, everything: bool, limit: int, token: str, profile: Path) -> None:
    """List the entries, oldest first. Each is proven, and so is how many there are."""
    page, now = run(_page(profile, limit, token)), now_ms()
    shown = [entry for entry in page.entries if everything or not entry.record.removed_ms]
    table = Table(box=None, pad_edge=False)
    for column in ("address", "label", "network", "added", "state"):
        table.add_column(column, overflow="fold", no_wrap=column == "address")
    for entry in shown:
        data = _data(entry, now)
        cells = (data["address"], data["label"], data["network"], time_text(data["added_ms"]), data["state"])
        table.add_row(*map(Text, cells))
    following = plain(page.next_token)
    lines = [_extent(page, len(shown)), *([f"More: add --page {following}"] if following else [])]
    emit(
        {
            "entries": [_data(entry, now) for entry in shown],
            "total": page.total,
            "next_page": following or None,
        },
        [*([table] if shown else []), *map(Text, lines)],
    )


def _extent(page: BookPage, shown: int) -> str:
    if not page.entries:
        return "No entries here."
    last = page.first + len(page.entries)
    hidden = len(page.entries) - shown
    removed = f", {hidden} of them removed and not shown: add --all" if hidden else ""
    return f"Entries {page.first + 1} to {last} of {page.total}{removed}."


def _data(entry: Proven[Any], now: int) -> dict[str, Any]:
    record = entry.record
    network = BY_CAIP2.get(record.chain)
    return {
        "address": record.address,
        "label": record.label,
        "chain": record.chain,
        "network": network.name if network else record.chain,
        "added_ms": record.added_ms,
        "usable_ms": record.usable_ms,
        "removed_ms": record.removed_ms or None,
        "removed_by": record.removed_by or None,
        "owner_signed": record.is_proven,
        "order": record.order_hash.hex(),
        "payable": not record.removed_ms and record.usable_ms <= now,
        "state": entry_text(record, now),
        "final": entry.final,
    }


async def _page(profile: Path, limit: int, token: str) -> BookPage:
    async with session(profile) as opened:
        return await opened.client.destinations(page_size=limit, page_token=token)


def _proof_bytes(text: str) -> bytes:
    """The witness stack behind a signature in text form.

    Raises:
        BadOption: it is no base64.
    """
    try:
        return base64.b64decode(text.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raise BadOption("--proof is a BIP-322 simple signature in text form: smp and base64") from None
