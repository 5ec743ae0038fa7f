"""A coordinator lies to the real program of an approver: the summary of a harmless payment over another one's bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from actor import actors, ready, until
from cluster import VAULT, Cluster, funded, running
from lying_treasury import LyingTreasury, lying_treasury
from payments import AMOUNT, approve_once, paid, payee, payments_on_chain
from strongroom.api.treasury.v1 import treasury_service_pb2 as pb
from strongroom.ledger import codec
from strongroom.ledger.order_messages import Order, Withdraw
from strongroom.ledger.records import OrderRecord
from strongroom.ledger.signed_messages import Verb
from strongroom.model.ids import OrderHash

pytestmark = [pytest.mark.process, pytest.mark.slow, pytest.mark.campaign]

BYBIT = "Bybit 2025: approvers were shown a harmless payment and signed another one"
NOT_PROVEN_CODE = 4


@dataclass(frozen=True, kw_only=True)
class Orders:
    """What an attacker asked for with an initiator's key, and the payment that everybody expects."""

    evil: OrderHash
    evil_payee: str
    good: OrderHash
    good_payee: str
    good_view: Any
    """The true answer about the good one, with its proof."""


@pytest.fixture(scope="module")
def misled() -> Iterator[LyingTreasury]:
    """A running deployment, and a service that lies to bob."""
    with running(funded(), "misled") as cluster:
        cluster.start()
        with lying_treasury(cluster, "bob") as treasury:
            yield treasury


async def two_orders(treasury: LyingTreasury) -> Orders:
    good_payee, evil_payee = payee(), payee()
    async with actors(treasury.cluster.deployment, "alice") as (alice,):
        await ready(alice)
        evil = await alice.pay(VAULT, evil_payee, AMOUNT)
        good = await alice.pay(VAULT, good_payee, AMOUNT)

        async def are_final() -> bool:
            return all([(await alice.client.order(one)).proven.final for one in (evil, good)])

        # Its proof must be whole before it can be shown in place of another's.
        await until(are_final)
    view = treasury.ask("GetOrder", pb.GetOrderRequest(order_hash=good)).order
    return Orders(evil=evil, evil_payee=evil_payee, good=good, good_payee=good_payee, good_view=view)


Lie = Callable[[Any, Orders], None]


def the_good_orders_view(view: Any, orders: Orders) -> None:
    """All that is true of the good one, as the answer to the question about the evil one."""
    view.CopyFrom(orders.good_view)


def the_good_order_under_the_evil_name(view: Any, orders: Orders) -> None:
    """The same, with the name under which it was asked for."""
    view.CopyFrom(orders.good_view)
    view.order_hash = orders.evil
    record = codec.decode(OrderRecord, view.record.record)
    view.record.record = codec.encode(replace(record, hash=orders.evil))


def the_good_payee_in_the_evil_bytes(view: Any, orders: Orders) -> None:
    """The evil one with its own proof, only the payee in its bytes is another."""
    record = codec.decode(OrderRecord, view.record.record)
    order = codec.decode(Order, record.order)
    assert isinstance(order.action, Withdraw)
    shown = replace(order, action=replace(order.action, destination=orders.good_payee))
    view.record.record = codec.encode(replace(record, order=codec.encode(shown)))


def attack(lie: Lie, title: str) -> Any:
    mark = pytest.mark.attack(line="coordinator", title=title, origin=BYBIT)
    return pytest.param(lie, id=lie.__name__, marks=mark)


@pytest.mark.parametrize(
    "lie",
    [
        attack(the_good_orders_view, "an approver's program shown another payment than the one it is asked to approve"),
        attack(
            the_good_order_under_the_evil_name,
            "an approver's program shown a harmless payment under the name of another",
        ),
        attack(the_good_payee_in_the_evil_bytes, "an approver's program shown another payee than the order names"),
    ],
)
async def test_a_truthful_summary_over_other_bytes_is_refused(misled: LyingTreasury, lie: Lie) -> None:
    """Nothing of it is shown and nothing is signed; told the truth by the same service, the program approves."""
    treasury, cluster = misled, misled.cluster
    orders = await two_orders(treasury)
    treasury.lies["GetOrder"] = lambda answer: lie(answer.order, orders)
    treasury.told.clear()
    treasury.calls.clear()
    done = treasury.run("withdraw", "approve", orders.evil.hex())
    treasury.lies.clear()
    assert treasury.told == ["GetOrder"]
    assert done.returncode == NOT_PROVEN_CODE, done.stdout + done.stderr
    assert "Reason: NOT_PROVEN" in done.stdout + done.stderr
    assert orders.good_payee not in done.stdout + done.stderr
    assert not {"EndorseOrder", "EndorseOrders"} & set(treasury.calls)
    done = treasury.run("withdraw", "approve", orders.good.hex())
    assert done.returncode == 0, done.stdout + done.stderr
    assert orders.good_payee in done.stdout + done.stderr
    async with actors(cluster.deployment, "alice", "carol") as (alice, carol):
        await approve_once(carol, orders.good)
        await paid(cluster, alice, orders.good)
        said = (await alice.client.order(orders.evil)).proven.record.endorsements
        assert [word.verb for word in said] == [Verb.INITIATE]
    _paid_once(cluster, orders)


def _paid_once(cluster: Cluster, orders: Orders) -> None:
    assert payments_on_chain(cluster, orders.good_payee) == [AMOUNT]
    assert payments_on_chain(cluster, orders.evil_payee) == []
