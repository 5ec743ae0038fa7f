"""The orders that still wait, in order of acceptance: a derived, doubly linked list in the key space of the state.

A planner and a key generation look for work here instead of reading every order ever made. An expired order stays until
it comes to the front while another is added, so the list holds at most the orders of one longest order life.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from strongroom.ledger.tree_table import ReadView, View

__all__ = ["add", "first", "open_sequences", "remove"]

_HEAD: Final = b"o/head"
_TAIL: Final = b"o/tail"
_CELL: Final = b"o/c"
_NONE: Final = b"\xff" * 8


def open_sequences(view: ReadView) -> Iterator[int]:
    """Sequence numbers of the waiting orders."""
    here = view.get(_HEAD) or _NONE
    while here != _NONE:
        yield int.from_bytes(here, "big")
        here = _cell(view, here)[1]


def first(view: ReadView) -> int | None:
    """Sequence number of the order that waits longest; None if none waits."""
    here = view.get(_HEAD) or _NONE
    return None if here == _NONE else int.from_bytes(here, "big")


def add(view: View, sequence: int) -> None:
    """Add an order at the end."""
    here = sequence.to_bytes(8, "big")
    tail = view.get(_TAIL) or _NONE
    view.put(_CELL + here, tail + _NONE)
    if tail == _NONE:
        view.put(_HEAD, here)
    else:
        view.put(_CELL + tail, _cell(view, tail)[0] + here)
    view.put(_TAIL, here)


def remove(view: View, sequence: int) -> None:
    """Take an order out; nothing happens if it is not in the list."""
    here = sequence.to_bytes(8, "big")
    if not view.get(_CELL + here):
        return
    before, after = _cell(view, here)
    if before == _NONE:
        view.put(_HEAD, after)
    else:
        view.put(_CELL + before, _cell(view, before)[0] + after)
    if after == _NONE:
        view.put(_TAIL, before)
    else:
        view.put(_CELL + after, before + _cell(view, after)[1])
    view.put(_CELL + here, b"")


def _cell(view: ReadView, here: bytes) -> tuple[bytes, bytes]:
    cell = view.get(_CELL + here) or _NONE + _NONE
    return cell[:8], cell[8:]
