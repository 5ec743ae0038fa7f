"""Checks whose loss no test can notice, because something else beside them refuses the same or gives the same answer.

Each with the reason. A name that no longer fits a check of the source fails the run.
"""

from __future__ import annotations

from typing import Final

EQUIVALENT: Final[dict[str, str]] = {}
