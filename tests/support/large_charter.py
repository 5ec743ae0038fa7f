"""Charters of any size up to the largest, without more globs than a charter may have."""

from __future__ import annotations

from dataclasses import replace

from strongroom.ledger.charter import AnyDestination, Charter, Deny, encode_charter


def charter_of_size(charter: Charter, size: int) -> Charter:
    """The charter, filled up to this size with prohibitions of no vault that there is."""
    coin = charter.assets[0].id
    full = charter
    while (rest := size - len(encode_charter(full))) > 300:
        assets = (coin,) * min(64, (rest - 200) // (len(coin) + 2))
        more = Deny(name=f"filling {len(full.denies)}", vaults=("x",), to=AnyDestination(), assets=assets)
        full = replace(full, denies=(*full.denies, more))
    for position, deny in enumerate(full.denies):
        grow = min(size - len(encode_charter(full)), 80 - len(deny.name))
        denies = list(full.denies)
        denies[position] = replace(deny, name=deny.name + "." * grow)
        full = replace(full, denies=tuple(denies))
    return full
