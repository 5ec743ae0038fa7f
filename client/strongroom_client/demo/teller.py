"""How the demonstration speaks: numbered sections, short sentences, and the time each step took."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from rich.console import Console
from rich.padding import Padding
from rich.panel import Panel
from rich.text import Text

__all__ = ["Teller"]

_WIDTH: Final = 100
_HASH: Final = re.compile(r"[0-9a-f]{64}")


class Teller:
    """Tells the story on a console."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._width = min(_WIDTH, console.width)
        self._sections = 0
        self._started = time.monotonic()

    @property
    def elapsed_s(self) -> float:
        """Seconds since the story began."""
        return time.monotonic() - self._started

    def title(self, heading: str, *lines: str) -> None:
        """Open the story."""
        self._console.print(Panel(Text(" ".join(lines)), title=Text(heading, style="bold"), width=self._width))

    def section(self, heading: str, *lines: str) -> None:
        """Begin a numbered section with a few sentences."""
        self._sections += 1
        self._console.print()
        self._console.print(Text(f"{self._sections}. {heading}", style="bold cyan"))
        self._indented(" ".join(lines), 3)

    @contextmanager
    def step(self, doing: str) -> Iterator[list[str]]:
        """Tell that something is done and how long it took; what the body appends is told behind it."""
        began = time.monotonic()
        said: list[str] = []
        with self._console.status(Text(f"   {doing} ...")):
            yield said
        took = time.monotonic() - began
        line = Text("✓ ", style="bold green")
        line.append(doing, style="not bold default")
        line.append(f"  {took:.1f} s", style="not bold dim default")
        self._console.print(Padding(line, (0, 0, 0, 3)), width=self._width)
        for more in said:
            self.note(more)

    def note(self, text: str, *, style: str = "") -> None:
        """One line below a step."""
        self._indented(text, 5, style=style)

    def quote(self, text: str, *, heading: str) -> None:
        """What somebody sees on their own screen."""
        panel = Panel(Text(text.rstrip()), title=Text(heading), width=self._width - 3)
        self._console.print(Padding(panel, (0, 0, 0, 3)))

    def refusal(self, who: str, reason: str, detail: str) -> None:
        """A signer refuses; long hashes in the detail are cut to their first digits."""
        line = Text("✋ ")
        line.append(f"{who} refuses: ", style="bold red")
        line.append(f"{reason}", style="bold")
        line.append(f"  {_HASH.sub(_shortened, detail)}" if detail else "")
        self._console.print(Padding(line, (0, 0, 0, 5)), width=self._width)

    def end(self, *lines: str) -> None:
        """The summary of a story that went well."""
        self._console.print()
        title = Text("Everything held", style="bold green")
        self._console.print(Panel(Text("\n".join(lines), style="green"), title=title, width=self._width))

    def failure(self, *lines: str) -> None:
        """The end of a story that did not go well."""
        self._console.print()
        title = Text("The demonstration failed", style="bold red")
        self._console.print(Panel(Text("\n".join(lines), style="red"), title=title, width=self._width))

    def _indented(self, text: str, columns: int, *, style: str = "") -> None:
        self._console.print(Padding(Text(text, style=style), (0, 0, 0, columns)), width=self._width)


def _shortened(found: re.Match[str]) -> str:
    return f"{found.group()[:8]}…"
