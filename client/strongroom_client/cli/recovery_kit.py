"""`strongroom recovery-kit`: move a vault when nothing runs any more, with words on paper and an exported log.

No coordinator, signer, database or network is asked: files go in, files come out.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click
from rich.console import RenderableType
from rich.text import Text

from strongroom.chains.bitcoin import policy
from strongroom.chains.bitcoin.networks import BY_CAIP2
from strongroom.chains.bitcoin.transaction import txid_text
from strongroom.ledger.order_messages import SweepVault
from strongroom.ledger.plans import vault_key_of
from strongroom.ledger.records import VaultRecord
from strongroom.ledger.signed_messages import Verb
from strongroom.model.fingerprints import Compared, spoken
from strongroom.model.quantities import parse_duration, time_text
from strongroom.protocol.recovery_kit_files import (
    MAX_COINS_BYTES,
    MAX_FILE_BYTES,
    SweepOrderFile,
    read_coins,
    read_order_file,
    read_plan_file,
    read_revocation_file,
    write_order_file,
    write_plan_file,
)
from strongroom.protocol.recovery_kit_order import (
    JudgedSweep,
    SweepOrderRefused,
    judge_sweep,
    may_approve,
    read_sweep,
    require_quorum,
)
from strongroom.protocol.recovery_kit_plan import DEFAULT_SEARCH, check_plan, key_in_force, make_plan, own_coins
from strongroom.protocol.recovery_kit_revoked import charters_in_force, revoked_by_files
from strongroom.protocol.recovery_kit_rounds import SweepHolder, combine, holder_share
from strongroom.protocol.recovery_kit_words import COMMITMENTS, SHARES
from strongroom_client.cli.output import PathArgument, emit, group, json_option, passphrase_option, read_passphrase
from strongroom_client.cli.shared import now_ms
from strongroom_client.cli.shared_sheet import show
from strongroom_client.cli.shared_signing import confirm
from strongroom_client.files import read_bytes, replace_file, write_new
from strongroom_client.orders import draft, endorsement
from strongroom_client.person_key import PersonKey
from strongroom_client.recovery_kit.exchange import Exchange
from strongroom_client.recovery_kit.exported import KitLog, open_export, parse_head
from strongroom_client.recovery_kit.hardening import harden
from strongroom_client.recovery_kit.sheet import (
    log_lines,
    order_lines,
    plan_data,
    plan_lines,
    revocation_lines,
    vault_data,
    vault_lines,
)
from strongroom_client.recovery_kit.words import host_key
from strongroom_client.vote_claims import claim_words, claims_data

__all__ = ["recovery_kit"]

recovery_kit = group(
    "recovery-kit", "Move a vault with words on paper and an exported log alone; asks nothing running."
)

Command = TypeVar("Command", bound=Callable[..., Any])
_MAX_RATE: Final = 10_000

_log = click.option("--log", "log_file", required=True, type=PathArgument, help="What a signer's `export-log` wrote.")
_order = click.option("--order", "order_file", required=True, type=PathArgument, help="The order with its approvals.")
_plan = click.option("--plan", "plan_file", required=True, type=PathArgument, help="What `plan` wrote.")
_exchange = click.option("--exchange", required=True, type=PathArgument, help="The folder of this attempt.")
_revoked = click.option(
    "--revoked",
    "revoked_files",
    multiple=True,
    type=PathArgument,
    help="A revocation that was handed to signers: its keys count no more. As often as there are some.",
)
_yes = click.option("--yes", "-y", is_flag=True, help="Sign without asking whether to.")


def _compared(command: Command) -> Command:
    """Give a command `--fingerprint` and `--head`: what its person compared with others; asked for when left out."""
    head = click.option(
        "--head", metavar="SIZE:ROOT", help="A recent head, as others read it to you; asked for as well."
    )
    return click.option("--fingerprint", help="Of the log, as you compared it; asked for when left out.")(head(command))


@recovery_kit.command()
@_log
@click.option("--search", default=DEFAULT_SEARCH, show_default=True, type=click.IntRange(1, policy.MAX_INDEX))
@json_option
def describe(*, log_file: Path, search: int) -> None:
    """Show what an exported log says of itself: fingerprint, heads, vaults, and how to find their coins."""
    log = open_export(log_file)
    vaults = [(vault, _has_recovery(log, vault)) for vault in log.state.vaults()]
    emit(
        {
            "log_id": log.log_id.hex(),
            "organisation": log.state.charter.organisation,
            "read_aloud": spoken(Compared.CHARTER, log.log_id),
            "certified_head": log.head,
            "final_head": log.final_head,
            "time_ms": log.state.time_ms,
            "admins_wanted": max(1, log.state.charter.admin.count),
            "false_claims": claims_data(log.false_claims),
            "vaults": [vault_data(vault, recovery, search) for vault, recovery in vaults],
        },
        [
            Text(f"The log of {log.state.charter.organisation}, up to {time_text(log.state.time_ms)}", style="bold"),
            "This is what the file says of itself; it proves nothing. Hold its fingerprint against your sheet, a print",
            "of the charter or a status of your own, and its heads against what others have in writing.",
            f"  fingerprint     {log.log_id.hex()}",
            f"    read aloud    {spoken(Compared.CHARTER, log.log_id)}",
            f"  certified head  {log.head}",
            f"  final head      {log.final_head or 'none'}",
            *(Text(line, style="bold red") for line in claim_words(log.false_claims)),
            *(line for vault, recovery in vaults for line in vault_lines(vault, recovery)),
        ],
    )


@recovery_kit.command()
@_log
@click.option("--vault", required=True, help="The vault.")
@click.option("--search", default=DEFAULT_SEARCH, show_default=True, type=click.IntRange(1, policy.MAX_INDEX))
@json_option
def scan(*, log_file: Path, vault: str, search: int) -> None:
    """Print what a Bitcoin node's `scantxoutset start` takes to find a vault's coins."""
    found = open_export(log_file).vault(vault)
    objects = vault_data(found, True, search)["scan"]
    emit({"scan": objects}, json.dumps(objects))


@recovery_kit.command("order")
@_log
@click.option("--vault", required=True, help="The vault to move.")
@click.option("--to", "address", required=True, metavar="ADDRESS", help="Where everything goes.")
@click.option("--max-fee", required=True, type=click.IntRange(1, policy.MAX_MONEY_SAT), help="Satoshi, each time.")
@click.option("--expires", default="7d", show_default=True, help="How long it may be signed for; at most 30d.")
@click.option("--note", default="", help="For the people who approve, at most 200 bytes.")
@click.option("--out", required=True, type=PathArgument, help="The file to write; a new one.")
@json_option
def make_order(*, log_file: Path, vault: str, address: str, max_fee: int, expires: str, note: str, out: Path) -> None:
    """Write an order to move a whole vault to one address; the administrators approve it."""
    log = open_export(log_file)
    drafted = draft(
        SweepVault(vault=vault, destination=address, max_fee=max_fee),
        log_id=log.log_id,
        expires_ms=now_ms() + parse_duration(expires),
        random=secrets.token_bytes,
        note=note,
    )
    judged = read_sweep(log.state, drafted.data, now_ms=now_ms())
    write_new(out, write_order_file(SweepOrderFile(order=drafted.data)), mode=0o644)
    emit(
        {"order": judged.hash.hex(), "file": str(out), "wanted": judged.wanted},
        [*order_lines(judged), f"Wrote {out}. {judged.wanted} of the administrators approve it, one after the other."],
    )


@recovery_kit.command()
@click.argument("order_file", metavar="FILE", type=PathArgument)
@_log
@click.option("--key", "folder", required=True, type=PathArgument, help="The folder of your key.")
@_revoked
@_compared
@_yes
@passphrase_option
@json_option
def approve(
    *,
    order_file: Path,
    log_file: Path,
    folder: Path,
    revoked_files: tuple[Path, ...],
    fingerprint: str | None,
    head: str | None,
    yes: bool,
    passphrase_file: Path | None,
) -> None:
    """Look at an order and add your approval to its file."""
    log = _opened(log_file, fingerprint, head)
    file = read_order_file(read_bytes(order_file, max_bytes=MAX_FILE_BYTES))
    revoked = _revoked_by(log, revoked_files)
    _show_order(log, judge_sweep(log.state, file.order, file.approvals, now_ms=now_ms(), revoked=revoked))
    confirm("Approve exactly this?", yes=yes)
    with read_passphrase(passphrase_file, what="your key") as passphrase:
        key = PersonKey.open(folder, passphrase)
    with key:
        if not may_approve(log.state, key.name, key.public):
            raise SweepOrderRefused(f"the charter does not ask for the approval of {key.name} with this key")
        judged = read_sweep(log.state, file.order, now_ms=now_ms())
        body = endorsement(
            Verb.APPROVE,
            judged.hash,
            log_id=log.log_id,
            seen=log.seen,
            now_ms=now_ms(),
            person=key.name,
            key=key.public,
        )
        approvals = (*file.approvals, key.sign_endorsement(body))
    judged = judge_sweep(log.state, file.order, approvals, now_ms=now_ms(), revoked=revoked)
    replace_file(order_file, write_order_file(SweepOrderFile(order=file.order, approvals=approvals)), mode=0o644)
    emit(
        {"order": judged.hash.hex(), "approved_by": list(judged.approved), "wanted": judged.wanted},
        f"{order_file} is approved by {', '.join(judged.approved)}; {judged.wanted} are needed.",
    )


@recovery_kit.command("plan")
@_log
@_order
@click.option("--coins", "coins_file", required=True, type=PathArgument, help="What `scantxoutset` printed, or a list.")
@click.option("--fee-rate", required=True, type=click.IntRange(1, _MAX_RATE), help="Satoshi for each virtual byte.")
@click.option("--signer", "signers", multiple=True, help="Who will sign, as often as it needs; all if all must.")
@click.option("--search", default=DEFAULT_SEARCH, show_default=True, type=click.IntRange(1, policy.MAX_INDEX))
@click.option("--out", required=True, type=PathArgument, help="The file to write; a new one.")
@json_option
def make_the_plan(
    *,
    log_file: Path,
    order_file: Path,
    coins_file: Path,
    fee_rate: int,
    signers: tuple[str, ...],
    search: int,
    out: Path,
) -> None:
    """Make one transaction of a vault's coins to the order's address, and say who signs it."""
    log = open_export(log_file)
    file = read_order_file(read_bytes(order_file, max_bytes=MAX_FILE_BYTES))
    judged = judge_sweep(log.state, file.order, file.approvals, now_ms=now_ms())
    vault = judged.vault
    coins = read_coins(read_bytes(coins_file, max_bytes=MAX_COINS_BYTES), BY_CAIP2[vault.chain])
    owned = own_coins(vault_key_of(vault), coins.found, search=search)
    opened, left = make_plan(
        vault,
        key_in_force(vault, log.recovery_of(vault)),
        judged,
        owned,
        log_id=log.log_id,
        signers=signers or vault.signers,
        rate_sat_per_vb=fee_rate,
    )
    write_new(out, write_plan_file(opened), mode=0o644)
    left_sat = sum(one.coin.amount_sat for one in left)
    lines = [*plan_lines(opened), f"Wrote {out}. Each of {', '.join(opened.names)} signs it."]
    if left or coins.immature:
        lines.append(f"Left: {len(left)} coins of {left_sat:,} sat, and {coins.immature} that were mined too lately.")
    emit({**plan_data(opened), "file": str(out), "left_sat": left_sat, "immature": coins.immature}, lines)


@recovery_kit.command()
@_log
@_order
@_plan
@click.option("--signer", required=True, help="Whose words you will type.")
@_exchange
@_revoked
@_compared
@click.option("--words-fd", type=int, metavar="FD", help="An open pipe that gives the words, not the terminal.")
@click.option("--wait", is_flag=True, help="Look for the others' files until they are there, without asking.")
@click.option("--timeout", default="12h", show_default=True, help="How long to wait for them.")
@_yes
@json_option
def sign(
    *,
    log_file: Path,
    order_file: Path,
    plan_file: Path,
    signer: str,
    exchange: Path,
    revoked_files: tuple[Path, ...],
    fingerprint: str | None,
    head: str | None,
    words_fd: int | None,
    wait: bool,
    timeout: str,
    yes: bool,
) -> None:
    """Sign a plan with one holder's words, in one go: both rounds, no secret ever written.

    Whatever ends it early ends this attempt for everybody: begin again, all of you, in an empty folder.
    """
    harden()
    log = _opened(log_file, fingerprint, head)
    file = read_order_file(read_bytes(order_file, max_bytes=MAX_FILE_BYTES))
    revoked = _revoked_by(log, revoked_files)
    judged = judge_sweep(log.state, file.order, file.approvals, now_ms=now_ms(), revoked=revoked)
    require_quorum(judged)
    opened = read_plan_file(read_bytes(plan_file, max_bytes=MAX_FILE_BYTES))
    check_plan(opened, judged.vault, judged, log_id=log.log_id)
    recovery = log.recovery_of(judged.vault)
    folder = Exchange(exchange)
    folder.require_unused(signer)
    _show_order(log, judged)
    show(map(_line, plan_lines(opened)))
    confirm("Sign exactly this?", yes=yes)
    with host_key(words_fd, signer) as host:
        share = holder_share(judged.vault, signer, host, recovery)
        with SweepHolder(opened, signer, host=host, share=share, random=secrets.token_bytes) as holder:
            written = folder.write(COMMITMENTS, signer, holder.commitments)
            _await(folder, written, opened.names, wait=wait, timeout_s=parse_duration(timeout) / 1000)
            # Days may have passed: what has expired meanwhile is not signed.
            require_quorum(judge_sweep(log.state, file.order, file.approvals, now_ms=now_ms(), revoked=revoked))
            shares = holder.shares(folder.read(COMMITMENTS, opened.names), aux32=secrets.token_bytes(32))
    written = folder.write(SHARES, signer, shares)
    emit(
        {"signer": signer, "shares": str(written), "plan": opened.hash.hex()},
        f"Wrote {written}. When all who sign have theirs in one folder: strongroom recovery-kit combine.",
    )


@recovery_kit.command("combine")
@_plan
@_exchange
@click.option("--out", required=True, type=PathArgument, help="The transaction in hex; a new file.")
@json_option
def combine_shares(*, plan_file: Path, exchange: Path, out: Path) -> None:
    """Check every share, and make the finished transaction of them."""
    opened = read_plan_file(read_bytes(plan_file, max_bytes=MAX_FILE_BYTES))
    folder = Exchange(exchange)
    transaction = combine(opened, folder.read(COMMITMENTS, opened.names), folder.read(SHARES, opened.names))
    write_new(out, transaction.hex() + "\n", mode=0o644)
    emit(
        {**plan_data(opened), "transaction": transaction.hex(), "file": str(out)},
        [
            *plan_lines(opened),
            f"Wrote {out}: transaction {txid_text(opened.spend.txid)}. Send it with any Bitcoin node.",
        ],
    )


def _has_recovery(log: KitLog, vault: VaultRecord) -> bool:
    return vault.recovery_hash in log.recovery


def _opened(file: Path, typed: str | None, head: str | None) -> KitLog:
    """The exported log, held against what its person compared."""
    typed = typed or click.prompt("Log fingerprint, as it stands on your sheet", err=True)
    head = head or click.prompt("Recent head SIZE:ROOT, as others read it to you", err=True)
    return open_export(file, fingerprint=typed, head=parse_head(head))


def _revoked_by(log: KitLog, files: tuple[Path, ...]) -> frozenset[bytes]:
    """Keys that were revoked by hand; whose they are is shown, so that a person sees what a file does."""
    read = [read_revocation_file(read_bytes(file, max_bytes=MAX_FILE_BYTES)) for file in files]
    found = revoked_by_files(log.state, read, charters=charters_in_force(log.state, log.founded) if read else ())
    for file, one in zip(files, found, strict=True):
        show(map(_line, revocation_lines(str(file), one)))
    return frozenset(key for one in found for key in one.keys)


def _show_order(log: KitLog, judged: JudgedSweep) -> None:
    show(map(_line, [*log_lines(log, now_ms=now_ms()), *order_lines(judged)]))


def _line(line: RenderableType) -> RenderableType:
    return Text(line) if isinstance(line, str) else line


def _await(folder: Exchange, written: Path, names: tuple[str, ...], *, wait: bool, timeout_s: float) -> None:
    """Wait for the commitments of all who sign, or have them carried here."""

    def told(missing: tuple[str, ...]) -> None:
        click.echo(f"Waiting for the commitments of {', '.join(missing)} ...", err=True)

    if wait:
        folder.wait(COMMITMENTS, names, timeout_s=timeout_s, told=told)
        return
    while missing := folder.missing(COMMITMENTS, names):
        click.prompt(
            f"Leave this running. Carry {written.name} to {', '.join(missing)}, and bring their commitments into "
            f"{written.parent}; then press Enter",
            default="",
            show_default=False,
            prompt_suffix=" ",
            err=True,
        )
