"""What keeps a signer from voting although nobody attacks it: clocks, disk, and words that the log does not take up."""

from __future__ import annotations

from typing import Final

from strongroom.model.errors import Kind, StrongroomError
from strongroom_signer.clock import Clock
from strongroom_signer.store import Alarm, Store

__all__ = [
    "CLOCK_DRIFT",
    "MAX_BATCH_SKEW_MS",
    "MAX_DRIFT_MS",
    "BatchTimeOff",
    "ClockDrift",
    "ClockGuard",
    "DiskLow",
    "WordsWithheld",
    "check_free_disk",
]

MAX_BATCH_SKEW_MS: Final = 60_000
MAX_DRIFT_MS: Final = 30_000
CLOCK_DRIFT: Final = "CLOCK_DRIFT"


class BatchTimeOff(StrongroomError):
    """A batch is stamped more than 60 seconds away from this signer's clock: one of the two clocks is wrong."""

    reason = "BATCH_TIME_OFF"
    kind = Kind.FAILED_PRECONDITION


class ClockDrift(StrongroomError):
    """The wall clock stepped against the monotonic clock: somebody or something changed this machine's time."""

    reason = CLOCK_DRIFT
    kind = Kind.FAILED_PRECONDITION


class DiskLow(StrongroomError):
    """Less free disk than the operator's floor."""

    reason = "DISK_LOW"
    kind = Kind.RESOURCE_EXHAUSTED


class WordsWithheld(StrongroomError):
    """A rejection or freeze was handed to this signer more than ten minutes ago and the log still does not hold it."""

    reason = "WORDS_WITHHELD"
    kind = Kind.FAILED_PRECONDITION


class ClockGuard:
    """Compares the wall clock with the monotonic one, and batch times with the wall clock."""

    def __init__(self, clock: Clock, store: Store) -> None:
        self._clock = clock
        self._store = store
        self._wall_ms = clock.wall_ms()
        self._monotonic_ms = clock.monotonic_ms()

    def voted(self) -> None:
        """A vote was cast: drift counts from here."""
        self._wall_ms, self._monotonic_ms = self._clock.wall_ms(), self._clock.monotonic_ms()

    def check_drift(self) -> None:
        """Refuse when the clocks drifted apart by more than 30 seconds since the last vote, until it is confirmed.

        Raises:
            ClockDrift: they did, now or earlier; the alarm outlives a restart.
        """
        drift = (self._clock.wall_ms() - self._wall_ms) - (self._clock.monotonic_ms() - self._monotonic_ms)
        if abs(drift) > MAX_DRIFT_MS:
            message = (
                f"the wall clock moved by {drift / 1000:+.0f} s against the monotonic clock since the last vote: "
                "check this machine's time, then restart with `run --confirm CLOCK_DRIFT`"
            )
            alarm = Alarm(reason=CLOCK_DRIFT, message=message, evidence=b"", since_ms=self._clock.wall_ms())
            with self._store.commit() as write:
                write.add_alarm(alarm)
        for alarm in self._store.alarms():
            if alarm.reason == CLOCK_DRIFT:
                raise ClockDrift(alarm.message)

    def check_batch_time(self, time_ms: int) -> None:
        """Refuse a batch that is stamped more than 60 seconds away from the own clock.

        Raises:
            BatchTimeOff: it is.
        """
        skew = time_ms - self._clock.wall_ms()
        if abs(skew) > MAX_BATCH_SKEW_MS:
            raise BatchTimeOff(
                f"the batch is stamped {skew / 1000:+.1f} s from this signer's clock, at most 60 s are allowed: "
                "compare both clocks with a time server"
            )


def check_free_disk(store: Store, floor_bytes: int) -> None:
    """Refuse below the operator's floor.

    Raises:
        DiskLow: less than `floor_bytes` are free.
    """
    free = store.free_bytes()
    if free < floor_bytes:
        raise DiskLow(f"{free} bytes are free beside {store.path}, the floor is {floor_bytes}: free some disk")
