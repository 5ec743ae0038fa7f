"""`strongroom restart`: founding the log anew when too few signers' votes survived, and following when others did."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import click
from rich.console import Console
from rich.text import Text

from strongroom.ledger.charter import Charter, decode_charter
from strongroom.ledger.charter_source import parse_charter_toml
from strongroom.model.fingerprints import Compared, is_fingerprint
from strongroom.protocol.restart import draft_restart, with_approval
from strongroom.wire.cards import parse_card
from strongroom.wire.restart_file import encode_restart_file
from strongroom_client.audit import Auditor
from strongroom_client.cli.charter_view import fingerprint_text
from strongroom_client.cli.output import PathArgument, Refused, emit, group, json_option, read_passphrase
from strongroom_client.cli.restart_accept import accept
from strongroom_client.cli.restart_view import claimed_data, claimed_parts, count_words, judged_data, judged_parts
from strongroom_client.cli.shared import BadOption, now_ms, pinned_log_id, profile_option
from strongroom_client.cli.shared_signing import confirm, signing_options
from strongroom_client.files import read_bytes, read_text, write_new
from strongroom_client.log_files import held_log_id, replay_file
from strongroom_client.person_key import PersonKey
from strongroom_client.restarting import Judged, joined, judge, read_restart, with_signers
from strongroom_client.typed_log_id import LOG_ID_FORMS

__all__ = ["restart"]

restart = group("restart", "Found the log anew, by the administrators, when it can certify nothing any more.")
restart.add_command(accept)

_log = click.option("--log", required=True, type=PathArgument, help="The newest exported log that anybody has.")
_log_id = click.option(
    "--log-id", metavar="LOG_ID", help=f"The log's fingerprint, when there is no profile: {LOG_ID_FORMS}."
)
_out = click.option("--out", required=True, type=PathArgument, help="The file to write; it must not be there yet.")


@restart.command()
@_log
@click.option("--card", "cards", multiple=True, type=PathArgument, help="The new card of a signer; give it for each.")
@click.option("--charter", type=PathArgument, help="The next charter, .toml or .bin, instead of the one in force.")
@click.option("--witness-quorum", type=click.IntRange(1, 100), help="How many signers must vote from here on.")
@_out
@_log_id
@profile_option
@json_option
def draft(
    *,
    log: Path,
    cards: tuple[Path, ...],
    charter: Path | None,
    witness_quorum: int | None,
    out: Path,
    log_id: str | None,
    profile: Path,
) -> None:
    """Write the statement that the log goes on from its newest certificate, with new keys of signers. Offline."""
    replayed = _replayed(log, log_id, profile)
    state = replayed.state
    signers = [parse_card(read_text(card)).as_signer() for card in cards]
    base = state.charter if charter is None else _charter_of(charter, state.charter)
    unchanged = [one.name for one in signers if one in state.charter.signers]
    following = with_signers(base, signers, quorum=witness_quorum)
    drafted = draft_restart(state, replayed.certificate, following, now_ms=max(now_ms(), state.time_ms))
    judged = judge(replayed, drafted, now_ms=now_ms())
    write_new(out, encode_restart_file(drafted), mode=0o644)
    emit(
        {"file": str(out), **judged_data(judged), "unchanged_cards": unchanged},
        [
            *judged_parts(judged),
            *[
                Text(f"The card of {name} has the keys that the charter has: nothing changes by it.", style="yellow")
                for name in unchanged
            ],
            f"Wrote {out}. Each administrator runs, with a log of its own choice and its own key:",
            "  " + _next("approve", [out], log, Path(f"{out}.NAME"), replayed, "--key KEY_FOLDER"),
        ],
    )


@restart.command()
@click.argument("file", type=PathArgument)
@_log
@click.option("--key", "folder", required=True, type=PathArgument, help="The folder of your key.")
@click.option("--fingerprint", "expected", help="Refuse any statement but the one with this fingerprint.")
@_out
@_log_id
@signing_options
@profile_option
@json_option
def approve(
    *,
    file: Path,
    log: Path,
    folder: Path,
    expected: str | None,
    out: Path,
    log_id: str | None,
    yes: bool,
    passphrase_file: Path | None,
    profile: Path,
) -> None:
    """Approve a statement as an administrator, after it was held against a log of your own choice. Offline."""
    replayed = _replayed(log, log_id, profile)
    judged = judge(replayed, read_restart(file), now_ms=now_ms())
    if expected is not None and not is_fingerprint(expected, Compared.RESTART_STATEMENT, judged.founding.statement):
        raise Refused(f"{file} has another fingerprint than the one given: get the statement that was agreed on")
    _ask(file, judged)
    confirm("Found the log anew like this?", yes=yes)
    with (
        read_passphrase(passphrase_file, what=f"the key in {folder}") as passphrase,
        PersonKey.open(folder, passphrase) as key,
    ):
        signed = with_approval(replayed.state, judged.restart, key.approve_restart(judged.restart))
        write_new(out, encode_restart_file(signed), mode=0o644)
        after = judge(replayed, signed, now_ms=now_ms())
        emit(
            {"file": str(out), "person": key.name, **judged_data(after)},
            f"{key.name} approves. Wrote {out}: {count_words(after)}. When there are enough, with all their files:\n"
            f"  {_next('finish', [out], log, Path('restart.bin'), replayed)}",
        )


@restart.command()
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=PathArgument)
@_log
@_out
@_log_id
@profile_option
@json_option
def finish(*, files: tuple[Path, ...], log: Path, out: Path, log_id: str | None, profile: Path) -> None:
    """Join the approvals of one statement to the file that every operator takes, and name the new log id. Offline."""
    replayed = _replayed(log, log_id, profile)
    judged = [judge(replayed, read_restart(file), now_ms=now_ms()) for file in files]
    first = judged[0].founding
    whole = judge(
        replayed,
        joined([one.restart for one in judged], needed=len(first.approved) + first.missing),
        now_ms=now_ms(),
    )
    found = whole.founding
    if found.log_id is None:
        others = ", ".join(found.may_approve) or "nobody left"
        raise Refused(f"{count_words(whole)}: ask for {found.missing} more, from {others}")
    write_new(out, encode_restart_file(whole.restart), mode=0o644)
    emit(
        {"file": str(out), **judged_data(whole)},
        f"Wrote {out}, approved by {', '.join(found.approved)}. The new log id, to compare on another channel:\n"
        f"{fingerprint_text(found.log_id)}",
    )


@restart.command()
@click.argument("file", type=PathArgument)
@click.option("--log", type=PathArgument, help="An exported log to hold it against.")
@_log_id
@profile_option
@json_option
def show(*, file: Path, log: Path | None, log_id: str | None, profile: Path) -> None:
    """Show what a restart file says; held against a log, also what it changes, who approved and who is missing."""
    read = read_restart(file)
    if log is None:
        emit(claimed_data(read), claimed_parts(read))
        return
    judged = judge(_replayed(log, log_id, profile), read, now_ms=now_ms())
    emit(judged_data(judged), judged_parts(judged))


def _next(command: str, files: Sequence[Path], log: Path, out: Path, replayed: Auditor, *more: str) -> str:
    """The whole next command, which also runs where there is no profile."""
    given = ["strongroom", "restart", command, *map(str, files), "--log", str(log), "--out", str(out)]
    given += ["--log-id", replayed.log_id.hex()]
    return " ".join([*map(shlex.quote, given), *more])


def _replayed(log: Path, log_id: str | None, profile: Path) -> Auditor:
    """The log of a file, every entry of it judged again."""
    auditor = Auditor(pinned_log_id(log_id, profile, lambda: held_log_id(log)))
    replay_file(auditor, log)
    return auditor


def _charter_of(file: Path, now: Charter) -> Charter:
    """A charter that was made from the one in force, as if it had its version."""
    if file.suffix == ".bin":
        read = decode_charter(read_bytes(file))
    else:
        read = parse_charter_toml(read_text(file), salt=now.salt)
    if read.version not in (now.version, now.version + 1):
        raise BadOption(
            f"{file} is version {read.version}, and version {now.version} is in force: make it from that one"
        )
    return replace(read, version=now.version)


def _ask(file: Path, judged: Judged) -> None:
    """Show on standard error what is about to be approved."""
    console = Console(stderr=True, highlight=False)
    for part in judged_parts(judged):
        console.print(part)
    click.echo(f"This is the statement in {file}.", err=True)
