"""The reference of commands, made from the programs' own help: every command, argument and option once.

python tests/support/cli_reference.py > docs/reference/cli.md
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click

from strongroom_client.cli import main as strongroom
from strongroom_coordinator.main import _parser as coordinator_parser
from strongroom_regtest.main import _parser as regtest_parser
from strongroom_signer.main import _parser as signer_parser

WIDTH = 100
PARSERS = (signer_parser, coordinator_parser, regtest_parser)

INTRODUCTION = """# Commands

Four programs come with the package: `strongroom` for people, `strongroom-signer` and `strongroom-coordinator` for those
who run the daemons, and `strongroom-regtest`, a Bitcoin node for tests. This page is what they print for `--help`, made
from the programs; a test holds the two together. To renew it, run
`python tests/support/cli_reference.py > docs/reference/cli.md`.

For how to use them, start from the README's walk "By hand" and the guide for your role.
"""


def click_pages(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[str, str]]:
    """Name and help of a command and of all below it."""
    name = " ".join((*path, command.name or ""))
    parent = click.Context(click.Command(" ".join(path)), info_name=" ".join(path)) if path else None
    context = click.Context(
        command,
        parent=parent,
        info_name=command.name,
        terminal_width=WIDTH,
        max_content_width=WIDTH,
        help_option_names=["-h", "--help"],
    )
    # A command keeps the option it made when it was first asked for help, whatever names that call gave it.
    command._help_option = None
    yield name, command.get_help(context)
    if isinstance(command, click.Group):
        for child in sorted(command.commands):
            yield from click_pages(command.commands[child], (*path, command.name or ""))


def parser_pages(parser: argparse.ArgumentParser) -> Iterator[tuple[str, str]]:
    """Name and help of a parser and of its commands."""
    yield parser.prog, parser.format_help().rstrip()
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for child in action.choices.values():
                yield from parser_pages(child)


@contextmanager
def columns() -> Iterator[None]:
    """`argparse` takes its width from the environment."""
    earlier = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = str(WIDTH)
    try:
        yield
    finally:
        if earlier is None:
            del os.environ["COLUMNS"]
        else:
            os.environ["COLUMNS"] = earlier


def pages() -> list[tuple[str, str]]:
    """Every command with its help, program by program."""
    with columns():
        found = list(click_pages(strongroom))
        for parser in PARSERS:
            found += parser_pages(parser())
    return found


def render() -> str:
    """The whole reference."""
    text = INTRODUCTION
    for name, page in pages():
        level = "##" if " " not in name else "###"
        lines = "\n".join(line.rstrip() for line in page.splitlines())
        text += f"\n{level} {name}\n\n```text\n{lines}\n```\n"
    return text


if __name__ == "__main__":
    sys.stdout.write(render())
