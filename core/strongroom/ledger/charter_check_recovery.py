"""`charter check`, the part about the address book, break-glass and the end of a freeze."""

from __future__ import annotations

from collections.abc import Iterator

from strongroom.ledger.charter import AddressBook, BreakGlassRules, Charter, Destinations, Quorum
from strongroom.ledger.charter_book import book_of
from strongroom.ledger.charter_check_rules import WEEK_MS, address_problem, check_globs, check_quorum, globs_may_meet
from strongroom.ledger.charter_findings import Finding, error, warning
from strongroom.ledger.rules import glob_match, quorum_members
from strongroom.model.quantities import duration_text

__all__ = ["check_address_book", "check_break_glass", "check_break_glass_quorum", "check_unfreeze_delay"]

_BOOK = "address_book"
_GLASS = "break_glass"


def check_address_book(charter: Charter) -> Iterator[Finding]:
    """Who adds to the address book, how long an entry cools off, and which rules pay it."""
    rules = [rule.name for rule in charter.rules if isinstance(rule.to, AddressBook)]
    if charter.destinations is None:
        for name in rules:
            what = "pays the address book, to which nobody may add"
            yield error(f'rule "{name}"', what, "write [address_book], or let the rule pay a list of addresses")
        if charter.destination_cooling_ms:
            yield error(_BOOK, "has a cooling-off, and nobody may add to it", "say who adds, or take it out")
        return
    yield from _check_power(f"{_BOOK}.add", charter.destinations, charter)
    if charter.destination_cooling_ms == 0:
        what = "is 0, so an address is paid the moment it is added"
        yield error(f"{_BOOK}.cooling_off", what, 'write how long people have to object, as "24h"')
    if not rules:
        yield warning(_BOOK, "is paid by no rule, so it changes nothing", 'write a rule with to = "address-book"')


def check_break_glass(charter: Charter) -> Iterator[Finding]:
    """Who may break the glass, when, and where to."""
    rules = charter.break_glass
    if rules is None:
        return
    yield from _check_power(f"{_GLASS}.quorum", rules.quorum, charter)
    if rules.quorum.count <= charter.unfreeze.count:
        what = f"is {rules.quorum.count}, no more than the {charter.unfreeze.count} who lift a freeze"
        yield error(f"{_GLASS}.quorum", what, "ask for a larger quorum: break-glass passes every freeze")
    if rules.box_ms == 0:
        yield error(f"{_GLASS}.box", "is 0, so the glass could never be broken", 'write a time, as "6h"')
    if rules.delay_ms + rules.box_ms >= WEEK_MS:
        total = duration_text(rules.delay_ms + rules.box_ms)
        what = f"ends {total} after the last approval with its delay, and endorsements live at most 7 days"
        yield error(f"{_GLASS}.box", what, "choose less than 7 days for both together")
    if rules.delay_ms == 0:
        yield warning(f"{_GLASS}.delay", "is 0, so nobody has time to object", "write how long people have to object")
    yield from _check_addresses(rules, charter)


def check_break_glass_quorum(charter: Charter) -> Iterator[Finding]:
    """Break-glass should ask for no fewer people than the rules for the same vaults."""
    rules = charter.break_glass
    if rules is None:
        return
    for rule in charter.rules:
        places = sum(quorum.count for quorum in rule.approvals)
        met = any(globs_may_meet(glob, entry.vault) for glob in rule.vaults for entry in rules.addresses)
        if met and places > rules.quorum.count:
            what = f'is {rules.quorum.count}, fewer than rule "{rule.name}" asks for'
            yield warning(f"{_GLASS}.quorum", what, "ask for a larger quorum")


def _check_addresses(rules: BreakGlassRules, charter: Charter) -> Iterator[Finding]:
    denied = {address for deny in charter.denies if isinstance(deny.to, Destinations) for address in deny.to.addresses}
    for position, entry in enumerate(rules.addresses):
        where = f"{_GLASS}.addresses: {entry.vault}"
        yield from check_globs(where, (entry.vault,))
        problem = address_problem(entry.address, charter)
        if problem:
            yield error(where, f"{entry.address} is no address: {problem}", "correct it")
        if entry.address in denied:
            yield error(where, f"{entry.address} is prohibited by this charter", "register another address")
        # Read as a name, a glob stands for itself: what matches its text with the star matches all that it matches.
        if any(glob_match(earlier.vault, entry.vault) for earlier in rules.addresses[:position]):
            yield error(where, "is never used: an entry before it is about the same vaults", "take one of the two out")


def check_unfreeze_delay(charter: Charter) -> Iterator[Finding]:
    """A freeze that lapses before its end could act is not lifted by anybody."""
    if charter.unfreeze_delay_ms >= charter.freeze_lapse_ms > 0:
        what = "is no shorter than the time after which a freeze by one lapses by itself"
        yield warning("freeze.unfreeze_delay", what, "shorten it: meant is the way out of a confirmed freeze")


def _check_power(where: str, quorum: Quorum, charter: Charter) -> Iterator[Finding]:
    members = quorum_members(charter, quorum)
    # Such an order is initiated by someone who does not count.
    spare = 1 if members >= book_of(charter).keys.keys() - book_of(charter).machines else 0
    yield from check_quorum(where, quorum, len(members) - spare, charter)
    if quorum.count == 1:
        yield warning(where, "is one person, who alone is then this power", "ask for at least two")
