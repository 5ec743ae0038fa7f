"""The charter as people write it: TOML to canonical charter and back. `docs/examples/charter.example.toml` explains it.

The text is only a source: nothing is judged, hashed or signed but the canonical charter. Unknown keys are refused, all
problems are reported at once, and amounts are decimal strings read with the asset's own decimals, never floats.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeVar

from strongroom.ledger.charter import (
    AddressBook,
    AnyDestination,
    Asset,
    AssetAmount,
    BreakGlassRules,
    Charter,
    CharterSigner,
    Deny,
    Destinations,
    Fees,
    Group,
    Limit,
    LogQuotas,
    Person,
    PersonKey,
    Quorum,
    RecoveryAddress,
    Rule,
)
from strongroom.ledger.charter_text import charter_to_toml
from strongroom.ledger.signed_messages import KeyType
from strongroom.ledger.source_table import Notes, Problem, SourceInvalid, Table
from strongroom.model.quantities import MAX_DECIMALS, BadQuantity, parse_decimal

__all__ = ["Problem", "SourceInvalid", "charter_to_toml", "parse_charter_toml"]

_KEY: Final = re.compile(r"ed25519:[0-9a-f]{64}")
_GLOB: Final = re.compile(r"[a-z0-9*-]{1,40}")
_WHO: Final = re.compile(r"(group|person):[a-z0-9-]{1,40}")
_NAME: Final = re.compile(r"[a-z0-9-]{1,40}")
_NOT_IN_RULE_SET: Final = {"own-vaults"}
_WINDOW: Final = "window"

Message = TypeVar("Message")
Symbols = Mapping[str, Asset]


def parse_charter_toml(text: str, *, salt: bytes) -> Charter:
    """Read a charter from its TOML source.

    Args:
        text: The source.
        salt: 32 random bytes, drawn once for an organisation's genesis charter.

    Raises:
        SourceInvalid: names every problem with its place; whoever wrote the text is at fault.
    """
    notes, top = Notes.read(text)
    assets = [_asset(table) for table in top.tables("asset", 64)]
    symbols = {asset.symbol: asset for asset in assets if asset}
    quorums, freeze, amendments = top.table("quorums"), top.table("freeze"), top.table("amendments")
    charter = top.make(
        Charter,
        salt=salt,
        version=top.number("version", 1),
        rule_set=top.number("rule_set", 1),
        organisation=top.name("organisation"),
        witness_quorum=top.number("witness_quorum", 1),
        people=_complete([_person(table) for table in top.tables("person", 500)]),
        groups=_complete([_group(table) for table in top.tables("group", 100)]),
        signers=_complete([_signer(table) for table in top.tables("signer", 100)]),
        assets=_complete(assets),
        rules=_complete([_rule(table, symbols) for table in top.tables("rule", 200)]),
        denies=_complete([_deny(table, symbols) for table in top.tables("deny", 200, least=0)]),
        admin=quorums and _quorum(quorums.table("admin")),
        vault_creation=quorums and _quorum(quorums.table("vault_creation")),
        unfreeze=quorums and _quorum(quorums.table("unfreeze")),
        officers=freeze and freeze.name("officers"),
        freeze_lapse_ms=freeze and freeze.duration("lapse"),
        loosening_delay_ms=amendments and amendments.duration("loosening_delay"),
        fees=_fees(top.table("fees")),
        log=_log(top.table("log")),
        **_optional_parts(top, freeze),
    )
    for table in (quorums, freeze, amendments):
        if table is not None:
            table.close()
    notes.check()
    if charter is None:
        raise SourceInvalid([Problem(where="", line=0, what="is incomplete")])
    return charter


def _optional_parts(top: Table, freeze: Table | None) -> dict[str, Any]:
    """What a charter may leave out; a part that is there and wrong is None, and its problem is noted."""
    parts: dict[str, Any] = {}
    if freeze is not None and freeze.has("unfreeze_delay"):
        parts["unfreeze_delay_ms"] = freeze.duration("unfreeze_delay")
    if top.has("address_book"):
        table = top.table("address_book")
        parts["destinations"] = table and _quorum(table.table("add"))
        parts["destination_cooling_ms"] = table and table.duration("cooling_off")
        if table is not None:
            table.close()
    if top.has("break_glass"):
        parts["break_glass"] = _break_glass(top.table("break_glass"))
    return parts


def _break_glass(table: Table | None) -> BreakGlassRules | None:
    if table is None:
        return None
    return table.make(
        BreakGlassRules,
        quorum=_quorum(table.table("quorum")),
        delay_ms=table.duration("delay"),
        box_ms=table.duration("box"),
        addresses=_complete([_recovery_address(entry) for entry in table.tables("addresses", 100)]),
    )


def _recovery_address(table: Table) -> RecoveryAddress | None:
    vault = table.text("vault", 40)
    if vault is not None and not _GLOB.fullmatch(vault):
        table.fail("vault", f'"{vault}" has not the form it needs: {_GLOB.pattern}')
    return table.make(RecoveryAddress, vault=vault, address=table.text("address", 128))


def _complete(parts: Sequence[Message | None]) -> tuple[Message, ...] | None:
    """All parts, or None when one was not built: its problem is noted already."""
    found = tuple(part for part in parts if part is not None)
    return found if len(found) == len(parts) else None


def _person(table: Table) -> Person | None:
    keys = table.texts("keys", 80, 8, form=_KEY)
    public = tuple(PersonKey(type=KeyType.ED25519, public=bytes.fromhex(key.partition(":")[2])) for key in keys)
    return table.make(Person, name=table.name("name"), keys=public, machine=table.flag("machine"))


def _group(table: Table) -> Group | None:
    return table.make(Group, name=table.name("name"), members=table.texts("members", 40, 500, form=_NAME))


def _signer(table: Table) -> CharterSigner | None:
    return table.make(
        CharterSigner,
        name=table.name("name"),
        host_key=table.hex("host_key", 33),
        vote_key=table.hex("vote_key", 32),
        witness_key=table.hex("witness_key", 32),
    )


def _asset(table: Table) -> Asset | None:
    symbol = table.text("symbol", 16)
    if symbol == _WINDOW:
        table.fail("symbol", f'"{_WINDOW}" has its own meaning in limits: choose another symbol')
    decimals = table.number("decimals", 0, MAX_DECIMALS)
    return table.make(Asset, symbol=symbol, id=table.text("id", 128), decimals=decimals)


def _rule(table: Table, symbols: Symbols) -> Rule | None:
    maximum = table.table("max")
    limits = [_limit(limit, symbols) for limit in table.tables("limits", 8, least=0)]
    approvals = [_quorum(quorum) for quorum in table.tables("approvals", 16, least=0)]
    return table.make(
        Rule,
        name=table.text("name", 80),
        vaults=table.texts("vaults", 40, 64, form=_GLOB),
        to=_rule_destinations(table),
        maximum=maximum and _amounts(maximum, maximum.rest(), symbols),
        limits=_complete(limits),
        initiated=table.texts("initiated", 48, 64, form=_WHO),
        approvals=_complete(approvals),
        delay_ms=table.duration("delay"),
        machine=table.flag("machine"),
    )


def _deny(table: Table, symbols: Symbols) -> Deny | None:
    listed = table.texts("assets", 16, 64) if table.has("assets") else ()
    for symbol in listed:
        if symbol not in symbols:
            table.fail("assets", f"{symbol} is not the symbol of an [[asset]]")
    return table.make(
        Deny,
        name=table.text("name", 80),
        vaults=table.texts("vaults", 40, 64, form=_GLOB),
        to=_destinations(table, table.take("to", str, "") if table.holds("to", str) else None, 'write "any"'),
        assets=tuple(symbols[symbol].id for symbol in listed if symbol in symbols),
    )


def _rule_destinations(table: Table) -> AnyDestination | Destinations | AddressBook | None:
    """`to = "any"`, `to = "address-book"`, or a list of addresses."""
    word = table.take("to", str, "") if table.holds("to", str) else None
    return AddressBook() if word == "address-book" else _destinations(table, word, 'write "any", "address-book"')


def _destinations(table: Table, word: str | None, do: str) -> AnyDestination | Destinations | None:
    """`to = "any"`, or a list of addresses."""
    if word is not None:
        if word == "any":
            return AnyDestination()
        known = f'"{word}" is not in rule set 1' if word in _NOT_IN_RULE_SET else f'"{word}" is not known here'
        table.fail("to", f"{known}: {do} or a list of addresses")
        return None
    addresses = table.texts("to", 128, 500)
    return Destinations(addresses=addresses) if addresses else None


def _limit(table: Table, symbols: Symbols) -> Limit | None:
    window_ms = table.duration(_WINDOW)
    return table.make(Limit, window_ms=window_ms, amounts=_amounts(table, table.rest(), symbols))


def _quorum(table: Table | None) -> Quorum | None:
    if table is None:
        return None
    return table.make(Quorum, group=table.name("group"), count=table.number("count", 1, 500))


def _fees(table: Table | None) -> Fees | None:
    if table is None:
        return None
    return table.make(
        Fees,
        per_vbyte=table.number("per_vbyte", 0),
        per_plan=table.number("per_plan", 0),
        window_ms=table.duration(_WINDOW),
        per_vault=table.number("per_vault", 0),
    )


def _log(table: Table | None) -> LogQuotas | None:
    if table is None:
        return None
    return table.make(
        LogQuotas,
        coordinator_bytes_per_day=table.number("coordinator_bytes_per_day", 0),
        person_bytes_per_day=table.number("person_bytes_per_day", 0),
    )


def _amounts(table: Table, content: Mapping[str, Any], symbols: Symbols) -> tuple[AssetAmount, ...] | None:
    """Read `BTC = "2.5"` pairs, at least one."""
    amounts = [amount for amount in (_asset_amount(table, *pair, symbols) for pair in content.items()) if amount]
    if not content:
        table.fail("", 'names no asset: write for example BTC = "2.5"')
    return tuple(amounts) if len(amounts) == len(content) and content else None


def _asset_amount(table: Table, symbol: str, value: Any, symbols: Symbols) -> AssetAmount | None:
    if symbol not in symbols:
        table.fail(symbol, f"{symbol} is not the symbol of an [[asset]]")
    elif type(value) is not str:
        table.fail(symbol, 'an amount stands in quotes, as "2.5"')
    else:
        try:
            return AssetAmount(asset=symbols[symbol].id, amount=parse_decimal(value, symbols[symbol].decimals))
        except BadQuantity as error:
            table.fail(symbol, error.message)
    return None
