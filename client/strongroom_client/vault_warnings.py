"""What is weak about the numbers of a vault: how many holders sign, against how many signers witness the log."""

from __future__ import annotations

from strongroom.ledger.charter import Charter
from strongroom.ledger.order_messages import CreateVault, ReshareVault
from strongroom_client.orders import Action

__all__ = ["threshold_warnings", "weak_numbers"]


def threshold_warnings(charter: Charter, action: Action) -> tuple[str, ...]:
    """What to tell who orders or approves this: about a new vault, or another threshold of one; else nothing."""
    return weak_numbers(charter, action.threshold) if isinstance(action, CreateVault | ReshareVault) else ()


def weak_numbers(charter: Charter, threshold: int) -> tuple[str, ...]:
    """What to tell of a vault of which `threshold` holders sign, a line each.

    With n signers and a witness quorum of w, two quorums share at least 2w - n signers. These are more than the t - 1
    that may be bad only where 2w >= n + t: below it, t - 1 bad signers beside a bad coordinator can show two histories.
    """
    found = []
    if threshold == 1:
        found.append("1 holder alone signs for this vault: whoever takes over one signer takes all its coins")
    n, w = len(charter.signers), charter.witness_quorum
    wanted = -(-(n + threshold) // 2)
    if w < wanted:
        bad = threshold - 1
        found.append(
            f"the charter's witness quorum is {w} of {n} signers, and a vault of threshold {threshold} wants {wanted}: "
            f"with {w}, {bad} bad signer{'' if bad == 1 else 's'} and a bad coordinator can show people two histories"
        )
    return tuple(found)
