"""What an amendment changes in rules and prohibitions.

Fewer orders pass under a rule that is narrowed or taken out, but its approvers could also refuse what other rules let
pass. So narrowing loosens if someone who stays in the charter loses a "no" over what another rule still pays.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final

from strongroom.ledger.charter import AddressBook, AnyDestination, AssetAmount, Deny, Destinations, Limit, Quorum, Rule
from strongroom.ledger.charter_book import book_of
from strongroom.ledger.charter_changes_parts import Change, Comparer, Pair, compare, named, reordered, shorter
from strongroom.ledger.charter_check_rules import globs_may_meet
from strongroom.ledger.charter_words import deny_words, rule_words, to_words
from strongroom.ledger.rules import approvers_of, glob_match
from strongroom.model.quantities import duration_text

__all__ = ["change_denies", "change_rules"]

To = AnyDestination | Destinations | AddressBook


def change_rules(where: str, old: tuple[Rule, ...], new: tuple[Rule, ...], pair: Pair) -> Iterator[Change]:
    """Tell the changes of the rules."""
    before, after = named(old), named(new)
    refusers = {rule.name: approvers_of(book_of(pair.new), rule) for rule in new}
    for name in after:
        if name not in before:
            for line in ("is added", *rule_words(after[name], book_of(pair.new))):
                yield Change(loosens=True, where=f'rule "{name}"', text=line)
    for name in before:
        if name not in after:
            yield Change(loosens=False, where=f'rule "{name}"', text="is removed: nothing passes under it any more")
            yield from _lost_vetoes(before[name], None, pair, refusers)
        elif before[name] != after[name]:
            found = tuple(compare(f'rule "{name}"', before[name], after[name], _RULE, pair))
            yield from found
            if not any(change.loosens for change in found):
                yield from _lost_vetoes(before[name], after[name], pair, refusers)
    yield from reordered("rules", old, new)


def _lost_vetoes(old: Rule, new: Rule | None, pair: Pair, refusers: Mapping[str, frozenset[str]]) -> Iterator[Change]:
    """Tell who could refuse what `old` was about and no longer can, although another rule may still pay it.

    Args:
        old: The rule before.
        new: The same afterwards; None when it is removed.
        pair: Both charters.
        refusers: By the names of the new rules, who can refuse what each is about.
    """
    if new is not None and _same_coverage(old, new):
        return
    stay = {person.name for person in pair.new.people}
    could = approvers_of(book_of(pair.old), old) & stay
    for other in pair.new.rules:
        if other.name != old.name and _may_meet(old, other):
            lost = could - refusers[other.name]
            if lost:
                who = ", ".join(sorted(lost))
                text = f'{who} can no longer refuse what it was about and rule "{other.name}" still pays'
                yield Change(loosens=True, where=f'rule "{old.name}"', text=text)


def _same_coverage(old: Rule, new: Rule) -> bool:
    return (old.vaults, old.to, old.maximum) == (new.vaults, new.to, new.maximum)


def _may_meet(one: Rule, other: Rule) -> bool:
    if isinstance(one.to, Destinations) and isinstance(other.to, Destinations):
        if not set(one.to.addresses) & set(other.to.addresses):
            return False
    if not {item.asset for item in one.maximum} & {item.asset for item in other.maximum}:
        return False
    return any(globs_may_meet(left, right) for left in one.vaults for right in other.vaults)


def _vaults(where: str, old: tuple[str, ...], new: tuple[str, ...], pair: Pair) -> Iterator[Change]:
    # With fewer vaults the windows count less, so even a narrower rule could pay more from those that stay.
    same = set(old) == set(new)
    text = f"is about vaults {', '.join(new)} instead of {', '.join(old)}"
    yield Change(loosens=not same, where=where, text="names its vaults in another order" if same else text)


def _to(where: str, old: To, new: To, pair: Pair) -> Iterator[Change]:
    if isinstance(old, Destinations) and isinstance(new, Destinations):
        yield from _listed(where, old.addresses, new.addresses)
        return
    # The address book can hold any address in time, so only what paid anywhere before is sure to pay to less.
    yield Change(
        loosens=not isinstance(old, AnyDestination),
        where=where,
        text=f"pays to {to_words(new)} instead of {to_words(old)}",
    )


def _listed(where: str, old: tuple[str, ...], new: tuple[str, ...]) -> Iterator[Change]:
    for address in new:
        if address not in old:
            yield Change(loosens=True, where=where, text=f"pays to {address} as well")
    for address in old:
        if address not in new:
            yield Change(loosens=False, where=where, text=f"no longer pays to {address}")
    if set(old) == set(new):
        yield Change(loosens=False, where=where, text="lists its addresses in another order")


def _amounts(amounts: tuple[AssetAmount, ...]) -> dict[str, int]:
    least: dict[str, int] = {}
    for item in amounts:
        least[item.asset] = min(item.amount, least.get(item.asset, item.amount))
    return least


def _maximum(where: str, old: tuple[AssetAmount, ...], new: tuple[AssetAmount, ...], pair: Pair) -> Iterator[Change]:
    before, after = _amounts(old), _amounts(new)
    for asset in dict.fromkeys((*before, *after)):
        was, becomes = before.get(asset, 0), after.get(asset, 0)
        if was != becomes:
            yield Change(
                loosens=becomes > was,
                where=where,
                text=f"allows {_amount(pair, asset, becomes)} in one order instead of {_amount(pair, asset, was)}",
            )
    if before == after:
        yield Change(loosens=False, where=where, text="lists its maxima in another order")


def _amount(pair: Pair, asset: str, amount: int) -> str:
    book = book_of(pair.old if asset in book_of(pair.old).assets else pair.new)
    return book.amount(asset, amount) if amount else f"no {book.symbol(asset)}"


def _limits(where: str, old: tuple[Limit, ...], new: tuple[Limit, ...], pair: Pair) -> Iterator[Change]:
    before, after = list(_each_limit(old)), list(_each_limit(new))
    text = f"limits become {_limits_text(pair, after)} instead of {_limits_text(pair, before)}"
    held = all(
        any(asset == other and span >= window and most <= amount for span, other, most in after)
        for window, asset, amount in before
    )
    # An asset without any limit passes nothing, so one that gets its first limit is let in.
    known = {asset for _, asset, _ in after} <= {asset for _, asset, _ in before}
    yield Change(loosens=not (held and known), where=where, text=text)


def _each_limit(limits: tuple[Limit, ...]) -> Iterator[tuple[int, str, int]]:
    for limit in limits:
        for asset, amount in _amounts(limit.amounts).items():
            yield limit.window_ms, asset, amount


def _limits_text(pair: Pair, limits: list[tuple[int, str, int]]) -> str:
    return ", ".join(f"{_amount(pair, asset, most)} in {duration_text(span)}" for span, asset, most in limits) or "none"


def _initiated(where: str, old: tuple[str, ...], new: tuple[str, ...], pair: Pair) -> Iterator[Change]:
    for who in new:
        if who not in old:
            yield Change(loosens=True, where=where, text=f"{who} may initiate")
    for who in old:
        if who not in new:
            yield Change(loosens=False, where=where, text=f"{who} may no longer initiate")
    if set(old) == set(new):
        yield Change(loosens=False, where=where, text="lists who initiates in another order")


def _approvals(where: str, old: tuple[Quorum, ...], new: tuple[Quorum, ...], pair: Pair) -> Iterator[Change]:
    before, after = _places(old), _places(new)
    text = f"asks for {_places_text(after)} instead of {_places_text(before)}"
    yield Change(loosens=any(after[group] < count for group, count in before.items()), where=where, text=text)


def _places(quorums: tuple[Quorum, ...]) -> Counter[str]:
    places: Counter[str] = Counter()
    for quorum in quorums:
        places[quorum.group] += quorum.count
    return places


def _places_text(places: Mapping[str, int]) -> str:
    asked = [f"{count} {'approval' if count == 1 else 'approvals'} by group {group}" for group, count in places.items()]
    return " and ".join(asked) or "no approval"


def _machine(where: str, old: bool, new: bool, pair: Pair) -> Iterator[Change]:
    text = "machines may approve under it" if new else "machines no longer approve, nor refuse, under it"
    yield Change(loosens=True, where=where, text=text)


def change_denies(where: str, old: tuple[Deny, ...], new: tuple[Deny, ...], pair: Pair) -> Iterator[Change]:
    """Tell the changes of the prohibitions: one loosens unless it still covers all that it covered."""
    before, after = named(old), named(new)
    for name in after:
        if name not in before:
            text = f"is added: no {deny_words(after[name], book_of(pair.new))}"
            yield Change(loosens=False, where=f'prohibition "{name}"', text=text)
    for name in before:
        if name not in after:
            yield Change(loosens=True, where=f'prohibition "{name}"', text="is removed")
        elif before[name] != after[name]:
            covers = _still_covers(before[name], after[name])
            text = "covers all that it did, and perhaps more" if covers else "no longer covers all that it did"
            text = f"{text}: no {deny_words(after[name], book_of(pair.new))}"
            yield Change(loosens=not covers, where=f'prohibition "{name}"', text=text)
    yield from reordered("prohibitions", old, new)


def _still_covers(old: Deny, new: Deny) -> bool:
    vaults = all(any(glob_match(wide, narrow) for wide in new.vaults) for narrow in old.vaults)
    assets = not new.assets or (bool(old.assets) and set(old.assets) <= set(new.assets))
    return vaults and assets and _covers_to(old.to, new.to)


def _covers_to(old: AnyDestination | Destinations, new: AnyDestination | Destinations) -> bool:
    if isinstance(new, AnyDestination):
        return True
    return isinstance(old, Destinations) and set(old.addresses) <= set(new.addresses)


_RULE: Final[Mapping[str, Comparer[Any]]] = {
    "vaults": _vaults,
    "to": _to,
    "maximum": _maximum,
    "limits": _limits,
    "initiated": _initiated,
    "approvals": _approvals,
    "delay_ms": shorter(lambda span, pair: f"waits {duration_text(span)} after the last approval"),
    "machine": _machine,
}
