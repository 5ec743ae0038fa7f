"""The command `strongroom`: for people who initiate, approve and watch, and for who sets an organisation up."""

from __future__ import annotations

from importlib.metadata import version

import click
from click.shell_completion import get_completion_class

from strongroom_client.cli.output import RootGroup

__all__ = ["main"]

_NAME = "strongroom"
_COMMANDS = {
    "init": "init:init",
    "pki": "pki:pki",
    "charter": "charter_amend:charter",
    "login": "login:login",
    "status": "status:status",
    "vault": "vault_shares:vault",
    "withdraw": "withdraw:withdraw",
    "freeze": "freeze:freeze",
    "unfreeze": "freeze:unfreeze",
    "freezes": "freeze:freezes",
    "address-book": "address_book:address_book",
    "break-glass": "break_glass:break_glass",
    "signers": "signers:signers",
    "restart": "restart:restart",
    "audit": "audit:audit",
    "recovery-kit": "recovery_kit:recovery_kit",
    "demo": "demo:demo",
}
"""Where each command is: only the module of the one that is given is imported, so that it starts sooner."""


@click.group(
    cls=RootGroup,
    parts=_COMMANDS,
    name=_NAME,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    no_args_is_help=True,
)
@click.version_option(version(_NAME), "--version", prog_name=_NAME)
def main() -> None:
    """Threshold-signature custody: no single party can move the coins.

    Exit codes: 0 done, 1 failure, 2 wrong usage, 3 wrong passphrase, 4 refused by a rule or a check.
    """


@main.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script of a shell, to be sourced by it."""
    script = get_completion_class(shell)
    if script is None:
        raise click.UsageError(f"no completion for {shell}")
    click.echo(script(main, {}, _NAME, "_STRONGROOM_COMPLETE").source())
