"""The tools of telling changes: one change, the comparison field by field, and what is alike for all parts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Protocol, TypeVar

from strongroom.ledger.charter import Charter
from strongroom.ledger.charter_words import plain_value

__all__ = [
    "Change",
    "Comparer",
    "Pair",
    "added",
    "common",
    "compare",
    "longer",
    "more",
    "named",
    "reordered",
    "shorter",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One change that an amendment makes.

    Attributes:
        loosens: it waits out the loosening delay; else it tightens, or has no effect on what may pass.
        where: the part of the charter.
        text: what happens to it, in plain words that follow `where`.
    """

    loosens: bool
    where: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """The charter in force and the proposed one."""

    old: Charter
    new: Charter


T_contra = TypeVar("T_contra", contravariant=True)


class Comparer(Protocol[T_contra]):
    """Tells the changes of one field whose two values differ."""

    def __call__(self, where: str, old: T_contra, new: T_contra, pair: Pair, /) -> Iterator[Change]:
        """Yield the changes; none leaves it to the caller to say that the field changes, as loosening."""


def compare(
    where: str, old: Any, new: Any, table: Mapping[str, Comparer[Any]], pair: Pair, *, skip: Sequence[str] = ()
) -> Iterator[Change]:
    """Tell the changes of a message field by field; a field that the table does not know loosens when it changes."""
    for field in fields(old):
        before, after = getattr(old, field.name), getattr(new, field.name)
        if before == after or field.name in skip:
            continue
        known = table.get(field.name)
        found = tuple(known(where, before, after, pair)) if known is not None else ()
        yield from found or (_unknown(where, field.name, before, after),)


def _unknown(where: str, field: str, old: Any, new: Any) -> Change:
    text = f"its {field.replace('_', ' ')} goes from {plain_value(old)} to {plain_value(new)}"
    return Change(loosens=True, where=where, text=text)


class Named(Protocol):
    """A part of a charter with a name."""

    @property
    def name(self) -> str:
        """Unique among the parts of its kind."""


N = TypeVar("N", bound=Named)


def named(parts: Sequence[N]) -> dict[str, N]:
    """Return parts by name."""
    return {part.name: part for part in parts}


def added(old: Mapping[str, object], new: Mapping[str, object]) -> list[str]:
    """Return the names that only the second has, in its order."""
    return [name for name in new if name not in old]


def common(old: Mapping[str, object], new: Mapping[str, object]) -> list[str]:
    """Return the names that both have, in the order of the second."""
    return [name for name in new if name in old]


def reordered(what: str, old: Sequence[Named], new: Sequence[Named]) -> Iterator[Change]:
    """Tell that the parts common to both stand in another order, which changes no judgement."""
    before, after = [part.name for part in old], [part.name for part in new]
    both = set(before) & set(after)
    if [name for name in before if name in both] != [name for name in after if name in both]:
        yield Change(loosens=False, where=what, text="stand in another order, which changes nothing that may pass")


def more(say: Callable[[int, Pair], str]) -> Comparer[int]:
    """Return what tells of a number that loosens when it rises."""

    def change(where: str, old: int, new: int, pair: Pair) -> Iterator[Change]:
        yield Change(
            loosens=new > old, where=where, text=f"{say(new, pair)}, {'up' if new > old else 'down'} from {old}"
        )

    return change


def shorter(say: Callable[[int, Pair], str]) -> Comparer[int]:
    """Return what tells of a span that loosens when it becomes shorter."""

    def change(where: str, old: int, new: int, pair: Pair) -> Iterator[Change]:
        yield Change(
            loosens=new < old, where=where, text=f"{say(new, pair)}, {'shorter' if new < old else 'longer'} than before"
        )

    return change


def longer(say: Callable[[int, Pair], str]) -> Comparer[int]:
    """Return what tells of a span that loosens when it becomes longer."""

    def change(where: str, old: int, new: int, pair: Pair) -> Iterator[Change]:
        how = "longer" if new > old else "shorter"
        yield Change(loosens=new > old, where=where, text=f"{say(new, pair)}, {how} than before")

    return change
