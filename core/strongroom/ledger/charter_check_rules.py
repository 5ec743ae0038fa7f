"""`charter check`, the part about rules and prohibitions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from strongroom.chains.bitcoin.address import BadAddress, script_of
from strongroom.chains.bitcoin.networks import BY_CAIP2, Network
from strongroom.ledger.charter import AnyDestination, Charter, Deny, Destinations, Quorum, Rule
from strongroom.ledger.charter_book import CharterBook, book_of
from strongroom.ledger.charter_findings import Finding, error, warning
from strongroom.ledger.matching import Quota, seat
from strongroom.ledger.rules import glob_match
from strongroom.model.quantities import duration_text

__all__ = [
    "MAX_GLOBS",
    "WEEK_MS",
    "address_problem",
    "check_deny",
    "check_globs",
    "check_idle_denies",
    "check_quorum",
    "check_rule",
    "check_shadowed_rules",
    "count_of_globs",
    "globs_may_meet",
    "network_of",
]

MAX_GLOBS: Final = 500
"""Of a whole charter: each may be compared with each other, of this charter and of the next."""
WEEK_MS: Final = 7 * 24 * 3_600_000
"""The longest life of an endorsement: a delay must end before the endorsements do."""


def network_of(asset: str) -> Network | None:
    """The Bitcoin network of a CAIP-19 asset id, if it is known."""
    return BY_CAIP2.get(asset.partition("/")[0])


def check_quorum(where: str, quorum: Quorum, available: int, charter: Charter) -> Iterator[Finding]:
    """A quorum must name a group that has enough people who may count."""
    if not any(group.name == quorum.group for group in charter.groups):
        yield error(where, f"{quorum.group} is not a group", "name a group of the charter")
    elif quorum.count == 0:
        yield error(where, "asks for nobody", "ask for at least one")
    elif quorum.count > available:
        what = f"asks for {quorum.count} of group {quorum.group}, in which {available} may count"
        yield error(where, what, "ask for fewer or add members")


def check_rule(rule: Rule, charter: Charter) -> Iterator[Finding]:
    """Everything about one rule."""
    book = book_of(charter)
    where = f'rule "{rule.name}"'
    yield from check_globs(where, rule.vaults)
    yield from _rule_amounts(where, rule, book)
    if rule.delay_ms >= WEEK_MS:
        what = f"has a delay of {duration_text(rule.delay_ms)}, and endorsements live at most 7 days"
        yield error(where, what, "choose a delay below 7 days")
    if isinstance(rule.to, Destinations):
        yield from _destinations(where, rule.to, charter)
    initiators, unknown = _initiators(rule, book)
    for who in unknown:
        yield error(where, f"{who} may initiate, but does not exist", "write group:<name> or person:<name>")
    yield from _approvals(where, rule, charter, book, initiators)


def _rule_amounts(where: str, rule: Rule, book: CharterBook) -> Iterator[Finding]:
    maxima = {item.asset for item in rule.maximum}
    limited = {item.asset for limit in rule.limits for item in limit.amounts}
    if len(maxima) < len(rule.maximum):
        yield error(where, "has two maxima for one asset", "give each asset once")
    if any(len({item.asset for item in limit.amounts}) < len(limit.amounts) for limit in rule.limits):
        yield error(where, "has two amounts for one asset in one limit", "give each asset once")
    for asset in sorted(maxima | limited):
        if asset not in book.assets:
            yield error(where, f"{asset} is not an asset of the charter", "add an [[asset]] or take it out")
    for asset in sorted(maxima - limited):
        do = 'add limits, as [{ window = "24h", BTC = "40" }]'
        yield error(where, f"has a maximum for {book.symbol(asset)} but no limit over a window", do)
    for asset in sorted(limited - maxima):
        yield warning(where, f"limits {book.symbol(asset)}, which it does not allow", "add it to max or take it out")
    for limit in rule.limits:
        if limit.window_ms == 0:
            yield error(where, "has a limit over no time, which limits nothing", 'write a window, as "24h"')
    yield from _tight_limits(where, rule, book)


def _tight_limits(where: str, rule: Rule, book: CharterBook) -> Iterator[Finding]:
    maxima = {item.asset: item.amount for item in rule.maximum}
    for limit in rule.limits:
        for item in limit.amounts:
            if item.amount < maxima.get(item.asset, 0):
                what = f"limits {book.symbol(item.asset)} below its own maximum per order"
                yield warning(where, what, "lower the maximum: an order of it can never pass")


def _initiators(rule: Rule, book: CharterBook) -> tuple[frozenset[str], list[str]]:
    """Who may initiate under the rule, and what it names that does not exist."""
    found: set[str] = set()
    unknown = []
    for who in rule.initiated:
        kind, _, name = who.partition(":")
        if kind == "group" and name in book.groups:
            found |= book.members(name)
        elif kind == "person" and name in book.keys:
            found.add(name)
        else:
            unknown.append(who)
    return frozenset(found & book.keys.keys()), unknown


def _approvals(
    where: str, rule: Rule, charter: Charter, book: CharterBook, initiators: frozenset[str]
) -> Iterator[Finding]:
    if not rule.approvals:
        yield error(where, "pays outside without any approval", "add approvals, by machines if machine = true")
        return
    counting = book.keys.keys() - (frozenset() if rule.machine else book.machines)
    members = [book.members(quorum.group) & counting for quorum in rule.approvals]
    approvers = frozenset().union(*members)
    problems = [
        problem
        for quorum, who in zip(rule.approvals, members, strict=True)
        for problem in check_quorum(where, quorum, len(who), charter)
    ]
    yield from problems
    quotas = [Quota(count=q.count, members=who) for q, who in zip(rule.approvals, members, strict=True)]
    if not problems and not _can_be_met(quotas, approvers, initiators):
        what = f"asks for {sum(q.count for q in quotas)} approvals, and {len(approvers)} people may give one"
        yield error(where, what, "add members: one person takes one place, and who initiates takes none")
    if rule.machine and not approvers & book.machines:
        do = "add a machine to a group that approves, or take machine = true out"
        yield error(where, "is marked machine, but no machine is among its approvers", do)


def _can_be_met(quotas: Sequence[Quota], approvers: frozenset[str], initiators: frozenset[str]) -> bool:
    """Whether for some initiator all places can be taken by others."""
    if not seat(sorted(approvers), quotas).complete:
        return False
    if initiators - approvers or not initiators:
        return True
    # As many initiators take places as the others leave open, and then one of them must be left over.
    return sum(seat(sorted(approvers - initiators), quotas).open_places) < len(initiators)


def count_of_globs(charter: Charter) -> int:
    """How many globs over vault names a charter has, in rules, prohibitions and recovery addresses."""
    recovery = () if charter.break_glass is None else charter.break_glass.addresses
    of_rules = sum(len(rule.vaults) for rule in charter.rules)
    return of_rules + sum(len(deny.vaults) for deny in charter.denies) + len(recovery)


def check_globs(where: str, globs: Sequence[str]) -> Iterator[Finding]:
    """Globs must be able to match a vault's name."""
    for glob in globs:
        if not glob or glob.strip("abcdefghijklmnopqrstuvwxyz0123456789-*"):
            do = "use lower case letters, digits, dashes and *"
            yield error(where, f'no vault name can match "{glob}"', do)


def _destinations(where: str, to: Destinations, charter: Charter) -> Iterator[Finding]:
    """Every listed address must be a canonical one of a network the charter has an asset of."""
    for address in to.addresses:
        problem = address_problem(address, charter)
        if problem:
            yield error(where, f"{address} is no address: {problem}", "correct it; a payment to it can never match")


def address_problem(address: str, charter: Charter) -> str:
    """Why the text is no canonical address of any network the charter has an asset of; empty if it is one."""
    networks = {network.name: network for asset in charter.assets if (network := network_of(asset.id))}
    problems = [problem for network in networks.values() if (problem := _problem_on(address, network))]
    return problems[0] if problems and len(problems) == len(networks) else ""


def _problem_on(address: str, network: Network) -> str:
    try:
        script_of(address, network)
    except BadAddress as error:
        return error.message
    return ""


def check_shadowed_rules(charter: Charter) -> Iterator[Finding]:
    """A rule that a prohibition always beats lets nothing pass."""
    for rule in charter.rules:
        assets = {item.asset for item in rule.maximum}
        for deny in charter.denies:
            about_assets = not deny.assets or assets <= set(deny.assets)
            if about_assets and _covers_vaults(deny, rule) and _covers_destinations(deny, rule):
                what = f'never lets anything pass: the prohibition "{deny.name}" covers it'
                yield warning(f'rule "{rule.name}"', what, "take out one of the two")


def _covers_vaults(deny: Deny, rule: Rule) -> bool:
    # Read as a name, a glob stands for itself: what matches its text with the star matches all that it matches.
    return all(any(glob_match(wide, narrow) for wide in deny.vaults) for narrow in rule.vaults)


def _covers_destinations(deny: Deny, rule: Rule) -> bool:
    if isinstance(deny.to, AnyDestination):
        return True
    return isinstance(rule.to, Destinations) and set(rule.to.addresses) <= set(deny.to.addresses)


def check_deny(deny: Deny, charter: Charter) -> Iterator[Finding]:
    """Everything about one prohibition."""
    where = f'deny "{deny.name}"'
    yield from check_globs(where, deny.vaults)
    if isinstance(deny.to, Destinations):
        yield from _destinations(where, deny.to, charter)
    known = {asset.id for asset in charter.assets}
    for asset in deny.assets:
        if asset not in known:
            yield error(where, f"{asset} is not an asset of the charter", "add an [[asset]] or take it out")


def check_idle_denies(charter: Charter) -> Iterator[Finding]:
    """A prohibition of what no rule lets pass changes nothing."""
    allowed = {item.asset for rule in charter.rules for item in rule.maximum}
    for deny in charter.denies:
        where = f'deny "{deny.name}"'
        if deny.assets and not allowed & set(deny.assets):
            yield warning(where, "is about assets that no rule allows, so it changes nothing", "check the assets")
        elif not any(_may_meet(deny, rule) for rule in charter.rules):
            yield warning(where, "meets no rule, so it changes nothing", "check its vaults and destinations")


def _may_meet(deny: Deny, rule: Rule) -> bool:
    vaults = any(globs_may_meet(one, other) for one in deny.vaults for other in rule.vaults)
    if isinstance(deny.to, Destinations) and isinstance(rule.to, Destinations):
        return vaults and bool(set(deny.to.addresses) & set(rule.to.addresses))
    return vaults


def globs_may_meet(one: str, other: str) -> bool:
    """Whether some name, however long, matches both globs; the work grows with their length alone."""
    if "*" not in one:
        return glob_match(other, one)
    if "*" not in other:
        return glob_match(one, other)
    # Between its first and its last star each leaves room for all that the other asks for, so only the ends can differ.
    begins = (one.partition("*")[0], other.partition("*")[0])
    ends = (one.rpartition("*")[2], other.rpartition("*")[2])
    longest_begin, longest_end = max(begins, key=len), max(ends, key=len)
    return all(map(longest_begin.startswith, begins)) and all(map(longest_end.endswith, ends))
