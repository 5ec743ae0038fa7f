"""The judgement of orders by the charter: which rule lets an order pass, and what is missing when none does.

Default is deny. A prohibition that matches always wins; a rejection by anyone whom a matching rule names as approver
ends the order; otherwise the order passes if one rule passes entirely, and the first in order is the one shown.

Everything here is a pure function of its arguments, so coordinator, signers, auditors and the command line reach the
same judgement. Endorsements count by person, whatever the number of their keys or groups, and only those that have not
expired and whose key still stands in the charter.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from strongroom.ledger.charter import AddressBook, Charter, Deny, Destinations, Quorum, Rule
from strongroom.ledger.charter_book import CharterBook, book_of
from strongroom.ledger.judgement import Code, Endorsed, Judgement, Withdrawal
from strongroom.ledger.matching import Quota, Seating, seat
from strongroom.ledger.signed_messages import Verb
from strongroom.model.quantities import duration_text, time_text

__all__ = [
    "Code",
    "Endorsed",
    "Judgement",
    "Withdrawal",
    "approvers_of",
    "completed_ms",
    "glob_match",
    "judge_quorum",
    "judge_withdrawal",
    "may_initiate",
    "named_approver",
    "officers_of",
    "person_key_known",
    "quorum_members",
    "why_not_initiated",
]

MAX_LINE_BYTES: Final = 200
"""Each line of a judgement fits the reasons of a signer's signed view of an order."""

WindowTotal = Callable[[tuple[str, ...], str, int], int]
"""(vault globs, asset, window in ms) -> sum already planned from matching vaults within (time - window, time]."""


@dataclass(frozen=True, slots=True)
class _Said:
    """The endorsements that count at one time."""

    initiators: frozenset[str]
    """Everyone who initiated, expired or not: none of them counts as an approver."""
    initiated: Mapping[str, int]
    """Initiators whose endorsement counts, and its time."""
    approved: tuple[tuple[int, str], ...]
    """Time and person of each approval that counts, in order of time."""


@dataclass(frozen=True, slots=True)
class _Case:
    """What is judged, against every rule alike."""

    book: CharterBook
    payment: Withdrawal
    said: _Said
    at_ms: int
    window_total: WindowTotal | None


@dataclass(frozen=True, slots=True)
class _Problem:
    """One thing that keeps an order from passing a rule."""

    code: Code
    line: str


@dataclass(frozen=True, slots=True)
class _Attempt:
    """How far an order is from passing one rule."""

    rule: Rule
    problems: tuple[_Problem, ...]
    distance: tuple[int, ...]


def glob_match(pattern: str, name: str) -> bool:
    """Say whether the whole `name` matches `pattern`, in which each `*` stands for any run of characters."""
    first, *rest = pattern.split("*")
    if not rest:
        return pattern == name
    if not name.startswith(first):
        return False
    position = len(first)
    for piece in rest[:-1]:
        position = name.find(piece, position)
        if position < 0:
            return False
        position += len(piece)
    return len(name) - len(rest[-1]) >= position and name.endswith(rest[-1])


def person_key_known(charter: Charter, person: str, key: bytes) -> bool:
    """Say whether this 32-byte key is one of this person's keys in the charter."""
    return book_of(charter).has_key(person, key)


def may_initiate(charter: Charter, person: str, payment: Withdrawal) -> bool:
    """Say whether some rule about this payment lets this person initiate it."""
    book = book_of(charter)
    return any(
        _covers(rule, payment) and not _is_removed(rule, payment) and _may_initiate_under(book, rule, person)
        for rule in charter.rules
    )


def why_not_initiated(charter: Charter, person: str, payment: Withdrawal) -> Judgement:
    """Say what keeps a person who `may_initiate` not from initiating this payment: the closest rule's first problem.

    That is a maximum, a vault, a destination or an asset that no rule allows, or the person, who is not named.
    """
    key = min(book_of(charter).keys.get(person, ()), default=b"")
    asked = Endorsed(person=person, key=key, verb=Verb.INITIATE, expires_ms=1, time_ms=0)
    return judge_withdrawal(charter, payment, (asked,), at_ms=0, window_total=None)


def named_approver(charter: Charter, person: str, payment: Withdrawal) -> bool:
    """Say whether a rule whose vaults, destination and maximum match the payment names this person as approver.

    Such a person's rejection ends the order, and they may cancel it.
    """
    book = book_of(charter)
    return any(person in approvers_of(book, rule) for rule in charter.rules if _covers(rule, payment))


def quorum_members(charter: Charter, quorum: Quorum) -> frozenset[str]:
    """Return the people who count toward a quorum for acts other than payments: its group without machines."""
    book = book_of(charter)
    return book.members(quorum.group) - book.machines


def officers_of(charter: Charter) -> frozenset[str]:
    """Return the people of whom any one may freeze and take addresses out; machines are none of them."""
    book = book_of(charter)
    return book.members(charter.officers) - book.machines


def judge_withdrawal(
    charter: Charter,
    payment: Withdrawal,
    endorsements: Sequence[Endorsed],
    *,
    at_ms: int,
    window_total: WindowTotal | None,
    words_at_ms: int | None = None,
) -> Judgement:
    """Judge a payment at log time `at_ms` by the rules of this charter.

    Args:
        charter: The charter in force.
        payment: What the order asks for.
        endorsements: Everything accepted about the order.
        at_ms: Log time, Unix milliseconds.
        window_total: What was already planned, this order left out; None leaves windows out of the judgement.
        words_at_ms: Log time at which endorsements must not have expired, if that is another one.
    """
    book = book_of(charter)
    for deny in charter.denies:
        if _prohibits(deny, payment):
            line = _line(f'the prohibition "{deny.name}" matches')
            return Judgement(allowed=False, code=Code.DENIED, rule=deny.name, missing=(line,), tried=())
    for said in endorsements:
        if said.verb is Verb.REJECT and named_approver(charter, said.person, payment):
            return _rejected(said)
    counted = _counted(book, endorsements, at_ms if words_at_ms is None else words_at_ms)
    case = _Case(book, payment, counted, at_ms, window_total)
    attempts: list[_Attempt] = []
    for rule in charter.rules:
        attempt = _attempt(case, rule)
        if not attempt.problems:
            return Judgement(allowed=True, code=Code.ALLOWED, rule=rule.name, missing=(), tried=_tried(attempts))
        attempts.append(attempt)
    closest = min(attempts, key=lambda attempt: attempt.distance)
    return Judgement(
        allowed=False,
        code=closest.problems[0].code,
        rule=closest.rule.name,
        missing=tuple(_line(problem.line) for problem in closest.problems),
        tried=_tried(attempts),
    )


def completed_ms(charter: Charter, quorum: Quorum, endorsements: Sequence[Endorsed]) -> int | None:
    """Log time at which a quorum was complete, by the keys that the charter still has; None if it never was.

    It stays complete when words expire afterwards. One that had expired by then does not count, nor ever again.
    """
    for moment in sorted({one.time_ms for one in endorsements}):
        said = [one for one in endorsements if one.time_ms <= moment]
        if judge_quorum(charter, quorum, said, at_ms=moment).allowed:
            return moment
    return None


def judge_quorum(
    charter: Charter,
    quorum: Quorum,
    endorsements: Sequence[Endorsed],
    *,
    at_ms: int,
    is_begun: bool = False,
) -> Judgement:
    """Judge an order that needs one quorum of the charter, such as a new vault or the end of a freeze.

    Anyone of the charter may initiate it; the initiator does not count toward the quorum, and machines never do. A
    rejection by a member of the quorum's group ends it.

    Args:
        charter: The charter in force.
        quorum: Whose approval it needs.
        endorsements: Everything accepted about the order.
        at_ms: Unix milliseconds.
        is_begun: The initiator's word has done its work already, and need not count any more.
    """
    book = book_of(charter)
    members = quorum_members(charter, quorum)
    for said in endorsements:
        if said.verb is Verb.REJECT and said.person in members:
            return _rejected(said)
    counted = _counted(book, endorsements, at_ms)
    if not counted.initiated and not is_begun:
        line = "the initiator's endorsement, which is missing, has expired, or is by a key no longer in the charter"
        return Judgement(allowed=False, code=Code.INITIATOR_NOT_ALLOWED, rule=None, missing=(line,), tried=())
    people = {person for _, person in counted.approved if person in members}
    wanted = max(1, quorum.count) - len(people)
    if wanted <= 0:
        return Judgement(allowed=True, code=Code.ALLOWED, rule=None, missing=(), tried=())
    lines = tuple(_line(line) for line in _wanted({quorum.group: wanted}))
    return Judgement(allowed=False, code=Code.APPROVALS_MISSING, rule=None, missing=lines, tried=())


def _attempt(case: _Case, rule: Rule) -> _Attempt:
    """Hold the order against one rule; the order of the checks is the order in which problems are told."""
    foreign = _mismatches(case, rule)
    over_maximum = _over_maximum(case, rule)
    cooling_ms = 0 if any(foreign) else _cooling_ms(case, rule)
    initiator = _initiator_problem(case, rule)
    over_limits = [] if any(foreign) else _over_limits(case, rule)
    seating = _seating(case, rule)
    approvals = _approvals_missing(rule, seating)
    wait_ms = 0 if approvals else _wait_ms(case, rule, seating)
    problems = [
        *(_Problem(Code.NO_RULE_MATCHES, line) for line in foreign if line),
        *(_Problem(Code.OVER_MAXIMUM, line) for line in over_maximum),
        *(_Problem(Code.INITIATOR_NOT_ALLOWED, line) for line in initiator),
        *(_Problem(Code.OVER_LIMIT, line) for line in over_limits),
        *(_Problem(Code.APPROVALS_MISSING, line) for line in approvals),
    ]
    if cooling_ms:
        until = time_text(case.at_ms + cooling_ms)
        problems.append(_Problem(Code.COOLING_OFF, f"wait until {until}: the address book's entry cools off"))
    delay = duration_text(rule.delay_ms)
    if wait_ms:
        problems.append(_Problem(Code.DELAY_RUNNING, f"wait until {time_text(case.at_ms + wait_ms)} (delay {delay})"))
    elif approvals and rule.delay_ms:
        problems.append(_Problem(Code.APPROVALS_MISSING, f"then {delay} of waiting (delay)"))
    # A rule about another vault is farther away than one that merely wants approvals.
    distance = (
        *(1 if line else 0 for line in foreign),
        len(over_maximum),
        len(initiator),
        len(over_limits),
        sum(seating.open_places) or len(approvals),
        max(wait_ms, cooling_ms),
    )
    return _Attempt(rule, tuple(problems), distance)


def _mismatches(case: _Case, rule: Rule) -> tuple[str, str, str]:
    """Say why the rule is not about this vault, this destination, this asset; empty where it is."""
    return _vault_mismatch(case, rule), _destination_mismatch(case, rule), _asset_mismatch(case, rule)


def _vault_mismatch(case: _Case, rule: Rule) -> str:
    if _names_vault(rule, case.payment):
        return ""
    return f"vault {case.payment.vault} is not among {', '.join(rule.vaults)}"


def _destination_mismatch(case: _Case, rule: Rule) -> str:
    payment = case.payment
    if isinstance(rule.to, AddressBook) and (payment.listing is None or _is_removed(rule, payment)):
        return f"{payment.destination} is not in the address book"
    return "" if _names_destination(rule, payment) else f"{payment.destination} is not among the rule's destinations"


def _asset_mismatch(case: _Case, rule: Rule) -> str:
    asset = case.payment.asset
    return "" if _most(rule, asset) else f"the rule does not allow {case.book.symbol(asset)}"


def _over_maximum(case: _Case, rule: Rule) -> list[str]:
    payment, most = case.payment, _most(rule, case.payment.asset)
    if not most or payment.amount <= most:
        return []
    asked, allowed = (case.book.amount(payment.asset, amount) for amount in (payment.amount, most))
    return [f"maximum per order: {asked} of {allowed}"]


def _cooling_ms(case: _Case, rule: Rule) -> int:
    """How long the entry of the address book still cools off; an entry nobody knows of never does."""
    if not isinstance(rule.to, AddressBook) or case.payment.listing is None:
        return 0
    return max(0, case.payment.listing.usable_ms - case.at_ms)


def _initiator_problem(case: _Case, rule: Rule) -> list[str]:
    said, allowed = case.said, ", ".join(rule.initiated)
    if any(_may_initiate_under(case.book, rule, person) for person in said.initiated):
        return []
    if said.initiated:
        return [f"initiated by {', '.join(sorted(said.initiated))}, but only {allowed} may"]
    if said.initiators:
        return [f"{', '.join(sorted(said.initiators))} initiated it with an endorsement that no longer counts"]
    return [f"nobody initiated it; {allowed} may"]


def _over_limits(case: _Case, rule: Rule) -> list[str]:
    """Tell each window that would overflow. An asset that no limit names has no allowance, hence is over it."""
    if case.window_total is None:
        return []
    asset, lines, named = case.payment.asset, [], False
    for limit in rule.limits:
        most = min((allowance.amount for allowance in limit.amounts if allowance.asset == asset), default=0)
        if not most:
            continue
        named = True
        total = case.window_total(rule.vaults, asset, limit.window_ms) + case.payment.amount
        if total > most:
            used, allowed = (case.book.amount(asset, amount) for amount in (total, most))
            lines.append(f"limit {duration_text(limit.window_ms)}: {used} of {allowed}")
    return lines if named else ["the rule sets no limit for this asset, so it allows none of it"]


def _seating(case: _Case, rule: Rule) -> Seating:
    """Seat approvers in the places of the rule's quorums, in order of time."""
    approvers = approvers_of(case.book, rule)
    quotas = [Quota(count=q.count, members=case.book.members(q.group) & approvers) for q in rule.approvals]
    return seat([person for _, person in case.said.approved], quotas)


def _approvals_missing(rule: Rule, seating: Seating) -> list[str]:
    if not any(quorum.count for quorum in rule.approvals):
        return ["the rule asks for no approval, so it pays nobody outside"]
    wanted: dict[str, int] = {}
    for quorum, count in zip(rule.approvals, seating.open_places, strict=True):
        wanted[quorum.group] = wanted.get(quorum.group, 0) + count
    return _wanted(wanted)


def _wait_ms(case: _Case, rule: Rule, seating: Seating) -> int:
    """How long the delay still runs: from the log time of the last approval that was needed."""
    needed = 0 if seating.last_needed is None else case.said.approved[seating.last_needed][0]
    return max(0, needed + rule.delay_ms - case.at_ms)


def _counted(book: CharterBook, endorsements: Sequence[Endorsed], at_ms: int) -> _Said:
    initiators = frozenset(said.person for said in endorsements if said.verb is Verb.INITIATE)
    living = [said for said in endorsements if at_ms < said.expires_ms and book.has_key(said.person, said.key)]
    initiated: dict[str, int] = {}
    for said in living:
        if said.verb is Verb.INITIATE:
            initiated[said.person] = min(said.time_ms, initiated.get(said.person, said.time_ms))
    approved = sorted(
        (said.time_ms, said.person) for said in living if said.verb is Verb.APPROVE and said.person not in initiators
    )
    return _Said(initiators, initiated, tuple(approved))


def approvers_of(book: CharterBook, rule: Rule) -> frozenset[str]:
    """Return who approves under a rule, and may refuse what it is about."""
    named: frozenset[str] = frozenset().union(*(book.members(q.group) for q in rule.approvals))
    return named if rule.machine else named - book.machines


def _may_initiate_under(book: CharterBook, rule: Rule, person: str) -> bool:
    for who in rule.initiated:
        kind, _, name = who.partition(":")
        if kind == "person" and name == person and person in book.keys:
            return True
        if kind == "group" and person in book.members(name):
            return True
    return False


def _covers(rule: Rule, payment: Withdrawal) -> bool:
    """Whether the rule's vaults, destination and maximum match."""
    within = 0 < payment.amount <= _most(rule, payment.asset)
    return within and _names_vault(rule, payment) and _names_destination(rule, payment)


def _most(rule: Rule, asset: str) -> int:
    """The most of this asset in one order; 0 if the rule does not list it."""
    return min((maximum.amount for maximum in rule.maximum if maximum.asset == asset), default=0)


def _names_vault(rule: Rule | Deny, payment: Withdrawal) -> bool:
    return any(glob_match(pattern, payment.vault) for pattern in rule.vaults)


def _names_destination(rule: Rule | Deny, payment: Withdrawal) -> bool:
    """Whether a rule is about the destination; an entry that was removed stays one for who may say no to paying it."""
    match rule.to:
        case Destinations(addresses=addresses):
            return payment.destination in addresses
        case AddressBook():
            return payment.listing is not None
        case _:
            return True


def _is_removed(rule: Rule, payment: Withdrawal) -> bool:
    """Whether the rule pays the address book, from which the destination was taken out."""
    return isinstance(rule.to, AddressBook) and payment.listing is not None and payment.listing.is_removed


def _prohibits(deny: Deny, payment: Withdrawal) -> bool:
    about_asset = not deny.assets or payment.asset in deny.assets
    return about_asset and _names_vault(deny, payment) and _names_destination(deny, payment)


def _wanted(open_places: Mapping[str, int]) -> list[str]:
    return [
        f"{count} more {'approval' if count == 1 else 'approvals'} from group {group}"
        for group, count in open_places.items()
        if count > 0
    ]


def _rejected(said: Endorsed) -> Judgement:
    line = f"{said.person} rejected it, which is for ever: make a new order"
    return Judgement(allowed=False, code=Code.REJECTED, rule=None, missing=(line,), tried=())


def _tried(attempts: Sequence[_Attempt]) -> tuple[str, ...]:
    return tuple(_line(f'"{attempt.rule.name}": {attempt.problems[0].line}') for attempt in attempts)


def _line(text: str) -> str:
    """Cut a line to what a signer's signed view takes, at a character border."""
    encoded = text.encode("utf-8")
    if len(encoded) <= MAX_LINE_BYTES:
        return text
    return encoded[: MAX_LINE_BYTES - 3].decode("utf-8", "ignore") + "..."
