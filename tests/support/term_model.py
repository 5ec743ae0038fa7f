"""A small explicit-state model of terms, votes, certificates, release and finality, under a coordinator that lies.

The coordinator decides who hears what and when; bad signers say everything that is useful to it, at any time. Honest
signers follow `Rules`. Two plans, `a` and `b`, pay the same order: a log that holds one cannot hold the other. `-` is
an entry that pays nothing. `term_search` looks at all reachable states and says whether both plans can ever be signed,
whether two histories can ever both be final, and whether the log can ever be stuck. Each flag of `Rules` turns one rule
off; a model without it must find a violation, or the model would prove nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum, IntEnum
from itertools import combinations, product
from typing import NamedTuple, TypeVar

Log = str
Certificate = tuple[int, Log]
NO_CERTIFICATE: Certificate = (0, "")
PLANS = ("a", "b")
T = TypeVar("T")


class Release(Enum):
    """When an honest holder gives its share of a plan."""

    ON_CERTIFICATE = "on a certificate"
    ON_FINAL = "on a final head"


class Amnesia(Enum):
    """Whether one honest signer may lose its memory, once, and what becomes of it."""

    NONE = "none"
    SILENT = "silent for ever"
    RETURNS = "returns by the restore rule"


class Memory(IntEnum):
    """What an honest signer knows of its own past."""

    WHOLE = 0
    LOST = 1
    RETURNED = 2


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
    stores_before_holding: bool = True
    stops_on_contradiction: bool = True
    amnesiac_takes_no_part: bool = True
    amnesiac_states_no_new_term: bool = True
    return_needs_fresh_promises: bool = True
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
        logs: The logs the coordinator may propose, by term; index 0 stands for term 1. Empty: any of up to two batches.
        release: When honest holders give shares.
        amnesia: Whether one honest signer may lose its memory, once.
        storage: Whether the entries that each signer stores are part of the state: needed to see a log that is stuck.
    """

    n: int
    t: int
    w: int
    f: int = 0
    terms: int = 2
    logs: tuple[tuple[Log, ...], ...] = ()
    release: Release = Release.ON_CERTIFICATE
    amnesia: Amnesia = Amnesia.NONE
    storage: bool = False
    rules: Rules = field(default_factory=Rules)

    def proposals(self, term: int) -> tuple[Log, ...]:
        return self.logs[term - 1] if self.logs else ("a", "b", "a-", "b-")


class Signer(NamedTuple):
    """One honest signer, and what it ever said.

    `fresh` are the terms that it promised after somebody's loss of memory; `stored` the entries it has; `old_votes` and
    `old_statements` what it said before its own loss, which others remember and it does not.
    """

    term: int
    bases: tuple[Certificate | None, ...]
    held: Certificate
    votes: tuple[tuple[tuple[Log, Certificate], ...], ...]
    statements: tuple[Certificate | None, ...]
    shares: frozenset[tuple[int, str]]
    memory: Memory
    fresh: frozenset[int] = frozenset()
    stored: Log = ""
    old_votes: tuple[tuple[tuple[Log, Certificate], ...], ...] = ()
    old_statements: tuple[Certificate | None, ...] = ()


State = tuple[Signer, ...]


class Step(NamedTuple):
    """One event, in words that a conformance test can replay: who, what, and its arguments."""

    signer: int
    act: str
    term: int
    argument: Certificate | Log


class Known(NamedTuple):
    """What the coordinator can show at a state."""

    certificates: frozenset[Certificate]
    bases: tuple[frozenset[Certificate], ...]
    fresh_bases: tuple[frozenset[Certificate], ...]
    """By term: bases that statements made after a loss of memory allow, for who lost it."""
    may_lose: bool
    somebody_lost: bool


def start(world: World) -> State:
    """Everybody has opened term 1 from the empty log: there is nothing to choose before that."""
    none = (None,) * (world.terms - 1)
    signer = Signer(
        term=1,
        bases=(NO_CERTIFICATE, *none),
        held=NO_CERTIFICATE,
        votes=((),) * world.terms,
        statements=(None, *none),
        shares=frozenset(),
        memory=Memory.WHOLE,
    )
    return (signer,) * (world.n - world.f)


def known_at(world: World, state: State) -> Known:
    """What the coordinator can show, and what may still happen."""
    known = certificates(world, state)
    terms = range(1, world.terms + 1)
    lost = any(signer.memory is Memory.LOST for signer in state)
    touched = any(signer.memory is not Memory.WHOLE for signer in state)
    fresh: tuple[frozenset[Certificate], ...] = (frozenset(),) * world.terms
    if lost and world.amnesia is Amnesia.RETURNS:
        fresh = tuple(bases(world, state, term, known, for_amnesiac=True) for term in terms)
    return Known(
        certificates=known,
        bases=tuple(bases(world, state, term, known) for term in terms),
        fresh_bases=fresh,
        may_lose=world.amnesia is not Amnesia.NONE and not touched,
        somebody_lost=touched,
    )


def certificates(world: World, state: State) -> frozenset[Certificate]:
    counts: dict[Certificate, int] = {}
    for signer in state:
        # A signer that lost its memory may have voted twice: it counts once for each log.
        cast = {(term, log) for votes in (signer.votes, signer.old_votes) for term, log in _voted(votes)}
        for item in cast:
            counts[item] = counts.get(item, 0) + 1
    return frozenset(item for item, count in counts.items() if count + world.f >= world.w)


def _voted(votes: tuple[tuple[tuple[Log, Certificate], ...], ...]) -> Iterator[Certificate]:
    return ((term, log) for term, cast in enumerate(votes, 1) for log, _ in cast)


def bases(
    world: World, state: State, term: int, known: frozenset[Certificate], *, for_amnesiac: bool = False
) -> frozenset[Certificate]:
    """Every base that some w statements for the term allow; bad signers state any certificate, or none.

    For who lost its memory only statements of others count, and only those made since.
    """
    honest = [_stated(world, signer, term, for_amnesiac=for_amnesiac) for signer in state]
    honest = [options for options in honest if options]
    found = set()
    for bad in range(min(world.f, world.w) + 1):
        claims: list[tuple[Certificate, ...]] = [()]
        if bad:
            claims = [(item,) for item in (NO_CERTIFICATE, *known) if item[0] < term]
        for speakers in combinations(honest, world.w - bad):
            for chosen in product(*speakers):
                for claimed in claims:
                    found |= _allowed_bases(world.rules, {*chosen, *claimed})
    return frozenset(found)


def _stated(world: World, signer: Signer, term: int, *, for_amnesiac: bool) -> tuple[Certificate, ...]:
    """What one signer's statements for a term name: one certificate, or two if it forgot the first."""
    if for_amnesiac:
        is_old = term not in signer.fresh and world.rules.return_needs_fresh_promises
        if is_old or signer.memory is not Memory.WHOLE:
            return ()
    old = signer.old_statements[term - 1] if signer.old_statements else None
    return tuple(item for item in dict.fromkeys((signer.statements[term - 1], old)) if item is not None)


def _allowed_bases(rules: Rules, named: set[Certificate]) -> set[Certificate]:
    if not rules.base_is_highest:
        return named
    ranks = {item: (item[0], len(item[1])) if rules.base_orders_by_term else (len(item[1]), item[0]) for item in named}
    # Beyond the bounds two certificates can be equally high; the coordinator takes the one that serves it.
    return {item for item in named if ranks[item] == max(ranks.values())}


def signer_steps(world: World, signer: Signer, known: Known) -> Iterator[tuple[Step, Signer]]:
    """Everything the coordinator can make one signer do, and the signer after it."""
    changes: list[tuple[Step, Signer | None]] = []
    terms = range(1, world.terms + 1)
    if known.may_lose:
        changes.append((Step(0, "lose memory", 0, ""), after_loss(world, signer)))
    is_lost = signer.memory is Memory.LOST
    if is_lost:
        changes += [
            (Step(0, "return", term, base), return_to(signer, term, base))
            for term in terms
            for base in known.fresh_bases[term - 1]
        ]
    if not is_lost or not world.rules.amnesiac_states_no_new_term:
        changes += [(Step(0, "promise", term, ""), promise(world, signer, term)) for term in terms]
    if not is_lost or not world.rules.amnesiac_takes_no_part:
        for term in terms:
            changes += [
                (Step(0, "adopt", term, base), adopt(world, signer, term, base)) for base in known.bases[term - 1]
            ]
            changes += [(Step(0, "vote", term, log), vote(world, signer, term, log)) for log in world.proposals(term)]
        changes += [(Step(0, "take", item[0], item), take(world, signer, item)) for item in known.certificates]
    for step, changed in changes:
        if changed is None:
            continue
        is_fresh = step.act == "promise" and known.somebody_lost
        yield step, changed._replace(fresh=changed.fresh | {step.term}) if is_fresh else changed


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
    stored = base[1] if world.rules.stores_before_holding else _common(signer.stored, base[1])
    return signer._replace(term=max(term, signer.term), bases=_put(signer.bases, term, base), held=base, stored=stored)


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
    return signer._replace(votes=_put(signer.votes, term, (*signer.votes[term - 1], (log, signer.held))), stored=log)


def take(world: World, signer: Signer, certificate: Certificate) -> Signer | None:
    term, log = certificate
    if term < signer.term and world.rules.refuses_lower_terms:
        return None
    if signer.held[0] == term and len(log) <= len(signer.held[1]):
        return None
    if signer.held[0] == term and not log.startswith(signer.held[1]) and world.rules.stops_on_contradiction:
        return None  # the signer stops with an alarm; going on without the certificate is no less
    given: set[tuple[int, str]] = set()
    if world.release is Release.ON_CERTIFICATE:
        # A share goes out for every plan under the certificate at once: waiting could only help the honest side.
        given = {(term, entry) for entry in log if entry in PLANS}
    fetches = world.rules.stores_before_holding and not signer.stored.startswith(log)
    return signer._replace(
        term=max(term, signer.term),
        held=certificate,
        shares=signer.shares | given,
        stored=log if fetches else signer.stored,
    )


def after_loss(world: World, signer: Signer) -> Signer:
    """What it said stays said; what it knew is gone."""
    empty = (None,) * world.terms
    return signer._replace(
        term=0,
        bases=empty,
        held=NO_CERTIFICATE,
        votes=((),) * world.terms,
        statements=empty,
        memory=Memory.LOST,
        stored="",
        old_votes=signer.votes,
        old_statements=signer.statements,
    )


def return_to(signer: Signer, term: int, base: Certificate) -> Signer:
    """The restore rule: w others stated the term over a fresh challenge; their base is adopted."""
    return signer._replace(
        term=term, bases=_put(signer.bases, term, base), held=base, memory=Memory.RETURNED, stored=base[1]
    )


def released_on_final(world: World, state: State) -> State:
    """Give every share that finality allows: a share changes nothing else, so giving it at once loses no attack."""
    final = [(term, log) for term in range(1, world.terms + 1) for log in final_in(world, state, (term,))]
    if not final:
        return state
    changed = []
    for signer in state:
        given = {
            (term, entry)
            for term, log in final
            if signer.memory is not Memory.LOST and signer.term == signer.held[0] == term
            if signer.held[1].startswith(log)
            for entry in log
            if entry in PLANS
        }
        changed.append(signer._replace(shares=signer.shares | given) if given - signer.shares else signer)
    return tuple(changed)


# --- what follows from what was said ---


def shares_of(world: World, state: State, plan: str) -> int:
    """The most honest shares of a plan that can be added up to one signature; those of bad holders are not counted."""
    if not world.rules.shares_of_one_term:
        return sum(any(given == plan for _, given in signer.shares) for signer in state)
    return max(sum((term, plan) in signer.shares for signer in state) for term in range(1, world.terms + 1))


def final_logs(world: World, state: State) -> frozenset[Certificate]:
    """Final histories, each with the term of the last vote that makes it so."""
    terms = range(1, world.terms + 1)
    groups = [(term,) for term in terms] if world.rules.finality_within_one_term else [tuple(terms)]
    return frozenset((since, log) for group in groups for log, since in final_in(world, state, group).items())


def final_in(world: World, state: State, group: tuple[int, ...]) -> dict[Log, int]:
    """Histories that w votes of these terms make final, and the term of the last vote that it takes."""
    named = [_named_final(world, signer, group) for signer in state]
    enough, found = world.w - world.f, {}
    for log in set().union(*named):
        since = sorted(logs[log] for logs in named if log in logs)
        if len(since) >= enough:
            found[log] = since[enough - 1] if enough > 0 else since[0]
    return found


def _named_final(world: World, signer: Signer, group: tuple[int, ...]) -> dict[Log, int]:
    """The histories that this signer's votes of these terms count for, and the first term in which they do."""
    found: dict[Log, int] = {}
    for term in group:
        old = signer.old_votes[term - 1] if signer.old_votes else ()
        for _, (held_term, held_log) in (*signer.votes[term - 1], *old):
            if held_term == term or (held_term and not world.rules.finality_by_certificates_of_the_term):
                for size in range(1, len(held_log) + 1):
                    found.setdefault(held_log[:size], term)
    return found


def conflict(one: Log, other: Log) -> bool:
    """Whether no log can hold both."""
    return not one.startswith(other) and not other.startswith(one)


def stuck(world: World, state: State) -> tuple[int, ...]:
    """w live signers from whom an honest coordinator cannot go on, as places in the state; empty when all can.

    It opens a new term with their statements. They state their highest certificates; the base must be readable, for
    one of them has its entries, or nobody can adopt it.
    """
    live = [place for place, signer in enumerate(state) if signer.memory is not Memory.LOST]
    for chosen in combinations(live, world.w):
        named = {state[place].held for place in chosen}
        readable = {
            base
            for base in _allowed_bases(world.rules, named)
            if any(state[place].stored.startswith(base[1]) for place in chosen)
        }
        if not any(_goes_on(world, [state[place] for place in chosen], base) for base in readable):
            return chosen
    return ()


def _goes_on(world: World, signers: list[Signer], base: Certificate) -> bool:
    """Whether these signers, asked in order, promise a new term, adopt the base, vote beyond it and take the result."""
    term = world.terms + 1
    log = base[1] + "-"
    for signer in signers:
        longer = signer._replace(
            bases=(*signer.bases, None), votes=(*signer.votes, ()), statements=(*signer.statements, None)
        )
        for ask in (
            lambda one: promise(world, one, term),
            lambda one: adopt(world, one, term, base),
            lambda one: vote(world, one, term, log),
            lambda one: take(world, one, (term, log)),
        ):
            after = ask(longer)
            if after is None:
                return False
            longer = after
    return True


def _common(one: Log, other: Log) -> Log:
    size = next((at for at, (x, y) in enumerate(zip(one, other, strict=False)) if x != y), min(len(one), len(other)))
    return one[:size]


def _put(items: tuple[T, ...], term: int, value: T) -> tuple[T, ...]:
    return (*items[: term - 1], value, *items[term:])


def replay(world: World, script: list[Step]) -> tuple[State, int]:
    """Follow a script from the start; the state reached, and how many steps the rules allowed."""
    state = start(world)
    for done, wanted in enumerate(script):
        signer = state[wanted.signer]
        moves = signer_steps(world, signer, known_at(world, state))
        after = next((changed for step, changed in moves if step[1:] == wanted[1:]), None)
        if after is None:
            return state, done
        state = (*state[: wanted.signer], after, *state[wanted.signer + 1 :])
    return state, len(script)
