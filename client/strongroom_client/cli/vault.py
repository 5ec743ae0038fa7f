"""`strongroom vault`: new vaults, and addresses derived here from proven ones."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any, Final

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from strongroom.chains.bitcoin.networks import BY_NAME
from strongroom.ledger.charter import Charter
from strongroom.ledger.order_messages import CreateVault, CustodyClass, Scheme
from strongroom.ledger.records import OrderState, VaultRecord
from strongroom.model.errors import Kind, StrongroomError
from strongroom.model.quantities import parse_duration, time_text
from strongroom_client.answers import Balance, derive_address
from strongroom_client.cli.ceremony import Watching, watching_options
from strongroom_client.cli.output import PathArgument, emit, group, json_option
from strongroom_client.cli.shared import BadOption, now_ms, profile_option, run, session
from strongroom_client.cli.shared_orders import approve as approve_order
from strongroom_client.cli.shared_orders import initiate
from strongroom_client.cli.shared_orders import reject as reject_order
from strongroom_client.cli.shared_sheet import UNVERIFIED
from strongroom_client.cli.shared_signing import signing_options
from strongroom_client.display import amount_text
from strongroom_client.plain_text import counted, plain
from strongroom_client.precautions import Precautions, precautions_of
from strongroom_client.treasury import TreasuryClient
from strongroom_client.trust import Proven, Trust
from strongroom_client.vault_warnings import weak_numbers

__all__ = ["vault"]

vault = group("vault", "Create vaults, and derive their addresses.")
_CLASSES: Final = [member.name.lower() for member in CustodyClass]
_POLL_S: Final = 0.3
KEY_ORDERS: Final = ("create-vault", "refresh-shares", "reshare-vault")
_name = click.argument("name", metavar="NAME")


class VaultNotFound(StrongroomError):
    """There is no such vault, or it did not come in time."""

    reason = "VAULT_NOT_FOUND"
    kind = Kind.NOT_FOUND
    remedy = "see `strongroom vault list`; one that was just ordered may still be made"


@vault.command()
@_name
@click.option("--class", "custody", type=click.Choice(_CLASSES), default="customer", show_default=True)
@click.option("--signers", required=True, metavar="A,B,C", help="The signers that hold its shares, in order.")
@click.option("--threshold", required=True, type=click.IntRange(1, 100), help="How many of them must sign.")
@click.option("--network", type=click.Choice(sorted(BY_NAME)), default="regtest", show_default=True)
@click.option("--expires", default="24h", show_default=True, help="How long it may wait for approvals.")
@click.option("--note", default="", help="For the people who approve, at most 200 bytes.")
@watching_options()
@signing_options
@profile_option
@json_option
def create(
    *,
    watching: Watching,
    name: str,
    custody: str,
    signers: str,
    threshold: int,
    network: str,
    expires: str,
    note: str,
    yes: bool,
    passphrase_file: Path | None,
    profile: Path,
) -> None:
    """Order a new vault. Others approve it; then the signers generate its key together."""
    holders = tuple(holder.strip() for holder in signers.split(","))

    def action(trust: Trust) -> CreateVault:
        known = {signer.name for signer in trust.charter.signers}
        unknown = [holder for holder in holders if holder not in known]
        if unknown:
            raise BadOption(f"the charter has no signer {', '.join(unknown)}: it has {', '.join(sorted(known))}")
        if threshold > len(holders):
            raise BadOption(f"a threshold of {threshold} needs more than {len(holders)} signers")
        return CreateVault(
            name=name,
            custody_class=CustodyClass[custody.upper()],
            chain=BY_NAME[network].caip2,
            scheme=Scheme.FROST_SECP256K1_BIP340,
            signers=holders,
            threshold=threshold,
        )

    initiate(
        profile,
        action,
        life_ms=parse_duration(expires),
        note=note,
        yes=yes,
        passphrase_file=passphrase_file,
        watching=watching,
    )


@vault.command()
@click.argument("order", metavar="ORDER")
@signing_options
@profile_option
@json_option
def approve(*, order: str, yes: bool, passphrase_file: Path | None, profile: Path) -> None:
    """Look at the order of a new vault, or of new shares, and approve exactly what you saw."""
    approve_order(profile, order, kinds=KEY_ORDERS, yes=yes, passphrase_file=passphrase_file)


@vault.command()
@click.argument("order", metavar="ORDER")
@click.option("--out", type=PathArgument, help="Where to write the file for the signers' operators, if one is needed.")
@signing_options
@profile_option
@json_option
def reject(*, order: str, out: Path | None, yes: bool, passphrase_file: Path | None, profile: Path) -> None:
    """Reject the order of a new vault, or of new shares, for ever."""
    reject_order(profile, order, kinds=KEY_ORDERS, yes=yes, passphrase_file=passphrase_file, offline=False, out=out)


@vault.command("list")
@profile_option
@json_option
def list_vaults(profile: Path) -> None:
    """List all vaults, each proven, and what vaults that are ordered still wait for."""
    found, coming, is_whole, precautions = run(_vaults(profile))
    table = Table(box=None, pad_edge=False)
    for column in ("vault", "class", "shares", "chain", "born", "final", "stopped"):
        table.add_column(column, overflow="fold")
    for proven in found:
        data = _data(proven)
        shares = f"{data['threshold']} of {', '.join(data['signers'])}"
        cells = (data["vault"], data["class"], shares, data["chain"], time_text(data["born_ms"]))
        frozen = Text("FROZEN" if precautions.stopped(data["vault"]) else "", style="bold red")
        table.add_row(*map(Text, cells), Text("yes" if proven.final else "not yet"), frozen)
    told = [Text(f"{one['vault']} is ordered; {UNVERIFIED}: waits for {one['waits_for']}") for one in coming]
    if not is_whole:
        told.append(
            Text("There are more open orders than were looked at: other vaults may be ordered.", style="yellow")
        )
    vaults = [{**_data(proven), "frozen": precautions.stopped(proven.record.name)} for proven in found]
    warnings = [Text(line, style="bold red") for line in precautions.lines()]
    emit(
        {"vaults": vaults, "coming": coming, "coming_is_whole": is_whole, **precautions.data()},
        [*warnings, *([table] if found else [Text("No vaults.")]), *told],
    )


@vault.command()
@_name
@profile_option
@json_option
def show(name: str, profile: Path) -> None:
    """Show one proven vault."""
    charter, proven = run(_vault_and_charter(profile, name))
    data, warnings = _data(proven), weak_numbers(charter, proven.record.threshold)
    lines = [Text(f"{key}: {', '.join(value) if type(value) is list else value}") for key, value in data.items()]
    told = [Text(f"Warning: {line}", style="bold yellow") for line in warnings]
    emit({**data, "warnings": list(warnings)}, [*lines, *told])


@vault.command()
@_name
@click.option("--index", required=True, type=click.IntRange(0, 2**31 - 1), help="You choose it and keep it.")
@profile_option
@json_option
def address(*, name: str, index: int, profile: Path) -> None:
    """Derive a deposit address here, from the proven, final vault. Never take one from anybody."""
    proven = run(_vault(profile, name))
    derived = derive_address(proven, index)
    emit({"vault": name, "index": index, "address": derived}, derived)


@vault.command()
@_name
@profile_option
@json_option
def balance(name: str, profile: Path) -> None:
    """Show a vault's coins as the coordinator sees them."""
    charter, told = run(_balance(profile, name))
    data = {
        "vault": name,
        "asset": told.asset,
        "confirmed": str(told.confirmed),
        "pending_in": str(told.pending_in),
        "pending_out": str(told.pending_out),
        "coins": told.coins,
        "proven": False,
    }
    lines = [
        f"{label}: {amount_text(charter, told.asset, amount) if amount else '0'}"
        for label, amount in (
            ("confirmed", told.confirmed),
            ("coming in", told.pending_in),
            ("going out", told.pending_out),
        )
    ]
    emit(data, "\n".join([f"{name}, {counted(told.coins, 'coin')}, {UNVERIFIED}:", *lines]))


@vault.command()
@_name
@click.option("--timeout", default="2m", show_default=True, help="How long to wait.")
@profile_option
@json_option
def wait(*, name: str, timeout: str, profile: Path) -> None:
    """Wait until a vault exists and is final: only then does it have addresses."""
    with Console(stderr=True).status(f"waiting for vault {name}"):
        proven = run(_wait(profile, name, parse_duration(timeout) / 1000))
    emit(_data(proven), f"Vault {name} exists and is final. Addresses: strongroom vault address {name} --index 0")


async def _vaults(profile: Path) -> tuple[list[Proven[VaultRecord]], list[dict[str, str]], bool, Precautions]:
    """The vaults there are, those that are ordered, whether these are all, and what stops any."""
    async with session(profile) as opened:
        listed = opened.orders(statuses=("open",))
        coming = [
            {"vault": action.name, "order": status.hash.hex(), "waits_for": plain(status.waits_for)}
            async for status in listed
            if isinstance(action := status.order.action, CreateVault) and status.proven.record.state is OrderState.OPEN
        ]
        return await opened.client.vaults(), coming, listed.is_whole, await precautions_of(opened.client, now_ms())


async def _vault(profile: Path, name: str) -> Proven[VaultRecord]:
    async with session(profile) as opened:
        return await _named(opened.client, name)


async def _vault_and_charter(profile: Path, name: str) -> tuple[Charter, Proven[VaultRecord]]:
    async with session(profile) as opened:
        return (await opened.client.trust()).charter, await _named(opened.client, name)


async def _named(client: TreasuryClient, name: str) -> Proven[VaultRecord]:
    for proven in await client.vaults():
        if proven.record.name == name:
            return proven
    raise VaultNotFound(f"there is no vault {name}: `strongroom vault list` shows all", vault=name)


async def _balance(profile: Path, name: str) -> tuple[Charter, Balance]:
    async with session(profile) as opened:
        return (await opened.client.trust()).charter, await opened.client.balance(name)


async def _wait(profile: Path, name: str, timeout_s: float) -> Proven[VaultRecord]:
    deadline = time.monotonic() + timeout_s
    async with session(profile) as opened:
        while True:
            for proven in await opened.client.vaults():
                if proven.record.name == name and proven.final:
                    return proven
            if time.monotonic() >= deadline:
                raise VaultNotFound(
                    f"vault {name} is not final after {timeout_s:.0f} s: `strongroom status` shows which signers are "
                    "connected, and `strongroom vault list` what its order waits for",
                    vault=name,
                )
            await asyncio.sleep(_POLL_S)


def _data(proven: Proven[VaultRecord]) -> dict[str, Any]:
    record = proven.record
    return {
        "vault": record.name,
        "class": record.custody_class.name.lower(),
        "chain": record.chain,
        "signers": list(record.signers),
        "threshold": record.threshold,
        "group_key": record.group_key.hex(),
        "epoch": record.epoch,
        "born_ms": record.born_ms,
        "order": record.order_hash.hex(),
        "final": proven.final,
    }
