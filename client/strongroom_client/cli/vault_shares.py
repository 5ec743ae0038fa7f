"""`strongroom vault refresh`, `reshare` and `watch`: new shares of a vault's key, and how far a ceremony is."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from strongroom.ledger.order_messages import RefreshShares, ReshareVault
from strongroom.model.quantities import parse_duration
from strongroom_client.cli.ceremony import Watching, watching_options
from strongroom_client.cli.output import json_option
from strongroom_client.cli.shared import BadOption, profile_option
from strongroom_client.cli.shared_orders import initiate
from strongroom_client.cli.shared_signing import signing_options
from strongroom_client.cli.vault import vault
from strongroom_client.trust import Trust

__all__ = ["refresh", "reshare", "vault", "watch"]

_POLL_S: Final = 0.3


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _check_known(trust: Trust, names: tuple[str, ...]) -> None:
    known = {signer.name for signer in trust.charter.signers}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise BadOption(f"the charter has no signer {', '.join(unknown)}: it has {', '.join(sorted(known))}")


@vault.command()
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@click.option("--absent", default="", metavar="A,B", help="Holders that are away or lost, and are not waited for.")
@click.option("--expires", default="7d", show_default=True, help="How long it may take.")
@click.option("--note", default="", help="For the people who approve, at most 200 bytes.")
@watching_options()
@signing_options
@profile_option
@json_option
def refresh(
    *,
    watching: Watching,
    names: tuple[str, ...],
    absent: str,
    expires: str,
    note: str,
    yes: bool,
    passphrase_file: Path | None,
    profile: Path,
) -> None:
    """Order new shares for the holders of vaults. The old shares are worth nothing afterwards.

    With holders absent and fewer than 2t - 1 present, one bad holder could end the vault: then each operator must
    accept the order.
    """

    def action(trust: Trust) -> RefreshShares:
        _check_known(trust, _names(absent))
        return RefreshShares(vaults=names, absent=_names(absent))

    initiate(
        profile,
        action,
        life_ms=parse_duration(expires),
        note=note,
        yes=yes,
        passphrase_file=passphrase_file,
        watching=watching,
    )


@vault.command()
@click.argument("name", metavar="NAME")
@click.option("--signers", required=True, metavar="A,B,C", help="The signers that hold its shares then, in order.")
@click.option("--threshold", required=True, type=click.IntRange(1, 100), help="How many of them must sign.")
@click.option("--absent", default="", metavar="A,B", help="Holders, old or new, that are not waited for.")
@click.option("--expires", default="14d", show_default=True, help="How long it may take, a delay included.")
@click.option("--note", default="", help="For the people who approve, at most 200 bytes.")
@watching_options()
@signing_options
@profile_option
@json_option
def reshare(
    *,
    watching: Watching,
    name: str,
    signers: str,
    threshold: int,
    absent: str,
    expires: str,
    note: str,
    yes: bool,
    passphrase_file: Path | None,
    profile: Path,
) -> None:
    """Order that other signers hold a vault's key, or another number of them signs. Its addresses stay.

    It waits out the loosening delay, and each holder's operator must accept it, unless it keeps holders and threshold.
    """

    def action(trust: Trust) -> ReshareVault:
        holders = _names(signers)
        _check_known(trust, holders)
        if threshold > len(holders):
            raise BadOption(f"a threshold of {threshold} needs more than {len(holders)} signers")
        return ReshareVault(vault=name, signers=holders, threshold=threshold, absent=_names(absent))

    initiate(
        profile,
        action,
        life_ms=parse_duration(expires),
        note=note,
        yes=yes,
        passphrase_file=passphrase_file,
        watching=watching,
    )


@vault.command()
@click.argument("order", metavar="ORDER_OR_VAULT")
@watching_options(always=True)
@profile_option
@json_option
def watch(*, order: str, watching: Watching, profile: Path) -> None:
    """Watch a new vault, or new shares, come into being: who is in which step and who is awaited.

    A vault's name stands for the newest order about its key.
    """
    watching.follow(profile, order)
