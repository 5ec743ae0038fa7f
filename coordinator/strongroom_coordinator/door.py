"""The door: what is submitted is tried at once on the newest state, and waits in the draft of the next batch.

An entry is applied once, here; the draft that took it becomes the batch. A refusal is answered at once.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import structlog

from strongroom.ledger import codec
from strongroom.ledger.certificate_messages import Certificate
from strongroom.ledger.entry_messages import Entry, Plan, Tick
from strongroom.ledger.reasons import Refused
from strongroom.ledger.replica import Draft, Preview, Replica
from strongroom.ledger.state import State
from strongroom.model.errors import Kind, StrongroomError
from strongroom_coordinator.clock import Clock
from strongroom_coordinator.due import next_due_ms

__all__ = ["Door", "Logged", "Overloaded", "Pending", "TakenBatch"]

log = structlog.get_logger()

MAX_WAITING: Final = 20_000
MAX_DRAFT_ENTRIES: Final = 3_000
MAX_DRAFT_BYTES: Final = 5 * 1024 * 1024
"""Room is left in the batch for the plans that the submitted endorsements make possible."""
MAX_DRAFT_AGE_MS: Final = 2_000


class Overloaded(StrongroomError):
    """More is waiting than the log takes; nobody is at fault. Try again soon."""

    reason = "OVERLOADED"
    kind = Kind.RESOURCE_EXHAUSTED


@dataclass(frozen=True, slots=True, kw_only=True)
class Logged:
    """An entry that stands in the log under a certificate.

    Attributes:
        index: its place.
        entry: its canonical bytes.
        size: size of the certified head.
        certificate: the certificate.
        path: RFC 6962 inclusion path from the entry to the certificate's root.
        already_known: the same request had been logged before; nothing changed.
    """

    index: int
    entry: bytes
    size: int
    certificate: Certificate
    path: tuple[bytes, ...]
    already_known: bool = False


@dataclass(slots=True, eq=False)
class Pending:
    """A submitted entry body and who waits for it."""

    body: Any
    subject: bytes
    future: asyncio.Future[Logged] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    index: int = -1
    entry: bytes = b""

    def fail(self, error: StrongroomError) -> None:
        """Answer with an error."""
        if not self.future.done():
            self.future.set_exception(error)
            # Whoever submitted may be gone; that is no defect.
            self.future.exception()


@dataclass(slots=True, kw_only=True)
class TakenBatch:
    """A finished batch: its preview, who waits for which entry, and the plans in it with their indexes."""

    preview: Preview
    pending: tuple[Pending, ...]
    plans: tuple[tuple[int, Plan], ...]
    has_substance: bool
    """Whether anything but a tick is in it, or a scheduled order acts with it."""
    is_full: bool
    """Whether a plan had no room in it: ask for plans again."""


class Door:
    """Drafts of batches on a replica's newest state."""

    def __init__(self, replica: Callable[[], Replica], *, clock: Clock, random: Callable[[int], bytes]) -> None:
        self._replica = replica
        self._clock = clock
        self._random = random
        self._draft: Draft | None = None
        self._time_ms = 0
        self._bytes = 0
        self._acts = False
        self._drafted: list[Pending] = []
        self._waiting: deque[Pending] = deque()
        self.is_open = False

    def enter(self, pending: Pending, *, bounded: bool = True) -> None:
        """Try a submission and keep it for the next batch; while no term is open it waits untried.

        Args:
            pending: The submission.
            bounded: Whether it is turned away when too much waits. What the log held once never is.

        Raises:
            Refused: the ledger does not take it.
            Overloaded: too much is waiting.
        """
        if self.is_open and not self._waiting and self._has_room():
            self._add(pending)
        elif bounded and len(self._waiting) >= MAX_WAITING:
            raise Overloaded(f"{MAX_WAITING} requests wait to be logged: try again in a moment")
        else:
            self._waiting.append(pending)

    def put_back(self, batch: TakenBatch) -> None:
        """Let the submissions of an abandoned batch wait again, before all others."""
        self._waiting.extendleft(reversed([*batch.pending, *self._drafted]))
        self._drop_draft()

    def close(self) -> None:
        """Stop trying: the log is about to change under the draft."""
        self._waiting.extendleft(reversed(self._drafted))
        self._drop_draft()
        self.is_open = False

    def open(self) -> None:
        """The log stands again: try what waits when the next batch is made."""
        self.is_open = True

    def drain(self, error: StrongroomError) -> None:
        """Answer everything that waits with an error."""
        for pending in (*self._drafted, *self._waiting):
            pending.fail(error)
        self._waiting.clear()
        self._drop_draft()

    def take(
        self, *, plans: Callable[[State, int], Sequence[Plan]] | None, forced: tuple[Any, ...] = ()
    ) -> TakenBatch | None:
        """Make a batch of what waits, then of the plans that it makes possible; None when there is nothing.

        Args:
            plans: Asked for plans on the state with everything else in it; None for no plans.
            forced: Entry bodies that come first in any case, a genesis or a tick; a refusal of one is raised.
        """
        if self._draft is not None and (forced or self._is_stale()):
            self.close()
            self.open()
        for body in forced:
            self._append(body)
        while self._waiting and self._has_room():
            pending = self._waiting.popleft()
            try:
                self._add(pending)
            except StrongroomError as refusal:
                pending.fail(refusal)
        planned, is_full = ([], False) if plans is None else self._plan(plans)
        draft, drafted = self._draft, tuple(self._drafted)
        self._drop_draft()
        if draft is None or not draft.entries:
            return None
        return TakenBatch(
            preview=draft.finish(),
            pending=drafted,
            plans=tuple(planned),
            is_full=is_full,
            has_substance=bool(drafted or planned or self._acts or any(not isinstance(body, Tick) for body in forced)),
        )

    def _plan(self, plans: Callable[[State, int], Sequence[Plan]]) -> tuple[list[tuple[int, Plan]], bool]:
        draft = self._fresh()
        planned = []
        is_full = False
        for plan in plans(draft.state, self._time_ms):
            try:
                index, _ = self._append(plan)
            except Refused as refusal:
                is_full = is_full or refusal.reason == "BATCH_FULL"
                # The planner works on estimates of its own; the ledger decides, and the orders are planned again.
                log.warning("plan.refused", vault=plan.vault, reason=refusal.reason, message=refusal.message)
                continue
            planned.append((index, plan))
        return planned, is_full

    def _add(self, pending: Pending) -> None:
        pending.index, pending.entry = self._append(pending.body)
        self._drafted.append(pending)

    def _append(self, body: Any) -> tuple[int, bytes]:
        draft = self._fresh()
        entry = codec.encode(Entry(salt=self._random(16), time_ms=self._time_ms, body=body))
        draft.add(entry)
        self._bytes += len(entry)
        return draft.state.size - 1, entry

    def _fresh(self) -> Draft:
        if self._draft is None:
            replica = self._replica()
            self._draft = replica.draft()
            self._bytes = 0
            # Log time never falls, whatever this machine's clock does.
            state = replica.state()
            self._time_ms = max(self._clock.wall_ms(), state.time_ms)
            due_ms = next_due_ms(state)
            self._acts = due_ms is not None and due_ms <= self._time_ms
        return self._draft

    def _has_room(self) -> bool:
        return len(self._drafted) < MAX_DRAFT_ENTRIES and self._bytes < MAX_DRAFT_BYTES

    def _is_stale(self) -> bool:
        return abs(self._clock.wall_ms() - self._time_ms) > MAX_DRAFT_AGE_MS

    def _drop_draft(self) -> None:
        self._draft = None
        self._drafted = []
        self._bytes = 0
