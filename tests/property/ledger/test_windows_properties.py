"""Sliding sums against adding everything up."""

from __future__ import annotations

from fnmatch import fnmatchcase

from hypothesis import given, settings
from hypothesis import strategies as st

from ledger_world import BTC, World
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


@settings(max_examples=15, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["customer-1", "customer-2"]), st.integers(0, 40_000), st.integers(300, 1_000_000)),
        min_size=1,
        max_size=6,
    ),
    st.sampled_from([("customer-*",), ("customer-1",), ("*-2", "customer-*"), ("nobody",)]),
    st.integers(0, 120_000),
)
def test_what_the_ledger_counts_equals_adding_up_all_planned_payments(
    steps: list[tuple[str, int, int]], globs: tuple[str, ...], window_ms: int
) -> None:
    world = World.started()
    for name in ("customer-1", "customer-2"):
        world.make_vault(name)
    planned: list[tuple[str, int, int]] = []
    for vault, later, amount in steps:
        world.later(later)
        order, coin = world.pay(vault, amount), world.coin(amount + 10_000)
        first = world.log_plan([order], [coin], vault=vault)
        world.later(later // 2)
        world.log_plan([order], [coin], vault=vault, fee_sat=2_000, bumps=first)
        planned.append((vault, world.time_ms - later // 2, amount))
    brute = sum(
        amount
        for vault, at, amount in planned
        if any(fnmatchcase(vault, glob) for glob in globs) and world.time_ms - window_ms < at <= world.time_ms
    )
    assert world.state.window_total(globs, BTC, world.time_ms - window_ms, world.time_ms) == brute
    assert world.state.fee_window_total("customer-1", 0, world.time_ms) == 2_000 * sum(
        1 for vault, _, _ in planned if vault == "customer-1"
    )
