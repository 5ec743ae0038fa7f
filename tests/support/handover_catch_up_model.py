"""A small explicit-state model of what signers fetch, hold and vote for while one witness set takes over from another.

`handover_model` takes for a certificate what the electorate of its head signed. A signer that lacks the entries cannot
know which electorate that is: it takes what is *possible*, in order to fetch. Here the coordinator shows every set of
votes that is possible for somebody, and time passes, after which no signer would vote for the entries any more. All
signers are honest, in one term. In no reachable state may a signer have stopped, have voted late, store what neither it
nor those who decide have judged, or have lost entries below what it holds. Rules can be turned off, alone or together.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import NamedTuple

from handover_model import Case, Log, is_quorum
from handover_model import electorate as electorate_by

Sets = tuple[int, ...]


@dataclass(frozen=True)
class CatchUpRules:
    """The rules of catching up. True is what the design says."""

    the_wanted_set_alone_is_not_possible: bool = True
    what_contradicts_is_by_those_who_decide: bool = True
    what_is_stored_is_by_those_who_decide: bool = True
    what_was_fetched_is_voted_for_in_time: bool = True
    what_replaces_is_decided_before_it_is_written: bool = True


@dataclass(frozen=True)
class CatchUpCase:
    """Who is in which set, what everybody stores, and what may be proposed beyond it.

    Attributes:
        case: The signers and quorums.
        base: Entries that all signers store, of which none knows that they are final.
        branches: What may follow them; each beginning of each may be proposed.
    """

    case: Case
    base: Log
    branches: tuple[Log, ...]
    rules: CatchUpRules = field(default_factory=CatchUpRules)

    @cached_property
    def proposals(self) -> frozenset[Log]:
        return frozenset(self.base + tail[:size] for tail in self.branches for size in range(1, len(tail) + 1))


class Signer(NamedTuple):
    stored: Log
    held: Log
    votes: frozenset[tuple[Log, bool]]
    """Logs voted for, and whether it was late for that."""
    stopped: bool = False


class State(NamedTuple):
    late: bool
    signers: tuple[Signer, ...]


Signed = frozenset[tuple[Log, Sets]]
"""Every log with each electorate of which a quorum has voted for it."""


@cache
def electorate(case: CatchUpCase, log: Log) -> Sets:
    return electorate_by(case.case, log)


def signed(case: CatchUpCase, state: State) -> Signed:
    voters: dict[Log, set[int]] = {}
    for number, signer in enumerate(state.signers):
        for log, _ in signer.votes:
            voters.setdefault(log, set()).add(number)
    return frozenset(
        (log, sets)
        for log, who in voters.items()
        for sets in ((0,), (0, 1), (1,))
        if is_quorum(case.case, frozenset(who), sets)
    )


@cache
def possible(case: CatchUpCase, stored: Log, size: int) -> frozenset[Sets]:
    """Who may have certified a head of this size, as far as a signer with this log knows."""
    found = {electorate(case, stored[:size]), electorate(case, "")}
    found |= {electorate(case, stored[:end]) for end in range(1, len(stored) + 1)}
    newest = electorate(case, stored)
    if newest == (0,):
        found.add((0, 1))
        if not case.rules.the_wanted_set_alone_is_not_possible:
            found.add((1,))
    if newest == (0, 1):
        found.add((1,))
    return frozenset(found)


def votes(case: CatchUpCase, signer: Signer, late: bool) -> Iterator[Signer]:
    """Vote for the next entry, or for what is stored already."""
    passed = [cast for cast, _ in signer.votes] + [signer.held]
    for log in case.proposals:
        is_fetched = log == signer.stored
        if not is_fetched and log[:-1] != signer.stored:
            continue
        if not all(log.startswith(one) and len(one) < len(log) for one in passed):
            continue
        if late and not (is_fetched and not case.rules.what_was_fetched_is_voted_for_in_time):
            continue
        yield signer._replace(stored=log, votes=signer.votes | {(log, late)})


def certificates(case: CatchUpCase, signer: Signer, shown: Signed) -> Iterator[Signer]:
    """Be shown votes that are a quorum of somebody, with the entries below them."""
    for log in {log for log, _ in shown}:
        if not any((log, sets) in shown for sets in possible(case, signer.stored, len(log))):
            continue
        decided = (log, electorate(case, log)) in shown
        if len(log) <= len(signer.held):
            own = electorate(case, signer.held[: len(log)])
            counts = (log, own) in shown or not case.rules.what_contradicts_is_by_those_who_decide
            if counts and signer.held[: len(log)] != log:
                yield signer._replace(stopped=True)
        elif signer.stored.startswith(log):
            if decided:
                yield signer._replace(held=log)
        else:
            yield fetched(case, signer, log, decided)


def fetched(case: CatchUpCase, signer: Signer, log: Log, decided: bool) -> Signer:
    """The signer once the entries below this head came, by votes of those who decide about it or of others."""
    if log.startswith(signer.stored):
        # Whether it comes to be held as well is the coordinator's to say.
        is_stored = decided or not case.rules.what_is_stored_is_by_those_who_decide
        return signer._replace(stored=log) if is_stored else signer
    if decided:
        return signer._replace(stored=log, held=log)
    return signer if case.rules.what_replaces_is_decided_before_it_is_written else signer._replace(stored=log)


def harm(case: CatchUpCase, state: State, shown: Signed) -> str:
    """What must never come about; empty when nothing of it has."""
    certified = [log for log, sets in shown if sets == electorate(case, log)]
    for signer in state.signers:
        if signer.stopped:
            return "an honest signer has stopped"
        if any(late for _, late in signer.votes):
            return "a vote was late"
        if not signer.stored.startswith(signer.held):
            return "entries below a certificate are gone"
        judged = [case.base, *certified, *(cast for cast, _ in signer.votes)]
        if not any(log.startswith(signer.stored) for log in judged):
            return "entries are stored that nobody who decides has judged"
    return ""


def search(case: CatchUpCase, *, until: str = "") -> tuple[int, frozenset[str]]:
    """Look at every state that can be reached without harm; how many there are, and every harm that is one step off.

    With `until`, no further than to the first harm of that kind.
    """
    start = Signer(stored=case.base, held=case.base, votes=frozenset())
    first = State(late=False, signers=(start,) * len(case.case.members))
    seen, waiting, found = {_alike(case, first)}, [first], set[str]()
    while waiting and until not in found:
        state = waiting.pop()
        shown = signed(case, state)
        harmed = harm(case, state, shown)
        if harmed:
            found.add(harmed)
            continue
        for after in _next(case, state, shown):
            name = _alike(case, after)
            if name not in seen:
                seen.add(name)
                waiting.append(after)
    return len(seen), frozenset(found)


def _next(case: CatchUpCase, state: State, shown: Signed) -> Iterator[State]:
    if not state.late:
        yield state._replace(late=True)
    for number, signer in enumerate(state.signers):
        for changed in (*votes(case, signer, state.late), *certificates(case, signer, shown)):
            if changed != signer:
                signers = (*state.signers[:number], changed, *state.signers[number + 1 :])
                yield state._replace(signers=signers)


def _alike(case: CatchUpCase, state: State) -> object:
    """Signers of the same sets are alike."""
    named = [(sets, hash(signer)) for sets, signer in zip(case.case.members, state.signers, strict=True)]
    return state.late, tuple(sorted(named))
