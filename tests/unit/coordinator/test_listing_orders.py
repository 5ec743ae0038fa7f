"""Lists of orders: what can still be paid is found wherever it stands, by pages that may be short or empty."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

import charter_builder as builder
from handover_world import HandoverWorld
from ledger_world import DAY_MS
from restart_world import RestartWorld
from strongroom.ledger.entry_messages import Tick
from strongroom.ledger.order_messages import CreateVault, CustodyClass, Scheme, Unfreeze
from strongroom.ledger.records import OrderState
from strongroom.ledger.state import State
from strongroom_coordinator.rpc import queries as module
from strongroom_coordinator.rpc.live_orders import LiveOrders
from strongroom_coordinator.rpc.parts import Parts
from strongroom_coordinator.rpc.queries import Queries
from strongroom_coordinator.rpc.requests import Page
from strongroom_coordinator.views import Status
from views_desk import VAULT, Desk

LIVE = frozenset({Status.OPEN, Status.PAYABLE})


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path)
    yield made
    made.storage.close()


def queries_of(desk: Desk) -> Queries:
    parts = SimpleNamespace(reader=desk.reader, views=desk.views, storage=desk.storage, tracker=desk.tracker)
    return Queries(cast(Parts, parts))


async def listed(queries: Queries, wanted: frozenset[Status], size: int = 100, vault: str = "") -> list[bytes]:
    """All pages."""
    found: list[bytes] = []
    start: int | None = None
    while True:
        page, start = await queries.orders(Page(size=size, start=start), vault=vault, statuses=wanted)
        assert len(page) <= size
        found += [one.record.hash for one in page]
        if start is None:
            return found


async def expected(desk: Desk, wanted: frozenset[Status]) -> list[bytes]:
    """What the views say of each order there is."""
    state = desk.world.state
    names = [state.order_at(number).hash for number in reversed(range(state.orders_count))]
    return [view.record.hash for view in await desk.views.orders(names) if view.status in wanted]


def bumped(desk: Desk, height: int) -> bytes:
    """An order whose second plan, at a higher fee, is in the block at a height; in none at 0."""
    order = desk.world.pay(VAULT, 100_600 + height)
    first, coin = desk.plan(order)
    bump, _ = desk.plan(order, coin=coin, fee_sat=4_000, change_index=height + 20, bumps=first)
    record = desk.world.state.plan(bump)
    assert record is not None
    if height:
        desk.block(height, bump)
        desk.block(height, first, by=record.txid)
    return order


def paid_apart(desk: Desk, height: int) -> None:
    """Two orders of one plan, of which another plan pays the first alone; in the block at a height, in none at 0."""
    first, second = (desk.world.pay(VAULT, 100_700 + height + more) for more in (0, 50))
    both, coin = desk.plan(first, second)
    alone, _ = desk.plan(first, coin=coin, fee_sat=4_000, change_index=height + 40)
    record = desk.world.state.plan(alone)
    assert record is not None
    if height:
        desk.block(height, alone)
        desk.block(height, both, by=record.txid)


def of_all_kinds(desk: Desk) -> None:
    """Orders in every state, with plans that nothing, a young block, an old block or another transaction settled."""
    world = desk.world
    world.submit(world.withdrawal(VAULT, 100_000), "shop")
    world.submit(world.withdrawal(VAULT, 100_001), "shop", expires_ms=world.time_ms + 1_000)
    for height in (0, 9, 10):
        plan, _ = desk.plan(world.pay(VAULT, 100_100 + height), world.pay(VAULT, 100_200 + height))
        if height:
            desk.block(height, plan)
    world.reject(world.pay(VAULT, 100_300), "carol")
    world.cancel(world.pay(VAULT, 100_400))
    for height in (0, 9, 10):
        order = world.pay(VAULT, 100_500 + height)
        plan, coin = desk.plan(order)
        excluding, _ = desk.plan(world.cancel(order), coin=coin, fee_sat=2_000, change_index=height + 1)
        record = world.state.plan(excluding)
        assert record is not None
        if height:
            desk.block(height, excluding)
            desk.block(height, plan, by=record.txid)
    for height in (0, 9, 10):
        bumped(desk, height)
        paid_apart(desk, height)
    desk.tip(10)
    world.submit(
        CreateVault(
            name="customer-2",
            custody_class=CustodyClass.CUSTOMER,
            chain=world.withdrawal(VAULT, 1).asset.partition("/")[0],
            scheme=Scheme.FROST_SECP256K1_BIP340,
            signers=("s1", "s2", "s3"),
            threshold=2,
        ),
        "carol",
    )
    world.later(1_000)
    world.log(Tick())


def ended_since(desk: Desk) -> None:
    """What ended is not final yet: it counts as it was."""
    desk.certified.final_at = desk.world.replica.size
    for record in list(desk.world.state.open_orders())[:1]:
        desk.world.reject(record.hash, "carol")
    desk.world.pay(VAULT, 100_900)
    desk.world.reject(desk.world.pay(VAULT, 100_901), "carol")


def ended_and_nothing_final(desk: Desk) -> None:
    ended_since(desk)
    desk.certified.is_final = False


def founded_twice(desk: Desk) -> None:
    restarted = RestartWorld(desk.world)
    for amount, key, voters in ((101_000, "new", ("s1", "s2")), (101_001, "newer", ("s1", "s2:s2-new"))):
        desk.world.pay(VAULT, amount)
        restarted.found(restarted.restart(restarted.new_charter(key=key), voters=voters))
        desk.world.submit(Unfreeze(freeze=desk.world.log_id), "dave", "alice", "carol")
    desk.plan(desk.world.pay(VAULT, 101_002))


def an_amendment_waits(desk: Desk) -> None:
    order = desk.world.amend(officers="admins")
    record = desk.world.state.order(order)
    assert record is not None
    assert record.state is OrderState.SCHEDULED


def a_handover_waits(desk: Desk) -> None:
    handing_over = HandoverWorld(desk.world)
    signers = (builder.signer(name) for name in ("s1", "s2", "s4"))
    order = handing_over.want(handing_over.next_charter(*signers, quorum=2))
    assert desk.world.state.witnesses.amendment == order


def long_after(desk: Desk) -> None:
    desk.world.later(40 * DAY_MS)
    desk.world.log(Tick())


@pytest.mark.parametrize(
    "then",
    [None, ended_since, ended_and_nothing_final, founded_twice, an_amendment_waits, a_handover_waits, long_after],
)
async def test_what_is_open_or_payable_is_listed_as_if_every_order_were_looked_at(
    then: Callable[[Desk], None] | None, desk: Desk
) -> None:
    of_all_kinds(desk)
    queries = queries_of(desk)
    assert await listed(queries, LIVE) == await expected(desk, LIVE)
    if then is not None:
        then(desk)
    for status in LIVE:
        only = frozenset({status})
        assert await listed(queries, only) == await expected(desk, only)
    every = await expected(desk, LIVE)
    assert len(every) > 4
    for size in (1, 3, 100):
        assert await listed(queries, LIVE, size) == every


@pytest.mark.parametrize("statuses", [frozenset[Status](), frozenset({Status.PAID}), frozenset({*LIVE, Status.PAID})])
async def test_other_lists_look_at_every_order_some_at_a_time(
    statuses: frozenset[Status], desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_all_kinds(desk)
    whole = await expected(desk, statuses or frozenset(Status))
    for scanned in (1, 2, 2_000):
        monkeypatch.setattr(module, "MAX_SCANNED", scanned)
        for size in (1, 3):
            assert await listed(queries_of(desk), statuses, size) == whole
    monkeypatch.setattr(module, "MAX_SCANNED", 1)
    assert await listed(queries_of(desk), statuses, vault="another") == []


async def test_a_payment_that_a_restart_ended_is_on_the_first_page_behind_any_number_of_ended_orders(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    lapsed = desk.world.pay(VAULT, 100_000)
    restarted = RestartWorld(desk.world)
    restarted.found(restarted.restart())
    desk.world.submit(Unfreeze(freeze=desk.world.log_id), "dave", "alice", "carol")
    for amount in range(100_001, 100_005):
        plan, _ = desk.plan(desk.world.pay(VAULT, amount))
        desk.block(9, plan)
    desk.tip(10)
    monkeypatch.setattr(module, "MAX_SCANNED", 1)
    looked: list[int] = []
    order_at = State.order_at

    def counted(self: State, sequence: int) -> Any:
        looked.append(sequence)
        return order_at(self, sequence)

    monkeypatch.setattr(State, "order_at", counted)
    queries = queries_of(desk)
    for reads in (desk.world.state.orders_count + 1, 1):
        looked.clear()
        page, following = await queries.orders(Page(size=10, start=None), vault="", statuses=LIVE)
        assert ([one.record.hash for one in page], following) == ([lapsed], None)
        assert len(looked) == reads


async def test_a_payment_whose_bump_is_deep_is_not_looked_at_again(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    paid = bumped(desk, 9)
    young = bumped(desk, 10)
    desk.world.later(40 * DAY_MS)
    desk.world.log(Tick())
    desk.tip(10)
    looked: list[bytes] = []
    plan = State.plan

    def counted(self: State, name: bytes) -> Any:
        looked.append(name)
        return plan(self, name)

    monkeypatch.setattr(State, "plan", counted)
    parts: Any = SimpleNamespace(reader=desk.reader, storage=desk.storage, tracker=desk.tracker)
    live = LiveOrders(parts)
    numbers = [number for order in (young, paid) if (number := desk.world.state.order_number(order)) is not None]
    for reads in (4, 2):
        looked.clear()
        assert await live.numbers(desk.world.state, desk.world.state.orders_count) == numbers[:1]
        assert len(looked) == reads
