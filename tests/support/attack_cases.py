"""Attacks of a dishonest coordinator as parameters of one test: what it does, who must refuse it, and why."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from cluster import Cheated, Cluster
from siege import endured, refused


@dataclass(frozen=True, kw_only=True)
class Case:
    """One attack: a cheat of `cheating_coordinator.py --list`, and the refusal that is due at one of its steps."""

    cheat: str
    step: str
    reason: str
    signed: bool
    by: int

    def check(self, outcomes: dict[str, Cheated]) -> None:
        """Every signer that had to refuse did, for this reason."""
        refused(outcomes[self.cheat], self.step, self.reason, signed=self.signed, by=self.by)


def attack(
    cheat: str,
    title: str,
    reason: str,
    *,
    step: str,
    origin: str,
    signed: bool = False,
    by: int = 3,
    line: str = "coordinator",
) -> Any:
    """A parameter with its mark. `signed` says whether the refusal is signed with the vote key."""
    case = Case(cheat=cheat, step=step, reason=reason, signed=signed, by=by)
    mark = pytest.mark.attack(line=line, title=title, origin=origin)
    return pytest.param(case, id=f"{cheat}-{step}", marks=mark)


def cheats_of(cases: Iterable[Any], *others: str, floods: Sequence[str] = ()) -> list[str]:
    """The cheats that these parameters look at, and others, each once.

    Args:
        cases: parameters made by `attack`.
        others: further cheats.
        floods: those after which signers may mute one kind of refusal for a minute; they come last.
    """
    named = {case.values[0].cheat for case in cases} | set(others)
    return [*sorted(named - set(floods)), *floods]


async def helped(
    cluster: Cluster, cheat: str, help_it: Callable[[], None], *, restarted: Collection[str] = ()
) -> Cheated:
    """Run a cheat that waits in its middle until something was done to the signers, and do it then.

    Args:
        cluster: its signers must be running.
        cheat: one of `cheating_coordinator.py --list` that pauses.
        help_it: does something to the signers, in a thread of its own.
        restarted: the signers that `help_it` starts again; what holds after any attack is checked for all.
    """
    folder = cluster.root / "rogue"
    with endured(cluster, restarted=restarted) as outcomes:
        run = asyncio.create_task(asyncio.to_thread(cluster.cheats, [cheat]))
        (folder / "waiting").unlink(missing_ok=True)
        while not (folder / "waiting").exists() and not run.done():  # noqa: ASYNC110 - another process makes it
            await asyncio.sleep(0.02)
        assert not run.done(), f"{cheat} did not wait for help: {run.result()}"
        await asyncio.to_thread(help_it)
        (folder / "go").touch()
        outcomes.update(await run)
    return outcomes[cheat]
