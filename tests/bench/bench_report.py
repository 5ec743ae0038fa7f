"""What a run of the benchmarks says: figures beside their targets, percentiles, the table and the JSON."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

__all__ = ["Better", "Figure", "percentile", "report", "spread", "table"]


class Better(StrEnum):
    """Which way a figure should go."""

    LOWER = "lower"
    HIGHER = "higher"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One measured number. A figure without a target is shown for what it is worth and is neither met nor missed."""

    name: str
    what: str
    measured: float
    unit: str
    better: Better
    target: float | None = None

    @property
    def met(self) -> bool | None:
        """Whether the target is reached; None without a target. A figure that is no number misses it."""
        if self.target is None:
            return None
        if math.isnan(self.measured):
            return False
        return self.measured <= self.target if self.better is Better.LOWER else self.measured >= self.target


def percentile(values: Sequence[float], share: float) -> float:
    """The nearest-rank percentile: the smallest value that at least `share` per cent of the values do not exceed.

    Args:
        values: At least one.
        share: Above 0, at most 100.

    Raises:
        ValueError: there are no values, or `share` is out of range.
    """
    if not values or not 0 < share <= 100:
        raise ValueError("a percentile needs at least one value and a share above 0, at most 100")
    ordered = sorted(values)
    return ordered[math.ceil(share * len(ordered) / 100) - 1]


def spread(values: Sequence[float]) -> dict[str, float]:
    """Count, least, p50, p90, p99 and most of some raw figures."""
    return {
        "count": len(values),
        "least": min(values),
        "p50": percentile(values, 50),
        "p90": percentile(values, 90),
        "p99": percentile(values, 99),
        "most": max(values),
    }


def table(figures: Sequence[Figure]) -> str:
    """The figures as text: what, measured, target, met."""
    rows = [("what", "measured", "target", "met")]
    for figure in figures:
        sign = "<=" if figure.better is Better.LOWER else ">="
        target = "-" if figure.target is None else f"{sign} {_number(figure.target)} {figure.unit}"
        met = {None: "-", True: "yes", False: "NO"}[figure.met]
        rows.append((figure.what, f"{_number(figure.measured)} {figure.unit}", target, met))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = [
        f"{row[0]:<{widths[0]}}  {row[1]:>{widths[1]}}  {row[2]:>{widths[2]}}  {row[3]:<{widths[3]}}".rstrip()
        for row in rows
    ]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(lines)


def report(figures: Sequence[Figure], *, context: dict[str, Any], raw: dict[str, Any]) -> dict[str, Any]:
    """Everything, for the JSON file."""
    return {
        **context,
        "figures": [
            {
                "name": figure.name,
                "what": figure.what,
                "measured": None if math.isnan(figure.measured) else figure.measured,
                "unit": figure.unit,
                "better": str(figure.better),
                "target": figure.target,
                "met": figure.met,
            }
            for figure in figures
        ],
        "raw": raw,
    }


def _number(value: float) -> str:
    if math.isnan(value):
        return "failed"
    if value >= 1_000:
        return f"{value:,.0f}"
    return f"{value:.2f}".rstrip("0").rstrip(".") if value < 10 else f"{value:.1f}".rstrip("0").rstrip(".")
