"""What people and machines see of an order: its record with proof, and the coordinator's word on how far it got."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from sqlalchemy import Connection

from strongroom.chains.bitcoin.policy import fee_rate
from strongroom.chains.bitcoin.transaction import parse
from strongroom.ledger.judge import judge_order, lapsed_line, rejected_by
from strongroom.ledger.lost_plans import LOST_PAYMENT, lost_may_pay
from strongroom.ledger.order_messages import (
    AddDestination,
    AmendCharter,
    BreakGlass,
    CancelWithdraw,
    CreateVault,
    Freeze,
    Order,
    RefreshShares,
    ReinstateSigner,
    RemoveDestination,
    ReshareVault,
    SweepVault,
    Unfreeze,
    Withdraw,
)
from strongroom.ledger.record_proof import RecordProofData
from strongroom.ledger.records import OrderRecord, OrderState, PlanRecord
from strongroom.ledger.state import State, decode_order
from strongroom_coordinator.clock import Clock
from strongroom_coordinator.planner.exclusions import missing_coins_line
from strongroom_coordinator.reading import LogReader, Reading
from strongroom_coordinator.storage import chain as chain_rows
from strongroom_coordinator.storage import events
from strongroom_coordinator.storage import plans as plan_rows
from strongroom_coordinator.storage.chain import OutcomeRow
from strongroom_coordinator.storage.engine import Storage
from strongroom_coordinator.storage.plans import PlanRow
from strongroom_coordinator.tracker import Tracker

__all__ = ["OrderOverview", "PlanOverview", "Status", "Views"]

EXPIRY_MARGIN_MS: Final = 10 * 60 * 1000
"""So long after the expiry, by log time, no signer votes any more for a batch that was stamped before it."""
MAX_LINE: Final = 400


class Status(Enum):
    """The answer to the one question of an integrator."""

    OPEN = "open"
    PAYABLE = "payable"
    PAID = "paid"
    NEVER_WILL_BE_PAID = "never_will_be_paid"
    DONE = "done"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanOverview:
    """How far one plan got. `confirmations` is 0 while no block holds it, `fee_rate` 0 while it is not known."""

    plan_hash: bytes
    txid: bytes
    stage: str
    confirmations: int
    block_height: int
    fee_sat: int
    fee_rate: int
    refusals: tuple[str, ...]
    raw_transaction: bytes
    excluded_depth: int
    """Blocks on top of the transaction that excludes it, the containing one included; 0 while nothing does."""
    excluded_by: bytes
    """That transaction's id, 32 bytes; empty while there is none."""
    why_dead: str
    """Why it cannot confirm as the chain is: what it claims about coins is not so. Empty for any other."""
    can_never_confirm: bool
    """Whether no chain at all can hold it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderOverview:
    """One order: record and proof, and what is the coordinator's word."""

    record: OrderRecord
    order: Order
    proof: RecordProofData
    reading: Reading
    status: Status
    waits_for: str
    plans: tuple[PlanOverview, ...]
    submitted_ms: int
    updated_ms: int


@dataclass(frozen=True, slots=True)
class _Rows:
    """What the database knows of some orders' plans."""

    progress: dict[bytes, PlanRow]
    outcomes: dict[bytes, OutcomeRow]
    updated: dict[bytes, int]


class Views:
    """Builds overviews of orders.

    Args:
        reader: The log.
        tracker: The chain.
        storage: The database.
        clock: Wall time.
        log_now: What log time must have reached by now; None while that is not known.
        reason: Why an order that passes is not planned, for people.
        progress: How far the key of a new vault is, for people.
        refusals: Last refusals of a plan by signers.
    """

    def __init__(
        self,
        *,
        reader: LogReader,
        tracker: Tracker,
        storage: Storage,
        clock: Clock,
        log_now: Callable[[], int | None],
        reason: Callable[[bytes], str],
        progress: Callable[[bytes], str],
        refusals: Callable[[bytes], list[str]],
    ) -> None:
        self._reader = reader
        self._tracker = tracker
        self._storage = storage
        self._clock = clock
        self._log_now = log_now
        self._reason = reason
        self._progress = progress
        self._refusals = refusals

    async def orders(self, hashes: Iterable[bytes], *, with_transactions: bool = False) -> list[OrderOverview]:
        """Overviews of the orders that are certified, in the order asked for; unknown ones are left out.

        Args:
            hashes: Order hashes.
            with_transactions: Also give the final transactions, which are large.

        Raises:
            NotReady: nothing is certified yet.
        """
        wanted = list(hashes)
        state = self._reader.certified().state
        names = {name for found in map(state.order, wanted) if found is not None for name in found.plans}
        rows = await self._storage.run(lambda connection: _read(connection, names, wanted))
        final = await self._reader.final()
        # The log may have grown meanwhile: from here on, one state without a pause.
        reading = self._reader.certified()
        return [
            self._overview(reading, record, rows, with_transactions, final)
            for record in map(reading.state.order, wanted)
            if record is not None
        ]

    def _overview(
        self, reading: Reading, record: OrderRecord, rows: _Rows, with_transactions: bool, final: Reading
    ) -> OrderOverview:
        order = decode_order(record.order)
        plans = tuple(self._plan(reading.state.known_plan(name), rows, with_transactions) for name in record.plans)
        said = max((one.time_ms for one in record.endorsements), default=record.accepted_ms)
        # A record that has not changed since is proven by the final state: nobody calls it delivered before that.
        proven = final if final.state.order(record.hash) == record else reading
        is_final = proven.final_certificate is not None
        status = self._status(record, order, plans, expired=self._has_expired(final, order))
        deep = [plan.excluded_by for plan in plans if plan.excluded_depth >= self._tracker.confirmations]
        lost = lost_may_pay(reading.state, record, deep)
        if status is Status.NEVER_WILL_BE_PAID and lost:
            status = Status.PAYABLE
        if status is Status.NEVER_WILL_BE_PAID and not is_final:
            # The entry that ends it may vanish with this term, and the order could be paid in the next.
            status = Status.PAYABLE if plans and isinstance(order.action, Withdraw) else Status.OPEN
        return OrderOverview(
            record=record,
            order=order,
            proof=proven.state.record_proof(b"orders", record.hash),
            reading=proven,
            status=status,
            waits_for=self._waits_for(reading.state, record, status, plans, lost)[:MAX_LINE],
            plans=plans,
            submitted_ms=record.accepted_ms,
            updated_ms=max(rows.updated.get(record.hash, 0), said, record.planned_ms, record.ended_ms),
        )

    # --- plans -----------------------------------------------------------------------------------------------------

    def _plan(self, record: PlanRecord, rows: _Rows, with_transaction: bool) -> PlanOverview:
        row, outcome = rows.progress.get(record.hash), rows.outcomes.get(record.hash)
        raw = (row.raw_transaction if row is not None else None) or b""
        tracked = self._tracker.plans.get(record.hash)
        if tracked is not None and tracked.raw_transaction is not None:
            raw = tracked.raw_transaction
        depth = 0 if outcome is None else max(self._tracker.height - outcome.height + 1, 0)
        is_own = outcome is not None and outcome.txid == record.txid
        refusals = tuple(self._refusals(record.hash)) if not raw else ()
        problem: tuple[str, ...] = ()
        if tracked is not None and (tracked.why_dead or tracked.problem):
            problem = (f"chain: {tracked.why_dead}" if tracked.why_dead else f"node: {tracked.problem}",)
        if outcome is not None:
            stage = "confirmed" if is_own else "excluded"
        elif tracked is not None and tracked.is_broadcast:
            stage = "broadcast"
        else:
            stage = "signed" if raw else "refused" if refusals else "signing"
        return PlanOverview(
            plan_hash=record.hash,
            txid=record.txid,
            stage=stage,
            confirmations=depth if is_own else 0,
            block_height=outcome.height if outcome is not None and is_own else 0,
            fee_sat=record.fee_sat,
            fee_rate=fee_rate(record.fee_sat, parse(raw).weight) if raw and with_transaction else 0,
            refusals=refusals + problem,
            raw_transaction=raw if with_transaction else b"",
            excluded_depth=depth if not is_own else 0,
            excluded_by=b"" if outcome is None or is_own else outcome.txid,
            why_dead=tracked.why_dead if tracked is not None else "",
            can_never_confirm=tracked is not None and tracked.can_never_confirm,
        )

    # --- status ----------------------------------------------------------------------------------------------------

    def _status(self, record: OrderRecord, order: Order, plans: Sequence[PlanOverview], *, expired: bool) -> Status:
        match order.action:
            case (
                CreateVault()
                | Freeze()
                | Unfreeze()
                | ReinstateSigner()
                | AmendCharter()
                | AddDestination()
                | RemoveDestination()
                | SweepVault()
            ):
                return self._ledger_status(record, expired)
            case RefreshShares() | ReshareVault():
                return self._ledger_status(record, expired)
            case BreakGlass():
                return self._recovery_status(record, plans, expired)
            case CancelWithdraw():
                return self._cancel_status(record, plans, expired)
            case Withdraw():
                return self._payment_status(record, plans, expired)

    @staticmethod
    def _ledger_status(record: OrderRecord, expired: bool) -> Status:
        if record.state is OrderState.DONE:
            return Status.DONE
        if record.state is OrderState.SCHEDULED:
            # It has its quorum, so its expiry ends it no more.
            return Status.OPEN
        return Status.NEVER_WILL_BE_PAID if expired or record.state is not OrderState.OPEN else Status.OPEN

    def _cancel_status(self, record: OrderRecord, plans: Sequence[PlanOverview], expired: bool) -> Status:
        depth = self._tracker.confirmations
        if record.state is OrderState.DONE or any(plan.confirmations >= depth for plan in plans):
            return Status.DONE
        if not plans:
            has_ended = expired or record.state is OrderState.LAPSED
            return Status.NEVER_WILL_BE_PAID if has_ended else Status.OPEN
        # Another plan can take the place of one with false coins, as long as the order has not expired.
        ended = all(plan.excluded_depth >= depth or (expired and plan.can_never_confirm) for plan in plans)
        return Status.NEVER_WILL_BE_PAID if ended else Status.OPEN

    def _recovery_status(self, record: OrderRecord, plans: Sequence[PlanOverview], expired: bool) -> Status:
        """Open until coins move; payable while one of its transactions may confirm; paid once all that may, have."""
        depth = self._tracker.confirmations
        confirmed = [plan for plan in plans if plan.confirmations >= depth]
        under_way = [plan for plan in plans if plan.confirmations < depth and plan.excluded_depth < depth]
        if any(not plan.can_never_confirm for plan in under_way):
            return Status.PAYABLE
        if confirmed:
            return Status.PAID
        return Status.NEVER_WILL_BE_PAID if expired or record.state is not OrderState.OPEN else Status.OPEN

    def _payment_status(self, record: OrderRecord, plans: Sequence[PlanOverview], expired: bool) -> Status:
        depth = self._tracker.confirmations
        if any(plan.confirmations >= depth for plan in plans):
            return Status.PAID
        if record.state in (OrderState.REJECTED, OrderState.CANCELLED, OrderState.LAPSED):
            return Status.NEVER_WILL_BE_PAID
        if not plans:
            return Status.NEVER_WILL_BE_PAID if expired else Status.OPEN
        ended = expired or record.state is OrderState.EXCLUDING or rejected_by(record) is not None
        # A plan whose coins are only missing may confirm yet: whoever made it may hold back what makes them.
        excluded = all(plan.excluded_depth >= depth or plan.can_never_confirm for plan in plans)
        return Status.NEVER_WILL_BE_PAID if ended and excluded else Status.PAYABLE

    def _has_expired(self, final: Reading, order: Order) -> bool:
        """Whether no plan of the order can enter the log any more; never on the word of this machine's wall clock."""
        if final.final_certificate is not None and order.expires_ms <= final.state.time_ms:
            return True
        now_ms = self._log_now()
        return now_ms is not None and order.expires_ms + EXPIRY_MARGIN_MS <= now_ms

    # --- words -----------------------------------------------------------------------------------------------------

    def _waits_for(
        self, state: State, record: OrderRecord, status: Status, plans: Sequence[PlanOverview], may_be_lost: bool
    ) -> str:
        if status in (Status.PAID, Status.DONE):
            return ""
        if status is Status.NEVER_WILL_BE_PAID:
            return self._why_never(record, plans)
        live = [plan for plan in plans if plan.stage != "excluded" and not plan.why_dead]
        if not live and status is Status.PAYABLE and may_be_lost:
            return LOST_PAYMENT
        if not live:
            judgement = judge_order(state, record, max(self._clock.wall_ms(), state.time_ms))
            if not judgement.allowed:
                lost = next((plan for plan in plans if plan.why_dead and not plan.can_never_confirm), None)
                return missing_coins_line(lost.why_dead) if lost is not None else "; ".join(judgement.missing)
            action = decode_order(record.order).action
            if isinstance(action, CreateVault):
                return self._progress(record.hash) or "its holders to generate its key"
            if isinstance(action, RefreshShares | ReshareVault):
                return self._progress(record.hash) or "its holders to make new shares"
            return self._reason(record.hash) or "its turn in the next plan"
        return self._plan_line(live[-1])

    def _plan_line(self, plan: PlanOverview) -> str:
        match plan.stage:
            case "signing":
                return "signatures"
            case "refused":
                return "signatures; refused by " + ", ".join(plan.refusals)
            case "signed":
                return "the chain node to take the transaction" + "".join(f" ({line})" for line in plan.refusals)
            case "broadcast":
                return "a block"
            case _:
                return f"confirmations: {plan.confirmations} of {self._tracker.confirmations}"

    @staticmethod
    def _why_never(record: OrderRecord, plans: Sequence[PlanOverview]) -> str:
        person = rejected_by(record)
        if person is not None:
            return f"nothing: {person} rejected it"
        if record.state in (OrderState.CANCELLED, OrderState.EXCLUDING):
            return "nothing: it was cancelled"
        if record.state is OrderState.LAPSED:
            return f"nothing: {lapsed_line(decode_order(record.order))}"
        if not plans:
            return "nothing: it expired"
        false = next((plan.why_dead for plan in plans if plan.can_never_confirm), "")
        return f"nothing: {false}; make a new order" if false else "nothing: a confirmed transaction excludes it"


def _read(connection: Connection, plans: set[bytes], orders: list[bytes]) -> _Rows:
    progress = {name: row for name in plans if (row := plan_rows.by_hash(connection, name)) is not None}
    return _Rows(progress, chain_rows.outcomes_of(connection, plans), events.newest_time(connection, orders))
