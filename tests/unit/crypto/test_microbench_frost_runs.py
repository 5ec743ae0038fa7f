"""The signing benchmark works and leaves the library as it found it."""

from __future__ import annotations

import importlib.util
import time
from pathlib import Path

import pytest

from strongroom.crypto import bip340, curve, secret

BENCH = Path(__file__).resolve().parents[2] / "bench" / "microbench_frost.py"


def test_the_signing_benchmark_measures_every_operation(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = importlib.util.spec_from_file_location("microbench_frost", BENCH)
    assert spec is not None
    assert spec.loader is not None
    bench = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(bench)
    monkeypatch.setattr(bench, "ROUNDS", 2)
    # What other programs take of the processor meanwhile does not count here.
    monkeypatch.setattr(bench, "perf_counter_ns", time.thread_time_ns)
    libraries = [vars(module)["lib"] for module in (curve, secret, bip340)]
    rows = bench.run()
    assert [vars(module)["lib"] for module in (curve, secret, bip340)] == libraries
    assert {row["group"] for row in rows} == {"2-of-3", "3-of-5", "15-of-21"}
    assert len(rows) == 18
    for row in rows:
        assert row["curve_calls"] > 0
        # The curve calls are part of what is measured; the margin allows for a disturbed run.
        assert row["measured_us"] > row["curve_us"] / 2
    assert "15-of-21  sign" in bench.table(rows)
