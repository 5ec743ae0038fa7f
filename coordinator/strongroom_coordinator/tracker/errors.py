"""What can go wrong between the coordinator and its chain node."""

from __future__ import annotations

from strongroom.model.errors import Kind, StrongroomError

__all__ = ["AddressIndexTooFar", "WrongNetwork"]


class WrongNetwork(StrongroomError):
    """The chain node follows another network than the vaults are on. The operator configured the wrong node."""

    reason = "WRONG_NETWORK"
    kind = Kind.FAILED_PRECONDITION
    remedy = "name a node of the network that the vaults are on"


class AddressIndexTooFar(StrongroomError):
    """The address index is far beyond every index in use, so that no wallet would look for coins there.

    The caller is at fault: use indexes in order.
    """

    reason = "ADDRESS_INDEX_TOO_FAR"
    kind = Kind.INVALID_ARGUMENT
