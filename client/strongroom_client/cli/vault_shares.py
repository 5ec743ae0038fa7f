"""`strongroom vault refresh`, `reshare` and `watch`: new shares of a vault's key, and how far a ceremony is."""

from __future__ import annotations

import asyncio
import hashlib
import importlib.resources
import json
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import click

from strongroom.ledger.key_changes import vaults_of
from strongroom.ledger.messages import CreateVault, RefreshShares, ReshareVault
from strongroom.ledger.records import OrderState, VaultRecord
from strongroom.model.errors import Kind, StrongroomError
from strongroom.model.quantities import parse_duration, time_text
from strongroom_client.answers import OrderStatus
from strongroom_client.cli.output import PathArgument, emit, json_option
from strongroom_client.cli.shared import BadOption, Session, profile_option, run, session
from strongroom_client.cli.shared_orders import initiate
from strongroom_client.cli.shared_signing import signing_options
from strongroom_client.cli.vault import vault
from strongroom_client.files import write_new
from strongroom_client.orders import fingerprint
from strongroom_client.plain_text import plain
from strongroom_client.trust import Trust

__all__ = ["refresh", "reshare", "vault", "watch"]

_POLL_S: Final = 0.3


class CeremonyUnfinished(StrongroomError):
    """The ceremony has not come to its end in time, or its order ended without one."""

    reason = "CEREMONY_UNFINISHED"
    kind = Kind.FAILED_PRECONDITION


@dataclass(frozen=True, slots=True, kw_only=True)
class Ceremony:
    """A ceremony that is over: its order, and the vaults it made or changed, all proven and final."""

    status: OrderStatus
    vaults: tuple[VaultRecord, ...]


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _check_known(trust: Trust, names: tuple[str, ...]) -> None:
    known = {signer.name for signer in trust.charter.signers}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise BadOption(f"the charter has no signer {', '.join(unknown)}: it has {', '.join(sorted(known))}")


@vault.command()
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@click.option("--absent", default="", metavar="A,B", help="Holders that are away or lost, and are not waited for.")
@click.option("--expires", default="7d", show_default=True, help="How long it may take.")
@click.option("--note", default="", help="For the people who approve, at most 200 bytes.")
@signing_options
@profile_option
@json_option
def refresh(
    *,
    names: tuple[str, ...],
    absent: str,
    expires: str,
    note: str,
    yes: bool,
    passphrase_file: Path | None,
    profile: Path,
) -> None:
    """Order new shares for the holders of vaults. The old shares are worth nothing afterwards."""

    def action(trust: Trust) -> RefreshShares:
        _check_known(trust, _names(absent))
        return RefreshShares(vaults=names, absent=_names(absent))

    initiate(profile, action, life_ms=parse_duration(expires), note=note, yes=yes, passphrase_file=passphrase_file)


@vault.command()
@click.argument("name", metavar="NAME")
@click.option("--signers", required=True, metavar="A,B,C", help="The signers that hold its shares then, in order.")
@click.option("--threshold", required=True, type=click.IntRange(1, 100), help="How many of them must sign.")
@click.option("--absent", default="", metavar="A,B", help="Holders, old or new, that are not waited for.")
@click.option("--expires", default="14d", show_default=True, help="How long it may take, a delay included.")
@click.option("--note", default="", help="For the people who approve, at most 200 bytes.")
@signing_options
@profile_option
@json_option
def reshare(
    *,
    name: str,
    signers: str,
    threshold: int,
    absent: str,
    expires: str,
    note: str,
    yes: bool,
    passphrase_file: Path | None,
    profile: Path,
) -> None:
    """Order that other signers hold a vault's key, or another number of them signs. Its addresses stay."""

    def action(trust: Trust) -> ReshareVault:
        holders = _names(signers)
        _check_known(trust, holders)
        if threshold > len(holders):
            raise BadOption(f"a threshold of {threshold} needs more than {len(holders)} signers")
        return ReshareVault(vault=name, signers=holders, threshold=threshold, absent=_names(absent))

    initiate(profile, action, life_ms=parse_duration(expires), note=note, yes=yes, passphrase_file=passphrase_file)


@vault.command()
@click.argument("order", metavar="ORDER")
@click.option("--timeout", default="10m", show_default=True, help="How long to watch.")
@click.option("--record", type=PathArgument, help="Where to write the ceremony's record as JSON.")
@click.option("--page", type=PathArgument, help="Where to write it as a page to print and sign.")
@profile_option
@json_option
def watch(*, order: str, timeout: str, record: Path | None, page: Path | None, profile: Path) -> None:
    """Watch a new vault, or new shares, come into being: who is in which step and who is awaited."""
    done = run(_watched(profile, order, parse_duration(timeout) / 1000))
    data = _record_of(done)
    if record is not None:
        write_new(record, (json.dumps(data, indent=2) + "\n").encode("utf-8"))
    if page is not None:
        write_new(page, _page_of(data).encode("utf-8"))
    emit(data, _page_of(data))


async def _watched(profile: Path, order: str, timeout_s: float) -> Ceremony:
    deadline = time.monotonic() + timeout_s
    said = ""
    async with session(profile) as opened:
        status = await opened.find(order)
        while True:
            record = status.proven.record
            if record.state is OrderState.DONE and status.proven.final:
                return Ceremony(status=status, vaults=await _vaults_of(opened, status))
            line = plain(status.waits_for)
            if line and line != said:
                click.echo(f"waits for {line}", err=True)
                said = line
            if record.state not in (OrderState.OPEN, OrderState.DONE) or time.monotonic() >= deadline:
                raise CeremonyUnfinished(
                    f"the order is {record.state.name.lower()}; it waits for: {said or 'nothing known'}"
                )
            await asyncio.sleep(_POLL_S)
            status = await opened.client.order(status.hash)


async def _vaults_of(opened: Session, status: OrderStatus) -> tuple[VaultRecord, ...]:
    action = status.order.action
    if isinstance(action, CreateVault):
        names: tuple[str, ...] = (action.name,)
    elif isinstance(action, RefreshShares | ReshareVault):
        names = vaults_of(action)
    else:
        raise BadOption("this order is about no vault's key")
    return tuple(one.record for one in await opened.client.vaults() if one.record.name in names)


def _record_of(done: Ceremony) -> dict[str, Any]:
    record, action = done.status.proven.record, done.status.order.action
    return {
        "order": record.hash.hex(),
        "order_fingerprint": fingerprint(record.hash),
        "kind": type(action).__name__,
        "software": {"version": version("strongroom"), "sha256": _software_hash()},
        "ordered_ms": record.accepted_ms,
        "ended_ms": record.ended_ms,
        "approved_by": sorted({one.person for one in record.endorsements}),
        "vaults": [_vault_data(one) for one in done.vaults],
    }


def _vault_data(record: VaultRecord) -> dict[str, Any]:
    return {
        "vault": record.name,
        "epoch": record.epoch,
        "participants": list(record.signers),
        "threshold": record.threshold,
        "group_key": record.group_key.hex(),
        "transcript_hash": record.recovery_hash.hex(),
        "transcript_fingerprint": fingerprint(record.recovery_hash),
        "key_material_hash": record.key_hash.hex(),
        "began_ms": record.epoch_ms,
    }


def _software_hash() -> str:
    """SHA-256 over name and content of every Python file of the shared package, in order of name."""
    digest = hashlib.sha256()
    root = Path(str(importlib.resources.files("strongroom")))
    for file in sorted(root.rglob("*.py")):
        content = file.read_bytes()
        name = file.relative_to(root).as_posix().encode("utf-8")
        digest.update(len(name).to_bytes(8, "big") + name + len(content).to_bytes(8, "big") + content)
    return digest.hexdigest()


def _page_of(data: dict[str, Any]) -> str:
    lines = [
        f"Ceremony record: {data['kind']}",
        "",
        f"Order        {data['order']}",
        f"  read aloud {data['order_fingerprint']}",
        f"Approved by  {', '.join(data['approved_by'])}",
        f"Ordered      {time_text(data['ordered_ms'])}",
        f"Ended        {time_text(data['ended_ms'])}",
        f"Software     strongroom {data['software']['version']}",
        f"  SHA-256    {data['software']['sha256']}",
    ]
    for one in data["vaults"]:
        lines += [
            "",
            f"Vault        {one['vault']}, epoch {one['epoch']}, since {time_text(one['began_ms'])}",
            f"Holders      {', '.join(one['participants'])}; {one['threshold']} of them sign",
            f"Group key    {one['group_key']}",
            f"Transcript   {one['transcript_hash']}",
            f"  read aloud {one['transcript_fingerprint']}",
        ]
    people = sorted({name for one in data["vaults"] for name in one["participants"]})
    lines += ["", "Signed by the operators of:", *(f"  {name:20} ____________________" for name in people)]
    return "\n".join(lines) + "\n"
