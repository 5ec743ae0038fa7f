"""A plan whose coin a block took before the plan had its certificate is settled, and reserves nothing for ever."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from certified_world import Certified, Clock
from ledger_world import Coin, World
from strongroom.chains.bitcoin.networks import REGTEST
from strongroom.ledger import codec
from strongroom.ledger.messages import Plan
from strongroom.ledger.plans import plan_hash, spend_of
from strongroom_coordinator.chain.node import BitcoinNode, NodeRefused
from strongroom_coordinator.reading import LogReader
from strongroom_coordinator.storage import chain as rows
from strongroom_coordinator.storage import plans as plan_rows
from strongroom_coordinator.storage.chain import CoinRow, OutcomeRow, SpendRow
from strongroom_coordinator.storage.engine import Storage, migrate
from strongroom_coordinator.tracker import Tracker
from strongroom_coordinator.tracker.broadcaster import Broadcaster

VAULT = "customer-1"


class RefusingNode:
    """A node that takes no transaction."""

    def __init__(self) -> None:
        self.asked = 0

    async def broadcast(self, raw: bytes) -> bytes:
        self.asked += 1
        raise NodeRefused("sendrawtransaction", -26, "min relay fee not met")


class Desk:
    """A tracker on a world whose blocks a test decides about."""

    def __init__(self, folder: Path) -> None:
        self.world = World.started()
        self.world.make_vault(VAULT)
        url = f"sqlite:///{folder}/tracker.db"
        migrate(url)
        self.storage = Storage.open(url)
        self.certified = Certified(self.world)
        self.clock = Clock(self.world)
        unused: Any = None
        self.tracker = Tracker(
            node=unused,
            network=REGTEST,
            storage=self.storage,
            reader=LogReader(self.certified),
            clock=self.clock,
            confirmations=2,
            poll_ms=50,
            fee_rate_sat_per_vb=2,
            bump_after_s=60,
        )

    def plan(self, *coins: Coin, paying: int = 100_000, **parts: Any) -> Plan:
        """Log a plan, without telling the tracker."""
        plan = self.world.plan([self.world.pay(VAULT, paying)], coins, **parts)
        self.world.log(plan)
        record = self.world.state.plan(plan_hash(codec.encode(plan)))
        assert record is not None
        new = plan_rows.NewPlan(
            plan_hash=record.hash, txid=record.txid, entry_index=record.entry_index, vault=VAULT, time_ms=0
        )
        self.storage.run_sync(lambda connection: plan_rows.add(connection, [new]))
        return plan

    def certify(self) -> None:
        """The newest batch gets its certificate."""
        self.tracker.certified(self.world.batches[-1], self.certified.certificate)

    def in_a_block(self, coin: Coin, height: int, *, spent_by: bytes = b"") -> None:
        row = CoinRow(
            txid=coin.txid,
            vout=coin.vout,
            vault=VAULT,
            branch=0,
            index=0,
            amount_sat=coin.amount_sat,
            height=height,
            coinbase=False,
        )

        def work(connection: Any) -> None:
            rows.add_coins(connection, [row])
            if spent_by:
                rows.mark_spent(connection, [SpendRow(outpoint=row.outpoint, by_txid=spent_by, height=height)])

        self.storage.run_sync(work)
        if not spent_by:
            self.tracker.coins_known.add(row)

    def names(self, plan: Plan) -> tuple[bytes, bytes]:
        record = self.world.state.plan(plan_hash(codec.encode(plan)))
        assert record is not None
        return record.hash, record.txid


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    opened = Desk(tmp_path)
    yield opened
    opened.storage.close()


async def test_a_plan_whose_coin_a_block_had_taken_is_excluded_and_frees_its_other_coins(desk: Desk) -> None:
    taken, kept = desk.world.coin(300_000), desk.world.coin(400_000)
    desk.in_a_block(taken, 7, spent_by=b"\x01" * 32)
    desk.in_a_block(kept, 6)
    plan = desk.plan(taken, kept)
    desk.certify()
    assert desk.tracker.plans.is_reserved((kept.txid, kept.vout))
    await desk.tracker._loader.sync()
    assert desk.tracker.plans.conflicted == {desk.names(plan)[0]: b"\x01" * 32}
    assert not desk.tracker.plans.is_reserved((kept.txid, kept.vout))
    assert desk.tracker.displaced == set(plan.order_hashes)


async def test_a_plan_on_change_of_an_excluded_plan_is_excluded_with_it(desk: Desk) -> None:
    coin = desk.world.coin(900_000)
    parent = desk.plan(coin)
    parent_hash, parent_txid = desk.names(parent)
    excluded = OutcomeRow(plan_hash=parent_hash, height=7, txid=b"\x01" * 32)
    desk.storage.run_sync(lambda connection: rows.add_outcomes(connection, [excluded], own=set(), now_ms=0))
    desk.tracker.plans.conflicted[parent_hash] = excluded.txid
    change = Coin(txid=parent_txid, vout=1, amount_sat=799_000, branch=1, index=0)
    child = desk.plan(change, change_index=1)
    desk.certify()
    await desk.tracker._loader.sync()
    child_hash, _ = desk.names(child)
    assert desk.tracker.plans.conflicted[child_hash] == excluded.txid
    stored = desk.storage.run_sync(lambda connection: rows.outcomes_of(connection, [child_hash]))
    assert stored[child_hash].height == 7


async def test_a_plan_whose_coins_are_there_stays(desk: Desk) -> None:
    coin = desk.world.coin(900_000)
    desk.in_a_block(coin, 6)
    plan = desk.plan(coin)
    desk.certify()
    await desk.tracker._loader.sync()
    assert desk.tracker.plans.get(desk.names(plan)[0]) is not None
    assert not desk.tracker.displaced


async def test_a_refused_transaction_is_handed_over_less_and_less_often(desk: Desk) -> None:
    coin = desk.world.coin(900_000)
    desk.in_a_block(coin, 6)
    plan = desk.plan(coin)
    desk.certify()
    name, txid = desk.names(plan)
    desk.tracker.signed(name, txid, spend_of(desk.world.state, plan).unsigned_transaction().serialise())
    node = RefusingNode()
    broadcaster = Broadcaster(desk.tracker, cast("BitcoinNode", node), desk.storage, desk.clock)
    for _ in range(120):
        await broadcaster.announce()
        desk.world.time_ms += 1_000
    assert node.asked == 6
    desk.tracker._follower.height += 1
    await broadcaster.announce()
    assert node.asked == 7
    tracked = desk.tracker.plans.get(name)
    assert tracked is not None
    assert tracked.problem == "min relay fee not met"
