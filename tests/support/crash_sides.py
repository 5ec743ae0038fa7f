"""Both sides of crash points, as parameters of the tests that kill there."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

import pytest

from crash_points import AFTER, BEFORE, CrashPoint


def sides_of(points: Iterable[CrashPoint], in_every_run: Collection[tuple[str, str]] | None = None) -> list[Any]:
    """One parameter set (point, side) for each side of each point.

    Args:
        points: The points.
        in_every_run: (name, side) of those that every run of the tests tries, the others being for the campaign; None
            where the whole file is marked already.
    """
    found = []
    for point in points:
        for side in (BEFORE, AFTER):
            marks = [pytest.mark.crash_point(daemon=point.daemon, point=point.name, side=side)]
            if in_every_run is not None and (point.name, side) not in in_every_run:
                marks.append(pytest.mark.campaign)
            found.append(pytest.param(point, side, marks=marks, id=f"{side}: {point.name}".replace(" ", "-")))
    return found
