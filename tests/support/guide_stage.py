"""A guide's stage: a folder with the files it speaks of, a terminal to type in, and a live deployment behind it."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest

from actor import Actor, actors, burn_address, ready, until
from cluster import VAULT, Cluster, funded, running
from docs_text import ROOT, Block, blocks
from paper import CONFIRMS
from terminal import Answer, Terminal

TYPED = ("sh", "console")


@dataclass
class Stage:
    """One guide's folder, the words replaced in it, and what is done before some of its blocks."""

    cluster: Cluster
    folder: Path
    words: dict[str, str | Callable[[], str]] = field(default_factory=dict)
    before: dict[str, Callable[[], None]] = field(default_factory=dict)
    typed: list[tuple[str, Answer]] = field(default_factory=list)
    """More answers, of what only this guide asks."""
    used: set[str] = field(default_factory=set)
    terminals: list[Terminal] = field(default_factory=list)
    daemons: list[Terminal] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        """A person's environment: a home of their own, the programs, no profile but their own."""
        home = self.folder / "home"
        home.mkdir(exist_ok=True)
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        # Where the tests are of another checkout than the installed one, what is typed is of theirs as well.
        sources = {"PYTHONPATH": os.environ["PYTHONPATH"]} if "PYTHONPATH" in os.environ else {}
        return {"PATH": path, "HOME": str(home), "LANG": "C.UTF-8", "TERM": "dumb", "COLUMNS": "120", **sources}

    @property
    def answers(self) -> list[tuple[str, Answer]]:
        """What a person types when asked."""
        phrase = self.cluster.deployment.passphrase_file.read_text().strip()
        return [
            (r"(?i)passphrase[^\n]*: ?$", phrase),
            (r"(?i)(?:the same again|repeat for confirmation): ?$", phrase),
            (r"fingerprint[^\n]*: ?$", self.cluster.deployment.log_id.hex()),
            (r"\[y/N\]: ?$", "y"),
            *CONFIRMS,
            *self.typed,
        ]

    def put(self, source: Path, name: str) -> None:
        """Have a file or folder of the deployment here under a guide's name."""
        (self.folder / name).symlink_to(source)

    def replaced(self, text: str) -> str:
        """The text with the words of this stage."""
        for word in sorted(self.words, key=len, reverse=True):
            if word in text:
                self.used.add(word)
                value = self.words[word]
                if callable(value):
                    value = self.words[word] = value()
                text = text.replace(word, value)
        return text

    def type(self, block: Block) -> str:
        """Type one block as it is printed; what was shown."""
        for beginning, act in self.before.items():
            if block.text.startswith(beginning):
                act()
        text = self.replaced(block.text)
        if block.mark == "terminal":
            terminal = Terminal(f"exec {text.strip()}", self.folder, self.environment, self.answers)
            self.terminals.append(terminal)
            self.daemons.append(terminal)
            terminal.wait_for(block.value)
            return terminal.shown
        shown = ""
        for typed, expected in commands(block, text):
            terminal = Terminal(typed, self.folder, self.environment, self.answers)
            self.terminals.append(terminal)
            code = terminal.finish()
            shown += terminal.shown
            is_well = code == 0 or code in WARNINGS.get(typed.split()[1], ())
            assert is_well, f"{block}:\n{typed}\nended with {code}:\n{terminal.shown[-3000:]}"
            assert "Traceback" not in terminal.shown
            if expected:
                assert terminal.shown.split() == expected.split(), block
        return shown

    def perform(self, guide: str) -> str:
        """Type all blocks of a guide; every word must have been of use."""
        shown = "".join(self.type(block) for block in blocks(ROOT / guide) if block.language in TYPED)
        unused = self.words.keys() - self.used
        assert not unused, f"{guide} does not say {unused} any more"
        return shown


WARNINGS: Final = {"doctor": (5,)}
"""Exit codes, by subcommand, that say that something should be mended some day, not that the command failed."""


def commands(block: Block, text: str) -> Iterator[tuple[str, str]]:
    """What is typed, and what the guide says is shown then; an `sh` block shows nothing and is typed whole."""
    if block.language == "sh":
        yield text, ""
        return
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        typed, _, expected = part.partition("\n")
        yield typed, expected


@pytest.fixture(scope="module")
def live() -> Iterator[Cluster]:
    """One deployment for all guides: three signers, a coordinator, a node, a funded vault."""
    with running(funded(), "docs") as cluster:
        cluster.start()
        yield cluster


@contextmanager
def staged(live: Cluster, tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(live, tmp_path)
    stage.put(live.root / "pki" / "ca.pem", "ca.pem")
    try:
        yield stage
    finally:
        for terminal in stage.terminals:
            terminal.close()


def node_words(live: Cluster, stage: Stage) -> dict[str, str]:
    """The node, whose cookie lies where Bitcoin Core has it."""
    cookie = stage.folder / "home" / ".bitcoin" / "regtest" / ".cookie"
    cookie.parent.mkdir(parents=True)
    cookie.symlink_to(live.root / "node" / ".cookie")
    return {"127.0.0.1:18443": f"127.0.0.1:{(live.root / 'node-port').read_text().strip()}"}


def spoken(live: Cluster) -> str:
    """The log id as people read it to each other."""
    digits = live.deployment.log_id.hex()
    return " ".join(digits[at : at + 4] for at in range(0, len(digits), 4))


def done_by(live: Cluster, names: str, act: Callable[..., Coroutine[Any, Any, Any]]) -> Any:
    """Let people act through the SDK, as others do while a guide's reader reads."""

    async def perform() -> Any:
        async with actors(live.deployment, *names.split()) as people:
            # The guide before may have had the coordinator started again.
            await ready(people[0])
            return await act(*people)

    return asyncio.run(perform())


def ordered(live: Cluster, amount: int, *, approvals: str = "") -> str:
    """Whole hash of a withdrawal that carol orders and others may approve; planned when two do."""

    async def act(carol: Actor, *others: Actor) -> str:
        order = await carol.pay(VAULT, burn_address(7), amount)
        for other in others:
            await other.approve(order)
        if len(others) > 1:
            await carol.wait_for_order(order, lambda status: status.status != "open")
        return str(order.hex())

    found: str = done_by(live, f"carol {approvals}", act)
    return found


def lift_all(live: Cluster) -> None:
    """End every freeze, so that the next guide begins in peace."""

    async def act(carol: Actor, *others: Actor) -> None:
        for freeze in await carol.client.freezes():
            if not freeze.lifted:
                order = await carol.unfreeze(freeze.id)
                for other in others:
                    await other.approve(order)

        async def lifted() -> bool:
            return all(freeze.lifted for freeze in await carol.client.freezes())

        await until(lifted)

    done_by(live, "carol alice bob", act)
