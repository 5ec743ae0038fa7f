"""Sliding sums against adding everything up."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from strongroom.ledger import windows
from strongroom.ledger.view import MemoryStore, Overlay

STEPS = st.lists(st.tuples(st.integers(0, 5), st.integers(1, 2**256 - 1)), max_size=40)
TIMES = st.integers(-3, 220)


@given(STEPS, st.lists(st.tuples(TIMES, TIMES), max_size=20), st.integers(0, 40))
def test_sums_equal_adding_everything_up(
    steps: list[tuple[int, int]], questions: list[tuple[int, int]], folded: int
) -> None:
    store = MemoryStore()
    overlay = Overlay(store)
    added: list[tuple[int, int]] = []
    time_ms = 0
    series, other = windows.payment_series("a", "x"), windows.payment_series("a", "xy")
    for position, (later, amount) in enumerate(steps):
        time_ms += later
        windows.add(store if position < folded else overlay, series, time_ms, amount)
        windows.add(overlay, other, time_ms, 1)
        added.append((time_ms, amount))
    for after, until in questions:
        brute = sum(amount for at, amount in added if after < at <= until)
        assert windows.total(overlay, series, after, until) == brute
        assert windows.total(overlay, other, after, until) == sum(1 for at, _ in added if after < at <= until)
