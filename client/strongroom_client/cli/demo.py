"""`strongroom demo`: the main job on this machine, told for people who know no cryptography."""

from __future__ import annotations

import shutil
import signal
import sys
import tempfile
from pathlib import Path

import click
from rich.console import Console

from strongroom.model.errors import StrongroomError
from strongroom_client.cli.output import ExitCode, PathArgument
from strongroom_client.cli.shared import BadOption
from strongroom_client.demo.deployment import Deployment
from strongroom_client.demo.story import Story
from strongroom_client.demo.teller import Teller

__all__ = ["demo"]


@click.command()
@click.option("--cheater", type=PathArgument, help="The program that plays a dishonest coordinator.")
@click.option("--dir", "folder", type=PathArgument, help="An empty folder to work in; it is kept.")
@click.option("--keep", is_flag=True, help="Keep the folder with all data and logs.")
def demo(cheater: Path | None, folder: Path | None, keep: bool) -> None:
    """Watch three signers, a coordinator and a Bitcoin node do the main job, and a cheating coordinator refused."""
    if cheater is not None and not cheater.is_file():
        raise BadOption(f"there is no program {cheater}")
    if folder is not None and folder.exists() and any(folder.iterdir()):
        raise BadOption(f"{folder} is not empty: choose an empty folder")
    # Short, because the path of a Unix socket has at most about a hundred letters.
    root = folder.absolute() if folder is not None else Path(tempfile.mkdtemp(prefix="strongroom-"))
    deployment = Deployment(root=root)
    teller = Teller(Console(highlight=False))
    whole = False
    # Ended from outside, it still stops its daemons.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    try:
        Story(deployment, teller, cheater).tell()
        whole = True
    except StrongroomError as error:
        teller.failure(error.message, f"Reason: {error.reason}", f"Logs: {root / 'logs'}")
    finally:
        deployment.stop()
        if whole and folder is None and not keep:
            shutil.rmtree(root, ignore_errors=True)
        else:
            click.echo(f"Everything is in {root}")
    click.get_current_context().exit(int(ExitCode.DONE if whole else ExitCode.FAILURE))
