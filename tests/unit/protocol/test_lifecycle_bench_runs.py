"""The benchmark of a key's life measures every step of it."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).resolve().parents[2] / "bench" / "lifecycle.py"


def test_the_benchmark_of_a_keys_life_measures_every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = importlib.util.spec_from_file_location("lifecycle", BENCH)
    assert spec is not None
    assert spec.loader is not None
    bench = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "lifecycle", bench)
    spec.loader.exec_module(bench)
    rows = bench.run(((2, 3),))
    assert {row["what"] for row in rows} == {
        "generate 2-of-3",
        "refresh 2-of-3",
        "reshare 2-of-3 to 3-of-5",
        "sign 2-of-3",
    }
    used = {row["step"]: row for row in rows if row["what"] == "sign 2-of-3"}
    assert used["signer: commit to nonces"]["times"] == 2
    assert used["signer: check the set, sign, check the own share"]["bytes"] > 400
    assert "recovery data" not in used
    for what in ("refresh 2-of-3", "reshare 2-of-3 to 3-of-5"):
        steps = {row["step"]: row for row in rows if row["what"] == what}
        assert steps["signer: deal"]["times"] == 3
        assert steps["recovery data"]["bytes"] > 400
        parts = [row["bytes"] for step, row in steps.items() if step not in (bench.ALL, "recovery data")]
        assert steps[bench.ALL]["bytes"] == sum(parts)
    together = bench.many(2)
    assert together["vaults"] == 2
    assert together["refresh_bytes"] > together["generate_bytes"] > together["sign_bytes"] > 0
    assert "signer: recover the share" in bench.table(rows)
