"""The arithmetic of the benchmark report."""

from __future__ import annotations

import importlib.util
import json
import math
import sys
from pathlib import Path
from types import ModuleType

import pytest


def _load() -> ModuleType:
    path = Path(__file__).resolve().parents[1] / "bench" / "bench_report.py"
    spec = importlib.util.spec_from_file_location("bench_report", path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} cannot be loaded")
    module = importlib.util.module_from_spec(spec)
    sys.modules.setdefault("bench_report", module)
    spec.loader.exec_module(module)
    return module


bench = _load()


def figure(measured: float, target: float | None, better: str = "lower") -> object:
    return bench.Figure(
        name="x", what="a thing", measured=measured, unit="ms", better=bench.Better(better), target=target
    )


@pytest.mark.parametrize(
    ("share", "expected"),
    [(50, 50.0), (90, 90.0), (99, 99.0), (100, 100.0), (1, 1.0), (0.5, 1.0), (98.5, 99.0)],
)
def test_percentile_is_the_nearest_rank(share: float, expected: float) -> None:
    assert bench.percentile([float(n) for n in range(100, 0, -1)], share) == expected


def test_percentile_of_few_values_is_one_of_them() -> None:
    assert bench.percentile([7.0], 99) == 7.0
    assert bench.percentile([1.0, 2.0], 50) == 1.0
    assert bench.percentile([1.0, 2.0, 3.0], 50) == 2.0
    assert bench.percentile([1.0, 2.0, 3.0], 99) == 3.0


@pytest.mark.parametrize(("values", "share"), [([], 50), ([1.0], 0), ([1.0], 101), ([1.0], -1)])
def test_percentile_refuses_what_has_none(values: list[float], share: float) -> None:
    with pytest.raises(ValueError, match="percentile"):
        bench.percentile(values, share)


def test_spread_names_both_ends_and_the_middle() -> None:
    assert bench.spread([3.0, 1.0, 2.0]) == {
        "count": 3,
        "least": 1.0,
        "p50": 2.0,
        "p90": 3.0,
        "p99": 3.0,
        "most": 3.0,
    }


@pytest.mark.parametrize(
    ("measured", "target", "better", "met"),
    [
        (25.0, 25.0, "lower", True),
        (25.1, 25.0, "lower", False),
        (100.0, 100.0, "higher", True),
        (99.9, 100.0, "higher", False),
        (math.nan, 100.0, "higher", False),
        (math.nan, 100.0, "lower", False),
        (1.0, None, "lower", None),
    ],
)
def test_a_target_is_met_at_its_border_and_missed_beyond(
    measured: float, target: float | None, better: str, met: bool | None
) -> None:
    assert figure(measured, target, better).met is met


def test_table_says_no_where_a_target_is_missed() -> None:
    text = bench.table([figure(12.345, 25.0), figure(26.0, 25.0), figure(6106.4, None, "higher")])
    head, rule, met, missed, without = text.splitlines()
    assert head.split() == ["what", "measured", "target", "met"]
    assert set(rule) == {"-", " "}
    assert met.split() == ["a", "thing", "12.3", "ms", "<=", "25", "ms", "yes"]
    assert missed.split() == ["a", "thing", "26", "ms", "<=", "25", "ms", "NO"]
    assert without.split() == ["a", "thing", "6,106", "ms", "-", "-"]


def test_report_keeps_misses_and_is_plain_json() -> None:
    document = bench.report(
        [figure(math.nan, 1.0), figure(2.0, 1.0)], context={"commit": "abc"}, raw={"latency_ms": [1.5]}
    )
    read = json.loads(json.dumps(document, allow_nan=False))
    assert [item["met"] for item in read["figures"]] == [False, False]
    assert read["figures"][0]["measured"] is None
    assert read["commit"] == "abc"
    assert read["raw"] == {"latency_ms": [1.5]}
