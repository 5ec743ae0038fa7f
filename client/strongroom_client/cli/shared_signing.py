"""Signing and delivering people's words: what was shown is what is signed, and delivered means proven so.

A rejection or a freeze that the log does not prove to hold may be withheld by the coordinator. Then nothing here calls
it delivered: the person gets a file that acts at every signer it is handed to.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click
from rich.text import Text

from strongroom.ledger.records import OrderState
from strongroom.ledger.signed_messages import Verb
from strongroom.model.errors import StrongroomError
from strongroom.model.ids import LogId, OrderHash
from strongroom.protocol.signed import SignedBody
from strongroom_client.answers import OrderStatus, Receipt
from strongroom_client.cli.output import emit, passphrase_option, read_passphrase
from strongroom_client.cli.shared import BadOption, Session, finish, mine, now_ms, session
from strongroom_client.cli.shared_sheet import show
from strongroom_client.errors import RemoteError
from strongroom_client.files import FileExists, write_new
from strongroom_client.orders import Seen, endorsement
from strongroom_client.person_key import PersonKey
from strongroom_client.plain_text import counted
from strongroom_client.profile import Profile

__all__ = [
    "Delivery",
    "acted",
    "confirm",
    "deliver",
    "hand_in_text",
    "logged_data",
    "rejected",
    "report_delivery",
    "report_logged",
    "sign",
    "signing_options",
    "unlock",
    "write_hand_in",
]

Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """What became of a rejection or freeze."""

    receipt: Receipt | None
    """Proof that the log holds it under a certificate; None when there is no such proof."""
    is_final: bool
    """The log that holds it cannot vanish any more: only then is it delivered."""
    problem: str
    """Why it is not proven; empty when it is."""


def signing_options(command: Command) -> Command:
    """Give a command `--yes` and `--passphrase-file`."""
    option = click.option("--yes", "-y", is_flag=True, help="Sign without asking whether to.")
    return option(passphrase_option(command))


def confirm(question: str, *, yes: bool) -> None:
    """Ask before signing.

    Raises:
        click.Abort: the answer is no.
        BadOption: nobody is there to give one.
    """
    if yes:
        return
    try:
        agreed = click.confirm(question, err=True)
    except click.Abort:
        if sys.stdin.isatty():
            raise
        raise BadOption(
            "nothing was signed: there is no terminal to ask at. Look at the order first (`show` or `status`), then "
            "give --yes to sign without being asked, and --passphrase-file"
        ) from None
    if not agreed:
        raise click.Abort


def unlock(profile: Profile, passphrase_file: Path | None) -> PersonKey:
    """Open the profile's key.

    Raises:
        WrongPassphrase: the passphrase does not open it.
        FileProblem, SealedFileDamaged: there is no usable key file.
    """
    with read_passphrase(passphrase_file, what=f"the key of {profile.person()}") as passphrase:
        return PersonKey.open(profile.key_folder, passphrase)


def sign(key: PersonKey, verb: Verb, order: OrderHash, *, log_id: LogId, seen: Seen) -> SignedBody:
    """Sign one word on one order."""
    body = endorsement(verb, order, log_id=log_id, seen=seen, now_ms=now_ms(), person=key.name, key=key.public)
    return SignedBody.of(key.sign_endorsement(body))


def hand_in_text(order: bytes, endorsements: Sequence[SignedBody]) -> str:
    """The file for `strongroom-signer hand-in`: order bytes (empty for a rejection) and signed endorsements."""
    signed = [{"body": one.body.hex(), "signature": one.signature.hex()} for one in endorsements]
    return json.dumps({"v": 1, "order": order.hex(), "endorsements": signed}, indent=2) + "\n"


def write_hand_in(file: Path | None, what: str, key: bytes, text: str) -> Path:
    """Write that file: where it is asked for, else in the working folder under a name of its own."""
    if file is not None:
        write_new(file, text, secret=False)
        return file
    stem = f"{what}-{key.hex()[:16]}"
    for number in range(1, 1_000):
        path = Path(f"{stem}.json" if number == 1 else f"{stem}-{number}.json").absolute()
        try:
            write_new(path, text, secret=False)
        except FileExists:
            continue
        return path
    raise FileExists(f"there are too many files {stem}-*.json here: remove some, or give --out")


async def deliver(
    profile_file: Path,
    key: OrderHash,
    send: Callable[[Session], Any],
    met: Callable[[OrderStatus], bool],
) -> Delivery:
    """Send a rejection or freeze, and wait for the proof that it stands in a final log.

    Args:
        profile_file: The profile.
        key: Hash of the order it is about.
        send: Sends it, and returns the proven receipt.
        met: Whether an order's record holds it.
    """
    receipt: Receipt | None = None
    try:
        async with session(profile_file) as opened:
            receipt = await send(opened)
            final = await finish(opened, key, met)
    except StrongroomError as error:
        reason = error.remote_reason if isinstance(error, RemoteError) else error.reason
        return Delivery(receipt=receipt, is_final=False, problem=f"{error.message} ({reason})")
    problem = "" if final else "the log that holds it is certified, but did not become final in time"
    return Delivery(receipt=receipt, is_final=final is not None, problem=problem)


def report_delivery(what: str, delivery: Delivery, data: dict[str, Any], file: Callable[[], Path]) -> None:
    """Say whether a rejection or freeze is delivered; when it is not, write its file and end with exit code 1."""
    data = {**data, "delivered": delivery.is_final, "final": delivery.is_final, **logged_data(delivery.receipt)}
    if delivery.is_final and delivery.receipt is not None:
        emit(
            {**data, "file": None},
            f"{what}: delivered. It is entry {delivery.receipt.index} of the log, proven and final.",
        )
        return
    path = file()
    emit({**data, "file": str(path), "problem": delivery.problem}, [])
    if delivery.receipt is not None:
        words = (
            f"{what}: logged as entry {delivery.receipt.index} under a certificate, NOT FINAL YET: it can still vanish."
        )
    else:
        words = f"{what}: NOT DELIVERED. Nothing proves that the log holds it."
    show(
        [
            Text(words, style="bold red"),
            Text(f"Why: {delivery.problem}"),
            Text(f"Give this file to the operators of the signers now, by any way you trust: {path}", style="bold red"),
            Text(f"Each of them runs: strongroom-signer hand-in --data FOLDER {path.name}. It acts there at once."),
        ]
    )
    click.get_current_context().exit(1)


def report_logged(what: str, receipt: Receipt, data: dict[str, Any]) -> None:
    """Say that an order or approval is logged."""
    known = " It was logged before." if receipt.already_known else ""
    emit(
        {**data, **logged_data(receipt)},
        f"{what}: logged as entry {receipt.index}, proven under a certificate of "
        f"{counted(receipt.certified_size, 'entry')}.{known}",
    )


def logged_data(receipt: Receipt | None) -> dict[str, Any]:
    """A receipt for programs."""
    if receipt is None:
        return {"entry": None, "certified_size": None, "already_known": False}
    return {
        "entry": receipt.index,
        "certified_size": receipt.certified_size,
        "already_known": receipt.already_known,
    }


def rejected(person: str) -> Callable[[OrderStatus], bool]:
    """Whether an order's record holds this person's rejection."""
    return lambda status: mine(status, person, Verb.REJECT)


def acted(status: OrderStatus) -> bool:
    """Whether an order that acts in the ledger itself has acted."""
    return status.proven.record.state is OrderState.DONE
