"""A deployment with a fuller charter: tiers with limits and a delay, a board, a prohibition, and vaults of each kind.

    with strictly_besieged("limits") as cluster:      # three signers, two of them with a local maximum

Vaults: `customer-hot` under one generous rule, `petty` under a small tier with a tight limit over 24 hours, `savings`
under that and under a large one with a delay of an hour, which the board approves too, and `reserve`, from which no
rule lets anybody pay. The coordinator may write as little in a day as any charter allows.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from actor import COIN, Actor, actors, burn_address, funded_vault
from cluster import COINS, VAULT, Cluster, made, running, template
from payments import approved, paid, payee
from strongroom.chains.bitcoin.address import address_of
from strongroom.chains.bitcoin.networks import REGTEST
from strongroom.ledger.charter_check_bounds import LEAST_COORDINATOR_BYTES
from strongroom.ledger.records import VaultRecord
from strongroom_client.answers import derive_address
from strongroom_client.demo.deployment import Deployment, Shape
from strongroom_client.trust import Proven

DENIED = address_of(b"\x00\x14" + b"\x66" * 20, REGTEST)
"""The address that the charter forbids to pay."""

PER_ORDER_SAT = 60_000_000
PER_DAY_SAT = 118_000_000
"""Local maximum of two of the three operators."""

_RULES = f"""
[[group]]
name = "board"
members = ["carol", "dave"]

[[rule]]
name = "daily customer withdrawals"
vaults = ["customer-*"]
to = "any"
max = {{ BTC = "2.5" }}
limits = [{{ window = "24h", BTC = "40" }}]
initiated = ["group:integrations", "group:treasury"]
approvals = [{{ group = "treasury", count = 2 }}]
delay = "0s"

[[rule]]
name = "small tier"
vaults = ["petty", "savings"]
to = "any"
max = {{ BTC = "0.003" }}
limits = [{{ window = "24h", BTC = "0.01" }}]
initiated = ["group:treasury"]
approvals = [{{ group = "treasury", count = 2 }}]
delay = "0s"

[[rule]]
name = "large tier"
vaults = ["savings"]
to = "any"
max = {{ BTC = "5" }}
limits = [{{ window = "24h", BTC = "100" }}]
initiated = ["group:treasury"]
approvals = [{{ group = "treasury", count = 2 }}, {{ group = "board", count = 1 }}]
delay = "1h"

[[deny]]
name = "known thief"
vaults = ["*"]
to = ["{DENIED}"]

"""


def _strict(source: str) -> str:
    """The proposed charter with these rules in place of its own, and with dave on the board alone."""
    head, _, rest = source.partition("[[rule]]")
    settings = rest[rest.index("[quorums]") :]
    settings, lowered = re.subn(r"(?m)^(coordinator_bytes_per_day) = .*$", rf"\1 = {LEAST_COORDINATOR_BYTES}", settings)
    if lowered != 1:
        raise ValueError("the proposed charter does not say what the coordinator may write in a day")
    everybody, treasury = '"alice", "bob", "carol", "dave"', '"alice", "bob", "carol"'
    return head.replace(f"members = [{everybody}]", f"members = [{treasury}]") + _RULES.lstrip() + settings


STRICT = Shape(treasury=("alice", "bob", "carol", "dave"), edit=_strict)


@cache
def strict() -> Deployment:
    """A stopped deployment with four final vaults, two of them with coins; use a copy."""
    return template("strict", STRICT, lambda root: made(root, STRICT, _make_vaults))


async def _make_vaults(deployment: Deployment) -> None:
    async with actors(deployment, "alice", "bob", "carol") as people:
        await funded_vault(deployment, people, VAULT, coins=COINS)
        petty, *_ = await asyncio.gather(*(_make_vault(people, name) for name in ("petty", "savings", "reserve")))
        deployment.rpc("generatetoaddress", 1, derive_address(petty, 0))
        deployment.rpc("generatetoaddress", 100, burn_address())
        await people[0].wait_for_coins("petty", 50 * COIN)


async def _make_vault(people: tuple[Actor, ...], name: str) -> Proven[VaultRecord]:
    first, *others = people
    order = await first.create_vault(name, signers=STRICT.signers, threshold=2)
    for other in others:
        await other.approve(order)
    return await first.wait_for_vault(name)


@contextmanager
def strictly_besieged(name: str) -> Iterator[Cluster]:
    """A running copy whose log holds a paid order; `north` and `south` have a local maximum."""
    with running(strict(), name) as cluster:
        for signer in STRICT.signers[:2]:
            config = cluster.deployment.signer_folder(signer) / "signer.toml"
            limit = f'\n[limits."{REGTEST.asset_id}"]\nper_order = "{PER_ORDER_SAT}"\nper_day = "{PER_DAY_SAT}"\n'
            config.write_text(config.read_text() + limit)
        cluster.start()
        asyncio.run(_history(cluster))
        yield cluster


async def _history(cluster: Cluster) -> None:
    async with actors(cluster.deployment, "alice", "bob", "carol") as people:
        await paid(cluster, people[0], await approved(people, payee()))
