"""What is weak about the numbers of a vault: how many holders sign, against how many signers witness the log."""

from __future__ import annotations

from strongroom.ledger.charter import Charter
from strongroom.ledger.charter_check import single_history_quorum
from strongroom.ledger.order_messages import CreateVault, ReshareVault
from strongroom_client.orders import Action

__all__ = ["threshold_warnings", "weak_numbers"]


def threshold_warnings(charter: Charter, action: Action) -> tuple[str, ...]:
    """What to tell who orders or approves this: about a new vault, or another threshold of one; else nothing."""
    return weak_numbers(charter, action.threshold) if isinstance(action, CreateVault | ReshareVault) else ()


def weak_numbers(charter: Charter, threshold: int) -> tuple[str, ...]:
    """What to tell of a vault of which `threshold` holders sign, a line each.

    What they have is a choice: the larger the witness quorum, the fewer signers may be down.
    """
    found = []
    if threshold == 1:
        found.append("1 holder alone signs for this vault: whoever takes over one signer takes all its coins")
    n, w = len(charter.signers), charter.witness_quorum
    wanted = single_history_quorum(n, threshold)
    if w < wanted:
        bad = threshold - 1
        found.append(
            f"with the charter's witness quorum, {w} of {n}, {bad} bad signer{'' if bad == 1 else 's'} and a bad "
            f"coordinator can show people two histories of a vault of threshold {threshold}; with {wanted} of {n} they "
            f"cannot, but then {n - wanted} instead of {n - w} may be down"
        )
    return tuple(found)
