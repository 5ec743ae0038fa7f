"""A peer causes so many lines in a window and no more, and has them all again in the next."""

from __future__ import annotations

from strongroom.model.log_allowance import LogAllowance


def test_lines_of_a_window_run_out_and_come_back_with_the_next() -> None:
    allowance = LogAllowance(lines=3, window_s=60)
    assert [allowance.take(0.5) for _ in range(5)] == [2, 1, 0, -1, -1]
    assert allowance.take(60.4) == -1
    assert [allowance.take(60.5), allowance.take(61)] == [2, 1]
