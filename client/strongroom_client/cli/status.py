"""`strongroom status`: how things are, as the coordinator tells it, beside what this machine proved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from strongroom.api.treasury.v1 import treasury_service_pb2 as treasury_pb
from strongroom.ledger.charter import Charter
from strongroom_client.cli.output import emit, json_option
from strongroom_client.cli.shared import profile_option, run, session
from strongroom_client.cli.shared_sheet import UNVERIFIED
from strongroom_client.orders import Seen
from strongroom_client.plain_text import plain

__all__ = ["status"]


@click.command()
@profile_option
@json_option
def status(profile: Path) -> None:
    """Show heads, signers and chain."""
    charter, seen, told = run(_ask(profile))
    emit(_data(charter, seen, told), _parts(charter, seen, told))


async def _ask(profile: Path) -> tuple[Charter, Seen, treasury_pb.GetStatusResponse]:
    async with session(profile) as opened:
        trust = await opened.client.trust()
        return trust.charter, await opened.seen(), await opened.client.status()


def _data(charter: Charter, seen: Seen, told: treasury_pb.GetStatusResponse) -> dict[str, Any]:
    return {
        "organisation": charter.organisation,
        "final_size": seen.size,
        "final_root": seen.root.hex(),
        "coordinator": {
            "version": plain(told.version),
            "leading": told.leading,
            "term": told.term,
            "certified_size": told.certified_size,
            "queued": told.queued,
            "chain_height": told.chain_height,
            "chain_reachable": told.chain_reachable,
            "signers": [
                {
                    "name": plain(signer.name),
                    "connected": signer.connected,
                    "term": signer.term,
                    "certified_size": signer.certified_size,
                    "last_refusal": plain(signer.last_refusal),
                }
                for signer in told.signers
            ],
        },
    }


def _parts(charter: Charter, seen: Seen, told: treasury_pb.GetStatusResponse) -> list[RenderableType]:
    chain = f"block {told.chain_height}" if told.chain_reachable else "not reachable"
    leads = "leads" if told.leading else "does not lead: nothing is logged now"
    table = Table(box=None, pad_edge=False)
    for column in ("signer", "connected", "term", "entries", "last refusal"):
        table.add_column(column, overflow="fold")
    for signer in told.signers:
        connected = Text("yes", style="green") if signer.connected else Text("no", style="bold red")
        cells = (Text(str(signer.term)), Text(str(signer.certified_size)), Text(plain(signer.last_refusal)))
        table.add_row(Text(plain(signer.name)), connected, *cells)
    return [
        Text(
            f"{charter.organisation}: {seen.size} entries of the log are final, proven by "
            f"{charter.witness_quorum} of {len(charter.signers)} signers."
        ),
        Text(f"\n{UNVERIFIED.capitalize()}:", style="dim"),
        Text(
            f"The coordinator {leads}, term {told.term}, {told.certified_size} entries certified, "
            f"{told.queued} waiting. Chain: {chain}."
        ),
        table,
    ]
