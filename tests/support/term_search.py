"""The search through every reachable state of the model of terms, and what it must never find.

Two reductions make it small. Honest signers are alike, so a state is the sorted list of what they are. The two plans
are alike wherever the coordinator may propose both or neither in each term, so a state and the one with the plans
changed round count once; where it may not, this is left out. A third one is used for f = 0 under all rules: what
happened in a term that every honest signer has left matters only by what was signed and final there, because nobody
votes there any more, and each certificate that an opening can name is held by a signer that states it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

from term_model import (
    NO_CERTIFICATE,
    PLANS,
    Certificate,
    Known,
    Log,
    Memory,
    Release,
    Rules,
    Signer,
    State,
    Step,
    World,
    certificates,
    conflict,
    final_logs,
    known_at,
    released_on_final,
    shares_of,
    signer_steps,
    start,
    stuck,
)

__all__ = [
    "NOTHING_PAST",
    "Explorer",
    "Found",
    "Past",
    "Verdicts",
    "explore",
    "finality_violation",
    "release_violation",
    "search",
    "stuck_violation",
    "violation",
]


class Past(NamedTuple):
    """What is left of terms that everybody has left: most honest shares of one signature for each plan, final logs."""

    shares: tuple[int, int]
    final: frozenset[Log]


NOTHING_PAST = Past((0, 0), frozenset())
Check = Callable[[World, State, Past], str]


# --- what must never be ---


def most_shares(world: World, state: State, past: Past) -> tuple[int, ...]:
    """For each plan the most shares that one signature can have, those of the bad holders included."""
    return tuple(
        max(before, shares_of(world, state, plan)) + world.f for plan, before in zip(PLANS, past.shares, strict=True)
    )


def release_violation(world: World, state: State, past: Past) -> str:
    """Both plans of the order have as many shares as a signature needs."""
    both = all(count >= world.t for count in most_shares(world, state, past))
    return "both plans of one order are signed" if both else ""


def finality_violation(world: World, state: State, past: Past) -> str:
    """A later term abandons a final history, or a client believes one that is not final."""
    final = final_logs(world, state) | {(0, log) for log in past.final}
    known = certificates(world, state)
    if any(term > since and conflict(log, kept) for term, log in known for since, kept in final):
        return "a later term abandons a final history"
    if any(conflict(one, other) for (_, one), (_, other) in combinations(final, 2)):
        return "two histories are final"
    if not world.rules.client_waits_for_final:
        if any(conflict(log, kept) for _, log in known for _, kept in final):
            return "a client believes a history that is not the final one"
    return ""


def stuck_violation(world: World, state: State, _: Past) -> str:
    """From some w live signers no honest coordinator can go on."""
    return "the log is stuck" if stuck(world, state) else ""


def violation(world: World, state: State, past: Past) -> str:
    """What went wrong for good in this state, or nothing."""
    return release_violation(world, state, past) or finality_violation(world, state, past)


# --- the search ---


class Found(NamedTuple):
    """Why the search stopped: the violation and the events that led to it, or nothing, and how many states it saw."""

    violation: str
    trace: tuple[Step, ...]
    states: int


@dataclass(frozen=True)
class Verdicts:
    """What all reachable states of a case show.

    Attributes:
        states: How many there are, alike ones counted once.
        shares: The most shares that both plans have in one state; a threshold of at most that signs both.
        finality: What breaks finality, or "".
    """

    states: int
    shares: int
    finality: str


Packed = tuple[tuple[int, ...], Past]
"""A state as sorted numbers of its signers."""


class Explorer:
    """Walks from state to state, nearest first; alike ones once."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._numbers: dict[Signer, int] = {}
        self._signers: list[Signer] = []
        self._swapped: list[int] = []
        self._moves: dict[tuple[int, Known], tuple[tuple[Step, Signer], ...]] = {}
        self._swaps = all(
            {_swap(log) for log in world.proposals(term)} == set(world.proposals(term))
            for term in range(1, world.terms + 1)
        )
        self._forgets_past = world.rules == Rules() and world.f == 0 and not world.storage
        self.origin: dict[Packed, tuple[Packed, Step] | None] = {}

    def states(self, limit: int) -> Iterator[Packed]:
        """Every reachable state.

        Raises:
            RuntimeError: more states than `limit`: the answer is not known.
        """
        first = self._pack(start(self._world), NOTHING_PAST)
        self.origin = {first: None}
        queue = deque([first])
        yield first
        while queue:
            packed = queue.popleft()
            for step, reached in self._successors(packed):
                if reached in self.origin:
                    continue
                self.origin[reached] = (packed, step)
                queue.append(reached)
                yield reached
            if len(self.origin) > limit:
                raise RuntimeError(f"more than {limit} states: make the case smaller")

    def unpack(self, packed: Packed) -> State:
        """The signers of a state."""
        return tuple(self._signers[number] for number in packed[0])

    def trace(self, state: Packed) -> tuple[Step, ...]:
        """The events that lead to a state."""
        found: list[Step] = []
        at = self.origin[state]
        while at is not None:
            state, step = at
            found.append(step)
            at = self.origin[state]
        return tuple(reversed(found))

    def _successors(self, packed: Packed) -> Iterator[tuple[Step, Packed]]:
        numbers = packed[0]
        state = self.unpack(packed)
        known = known_at(self._world, state)
        for index, number in enumerate(numbers):
            if index and numbers[index - 1] == number:
                continue
            for step, changed in self._moves_of(number, known):
                after = (*state[:index], changed, *state[index + 1 :])
                yield step._replace(signer=index), self._pack(after, packed[1])

    def _moves_of(self, number: int, known: Known) -> tuple[tuple[Step, Signer], ...]:
        moves = self._moves.get((number, known))
        if moves is None:
            signer = self._signers[number]
            moves = tuple(item for item in signer_steps(self._world, signer, known) if item[1] != signer)
            self._moves[number, known] = moves
        return moves

    def _pack(self, state: State, past: Past) -> Packed:
        world = self._world
        if world.release is Release.ON_FINAL:
            state = released_on_final(world, state)
        if self._forgets_past:
            state, past = _without_past(world, state, past)
        numbers = [self._number(signer) for signer in state]
        one: tuple[list[int], Past] = (sorted(numbers), past)
        if not self._swaps:
            return tuple(one[0]), past
        other = (
            sorted(self._swapped[item] for item in numbers),
            Past((past.shares[1], past.shares[0]), frozenset(_swap(log) for log in past.final)),
        )
        best = min(one, other, key=lambda item: (item[0], item[1].shares, sorted(item[1].final)))
        return tuple(best[0]), best[1]

    def _number(self, signer: Signer) -> int:
        signer = relevant(self._world, signer)
        number = self._numbers.get(signer)
        if number is None:
            number = self._add(signer)
            other = _swap_signer(signer)
            twin = number if other == signer else self._add(other)
            self._swapped[number], self._swapped[twin] = twin, number
        return number

    def _add(self, signer: Signer) -> int:
        self._numbers[signer] = len(self._signers)
        self._signers.append(signer)
        self._swapped.append(0)
        return self._numbers[signer]


def search(world: World, *, limit: int = 400_000, check: Check | None = None) -> Found:
    """Search one case until a violation or the end.

    Raises:
        RuntimeError: more states than `limit`: the answer is not known.
    """
    explorer, wrong = Explorer(world), check or violation
    count = 0
    for packed in explorer.states(limit):
        count += 1
        what = wrong(world, explorer.unpack(packed), packed[1])
        if what:
            return Found(what, explorer.trace(packed), count)
    return Found("", (), count)


def explore(world: World, *, limit: int = 2_000_000) -> Verdicts:
    """Look at every state of a case, whatever is wrong in it. `t` of the world matters nowhere.

    Raises:
        RuntimeError: more states than `limit`: the answer is not known.
    """
    explorer = Explorer(world)
    states, shares, finality = 0, 0, ""
    for packed in explorer.states(limit):
        states += 1
        state, past = explorer.unpack(packed), packed[1]
        shares = max(shares, min(most_shares(world, state, past)))
        finality = finality or finality_violation(world, state, past)
    return Verdicts(states=states, shares=shares, finality=finality)


# --- reductions ---


def relevant(world: World, signer: Signer) -> Signer:
    """Forget what no rule looks at any more, so that fewer states differ."""
    rules = world.rules
    if rules.refuses_lower_terms and rules.persists_promises:
        signer = signer._replace(
            bases=tuple(item if term >= signer.term else None for term, item in enumerate(signer.bases, 1))
        )
    if rules.finality_by_certificates_of_the_term:
        signer = signer._replace(votes=_of_own_term(signer.votes), old_votes=_of_own_term(signer.old_votes))
    if not world.storage:
        signer = signer._replace(stored="")
    return signer


def _of_own_term(
    votes: tuple[tuple[tuple[Log, Certificate], ...], ...],
) -> tuple[tuple[tuple[Log, Certificate], ...], ...]:
    """Votes without the certificates of earlier terms, which count for nothing."""
    return tuple(
        tuple((log, held if held[0] == term else NO_CERTIFICATE) for log, held in cast)
        for term, cast in enumerate(votes, 1)
    )


def _without_past(world: World, state: State, past: Past) -> tuple[State, Past]:
    left = min([signer.term for signer in state if signer.memory is not Memory.LOST], default=world.terms + 1)
    if left < 2:
        return state, past
    if world.amnesia.name == "RETURNS" and any(signer.memory is Memory.LOST for signer in state):
        return state, past
    done = tuple(_only_terms_below(signer, left) for signer in state)
    counts = tuple(max(before, shares_of(world, done, plan)) for before, plan in zip(past.shares, PLANS, strict=True))
    final = past.final | {log for _, log in final_logs(world, done)}
    kept = tuple(_without_terms_below(signer, left) for signer in state)
    return kept, Past((counts[0], counts[1]), frozenset(final))


def _only_terms_below(signer: Signer, term: int) -> Signer:
    return signer._replace(
        votes=_first(signer.votes, term - 1),
        old_votes=_first(signer.old_votes, term - 1),
        shares=frozenset(item for item in signer.shares if item[0] < term),
    )


def _first(
    votes: tuple[tuple[tuple[Log, Certificate], ...], ...], count: int
) -> tuple[tuple[tuple[Log, Certificate], ...], ...]:
    return votes[:count] + ((),) * (len(votes) - count) if votes else votes


def _without_terms_below(signer: Signer, term: int) -> Signer:
    below = term - 1
    empty = (None,) * below
    return signer._replace(
        bases=(*empty, *signer.bases[below:]),
        votes=(((),) * below) + signer.votes[below:],
        statements=(*empty, *signer.statements[below:]),
        shares=frozenset(item for item in signer.shares if item[0] >= term),
        fresh=frozenset(item for item in signer.fresh if item >= term),
        old_votes=(((),) * below) + signer.old_votes[below:] if signer.old_votes else (),
        old_statements=(*empty, *signer.old_statements[below:]) if signer.old_statements else (),
    )


def _swap_signer(signer: Signer) -> Signer:
    def of(certificate: Certificate | None) -> Certificate | None:
        return certificate and (certificate[0], _swap(certificate[1]))

    def votes(
        all_votes: tuple[tuple[tuple[Log, Certificate], ...], ...],
    ) -> tuple[tuple[tuple[Log, Certificate], ...], ...]:
        return tuple(tuple((_swap(log), (held[0], _swap(held[1]))) for log, held in cast) for cast in all_votes)

    return signer._replace(
        bases=tuple(of(item) for item in signer.bases),
        held=(signer.held[0], _swap(signer.held[1])),
        votes=votes(signer.votes),
        statements=tuple(of(item) for item in signer.statements),
        shares=frozenset((term, _swap(plan)) for term, plan in signer.shares),
        stored=_swap(signer.stored),
        old_votes=votes(signer.old_votes),
        old_statements=tuple(of(item) for item in signer.old_statements),
    )


def _swap(log: Log) -> Log:
    return log.translate(_SWAP)


_SWAP = str.maketrans("ab", "ba")
