"""The command `strongroom`: for people who initiate, approve and watch, and for who sets an organisation up."""

from __future__ import annotations

from importlib.metadata import version

import click
from click.shell_completion import get_completion_class

from strongroom_client.cli import (
    address_book,
    audit,
    break_glass,
    charter_amend,
    demo,
    freeze,
    init,
    login,
    pki,
    recovery_kit,
    restart,
    signers,
    status,
    vault_shares,
    withdraw,
)
from strongroom_client.cli.output import ErrorGroup

__all__ = ["main"]

_NAME = "strongroom"


@click.group(
    cls=ErrorGroup,
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


main.add_command(init.init)
main.add_command(pki.pki)
main.add_command(charter_amend.charter)
main.add_command(login.login)
main.add_command(status.status)
main.add_command(vault_shares.vault)
main.add_command(withdraw.withdraw)
main.add_command(freeze.freeze)
main.add_command(freeze.unfreeze)
main.add_command(freeze.freezes)
main.add_command(address_book.address_book)
main.add_command(break_glass.break_glass)
main.add_command(signers.signers)
main.add_command(restart.restart)
main.add_command(audit.audit)
main.add_command(recovery_kit.recovery_kit)
main.add_command(demo.demo)
