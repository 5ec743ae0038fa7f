"""What plans claim about coins, held against the chain.

Signers have no chain: they sign whatever amount and address a plan gives for a coin, and their signatures commit to it.
So a dishonest coordinator can have a plan logged whose transaction no node ever takes. Whoever replaces it finds that
out here, and plans the orders again. Of every claim one of these is known:

- true: the coin is in the chain, or an unsettled plan makes it, as claimed;
- false: there is such an output, but with another amount or another script. A transaction id commits to its outputs, so
  this stays so whatever the chain does: the plan can never confirm;
- missing: the node, which is at the tip of its chain, has no such output. This may change: whoever prepared the
  transaction that makes the coin may still publish it.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

import structlog

from strongroom.ledger.entry_messages import OrderPayment, PlanInput
from strongroom_coordinator.chain.node import BitcoinNode, Output
from strongroom_coordinator.clock import Clock
from strongroom_coordinator.storage import events
from strongroom_coordinator.storage.engine import Storage
from strongroom_coordinator.tracker.plan_book import Claims, Outpoint, TrackedPlan

if TYPE_CHECKING:
    from strongroom_coordinator.tracker.tracker import Tracker

__all__ = ["ClaimCheck"]

log = structlog.get_logger()

ASK_AGAIN_S: Final = 10.0
"""A coin that the node did not have is asked for again this often."""
ASKED_AT_ONCE: Final = 200
"""A dishonest coordinator may have invented any number of coins: asking for them must not hold up the blocks."""


class ClaimCheck:
    """Checks the claims of a tracker's plans."""

    def __init__(self, tracker: Tracker, node: BitcoinNode, storage: Storage, clock: Clock) -> None:
        self._tracker = tracker
        self._node = node
        self._storage = storage
        self._clock = clock
        self._outputs: dict[Outpoint, Output] = {}
        """What the node has at outpoints that the coin table lacks."""
        self._absent: dict[Outpoint, float] = {}
        """What it does not have, and when to ask again."""
        self._looked_at = -1

    def look(self, plan: TrackedPlan) -> None:
        """Judge a plan's claims by what is known without the node."""
        doubtful: set[Outpoint] = set()
        false: set[Outpoint] = set()
        missing: set[Outpoint] = set()
        for item in plan.plan.inputs:
            point = (item.txid, item.vout)
            is_true = self._is_true(plan.record.vault, item)
            if is_true is False:
                false.add(point)
            elif is_true is None:
                parent = self._tracker.plans.by_txid(item.txid)
                absent = parent.is_dead if parent is not None else point in self._absent
                (missing if absent else doubtful).add(point)
        plan.claims = Claims(doubtful=frozenset(doubtful), false=frozenset(false), missing=frozenset(missing))

    def _is_true(self, vault: str, item: PlanInput) -> bool | None:
        """Whether a coin is as claimed; None while that is not known."""
        tracker, point = self._tracker, (item.txid, item.vout)
        row = tracker.coins_known.get(point)
        if row is not None:
            claimed = (vault, item.branch, item.index, item.amount_sat)
            return (row.vault, row.branch, row.index, row.amount_sat) == claimed
        parent = tracker.plans.by_txid(item.txid)
        if parent is not None:
            outputs = parent.plan.outputs
            if parent.can_never_confirm or item.vout >= len(outputs):
                return False
            if not isinstance(outputs[item.vout].target, OrderPayment):
                made = next(coin for coin in parent.change if coin.vout == item.vout)
                claimed_change = (vault, item.branch, item.index, item.amount_sat)
                if (parent.record.vault, made.branch, made.index, made.amount_sat) != claimed_change:
                    return False
                return None if parent.is_dead else True
        output = self._outputs.get(point)
        if output is None or vault not in tracker.scripts:
            return None
        script = tracker.scripts.key(vault).derive(item.branch, item.index).script
        return (output.amount_sat, output.script) == (item.amount_sat, script)

    async def check(self) -> None:
        """Judge every plan again if anything changed; asks the node, which must be at its tip, about unknown coins."""
        tracker = self._tracker
        if self._looked_at != tracker.version:
            self._looked_at = tracker.version
            await self._look_at_all()
        unknown = {
            point
            for plan in tracker.plans
            if not plan.can_never_confirm
            for point in plan.claims.doubtful | plan.claims.missing
        }
        now = self._clock.monotonic()
        self._absent = {point: at for point, at in self._absent.items() if point in unknown}
        due = sorted((self._absent.get(point, 0.0), point) for point in unknown)
        due = [(at, point) for at, point in due[:ASKED_AT_ONCE] if at <= now]
        for _, point in due:
            output = await self._node.output(*point)
            if output is None:
                self._absent[point] = now + ASK_AGAIN_S
            else:
                self._outputs[point] = output
                self._absent.pop(point, None)
        if due:
            await self._look_at_all()

    async def _look_at_all(self) -> None:
        changed: list[TrackedPlan] = []
        # Parents come before what spends their change.
        for plan in sorted(self._tracker.plans, key=lambda plan: plan.record.entry_index):
            before, was_dead = plan.claims, plan.is_dead
            self.look(plan)
            if plan.claims != before:
                changed.append(plan)
            if plan.is_dead and not was_dead:
                log.warning("plan.dead", plan=plan.hash.hex(), reason=plan.why_dead)
        if not changed:
            return
        orders = sorted({order for plan in changed for order in self._tracker.orders_of(plan.hash)})
        await self._tracker.log_stored()
        note = partial(events.append, order_hashes=orders, kind="claims", time_ms=self._clock.wall_ms())
        await self._storage.run(note)
        self._tracker.changed()
        self._looked_at = self._tracker.version
        self._tracker.order_bell.ring()
