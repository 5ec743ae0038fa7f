"""A canonical charter written as TOML source, for people to read and to amend."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

from strongroom.ledger.charter import (
    AddressBook,
    AssetAmount,
    BreakGlassRules,
    Charter,
    Deny,
    Destinations,
    Quorum,
    RecoveryAddress,
    Rule,
)
from strongroom.ledger.charter_book import CharterBook, book_of
from strongroom.model.quantities import decimal_text, duration_text

__all__ = ["charter_to_toml"]

_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")


def charter_to_toml(charter: Charter) -> str:
    """Write a charter as TOML; `parse_charter_toml(text, salt=charter.salt)` gives the same charter back.

    An asset that the charter does not list is written with its id, which the parser refuses.
    """
    book = book_of(charter)
    blocks = [
        [
            f"version = {charter.version}",
            f"rule_set = {charter.rule_set}",
            f"organisation = {_quoted(charter.organisation)}",
            f"witness_quorum = {charter.witness_quorum}",
        ],
        *(_person_lines(charter)),
        *(
            ["[[group]]", f"name = {_quoted(group.name)}", f"members = {_listed(group.members)}"]
            for group in charter.groups
        ),
        *(
            [
                "[[signer]]",
                f"name = {_quoted(signer.name)}",
                f"host_key = {_quoted(signer.host_key.hex())}",
                f"vote_key = {_quoted(signer.vote_key.hex())}",
                f"witness_key = {_quoted(signer.witness_key.hex())}",
            ]
            for signer in charter.signers
        ),
        *(
            [
                "[[asset]]",
                f"symbol = {_quoted(asset.symbol)}",
                f"id = {_quoted(asset.id)}",
                f"decimals = {asset.decimals}",
            ]
            for asset in charter.assets
        ),
        *(_rule_lines(rule, book) for rule in charter.rules),
        *(_deny_lines(deny, book) for deny in charter.denies),
        *_settings(charter),
    ]
    return "\n\n".join("\n".join(block) for block in blocks) + "\n"


def _person_lines(charter: Charter) -> Iterable[list[str]]:
    for person in charter.people:
        keys = _listed([f"ed25519:{key.public.hex()}" for key in person.keys])
        yield ["[[person]]", f"name = {_quoted(person.name)}", f"keys = {keys}"] + ["machine = true"] * person.machine


def _rule_lines(rule: Rule, book: CharterBook) -> list[str]:
    limits = [
        f"{{ window = {_quoted(duration_text(limit.window_ms))}, {_amounts(limit.amounts, book)} }}"
        for limit in rule.limits
    ]
    return [
        "[[rule]]",
        f"name = {_quoted(rule.name)}",
        f"vaults = {_listed(rule.vaults)}",
        _to_line(rule),
        f"max = {{ {_amounts(rule.maximum, book)} }}",
        f"limits = [{', '.join(limits)}]",
        f"initiated = {_listed(rule.initiated)}",
        f"approvals = [{', '.join(_quorum(quorum) for quorum in rule.approvals)}]",
        f"delay = {_quoted(duration_text(rule.delay_ms))}",
        *["machine = true"] * rule.machine,
    ]


def _deny_lines(deny: Deny, book: CharterBook) -> list[str]:
    lines = ["[[deny]]", f"name = {_quoted(deny.name)}", f"vaults = {_listed(deny.vaults)}", _to_line(deny)]
    if deny.assets:
        lines.append(f"assets = {_listed([book.symbol(asset) for asset in deny.assets])}")
    return lines


def _settings(charter: Charter) -> list[list[str]]:
    return [
        [
            "[quorums]",
            f"admin = {_quorum(charter.admin)}",
            f"vault_creation = {_quorum(charter.vault_creation)}",
            f"unfreeze = {_quorum(charter.unfreeze)}",
        ],
        [
            "[freeze]",
            f"officers = {_quoted(charter.officers)}",
            f"lapse = {_quoted(duration_text(charter.freeze_lapse_ms))}",
            *[f"unfreeze_delay = {_quoted(duration_text(charter.unfreeze_delay_ms))}"]
            * (charter.unfreeze_delay_ms > 0),
        ],
        *_address_book_lines(charter),
        *([] if charter.break_glass is None else [_break_glass_lines(charter.break_glass)]),
        ["[amendments]", f"loosening_delay = {_quoted(duration_text(charter.loosening_delay_ms))}"],
        [
            "[fees]",
            f"per_vbyte = {charter.fees.per_vbyte}",
            f"per_plan = {charter.fees.per_plan}",
            f"window = {_quoted(duration_text(charter.fees.window_ms))}",
            f"per_vault = {charter.fees.per_vault}",
        ],
        [
            "[log]",
            f"coordinator_bytes_per_day = {charter.log.coordinator_bytes_per_day}",
            f"person_bytes_per_day = {charter.log.person_bytes_per_day}",
        ],
    ]


def _address_book_lines(charter: Charter) -> list[list[str]]:
    if charter.destinations is None:
        return []
    cooling = _quoted(duration_text(charter.destination_cooling_ms))
    return [["[address_book]", f"add = {_quorum(charter.destinations)}", f"cooling_off = {cooling}"]]


def _break_glass_lines(rules: BreakGlassRules) -> list[str]:
    return [
        "[break_glass]",
        f"quorum = {_quorum(rules.quorum)}",
        f"delay = {_quoted(duration_text(rules.delay_ms))}",
        f"box = {_quoted(duration_text(rules.box_ms))}",
        f"addresses = [{', '.join(_recovery_address(entry) for entry in rules.addresses)}]",
    ]


def _recovery_address(entry: RecoveryAddress) -> str:
    return f"{{ vault = {_quoted(entry.vault)}, address = {_quoted(entry.address)} }}"


def _to_line(rule: Rule | Deny) -> str:
    if isinstance(rule.to, Destinations):
        return f"to = {_listed(rule.to.addresses)}"
    return 'to = "address-book"' if isinstance(rule.to, AddressBook) else 'to = "any"'


def _quorum(quorum: Quorum) -> str:
    return f"{{ group = {_quoted(quorum.group)}, count = {quorum.count} }}"


def _amounts(amounts: Sequence[AssetAmount], book: CharterBook) -> str:
    return ", ".join(f"{_key(book.symbol(item.asset))} = {_quoted(_amount(item, book))}" for item in amounts)


def _amount(item: AssetAmount, book: CharterBook) -> str:
    known = book.assets.get(item.asset)
    return decimal_text(item.amount, known.decimals if known else 0)


def _listed(values: Sequence[str]) -> str:
    return f"[{', '.join(_quoted(value) for value in values)}]"


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else _quoted(name)


def _quoted(text: str) -> str:
    """A TOML basic string; ledger text holds no control characters, so these two are all there is to escape."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
