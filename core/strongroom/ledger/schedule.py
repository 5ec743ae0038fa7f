"""The orders that will act by themselves: a derived list in the key space of the state, earliest first.

Each row is the due time and the order's sequence number, 8 bytes each. Only orders with a whole quorum get here, so
the list stays short.
"""

from __future__ import annotations

from typing import Final

from strongroom.ledger.tree_table import ReadView, View

__all__ = ["next_due_ms", "put", "remove", "scheduled"]

_KEY: Final = b"m/scheduled"
_ROW: Final = 16


def scheduled(view: ReadView) -> tuple[tuple[int, int], ...]:
    """Due time (Unix milliseconds) and sequence number of each order, by both."""
    stored = view.get(_KEY) or b""
    return tuple(
        (int.from_bytes(stored[start : start + 8], "big"), int.from_bytes(stored[start + 8 : start + 16], "big"))
        for start in range(0, len(stored), _ROW)
    )


def next_due_ms(view: ReadView) -> int | None:
    """Due time of the earliest; None if none waits."""
    stored = view.get(_KEY)
    return int.from_bytes(stored[:8], "big") if stored else None


def put(view: View, sequence: int, due_ms: int) -> None:
    """Set the due time of an order."""
    others = [row for row in scheduled(view) if row[1] != sequence]
    _write(view, [*others, (due_ms, sequence)])


def remove(view: View, sequence: int) -> None:
    """Take an order out; nothing happens if it is not in the list."""
    rows = scheduled(view)
    kept = [row for row in rows if row[1] != sequence]
    if len(kept) != len(rows):
        _write(view, kept)


def _write(view: View, rows: list[tuple[int, int]]) -> None:
    stored = b"".join(due.to_bytes(8, "big") + sequence.to_bytes(8, "big") for due, sequence in sorted(rows))
    view.put(_KEY, stored)
