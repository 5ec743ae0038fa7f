"""The frauds that the demonstration's dishonest coordinator tries, and how its program is run.

The program is started as `PROGRAM --data COPY_OF_THE_COORDINATORS_FOLDER --cheat NAME [--words FILE]...` and listens
where the coordinator did. It prints JSON lines: {"event": "refused", "signer", "reason", "detail"} for each refusal,
and at the end {"event": "done", "released": number of signature shares it got}.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from strongroom_client.demo.deployment import Deployment
from strongroom_client.demo.processes import DaemonFailed, run_program

__all__ = ["CHEATS", "Cheat", "Outcome", "Refusal", "run_cheat"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cheat:
    """One fraud: its name for the program, and what the thief does, in words."""

    name: str
    story: str
    why: str
    """Why it cannot work, in words."""
    needs_words: bool = False
    """Whether the thief gets an approval that nobody else has seen."""


CHEATS: Final = (
    Cheat(
        name="change-amount",
        story="takes a withdrawal that was really approved, and multiplies its amount by ten.",
        why="What people signed is one exact order. Under another amount their signatures do not fit.",
    ),
    Cheat(
        name="pay-twice",
        story="pays a customer a second time for the same withdrawal.",
        why="Every signer has the history, and allows no two payments of one withdrawal that could both happen.",
    ),
    Cheat(
        name="pay-without-approval",
        story="pays the third withdrawal, which only one person approved.",
        why="Every signer reads the rules itself and counts the approvals itself.",
    ),
    Cheat(
        name="split-history",
        story="tells each signer a different history, to be paid once in each of them.",
        why="A signer signs only what a majority has witnessed, and no majority saw any of these histories.",
        needs_words=True,
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """What one signer answered."""

    signer: str
    reason: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a fraud ended: who refused and why, first answers first, and the signature shares that were given for it."""

    refusals: tuple[Refusal, ...]
    released: int


def run_cheat(deployment: Deployment, cheater: Path, cheat: Cheat, words: Sequence[dict[str, str]]) -> Outcome:
    """Run one fraud against the running signers; the honest coordinator must be stopped.

    Raises:
        DaemonFailed: the program failed, or did not say how it ended.
    """
    folder = deployment.root / f"thief-{cheat.name}"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(deployment.coordinator_folder, folder)
    command = [sys.executable, str(cheater), "--data", str(folder), "--cheat", cheat.name]
    for number, word in enumerate(words):
        file = folder / f"word-{number}.json"
        file.write_text(json.dumps(word))
        command += ["--words", str(file)]
    output = run_program(command, timeout_s=120.0)
    events = [_event(line) for line in output.splitlines()]
    done = [event for event in events if event.get("event") == "done"]
    if len(done) != 1 or type(done[0].get("released")) is not int:
        raise DaemonFailed(f"{cheater.name} did not say how {cheat.name} ended: {output[-400:]}")
    first: dict[str, Refusal] = {}
    for event in events:
        if event.get("event") == "refused":
            refusal = Refusal(
                signer=str(event["signer"]), reason=str(event["reason"]), detail=str(event.get("detail", ""))
            )
            first.setdefault(refusal.signer, refusal)
    return Outcome(refusals=tuple(first[name] for name in sorted(first)), released=done[0]["released"])


def _event(line: str) -> dict[str, Any]:
    try:
        event = json.loads(line)
    except ValueError:
        return {}
    return event if isinstance(event, dict) else {}
