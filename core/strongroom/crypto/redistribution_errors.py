"""What can go wrong in share redistribution, and whose fault it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from strongroom.crypto.chilldkg_errors import ProtocolError
from strongroom.crypto.errors import InvalidInput
from strongroom.model.errors import Kind

__all__ = [
    "CommitmentsCancelError",
    "DealingFault",
    "FaultyDealingsError",
    "RedistributionInputError",
    "TooFewDealersError",
]


class RedistributionInputError(InvalidInput):
    """An argument of the caller does not fit the redistribution; no dealer is to blame."""

    reason: ClassVar[str] = "REDISTRIBUTION_INPUT_INVALID"


class TooFewDealersError(RedistributionInputError):
    """Fewer dealings than the old threshold: together they do not fix the key."""

    reason: ClassVar[str] = "REDISTRIBUTION_DEALERS_TOO_FEW"
    kind: ClassVar[Kind] = Kind.FAILED_PRECONDITION


@dataclass(frozen=True, slots=True, kw_only=True)
class DealingFault:
    """What is wrong with one dealing.

    Attributes:
        dealer: Its dealer's identifier among the old holders.
        problem: What is wrong, for people.
        is_public: Whether everybody who has the dealing sees it. Otherwise only the receiver that opened it does, and
            what it says of it convinces nobody else.
    """

    dealer: int
    problem: str
    is_public: bool


class FaultyDealingsError(ProtocolError):
    """Dealings are wrong. Those not named are good: go on with them if there are at least as many as the threshold.

    Attributes:
        faults: One for each bad dealing, by ascending identifier of its dealer.
    """

    reason: ClassVar[str] = "REDISTRIBUTION_DEALING_FAULTY"

    def __init__(self, faults: Sequence[DealingFault]) -> None:
        self.faults = tuple(faults)
        named = "; ".join(f"dealer {fault.dealer}: {fault.problem}" for fault in self.faults)
        super().__init__(
            f"leave these dealings out: {named}", dealers=",".join(str(fault.dealer) for fault in self.faults)
        )


class CommitmentsCancelError(ProtocolError):
    """Commitments of dealings that are each well formed add up to infinity.

    Some dealer chose its own after it had seen the others' and holds no share that fits. It cannot be told which from
    the commitments; the receivers' checks of their shares name it.
    """

    reason: ClassVar[str] = "REDISTRIBUTION_COMMITMENTS_CANCEL"
