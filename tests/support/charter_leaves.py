"""Charters that differ from one that has every part in a single value, for each of its values."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from enum import Enum
from typing import Any

import charter_builder as builder
from strongroom.ledger.charter import AddressBook, AnyDestination, Asset, Charter, Deny, Person, PersonKey
from strongroom.ledger.signed_messages import KeyType

Changed = tuple[str, Any]
"""Where it differs, and the part with the difference."""


def full_charter() -> Charter:
    """A charter with every kind of part."""
    paying = builder.rule(name="suppliers", to=builder.paying_only(builder.ADDRESS), machine=True)
    book = builder.book_rule()
    assert isinstance(book.to, AddressBook)
    deny = Deny(name="not there", vaults=("customer-*",), to=builder.paying_only(builder.RECOVERY), assets=())
    listed = replace(deny, name="no coins", to=AnyDestination(), assets=(builder.BTC,))
    two_keys = Person(
        name="erin",
        keys=tuple(
            PersonKey(type=KeyType.ED25519, public=builder.signing_key(label).public) for label in ("erin", "erin 2")
        ),
        machine=False,
    )
    plain = builder.charter(**builder.recovery_parts(rules=(builder.rule(), paying, book), denies=(deny, listed)))
    other = Asset(symbol="TEST", id="bip122:000000000933ea01ad0ee984209779ba/slip44:1", decimals=8)
    return replace(
        plain,
        people=(*plain.people, two_keys),
        assets=(*plain.assets, other),
        unfreeze_delay_ms=builder.HOUR_MS,
    )


def leaves(value: Any, where: str = "", *, step: int = 1) -> Iterator[Changed]:
    """Every way to change one single value inside a part; `step` 1 or 2 gives two different ones."""
    if is_dataclass(value):
        for field in fields(value):
            for path, changed in leaves(getattr(value, field.name), f"{where}.{field.name}", step=step):
                yield path, replace(value, **{field.name: changed})  # type: ignore[type-var]
    elif isinstance(value, tuple):
        for index, item in enumerate(value):
            for path, changed in leaves(item, f"{where}[{index}]", step=step):
                yield path, (*value[:index], changed, *value[index + 1 :])
    elif not isinstance(value, Enum):
        yield where, _other(value, step)


def _other(value: bool | int | str | bytes, step: int) -> Any:
    match value:
        case bool():
            return not value
        case int():
            return value + step
        case str():
            return value + "xy"[step - 1]
        case bytes():
            return value[:-1] + bytes((value[-1] ^ step,))
