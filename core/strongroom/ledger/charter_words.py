"""Every part of a charter in plain words, whole: what people read before they adopt or amend one.

Each text holds every field of its part, so that two parts which differ never read alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from strongroom.ledger.charter import (
    AddressBook,
    AnyDestination,
    Asset,
    AssetAmount,
    BreakGlassRules,
    CharterSigner,
    Deny,
    Destinations,
    Limit,
    Person,
    Quorum,
    RecoveryAddress,
    Rule,
)
from strongroom.ledger.charter_book import CharterBook
from strongroom.model.quantities import duration_text

__all__ = [
    "amounts_words",
    "asset_words",
    "break_glass_words",
    "deny_words",
    "plain_value",
    "quorum_words",
    "recovery_words",
    "rule_words",
    "signer_words",
    "to_words",
    "with_keys",
]


def quorum_words(quorum: Quorum) -> str:
    """How many, and of which group."""
    return f"{quorum.count} of group {quorum.group}"


def to_words(to: AnyDestination | Destinations | AddressBook) -> str:
    """Where something may be paid to."""
    match to:
        case AnyDestination():
            return "any address"
        case AddressBook():
            return "addresses of the address book"
        case Destinations():
            return ", ".join(to.addresses)


def amounts_words(amounts: Sequence[AssetAmount], book: CharterBook) -> str:
    """Amounts with the symbols of their assets."""
    return ", ".join(book.amount(item.asset, item.amount) for item in amounts)


def rule_words(rule: Rule, book: CharterBook) -> tuple[str, ...]:
    """What a rule allows, one line for each of its terms."""
    return (
        f"from {', '.join(rule.vaults)} to {to_words(rule.to)}",
        f"at most {amounts_words(rule.maximum, book)} per order",
        *(_limit_words(limit, book) for limit in rule.limits),
        f"initiated by {', '.join(rule.initiated)}",
        f"approved by {' and '.join(map(quorum_words, rule.approvals)) or 'nobody'}",
        *((f"after a delay of {duration_text(rule.delay_ms)}",) if rule.delay_ms else ()),
        *(("approvers may be machines",) if rule.machine else ()),
    )


def _limit_words(limit: Limit, book: CharterBook) -> str:
    return f"at most {amounts_words(limit.amounts, book)} in {duration_text(limit.window_ms)}"


def deny_words(deny: Deny, book: CharterBook) -> str:
    """What a prohibition forbids."""
    assets = ", ".join(book.symbol(asset) for asset in deny.assets) or "any asset"
    return f"{assets} from {', '.join(deny.vaults)} to {to_words(deny.to)}"


def recovery_words(addresses: Sequence[RecoveryAddress]) -> str:
    """Where break-glass moves each vault."""
    return ", ".join(f"{one.vault} to {one.address}" for one in addresses)


def break_glass_words(rules: BreakGlassRules) -> tuple[str, ...]:
    """Who may break the glass, when and where to, one line for each term."""
    return (
        f"{quorum_words(rules.quorum)} may move whole vaults, whatever rule or freeze says no",
        f"the box opens {duration_text(rules.delay_ms)} after the last approval it needs, "
        f"for {duration_text(rules.box_ms)}",
        *(f"vault {one.vault} moves to {one.address}" for one in rules.addresses),
    )


def with_keys(person: Person) -> str:
    """The keys of a person."""
    return f"with {', '.join(f'key {key.public.hex()}' for key in person.keys)}"


def signer_words(signer: CharterSigner) -> tuple[str, ...]:
    """The keys of a signer, one line for each use."""
    keys = (("host", signer.host_key), ("vote", signer.vote_key), ("witness", signer.witness_key))
    return tuple(f"{use} key {key.hex()}" for use, key in keys)


def asset_words(asset: Asset) -> str:
    """What a symbol stands for."""
    return f"{asset.id}, {asset.decimals} decimals"


def plain_value(value: Any) -> str:
    """A value of a field that nothing else tells of."""
    return value.hex() if isinstance(value, bytes) else str(value)
