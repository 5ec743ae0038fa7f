"""Open nonces: in memory only, for seconds only, each for one plan in one term.

A nonce dies when it is used, when it is 30 seconds old by either clock, when the term changes, when the link ends, and
with the process.
Spec: design, "A share is released only if", point 4.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from strongroom.ledger import codec
from strongroom.ledger.signed_messages import Commitments
from strongroom.model.errors import Kind, StrongroomError
from strongroom.protocol.commitments import NonceSet
from strongroom.protocol.signed import MAX_BODY_BYTES
from strongroom.protocol.signing_task import SigningTask
from strongroom_signer.clock import Clock

__all__ = ["MAX_AGE_MS", "MAX_OPEN_NONCES", "NonceBook", "OpenNonces", "TooManyNonces"]

MAX_AGE_MS: Final = 30_000
MAX_OPEN_NONCES: Final = 16_384
"""Over all plans, counted per input."""


class TooManyNonces(StrongroomError):
    """The coordinator asked for more open nonces than honest signing needs; they expire within 30 seconds."""

    reason = "TOO_MANY_OPEN_NONCES"
    kind = Kind.RESOURCE_EXHAUSTED


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenNonces:
    """One unused nonce set: what it is for, and when it was made by either clock."""

    session: bytes
    boot_id: bytes
    task: SigningTask
    secret: NonceSet
    wall_ms: int
    monotonic_ms: int


class NonceBook:
    """All open nonces of this process, by the random session name that their commitments carry."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._open: dict[bytes, OpenNonces] = {}
        self._sets_of_plan: Counter[bytes] = Counter()
        self._total = 0

    def make(self, task: SigningTask, generate: Callable[[], NonceSet], *, most_per_plan: int) -> OpenNonces:
        """Make a nonce set for a task.

        Args:
            task: What they are for.
            generate: Makes and signs them.
            most_per_plan: Sets that may be open for one plan at once: n - t + 1, what retries with other sets need.

        Raises:
            TooManyNonces: this plan, or all plans together, have too many open.
        """
        self._drop_oldest()
        same_plan = self._sets_of_plan[task.plan_hash]
        if same_plan >= most_per_plan:
            raise TooManyNonces(f"{same_plan} nonce sets are open for this plan, at most {most_per_plan} may be")
        total = self._total + len(task.digests)
        if total > MAX_OPEN_NONCES:
            raise TooManyNonces(f"{total} nonces would be open, at most {MAX_OPEN_NONCES} may be")
        wall_ms, monotonic_ms = self._clock.wall_ms(), self._clock.monotonic_ms()
        secret = generate()
        message = codec.decode(Commitments, secret.signed.body, max_size=MAX_BODY_BYTES)
        nonces = OpenNonces(
            session=message.session,
            boot_id=message.boot_id,
            task=task,
            secret=secret,
            wall_ms=wall_ms,
            monotonic_ms=monotonic_ms,
        )
        self._open[nonces.session] = nonces
        self._sets_of_plan[task.plan_hash] += 1
        self._total = total
        return nonces

    def find(self, session: bytes) -> OpenNonces | None:
        """The open nonces of a session, stale ones included; None when used, dropped or never made."""
        return self._open.get(session)

    def is_fresh(self, nonces: OpenNonces) -> bool:
        """Whether they are at most 30 seconds old by both clocks. A clock that went back makes them stale."""
        by_wall = self._clock.wall_ms() - nonces.wall_ms
        by_monotonic = self._clock.monotonic_ms() - nonces.monotonic_ms
        return 0 <= by_wall <= MAX_AGE_MS and 0 <= by_monotonic <= MAX_AGE_MS

    def take(self, nonces: OpenNonces) -> None:
        """Take them out of the book: the caller uses them once, or wipes them."""
        del self._open[nonces.session]
        self._total -= len(nonces.task.digests)
        self._sets_of_plan[nonces.task.plan_hash] -= 1
        if not self._sets_of_plan[nonces.task.plan_hash]:
            del self._sets_of_plan[nonces.task.plan_hash]

    def drop_stale(self) -> None:
        """Destroy what has grown too old."""
        for nonces in [nonces for nonces in self._open.values() if not self.is_fresh(nonces)]:
            self.take(nonces)
            nonces.secret.wipe()

    def _drop_oldest(self) -> None:
        """Destroy what is stale among the oldest, which stand first; to look at all for each new set costs too much."""
        while self._open and not self.is_fresh(oldest := next(iter(self._open.values()))):
            self.take(oldest)
            oldest.secret.wipe()

    def drop_all(self) -> None:
        """Destroy all of them: the term changed, the link ended, or the daemon stops."""
        for nonces in self._open.values():
            nonces.secret.wipe()
        self._open.clear()
        self._sets_of_plan.clear()
        self._total = 0

    def __len__(self) -> int:
        return len(self._open)
