"""What people see of an order for new shares: who holds the key then, and when it can begin at the earliest."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from strongroom.ledger.charter import Charter
from strongroom.ledger.judge import endorsed
from strongroom.ledger.judgement import Code, Judgement
from strongroom.ledger.key_changes import KeyChange, judge_key_change, loosens, vaults_of
from strongroom.ledger.order_messages import RefreshShares
from strongroom.ledger.records import OrderRecord, VaultRecord
from strongroom.model.quantities import duration_text, time_text

__all__ = ["earliest_text", "judged_key_change", "key_change_facts"]


def key_change_facts(
    action: KeyChange, charter: Charter, vaults: Sequence[VaultRecord]
) -> Iterable[tuple[str, str, str]]:
    """Every field of such an order, and what it waits for: key, label and text of each.

    Args:
        action: The order's action.
        charter: The charter in force.
        vaults: Proven records, those that it is about among them; what is unknown is not told.
    """
    if isinstance(action, RefreshShares):
        yield "vaults", "New shares for", ", ".join(action.vaults)
    else:
        yield "vault", "New holders of", action.vault
        yield "signers", "Share holders", ", ".join(action.signers)
        yield "threshold", "Threshold", f"{action.threshold} of {len(action.signers)} must sign"
    if action.absent:
        yield "absent", "Without", ", ".join(action.absent)
    looser = _looser(action, vaults)
    if looser:
        yield (
            "looser",
            "Looser",
            f"more can sign for {looser}, or fewer together: the operators of its dealers must accept it",
        )
    if _known(action, vaults):
        delay = f"{duration_text(charter.loosening_delay_ms)} after the last approval that it needs"
        yield "waits", "Waits for", delay if looser else "nothing: it begins with the last approval that it needs"


def earliest_text(
    action: KeyChange, charter: Charter, record: OrderRecord, vaults: Sequence[VaultRecord], now_ms: int
) -> str:
    """When the order can begin at the earliest; empty when it can by now, or its vaults are not known."""
    judgement = judged_key_change(action, charter, record, vaults, now_ms)
    if judgement.code is Code.DELAY_RUNNING:
        return judgement.missing[0]
    if judgement.allowed or not _looser(action, vaults):
        return ""
    return f"not before {time_text(now_ms + charter.loosening_delay_ms)}, if its approvals came now"


def judged_key_change(
    action: KeyChange, charter: Charter, record: OrderRecord, vaults: Sequence[VaultRecord], now_ms: int
) -> Judgement:
    """Judge it as the ledger does: by its quorum, and by the delay where something loosens."""
    return judge_key_change(charter, endorsed(record), loosening=bool(_looser(action, vaults)), at_ms=now_ms)


def _looser(action: KeyChange, vaults: Sequence[VaultRecord]) -> str:
    return ", ".join(one.name for one in vaults if one.name in vaults_of(action) and loosens(action, one))


def _known(action: KeyChange, vaults: Sequence[VaultRecord]) -> bool:
    return set(vaults_of(action)) <= {one.name for one in vaults}
