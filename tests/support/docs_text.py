"""The documentation as tests see it: its files, code blocks, headings, links and names in backticks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
_FENCE = re.compile(r"^( *)```([a-z]*)\n(.*?)^\1```$", re.DOTALL | re.MULTILINE)
_MARK = re.compile(r"<!-- ([a-z-]+): ([^>]*?) -->\s*\Z")
_LINK = re.compile(r"\[[^\]\n]*\]\(([^)\s]+)\)")
_INLINE = re.compile(r"`([^`\n]+)`")
_SKIPPED = {".venv", "node_modules", "build", "dist", "vectors", ".proto-check"}


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced code block; `mark` and `value` are those of a comment `<!-- mark: value -->` right before it."""

    file: Path
    line: int
    language: str
    text: str
    mark: str = ""
    value: str = ""

    def __str__(self) -> str:
        return f"{self.file.relative_to(ROOT)}:{self.line}"


def markdown_files() -> list[Path]:
    """Every Markdown file that is ours."""
    return sorted(
        path
        for path in ROOT.rglob("*.md")
        if not _SKIPPED & set(path.relative_to(ROOT).parts) and ".pytest_cache" not in path.parts
    )


def blocks(file: Path) -> Iterator[Block]:
    """The fenced code blocks of a file."""
    text = file.read_text(encoding="utf-8")
    for match in _FENCE.finditer(text):
        mark = _MARK.search(text[: match.start()])
        indent = match.group(1)
        body = "".join(line.removeprefix(indent) for line in match.group(3).splitlines(keepends=True))
        line = text.count("\n", 0, match.start()) + 1
        yield Block(file, line, match.group(2), body, *(mark.groups() if mark else ("", "")))


def prose(file: Path) -> str:
    """A file without its code blocks."""
    return _FENCE.sub("", file.read_text(encoding="utf-8"))


def links(file: Path) -> list[str]:
    """The targets of all links."""
    return _LINK.findall(prose(file))


def inline(file: Path) -> list[str]:
    """Everything in backticks outside of code blocks."""
    return _INLINE.findall(prose(file))


def anchors(file: Path) -> set[str]:
    """The anchors of a file's headings, as GitHub makes them."""
    found: set[str] = set()
    for heading in re.findall(r"^#+ (.*)$", prose(file), re.MULTILINE):
        plain = re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")
        number = 0
        while (anchor := f"{plain}-{number}" if number else plain) in found:
            number += 1
        found.add(anchor)
    return found
