"""What people see of a vault, an order and a plan of the recovery kit; and the same for programs."""

from __future__ import annotations

from typing import Any, Final

from rich.console import RenderableType
from rich.text import Text

from strongroom.chains.bitcoin.networks import BY_CAIP2
from strongroom.chains.bitcoin.policy import BRANCHES, CHANGE_BRANCH, DEPOSIT_BRANCH
from strongroom.chains.bitcoin.transaction import txid_text
from strongroom.ledger.plans import vault_key_of
from strongroom.ledger.records import VaultRecord
from strongroom.ledger.rules import quorum_members
from strongroom.model.quantities import time_text
from strongroom.protocol.recovery_kit_order import JudgedSweep
from strongroom.protocol.recovery_kit_plan import OpenedPlan
from strongroom.protocol.recovery_kit_revoked import RevokedByHand
from strongroom_client.orders import fingerprint
from strongroom_client.plain_text import counted
from strongroom_client.recovery_kit.exported import KitLog
from strongroom_client.vote_claims import claim_words

__all__ = ["log_lines", "order_lines", "plan_data", "plan_lines", "revocation_lines", "vault_data", "vault_lines"]

_DAY_MS: Final = 86_400_000
_OLD_MS: Final = 7 * _DAY_MS
"""A log that ended longer ago is asked about: it may be an old one. A quiet organisation has no entries either."""


def vault_data(vault: VaultRecord, recoverable: bool, search: int) -> dict[str, Any]:
    """A vault for programs; `scan` is what a node's `scantxoutset start` takes."""
    key, network = vault_key_of(vault), BY_CAIP2[vault.chain]
    return {
        "vault": vault.name,
        "chain": vault.chain,
        "epoch": vault.epoch,
        "threshold": vault.threshold,
        "holders": list(vault.signers),
        "recovery_data": recoverable,
        "first_address": key.derive(DEPOSIT_BRANCH, 0).address(network),
        "deposits": key.descriptor(DEPOSIT_BRANCH, network),
        "change": key.descriptor(CHANGE_BRANCH, network),
        "scan": [{"desc": key.descriptor(branch, network), "range": search - 1} for branch in BRANCHES],
    }


def vault_lines(vault: VaultRecord, recoverable: bool) -> list[RenderableType]:
    """A vault for people."""
    data = vault_data(vault, recoverable, 1)
    lines: list[RenderableType] = [
        Text(f"Vault {vault.name}: {vault.threshold} of {', '.join(vault.signers)} sign", style="bold"),
        f"  epoch          {vault.epoch}",
        f"  first address  {data['first_address']}",
        f"  deposits       {data['deposits']}",
        f"  change         {data['change']}",
    ]
    if not recoverable:
        lines.append(Text("  This file has no recovery data of it: it cannot be moved with it.", style="bold red"))
    return lines


def log_lines(log: KitLog, *, now_ms: int) -> list[RenderableType]:
    """By which log an order is judged: how old it is, who administers by it, and what is said against moving anything.

    All who sign may have been given one old log, and then agree with each other about everything in it.
    """
    charter, age_ms = log.state.charter, max(0, now_ms - log.state.time_ms)
    people = ", ".join(sorted(quorum_members(charter, charter.admin)))
    lines: list[RenderableType] = [
        Text(f"By the log of {charter.organisation}, {counted(log.seen.size, 'entry')}", style="bold"),
        Text(
            f"  it ends      {time_text(log.state.time_ms)}, {_age(age_ms)} before now",
            style="bold red" if age_ms > _OLD_MS else "",
        ),
        f"  compared     up to entry {log.compared_size}, {counted(log.seen.size - log.compared_size, 'entry')} "
        "before its end",
        f"  administers  {max(1, charter.admin.count)} of {people or 'nobody'}",
    ]
    for freeze in log.state.standing_freezes(max(now_ms, log.state.time_ms)):
        who = freeze.person or (f"signer {freeze.signer}" if freeze.signer else "the restart of the log")
        lines.append(Text(f"  FROZEN       {freeze.vault or 'all vaults'} by {who}: {freeze.why}", style="bold red"))
    return [*lines, *(Text(f"  {line}", style="bold red") for line in claim_words(log.false_claims))]


def _age(milliseconds: int) -> str:
    days = milliseconds // _DAY_MS
    return f"{days} day{'' if days == 1 else 's'}" if days else "less than a day"


def revocation_lines(file: str, revoked: RevokedByHand) -> list[RenderableType]:
    """Whose keys a revocation takes and who approved it: a stolen key may have had a part in it."""
    if not revoked.taken:
        return [Text(f"{file}: this amendment is in force in the log, so the file changes nothing here.")]
    return [
        Text(f"By {file} these keys count no more", style="bold"),
        *(Text(f"  {one.person}: {one.key.hex()}", style="bold red") for one in revoked.taken),
        f"  approved by  {', '.join(sorted({one.person for one in revoked.approvers}))}",
    ]


def order_lines(judged: JudgedSweep) -> list[RenderableType]:
    """An order for people, decoded from the bytes that are signed."""
    action, order = judged.action, judged.order
    approved = ", ".join(judged.approved) or "nobody yet"
    lines: list[RenderableType] = [
        Text(f"Move everything of vault {action.vault}   fingerprint {fingerprint(judged.hash)}", style="bold"),
        f"  to           {action.destination}",
        f"  fee at most  {action.max_fee:,} sat for each transaction",
        f"  until        {time_text(order.expires_ms)}",
        f"  approved by  {approved}; {judged.wanted} are needed",
    ]
    return [*lines, f"  note         {order.note}"] if order.note else lines


def plan_data(opened: OpenedPlan) -> dict[str, Any]:
    """A plan for programs."""
    return {
        "plan": opened.hash.hex(),
        "txid": txid_text(opened.spend.txid),
        "vault": opened.plan.vault,
        "epoch": opened.plan.epoch,
        "destination": opened.plan.destination,
        "amount_sat": opened.plan.amount_sat,
        "fee_sat": opened.spend.fee_sat,
        "inputs": len(opened.plan.inputs),
        "signers": list(opened.names),
    }


def plan_lines(opened: OpenedPlan) -> list[RenderableType]:
    """A plan for people."""
    spend = opened.spend
    return [
        Text(f"Transaction {txid_text(spend.txid)}   fingerprint {fingerprint(opened.hash)}", style="bold"),
        f"  pays         {opened.plan.amount_sat:,} sat to {opened.plan.destination}",
        f"  fee          {spend.fee_sat:,} sat, {spend.fee_rate} sat for each virtual byte",
        f"  spends       {counted(len(opened.plan.inputs), 'coin')} of vault {opened.plan.vault}, "
        f"epoch {opened.plan.epoch}",
        f"  signed by    {', '.join(opened.names)}",
    ]
