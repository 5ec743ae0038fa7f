"""A plan whose coin a block took before the plan had its certificate is settled, and reserves nothing for ever."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from ledger_world import Coin
from strongroom.chains.bitcoin.policy import CHANGE_BRANCH
from strongroom.ledger.plans import spend_of
from strongroom_coordinator.chain.node import BitcoinNode, NodeRefused
from strongroom_coordinator.storage import chain as rows
from strongroom_coordinator.storage import events
from strongroom_coordinator.storage.chain import OutcomeRow
from strongroom_coordinator.tracker.addresses import GAP
from strongroom_coordinator.tracker.broadcaster import Broadcaster
from tracker_desk import VAULT, TrackerDesk


class RefusingNode:
    """A node that takes no transaction."""

    def __init__(self) -> None:
        self.asked = 0

    async def broadcast(self, raw: bytes) -> bytes:
        self.asked += 1
        raise NodeRefused("sendrawtransaction", -26, "min relay fee not met")


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[TrackerDesk]:
    opened = TrackerDesk(tmp_path)
    yield opened
    opened.storage.close()


async def test_a_plan_whose_coin_a_block_had_taken_is_excluded_and_frees_its_other_coins(desk: TrackerDesk) -> None:
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


async def test_a_plan_on_change_of_an_excluded_plan_is_excluded_with_it(desk: TrackerDesk) -> None:
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


async def test_a_plan_that_a_block_held_before_it_was_known_here_is_confirmed_and_watchers_hear_of_it(
    desk: TrackerDesk,
) -> None:
    """A database restored from an old copy reads blocks before the signers give it the plans in them."""
    coin = desk.world.coin(900_000)
    plan = desk.plan(coin)
    name, txid = desk.names(plan)
    desk.in_a_block(coin, 7, spent_by=txid)
    desk.certify()
    await desk.tracker._loader.sync()
    assert len(desk.tracker.plans) == 0
    stored = desk.storage.run_sync(lambda connection: rows.outcomes_of(connection, [name]))
    assert (stored[name].height, stored[name].txid) == (7, txid)
    told = desk.storage.run_sync(lambda connection: events.after(connection, 0, limit=100))
    assert [(event.order_hash, event.kind) for event in told] == [(plan.order_hashes[0], "confirmed")]
    assert desk.tracker._follower._recent == {7: list(plan.order_hashes)}


async def test_a_plan_on_change_is_confirmed_where_blocks_held_it_and_its_parent_before_both_were_known(
    desk: TrackerDesk,
) -> None:
    coin = desk.world.coin(900_000)
    parent = desk.plan(coin)
    desk.certify()
    parent_txid = desk.names(parent)[1]
    change = Coin(txid=parent_txid, vout=1, amount_sat=799_000, branch=1, index=0)
    child = desk.plan(change, change_index=1)
    desk.certify()
    child_hash, child_txid = desk.names(child)
    desk.in_a_block(coin, 7, spent_by=parent_txid)
    desk.in_a_block(change, 7, spent_by=child_txid)
    assert len(desk.tracker.plans) == 2
    await desk.tracker._loader.sync()
    assert len(desk.tracker.plans) == 0
    stored = desk.storage.run_sync(lambda connection: rows.outcomes_of(connection, [child_hash]))
    assert stored[child_hash].txid == child_txid


async def test_change_further_ahead_than_was_watched_has_the_blocks_read_again(desk: TrackerDesk) -> None:
    """Blocks read before the plans were known may hold change at indexes that nobody looked for."""
    tracker = desk.tracker
    await tracker._watch_vaults()
    tracker._follower.height = 7
    for indexes, is_late in (((GAP - 1,), False), ((2 * GAP - 1, 3 * GAP - 1), True)):
        for index in indexes:
            desk.plan(desk.world.coin(900_000), change_index=index)
        await tracker._watch_vaults()
        assert tracker._follower.rescan_wanted is is_late
        assert desk.storage.run_sync(rows.rescan_is_wanted) is is_late
        assert tracker.scripts.is_covered(VAULT, CHANGE_BRANCH, indexes[-1])


async def test_a_plan_whose_coins_are_there_stays(desk: TrackerDesk) -> None:
    coin = desk.world.coin(900_000)
    desk.in_a_block(coin, 6)
    plan = desk.plan(coin)
    desk.certify()
    await desk.tracker._loader.sync()
    assert desk.tracker.plans.get(desk.names(plan)[0]) is not None
    assert not desk.tracker.displaced


async def test_a_refused_transaction_is_handed_over_less_and_less_often(desk: TrackerDesk) -> None:
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
