"""A charter's people, groups and assets, looked up by name; prepared once for each charter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from strongroom.ledger.charter import Asset, Charter
from strongroom.model.quantities import decimal_text

__all__ = ["CharterBook", "book_of"]

_NOBODY: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class CharterBook:
    """What judging needs of a charter."""

    keys: Mapping[str, frozenset[bytes]]
    """The keys of each person."""
    machines: frozenset[str]
    groups: Mapping[str, frozenset[str]]
    assets: Mapping[str, Asset]
    """By CAIP-19 id."""

    def members(self, group: str) -> frozenset[str]:
        """The members of a group; nobody if there is no such group."""
        return self.groups.get(group, _NOBODY)

    def has_key(self, person: str, key: bytes) -> bool:
        """Whether this is one of this person's keys."""
        return key in self.keys.get(person, frozenset())

    def symbol(self, asset: str) -> str:
        """The symbol people write for an asset; its id if the charter has none."""
        known = self.assets.get(asset)
        return known.symbol if known else asset

    def amount(self, asset: str, amount: int) -> str:
        """An amount with its symbol, "2.5 BTC"; in smallest units if the charter has none."""
        known = self.assets.get(asset)
        if known is None:
            return f"{amount} smallest units of {asset}"
        return f"{decimal_text(amount, known.decimals)} {known.symbol}"


class _ById:
    """A charter as a cache key by identity: to hash its whole content each time would cost more than judging."""

    __slots__ = ("charter",)

    def __init__(self, charter: Charter) -> None:
        self.charter = charter

    def __hash__(self) -> int:
        return id(self.charter)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _ById) and other.charter is self.charter


def book_of(charter: Charter) -> CharterBook:
    """Return the book of a charter; those of the last few charters used are kept."""
    return _prepared(_ById(charter))


@lru_cache(maxsize=8)
def _prepared(key: _ById) -> CharterBook:
    charter = key.charter
    return CharterBook(
        keys={person.name: frozenset(k.public for k in person.keys) for person in charter.people},
        machines=frozenset(person.name for person in charter.people if person.machine),
        groups={group.name: frozenset(group.members) for group in charter.groups},
        assets={asset.id: asset for asset in charter.assets},
    )
