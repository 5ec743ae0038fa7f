"""Amendments in tests: parts of a charter to change, and administrators who put them in force."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import Any

from actor import COIN, DAY_MS, Actor, until
from strongroom.chains.bitcoin.networks import REGTEST
from strongroom.ledger.charter import AssetAmount, Charter, encode_charter
from strongroom.ledger.electorate import witness_set_of
from strongroom.ledger.order_messages import AmendCharter


def most(charter: Charter, coins: int) -> dict[str, Any]:
    """The parts of an amendment after which every rule pays so many coins in one order."""
    maximum = (AssetAmount(asset=REGTEST.asset_id, amount=coins * COIN),)
    return {"rules": tuple(replace(rule, maximum=maximum) for rule in charter.rules)}


def without(charter: Charter, name: str) -> dict[str, Any]:
    """The parts of an amendment that removes a person."""
    groups = tuple(replace(one, members=tuple(who for who in one.members if who != name)) for one in charter.groups)
    return {"people": tuple(one for one in charter.people if one.name != name), "groups": groups}


async def in_force(actor: Actor) -> Charter:
    """The charter that is proven to be in force now."""
    await actor.client.seen()
    return (await actor.client.trust()).charter


async def amend(people: tuple[Actor, ...], /, **parts: Any) -> Charter:
    """Have the administrators amend the charter, and wait until the amendment is in force."""
    first, *others = people
    now = await in_force(first)
    proposed = replace(now, **{"version": now.version + 1, **parts})
    hands_over = set(witness_set_of(now).signers) != set(witness_set_of(proposed).signers)
    expires_ms = int(time.time() * 1000) + DAY_MS if hands_over or now.witness_quorum != proposed.witness_quorum else 0
    order = await first.submit(AmendCharter(charter=encode_charter(proposed), handover_expires_ms=expires_ms))
    await asyncio.gather(*(other.approve(order) for other in others[:2]))

    async def reached() -> bool:
        return (await in_force(first)).version == proposed.version

    await until(reached, timeout_s=120)
    return proposed
