"""A signer's words at a real terminal: shown once, asked back, typed in blindly, and nowhere else."""

from __future__ import annotations

import itertools
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from paper import CONFIRMS, ENTER, asked_word, sheet_in
from strongroom.crypto.seed_words import words_of
from strongroom_signer.enrolment import DATABASE_FILE
from strongroom_signer.keys import open_keys
from strongroom_signer.passphrase import read_passphrase
from strongroom_signer.store import Store
from terminal import Terminal

pytestmark = pytest.mark.process

LAUNCHER = Path(__file__).parents[1] / "support" / "signer_launcher.py"
ASKED = CONFIRMS[1][0]


@pytest.fixture
def init(tmp_path: Path) -> list[str]:
    (tmp_path / "phrase").write_text("correct horse battery\n")
    command = [sys.executable, str(LAUNCHER), "--cheap", "--", "init", "--name", "s1"]
    return [*command, "--data", str(tmp_path / "s1"), "--passphrase-file", str(tmp_path / "phrase")]


def test_init_shows_the_words_of_the_host_key_and_has_some_typed_back(init: list[str], tmp_path: Path) -> None:
    terminal = Terminal(" ".join(init), tmp_path, dict(os.environ), CONFIRMS)
    assert terminal.finish() == 0, terminal.shown
    store = Store.open(tmp_path / "s1" / DATABASE_FILE)
    keys = open_keys(tmp_path / "s1", store, read_passphrase(tmp_path / "phrase"))
    assert tuple(sheet_in(terminal.shown)) == words_of(keys.host)
    keys.wipe()
    store.close()
    asked = [int(number) for number in re.findall(r"Word ([0-9]+) on your sheet", terminal.shown)]
    assert len(set(asked)) == 3


def test_typed_words_are_not_shown_and_words_reach_no_file_and_no_output(init: list[str], tmp_path: Path) -> None:
    terminal = Terminal(f"{' '.join(init)} >printed 2>errors", tmp_path, dict(os.environ), CONFIRMS)
    assert terminal.finish() == 0, terminal.shown
    sheet = sheet_in(terminal.shown)
    after = terminal.shown[terminal.shown.index("Word ") :]
    assert not [word for word in sheet if re.search(rf"\b{word}\b", after.split("That is right")[0])]
    kept = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    neighbours = itertools.pairwise(sheet)
    assert not [pair for pair in neighbours if re.search(rf"{pair[0]}\W{{1,4}}{pair[1]}".encode(), kept)]


def test_three_wrong_answers_leave_no_signer(init: list[str], tmp_path: Path) -> None:
    terminal = Terminal(" ".join(init), tmp_path, dict(os.environ), [ENTER, (ASKED, "zebra")])
    assert terminal.finish() == 4, terminal.shown
    assert "WORDS_NOT_CONFIRMED" in terminal.shown
    assert not (tmp_path / "s1").exists()
    again = Terminal(" ".join(init), tmp_path, dict(os.environ), CONFIRMS)
    assert again.finish() == 0, again.shown


def test_one_wrong_answer_is_asked_again(init: list[str], tmp_path: Path) -> None:
    slips = iter(["zebra"])

    def answer(shown: str) -> str:
        return next(slips, "") or asked_word(shown)

    terminal = Terminal(" ".join(init), tmp_path, dict(os.environ), [ENTER, (ASKED, answer)])
    assert terminal.finish() == 0, terminal.shown
    assert "look again" in terminal.shown


def test_without_a_terminal_nothing_is_made(init: list[str], tmp_path: Path) -> None:
    done = subprocess.run(
        init, stdin=subprocess.DEVNULL, capture_output=True, text=True, start_new_session=True, check=False
    )
    assert done.returncode == 2
    assert "NO_PLACE_FOR_WORDS" in done.stderr
    assert not (tmp_path / "s1" / "signer.sealed").exists()


@pytest.mark.parametrize("given", ["file", "closed", "null"])
def test_words_go_into_pipes_only(init: list[str], tmp_path: Path, given: str) -> None:
    with open(tmp_path / "words" if given == "file" else "/dev/null", "w") as file:
        number = 77 if given == "closed" else file.fileno()
        fds = () if given == "closed" else (number,)
        done = subprocess.run(
            [*init, "--words-fd", str(number)], capture_output=True, text=True, pass_fds=fds, check=False
        )
    assert done.returncode == 2
    assert "NO_PLACE_FOR_WORDS" in done.stderr
    assert not (tmp_path / "s1" / "signer.sealed").exists()


def test_a_terminal_that_cannot_hide_what_is_typed_is_refused(init: list[str], tmp_path: Path) -> None:
    program = (
        "import sys, termios; real = termios.tcgetattr\n"
        "def shows(fd):\n"
        "    found = real(fd); found[3] |= termios.ECHO; return found\n"
        "termios.tcgetattr = shows\n"
        f"sys.argv = {init[1:]!r}; sys.path.insert(0, {str(LAUNCHER.parent)!r})\n"
        "import signer_launcher; sys.exit(signer_launcher.main())\n"
    )
    (tmp_path / "broken.py").write_text(program)
    terminal = Terminal(f"{sys.executable} broken.py", tmp_path, dict(os.environ), CONFIRMS)
    assert terminal.finish() == 2, terminal.shown
    assert "goes on showing what is typed" in terminal.shown
    assert "These 24 words" not in terminal.shown


def test_the_terminal_shows_again_what_is_typed_after_the_command(init: list[str], tmp_path: Path) -> None:
    terminal = Terminal(f"{' '.join(init)}; stty -a", tmp_path, dict(os.environ), CONFIRMS)
    assert terminal.finish() == 0, terminal.shown
    assert re.search(r"(?<!-)\becho\b", terminal.shown)
