"""`strongroom init`: a person's own key."""

from __future__ import annotations

import re
import secrets
from pathlib import Path
from typing import Final

import click

from strongroom_client.cli.output import PathArgument, emit, json_option, passphrase_option, read_passphrase
from strongroom_client.cli.shared import BadOption
from strongroom_client.person_key import CARD_FILE, create_person_key

__all__ = ["init"]

_NAME: Final = re.compile("[a-z0-9-]{1,40}")


@click.command()
@click.option("--name", required=True, help="Your name in the charter: a-z, 0-9 and dashes, at most 40.")
@click.option("--out", "folder", required=True, type=PathArgument, help="The folder for your key; it must hold none.")
@click.option("--machine", is_flag=True, help="The key of an integrator's server instead of a person.")
@passphrase_option
@json_option
def init(name: str, folder: Path, machine: bool, passphrase_file: Path | None) -> None:
    """Make your own key, sealed with a passphrase, and the card that goes to your administrator."""
    if not _NAME.fullmatch(name):
        raise BadOption(f"--name {name!r} is no name of a charter: use 1 to 40 of a-z, 0-9 and '-'")
    with read_passphrase(passphrase_file, what=f"the new key of {name}", confirm=True) as passphrase:
        card = create_person_key(folder, name, passphrase, random=secrets.token_bytes, machine=machine)
    public = card.keys["person"].hex()
    emit(
        {"name": name, "role": card.role.value, "folder": str(folder), "public_key": public},
        f"The key of {name} is in {folder}.\n"
        "Back up the folder and keep the passphrase apart from it: nobody can restore\neither.\n\n"
        f"Public key: {public}\n"
        f"Send {folder / CARD_FILE} to your administrator, and compare the public key\nwith them on another channel.",
    )
