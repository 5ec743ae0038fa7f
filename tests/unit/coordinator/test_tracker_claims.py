"""What plans claim about coins, judged by the coin table, by other plans and by the node."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from ledger_world import Coin
from strongroom.ledger.entry_messages import Plan
from strongroom.ledger.plans import spend_of, vault_key_of
from strongroom_coordinator.chain.node import BitcoinNode, NodeRefused, Output
from strongroom_coordinator.tracker.broadcaster import Broadcaster
from strongroom_coordinator.tracker.plan_book import Outpoint, TrackedPlan
from tracker_desk import VAULT, TrackerDesk


class Outputs:
    """A node that answers what it has at an outpoint, and refuses transactions with these words."""

    def __init__(self) -> None:
        self.found: dict[Outpoint, Output] = {}
        self.asked: list[Outpoint] = []
        self.words = "mempool-script-verify-flag-failed (Invalid Schnorr signature)"

    async def output(self, txid: bytes, vout: int) -> Output | None:
        self.asked.append((txid, vout))
        return self.found.get((txid, vout))

    async def broadcast(self, raw: bytes) -> bytes:
        raise NodeRefused("sendrawtransaction", -26, self.words)


class Desk(TrackerDesk):
    """With a node that has blocks up to the tracker's tip."""

    def __init__(self, folder: Path) -> None:
        self.node = Outputs()
        super().__init__(folder, self.node)
        record = self.world.state.vault(VAULT)
        assert record is not None
        self.key = vault_key_of(record)
        self.tracker.scripts.add_vault(VAULT, self.key)

    def tracked(self, *coins: Coin, **parts: int) -> TrackedPlan:
        """The plan of an order on these coins, as they are claimed."""
        plan = self.plan(*coins, **parts)
        self.certify()
        return self.find(plan)

    def find(self, plan: Plan) -> TrackedPlan:
        found = self.tracker.plans.get(self.names(plan)[0])
        assert found is not None
        return found

    async def check(self) -> None:
        await self.tracker.claims.check()

    def output(self, coin: Coin) -> Output:
        """What a transaction that makes this coin has at its place."""
        return Output(amount_sat=coin.amount_sat, script=self.key.derive(coin.branch, coin.index).script)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    opened = Desk(tmp_path)
    yield opened
    opened.storage.close()


async def test_a_coin_of_the_table_is_held_against_it_and_the_node_is_not_asked(desk: Desk) -> None:
    coin = desk.world.coin(900_000)
    desk.in_a_block(coin, 6)
    true = desk.tracked(coin)
    less = desk.tracked(replace(coin, amount_sat=400_000), change_index=1)
    elsewhere = desk.tracked(replace(coin, index=3), change_index=2)
    await desk.check()
    assert [plan.is_dead for plan in (true, less, elsewhere)] == [False, True, True]
    assert less.can_never_confirm
    assert f"{coin.txid[::-1].hex()}:{coin.vout} is not what the plan says of it" in less.why_dead
    assert desk.node.asked == []
    assert [found.amount_sat for found in desk.tracker.coins(VAULT)] == []
    desk.tracker.plans.remove(true.hash)
    desk.tracker.changed()
    assert [found.amount_sat for found in desk.tracker.coins(VAULT)] == [900_000]


async def test_an_output_that_is_not_the_vaults_is_no_coin_of_it(desk: Desk) -> None:
    foreign, beyond = desk.world.coin(500_000), desk.world.coin(600_000, index=70_000)
    desk.node.found[foreign.txid, 0] = Output(amount_sat=500_000, script=b"\x51\x20" + bytes(32))
    desk.node.found[beyond.txid, 0] = desk.output(beyond)
    false, true = desk.tracked(foreign), desk.tracked(beyond, change_index=1)
    await desk.check()
    assert false.can_never_confirm
    assert not true.is_dead
    assert true.is_sound


async def test_a_coin_that_the_node_lacks_is_missing_until_somebody_publishes_what_makes_it(desk: Desk) -> None:
    """Whoever invented the coin may have kept the transaction back: the plan comes alive with it."""
    coin = desk.world.coin(500_000)
    plan = desk.tracked(coin)
    assert not plan.is_dead
    assert not plan.is_sound
    await desk.check()
    assert plan.is_dead
    assert not plan.can_never_confirm
    asked = len(desk.node.asked)
    await desk.check()
    assert len(desk.node.asked) == asked
    desk.node.found[coin.txid, 0] = desk.output(coin)
    desk.world.time_ms += 10_000
    await desk.check()
    assert not plan.is_dead
    assert plan.is_sound


async def test_a_plan_on_change_shares_the_fate_of_the_plan_that_makes_it(desk: Desk) -> None:
    coin, missing = desk.world.coin(900_000), desk.world.coin(900_000)
    desk.in_a_block(coin, 6)
    for number, parent in enumerate((replace(coin, amount_sat=800_000), missing)):
        made = desk.plan(parent, change_index=2 * number)
        desk.certify()
        change = desk.find(made).change[0]
        claim = Coin(txid=change.txid, vout=change.vout, amount_sat=change.amount_sat, branch=1, index=change.index)
        child = desk.tracked(claim, change_index=2 * number + 1, paying=10_000)
        await desk.check()
        assert desk.find(made).is_dead
        assert child.is_dead
        assert child.can_never_confirm is desk.find(made).can_never_confirm


async def test_change_is_what_the_plan_that_makes_it_says(desk: Desk) -> None:
    coin = desk.world.coin(900_000)
    desk.in_a_block(coin, 6)
    parent = desk.tracked(coin)
    change = parent.change[0]
    true = Coin(txid=change.txid, vout=change.vout, amount_sat=change.amount_sat, branch=1, index=change.index)
    claims = (true, replace(true, amount_sat=700_000), replace(true, branch=0), replace(true, vout=9))
    plans = [desk.tracked(claim, change_index=n + 1, paying=10_000) for n, claim in enumerate(claims)]
    await desk.check()
    assert [plan.can_never_confirm for plan in plans] == [False, True, True, True]
    assert desk.node.asked == []


@pytest.mark.parametrize(
    ("words", "is_invalid"),
    [
        ("mempool-script-verify-flag-failed (Invalid Schnorr signature)", True),
        ("mandatory-script-verify-flag-failed (Invalid Schnorr signature)", True),
        ("bad-txns-in-belowout, value in (0.1) < value out (0.2)", True),
        ("min relay fee not met, 10 < 200", False),
        ("insufficient fee, rejecting replacement", False),
        ("txn-mempool-conflict", False),
        ("bad-txns-premature-spend-of-coinbase", False),
    ],
)
async def test_only_what_no_block_could_hold_counts_as_invalid(desk: Desk, words: str, is_invalid: bool) -> None:
    coin = desk.world.coin(900_000)
    desk.in_a_block(coin, 6)
    plan = desk.tracked(coin)
    desk.tracker.signed(plan.hash, plan.txid, spend_of(desk.world.state, plan.plan).unsigned_transaction().serialise())
    desk.node.words = words
    broadcaster = Broadcaster(desk.tracker, cast("BitcoinNode", desk.node), desk.storage, desk.clock)
    await broadcaster.announce()
    assert plan.is_invalid is is_invalid
    assert plan.is_dead is is_invalid
    assert plan.problem == words
