"""Plans under a certificate that have no signatures yet: taken up again in a new term, and tried again when refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Protocol

import structlog

from strongroom.ledger import codec
from strongroom.ledger.entry_messages import Entry, Plan
from strongroom_coordinator.background import Background
from strongroom_coordinator.clock import Clock
from strongroom_coordinator.ledger_copy import LedgerCopy
from strongroom_coordinator.storage import ledger as rows
from strongroom_coordinator.storage import plans as plan_rows
from strongroom_coordinator.storage.engine import Storage
from strongroom_coordinator.subjects import subjects_of

__all__ = ["Signing", "UnsignedPlans"]

log = structlog.get_logger()

MAX_RESUMED: Final = 256
"""Unsigned plans of earlier terms that are taken up at once; the rest follow as these end."""
RETRY_FIRST_S: Final = 1.0
RETRY_MOST_S: Final = 300.0


class Signing(Protocol):
    """Where plans are signed."""

    def covers(self, index: int) -> bool:
        """Whether a certificate of the current term covers this entry."""
        ...

    def is_open(self, index: int) -> bool:
        """Whether the plan at this entry index is being signed."""
        ...

    def open_count(self) -> int:
        """How many are being signed."""
        ...

    def sign(self, index: int, plan: Plan) -> None:
        """Begin to sign a plan."""
        ...


class UnsignedPlans:
    """Which plans wait for signatures, when each is tried again, and why the last try failed."""

    def __init__(
        self, signing: Signing, *, ledger: LedgerCopy, storage: Storage, clock: Clock, background: Background
    ) -> None:
        self._signing = signing
        self._ledger = ledger
        self._storage = storage
        self._clock = clock
        self._background = background
        self._term = 0
        self._is_taken_up = False
        self._rest_below = 0
        """Unsigned plans below this index were not taken up yet; 0 when none is left."""
        self._refusals: dict[bytes, tuple[str, ...]] = {}
        self._tries: dict[bytes, int] = {}

    def refusals(self, plan_hash: bytes) -> list[str]:
        """Why holders last refused to sign this plan: one line each, `signer: REASON detail`."""
        return list(self._refusals.get(plan_hash, ()))

    def retry(self, plan_hash: bytes) -> None:
        """Try to sign a plan again now, if it is under a certificate and not signed."""
        self._background.spawn(self._take_up_one(plan_hash))

    # --- the term --------------------------------------------------------------------------------------------------

    def begin_term(self, term: int) -> None:
        """A term began: what is unsigned is taken up once its first batch is certified."""
        self._term = term
        self._is_taken_up = False
        self._rest_below = 0

    def end_term(self) -> None:
        """The term is over."""
        self._term = 0

    def certified(self, size: int) -> None:
        """A batch was certified; the first of a term lets everything below it be signed."""
        if not self._is_taken_up:
            self._is_taken_up = True
            self._background.spawn(self._take_up(size))

    # --- how it ended ----------------------------------------------------------------------------------------------

    def signed(self, plan_hash: bytes, raw: bytes) -> None:
        """A plan got its signatures, in this raw transaction."""
        self._refusals.pop(plan_hash, None)
        self._tries.pop(plan_hash, None)
        now_ms = self._clock.wall_ms()
        self._ledger.enqueue(lambda connection: plan_rows.mark_signed(connection, plan_hash, raw, now_ms))
        self._take_up_rest()

    def refused(self, plan_hash: bytes, reasons: Mapping[str, str]) -> None:
        """Too few signed a plan; `reasons` has a line for each holder that did not."""
        lines = tuple(f"{name}: {reason}" for name, reason in sorted(reasons.items()))
        self._refusals[plan_hash] = lines
        tries = self._tries.get(plan_hash, 0)
        self._tries[plan_hash] = tries + 1
        log.warning("plan.not_signed", plan=plan_hash.hex(), refusals=lines)
        now_ms = self._clock.wall_ms()
        self._ledger.enqueue(lambda connection: plan_rows.mark_refused(connection, plan_hash, lines, now_ms))
        # A freeze may be lifted, a local limit's day may end: the ledger still wants this plan paid.
        self._background.later(min(RETRY_FIRST_S * 2.0 ** min(tries, 10), RETRY_MOST_S), self.retry, plan_hash)
        self._take_up_rest()

    # --- taking up -------------------------------------------------------------------------------------------------

    async def _take_up(self, below: int) -> None:
        """Take up plans of earlier terms that have no final transaction, the newest below this entry index first."""
        await self._ledger.stored()
        term = self._term
        found = await self._storage.run(
            lambda connection: plan_rows.unsigned(connection, below=below, limit=MAX_RESUMED)
        )
        for row in found:
            await self._take_up_row(row, term)
        if found:
            log.info("signing.resumed", plans=len(found), term=term)
        if term == self._term and len(found) == MAX_RESUMED:
            self._rest_below = found[-1].entry_index
            self._take_up_rest()

    def _take_up_rest(self) -> None:
        """Take up further plans once there is room for them."""
        if self._rest_below and self._signing.open_count() <= MAX_RESUMED // 2:
            below, self._rest_below = self._rest_below, 0
            self._background.spawn(self._take_up(below))

    async def _take_up_one(self, plan_hash: bytes) -> None:
        await self._ledger.stored()
        row = await self._storage.run(lambda connection: plan_rows.by_hash(connection, plan_hash))
        if row is not None and row.stage in plan_rows.UNSIGNED:
            await self._take_up_row(row, self._term)
        elif row is not None and row.raw_transaction is None:
            # A block excludes it now; a reorganisation may take that back.
            self._background.later(RETRY_MOST_S, self.retry, plan_hash)

    async def _take_up_row(self, row: plan_rows.PlanRow, term: int) -> None:
        index = row.entry_index
        entries = await self._storage.run(lambda connection: rows.entries(connection, index, index + 1))
        current = term != 0 and term == self._term and self._signing.covers(index)
        if not current or self._signing.is_open(index) or not entries:
            return
        plan = codec.decode(Entry, entries[0]).body
        if isinstance(plan, Plan) and subjects_of(plan)[0] == row.plan_hash:
            self._signing.sign(index, plan)
