"""Ceremonies on the command line: who is in which step and who is awaited, and the record of one that is over."""

from __future__ import annotations

import asyncio
import functools
import hashlib
import importlib.resources
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from strongroom.ledger.key_changes import vaults_of
from strongroom.ledger.order_messages import CreateVault, RefreshShares, ReshareVault
from strongroom.ledger.records import OrderState, VaultRecord
from strongroom.ledger.signed_messages import Verb
from strongroom.model.errors import Kind, StrongroomError
from strongroom.model.quantities import parse_duration, time_text
from strongroom_client.answers import OrderStatus
from strongroom_client.cli.output import PathArgument, emit, wants_json
from strongroom_client.cli.shared import BadOption, OrderNotFound, Session, run, session
from strongroom_client.files import FileExists, write_new
from strongroom_client.orders import fingerprint
from strongroom_client.plain_text import plain

__all__ = ["Watching", "watching_options"]

_POLL_S: Final = 0.3
_ORDERS_LOOKED_AT: Final = 2_000
_RUNNING: Final = (OrderState.OPEN, OrderState.SCHEDULED)
_GOING_ON: Final = (*_RUNNING, OrderState.DONE)
Command = TypeVar("Command", bound=Callable[..., Any])


class CeremonyUnfinished(StrongroomError):
    """The ceremony's order ended without one."""

    reason = "CEREMONY_UNFINISHED"
    kind = Kind.FAILED_PRECONDITION
    remedy = "see why the order ended, then make a new one"


class WatchEnded(StrongroomError):
    """Nobody watches a ceremony any more, and its order goes on: the time to watch is over, or it was interrupted."""

    reason = "WATCH_ENDED"
    kind = Kind.DEADLINE_EXCEEDED
    remedy = "nothing: the order goes on; watch it again to see its end"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ceremony:
    """A ceremony that is over: its order, and the vaults it made or changed, all proven and final."""

    status: OrderStatus
    vaults: tuple[VaultRecord, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Watching:
    """How a command follows the ceremony that it is about.

    Attributes:
        wanted: Whether it does; writing a record implies it.
        timeout_s: How long.
        record: Where the record goes as JSON; None for nowhere.
        page: Where it goes as a page to print and sign; None for nowhere.
    """

    wanted: bool
    timeout_s: float
    record: Path | None
    page: Path | None

    def require_new_files(self) -> None:
        """Refuse files that are there already, before anything is signed.

        Raises:
            FileExists: one is.
        """
        for file in (self.record, self.page):
            if file is not None and file.exists():
                raise FileExists(f"{file} is there already and is not overwritten", path=str(file))

    def follow(self, profile: Path, order: str, *, warnings: Sequence[str] = ()) -> None:
        """Tell how far it is on standard error, to its end; then show and write its record.

        Args:
            profile: The profile.
            order: The order, or the vault that it is about.
            warnings: What was said of the order before, for programs.

        Raises:
            CeremonyUnfinished: its order ended without one.
            WatchEnded: the time is over, or somebody interrupted; the order goes on.
        """
        watched = _Watched(order)
        try:
            done = run(_watched(profile, watched, self.timeout_s))
        except KeyboardInterrupt:
            raise watched.ended("you stopped watching") from None
        data = _record_of(done)
        if self.record is not None:
            write_new(self.record, (json.dumps(data, indent=2) + "\n").encode("utf-8"), secret=False)
        if self.page is not None:
            write_new(self.page, _page_of(data).encode("utf-8"), secret=False)
        emit({**data, "warnings": list(warnings)} if warnings else data, _page_of(data))


@dataclass(slots=True)
class _Watched:
    """What is watched, and what it waited for when it was looked at last."""

    order: str
    """As it was typed, then its hash."""
    waits_for: str = ""

    def ended(self, why: str) -> WatchEnded:
        """The error that says how to go on watching."""
        return WatchEnded(
            f"{why}; the order goes on without you. It waits for: {self.waits_for or 'nothing known'}\n"
            f"Watch it again with: strongroom vault watch {self.order}",
            order=self.order,
        )


def watching_options(*, always: bool = False) -> Callable[[Command], Command]:
    """Give a command `--watch`, `--timeout`, `--record` and `--page`; it receives them as `watching`.

    Args:
        always: The command does nothing but watch, and has no `--watch`.
    """

    def decorate(command: Command) -> Command:
        @functools.wraps(command)
        def wrapped(*, watch: bool = always, timeout: str, record: Path | None, page: Path | None, **rest: Any) -> Any:
            wanted = watch or record is not None or page is not None
            timeout_s = parse_duration(timeout) / 1000
            return command(watching=Watching(wanted=wanted, timeout_s=timeout_s, record=record, page=page), **rest)

        options = [
            click.option("--page", type=PathArgument, help="Where to write it as a page to print and sign."),
            click.option("--record", type=PathArgument, help="Where to write the ceremony's record as JSON."),
            click.option("--timeout", default="10m", show_default=True, help="How long to watch."),
        ]
        if not always:
            text = "Stay, and show who is in which step and who is awaited, to the end."
            options.append(click.option("--watch", is_flag=True, help=text))
        made: Any = wrapped
        for option in options:
            made = option(made)
        decorated: Command = made
        return decorated

    return decorate


async def _watched(profile: Path, watched: _Watched, timeout_s: float) -> Ceremony:
    deadline = time.monotonic() + timeout_s
    async with session(profile) as opened:
        status = await _meant(opened, watched.order)
        watched.order = status.hash.hex()
        while True:
            record = status.proven.record
            if record.state is OrderState.DONE and status.proven.final:
                return Ceremony(status=status, vaults=await _vaults_of(opened, status))
            line = plain(status.waits_for)
            if line and line != watched.waits_for:
                watched.waits_for = line
                if not wants_json():
                    click.echo(f"waits for {line}", err=True)
            if record.state not in _GOING_ON:
                raise CeremonyUnfinished(f"the order is {record.state.name.lower()}", order=watched.order)
            if time.monotonic() >= deadline:
                raise watched.ended(f"the ceremony is not over after {timeout_s:.0f} s")
            await asyncio.sleep(_POLL_S)
            status = await opened.client.order(status.hash)


async def _meant(opened: Session, text: str) -> OrderStatus:
    """The order that is typed, or the newest one about the key of the vault of that name; one that goes on first.

    Raises:
        OrderNotFound: it is neither.
    """
    try:
        return await opened.find(text)
    except OrderNotFound as error:
        found = [one async for one in opened.orders(most=_ORDERS_LOOKED_AT) if text in _names_of(one)]
        if not found:
            raise OrderNotFound(f"{error.message}; and no vault {text} was ordered or gets new shares") from error
        return next((one for one in found if one.proven.record.state in _RUNNING), found[0])


def _names_of(status: OrderStatus) -> tuple[str, ...]:
    """The vaults whose key an order is about."""
    action = status.order.action
    if isinstance(action, CreateVault):
        return (action.name,)
    return tuple(vaults_of(action)) if isinstance(action, RefreshShares | ReshareVault) else ()


async def _vaults_of(opened: Session, status: OrderStatus) -> tuple[VaultRecord, ...]:
    names = _names_of(status)
    if not names:
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
        "ordered_by": next((one.person for one in record.endorsements if one.verb is Verb.INITIATE), ""),
        "approved_by": sorted({one.person for one in record.endorsements if one.verb is Verb.APPROVE}),
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
        f"Ordered by   {data['ordered_by'] or 'nobody whose word is kept'}",
        f"Approved by  {', '.join(data['approved_by']) or 'nobody whose word is kept'}",
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
