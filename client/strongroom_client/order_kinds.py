"""Every kind of order: its word in JSON, its title on a sheet, and the command that people act on it with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from strongroom.ledger.order_messages import (
    AddDestination,
    AmendCharter,
    BreakGlass,
    CancelWithdraw,
    CreateVault,
    Freeze,
    Order,
    RefreshShares,
    ReinstateSigner,
    RemoveDestination,
    ReshareVault,
    SweepVault,
    Unfreeze,
    Withdraw,
)

__all__ = ["ORDER_KINDS", "OrderKind", "kind_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderKind:
    """How a kind of order is named.

    Attributes:
        word: For programs; it never changes.
        title: For people, over the sheet of an order.
        command: What approves and rejects it.
    """

    word: str
    title: str
    command: str


ORDER_KINDS: Final[dict[type[Any], OrderKind]] = {
    Withdraw: OrderKind(word="withdraw", title="Withdrawal", command="strongroom withdraw"),
    CancelWithdraw: OrderKind(word="cancel", title="Cancellation of a withdrawal", command="strongroom withdraw"),
    CreateVault: OrderKind(word="create-vault", title="New vault", command="strongroom vault"),
    RefreshShares: OrderKind(
        word="refresh-shares", title="New shares for the same holders", command="strongroom vault"
    ),
    ReshareVault: OrderKind(word="reshare-vault", title="NEW HOLDERS OF A VAULT'S KEY", command="strongroom vault"),
    Freeze: OrderKind(word="freeze", title="Freeze", command="strongroom freeze --confirm"),
    Unfreeze: OrderKind(word="unfreeze", title="End of a freeze", command="strongroom unfreeze --approve"),
    ReinstateSigner: OrderKind(
        word="reinstate", title="Return of a signer", command="strongroom signers reinstate --approve"
    ),
    AmendCharter: OrderKind(word="amend-charter", title="Amendment of the charter", command="strongroom charter"),
    AddDestination: OrderKind(
        word="add-destination", title="New entry of the address book", command="strongroom address-book"
    ),
    RemoveDestination: OrderKind(
        word="remove-destination", title="Removal from the address book", command="strongroom address-book"
    ),
    BreakGlass: OrderKind(
        word="break-glass",
        title="BREAK-GLASS: a whole vault to its recovery address",
        command="strongroom break-glass",
    ),
    SweepVault: OrderKind(
        word="sweep", title="RECOVERY KIT: a whole vault to one address", command="strongroom recovery-kit"
    ),
}
"""By the class of the order's action."""


def kind_of(order: Order) -> OrderKind:
    """What an order asks for."""
    return ORDER_KINDS[type(order.action)]
