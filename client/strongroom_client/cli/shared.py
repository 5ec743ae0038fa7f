"""What commands that talk to a coordinator share: the profile, the connection, and finding the order that is meant."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from strongroom.model.errors import Kind, StrongroomError
from strongroom.model.ids import LogId, OrderHash
from strongroom_client.answers import OrderStatus
from strongroom_client.cli.output import PathArgument, wants_json
from strongroom_client.errors import NotFound, NotProven, ProfileProblem
from strongroom_client.orders import Seen
from strongroom_client.profile import Memory, Profile, default_profile, load_profile
from strongroom_client.treasury import TreasuryClient
from strongroom_client.typed_log_id import log_id_of_typed

__all__ = [
    "BadOption",
    "OrderList",
    "OrderNotFound",
    "Session",
    "connected",
    "finish",
    "mine",
    "now_ms",
    "patiently",
    "pinned_log_id",
    "profile_option",
    "run",
    "session",
]

_SHORTEST_PREFIX: Final = 8
_ORDERS_LOOKED_AT: Final = 10_000
_PAGES_LOOKED_AT: Final = 200
_PAGE: Final = 500
_FINAL_WAIT_S: Final = 15.0
_POLL_S: Final = 0.2
_QUIET_S: Final = 3.0

T = TypeVar("T")
Command = TypeVar("Command", bound=Callable[..., Any])


class OrderNotFound(StrongroomError):
    """No order, or more than one, is what was typed."""

    reason = "ORDER_NOT_FOUND"
    kind = Kind.NOT_FOUND
    remedy = "give more digits, or the whole hash"


class BadOption(StrongroomError):
    """An option or argument has no meaning here; the message says what would."""

    reason = "BAD_OPTION"
    kind = Kind.INVALID_ARGUMENT
    remedy = "give what the message names; `--help` lists the options"


def pinned_log_id(typed: str | None, profile: Path, held: Callable[[], LogId]) -> LogId:
    """The log id that was typed, else the one in the profile, for what asks no coordinator.

    Args:
        typed: In either form.
        profile: The profile.
        held: Which log the file at hand says it is of; what reads the file proves it.

    Raises:
        ProfileProblem: what was typed is no log id, or nothing was and there is no profile.
        PinMismatch: it is not the log id of the file.
    """
    if typed is not None:
        return log_id_of_typed(typed, held)
    try:
        return load_profile(profile).log_id
    except ProfileProblem as error:
        raise ProfileProblem(f"{error.message}, or give the log id with --log-id", file=str(profile)) from error


@dataclass(slots=True, kw_only=True)
class OrderList:
    """Orders of the coordinator's list, newest first, asked for as they are taken; made by `Session.orders`.

    Attributes:
        is_whole: Whether the list was taken to its end; else older orders may be left that nobody looked at.
    """

    client: TreasuryClient
    vault: str
    statuses: tuple[str, ...]
    most: int
    pages: int
    is_whole: bool = False

    async def __aiter__(self) -> AsyncIterator[OrderStatus]:
        """The orders.

        Raises:
            NotProven: one is not what the coordinator says.
        """
        token, count = "", 0
        for _ in range(self.pages):
            if count >= self.most:
                return
            page, token = await self.client.orders(
                vault=self.vault, statuses=self.statuses, page_size=_PAGE, page_token=token
            )
            for status in page:
                yield status
            count += len(page)
            # Only the token says where the list ends: a page is short or empty wherever few orders are selected.
            if not token:
                self.is_whole = True
                return


@dataclass(frozen=True, slots=True)
class Session:
    """An open client with the profile it was opened from."""

    profile: Profile
    memory: Memory
    client: TreasuryClient

    async def seen(self) -> Seen:
        """The newest final head, remembered on this machine.

        Raises:
            NotProven: it is older than one that this machine has proven before.
        """
        seen = await self.client.seen()
        known = self.memory.head()
        if known is not None and (seen.size < known.size or (seen.size == known.size and seen.root != known.root)):
            raise NotProven(
                f"the coordinator shows a final log of {seen.size} entries, and this machine has proven {known.size} "
                "before: it is behind or hides something; sign nothing, and ask your operators"
            )
        self.memory.remember(seen, (await self.client.trust()).witnesses)
        return seen

    async def find(self, text: str) -> OrderStatus:
        """The order that is meant by its hash, by at least 8 first digits of it, or by its id.

        Raises:
            OrderNotFound: there is none, or the digits are of several.
        """
        digits = text.strip().lower().replace(" ", "")
        if len(digits) < _SHORTEST_PREFIX or any(letter not in "0123456789abcdef" for letter in digits):
            raise OrderNotFound(
                f"{text!r} names no order: give its hash, its id, or {_SHORTEST_PREFIX} or more first digits of it"
            )
        if len(digits) == 64:
            return await self.client.order(OrderHash(bytes.fromhex(digits)))
        if len(digits) == 32:
            with suppress(NotFound):
                return await self.client.order(bytes.fromhex(digits))
        listed = self.orders()
        found = [status async for status in listed if status.hash.hex().startswith(digits)]
        if len(found) != 1:
            none = "no order of the coordinator's list" if listed.is_whole else "none of the newest orders"
            what = none if not found else f"{len(found)} orders"
            raise OrderNotFound(f"{what} begins with {digits}: give the whole hash", digits=digits)
        return found[0]

    def orders(
        self,
        *,
        vault: str = "",
        statuses: tuple[str, ...] = (),
        most: int = _ORDERS_LOOKED_AT,
        pages: int = _PAGES_LOOKED_AT,
    ) -> OrderList:
        """The newest orders, page by page; each proven, the selection the coordinator's.

        Args:
            vault: Only those of this vault; empty for all.
            statuses: Only those of these statuses; empty for all.
            most: No page is asked for once there are so many.
            pages: Most pages: each may be empty, where the coordinator found nothing in what it looked at for it.
        """
        return OrderList(client=self.client, vault=vault, statuses=statuses, most=most, pages=pages)


def profile_option(command: Command) -> Command:
    """Give a command `--profile`; it receives the path of the profile file."""

    def chosen(_: click.Context, __: click.Parameter, value: Path | None) -> Path:
        return value or default_profile()

    option = click.option(
        "--profile",
        type=PathArgument,
        envvar="STRONGROOM_PROFILE",
        callback=chosen,
        help="The profile that `strongroom login` wrote; else STRONGROOM_PROFILE, else ~/.config/strongroom.",
    )
    return option(command)


@asynccontextmanager
async def session(profile_file: Path) -> AsyncIterator[Session]:
    """Open a session from a profile; it connects at the first call.

    Raises:
        ProfileProblem: the profile or a file it names cannot be used.
    """
    profile = load_profile(profile_file)
    memory = Memory.beside(profile_file, profile.log_id)
    async with connected(profile, memory) as client:
        yield Session(profile, memory, client)


def connected(profile: Profile, memory: Memory) -> TreasuryClient:
    """A client that believes nothing which contradicts what this machine remembers; it connects at the first call.

    Raises:
        ProfileProblem: a file that the profile names, or the memory, cannot be used.
    """
    known = memory.head()
    return TreasuryClient.connect(
        profile.endpoint,
        log_id=profile.log_id,
        final_seen=0 if known is None else known.size,
        witnesses=memory.witnesses(),
    )


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a command's asynchronous part to its end."""
    return asyncio.run(work)


async def patiently(work: Awaitable[T], *, quiet_s: float = _QUIET_S) -> T:
    """Await what signers must certify; say so on standard error when that takes longer than `quiet_s` seconds."""
    waiting = asyncio.ensure_future(work)
    await asyncio.wait({waiting}, timeout=quiet_s)
    if not waiting.done() and not wants_json():
        click.echo("Waiting for enough signers to certify it ...", err=True)
    return await waiting


def now_ms() -> int:
    """This machine's clock, Unix milliseconds."""
    return time.time_ns() // 1_000_000


def mine(status: OrderStatus, person: str, verb: Any) -> bool:
    """Whether a proven record holds this word of this person."""
    return any(said.person == person and said.verb is verb for said in status.proven.record.endorsements)


async def finish(
    opened: Session, key: OrderHash, met: Callable[[OrderStatus], bool], *, wait_s: float = _FINAL_WAIT_S
) -> OrderStatus | None:
    """Wait until an order's record is final and meets a condition; None if that does not come in time."""
    deadline = time.monotonic() + wait_s
    while True:
        status = await opened.client.order(key)
        if status.proven.final and met(status):
            return status
        if time.monotonic() >= deadline:
            return None
        await asyncio.sleep(_POLL_S)
