"""A deployment with an address book and break-glass, on short times: vault `customer-hot` with coins, and `petty`.

Two of treasury pay from `customer-hot` to anywhere; one of them from `petty` to the address book, to which two admins
add. Three break the glass of `customer-hot` for `RECOVERY`; `petty` has no recovery address.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from actor import COIN, actors, funded_vault, ready
from cluster import COINS, VAULT, Cluster, made, running, template
from strongroom.chains.bitcoin.address import address_of
from strongroom.chains.bitcoin.networks import REGTEST
from strongroom_client.answers import derive_address
from strongroom_client.demo.deployment import Deployment, Shape

PETTY = "petty"
RECOVERY = address_of(b"\x00\x14" + b"\x77" * 20, REGTEST)
COOLING_S, DELAY_S, BOX_S = 5, 1, 20

_RULE = """
[[rule]]
name = "to the address book"
vaults = ["petty"]
to = "address-book"
max = { BTC = "2.5" }
limits = [{ window = "24h", BTC = "40" }]
initiated = ["group:treasury"]
approvals = [{ group = "treasury", count = 1 }]
delay = "0s"

"""
_POWERS = f"""
[address_book]
add = {{ group = "admins", count = 2 }}
cooling_off = "{COOLING_S}s"

[break_glass]
quorum = {{ group = "treasury", count = 3 }}
delay = "{DELAY_S}s"
box = "{BOX_S}s"
addresses = [{{ vault = "customer-*", address = "{RECOVERY}" }}]
"""


def _recoverable(source: str) -> str:
    """The proposed charter with its rule for customers' vaults alone, and with these powers."""
    assert 'vaults = ["*"]' in source
    narrowed = source.replace('vaults = ["*"]', 'vaults = ["customer-*"]')
    ruled = narrowed.replace("[quorums]", f"{_RULE.lstrip()}[quorums]")
    return ruled.replace("[freeze]", '[freeze]\nunfreeze_delay = "1s"') + _POWERS


RECOVERABLE = Shape(treasury=("alice", "bob", "carol", "dave"), edit=_recoverable)


@cache
def recoverable() -> Deployment:
    """A stopped deployment with two final vaults; use a copy."""
    return template("recovery", RECOVERABLE, lambda root: made(root, RECOVERABLE, _make_vaults))


async def _make_vaults(deployment: Deployment) -> None:
    async with actors(deployment, "alice", "bob", "carol") as people:
        first, *others = people
        await ready(first)
        order = await first.create_vault(PETTY, signers=RECOVERABLE.signers, threshold=2)
        for other in others:
            await other.approve(order)
        deployment.rpc("generatetoaddress", 1, derive_address(await first.wait_for_vault(PETTY), 0))
        await funded_vault(deployment, people, VAULT, coins=COINS)  # whose blocks let the coin above ripen
        await first.wait_for_coins(PETTY, 50 * COIN)


@contextmanager
def recovery_site(name: str) -> Iterator[Cluster]:
    """A running copy."""
    with running(recoverable(), name) as cluster:
        cluster.start()
        yield cluster
