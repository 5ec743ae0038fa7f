"""The demonstration counts a fraud as refused only if every signer refused it and no share was released."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from strongroom_client.demo.cheats import CHEATS, Cheat, run_cheat
from strongroom_client.demo.deployment import Deployment
from strongroom_client.demo.processes import DaemonFailed
from strongroom_client.demo.story import Story, StoryBroken
from strongroom_client.demo.teller import Teller

CHEAT = CHEATS[0]


def program(folder: Path, *lines: object, code: int = 0) -> Path:
    """A program that checks its arguments and prints these events."""
    text = "".join(json.dumps(line) + "\n" for line in lines)
    file = folder / "cheater.py"
    file.write_text(
        "import pathlib, sys\n"
        "data, cheat = sys.argv[sys.argv.index('--data') + 1], sys.argv[sys.argv.index('--cheat') + 1]\n"
        "assert (pathlib.Path(data) / 'coordinator.toml').is_file() and cheat == 'change-amount'\n"
        f"sys.stdout.write({text!r})\n"
        f"sys.exit({code})\n"
    )
    return file


def refused(signer: str, reason: str = "APPROVALS_MISSING") -> dict[str, str]:
    return {"event": "refused", "signer": signer, "reason": reason, "detail": "ab" * 32}


def done(released: int) -> dict[str, object]:
    return {"event": "done", "released": released}


@pytest.fixture
def deployment(tmp_path: Path) -> Deployment:
    made = Deployment(root=tmp_path / "demo")
    made.coordinator_folder.mkdir(parents=True)
    (made.coordinator_folder / "coordinator.toml").write_text("")
    return made


@pytest.fixture
def screen() -> io.StringIO:
    return io.StringIO()


def play(deployment: Deployment, cheater: Path, screen: io.StringIO) -> Story:
    story = Story(deployment, Teller(Console(file=screen, width=200)), cheater)
    story._one_cheat(cheater, CHEAT)
    return story


def test_a_fraud_that_every_signer_refuses_is_told_with_its_reasons(
    deployment: Deployment, tmp_path: Path, screen: io.StringIO
) -> None:
    names = deployment.shape.signers
    events = [{"event": "cheating"}, *map(refused, names), refused(names[0], "LATER"), done(0)]
    story = play(deployment, program(tmp_path, *events), screen)
    told = screen.getvalue()
    assert story.refusals == 3
    assert all(f"{name} refuses: APPROVALS_MISSING" in told for name in names)
    assert ("LATER" in told, "abababab…" in told, CHEAT.why in told) == (False, True, True)


@pytest.mark.parametrize("released", [1, 3])
def test_one_released_share_breaks_the_story(
    deployment: Deployment, tmp_path: Path, screen: io.StringIO, released: int
) -> None:
    events = [*map(refused, deployment.shape.signers), done(released)]
    with pytest.raises(StoryBroken, match=f"{released} signature shares"):
        play(deployment, program(tmp_path, *events), screen)


def test_a_signer_that_does_not_refuse_breaks_the_story(
    deployment: Deployment, tmp_path: Path, screen: io.StringIO
) -> None:
    events = [*map(refused, deployment.shape.signers[:2]), done(0)]
    with pytest.raises(StoryBroken, match="west"):
        play(deployment, program(tmp_path, *events), screen)


@pytest.mark.parametrize("events", [[], [done(0), done(0)], [{"event": "done"}], [{"event": "done", "released": "0"}]])
def test_a_program_that_does_not_say_how_it_ended_is_a_failure(
    deployment: Deployment, tmp_path: Path, events: list[object]
) -> None:
    with pytest.raises(DaemonFailed):
        run_cheat(deployment, program(tmp_path, *events), CHEAT, [])


def test_a_program_that_fails_is_a_failure(deployment: Deployment, tmp_path: Path) -> None:
    with pytest.raises(DaemonFailed):
        run_cheat(deployment, program(tmp_path, done(0), code=1), CHEAT, [])


def test_the_frauds_are_those_of_the_programs_contract() -> None:
    assert [cheat.name for cheat in CHEATS] == ["change-amount", "pay-twice", "pay-without-approval", "split-history"]
    assert all(isinstance(cheat, Cheat) and cheat.story and cheat.why for cheat in CHEATS)
