"""The README's walk "by hand" works as it is printed: every command, in order, with its terminals."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
from argparse import Namespace
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from actor import until
from paper import CONFIRMS
from strongroom_client.demo.deployment import free_port
from strongroom_client.demo.processes import Daemon
from strongroom_signer.operator_commands import ask
from terminal import Terminal

pytestmark = pytest.mark.process

ROOT = Path(__file__).parents[2]
READY = {"node": "ready"}
_BLOCK = re.compile(r"(?:<!-- terminal: (\w+) -->\n)?```sh\n(.*?)```", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Block:
    """One code block; `terminal` names the daemon's terminal it is typed into, if it is one."""

    terminal: str
    commands: str


def walk() -> Iterator[Block]:
    """The code blocks between the README's two marks."""
    text = (ROOT / "README.md").read_text()
    part = text.split("<!-- by-hand: start -->")[1].split("<!-- by-hand: end -->")[0]
    for terminal, commands in _BLOCK.findall(part):
        yield Block(terminal, commands)


def ports_of_our_own(commands: str, ports: dict[str, str]) -> str:
    """The same commands on free ports, so that runs on one machine do not meet."""
    for printed, free in ports.items():
        commands = commands.replace(printed, free)
    return commands


async def has_final_head(folder: Path) -> bool:
    """Whether a running signer knows of entries that are final."""
    facts, _ = ask(Namespace(command="status", prometheus=False), folder / "operator.sock")
    return bool(facts["final_size"])


def test_every_command_of_the_readme_works_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    monkeypatch.delenv("STRONGROOM_PROFILE", raising=False)
    ports = {"7400": str(free_port()), "18443": str(free_port())}
    shell = subprocess.Popen(
        ["bash", "-e"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, cwd=tmp_path, start_new_session=True,
    )  # fmt: skip
    assert shell.stdin
    assert shell.stdout
    daemons: list[Daemon] = []
    transcript = ""
    try:
        for number, block in enumerate(walk()):
            commands = ports_of_our_own(block.commands, ports)
            if block.terminal:
                command = ["bash", "-c", f"cd {tmp_path / 'acme'} && exec {commands.strip()}"]
                daemon = Daemon(block.terminal, command, tmp_path / f"{block.terminal}.log")
                daemon.start(ready=READY.get(block.terminal, "daemon.ready"))
                daemons.append(daemon)
                continue
            if daemons and "strongroom login" in commands:
                # A reader is not faster than the programs: by now the new log has a final head, which `status` shows.
                asyncio.run(until(partial(has_final_head, tmp_path / "acme" / "north"), timeout_s=90.0))
            if "strongroom-signer init" in commands:
                # The one step for a person at a terminal: each sheet of words is written down and asked back.
                person = Terminal(commands, tmp_path / "acme", dict(os.environ), CONFIRMS)
                assert person.finish() == 0, person.shown[-3000:]
                continue
            # The environment is active already, and a test has no checkout's virtual environment to enter.
            commands = commands.replace("source .venv/bin/activate\n", "")
            shell.stdin.write(f"{commands}\necho 'done: {number}'\n")
            shell.stdin.flush()
            for line in shell.stdout:
                transcript += line
                if line == f"done: {number}\n":
                    break
            else:
                logs = "\n".join(f"{daemon.name}: {daemon.last_words()}" for daemon in daemons)
                pytest.fail(
                    f"the README's walk stopped in block {number}:\n{commands}\n---\n{transcript[-3000:]}\n{logs}"
                )
    finally:
        for daemon in daemons:
            daemon.stop()
        os.killpg(shell.pid, signal.SIGKILL)
        shell.wait()
        shell.stdin.close()
        shell.stdout.close()
    assert "verified" in transcript.rsplit("done: ", 2)[-2] + transcript[-3000:]
    assert "Traceback" not in transcript
