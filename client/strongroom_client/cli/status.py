"""`strongroom status`: how things are, as the coordinator tells it, beside what this machine proved."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import click
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from strongroom.api.treasury.v1 import treasury_service_pb2 as treasury_pb
from strongroom.ledger.charter import Charter
from strongroom_client.cli.output import emit, json_option
from strongroom_client.cli.shared import now_ms, profile_option, run, session
from strongroom_client.cli.shared_sheet import UNVERIFIED
from strongroom_client.errors import Unavailable
from strongroom_client.orders import Seen
from strongroom_client.plain_text import plain
from strongroom_client.precautions import Precautions, precautions_of

__all__ = ["status"]

_NOTHING_CERTIFIED: Final = "NOT_READY"
_Answer = tuple[Charter | None, Seen | None, treasury_pb.GetStatusResponse, Precautions | None]


@click.command()
@profile_option
@json_option
def status(profile: Path) -> None:
    """Show heads, signers and chain."""
    charter, seen, told, precautions = run(_ask(profile))
    shown = {"freezes": None, "break_glass": None} if precautions is None else precautions.data()
    warnings = [] if precautions is None else [Text(line, style="bold red") for line in precautions.lines()]
    emit({**_data(charter, seen, told), **shown}, [*warnings, *_parts(charter, seen, told)])


async def _ask(profile: Path) -> _Answer:
    async with session(profile) as opened:
        try:
            trust = await opened.client.trust()
            seen, told = await opened.seen(), await opened.client.status()
            return trust.charter, seen, told, await precautions_of(opened.client, now_ms())
        except Unavailable as error:
            if error.remote_reason != _NOTHING_CERTIFIED:
                raise
            return None, None, await opened.client.status(), None


def _data(charter: Charter | None, seen: Seen | None, told: treasury_pb.GetStatusResponse) -> dict[str, Any]:
    return {
        "organisation": charter.organisation if charter else None,
        "final_size": seen.size if seen else 0,
        "final_root": seen.root.hex() if seen else None,
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
                    "quarantined": signer.quarantine.hash.hex() if signer.HasField("quarantine") else None,
                }
                for signer in told.signers
            ],
        },
    }


def _parts(charter: Charter | None, seen: Seen | None, told: treasury_pb.GetStatusResponse) -> list[RenderableType]:
    chain = f"block {told.chain_height}" if told.chain_reachable else "not reachable"
    leads = "leads" if told.leading else "does not lead: nothing is logged now"
    table = Table(box=None, pad_edge=False)
    for column in ("signer", "connected", "term", "entries", "last refusal", "quarantined"):
        table.add_column(column, overflow="fold")
    for signer in told.signers:
        connected = Text("yes", style="green") if signer.connected else Text("no", style="bold red")
        convicted = plain(signer.quarantine.fault) if signer.HasField("quarantine") else ""
        cells = (
            Text(str(signer.term)),
            Text(str(signer.certified_size)),
            Text(plain(signer.last_refusal)),
            Text(convicted, style="bold red"),
        )
        table.add_row(Text(plain(signer.name)), connected, *cells)
    return [
        Text(_proven(charter, seen)),
        Text(f"\n{UNVERIFIED.capitalize()}:", style="dim"),
        Text(
            f"The coordinator {leads}, term {told.term}, {told.certified_size} entries certified, "
            f"{told.queued} waiting. Chain: {chain}."
        ),
        table,
    ]


def _proven(charter: Charter | None, seen: Seen | None) -> str:
    if charter is None or seen is None:
        return "The coordinator shows nothing certified now, so nothing is proven: see which signers are connected."
    entries = "1 entry" if seen.size == 1 else f"{seen.size} entries"
    quorum = f"{charter.witness_quorum} of {len(charter.signers)} signers"
    return f"{charter.organisation}: {entries} of the log final, proven by {quorum}."
