"""A tracker over a world whose blocks and node a test decides about."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from certified_world import Certified, Clock
from ledger_world import Coin, World
from strongroom.chains.bitcoin.networks import REGTEST
from strongroom.ledger import codec
from strongroom.ledger.entry_messages import Plan
from strongroom.ledger.plans import plan_hash
from strongroom_coordinator.reading import LogReader
from strongroom_coordinator.storage import chain as rows
from strongroom_coordinator.storage import plans as plan_rows
from strongroom_coordinator.storage.chain import CoinRow, SpendRow
from strongroom_coordinator.storage.engine import Storage
from strongroom_coordinator.storage.migrating import migrate
from strongroom_coordinator.tracker import Tracker

VAULT = "customer-1"


class TrackerDesk:
    """A tracker on a world whose blocks a test decides about."""

    def __init__(self, folder: Path, node: Any = None) -> None:
        self.world = World.started()
        self.world.make_vault(VAULT)
        url = f"sqlite:///{folder}/tracker.db"
        migrate(url)
        self.storage = Storage.open(url)
        self.certified = Certified(self.world)
        self.clock = Clock(self.world)
        self.tracker = Tracker(
            node=node,
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
            branch=coin.branch,
            index=coin.index,
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
