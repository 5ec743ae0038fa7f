"""Maximum matching of people to the places of quorums: one person takes one place, whatever groups they are in.

A greedy choice would make the answer depend on the order of approvals; a maximum matching does not.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass

__all__ = ["Quota", "Seating", "seat"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """A number of places, and who may take them."""

    count: int
    members: Collection[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seating:
    """The outcome of seating people one by one.

    Attributes:
        open_places: places left in each quota, in the order of the quotas.
        last_needed: position of the person who took the last place that could be taken; None if nobody was seated.
    """

    open_places: tuple[int, ...]
    last_needed: int | None

    @property
    def complete(self) -> bool:
        """Whether every place is taken."""
        return not any(self.open_places)


def seat(people: Sequence[str], quotas: Sequence[Quota]) -> Seating:
    """Seat people in the order given, each at most once, moving earlier ones to other places where that makes room.

    After each newcomer the seating is a maximum one of those seen so far: if all places are taken at the end, then
    `last_needed` is the first position at which they could be.
    """
    taken: list[list[str]] = [[] for _ in quotas]
    place_of: dict[str, int] = {}
    last_needed: int | None = None
    places = sum(quota.count for quota in quotas)
    for position, person in enumerate(people):
        if len(place_of) == places:
            break
        if person not in place_of and _make_room(person, quotas, taken, place_of):
            last_needed = position
    open_places = tuple(max(0, quota.count - len(seated)) for quota, seated in zip(quotas, taken, strict=True))
    return Seating(open_places=open_places, last_needed=last_needed)


def _make_room(newcomer: str, quotas: Sequence[Quota], taken: list[list[str]], place_of: dict[str, int]) -> bool:
    """Search breadth first for a chain of moves that ends in an open place, and make the moves."""
    wanted_by: dict[int, str] = {}
    queue = deque([newcomer])
    while queue:
        person = queue.popleft()
        for index, quota in enumerate(quotas):
            if index in wanted_by or person not in quota.members:
                continue
            wanted_by[index] = person
            if len(taken[index]) < quota.count:
                _move(index, wanted_by, taken, place_of)
                return True
            queue.extend(taken[index])
    return False


def _move(target: int, wanted_by: dict[int, str], taken: list[list[str]], place_of: dict[str, int]) -> None:
    place: int | None = target
    while place is not None:
        person = wanted_by[place]
        left = place_of.get(person)
        taken[place].append(person)
        place_of[person] = place
        if left is not None:
            taken[left].remove(person)
        place = left
