"""`strongroom signers`: how each is doing, what is proven against any, and the order that takes one back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich.table import Table
from rich.text import Text

from strongroom.api.treasury.v1 import treasury_service_pb2 as pb
from strongroom.ledger.order_messages import ReinstateSigner
from strongroom.model.quantities import parse_duration, time_text
from strongroom.protocol.evidence_file import write_evidence_file
from strongroom_client.answers import milliseconds_of
from strongroom_client.cli.output import PathArgument, emit, group, json_option
from strongroom_client.cli.shared import BadOption, profile_option, run, session
from strongroom_client.cli.shared_orders import approve as approve_order
from strongroom_client.cli.shared_orders import initiate
from strongroom_client.cli.shared_sheet import UNVERIFIED
from strongroom_client.cli.shared_signing import signing_options
from strongroom_client.errors import NotProven
from strongroom_client.evidence import CheckedEvidence, check_evidence, headline
from strongroom_client.files import make_private_folder, write_new
from strongroom_client.plain_text import plain
from strongroom_client.trust import Trust

__all__ = ["signers"]

signers = group("signers", "See the signers, what is proven against any, and take one back.")


@signers.command("list")
@profile_option
@json_option
def list_signers(profile: Path) -> None:
    """List the signers as the coordinator sees them, and which are quarantined for what."""
    found = run(_signers(profile))
    table = Table(box=None, pad_edge=False)
    for column in ("signer", "connected", "term", "entries", "version", "alarm", "quarantined"):
        table.add_column(column, overflow="fold")
    for signer in found:
        connected = Text("yes", style="green") if signer.connected else Text("no", style="bold red")
        table.add_row(
            Text(plain(signer.name)),
            connected,
            *(Text(plain(str(cell))) for cell in (signer.term, signer.certified_size, signer.version, signer.alarm)),
            Text(_quarantine_text(signer), style="bold red"),
        )
    emit({"signers": [_signer_data(signer) for signer in found]}, [Text(f"{UNVERIFIED.capitalize()}:"), table])


@signers.command()
@click.option("--out", type=PathArgument, help="Write each record into this folder, as <hash>.json.")
@profile_option
@json_option
def evidence(*, out: Path | None, profile: Path) -> None:
    """List the records of evidence against signers; each is fetched and checked here before it is shown."""
    found = run(_evidence(profile, out))
    lines = [
        f"{item['evidence']}  {item['found']}  {item['headline']}\n    {item['detail']}; {_settled_text(item)}"
        for item in found
    ]
    where = f"\nWrote the records to {out}. Anybody checks one with: strongroom audit blame FILE" if out else ""
    emit({"evidence": found}, "\n".join(lines) + where if found else "No evidence against any signer.")


@signers.command()
@click.argument("signer_or_order", metavar="SIGNER_OR_ORDER")
@click.argument("evidence_hash", metavar="[EVIDENCE]", required=False)
@click.option("--expires", default="24h", show_default=True, help="How long it may wait for approvals.")
@click.option("--note", default="", help="For the people who approve, at most 200 bytes.")
@click.option("--approve", "is_approval", is_flag=True, help="The argument is such an order: approve it.")
@signing_options
@profile_option
@json_option
def reinstate(
    *,
    signer_or_order: str,
    evidence_hash: str | None,
    expires: str,
    note: str,
    is_approval: bool,
    yes: bool,
    passphrase_file: Path | None,
    profile: Path,
) -> None:
    """Order that a signer is asked for shares again, or approve such an order; the unfreeze quorum decides.

    It acts together with the word of the signer's operator: strongroom-signer reinstate EVIDENCE.
    """
    if is_approval:
        approve_order(profile, signer_or_order, kinds=("reinstate",), yes=yes, passphrase_file=passphrase_file)
        return
    settled = _hash_of(evidence_hash or "")

    def action(trust: Trust) -> ReinstateSigner:
        if signer_or_order not in trust.vote_keys:
            raise BadOption(f"the charter has no signer {signer_or_order}: {', '.join(sorted(trust.vote_keys))}")
        return ReinstateSigner(signer=signer_or_order, evidence_hash=settled)

    initiate(profile, action, life_ms=parse_duration(expires), note=note, yes=yes, passphrase_file=passphrase_file)


def _hash_of(text: str) -> bytes:
    try:
        data = bytes.fromhex(text)
    except ValueError:
        data = b""
    if len(data) != 32:
        raise BadOption("name the evidence by its whole hash, 64 hexadecimal digits: `strongroom signers evidence`")
    return data


async def _signers(profile: Path) -> list[pb.SignerStatus]:
    async with session(profile) as opened:
        return list((await opened.client.status()).signers)


async def _evidence(profile: Path, out: Path | None) -> list[dict[str, Any]]:
    found = []
    async with session(profile) as opened:
        trust = await opened.client.trust()
        if out is not None:
            make_private_folder(out)
        async for item in opened.client.evidence():
            data = await opened.client.evidence_record(item.hash)
            checked = check_evidence(data, trust)
            proven = checked.proven
            if proven is not None and (proven.signer, str(proven.fault)) != (item.signer, item.fault):
                raise NotProven(f"the coordinator lists evidence {item.hash.hex()} as something that it is not")
            if out is not None and not (out / f"{item.hash.hex()}.json").exists():
                write_new(out / f"{item.hash.hex()}.json", write_evidence_file(data), secret=False)
            found.append(
                {
                    "evidence": item.hash.hex(),
                    **_checked_data(checked, item, trust),
                    "found": time_text(milliseconds_of(item.find_time)),
                    "operator_cleared": item.operator_cleared,
                    "order": item.order_hash.hex() or None,
                }
            )
    return found


def _checked_data(checked: CheckedEvidence, item: pb.EvidenceSummary, trust: Trust) -> dict[str, Any]:
    """What a record proves; of one that cannot be checked here, whom the coordinator lists it against."""
    log_id, proven = checked.log_id.hex(), checked.proven
    if proven is not None:
        before = "" if checked.log_id == trust.log_id else f"; in the log before, {log_id}"
        return {
            "log_id": log_id,
            "checked": True,
            "signer": proven.signer,
            "fault": str(proven.fault),
            "headline": headline(proven),
            "detail": f"{proven.detail}{before}",
        }
    return {
        "log_id": log_id,
        "checked": False,
        "signer": plain(item.signer),
        "fault": plain(item.fault),
        "headline": f"NOT CHECKED: listed against {plain(item.signer)}, of another log.",
        "detail": f"if it is one of yours before a restart: strongroom audit blame FILE --log-id {log_id}",
    }


def _settled_text(item: dict[str, Any]) -> str:
    if item["operator_cleared"] and item["order"]:
        return "settled"
    lacking = (
        "" if item["operator_cleared"] else "its operator's word",
        "" if item["order"] else "an order of the unfreeze quorum",
    )
    return f"quarantined, still missing: {' and '.join(filter(None, lacking))}"


def _quarantine_text(signer: pb.SignerStatus) -> str:
    if not signer.HasField("quarantine"):
        return ""
    return f"{plain(signer.quarantine.fault)}, evidence {signer.quarantine.hash.hex()}"


def _signer_data(signer: pb.SignerStatus) -> dict[str, Any]:
    quarantined = signer.HasField("quarantine")
    return {
        "name": plain(signer.name),
        "connected": signer.connected,
        "term": signer.term,
        "certified_size": signer.certified_size,
        "version": plain(signer.version),
        "alarm": plain(signer.alarm) or None,
        "quarantined": {
            "evidence": signer.quarantine.hash.hex(),
            "fault": plain(signer.quarantine.fault),
            "detail": plain(signer.quarantine.detail),
            "operator_cleared": signer.quarantine.operator_cleared,
            "order": signer.quarantine.order_hash.hex() or None,
        }
        if quarantined
        else None,
    }
