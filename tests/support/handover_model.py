"""A small explicit-state model of one handover between witness sets, under a coordinator that lies.

The log begins where another set is wanted. `J` is the entry after which both sets decide, `K` the one after which the
new set does; other letters are entries of no account. The coordinator decides who hears what and when, and proposes in
each term what the case allows. Every signer is honest; which of them are in which set is the case. All reachable states
are looked at: whether two histories that exclude each other can ever both be final. Each flag of `Rules` turns one rule
off; a model without it must find them, or the model would prove nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import combinations
from typing import NamedTuple

Log = str
Certificate = tuple[int, Log]
NONE: Certificate = (0, "")


@dataclass(frozen=True)
class Rules:
    """The rules of a handover. True is what the design says."""

    both_decide_after_the_first: bool = True
    second_needs_the_first_final: bool = True
    openings_by_the_electorate_of_the_base: bool = True
    finality_by_both: bool = True


@dataclass(frozen=True)
class Case:
    """Which signers stand in which set, how many of each decide, and what may be proposed.

    Attributes:
        members: For each signer, whether it is in the old set, and whether in the new one.
        quorums: Of the old set and of the new one.
        first: Entries of term 1 in order; every beginning of them may be proposed.
        later: What may be appended to the base in term 2; every beginning of it.
    """

    members: tuple[tuple[bool, bool], ...]
    quorums: tuple[int, int]
    first: Log = "JxKx"
    later: tuple[Log, ...] = ("yy",)
    rules: Rules = field(default_factory=Rules)


class Signer(NamedTuple):
    """One signer, and everything it ever said: votes with the certificate named, and a statement of term 2."""

    term: int
    base: Certificate | None
    """Of term 2; None before it is adopted. Everybody has adopted the empty log in term 1."""
    held: Certificate
    votes: frozenset[tuple[int, Log, Certificate]]
    statement: Certificate | None


State = tuple[Signer, ...]


def electorate(case: Case, log: Log) -> tuple[int, ...]:
    """The sets, 0 and 1, whose quorums decide about the head of a log."""
    if "K" in log:
        return (1,)
    if "J" in log:
        return (0, 1) if case.rules.both_decide_after_the_first else (1,)
    return (0,)


def is_quorum(case: Case, who: frozenset[int], sets: tuple[int, ...]) -> bool:
    return all(sum(case.members[one][part] for one in who) >= case.quorums[part] for part in sets)


def voters(state: State, term: int, log: Log, held: Log | None = None) -> frozenset[int]:
    """Who voted for a head; with `held`, only those that named a certificate of the term at or above that log."""
    return frozenset(
        number
        for number, signer in enumerate(state)
        for cast_term, cast, named in signer.votes
        if (cast_term, cast) == (term, log) and (held is None or (named[0] == term and len(named[1]) >= len(held)))
    )


def certificates(case: Case, state: State) -> frozenset[Certificate]:
    cast = {(term, log) for signer in state for term, log, _ in signer.votes}
    return frozenset(item for item in cast if is_quorum(case, voters(state, *item), electorate(case, item[1])))


def final_logs(case: Case, state: State) -> frozenset[Log]:
    """Every log that some certificate's votes make final."""
    found = set()
    for term, log in certificates(case, state):
        sets = electorate(case, log)
        for size in range(1, len(log)):
            sure = voters(state, term, log, log[:size])
            enough = is_quorum(case, sure, sets)
            if not case.rules.finality_by_both and len(sets) == 2:
                enough = enough or is_quorum(case, sure, (1,))
            if enough:
                found.add(log[:size])
    return frozenset(found)


def contradicts(case: Case, state: State) -> bool:
    finals = final_logs(case, state)
    return any(not one.startswith(other) and not other.startswith(one) for one, other in combinations(finals, 2))


def may_append(case: Case, state: State, log: Log) -> bool:
    """Whether the ledger takes the log: its second step must prove the first one final."""
    if "K" not in log or not case.rules.second_needs_the_first_final:
        return True
    before = log[: log.index("K")]
    begun = before[: before.index("J") + 1]
    for size in range(len(begun) + 1, len(before) + 1):
        for term in (1, 2):
            sure = voters(state, term, before[:size], begun)
            by_one = not case.rules.finality_by_both and is_quorum(case, sure, (1,))
            if by_one or is_quorum(case, sure, (0, 1)):
                return True
    return False


def bases(case: Case, state: State, known: frozenset[Certificate]) -> Iterator[Certificate]:
    """Every base on which some statements open term 2."""
    said = {number: signer.statement for number, signer in enumerate(state) if signer.statement is not None}
    for base in (NONE, *sorted(known)):
        if base[0] == 2:
            continue
        allowed = frozenset(number for number, held in said.items() if rank(held) <= rank(base))
        sets = electorate(case, base[1]) if case.rules.openings_by_the_electorate_of_the_base else (0,)
        named = base == NONE or any(said[number] == base for number in allowed)
        if named and is_quorum(case, allowed, sets):
            yield base


def rank(certificate: Certificate) -> tuple[int, int]:
    return certificate[0], len(certificate[1])


def proposals(case: Case, signer: Signer) -> Iterator[Log]:
    if signer.term == 1:
        yield from (case.first[:size] for size in range(1, len(case.first) + 1))
    elif signer.base is not None:
        for tail in case.later:
            yield from (signer.base[1] + tail[:size] for size in range(1, len(tail) + 1))


def steps(case: Case, state: State, signer: Signer, known: frozenset[Certificate]) -> Iterator[Signer]:
    """What one signer may do next."""
    if signer.term == 1:
        yield signer._replace(term=2, statement=signer.held)
    if signer.base is None:
        for base in bases(case, state, known):
            held = signer.held if signer.held[0] == 2 else base
            yield signer._replace(term=2, base=base, held=held)
    for certificate in sorted(known):
        if certificate[0] < signer.term or rank(certificate) <= rank(signer.held):
            continue
        yield signer._replace(term=certificate[0], held=certificate)
    passed = [log for term, log, _ in signer.votes if term == signer.term]
    if signer.held[0] == signer.term:
        passed.append(signer.held[1])
    for log in proposals(case, signer):
        extends = all(len(one) < len(log) and log.startswith(one) for one in passed)
        if extends and may_append(case, state, log):
            yield signer._replace(votes=signer.votes | {(signer.term, log, signer.held)})


def search(case: Case) -> tuple[int, bool]:
    """Look at every reachable state; how many there were, and whether two final histories contradict each other."""
    start = Signer(term=1, base=None, held=NONE, votes=frozenset(), statement=None)
    first: State = (start,) * len(case.members)
    seen, waiting = {_alike(case, first)}, [first]
    while waiting:
        state = waiting.pop()
        if contradicts(case, state):
            return len(seen), True
        known = certificates(case, state)
        for number, signer in enumerate(state):
            for changed in steps(case, state, signer, known):
                after = (*state[:number], changed, *state[number + 1 :])
                name = _alike(case, after)
                if name not in seen:
                    seen.add(name)
                    waiting.append(after)
    return len(seen), False


def _alike(case: Case, state: State) -> object:
    """Signers of the same sets are alike."""
    named = [(sets, hash(signer)) for sets, signer in zip(case.members, state, strict=True)]
    return tuple(sorted(named))
