"""What every command shares: output for people or as JSON, errors with their exit codes, and passphrases.

Exit codes: 0 done; 1 failure; 2 wrong usage; 3 wrong passphrase; 4 refused by a rule or a check.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from enum import IntEnum
from importlib import import_module
from pathlib import Path
from typing import Any, Final, TypeVar

import click
from rich.console import Console, RenderableType
from rich.markup import escape

from strongroom.crypto.sealed import MAX_PASSPHRASE_SIZE, WrongPassphrase
from strongroom.crypto.secret import SecretBytes
from strongroom.model.errors import Kind, StrongroomError
from strongroom_client.errors import RemoteError
from strongroom_client.files import FileProblem, read_bytes

__all__ = [
    "ExitCode",
    "PathArgument",
    "Refused",
    "RootGroup",
    "emit",
    "exit_code_of",
    "group",
    "json_option",
    "passphrase_option",
    "read_passphrase",
    "wants_json",
]

_JSON: Final = "strongroom.json"
_WIDTH_OF_FILES: Final = 120
Command = TypeVar("Command", bound=Callable[..., Any])


class ExitCode(IntEnum):
    """What a shell script learns from the exit code."""

    DONE = 0
    FAILURE = 1
    USAGE = 2
    WRONG_PASSPHRASE = 3
    REFUSED = 4


class Refused(StrongroomError):
    """A rule or a check says no; the message lists why."""

    reason = "CHECK_FAILED"
    kind = Kind.FAILED_PRECONDITION
    remedy = "mend what the message lists, and run it again"


_REFUSALS: Final = frozenset({Kind.PERMISSION_DENIED, Kind.FAILED_PRECONDITION})
_REFUSED_SOURCES: Final = frozenset({"CHARTER_SOURCE_INVALID", "NOT_PROVEN"})


def exit_code_of(error: StrongroomError) -> ExitCode:
    """Return the exit code of an error."""
    if isinstance(error, WrongPassphrase):
        return ExitCode.WRONG_PASSPHRASE
    if isinstance(error, FileProblem):
        return ExitCode.FAILURE
    if error.kind in _REFUSALS or error.reason in _REFUSED_SOURCES:
        return ExitCode.REFUSED
    return ExitCode.FAILURE


class RootGroup(click.Group):
    """The root group: shows an error of ours as what, where, what to do and its reason, never as a traceback.

    Args:
        parts: Of commands that are imported when they are needed: `module:attribute` below this package, by name.
    """

    def __init__(self, *args: Any, parts: Mapping[str, str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._parts = dict(parts)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of all commands."""
        return sorted({*super().list_commands(ctx), *self._parts})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a name, imported now if it was not yet."""
        if cmd_name in self._parts and cmd_name not in self.commands:
            module, _, attribute = self._parts[cmd_name].partition(":")
            self.add_command(getattr(import_module(f"strongroom_client.cli.{module}"), attribute), cmd_name)
        return super().get_command(ctx, cmd_name)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; turn an error of ours into its message and exit code."""
        try:
            return super().invoke(ctx)
        except StrongroomError as error:
            _show_error(ctx, error)
            ctx.exit(int(exit_code_of(error)))


def group(name: str, text: str) -> click.Group:
    """Make a group of commands; without a command it shows its help."""
    return click.Group(name, help=text, no_args_is_help=True)


def json_option(command: Command) -> Command:
    """Give a command `--json`, which `emit` and errors obey."""

    def remember(ctx: click.Context, _: click.Parameter, value: bool) -> None:
        ctx.meta[_JSON] = value

    return click.option(
        "--json", is_flag=True, is_eager=True, expose_value=False, callback=remember, help="Print JSON for programs."
    )(command)


def wants_json() -> bool:
    """Whether the running command was given `--json`; what no command runs answers people."""
    context = click.get_current_context(silent=True)
    return context is not None and bool(context.meta.get(_JSON))


def emit(data: Mapping[str, Any], human: str | Sequence[RenderableType]) -> None:
    """Print `data` as JSON if `--json` was given, else `human`: text as it stands, or text and tables in a list."""
    if wants_json():
        click.echo(json.dumps(data, indent=2))
        return
    if isinstance(human, str):
        click.echo(human)
        return
    console = Console(highlight=False, width=None if sys.stdout.isatty() else _WIDTH_OF_FILES)
    for part in human:
        console.print(escape(part) if isinstance(part, str) else part, soft_wrap=isinstance(part, str))


def passphrase_option(command: Command) -> Command:
    """Give a command `--passphrase-file`; the command reads it with `read_passphrase`."""
    return click.option(
        "--passphrase-file",
        type=PathArgument,
        help="Read the passphrase from this file (its first line) instead of asking for it.",
    )(command)


PathArgument: Final = click.Path(path_type=Path)
"""Any path; commands check it themselves, so that errors read alike."""


def read_passphrase(file: Path | None, *, what: str, confirm: bool = False) -> SecretBytes:
    """Read a passphrase from a file, or ask for it; never from arguments or the environment.

    Args:
        file: A file of one line, or None to ask.
        what: What the passphrase is for, to be shown.
        confirm: Ask twice, for a new passphrase.

    Raises:
        FileProblem: the file cannot be read, or holds no passphrase of 1 to 1,024 bytes.
    """
    if file is None:
        asked: str = click.prompt(f"Passphrase for {what}", hide_input=True, confirmation_prompt=confirm, err=True)
        return _bounded(bytearray(asked.encode("utf-8")), "the passphrase")
    content = read_bytes(file, max_bytes=MAX_PASSPHRASE_SIZE + 2)
    return _bounded(bytearray(content.split(b"\n", 1)[0].removesuffix(b"\r")), str(file))


def _bounded(passphrase: bytearray, where: str) -> SecretBytes:
    if not 1 <= len(passphrase) <= MAX_PASSPHRASE_SIZE:
        raise FileProblem(f"{where} must be 1 to {MAX_PASSPHRASE_SIZE} bytes long")
    return SecretBytes.take_over(passphrase)


def _show_error(ctx: click.Context, error: StrongroomError) -> None:
    # The coordinator's own reason says more than the class of its status code.
    reason = error.remote_reason if isinstance(error, RemoteError) else error.reason
    # Advice that the coordinator's word chooses would be the coordinator's: to order a payment again, for one.
    remedy = error.remedy.rstrip(".") if reason == error.reason else ""
    if ctx.meta.get(_JSON):
        content = {"reason": reason, "message": error.message, "remedy": remedy, "facts": error.facts}
        click.echo(json.dumps({"error": content}, indent=2), err=True)
        return
    what_to_do = f"What to do: {remedy}\n" if remedy else ""
    click.echo(f"Error: {error.message}\n{what_to_do}Reason: {reason}", err=True)
