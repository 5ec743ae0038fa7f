"""The coordinator's views of orders over a world, with blocks that a test decides about."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from certified_world import Certified, Clock
from ledger_world import World
from strongroom.chains.bitcoin.networks import REGTEST
from strongroom.ledger.entry_messages import Plan
from strongroom_coordinator.reading import LogReader
from strongroom_coordinator.storage import chain as rows
from strongroom_coordinator.storage import plans as plan_rows
from strongroom_coordinator.storage.engine import Storage
from strongroom_coordinator.storage.migrating import migrate
from strongroom_coordinator.subjects import decode_entry
from strongroom_coordinator.tracker import Tracker
from strongroom_coordinator.tracker.plan_book import Claims, TrackedPlan
from strongroom_coordinator.views import OrderOverview, Views

VAULT = "customer-1"


class Desk:
    """Views over a world, with blocks that a test decides about."""

    def __init__(self, folder: Path, confirmations: int = 2) -> None:
        self.world = World.started()
        self.world.make_vault(VAULT)
        url = f"sqlite:///{folder}/views.db"
        migrate(url)
        self.storage = Storage.open(url)
        self.clock = Clock(self.world)
        self.certified = Certified(self.world)
        self.reader = LogReader(self.certified)
        self.log_now_ms: int | None = None
        self.progress: dict[bytes, str] = {}
        unused: Any = None
        self.tracker = Tracker(
            node=unused,
            network=REGTEST,
            storage=self.storage,
            reader=self.reader,
            clock=self.clock,
            confirmations=confirmations,
            poll_ms=50,
            fee_rate_sat_per_vb=2,
            bump_after_s=60,
        )
        self.views = Views(
            reader=self.reader,
            tracker=self.tracker,
            storage=self.storage,
            clock=self.clock,
            log_now=lambda: self.log_now_ms,
            reason=lambda _: "coins: none",
            progress=lambda order: self.progress.get(order, ""),
            refusals=lambda _: [],
        )

    def plan(self, *orders: bytes, coin: Any = None, **parts: Any) -> tuple[bytes, Any]:
        coin = coin or self.world.coin(900_000)
        plan_hash = self.world.log_plan(list(orders), [coin], **parts)
        self.storage.run_sync(lambda connection: plan_rows.add(connection, [self._progress_of(plan_hash)]))
        return plan_hash, coin

    def _progress_of(self, plan_hash: bytes) -> plan_rows.NewPlan:
        record = self.world.state.plan(plan_hash)
        assert record is not None
        return plan_rows.NewPlan(
            plan_hash=plan_hash, txid=record.txid, entry_index=record.entry_index, vault=VAULT, time_ms=0
        )

    def track(self, plan_hash: bytes, **claims: frozenset[tuple[bytes, int]]) -> None:
        """The tracker knows a plan, and what the chain shows of its claims."""
        record = self.world.state.plan(plan_hash)
        body = decode_entry(self.world.batches[-1].entries[-1]).body
        assert record is not None
        assert isinstance(body, Plan)
        self.tracker.plans.add(TrackedPlan(record=record, plan=body, claims=Claims(**claims)))

    def block(self, height: int, plan_hash: bytes, *, by: bytes = b"") -> None:
        """A block at a height settles a plan: with its own transaction, or with another one."""
        record = self.world.state.plan(plan_hash)
        assert record is not None
        new = self._progress_of(plan_hash)
        row = rows.OutcomeRow(plan_hash=plan_hash, height=height, txid=by or record.txid)

        def work(connection: Any) -> None:
            plan_rows.add(connection, [new])
            rows.add_outcomes(connection, [row], own=set() if by else {plan_hash}, now_ms=0)

        self.storage.run_sync(work)

    def tip(self, height: int) -> None:
        self.tracker._follower.height = height

    async def see(self, order: bytes) -> OrderOverview:
        [found] = await self.views.orders([order])
        return found
