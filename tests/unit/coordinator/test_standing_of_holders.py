"""Whom the next plan asks first, and how long it waits."""

from __future__ import annotations

import pytest

from strongroom.protocol.signing import BUSY_MS, HEDGE_MS
from strongroom_coordinator.standing import (
    BUSY_MOST_MS,
    HEDGE_LEAST_MS,
    HEDGE_MOST_MS,
    PROBATION_FIRST_S,
    TRIAL_S,
    Standing,
)

NAMES = ("s1", "s2", "s3", "s4")


class TestClock:
    """Monotonic seconds that a test moves."""

    __test__ = False

    def __init__(self) -> None:
        self.now = 1_000.0

    def monotonic(self) -> float:
        return self.now

    def wall_ms(self) -> int:
        return round(self.now * 1000)


@pytest.fixture
def clock() -> TestClock:
    return TestClock()


@pytest.fixture
def standing(clock: TestClock) -> Standing:
    return Standing(clock)


def answers(standing: Standing, signer: str, took_ms: int, times: int = 50) -> None:
    for _ in range(times):
        standing.answered(signer, took_ms)


def test_plans_begin_with_another_holder_in_turn(standing: Standing) -> None:
    assert standing.order(NAMES, 0) == NAMES
    assert standing.order(NAMES, 5) == ("s2", "s3", "s4", "s1")
    assert standing.order((), 7) == ()


def test_who_missed_goes_last_and_gets_its_place_back_by_signing(standing: Standing) -> None:
    standing.missed("s1")
    assert [standing.order(NAMES, turn)[-1] for turn in range(4)] == ["s1"] * 4
    standing.signed(["s2", "s1"])
    assert standing.order(NAMES, 0) == NAMES


def test_after_its_probation_one_plan_at_a_time_tries_a_holder_again(standing: Standing, clock: TestClock) -> None:
    standing.missed("s3")
    clock.now += PROBATION_FIRST_S
    assert standing.order(NAMES, 0)[0] == "s3"
    assert standing.order(NAMES, 0)[-1] == "s3"
    clock.now += TRIAL_S
    assert standing.order(NAMES, 0)[0] == "s3"


def test_probation_doubles_with_each_failed_trial_and_failures_of_one_moment_count_once(
    standing: Standing, clock: TestClock
) -> None:
    assert [standing.missed("s1") for _ in range(3)] == [True, False, False]
    clock.now += PROBATION_FIRST_S
    assert standing.order(NAMES, 0)[0] == "s1"
    standing.missed("s1")
    standing.missed("s1")
    clock.now += PROBATION_FIRST_S
    assert standing.order(NAMES, 0)[-1] == "s1"
    clock.now += PROBATION_FIRST_S
    assert standing.order(NAMES, 0)[0] == "s1"


def test_of_several_on_probation_the_one_that_missed_least_is_tried(standing: Standing, clock: TestClock) -> None:
    standing.missed("s1")
    clock.now += PROBATION_FIRST_S
    standing.missed("s1")
    standing.missed("s2")
    clock.now += 10 * PROBATION_FIRST_S
    assert standing.order(NAMES, 0) == ("s2", "s3", "s4", "s1")


def test_the_hedge_follows_the_pace_of_the_holders_within_bounds(standing: Standing) -> None:
    assert standing.hedge_ms(NAMES, 2) == HEDGE_MS
    for name in NAMES:
        answers(standing, name, 4)
    assert standing.hedge_ms(NAMES, 2) == HEDGE_LEAST_MS
    for name in NAMES:
        answers(standing, name, 400)
    assert 400 < standing.hedge_ms(NAMES, 2) <= 700
    for name in NAMES:
        answers(standing, name, 60_000)
    assert standing.hedge_ms(NAMES, 2) == HEDGE_MOST_MS


def test_the_patience_with_a_holder_at_work_follows_what_everybody_has_to_do(standing: Standing) -> None:
    assert standing.busy_ms(NAMES, 2) == BUSY_MS
    for took_ms, least, most in ((50, BUSY_MS, BUSY_MS), (4_000, 5_500, 7_000), (60_000, BUSY_MOST_MS, BUSY_MOST_MS)):
        for name in NAMES:
            answers(standing, name, took_ms)
        assert least <= standing.busy_ms(NAMES, 2) <= most


@pytest.mark.parametrize(("n", "t"), [(3, 2), (5, 3), (9, 5)])
def test_fewer_than_t_slow_holders_cannot_raise_the_patience(standing: Standing, n: int, t: int) -> None:
    holders = [f"s{number}" for number in range(n)]
    for name in holders:
        answers(standing, name, 9_000 if name in holders[: t - 1] else 5)
    assert standing.hedge_ms(holders, t) == HEDGE_LEAST_MS
    assert standing.busy_ms(holders, t) == BUSY_MS
