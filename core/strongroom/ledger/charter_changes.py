"""What an amendment changes, in plain words, and whether each change loosens.

A change loosens when something could pass, or could no longer be stopped, that the charter before it did not let pass
or let someone stop. Whatever is not certain to tighten counts as loosening, fields that nothing here knows included.
One loss of a "no" counts as tightening all the same: that of a person or a key that is revoked, because a stolen key
must lose its veto at once.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from strongroom.ledger.charter import (
    Asset,
    BreakGlassRules,
    Charter,
    CharterSigner,
    Fees,
    Group,
    LogQuotas,
    Person,
    PersonKey,
    Quorum,
    RecoveryAddress,
)
from strongroom.ledger.charter_changes_parts import (
    Change,
    Comparer,
    Pair,
    added,
    common,
    compare,
    longer,
    more,
    named,
    reordered,
    shorter,
)
from strongroom.ledger.charter_changes_rules import change_denies, change_rules
from strongroom.ledger.charter_words import (
    asset_words,
    break_glass_words,
    recovery_words,
    signer_words,
    with_keys,
)
from strongroom.model.quantities import duration_text

__all__ = ["Change", "changes", "loosens", "revoked_keys", "without_keys"]


def changes(old: Charter, new: Charter) -> tuple[Change, ...]:
    """Return everything that the new charter changes, in the order of the charter's parts; empty if nothing.

    The version is left out: every amendment raises it.
    """
    return tuple(compare("charter", old, new, _CHARTER, Pair(old=old, new=new), skip=("version",)))


def loosens(found: tuple[Change, ...]) -> bool:
    """Say whether an amendment of these changes must wait out the loosening delay."""
    return any(change.loosens for change in found)


def revoked_keys(old: Charter, new: Charter) -> frozenset[bytes]:
    """Return the public keys of people that are gone from the new charter, 32 bytes each."""
    return _keys_of(old) - _keys_of(new)


def without_keys(charter: Charter, keys: Collection[bytes]) -> Charter:
    """Return the charter as if it had none of these public keys of people, nor anybody who has no other."""
    left = ((person, tuple(key for key in person.keys if key.public not in keys)) for person in charter.people)
    return replace(charter, people=tuple(replace(person, keys=own) for person, own in left if own))


def _keys_of(charter: Charter) -> frozenset[bytes]:
    return frozenset(key.public for person in charter.people for key in person.keys)


# --- people and groups -----------------------------------------------------------------------------------------------


def _people(where: str, old: tuple[Person, ...], new: tuple[Person, ...], pair: Pair) -> Iterator[Change]:
    before, after = named(old), named(new)
    for name in added(before, after):
        kind = "machine" if after[name].machine else "person"
        yield Change(loosens=True, where=f"{kind} {name}", text=f"is added, {with_keys(after[name])}")
    for name in added(after, before):
        kind = "machine" if before[name].machine else "person"
        yield Change(loosens=False, where=f"{kind} {name}", text="is removed: no word and no key of theirs counts")
    for name in common(before, after):
        if before[name] != after[name]:
            yield from compare(f"person {name}", before[name], after[name], _PERSON, pair)
    yield from reordered("people", old, new)


def _keys(where: str, old: tuple[PersonKey, ...], new: tuple[PersonKey, ...], pair: Pair) -> Iterator[Change]:
    for key in new:
        if key not in old:
            yield Change(loosens=True, where=where, text=f"gets the key {key.public.hex()}")
    for key in old:
        if key not in new:
            yield Change(loosens=False, where=where, text=f"loses the key {key.public.hex()} for ever")
    if set(old) == set(new):
        yield Change(loosens=False, where=where, text="has the same keys in another order")


def _groups(where: str, old: tuple[Group, ...], new: tuple[Group, ...], pair: Pair) -> Iterator[Change]:
    before, after = named(old), named(new)
    for name in added(before, after):
        text = f"is new, with {', '.join(after[name].members)}; alone it gives nobody anything"
        yield Change(loosens=False, where=f"group {name}", text=text)
    for name in added(after, before):
        yield Change(loosens=False, where=f"group {name}", text="is removed; nothing names it any more")
    for name in common(before, after):
        if before[name] != after[name]:
            yield from compare(f"group {name}", before[name], after[name], _GROUP, pair)
    yield from reordered("groups", old, new)


def _members(where: str, old: tuple[str, ...], new: tuple[str, ...], pair: Pair) -> Iterator[Change]:
    for name in new:
        if name not in old:
            yield Change(loosens=True, where=where, text=f"{name} joins")
    people = {person.name for person in pair.new.people}
    for name in old:
        if name in new:
            continue
        if name in people:
            # Somebody who stays in the charter loses a "no" that nobody had a reason to take at once.
            yield Change(loosens=True, where=where, text=f"{name} leaves, and can no longer refuse for it")
        else:
            yield Change(loosens=False, where=where, text=f"{name} leaves with the charter")
    if set(old) == set(new):
        yield Change(loosens=False, where=where, text="has the same members in another order")


# --- signers and assets ----------------------------------------------------------------------------------------------


def _signers(
    where: str, old: tuple[CharterSigner, ...], new: tuple[CharterSigner, ...], pair: Pair
) -> Iterator[Change]:
    before, after = named(old), named(new)
    for name in added(before, after):
        yield Change(loosens=True, where=f"signer {name}", text=f"is added, {', '.join(signer_words(after[name]))}")
    for name in added(after, before):
        yield Change(loosens=True, where=f"signer {name}", text="is removed")
    for name in common(before, after):
        if before[name] != after[name]:
            yield from compare(f"signer {name}", before[name], after[name], _SIGNER, pair)
    yield from reordered("signers", old, new)


def _signer_key(use: str) -> Comparer[bytes]:
    def change(where: str, old: bytes, new: bytes, pair: Pair) -> Iterator[Change]:
        yield Change(loosens=True, where=where, text=f"its {use} key becomes {new.hex()}")

    return change


def _witness_quorum(where: str, old: int, new: int, pair: Pair) -> Iterator[Change]:
    text = f"goes from {old} of {len(pair.old.signers)} to {new} of {len(pair.new.signers)} signers"
    alike = {signer.name for signer in pair.old.signers} == {signer.name for signer in pair.new.signers}
    yield Change(loosens=new < old or not alike, where="witness quorum", text=text)


def _assets(where: str, old: tuple[Asset, ...], new: tuple[Asset, ...], pair: Pair) -> Iterator[Change]:
    before, after = {asset.id: asset for asset in old}, {asset.id: asset for asset in new}
    for asset in added(before, after):
        text = f"is added: {asset_words(after[asset])}"
        yield Change(loosens=True, where=f"asset {after[asset].symbol}", text=text)
    for asset in added(after, before):
        yield Change(loosens=False, where=f"asset {before[asset].symbol}", text=f"is removed: {asset}")
    for asset in common(before, after):
        if before[asset] != after[asset]:
            yield from compare(f"asset {before[asset].symbol}", before[asset], after[asset], {}, pair)


# --- quorums and settings --------------------------------------------------------------------------------------------


def _quorum(use: str) -> Comparer[Quorum]:
    def change(where: str, old: Quorum, new: Quorum, pair: Pair) -> Iterator[Change]:
        text = f"goes from {old.count} of group {old.group} to {new.count} of group {new.group}"
        yield Change(loosens=old.group != new.group or new.count < old.count, where=f"quorum for {use}", text=text)

    return change


def _destinations(where: str, old: Quorum | None, new: Quorum | None, pair: Pair) -> Iterator[Change]:
    if old is not None and new is not None:
        yield from _quorum("the address book")(where, old, new, pair)
    elif new is not None:
        yield Change(loosens=True, where="address book", text=f"{new.count} of group {new.group} may add to it")
    else:
        # Its group could take addresses out as well.
        yield Change(loosens=True, where="address book", text="nobody may add to it, and only officers take out of it")


def _break_glass(where: str, old: BreakGlassRules | None, new: BreakGlassRules | None, pair: Pair) -> Iterator[Change]:
    if old is not None and new is not None:
        yield from compare("break-glass", old, new, _BREAK_GLASS, pair)
    elif new is not None:
        for line in break_glass_words(new):
            yield Change(loosens=True, where="break-glass", text=line)
    else:
        yield Change(loosens=False, where="break-glass", text="nobody may move vaults to registered addresses")


def _recovery_addresses(
    where: str, old: tuple[RecoveryAddress, ...], new: tuple[RecoveryAddress, ...], pair: Pair
) -> Iterator[Change]:
    text = f"moves {recovery_words(new)} instead of {recovery_words(old)}"
    yield Change(loosens=True, where=where, text=text)


def _officers(where: str, old: str, new: str, pair: Pair) -> Iterator[Change]:
    text = f"are group {new} instead of group {old}"
    yield Change(loosens=True, where="officers, who may freeze,", text=text)


def _fees(where: str, old: Fees, new: Fees, pair: Pair) -> Iterator[Change]:
    yield from compare("fees", old, new, _FEES, pair)


def _sat(what: str) -> Comparer[int]:
    return more(lambda amount, pair: f"{what} goes to {amount} sat")


def _log(where: str, old: LogQuotas, new: LogQuotas, pair: Pair) -> Iterator[Change]:
    yield from compare("log", old, new, _LOG, pair)


def _quota(whose: str) -> Comparer[int]:
    def change(where: str, old: int, new: int, pair: Pair) -> Iterator[Change]:
        # Fewer bytes can keep words from being logged, more can fill disks: neither is sure to tighten.
        yield Change(loosens=True, where=where, text=f"{whose} may write {new} bytes a day instead of {old}")

    return change


_PERSON: Final[Mapping[str, Comparer[Any]]] = {"keys": _keys}
_GROUP: Final[Mapping[str, Comparer[Any]]] = {"members": _members}
_SIGNER: Final[Mapping[str, Comparer[Any]]] = {
    "host_key": _signer_key("host"),
    "vote_key": _signer_key("vote"),
    "witness_key": _signer_key("witness"),
}
_FEES: Final[Mapping[str, Comparer[Any]]] = {
    "per_vbyte": _sat("the most for one virtual byte"),
    "per_plan": _sat("the most for one transaction"),
    "per_vault": _sat("the most for one vault in the window"),
    "window_ms": shorter(lambda window, pair: f"the window for the fees of a vault becomes {duration_text(window)}"),
}
_LOG: Final[Mapping[str, Comparer[Any]]] = {
    "coordinator_bytes_per_day": _quota("the coordinator"),
    "person_bytes_per_day": _quota("each person"),
}
_BREAK_GLASS: Final[Mapping[str, Comparer[Any]]] = {
    "quorum": _quorum("break-glass"),
    "delay_ms": shorter(lambda span, pair: f"the box opens {duration_text(span)} after the last approval"),
    "box_ms": longer(lambda span, pair: f"the box stays open for {duration_text(span)}"),
    "addresses": _recovery_addresses,
}
_CHARTER: Final[Mapping[str, Comparer[Any]]] = {
    "witness_quorum": _witness_quorum,
    "people": _people,
    "groups": _groups,
    "signers": _signers,
    "assets": _assets,
    "rules": change_rules,
    "denies": change_denies,
    "admin": _quorum("amendments (admin)"),
    "vault_creation": _quorum("new vaults"),
    "unfreeze": _quorum("lifting freezes"),
    "officers": _officers,
    "freeze_lapse_ms": shorter(lambda span, pair: f"a freeze by one person lapses after {duration_text(span)}"),
    "loosening_delay_ms": shorter(lambda span, pair: f"the delay before a loosening becomes {duration_text(span)}"),
    "fees": _fees,
    "log": _log,
    "unfreeze_delay_ms": shorter(lambda span, pair: f"an approved unfreeze lifts a freeze after {duration_text(span)}"),
    "destinations": _destinations,
    "destination_cooling_ms": shorter(
        lambda span, pair: f"an address is payable {duration_text(span)} after it was added to the address book"
    ),
    "break_glass": _break_glass,
}
"""What knows how to tell a change of each part of a charter. A part that is not here loosens whenever it changes."""
