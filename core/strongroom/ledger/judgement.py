"""What a judgement is about, and what it says."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from strongroom.ledger.records import OrderRecord
from strongroom.ledger.signed_messages import Verb

__all__ = ["Code", "Endorsed", "Judgement", "Listing", "Withdrawal", "endorsed"]


class Code(StrEnum):
    """Why an order passes or not; the values never change their meaning."""

    ALLOWED = "ALLOWED"
    DENIED = "DENIED"
    """A prohibition of the charter matches."""
    REJECTED = "REJECTED"
    """A named approver rejected it: for ever."""
    NO_RULE_MATCHES = "NO_RULE_MATCHES"
    """No rule is about this vault, destination and asset."""
    OVER_MAXIMUM = "OVER_MAXIMUM"
    """The closest rule allows less in one order."""
    INITIATOR_NOT_ALLOWED = "INITIATOR_NOT_ALLOWED"
    """Nobody whom the closest rule lets initiate has initiated it, or that endorsement has expired."""
    OVER_LIMIT = "OVER_LIMIT"
    """The closest rule's limit for a window leaves too little; later it may pass."""
    APPROVALS_MISSING = "APPROVALS_MISSING"
    DELAY_RUNNING = "DELAY_RUNNING"
    COOLING_OFF = "COOLING_OFF"
    """The closest rule pays the address book, whose entry has not cooled off."""
    RECOVERY_ADDRESS = "RECOVERY_ADDRESS"
    """The charter registers no recovery address for the vault, or another one."""
    BOX_CLOSED = "BOX_CLOSED"
    """The time for which the glass was to be broken is over."""
    ORDER_EXPIRED = "ORDER_EXPIRED"
    FROZEN = "FROZEN"
    """A freeze is in force for the order's vault."""
    CANCELLED = "CANCELLED"
    DONE = "DONE"
    """The order acted in the ledger itself."""
    VAULT_SIGNERS = "VAULT_SIGNERS"
    """By the charter in force no vault can be made of these signers with this threshold."""
    LAPSED = "LAPSED"
    """The order could no longer act when its time came."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endorsed:
    """One accepted endorsement of an order, as the ledger keeps it. It counts at times before `expires_ms`."""

    person: str
    key: bytes
    verb: Verb
    expires_ms: int
    time_ms: int
    """Log time at which it was accepted."""


def endorsed(record: OrderRecord) -> tuple[Endorsed, ...]:
    """Return what was said of an order as the rules look at it."""
    return tuple(
        Endorsed(person=one.person, key=one.key, verb=one.verb, expires_ms=one.expires_ms, time_ms=one.time_ms)
        for one in record.endorsements
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """What the address book says of a destination on the chain of the asset.

    Attributes:
        usable_ms: log time from which it may be paid.
        is_removed: it was taken out: it is never paid, but those who watched over it may still end payments to it.
    """

    usable_ms: int
    is_removed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdrawal:
    """What an order to pay asks for: amount in the asset's smallest unit, asset as CAIP-19 id.

    `listing` is None when the address book never had the destination, or nobody looked: then no rule that pays the
    address book is about it.
    """

    vault: str
    asset: str
    amount: int
    destination: str
    listing: Listing | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """Whether an order passes, and why.

    Attributes:
        allowed: it passes.
        code: stable reason.
        rule: the rule that passes, or the closest one; the prohibition when denied; None when there is none.
        missing: what the rule still wants, one line each for people; empty when allowed.
        tried: why each rule looked at before did not pass, in the charter's order.
    """

    allowed: bool
    code: Code
    rule: str | None
    missing: tuple[str, ...]
    tried: tuple[str, ...]
