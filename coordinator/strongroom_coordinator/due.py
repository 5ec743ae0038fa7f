"""When time alone changes the ledger: the coordinator then logs a tick, so that nobody has to say anything for it."""

from __future__ import annotations

from strongroom.ledger.records import WitnessPhase
from strongroom.ledger.state import State

__all__ = ["next_due_ms"]


def next_due_ms(state: State) -> int | None:
    """Log time at which a scheduled order acts, or a wanted change of the witness set lapses; None if neither is due.

    On a log where nobody says anything a change that waits for dead signers would seem to wait for ever.
    """
    due = [] if state.next_due_ms is None else [state.next_due_ms]
    if state.charter_record is not None and state.witnesses.phase is WitnessPhase.WANTED:
        due.append(state.witnesses.lapses_ms)
    return min(due, default=None)
