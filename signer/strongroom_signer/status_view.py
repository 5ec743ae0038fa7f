"""What a signer's `status` shows its operator: as facts for machines, and as lines for people."""

from __future__ import annotations

from typing import Any

from strongroom.api.operator.v1 import operator_service_pb2 as pb
from strongroom.model.fingerprints import Compared, spoken
from strongroom.model.quantities import time_text
from strongroom_signer.plain_text import plain
from strongroom_signer.retirement import Retired

__all__ = ["status_facts", "status_text"]


def status_facts(status: pb.GetStatusResponse) -> dict[str, Any]:
    """The answer as JSON shows it, and as metrics are made of it."""
    return {
        "signer": status.signer,
        "log_id": status.log_id.hex(),
        "read_aloud": spoken(Compared.CHARTER, status.log_id),
        "coordinator": status.coordinator,
        "connected": status.connected,
        "term": status.term,
        "size": status.size,
        "certified_size": status.certified_size,
        "final_size": status.final_size,
        "founded_size": status.founded_size,
        "certified_head": _head(status.certified_size, status.certified_root),
        "final_head": _head(status.final_size, status.final_root),
        "host_keys": [key.hex() for key in status.host_keys],
        "vaults": [_vault_facts(vault) for vault in status.vaults],
        **_precautions(status),
        "inbox": status.inbox,
        "withheld": status.withheld or None,
        "retired": status.alarm == Retired.reason,
        "alarm": status.alarm or None,
        "alarm_message": status.alarm_message,
        "shares_released": status.shares_released,
        "last_refusal": status.last_refusal,
        "last_keygen_failure": status.last_keygen_failure,
        "quarantine": _quarantine_facts(status.quarantine) if status.HasField("quarantine") else None,
        "last_error": status.last_error,
        "clock_ahead_ms": status.clock_ahead_ms if status.HasField("clock_ahead_ms") else None,
        "replaced_ago_s": status.replaced_ago_s if status.HasField("replaced_ago_s") else None,
        "free_disk_bytes": status.free_disk_bytes,
        "version": status.version,
    }


def _vault_facts(vault: pb.VaultStatus) -> dict[str, Any]:
    return {
        "name": vault.name,
        "epoch": vault.epoch,
        "has_share": vault.has_share,
        "threshold": vault.threshold,
        "signers": vault.signers,
        "backup_verified": vault.backup_verified,
    }


def _precautions(status: pb.GetStatusResponse) -> dict[str, Any]:
    """What is out of the ordinary: freezes that stand, and boxes of break-glass."""
    return {
        "local_freezes": [
            {
                "id": freeze.id.hex(),
                "vault": freeze.vault or None,
                "why": freeze.why,
                "since_ms": freeze.since_ms,
                "logged": freeze.logged,
            }
            for freeze in status.local_freezes
        ],
        "ledger_freezes": [
            {
                "id": freeze.id.hex(),
                "vault": freeze.vault or None,
                "by": freeze.by,
                "why": freeze.why,
                "lapses_ms": freeze.lapses_ms or None,
            }
            for freeze in status.ledger_freezes
        ],
        "break_glass": [
            {
                "order": box.order_hash.hex(),
                "vault": box.vault,
                "destination": box.destination,
                "opens_ms": box.opens_ms,
                "closes_ms": box.closes_ms,
            }
            for box in status.boxes
        ],
    }


def _quarantine_facts(told: pb.Quarantine) -> dict[str, Any]:
    return {
        "evidence": told.evidence_hash.hex(),
        "fault": told.fault,
        "detail": told.detail,
        "operator_cleared": told.operator_cleared,
        "ordered": told.ordered,
    }


def _head(size: int, root: bytes) -> str:
    """A head as people read it to each other; empty where there is none."""
    return f"{size}:{root.hex()}" if size else ""


def status_text(status: pb.GetStatusResponse) -> str:
    """The answer as lines for people."""
    link = "connected" if status.connected else f"not connected ({status.last_error or 'no answer yet'})"
    lines = [
        f"signer       {status.signer}  (strongroom {status.version})",
        f"log id       {status.log_id.hex()}",
        f"  read aloud {spoken(Compared.CHARTER, status.log_id)}",
        f"coordinator  {status.coordinator}: {link}",
        f"term         {status.term}",
        f"entries      {status.size} stored, {status.certified_size} certified, {status.final_size} final",
        f"certified head {_head(status.certified_size, status.certified_root) or 'none'}",
        f"final head     {_head(status.final_size, status.final_root) or 'none'}",
        f"released     {status.shares_released} times, last refusal: {status.last_refusal or 'none'}",
        f"disk         {status.free_disk_bytes // (1 << 20)} MiB free",
    ]
    if status.founded_size:
        lines.insert(3, f"founded      anew by entry {status.founded_size - 1}, as the administrators signed")
    for vault in status.vaults:
        share = "share held" if vault.has_share else "no share here"
        if vault.has_share and not vault.backup_verified:
            share += ", BACKUP NOT VERIFIED: run `backup verify` with the words"
        lines.append(f"vault        {vault.name}: {vault.threshold} of {vault.signers}, epoch {vault.epoch}, {share}")
    if status.last_keygen_failure:
        lines.append(f"new keys     {status.last_keygen_failure}")
    for freeze in status.local_freezes:
        logged = "in the ledger" if freeze.logged else "not in the ledger yet"
        lines.append(f"freeze       {freeze.vault or 'all vaults'}: {freeze.why} ({logged})  id {freeze.id.hex()}")
    for told in status.ledger_freezes:
        until = f"until {time_text(told.lapses_ms)}" if told.lapses_ms else "until it is lifted"
        lines.append(f"frozen       {told.vault or 'all vaults'} by {told.by} {until}: {told.why}")
    for box in status.boxes:
        when = f"from {time_text(box.opens_ms)} until {time_text(box.closes_ms)}"
        lines.append(f"BREAK-GLASS  vault {box.vault} may go to {box.destination} {when}")
    lines += _inbox_lines(status)
    if status.HasField("quarantine"):
        lines += _quarantine_lines(status.quarantine)
    return "\n".join(map(plain, lines + _replaced_lines(status) + _alarm_lines(status)))


def _inbox_lines(status: pb.GetStatusResponse) -> list[str]:
    held = f"inbox        {status.inbox} word(s) handed in that are not final in the ledger yet; they act here"
    return ([held] if status.inbox else []) + ([f"NO VOTES     {status.withheld}"] if status.withheld else [])


def _replaced_lines(status: pb.GetStatusResponse) -> list[str]:
    if not status.HasField("replaced_ago_s"):
        return []
    ago = f"{status.replaced_ago_s} s ago"
    return [f"LINK TAKEN   {ago} by another daemon that uses this signer's TLS key: find the copy and stop it"]


def _alarm_lines(status: pb.GetStatusResponse) -> list[str]:
    if status.alarm == Retired.reason:
        return [f"RETIRED      {status.alarm_message}"]
    return [f"ALARM        {status.alarm}: {status.alarm_message}"] if status.alarm else []


def _quarantine_lines(told: pb.Quarantine) -> list[str]:
    """The coordinator's word about why it asks for no shares, and what is still to be done."""
    lacking = ("" if told.operator_cleared else "your `reinstate`", "" if told.ordered else "an order to reinstate")
    return [
        f"QUARANTINE   the coordinator asks for no shares: {told.fault}, {told.detail}",
        f"             evidence {told.evidence_hash.hex()}; it waits for {' and '.join(filter(None, lacking))}",
    ]
