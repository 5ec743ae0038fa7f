"""The planner: from the orders that pass now to the transactions that pay them.

It runs while a batch is made, on the state that holds the batch's endorsements, so the last approval of an order and
its plan share one batch. It decides nothing: the ledger judges every plan, and an error here costs time, never coins.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import structlog

from strongroom.ledger.entry_messages import Plan
from strongroom.ledger.order_messages import BreakGlass, CancelWithdraw, Withdraw
from strongroom.ledger.records import OrderRecord, VaultRecord
from strongroom.ledger.state import State, decode_order
from strongroom_coordinator.planner.builder import CannotPlan, FeeTooHigh, Payable, build, payable_of
from strongroom_coordinator.planner.chain_view import ChainView
from strongroom_coordinator.planner.draft import Round
from strongroom_coordinator.planner.exclusions import plan_cancellation, requirements_of
from strongroom_coordinator.planner.replacements import (
    Refusals,
    bumpable,
    cancellations_again,
    coins_for_left_out,
    plan_bumps,
    replan_groups,
    unsignable_plans,
)
from strongroom_coordinator.planner.sweeps import plan_sweeps
from strongroom_coordinator.planner.waiting import Waiting

__all__ = ["ChainView", "Planner"]

log = structlog.get_logger()

MAX_PLANS_AT_ONCE: Final = 64
"""Plans of one batch. While signers sign these, the next ones are planned and voted on."""


class Planner:
    """Makes plans for everything that may be planned now.

    Args:
        chain: Coins, unsettled plans and the fee rate.
        max_orders: Most orders that one plan pays.
        refusals: Why holders gave a plan no signature.
    """

    def __init__(self, chain: ChainView, *, max_orders: int, refusals: Refusals = lambda _: ()) -> None:
        self._chain = chain
        self._refusals = refusals
        self._max_orders = max_orders
        self._waiting = Waiting()
        self._tried_bumps: dict[bytes, int] = {}

    def reason(self, order_hash: bytes) -> str:
        """Why an order that passes every rule is not planned yet, one line for people; empty if nothing is known."""
        return self._waiting.reason(order_hash)

    def wants_look(self, now_ms: int) -> bool:
        """Whether time alone may have made something plannable: a delay ended, or a plan waits at too low a fee."""
        due = self._waiting.next_look_ms
        return (due is not None and due <= now_ms) or any(bumpable(self._chain, self._tried_bumps, now_ms))

    def plans(self, state: State, now_ms: int) -> Sequence[Plan]:
        """Plans that the ledger takes on top of this state at this log time, one after another."""
        round_ = Round(state=state, now_ms=now_ms)
        candidates = self._waiting.look(state, now_ms, self._chain.version)
        plans: list[Plan] = []
        for record in candidates.recoveries:
            plans += self._recover(round_, record)
        if candidates.cancellations:
            plans += self._cancel(round_, candidates.cancellations)
        if self._chain.displaced or len(self._chain.plans):
            plans += self._replan(round_)
        for number, (name, records) in enumerate(candidates.withdrawals.items()):
            vault = state.vault(name)
            # No vault's backlog keeps the others waiting.
            share = (MAX_PLANS_AT_ONCE - len(plans)) // (len(candidates.withdrawals) - number)
            if vault is not None:
                plans += self._pay(round_, vault, records, max(share, 1))
        plans += plan_bumps(round_, self._chain, self._tried_bumps)
        return plans[:MAX_PLANS_AT_ONCE]

    # --- withdrawals -----------------------------------------------------------------------------------------------

    def _pay(self, round_: Round, vault: VaultRecord, records: Iterable[OrderRecord], most: int) -> list[Plan]:
        """Plan the withdrawals of one vault, oldest first; what cannot be paid now waits and blocks nothing."""
        plans: list[Plan] = []
        waiting = list(records)
        while waiting and len(plans) < most:
            chunk = self._judge(round_, vault, waiting)
            if not chunk:
                return plans
            plan = self._pay_chunk(round_, vault, chunk)
            if plan is not None:
                plans.append(plan)
        return plans

    def _judge(self, round_: Round, vault: VaultRecord, waiting: list[OrderRecord]) -> list[Payable]:
        """Take as many passing orders as one plan pays from the front of `waiting`, counting them in the windows."""
        chunk: list[Payable] = []
        taken = 0
        for record in waiting:
            if len(chunk) == self._max_orders:
                break
            taken += 1
            action = decode_order(record.order).action
            if isinstance(action, Withdraw) and self._waiting.passes(round_, record):
                chunk.append(payable_of(record, action, vault))
                if not record.planned_ms:
                    round_.count(vault.name, action.asset, action.amount)
        del waiting[:taken]
        return chunk

    def _pay_chunk(
        self,
        round_: Round,
        vault: VaultRecord,
        chunk: list[Payable],
        required: frozenset[tuple[bytes, int]] = frozenset(),
    ) -> Plan | None:
        """Plan a chunk; leaves out orders until the rest can be paid."""
        coins = round_.free_coins(vault.name, self._chain)
        if required:
            have = {coin.outpoint for coin in coins}
            more = [coin for point in required - have if (coin := self._chain.coin(vault.name, point)) is not None]
            coins = [*coins, *more]
        chunk = self._affordable(round_, vault, chunk, sum(coin.amount_sat for coin in coins))
        while chunk:
            try:
                rate = self._chain.fee_rate_sat_per_vb
                return build(round_, vault, chunk, coins, rate=rate, required=required).plan
            except CannotPlan as error:
                chunk = self._leave_out(round_, vault, chunk, error)
        return None

    def _affordable(self, round_: Round, vault: VaultRecord, chunk: list[Payable], available_sat: int) -> list[Payable]:
        """Those orders that the coins cover, oldest first; a large one that they do not cover lets others pass."""
        kept: list[Payable] = []
        total = 0
        for order in chunk:
            if total + order.action.amount <= available_sat:
                kept.append(order)
                total += order.action.amount
            else:
                why = f"coins: the vault can spend {available_sat} sat now, {order.action.amount} sat are needed"
                self._hold(round_, vault, order, why if total == 0 else f"{why} beside other orders")
        return kept

    def _leave_out(self, round_: Round, vault: VaultRecord, chunk: list[Payable], error: CannotPlan) -> list[Payable]:
        """Let the orders wait that stand in the way: those with too low a fee maximum, or the largest, or half."""
        if error.orders:
            out = error.orders
        elif isinstance(error, FeeTooHigh):
            out = frozenset(order.record.hash for order in chunk[len(chunk) // 2 :])
        else:
            largest = max(chunk, key=lambda order: order.action.amount)
            out = frozenset([largest.record.hash])
        for order in chunk:
            if order.record.hash in out:
                self._hold(round_, vault, order, error.message)
        return [order for order in chunk if order.record.hash not in out]

    def _hold(self, round_: Round, vault: VaultRecord, order: Payable, why: str) -> None:
        if not order.record.planned_ms:
            round_.count(vault.name, order.action.asset, -order.action.amount)
        self._waiting.hold(round_, order.record, why, self._chain.version)

    # --- break-glass -----------------------------------------------------------------------------------------------

    def _recover(self, round_: Round, record: OrderRecord) -> list[Plan]:
        """Move what the vault holds to its recovery address, while the box is open."""
        action = decode_order(record.order).action
        if not isinstance(action, BreakGlass) or not self._waiting.passes(round_, record):
            return []
        try:
            return plan_sweeps(round_, self._chain, record, action)
        except CannotPlan as error:
            self._waiting.hold(round_, record, error.message, self._chain.version)
            return []

    # --- cancellations, and plans instead of excluded ones ---------------------------------------------------------

    def _cancel(self, round_: Round, records: Sequence[OrderRecord]) -> list[Plan]:
        plans = []
        for record in records:
            action = decode_order(record.order).action
            if not isinstance(action, CancelWithdraw) or not self._waiting.passes(round_, record):
                continue
            try:
                plans.append(plan_cancellation(round_, self._chain, record, action))
            except CannotPlan as error:
                self._waiting.hold(round_, record, error.message, self._chain.version)
        return plans

    def _replan(self, round_: Round) -> list[Plan]:
        """Plan orders again whose plans cannot confirm, or are not signed because of other orders in them."""
        again = cancellations_again(round_, self._chain)
        plans = self._cancel(
            round_, [record for record in again if self._waiting.is_due(round_, record, self._chain.version)]
        )
        unsignable = unsignable_plans(round_, self._chain, self._refusals)
        for name, records in replan_groups(round_, self._chain, unsignable):
            vault = round_.state.vault(name)
            if vault is None:
                continue
            waiting = [record for record in records if self._waiting.is_due(round_, record, self._chain.version)]
            while waiting and (chunk := self._judge(round_, vault, waiting)):
                plan = self._pay_again(round_, vault, chunk)
                if plan is not None:
                    plans.append(plan)
            self._keep_for(round_, name, [record for record in records if not self._is_planned(plans, record)])
        round_.keep(coins_for_left_out(round_, self._chain, unsignable))
        return plans

    def _pay_again(self, round_: Round, vault: VaultRecord, chunk: list[Payable]) -> Plan | None:
        try:
            required = requirements_of(round_, self._chain, vault.name, [order.record for order in chunk])
        except CannotPlan as error:
            for order in chunk:
                self._hold(round_, vault, order, error.message)
            return None
        return self._pay_chunk(round_, vault, chunk, required)

    def _keep_for(self, round_: Round, vault: str, records: Sequence[OrderRecord]) -> None:
        """Leave alone the coins without which these orders could never be planned again."""
        alive = [record for record in records if decode_order(record.order).expires_ms > round_.now_ms]
        try:
            round_.keep(requirements_of(round_, self._chain, vault, alive))
        except CannotPlan:
            return

    @staticmethod
    def _is_planned(plans: Sequence[Plan], record: OrderRecord) -> bool:
        return any(record.hash in plan.order_hashes for plan in plans)
