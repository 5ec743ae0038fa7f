"""A small explicit-state model of terms, votes, certificates, release and finality, under a coordinator that lies.

The coordinator decides who hears what and when; bad signers say everything that is useful to it, at any time. Honest
signers follow `Rules`. Two plans, `a` and `b`, pay the same order: a log that holds one cannot hold the other. `-` is
an entry that pays nothing. Searching all reachable states answers whether both plans can ever be signed, and whether
two histories can ever both be final. Each flag of `Rules` turns one rule off; a model without it must find a violation,
or the model would prove nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import combinations
from typing import NamedTuple, TypeVar

Log = str
Certificate = tuple[int, Log]
NO_CERTIFICATE: Certificate = (0, "")
PLANS = ("a", "b")
T = TypeVar("T")


@dataclass(frozen=True)
class Rules:
    """The rules of the protocol. True is what the design says."""

    refuses_lower_terms: bool = True
    persists_promises: bool = True
    base_is_highest: bool = True
    base_orders_by_term: bool = True
    one_base_a_term: bool = True
    votes_are_chained: bool = True
    finality_within_one_term: bool = True
    finality_by_certificates_of_the_term: bool = True
    shares_of_one_term: bool = True
    amnesiac_stays_silent: bool = True
    client_waits_for_final: bool = True


@dataclass(frozen=True)
class World:
    """Which case is searched.

    Attributes:
        n: Signers.
        t: Signers that a signature needs.
        w: Votes that a certificate needs.
        f: Bad ones among the n.
        terms: Highest term.
        logs: The logs the coordinator may propose, by term; index 0 stands for term 1.
        amnesia: Whether one honest signer may lose its memory, once.
    """

    n: int
    t: int
    w: int
    f: int = 0
    terms: int = 2
    logs: tuple[tuple[Log, ...], ...] = ()
    amnesia: bool = False
    rules: Rules = field(default_factory=Rules)

    def proposals(self, term: int) -> tuple[Log, ...]:
        return self.logs[term - 1] if self.logs else ("a", "b", "a-", "b-")


class Signer(NamedTuple):
    """One honest signer, and what it ever said."""

    term: int
    bases: tuple[Certificate | None, ...]
    held: Certificate
    votes: tuple[tuple[tuple[Log, Certificate], ...], ...]
    statements: tuple[Certificate | None, ...]
    shares: frozenset[tuple[int, str]]
    lost: bool


State = tuple[Signer, ...]


class Step(NamedTuple):
    """One event, in words that a conformance test can replay: who, what, and its arguments."""

    signer: int
    act: str
    term: int
    argument: Certificate | Log


def start(world: World) -> State:
    """Everybody has opened term 1 from the empty log: there is nothing to choose before that."""
    none = (None,) * (world.terms - 1)
    signer = Signer(1, (NO_CERTIFICATE, *none), NO_CERTIFICATE, ((),) * world.terms, (None, *none), frozenset(), False)
    return (signer,) * (world.n - world.f)


def certificates(world: World, state: State) -> frozenset[Certificate]:
    counts: dict[Certificate, int] = {}
    for signer in state:
        for term, votes in enumerate(signer.votes, 1):
            for log, _ in votes:
                counts[term, log] = counts.get((term, log), 0) + 1
    return frozenset(item for item, count in counts.items() if count + world.f >= world.w)


def bases(world: World, state: State, term: int, known: frozenset[Certificate]) -> frozenset[Certificate]:
    """Every base that some w statements for the term allow; bad signers state any certificate, or none."""
    stated = [signer.statements[term - 1] for signer in state]
    honest = [item for item in stated if item is not None]
    found = set()
    for bad in range(min(world.f, world.w) + 1):
        claims: list[tuple[Certificate, ...]] = [()]
        if bad:
            claims = [(item,) for item in (NO_CERTIFICATE, *known) if item[0] < term]
        for chosen in combinations(honest, world.w - bad):
            for claimed in claims:
                found |= _allowed_bases(world.rules, {*chosen, *claimed})
    return frozenset(found)


def _allowed_bases(rules: Rules, named: set[Certificate]) -> set[Certificate]:
    if not rules.base_is_highest:
        return named
    if not rules.base_orders_by_term:
        return {max(named, key=lambda item: (len(item[1]), item[0]))}
    return {max(named, key=lambda item: (item[0], len(item[1])))}


def _signer_steps(
    world: World,
    signer: Signer,
    known: frozenset[Certificate],
    reachable: tuple[frozenset[Certificate], ...],
    may_lose: bool,
) -> Iterator[tuple[Step, Signer]]:
    """Everything the coordinator can make one signer do, and the signer after it."""
    if signer.lost and world.rules.amnesiac_stays_silent:
        return
    if may_lose and signer.term:
        yield Step(0, "lose memory", 0, ""), _after_loss(world, signer)
    changes: list[tuple[Step, Signer | None]] = []
    for term in range(1, world.terms + 1):
        changes.append((Step(0, "promise", term, ""), promise(world, signer, term)))
        changes += [(Step(0, "adopt", term, base), adopt(world, signer, term, base)) for base in reachable[term - 1]]
        changes += [(Step(0, "vote", term, log), vote(world, signer, term, log)) for log in world.proposals(term)]
    changes += [(Step(0, "take", item[0], item), take(world, signer, item)) for item in known]
    for step, changed in changes:
        if changed is not None:
            yield step, changed


# --- what one honest signer does: None is a refusal ---


def promise(world: World, signer: Signer, term: int) -> Signer | None:
    if signer.statements[term - 1] is not None or term <= signer.term:
        return None
    stated = _put(signer.statements, term, signer.held)
    if not world.rules.persists_promises:
        return signer._replace(statements=stated)
    return signer._replace(term=term, statements=stated)


def adopt(world: World, signer: Signer, term: int, base: Certificate) -> Signer | None:
    if term < signer.term and world.rules.refuses_lower_terms:
        return None
    present = signer.bases[term - 1]
    if present is not None and (present == base or world.rules.one_base_a_term):
        return None
    if signer.held[0] == term and world.rules.one_base_a_term:
        if not signer.held[1].startswith(base[1]):
            return None
        return signer._replace(bases=_put(signer.bases, term, base))
    return signer._replace(term=max(term, signer.term), bases=_put(signer.bases, term, base), held=base)


def vote(world: World, signer: Signer, term: int, log: Log) -> Signer | None:
    base = signer.bases[term - 1]
    if base is None or (world.rules.refuses_lower_terms and term != signer.term):
        return None
    cast = signer.votes[term - 1]
    if not world.rules.one_base_a_term:
        cast = tuple(item for item in cast if item[0].startswith(base[1]))
    last = cast[-1][0] if cast else ""
    in_term = signer.held[1] if signer.held[0] == term else ""
    # One batch at a time; without the chain, any larger one.
    lowest = max(len(base[1]), len(last), len(in_term))
    if not lowest < len(log) <= lowest + 1 or not log.startswith(base[1]):
        return None
    if not log.startswith(in_term):
        return None
    if world.rules.votes_are_chained and not log.startswith(last):
        return None
    return signer._replace(votes=_put(signer.votes, term, (*signer.votes[term - 1], (log, signer.held))))


def take(world: World, signer: Signer, certificate: Certificate) -> Signer | None:
    term, log = certificate
    if term < signer.term and world.rules.refuses_lower_terms:
        return None
    if signer.held[0] == term and len(log) <= len(signer.held[1]):
        return None
    # A share goes out for every plan under the certificate at once: waiting could only help the honest side.
    given = {(term, entry) for entry in log if entry in PLANS}
    return signer._replace(term=max(term, signer.term), held=certificate, shares=signer.shares | given)


def _after_loss(world: World, signer: Signer) -> Signer:
    """What it said stays said; what it knew is gone."""
    empty = (None,) * world.terms
    return signer._replace(term=0, bases=empty, held=NO_CERTIFICATE, lost=True)


# --- what must never be ---


def violation(world: World, state: State, past: Past) -> str:
    """What went wrong for good in this state, or nothing."""
    return release_violation(world, state, past) or finality_violation(world, state, past)


def release_violation(world: World, state: State, past: Past) -> str:
    """Both plans of the order have as many shares as a signature needs."""
    both = all(("signed", plan) in past or _is_signed(world, state, plan) for plan in PLANS)
    return "both plans of one order are signed" if both else ""


def finality_violation(world: World, state: State, past: Past) -> str:
    """A later term abandons a final history, or a client believes one that is not final."""
    final = _final(world, state) | {(0, log) for kind, log in past if kind == "final"}
    known = certificates(world, state)
    if any(term > since and _conflict(log, kept) for term, log in known for since, kept in final):
        return "a later term abandons a final history"
    if any(_conflict(one, other) for (_, one), (_, other) in combinations(final, 2)):
        return "two histories are final"
    if not world.rules.client_waits_for_final:
        if any(_conflict(log, kept) for _, log in known for _, kept in final):
            return "a client believes a history that is not the final one"
    return ""


def _is_signed(world: World, state: State, plan: str) -> bool:
    if world.f >= world.t:
        return True
    if not world.rules.shares_of_one_term:
        return sum(any(given == plan for _, given in signer.shares) for signer in state) + world.f >= world.t
    return any(
        sum((term, plan) in signer.shares for signer in state) + world.f >= world.t
        for term in range(1, world.terms + 1)
    )


def _final(world: World, state: State) -> frozenset[Certificate]:
    """Final histories, each with the term of the last vote that makes it so."""
    terms = range(1, world.terms + 1)
    groups = [(term,) for term in terms] if world.rules.finality_within_one_term else [tuple(terms)]
    found = set()
    for group in groups:
        named = [_named_final(world, signer, group) for signer in state]
        for log in set().union(*named):
            since = sorted(logs[log] for logs in named if log in logs)
            enough = world.w - world.f
            if len(since) >= enough:
                found.add((since[enough - 1], log))
    return frozenset(found)


def _named_final(world: World, signer: Signer, group: tuple[int, ...]) -> dict[Log, int]:
    """The histories that this signer's votes of these terms count for, and the first term in which they do."""
    found: dict[Log, int] = {}
    for term in group:
        for _, (held_term, held_log) in signer.votes[term - 1]:
            if held_term == term or (held_term and not world.rules.finality_by_certificates_of_the_term):
                for size in range(1, len(held_log) + 1):
                    found.setdefault(held_log[:size], term)
    return found


def _conflict(one: Log, other: Log) -> bool:
    return not one.startswith(other) and not other.startswith(one)


# --- the search ---


class Found(NamedTuple):
    """Why the search stopped: the violation and the events that led to it, or nothing, and how many states it saw."""

    violation: str
    trace: tuple[Step, ...]
    states: int


Past = frozenset[tuple[str, str]]
"""What was signed or final in terms that everybody has left: the rest of those terms matters no more."""
Packed = tuple[tuple[int, ...], Past]
"""A state as sorted numbers of its signers: honest signers are alike, so their order does not matter."""


Check = Callable[[World, State, Past], str]


class Explorer:
    """Looks at every reachable state, nearest first; alike ones once (signers and plans can change places)."""

    def __init__(self, world: World, check: Check) -> None:
        self._world = world
        self._check = check
        self._numbers: dict[Signer, int] = {}
        self._signers: list[Signer] = []
        self._swapped: list[int] = []
        self._moves: dict[tuple[int, frozenset[Certificate], object], tuple[tuple[Step, Signer], ...]] = {}

    def search(self, limit: int) -> Found:
        """Search until a violation or the end.

        Raises:
            RuntimeError: more states than `limit`: the answer is not known.
        """
        first = self._pack(start(self._world), frozenset())
        origin: dict[Packed, tuple[Packed, Step] | None] = {first: None}
        queue = deque([first])
        while queue:
            packed = queue.popleft()
            for step, reached in self._successors(packed):
                if reached in origin:
                    continue
                origin[reached] = (packed, step)
                wrong = self._check(self._world, self._unpack(reached), reached[1])
                if wrong:
                    return Found(wrong, _trace(origin, reached), len(origin))
                queue.append(reached)
            if len(origin) > limit:
                raise RuntimeError(f"more than {limit} states: make the case smaller")
        return Found("", (), len(origin))

    def _unpack(self, packed: Packed) -> State:
        return tuple(self._signers[number] for number in packed[0])

    def _successors(self, packed: Packed) -> Iterator[tuple[Step, Packed]]:
        world, numbers = self._world, packed[0]
        state = self._unpack(packed)
        known = certificates(world, state)
        reachable = tuple(bases(world, state, term, known) for term in range(1, world.terms + 1))
        may_lose = world.amnesia and not any(signer.lost for signer in state)
        for index, number in enumerate(numbers):
            if index and numbers[index - 1] == number:
                continue
            key = (number, known, (reachable, may_lose))
            moves = self._moves.get(key)
            if moves is None:
                signer = self._signers[number]
                moves = tuple(
                    (step, changed)
                    for step, changed in _signer_steps(world, signer, known, reachable, may_lose)
                    if changed != signer
                )
                self._moves[key] = moves
            for step, changed in moves:
                after = (*state[:index], changed, *state[index + 1 :])
                yield step._replace(signer=index), self._pack(after, packed[1])

    def _pack(self, state: State, past: Past) -> Packed:
        world = self._world
        if world.rules == Rules() and world.f == 0:
            left = min([signer.term for signer in state if not signer.lost], default=world.terms + 1)
            if left > 1 and any(signer.votes[left - 2] or signer.statements[left - 2] for signer in state):
                past |= {("signed", plan) for plan in PLANS if _is_signed(world, state, plan)}
                past |= {("final", log) for _, log in _final(world, state)}
                state = tuple(_without_terms_below(signer, left) for signer in state)
        numbers = [self._number(signer) for signer in state]
        one = (sorted(numbers), sorted(past))
        other = (sorted(self._swapped[item] for item in numbers), sorted((kind, _swap(what)) for kind, what in past))
        best = min(one, other)
        return tuple(best[0]), frozenset(best[1])

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
    """Search one case.

    Raises:
        RuntimeError: more states than `limit`: the answer is not known.
    """
    return Explorer(world, check or violation).search(limit)


def relevant(world: World, signer: Signer) -> Signer:
    """Forget what no rule looks at any more, so that fewer states differ."""
    rules = world.rules
    if rules.refuses_lower_terms and rules.persists_promises:
        signer = signer._replace(
            bases=tuple(item if term >= signer.term else None for term, item in enumerate(signer.bases, 1))
        )
    if rules.finality_by_certificates_of_the_term:
        signer = signer._replace(
            votes=tuple(
                tuple((log, held if held[0] == term else NO_CERTIFICATE) for log, held in votes)
                for term, votes in enumerate(signer.votes, 1)
            )
        )
    return signer


def _without_terms_below(signer: Signer, term: int) -> Signer:
    below = term - 1
    empty = (None,) * below
    return signer._replace(
        bases=(*empty, *signer.bases[below:]),
        votes=(((),) * below) + signer.votes[below:],
        statements=(*empty, *signer.statements[below:]),
        shares=frozenset(item for item in signer.shares if item[0] >= term),
    )


def _trace(origin: dict[Packed, tuple[Packed, Step] | None], state: Packed) -> tuple[Step, ...]:
    found: list[Step] = []
    at = origin[state]
    while at is not None:
        state, step = at
        found.append(step)
        at = origin[state]
    return tuple(reversed(found))


def _swap_signer(signer: Signer) -> Signer:
    def of(certificate: Certificate | None) -> Certificate | None:
        return certificate and (certificate[0], _swap(certificate[1]))

    return Signer(
        signer.term,
        tuple(of(item) for item in signer.bases),
        (signer.held[0], _swap(signer.held[1])),
        tuple(tuple((_swap(log), (item[0], _swap(item[1]))) for log, item in votes) for votes in signer.votes),
        tuple(of(item) for item in signer.statements),
        frozenset((term, _swap(plan)) for term, plan in signer.shares),
        signer.lost,
    )


def _swap(log: Log) -> Log:
    return log.translate(_SWAP)


_SWAP = str.maketrans("ab", "ba")


def _put(items: tuple[T, ...], term: int, value: T) -> tuple[T, ...]:
    return (*items[: term - 1], value, *items[term:])


def replay(world: World, script: list[Step]) -> tuple[State, int]:
    """Follow a script from the start; the state reached, and how many steps the rules allowed."""
    state = start(world)
    for done, wanted in enumerate(script):
        known = certificates(world, state)
        reachable = tuple(bases(world, state, term, known) for term in range(1, world.terms + 1))
        signer = state[wanted.signer]
        moves = _signer_steps(world, signer, known, reachable, False)
        after = next((changed for step, changed in moves if step[1:] == wanted[1:]), None)
        if after is None:
            return state, done
        state = (*state[: wanted.signer], after, *state[wanted.signer + 1 :])
    return state, len(script)
