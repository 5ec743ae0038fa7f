"""How far new shares are, in a line for people."""

from __future__ import annotations

from strongroom.protocol.redistribution_state import Progress, Step
from strongroom.protocol.redistribution_terms import RedistributionTerms

__all__ = ["line_of"]


def line_of(about: RedistributionTerms, progress: Progress) -> str:
    """One line for people: which vault and epoch, which step, who is done and who is awaited, and what is wrong."""
    what = f"new shares of {about.vault} (epoch {about.epoch}): {progress.step.value}"
    if progress.step is Step.DEALING:
        what += f", {len(progress.done)} of {about.threshold_before} needed have dealt"
    elif progress.done:
        what += f", done: {', '.join(progress.done)}"
    waits = progress.awaited or progress.optional
    if waits:
        what += f"; awaited: {', '.join(waits)}"
    for name, left in progress.left_out.items():
        what += f"; {name} is left out: {left.problem}"
    for name, trouble in progress.troubles.items():
        what += f"; {name}: {trouble}"
    return what
